"""A cache that keeps its values in this process, for tests and short scripts."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from nbflow.cache.base import (
    BaseCache,
    Entry,
    FullKey,
    Namespace,
    checked_keys,
    checked_namespaces,
    entries_of,
    values_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["InMemoryCache"]

SWEEP_SECONDS = 300.0
"""How long what is gone may take up room."""


class InMemoryCache(BaseCache):
    """Keep values in memory; they are gone with the process.

    Values are stored as bytes, as in any cache, so what is returned is a fresh
    copy each time.

    Parameters
    ----------
    clock : callable, default time.time
        Returns the time in seconds since 1970-01-01 UTC.

    Examples
    --------
    >>> cache = InMemoryCache()
    >>> cache.set({(("prices",), "today"): (4.2, 60)})
    >>> cache.get([(("prices",), "today"), (("prices",), "tomorrow")])
    {(('prices',), 'today'): 4.2}
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[Namespace, dict[str, Entry]] = {}
        self._swept_at = clock()

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """Return the values of those keys that have one; see the contract."""
        asked = checked_keys(keys)
        now = self._clock()
        with self._lock:
            found = {
                (namespace, key): entry.data
                for namespace, key in asked
                if (entry := self._entries.get(namespace, {}).get(key))
                and _is_live(entry, now)
            }
        return values_of(found)

    def set(self, pairs: Mapping[FullKey, tuple[Any, float | None]]) -> None:
        """Keep values, in place of those that are there; see the contract."""
        now = self._clock()
        made = entries_of(pairs, now)
        with self._lock:
            for (namespace, key), entry in made.items():
                entries = self._entries.setdefault(namespace, {})
                if entry is None:
                    entries.pop(key, None)
                else:
                    entries[key] = entry
            self._sweep(now)

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Forget values; see the contract."""
        asked = checked_namespaces(namespaces)
        with self._lock:
            if namespaces is None:
                self._entries.clear()
            for namespace in asked:
                self._entries.pop(namespace, None)

    def _sweep(self, now: float) -> None:
        if now - self._swept_at < SWEEP_SECONDS:
            return
        self._swept_at = now
        for namespace, entries in list(self._entries.items()):
            live = {key: e for key, e in entries.items() if _is_live(e, now)}
            if live:
                self._entries[namespace] = live
            else:
                del self._entries[namespace]


def _is_live(entry: Entry, now: float) -> bool:
    return entry.expires_at is None or now < entry.expires_at
