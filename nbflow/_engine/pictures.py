"""One run as its history shows it: its calls, questions and end, folded from records.

States and drawings are made of this picture. Nothing here reads or decodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct, field

from nbflow._events import (
    Answered,
    Interrupted,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunResumed,
    RunStarted,
    RunSuperseded,
    StateUpdated,
    StepReached,
    TaskAttempted,
    TaskCalled,
    TaskDropped,
    TaskFailed,
    TaskFinished,
    TaskReplayed,
    TaskRetried,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbflow._events import Record
    from nbflow._values import Payload
    from nbflow.checkpoint.base import RunStatus

__all__ = ["CallPicture", "RunPicture", "picture_of", "pictures_of"]

CallStatus: TypeAlias = Literal[
    "waiting", "running", "finished", "failed", "interrupted", "dropped", "cancelled"
]


class CallPicture(Struct):
    """One call of a run: its newest begin, and how that went.

    Attributes
    ----------
    called : TaskCalled
        Its newest begin.
    called_at : int
        When it was called first, in microseconds since 1970-01-01 UTC.
    began_at, ended_at : int or None
        When its body began last, and when the call ended.
    attempts : int
        How often its body was begun, over all stretches.
    replays : int
        In how many stretches its outcome was used again.
    checkpoint_id : str
        The graph's step that it was called first in; empty elsewhere.
    """

    called: TaskCalled
    called_at: int
    began_at: int | None = None
    ended_at: int | None = None
    status: CallStatus = "running"
    attempts: int = 0
    cached: bool = False
    replays: int = 0
    checkpoint_id: str = ""
    result: Payload | None = None
    error: str | None = None


class RunPicture(Struct):
    """A run so far.

    Attributes
    ----------
    run_id : str
        The run.
    status : str
        As the head of a thread says it.
    error : str or None
        ``repr`` of what the body raised last.
    calls : dict of str to CallPicture
        By `call_id`, in the order of first calls.
    asked : dict of str to Interrupted
        Every question by its id, in the order in which they were asked last.
    asked_at : dict of str to int
        When each was asked first.
    answered : set of str
        Those that have an answer.
    shown : tuple of str
        The questions that the newest stretch ended with, as callers saw them.
    first_shown : tuple of str
        Those that the first such stretch ended with.
    stretches : int
        How often it was worked on.
    at_step : str
        Checkpoint of a graph's newest step; empty for other workflows.
    """

    run_id: str
    started: RunStarted | None = None
    started_at: int = 0
    ending: RunFinished | StateUpdated | None = None
    ended_at: int | None = None
    status: RunStatus = "running"
    error: str | None = None
    calls: dict[str, CallPicture] = field(default_factory=dict)
    asked: dict[str, Interrupted] = field(default_factory=dict)
    asked_at: dict[str, int] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    shown: tuple[str, ...] = ()
    first_shown: tuple[str, ...] = ()
    stretches: int = 0
    at_step: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing can continue it."""
        return self.status in ("finished", "superseded")

    def pending(self) -> Iterator[Interrupted]:
        """Yield the questions without an answer, in the order callers saw."""
        order = dict.fromkeys((*self.shown, *self.asked))
        for interrupt_id in order:
            question = self.asked.get(interrupt_id)
            if question is not None and interrupt_id not in self.answered:
                yield question

    def newest_asked(self) -> Iterator[Interrupted]:
        """Yield the newest question of each call that asked, answered or not."""
        newest = {question.parent_id: question for question in self.asked.values()}
        yield from newest.values()


def picture_of(records: Iterable[Record]) -> RunPicture | None:
    """Return the picture of the run that the first record belongs to."""
    return next(iter(pictures_of(records).values()), None)


def pictures_of(records: Iterable[Record]) -> dict[str, RunPicture]:
    """Fold records of one thread, in stored order, into a picture of each run."""
    pictures: dict[str, RunPicture] = {}
    for record in records:
        if not record.run_id:
            continue
        picture = pictures.get(record.run_id)
        if picture is None:
            picture = pictures[record.run_id] = RunPicture(record.run_id)
        _fold(picture, record)
    return pictures


def _fold(picture: RunPicture, record: Record) -> None:  # noqa: C901, PLR0912 - a case each
    match record.event:
        case RunStarted() as started:
            picture.started, picture.started_at = started, record.at
            picture.stretches = 1
        case RunResumed():
            picture.status, picture.error, picture.ended_at = "running", None, None
            picture.stretches += 1
            _still(picture)
        case Interrupted() as question:
            _ask(picture, question, record.at)
        case Answered(interrupt_id=asked):
            picture.answered.add(asked)
        case RunFailed(text=text):
            picture.error = text
            _end(picture, "failed", record.at)
        case RunInterrupted(interrupt_ids=shown):
            picture.shown = shown
            picture.first_shown = picture.first_shown or shown
            _end(picture, "interrupted", record.at)
        case RunCancelled():
            _end(picture, "cancelled", record.at)
        case RunSuperseded():
            if picture.ending is None:
                _end(picture, "superseded", record.at)
        case StepReached(call_id="", checkpoint_id=checkpoint_id):
            picture.at_step = checkpoint_id
        case RunFinished() as finished:
            picture.ending = finished
            _end(picture, "finished", record.at)
        case StateUpdated() as updated:
            picture.ending, picture.started_at = updated, record.at
            _end(picture, "finished", record.at)
        case _:
            _fold_call(picture, record)


def _end(picture: RunPicture, status: RunStatus, at: int) -> None:
    picture.status, picture.ended_at = status, at
    _still(picture)


def _ask(picture: RunPicture, question: Interrupted, at: int) -> None:
    picture.asked_at.setdefault(question.interrupt_id, at)
    picture.asked.pop(question.interrupt_id, None)
    picture.asked[question.interrupt_id] = question
    picture.answered.discard(question.interrupt_id)
    call = picture.calls.get(question.parent_id)
    while call is not None:
        call.status = "interrupted"
        call = picture.calls.get(call.called.parent_id)


def _still(picture: RunPicture) -> None:
    # A task that is still at work reports later, and is then what it reports.
    for call in picture.calls.values():
        if call.status in ("waiting", "running"):
            call.status = "cancelled"


def _fold_call(picture: RunPicture, record: Record) -> None:
    event = record.event
    if isinstance(event, TaskCalled):
        _call(picture, event, record.at)
        return
    call = picture.calls.get(getattr(event, "call_id", ""))
    if call is None:
        return
    match event:
        case TaskAttempted():
            call.status, call.began_at = "running", record.at
            call.attempts += 1
        case TaskRetried(text=text):
            call.status, call.error = "waiting", text
        case TaskFinished(result=result, cached=cached):
            call.status, call.ended_at, call.error = "finished", record.at, None
            call.result, call.cached = result, cached
        case TaskFailed(text=text):
            call.status, call.ended_at, call.error = "failed", record.at, text
        case TaskReplayed():
            call.replays += 1
        case TaskDropped():
            call.status, call.ended_at = "dropped", record.at
        case _:
            return


def _call(picture: RunPicture, called: TaskCalled, at: int) -> None:
    known = picture.calls.get(called.call_id)
    call = CallPicture(called, at if known is None else known.called_at)
    call.attempts = 0 if known is None else known.attempts
    call.replays = 0 if known is None else known.replays
    call.checkpoint_id = picture.at_step if known is None else known.checkpoint_id
    if called.waiting:
        call.status = "waiting"
    else:
        call.began_at = at
        call.attempts += 1
    picture.calls[called.call_id] = call
