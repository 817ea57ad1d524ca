"""What was deleted leaves the disk, and what is kept stays as it was."""

from __future__ import annotations

import errno
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import pytest

from nbflow._database import compact
from nbflow._database.files import swap_in
from nbflow._events import (
    CacheCleared,
    CacheSet,
    Compacted,
    ItemDeleted,
    ItemPut,
    ItemTouched,
    NestedSaved,
    Record,
    RunFailed,
    RunFinished,
    RunStarted,
)
from nbflow._values import Payload
from nbflow.checkpoint.duckdb import DuckDBSaver, check
from nbflow.errors import StoreUnavailableError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from nbflow._events import Event

CANARY = b"canary-7f3a9c"
DAY = 86_400_000_000


def run_of(
    thread_id: str,
    run_id: str,
    value: bytes = b"value",
    *,
    at: int = 1,
    previous: str | None = None,
    end: Event | None = None,
) -> list[Record]:
    """Return the records of a run that returned."""
    started = RunStarted(
        "essay", Payload(value), "code", f"{run_id}-in", previous_run_id=previous
    )
    ended = end or RunFinished(Payload(value), None, f"{run_id}-out")
    return [Record(thread_id, run_id, at, event) for event in (started, ended)]


def bytes_below(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, by its name."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def holding(folder: Path, text: bytes) -> list[str]:
    """Return the files below a folder that hold some bytes."""
    return [name for name, held in bytes_below(folder).items() if text in held]


def test_after_a_purge_a_deleted_value_is_nowhere_below_the_folder(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        for number in range(50):
            value = CANARY + b"-%d" % number
            saver.commit(run_of("gone", f"g{number}", value))
            saver.commit(run_of("kept", f"k{number}", b"kept-%d" % number))
        kept = saver.read("kept")

        saver.delete_thread("gone", purge=True)

        assert (saver.read("gone"), saver.read("kept")) == ([], kept)
    assert holding(path.parent, CANARY) == []
    assert holding(path.parent, b"kept-7") != []


def test_a_deletion_without_purge_leaves_the_bytes(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit(run_of("gone", "g", CANARY))

        saver.delete_thread("gone")

    assert holding(path.parent, CANARY) != []


def test_a_purge_also_takes_what_was_deleted_before(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit(run_of("gone", "g", CANARY))
        saver.delete_thread("gone")
        saver.commit(run_of("gone", "h", b"after"))

        saver.delete_thread("other", purge=True)

        assert [record.run_id for record in saver.read("gone")] == ["h", "h"]
    assert holding(path.parent, CANARY) == []


def test_a_compacted_log_keeps_its_places_and_begins_a_generation(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit(run_of("gone", "g"))
        saver.commit(run_of("kept", "k"))
        before = saver.read("kept")
        saver.delete_thread("gone")

        done = saver.compact()

        assert (done.rows, done.dropped) == (2, 3)
        assert saver.read("kept") == before
        (said,) = saver.read("", kinds=("Compacted",))
        assert isinstance(said.event, Compacted)
        assert (said.seq, said.event.upto, said.event.rows) == (6, 5, 2)
        saver.commit(run_of("kept", "l"))
    with DuckDBSaver(path) as saver:
        assert [record.seq for record in saver.read("kept")] == [3, 4, 7, 8]


def test_heads_are_those_of_the_new_file(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        for number in range(4):
            saver.commit(run_of("t", f"r{number}", previous=None))
        runs_before = [head.runs for head in saver.heads()]

        saver.drop_runs(keep_last=1, before=None)

        assert (runs_before, [head.runs for head in saver.heads()]) == ([4], [1])
        assert [head.runs for head in saver.heads("t")] == [1]


def test_items_and_cached_values_that_were_replaced_go_too(path: Path) -> None:
    def item(key: str, value: bytes) -> ItemPut:
        return ItemPut(("n",), key, Payload(value), None, 0, 1, 1)

    events: list[Event] = [
        item("replaced", CANARY),
        item("replaced", b"new"),
        ItemTouched(("n",), "replaced", 2**52),
        ItemTouched(("n",), "replaced", 2**52 + 1),
        item("deleted", CANARY),
        ItemDeleted(("n",), "deleted"),
        CacheSet(("a",), "k", Payload(CANARY)),
        CacheCleared(("a",)),
        CacheSet(("b",), "k", Payload(CANARY)),
        CacheSet(("b",), "k", Payload(b"other")),
        CacheSet(("c",), "k", Payload(b"stays")),
    ]
    with DuckDBSaver(path) as saver:
        saver.commit([Record("", "", 1, event) for event in events])

        saver.compact()

        assert [record.seq for record in saver.read("")] == [2, 4, 10, 11, 12]
    assert holding(path.parent, CANARY) == []


def test_runs_go_on_while_the_file_is_exchanged(path: Path) -> None:
    saver = DuckDBSaver(path)
    stopped = threading.Event()
    counted: list[int] = []

    def work() -> None:
        while not stopped.is_set():
            saver.commit(run_of("busy", f"r{len(counted)}"))
            counted.append(len(saver.read("busy")))

    worker = threading.Thread(target=work)
    worker.start()
    for number in range(5):
        saver.commit(run_of(f"gone{number}", "g"))
        saver.delete_thread(f"gone{number}", purge=True)
    stopped.set()
    worker.join()

    assert counted == [2 * (number + 1) for number in range(len(counted))]
    assert [head.runs for head in saver.heads("busy")] == [len(counted)]
    saver.close()
    with DuckDBSaver(path) as again:
        assert len(again.read("busy")) == 2 * len(counted)


def test_a_failure_after_the_exchange_leaves_a_store_that_goes_on_in_the_new_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(new: str, old: str) -> None:
        swap_in(new, old)
        raise OSError(errno.EIO, "the folder could not be synced")

    with DuckDBSaver(path) as saver:
        saver.commit([*run_of("a", "1"), *run_of("b", "1")])
        saver.delete_thread("a")
        with monkeypatch.context() as patched:
            patched.setattr(compact, "swap_in", fail)
            with pytest.raises(StoreUnavailableError, match="could not be synced"):
                saver.compact()
        saver.commit(run_of("b", "2"))
        places = [record.seq for record in saver.read("b")]

    with DuckDBSaver(path) as saver:
        assert [record.seq for record in saver.read("b")] == places
        assert saver.read("a") == []
    assert check(path).is_whole


def test_a_connection_of_the_user_keeps_the_file_from_being_exchanged(
    path: Path,
) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit(run_of("gone", "g", CANARY))
        with duckdb.connect(str(path)) as connection:
            with pytest.raises(StoreUnavailableError, match="Close that connection"):
                saver.delete_thread("gone", purge=True)
            found = connection.execute("SELECT count(*) FROM threads").fetchone()

        saver.commit(run_of("kept", "k"))
        saver.compact()

        assert found == (0,)
        assert [head.thread_id for head in saver.heads()] == ["kept"]
    assert holding(path.parent, CANARY) == []


KILLED_AT = """
import os, signal
import nbflow._database.compact as compact
saver = DuckDBSaver(sys.argv[1])
name, when = sys.argv[2].split(":")
real = getattr(compact, name)
def dying(*given):
    if when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(*given)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(compact, name, dying)
saver.delete_thread("gone", purge=True)
"""


@pytest.mark.parametrize(
    "moment",
    ["migrate:before", "migrate:after", "pack:before", "_swap:before", "_swap:after"],
)
def test_a_kill_leaves_the_old_file_or_the_new_one(
    path: Path,
    moment: str,
    run_child: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit(run_of("gone", "g", CANARY))
        saver.commit(run_of("kept", "k"))
        kept = saver.read("kept")

    child = run_child(KILLED_AT, path, moment)

    assert child.returncode == -9, child.stderr
    with DuckDBSaver(path) as saver:
        assert (saver.read("gone"), saver.read("kept")) == ([], kept)
        saver.compact()
        assert saver.read("kept") == kept
    assert holding(path.parent, CANARY) == []


def test_a_file_with_a_log_beside_it_takes_no_others_place(path: Path) -> None:
    new = path.with_name("new.duckdb")
    path.write_bytes(b"old")
    new.write_bytes(b"half")
    new.with_name("new.duckdb.wal").write_bytes(b"the rest")

    with pytest.raises(StoreUnavailableError, match="Make room"):
        swap_in(str(new), str(path))

    assert path.read_bytes() == b"old"


def test_what_a_killed_process_left_beside_the_file_goes_when_it_is_opened(
    path: Path,
) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit(run_of("kept", "k"))
    path.with_name(f"{path.name}.new").write_bytes(CANARY)
    path.with_name(f"{path.name}.new.wal").write_bytes(CANARY)
    path.with_name(f"{path.name}.tmp").mkdir()
    path.with_name(f"{path.name}.tmp").joinpath("spilled").write_bytes(CANARY)

    with DuckDBSaver(path) as saver:
        assert len(saver.read("kept")) == 2

    assert holding(path.parent, CANARY) == []


def test_pruning_keeps_the_newest_runs_of_each_thread(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        for number in range(5):
            saver.commit(run_of("t", f"t{number}", CANARY if number < 3 else b"new"))
        saver.commit(run_of("u", "u0"))

        done = saver.drop_runs(keep_last=2, before=None)

        assert done.dropped == 6
        found = [record.run_id for record in saver.read("t")]
        assert found == ["t3", "t3", "t4", "t4"]
        assert len(saver.read("u")) == 2
    assert holding(path.parent, CANARY) == []


def test_pruning_by_age_spares_what_can_go_on_or_is_still_needed(path: Path) -> None:
    failed = RunFailed(Payload(b"error"), "ValueError()")
    with DuckDBSaver(path) as saver:
        saver.commit(run_of("old", "o"))
        saver.commit(run_of("failed", "f0"))
        saver.commit(run_of("failed", "f1"))
        saver.commit(run_of("failed", "f2", previous="f1", end=failed))
        saver.commit(run_of("new", "n", at=10 * DAY))
        before = datetime.fromtimestamp(0, UTC) + timedelta(days=5)

        saver.drop_runs(keep_last=0, before=before)

        kept = {head.thread_id: saver.read(head.thread_id) for head in saver.heads()}
        runs = {name: {record.run_id for record in kept[name]} for name in kept}
        assert runs == {"failed": {"f1", "f2"}, "new": {"n"}}


def test_pruning_spares_what_nested_runs_saved_last(path: Path) -> None:
    def nested(run_id: str, namespace: str) -> Record:
        return Record("t", run_id, 1, NestedSaved(namespace, "p", Payload(b"kept")))

    failed = RunFailed(Payload(b"error"), "ValueError()")
    begin, end = run_of("t", "r3", previous="r2", end=failed)
    with DuckDBSaver(path) as saver:
        for run_id in ("r0", "r1"):
            begun, ended = run_of("t", run_id)
            saver.commit([begun, nested(run_id, "a"), nested(run_id, "b"), ended])
        saver.commit(run_of("t", "r2"))
        saver.commit([begin, nested("r3", "a"), end])

        saver.drop_runs(keep_last=1, before=None)

        found = [record.run_id for record in saver.read("t")]
        assert list(dict.fromkeys(found)) == ["r1", "r2", "r3"]
        saver.commit([nested("r3", "b"), *run_of("t", "r3")[1:]])
        saver.drop_runs(keep_last=1, before=None)
        assert {record.run_id for record in saver.read("t")} == {"r3"}


def test_sizes_tell_what_each_thread_takes(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit(run_of("small", "s", b"x"))
        saver.commit(run_of("large", "l", b"x" * 3_000))
        saver.commit(run_of("gone", "g", b"x" * 1_000))
        saver.delete_thread("gone")

        found = {size.thread_id: size for size in saver.sizes()}

        assert next(iter(found)) == "large"
        assert found["large"].row_bytes - found["small"].row_bytes == 2 * 2_999
        assert (found["gone"].rows, found["gone"].row_bytes) == (0, 0)
        assert found["gone"].deleted_bytes > 2_000
