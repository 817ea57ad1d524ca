"""A store that keeps its items in this process, for tests and short scripts."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, assert_never

from nbflow.serde import decode
from nbflow.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    PutOp,
    SearchItem,
    SearchOp,
    checked,
    checked_ttl_config,
)
from nbflow.store.drafts import drafts_of, query_vectors
from nbflow.store.matching import fits, is_taken
from nbflow.store.vectors import cosines, index_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from nbflow.store.base import IndexConfig, Op, Result, TTLConfig
    from nbflow.store.drafts import Draft
    from nbflow.store.vectors import Vector

__all__ = ["InMemoryStore"]

SWEEP_MINUTES = 5.0
"""How long what is gone may take up room, unless a configuration says otherwise."""


@dataclass(frozen=True, slots=True)
class _Entry:
    # Times are in seconds since 1970-01-01 UTC; `place` counts first puts.
    namespace: tuple[str, ...]
    key: str
    data: bytes
    vectors: tuple[Vector, ...]
    place: int
    created_at: float
    updated_at: float
    ttl_seconds: float | None
    expires_at: float | None

    def is_live(self, now: float) -> bool:
        return self.expires_at is None or now < self.expires_at


class InMemoryStore(BaseStore):
    """Keep items in memory; they are gone with the process.

    Values are stored as bytes, as in any store, so what is returned is a fresh
    copy each time.

    Parameters
    ----------
    index : IndexConfig, optional
        How vectors are made, for `search` with a query.
    ttl : TTLConfig, optional
        How long items are kept unless a put says otherwise.
    clock : callable, default time.time
        Returns the time in seconds since 1970-01-01 UTC.

    Raises
    ------
    TypeError, ValueError
        A configuration has no meaning.

    Examples
    --------
    >>> store = InMemoryStore()
    >>> store.put(("users", "ann"), "likes", {"food": "pizza"})
    >>> store.get(("users", "ann"), "likes").value
    {'food': 'pizza'}
    >>> [item.key for item in store.search(("users",), filter={"food": "pizza"})]
    ['likes']
    """

    supports_ttl = True

    def __init__(
        self,
        *,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.ttl_config: TTLConfig | None = checked_ttl_config(ttl)
        self._index = None if index is None else index_of(index)
        self._clock = clock
        # Reentrant: filters compare by the user's own __eq__, which may come back here.
        self._lock = threading.RLock()
        self._entries: dict[tuple[str, ...], dict[str, _Entry]] = {}
        self._places = count()
        minutes = (self.ttl_config or {}).get("sweep_interval_minutes")
        self._sweep_seconds = (minutes or SWEEP_MINUTES) * 60
        self._swept_at = clock()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations together; see the contract."""
        asked = checked(ops)
        # The user's embed may take long, and may use this store: no lock yet.
        drafts = drafts_of(self._index, asked)
        queries = query_vectors(self._index, asked)
        with self._lock:
            now = self._clock()
            results = [self._answer(op, queries, now) for op in asked]
            for draft in drafts:
                self._keep(draft, now)
            self._sweep(now)
        return results

    def _answer(self, op: Op, queries: Mapping[str, Vector], now: float) -> Result:
        match op:
            case GetOp():
                return self._read(op, now)
            case SearchOp():
                return self._find(op, queries.get(op.query or ""), now)
            case ListNamespacesOp():
                return self._named(op, now)
            case PutOp():
                return None
            case _:
                assert_never(op)

    def _read(self, op: GetOp, now: float) -> Item | None:
        entry = self._entries.get(op.namespace, {}).get(op.key)
        if entry is None or not entry.is_live(now):
            return None
        item = Item(*_fields(entry))
        if op.refresh_ttl:
            self._refresh_entry(entry, now)
        return item

    def _find(self, op: SearchOp, query: Vector | None, now: float) -> list[SearchItem]:
        found = sorted(self._below(op.namespace_prefix, now), key=lambda e: e.place)
        if op.filter:
            wanted = op.filter
            found = [entry for entry in found if is_taken(decode(entry.data), wanted)]
        ranked: list[tuple[_Entry, float | None]] = [(entry, None) for entry in found]
        if query is not None:
            ranked = _ranked(query, found)
        page = ranked[op.offset : op.offset + op.limit]
        items = [SearchItem(*_fields(entry), score) for entry, score in page]
        if op.refresh_ttl:
            for entry, _ in page:
                self._refresh_entry(entry, now)
        return items

    def _below(self, prefix: tuple[str, ...], now: float) -> Iterator[_Entry]:
        depth = len(prefix)
        for namespace, entries in self._entries.items():
            if namespace[:depth] == prefix:
                yield from (e for e in entries.values() if e.is_live(now))

    def _named(self, op: ListNamespacesOp, now: float) -> list[tuple[str, ...]]:
        conditions = op.match_conditions or ()
        named = {
            namespace[: op.max_depth]
            for namespace, entries in self._entries.items()
            if all(fits(namespace, **{kind: path}) for kind, path in conditions)
            and any(entry.is_live(now) for entry in entries.values())
        }
        return sorted(named)[op.offset : op.offset + op.limit]

    def _refresh_entry(self, entry: _Entry, now: float) -> None:
        entries = self._entries.get(entry.namespace, {})
        # A filter's own __eq__ may have put or deleted it meanwhile.
        if entry.ttl_seconds is not None and entries.get(entry.key) is entry:
            expires_at = now + entry.ttl_seconds
            entries[entry.key] = replace(entry, expires_at=expires_at)

    def _keep(self, draft: Draft, now: float) -> None:
        entries = self._entries.setdefault(draft.namespace, {})
        old = entries.pop(draft.key, None)
        if draft.data is not None:
            is_new = old is None or not old.is_live(now)
            ttl = draft.ttl_seconds
            entries[draft.key] = _Entry(
                namespace=draft.namespace,
                key=draft.key,
                data=draft.data,
                vectors=draft.vectors,
                place=next(self._places) if old is None or is_new else old.place,
                created_at=now if old is None or is_new else old.created_at,
                updated_at=now,
                ttl_seconds=ttl,
                expires_at=None if ttl is None else now + ttl,
            )
        if not entries:
            del self._entries[draft.namespace]

    def _sweep(self, now: float) -> None:
        if now - self._swept_at < self._sweep_seconds:
            return
        self._swept_at = now
        for namespace, entries in list(self._entries.items()):
            live = {key: e for key, e in entries.items() if e.is_live(now)}
            if live:
                self._entries[namespace] = live
            else:
                del self._entries[namespace]


def _fields(
    entry: _Entry,
) -> tuple[tuple[str, ...], str, dict[str, Any], datetime, datetime]:
    return (
        entry.namespace,
        entry.key,
        decode(entry.data),
        datetime.fromtimestamp(entry.created_at, UTC),
        datetime.fromtimestamp(entry.updated_at, UTC),
    )


def _ranked(query: Vector, entries: list[_Entry]) -> list[tuple[_Entry, float | None]]:
    vectors = [vector for entry in entries for vector in entry.vectors]
    near = iter(cosines(query, vectors))
    scored: list[tuple[_Entry, float]] = []
    bare: list[tuple[_Entry, float | None]] = []
    for entry in entries:
        best = max((next(near) for _ in entry.vectors), default=None)
        if best is None:
            bare.append((entry, None))
        else:
            scored.append((entry, best))
    scored.sort(key=lambda pair: pair[1], reverse=True)
    return [*scored, *bare]
