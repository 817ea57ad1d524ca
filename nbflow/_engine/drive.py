"""A body from its first line to the end of its run, synchronous or not.

What happens at an end is written once, as functions over values; only waiting is
written twice.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections import defaultdict
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, assert_never

from msgspec import Struct

from nbflow._engine.attempts import note
from nbflow._engine.beside import in_thread
from nbflow._engine.bodies import await_end, call_body
from nbflow._engine.context import RunContext, Scope
from nbflow._engine.futures import AsyncFuture
from nbflow._engine.ids import new_checkpoint_id
from nbflow._engine.interrupts import warn_swallowed
from nbflow._engine.log import NEXT_RUN
from nbflow._engine.loops import call_soon
from nbflow._engine.trace import error_text, user_trace
from nbflow._events import RunCancelled, RunFailed, RunFinished, RunInterrupted
from nbflow._values import FinalValue
from nbflow.errors import GraphDrained, GraphInterrupt, NbflowWarning, RunStopped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow._engine.run import Failure, Run
    from nbflow._engine.spec import Spec
    from nbflow._values import Interrupt

__all__ = ["End", "drive", "drive_async"]

Status = Literal["finished", "interrupted", "failed", "cancelled"]


class End(Struct, frozen=True):
    """How a stretch of a run ended.

    Attributes
    ----------
    status : str
        ``"finished"``, ``"interrupted"``, ``"failed"`` or ``"cancelled"``.
    value : Any
        What the caller gets of a finished run.
    error : BaseException or None
        What a failed body raised, what the caller's own stop was, or why an
        answer was refused: to be raised.
    interrupts : tuple of Interrupt
        What is asked.
    reason : str
        Why it was stopped.
    reached : Any
        The state that a graph stopped in; None for other workflows.
    """

    status: Status
    value: Any = None
    error: BaseException | None = None
    interrupts: tuple[Interrupt, ...] = ()
    reason: str = ""
    reached: Any = None


def drive(run: Run, spec: Spec, given: Any) -> End:
    """Run a synchronous body in this thread, to the end of its run."""
    _watch_control(run)
    scope = root_scope(run, loop=None)
    value, raised = None, None
    try:
        value = copy_context().run(call_body, RunContext(run, scope), spec, given)
    except BaseException as error:  # noqa: BLE001 - the user's; it becomes the run's end
        raised = error
    end = _first_end(run, value, raised)
    waiting = threading.Event()
    run.when_idle(waiting.set)
    run.when_stopped(waiting.set)
    try:
        waiting.wait()
    except KeyboardInterrupt as error:
        end = _stopped(run, error)
    try:
        return _written(run, scope, end)
    finally:
        run.close()


async def drive_async(run: Run, spec: Spec, given: Any) -> End:
    """Run an asynchronous body on this loop, to the end of its run."""
    _watch_control(run)
    loop = asyncio.get_running_loop()
    scope = root_scope(run, loop=loop)
    value, raised = None, None
    body = loop.create_task(await_end(RunContext(run, scope), spec, given))
    run.adopt(body, loop)
    try:
        value, raised = await body
    except BaseException as error:  # noqa: BLE001 - the user's; it becomes the run's end
        raised = error
    end = _first_end(run, value, raised)
    waiting = asyncio.Event()

    notify = partial(call_soon, loop, waiting.set)
    run.when_idle(notify)
    run.when_stopped(notify)
    try:
        await waiting.wait()
    except asyncio.CancelledError as error:
        end = _stopped(run, error)
    try:
        return await in_thread(partial(_written, run, scope, end))
    finally:
        run.close()


def _watch_control(run: Run) -> None:
    control = run.settings.control
    if control is not None:
        run.on_end(partial(control.unwatch, run.drain))
        control.watch(run.drain)


def root_scope(run: Run, *, loop: asyncio.AbstractEventLoop | None) -> Scope:
    """Return the scope of a run's own body."""
    settings = run.settings
    return Scope("", lambda: settings.run_id, name=settings.workflow, loop=loop)


def _first_end(run: Run, value: Any, raised: BaseException | None) -> End:
    """Say how the body ended; calls that are still open may change it."""
    if raised is None:
        return End("finished", value)
    if isinstance(raised, KeyboardInterrupt | asyncio.CancelledError):
        return _stopped(run, raised)
    if run.stopping is not None:
        return End("cancelled", reason=run.stopping)
    if _is_signal(raised):
        return _drained(run) or End("interrupted")
    # What runs is waited for and recorded; what only waits is not begun any more.
    run.drop_waiting()
    return End("failed", error=raised)


def _stopped(run: Run, error: BaseException) -> End:
    if run.stopping is not None and isinstance(error, asyncio.CancelledError):
        return End("cancelled", reason=run.stopping)
    reason = (
        "from the keyboard" if isinstance(error, KeyboardInterrupt) else "cancelled"
    )
    run.stop(reason)
    return End("cancelled", error=error, reason=reason)


def _is_signal(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_signal(part) for part in error.exceptions)
    return isinstance(error, GraphInterrupt | RunStopped)


def _drained(run: Run) -> End | None:
    if run.draining is None or not run.held_back:
        return None
    drained = GraphDrained(run.draining)
    return End("cancelled", error=drained, reason=f"drained: {run.draining}")


def _written(run: Run, scope: Scope, end: End) -> End:
    """Write how the run ended, once nothing of it is open, and return that."""
    asked = run.asked
    if end.status == "finished" and run.stopping is not None and run.running:
        end = End("cancelled", reason=run.stopping)
    if end.status in ("finished", "interrupted"):
        end = _drained(run) or end
    if end.status in ("finished", "interrupted") and asked:
        if end.status == "finished":
            warn_swallowed(scope)
        run.log.end(RunInterrupted(tuple(i.id for i in asked)))
        refused = run.refusals[0] if run.refusals else None
        return End("interrupted", error=refused, interrupts=asked, reached=run.reached)
    if end.status == "interrupted" and run.stands_still:
        run.log.end(RunInterrupted(()))
        return End("interrupted", reached=run.reached)
    match end.status:
        case "finished":
            return _finished(run, scope, end)
        case "failed" | "interrupted":
            return _failed(run, end.error or GraphInterrupt())
        case "cancelled":
            run.log.end(RunCancelled(end.reason))
            return end
        case _:
            assert_never(end.status)


def _finished(run: Run, scope: Scope, end: End) -> End:
    value, save = end.value, end.value
    if isinstance(value, FinalValue):
        value, save = value.value, value.save
    workflow = run.settings.workflow
    try:
        is_split = isinstance(end.value, FinalValue)
        missing = "" if is_split else NEXT_RUN
        keep = partial(run.log.payload, task=workflow, pickles=run.settings.pickles)
        stored = keep(value, root="result", missing=missing)
        saved = None
        if is_split:
            saved = keep(save, root="save", missing=NEXT_RUN)
    except TypeError as error:
        return _failed(run, error)
    _warn_unseen(run)
    run.log.end(RunFinished(stored, saved, new_checkpoint_id(), scope.cached))
    return End("finished", value)


def _failed(run: Run, error: BaseException) -> End:
    note(error, run.settings.workflow, run.settings.run_id)
    payload = run.log.payload(error, root="error", task=run.settings.workflow)
    causes = tuple(sorted(_causes(run, error)))
    run.log.end(RunFailed(payload, error_text(error), user_trace(error), causes))
    return End("failed", error=error)


def _causes(run: Run, error: BaseException) -> set[str]:
    """Return the failed calls to run again when the run is continued (rule R8)."""
    causes: set[str] = set()
    todo: list[tuple[str, BaseException]] = [("", error)]
    for call_id, failure in run.failures.items():
        if not (failure.future.seen or getattr(failure.future, "peeked", False)):
            causes.add(call_id)
            todo.append((call_id, failure.error))
    while todo:
        # What made a failed call fail is run again with it; what its body caught
        # is replayed, as in the run's own body.
        parent_id, error = todo.pop()
        below = {
            call_id: failure
            for call_id, failure in run.failures.items()
            if failure.parent_id == parent_id
        }
        found = _made_it_fail(below, error) - causes
        causes |= found
        todo.extend((call_id, below[call_id].error) for call_id in found)
    return causes


def _made_it_fail(failures: Mapping[str, Failure], error: BaseException) -> set[str]:
    """Return the calls of one body whose failures made it fail with this error."""
    by_error: dict[int, set[str]] = defaultdict(set)
    for call_id, failure in failures.items():
        by_error[id(failure.error)].add(call_id)
    found = _calls_behind(error, by_error)
    loose = {
        call_id
        for call_id, failure in failures.items()
        if isinstance(failure.future, AsyncFuture)
        and (failure.future.escaped(failure.error) or not failure.future.seen)
    }
    # asyncio.gather hands on the first failure and drops the others: where that is
    # how the body failed, nobody caught those.
    return found | loose if found & loose else found


def _calls_behind(error: BaseException, by_error: dict[int, set[str]]) -> set[str]:
    """Return the failed calls that an error goes back to."""
    found: set[str] = set()
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        part = todo.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        if id(part) in by_error:
            # What this one was raised in the handling of was caught.
            found |= by_error[id(part)]
            continue
        if isinstance(part, BaseExceptionGroup):
            todo.extend(part.exceptions)
        hidden = part.__suppress_context__
        todo.append(part.__cause__ if hidden else part.__cause__ or part.__context__)
    return found


def _warn_unseen(run: Run) -> None:
    for call_id, failure in run.failures.items():
        if not (failure.future.seen or getattr(failure.future, "peeked", False)):
            warnings.warn(
                f"A task of {run.settings.workflow!r} failed, and nobody asked for its "
                f"result: {error_text(failure.error)} (call {call_id}).",
                NbflowWarning,
                stacklevel=2,
            )
