"""Threads for bodies and tasks: as many as are needed, reused, never waited for.

The bound on running tasks is a run's own (`nbflow._engine.limits`); a bounded pool
would deadlock on bodies that wait. Threads are daemons: what a killed task would
have returned is not recorded, so a leaving process owes it nothing.
"""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pool", "pool"]

IDLE_SECONDS = 30.0


class Pool:
    """Hand functions to threads: an idle one if there is one, else a new one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue[Callable[[], None]]] = []

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work`, which must not raise, in a thread of its own."""
        with self._lock:
            inbox = self._idle.pop() if self._idle else None
        if inbox is not None:
            inbox.put(work)
            return
        inbox = SimpleQueue()
        inbox.put(work)
        # Not as the thread's argument: it would be held while the thread idles.
        thread = threading.Thread(
            target=self._serve, args=(inbox,), name="nbflow", daemon=True
        )
        thread.start()

    def _serve(self, inbox: SimpleQueue[Callable[[], None]]) -> None:
        work = inbox.get()
        while True:
            work()
            del work
            with self._lock:
                self._idle.append(inbox)
            try:
                work = inbox.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if inbox in self._idle:
                        self._idle.remove(inbox)
                        return
                # Work was handed over in the same instant.
                work = inbox.get()


pool = Pool()
"""The threads of this process."""
