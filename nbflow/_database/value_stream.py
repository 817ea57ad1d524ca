"""Values of one thread as one stream of zstd, and back from a stream of a stranger.

What a thread saves again and again stands in it nearly once: the compressor looks
back over everything since, as far as `WINDOW_BYTES`. A reader needs as much memory as
that, and room for one value. What the values mean is not known here.
"""

from __future__ import annotations

import hashlib
from typing import IO, TYPE_CHECKING, Final, NamedTuple

import zstandard

from nbflow.errors import InvalidBundleError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Stretch", "ValueReader", "ValueWriter"]

WINDOW_BYTES: Final = 64 << 20
"""Some of the largest values that a store tells by their differences; `zstd -d` takes
twice as much without being told."""

REPEATED_ABOVE_BYTES: Final = 256 << 10
"""A larger value that comes again stands in the stream once, however far away."""

_PIECE_BYTES: Final = 1 << 20
_PARAMETERS: Final = zstandard.ZstdCompressionParameters.from_level(
    3, window_log=WINDOW_BYTES.bit_length() - 1, enable_ldm=True
)


class Stretch(NamedTuple):
    """Where a value stands among the uncompressed bytes of all.

    Attributes
    ----------
    begin : int
        Its first byte, from 0.
    size_bytes : int
        How many there are.
    """

    begin: int
    size_bytes: int


class ValueWriter:
    """Writes values one after the other; `close` has to be called.

    Parameters
    ----------
    write : callable
        Takes what the stream consists of, piece by piece.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        compressor = zstandard.ZstdCompressor(compression_params=_PARAMETERS)
        self._stream = compressor.compressobj()
        self._known: dict[bytes, Stretch] = {}
        self._end = 0

    def add(self, data: bytes) -> Stretch:
        """Write a value, and return where it stands."""
        if len(data) <= REPEATED_ABOVE_BYTES:
            return self._added(data)
        digest = hashlib.sha256(data).digest()
        if digest not in self._known:
            self._known[digest] = self._added(data)
        return self._known[digest]

    def close(self) -> None:
        """Write what is held back."""
        self._write(self._stream.flush())

    def _added(self, data: bytes) -> Stretch:
        stretch = Stretch(self._end, len(data))
        self._write(self._stream.compress(data))
        self._end += len(data)
        return stretch


class ValueReader:
    """Reads values in the order in which they stand; everything is doubted.

    Parameters
    ----------
    source : file
        The stream; it may be anything.
    limit_bytes : int
        How many bytes the values may hold in all.
    """

    def __init__(self, source: IO[bytes], limit_bytes: int) -> None:
        decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)
        self._stream = decompressor.stream_reader(source)
        self._limit_bytes = limit_bytes
        self._end = 0

    def read(self, stretch: Stretch) -> bytes:
        """Return the value that stands next.

        Raises
        ------
        InvalidBundleError
            It stands elsewhere, is not there, or makes them too many bytes.
        """
        begin, size = stretch
        if begin != self._end or size < 0:
            raise InvalidBundleError(
                f"a value at byte {begin} does not follow the one before, "
                f"which ends at {self._end}"
            )
        self._end += size
        if self._end > self._limit_bytes:
            raise InvalidBundleError.too_large(
                "its values take at least", self._end, self._limit_bytes
            )
        data = self._taken(size)
        if len(data) < size:
            raise InvalidBundleError("its values end too early")
        return data

    def finish(self) -> None:
        """Raise InvalidBundleError if there is more than was read."""
        if self._taken(1):
            raise InvalidBundleError("it holds values that no row has")

    def _taken(self, size: int) -> bytes:
        pieces: list[bytes] = []
        try:
            # What is only said to be there gets no room.
            while size and (piece := self._stream.read(min(size, _PIECE_BYTES))):
                pieces.append(piece)
                size -= len(piece)
        except zstandard.ZstdError as error:
            raise InvalidBundleError(f"its values can't be read ({error})") from error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
