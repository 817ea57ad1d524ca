"""A shell of its own for each test, over a store of its own."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from nbflow.serde import registry
from nbflow.session import current

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Cells:
    """A notebook's cells, run one after another.

    Attributes
    ----------
    shell : InteractiveShell
        What runs them.
    store : Path
        The session's store.
    printed : str
        What the last cell printed.
    """

    shell: InteractiveShell
    store: Path
    printed: str = ""

    def run(self, text: str) -> Any:
        """Run a cell and return its value; raise what it raised."""
        out = io.StringIO()
        with redirect_stdout(out):
            result = self.shell.run_cell(  # type: ignore[no-untyped-call]
                text, store_history=True
            )
        self.printed = out.getvalue()
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            raise error
        return result.result

    @property
    def names(self) -> dict[str, Any]:
        """The notebook's variables."""
        names: dict[str, Any] = self.shell.user_ns
        return names

    def restart(self) -> None:
        """Forget everything but the store, as a new kernel has."""
        for session in current._sessions:
            session.close()
        current._sessions.clear()
        registry._unnamed.clear()
        self.shell = _shell()
        self.run("%load_ext nbflow")
        self.run("from nbflow import entrypoint, interrupt, task")


def _shell() -> InteractiveShell:
    # Not `instance()`: a second kernel in this process is what a restart is here.
    shell = InteractiveShell()  # type: ignore[no-untyped-call]
    shell.Completer.use_jedi = False
    return shell


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cells]:
    store = tmp_path / "cells.duckdb"
    monkeypatch.setenv("NBFLOW_STORE", str(store))
    monkeypatch.delenv("NBFLOW_ANSWERS", raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    hook, main = sys.displayhook, sys.modules["__main__"]
    made = Cells(_shell(), store)
    made.restart()
    yield made
    for session in current._sessions:
        session.close()
    current._sessions.clear()
    sys.displayhook = hook
    sys.modules["__main__"] = main
