"""A record becomes a row that comes back equal, or is refused before it is queued."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from nbflow._database.rows import COLUMNS
from nbflow._database.rows import _checksum as _row_checksum
from nbflow._events import Custom, Record, TaskCalled, TaskFinished, TaskRetried
from nbflow._values import Payload
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.errors import (
    StoreDamagedError,
    StoreUnavailableError,
    UnstorableValueError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

CALLED = TaskCalled("call", "", "place", "fetch", "code", "key", "(1, 2)")


def altered(path: Path, assignment: str, *values: object) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"UPDATE log SET {assignment} WHERE seq = 2", values)  # noqa: S608 - a fault, planted


def kept_in(path: Path, *records: Record) -> None:
    with DuckDBSaver(path) as saver:
        saver.append(records)


@pytest.fixture
def three(path: Path) -> Path:
    payload = Payload(b"compressible " * 1_000)
    kept_in(
        path,
        Record("t", "r1", 1, CALLED),
        Record("t", "r2", 2, TaskFinished("call", payload)),
        Record("t", "r3", 3, Custom("call", Payload(b"custom"))),
    )
    return path


@pytest.mark.parametrize(
    "assignment",
    [
        "generation = generation + 1",
        "happened_at = happened_at + INTERVAL 1 MICROSECOND",
        "run_id = 'r3'",
        "kind = 'Custom'",
        "call_id = 'other'",
        "name = ''",
        "detail = '{\"cached\":true}'",
        "value_codec = 0",
        "value = value || '\\x00'::BLOB",
        "value = NULL",
        "extra_codec = 0",
        "extra = ''::BLOB",
        "checksum = checksum # 1",
    ],
)
def test_a_row_that_was_changed_is_reported_with_its_place(
    three: Path, assignment: str
) -> None:
    assignment = assignment.replace("checksum # 1", "xor(checksum, 1)")
    altered(three, assignment)

    with (
        DuckDBSaver(three) as saver,
        pytest.raises(StoreDamagedError, match="Row 2 of the store"),
    ):
        saver.read("t")


def test_other_runs_of_a_store_with_a_changed_row_can_be_read(three: Path) -> None:
    altered(three, "detail = '{}'")

    with DuckDBSaver(three) as saver:
        assert len(saver.read("t", run_id="r1")) == 1
        assert len(saver.read("t", run_id="r3")) == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [("kind", "TaskTeleported"), ("detail", '{"cached":"maybe"}'), ("value_codec", 7)],
)
def test_a_row_of_a_newer_version_is_named_as_such(
    three: Path, column: str, value: object
) -> None:
    altered(
        three, f"{column} = ?, checksum = ?", value, _checksum(three, column, value)
    )

    with (
        DuckDBSaver(three) as saver,
        pytest.raises(StoreUnavailableError, match=r"Row 2 .*newer"),
    ):
        saver.read("t")


def test_a_row_with_a_field_that_is_no_more_is_read_without_it(three: Path) -> None:
    detail = '{"cached":true,"redacted":false,"fingerprint":"of an older version"}'
    altered(
        three,
        "detail = ?, checksum = ?",
        detail,
        _checksum(three, "detail", detail),
    )

    with DuckDBSaver(three) as saver:
        event = saver.read("t")[1].event

    assert isinstance(event, TaskFinished)
    assert event.cached


def _checksum(path: Path, column: str, value: object) -> int:
    # As a version that knows more would have written it.
    with duckdb.connect(str(path)) as connection:
        found = connection.execute("SELECT * FROM log WHERE seq = 2").fetchone()
    assert found is not None
    row: dict[str, Any] = dict(zip(COLUMNS, found, strict=True))
    row[column] = value
    at: datetime = row["happened_at"]
    row["happened_at"] = at.microsecond  # of the first second of 1970
    held = tuple(row.values())
    return _row_checksum(held[:9], held[9:13])


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": (1, 2)},
        {"a": float("nan")},
        {"a": float("inf")},
        {1: "a"},
        {"a": b"bytes"},
        {"a": object()},
        {"a": "\ud800"},
    ],
)
def test_metadata_that_would_not_come_back_equal_is_refused(
    path: Path, started: Callable[..., Record], metadata: dict[Any, Any]
) -> None:
    record = started("t", "r", metadata=metadata)

    with DuckDBSaver(path) as saver, pytest.raises(UnstorableValueError) as refusal:
        saver.append([record])

    assert refusal.value.path.startswith("RunStarted")


@pytest.mark.parametrize(
    "record",
    [
        Record("\ud800", "r", 1, CALLED),
        Record("t", "\udfff", 1, CALLED),
        Record("t", "r", 2**63, CALLED),
        Record("t", "r", -(2**62), CALLED),
        Record("t", "r", 1, Custom("\ud800", Payload(b""))),
        Record("t", "r", 1, TaskRetried("c", 1, "boom", float("inf"))),
    ],
    ids=["thread", "run", "late", "early", "call", "delay"],
)
def test_a_refused_record_takes_nothing_with_it(
    path: Path, written: Callable[..., Record], record: Record
) -> None:
    with DuckDBSaver(path) as saver:
        saver.append([written("t", "before")])
        with pytest.raises(UnstorableValueError):
            saver.append([written("t", "same group"), record])
        saver.append([written("t", "after")])
        found = saver.read("t")

    assert [r.event.data.data for r in found] == [b"before", b"after"]  # type: ignore[union-attr]
    assert [r.seq for r in found] == [1, 2]


def test_a_value_over_two_gigabytes_is_refused(path: Path) -> None:
    zeros = bytes(2**31)  # The system gives these without using memory.

    with DuckDBSaver(path) as saver, pytest.raises(UnstorableValueError, match="2 GiB"):
        saver.append([Record("t", "r", 1, Custom("", Payload(zeros)))])


def test_times_from_the_year_1_to_9999_come_back_to_the_microsecond(
    path: Path,
) -> None:
    times = [-62_135_596_800_000_000, -1, 0, 1, 253_402_300_799_999_999]

    with DuckDBSaver(path) as saver:
        saver.append([Record("t", "r", at, CALLED) for at in times])
        found = [record.at for record in saver.read("t")]

    assert found == times


def test_large_values_are_compressed_and_small_ones_are_not(path: Path) -> None:
    with DuckDBSaver(path) as saver, duckdb.connect(str(path)) as connection:
        for size in (100, 100_000):
            payload = Payload(b"a" * size)
            saver.commit([Record("t", "r", 1, TaskFinished("c", payload))])

        found = connection.execute(
            "SELECT value_codec, octet_length(value) FROM log ORDER BY seq"
        ).fetchall()

    assert found[0] == (0, 100)
    assert found[1][0] == 1
    assert found[1][1] < 1_000


def test_a_row_keeps_no_field_twice(path: Path) -> None:
    with DuckDBSaver(path) as saver, duckdb.connect(str(path)) as connection:
        saver.commit([Record("t", "r", 1, CALLED)])

        row = connection.execute("SELECT call_id, name, detail FROM log").fetchone()

    assert row is not None
    assert row[:2] == ("call", "fetch")
    assert '"place":"place"' in row[2]
    assert "call_id" not in row[2]
