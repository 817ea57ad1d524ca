"""The words of the log: every event a run can write, and the record around it.

A run is the list of its events. The same list is stored, streamed, replayed and
drawn, so this module knows nothing of any of these. Events are msgspec's structs: as
frozen as a dataclass, but made in a tenth of its time, and every call makes some.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

from nbflow._values import Payload  # noqa: TC001 - the rows' types are read from here

__all__ = [
    "KINDS",
    "LIFECYCLE",
    "PAYLOADS",
    "Answered",
    "CacheCleared",
    "CacheSet",
    "CodeSeen",
    "Compacted",
    "Custom",
    "Event",
    "Interrupted",
    "ItemDeleted",
    "ItemPut",
    "ItemTouched",
    "MessageStreamed",
    "NestedSaved",
    "OfNoRun",
    "Record",
    "RunCancelled",
    "RunFailed",
    "RunFinished",
    "RunInterrupted",
    "RunResumed",
    "RunStarted",
    "RunSuperseded",
    "StateUpdated",
    "StepReached",
    "StreamCut",
    "TaskAttempted",
    "TaskCalled",
    "TaskDropped",
    "TaskFailed",
    "TaskFinished",
    "TaskReplayed",
    "TaskRetried",
    "ThreadDeleted",
    "UsageNoted",
    "ValueNoted",
]


class RunStarted(Struct, frozen=True):
    """A run began, by a new input on its thread.

    Attributes
    ----------
    workflow : str
        Name of the entrypoint.
    input : Payload
        What the run was called with.
    code : str
        Fingerprint of the body.
    checkpoint_id : str
        Id of the input's checkpoint.
    parent_checkpoint_id : str or None
        The checkpoint the run starts from.
    previous_run_id : str or None
        The run whose saved value is `previous`.
    step : int
        Step of the input's checkpoint, from -1.
    metadata : dict
        The caller's own, JSON-like.
    cell : str
        Which notebook cell began it, for a person to read.
    source : str
        ``"input"``, ``"fork"`` where it runs the input of another run again, or
        ``"update"`` where it was copied by `update_state`.
    """

    workflow: str
    input: Payload
    code: str
    checkpoint_id: str
    parent_checkpoint_id: str | None = None
    previous_run_id: str | None = None
    step: int = -1
    metadata: dict[str, Any] = field(default_factory=dict)
    cell: str = ""
    source: Literal["input", "fork", "update"] = "input"


class RunResumed(Struct, frozen=True):
    """The same run goes on after an error, a stop, an answer or a lost process."""

    workflow: str
    code: str
    reason: Literal["continue", "answer"] = "continue"
    replay: str = "changed"
    cell: str = ""


class CodeSeen(Struct, frozen=True):
    """The source behind a fingerprint, once for each run that meets it.

    Attributes
    ----------
    code : str
        The fingerprint.
    name : str
        Name of the function.
    source : str
        What was fingerprinted, enough for a later rule to do it anew.
    watched : tuple of str
        Names of the notebook that the code reads and whose values don't count.
    """

    code: str
    name: str
    source: str
    watched: tuple[str, ...] = ()


class TaskCalled(Struct, frozen=True):
    """A body called a task, and no recorded outcome fits: it is run.

    Attributes
    ----------
    call_id : str
        Identity of the call: what it is called by, its name, code, arguments
        and ordinal (32 hex digits).
    parent_id : str
        `call_id` of the task that called it; empty for the run's own body.
    place : str
        Where its parent stands, whatever the parent's code: what `call_id` and
        the calls beside it are built on.
    name : str
        Name of the task.
    code : str
        Fingerprint of its code when called.
    args_key : str
        Fingerprint of its arguments.
    args : str
        A short text of its arguments.
    ordinal : int
        How many calls of the same name, code and arguments stood before it.
    waiting : bool
        Whether it found no free place; `TaskAttempted` then says when it began.
    why : str
        In a continued run, why nothing recorded was used: ``"new"``,
        ``"code"``, ``"arguments"``, ``"failed"``, ``"unfinished"``,
        ``"answered"``, ``"secret"`` or ``"replay"``. In a fork that starts behind
        it, ``"kept"`` or ``"replaced"``: it was not run.
    kind : str
        ``"task"``, ``"node"`` for one of a graph, or ``"workflow"`` for a nested run.
    aside : bool
        Whether it was called from another thread or asyncio task than its
        parent's body itself: then its place among its siblings means nothing.
    """

    call_id: str
    parent_id: str
    place: str
    name: str
    code: str
    args_key: str
    args: str
    ordinal: int = 0
    waiting: bool = False
    why: str = ""
    kind: Literal["task", "node", "workflow"] = "task"
    aside: bool = False


class TaskAttempted(Struct, frozen=True):
    """A call that had to wait begins, or a failed one begins once more."""

    call_id: str
    attempt: int = 1


class TaskRetried(Struct, frozen=True):
    """An attempt failed, and another one follows.

    Attributes
    ----------
    attempt : int
        The attempt that failed, from 1.
    text : str
        ``repr`` of the exception.
    delay_seconds : float
        Seconds until the next attempt.
    """

    call_id: str
    attempt: int
    text: str
    delay_seconds: float


class TaskFinished(Struct, frozen=True):
    """A call returned, or its result came from the cache.

    Attributes
    ----------
    redacted : bool
        Whether the result held a secret, which was not stored: then the call runs
        again when the run is continued.
    usage : dict of str to int or None
        What the models that it called itself, in all its attempts, say they used:
        ``input_tokens``, ``output_tokens`` and ``total_tokens``. None where none
        reported.
    """

    call_id: str
    result: Payload
    cached: bool = False
    redacted: bool = False
    usage: dict[str, int] | None = None


class TaskFailed(Struct, frozen=True):
    """A call raised.

    Attributes
    ----------
    error : Payload
        The exception.
    text : str
        Its ``repr``.
    trace : str
        The traceback's text, the user's frames only.
    usage : dict of str to int or None
        As in `TaskFinished`.
    """

    call_id: str
    error: Payload
    text: str
    trace: str = ""
    usage: dict[str, int] | None = None


class TaskReplayed(Struct, frozen=True):
    """A continued run asked for a call whose outcome is recorded.

    Attributes
    ----------
    call_id : str
        The call whose outcome is used.
    diverged : bool
        Whether it is another call's outcome, taken because the body is not
        deterministic.
    """

    call_id: str
    diverged: bool = False


class TaskDropped(Struct, frozen=True):
    """A call was still queued when its run ended; it did not run."""

    call_id: str


class UsageNoted(Struct, frozen=True):
    """A body ended without an outcome, and models that it called told what they used.

    It asks a person, or was stopped; when it runs again it begins anew.

    Attributes
    ----------
    usage : dict of str to int
        As in `TaskFinished`, of this time.
    """

    call_id: str
    usage: dict[str, int]


class Interrupted(Struct, frozen=True):
    """A call or the body itself asks a person.

    Attributes
    ----------
    interrupt_id : str
        Identity of the question, 32 hex digits.
    parent_id : str
        `call_id` of the task that asks; empty for the run's own body.
    place : str
        As in `TaskCalled`.
    value : Payload
        What is asked.
    value_key : str
        Fingerprint of it.
    ordinal : int
        How many equal questions stood before it in the same parent.
    response_schema : dict or None
        JSON Schema of an answer.
    aside : bool
        As in `TaskCalled`.
    """

    interrupt_id: str
    parent_id: str
    place: str
    value: Payload
    value_key: str
    ordinal: int = 0
    response_schema: dict[str, Any] | None = None
    aside: bool = False


class Answered(Struct, frozen=True):
    """A person answered.

    Attributes
    ----------
    answer_key : str
        Fingerprint of the answer: the same one sent twice is recognised by it.
    by : str
        Who answered, and from where, for a person to read.
    """

    interrupt_id: str
    value: Payload
    answer_key: str
    by: str = ""


class ValueNoted(Struct, frozen=True):
    """A body took a value from outside: the time, a random id or a random number.

    Attributes
    ----------
    note_id : str
        Identity of the value, 32 hex digits, built on what follows: a body that
        runs again gets the value it got before.
    call_id : str
        The task that took it; empty for the run's own body.
    place : str
        As in `TaskCalled`.
    name : str
        What was asked for: ``"now"``, ``"uuid4"`` or ``"random"``.
    lane : str
        Which thread or asyncio task of the body asked; empty for the body's own.
    ordinal : int
        How many values of this name the lane had taken before.
    value : Payload
        What it got.
    """

    note_id: str
    call_id: str
    place: str
    name: str
    lane: str
    ordinal: int
    value: Payload


class MessageStreamed(Struct, frozen=True):
    """A chat message, or a part of one, on its way to whoever reads along.

    Attributes
    ----------
    call_id : str
        The call in whose body it came; empty for the run's own.
    message_id : str
        Parts of one message share it.
    data : Payload
        The message or its part.
    metadata : dict
        What the model says of itself, JSON-like; with a message's first part only.
    """

    call_id: str
    message_id: str
    data: Payload
    metadata: dict[str, Any] = field(default_factory=dict)


class NestedSaved(Struct, frozen=True):
    """A nested run with a history of its own finished, and saved for its next one.

    Attributes
    ----------
    namespace : str
        Names of the bodies around it, the same in every run of the thread.
    place : str
        Identity of its body's place in this run.
    value : Payload
        What the next nested run at this namespace gets as `previous`.
    """

    namespace: str
    place: str
    value: Payload


class Custom(Struct, frozen=True):
    """A body or a task wrote to the stream."""

    call_id: str
    data: Payload


class StepReached(Struct, frozen=True):
    """A graph goes into its next step; its end is its run's.

    Attributes
    ----------
    call_id : str
        The call whose body the graph is; empty for the run's own.
    step : int
        How many steps stand before it.
    value : Payload
        What the caller sees of the state.
    save : Payload or None
        The whole state; None where it is `value`.
    key : str
        Fingerprint of the whole state and `next`.
    next : tuple of str
        The nodes that run in this step.
    checkpoint_id : str
        Id of this step's checkpoint.
    """

    call_id: str
    step: int
    value: Payload
    save: Payload | None
    key: str
    next: tuple[str, ...]
    checkpoint_id: str


class StreamCut(Struct, frozen=True):
    """From here on custom events of this run are shown and no longer stored."""

    limit_bytes: int


class RunFinished(Struct, frozen=True):
    """The body returned.

    Attributes
    ----------
    value : Payload
        What the caller gets.
    save : Payload or None
        What the next run gets as `previous`; None where it is `value`.
    checkpoint_id : str
        Id of the end's checkpoint.
    cached : bool
        Whether the body did not run: its result came from the cache.
    """

    value: Payload
    save: Payload | None
    checkpoint_id: str
    cached: bool = False


class RunFailed(Struct, frozen=True):
    """The body raised.

    Attributes
    ----------
    causes : tuple of str
        Failed calls that are run again when the run is continued: those that
        made it fail, and those whose failure the body never saw.
    """

    error: Payload
    text: str
    trace: str = ""
    causes: tuple[str, ...] = ()


class RunInterrupted(Struct, frozen=True):
    """The run ended with questions pending."""

    interrupt_ids: tuple[str, ...]


class RunCancelled(Struct, frozen=True):
    """The run was asked to stop; it can be continued."""

    reason: str


class RunSuperseded(Struct, frozen=True):
    """A new input arrived on the thread, so this run will not be continued."""

    by_run_id: str


class StateUpdated(Struct, frozen=True):
    """A thread was given values by hand: a run of its own, in one event.

    Attributes
    ----------
    workflow : str
        Name of the entrypoint.
    value : Payload
        What the thread holds from here on, as if a run had returned it.
    save : Payload or None
        What the next run gets as `previous`; None where it is `value`.
    checkpoint_id : str
        Id of the checkpoint it makes.
    parent_checkpoint_id : str or None
        The checkpoint that it follows.
    step : int
        Step of its checkpoint, from 0.
    source : str
        ``"update"``, or ``"fork"`` for a copy.
    metadata : dict
        The caller's own, JSON-like.
    cell : str
        Which notebook cell did it, for a person to read.
    """

    workflow: str
    value: Payload
    save: Payload | None
    checkpoint_id: str
    parent_checkpoint_id: str | None = None
    step: int = 0
    source: Literal["update", "fork"] = "update"
    metadata: dict[str, Any] = field(default_factory=dict)
    cell: str = ""


class ThreadDeleted(Struct, frozen=True):
    """Everything of the thread before this is gone."""


class Compacted(Struct, frozen=True):
    """The log goes on in a new file, without what had been deleted or pruned.

    It belongs to no thread, and is the first row of its generation. Rows of earlier
    generations are what was kept: their `seq` are as they were, with gaps.

    Attributes
    ----------
    upto : int
        The newest `seq` of the file before.
    rows : int
        How many rows were kept.
    checksums : int
        The sum of their checksums.
    dropped : int
        How many rows were not.
    """

    upto: int
    rows: int
    checksums: int
    dropped: int


class OfNoRun(Struct, frozen=True):
    """An event of the store or of the cache that stand in the same file."""


class ItemPut(OfNoRun, frozen=True):
    """An item was put into the store that stands in the same file.

    Such a record belongs to no thread and no run: both its ids are empty. It holds
    all there is to know of the item, so what was put before under its key can go.

    Attributes
    ----------
    namespace : tuple of str
        Where it stands.
    key : str
        Its name there.
    value : Payload
        What was put.
    vectors : Payload or None
        Its vectors, each `dims` four-byte floats, little endian, of length one;
        not encoded any further.
    dims : int
        Length of a vector; 0 where it has none.
    place : int
        Which first put it was, from 1; items are listed in this order.
    created_at : int
        When it was first put, in microseconds since 1970-01-01 UTC; the record's
        own time is that of the last put.
    ttl_seconds : float or None
        How long it is kept after it was put or read.
    expires_at : int or None
        From when on it is gone, in microseconds since 1970-01-01 UTC.
    """

    namespace: tuple[str, ...]
    key: str
    value: Payload
    vectors: Payload | None
    dims: int
    place: int
    created_at: int
    ttl_seconds: float | None = None
    expires_at: int | None = None


class ItemTouched(OfNoRun, frozen=True):
    """An item was read, and its time runs from the start again; see `ItemPut`."""

    namespace: tuple[str, ...]
    key: str
    expires_at: int


class ItemDeleted(OfNoRun, frozen=True):
    """An item was deleted; see `ItemPut`."""

    namespace: tuple[str, ...]
    key: str


class CacheSet(OfNoRun, frozen=True):
    """A value was put into the cache that stands in the same file.

    Such a record belongs to no thread and no run, like `ItemPut`.

    Attributes
    ----------
    namespace : tuple of str
        Where it stands.
    key : str
        Its name there.
    value : Payload
        What is kept.
    expires_at : int or None
        From when on it is gone, in microseconds since 1970-01-01 UTC.
    """

    namespace: tuple[str, ...]
    key: str
    value: Payload
    expires_at: int | None = None


class CacheCleared(OfNoRun, frozen=True):
    """The cache was cleared: all of it, a namespace, or one key of a namespace."""

    namespace: tuple[str, ...] | None = None
    key: str | None = None


Event: TypeAlias = (
    RunStarted
    | RunResumed
    | CodeSeen
    | TaskCalled
    | TaskAttempted
    | TaskRetried
    | TaskFinished
    | TaskFailed
    | TaskReplayed
    | TaskDropped
    | UsageNoted
    | Interrupted
    | Answered
    | ValueNoted
    | Custom
    | MessageStreamed
    | NestedSaved
    | StepReached
    | StreamCut
    | RunFinished
    | RunFailed
    | RunInterrupted
    | RunCancelled
    | RunSuperseded
    | StateUpdated
    | ThreadDeleted
    | ItemPut
    | ItemTouched
    | ItemDeleted
    | CacheSet
    | CacheCleared
    | Compacted
)


class Record(Struct, frozen=True):
    """An event with its place in the log.

    Attributes
    ----------
    thread_id : str
        The thread.
    run_id : str
        The run; empty for events of the thread itself.
    at : int
        When it happened, in microseconds since 1970-01-01 UTC.
    event : Event
        What happened.
    seq : int
        Position in the saver's log, from 1 and without gaps; 0 until it is read
        back from there.
    """

    thread_id: str
    run_id: str
    at: int
    event: Event
    seq: int = 0


KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in Event.__args__}
"""Each event's class by its name, which is its tag in the log."""

PAYLOADS: dict[str, tuple[str, ...]] = {
    name: tuple(f for f, type_ in kind.__annotations__.items() if "Payload" in type_)
    for name, kind in KINDS.items()
}
"""Names of the fields that hold values, at most two for each kind."""

LIFECYCLE: frozenset[str] = frozenset(
    {
        "RunStarted",
        "RunResumed",
        "Interrupted",
        "Answered",
        "RunFinished",
        "RunFailed",
        "RunInterrupted",
        "RunCancelled",
        "RunSuperseded",
        "StepReached",
        "StateUpdated",
        "ThreadDeleted",
    }
)
"""The kinds from which a thread's head is folded."""
