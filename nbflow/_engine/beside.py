"""Work that waits, beside an event loop that goes on."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from nbflow._engine.loops import call_soon
from nbflow._engine.pool import pool

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_thread"]

ReturnT = TypeVar("ReturnT")


async def in_thread(work: Callable[[], ReturnT]) -> ReturnT:
    """Run `work` in a thread of its own, in a copy of this context.

    Not in asyncio's own pool: that is bounded, and bodies wait for other bodies.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[ReturnT] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(value)
        else:
            done.set_exception(error)

    def perform() -> None:
        value, error = None, None
        try:
            value = work()
        except BaseException as raised:  # noqa: BLE001 - raised where it is awaited
            error = raised
        call_soon(loop, settle, value, error)

    pool.submit(partial(copy_context().run, perform))
    return await done
