"""Die at one step after the other of what is done once: nothing is half done.

A death stands at every so many calls of or from the modules that own the file;
`make crash` tries ten times as many, on files of their own each time.
"""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING

import duckdb
import pytest

from nbflow._events import Custom, Record
from nbflow._values import Payload
from nbflow.checkpoint.duckdb import DuckDBSaver, salvage
from nbflow.errors import StoreDamagedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Deaths = Callable[[str, Callable[[], Path]], Iterator[Path]]

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return a store of 30 rows, folded into its file."""
    path = tmp_path / "made" / "threads.duckdb"
    chance = random.Random(1)  # noqa: S311 - values
    with DuckDBSaver(path) as saver:
        for number in range(10):
            event = Custom("", Payload(chance.randbytes(30_000)))
            saver.append([Record(f"t{n}", "r", number, event) for n in range(3)])
    return path


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Callable[[], Path]:
    """Return what copies the store to a folder that was empty before."""

    def copy() -> Path:
        folder = tmp_path / "work"
        shutil.rmtree(folder, ignore_errors=True)
        return shutil.copytree(made.parent, folder) / made.name

    return copy


def rows_of(path: Path) -> list[tuple[object, ...]]:
    with DuckDBSaver(path) as saver:
        return [
            (record.seq, record.thread_id, record.event)
            for n in range(3)
            for record in saver.read(f"t{n}")
        ]


def goes_on(path: Path) -> bool:
    event = Custom("", Payload(b"later"))
    with DuckDBSaver(path) as saver:
        saver.append([Record("later", "r", 1, event)])
    with DuckDBSaver(path) as saver:
        return len(saver.read("later")) == 1


MAKES = """
with DuckDBSaver(sys.argv[2]) as saver:
    saver.commit([written("t0", b"first")])
"""


def test_a_death_while_a_store_is_made_stands_in_nobodys_way(
    tmp_path: Path, deaths: Deaths, note: Callable[..., None]
) -> None:
    count = 0

    def prepare() -> Path:
        shutil.rmtree(tmp_path / "work", ignore_errors=True)
        return tmp_path / "work" / "threads.duckdb"

    for path in deaths(MAKES, prepare):
        count += 1
        assert len(rows_of(path)) <= 1
        assert goes_on(path)

    note("deaths while a store is made", count, None, "each can be opened")
    assert count


MIGRATES = """
from nbflow._database import database, schema
later = schema.Migration(99, "another table", ("CREATE TABLE later (a INTEGER)",))
schema.MIGRATIONS = database.MIGRATIONS = (*schema.MIGRATIONS, later)
DuckDBSaver(sys.argv[2]).close()
"""


def test_a_death_while_a_file_is_migrated_leaves_the_old_or_the_new_one(
    made: Path, copied: Callable[[], Path], deaths: Deaths, note: Callable[..., None]
) -> None:
    expected = rows_of(made)
    old = new = 0

    for path in deaths(MIGRATES, copied):
        with duckdb.connect(str(path)) as connection:
            tables = {name for (name,) in connection.sql("SHOW TABLES").fetchall()}
            if "later" in tables:
                new += 1
                connection.execute("DROP TABLE later")
                connection.execute("DELETE FROM schema_versions WHERE version = 99")
            else:
                old += 1
        assert rows_of(path) == expected
        assert goes_on(path)

    outcome = f"{old} times the old file, {new} times the new one"
    note("deaths while a file is migrated", old + new, None, outcome)
    assert old


COMPACTS = """
with DuckDBSaver(sys.argv[2]) as saver:
    saver.delete_thread("t1")
    print("deleted", flush=True)
    saver.compact()
"""


def test_a_death_while_a_store_is_compacted_leaves_the_old_or_the_new_file(
    made: Path, copied: Callable[[], Path], deaths: Deaths, note: Callable[..., None]
) -> None:
    expected = rows_of(made)
    remaining = [row for row in expected if row[1] != "t1"]
    count = 0

    for path in deaths(COMPACTS, copied):
        count += 1
        assert rows_of(path) in (expected, remaining)
        assert goes_on(path)

    note("deaths while a store is compacted", count, None, "0 rows lost")
    assert count


SALVAGES = """
salvage(sys.argv[2])
"""


def test_a_death_while_a_store_is_salvaged_leaves_what_can_be_salvaged(
    made: Path, copied: Callable[[], Path], deaths: Deaths, note: Callable[..., None]
) -> None:
    damaged = bytearray(made.read_bytes())
    expected = rows_of(made)
    damaged[len(damaged) // 2] ^= 1
    made.write_bytes(damaged)
    salvage(made)
    remaining = rows_of(made)
    shutil.rmtree(made.parent)
    made.parent.mkdir()
    made.write_bytes(damaged)
    count = 0

    for path in deaths(SALVAGES, copied):
        count += 1
        try:
            found = rows_of(path)
        except StoreDamagedError:
            salvage(path)
            found = rows_of(path)
        assert found == remaining
        assert goes_on(path)

    note("deaths while a store is salvaged", count, None, "each can be salvaged")
    assert set(map(str, remaining)) < set(map(str, expected))
    assert count


MENDS = """
import warnings
warnings.simplefilter("ignore")
DuckDBSaver(sys.argv[2]).close()
"""


@pytest.mark.filterwarnings("ignore::nbflow.errors.MendedStoreWarning")
def test_a_death_while_a_store_is_mended_leaves_what_can_be_mended(
    made: Path, copied: Callable[[], Path], deaths: Deaths, note: Callable[..., None]
) -> None:
    expected = rows_of(made)
    half_written = bytearray(made.read_bytes())
    half_written[3 * 4_096 + 262_144 - 100] ^= 1  # beside what is valid in the block
    made.write_bytes(half_written)
    count = 0

    for path in deaths(MENDS, copied):
        count += 1
        assert rows_of(path) == expected
        assert goes_on(path)

    note("deaths while a half-written block is mended", count, None, "0 rows lost")
    assert count
