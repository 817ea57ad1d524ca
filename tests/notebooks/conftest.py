"""A kernel that runs the guide's cells, with a store and answers of its own."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "notebooks" / "00-start.ipynb"
CELL_SECONDS = 60
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def guide() -> Any:
    """Return the guide as it is committed."""
    return nbformat.read(GUIDE, as_version=4)


class GuideKernel:
    """A kernel in the guide's folder; its cells leave their outputs in them."""

    def __init__(self, guide: Any, store: Path, answers: Path | None) -> None:
        self.store = store
        self.cells = {cell.id: cell for cell in guide.cells}
        self._client = NotebookClient(
            nbformat.v4.new_notebook(),
            timeout=CELL_SECONDS,
            kernel_name="python3",
            extra_arguments=["--log-level=ERROR"],
            store_widget_state=False,
            resources={"metadata": {"path": str(GUIDE.parent)}},
        )
        self._env = {
            **{key: os.environ[key] for key in os.environ if key[:7] != "NBFLOW_"},
            "IPYTHONDIR": str(store.parent / "ipython"),
            "JUPYTER_PREFER_ENV_PATH": "1",
            "NBFLOW_STORE": str(store),
            "TMPDIR": str(store.parent),
            **({"NBFLOW_ANSWERS": str(answers)} if answers else {}),
        }
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self._client.setup_kernel(env=self._env))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def kill(self) -> None:
        """Kill the kernel's process; it is not asked, and can't tidy up."""
        provisioner: Any = self._client.km and self._client.km.provisioner
        provisioner.process.kill()
        provisioner.process.wait()

    def run(self, *cell_ids: str) -> str:
        """Run cells of the guide, and return the text of the last one's outputs.

        Raises
        ------
        CellExecutionError
            A cell raised an error that it is not tagged for.
        """
        for cell_id in cell_ids:
            self._run(self.cells[cell_id])
        return text_of(self.cells[cell_ids[-1]])

    def do(self, source: str, *, raises: str = "") -> str:
        """Run other lines, perhaps to an error, and return what they show."""
        cell = new_code_cell(source)
        if raises:
            with pytest.raises(CellExecutionError, match=raises):
                self._run(cell)
        else:
            self._run(cell)
        return text_of(cell)

    def run_until_paused(self) -> str:
        """Run the guide up to its questions, and return what its cell shows."""
        with pytest.raises(CellExecutionError, match="WorkflowPaused"):
            self.run("load", "data", "tasks", "review")
        return text_of(self.cells["review"])

    def _run(self, cell: Any) -> None:
        cell.outputs = []
        self._client.nb.cells.append(cell)
        self._client.execute_cell(cell, len(self._client.nb.cells) - 1)


def text_of(cell: Any) -> str:
    """Return what a cell's outputs say, one after another."""
    texts = []
    for output in cell.outputs:
        match output.output_type:
            case "stream":
                texts.append(output.text)
            case "error":
                texts.append(f"{output.ename}: {output.evalue}")
            case _:
                texts.append(output.data.get("text/plain", ""))
    return ANSI.sub("", "\n".join(texts))


@pytest.fixture
def kernels(guide: Any, tmp_path: Path) -> Iterator[Callable[..., GuideKernel]]:
    """Return what starts a kernel; all of a test's kernels share one store."""
    with contextlib.ExitStack() as stack:

        def start(answers: Path | None = None) -> GuideKernel:
            kernel = GuideKernel(guide, tmp_path / "store.duckdb", answers)
            return stack.enter_context(kernel)

        yield start
