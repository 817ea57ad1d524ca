"""Runs notebooks without a screen: to show, to check or to keep their outputs.

    python .ci/notebooks.py demo notebooks/00-start.ipynb
    python .ci/notebooks.py check notebooks/*.ipynb
    python .ci/notebooks.py refresh notebooks/*.ipynb

Each notebook gets a fresh store below `build/`, and answers its questions from the
file of its name that ends in `.answers.json`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter

__all__ = ["check", "demo", "main", "refresh"]

BUILD = Path("build").resolve()
CELL_SECONDS = 300
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def main() -> int:
    """Run the command line; the result is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("notebooks", type=Path, nargs="+")
    arguments = parser.parse_args()
    command = COMMANDS[arguments.command]
    # Each of them runs, so that one report shows all there is to mend.
    succeeded = [command(path.resolve()) for path in arguments.notebooks]
    return int(not all(succeeded))


def demo(path: Path) -> bool:
    """Run a notebook, print what happened and keep it as a page."""
    notebook, succeeded = _execute(path)
    page = BUILD / f"{path.stem}.html"
    page.write_text(_as_page(notebook), "utf-8")
    print(f"The page is {page}")
    return succeeded


def check(path: Path) -> bool:
    """Run a notebook under nbval, which compares its outputs with the kept ones."""
    _set_surroundings(path)
    done = subprocess.run(  # noqa: S603 # pytest, on the project's own notebook
        [
            *(sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env"),
            f"--nbval-sanitize-with={path.parent / 'sanitize.cfg'}",
            f"--nbval-cell-timeout={CELL_SECONDS}",
            f"--timeout={CELL_SECONDS}",
            f"--junit-xml={BUILD / 'reports' / f'notebook-{path.stem}.xml'}",
            str(path),
        ],
        check=False,
    )
    return done.returncode == 0


def refresh(path: Path) -> bool:
    """Run a notebook and keep its outputs in it, unless a cell fails."""
    notebook, succeeded = _execute(path)
    if succeeded:
        nbformat.write(notebook, path)
    return succeeded


COMMANDS = {"demo": demo, "check": check, "refresh": refresh}


def _execute(path: Path) -> tuple[Any, bool]:
    notebook = nbformat.read(path, as_version=4)
    store = _set_surroundings(path)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],  # not its warning about TCP
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_executed=_print_cell,
    )
    print(f"{path.name}, its store in {store}")
    begun = time.monotonic()
    failure = ""
    try:
        client.execute()
    except CellExecutionError as error:
        failure = ANSI.sub("", str(error))
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    print(f"\n{cells} code cells in {time.monotonic() - begun:.1f} s")
    if failure:
        print(f"It stopped before its end: {failure}", file=sys.stderr)
    return notebook, not failure


def _set_surroundings(path: Path) -> Path:
    """Point the kernel to a store of its own and to the notebook's answers."""
    folder = BUILD / "stores" / path.stem
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    store = folder / "store.duckdb"
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ["NBFLOW_STORE"] = str(store)
    answers = path.with_suffix(".answers.json")
    if answers.is_file():
        os.environ["NBFLOW_ANSWERS"] = str(answers)
    else:
        os.environ.pop("NBFLOW_ANSWERS", None)
    return store


def _print_cell(cell: Any, cell_index: int, execute_reply: Any) -> None:
    del cell_index, execute_reply
    lines = cell.source.strip().splitlines() or [""]
    more = f"   … {len(lines) - 1} more lines" if len(lines) > 1 else ""
    print(f"\n[{cell.execution_count}] {lines[0]}{more}")
    for output in cell.outputs:
        for line in _as_text(output).rstrip().splitlines():
            print(f"    {line}")


def _as_text(output: Any) -> str:
    match output.output_type:
        case "stream":
            return str(output.text)
        case "error":
            return f"{output.ename}: {ANSI.sub('', output.evalue)}"
        case _:
            return str(output.data.get("text/plain", ""))


def _as_page(notebook: Any) -> str:
    # The page stands alone: what the template would fetch is left out.
    exporter = HTMLExporter(mathjax_url="", require_js_url="")
    exporter.exclude_input_prompt = True
    exporter.exclude_output_prompt = True
    page, _ = exporter.from_notebook_node(notebook)
    return str(page)


if __name__ == "__main__":
    sys.exit(main())
