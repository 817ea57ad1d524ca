"""What a run hands into a body beside its arguments."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from nbflow._engine.context import RunContext
    from nbflow._engine.run import Call
    from nbflow._values import StreamWriter

__all__ = ["ExecutionInfo", "Runtime", "fill", "injected", "runtime_of", "writer_of"]

ContextT = TypeVar("ContextT")


@dataclass(frozen=True, slots=True)
class ExecutionInfo:
    """Where in a run a body is.

    Attributes
    ----------
    task_id : str
        Identity of the task call; empty in the entrypoint's body.
    thread_id, run_id : str or None
        The run.
    node_attempt : int
        Which attempt this is, from 1.
    """

    task_id: str
    thread_id: str | None = None
    run_id: str | None = None
    node_attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime(Generic[ContextT]):
    """Everything a body can ask its run for.

    Attributes
    ----------
    context : Any
        What the caller passed as `context`.
    store : Any
        The entrypoint's store, or None.
    stream_writer : callable
        Writes to the stream mode ``"custom"``.
    previous : Any
        What the thread's last run saved.
    execution_info : ExecutionInfo
        Where in the run the body is.
    """

    context: ContextT
    store: Any
    stream_writer: StreamWriter
    previous: Any
    execution_info: ExecutionInfo


def injected(call: Call, context: RunContext) -> dict[str, Any]:
    """Return the keyword arguments of a task's body."""
    missing = call.spec.missing(call.args, call.kwargs)
    if not missing:
        return call.kwargs
    return {**call.kwargs, **fill(missing, context)}


def fill(names: list[str], context: RunContext) -> dict[str, Any]:
    """Return what the run gives for each of these parameters."""
    return {name: _value_of(name, context) for name in names}


def _value_of(name: str, context: RunContext) -> Any:
    settings = context.run.settings
    match name:
        case "config":
            return dict(settings.config)
        case "writer":
            return writer_of(context)
        case "store":
            return settings.store
        case "previous":
            return _previous_of(context)
        case "runtime":
            return runtime_of(context)
        case _:
            raise AssertionError(name)


def _previous_of(context: RunContext) -> Any:
    # A nested run is part of its parent's: nothing was saved under it before.
    return None if context.scope.nested else context.run.settings.previous()


def writer_of(context: RunContext) -> StreamWriter:
    """Return what writes to the stream in the name of this body."""
    return partial(_write, context)


def runtime_of(context: RunContext) -> Runtime[Any]:
    """Return the body's runtime."""
    settings = context.run.settings
    return Runtime(
        context=settings.context,
        store=settings.store,
        stream_writer=writer_of(context),
        previous=_previous_of(context),
        execution_info=ExecutionInfo(
            task_id=context.scope.parent_id,
            thread_id=settings.thread_id or None,
            run_id=settings.run_id,
            node_attempt=context.attempt,
        ),
    )


def _write(context: RunContext, chunk: Any, /) -> None:
    run = context.run
    run.raise_if_stopping()
    run.log.write_custom(context.scope.parent_id, chunk)
