"""A run from its input to its end, in this thread or on this loop."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec.structs import replace

from nbflow._engine.begin import Settled, begin
from nbflow._engine.beside import in_thread
from nbflow._engine.drive import End, drive, drive_async
from nbflow._engine.tokens import listen_to_models
from nbflow._engine.usage import hear_usage
from nbflow._events import RunCancelled, RunInterrupted

if TYPE_CHECKING:
    from nbflow._engine.begin import Definition, Ready
    from nbflow._engine.options import Options
    from nbflow._engine.run import Run

__all__ = ["Ended", "execute", "execute_async"]

Ended: TypeAlias = End | Settled

_GRACE_SECONDS = 1.0


def execute(definition: Definition, given: Any, options: Options) -> Ended:
    """Run a synchronous body in this thread and return how it ended.

    Raises
    ------
    TypeError
        The body is asynchronous.
    RuntimeError
        The workflow is made for the inside of others only.
    """
    _check_root(definition)
    ready = begin(definition, given, options)
    if isinstance(ready, Settled):
        return ready
    if _stops_before(definition, ready, options):
        _end(ready, RunInterrupted(()))
        return End("interrupted")
    hear_usage()
    if options.watch.tokens:
        listen_to_models()
    return drive(ready.run, definition.spec, ready.given)


async def execute_async(definition: Definition, given: Any, options: Options) -> Ended:
    """Run a body of either kind, and return how it ended."""
    _check_root(definition)
    if not definition.spec.is_async:
        return await _execute_beside(definition, given, options)
    ready = await _begun_beside(definition, given, options)
    if isinstance(ready, Settled):
        return ready
    if _stops_before(definition, ready, options):
        await in_thread(partial(_end, ready, RunInterrupted(())))
        return End("interrupted")
    hear_usage()
    if options.watch.tokens:
        listen_to_models()
    return await drive_async(ready.run, definition.spec, ready.given)


async def _begun_beside(
    definition: Definition, given: Any, options: Options
) -> Ready | Settled:
    """Begin in a thread; where the caller is cancelled meanwhile, end the run too."""
    work = in_thread(partial(begin, definition, given, options))
    beginning = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(beginning)
    except asyncio.CancelledError:
        # Or nobody would ever let its thread go.
        await asyncio.shield(_cancelled(beginning))
        raise


async def _cancelled(beginning: asyncio.Future[Ready | Settled]) -> None:
    await asyncio.wait([beginning])
    if beginning.cancelled() or beginning.exception() is not None:
        return
    ready = beginning.result()
    if not isinstance(ready, Settled):
        await in_thread(partial(_end, ready, RunCancelled("cancelled")))


async def _execute_beside(
    definition: Definition, given: Any, options: Options
) -> Ended:
    """Run a synchronous body in a thread; stop it where its caller is cancelled."""
    runs: list[Run] = []
    is_cancelled = False

    def on_run(run: Run) -> None:
        runs.append(run)
        options.watch.on_run(run)
        if is_cancelled:
            run.stop("cancelled")

    watched = replace(options, watch=replace(options.watch, on_run=on_run))
    body = in_thread(partial(execute, definition, given, watched))
    work = asyncio.ensure_future(body)
    try:
        end: Ended = await asyncio.shield(work)
    except asyncio.CancelledError:
        is_cancelled = True
        for run in runs:
            run.stop("cancelled")
        # A body that waits for a task ends at once; one that computes goes on.
        await asyncio.wait([work], timeout=_GRACE_SECONDS)
        work.cancel()
        work.add_done_callback(_taken)
        raise
    return end


def _taken(work: asyncio.Future[Ended]) -> None:
    # Or asyncio would say that nobody asked how it ended.
    if not work.cancelled():
        work.exception()


def _check_root(definition: Definition) -> None:
    if definition.keeps:
        raise RuntimeError("checkpointer=True cannot be used for root graphs.")


def _stops_before(definition: Definition, ready: Ready, options: Options) -> bool:
    # Only a run that begins: one that goes on was stopped here, or is past it.
    names = options.interrupt_before
    wanted = "*" in names or definition.spec.name in names
    return wanted and not ready.run.recorded.resumed


def _end(ready: Ready, event: RunInterrupted | RunCancelled) -> None:
    try:
        ready.run.log.end(event)
    finally:
        ready.run.close()
