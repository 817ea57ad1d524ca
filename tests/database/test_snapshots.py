"""A copy of a store, taken while it is at work, and a look at it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from nbflow._events import CodeSeen, Record
from nbflow._values import Payload
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.checkpoint.looking import SnapshotSaver
from nbflow.errors import StoreHeldError, StoreUnavailableError, UsageError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path


def test_a_snapshot_holds_everything_that_was_appended(
    path: Path, started: Callable[..., Record]
) -> None:
    with DuckDBSaver(path) as saver:
        saver.append([started("t", "r"), started("gone", "g")])
        saver.delete_thread("gone")

        copy = saver.snapshot(path.with_name("copy.duckdb"))

        with SnapshotSaver(copy) as looking:
            assert looking.read("t") == saver.read("t")
            assert looking.heads() == saver.heads()
            assert looking.head("gone") is None
            assert looking.read("gone") == []


def test_a_snapshot_brings_its_large_values_along(
    path: Path, started: Callable[..., Record]
) -> None:
    large = bytes(range(256)) * 4_000
    with DuckDBSaver(path) as saver:
        saver.commit([started("t", "r", input=Payload(large))])
        copy = saver.snapshot(path.with_name("copy.duckdb"))
        saver.delete_thread("t", purge=True)

    with SnapshotSaver(copy) as looking:
        (record,) = looking.read("t")
        assert record.event.input.data == large  # type: ignore[union-attr]


def test_a_snapshot_is_of_one_moment_while_runs_go_on(
    path: Path, started: Callable[..., Record]
) -> None:
    saver = DuckDBSaver(path)
    stopped = threading.Event()

    def work() -> None:
        number = 0
        while not stopped.is_set():
            pair = [Record("t", f"r{number}", 1, CodeSeen(c, "f", "")) for c in "ab"]
            saver.commit([started("t", f"r{number}"), *pair])
            number += 1

    worker = threading.Thread(target=work)
    worker.start()
    copies = [saver.snapshot(path.with_name(f"{n}.duckdb")) for n in range(3)]
    stopped.set()
    worker.join()
    saver.close()

    for copy in copies:
        with SnapshotSaver(copy) as looking:
            seqs = [record.seq for record in looking.read("t")]
            assert seqs == list(range(1, len(seqs) + 1))
            assert len(seqs) % 3 == 0


def test_a_snapshot_never_replaces_a_file(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.snapshot(path.with_name("copy.duckdb"))

        with pytest.raises(UsageError, match="already"):
            saver.snapshot(path.with_name("copy.duckdb"))


def test_a_snapshot_is_only_looked_at(
    path: Path, started: Callable[..., Record]
) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit([started("t", "r")])
        copy = saver.snapshot(path.with_name("copy.duckdb"))
    before = copy.read_bytes()

    with SnapshotSaver(copy) as looking:
        with pytest.raises(UsageError, match="only looked at"):
            looking.delete_thread("t")
        with pytest.raises(UsageError, match="refused"):
            looking.ask("with gone as (delete from log returning *) from gone")

    assert copy.read_bytes() == before
    assert sorted(file.name for file in path.parent.glob("copy*")) == ["copy.duckdb"]


def test_several_processes_look_at_a_snapshot_at_once(
    path: Path,
    started: Callable[..., Record],
    run_child: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit([started("t", "r")])
        copy = saver.snapshot(path.with_name("copy.duckdb"))

    with SnapshotSaver(copy) as looking:
        child = run_child(
            "from nbflow.checkpoint.looking import SnapshotSaver\n"
            "print([h.thread_id for h in SnapshotSaver(sys.argv[1]).heads()])",
            copy,
        )
        assert [head.thread_id for head in looking.heads()] == ["t"]

    assert child.stdout == "['t']\n"


def test_looking_at_the_store_of_another_process_says_who_has_it(
    path: Path,
    child_at_work: Callable[..., AbstractContextManager[subprocess.Popen[str]]],
) -> None:
    code = """
        saver = DuckDBSaver(sys.argv[1], holder="essay.ipynb")
        print("open", flush=True)
        input()
    """

    with child_at_work(code, path) as child, pytest.raises(StoreHeldError) as refusal:
        SnapshotSaver(path)

    assert (refusal.value.pid, refusal.value.holder) == (child.pid, "essay.ipynb")


def test_looking_at_nothing_says_so(path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="no store"):
        SnapshotSaver(path)
