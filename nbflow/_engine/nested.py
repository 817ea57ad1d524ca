"""A workflow called in a body: a call of the same run, whose body is a workflow."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from nbflow._engine.bodies import await_body, call_body
from nbflow._engine.context import RunContext, Scope
from nbflow._engine.futures import SyncFuture
from nbflow._engine.interrupts import swallowed
from nbflow._engine.recorded import Missing
from nbflow._engine.run import Failure
from nbflow._events import TaskCalled, TaskDropped, TaskFinished
from nbflow._values import FinalValue
from nbflow.errors import GraphBubbleUp, GraphInterrupt

if TYPE_CHECKING:
    from nbflow._engine.spec import Spec

__all__ = ["call_nested", "call_nested_async"]


def call_nested(context: RunContext, spec: Spec, given: Any) -> Any:
    """Run a synchronous workflow inside of the body that calls it."""
    scope, event, reused = _prepare(context, spec, given, loop=None)
    if reused is not None:
        return reused.result()
    inner = RunContext(context.run, scope)
    try:
        value = copy_context().run(call_body, inner, spec, given)
    except BaseException as error:
        _failed(context, scope, event, error)
        raise
    stored = _stored(context, scope, event, value)
    context.run.log.write_outcome(stored)
    return stored.result.live


async def call_nested_async(context: RunContext, spec: Spec, given: Any) -> Any:
    """Run an asynchronous workflow inside of the body that awaits it."""
    loop = asyncio.get_running_loop()
    scope, event, reused = _prepare(context, spec, given, loop=loop)
    if reused is not None:
        return reused.result()
    inner = RunContext(context.run, scope)
    body = loop.create_task(await_body(inner, spec, given))
    context.run.adopt(body, loop)
    try:
        value = await body
    except BaseException as error:
        await asyncio.to_thread(_failed, context, scope, event, error)
        raise
    stored = _stored(context, scope, event, value)
    await asyncio.to_thread(context.run.log.write_outcome, stored)
    return stored.result.live


def _prepare(
    context: RunContext,
    spec: Spec,
    given: Any,
    *,
    loop: asyncio.AbstractEventLoop | None,
) -> tuple[Scope, TaskCalled, SyncFuture[Any] | None]:
    run, parent = context.run, context.scope
    run.raise_if_stopping()
    index, aside = parent.next_index()
    event = run.identify(spec, parent, ((given,), {}), aside=aside)
    event = replace(event, kind="workflow")
    place = parent.place_below(event.name, event.args_key)
    found = run.find(event, index)
    scope = Scope(event.call_id, place, name=spec.name, loop=loop, nested=True)
    if isinstance(found, Missing):
        run.log.write(replace(event, why=found.why))
        return scope, event, None
    future: SyncFuture[Any] = SyncFuture()
    run.reuse(event, found, parent, future)
    return scope, event, future


def _stored(
    context: RunContext, scope: Scope, event: TaskCalled, value: Any
) -> TaskFinished:
    if scope.asked:
        context.scope.asked.extend(scope.asked)
        swallowed(scope)
    if isinstance(value, FinalValue):
        value = value.value
    payload = context.run.log.payload(value, root="result", task=event.name)
    return TaskFinished(event.call_id, payload)


def _failed(
    context: RunContext, scope: Scope, event: TaskCalled, error: BaseException
) -> None:
    if isinstance(error, GraphInterrupt):
        context.scope.asked.extend(scope.asked or error.interrupts)
    run = context.run
    if isinstance(error, asyncio.CancelledError):
        # What was cancelled has no outcome: it runs again when the run goes on.
        run.log.write(TaskDropped(event.call_id))
    if isinstance(error, GraphBubbleUp | asyncio.CancelledError):
        return
    future: SyncFuture[Any] = SyncFuture()
    future.seen = True
    run.note_failure(event.call_id, Failure(error, future, event.parent_id))
    run.log.write_outcome(run.failed(event, error))
