"""The door to duckdb: nothing else in nbflow imports it.

SQL comes in, rows go out, and DuckDB's errors become ours. What the rows mean is
not known here.
"""

from __future__ import annotations

import ctypes
import os
import re
from contextlib import closing, contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import duckdb

from nbflow._database.files import Names, holder_of
from nbflow._database.gate import Gate
from nbflow.errors import (
    StoreClosedError,
    StoreDamagedError,
    StoreError,
    StoreHeldError,
    StoreUnavailableError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["FORKED", "Appender", "Connection"]

PATIENCE_SECONDS: Final = 5.0
"""How long closing waits for statements that are at work."""

_copies: Final = count(1)
_live: Final = WeakSet["Connection | Appender"]()

FORKED: Final = (
    "The store {path!r} was opened before this process was forked, and belongs to its "
    "parent.\nUse another store here, or start the process with multiprocessing's "
    "'spawn'."
)
"""Why nothing is done in a forked child with what its parent has open."""


class Connection:
    """One open DuckDB file.

    Methods may be called from any thread: each call uses a cursor of its own.

    Parameters
    ----------
    path : str
        The database file; it is made if it does not exist.
    is_looking : bool, default False
        Open it read-only; then it has to exist.

    Raises
    ------
    StoreHeldError
        Another process has the file open.
    StoreUnavailableError
        The file can't be opened; it is left as it is.
    StoreDamagedError
        The file is not what DuckDB wrote; it is left as it is.
    """

    def __init__(self, path: str, *, is_looking: bool = False) -> None:
        self._path = path
        self._is_looking = is_looking
        self._gate = Gate()
        self._is_disowned = False
        self._root = self._connected()
        _live.add(self)

    def _connected(self) -> duckdb.DuckDBPyConnection:
        # A plain connect and then SET: with config= or read_only= here, the user's
        # own duckdb.connect(path) in this process would be refused.
        with _translated(self._path):
            root = duckdb.connect(self._path, read_only=self._is_looking)
            self._names = Names(self._path)
            if not self._is_looking:
                root.execute("SET checkpoint_threshold = '64MB'")
            return root

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        if self._is_disowned:
            raise StoreClosedError(FORKED.format(path=self._path))
        with (
            self._gate.passed(),
            _translated(self._path),
            closing(self._root.cursor()) as cursor,
        ):
            yield cursor

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        """Run one statement and return its rows, each a tuple."""
        with self._cursor() as cursor:
            return cursor.execute(sql, parameters).fetchall()

    def apply(self, statements: Sequence[tuple[str, Sequence[object]]]) -> None:
        """Run statements with their parameters in one transaction."""
        with self._cursor() as cursor:
            cursor.begin()
            for sql, parameters in statements:
                cursor.execute(sql, parameters)
            cursor.commit()

    def ask(self, sql: str) -> duckdb.DuckDBPyRelation:
        """Run a user's statement, which may look at everything and change nothing.

        Returns
        -------
        duckdb.DuckDBPyRelation
            All of its rows, in memory: it does not hold the file.

        Raises
        ------
        UsageError
            It is no such statement, or DuckDB does not understand it.
        """
        _refuse_changes(sql)
        with self._cursor() as cursor:
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            try:
                return _detached(cursor.sql(sql).materialize())
            except duckdb.Error as error:
                ours = _ours(error, self._path)
                if isinstance(ours, (StoreClosedError, StoreDamagedError)):
                    raise ours from error
                raise UsageError(f"DuckDB refused: {error}") from error

    def copy_into(
        self, path: str, statements: Sequence[tuple[str, Sequence[object]]]
    ) -> None:
        """Run statements with another database file at hand, in one transaction.

        Parameters
        ----------
        path : str
            The other file; it is made if it does not exist.
        statements : sequence
            SQL in which ``{new}`` stands for the other database and ``{own}`` for
            this one, with parameters.
        """
        name = f"nbflow_copy_{next(_copies)}"
        with self._cursor() as cursor:
            ((own,),) = cursor.execute("SELECT current_database()").fetchall()
            quoted = path.replace("'", "''")
            cursor.execute(f"ATTACH '{quoted}' AS {name}")
            try:
                cursor.begin()
                for sql, parameters in statements:
                    cursor.execute(sql.format(new=name, own=f'"{own}"'), parameters)
                cursor.commit()
                cursor.execute(f"CHECKPOINT {name}")
            finally:
                with suppress(duckdb.Error):
                    cursor.rollback()
                cursor.execute(f"DETACH {name}")

    def appender(self, table: str) -> Appender:
        """Return the way to add rows to a table, for one thread."""
        with _translated(self._path):
            return Appender(self._root.cursor(), table, self._names, self._path)

    def checkpoint(self) -> bool:
        """Fold the write-ahead log into the file.

        Returns
        -------
        bool
            False where somebody's open transaction does not allow it now.

        Raises
        ------
        StoreUnavailableError
            The file was deleted or replaced while it was open, or there is no room.
        """
        self._names.check()
        try:
            with self._cursor() as cursor:
                cursor.execute("CHECKPOINT")
        except StoreError as error:
            if isinstance(error.__cause__, duckdb.TransactionException):
                return False
            raise
        return True

    def exchange(self, work: Callable[[], None]) -> None:
        """Close the file, call `work`, and open what then has its name.

        Appenders have to be closed before. Reading waits meanwhile; the file is
        opened again also where `work` fails.
        """
        with self._gate.shut():
            self._names.check()
            with suppress(duckdb.Error):
                self._root.close()
            try:
                work()
            finally:
                self._root = self._connected()

    def close(self, *, untouched: bool = False) -> None:
        """Close the file; with `untouched`, without folding anything into it."""
        if self._is_disowned:
            return
        _live.discard(self)
        # Who is at work inside of DuckDB when the process ends takes it down.
        with self._gate.shut(PATIENCE_SECONDS):
            # An instance that a fatal error has invalidated refuses even these.
            with suppress(duckdb.Error):
                if untouched or not self._names.lead_here:
                    self._root.execute("PRAGMA disable_checkpoint_on_shutdown")
            with suppress(duckdb.Error):
                self._root.close()

    def disown(self) -> list[object]:
        """Refuse everything, in a forked child; return what it has to keep alive."""
        self._is_disowned = True
        return [self._root]


class Appender:
    """Adds rows to one table, each call in one transaction.

    Parameters
    ----------
    cursor : duckdb.DuckDBPyConnection
        A cursor of its own.
    table : str
        The table's name; not user input.
    names : Names
        Those of the open file.
    path : str
        The database file, for errors.
    """

    def __init__(
        self, cursor: duckdb.DuckDBPyConnection, table: str, names: Names, path: str
    ) -> None:
        self._cursor = cursor
        self._names = names
        self._path = path
        self._buffer = cursor.appender(table)
        _live.add(self)

    def append(self, rows: Sequence[Sequence[object]]) -> None:
        """Add rows; once this returned they survive a power cut.

        Raises
        ------
        StoreError
            DuckDB refused. All of the rows are there or none.
        OSError
            The rows are there, and may be gone after a power cut.
        """
        self._names.check()
        with _translated(self._path):
            try:
                self._buffer.append_rows(rows)
                self._buffer.flush()
            except BaseException:
                # What stayed in the buffer would be written with the next rows.
                with suppress(duckdb.Error):
                    self._buffer.clear()
                raise
        self._names.sync_log()

    def close(self) -> None:
        """Let go of the cursor; a second call does nothing."""
        if self not in _live:
            return
        _live.discard(self)
        with suppress(duckdb.Error):  # As in Connection.close.
            del self._buffer
            self._cursor.close()

    def disown(self) -> list[object]:
        """Return what a forked child has to keep alive; nothing is refused."""
        return [self._buffer, self._cursor]


_LOOKING: Final = ("SELECT", "EXPLAIN")


def _refuse_changes(sql: str) -> None:
    try:
        kinds = [_kind(statement) for statement in duckdb.extract_statements(sql)]
    except duckdb.Error as error:
        raise UsageError(f"DuckDB refused: {error}") from error
    if len(kinds) != 1 or kinds[0] not in _LOOKING:
        raise UsageError(
            "One statement that looks is expected (SELECT, FROM, DESCRIBE, SUMMARIZE, "
            f"EXPLAIN), not {', '.join(kinds) or 'nothing'}.\nThe log is only written "
            "by runs. To write what a query finds into a file: "
            "nbflow.sql(QUERY).to_parquet(PATH)."
        )


def _kind(statement: duckdb.Statement) -> str:
    try:
        return statement.type.name
    except ValueError:  # DuckDB has more kinds than its Python client knows.
        return "that"


class _Stream:
    """Rows as a stream of Arrow: a relation itself is refused by other databases."""

    def __init__(self, rows: duckdb.DuckDBPyRelation) -> None:
        self._rows = rows

    def __arrow_c_stream__(self, schema: object = None) -> Any:
        return self._rows.__arrow_c_stream__(schema)


_NOT_IN_ARROW: Final = re.compile(r"\bUHUGEINT\b|\bBIT\b|\bTIME WITH TIME ZONE\b")


def _detached(found: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Copy rows to where `duckdb.sql` finds them, with their types."""
    kinds = [str(kind) for kind in found.types]
    if any(map(_NOT_IN_ARROW.search, kinds)):
        texts = ["VARCHAR" if _NOT_IN_ARROW.search(kind) else kind for kind in kinds]
        found = _cast(found, texts)
    rows = _memory().from_arrow(_Stream(found))
    # Arrow has no HUGEINT, UUID, ENUM or JSON either, but what can become one again.
    if [str(kind) for kind in rows.types] != kinds:
        rows = _cast(rows, kinds)
    return rows.materialize()


def _cast(
    rows: duckdb.DuckDBPyRelation, kinds: Sequence[str]
) -> duckdb.DuckDBPyRelation:
    names = ('"' + name.replace('"', '""') + '"' for name in rows.columns)
    columns = zip(count(1), kinds, names, strict=False)
    return rows.project(
        ", ".join(f"CAST(#{at} AS {kind}) AS {name}" for at, kind, name in columns)
    )


def _memory() -> duckdb.DuckDBPyConnection:
    """Return a connection of its own to a database in memory, the user's default."""
    own = duckdb.default_connection().cursor()
    ((path,),) = own.execute(
        "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
    ).fetchall()
    return own if path is None else duckdb.connect()


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise _ours(error, path) from error
    except RuntimeError as error:
        # DuckDB's words where Python's handler of the signal has raised: the Stop.
        if str(error) == "Query interrupted":
            raise KeyboardInterrupt from error
        raise


def _ours(error: duckdb.Error, path: str) -> StoreError:
    text = str(error)
    match error:
        case duckdb.ConnectionException() if "already closed" in text:
            return StoreClosedError(f"The store {path!r} is closed.\nOpen it again.")
        case duckdb.FatalException():
            return StoreClosedError(
                f"The store {path!r} was closed by a fatal error: {text}\n"
                "What was acknowledged is kept; open the store again."
            )
        case duckdb.IOException() if "Could not set lock" in text:
            found = re.search(r"\(PID (\d+)\)", text)
            pid = int(found[1]) if found else None
            return StoreHeldError(path, pid, holder_of(path, pid))
        case duckdb.ConnectionException() if "configuration" in text:
            return StoreUnavailableError(
                f"The store {path!r} is open in this process already, in another "
                "mode or with settings of its own.\nClose that connection, then try "
                "again."
            )
        case duckdb.IOException() | duckdb.TransactionException() if not any(
            sign in text for sign in _WORDS_OF_DAMAGE
        ):
            return StoreUnavailableError(
                f"The store {path!r} can't be used: {text}\n"
                "Make its folder writable and room on its disk, or name another "
                "file: %workflow store PATH."
            )
        case duckdb.DatabaseError() if not isinstance(error, _SIGNS_OF_DAMAGE):
            return StoreError(f"The store {path!r} refused: {text}")
        case _:  # Where a checksum is wrong, DuckDB raises the root of its errors.
            return StoreDamagedError(
                f"The store {path!r} is damaged: {text}\n"
                "It was left as it is. To set it aside and go on with what can be "
                f"read: nbflow.checkpoint.duckdb.salvage({path!r}). Or go on with "
                "another store: %workflow store PATH."
            )


# The last one: the log is of an earlier or later state of the file, say of a backup.
_WORDS_OF_DAMAGE: Final = ("Could not read", "replaying WAL", "This WAL was created")
_SIGNS_OF_DAMAGE: Final = (
    duckdb.InternalException,
    duckdb.IOException,
    duckdb.SerializationException,
)


def _disown_all() -> None:
    # DuckDB's objects can't live in a fork: their threads are not there. Letting go
    # of one kills the child, so each keeps a reference that nobody holds.
    for opened in list(_live):
        for handle in opened.disown():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(handle))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
