"""What stands in the database file: one table, and how it came to be so.

The log has no key, no index and no constraint, and nothing here updates or
deletes: files that do not open after a kill were made by these. Every migration
is folded into the file before the next statement.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from nbflow._database.views import VIEWS
from nbflow.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow._database.connection import Connection

__all__ = ["MIGRATIONS", "Migration", "migrate", "version_of"]


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema; once released, it is never edited.

    Attributes
    ----------
    version : int
        The schema's version after it, from 1.
    says : str
        What it does.
    tables : tuple of str
        Its statements on tables; the views are made anew with the newest migration.
    """

    version: int
    says: str
    tables: tuple[str, ...]


_LOG: Final = """
CREATE TABLE log (
    seq BIGINT,
    generation INTEGER,
    happened_at TIMESTAMP,
    thread_id VARCHAR,
    run_id VARCHAR,
    kind VARCHAR,
    call_id VARCHAR,
    name VARCHAR,
    detail VARCHAR,
    value_codec UTINYINT,
    value BLOB USING COMPRESSION uncompressed,
    extra_codec UTINYINT,
    extra BLOB USING COMPRESSION uncompressed,
    checksum UINTEGER
)
"""

_VERSIONS: Final = """
CREATE TABLE schema_versions (
    version INTEGER,
    says VARCHAR,
    applied_at TIMESTAMP
)
"""

MIGRATIONS: Final = (
    Migration(1, "the log and its views", (_VERSIONS, _LOG)),
    Migration(2, "views of the store and of the cache", ()),
    Migration(3, "comments on the columns of views", ()),
)
"""Every migration, in order."""

_TABLES: Final = """
SELECT table_name FROM duckdb_tables()
WHERE NOT internal AND database_name = current_database()
"""

_RECORDED: Final = "INSERT INTO schema_versions VALUES (?, ?, ?)"


class _Readable(Protocol):
    def fetch(self, sql: str, /) -> list[Any]:
        """Run one statement and return its rows."""


def version_of(connection: _Readable, path: str) -> int:
    """Return the version of the schema in a file, 0 where nothing is in it.

    Raises
    ------
    StoreUnavailableError
        A newer version of nbflow wrote the file, or it holds other tables.
    """
    tables = {name for (name,) in connection.fetch(_TABLES)}
    if not tables:
        return 0
    version = None
    if "schema_versions" in tables:
        ((version,),) = connection.fetch("SELECT max(version) FROM schema_versions")
    if version is None:
        shown = ", ".join(sorted(tables)[:5])
        raise StoreUnavailableError(
            f"{path!r} holds other tables ({shown}) and no store of nbflow; it was "
            "left as it is.\nName a file of its own: %workflow store PATH."
        )
    newest = MIGRATIONS[-1].version
    if version > newest:
        raise StoreUnavailableError(
            f"A newer nbflow wrote the store {path!r} (its schema is {version}, this "
            f"version knows {newest}); it was left as it is.\n"
            "Update nbflow, or name another file: %workflow store PATH."
        )
    return int(version)


def migrate(connection: Connection, version: int) -> None:
    """Bring the schema of a file from a version to the newest."""
    for migration in MIGRATIONS:
        if migration.version > version:
            now = datetime.now(UTC).replace(tzinfo=None)
            recorded = (_RECORDED, (migration.version, migration.says, now))
            views = _views() if migration is MIGRATIONS[-1] else ()
            statements = [(sql, ()) for sql in (*migration.tables, *views)]
            connection.apply([*statements, recorded])
            connection.checkpoint()


def _views() -> Iterator[str]:
    for view in VIEWS:
        yield f"CREATE OR REPLACE VIEW {view.name} AS {view.sql}"
        yield f"COMMENT ON VIEW {view.name} IS {_quoted(view.says)}"
        for column, says in view.columns.items():
            comment = _quoted(says + _unit(column))
            yield f"COMMENT ON COLUMN {view.name}.{column} IS {comment}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _unit(column: str) -> str:
    named = column.rpartition("_")[2]
    return f", in {named}" if named in ("seconds", "bytes") else ""
