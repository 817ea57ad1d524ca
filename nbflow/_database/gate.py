"""A gate that many pass and one may shut: reading goes on unless a file is exchanged.

Nothing of databases is known here.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Gate"]


class Gate:
    """Open to any number of threads at once, or shut by one of them.

    A thread that is inside can neither shut the gate nor pass it once more while
    another shuts it: it would wait for itself.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._is_shut = False

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Be inside; waits while the gate is shut."""
        with self._changed:
            while self._is_shut:
                self._changed.wait()
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                if not self._inside:
                    self._changed.notify_all()

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Keep everybody out; waits until those inside have left."""
        with self._changed:
            while self._is_shut:
                self._changed.wait()
            self._is_shut = True
            while self._inside:
                self._changed.wait()
        try:
            yield
        finally:
            with self._changed:
                self._is_shut = False
                self._changed.notify_all()
