"""How a task that waits for others lends its place, and gets it back (rule R10).

A task that calls others counts no more as running until it comes back from waiting
for them: so any nesting works with one place.
"""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING

from nbflow._engine.futures import SyncFuture
from nbflow._engine.loops import call_soon

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._engine.context import Scope
    from nbflow._engine.run import Call, Run

__all__ = ["lend_place"]


def lend_place(run: Run, call: Call) -> None:
    """Give away the place of the body that makes a call, until the call has ended."""
    scope = call.parent.holder
    if scope.lend():
        run.places.leave()
    if scope.parent_id and isinstance(call.future, SyncFuture):
        call.future.come_back = partial(_come_back, run, scope)
    elif scope.parent_id:
        call.future.come_back = partial(_come_back_async, run, scope)


def _comes_back(run: Run, scope: Scope) -> bool:
    lent = not scope.holds_place and not scope.open_calls and not scope.left
    return lent and run.stopping is None


def _come_back(run: Run, scope: Scope) -> None:
    if _comes_back(run, scope):
        back = threading.Event()
        run.places.stand_first(partial(_take, run, scope, back.set), back.set)
        back.wait()


async def _come_back_async(run: Run, scope: Scope) -> None:
    if _comes_back(run, scope):
        loop, back = asyncio.get_running_loop(), asyncio.Event()
        notify = partial(call_soon, loop, back.set)
        run.places.stand_first(partial(_take, run, scope, notify), notify)
        await back.wait()


def _take(run: Run, scope: Scope, notify: Callable[[], object]) -> None:
    if not scope.hold():
        # Its attempt has ended while it stood in line, or another lane came back.
        run.places.leave()
    notify()
