"""Vectors of a file as one matrix, and which items are the nearest by it.

A row of the log never changes, so what was read of one stays true: whatever is put,
replaced or deleted only decides which rows are asked for. NumPy holds the matrix;
where it is not installed, nothing is kept. How vectors are read is not known here.
"""

from __future__ import annotations

import threading
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from nbflow.serde.codec import library
from nbflow.store.vectors import cosines_of_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow._database.contents import Held
    from nbflow._events import Record
    from nbflow.store.vectors import Vector

__all__ = ["Matrix"]

KEPT_BYTES: Final = 256_000_000
"""How much of vectors is kept in memory for a file; the others are read each time."""

BLOCK_BYTES: Final = 16_000_000

_Array: TypeAlias = Any
_ReadVectors: TypeAlias = "Callable[[Sequence[Held]], dict[int, bytes]]"


class _Rows(NamedTuple):
    """What is kept of one length: for each `seq`, in order, its rows of the matrix."""

    seqs: _Array
    begins: _Array
    counts: _Array
    blocks: list[_Array]
    size: int

    def places(self, numpy: Any, asked: Sequence[Held]) -> tuple[_Array, _Array]:
        """Return where items stand in `seqs`, and whether they stand there."""
        seqs = numpy.fromiter(map(attrgetter("seq"), asked), "i8", len(asked))
        places = self.seqs.searchsorted(seqs)
        # Where all that are kept come before it, it would stand behind the last one.
        places[places == len(self.seqs)] = -1
        is_kept = self.seqs[places] == seqs if len(self.seqs) else seqs < 0
        return places, is_kept

    def nearness(self, numpy: Any, query: Vector, places: _Array) -> _Array:
        """Return how near items are, by their places: as their nearest vectors."""
        left, parts = self.size, []
        for block in self.blocks:
            parts.append(cosines_of_rows(numpy, query, block[:left]))
            left -= len(parts[-1])
        counts = self.counts[places]
        first = counts.cumsum() - counts
        rows = numpy.repeat(self.begins[places] - first, counts)
        rows += numpy.arange(len(rows))
        return numpy.maximum.reduceat(numpy.concatenate(parts)[rows], first)


class Matrix:
    """The vectors that searches asked for, kept for everybody who has the file open.

    It follows the writer only to hear that the file was exchanged: what was deleted
    for good is not to stay here.
    """

    def __init__(self, _opened_at: int = 0) -> None:
        self._lock = threading.Lock()
        self._rows: dict[int, _Rows] = {}
        self._is_outdated = False

    def follow(self, seq: int, record: Record) -> None:
        """Take no note: a vector is read when it is asked for."""

    def restart(self, _seq: int) -> None:
        """Have everything forgotten before the next search."""
        self._is_outdated = True  # No lock: who holds it may wait for the writer.

    def nearest(
        self, among: Sequence[Held], query: Vector, most: int, read: _ReadVectors
    ) -> tuple[list[tuple[Held, float]], list[Held]]:
        """Return the nearest of those items that are kept, and the others.

        Parameters
        ----------
        among : sequence of Held
            Items with vectors of the query's length.
        query : array of float
            From an `Index`.
        most : int
            How many are wanted.
        read : callable
            Returns the packed vectors of items by their `seq`.

        Returns
        -------
        nearest : list of (Held, float)
            So many, in any order, and all that are as near as the last of them.
        rest : list of Held
            Those for which there is no room, and those that are gone.
        """
        try:
            numpy = library("numpy")
        except ImportError:
            return [], list(among)
        with self._lock:
            kept, places, is_kept = self._with(numpy, among, len(query), read)
        rest = [among[at] for at in (~is_kept).nonzero()[0].tolist()]
        places = places[is_kept]
        if not len(places):
            return [], rest
        near = kept.nearness(numpy, query, places)
        found = is_kept.nonzero()[0]
        if (others := len(near) - max(most, 1)) > 0:
            is_nearest = near >= numpy.partition(near, others)[others]
            near, found = near[is_nearest], found[is_nearest]
        items = [among[at] for at in found.tolist()]
        return list(zip(items, near.tolist(), strict=True)), rest

    def _with(
        self, numpy: Any, asked: Sequence[Held], dims: int, read: _ReadVectors
    ) -> tuple[_Rows, _Array, _Array]:
        """Return what is kept, with as much of what is asked for as has room."""
        if self._is_outdated:
            self._is_outdated = False
            self._rows.clear()
        kept = self._rows.get(dims) or _nothing(numpy)
        places, is_kept = kept.places(numpy, asked)
        if is_kept.all():
            return kept, places, is_kept
        width = 4 * dims
        unused = self._kept_bytes - width * int(kept.counts[places[is_kept]].sum())
        missing = [asked[at] for at in (~is_kept).nonzero()[0].tolist()]
        if unused > KEPT_BYTES // 2 and width * len(missing) > self._free_bytes:
            self._rows.clear()
            kept, missing = _nothing(numpy), list(asked)
        step = max(1, BLOCK_BYTES // width)
        for at in range(0, len(missing), step):
            part = missing[at : at + min(step, self._free_bytes // width)]
            if not part:
                break
            kept = self._rows[dims] = _added(numpy, kept, dims, read(part))
        return kept, *kept.places(numpy, asked)

    @property
    def _kept_bytes(self) -> int:
        return sum(4 * dims * rows.size for dims, rows in self._rows.items())

    @property
    def _free_bytes(self) -> int:
        return max(0, KEPT_BYTES - self._kept_bytes)


def _nothing(numpy: Any) -> _Rows:
    none = numpy.zeros(0, "i8")
    return _Rows(none, none, none, [], 0)


def _added(numpy: Any, kept: _Rows, dims: int, found: dict[int, bytes]) -> _Rows:
    width = 4 * dims
    new = {seq: data for seq, data in found.items() if data}
    counts = numpy.fromiter((len(data) // width for data in new.values()), "i8")
    begins = kept.size + counts.cumsum() - counts
    seqs = numpy.concatenate([kept.seqs, numpy.fromiter(new, "i8", len(new))])
    order = seqs.argsort()
    rows = numpy.frombuffer(b"".join(new.values()), "<f4").reshape(-1, dims)
    _put(numpy, kept.blocks, kept.size, rows)
    return _Rows(
        seqs[order],
        numpy.concatenate([kept.begins, begins])[order],
        numpy.concatenate([kept.counts, counts])[order],
        kept.blocks,
        kept.size + len(rows),
    )


def _put(numpy: Any, blocks: list[_Array], at: int, rows: _Array) -> None:
    """Write rows behind the last one: a search may be reading those before."""
    step = max(1, BLOCK_BYTES // rows[:1].nbytes) if len(rows) else 1
    while len(rows):
        place = at % step
        if not place:
            blocks.append(numpy.empty((step, rows.shape[1]), "f4"))
        part = rows[: step - place]
        blocks[-1][place : place + len(part)] = part
        at, rows = at + len(part), rows[len(part) :]
