"""The wheel as a user gets it: in a new environment, away from the checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = "nbflow-*.data/data/share/jupyter/labextensions/nbflow"

WORKFLOW = """
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.func import entrypoint, task

CONFIG = {"configurable": {"thread_id": "numbers"}}


@task
def double(number: int) -> int:
    return 2 * number


def doubled(numbers: list[int]) -> list[int]:
    return [future.result() for future in [double(n) for n in numbers]]


with DuckDBSaver("runs.duckdb") as saver:
    print(entrypoint(checkpointer=saver)(doubled).invoke([1, 2, 3], CONFIG))
with DuckDBSaver("runs.duckdb") as saver:
    print(entrypoint(checkpointer=saver)(doubled).get_state(CONFIG).values)
"""

CELLS = """
%load_ext nbflow
from nbflow.func import entrypoint, task
get_ipython().run_cell_magic("workflow", "-i 21 --out answer", '''
@task
def double(number):
    return 2 * number

@entrypoint()
def doubled(number):
    return double(number).result()
''')
print("the answer is", answer)
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment with the wheel in it, and an empty folder to work in."""

    python: Path
    folder: Path

    def run(self, *arguments: str) -> str:
        """Run its Python in the folder; return what it printed."""
        return _run(str(self.python), *arguments, folder=self.folder)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if named := os.environ.get("NBFLOW_WHEEL"):
        return Path(named)
    folder = tmp_path_factory.mktemp("dist")
    _run(
        *(sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet"),
        *("--wheel-dir", str(folder), str(ROOT)),
        folder=folder,
    )
    (built,) = folder.glob("nbflow-*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    home = tmp_path_factory.mktemp("installed")
    folder = home / "work"
    folder.mkdir()
    _run(sys.executable, "-m", "venv", str(home / "venv"), folder=folder)
    environment = Installed(home / "venv" / "bin" / "python", folder)
    environment.run("-m", "pip", "install", "--quiet", f"{wheel}[lab]")
    return environment


@pytest.mark.parametrize(
    "pattern",
    [
        "nbflow/py.typed",
        "nbflow/static/*.js",
        "nbflow/labextension/package.json",
        "nbflow/labextension/static/*.js",
        f"{SHARED}/install.json",
        f"{SHARED}/package.json",
        f"{SHARED}/static/*.js",
        "nbflow-*.dist-info/licenses/LICENSE",
    ],
)
def test_the_wheel_holds(pattern: str, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert any(fnmatch(name, pattern) for name in names)


def test_the_wheel_holds_nothing_but_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folders = {name.partition("/")[0] for name in archive.namelist()}

    strangers = {name for name in folders if not re.match(r"nbflow(-|$)", name)}
    assert not strangers


def test_a_script_runs_a_workflow_and_a_second_saver_reads_it(
    installed: Installed,
) -> None:
    (installed.folder / "doubled.py").write_text(WORKFLOW, "utf-8")

    printed = installed.run("doubled.py")

    assert printed.splitlines() == ["[2, 4, 6]", "[2, 4, 6]"]


def test_ipython_loads_the_extension_and_runs_a_workflow_cell(
    installed: Installed,
) -> None:
    (installed.folder / "cells.ipy").write_text(CELLS, "utf-8")

    printed = installed.run("-m", "IPython", "--no-banner", "cells.ipy")

    assert "the answer is 42" in printed


def test_jupyterlab_lists_the_extension_as_enabled(installed: Installed) -> None:
    listed = installed.run("-m", "jupyter", "labextension", "list")

    plain = re.sub(r"\x1b\[[0-9;]*m", "", listed)
    assert re.search(r"nbflow v\S+ +enabled +OK +\(python, nbflow\)", plain)


def _run(*command: str, folder: Path) -> str:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COVERAGE", "IPYTHON", "JUPYTER", "PYTHON"))
        and name not in {"NBFLOW_ANSWERS", "NBFLOW_STORE"}
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env={**environment, "IPYTHONDIR": str(folder / ".ipython")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)}:\n{done.stdout[-8000:]}")
    return done.stdout
