"""What a user's query finds: a relation of DuckDB's that holds no file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.errors import UsageError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from nbflow._events import Record

KINDS = {
    "HUGEINT": "170141183460469231731687303715884105727",
    "UHUGEINT": "340282366920938463463374607431768211455",
    "BIGNUM": "123456789012345678901234567890123456789012345678901",
    "DECIMAL(38,10)": "1234567890.0000000001",
    "DOUBLE": "'nan'",
    "BLOB": "'\\x00\\xFF'",
    "BIT": "'0101'",
    "BIT[]": "['0101', NULL]",
    "UUID[]": "['ea2b1b1c-39ab-4a2b-b21b-2a3a4c1f3c5e']",
    "JSON": """'{"a": [1]}'""",
    "ENUM('a', 'b c')": "'b c'",
    "INTERVAL": "INTERVAL '1 month 2 days 0.000003 seconds'",
    "TIMESTAMP": "'2026-01-02 03:04:05.000006'",
    "DATE": "'infinity'",
    "TIME WITH TIME ZONE": "'12:00:01+02'",
    'STRUCT("a ""b" INTEGER, c HUGEINT[])': """{'a "b': 1, 'c': [2]}""",
    "MAP(VARCHAR, UUID)": "MAP {'k': 'ea2b1b1c-39ab-4a2b-b21b-2a3a4c1f3c5e'}",
    "UNION(num INTEGER, str VARCHAR)": "'x'",
}


@pytest.fixture
def saver(path: Path, started: Callable[..., Record]) -> Iterator[DuckDBSaver]:
    with DuckDBSaver(path) as saver:
        saver.commit([started("t", "r")])
        yield saver


@pytest.fixture
def default() -> Iterator[duckdb.DuckDBPyConnection]:
    """Return the connection that `duckdb.sql` uses; it is so again afterwards."""
    before = duckdb.default_connection()
    yield before
    duckdb.set_default_connection(before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_keeps_its_type(
    saver: DuckDBSaver, default: duckdb.DuckDBPyConnection, kind: str
) -> None:
    query = f"SELECT CAST({KINDS[kind]} AS {kind}) AS value, 1 AS a, 2 AS a"

    found = saver.ask(query)

    wanted = default.sql(query)
    assert [str(type_) for type_ in found.types] == [kind, "INTEGER", "INTEGER"]
    assert str(found.fetchall()) == str(wanted.fetchall())


def test_what_was_found_is_asked_on_in_duckdb(
    saver: DuckDBSaver, default: duckdb.DuckDBPyConnection
) -> None:
    found = saver.ask("SELECT thread_id, status FROM threads")

    assert default.sql("SELECT status FROM found").fetchall() == [("running",)]
    assert found.filter("status = 'failed'").fetchall() == []
    assert found.df().to_dict("records") == [{"thread_id": "t", "status": "running"}]
    assert found.pl().rows() == [("t", "running")]
    assert found.to_arrow_table().num_rows == 1


def test_what_was_found_outlives_the_store_and_does_not_hold_its_file(
    path: Path,
    saver: DuckDBSaver,
    run_child: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    found = saver.ask("SELECT thread_id FROM threads")

    saver.compact()
    saver.close()
    child = run_child("print(len(DuckDBSaver(sys.argv[1]).read('t')))", path)

    assert (child.stdout, child.stderr) == ("1\n", "")
    assert found.fetchall() == [("t",)]


def test_a_large_answer_is_whole(saver: DuckDBSaver) -> None:
    found = saver.ask("SELECT range AS n FROM range(300_000)")

    assert len(found) == 300_000
    assert found.aggregate("sum(n)").fetchall() == [(300_000 * 299_999 // 2,)]


def test_nothing_appears_among_the_tables_of_the_user(
    saver: DuckDBSaver, default: duckdb.DuckDBPyConnection
) -> None:
    before = default.sql("SHOW ALL TABLES").fetchall()

    found = saver.ask("FROM threads")

    assert default.sql("SHOW ALL TABLES").fetchall() == before
    assert len(found) == 1


def test_an_answer_does_not_keep_a_file_of_the_user_open(
    saver: DuckDBSaver, path: Path, default: duckdb.DuckDBPyConnection
) -> None:
    mine = duckdb.connect(str(path))
    duckdb.set_default_connection(mine)

    found = saver.ask("FROM threads")
    duckdb.set_default_connection(default)
    mine.close()

    saver.compact()
    assert len(found) == 1


@pytest.mark.parametrize(
    "query",
    [
        "SELECT error('boom')",
        "SELECT CAST('x' || range AS INTEGER) FROM range(9)",
        "SELECT CAST(range AS TINYINT) FROM range(300_000) ORDER BY range",
        "SELECT ?",
        "SELECT 'open",
        "UPDATE EXTENSIONS",
        "-- nothing",
    ],
)
def test_what_fails_is_explained_and_the_store_goes_on(
    saver: DuckDBSaver, started: Callable[..., Record], query: str
) -> None:
    with pytest.raises(UsageError) as caught:
        saver.ask(query)

    assert "Arrow" not in str(caught.value)
    saver.commit([started("t", "r2")])
    assert saver.ask("SELECT count(*) FROM log").fetchall() == [(2,)]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM log",
        "TRUNCATE log",
        "EXPLAIN ANALYZE DELETE FROM log",
        "WITH gone AS (DELETE FROM log RETURNING *) FROM gone",
        "FROM query('DELETE FROM log')",
        "FROM threads; DELETE FROM log",
        "COPY (SELECT 1) TO '{path}.mark'",
        "ATTACH '{path}' AS again",
        "PRAGMA disable_checkpoint_on_shutdown",
        "SET checkpoint_threshold = '1kB'",
        "CHECKPOINT",
    ],
)
def test_no_query_changes_the_log_or_a_setting(
    saver: DuckDBSaver, path: Path, query: str
) -> None:
    settings = "SELECT name, value FROM duckdb_settings() WHERE name LIKE 'check%'"
    before = [saver.ask(asked).fetchall() for asked in (settings, "FROM log")]

    with pytest.raises(UsageError):
        saver.ask(query.format(path=path))

    after = [saver.ask(asked).fetchall() for asked in (settings, "FROM log")]
    assert after == before
