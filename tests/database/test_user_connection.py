"""The user's own connection to the file, in the same kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.errors import StoreUnavailableError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from nbflow._events import Record


def test_a_plain_connection_reads_the_views_while_the_store_is_open(
    path: Path, started: Callable[..., Record]
) -> None:
    with DuckDBSaver(path) as saver, duckdb.connect(str(path)) as connection:
        saver.commit([started("t", "r")])

        found = connection.execute("SELECT thread_id, status FROM threads").fetchall()

    assert found == [("t", "running")]


def test_a_store_opens_while_the_user_has_the_file_open(
    path: Path, started: Callable[..., Record]
) -> None:
    DuckDBSaver(path).close()

    with duckdb.connect(str(path)) as connection, DuckDBSaver(path) as saver:
        saver.commit([started("t", "r")])

        assert connection.execute("SELECT count(*) FROM log").fetchone() == (1,)


def test_opening_the_store_keeps_the_lock_of_the_user(
    path: Path, run_child: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    DuckDBSaver(path).close()

    with duckdb.connect(str(path)):
        DuckDBSaver(path).close()
        child = run_child("DuckDBSaver(sys.argv[1])", path)

    assert "StoreHeldError" in child.stderr


def test_a_read_only_connection_of_the_user_is_explained(path: Path) -> None:
    DuckDBSaver(path).close()

    with (
        duckdb.connect(str(path), read_only=True),
        pytest.raises(StoreUnavailableError, match="Close that connection"),
    ):
        DuckDBSaver(path)


def test_an_open_transaction_of_the_user_does_not_stop_the_store(
    path: Path, started: Callable[..., Record]
) -> None:
    saver = DuckDBSaver(path)
    connection = duckdb.connect(str(path))
    connection.begin()
    connection.execute("SELECT count(*) FROM log").fetchall()

    saver.commit([started("t", "r")])
    saver.close()

    assert connection.execute("SELECT count(*) FROM log").fetchone() == (0,)
    connection.close()
    with DuckDBSaver(path) as saver:
        assert len(saver.read("t")) == 1
