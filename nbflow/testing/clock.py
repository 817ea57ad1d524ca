"""A clock that tests move: retries, timeouts and times to live without waiting.

It stands in for `nbflow._engine.clock`'s. The times recorded in the log stay the
machine's, and so do the user's own `time.sleep` and `asyncio.sleep`.
"""

from __future__ import annotations

import asyncio
import heapq
import threading
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Final, Self

from nbflow._engine import clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["FakeClock"]

NEW_YEAR: Final = datetime(2030, 1, 1, tzinfo=UTC)


class FakeClock:
    """A clock that stands still until it is moved.

    Inside of a ``with`` statement every run in this process looks at it: the waits
    between attempts, timeouts, and `nbflow.now`. Stores and caches take theirs when
    they are made: ``InMemoryStore(clock=fake.time)``.

    Parameters
    ----------
    start : datetime, optional
        What time it is at first, aware; by default 2030-01-01 UTC.
    jumps : bool, default True
        Whether the clock jumps to the end of each wait of a run at once. Without it
        a wait lasts until `advance` is called, from another thread or task.

    Examples
    --------
    A retry that would wait for a minute:

    >>> from nbflow import RetryPolicy, entrypoint, task
    >>> errors = [ConnectionError("no network")]
    >>> @task(retry_policy=RetryPolicy(initial_interval=60.0, jitter=False))
    ... def fetch() -> str:
    ...     if errors:
    ...         raise errors.pop()
    ...     return "page"
    >>> @entrypoint()
    ... def workflow(_: str) -> str:
    ...     return fetch().result()
    >>> with FakeClock() as clock:
    ...     workflow.invoke("go")
    ...     clock.elapsed_seconds
    'page'
    60.0

    A task that takes too long moves the clock itself:

    >>> from datetime import timedelta
    >>> clock = FakeClock()
    >>> clock.advance(90)
    >>> clock.now() - clock.start == timedelta(seconds=90)
    True
    """

    def __init__(self, start: datetime = NEW_YEAR, *, jumps: bool = True) -> None:
        if start.tzinfo is None:
            raise ValueError(
                f"start must be an aware datetime, not {start!r}. "
                "Add a time zone: start.replace(tzinfo=UTC)."
            )
        self.start = start
        self.jumps = jumps
        self._elapsed = 0.0
        self._order = count()
        self._alarms: list[tuple[float, int, _Alarm]] = []
        self._lock = threading.RLock()
        self._before: list[clock.Clock] = []

    def __enter__(self) -> Self:
        self._before.append(clock.use(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        clock.use(self._before.pop())

    # For tests.

    @property
    def elapsed_seconds(self) -> float:
        """How far the clock was moved since it was made."""
        with self._lock:
            return self._elapsed

    @property
    def waiting(self) -> int:
        """How many waits and time limits are set and not over."""
        with self._lock:
            return sum(not alarm.cancelled for _, _, alarm in self._alarms)

    def now(self) -> datetime:
        """Return what time it is, in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def advance(self, seconds: float) -> None:
        """Move the clock on; what is due by then happens first, in its order.

        Parameters
        ----------
        seconds : float
            At least 0.

        Raises
        ------
        ValueError
            The clock would go back.
        """
        if seconds < 0:
            raise ValueError(f"seconds must be at least 0, not {seconds!r}")
        with self._lock:
            self._advance_to(self._elapsed + seconds)

    def _advance_to(self, until: float) -> None:
        with self._lock:
            while self._alarms and self._alarms[0][0] <= until:
                due, _, alarm = heapq.heappop(self._alarms)
                self._elapsed = max(self._elapsed, due)
                if not alarm.cancelled:
                    alarm.notify()
            self._elapsed = max(self._elapsed, until)

    # For runs.

    def time(self) -> float:
        """Return the seconds since 1970-01-01 UTC."""
        return self.start.timestamp() + self.elapsed_seconds

    def monotonic(self) -> float:
        """Return the seconds that the clock was moved."""
        return self.elapsed_seconds

    def wait(self, seconds: float, woken: threading.Event) -> None:
        """Return when the clock is so much later, or `woken` is set."""
        alarm = self.call_later(seconds, woken.set)
        if self.jumps:
            self._advance_to(alarm.due)
        woken.wait()

    async def sleep(self, seconds: float) -> None:
        """Return when the clock is so much later."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        alarm = self.call_later(seconds, lambda: loop.call_soon_threadsafe(woken.set))
        if self.jumps:
            self._advance_to(alarm.due)
        try:
            await woken.wait()
        finally:
            alarm.cancel()

    def call_later(self, seconds: float, notify: Callable[[], object]) -> _Alarm:
        """Have `notify` called by whoever moves the clock so far."""
        with self._lock:
            alarm = _Alarm(self._elapsed + max(0.0, seconds), notify)
            heapq.heappush(self._alarms, (alarm.due, next(self._order), alarm))
        return alarm


class _Alarm:
    """Something that is due at a time of the clock."""

    __slots__ = ("cancelled", "due", "notify")

    def __init__(self, due: float, notify: Callable[[], object]) -> None:
        self.due: float = due
        self.notify: Callable[[], object] = notify
        self.cancelled: bool = False

    def cancel(self) -> None:
        """Forget it."""
        self.cancelled = True
