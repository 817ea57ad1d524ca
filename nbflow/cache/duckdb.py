"""A cache that keeps its values in a DuckDB file, beside the runs of a saver.

It knows the contract of a cache. The file, the rows and what is held of them in
memory are `nbflow._database`'s.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from nbflow._database.contents import CacheContents, Change, Held, kept
from nbflow._database.share import FileUser
from nbflow._events import CacheCleared, CacheSet
from nbflow.cache.base import (
    BaseCache,
    FullKey,
    Namespace,
    checked_keys,
    checked_namespaces,
    entries_of,
    values_of,
)
from nbflow.errors import StoreDamagedError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from nbflow.cache.base import Entry

__all__ = ["DuckDBCache"]

SWEEP_SECONDS: Final = 300.0
"""How long what is gone may take up room in memory."""


class DuckDBCache(FileUser, BaseCache):
    """Keep values in a DuckDB file, for every process that opens it after this one.

    What was set survives a kill at any moment once `set` has returned. One process
    holds the file at a time; in it, any number of caches, stores and savers on the
    same path share it, and see at once what the others set. Values stay on disk; of
    each a few hundred bytes are held in memory.

    Parameters
    ----------
    path : str or path
        The file, which may be a `DuckDBSaver`'s. It and its folder are made if need
        be; ``~`` is the home folder.
    clock : callable, default time.time
        Returns the time in seconds since 1970-01-01 UTC.
    holder : str, default ""
        Who opens it, such as a notebook's name: told to another process that wants
        the file.

    Raises
    ------
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
    >>> with DuckDBCache(f"{folder.name}/cache.duckdb") as cache:
    ...     cache.set({(("prices",), "today"): (4.2, 60)})
    >>> with DuckDBCache(f"{folder.name}/cache.duckdb") as cache:
    ...     cache.get([(("prices",), "today")])
    {(('prices',), 'today'): 4.2}
    >>> folder.cleanup()
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.time,
        holder: str = "",
    ) -> None:
        self._clock = clock
        super().__init__(path, holder)
        followed = self._database.writer.followed(CacheContents)
        self._contents = cast("CacheContents", followed)

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """Return the values of those keys that have one.

        As in the contract; also:

        Raises
        ------
        StoreClosedError
            The cache is closed.
        StoreError
            The file could not be read.
        """
        self._share.check()
        asked = checked_keys(keys)
        now = _micros(self._clock())
        with self._contents.opened(self._database):
            looked_up = [self._contents.held(*key) for key in asked]
        live = [held for held in looked_up if held is not None and held.is_live(now)]
        # What was set anew and compacted away meanwhile is as if it had been cleared.
        records = self._contents.fetch(self._database, live)
        found: dict[FullKey, bytes] = {}
        for held in live:
            record = records.get(held.seq)
            if record is not None and isinstance(record.event, CacheSet):
                # A large value whose file is lost is made anew.
                with suppress(StoreDamagedError):
                    found[held.namespace, held.key] = record.event.value.data or b""
        return values_of(found)

    def set(self, pairs: Mapping[FullKey, tuple[Any, float | None]]) -> None:
        """Keep values, in place of those that are there.

        As in the contract; they are on disk when this returns. Also:

        Raises
        ------
        StoreClosedError
            The cache is closed.
        StoreError
            The file could not be written.
        """
        self._share.check()
        seconds = self._clock()
        made = {
            key: self._change(key, entry)
            for key, entry in entries_of(pairs, seconds).items()
        }
        contents = self._contents
        with contents.opened(self._database):
            changes = {
                key: change
                for key, change in made.items()
                if change.held is not None or contents.held(*key) is not None
            }
            now = _micros(seconds)
            written = contents.append(self._database, now, list(changes.values()))
            for key, change in changes.items():
                if change.held is None:
                    contents.drop(*key)
                else:
                    contents.keep(change.held)
            contents.sweep(now, _micros(SWEEP_SECONDS))
        written.wait()

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Forget values; as in the contract, with the errors of `set`."""
        self._share.check()
        asked = checked_namespaces(namespaces)
        now = _micros(self._clock())
        with self._contents.opened(self._database):
            spaces = self._contents.spaces
            cleared = list(spaces) if namespaces is None else asked
            cleared = [namespace for namespace in cleared if namespace in spaces]
            changes = [Change(CacheCleared(namespace)) for namespace in cleared]
            if namespaces is None and cleared:
                changes = [Change(CacheCleared())]
            written = self._contents.append(self._database, now, changes)
            for namespace in cleared:
                del spaces[namespace]
        written.wait()

    def _change(self, key: FullKey, entry: Entry | None) -> Change:
        if entry is None:
            return Change(CacheCleared(*key))
        until = None if entry.expires_at is None else _micros(entry.expires_at)
        value = kept(self._database, entry.data)
        return Change(CacheSet(*key, value, until), Held(*key, until))


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)
