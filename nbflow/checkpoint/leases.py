"""Who works on which thread of which log, in this process.

A log is open in one process only (see the savers), so this is all there is.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from nbflow.errors import ThreadBusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

__all__ = ["Lease", "held", "take_lease"]


class Lease(Struct, frozen=True, eq=False):
    """One run's right to a thread; `release` ends it.

    Attributes
    ----------
    thread_id, run_id : str
        What is held, and by which run.
    describe : callable
        Says who holds it, for the error of the next one.
    since : float
        POSIX timestamp.
    """

    scope: Hashable
    thread_id: str
    run_id: str
    describe: Callable[[], str]
    since: float

    def release(self) -> None:
        """Let the thread go; a second call does nothing."""
        with _lock:
            if _held.get((self.scope, self.thread_id)) is self:
                del _held[self.scope, self.thread_id]


_lock = threading.Lock()
_held: dict[tuple[Hashable, str], Lease] = {}


def take_lease(lease: Lease, *, force: bool = False) -> None:
    """Hold a thread for a run.

    Parameters
    ----------
    force : bool, default False
        Take it from whoever holds it: for a stopped run whose task never ends.

    Raises
    ------
    ThreadBusyError
        Another run holds it.
    """
    key = (lease.scope, lease.thread_id)
    with _lock:
        if force:
            _held[key] = lease
        holder = _held.setdefault(key, lease)
    if holder is not lease:
        since = datetime.fromtimestamp(holder.since).astimezone().strftime("%H:%M:%S")
        raise ThreadBusyError(
            lease.thread_id, holder.run_id, f"{holder.describe()}, since {since}"
        )


@contextmanager
def held(
    scope: Hashable, thread_id: str, what: str, *, run_id: str = ""
) -> Iterator[None]:
    """Hold a thread for a short while, such as a change by hand.

    Parameters
    ----------
    scope : hashable
        The saver's.
    thread_id : str
        The thread.
    what : str
        Who holds it, for the error of the next one.
    run_id : str, default ""
        The run that comes of it, if one does.

    Raises
    ------
    ThreadBusyError
        A run holds it.
    """
    lease = Lease(scope, thread_id, run_id, lambda: what, time.time())
    take_lease(lease)
    try:
        yield
    finally:
        lease.release()
