"""The doors that must stay light, as an interpreter sees them."""

from __future__ import annotations

import json
import subprocess
import sys

NOTEBOOK_AND_DATABASE = (
    "IPython",
    "anywidget",
    "comm",
    "duckdb",
    "ipykernel",
    "ipywidgets",
    "traitlets",
)
OPTIONAL = ("langchain_core", "numpy", "pandas", "pyarrow", "pydantic")


def test_the_functional_api_loads_neither_notebook_nor_database() -> None:
    loaded = _loaded_by("import nbflow.func")

    assert not loaded.intersection(NOTEBOOK_AND_DATABASE)


def test_the_public_page_is_lazy() -> None:
    loaded = _loaded_by("import nbflow")

    assert not loaded.intersection(NOTEBOOK_AND_DATABASE)


def test_no_optional_package_is_needed_to_start() -> None:
    loaded = _loaded_by("import nbflow.func, nbflow.checkpoint.duckdb")

    assert not loaded.intersection(OPTIONAL)


def _loaded_by(statement: str) -> set[str]:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{statement}; import json, sys; print(json.dumps(sorted(sys.modules)))",
        ],
        capture_output=True,
        check=True,
        text=True,
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout)}
