"""Rows of one thread as a Parquet file, and back from a file of a stranger.

Reading opens this one file and no other, loads nothing into DuckDB, and looks at
the sizes before it takes a row. What the rows mean is not known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nbflow._database.connection import Connection
from nbflow.errors import InvalidBundleError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["BundleRow", "read_parquet", "write_parquet"]


class BundleRow(NamedTuple):
    """One event, as a bundle holds it.

    Attributes
    ----------
    position : int
        Its place among the bundle's, from 1.
    happened_at : int
        Microseconds since 1970-01-01 UTC.
    run_id, kind, call_id, name, detail
        As in the log.
    value_begin, value_bytes, extra_begin, extra_bytes : int or None
        Where its values stand among all of the bundle's; None where it has none.
    """

    position: int
    happened_at: int
    run_id: str
    kind: str
    call_id: str | None
    name: str | None
    detail: str
    value_begin: int | None
    value_bytes: int | None
    extra_begin: int | None
    extra_bytes: int | None


_COLUMNS: Final = {
    "position": "BIGINT",
    "happened_at": "BIGINT",
    "run_id": "VARCHAR",
    "kind": "VARCHAR",
    "call_id": "VARCHAR",
    "name": "VARCHAR",
    "detail": "VARCHAR",
    "value_begin": "BIGINT",
    "value_bytes": "BIGINT",
    "extra_begin": "BIGINT",
    "extra_bytes": "BIGINT",
}
_CREATE: Final = f"CREATE TABLE bundle ({', '.join(map(' '.join, _COLUMNS.items()))})"
_SAFE: Final = (
    "SET memory_limit = '1GB'",
    "SET threads = 1",
    "SET temp_directory = ''",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET allowed_paths = [{path}]",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
_ROWS_AT_ONCE: Final = 1_000


def write_parquet(path: Path, rows: Iterable[BundleRow]) -> int:
    """Write rows into a new Parquet file, and return how many there were."""
    memory = Connection(":memory:")
    try:
        # What does not fit the memory is put aside there, and not where the user is.
        memory.fetch(f"SET temp_directory = {_quoted(path.parent)}")
        memory.apply([(_CREATE, ())])
        appender = memory.appender("bundle")
        count = 0
        batch: list[BundleRow] = []
        for row in rows:
            batch.append(row)
            count += 1
            if len(batch) == _ROWS_AT_ONCE:
                appender.append(batch)
                batch = []
        if batch:
            appender.append(batch)
        appender.close()
        target = _quoted(path)
        memory.fetch(
            f"COPY (FROM bundle ORDER BY position) TO {target} "
            "(FORMAT parquet, COMPRESSION zstd)"
        )
        return count
    finally:
        memory.close()


def read_parquet(path: Path, *, rows: int, limit_bytes: int) -> Iterator[BundleRow]:
    """Yield the rows of a Parquet file in order.

    Parameters
    ----------
    path : Path
        The file; it may be anything.
    rows : int
        How many rows there have to be.
    limit_bytes : int
        How many bytes they may hold in all.

    Raises
    ------
    InvalidBundleError
        It is no such file, or larger.
    """
    memory = Connection(":memory:")
    try:
        for statement in _SAFE:
            memory.fetch(statement.format(path=_quoted(path)))
        source = f"read_parquet({_quoted(path)})"
        yield from _checked_rows(memory, source, rows, limit_bytes)
    except StoreError as error:
        why = str(error.__cause__ or error).partition("\n")[0]
        raise InvalidBundleError(f"its rows can't be read ({why})") from error
    finally:
        memory.close()


def _checked_rows(
    memory: Connection, source: str, rows: int, limit_bytes: int
) -> Iterator[BundleRow]:
    sql = f"SELECT column_name, column_type FROM (DESCRIBE FROM {source})"  # noqa: S608 - our own text
    found = memory.fetch(sql)
    if dict(found) != _COLUMNS:
        raise InvalidBundleError(f"its rows have other columns: {dict(found)}")
    sizes = " + ".join(
        f"coalesce(octet_length(encode({name})), 0)"
        for name, kind in _COLUMNS.items()
        if kind == "VARCHAR"
    )
    ((count, places, size, first, last),) = memory.fetch(
        f"SELECT count(*), count(DISTINCT position), coalesce(sum({sizes}), 0), "  # noqa: S608 - our own text
        f"min(position), max(position) FROM {source}"
    )
    if count != rows:
        raise InvalidBundleError(f"it holds {count} rows, and says {rows}")
    if rows and (places, first, last) != (rows, 1, rows):
        raise InvalidBundleError("its rows are not numbered from 1 on")
    if size > limit_bytes:
        raise InvalidBundleError.too_large("its rows take", size, limit_bytes)
    for begin in range(0, rows, _ROWS_AT_ONCE):
        some: list[Any] = memory.fetch(
            f"SELECT * FROM {source} WHERE position > ? AND position <= ? "  # noqa: S608 - our own text
            "ORDER BY position",
            (begin, begin + _ROWS_AT_ONCE),
        )
        yield from map(BundleRow._make, some)


def _quoted(path: Path) -> str:
    escaped = str(path).replace("'", "''")
    return f"'{escaped}'"
