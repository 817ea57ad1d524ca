"""A store that keeps its items in a DuckDB file, beside the runs of a saver.

It knows the contract of a store. The file, the rows and what is held of them in
memory are `nbflow._database`'s.
"""

from __future__ import annotations

import time
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from nbflow._database.contents import Change, Held, StoreContents, kept
from nbflow._database.share import FileUser
from nbflow._events import ItemDeleted, ItemPut, ItemTouched
from nbflow._values import Payload
from nbflow.errors import StoreDamagedError
from nbflow.store.base import (
    BaseStore,
    GetOp,
    ListNamespacesOp,
    SearchOp,
    checked,
    checked_ttl_config,
)
from nbflow.store.drafts import drafts_of, query_vectors
from nbflow.store.finding import Finder
from nbflow.store.matching import fits
from nbflow.store.vectors import index_of, packed

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from nbflow._database.writer import Told
    from nbflow.store.base import IndexConfig, Op, Result, SearchItem, TTLConfig
    from nbflow.store.drafts import Draft
    from nbflow.store.finding import Ranked
    from nbflow.store.vectors import Vector

__all__ = ["DuckDBStore"]

SWEEP_MINUTES: Final = 5.0
"""How long what is gone may take up room, unless a configuration says otherwise."""
TOUCH_SHARE: Final = 0.01
"""The part of its time by which an item may be gone too early after a restart.

Each read lets its time run anew; one that gains less is not worth a row.
"""

_Look: TypeAlias = "Held | list[Held] | tuple[tuple[str, ...], ...] | None"


class DuckDBStore(FileUser, BaseStore):
    """Keep items in a DuckDB file, for every process that opens it after this one.

    What was put survives a kill at any moment once `put` has returned. One process
    holds the file at a time; in it, any number of stores, caches and savers on the
    same path share it, and see at once what the others put. Values stay on disk; of
    each item a few hundred bytes are held in memory, and where numpy is installed also
    its vectors once a search has asked for them, 256 MB of them at the most: 50,000 of
    384 numbers take 77.

    Parameters
    ----------
    path : str or path
        The file, which may be a `DuckDBSaver`'s. It and its folder are made if need
        be; ``~`` is the home folder.
    index : IndexConfig, optional
        How vectors are made, for `search` with a query. An item whose vectors have
        another length counts as one without.
    ttl : TTLConfig, optional
        How long items are kept unless a put says otherwise. An item whose time ran
        anew because it was read may be gone 1 % of that time too early after a
        restart.
    clock : callable, default time.time
        Returns the time in seconds since 1970-01-01 UTC.
    holder : str, default ""
        Who opens it, such as a notebook's name: told to another process that wants
        the file.

    Raises
    ------
    TypeError, ValueError
        A configuration has no meaning.
    UsageError
        `path` is no file's, such as ``":memory:"``.
    StoreHeldError
        Another process holds the file.
    StoreUnavailableError
        The folder or file can't be used, is no store, or a newer nbflow wrote it.
    StoreDamagedError
        The file is not what was written.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with DuckDBStore(f"{folder.name}/memories.duckdb") as store:
    ...     store.put(("users", "ann"), "likes", {"food": "pizza"})
    >>> with DuckDBStore(f"{folder.name}/memories.duckdb") as store:
    ...     store.get(("users", "ann"), "likes").value
    {'food': 'pizza'}
    >>> folder.cleanup()
    """

    supports_ttl = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
        clock: Callable[[], float] = time.time,
        holder: str = "",
    ) -> None:
        self.ttl_config: TTLConfig | None = checked_ttl_config(ttl)
        self._index = None if index is None else index_of(index)
        self._clock = clock
        minutes = (self.ttl_config or {}).get("sweep_interval_minutes")
        self._sweep_every = _micros((minutes or SWEEP_MINUTES) * 60)
        super().__init__(path, holder)
        followed = self._database.writer.followed(StoreContents)
        self._contents = cast("StoreContents", followed)
        self._finder = Finder(self._database, self._contents)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations together.

        As in the contract; what was put is on disk when this returns. Also:

        Raises
        ------
        StoreClosedError
            The store is closed.
        StoreError
            The file could not be read or written, or is not what was written.
        UnregisteredTypeError
            A value to return is of a class that is not known in this process.
        """
        self._share.check()
        asked = checked(ops)
        drafts = [self._ready(draft) for draft in drafts_of(self._index, asked)]
        queries = query_vectors(self._index, asked)
        now = _micros(self._clock())
        with self._contents.opened(self._database):
            looks = [self._look(op, queries, now) for op in asked]
            self._touch(_refreshed(asked, looks), now)
            written = self._keep(drafts, now)
            self._contents.sweep(now, self._sweep_every)
        results = self._answers(asked, looks, queries, now)
        written.wait()
        return results

    def _ready(self, draft: Draft) -> _Ready:
        vectors = draft.vectors
        return _Ready(
            draft.namespace,
            draft.key,
            None if draft.data is None else kept(self._database, draft.data),
            Payload(packed(vectors)) if vectors else None,
            len(vectors[0]) if vectors else 0,
            draft.ttl_seconds,
        )

    # With the contents opened.

    def _look(self, op: Op, queries: Mapping[str, Vector], now: int) -> _Look:
        match op:
            case GetOp():
                held = self._contents.held(op.namespace, op.key)
                return held if held is not None and held.is_live(now) else None
            case SearchOp():
                is_ranked = op.query in queries
                return self._below(op.namespace_prefix, now, is_ranked=is_ranked)
            case ListNamespacesOp():
                return self._named(op, now)
            case _:
                return None

    def _below(
        self, prefix: tuple[str, ...], now: int, *, is_ranked: bool
    ) -> list[Held]:
        depth = len(prefix)
        spaces = [
            entries
            for namespace, entries in self._contents.spaces.items()
            if namespace[:depth] == prefix
        ]
        # As `is_live`, but without a call for each of maybe a million.
        live = [
            held
            for each in spaces
            for held in each.values()
            if held.expires_at is None or now < held.expires_at
        ]
        if len(spaces) > 1 and not is_ranked:
            live.sort(key=attrgetter("place"))
        return live

    def _named(self, op: ListNamespacesOp, now: int) -> tuple[tuple[str, ...], ...]:
        conditions = op.match_conditions or ()
        named = {
            namespace[: op.max_depth]
            for namespace, entries in self._contents.spaces.items()
            if all(fits(namespace, **{kind: path}) for kind, path in conditions)
            and any(held.is_live(now) for held in entries.values())
        }
        return tuple(sorted(named)[op.offset : op.offset + op.limit])

    def _touch(self, read: Iterable[Held], now: int) -> None:
        changes = []
        for held in read:
            # It may have been put anew or deleted since it was looked up.
            is_held = self._contents.held(held.namespace, held.key) is held
            if held.ttl_seconds is None or not is_held:
                continue
            time_to_live = _micros(held.ttl_seconds)
            held.expires_at = now + time_to_live
            gained = held.expires_at - (held.noted_until or 0)
            if abs(gained) > time_to_live * TOUCH_SHARE:
                held.noted_until = held.expires_at
                event = ItemTouched(held.namespace, held.key, held.expires_at)
                changes.append(Change(event))
        self._contents.append(self._database, now, changes)

    def _keep(self, drafts: Iterable[_Ready], now: int) -> Told:
        contents = self._contents
        changes: list[Change] = []
        places = contents.places
        for draft in drafts:
            old = contents.held(draft.namespace, draft.key)
            if draft.value is not None:
                places += 1
                changes.append(_change(draft, draft.value, old, places, now))
            elif old is not None:
                changes.append(Change(ItemDeleted(draft.namespace, draft.key)))
        written = contents.append(self._database, now, changes)
        for event, held in changes:
            if not isinstance(event, ItemPut | ItemDeleted):
                continue
            if held is None or held.place > contents.places:  # A new one stands last.
                contents.drop(event.namespace, event.key)
            if held is not None:
                contents.keep(held)
        contents.places = places
        return written

    # Without.

    def _answers(
        self,
        ops: Sequence[Op],
        looks: Sequence[_Look],
        queries: Mapping[str, Vector],
        now: int,
    ) -> list[Result]:
        items = self._finder.items(look for look in looks if isinstance(look, Held))
        results: list[Result] = []
        for op, look in zip(ops, looks, strict=True):
            if isinstance(op, SearchOp) and isinstance(look, list):
                results.append(self._found(op, look, queries.get(op.query or ""), now))
            elif isinstance(look, Held):
                results.append(items.get(look.seq) or self._once_more(op, look))
            else:
                results.append(list(look) if isinstance(look, tuple) else None)
        return results

    def _once_more(self, op: Op, look: Held) -> Result:
        # It was replaced and the file compacted, between the look and the read.
        with self._contents.opened(self._database):
            is_held = self._contents.held(look.namespace, look.key) is look
        if is_held:
            raise StoreDamagedError(
                f"The item {look.key!r} of {look.namespace} is not in the store "
                f"{self.location!r} any more: row {look.seq} is gone.\n"
                "Keep a copy of the file, then put the item anew or delete it."
            )
        return self.batch([op])[0]

    def _found(
        self, op: SearchOp, below: list[Held], query: Vector | None, now: int
    ) -> list[SearchItem]:
        end = op.offset + op.limit
        found: Iterable[Held] = below
        if op.filter:
            found = self._finder.taken(below, op.filter)
        if query is None:
            page: list[Ranked] = [(h, None) for h in islice(found, op.offset, end)]
        else:
            page = self._finder.ranked(list(found), query, end)[op.offset :]
        if op.refresh_ttl and any(held.ttl_seconds is not None for held, _ in page):
            with self._contents.opened(self._database):
                self._touch([held for held, _ in page], now)
        return self._finder.page(page)


class _Ready(NamedTuple):
    # A draft as the file will hold it; no value deletes.
    namespace: tuple[str, ...]
    key: str
    value: Payload | None
    vectors: Payload | None
    dims: int
    ttl_seconds: float | None


def _change(
    draft: _Ready, value: Payload, old: Held | None, place: int, now: int
) -> Change:
    namespace, key, _, vectors, dims, ttl = draft
    until = None if ttl is None else now + _micros(ttl)
    created_at = now
    if old is not None and old.is_live(now):
        place, created_at = old.place, old.created_at
    event = ItemPut(namespace, key, value, vectors, dims, place, created_at, ttl, until)
    held = Held(namespace, key, until, ttl, until, place, created_at, dims)
    return Change(event, held)


def _refreshed(ops: Sequence[Op], looks: Sequence[_Look]) -> Iterator[Held]:
    for op, look in zip(ops, looks, strict=True):
        if isinstance(op, GetOp) and op.refresh_ttl and isinstance(look, Held):
            yield look


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)
