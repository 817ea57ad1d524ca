"""A run as a panel; a thread's newest one with everything its buttons do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.session.current import current_session
from nbflow.session.wire import Setting
from nbflow.widgets.panel import Commands, RunPanel

if TYPE_CHECKING:
    from nbflow.session.session import Session

__all__ = ["commands_of", "setting_of", "show"]


def show(run: str) -> RunPanel:
    """Return the panel of a run: display it, or put it in a box.

    Parameters
    ----------
    run : str
        A thread, whose newest run is meant; or the first characters of a run's id, as
        `history` shows them, of the threads that were updated last.

    Returns
    -------
    RunPanel
        That of a thread's newest run is kept up to date while this kernel works on it;
        an older one is there to be read.

    Raises
    ------
    ThreadNotFoundError
        No store of this kernel has it.
    """
    session = current_session()
    found = session.find_run(run)
    if not found.is_newest:
        setting = Setting(store=found.saver.location)
        return RunPanel(session.view(found), setting=setting)
    thread_id = found.thread_id
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
