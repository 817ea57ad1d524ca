"""The bound on tasks that run at once in a run, and the line before it."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULT_MAX_CONCURRENCY", "Places"]

DEFAULT_MAX_CONCURRENCY = 64
"""Tasks mostly wait for networks, so the default is not bound to the cores."""


class _Waiting(NamedTuple):
    start: Callable[[], object]
    drop: Callable[[], object]
    key: object


class Places:
    """So many tasks may run; the others stand in line, first come first served.

    Parameters
    ----------
    limit : int
        At least 1.
    """

    def __init__(self, limit: int = DEFAULT_MAX_CONCURRENCY) -> None:
        if limit < 1:
            raise ValueError(f"max_concurrency must be at least 1, not {limit!r}")
        self._lock = threading.Lock()
        self._free = limit
        self._line: deque[_Waiting] = deque()

    def take(self) -> bool:
        """Take a place if one is free; `leave` gives it back."""
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return True
            return False

    def stand_in_line(
        self,
        start: Callable[[], object],
        drop: Callable[[], object],
        key: object = None,
    ) -> None:
        """Have `start` called, with a place taken, as soon as one is free.

        Parameters
        ----------
        start : callable
            Called once, from the thread that frees the place; must only hand over.
        drop : callable
            Called instead if the line is dissolved by `drop_line`.
        key : object, optional
            What `step_out` finds it by.
        """
        with self._lock:
            if self._free <= 0:
                self._line.append(_Waiting(start, drop, key))
                return
            self._free -= 1
        start()

    def stand_first(
        self, start: Callable[[], object], drop: Callable[[], object]
    ) -> None:
        """Like `stand_in_line`, before everyone else: for a task that comes back."""
        with self._lock:
            if self._free <= 0:
                self._line.appendleft(_Waiting(start, drop, None))
                return
            self._free -= 1
        start()

    def leave(self) -> None:
        """Give a place back: to the first in line, if there is one."""
        with self._lock:
            if not self._line:
                self._free += 1
                return
            start = self._line.popleft().start
        start()

    def step_out(self, key: object) -> bool:
        """Take someone out of the line; return whether it stood there."""
        with self._lock:
            found = next((one for one in self._line if one.key is key), None)
            if found is not None:
                self._line.remove(found)
        return found is not None

    def drop_line(self) -> None:
        """Send away everyone in line."""
        with self._lock:
            dropped = list(self._line)
            self._line.clear()
        for one in dropped:
            one.drop()
