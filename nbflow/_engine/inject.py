"""What a run hands into a body beside its arguments."""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar, cast

from nbflow._engine import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from nbflow._engine.context import RunContext
    from nbflow._engine.control import RunControl
    from nbflow._engine.spec import Spec
    from nbflow._values import StreamWriter
    from nbflow.store.base import BaseStore

__all__ = [
    "ExecutionInfo",
    "Runtime",
    "as_context",
    "fill",
    "injected",
    "runtime_of",
    "writer_of",
]

ContextT = TypeVar("ContextT")


@dataclass(frozen=True, slots=True)
class ExecutionInfo:
    """Where in a run a body is.

    Attributes
    ----------
    checkpoint_id : str
        The checkpoint at the run's input.
    checkpoint_ns : str
        The body's place: ``name:id`` of each level, joined by ``|``.
    task_id : str
        Identity of the task call; empty in the entrypoint's body.
    thread_id, run_id : str or None
        The run; it has no thread without a saver.
    node_attempt : int
        Which attempt this is, from 1.
    node_first_attempt_time : float or None
        When the first attempt began, in seconds since 1970-01-01 UTC.
    """

    checkpoint_id: str
    checkpoint_ns: str
    task_id: str
    thread_id: str | None = None
    run_id: str | None = None
    node_attempt: int = 1
    node_first_attempt_time: float | None = None

    def patch(self, **overrides: Any) -> ExecutionInfo:
        """Return it with some fields replaced."""
        return replace(self, **overrides)


def _write_nowhere(_chunk: Any, /) -> None:
    pass


def _beat_nowhere() -> None:
    pass


class _Overrides(TypedDict, Generic[ContextT], total=False):
    context: ContextT
    store: BaseStore | None
    stream_writer: StreamWriter
    heartbeat: Callable[[], None]
    previous: Any
    execution_info: ExecutionInfo | None
    control: RunControl | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime(Generic[ContextT]):
    """Everything a body can ask its run for.

    Attributes
    ----------
    context : Any
        What the caller passed as `context`.
    store : BaseStore or None
        The entrypoint's store.
    stream_writer : callable
        Writes to the stream mode ``"custom"``.
    heartbeat : callable
        Tells an idle timeout that work goes on.
    previous : Any
        What the thread's last run saved.
    execution_info : ExecutionInfo or None
        Where in the run the body is.
    control : RunControl or None
        What the caller passed as `control`.
    """

    context: ContextT = cast("Any", None)  # noqa: RUF009 - no call: None, in LangGraph's type
    store: BaseStore | None = None
    stream_writer: StreamWriter = _write_nowhere
    heartbeat: Callable[[], None] = _beat_nowhere
    previous: Any = None
    execution_info: ExecutionInfo | None = None
    control: RunControl | None = None

    def merge(self, other: Runtime[ContextT]) -> Runtime[ContextT]:
        """Return this runtime with everything that another one has."""
        writer, beat = other.stream_writer, other.heartbeat
        return Runtime(
            context=other.context or self.context,
            store=other.store or self.store,
            stream_writer=self.stream_writer if writer is _write_nowhere else writer,
            heartbeat=self.heartbeat if beat is _beat_nowhere else beat,
            previous=self.previous if other.previous is None else other.previous,
            execution_info=other.execution_info or self.execution_info,
            control=other.control or self.control,
        )

    def override(self, **overrides: Unpack[_Overrides[ContextT]]) -> Runtime[ContextT]:
        """Return this runtime with some fields replaced."""
        return replace(self, **overrides)

    def patch_execution_info(self, **overrides: Any) -> Runtime[ContextT]:
        """Return this runtime with some fields of its `execution_info` replaced.

        Raises
        ------
        RuntimeError
            It has none: only a running body has.
        """
        if self.execution_info is None:
            raise RuntimeError("Cannot patch execution_info before it has been set")
        return replace(self, execution_info=self.execution_info.patch(**overrides))

    @property
    def drain_requested(self) -> bool:
        """Whether the run was asked to end early: finish what matters, and return."""
        return self.control is not None and self.control.drain_requested

    @property
    def drain_reason(self) -> str | None:
        """What it was asked with, or None."""
        return None if self.control is None else self.control.drain_reason


def as_context(schema: type[Any] | None, given: Any) -> Any:
    """Return a caller's context, as its schema where that can be made of a dict.

    Raises
    ------
    TypeError, ValueError
        The schema refuses it.
    """
    if not isinstance(given, dict) or not isinstance(schema, type):
        return given
    if is_dataclass(schema) or hasattr(schema, "model_validate"):
        return schema(**given)
    return given


def injected(
    spec: Spec, args: tuple[Any, ...], kwargs: dict[str, Any], context: RunContext
) -> dict[str, Any]:
    """Return the keyword arguments of a body."""
    missing = spec.missing(args, kwargs) if spec.injected else ()
    if not missing:
        return kwargs
    return {**kwargs, **fill(missing, context)}


def fill(names: Sequence[str], context: RunContext) -> dict[str, Any]:
    """Return what the run gives for each of these parameters."""
    return {name: _value_of(name, context) for name in names}


def _value_of(name: str, context: RunContext) -> Any:
    settings = context.settings
    match name:
        case "config":
            return dict(settings.config)
        case "writer":
            return writer_of(context)
        case "store":
            return settings.store
        case "previous":
            return settings.previous()
        case "runtime":
            return runtime_of(context)
        case _:
            raise AssertionError(name)


def writer_of(context: RunContext) -> StreamWriter:
    """Return what writes to the stream in the name of this body."""
    return partial(_write, context)


def runtime_of(context: RunContext) -> Runtime[Any]:
    """Return the body's runtime."""
    settings = context.settings
    return Runtime(
        context=settings.context,
        store=settings.store,
        stream_writer=writer_of(context),
        heartbeat=partial(_beat, context),
        previous=settings.previous(),
        execution_info=_execution_info(context),
        control=settings.control,
    )


def _execution_info(context: RunContext) -> ExecutionInfo:
    settings, scope = context.run.settings, context.scope
    return ExecutionInfo(
        checkpoint_id=settings.checkpoint_id,
        checkpoint_ns="|".join(scope.path),
        task_id=scope.parent_id,
        thread_id=settings.thread_id or None,
        run_id=settings.run_id,
        node_attempt=context.attempt,
        node_first_attempt_time=context.began_at or clock.in_use().time(),
    )


def _beat(context: RunContext) -> None:
    deadline = context.scope.deadline
    if deadline is not None:
        deadline.move(by_hand=True)


def _write(context: RunContext, chunk: Any, /) -> None:
    run, scope = context.run, context.scope
    run.raise_if_stopping(scope)
    if scope.deadline is not None:
        scope.deadline.move()
    run.log.write_custom(scope.parent_id, chunk)
