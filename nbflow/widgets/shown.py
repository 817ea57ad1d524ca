"""A thread's newest run as a panel, with everything its buttons do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.session.current import current_session
from nbflow.session.wire import Setting
from nbflow.widgets.panel import Commands, RunPanel

if TYPE_CHECKING:
    from nbflow.session.session import Session

__all__ = ["commands_of", "setting_of", "show"]


def show(thread_id: str) -> RunPanel:
    """Return the panel of a thread's newest run: display it, or put it in a box.

    Parameters
    ----------
    thread_id : str
        The thread.

    Returns
    -------
    RunPanel
        It is kept up to date while this kernel works on the run.

    Raises
    ------
    ThreadNotFoundError
        No store of this kernel has the thread.
    """
    session = current_session()
    return RunPanel(
        session.picture(thread_id),
        commands=commands_of(session, thread_id, by="nbflow.show"),
        setting=setting_of(session, thread_id),
    )


def commands_of(session: Session, thread_id: str, *, by: str) -> Commands:
    """Return what a panel's buttons do with a thread.

    Parameters
    ----------
    by : str
        Who answers, for the log.
    """
    return Commands(
        answer=lambda key, value: session.answer(thread_id, {key: value}, by=by),
        stop=lambda: session.stop(thread_id),
        resume=lambda: session.resume(thread_id),
    )


def setting_of(session: Session, thread_id: str) -> Setting:
    """Return where a thread is kept, and what it needs to go on."""
    saver, head = session.find_thread(thread_id)
    needs = ""
    if not session.can_go_on(thread_id):
        needs = f"Run the cell that defines {head.workflow!r} to go on."
    return Setting(live=True, store=saver.location, needs=needs)
