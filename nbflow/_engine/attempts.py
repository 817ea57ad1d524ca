"""A body, attempted until it ends or no policy wants another attempt.

A task's body and a workflow's go the same way; what became of a task's is recorded
here too, that of a workflow's by who called it.
"""

from __future__ import annotations

import asyncio
import random
import threading
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from nbflow._engine import clock
from nbflow._engine.context import RunContext, Scope, enter
from nbflow._engine.inject import injected
from nbflow._engine.interrupts import of_group, swallowed
from nbflow._engine.loops import call_soon
from nbflow._engine.retry import policy_for, wait_before
from nbflow._engine.timeouts import await_in_time, call_in_time
from nbflow._engine.trace import error_text
from nbflow._engine.usage import usage_of
from nbflow._events import (
    TaskAttempted,
    TaskDropped,
    TaskFinished,
    TaskRetried,
    UsageNoted,
)
from nbflow.errors import (
    GraphBubbleUp,
    GraphInterrupt,
    NodeCancelledError,
    RunStopped,
)

if TYPE_CHECKING:
    from nbflow._engine.run import Call, Run
    from nbflow._engine.spec import Spec
    from nbflow._events import TaskFailed

__all__ = ["Attempts", "note", "perform", "perform_async"]


def perform(run: Run, call: Call) -> None:
    """Run a synchronous task's body to its end, in a thread of the pool."""
    value: Any = None
    error: BaseException | None = None
    attempts = _attempts(run, call)
    try:
        if call.event.waiting:
            run.log.write(TaskAttempted(call.event.call_id))
        value = attempts.call()
        if attempts.scope.asked:
            swallowed(attempts.scope)
    except BaseException as raised:  # noqa: BLE001 - the user's, handed on by the future
        error = raised
    finally:
        run.ended(call, attempts.scope)
    try:
        event = _end(run, call, attempts.scope, value, error)
        if call.cached is not None and isinstance(event, TaskFinished):
            call.cached.keep(value)
        if event is not None:
            run.log.write_outcome(event)
    except Exception as broken:  # noqa: BLE001 - the store's, or a value it can't take
        event, (value, error) = None, _unstored(run, call, error, broken)
    run.settle(call, value, error, event)


async def perform_async(run: Run, call: Call) -> None:
    """Run an asynchronous task's body to its end, on its loop."""
    value: Any = None
    error: BaseException | None = None
    attempts = _attempts(run, call)
    try:
        if call.event.waiting:
            run.log.write(TaskAttempted(call.event.call_id))
        value = await attempts.awaited()
        if attempts.scope.asked:
            swallowed(attempts.scope)
    except asyncio.CancelledError as cancelled:
        error = _signal(run, cancelled)
    except BaseException as raised:  # noqa: BLE001 - the user's, handed on by the future
        error = raised
    finally:
        run.ended(call, attempts.scope)
    event = None
    try:
        event = _end(run, call, attempts.scope, value, error)
        written = None if event is None else _written(run, event)
        if call.cached is not None and isinstance(event, TaskFinished):
            await call.cached.akeep(value)
        if written is not None:
            await written
    except asyncio.CancelledError as cancelled:  # What has ended is in the log.
        value, error = None, _signal(run, cancelled)
    except Exception as broken:  # noqa: BLE001 - the store's, or a value it can't take
        event, (value, error) = None, _unstored(run, call, error, broken)
    run.settle(call, value, error, event)


class Attempts:
    """The attempts at one body.

    Parameters
    ----------
    context : RunContext
        Of the first attempt.
    spec : Spec
        The body.
    args, kwargs : tuple, dict
        What it is called with, without what the run fills in.

    Attributes
    ----------
    scope : Scope
        Of the newest attempt.
    """

    __slots__ = ("_args", "_context", "_kwargs", "_spec", "scope")

    def __init__(
        self,
        context: RunContext,
        spec: Spec,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._context = context
        self._spec = spec
        self._args = args
        self._kwargs = kwargs
        self.scope = context.scope
        if spec.retry:
            self.scope.keeps = True
            self._context = replace(context, began_at=clock.in_use().time())

    def call(self) -> Any:
        """Call a synchronous body, in this thread unless its time is bounded."""
        while True:
            timeout = self._spec.timeout
            try:
                if timeout is None:
                    value = self._body()
                else:
                    value = call_in_time(self.scope, timeout, self._body)
            except asyncio.CancelledError as cancelled:
                failed = NodeCancelledError(self._spec.name)
                if not self._pause(failed):
                    raise failed from cancelled
            except Exception as error:
                if not self._pause(error):
                    raise
            else:
                self._check_no_coroutine(value)
                return value

    async def awaited(self) -> Any:
        """Await an asynchronous body."""
        while True:
            timeout = self._spec.timeout
            try:
                if timeout is None:
                    return await self._coroutine()
                return await await_in_time(self.scope, timeout, self._coroutine())
            except asyncio.CancelledError as cancelled:
                if _was_asked_for(self._context.run):
                    raise
                failed = NodeCancelledError(self._spec.name)
                if not await self._pause_async(failed):
                    raise failed from cancelled
            except Exception as error:
                if not await self._pause_async(error):
                    raise

    def _body(self) -> Any:
        context = self._context
        enter(context)
        context.scope.begin()
        filled = injected(self._spec, self._args, self._kwargs, context)
        try:
            return self._spec.func(*self._args, **filled)
        except BaseExceptionGroup as group:
            counts = of_group(group)
            if counts is group:
                raise
            raise counts from group

    async def _coroutine(self) -> Any:
        context = self._context
        enter(context)
        context.scope.begin()
        filled = injected(self._spec, self._args, self._kwargs, context)
        try:
            return await self._spec.func(*self._args, **filled)
        except BaseExceptionGroup as group:
            counts = of_group(group)
            if counts is group:
                raise
            raise counts from group

    def _check_no_coroutine(self, value: Any) -> None:
        if isinstance(value, CoroutineType):
            value.close()
            name = self._spec.name
            what = f"The {'task' if self.scope.parent_id else 'workflow'} {name!r}"
            raise TypeError(
                f"{what} returned a coroutine that nobody awaited. "
                "Make the function itself 'async def'."
            )

    def _pause(self, error: Exception) -> bool:
        """Wait until another attempt begins; return whether there is one."""
        delay = self._delay(error)
        if delay is None:
            return False
        run, woken = self._context.run, threading.Event()
        run.when_held(woken.set)
        if not woken.is_set():
            clock.in_use().wait(delay, woken)
        run.forget(woken.set)
        self._begin_again(error)
        return True

    async def _pause_async(self, error: Exception) -> bool:
        delay = self._delay(error)
        if delay is None:
            return False
        loop, run, woken = (
            asyncio.get_running_loop(),
            self._context.run,
            asyncio.Event(),
        )

        wake = partial(call_soon, loop, woken.set)
        run.when_held(wake)
        waits = {
            loop.create_task(clock.in_use().sleep(delay)),
            loop.create_task(woken.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            run.forget(wake)
            for wait in waits:
                wait.cancel()
        self._begin_again(error)
        return True

    def _delay(self, error: Exception) -> float | None:
        attempt, call_id = self._context.attempt, self.scope.parent_id
        policy = policy_for(self._spec.retry, error)
        if policy is None or attempt >= policy.max_attempts:
            return None
        delay, text = wait_before(policy, attempt, random.random), error_text(error)
        self._context.run.log.write(TaskRetried(call_id, attempt, text, delay))
        return delay

    def _begin_again(self, error: Exception) -> None:
        run, attempt = self._context.run, self._context.attempt + 1
        try:
            run.hold_back()
        except RunStopped as stopped:
            raise stopped from error
        self.scope = self.scope.again()
        self._context = replace(self._context, scope=self.scope, attempt=attempt)
        run.log.write(TaskAttempted(self.scope.parent_id, attempt))


def note(error: BaseException, name: str, identity: str) -> None:
    """Say in an exception in which task it was raised, as LangGraph does."""
    text = f"During task with name {name!r} and id {identity!r}"
    if text not in getattr(error, "__notes__", ()):
        error.add_note(text)


def _attempts(run: Run, call: Call) -> Attempts:
    parent, spec = call.parent, call.spec
    loop = asyncio.get_running_loop() if spec.is_async else None
    scope = Scope(
        call.event.call_id,
        call.place,
        name=call.name,
        loop=loop,
        nested=parent.nested,
        above=parent,
    )
    scope.holds_place = True
    scope.order = (*parent.order, call.index)
    if parent.keeps:
        scope.keeps = True
    return Attempts(RunContext(run, scope), spec, call.args, call.kwargs)


def _was_asked_for(run: Run) -> bool:
    # A body may raise CancelledError itself, and then nobody has cancelled it.
    task = asyncio.current_task()
    return run.stopping is not None or (task is not None and task.cancelling() > 0)


def _end(
    run: Run, call: Call, scope: Scope, value: Any, error: BaseException | None
) -> TaskFinished | TaskFailed | TaskDropped | None:
    if error is None:
        usage = usage_of(scope, value, call.args, call.kwargs)
        return run.log.finished(
            call.event.call_id,
            value,
            task=call.name,
            usage=usage,
            pickles=call.spec.pickles,
        )
    call_id = call.event.call_id
    usage = usage_of(scope)
    if isinstance(error, GraphBubbleUp | asyncio.CancelledError | KeyboardInterrupt):
        # A person is asked, or took the run back, or the body the call: no outcome.
        if usage is not None:
            run.log.write(UsageNoted(call_id, usage))
        return None if isinstance(error, GraphBubbleUp) else TaskDropped(call_id)
    note(error, call.name, call_id)
    failed = run.failed(call.event, error)
    return failed if usage is None else replace(failed, usage=usage)


def _signal(run: Run, cancelled: asyncio.CancelledError) -> BaseException:
    return cancelled if run.stopping is None else RunStopped(run.stopping)


def _written(
    run: Run, event: TaskFinished | TaskFailed | TaskDropped
) -> asyncio.Future[None] | None:
    """Write a call's outcome; return what it has to be waited for, if it has to."""
    if not run.log.waits:
        run.log.write(event)
        return None
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    run.log.commit_later(event, partial(call_soon, loop, settle))
    return done


def _unstored(
    run: Run, call: Call, error: BaseException | None, broken: Exception
) -> tuple[None, BaseException]:
    # What can't be stored is the task's failure; where that can't be stored
    # either, the store is broken, and the run fails with the store's error.
    if error is not None and not isinstance(error, GraphInterrupt):
        broken.add_note(
            f"While the failure of task {call.name!r} was stored: {error_text(error)}"
        )
        return None, broken
    try:
        run.log.write(run.failed(call.event, broken))
    except Exception as again:  # noqa: BLE001 - the store's, once more
        broken.add_note(f"The store refused this failure too: {error_text(again)}")
    return None, broken
