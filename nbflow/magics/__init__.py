"""What a cell says: the only room that knows IPython."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING

from nbflow.magics.notebook import Notebook
from nbflow.magics.settings import NBFlow
from nbflow.magics.workflow import WorkflowMagics
from nbflow.session.current import take_session

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["NBFlow", "Notebook", "WorkflowMagics", "load", "notebook_of"]


def load(shell: InteractiveShell) -> None:
    """Give a shell the magics; a second call does nothing.

    Parameters
    ----------
    shell : InteractiveShell
        IPython's, as ``%load_ext`` passes it.
    """
    if notebook_of(shell) is not None:
        return
    settings = NBFlow(parent=shell)
    session = take_session(shell.user_ns, store=settings.store or None)
    notebook = Notebook(shell, session, settings)

    def use_store(change: dict[str, str]) -> None:
        session.use_store(change["new"])

    settings.observe(use_store, "store")
    shell.configurables.append(settings)  # type: ignore[arg-type] # any Configurable
    shell.register_magics(WorkflowMagics(shell, notebook))
    atexit.register(session.close)


def notebook_of(shell: InteractiveShell) -> Notebook | None:
    """Return the notebook of a shell that has the magics, else None."""
    known = shell.magics_manager.registry.get("WorkflowMagics")
    return known.notebook if isinstance(known, WorkflowMagics) else None
