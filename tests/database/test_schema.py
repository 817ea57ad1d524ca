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
        "SELECT table_name, list(column_name ORDER BY column_index) "
        "FROM duckdb_columns() WHERE table_name NOT IN ('log', 'schema_versions') "
        "AND NOT internal GROUP BY table_name"
    ).fetchall()
    comments = connection.execute(
        "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal"
    ).fetchall()

    assert dict(columns) == {view.name: list(view.columns) for view in VIEWS}
    assert dict(comments) == {
        view.name: "\n".join(
            [view.says, *(f"{name}: {says}" for name, says in view.columns.items())]
        )
        for view in VIEWS
    }


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
