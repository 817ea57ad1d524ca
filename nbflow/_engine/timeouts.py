"""An attempt that may take so long, and what becomes of it when it takes longer.

An asynchronous body is cancelled. A synchronous one can't be: its thread is left
behind, and what it returns later is discarded.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from nbflow._engine import clock
from nbflow._engine.loops import call_soon
from nbflow._engine.pool import pool
from nbflow.errors import AbandonedTaskWarning, NodeTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Literal

    from nbflow._engine.context import Scope
    from nbflow._values import TimeoutPolicy

__all__ = ["Deadline", "await_in_time", "call_in_time"]

CLEANUP_SECONDS = 5.0
"""How long a cancelled body may take to clean up before it is left behind."""

_SLACK_SECONDS = 1e-6
"""An alarm may ring so much early: sums of floating-point numbers are rounded."""


class Deadline:
    """The times of one attempt, and an alarm for the nearer of them.

    Parameters
    ----------
    policy : TimeoutPolicy
        With numbers of seconds.
    node : str
        Name of the task or workflow.
    notify : callable
        Called once, from the thread of alarms, when the attempt's time is over.

    Attributes
    ----------
    exceeded : NodeTimeoutError or None
        Set as soon as the time is over.
    """

    def __init__(
        self, policy: TimeoutPolicy, node: str, notify: Callable[[], object]
    ) -> None:
        self._clock = clock.in_use()
        self._run = _seconds(policy.run_timeout)
        self._idle = _seconds(policy.idle_timeout)
        self._by_hand = policy.refresh_on == "heartbeat"
        self._node = node
        self._notify = notify
        self._lock = threading.Lock()
        self._is_over = False
        self.exceeded: NodeTimeoutError | None = None
        self._began = self._moved = self._clock.monotonic()
        self._alarm = self._set_alarm(self._began)

    def move(self, *, by_hand: bool = False) -> None:
        """Note a sign of progress; `by_hand` if it is a heartbeat."""
        if by_hand or not self._by_hand:
            self._moved = self._clock.monotonic()

    def end(self) -> bool:
        """Note that the attempt has ended; return whether it did so in time."""
        with self._lock:
            in_time, self._is_over = self.exceeded is None, True
        self._alarm.cancel()
        return in_time

    def seconds_over(self) -> float:
        """Return the seconds since the attempt began."""
        return self._clock.monotonic() - self._began

    def _set_alarm(self, now: float) -> clock.Timer:
        rest = [
            begin + seconds - now
            for begin, seconds in ((self._began, self._run), (self._moved, self._idle))
            if seconds is not None
        ]
        return self._clock.call_later(max(0.0, min(rest)), self._look)

    def _look(self) -> None:
        now = self._clock.monotonic()
        with self._lock:
            if self._is_over:
                return
            kind = self._kind_of_end(now + _SLACK_SECONDS)
            if kind is None:
                self._alarm = self._set_alarm(now)
                return
            self.exceeded = NodeTimeoutError(
                self._node,
                now - self._began,
                kind=kind,
                run_timeout=self._run,
                idle_timeout=self._idle,
            )
        self._notify()

    def _kind_of_end(self, now: float) -> Literal["idle", "run"] | None:
        if self._run is not None and now >= self._began + self._run:
            return "run"
        if self._idle is not None and now >= self._moved + self._idle:
            return "idle"
        return None


def call_in_time(scope: Scope, policy: TimeoutPolicy, body: Callable[[], Any]) -> Any:
    """Call a synchronous body in a thread of its own, and wait so long for it.

    Raises
    ------
    NodeTimeoutError
        It did not end in time; its thread is left behind.
    """
    over = threading.Event()
    deadline = scope.deadline = Deadline(policy, scope.name, over.set)
    ends: list[tuple[Any, BaseException | None]] = []

    def work() -> None:
        value, error = None, None
        try:
            value = body()
        except BaseException as raised:  # noqa: BLE001 - the user's, raised where it is waited for
            error = raised
        if deadline.end():
            ends.append((value, error))
            over.set()
        else:
            _warn_late(scope, deadline)

    pool.submit(partial(copy_context().run, work))
    try:
        over.wait()
    except BaseException:  # Ctrl-C: the run is stopped, and its body with it
        deadline.end()
        raise
    if deadline.exceeded is not None:
        _leave(scope, deadline)
        raise deadline.exceeded
    value, error = ends.pop()
    if error is not None:
        raise error
    return value


async def await_in_time(
    scope: Scope, policy: TimeoutPolicy, body: Coroutine[Any, Any, Any]
) -> Any:
    """Await a body in an asyncio task of its own, for so long.

    Raises
    ------
    NodeTimeoutError
        It did not end in time, and was cancelled.
    """
    loop = asyncio.get_running_loop()
    over = asyncio.Event()

    notify = partial(call_soon, loop, over.set)
    deadline = scope.deadline = Deadline(policy, scope.name, notify)
    work = loop.create_task(body)
    alarm = loop.create_task(over.wait())
    try:
        await asyncio.wait({work, alarm}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        work.cancel()
        await asyncio.wait({work})
        raise
    finally:
        alarm.cancel()
        in_time = deadline.end()
    if in_time:
        return work.result()
    _leave(scope, deadline)
    work.cancel()
    await asyncio.wait({work}, timeout=CLEANUP_SECONDS)
    work.add_done_callback(partial(_ended_late, scope, deadline))
    raise deadline.exceeded or AssertionError


def _seconds(time: Any) -> float | None:
    return None if time is None else float(time)


def _leave(scope: Scope, deadline: Deadline) -> None:
    scope.left = f"its attempt is over: {deadline.exceeded}"


def _ended_late(scope: Scope, deadline: Deadline, work: asyncio.Task[Any]) -> None:
    # Its exception is looked at, or asyncio would report it as never retrieved.
    if not work.cancelled() and work.exception() is None:
        _warn_late(scope, deadline)


def _warn_late(scope: Scope, deadline: Deadline) -> None:
    with suppress(AbandonedTaskWarning):  # where warnings are errors
        warnings.warn(
            f"{scope.name!r} came back after {deadline.seconds_over():.3f}s, when its "
            f"time was over: {deadline.exceeded} What it gave is discarded.",
            AbandonedTaskWarning,
            stacklevel=2,
        )
