"""The door to DuckDB: its transactions, and its errors in our words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from nbflow._database.connection import Connection
from nbflow.errors import StoreClosedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def connection(path: Path) -> Iterator[Connection]:
    opened = Connection(str(path))
    opened.apply([("CREATE TABLE numbers (number INTEGER)", ())])
    yield opened
    opened.close()


def test_a_bad_row_takes_its_own_append_with_it_and_no_other(
    connection: Connection,
) -> None:
    appender = connection.appender("numbers")
    appender.append([(1,), (2,)])

    with pytest.raises(StoreError):
        appender.append([(3,), ("no number",)])
    appender.append([(4,)])
    appender.close()

    assert connection.fetch("SELECT number FROM numbers") == [(1,), (2,), (4,)]


def test_statements_are_applied_together_or_not_at_all(connection: Connection) -> None:
    with pytest.raises(StoreError):
        connection.apply(
            [("INSERT INTO numbers VALUES (?)", (1,)), ("SELECT no_such_column", ())]
        )

    assert connection.fetch("SELECT number FROM numbers") == []


def test_an_error_of_duckdb_names_the_store_and_the_reason(
    connection: Connection, path: Path
) -> None:
    with pytest.raises(StoreError) as refusal:
        connection.fetch("SELECT no_such_column")

    assert repr(str(path)) in str(refusal.value)
    assert "no_such_column" in str(refusal.value)


def test_a_closed_connection_says_so(connection: Connection) -> None:
    connection.close()

    with pytest.raises(StoreClosedError):
        connection.fetch("SELECT 1")


def test_a_checkpoint_is_put_off_while_somebody_writes(
    connection: Connection, path: Path
) -> None:
    connection.apply([("INSERT INTO numbers VALUES (1)", ())])
    with duckdb.connect(str(path)) as other:
        other.begin()
        other.execute("UPDATE numbers SET number = 2")
        is_done_while_written = connection.checkpoint()
        other.commit()

    assert not is_done_while_written
    assert connection.checkpoint()
