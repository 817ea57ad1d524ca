"""What a panel shows of a run: its calls, its questions, its stream, its end.

Values only; `nbflow.session.folding` makes them from the records of the run.
Nothing here knows of widgets, comms or databases.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from nbflow._values import Payload
    from nbflow.checkpoint.base import RunStatus

__all__ = [
    "STREAM_KEPT",
    "CallStatus",
    "CallView",
    "Counts",
    "Failure",
    "QuestionView",
    "RunView",
    "StreamItem",
]

CallStatus: TypeAlias = Literal[
    "waiting", "running", "finished", "failed", "interrupted", "dropped", "cancelled"
]

STREAM_KEPT: Final = 1_000
"""How many of a stream's newest items a view keeps."""


@dataclass(frozen=True, slots=True)
class CallView:
    """One task call: a row of the timeline.

    Attributes
    ----------
    call_id, parent_id : str
        The call, and the call that called it (empty: the run's own body).
    position : int
        Its place in the order of first calls, from 0.
    name, args, result, error : str
        Short, harmless texts; the last two are empty where there is none.
    status : str
        ``"waiting"``, ``"running"``, ``"finished"``, ``"failed"``,
        ``"interrupted"``, ``"dropped"`` or ``"cancelled"``.
    called_at : int
        Microseconds since 1970-01-01 UTC, like the other times.
    started_at, ended_at : int or None
        When its body began and when the call ended.
    attempts : int
        How often its body was begun, over all stretches of the run.
    cached, replayed, diverged : bool
        Whether its outcome came from the cache; from the log, in the present
        stretch; from the log of another call.
    why : str
        In a continued run, why it ran again.
    aside : bool
        It was called from another thread or asyncio task than its parent's body
        itself: its place among its siblings means nothing.
    input_tokens, output_tokens : int
        What the models that it called itself say they read and wrote, over all
        stretches of the run; 0 where none reported.
    """

    call_id: str
    parent_id: str
    position: int
    name: str
    args: str
    status: CallStatus
    called_at: int
    started_at: int | None = None
    ended_at: int | None = None
    attempts: int = 0
    cached: bool = False
    replayed: bool = False
    diverged: bool = False
    why: str = ""
    aside: bool = False
    result: str = ""
    error: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class StreamItem:
    """Something that a body or a task wrote to the stream.

    Attributes
    ----------
    n : int
        Position in the run's stream, from 0.
    at : int
        Microseconds since 1970-01-01 UTC.
    source : str
        Name of the task that wrote it; empty for the body.
    text : str
        A short, harmless text.
    """

    n: int
    at: int
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class QuestionView:
    """A question that waits for a person, as it stands in the log.

    Attributes
    ----------
    interrupt_id : str
        32 hex digits.
    parent_id, source : str
        The call that asks and the name of its task; empty for the body.
    asked_at : int
        Microseconds since 1970-01-01 UTC.
    value : Payload
        What is asked, in full.
    response_schema : dict or None
        JSON Schema of an answer.
    answered : bool
        An answer is recorded and the run has not gone on with it yet.
    by : str
        Who answered.
    """

    interrupt_id: str
    parent_id: str
    source: str
    asked_at: int
    value: Payload
    response_schema: dict[str, Any] | None = None
    answered: bool = False
    by: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run failed: the exception's text and the user's lines of the traceback."""

    text: str
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many calls there are, in all, by status and by where the outcome is from."""

    calls: int = 0
    waiting: int = 0
    running: int = 0
    finished: int = 0
    failed: int = 0
    interrupted: int = 0
    dropped: int = 0
    cancelled: int = 0
    cached: int = 0
    replayed: int = 0
    diverged: int = 0


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as a panel shows it. `RunView()` is one without any record.

    Attributes
    ----------
    thread_id, run_id, workflow, cell : str
        The run, its entrypoint and the cell that it last ran in.
    status : str
        As in the log; ``"running"`` may also mean that its process is gone.
    started_at, resumed_at, updated_at : int
        When the run began, when its present stretch of work began, and its
        newest record: microseconds since 1970-01-01 UTC.
    ended_at : int or None
        When the present stretch ended; None while it runs.
    calls : dict of str to CallView
        By `call_id`, in the order of first calls; not to be changed.
    counts : Counts
        A tally of `calls`.
    stream : tuple of StreamItem
        The newest `STREAM_KEPT` items.
    stream_total : int
        How many items there were in all.
    stream_limit : int or None
        Size in bytes at which the log stopped to store the stream.
    questions : tuple of QuestionView
        What waits for a person, in the order of the calls that ask.
    result : str or None
        Short text of what the run returned.
    error : Failure or None
        Why it failed.
    stopped : str
        Why it was stopped; empty if it was not.
    superseded_by : str
        The run whose input closed this one.
    is_deleted : bool
        The thread was deleted from the store.
    seen : int
        How many records were folded.
    touched : dict of str to int
        For each call the value of `seen` at its last change, oldest change
        first: what changed since an earlier view stands at the end.
    """

    thread_id: str = ""
    run_id: str = ""
    workflow: str = ""
    cell: str = ""
    status: RunStatus = "running"
    started_at: int = 0
    resumed_at: int = 0
    updated_at: int = 0
    ended_at: int | None = None
    calls: dict[str, CallView] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    stream: tuple[StreamItem, ...] = ()
    stream_total: int = 0
    stream_limit: int | None = None
    questions: tuple[QuestionView, ...] = ()
    result: str | None = None
    error: Failure | None = None
    stopped: str = ""
    superseded_by: str = ""
    is_deleted: bool = False
    seen: int = 0
    touched: dict[str, int] = field(default_factory=dict)
