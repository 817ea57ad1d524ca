"""A damaged store: what is kept of it, and what is said of the rest."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from nbflow._database.checking import check
from nbflow._database.salvage import Salvage, salvage
from nbflow._database.wal import checksum, whole_frames
from nbflow._events import Custom, Record
from nbflow._values import Payload
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.errors import (
    MendedStoreWarning,
    StoreDamagedError,
    StoreUnavailableError,
    UsageError,
)

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    RunChild = Callable[..., subprocess.CompletedProcess[str]]

KILLED = """
    import signal
    saver = DuckDBSaver(sys.argv[1])
    for number in range(20):
        saver.commit([written(f"t{number % 4}", str(number)), written("all", "x")])
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(path: Path, run_child: RunChild) -> Path:
    """Return the file of a killed process: 40 rows are in the log beside it."""
    run_child(KILLED, path)
    return path


@pytest.fixture
def folded(path: Path) -> Path:
    """Return a file of 300 rows in 3 threads, with some 10 MB of values."""
    chance = random.Random(1)  # noqa: S311 - values
    with DuckDBSaver(path) as saver:
        for number in range(100):
            event = Custom("", Payload(chance.randbytes(30_000)))
            saver.append([Record(f"t{n}", "r", number, event) for n in range(3)])
    return path


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def texts(path: Path, thread_id: str) -> list[bytes | None]:
    with DuckDBSaver(path) as saver:
        records = saver.read(thread_id)
    return [record.event.data.data for record in records]  # type: ignore[union-attr]


def flip(file: Path, place: int) -> bytes:
    content = bytearray(file.read_bytes())
    content[place] ^= 0x10
    file.write_bytes(content)
    return bytes(content)


@pytest.mark.parametrize("within", [2, 10, 20], ids=["length", "checksum", "content"])
@pytest.mark.parametrize("which", [1, 31, 58])
def test_a_broken_frame_of_rows_costs_these_and_no_others(
    killed: Path, which: int, within: int
) -> None:
    begin = whole_frames(log_of(killed).read_bytes())[which].begin
    flip(log_of(killed), begin + within)
    with pytest.raises(StoreDamagedError, match=r"salvage\('"):
        DuckDBSaver(killed)

    done = salvage(killed)

    assert (done.rows, done.lost) == (38, 2)
    assert len(texts(killed, "all")) == 19
    assert check(killed).is_whole


@pytest.mark.parametrize("within", [2, 10, 20], ids=["length", "checksum", "content"])
@pytest.mark.parametrize("which", [0, 2, 30, 57])
def test_a_broken_frame_around_rows_costs_nothing_and_is_mended(
    killed: Path, which: int, within: int
) -> None:
    frame = whole_frames(log_of(killed).read_bytes())[which]
    flip(log_of(killed), min(frame.begin + within, frame.end - 1))

    with pytest.warns(MendedStoreWarning, match="all of its 40 rows are there"):
        DuckDBSaver(killed).close()

    assert len(texts(killed, "all")) == 20
    assert check(killed).is_whole


def test_a_block_that_was_half_written_costs_nothing_and_is_mended(
    folded: Path,
) -> None:
    before = texts(folded, "t1")
    flip(folded, 3 * 4096 + 262_144 - 100)  # beside what is valid in the first block
    with pytest.raises(duckdb.Error, match="checksum"):
        duckdb.connect(str(folded))

    with pytest.warns(MendedStoreWarning, match="all of its 300 rows are there"):
        DuckDBSaver(folded).close()

    assert texts(folded, "t1") == before
    assert check(folded).is_whole
    assert not list(folded.parent.glob("*damaged*"))


@pytest.mark.parametrize("place", [1, 20, 40])
def test_a_kill_while_the_log_is_folded_and_written_costs_nothing_and_is_mended(
    killed: Path, place: int
) -> None:
    log = log_of(killed)
    content = log.read_bytes()
    frames = whole_frames(content)
    cut = frames[place].end
    # DuckDB marks where folding began, and goes on in a second log.
    mark = (
        b"d\x00ce\x00d\x00\x80\x80\x80\x80\x80\x80\x80\x80\x03e\x00\x08" + b"\xff" * 4
    )
    folds = struct.pack("<QQ", len(mark), checksum(mark)) + mark
    ends = content[frames[-1].begin :]
    log.write_bytes(content[:cut] + folds + ends)
    second = content[: frames[0].begin] + content[cut:]
    log.with_name(f"{log.name}.checkpoint").write_bytes(second)
    flip(killed, 3 * 4096 + 262_144 - 100)  # A block that was half written by then.

    with pytest.warns(MendedStoreWarning, match="all of its 40 rows are there"):
        DuckDBSaver(killed).close()

    assert len(texts(killed, "all")) == 20
    assert check(killed).is_whole


def test_the_damaged_files_are_kept_as_they_were(killed: Path) -> None:
    flip(log_of(killed), 500)
    files = [killed, log_of(killed), Path(f"{killed}.mark")]
    before = [file.read_bytes() for file in files]

    done = salvage(killed)

    assert [Path(name).read_bytes() for name in done.kept] == before
    assert all(".damaged-" in name for name in done.kept)
    assert {Path(name).suffix for name in done.kept} == {".duckdb", ".wal", ".mark"}
    assert not log_of(killed).exists()


def test_what_is_lost_is_told_in_rows(killed: Path) -> None:
    frames = whole_frames(log_of(killed).read_bytes())
    flip(log_of(killed), frames[31].begin + 20)

    done = salvage(killed)

    assert (done.rows, done.lost, done.gaps) == (38, 2, ((21, 22),))
    assert "38 rows" in str(done)
    assert "2 are lost: 21-22" in str(done)


def test_a_log_that_is_gone_is_told_in_rows(killed: Path) -> None:
    log_of(killed).unlink()

    done = salvage(killed)

    assert (done.rows, done.lost, done.gaps) == (0, 40, ((1, 40),))


def test_a_salvaged_store_goes_on(killed: Path) -> None:
    flip(log_of(killed), whole_frames(log_of(killed).read_bytes())[31].begin + 20)
    salvage(killed)

    with DuckDBSaver(killed) as saver:
        saver.append([Record("t", "r", 1, Custom("", Payload(b"new")))])

    assert texts(killed, "t") == [b"new"]
    assert check(killed).is_whole


def test_a_broken_block_costs_the_rows_in_it(folded: Path) -> None:
    before = {name: texts(folded, name) for name in ("t0", "t1", "t2")}
    damaged = flip(folded, folded.stat().st_size // 2)
    report = check(folded)

    done = salvage(folded)

    assert 0 < done.lost < 100
    assert done.rows + done.lost == 300
    assert len(report.findings) == done.lost
    assert set(done.threads) <= {"t0", "t1", "t2"}
    assert set(done.threads) == {finding.thread_id for finding in report.findings}
    assert Path(done.kept[0]).read_bytes() == damaged
    for name, values in before.items():
        after = texts(folded, name)
        assert len(after) < len(values) or name not in done.threads
        assert set(after) <= set(values)


def test_a_file_without_a_head_is_kept_and_an_empty_store_made(folded: Path) -> None:
    for place in (100, 4_096 + 20, 8_192 + 20):
        flip(folded, place)

    done = salvage(folded)

    assert (done.rows, done.lost) == (0, 300)
    assert texts(folded, "t0") == []


def test_a_whole_store_comes_out_as_it_was(folded: Path) -> None:
    before = texts(folded, "t1")

    done = salvage(folded)

    assert (done.rows, done.lost, done.gaps, done.threads) == (300, 0, (), ())
    assert texts(folded, "t1") == before


def test_a_store_can_be_salvaged_twice(killed: Path) -> None:
    salvage(killed)

    done = salvage(killed)

    assert (done.rows, done.lost) == (41, 0)


def test_an_open_store_is_not_salvaged(folded: Path) -> None:
    with DuckDBSaver(folded), pytest.raises(UsageError, match="Close"):
        salvage(folded)


def test_a_missing_store_is_not_salvaged(path: Path) -> None:
    with pytest.raises(StoreUnavailableError):
        salvage(path)


def test_a_whole_store_passes_the_check(killed: Path) -> None:
    report = check(killed)

    assert (report.rows, report.findings, report.is_whole) == (40, (), True)


def test_rows_that_a_compaction_kept_are_counted(folded: Path) -> None:
    with DuckDBSaver(folded) as saver:
        saver.compact()
    before = check(folded)
    with duckdb.connect(str(folded)) as connection:
        connection.execute("DELETE FROM log WHERE thread_id = 't2' AND seq < 10")
    Path(f"{folded}.mark").unlink()

    (finding,) = check(folded).findings

    assert before.is_whole
    assert finding.says == "3 of 300 earlier rows are missing"


def test_an_open_store_can_be_checked(folded: Path) -> None:
    with DuckDBSaver(folded) as saver:
        saver.append([Record("t", "r", 1, Custom("", Payload(b"new")))])

        assert check(folded).rows == 301


def test_a_store_that_does_not_open_is_a_finding(killed: Path) -> None:
    log_of(killed).unlink()

    report = check(killed)

    assert "has lost 40" in report.findings[0].says


def test_frames_are_found_behind_junk() -> None:
    log = b"head" + bytes(100)

    assert whole_frames(log) == []
    assert whole_frames(b"") == []
    assert whole_frames(struct.pack("<QQ", 2**60, 1) + bytes(50)) == []


def test_a_salvage_says_where_the_files_are() -> None:
    done = Salvage("a.duckdb", ("a.damaged-1.duckdb",), 5, 0, (), 0, ())

    assert "'a.damaged-1.duckdb'" in str(done)


def test_a_newer_schema_is_neither_salvaged_nor_mended(folded: Path) -> None:
    with duckdb.connect(str(folded)) as connection:
        connection.execute("INSERT INTO schema_versions VALUES (99, 'later', now())")
    with pytest.raises(StoreUnavailableError, match="newer nbflow"):
        salvage(folded)
    half_written = flip(folded, 3 * 4096 + 262_144 - 100)

    with pytest.raises(StoreDamagedError):
        DuckDBSaver(folded)
    with pytest.raises(StoreUnavailableError, match="newer nbflow"):
        salvage(folded)

    assert folded.read_bytes() == half_written
    assert not list(folded.parent.glob("*damaged*"))


def test_a_database_with_other_tables_is_not_salvaged(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine (a INTEGER)")
    content = path.read_bytes()

    with pytest.raises(StoreUnavailableError, match=r"other tables \(mine\)"):
        salvage(path)

    assert path.read_bytes() == content


LATER = """
    import signal
    saver = DuckDBSaver(sys.argv[1])
    saver.commit([written("later", str(number)) for number in range(10)])
    if sys.argv[2] == "compacted":
        saver.compact()
        saver.commit([written("later", "new")] * 3)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def restored(folded: Path, run_child: RunChild, how: str) -> Path:
    """Return a store that was put back as it was, but for the log of later rows."""
    files = [folded, Path(f"{folded}.mark")]
    before = [file.read_bytes() for file in files]
    run_child(LATER, folded, how)
    for file, content in zip(files, before, strict=True):
        file.write_bytes(content)
    return folded


def test_a_backup_beside_a_later_log_is_opened_with_it_where_nothing_is_missing(
    folded: Path, run_child: RunChild
) -> None:
    with DuckDBSaver(restored(folded, run_child, "appended")) as saver:
        assert len(saver.read("later")) == 10


def test_a_backup_beside_a_later_log_is_refused_where_rows_between_are_missing(
    folded: Path, run_child: RunChild
) -> None:
    before = texts(folded, "t1")
    restored(folded, run_child, "compacted")

    with pytest.raises(StoreDamagedError, match=r"salvage\('"):
        DuckDBSaver(folded)

    salvage(folded)
    assert texts(folded, "t1") == before


def test_a_log_of_an_earlier_state_takes_nothing_from_a_later_one(
    folded: Path, run_child: RunChild
) -> None:
    run_child(LATER, folded, "appended")
    earlier = log_of(folded).read_bytes()
    DuckDBSaver(folded).close()
    log_of(folded).write_bytes(earlier)

    with pytest.warns(MendedStoreWarning, match="all of its 310 rows are there"):
        DuckDBSaver(folded).close()

    assert len(texts(folded, "later")) == 10
    assert check(folded).is_whole
