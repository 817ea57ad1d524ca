"""The bound on tasks that run at once in a run, and the line before it."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULT_MAX_CONCURRENCY", "Places"]

DEFAULT_MAX_CONCURRENCY = 64
"""Tasks mostly wait for networks, so the default is not bound to the cores."""


class Waiting(Protocol):
    """Someone in line."""

    @property
    def key(self) -> object:
        """What `Places.step_out` finds it by."""
        ...

    def start(self) -> object:
        """Begin, with a place taken.

        Called once, from the thread that frees the place; must only hand over.
        """
        ...

    def drop(self) -> object:
        """Go away: the line was dissolved."""
        ...


class _Back(NamedTuple):
    start: Callable[[], object]
    drop: Callable[[], object]
    key: object = None


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
        self._line: deque[Waiting] = deque()

    def take(self) -> bool:
        """Take a place if one is free; `leave` gives it back."""
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return True
            return False

    def stand_in_line(self, one: Waiting) -> None:
        """Have someone begin, with a place taken, as soon as one is free."""
        with self._lock:
            if self._free <= 0:
                self._line.append(one)
                return
            self._free -= 1
        one.start()

    def stand_first(
        self, start: Callable[[], object], drop: Callable[[], object]
    ) -> None:
        """Like `stand_in_line`, before everyone else: for a task that comes back."""
        with self._lock:
            if self._free <= 0:
                self._line.appendleft(_Back(start, drop))
                return
            self._free -= 1
        start()

    def leave(self) -> None:
        """Give a place back: to the first in line, if there is one."""
        with self._lock:
            if not self._line:
                self._free += 1
                return
            one = self._line.popleft()
        one.start()

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
