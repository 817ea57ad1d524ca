"""Records on their way to the pictures of their runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from nbflow.session.folding import fold, settled
from nbflow.session.following import Following
from nbflow.session.views import RunView

if TYPE_CHECKING:
    from nbflow._events import Record
    from nbflow.checkpoint.base import BaseCheckpointSaver, Head

__all__ = ["Bus", "view_of"]


class Bus:
    """The pictures that this kernel keeps up to date, one for each run it has met."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Copies of a thread share the ids of its runs.
        self._pictures: dict[tuple[str, str], Following] = {}

    def show(self, record: Record) -> None:
        """Add a record to the picture of its run, if there is one."""
        picture = self._pictures.get((record.thread_id, record.run_id))
        if picture is not None:
            picture.show((record,))

    def draw(self, thread_id: str, run_id: str, picture: Following) -> None:
        """Keep this picture up to date for a run from now on."""
        with self._lock:
            self._pictures[thread_id, run_id] = picture

    def picture_of(self, saver: BaseCheckpointSaver, head: Head) -> Following:
        """Return the picture of a thread's newest run, from its records if need be."""
        with self._lock:
            key = head.thread_id, head.run_id
            known = self._pictures.get(key)
            if known is None:
                known = Following(view_of(saver, *key))
                self._pictures[key] = known
            return known


def view_of(saver: BaseCheckpointSaver, thread_id: str, run_id: str) -> RunView:
    """Return a run as its records show it, nobody at work on it."""
    records = saver.read(thread_id, run_id=run_id)
    return settled(fold(RunView(), records))
