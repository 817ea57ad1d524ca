"""What a search finds among the items of a file, read piece by piece.

At no time is more than a few thousand values in memory; of vectors, those that
`Matrix` keeps. What is held of items, and how they are put, is not known here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from heapq import nsmallest
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from nbflow._events import ItemPut
from nbflow.serde import decode
from nbflow.store.base import Item, SearchItem
from nbflow.store.matching import is_taken
from nbflow.store.matrix import Matrix
from nbflow.store.vectors import cosines_of_packed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nbflow._database.contents import Held, StoreContents
    from nbflow._database.database import Database
    from nbflow._events import Record
    from nbflow.store.vectors import Vector

__all__ = ["Finder", "Ranked"]

Ranked: TypeAlias = "tuple[Held, float | None]"
"""An item and how near it is; None where that can't be said."""

FIRST_READ: Final = 64
MOST_READ: Final = 4_096
MOST_VECTOR_BYTES: Final = 16_000_000

_place: Final = attrgetter("place")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Finder:
    """Reads items of a file.

    Parameters
    ----------
    database : Database
        The open file.
    contents : StoreContents
        What stands in it.
    """

    def __init__(self, database: Database, contents: StoreContents) -> None:
        self._database = database
        self._contents = contents
        self._matrix = cast("Matrix", database.writer.followed(Matrix))

    def items(self, wanted: Iterable[Held]) -> dict[int, Item]:
        """Return items by their `seq`.

        What was replaced since it was looked up may be left out.

        Raises
        ------
        UnregisteredTypeError
            A value is of a class that is not known in this process.
        """
        asked = list(wanted)
        found = self._contents.fetch(self._database, asked)
        held = {each.seq: each for each in asked}
        return {seq: Item(*_fields(held[seq], found[seq])) for seq in found}

    def page(self, ranked: Sequence[Ranked]) -> list[SearchItem]:
        """Return what was found; errors as `items`."""
        found = self._contents.fetch(self._database, [held for held, _ in ranked])
        return [
            SearchItem(*_fields(held, found[held.seq]), score)
            for held, score in ranked
            if held.seq in found
        ]

    def taken(self, among: Sequence[Held], wanted: dict[str, Any]) -> Iterator[Held]:
        """Return those whose values a filter takes, in order."""
        at, size = 0, FIRST_READ
        while part := among[at : at + size]:
            found = self._contents.data(self._database, part, "value")
            for held in part:
                data = found.get(held.seq)
                # A class that is not known here is nothing that a filter asks for.
                if data and is_taken(decode(data, opaque=True), wanted):
                    yield held
            at, size = at + size, min(2 * size, MOST_READ)

    def ranked(self, among: Sequence[Held], query: Vector, most: int) -> list[Ranked]:
        """Return at most so many, the nearest first, those without vectors last.

        Those that are as near as each other are in the order of their first puts.
        """
        dims = len(query)
        wanted = [held for held in among if held.dims == dims]
        near, rest = self._matrix.nearest(wanted, query, most, self._vectors)
        near.extend(self._scored(rest, query))
        near.sort(key=lambda scored: (-scored[1], scored[0].place))
        bare = (held for held in among if held.dims != dims)
        last = nsmallest(most - len(near), bare, key=_place)
        return [*near[:most], *((held, None) for held in last)]

    def _vectors(self, among: Sequence[Held]) -> dict[int, bytes]:
        return self._contents.data(self._database, among, "extra")

    def _scored(
        self, among: Sequence[Held], query: Vector
    ) -> Iterator[tuple[Held, float]]:
        width = 4 * len(query)
        size = max(1, MOST_VECTOR_BYTES // width)
        for at in range(0, len(among), size):
            part = among[at : at + size]
            found = self._vectors(part)
            there = [held for held in part if held.seq in found]
            vectors = [found[held.seq] for held in there]
            near = cosines_of_packed(query, b"".join(vectors))
            if len(near) == len(there):
                yield from zip(there, near, strict=True)
                continue
            rest = iter(near)
            for held, own in zip(there, vectors, strict=True):
                yield held, max(islice(rest, len(own) // width))


def _fields(
    held: Held, record: Record
) -> tuple[tuple[str, ...], str, dict[str, Any], datetime, datetime]:
    return (
        held.namespace,
        held.key,
        decode(_item_of(record).value.data or b""),
        _EPOCH + timedelta(microseconds=held.created_at),
        _EPOCH + timedelta(microseconds=record.at),
    )


def _item_of(record: Record) -> ItemPut:
    assert isinstance(record.event, ItemPut)  # noqa: S101 - what is held is of nothing else
    return record.event
