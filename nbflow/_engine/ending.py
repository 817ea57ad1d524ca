"""How a run comes to its end: by itself, stopped, or drained.

What is at work, who has to hear of a stop, and who waits for the end are known
here; what a call is, and how it is looked up and run, is not.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from nbflow._engine.loops import LoopThread, call_soon
from nbflow.errors import RunStopped

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from nbflow._engine.context import Scope
    from nbflow._engine.limits import Places
    from nbflow._engine.run import Call

__all__ = ["Ending"]


class Ending:
    """The half of a run that knows how it ends.

    Attributes
    ----------
    places : Places
        The bound on its running tasks.
    stopping : str or None
        Why the run was asked to stop.
    draining : str or None
        Why it was asked to begin nothing more.
    held_back : bool
        Whether anything did not begin because of that.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        self.stopping: str | None = None
        self.draining: str | None = None
        self.held_back = False
        self._lock = threading.Lock()
        self._open: set[Call] = set()
        self._ended = False
        self._loops: list[LoopThread] = []
        self._aio: dict[Any, asyncio.AbstractEventLoop] = {}
        self._on_idle: list[Callable[[], None]] = []
        self._on_stop: list[Callable[[], None]] = []
        self._on_hold: list[Callable[[], None]] = []
        self._at_end: list[Callable[[], None]] = []
        self._elsewhere: list[Callable[[], None]] = []

    # Asked to end.

    def raise_if_stopping(self, scope: Scope | None = None) -> None:
        """Raise the signal that ends a body, once it may begin nothing more.

        Parameters
        ----------
        scope : Scope, optional
            Where it would begin: an attempt whose time is over begins nothing.
        """
        if self.stopping is not None:
            raise RunStopped(self.stopping)
        if scope is not None and scope.left:
            raise RunStopped(scope.left)

    def hold_back(self) -> None:
        """Raise the signal that ends a body where something new would begin now."""
        if self.stopping is not None:
            raise RunStopped(self.stopping)
        if self.draining is not None:
            self.held_back = True
            raise RunStopped(self.draining)

    def stop(self, reason: str = "stopped") -> None:
        """Ask the run to stop; it ends at its next call. A second request does nothing.

        Asynchronous tasks are cancelled. A synchronous task can't be: its thread
        goes on, and its outcome is recorded when it ends.
        """
        with self._lock:
            if self.stopping is not None or self._ended:
                return
            self.stopping = reason
            waiting = list(self._open)
            tasks = list(self._aio.items())
            performing = [call.future.task for call in waiting]
            notified = self._on_stop + self._on_hold
        self.drop_waiting()
        for call in waiting:
            call.future.settle(None, RunStopped(reason))
        tasks += [(task, task.get_loop()) for task in performing if task is not None]
        for task, loop in tasks:
            call_soon(loop, task.cancel)
        for notify in notified:
            notify()

    def drain(self, reason: str = "shutdown") -> None:
        """Ask the run to end in good order: what runs finishes, nothing else begins."""
        with self._lock:
            if self.draining is not None or self._ended:
                return
            self.draining = reason
            notified = self._on_hold[:]
        self.drop_waiting()
        for notify in notified:
            notify()

    def drop_waiting(self) -> None:
        """Send away the calls that have not begun."""
        self.places.drop_line()
        with self._lock:
            dropped = self._elsewhere[:]
        for drop in dropped:
            drop()

    def wait_elsewhere(self, drop: Callable[[], None]) -> None:
        """Have `drop` called too when calls that have not begun are sent away."""
        with self._lock:
            self._elsewhere.append(drop)

    def waits_no_more(self, drop: Callable[[], None]) -> None:
        """Undo `wait_elsewhere`."""
        with self._lock:
            if drop in self._elsewhere:
                self._elsewhere.remove(drop)

    def when_stopped(self, notify: Callable[[], None]) -> None:
        """Have `notify` called once the run is asked to stop."""
        with self._lock:
            self._on_stop.append(notify)
            stopped = self.stopping is not None
        if stopped:
            notify()

    def when_held(self, notify: Callable[[], None]) -> None:
        """Have `notify` called once nothing more may begin; undone by `forget`."""
        with self._lock:
            self._on_hold.append(notify)
            held = self.stopping is not None or self.draining is not None
        if held:
            notify()

    def forget(self, notify: Callable[[], None]) -> None:
        """Undo `when_held`."""
        with self._lock:
            if notify in self._on_hold:
                self._on_hold.remove(notify)

    def adopt(self, task: asyncio.Task[Any], loop: asyncio.AbstractEventLoop) -> None:
        """Cancel this asyncio task too when the run is asked to stop."""
        with self._lock:
            self._aio[task] = loop
        task.add_done_callback(self._disown)
        self.cancel_if_stopping(task, loop)

    def cancel_if_stopping(
        self, task: asyncio.Task[Any], loop: asyncio.AbstractEventLoop
    ) -> None:
        """Cancel an asyncio task that began while the run was asked to stop."""
        if self.stopping is not None:
            # Not at once: cancelled before its first step, it would never begin,
            # and so never say that it has ended.
            loop.call_soon(task.cancel)

    def _disown(self, task: Any) -> None:
        with self._lock:
            self._aio.pop(task, None)

    # At its end.

    @property
    def running(self) -> tuple[str, ...]:
        """Names of the tasks whose bodies are at work."""
        with self._lock:
            at_work = [call.name for call in self._open if call.at_work]
        return tuple(dict.fromkeys(at_work))

    def own_loop(self) -> asyncio.AbstractEventLoop:
        """Return this run's own loop, for asynchronous tasks of synchronous bodies."""
        with self._lock:
            if not self._loops:
                self._loops.append(LoopThread())
            return self._loops[0].loop

    def when_idle(self, notify: Callable[[], None]) -> None:
        """Have `notify` called, at least once, when no call is open."""
        with self._lock:
            self._on_idle.append(notify)
            idle = not self._open
        if idle:
            notify()

    def on_end(self, notify: Callable[[], None]) -> None:
        """Have `notify` called when the run has ended and nothing of it is at work.

        A stopped run may end before: its synchronous tasks can't be killed.
        """
        self._at_end.append(notify)

    def close(self) -> None:
        """Note that the run has ended; called once, after its last event."""
        with self._lock:
            self._ended = True
        self.when_idle(self._let_go)

    def _close(self, call: Call) -> None:
        if call.cached is not None:
            call.cached.end()
        with self._lock:
            self._open.discard(call)
            idle = [] if self._open else self._on_idle[:]
        for notify in idle:
            notify()

    def _let_go(self) -> None:
        for notify in self._at_end:
            notify()
        with self._lock:
            loops, self._loops = self._loops, []
        for loop in loops:
            loop.close()
