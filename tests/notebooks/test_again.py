"""A notebook of the guide runs again over what it left, as Run All does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_of_the_guide_runs_again_over_the_store_it_left(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = path.with_suffix(".answers.json")
    monkeypatch.setenv("NBFLOW_STORE", str(tmp_path / "store.duckdb"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    if answers.exists():
        monkeypatch.setenv("NBFLOW_ANSWERS", str(answers))

    for _ in range(2):
        client: Any = NotebookClient(
            nbformat.read(path, as_version=4),
            kernel_name="python3",
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": str(path.parent)}},
        )
        client.execute()  # A cell that fails raises.
