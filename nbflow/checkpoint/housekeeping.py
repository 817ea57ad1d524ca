"""What the owner of a DuckDB store does with it besides running: look, copy, free.

The statements and the files are `nbflow._database`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._database.compact import Compaction, compact
from nbflow._database.diagnosis import Remark, diagnose
from nbflow._database.pruning import ThreadSize, old_runs, thread_sizes
from nbflow._database.snapshot import take_snapshot

if TYPE_CHECKING:
    import os
    from datetime import datetime
    from pathlib import Path

    import duckdb

    from nbflow._database.database import Database

__all__ = ["Compaction", "Housekeeping", "Remark", "ThreadSize", "diagnose"]


class Housekeeping:
    """The half of a DuckDB saver that runs nothing."""

    _database: Database

    def ask(self, sql: str) -> duckdb.DuckDBPyRelation:
        """Run a statement that looks at the store; see `nbflow.sql`.

        Raises
        ------
        UsageError
            It does not only look, or DuckDB does not understand it.
        """
        self._database.writer.flush()
        return self._database.connection.ask(sql)

    def snapshot(self, path: str | os.PathLike[str]) -> Path:
        """Copy the store as it is now into a new file; runs go on meanwhile.

        Raises
        ------
        UsageError
            There is such a file already.
        StoreUnavailableError
            It can't be written there.
        """
        return take_snapshot(self._database, path)

    def sizes(self) -> list[ThreadSize]:
        """Return what each thread takes, the largest first."""
        return thread_sizes(self._database)

    def compact(self) -> Compaction:
        """Free the bytes of what was deleted: the log goes on in a new file.

        Raises
        ------
        StoreUnavailableError
            Another connection of this process has the file open, or there is no
            room. The store goes on as it is.
        """
        return compact(self._database)

    def drop_runs(self, *, keep_last: int, before: datetime | None) -> Compaction:
        """Compact, and leave out old runs too.

        Runs that can be continued, and those whose saved value is still needed,
        are kept.

        Parameters
        ----------
        keep_last : int
            How many of its newest runs a thread keeps whatever their age, >= 0.
        before : datetime or None
            Aware; only runs whose newest event is older. None means any.

        Raises
        ------
        StoreUnavailableError
            As `compact`.
        """
        database = self._database
        return compact(
            database, lambda: old_runs(database, keep_last=keep_last, before=before)
        )
