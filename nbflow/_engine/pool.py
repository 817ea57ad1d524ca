"""Threads for bodies and tasks: as many as are needed, reused, never waited for.

The bound on running tasks is a run's own (`nbflow._engine.limits`); a bounded pool
would deadlock on bodies that wait. Threads are daemons: what a killed task would
have returned is not recorded, so a leaving process owes it nothing.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pool", "pool"]

IDLE_SECONDS = 30.0

_Gate: TypeAlias = threading.Lock
"""What an idle thread waits at: locked, and released by who wakes it."""

_COMING: Final = 2
"""How many threads are called at once to work that lies there."""


class Pool:
    """Hand functions to threads: an idle one if there is one, else a new one.

    Work lies in one line. A thread that takes the first of it calls another one
    before it begins, if there is more; so none waits for work to end, and yet
    short work is done by the few threads that are awake: waking one for each is
    most of what a short task costs.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line: deque[Callable[[], None]] = deque()
        self._idle: list[_Gate] = []
        self._coming = 0

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work`, which must not raise, in a thread that waits for no other work.

        Raises
        ------
        RuntimeError
            No thread can be started for it.
        """
        with self._lock:
            self._line.append(work)
            if self._coming >= _COMING:
                return
            self._coming += 1
            gate = self._idle.pop() if self._idle else None
        if gate is not None:
            gate.release()
            return
        try:
            self._start()
        except RuntimeError:
            with self._lock:
                if work not in self._line:
                    return
                self._line.remove(work)
            raise

    def _start(self) -> None:
        thread = threading.Thread(target=self._serve, name="nbflow", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            with self._lock:
                self._coming -= 1
            raise

    def _serve(self) -> None:
        gate = threading.Lock()
        gate.acquire()
        while True:
            with self._lock:
                self._coming -= 1
            self._work(gate)
            if not gate.acquire(timeout=IDLE_SECONDS):
                with self._lock:
                    if gate in self._idle:
                        self._idle.remove(gate)
                        return
                # It was called in the same instant.
                gate.acquire()

    def _work(self, gate: _Gate) -> None:
        """Do what lies there, then be idle."""
        while True:
            called, fresh = None, False
            with self._lock:
                if not self._line:
                    self._idle.append(gate)
                    return
                work = self._line.popleft()
                if self._line and self._coming < _COMING:
                    self._coming += 1
                    called = self._idle.pop() if self._idle else None
                    fresh = called is None
            if called is not None:
                called.release()
            elif fresh:
                # Where no thread can be started, those that are there do it all.
                with suppress(RuntimeError):
                    self._start()
            work()
            del work


pool = Pool()
"""The threads of this process."""
