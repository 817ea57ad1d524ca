"""The frames of DuckDB's write-ahead log, as far as they are whole.

DuckDB gives up at the first frame that is broken. What stands behind it is as good
as before: rows are only ever appended, so each frame can be replayed without the
others. Of what a frame says, only this is known: whether it is a mark that DuckDB sets
when it begins to fold the log. It replays nothing behind one, since what is written
meanwhile goes to a second log.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Frame", "checksum", "is_fold_mark", "whole_frames"]

# A frame: how many bytes it has, their checksum, and they themselves.
_HEAD: Final = struct.Struct("<QQ")
_SMALLEST_BYTES: Final = 4
_FOLD_MARK: Final = b"d\x00c"  # its field 100, the kind of the entry, is 99
_WORD: Final = 2**64 - 1
# Looking for the next frame byte by byte, what looks like a length is often none.
_TRIALS_PER_BYTE: Final = 64


class Frame(NamedTuple):
    """Where a whole frame stands, its head included."""

    begin: int
    end: int


def whole_frames(log: bytes) -> list[Frame]:
    """Return every frame of a log whose checksum is right, in order.

    Parameters
    ----------
    log : bytes
        The content of the file. What stands before its first frame is skipped.

    Returns
    -------
    list of Frame
        What lies between two of them was broken.
    """
    return list(_frames(log))


def is_fold_mark(frame: bytes) -> bool:
    """Return whether a frame, its head included, says that folding began."""
    return frame.startswith(_FOLD_MARK, _HEAD.size)


def _frames(log: bytes) -> Iterator[Frame]:
    place = 0
    trials = _TRIALS_PER_BYTE * len(log)
    while place + _HEAD.size < len(log):
        size, wanted = _HEAD.unpack_from(log, place)
        begin = place + _HEAD.size
        end = begin + size
        if size >= _SMALLEST_BYTES and end <= len(log) and trials > 0:
            trials -= size
            if checksum(log[begin:end]) == wanted:
                yield Frame(place, end)
                place = end
                continue
        place += 1


def checksum(data: bytes) -> int:
    """Return the checksum that DuckDB puts before a frame or a block."""
    # DuckDB's own: each word is multiplied, what is left over goes through Murmur.
    words = len(data) // 8
    value = 5381
    for word in struct.unpack_from(f"<{words}Q", data):
        value ^= word * 0xBF58476D1CE4E5B9
    return (value & _WORD) ^ _of_rest(data[words * 8 :])


def _of_rest(data: bytes) -> int:
    if not data:
        return 0
    factor = 0xC6A4A7935BD1E995
    value = 0xE17A1465 ^ (len(data) * factor & _WORD)
    value = (value ^ int.from_bytes(data, "little")) * factor & _WORD
    value = (value ^ value >> 47) * factor & _WORD
    return value ^ value >> 47
