"""The frozen values that users hand in and get back.

LangGraph's names and shapes where a user meets them. Nothing here runs, stores
or shows anything.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import (
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    NamedTuple,
    TypeAlias,
    TypeVar,
)

from msgspec import Struct

from nbflow.errors import LangGraphDeprecatedSinceV11

__all__ = [
    "END",
    "START",
    "UNSET",
    "CachePolicy",
    "Command",
    "Durability",
    "FinalValue",
    "GraphOutput",
    "Interrupt",
    "NodeOutput",
    "OnDivergence",
    "Overwrite",
    "Payload",
    "PregelTask",
    "Replay",
    "RetryPolicy",
    "Send",
    "SpooledPayload",
    "StateSnapshot",
    "StateUpdate",
    "StoredPayload",
    "StreamMode",
    "StreamWriter",
    "TimeoutPolicy",
    "Unset",
]

Durability: TypeAlias = Literal["sync", "async", "exit"]
OnDivergence: TypeAlias = Literal["warn", "error", "rerun"]
Replay: TypeAlias = Literal["changed", "prefix", "all", "none"]
StreamMode: TypeAlias = Literal[
    "values", "updates", "checkpoints", "tasks", "debug", "messages", "custom"
]
StreamWriter: TypeAlias = Callable[[Any], None]
N = TypeVar("N", bound=Hashable)
R = TypeVar("R")
S = TypeVar("S")


class Unset:
    """The type of `UNSET`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


START: Final = "__start__"
"""Stands before a graph's first node."""

END: Final = "__end__"
"""Stands after a graph's last node."""

UNSET: Final = Unset()
"""Stands where None would be a value of its own."""


class Payload(Struct, frozen=True, eq=False):
    """A value inside an event: as bytes, and as the object while it is at hand.

    Two are equal if their bytes are.

    Attributes
    ----------
    data : bytes or None
        What `nbflow.serde.encode` made of it; None where nothing is stored, as in
        a run without a saver.
    live : Any
        The object itself in the process that made it, else `UNSET`. It is for
        streams only: a replay decodes `data` afresh.
    """

    data: bytes | None = None
    live: Any = UNSET

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Payload) and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.data)

    def __repr__(self) -> str:
        return f"Payload(data={self.data!r})"


class StoredPayload(Payload, frozen=True, eq=False, kw_only=True):
    """A large value that stays where it is stored until its bytes are asked for.

    Attributes
    ----------
    load : callable
        Returns the bytes, or raises `StoreDamagedError`.
    """

    load: Callable[[], bytes]

    @property  # type: ignore[misc] # a field there, read anew here
    def data(self) -> bytes:
        """What is stored; read anew each time."""
        return self.load()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class SpooledPayload(StoredPayload, frozen=True, eq=False, kw_only=True):
    """A value on its way into a store, which waits outside of one.

    It can be read whatever becomes of the store; who keeps it keeps what it waits in.
    """


class RetryPolicy(NamedTuple):
    """How often and when a failed task is tried again.

    Attributes
    ----------
    initial_interval : float, default 0.5
        Seconds before the second attempt.
    backoff_factor : float, default 2.0
        Each later wait is longer by this factor.
    max_interval : float, default 128.0
        Longest wait, in seconds.
    max_attempts : int, default 3
        Attempts in all, the first included.
    jitter : bool, default True
        Add up to one second at random to each wait.
    retry_on : type, sequence of types or callable, optional
        Which exceptions are tried again. The default takes network errors and
        leaves programming errors alone.
    """

    initial_interval: float = 0.5
    backoff_factor: float = 2.0
    max_interval: float = 128.0
    max_attempts: int = 3
    jitter: bool = True
    retry_on: (
        type[Exception] | Sequence[type[Exception]] | Callable[[Exception], bool] | None
    ) = None


@dataclass(frozen=True, slots=True)
class TimeoutPolicy:
    """How long an attempt may take.

    Attributes
    ----------
    run_timeout : float or timedelta, optional
        Seconds for the whole attempt, whatever it does.
    idle_timeout : float or timedelta, optional
        Seconds that an attempt may go on without a sign of progress.
    refresh_on : {"auto", "heartbeat"}, default "auto"
        What counts as progress: writing to the stream, calling a task and getting
        its outcome, and ``runtime.heartbeat()``; or only the last.
    """

    run_timeout: float | timedelta | None = None
    idle_timeout: float | timedelta | None = None
    refresh_on: Literal["auto", "heartbeat"] = "auto"

    @classmethod
    def coerce(
        cls, value: float | timedelta | TimeoutPolicy | None
    ) -> TimeoutPolicy | None:
        """Return a policy whose times are positive numbers of seconds.

        Parameters
        ----------
        value : float, timedelta, TimeoutPolicy or None
            A number or a timedelta is a `run_timeout`.

        Returns
        -------
        TimeoutPolicy or None
            None where nothing is bounded.

        Raises
        ------
        TypeError
            A time is neither a number nor a timedelta.
        ValueError
            A time is not positive, or `refresh_on` is unknown.
        """
        policy = value if isinstance(value, TimeoutPolicy) else cls(run_timeout=value)
        if policy.refresh_on not in ("auto", "heartbeat"):
            raise ValueError("refresh_on must be 'auto' or 'heartbeat'")
        run_timeout = _seconds("run_timeout", policy.run_timeout)
        idle_timeout = _seconds("idle_timeout", policy.idle_timeout)
        if run_timeout is None and idle_timeout is None:
            return None
        return cls(run_timeout, idle_timeout, policy.refresh_on)


def _seconds(name: str, value: object) -> float | None:
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(
            f"{name} must be a number of seconds or a timedelta, not {value!r}"
        )
    if not 0 < seconds < math.inf:
        raise ValueError(f"{name} must be greater than 0, not {value!r}")
    return float(seconds)


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How a task's result is kept for other runs.

    Attributes
    ----------
    key_func : callable, optional
        Makes the key from the arguments; by default their fingerprint.
    ttl : int, optional
        Seconds until an entry expires; None keeps it.
    """

    key_func: Callable[..., str | bytes] | None = None
    ttl: int | None = None


@dataclass(frozen=True, slots=True)
class Interrupt:
    """A question that a run asks a person.

    Attributes
    ----------
    value : Any
        What was passed to `interrupt`.
    id : str
        32 hex digits, the same whenever the same question is asked again in
        the same run.
    response_schema : dict or None
        JSON Schema that an answer has to satisfy.
    """

    value: Any
    id: str = ""
    response_schema: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """A call of one node with an argument of its own.

    Attributes
    ----------
    node : str
        Name of the node.
    arg : Any
        What the node receives.
    """

    node: str
    arg: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[N]):
    """What to do next with a thread.

    Attributes
    ----------
    graph : str or None
        Which graph it is for; None is the one it is given to.
    update : Any
        Values to write.
    resume : Any
        The answer to the pending interrupt, or a map of interrupt ids to
        answers. None is an answer too; leave it out to answer nothing.
    goto : str, Send or sequence of these
        Nodes to run next.
    """

    graph: str | None = None
    update: Any = None
    resume: Any = UNSET
    goto: Send | Sequence[Send | N] | N | tuple[()] = ()

    PARENT: ClassVar[Literal["__parent__"]] = "__parent__"

    def __repr__(self) -> str:
        given = {"graph": self.graph, "update": self.update, "goto": self.goto}
        shown = {name: value for name, value in given.items() if value}
        if self.resume is not UNSET:
            shown["resume"] = self.resume
        return f"Command({', '.join(f'{k}={v!r}' for k, v in shown.items())})"


@dataclass(frozen=True, slots=True)
class Overwrite:
    """A write that takes the place of what a reduced key of a state holds.

    Attributes
    ----------
    value : Any
        What the key holds then.
    """

    value: Any


@dataclass(frozen=True, slots=True)
class NodeOutput:
    """What a node of a graph leaves: its update, and where it goes on.

    Attributes
    ----------
    update : Any
        What the node wrote.
    goto : tuple of str or Send
        What it chose, by a branch or a command; static edges are not in it.
    """

    update: Any
    goto: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalValue(Generic[R, S]):
    """What an entrypoint returns to give its caller one value and save another.

    Users know it as ``entrypoint.final``.

    Attributes
    ----------
    value : R
        What the caller gets.
    save : S
        What the next run of the thread gets as `previous`.
    """

    value: R
    save: S


@dataclass(frozen=True)
class GraphOutput(Generic[R]):
    """What `invoke` returns with ``version="v2"``.

    Attributes
    ----------
    value : Any
        What the body returned; an empty dict where the run waits for an answer.
    interrupts : tuple of Interrupt
        What is asked.
    """

    value: R
    interrupts: tuple[Interrupt, ...] = ()

    def __getitem__(self, key: str) -> Any:
        """Return a part of the value; deprecated in favour of `value`."""
        warnings.warn(
            "Accessing GraphOutput via `result[key]` is deprecated. Use "
            "`result.value` to access the output value directly, or "
            "`result.interrupts` for interrupts.",
            LangGraphDeprecatedSinceV11,
            stacklevel=2,
        )
        if key == "__interrupt__":
            return self.interrupts
        if isinstance(self.value, dict):
            return self.value[key]
        try:
            return getattr(self.value, key)
        except AttributeError as error:
            raise KeyError(key) from error

    def __contains__(self, key: object) -> bool:
        """Return whether the value has such a part; deprecated."""
        warnings.warn(
            "Accessing GraphOutput via `key in result` is deprecated. Use "
            "`result.value` to access the output value directly, or "
            "`result.interrupts` for interrupts.",
            LangGraphDeprecatedSinceV11,
            stacklevel=2,
        )
        if key == "__interrupt__":
            return bool(self.interrupts)
        if isinstance(self.value, dict):
            return key in self.value
        return isinstance(key, str) and hasattr(self.value, key)


class PregelTask(NamedTuple):
    """One call of a run, as a state lists it.

    The first eight fields are LangGraph's. The others have defaults and say how
    the call went.

    Attributes
    ----------
    id : str
        32 hex digits.
    name : str
        Name of the task or workflow.
    path : tuple
        Where in the run it stands.
    error : str or None
        ``repr`` of the exception.
    interrupts : tuple of Interrupt
        What it asks.
    state : Any
        State of a nested run.
    result : Any
        What it returned, once finished.
    status : str
        ``"waiting"``, ``"running"``, ``"finished"``, ``"failed"``,
        ``"interrupted"``, ``"dropped"`` or ``"cancelled"``.
    arguments : str
        A short text of its arguments.
    attempts : int
        How often its body was begun.
    started, finished : str or None
        ISO 8601, UTC.
    cached, replayed : bool
        Whether the result was taken from the cache or from the log.
    code : str
        Fingerprint of the code that ran.
    """

    id: str
    name: str
    path: tuple[Any, ...]
    error: str | None = None
    interrupts: tuple[Interrupt, ...] = ()
    state: Any = None
    result: Any = None
    status: str = ""
    arguments: str = ""
    attempts: int = 0
    started: str | None = None
    finished: str | None = None
    cached: bool = False
    replayed: bool = False
    code: str = ""


class StateSnapshot(NamedTuple):
    """A thread at one checkpoint.

    Attributes
    ----------
    values : Any
        What the last finished run returned.
    next : tuple of str
        What runs next; empty when the run is finished.
    config : dict
        Addresses this checkpoint.
    metadata : dict or None
        ``source``, ``step``, ``parents``, ``run_id`` and the caller's own keys.
    created_at : str or None
        ISO 8601, UTC.
    parent_config : dict or None
        Addresses the checkpoint before.
    tasks : tuple of PregelTask
        The workflow itself, then each task call.
    interrupts : tuple of Interrupt
        What waits for an answer.
    """

    values: Any
    next: tuple[str, ...]
    config: dict[str, Any]
    metadata: dict[str, Any] | None
    created_at: str | None
    parent_config: dict[str, Any] | None
    tasks: tuple[PregelTask, ...]
    interrupts: tuple[Interrupt, ...]


class StateUpdate(NamedTuple):
    """One change of a thread, for `bulk_update_state`.

    Attributes
    ----------
    values : Any
        What the thread holds from here on.
    as_node : str or None
        As which node it is written: the entrypoint's name, or one of
        ``"__input__"``, ``"__copy__"`` and ``"__end__"``.
    task_id : str or None
        Kept for programs that pass it; an update is a run of its own here.
    """

    values: Any
    as_node: str | None = None
    task_id: str | None = None
