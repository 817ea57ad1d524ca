"""The one place where runs look at the time, and where they wait for it.

Retries, timeouts and times to live go through the clock in use, which a test can
replace by one that it moves itself. What is *recorded* as the time of an event is
the machine's, always.
"""

from __future__ import annotations

import asyncio
import heapq
import threading
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clock", "SystemClock", "Timer", "in_use", "use"]


SWEEP_AT = 1024
"""How many alarms there may be before the cancelled ones are looked for."""


class Timer(Protocol):
    """Something that was asked for at a later time."""

    def cancel(self) -> None:
        """Forget it, unless it is being done already."""
        ...


class Clock(Protocol):
    """What runs want of a clock. Its methods may be called from any thread."""

    def time(self) -> float:
        """Return the seconds since 1970-01-01 UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only grow, from some beginning."""
        ...

    def wait(self, seconds: float, woken: threading.Event) -> None:
        """Block this thread for so long, or until `woken` is set."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for so long on the running loop."""
        ...

    def call_later(self, seconds: float, notify: Callable[[], object]) -> Timer:
        """Have `notify` called from some thread in so many seconds.

        It must only hand over: others wait behind it.
        """
        ...


class SystemClock:
    """The machine's clock."""

    def __init__(self) -> None:
        self._alarms = _Alarms()

    def time(self) -> float:
        """Return the seconds since 1970-01-01 UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    def wait(self, seconds: float, woken: threading.Event) -> None:
        """Block this thread for so long, or until `woken` is set."""
        woken.wait(seconds)

    async def sleep(self, seconds: float) -> None:
        """Wait for so long on the running loop."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, notify: Callable[[], object]) -> Timer:
        """Have `notify` called from the thread of alarms."""
        return self._alarms.add(time.monotonic() + seconds, notify)


class _Alarm:
    """An entry of the heap; cancelled, it lets go of what it would have called."""

    def __init__(self, due: float, notify: Callable[[], object]) -> None:
        self.due = due
        self.notify: Callable[[], object] | None = notify

    def cancel(self) -> None:
        self.notify = None

    def __lt__(self, other: _Alarm) -> bool:
        return self.due < other.due


class _Alarms:
    """One thread that waits for the next alarm, while there is any."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heap: list[_Alarm] = []
        self._sweep_at = SWEEP_AT
        self._thread: threading.Thread | None = None

    def add(self, due: float, notify: Callable[[], object]) -> _Alarm:
        alarm = _Alarm(due, notify)
        with self._changed:
            if len(self._heap) >= self._sweep_at:
                self._sweep()
            heapq.heappush(self._heap, alarm)
            if self._thread is None or not self._thread.is_alive():
                # Not alive where the process was forked since.
                self._thread = threading.Thread(
                    target=self._serve, name="nbflow-alarms", daemon=True
                )
                self._thread.start()
            elif self._heap[0] is alarm:
                self._changed.notify()
        return alarm

    def _sweep(self) -> None:
        # Most alarms are cancelled long before they are due.
        self._heap = [alarm for alarm in self._heap if alarm.notify is not None]
        heapq.heapify(self._heap)
        self._sweep_at = max(SWEEP_AT, 2 * len(self._heap))

    def _serve(self) -> None:
        while (alarm := self._next()) is not None:
            notify = alarm.notify
            if notify is not None:
                notify()

    def _next(self) -> _Alarm | None:
        with self._changed:
            while self._heap:
                alarm = self._heap[0]
                rest = alarm.due - time.monotonic()
                if rest <= 0 or alarm.notify is None:
                    return heapq.heappop(self._heap)
                self._changed.wait(rest)
            self._thread = None
            return None


_in_use: Clock = SystemClock()


def in_use() -> Clock:
    """Return the clock that runs look at."""
    return _in_use


def use(clock: Clock) -> Clock:
    """Have runs look at another clock, and return the one before."""
    global _in_use
    before, _in_use = _in_use, clock
    return before
