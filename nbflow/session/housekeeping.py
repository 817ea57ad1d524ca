"""Looking at a store and keeping it small, as functions: for scripts and cells."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nbflow.errors import UsageError
from nbflow.serde.redact import SECRET_NAMES
from nbflow.session.current import current_session
from nbflow.session.reports import (
    Report,
    doctor_report,
    sizes_report,
    tasks_report,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Collection

    import duckdb

    from nbflow.checkpoint.duckdb import DuckDBSaver

__all__ = [
    "compact",
    "delete_thread",
    "doctor",
    "export_thread",
    "import_thread",
    "open_snapshot",
    "prune",
    "sizes",
    "snapshot",
    "sql",
    "tasks",
]

_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def sql(
    query: str, *, store: str | os.PathLike[str] | None = None
) -> duckdb.DuckDBPyRelation:
    """Ask the history in SQL.

    The views, and what each of their columns holds in which unit, are described in the
    store: ``select view_name, comment from duckdb_views``, and ``select column_name,
    comment from duckdb_columns where table_name = 'tasks'``.

    Parameters
    ----------
    query : str
        One statement of DuckDB's SQL that looks: SELECT, FROM, DESCRIBE, SUMMARIZE
        or EXPLAIN. It runs in a read-only transaction.
    store : str or path, optional
        A snapshot to ask instead of this kernel's store.

    Returns
    -------
    duckdb.DuckDBPyRelation
        All rows, in memory, where the store's file is not held by them. `df()`,
        `pl()`, `to_arrow_table()`, `fetchall()` and `to_parquet()` hand them on, and
        ``duckdb.sql("from found")`` asks on.

    Raises
    ------
    UsageError
        It does not only look, or DuckDB does not understand it.
    StoreError
        The store can't be read.
    """
    if store is None:
        return _own_store().ask(query)
    with open_snapshot(store) as saver:
        found: duckdb.DuckDBPyRelation = saver.ask(query)
    return found


def snapshot(path: str | os.PathLike[str]) -> Path:
    """Copy this kernel's store as it is now; runs go on meanwhile.

    Another kernel may look at the copy: `open_snapshot`.

    Parameters
    ----------
    path : str or path
        The new file.

    Returns
    -------
    Path
        The new file, absolute.

    Raises
    ------
    UsageError
        There is such a file already.
    StoreUnavailableError
        It can't be written there.
    """
    return _own_store().snapshot(path)


def open_snapshot(path: str | os.PathLike[str]) -> Any:
    """Open a snapshot to look at it: a saver that refuses to write.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    nbflow.checkpoint.looking.SnapshotSaver
        To be closed, or used in a ``with`` statement.

    Raises
    ------
    StoreError
        It can't be opened.
    """
    # Imported here: a session that never looks at one needs no duckdb.
    from nbflow.checkpoint.looking import SnapshotSaver  # noqa: PLC0415

    return SnapshotSaver(path)


def sizes() -> Report:
    """Return what each thread of this kernel's store takes, the largest first."""
    return sizes_report(_own_store().sizes())


def tasks(run: str | None = None) -> Report:
    """Return the task calls of a run, in the order of first calls.

    Parameters
    ----------
    run : str, optional
        A thread, whose newest run is meant; or the first characters of a run's id, as
        `history` shows them, of the threads that were updated last. By default the
        run that was updated last.

    Raises
    ------
    ThreadNotFoundError
        No store of this kernel has it.
    """
    session = current_session()
    return tasks_report(session.view(session.find_run(run)))


def delete_thread(thread_id: str, *, purge: bool = False) -> None:
    """Delete a thread from the store that holds it.

    Parameters
    ----------
    thread_id : str
        The thread.
    purge : bool, default False
        Also free its bytes at once; else they go with the next compaction. Copies
        stay: other threads, snapshots, bundles, and damaged files set aside.

    Raises
    ------
    ThreadNotFoundError
        No store of this kernel has it.
    ThreadBusyError
        A run is at work on it.
    StoreError
        It could not be written. With `purge`, the bytes could not be freed; then
        the thread is invisible nevertheless.
    """
    saver, _ = current_session().find_thread(thread_id)
    saver.delete_thread(thread_id, purge=purge)


def export_thread(
    thread_id: str,
    path: str | os.PathLike[str],
    *,
    redact: bool | str | Collection[str] = False,
) -> Path:
    """Write everything of a thread into one new file, to be given to others.

    Parameters
    ----------
    thread_id : str
        The thread.
    path : str or path
        The file, say ``review.zip``.
    redact : bool, str or collection of str, default False
        Leave out the values under secret names (api_key, token, password, ...), or
        under these, wherever they stand as a key, as an attribute's name or as a
        label of a frame, which is left out whole. Then the short texts of arguments
        are left out too; other texts are kept as they are: code, and what errors say.
        A call whose result is not whole runs again; a run whose input or answer is
        not can be looked at, and begun anew, but not continued.

    Returns
    -------
    Path
        The file, absolute.

    Raises
    ------
    ThreadNotFoundError
        No store of this kernel has it.
    UsageError
        Something has the file's name.
    StoreError
        The thread can't be read, or the file not be written.
    """
    from nbflow.checkpoint.bundle import export_bundle  # noqa: PLC0415 - needs duckdb

    saver, _ = current_session().find_thread(thread_id)
    names = SECRET_NAMES if redact is True else redact or ()
    return export_bundle(saver, thread_id, path, redacted=names)


def import_thread(
    path: str | os.PathLike[str],
    *,
    thread_id: str | None = None,
    trusted: bool = False,
    limit_bytes: int | None = None,
) -> str:
    """Read a thread that was exported into this kernel's store.

    Nothing in the file is run. To go on with an unfinished run, run the cell that
    defines its workflow.

    Parameters
    ----------
    path : str or path
        The file.
    thread_id : str, optional
        The thread's name here; by default the one it had.
    trusted : bool, default False
        Whether it is your own: then classes are rebuilt as those of this store
        are. Else only Python's, nbflow's and those of known libraries are; others
        can only be looked at.
    limit_bytes : int, optional
        How much the file may hold, uncompressed; 4 GiB by default. It is put aside in
        the folder for temporary files meanwhile.

    Returns
    -------
    str
        The thread.

    Raises
    ------
    InvalidBundleError
        It is no bundle, one of a newer version, not as it was exported, or larger.
    UsageError
        There is no such file, or there is such a thread already.
    StoreError
        It could not be written.
    """
    # Imported here: they need duckdb.
    from nbflow.checkpoint.bundle import LARGEST_BYTES, import_bundle  # noqa: PLC0415

    return import_bundle(
        current_session().saver,
        path,
        thread_id=thread_id,
        trusted=trusted,
        limit_bytes=LARGEST_BYTES if limit_bytes is None else limit_bytes,
    )


def doctor(path: str | os.PathLike[str] | None = None) -> Report:
    """Look at a store: its file, every row, its large values, its runs, its disk.

    A store of an older schema is left as it is. Any other that nobody has open is
    opened for this, as a workflow would: a file that a kill left half written is
    mended then, if that costs nothing.

    Parameters
    ----------
    path : str or path, optional
        The file; by default this kernel's store.

    Returns
    -------
    Report
        What was found, in words, and what to do.
    """
    from nbflow.checkpoint.housekeeping import diagnose  # noqa: PLC0415 - needs duckdb

    place = current_session().place.path if path is None else Path(path)
    real = str(place.expanduser().resolve())
    return doctor_report(real, diagnose(real))


def compact() -> str:
    """Free the bytes of what was deleted from this kernel's store.

    Returns
    -------
    str
        What was done, for people.

    Raises
    ------
    StoreUnavailableError
        Another connection of this kernel has the file open, or there is no room.
    """
    return _said(_own_store().compact())


def prune(
    *,
    keep_last: int | None = None,
    older_than: timedelta | datetime | str | None = None,
) -> str:
    """Drop old runs from this kernel's store, and free their bytes.

    A run that can be continued is never dropped. Of a thread that keeps a run, what
    the next run gets as `previous` is kept too; one whose every run may go, goes as
    a whole.

    Parameters
    ----------
    keep_last : int, optional
        How many of its newest runs a thread keeps whatever their age, >= 0.
    older_than : timedelta, datetime or str, optional
        Only runs whose newest event is older: an age, not negative (as text
        ``"30d"``, with m, h, d or w), or a moment with its zone.

    Returns
    -------
    str
        What was done, for people.

    Raises
    ------
    UsageError
        Neither is given, or one makes no sense.
    StoreUnavailableError
        As `compact`.
    """
    if keep_last is None and older_than is None:
        raise UsageError(
            "Say which runs may go: keep_last=10, older_than='30d', or both."
        )
    count: Any = 0 if keep_last is None else keep_last
    if not isinstance(count, int) or count < 0:
        raise UsageError(
            f"keep_last has to be a whole number from 0 on, not {count!r}."
        )
    before = None if older_than is None else _moment(older_than)
    return _said(_own_store().drop_runs(keep_last=count, before=before))


def _moment(older_than: Any) -> datetime:
    try:
        if isinstance(older_than, datetime):
            if older_than.tzinfo is None:
                raise UsageError(
                    f"older_than {older_than} has no zone.\n"
                    "Use datetime(..., tzinfo=UTC), or an age like '30d'."
                )
            return older_than.astimezone(UTC)
        age = _age(older_than)
        if age is not None and age >= timedelta():
            return datetime.now(UTC) - age
    except OverflowError:
        pass  # Longer ago than there are years.
    raise UsageError(
        f"older_than {older_than!r} is no age.\nWrite it like 90m, 12h, 30d or 8w."
    )


def _age(older_than: Any) -> timedelta | None:
    if isinstance(older_than, timedelta):
        return older_than
    found = _AGE.fullmatch(older_than.strip()) if isinstance(older_than, str) else None
    if found is None:
        return None
    return timedelta(**{_UNITS[found[2]]: float(found[1])})


def _own_store() -> DuckDBSaver:
    saver: Any = current_session().saver
    found: DuckDBSaver = saver
    return found


def _said(done: Any) -> str:
    freed = done.bytes_before - done.bytes_after + done.blob_bytes_freed
    what = f"{freed:,} bytes freed" if freed > 0 else "the file was small already"
    return f"{done.dropped:,} rows dropped, {done.rows:,} kept; {what}."
