"""The file's schema: append-only, documented, and made step by step."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

import nbflow._database
from nbflow._database.rows import COLUMNS
from nbflow._database.schema import MIGRATIONS
from nbflow._database.views import VIEWS
from nbflow.checkpoint.duckdb import DuckDBSaver

if TYPE_CHECKING:
    from collections.abc import Iterator

FORBIDDEN = r"\b(UPDATE|DELETE|UPSERT|INDEX|PRIMARY|UNIQUE|REFERENCES|CONFLICT)\b"


@pytest.fixture
def connection(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    DuckDBSaver(path).close()
    with duckdb.connect(str(path)) as opened:
        yield opened


def test_nothing_but_appending_is_ever_asked_of_the_file() -> None:
    folder = Path(nbflow._database.__file__).parent
    sources = {file.name: file.read_text() for file in folder.glob("*.py")}

    found = {name: re.findall(FORBIDDEN, text) for name, text in sources.items()}

    assert len(sources) > 5
    assert not any(found.values()), found


def test_the_log_has_no_key_no_index_and_no_constraint(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    keys = connection.execute("SELECT * FROM duckdb_constraints()").fetchall()
    indexes = connection.execute("SELECT * FROM duckdb_indexes()").fetchall()

    assert (keys, indexes) == ([], [])


def test_the_log_has_the_columns_that_rows_fill(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    found = connection.execute("SELECT column_name FROM (DESCRIBE log)").fetchall()

    assert tuple(name for (name,) in found) == COLUMNS


def test_every_column_of_every_view_is_documented_in_the_file(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    columns = connection.execute(
        "SELECT table_name, list(column_name ORDER BY column_index), "
        "list(comment ORDER BY column_index) FROM duckdb_columns() "
        "WHERE table_name NOT IN ('log', 'schema_versions') "
        "AND NOT internal GROUP BY table_name"
    ).fetchall()
    views = connection.execute(
        "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal"
    ).fetchall()

    assert dict(views) == {view.name: view.says for view in VIEWS}
    assert {view: names for view, names, _ in columns} == {
        view.name: list(view.columns) for view in VIEWS
    }
    for view, names, comments in columns:
        for name, comment in zip(names, comments, strict=True):
            assert comment.strip(), (view, name)
            assert unit_of(name) in comment, (view, name)


def unit_of(column: str) -> str:
    """Say which unit a column's comment has to name."""
    units = {"_at": "UTC", "_seconds": "in seconds", "_bytes": "in bytes"}
    return next((units[end] for end in units if column.endswith(end)), "")


def test_a_snapshot_is_documented_too(path: Path) -> None:
    described = "SELECT table_name, column_name, comment FROM duckdb_columns()"
    with DuckDBSaver(path) as saver:
        copy = saver.snapshot(path.with_name("copy.duckdb"))
        wanted = saver.ask(f"{described} WHERE NOT internal ORDER BY ALL").fetchall()

    with duckdb.connect(str(copy), read_only=True) as connection:
        found = connection.execute(f"{described} WHERE NOT internal ORDER BY ALL")
        assert found.fetchall() == wanted


def test_every_migration_is_recorded_once(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    found = connection.execute("SELECT version FROM schema_versions").fetchall()

    assert found == [(migration.version,) for migration in MIGRATIONS]


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    numbers = [migration.version for migration in MIGRATIONS]

    assert numbers == list(range(1, len(MIGRATIONS) + 1))


def test_a_new_store_has_no_log_of_changes_beside_it(path: Path) -> None:
    with DuckDBSaver(path):
        beside = sorted(entry.name for entry in path.parent.iterdir())

    assert beside == [path.name, f"{path.name}.lock", f"{path.name}.mark"]
