"""Large values are files of their own: durable before their rows, and read alone."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from nbflow._database.blobs import Blob, BlobLostError, Blobs, blob_folder
from nbflow._database.compact import compact
from nbflow._database.snapshot import take_snapshot
from nbflow._events import Record, RunStarted, TaskCalled, TaskFinished, ThreadDeleted
from nbflow._values import Payload
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.errors import StoreDamagedError, StoreUnavailableError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    RunChild = Callable[..., subprocess.CompletedProcess[str]]

LARGE = os.urandom(300_000)
OTHER = os.urandom(300_000)


def finished(data: bytes, call_id: str = "call", thread_id: str = "t") -> Record:
    return Record(thread_id, "r", 1, TaskFinished(call_id, Payload(data)))


def called(call_id: str, name: str) -> Record:
    event = TaskCalled(call_id, "", "place", name, "code", "key", "()")
    return Record("t", "r", 1, event)


def files_of(path: Path) -> list[Path]:
    return sorted(blob_folder(str(path)).iterdir())


def value_of(record: Record) -> bytes | None:
    assert isinstance(record.event, TaskFinished)
    return record.event.result.data


def test_a_large_value_is_a_file_and_its_row_is_small(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit([finished(LARGE)])
        (record,) = saver.read("t")
        with duckdb.connect(str(path)) as connection:
            row = connection.execute("SELECT value_codec, octet_length(value) FROM log")
            found = row.fetchone()

    assert found == (2, 40)
    assert len(files_of(path)) == 1
    assert value_of(record) == LARGE


def test_a_value_of_256_kilobytes_stays_in_its_row(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit([finished(LARGE[: 256 << 10])])

    assert not blob_folder(str(path)).exists()


def test_a_large_value_is_there_after_reopening(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit([finished(LARGE), finished(OTHER)])

    with DuckDBSaver(path) as saver:
        found = [value_of(record) for record in saver.read("t")]

    assert found == [LARGE, OTHER]


def test_equal_content_is_stored_once(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit([finished(LARGE), finished(LARGE, thread_id="u")])
        saver.commit([finished(LARGE, thread_id="v")])

    assert len(files_of(path)) == 1


def test_what_can_be_compressed_is(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit([finished(bytes(10_000_000))])

    assert files_of(path)[0].stat().st_size < 100_000


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda file: file.unlink(), "is missing"),
        (lambda file: file.write_bytes(b"something else"), "can't be read"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "what was written"),
    ],
)
def test_a_lost_file_takes_only_its_own_value(
    path: Path, harm: Callable[[Path], None], told: str
) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit([called("one", "fetch"), finished(LARGE, "one")])
        (file,) = files_of(path)
        saver.commit([finished(OTHER, "two")])
    harm(file)

    with DuckDBSaver(path) as saver:
        _, lost, kept = saver.read("t")

        assert value_of(kept) == OTHER
        with pytest.raises(StoreDamagedError, match=told) as refusal:
            value_of(lost)

    for part in ("'fetch'", "row 2", file.name):
        assert part in str(refusal.value)


def test_a_value_of_other_content_under_its_name_is_refused(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit([finished(LARGE)])
        (file,) = files_of(path)
        saver.commit([finished(OTHER)])
        (other,) = (found for found in files_of(path) if found != file)
        file.write_bytes(other.read_bytes())

        lost, kept = saver.read("t")

        assert value_of(kept) == OTHER
        with pytest.raises(StoreDamagedError, match="not what was written"):
            value_of(lost)


def shortened(content: bytes) -> bytes:
    return content[:100]


def flipped(content: bytes) -> bytes:
    return bytes([*content[:100], content[100] ^ 1, *content[101:]])


@pytest.mark.parametrize("harm", [shortened, flipped])
def test_storing_a_value_again_mends_its_file(
    path: Path, harm: Callable[[bytes], bytes]
) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit([finished(LARGE)])
        (file,) = files_of(path)
        file.write_bytes(harm(file.read_bytes()))

        saver.commit([finished(LARGE)])

        assert [value_of(record) for record in saver.read("t")] == [LARGE, LARGE]


def test_a_value_read_from_a_store_is_not_written_twice(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit([finished(LARGE)])
        (record,) = saver.read("t")
        before = files_of(path)[0].stat()

        saver.commit([Record("copy", "r", 1, record.event)])
        (copied,) = saver.read("copy")

    assert value_of(copied) == LARGE
    assert files_of(path)[0].stat().st_mtime_ns == before.st_mtime_ns


def test_a_value_goes_from_one_store_to_another(path: Path, tmp_path: Path) -> None:
    with DuckDBSaver(path) as saver, DuckDBSaver(tmp_path / "other.duckdb") as other:
        saver.commit([finished(LARGE)])

        other.commit(saver.read("t"))
        files_of(path)[0].unlink()

        assert value_of(other.read("t")[0]) == LARGE


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="Linux tells")
def test_reading_leaves_no_file_open(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit([finished(LARGE)])
        value_of(saver.read("t")[0])

        opened = _open_files()

    assert not [name for name in opened if ".blobs" in name]


def _open_files() -> list[str]:
    links = Path("/proc/self/fd").iterdir()
    return [str(link.readlink()) for link in links if os.path.lexists(link)]


def test_many_threads_write_one_content(path: Path) -> None:
    blobs, written = Blobs(str(path)), list[Blob]()

    def write() -> None:
        written.append(blobs.write(lambda sink: sink(LARGE)))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({id(blob) for blob in written}) == 1
    assert [file.suffix for file in files_of(path)] == [".zst"]
    assert blobs.read(written[0]) == LARGE


def test_a_value_that_can_not_be_made_leaves_nothing(path: Path) -> None:
    blobs = Blobs(str(path))

    def fail(sink: Callable[[bytes], object]) -> None:
        sink(LARGE)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        blobs.write(fail)

    assert files_of(path) == []


def test_a_folder_that_can_not_be_made_is_named(path: Path) -> None:
    blob_folder(str(path)).write_text("a file in its place")

    with DuckDBSaver(path) as saver:
        with pytest.raises(StoreUnavailableError, match="blobs"):
            saver.append([finished(LARGE)])
        saver.commit([finished(b"small")])

        assert [value_of(record) for record in saver.read("t")] == [b"small"]


NO_ROOM = """
    import resource
    from nbflow._events import TaskFinished
    saver = DuckDBSaver(sys.argv[1])
    saver.commit([written("t", "before")])
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    large = Record("t", "r", 1, TaskFinished("c", Payload(os.urandom(3_000_000))))
    try:
        saver.append([large])
    except OSError as error:
        print(type(error).__name__)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    saver.commit([large])
    print(len(saver.read("t")), len(saver.read("t")[1].event.result.data))
    saver.close()
"""


def test_a_full_disk_refuses_the_value_and_the_store_goes_on(
    path: Path, run_child: RunChild
) -> None:
    child = run_child(NO_ROOM, path)

    assert child.stdout == "StoreUnavailableError\n2 3000000\n", child.stderr
    assert [file.suffix for file in files_of(path)] == [".zst"]


KILLED = """
    import signal
    from nbflow._database.rows import pack
    from nbflow._events import TaskFinished
    saver = DuckDBSaver(sys.argv[1])
    saver.commit([written("t", "before")])
    large = Record("t", "r", 1, TaskFinished("c", Payload(os.urandom(3_000_000))))
    pack(large, saver._database.payloads)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_file_whose_row_never_came_does_no_harm_and_is_swept(
    path: Path, run_child: RunChild
) -> None:
    run_child(KILLED, path)

    with DuckDBSaver(path) as saver:
        left = len(files_of(path))
        compact(saver._database)
        kept = saver.read("t")

    assert left == 1
    assert len(kept) == 1
    assert files_of(path) == []


def test_purging_a_thread_takes_its_files_and_leaves_shared_ones(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit([finished(LARGE), finished(OTHER)])
        saver.commit([finished(LARGE, thread_id="copy")])
        saver.commit([Record("t", "", 1, ThreadDeleted())])

        compact(saver._database)
        (kept,) = saver.read("copy")

        assert len(files_of(path)) == 1
        assert value_of(kept) == LARGE


def test_a_sweep_leaves_what_is_on_its_way(path: Path) -> None:
    blobs = Blobs(str(path))
    held = blobs.write(lambda sink: sink(LARGE))
    orphan = blobs.write(lambda sink: sink(OTHER))
    del orphan

    freed = blobs.sweep(set)

    assert freed > len(OTHER) // 2
    assert blobs.read(held) == LARGE
    del held
    assert blobs.sweep(set)
    assert files_of(path) == []


def test_a_sweep_bears_a_value_that_gets_its_name_while_it_looks(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = Blobs(str(path))
    held: list[Blob] = []
    parts = Blobs._parts

    def listed_before(self: Blobs) -> Iterator[Path]:
        def content(sink: Callable[[bytes], object]) -> None:
            sink(LARGE)
            found.extend(parts(self))

        found: list[Path] = []
        held.append(self.write(content))
        return iter(found)

    monkeypatch.setattr(Blobs, "_parts", listed_before)

    assert blobs.sweep(set) == 0
    assert blobs.read(held[0]) == LARGE


def test_values_that_are_swept_while_they_are_counted_are_left_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = Blobs(str(path))
    blobs.write(lambda sink: sink(LARGE))
    files = Blobs._files

    def listed_before(self: Blobs) -> list[tuple[bytes, Path]]:
        found = list(files(self))
        with monkeypatch.context() as patched:
            patched.setattr(Blobs, "_files", files)
            self.sweep(set)
        return found

    monkeypatch.setattr(Blobs, "_files", listed_before)

    assert blobs.sizes() == {}


def test_a_sweep_reads_what_is_live_after_it_looked(path: Path) -> None:
    blobs = Blobs(str(path))
    early = blobs.write(lambda sink: sink(LARGE))
    digest = early.digest
    del early

    def live() -> set[bytes]:
        late.append(blobs.write(lambda sink: sink(OTHER)))
        return {digest}

    late: list[Blob] = []
    blobs.sweep(live)

    assert blobs.read(Blob(digest, len(LARGE))) == LARGE
    assert blobs.read(late[0]) == OTHER


def test_what_was_swept_can_not_be_held(path: Path) -> None:
    blobs = Blobs(str(path))
    digest = blobs.write(lambda sink: sink(LARGE)).digest
    blobs.sweep(set)

    with pytest.raises(BlobLostError):
        blobs.hold(Blob(digest, len(LARGE)))


def test_a_snapshot_has_its_own_files(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "copy.duckdb"
    with DuckDBSaver(path) as saver:
        saver.commit([finished(LARGE)])
        take_snapshot(saver._database, copy)
        for file in files_of(path):
            file.unlink()

    with DuckDBSaver(copy) as saver:
        assert value_of(saver.read("t")[0]) == LARGE


def test_an_input_that_is_large_and_repeated_is_stored_once(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        for n in range(3):
            event = RunStarted("w", Payload(LARGE), "code", f"{n}")
            saver.commit([Record("t", f"r{n}", n, event)])
        found = [r.event.input.data for r in saver.read("t")]  # type: ignore[union-attr]

    assert found == [LARGE] * 3
    assert len(files_of(path)) == 1
