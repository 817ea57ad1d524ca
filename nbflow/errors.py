"""Everything nbflow raises, on the ground floor: nothing of nbflow is imported here.

::

    BaseException
    └── GraphBubbleUp                 signals that user code must not catch
        ├── GraphInterrupt            a person is asked
        │   └── NodeInterrupt
        ├── RunStopped              the run was asked to stop
        └── ParentCommand
    Exception
    ├── EmptyChannelError             a channel of a graph holds nothing yet
    ├── GraphRecursionError           a graph ran too many steps (a RecursionError)
    └── NbflowError
        ├── WorkflowPaused            a cell ends here while a person is asked
        ├── WorkflowStopped           the run was stopped, and can be continued
        ├── GraphDrained              the run ended early because it was asked to
        ├── NodeTimeoutError          an attempt took longer than it may
        ├── NodeCancelledError        a body raised CancelledError itself
        ├── EmptyInputError           nothing to run and nothing to continue
        ├── UnknownInterruptError     an answer that fits no question
        ├── InvalidAnswerError        an answer that its question's schema refuses
        ├── InvalidBundleError        (also a ValueError) not what nbflow exports
        ├── NonDeterministicReplayError
        ├── ThreadBusyError
        ├── ThreadNotFoundError
        ├── CheckpointNotFoundError
        ├── InvalidUpdateError
        ├── TaskNotFound
        ├── ReplayedTaskError         a recorded failure whose type can't be rebuilt
        ├── StoreError
        │   ├── StoreHeldError        another process holds the database
        │   ├── StoreUnavailableError the folder or the file can't be used
        │   ├── StoreDamagedError     the file can be read in part, or not at all
        │   └── StoreClosedError
        ├── UnstorableValueError      (also a TypeError)
        │   └── SecretNotStoredError  a secret where it would be missed
        ├── StoredValueError          stored bytes that give no value
        │   ├── UnreadableValueError  (also a ValueError)
        │   ├── RedactedValueError    part of what a body needs was left out
        │   └── UnregisteredTypeError (also a TypeError)
        │       └── PickleNotAllowedError
        └── UsageError                a magic's or a command's arguments
    Warning
    ├── NbflowWarning
    │   ├── AbandonedTaskWarning      a thread came back after its timeout
    │   ├── MendedStoreWarning    a damaged file was written anew, nothing is lost
    │   ├── SwallowedInterruptWarning
    │   └── ReplayWarning
    └── LangGraphDeprecationWarning   (a DeprecationWarning)
        ├── LangGraphDeprecatedSinceV05
        ├── LangGraphDeprecatedSinceV10
        └── LangGraphDeprecatedSinceV11
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AbandonedTaskWarning",
    "CheckpointNotFoundError",
    "EmptyChannelError",
    "EmptyInputError",
    "ErrorCode",
    "GraphBubbleUp",
    "GraphDrained",
    "GraphInterrupt",
    "GraphRecursionError",
    "InvalidAnswerError",
    "InvalidBundleError",
    "InvalidUpdateError",
    "LangGraphDeprecatedSinceV05",
    "LangGraphDeprecatedSinceV10",
    "LangGraphDeprecatedSinceV11",
    "LangGraphDeprecationWarning",
    "MendedStoreWarning",
    "NbflowError",
    "NbflowWarning",
    "NodeCancelledError",
    "NodeError",
    "NodeInterrupt",
    "NodeTimeoutError",
    "NonDeterministicReplayError",
    "ParentCommand",
    "PickleNotAllowedError",
    "RedactedValueError",
    "ReplayWarning",
    "ReplayedTaskError",
    "RunStopped",
    "SecretNotStoredError",
    "StoreClosedError",
    "StoreDamagedError",
    "StoreError",
    "StoreHeldError",
    "StoreUnavailableError",
    "StoredValueError",
    "SwallowedInterruptWarning",
    "TaskNotFound",
    "ThreadBusyError",
    "ThreadNotFoundError",
    "UnknownInterruptError",
    "UnreadableValueError",
    "UnregisteredTypeError",
    "UnstorableValueError",
    "UsageError",
    "WorkflowPaused",
    "WorkflowStopped",
    "is_invalid_resume",
]


class ErrorCode(Enum):
    """What a graph's error is about, under the names that programs may look for."""

    GRAPH_RECURSION_LIMIT = "GRAPH_RECURSION_LIMIT"
    INVALID_CONCURRENT_GRAPH_UPDATE = "INVALID_CONCURRENT_GRAPH_UPDATE"
    INVALID_GRAPH_NODE_RETURN_VALUE = "INVALID_GRAPH_NODE_RETURN_VALUE"
    MULTIPLE_SUBGRAPHS = "MULTIPLE_SUBGRAPHS"
    INVALID_CHAT_HISTORY = "INVALID_CHAT_HISTORY"


class EmptyChannelError(Exception):
    """A channel of a graph was read before anything was written to it."""


class GraphRecursionError(RecursionError):
    """A graph did not come to an end within the steps it may take."""


@dataclass(frozen=True, slots=True)
class NodeError:
    """What an error handler of a graph is told of a failure.

    Attributes
    ----------
    node : str
        Name of the node that failed.
    error : BaseException
        What it raised, after its last attempt.
    """

    node: str
    error: BaseException


class GraphBubbleUp(BaseException):
    """A signal on its way up through user code; not an error.

    It derives from ``BaseException`` so that ``except Exception`` in a body
    can't swallow it.
    """


class GraphInterrupt(GraphBubbleUp):
    """Raised by `interrupt` while its question has no answer.

    Attributes
    ----------
    interrupts : tuple of Interrupt
        The questions that are now pending.
    """

    def __init__(self, interrupts: Sequence[Any] = ()) -> None:
        self.interrupts: tuple[Any, ...] = tuple(interrupts)
        super().__init__(self.interrupts)


class NodeInterrupt(GraphInterrupt):
    """The older name of a raised interrupt, kept for programs that catch it."""


class RunStopped(GraphBubbleUp):
    """Raised in a body at its next call once its run was asked to stop."""

    def __init__(self, reason: str = "cancelled") -> None:
        self.reason = reason
        super().__init__(reason)


class ParentCommand(GraphBubbleUp):
    """A command for the graph that called this one.

    Attributes
    ----------
    command : Command
        What it is to do.
    """

    def __init__(self, command: Any) -> None:
        self.command = command
        super().__init__(f"a command for the graph around this one: {command!r}")


class NbflowError(Exception):
    """The root of nbflow's own errors.

    In a notebook cell it prints as at most three lines: what is wrong, and
    what to do next.
    """

    def _render_traceback_(self) -> list[str]:
        """Return the lines IPython prints instead of a traceback."""
        head, *rest = str(self).splitlines() or [""]
        return [f"{type(self).__name__}: {head}", *rest[:2]]


class UsageError(NbflowError, ValueError):
    """A command was given arguments that it does not understand."""


class WorkflowPaused(NbflowError):  # noqa: N818 - a state that a cell reports
    """A cell ends here: its workflow waits for a person.

    Attributes
    ----------
    thread_id : str
        The thread that waits.
    interrupts : tuple of Interrupt
        What is asked.
    """

    def __init__(
        self, thread_id: str, interrupts: Sequence[Any] = (), *, hint: str = ""
    ) -> None:
        self.thread_id = thread_id
        self.interrupts: tuple[Any, ...] = tuple(interrupts)
        self.hint = hint
        count = len(self.interrupts)
        what = "1 question" if count == 1 else f"{count} questions"
        text = f"thread {thread_id!r} waits for an answer ({what})."
        super().__init__(f"{text}\n{hint}" if hint else text)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (
            type(self),
            (self.thread_id, self.interrupts),
            {"hint": self.hint},
        )


class WorkflowStopped(NbflowError):  # noqa: N818 - a state that a cell reports
    """The run was asked to stop; nothing finished is lost.

    Attributes
    ----------
    thread_id : str
        The thread; empty without a saver.
    reason : str
        Who or what stopped it.
    """

    def __init__(self, thread_id: str, reason: str, *, hint: str = "") -> None:
        self.thread_id = thread_id
        self.reason = reason
        self.hint = hint
        where = f"thread {thread_id!r}" if thread_id else "the run"
        also = "Continue it with None as input." if thread_id else "Run it again."
        super().__init__(f"{where} was stopped: {reason}.\n{hint or also}")

    def __reduce__(self) -> tuple[Any, ...]:
        args = (self.thread_id, self.reason)
        return _rebuild, (type(self), args, {"hint": self.hint})


class GraphDrained(NbflowError):  # noqa: N818 - LangGraph's name
    """The run ended early because `RunControl.request_drain` asked it to.

    What was running has finished and is recorded; nothing else has begun.

    Attributes
    ----------
    reason : str
        What was passed to `request_drain`.
    """

    def __init__(self, reason: str = "shutdown") -> None:
        self.reason = reason
        super().__init__(
            f"Graph drained: {reason}\n"
            "Nothing finished is lost. Continue it with None as input."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), (self.reason,), {})


class NodeTimeoutError(NbflowError):
    """An attempt of a task or a body took longer than its policy allows.

    It is not a ``TimeoutError``, which is an ``OSError``: so the default
    `RetryPolicy` makes another attempt.

    Attributes
    ----------
    node : str
        Name of the task or workflow.
    elapsed : float
        Seconds since the attempt began.
    kind : {"idle", "run"}
        Which of its timeouts it exceeded.
    timeout : float
        That timeout, in seconds.
    run_timeout, idle_timeout : float or None
        The policy, in seconds.
    """

    def __init__(
        self,
        node: str,
        elapsed: float,
        *,
        kind: Literal["idle", "run"],
        idle_timeout: float | None = None,
        run_timeout: float | None = None,
    ) -> None:
        timeout = idle_timeout if kind == "idle" else run_timeout
        if kind not in ("idle", "run"):
            raise ValueError("kind must be 'idle' or 'run'")
        if timeout is None:
            raise ValueError(f"{kind}_timeout is required when kind={kind!r}")
        self.node = node
        self.elapsed = elapsed
        self.kind = kind
        self.timeout = timeout
        self.run_timeout = run_timeout
        self.idle_timeout = idle_timeout
        without = " without making progress" if kind == "idle" else ""
        super().__init__(
            f"Node {node!r} exceeded its {kind} timeout of {timeout:.3f}s{without} "
            f"(elapsed: {elapsed:.3f}s)."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        keywords = {
            "kind": self.kind,
            "idle_timeout": self.idle_timeout,
            "run_timeout": self.run_timeout,
        }
        return _rebuild, (type(self), (self.node, self.elapsed), keywords)


class NodeCancelledError(NbflowError):
    """A task or a body raised ``CancelledError`` though nobody had cancelled it.

    Attributes
    ----------
    node : str
        Name of the task or workflow.
    """

    def __init__(self, node: str, message: str | None = None) -> None:
        self.node = node
        super().__init__(message or f"Node {node!r} raised asyncio.CancelledError")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), (self.node, str(self)), {})


class EmptyInputError(NbflowError):
    """There is no input, and nothing on the thread to continue."""


UnknownReason = Literal["not_pending", "empty_map", "ambiguous", "expired", "changed"]


class UnknownInterruptError(NbflowError, ValueError):
    """An answer does not belong to a pending question; nothing was run or saved.

    Attributes
    ----------
    reason : str
        ``"not_pending"``, ``"empty_map"``, ``"ambiguous"``, ...
    interrupt_ids : tuple of str
        The ids that were answered.
    pending_ids : tuple of str
        The ids that wait for an answer.
    """

    def __init__(
        self,
        reason: UnknownReason,
        interrupt_ids: Sequence[str] = (),
        pending_ids: Sequence[str] = (),
    ) -> None:
        self.reason = reason
        self.interrupt_ids: tuple[str, ...] = tuple(interrupt_ids)
        self.pending_ids: tuple[str, ...] = tuple(pending_ids)
        super().__init__(self._message())

    def _message(self) -> str:
        pending = ", ".join(map(repr, self.pending_ids)) or "none"
        given = ", ".join(map(repr, self.interrupt_ids))
        match self.reason:
            case "ambiguous":
                count = len(self.pending_ids)
                return (
                    f"{count} interrupts are pending, so one answer does not say which "
                    f"it belongs to. Pass a map of ids to answers. Pending: {pending}."
                )
            case "empty_map":
                return f"The map of answers is empty. Pending interrupts: {pending}."
            case _:
                return f"No pending interrupt has the id {given}. Pending: {pending}."

    def __reduce__(self) -> tuple[Any, ...]:
        args = (self.reason, self.interrupt_ids, self.pending_ids)
        return _rebuild, (type(self), args, {})


class InvalidAnswerError(NbflowError, ValueError):
    """An answer was refused by the schema of its question; nothing was saved.

    Attributes
    ----------
    interrupt_id : str
        The question; it is still pending.
    problems : tuple of (str, str)
        Path of the field (``""`` for the whole answer) and what is wrong there.
    """

    def __init__(self, interrupt_id: str, problems: Sequence[tuple[str, str]]) -> None:
        self.interrupt_id = interrupt_id
        self.problems: tuple[tuple[str, str], ...] = tuple(
            (str(path), str(text)) for path, text in problems
        )
        lines = "; ".join(f"{path or 'answer'}: {text}" for path, text in self.problems)
        super().__init__(
            f"The answer to {interrupt_id!r} does not fit its question. {lines}\n"
            "Nothing was saved; correct the answer and send it again."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), (self.interrupt_id, self.problems), {})


def is_invalid_resume(error: BaseException) -> bool:
    """Return whether an answer was refused by its question's `response_schema`."""
    return isinstance(error, InvalidAnswerError)


class InvalidBundleError(NbflowError, ValueError):
    """A file is not a bundle that can be imported; nothing was.

    Attributes
    ----------
    why : str
        What is wrong with it.
    advice : str
        What can be done.
    """

    def __init__(
        self, why: str, advice: str = "Export the thread anew: nbflow.export_thread."
    ) -> None:
        self.why = why
        self.advice = advice
        super().__init__(
            f"The bundle can't be imported: {why}.\nNothing was imported. {advice}"
        )

    @classmethod
    def too_large(cls, what: str, size: int, limit: int) -> InvalidBundleError:
        """Return the error of a bundle that holds more bytes than may be read."""
        return cls(
            f"{what} {size:,} bytes, and {limit:,} is the most",
            "If you trust its author, allow more: nbflow.import_thread(path, "
            "limit_bytes=...).",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), (self.why, self.advice), {})


class NonDeterministicReplayError(NbflowError):
    """A body asked for another call than the one it had asked for before."""


class ThreadBusyError(NbflowError):
    """Another run holds the thread.

    Attributes
    ----------
    thread_id : str
        The thread that is busy.
    run_id : str
        The run that holds it.
    """

    def __init__(self, thread_id: str, run_id: str, holder: str) -> None:
        self.thread_id = thread_id
        self.run_id = run_id
        self.holder = holder
        super().__init__(
            f"Thread {thread_id!r} is held by {holder} (run {run_id!r}).\n"
            "Wait for it, stop it with '%workflow cancel', use another thread, or go "
            "on with --force where only a stopped task is left."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), (self.thread_id, self.run_id, self.holder), {})


class ThreadNotFoundError(NbflowError, LookupError):
    """Nothing is stored for a thread.

    Attributes
    ----------
    thread_id : str
        The thread that was asked for.
    known : tuple of str
        Threads that are stored: of many, the newest.
    """

    def __init__(self, thread_id: str, *, known: Sequence[str] = ()) -> None:
        self.thread_id = thread_id
        self.known: tuple[str, ...] = tuple(known)
        shown = ", ".join(map(repr, self.known[:8]))
        nearby = f" Known threads: {shown}." if shown else " The store holds no thread."
        super().__init__(
            f"Nothing is stored for thread {thread_id!r}.{nearby}\n"
            "Start it once with an input before continuing it."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), (self.thread_id,), {"known": self.known})


class CheckpointNotFoundError(NbflowError, LookupError):
    """A thread has no checkpoint of that id.

    Attributes
    ----------
    thread_id : str
        The thread.
    checkpoint_id : str
        The checkpoint that was asked for.
    """

    def __init__(self, thread_id: str, checkpoint_id: str) -> None:
        self.thread_id = thread_id
        self.checkpoint_id = checkpoint_id
        super().__init__(
            f"Thread {thread_id!r} has no checkpoint {checkpoint_id!r}.\n"
            "Take one from get_state_history(config), or leave checkpoint_id out."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), (self.thread_id, self.checkpoint_id), {})


class InvalidUpdateError(NbflowError):
    """An update names a place that does not exist, or two updates collide."""


class TaskNotFound(NbflowError):  # noqa: N818 - LangGraph's name
    """A run has no call of that id."""


class ReplayedTaskError(NbflowError):
    """A recorded failure, replayed; its own type can't be rebuilt here.

    Attributes
    ----------
    type_name : str
        Name of the exception's type when it was recorded.
    text : str
        Its message.
    """

    def __init__(self, type_name: str, text: str) -> None:
        self.type_name = type_name
        self.text = text
        super().__init__(f"{type_name}: {text}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), (self.type_name, self.text), {})


class StoreError(NbflowError):
    """The store could not do what was asked."""


class StoreHeldError(StoreError):
    """Another process holds the database file.

    Attributes
    ----------
    path : str
        The database file.
    pid : int or None
        Process id of the holder, where known.
    """

    def __init__(self, path: str, pid: int | None = None, holder: str = "") -> None:
        self.path = path
        self.pid = pid
        self.holder = holder
        who = f"process {pid}" if pid is not None else "another process"
        also = f" ({holder})" if holder else ""
        super().__init__(
            f"The store {path!r} is held by {who}{also}.\n"
            "Shut that kernel down (Kernel > Shut Down, or the Running panel), or use "
            "another store: %workflow store PATH.\nTo look at it meanwhile: %workflow "
            "snapshot PATH there, and nbflow.sql(QUERY, store=PATH) here."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), (self.path, self.pid, self.holder), {})


class StoreUnavailableError(StoreError, OSError):
    """The store's folder or file can't be created, read or written."""


class StoreDamagedError(StoreError):
    """The store's file is not what was written."""


class StoreClosedError(StoreError):
    """The saver was closed, or its writer has failed."""


class UnstorableValueError(NbflowError, TypeError):
    """A value can't be stored; nothing of it was written.

    Attributes
    ----------
    path : str
        Where the value stands, in Python's syntax: ``result['a'][3]``.
    type_name : str
        Its type.
    task : str
        The task that made it, where known.
    """

    def __init__(
        self, path: str, type_name: str, *, why: str = "", task: str = ""
    ) -> None:
        self.path = path
        self.type_name = type_name
        self.why = why
        self.task = task
        of = f" of task {task!r}" if task else ""
        reason = f": {why}" if why else ""
        super().__init__(
            f"{path}{of} is a {type_name}, which can't be stored{reason}.\n"
            "Return plain data, a dataclass, a pydantic model, an array or a frame, or "
            "register a codec with nbflow.serde.register."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        args = (self.path, self.type_name)
        return _rebuild, (type(self), args, {"why": self.why, "task": self.task})


class SecretNotStoredError(UnstorableValueError):
    """A secret stands where a continued run, or the next one, would miss it.

    Secrets are never stored: what is kept of a value has a mark in their place.
    """

    def __init__(
        self, path: str, type_name: str = "", *, why: str = "", task: str = ""
    ) -> None:
        self.path = path
        self.type_name = type_name
        self.why = why
        self.task = task
        of = f" of {task!r}" if task else ""
        NbflowError.__init__(
            self,
            f"{path}{of} is a secret, and secrets are never stored: it would be "
            f"missing {why or 'later'}.\n"
            "Hand secrets in by context=, which is not stored, or read them in the "
            "task that needs them; return entrypoint.final(value=..., save=...) to "
            "save a value without them.",
        )


class StoredValueError(NbflowError):
    """No value can be made of stored bytes; no other error comes of any bytes."""


class UnreadableValueError(StoredValueError, ValueError):
    """Stored bytes are not a value that nbflow wrote."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"These bytes are not a stored value: {why}.")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), (self.why,), {})


class RedactedValueError(StoredValueError):
    """Part of a stored value was left out, and a body would have got a mark for it.

    Attributes
    ----------
    paths : tuple of str
        What was left out, in Python's syntax: ``input['token']``.
    task : str
        The task or workflow whose value it is, where known.
    """

    def __init__(self, paths: Sequence[str], *, task: str = "", hint: str = "") -> None:
        self.paths: tuple[str, ...] = tuple(paths)
        self.task = task
        self.hint = hint
        of = f" of {task!r}" if task else ""
        more = len(self.paths) - 3
        shown = ", ".join(self.paths[:3]) + (f" and {more} more" if more > 0 else "")
        super().__init__(
            f"{shown}{of} was left out when the thread was exported, and a body that "
            f"needs it can't run here.\n{hint}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        keywords = {"task": self.task, "hint": self.hint}
        return _rebuild, (type(self), (self.paths,), keywords)


class UnregisteredTypeError(StoredValueError, TypeError):
    """A stored value is of a class that this kernel does not know.

    Attributes
    ----------
    type_name : str
        The class, as ``module:qualname``.
    """

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name
        name = type_name.rpartition(":")[2].rpartition(".")[2]
        hint = (
            "A function had defined it: define it at the top of a cell or module, and "
            f"add nbflow.serde.register({name}, tag={type_name!r})."
            if "<locals>" in type_name
            else "Run the cell or import the module that defines it, or add "
            f"nbflow.serde.register({name})."
        )
        super().__init__(
            f"A stored value is a {type_name!r}, which is not known in this kernel.\n"
            f"{hint}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), (self.type_name,), {})


class PickleNotAllowedError(UnregisteredTypeError):
    """A stored value is a pickle, and whoever opened the store did not allow them.

    Attributes
    ----------
    type_name : str
        The class, as the store names it.
    task : str
        The task or workflow that made it, where known.
    location : str
        The store, where known.
    """

    def __init__(self, type_name: str, *, task: str = "", location: str = "") -> None:
        self.type_name = type_name
        self.task = task
        self.location = location
        of = f" of {task!r}" if task else ""
        path = repr(location) if location else "path"
        NbflowError.__init__(
            self,
            f"A stored value{of} is a pickled {type_name!r}. Unpickling runs whatever "
            "the file says, so nbflow does it only where you ask for it.\n"
            f"If you trust all of the store, open it with "
            f"DuckDBSaver({path}, allow_pickle=True).",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        kwargs = {"task": self.task, "location": self.location}
        return _rebuild, (type(self), (self.type_name,), kwargs)


class NbflowWarning(UserWarning):
    """The root of nbflow's own warnings."""


class AbandonedTaskWarning(NbflowWarning):
    """A synchronous body came back after its timeout; what it returned is discarded."""


class SwallowedInterruptWarning(NbflowWarning):
    """A body caught the signal of an interrupt and went on."""


class MendedStoreWarning(NbflowWarning):
    """A store's file was damaged and was written anew; no row of it is lost."""


class ReplayWarning(NbflowWarning):
    """A replayed body did something else than before."""


class LangGraphDeprecationWarning(DeprecationWarning):
    """A spelling that LangGraph has given up, and that works here too.

    Attributes
    ----------
    message : str
        What to write in its place.
    since, expected_removal : tuple of int
        LangGraph's versions.
    """

    since: tuple[int, int] = (0, 0)
    expected_removal: tuple[int, int] = (2, 0)

    def __init__(self, message: str) -> None:
        self.message: str = message.rstrip(".")
        super().__init__(self.message)

    def __str__(self) -> str:
        since, removal = self.since, self.expected_removal
        return (
            f"{self.message}. Deprecated in LangGraph V{since[0]}.{since[1]} to be "
            f"removed in V{removal[0]}.{removal[1]}."
        )


class LangGraphDeprecatedSinceV05(LangGraphDeprecationWarning):
    """Given up in LangGraph 0.5."""

    since: tuple[int, int] = (0, 5)


class LangGraphDeprecatedSinceV10(LangGraphDeprecationWarning):
    """Given up in LangGraph 1.0."""

    since: tuple[int, int] = (1, 0)


class LangGraphDeprecatedSinceV11(LangGraphDeprecationWarning):
    """Given up in LangGraph 1.1."""

    since: tuple[int, int] = (1, 1)
    expected_removal: tuple[int, int] = (3, 0)


def _rebuild(
    cls: type[NbflowError], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> NbflowError:
    # Errors cross threads and processes: each is pickled by what it was made from.
    return cls(*args, **kwargs)
