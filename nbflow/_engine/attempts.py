"""One call's body: attempt it, again if its policy says so, and record its end."""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from typing import TYPE_CHECKING, Any

from nbflow._engine.context import RunContext, Scope, enter
from nbflow._engine.inject import injected
from nbflow._engine.interrupts import swallowed
from nbflow._engine.retry import policy_for, wait_before
from nbflow._events import TaskAttempted, TaskFinished, TaskRetried
from nbflow.errors import GraphBubbleUp, GraphInterrupt, RunStopped

if TYPE_CHECKING:
    from nbflow._engine.run import Call, Run
    from nbflow._events import TaskFailed

__all__ = ["perform", "perform_async"]


def perform(run: Run, call: Call) -> None:
    """Run a synchronous task's body to its end, in a thread of the pool."""
    value: Any = None
    error: BaseException | None = None
    scopes: list[Scope] = []
    try:
        if call.event.waiting:
            run.log.write(TaskAttempted(call.event.call_id))
        value = _attempts(run, call, scopes)
    except BaseException as raised:  # noqa: BLE001 - the user's, handed on by the future
        error = raised
    finally:
        run.ended(call, scopes[-1] if scopes else None)
    try:
        event = _end(run, call, value, error)
        if event is not None:
            run.log.write_outcome(event)
    except Exception as broken:  # noqa: BLE001 - the store's, or a value it can't take
        value, error = _unstored(run, call, error, broken)
    run.settle(call, value, error)


async def perform_async(run: Run, call: Call) -> None:
    """Run an asynchronous task's body to its end, on its loop."""
    value: Any = None
    error: BaseException | None = None
    scopes: list[Scope] = []
    try:
        if call.event.waiting:
            run.log.write(TaskAttempted(call.event.call_id))
        value = await _attempts_async(run, call, scopes)
    except asyncio.CancelledError as cancelled:
        error = cancelled if run.stopping is None else RunStopped(run.stopping)
    except BaseException as raised:  # noqa: BLE001 - the user's, handed on by the future
        error = raised
    finally:
        run.ended(call, scopes[-1] if scopes else None)
    try:
        event = _end(run, call, value, error)
        if event is not None and run.log.waits:
            await _committed(run, event)
        elif event is not None:
            run.log.write(event)
    except Exception as broken:  # noqa: BLE001 - the store's, or a value it can't take
        value, error = _unstored(run, call, error, broken)
    run.settle(call, value, error)


def _attempts(run: Run, call: Call, scopes: list[Scope]) -> Any:
    attempt = 1
    while True:
        context = _context(run, call, attempt, scopes)
        enter(context)
        context.scope.begin()
        try:
            value = call.spec.func(*call.args, **injected(call, context))
        except Exception as error:
            delay = _delay(run, call, attempt, error)
            if delay is None:
                raise
            time.sleep(delay)
            attempt += 1
            run.log.write(TaskAttempted(call.event.call_id, attempt))
        else:
            if inspect.iscoroutine(value):
                value.close()
                raise TypeError(
                    f"The task {call.name!r} returned a coroutine that nobody awaited. "
                    "Make the task itself 'async def'."
                )
            return value if not context.scope.asked else swallowed(context.scope)


async def _attempts_async(run: Run, call: Call, scopes: list[Scope]) -> Any:
    attempt = 1
    while True:
        context = _context(run, call, attempt, scopes)
        enter(context)
        context.scope.begin()
        try:
            value = await call.spec.func(*call.args, **injected(call, context))
        except Exception as error:
            delay = _delay(run, call, attempt, error)
            if delay is None:
                raise
            await asyncio.sleep(delay)
            attempt += 1
            run.log.write(TaskAttempted(call.event.call_id, attempt))
        else:
            return value if not context.scope.asked else swallowed(context.scope)


def _context(run: Run, call: Call, attempt: int, scopes: list[Scope]) -> RunContext:
    # A new scope for each attempt: its calls are numbered from the start, and so
    # have the same identities as in the attempt before.
    loop = None
    if call.spec.is_async:
        loop = asyncio.get_running_loop()
    scope = Scope(
        call.event.call_id,
        call.place,
        name=call.name,
        loop=loop,
        nested=call.parent.nested,
    )
    scope.holds_place = not scopes or scopes[-1].holds_place
    scopes.append(scope)
    return RunContext(run, scope, attempt)


def _delay(run: Run, call: Call, attempt: int, error: Exception) -> float | None:
    policy = policy_for(call.spec.retry, error)
    if policy is None or attempt >= policy.max_attempts or run.stopping is not None:
        return None
    delay = wait_before(policy, attempt, random.random)
    run.log.write(TaskRetried(call.event.call_id, attempt, repr(error), delay))
    return delay


def _end(
    run: Run, call: Call, value: Any, error: BaseException | None
) -> TaskFinished | TaskFailed | None:
    if error is None:
        result = run.log.payload(value, root="result", task=call.name)
        return TaskFinished(call.event.call_id, result)
    if isinstance(error, GraphBubbleUp):
        return None
    return run.failed(call.event, error)


async def _committed(run: Run, event: TaskFinished | TaskFailed) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    run.log.commit_later(event, lambda error: loop.call_soon_threadsafe(settle, error))
    await asyncio.shield(done)


def _unstored(
    run: Run, call: Call, error: BaseException | None, broken: Exception
) -> tuple[None, BaseException]:
    # What can't be stored is the task's failure; where that can't be stored
    # either, the store is broken, and the run fails with the store's error.
    if error is not None and not isinstance(error, GraphInterrupt):
        broken.add_note(
            f"While the failure of task {call.name!r} was stored: {error!r}"
        )
        return None, broken
    try:
        run.log.write(run.failed(call.event, broken))
    except Exception as again:  # noqa: BLE001 - the store's, once more
        broken.add_note(f"The store refused this failure too: {again!r}")
    return None, broken
