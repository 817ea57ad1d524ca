"""A gate that many pass and one may shut: reading goes on unless a file is exchanged.

Nothing of databases is known here.
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Gate"]

_LOOK_AGAIN_SECONDS: Final = 0.002


class Gate:
    """Open to any number of threads at once, or shut by one of them.

    A thread that is inside can neither shut the gate nor pass it once more while
    another shuts it: it would wait for itself.
    """

    def __init__(self) -> None:
        self._entry = threading.Lock()
        self._inside: set[object] = set()

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Be inside; waits while the gate is shut."""
        token = object()
        # The kernel's Stop may come at any of these, and nobody must stay inside.
        try:
            with self._entry:
                self._inside.add(token)
            yield
        finally:
            self._inside.discard(token)

    @contextmanager
    def shut(self, patience_seconds: float = math.inf) -> Iterator[None]:
        """Keep everybody out; waits until those inside have left, or for so long."""
        with self._entry:
            until = time.monotonic() + patience_seconds
            while self._inside and time.monotonic() < until:
                time.sleep(_LOOK_AGAIN_SECONDS)
            yield
