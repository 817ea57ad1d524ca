"""Durable workflows in a Jupyter notebook: every finished step is kept.

Names are loaded when they are first used: ``import nbflow`` loads neither IPython
nor duckdb.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nbflow._engine.outside import now, random, uuid4
    from nbflow.config import get_config, get_store, get_stream_writer
    from nbflow.func import entrypoint, task
    from nbflow.session.api import (
        cancel,
        fork,
        history,
        pending,
        resume,
        store_path,
        threads,
    )
    from nbflow.session.housekeeping import (
        compact,
        delete_thread,
        doctor,
        export_thread,
        import_thread,
        open_snapshot,
        prune,
        sizes,
        snapshot,
        sql,
        tasks,
    )
    from nbflow.types import Command, Interrupt, RetryPolicy, interrupt
    from nbflow.widgets.shown import show

    __version__: str

__all__ = [
    "Command",
    "Interrupt",
    "RetryPolicy",
    "cancel",
    "compact",
    "delete_thread",
    "doctor",
    "entrypoint",
    "export_thread",
    "fork",
    "get_config",
    "get_store",
    "get_stream_writer",
    "history",
    "import_thread",
    "interrupt",
    "now",
    "open_snapshot",
    "pending",
    "prune",
    "random",
    "resume",
    "show",
    "sizes",
    "snapshot",
    "sql",
    "store_path",
    "task",
    "tasks",
    "threads",
    "uuid4",
]

_HOMES: Final = {
    "Command": "types",
    "Interrupt": "types",
    "RetryPolicy": "types",
    "cancel": "session.api",
    "compact": "session.housekeeping",
    "delete_thread": "session.housekeeping",
    "doctor": "session.housekeeping",
    "entrypoint": "func",
    "export_thread": "session.housekeeping",
    "fork": "session.api",
    "get_config": "config",
    "get_store": "config",
    "get_stream_writer": "config",
    "history": "session.api",
    "import_thread": "session.housekeeping",
    "interrupt": "types",
    "now": "_engine.outside",
    "open_snapshot": "session.housekeeping",
    "pending": "session.api",
    "prune": "session.housekeeping",
    "random": "_engine.outside",
    "resume": "session.api",
    "show": "widgets.shown",
    "sizes": "session.housekeeping",
    "snapshot": "session.housekeeping",
    "sql": "session.housekeeping",
    "store_path": "session.api",
    "task": "func",
    "tasks": "session.housekeeping",
    "threads": "session.api",
    "uuid4": "_engine.outside",
}


if not TYPE_CHECKING:  # it would make every misspelt name one of type Any

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            # Reading a package's metadata takes longer than the rest of the import.
            from importlib.metadata import version  # noqa: PLC0415

            return version("nbflow")
        if name not in _HOMES:
            raise AttributeError(f"module 'nbflow' has no attribute {name!r}")
        return getattr(import_module(f"nbflow.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Load the magics: ``%load_ext nbflow``."""
    from nbflow.magics import load  # noqa: PLC0415 - needs IPython

    load(shell)


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "nbflow"}]
