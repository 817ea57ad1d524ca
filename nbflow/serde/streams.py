"""Large parts of a value that are written piece by piece, without a copy of the whole.

The tree of the value goes first and refers to them by number; their bytes follow it.
Which values have such parts is the codecs' business, and where the pieces go is the
caller's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct

from nbflow.errors import UnreadableValueError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "MARK",
    "STREAM_FROM_BYTES",
    "Content",
    "Sink",
    "Stream",
    "split",
    "write_streams",
]

Sink: TypeAlias = Callable[[bytes | memoryview], object]
"""Takes the next piece; it must not keep it."""

Content: TypeAlias = Callable[[Sink], object]
"""Hands a value to a sink, piece by piece."""

STREAM_FROM_BYTES: Final = 1 << 20
"""Parts of at least so many bytes stand behind the tree."""

MARK: Final = b"\xc1"
"""What a split value begins with, and no other: MessagePack has no such byte."""

_LENGTH: Final = struct.Struct(">Q")


class Stream(Struct, frozen=True):
    """A part that can write itself.

    Attributes
    ----------
    size_bytes : int
        How much `write` writes.
    write : callable
        Hands the part to a sink, piece by piece. Until then the value must not
        change.
    """

    size_bytes: int
    write: Callable[[Sink], object]


def write_streams(tree: bytes, streams: Sequence[Stream], sink: Sink) -> None:
    """Write a tree and the parts that it refers to."""
    sizes = (len(tree), *(stream.size_bytes for stream in streams))
    sink(MARK + b"".join(map(_LENGTH.pack, (len(streams), *sizes))) + tree)
    for stream in streams:
        stream.write(sink)


def split(data: bytes) -> list[memoryview]:
    """Return the tree and the parts behind it, none of them copied.

    Parameters
    ----------
    data : bytes
        What begins with `MARK`.

    Raises
    ------
    UnreadableValueError
        The parts are not what the beginning says.
    """
    view = memoryview(data)
    try:
        (count,) = _LENGTH.unpack_from(view, 1)
        if count > len(view) // _LENGTH.size:
            raise UnreadableValueError("they lack parts of the value")
        start = 1 + _LENGTH.size * (count + 2)
        sizes = struct.unpack_from(f">{count + 1}Q", view, 1 + _LENGTH.size)
    except struct.error as error:
        raise UnreadableValueError("they end too soon") from error
    if start + sum(sizes) != len(view):
        raise UnreadableValueError("they are not as long as they say")
    parts = []
    for size in sizes:
        parts.append(view[start : start + size])
        start += size
    return parts
