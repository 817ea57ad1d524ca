"""The mark: what it notices, and what it never mistakes for a loss."""

from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbflow._database import integrity, writer
from nbflow._database.integrity import Mark, MarkFile, mark_path
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.errors import StoreDamagedError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from nbflow._events import Record

    RunChild = Callable[..., subprocess.CompletedProcess[str]]

KILLED = """
    import signal
    saver = DuckDBSaver(sys.argv[1])
    for number in range(20):
        saver.commit([written("t", str(number))] * 2)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(path: Path, run_child: RunChild) -> Path:
    """Return the file of a killed process: its rows are in the log beside it."""
    run_child(KILLED, path)
    return path


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def mark_of(path: Path) -> Path:
    return Path(mark_path(str(path)))


def frames_of(log: bytes | bytearray) -> list[int]:
    """Return where the frames of a write-ahead log begin."""
    for begin in range(100):
        frames, place = list[int](), begin
        while place + 16 <= len(log):
            (size,) = struct.unpack_from("<Q", log, place)
            frames.append(place)
            place += 16 + size
        if place == len(log) and len(frames) > 2:
            return frames
    raise AssertionError


def test_a_killed_store_is_whole(killed: Path) -> None:
    with DuckDBSaver(killed) as saver:
        assert len(saver.read("t")) == 40


def test_a_broken_length_in_the_log_is_noticed_and_nothing_is_touched(
    killed: Path,
) -> None:
    log = bytearray(log_of(killed).read_bytes())
    log[frames_of(log)[31] + 5] ^= 1  # DuckDB takes it for a torn end
    log_of(killed).write_bytes(log)
    before = {file.name: file.read_bytes() for file in killed.parent.iterdir()}

    with pytest.raises(StoreDamagedError, match=r"has lost 20 of its rows \(21-40\)"):
        DuckDBSaver(killed)

    after = {file.name: file.read_bytes() for file in killed.parent.iterdir()}
    before.pop(f"{killed.name}.lock"), after.pop(f"{killed.name}.lock")
    assert after == before


def test_a_log_that_is_gone_is_noticed(killed: Path) -> None:
    log_of(killed).unlink()

    with pytest.raises(StoreDamagedError, match=r"has lost 40 of its rows \(1-40\)"):
        DuckDBSaver(killed)


def test_a_log_whose_file_is_gone_is_not_thrown_away(killed: Path) -> None:
    killed.unlink()
    log = log_of(killed).read_bytes()

    with pytest.raises(StoreDamagedError, match="Put the file back"):
        DuckDBSaver(killed)

    assert log_of(killed).read_bytes() == log


def test_a_file_that_was_deleted_is_begun_anew(
    path: Path, written: Callable[..., Record]
) -> None:
    with DuckDBSaver(path) as saver:
        saver.append([written("t")] * 3)
    path.unlink()

    with DuckDBSaver(path) as saver:
        saver.append([written("t")])

        assert len(saver.read("t")) == 1


def test_an_older_copy_is_noticed_and_taken_once_its_mark_is_deleted(
    path: Path, written: Callable[..., Record]
) -> None:
    with DuckDBSaver(path) as saver:
        saver.append([written("t")])
    copy = path.read_bytes()
    with DuckDBSaver(path) as saver:
        saver.append([written("t")])
    path.write_bytes(copy)

    with pytest.raises(StoreDamagedError, match="older copy"):
        DuckDBSaver(path)

    mark_of(path).unlink()
    with DuckDBSaver(path) as saver:
        assert len(saver.read("t")) == 1


def test_another_store_of_the_same_length_is_noticed(
    path: Path, tmp_path: Path, written: Callable[..., Record]
) -> None:
    other = tmp_path / "other.duckdb"
    for file, text in ((path, "mine"), (other, "theirs")):
        with DuckDBSaver(file) as saver:
            saver.append([written("t", text)])
    path.write_bytes(other.read_bytes())

    with pytest.raises(StoreDamagedError, match="another one"):
        DuckDBSaver(path)


@pytest.mark.parametrize(
    ("statement", "lost"),
    [
        ("DELETE FROM log WHERE seq = 3", r"lost 1 of its rows \(3\)"),
        ("DELETE FROM log WHERE seq BETWEEN 1 AND 4", r"lost 4 of its rows \(1-4\)"),
        ("DELETE FROM log WHERE seq > 7", r"lost 3 of its rows \(8-10\)"),
        ("DELETE FROM log WHERE seq IN (2, 9)", r"lost 2 of its rows \(2, 9\)"),
        ("DELETE FROM log", r"lost 10 of its rows \(1-10\)"),
    ],
)
@pytest.mark.parametrize("has_mark", [True, False])
def test_missing_rows_are_counted(
    path: Path,
    written: Callable[..., Record],
    statement: str,
    lost: str,
    has_mark: bool,
) -> None:
    with DuckDBSaver(path) as saver:
        saver.append([written("t", str(number)) for number in range(10)])
    with duckdb.connect(str(path)) as connection:
        connection.execute(statement)
    is_a_hole = "> 7" not in statement and "WHERE" in statement
    if not has_mark:
        mark_of(path).unlink()

    if has_mark or is_a_hole:
        with pytest.raises(StoreDamagedError, match=lost):
            DuckDBSaver(path)
    else:  # Only the mark knows of an end that is gone.
        DuckDBSaver(path).close()


def test_a_log_ahead_of_its_mark_is_whole(
    killed: Path, written: Callable[..., Record]
) -> None:
    mark = mark_of(killed).read_bytes()
    with DuckDBSaver(killed) as saver:
        saver.append([written("t")] * 5)
    mark_of(killed).write_bytes(mark)  # as if a power cut had taken its moves back

    with DuckDBSaver(killed) as saver:
        assert len(saver.read("t")) == 45


def test_the_mark_of_a_store_that_rests_survives_a_power_cut(
    path: Path, written: Callable[..., Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(integrity, "SYNC_SECONDS", 1e9)

    with DuckDBSaver(path) as saver:
        saver.commit([written("t")])
        mark_file = saver._database._mark_file
        deadline = time.monotonic() + 10
        while mark_file.is_dirty:
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.mark.parametrize("content", [b"", b"\0" * 9000, b"no mark at all" * 1000])
def test_a_mark_that_is_no_mark_harms_nobody(
    path: Path, written: Callable[..., Record], content: bytes
) -> None:
    with DuckDBSaver(path) as saver:
        saver.append([written("t")])
    mark_of(path).write_bytes(content)

    with DuckDBSaver(path) as saver:
        assert len(saver.read("t")) == 1


@settings(deadline=None, max_examples=50)
@given(
    moves=st.lists(st.integers(1, 100), min_size=2, max_size=9),
    torn=st.integers(0, 44),
)
def test_a_torn_mark_is_the_one_before(
    tmp_path_factory: pytest.TempPathFactory, moves: list[int], torn: int
) -> None:
    path = str(tmp_path_factory.mktemp("mark") / "a")
    on_disk = Path(mark_path(path))
    marks = [Mark(1, sum(moves[: n + 1]), 7, 9) for n in range(len(moves))]
    file = MarkFile(path)
    for mark in marks[:-1]:
        file.move(mark)
    before = on_disk.read_bytes()
    file.move(marks[-1])
    file.close()
    after = on_disk.read_bytes()
    changed = [n for n, byte in enumerate(after) if byte != (before + bytes(9999))[n]]
    begin = changed[0] // 4096 * 4096 if changed else 0
    half = after[: begin + torn] + before[begin + torn :]
    on_disk.write_bytes(half)

    again = MarkFile(path)
    found = again.read()
    again.close()

    assert found in marks[-2:]
