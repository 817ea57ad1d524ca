"""What the line magic does, as functions: for scripts, loops and other cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nbflow._engine.state import history_of
from nbflow._values import UNSET
from nbflow.errors import UsageError
from nbflow.session.current import current_session
from nbflow.session.reports import (
    Report,
    history_report,
    pending_report,
    threads_report,
)

if TYPE_CHECKING:
    from pathlib import Path

    from nbflow.session.runs import RunHandle

__all__ = [
    "CHECKPOINTS_SHOWN",
    "THREADS_SHOWN",
    "cancel",
    "fork",
    "history",
    "pending",
    "resume",
    "store_path",
    "threads",
]

THREADS_SHOWN: Final = 1_000
CHECKPOINTS_SHOWN: Final = 100


def threads(limit: int | None = THREADS_SHOWN) -> Report:
    """Return the threads of this kernel's stores, the newest first.

    Parameters
    ----------
    limit : int or None, default 1,000
        At most so many, from 1; None means all.

    Raises
    ------
    UsageError
        The limit is no such number.
    """
    wanted = _one_more(limit)
    return threads_report(current_session().threads(wanted), limit)


def history(thread_id: str, *, limit: int | None = CHECKPOINTS_SHOWN) -> Report:
    """Return the checkpoints of a thread, the newest first.

    Parameters
    ----------
    thread_id : str
        The thread.
    limit : int or None, default 100
        At most so many, from 1; None means all.

    Raises
    ------
    ThreadNotFoundError
        No store of this kernel has it.
    UsageError
        The limit is no such number.
    """
    wanted = _one_more(limit)
    saver, _ = current_session().find_thread(thread_id)
    config = {"configurable": {"thread_id": thread_id}}
    return history_report(thread_id, history_of(saver, config, limit=wanted), limit)


def pending() -> Report:
    """Return every question that waits for a person."""
    return pending_report(current_session().pending())


def resume(
    thread_id: str, answer: Any = UNSET, *, interrupt_id: str | None = None
) -> RunHandle | None:
    """Go on with a thread's run, with an answer or without.

    Parameters
    ----------
    thread_id : str
        The thread.
    answer : Any, optional
        The answer to its question, in the form's terms.
    interrupt_id : str, optional
        Which question, where several are pending.

    Returns
    -------
    RunHandle or None
        The run, at work; None where the answer is only kept, since the workflow is
        not defined in this kernel.

    Raises
    ------
    ThreadNotFoundError, UnknownInterruptError, InvalidAnswerError, UsageError
        Nothing is run or saved.
    """
    if answer is UNSET:
        return current_session().resume(thread_id)
    return current_session().answer(
        thread_id, {interrupt_id: answer}, by="nbflow.resume"
    )


def fork(run: str, *, before: str, result: Any = UNSET) -> RunHandle:
    """Fork a run before one of its calls, and go on with the fork.

    What stands before the call is kept, and the run stays as it is; see
    `Workflow.fork`.

    Parameters
    ----------
    run : str
        A thread, whose newest run is meant; or the first characters of a run's id, as
        `history` shows them, of the threads that were updated last.
    before : str
        The call: a task's name, ``"interrupt"`` for a question, and where there are
        several, its number, such as ``"polish#2"``; `tasks` shows them so. Or an id.
    result : Any, optional
        What takes the place of the call's result, or of the answer to the question.

    Returns
    -------
    RunHandle
        The fork, at work.

    Raises
    ------
    ThreadNotFoundError, UsageError, ThreadBusyError
        There is no such run or call, its workflow is not defined in this kernel, or a
        run is at work on the thread.
    UnstorableValueError, SecretNotStoredError
        `result` can't be stored.
    """
    session = current_session()
    return session.fork(session.find_run(run), before, result)


def cancel(thread_id: str | None = None) -> list[str]:
    """Ask the runs of this kernel, or of one thread, to stop; return their threads."""
    return current_session().stop(thread_id)


def store_path() -> Path:
    """Return the path of this kernel's store."""
    return current_session().place.path


def _one_more(limit: int | None) -> int | None:
    """Return how many to look for, so that it shows whether there are more."""
    if limit is None:
        return None
    if limit < 1:
        raise UsageError(f"limit has to be 1 or more, or None for all, not {limit}.")
    return limit + 1
