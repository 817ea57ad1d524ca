"""The writer: togetherness, failures, and what is said of them."""

from __future__ import annotations

import errno
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from nbflow._database import compact as compaction
from nbflow._database import database, writer
from nbflow._database.connection import Connection
from nbflow._database.integrity import MarkFile
from nbflow._database.rows import pack
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.errors import StoreClosedError, StoreError, StoreUnavailableError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from nbflow._events import Record

    RunChild = Callable[..., subprocess.CompletedProcess[str]]


def test_what_waits_together_is_committed_together(
    path: Path, written: Callable[..., Record]
) -> None:
    is_at_work, may_write = threading.Event(), threading.Event()

    def wait(_: BaseException | None) -> None:
        is_at_work.set()
        may_write.wait()

    with DuckDBSaver(path) as saver, ThreadPoolExecutor(32) as pool:
        saver.append([written("t")], wait)
        is_at_work.wait()
        waiting = [pool.submit(saver.commit, [written("t")]) for _ in range(32)]
        while len(saver._database.writer._queue) < 32:
            time.sleep(0.001)
        may_write.set()
        for each in waiting:
            each.result()

        commits = saver._database.writer._commits

    assert commits == 2


def test_what_nobody_waits_for_waits_for_company(
    path: Path, written: Callable[..., Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LINGER_SECONDS", 60)

    with DuckDBSaver(path) as saver:
        for _ in range(20):
            saver.append([written("t")])
        saver.commit([])

        commits = saver._database.writer._commits

    assert commits == 1


def test_company_is_not_waited_for_once_somebody_waits(
    path: Path, written: Callable[..., Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LINGER_SECONDS", 60)

    with DuckDBSaver(path) as saver:
        saver.append([written("t")])
        saver.commit([written("t")])

        assert len(saver.read("t")) == 2


def test_what_nobody_waits_for_is_written_soon_all_the_same(
    path: Path, written: Callable[..., Record]
) -> None:
    with DuckDBSaver(path) as saver:
        saver.append([written("t")])
        deadline = time.monotonic() + 10

        while not saver._database.fetch("SELECT seq FROM log"):
            assert time.monotonic() < deadline
            time.sleep(0.001)


def test_a_backlog_larger_than_one_commit_keeps_its_order(
    path: Path, written: Callable[..., Record]
) -> None:
    with DuckDBSaver(path) as saver:
        for start in range(0, 12_000, 3_000):
            numbers = range(start, start + 3_000)
            saver.append([written("t", str(number)) for number in numbers])

        found = saver.read("t")

    assert [r.event.data.data for r in found] == [  # type: ignore[union-attr]
        str(number).encode() for number in range(12_000)
    ]
    assert [r.seq for r in found] == list(range(1, 12_001))


def test_a_callback_that_raises_harms_nobody(
    path: Path,
    written: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", reported.append)

    def fail(error: BaseException | None) -> None:
        raise ValueError(error)

    with DuckDBSaver(path) as saver:
        saver.append([written("t", "a")], fail)
        saver.commit([written("t", "b")])

        assert len(saver.read("t")) == 2
    assert [report.exc_type for report in reported] == [ValueError]


def test_a_callback_can_append_and_close_but_not_read(
    path: Path, written: Callable[..., Record]
) -> None:
    seen: list[object] = []
    is_over = threading.Event()
    saver = DuckDBSaver(path)

    def callback(_: BaseException | None) -> None:
        try:
            saver.append([written("t", "from the callback")])
            saver.read("t")
        except RuntimeError as error:
            seen.append(str(error))
        saver.close()
        is_over.set()

    saver.append([written("t")], callback)

    assert is_over.wait(10)
    assert "another thread" in str(seen[0])
    with DuckDBSaver(path) as again:
        assert len(again.read("t")) == 2


FULL_DISK = """
    import resource
    from nbflow.errors import StoreError

    def attempt(action):
        try:
            return action()
        except StoreError as error:
            print(type(error).__name__, type(error.__cause__).__name__)

    saver, told, commits = DuckDBSaver(sys.argv[1]), [], 0
    saver.commit([written("t", "first")])
    limit = os.path.getsize(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    while told.count(None) == commits:
        commits += 1
        saver.append([written("t", os.urandom(50_000).hex())], told.append)
        attempt(lambda: saver.commit([]))
    attempt(lambda: saver.append([written("t", "later")]))
    attempt(lambda: saver.read("t"))
    attempt(saver.heads)
    saver.close()

    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    again = DuckDBSaver(sys.argv[1])
    print(len(told), told.count(None) + 1, len(again.read("t")))
    again.commit([written("t", "last")])
    print([record.seq for record in again.read("t")][-1])
"""


def test_a_full_disk_loses_nothing_acknowledged_and_is_told_to_everybody(
    path: Path, run_child: RunChild
) -> None:
    child = run_child(FULL_DISK, path)

    *refusals, counts, newest = child.stdout.splitlines()
    told, acknowledged, kept = map(int, counts.split())
    assert refusals == ["StoreClosedError StoreUnavailableError"] * 4, child.stderr
    assert told == acknowledged
    assert kept == acknowledged
    assert int(newest) == kept + 1
    assert child.stderr == ""


TOO_LARGE = """
    import resource
    saver, told, gate = DuckDBSaver(sys.argv[1]), [], threading.Event()
    limit = os.path.getsize(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    many = [os.urandom(100_000).hex() for _ in range(limit // 100_000 + 2)]

    saver.append([], lambda _: gate.wait())
    for texts in ["a"], ["b"], many, ["c"]:
        records = [written("t", text) for text in texts]
        saver.append(records, lambda error: told.append(error is None))
    gate.set()
    saver.close()

    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    kept = DuckDBSaver(sys.argv[1]).read("t")
    print(told, [record.event.data.data for record in kept])
"""


def test_what_does_not_fit_takes_no_earlier_row_with_it(
    path: Path, run_child: RunChild
) -> None:
    child = run_child(TOO_LARGE, path)

    assert child.stdout == "[True, True, False, False] [b'a', b'b']\n", child.stderr


def test_an_idle_store_is_folded_into_its_file(
    path: Path, written: Callable[..., Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(writer, "CHECKPOINT_WHEN_IDLE_AFTER", 3)
    beside = path.with_name(f"{path.name}.wal")

    with DuckDBSaver(path) as saver:
        for _ in range(3):
            saver.commit([written("t")])
        deadline = time.monotonic() + 10
        while beside.exists() and beside.stat().st_size:
            assert time.monotonic() < deadline
            time.sleep(0.005)

        assert len(saver.read("t")) == 3


def test_a_busy_store_is_folded_now_and_then(
    path: Path, written: Callable[..., Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_AFTER", 5)

    with DuckDBSaver(path) as saver:
        for _ in range(12):
            saver.commit([written("t")])

        assert saver._database.writer._commits <= 5
        assert len(saver.read("t")) == 12


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Keep a writer between its last word and the end until the event is set."""
    may_end = threading.Event()
    end = database.Database.end

    def end_later(self: database.Database, cause: BaseException | None) -> None:
        may_end.wait()
        end(self, cause)

    monkeypatch.setattr(database.Database, "end", end_later)
    yield may_end
    may_end.set()


def failing(path: Path, written: Callable[..., Record]) -> DuckDBSaver:
    """Return a saver whose file has no room for one more row."""
    saver = DuckDBSaver(path)
    saver.commit([written("t", "first")])

    def fail(_: object) -> None:
        raise StoreUnavailableError("no space left on device")

    saver._database.writer._appender.append = fail  # type: ignore[assignment, method-assign]
    return saver


def failed(path: Path, written: Callable[..., Record]) -> DuckDBSaver:
    """Return a saver whose file has just failed, and is not yet closed."""
    saver = failing(path, written)
    saver.append([written("t", "lost")])
    while not saver.is_closed:
        time.sleep(0.001)
    return saver


def test_who_opens_a_store_that_has_just_failed_waits_for_its_end(
    path: Path, written: Callable[..., Record], ending: threading.Event
) -> None:
    failed(path, written)

    with ThreadPoolExecutor() as pool:
        opening = pool.submit(DuckDBSaver, path)
        time.sleep(0.05)
        is_waiting = not opening.done()
        ending.set()
        again = opening.result()

    assert is_waiting
    again.commit([written("t", "later")])
    assert len(again.read("t")) == 2
    again.close()


def test_closing_a_store_that_has_just_failed_returns_when_the_file_is_free(
    path: Path, written: Callable[..., Record], ending: threading.Event
) -> None:
    saver = failed(path, written)

    with ThreadPoolExecutor() as pool:
        closing = pool.submit(saver.close)
        time.sleep(0.05)
        is_waiting = not closing.done()
        ending.set()
        closing.result()

    assert is_waiting
    assert str(path) not in database._registry.open


def test_closing_a_store_that_can_not_write_what_is_queued_comes_to_an_end(
    path: Path, written: Callable[..., Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LINGER_SECONDS", 60)  # The closing comes first.
    saver = failing(path, written)
    saver.append([written("t", "lost")])

    saver.close()

    with DuckDBSaver(path) as again:
        assert len(again.read("t")) == 1


def test_who_compacts_a_store_that_can_not_write_what_is_queued_is_told(
    path: Path, written: Callable[..., Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LINGER_SECONDS", 60)  # The compaction comes first.
    saver = failing(path, written)
    saver.append([written("t", "lost")])

    with pytest.raises(StoreClosedError, match="no space left on device"):
        saver.compact()

    saver.close()


def test_who_compacts_a_store_that_does_not_open_again_is_told_when_it_is_closed(
    path: Path, written: Callable[..., Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    saver = DuckDBSaver(path)
    saver.commit([written("t")])

    def fail(_: object) -> None:
        raise StoreUnavailableError("no more handles")

    with monkeypatch.context() as patched:

        def swap(*_: object) -> None:
            patched.setattr(Connection, "_connected", fail)

        patched.setattr(compaction, "_swap", swap)
        with pytest.raises(StoreUnavailableError, match="no more handles"):
            saver.compact()

        assert str(path) not in database._registry.open


def test_what_is_appended_while_the_last_user_leaves_is_written(
    path: Path, written: Callable[..., Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    saver = DuckDBSaver(path)
    leave = database.Database.leave

    def late(self: database.Database) -> bool:
        saver._database.writer.append([pack(written("t", "late"))], None)
        return leave(self)

    with monkeypatch.context() as patched:
        patched.setattr(database.Database, "leave", late)
        saver.close()

    with DuckDBSaver(path) as again:
        assert len(again.read("t")) == 1


def test_a_flush_that_meets_the_failure_says_so(
    path: Path, written: Callable[..., Record], ending: threading.Event
) -> None:
    saver = failing(path, written)
    check, is_first = saver._database.writer.check, iter([True])

    def and_then_it_fails() -> None:
        check()
        if next(is_first, False):
            saver._database.writer.append([pack(written("t", "lost"))], None)
            while not saver.is_closed:
                time.sleep(0.001)

    saver._database.writer.check = and_then_it_fails  # type: ignore[method-assign]
    with pytest.raises(StoreClosedError, match="no space left on device"):
        saver._database.writer.flush()

    ending.set()
    saver.close()


def test_what_fails_at_a_stores_end_keeps_nobody_waiting(
    path: Path, written: Callable[..., Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    saver = DuckDBSaver(path)
    close = MarkFile.close

    def fail(self: MarkFile, *, is_ours: bool = True) -> None:
        close(self, is_ours=is_ours)
        raise OSError(errno.EIO, "the disk is gone")

    seen: list[threading.ExceptHookArgs] = []
    with monkeypatch.context() as patched:
        patched.setattr(threading, "excepthook", seen.append)
        patched.setattr(MarkFile, "close", fail)
        saver.close()

    assert [str(args.exc_value) for args in seen] == ["[Errno 5] the disk is gone"]
    with DuckDBSaver(path) as again:
        again.commit([written("t")])


def test_reading_while_another_thread_closes_is_an_error_of_ours(
    path: Path, written: Callable[..., Record]
) -> None:
    saver, other = DuckDBSaver(path), DuckDBSaver(path)
    saver.append([written("t", str(number)) for number in range(100)])
    failures: list[BaseException] = []

    def read() -> None:
        try:
            while True:
                assert len(other.read("t")) == 100
        except StoreError as error:
            failures.append(error)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(read)
        time.sleep(0.05)
        saver.close()
        other.close()

    assert [type(failure) for failure in failures] == [StoreClosedError] * 4
