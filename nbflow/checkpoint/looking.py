"""A saver over a snapshot: everything can be read, and nothing is written.

It knows the contract of a saver; the file is `nbflow._database`'s.
"""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbflow._database.reads import (
    read_deleted,
    read_end,
    read_ends,
    read_records,
)
from nbflow._database.snapshot import Looking
from nbflow.checkpoint.base import BaseCheckpointSaver, Head, heads_of
from nbflow.errors import StoreClosedError, UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    import duckdb

    from nbflow._events import Record

__all__ = ["SnapshotSaver"]

_NEWEST = 2**62


class SnapshotSaver(BaseCheckpointSaver):
    """Look at a snapshot, or at a store that no process has open.

    Any number of processes may look at once. States, histories, panels and SQL
    work; running and deleting are refused.

    Parameters
    ----------
    path : str or path
        The file.

    Raises
    ------
    StoreUnavailableError
        There is no such store, or one of another version.
    StoreHeldError
        A process has it open as its store.
    StoreDamagedError
        The file is not what was written.

    Examples
    --------
    >>> import tempfile
    >>> from nbflow.checkpoint.duckdb import DuckDBSaver
    >>> folder = tempfile.TemporaryDirectory()
    >>> with DuckDBSaver(f"{folder.name}/threads.duckdb") as saver:
    ...     path = saver.snapshot(f"{folder.name}/monday.duckdb")
    >>> with SnapshotSaver(path) as monday:
    ...     monday.list_threads()
    []
    >>> folder.cleanup()
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = Looking(path)
        self._let_go = weakref.finalize(self, self._file.close)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.location!r})"

    @property
    def scope(self) -> str:
        """The file's path, without symbolic links."""
        return self._file.path

    @property
    def location(self) -> str:
        """The file's path, without symbolic links."""
        return self._file.path

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return not self._let_go.alive

    def append(
        self,
        records: Sequence[Record],
        on_durable: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        """Refuse: a snapshot is only looked at.

        Raises
        ------
        UsageError
            Where there is anything to write.
        """
        self._check()
        if records:
            raise UsageError(
                f"The snapshot {self.location!r} is only looked at.\n"
                "To go on with what is in it, use it as a store: %workflow store PATH."
            )
        if on_durable is not None:
            on_durable(None)

    def read(self, thread_id: str, *, after: int = 0, **asked: Any) -> list[Record]:
        """Return records of a thread, in stored order; as in the base."""
        self._check()
        begin = read_deleted(self._file, _NEWEST).get(thread_id, 0)
        return read_records(self._file, thread_id, after=max(after, begin), **asked)

    def heads(self, thread_id: str | None = None) -> list[Head]:
        """Return where threads stand, the most recently updated first."""
        self._check()
        if thread_id is None:
            ends = read_ends(self._file, _NEWEST)
        else:
            ends = read_end(self._file, _NEWEST, thread_id)
        found = heads_of(ends.records)
        heads = [replace(head, runs=ends.runs[name]) for name, head in found.items()]
        return sorted(heads, key=lambda head: head.updated_at, reverse=True)

    def ask(self, sql: str) -> duckdb.DuckDBPyRelation:
        """Run a statement that looks at the snapshot; see `nbflow.sql`.

        Raises
        ------
        UsageError
            It does not only look, or DuckDB does not understand it.
        """
        self._check()
        return self._file.ask(sql)

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        self._let_go()

    def _check(self) -> None:
        if not self._let_go.alive:
            raise StoreClosedError(
                f"The snapshot {self.location!r} is closed.\nOpen it again."
            )
