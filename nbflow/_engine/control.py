"""How a run is asked, from outside, to end early and in good order."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RunControl"]


class RunControl:
    """Pass one to `invoke` or `stream` as `control`, and drain the run from anywhere.

    What is running finishes and is recorded, no further call begins, and the run
    raises `GraphDrained`; ``invoke(None)`` continues it. Make a new one for each
    run: one that was asked stays so.

    Examples
    --------
    >>> control = RunControl()
    >>> control.request_drain("deploy")
    >>> control.drain_requested, control.drain_reason
    (True, 'deploy')
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: str | None = None
        self._watching: list[Callable[[str], object]] = []

    def request_drain(self, reason: str = "shutdown") -> None:
        """Ask the run to end early; a second request does nothing.

        Parameters
        ----------
        reason : str, default "shutdown"
            Kept in the log, and in `GraphDrained`.
        """
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            watching = self._watching[:]
        for notify in watching:
            notify(reason)

    @property
    def drain_requested(self) -> bool:
        """Whether the run was asked to end early."""
        return self._reason is not None

    @property
    def drain_reason(self) -> str | None:
        """What it was asked with, or None."""
        return self._reason

    def watch(self, notify: Callable[[str], object]) -> None:
        """Have `notify` called with the reason, at once if it was asked before."""
        with self._lock:
            self._watching.append(notify)
            reason = self._reason
        if reason is not None:
            notify(reason)

    def unwatch(self, notify: Callable[[str], object]) -> None:
        """Undo `watch`."""
        with self._lock:
            if notify in self._watching:
                self._watching.remove(notify)
