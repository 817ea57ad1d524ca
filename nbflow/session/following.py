"""The view of a run that follows its records, told on at most ten times a second.

A run may write ten thousand records a second, a notebook server takes a thousand
messages: records are only queued by whoever writes them, and folded when it is
time to tell. Nothing here knows who listens.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from nbflow._events import (
    Record,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunSuperseded,
)
from nbflow.session.folding import fold
from nbflow.session.views import RunView

__all__ = ["Following", "Listener"]

Listener: TypeAlias = Callable[[RunView], None]

_ENDS: Final = (RunCancelled, RunFailed, RunFinished, RunInterrupted, RunSuperseded)
_SHARE: Final = 3
"""At most one third of a thread's time goes into telling."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Ear:
    listener: Listener
    interval_seconds: float
    told: RunView | None = None
    due_at: float = 0.0


class Following:
    """The view of one run, kept up to date; its methods are for any thread.

    A thread of its own tells the listeners. It lives while there is something
    to tell and ends by itself, so nothing is left over when a run ends.

    Parameters
    ----------
    view : RunView, optional
        The run so far.

    Attributes
    ----------
    telling : threading.RLock
        Held while listeners are called. Whoever changes what a listener uses
        holds it too.
    """

    def __init__(self, view: RunView | None = None) -> None:
        self.telling: threading.RLock = threading.RLock()
        self._view = view or RunView()
        self._queue: deque[Record] = deque()
        self._ears: list[_Ear] = []
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._has_news = False
        self._closed = threading.Event()

    @property
    def view(self) -> RunView:
        """The run as of the newest record that was shown."""
        with self.telling:
            self._catch_up()
            return self._view

    @property
    def is_telling(self) -> bool:
        """Whether the telling thread is alive."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def show(self, records: Iterable[Record]) -> None:
        """Queue records of the run, in their stored order.

        Returns at once, but for the record of an end or a pause: then the
        listeners have been told of everything up to it when this returns.
        """
        added = list(records)
        self._queue.extend(added)
        if any(isinstance(record.event, _ENDS) for record in added):
            self.flush()
        elif added:
            self._tell_soon()

    def update(self, view: RunView) -> None:
        """Put another view in the place of this one, as read anew from a store."""
        with self.telling:
            self._queue.clear()
            self._view = view
        self._tell_soon()

    def listen(
        self,
        listener: Listener,
        *,
        told: RunView | None = None,
        interval_seconds: float = 0.1,
    ) -> Callable[[], None]:
        """Call a function with each new view, until the returned one is called.

        The calls come one after another, from the telling thread or from one
        that called `flush` or `show`.

        Parameters
        ----------
        listener : callable
            Takes the view. What it raises is logged and harms no one else.
        told : RunView, optional
            The view that it has already; where that is an older one by now, it is
            told before this returns. By default it has the newest.
        interval_seconds : float, default 0.1
            Shortest time between two calls, > 0; longer where they take long.
        """
        with self.telling:
            self._catch_up()
            ear = _Ear(listener, interval_seconds, told or self._view)
            self._ears.append(ear)
            self._tell(ear)

        def stop() -> None:
            with self.telling:
                if ear in self._ears:
                    self._ears.remove(ear)

        return stop

    def flush(self) -> None:
        """Tell the listeners now of all that was shown."""
        with self.telling:
            self._catch_up()
            for ear in tuple(self._ears):
                self._tell(ear)

    def close(self) -> None:
        """Tell what is left and let go of the listeners; later records are kept."""
        self.flush()
        self._closed.set()
        with self.telling:
            self._ears.clear()

    def _catch_up(self) -> None:
        batch = [self._queue.popleft() for _ in range(len(self._queue))]
        if batch:
            self._view = fold(self._view, batch)

    def _tell(self, ear: _Ear) -> None:
        view = self._view
        if ear.told is view:
            return
        ear.told = view
        began = time.monotonic()
        try:
            ear.listener(view)
        except Exception:  # noqa: BLE001 - as said below
            # A panel's own, of a comm or a page that is gone: the run does not
            # stop for it, nor do the other panels.
            _log.exception("A panel could not be updated")
        now = time.monotonic()
        ear.due_at = now + max(ear.interval_seconds, _SHARE * (now - began))

    def _tell_soon(self) -> None:
        with self._starting:
            self._has_news = True
            if self._thread is None and not self._closed.is_set():
                # In the context of the cell, so that its output goes there.
                run = contextvars.copy_context().run
                self._thread = threading.Thread(
                    target=run,
                    args=(self._keep_telling,),
                    name="nbflow-panel",
                    daemon=True,
                )
                self._thread.start()

    def _keep_telling(self) -> None:
        wait_seconds = 0.0
        while True:
            with self._starting:
                if self._closed.is_set() or not (self._has_news or wait_seconds):
                    self._thread = None
                    return
                self._has_news = False
            self._closed.wait(wait_seconds)
            wait_seconds = self._tell_those_due()

    def _tell_those_due(self) -> float:
        """Return after how many seconds to look again; 0 if all are told."""
        with self.telling:
            self._catch_up()
            now = time.monotonic()
            for ear in tuple(self._ears):
                if ear.due_at <= now:
                    self._tell(ear)
            late = [ear.due_at for ear in self._ears if ear.told is not self._view]
            if not late:
                return 0.0
            # News may come for one who is due sooner than those that wait.
            shortest = min(ear.interval_seconds for ear in self._ears)
        return max(0.001, min(shortest, min(late) - time.monotonic()))
