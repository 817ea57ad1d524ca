"""What a look at a store says of each kind of damage, and that it changes nothing."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import duckdb
import pytest

from nbflow._events import Record, RunFinished, RunStarted
from nbflow._values import Payload
from nbflow.checkpoint.duckdb import DuckDBSaver, salvage
from nbflow.checkpoint.housekeeping import Remark, diagnose

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LARGE = random.Random(9).randbytes(400_000)  # noqa: S311 - the same each time
SMALL = random.Random(10).randbytes(3_000)  # noqa: S311 - as above


@pytest.fixture
def store(path: Path) -> Path:
    """Return a closed store with two threads, one of them with a large value."""
    with DuckDBSaver(path) as saver:
        for thread_id, value in (("small", SMALL), ("large", LARGE)):
            begun = RunStarted("essay", Payload(value), "code", "in")
            ended = RunFinished(Payload(value), None, "out")
            saver.commit([Record(thread_id, thread_id, 1, e) for e in (begun, ended)])
    return path


def the(remarks: list[Remark], about: str) -> Remark:
    """Return the first remark about something."""
    return next(remark for remark in remarks if remark.about == about)


def files_beside(path: Path) -> dict[str, bytes]:
    """Return everything beside a store but who had its lock last."""
    return {
        str(file.relative_to(path.parent)): file.read_bytes()
        for file in path.parent.rglob("*")
        if file.is_file() and file.suffix != ".lock"
    }


def sql(path: Path, statement: str) -> None:
    """Change a database file behind the store's back."""
    with duckdb.connect(str(path)) as connection:
        connection.execute(statement)


def value_of(path: Path) -> Path:
    """Return the file of the large value."""
    (file,) = path.with_name(f"{path.name}.blobs").iterdir()
    return file


def test_a_whole_store_is_good_all_over(store: Path) -> None:
    remarks = diagnose(str(store))

    assert {remark.level for remark in remarks} == {"good"}
    assert the(remarks, "files").says.startswith("1 large value, ")


def lose(path: Path) -> None:
    value_of(path).unlink()


def alter(path: Path) -> None:
    data = bytearray(value_of(path).read_bytes())
    data[1_000] ^= 1
    value_of(path).write_bytes(data)


def edit(path: Path) -> None:
    sql(path, "UPDATE log SET name = 'x' WHERE seq = 4")


@pytest.mark.parametrize(
    ("damage", "says"),
    [(lose, "is missing"), (alter, "is not what was written"), (edit, "Row 4 of")],
)
def test_one_bad_row_is_named_with_its_thread(
    store: Path, damage: Callable[[Path], None], says: str
) -> None:
    damage(store)

    found = [r for r in diagnose(str(store)) if r.level == "bad"]

    assert says in found[0].says
    assert "(thread 'large')" in found[0].says
    assert "export_thread" in found[0].advice


def turn(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.find(SMALL[:64]) + 5] ^= 1
    path.write_bytes(data)


def shorten(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def drop(path: Path) -> None:
    sql(path, "DELETE FROM log WHERE seq = 3")


@pytest.mark.parametrize("damage", [turn, shorten, drop])
def test_a_store_that_can_not_be_opened_is_to_be_salvaged(
    store: Path, damage: Callable[[Path], None]
) -> None:
    damage(store)
    before = files_beside(store)

    remark = the(diagnose(str(store)), "rows")

    assert remark.level == "bad"
    assert f"salvage({str(store)!r})" in remark.advice
    assert files_beside(store) == before


def age(path: Path) -> None:
    sql(path, "DELETE FROM schema_versions WHERE version > 1")


def renew(path: Path) -> None:
    sql(path, "INSERT INTO schema_versions VALUES (99, 'x', now()::TIMESTAMP)")


@pytest.mark.parametrize(
    ("change", "about", "says"),
    [
        (age, "schema", "version 1, and the newest known is"),
        (renew, "file", "A newer nbflow wrote"),
        (lambda path: path.write_bytes(b""), "file", "is not a DuckDB database"),
        (lambda path: path.unlink(), "file", "is gone, and 'threads.duckdb.mark'"),
    ],
)
def test_a_file_that_opening_would_change_is_left_as_it_is(
    store: Path, change: Callable[[Path], object], about: str, says: str
) -> None:
    change(store)
    before = files_beside(store)

    remark = [r for r in diagnose(str(store)) if r.about == about][-1]

    assert says in remark.says
    assert remark.advice
    assert files_beside(store) == before


@pytest.mark.parametrize(
    ("table", "says"),
    [("CREATE TABLE mine (n INTEGER)", "other tables (mine)"), ("", "no store yet")],
)
def test_a_database_of_the_users_own_is_made_no_store(
    path: Path, table: str, says: str
) -> None:
    sql(path, table or "SELECT 1")
    before = files_beside(path)

    remarks = diagnose(str(path))

    assert says in remarks[-1].says
    assert files_beside(path) == before


def test_a_mark_that_is_missing_is_told(store: Path) -> None:
    store.with_name(f"{store.name}.mark").unlink()

    remarks = diagnose(str(store))

    assert the(remarks, "mark").level == "note"
    assert the(remarks, "rows").level == "good"
    assert "mark" not in {remark.about for remark in diagnose(str(store))}


def test_files_that_no_row_refers_to_are_counted_and_others_not_with_them(
    store: Path,
) -> None:
    value = value_of(store)
    value.with_name(f"{'ab' * 32}.zst").write_bytes(b"x" * 700)
    value.with_name("1-2.part").write_bytes(b"x" * 300)

    found = [r.says for r in diagnose(str(store)) if r.about == "files"]

    assert found == [
        "no row refers to 2 files of large values, 1,000 bytes",
        f"1 large value, {value.stat().st_size:,} bytes",
    ]


def test_what_was_set_aside_is_named(store: Path) -> None:
    salvage(store)

    remark = the(diagnose(str(store)), "folder")

    assert "'threads.damaged-" in remark.says
    assert "deleted since" in remark.advice
