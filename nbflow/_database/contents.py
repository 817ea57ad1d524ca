"""What stands in a file under namespaces and keys: a fold of the log, kept in memory.

Of each item it holds what a look-up asks for, never its value or its vectors: those
are read when they are wanted. One object serves everybody who has the file open.
What items are for, and what is done with their values, is not known here.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

import msgspec

from nbflow._database.item_reads import read_column
from nbflow._database.item_views import KEPT_ENTRIES, KEPT_ITEMS
from nbflow._database.payloads import BLOB_ABOVE_BYTES
from nbflow._database.reads import read_rows
from nbflow._database.rows import pack
from nbflow._database.writer import Told
from nbflow._events import Record
from nbflow._values import UNSET, Payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nbflow._database.database import Database
    from nbflow._database.item_reads import Column
    from nbflow._events import Event

__all__ = ["CacheContents", "Change", "Contents", "Held", "StoreContents", "kept"]

Namespace: TypeAlias = tuple[str, ...]
_Read = TypeVar("_Read")


# There may be a million, in no cycle: the garbage collector passes them by.
class Held(msgspec.Struct, eq=False, gc=False):
    """What is held of an item or of an entry of the cache; times as in its event.

    Attributes
    ----------
    namespace : tuple of str
        Where it stands.
    key : str
        Its name there.
    expires_at : int or None
        From when on it is gone.
    ttl_seconds : float or None
        How long it is kept after it was put or read.
    noted_until : int or None
        Until when the log says that it is kept, which may be a little earlier.
    place, created_at, dims : int
        As in `ItemPut`.
    seq : int
        Where its record stands in the log; 0 until that is known.
    """

    namespace: Namespace
    key: str
    expires_at: int | None
    ttl_seconds: float | None = None
    noted_until: int | None = None
    place: int = 0
    created_at: int = 0
    dims: int = 0
    seq: int = 0

    def is_live(self, now: int) -> bool:
        """Return whether its time is not over."""
        return self.expires_at is None or now < self.expires_at


class Change(NamedTuple):
    """An event of the file's contents, and what is held of it."""

    event: Event
    held: Held | None = None


class Contents(ABC):
    """What stands in a file, by namespace and key.

    Everything but `fetch` is called while it is opened, and by one thread at a time.

    Attributes
    ----------
    spaces : dict
        What is held, by namespace and key; in the order of first puts.
    swept_at : int
        When what is gone was last forgotten, in microseconds since 1970-01-01 UTC.
    """

    def __init__(self, _opened_at: int = 0) -> None:
        self.spaces: dict[Namespace, dict[str, Held]] = {}
        self.swept_at: int = 0
        self._lock = threading.Lock()
        self._is_loaded = False
        self._unplaced: dict[int, Held] = {}

    # The writer's follower, called under its lock.

    def follow(self, seq: int, record: Record) -> None:
        """Note where a record stands in the log."""
        if self._unplaced:
            held = self._unplaced.pop(id(record.event), None)
            if held is not None:
                held.seq = seq

    def restart(self, _seq: int) -> None:
        """Have it read anew: in the new file rows keep their `seq`, but some go."""
        self._is_loaded = False

    # For those who use it.

    @contextmanager
    def opened(self, database: Database) -> Iterator[None]:
        """Keep others out, and read from the file what stands in it at first use."""
        with self._lock:
            while not self._is_loaded:
                database.writer.flush()
                self._is_loaded = True  # Before reading: the file may be exchanged.
                self._load(database)
            yield

    def held(self, namespace: Namespace, key: str) -> Held | None:
        """Return what is held of an item, or None."""
        return self.spaces.get(namespace, {}).get(key)

    def keep(self, held: Held) -> None:
        """Hold an item, in place of the one that is held."""
        self.spaces.setdefault(held.namespace, {})[held.key] = held

    def drop(self, namespace: Namespace, key: str) -> None:
        """Hold an item no longer; where none is held, nothing happens."""
        entries = self.spaces.get(namespace, {})
        entries.pop(key, None)
        if not entries:
            self.spaces.pop(namespace, None)

    def sweep(self, now: int, every: int) -> None:
        """Forget what is gone, if that was not done for `every` microseconds."""
        if now - self.swept_at < every:
            return
        self.swept_at = now
        for namespace, entries in list(self.spaces.items()):
            live = {key: e for key, e in entries.items() if e.is_live(now)}
            if live:
                self.spaces[namespace] = live
            else:
                del self.spaces[namespace]

    def append(self, database: Database, now: int, changes: Sequence[Change]) -> Told:
        """Queue events at the end of the log; all of them are written or none.

        Returns
        -------
        Told
            Waits until they would survive a power cut.

        Raises
        ------
        UnstorableValueError
            An event would not come back equal; nothing was queued.
        StoreClosedError
            Nothing can be written any more.
        """
        payloads = database.payloads
        rows = [pack(Record("", "", now, event), payloads) for event, _ in changes]
        done = Told()
        if not rows:
            done.tell()
            return done

        # Before they are queued: the writer may take them at once. The queue keeps
        # the events alive, so that no other one has the same id.
        unplaced = {id(event): held for event, held in changes if held is not None}
        self._unplaced.update(unplaced)
        try:
            database.writer.append(rows, done.tell)
        except BaseException:
            for key in unplaced:
                self._unplaced.pop(key, None)
            raise
        return done

    def _load(self, database: Database) -> None:
        try:
            stored = list(self._stored(database))
        except BaseException:
            self._is_loaded = False
            raise
        self.spaces.clear()
        for held in stored:
            self.keep(held)

    @abstractmethod
    def _stored(self, database: Database) -> Iterator[Held]:
        """Read what is held of everything that stands in the file."""

    @staticmethod
    def fetch(database: Database, wanted: Iterable[Held]) -> dict[int, Record]:
        """Return the records of items by their `seq`; see `nbflow._database.reads`.

        What was replaced or deleted since, and is not in the file any more because
        of a compaction, is left out.
        """
        return _written(database, wanted, partial(read_rows, database))

    @staticmethod
    def data(
        database: Database, wanted: Iterable[Held], column: Column
    ) -> dict[int, bytes]:
        """Return the bytes of one column of items by their `seq`; else as `fetch`."""
        return _written(database, wanted, partial(read_column, database, column))


def kept(database: Database, data: bytes) -> Payload:
    """Return an encoded value for an event; a large one is written into a file now.

    Raises
    ------
    StoreUnavailableError
        There is no room for it.
    """
    if len(data) <= BLOB_ABOVE_BYTES:
        return Payload(data)
    return database.payloads.keep(lambda sink: sink(data), UNSET)


def _written(
    database: Database,
    wanted: Iterable[Held],
    read: Callable[[list[int]], dict[int, _Read]],
) -> dict[int, _Read]:
    asked = list(wanted)
    if any(held.seq == 0 for held in asked):
        database.writer.flush()
    found = read([held.seq for held in asked])
    late = [held.seq for held in asked if held.seq not in found]
    if late:  # What another thread puts at this moment is not written yet.
        database.writer.flush()
        found |= read(late)
    return found


class StoreContents(Contents):
    """The items of the store.

    Attributes
    ----------
    places : int
        How many first puts there were.
    """

    def __init__(self, _opened_at: int = 0) -> None:
        super().__init__()
        self.places: int = 0

    def _stored(self, database: Database) -> Iterator[Held]:
        shared: dict[Namespace, Namespace] = {}
        found: list[Held] = []
        for seq, put, newest in database.fetch(_STORED_ITEMS):
            item = _read_item(put)
            until = item.expires_at if newest is None else _read_end(newest).expires_at
            namespace = shared.setdefault(item.namespace, item.namespace)
            held = Held(
                namespace,
                item.key,
                until,
                item.ttl_seconds,
                until,
                item.place,
                item.created_at,
                item.dims,
                seq,
            )
            found.append(held)
            self.places = max(self.places, item.place)
        found.sort(key=lambda held: held.place)
        yield from found


class CacheContents(Contents):
    """The entries of the cache."""

    def _stored(self, database: Database) -> Iterator[Held]:
        shared: dict[Namespace, Namespace] = {}
        for seq, detail in database.fetch(_STORED_ENTRIES):
            entry = _read_entry(detail)
            namespace = shared.setdefault(entry.namespace, entry.namespace)
            yield Held(namespace, entry.key, entry.expires_at, seq=seq)


class _Item(msgspec.Struct):
    namespace: Namespace
    key: str
    place: int
    created_at: int
    dims: int
    ttl_seconds: float | None = None
    expires_at: int | None = None


class _End(msgspec.Struct):
    expires_at: int | None = None


class _Entry(msgspec.Struct):
    namespace: Namespace
    key: str
    expires_at: int | None = None


_read_item: Final = msgspec.json.Decoder(_Item).decode
_read_end: Final = msgspec.json.Decoder(_End).decode
_read_entry: Final = msgspec.json.Decoder(_Entry).decode
_STORED_ITEMS: Final = f"""
SELECT seq, put, CASE WHEN newest <> put THEN newest END FROM ({KEPT_ITEMS})
"""  # noqa: S608 - our own constants
_STORED_ENTRIES: Final = f"SELECT seq, detail FROM ({KEPT_ENTRIES})"  # noqa: S608 - our own constants
