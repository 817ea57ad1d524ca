"""Values on their way into a store, in a file without a name.

So that a thread of any length can be brought in at once, and only the few values that
are at work take up memory. The file goes with the last value that stands in it.
"""

from __future__ import annotations

import mmap
import tempfile
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from nbflow._values import SpooledPayload
from nbflow.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Spool"]


class Spool:
    """Where values wait.

    Raises
    ------
    StoreUnavailableError
        There is no folder for such a file.
    """

    def __init__(self) -> None:
        self._file: Any = _with_room(tempfile.TemporaryFile)
        weakref.finalize(self, self._file.close)
        self._end = 0

    def put(self, data: bytes) -> SpooledPayload:
        """Keep a value.

        Raises
        ------
        StoreUnavailableError
            There is no room for it.
        """
        begin, self._end = self._end, self._end + len(data)
        _with_room(partial(self._file.write, data))
        return SpooledPayload(load=partial(self._read, begin, len(data)))

    def _read(self, begin: int, size: int) -> bytes:
        if not size:
            return b""
        _with_room(self._file.flush)
        # No seek: a forked child would move its parent's place too.
        number = self._file.fileno()
        with mmap.mmap(number, 0, access=mmap.ACCESS_READ) as held:
            return held[begin : begin + size]


def _with_room(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except OSError as error:
        raise StoreUnavailableError(
            "What is to be imported can't be put aside in "
            f"{tempfile.gettempdir()!r}: {error.strerror}.\n"
            "Make room there, or name another folder: TMPDIR."
        ) from error
