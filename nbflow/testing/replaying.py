"""A recorded run, run again by the code of today with nothing but what is recorded.

Only bodies of workflows run. Where the body of a task would have to, the run fails:
its code, its arguments or the way to it are not what they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nbflow._events import (
    RunCancelled,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunSuperseded,
    TaskCalled,
)
from nbflow.checkpoint.memory import InMemorySaver
from nbflow.errors import NbflowError, ThreadNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nbflow._engine.workflow import Workflow
    from nbflow._events import Record
    from nbflow.checkpoint.base import BaseCheckpointSaver

__all__ = ["NotRecordedError", "areplay", "replay"]

_ENDS: Final = (RunFinished, RunFailed, RunInterrupted, RunCancelled, RunSuperseded)
_WHY: Final = {
    "new": "nothing like it was called there",
    "code": "its code was edited",
    "arguments": "it was called with other arguments",
    "failed": "it had failed",
    "unfinished": "it had not ended",
    "answered": "it had asked, and the answer came since",
    "secret": "its result held a secret, which is not recorded",
}


class NotRecordedError(NbflowError, AssertionError):
    """A replayed workflow calls a task whose outcome is not recorded.

    Attributes
    ----------
    task : str
        Name of the task.
    args_text : str
        A short text of its arguments.
    why : str
        ``"code"``, ``"arguments"``, ``"new"``, ...; see `nbflow._events.TaskCalled`.
    """

    def __init__(self, task: str, args_text: str, why: str) -> None:
        self.task = task
        self.args_text = args_text
        self.why = why
        super().__init__(
            f"The task {task!r} would have to run with ({args_text}): "
            f"{_WHY.get(why, why or 'nothing is recorded for it')}.\n"
            "Undo the change, or record the thread anew."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.task, self.args_text, self.why)


def replay(
    workflow: Workflow[Any, Any],
    thread_id: str,
    *,
    saver: BaseCheckpointSaver | None = None,
    run_id: str | None = None,
    config: Mapping[str, Any] | None = None,
    context: Any = None,
) -> Any:
    """Run a workflow against a recorded run, without running a task.

    Put a thread that was recorded once into a test, and the test says whether the
    workflow of today still takes the same way: finished tasks give what they gave,
    failures are raised again, answers are given again. The thread itself is left as
    it is. What the body does itself, such as writing to a store, it does again.

    Parameters
    ----------
    workflow : Workflow
        The workflow, of synchronous body; `areplay` takes both kinds.
    thread_id : str
        The thread that was recorded.
    saver : BaseCheckpointSaver, optional
        Where it was recorded; by default the workflow's own.
    run_id : str, optional
        Which run of the thread; by default its newest.
    config : mapping, optional
        What the body gets as its config, besides the thread.
    context : Any, optional
        As in `invoke`.

    Returns
    -------
    Any
        What `invoke` returns: the result, or ``{"__interrupt__": [...]}`` where
        there is no answer.

    Raises
    ------
    NotRecordedError
        A task would have to run.
    NonDeterministicReplayError
        The body, which is as it was, asks for another call than it did.
    ThreadNotFoundError
        Nothing is recorded for the thread or the run.
    Exception
        Whatever the body raised when it was recorded.

    Examples
    --------
    >>> from nbflow import entrypoint, task
    >>> @task
    ... def fetch(city: str) -> int:
    ...     print("running")
    ...     return len(city)
    >>> @entrypoint(checkpointer=InMemorySaver())
    ... def workflow(city: str) -> int:
    ...     return fetch(city).result() * 10
    >>> workflow.invoke("Oslo", {"configurable": {"thread_id": "1"}})
    running
    40
    >>> replay(workflow, "1")
    40
    """
    recorded, within = _prepared(workflow, thread_id, saver, run_id, config)
    return recorded.checked(
        lambda: workflow.with_saver(recorded).invoke(None, within, context=context)
    )


async def areplay(
    workflow: Workflow[Any, Any],
    thread_id: str,
    *,
    saver: BaseCheckpointSaver | None = None,
    run_id: str | None = None,
    config: Mapping[str, Any] | None = None,
    context: Any = None,
) -> Any:
    """Like `replay`, on the running loop, for bodies of both kinds."""
    recorded, within = _prepared(workflow, thread_id, saver, run_id, config)
    try:
        value = await workflow.with_saver(recorded).ainvoke(
            None, within, context=context
        )
    except BaseException as error:
        recorded.check(error)
        raise
    recorded.check()
    return value


def _prepared(
    workflow: Workflow[Any, Any],
    thread_id: str,
    saver: BaseCheckpointSaver | None,
    run_id: str | None,
    config: Mapping[str, Any] | None,
) -> tuple[_Recording, dict[str, Any]]:
    source = workflow.checkpointer if saver is None else saver
    if source is None:
        raise ValueError(
            f"The workflow {workflow.name!r} has no checkpointer, so say where the "
            "thread was recorded: replay(..., saver=...)."
        )
    records = _up_to_its_end(source.read(thread_id), run_id)
    if not records:
        raise ThreadNotFoundError(thread_id)
    given = dict(config or {})
    named = {"thread_id": thread_id, "replay": "changed", "on_divergence": "error"}
    given["configurable"] = {**given.get("configurable", {}), **named}
    return _Recording(records, allow_pickle=source.allow_pickle), given


def _up_to_its_end(records: Sequence[Record], run_id: str | None) -> list[Record]:
    """Return a thread as it was while the run was about to end for the last time."""
    runs = [record.run_id for record in records if record.run_id]
    if run_id is None:
        run_id = runs[-1] if runs else ""
    last = max((at for at, r in enumerate(records) if r.run_id == run_id), default=-1)
    before = {record.run_id for record in records[: last + 1]}
    kept = [r for r in records[: last + 1] if r.run_id in before]
    own = [at for at, record in enumerate(kept) if record.run_id == run_id]
    while own and isinstance(kept[own[-1]].event, _ENDS):
        del kept[own.pop()]
    return kept


class _Recording(InMemorySaver):
    """A copy of a thread that takes no call of a task."""

    def __init__(self, records: Sequence[Record], *, allow_pickle: bool) -> None:
        super().__init__()
        self.allow_pickle = allow_pickle
        super().append(records)
        self._missing: list[NotRecordedError] = []

    def append(
        self,
        records: Sequence[Record],
        on_durable: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        """Take records, unless a task's body is about to run."""
        for record in records:
            event = record.event
            # A call is written before its body runs. A nested workflow's body is
            # one whose tasks are recorded in their turn.
            if isinstance(event, TaskCalled) and event.kind == "task":
                missing = NotRecordedError(event.name, event.args, event.why)
                self._missing.append(missing)
                raise missing
        super().append(records, on_durable)

    def checked(self, run: Callable[[], Any]) -> Any:
        """Return what a run gives, if no call was missing."""
        try:
            value = run()
        except BaseException as error:
            self.check(error)
            raise
        self.check()
        return value

    def check(self, error: BaseException | None = None) -> None:
        """Raise the first missing call, whatever the body made of it.

        Raises
        ------
        NotRecordedError
            A call was missing.
        """
        if self._missing and error is not self._missing[0]:
            raise self._missing[0] from error
