"""A value as its difference to an earlier one: what they share is not repeated.

Values of a thread mostly grow at their end or lose their beginning. So long shared
stretches are found by a few looks and compared at the speed of memory, and only the
rest is compressed. A dictionary of zstd finds more, but reads the whole earlier value
first: ten times as long for a megabyte. Nothing is known here of rows.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import msgspec
import zstandard

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LARGEST_BYTES", "apply", "difference", "unpacked"]

LARGEST_BYTES: Final = 8 << 20
"""A larger value is no difference to another one."""

_LOOK_BYTES: Final = 32
_FARTHEST_SKIP: Final = 4096
_MISSES: Final = 12
# What a value begins with mostly stands at the earlier one's beginning, behind a
# length that has changed; what follows something found is looked for near by, too.
_NEAR_MISSES: Final = 2
_NEAR_BYTES: Final = 64 << 10
_COMPARED_BYTES: Final = 256 << 10

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[list[int], bytes, int]).decode


def difference(data: bytes, base: bytes) -> bytes:
    """Return what makes `data` of `base`; see `apply`.

    Examples
    --------
    >>> base = b"what was said before. " * 100
    >>> len(difference(base + b"And one more.", base)) < 100
    True
    """
    stretches: list[int] = []
    rest: list[bytes] = []
    done = 0
    for at, start, length in _shared_stretches(data, base):
        rest.append(data[done:at])
        stretches += (at - done, start, length)
        done = at + length
    rest.append(data[done:])
    packed = zstandard.compress(b"".join(rest), 3)
    return _encode((stretches, packed, zlib.crc32(data)))


def apply(base: bytes, delta: bytes) -> bytes:
    """Return what a difference makes of the earlier value.

    Raises
    ------
    ValueError
        It is no difference, or one to another value.
    """
    try:
        stretches, packed, checksum = _decode(delta)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    rest = unpacked(packed, LARGEST_BYTES)
    pieces: list[bytes] = []
    done = size = 0
    numbers = iter(stretches)
    for new, start, length in zip(numbers, numbers, numbers, strict=True):
        pieces += (rest[done : done + new], base[start : start + length])
        done += new
        size += len(pieces[-2]) + len(pieces[-1])
        if size > LARGEST_BYTES:
            raise ValueError("it makes more of a value than was ever stored so")
    data = b"".join((*pieces, rest[done:]))
    if zlib.crc32(data) != checksum:
        raise ValueError("it is a difference to another value")
    return data


def unpacked(data: bytes, most: int) -> bytes:
    """Return what zstd made smaller.

    Parameters
    ----------
    data : bytes
        One whole frame, which says how much it holds.
    most : int
        How many bytes it may hold: it is asked before there is room for them.

    Raises
    ------
    ValueError
        It is no such frame, or holds more.
    """
    try:
        size = zstandard.frame_content_size(data)
        if size > most:
            raise ValueError(f"it says that it holds {size:,} bytes")
        return zstandard.decompress(data)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


def _shared_stretches(data: bytes, base: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield where `data` has what `base` has, from where there, and how much."""
    at = done = near = misses = 0
    skip = _LOOK_BYTES
    while at + _LOOK_BYTES <= len(data) and misses < _MISSES:
        is_lost = near == 0 and misses >= _NEAR_MISSES
        reach = len(base) if is_lost else _NEAR_BYTES
        start = base.find(data[at : at + _LOOK_BYTES], near, near + reach)
        if start < 0:
            misses += 1
            at += skip
            skip = min(2 * skip, _FARTHEST_SKIP)
            continue
        before = _shared_before(data, at, base, start, min(at - done, start - near))
        length = before + _shared_from(data, at, base, start)
        yield at - before, start - before, length
        at = done = at - before + length
        near = start - before + length
        skip = _LOOK_BYTES


def _shared_from(data: bytes, at: int, base: bytes, start: int) -> int:
    """Return how many bytes are alike from two places on, or a little less."""
    most = min(len(data) - at, len(base) - start)
    length, size, grows = 0, _LOOK_BYTES, True
    while size and length < most:
        end = min(length + size, most)
        if data[at + length : at + end] == base[start + length : start + end]:
            length = end
            size = min(2 * size, _COMPARED_BYTES) if grows else size // 2
        else:
            size, grows = (end - length) // 2, False
    return length


def _shared_before(data: bytes, at: int, base: bytes, start: int, most: int) -> int:
    length = 0
    while length < most and data[at - length - 1] == base[start - length - 1]:
        length += 1
    return length
