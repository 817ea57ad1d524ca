"""What happens to a store at the end of a process, in a fork, and on the disk."""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import sys
import threading
import weakref
from typing import TYPE_CHECKING

import pytest

from nbflow.checkpoint.duckdb import DuckDBSaver

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from nbflow._events import Record

    RunChild = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "saver.close()",
        "del saver",
        "sys.exit(0)",
        "saver.again = saver",
        "threading.Thread(target=lambda: saver.append([written('t', 'late')])).start()",
    ],
)
def test_a_process_ends_in_silence_and_closes_the_file(
    path: Path, run_child: RunChild, ending: str
) -> None:
    code = f"""
        saver = DuckDBSaver(sys.argv[1])
        for number in range(100):
            saver.append([written("t", str(number))])
        {ending}
    """

    child = run_child(code, path)

    assert (child.stdout, child.stderr, child.returncode) == ("", "", 0)
    assert not path.with_name(f"{path.name}.wal").exists()
    with DuckDBSaver(path) as saver:
        assert len(saver.read("t")) in (100, 101)


AT_WORK = """
    import time
    from nbflow.errors import StoreClosedError

    def work(number):
        try:
            while True:
                with DuckDBSaver(f"{sys.argv[1]}.{number}") as saver:
                    for _ in range(number * 3):
                        saver.commit([written("t", "x" * 1_000)])
                        saver.ask("SELECT count(*) FROM range(3_000_000), log")
        except StoreClosedError:
            pass

    for number in range(6):
        threading.Thread(target=work, args=[number], daemon=True).start()
    time.sleep(float(sys.argv[2]))
"""


@pytest.mark.parametrize("seconds", [0.03, 0.3, 0.6])
def test_a_process_ends_in_silence_while_its_threads_open_write_and_read(
    path: Path, run_child: RunChild, seconds: float
) -> None:
    child = run_child(AT_WORK, path, seconds)

    assert (child.stdout, child.stderr, child.returncode) == ("", "", 0)
    assert not list(path.parent.glob("*.wal"))


def test_garbage_closes_the_file(
    path: Path, written: Callable[..., Record], run_child: RunChild
) -> None:
    saver = DuckDBSaver(path)
    saver.append([written("t")])
    database = saver._database

    del saver
    gc.collect()
    database.wait_until_ended()

    child = run_child("print(len(DuckDBSaver(sys.argv[1]).read('t')))", path)
    assert (child.stdout, child.stderr) == ("1\n", "")


def test_a_path_can_be_opened_while_its_garbage_is_being_closed(
    path: Path, written: Callable[..., Record]
) -> None:
    for number in range(20):
        saver = DuckDBSaver(path)
        saver.append([written("t", str(number))])
        del saver

    with DuckDBSaver(path) as last:
        assert len(last.read("t")) == 20


def test_the_writer_holds_no_saver(path: Path, written: Callable[..., Record]) -> None:
    saver = DuckDBSaver(path)
    saver.commit([written("t")])
    reference = weakref.ref(saver)

    del saver
    gc.collect()

    assert reference() is None


def test_a_closed_store_leaves_no_thread(
    path: Path, written: Callable[..., Record]
) -> None:
    with DuckDBSaver(path) as saver:
        saver.append([written("t")])

    assert "nbflow-writer" not in {thread.name for thread in threading.enumerate()}


FORK = """
    import gc, warnings
    warnings.simplefilter("ignore")  # Python's own, of a fork beside threads
    from nbflow.errors import StoreError
    saver = DuckDBSaver(sys.argv[1], holder="parent")
    saver.commit([written("t", "parent")])
    actions = [
        lambda: saver.append([written("t", "child")]),
        lambda: saver.keep(lambda sink: sink(b"child"), None),
        lambda: saver.commit([written("t", "child")]),
        lambda: saver.read("t"),
        lambda: saver.heads(),
        lambda: saver.head("t"),
        lambda: DuckDBSaver(sys.argv[1]),
    ]
    with saver._database.writer.still:  # As if another thread were appending.
        child = os.fork()
        if not child:
            for action in actions:
                try:
                    action()
                except StoreError as error:
                    print(type(error).__name__, "was forked" in str(error), flush=True)
            saver.close()
            for holder in (saver._database.writer, saver._database):
                vars(holder).clear()
            gc.collect()
            sys.exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    saver.commit([written("t", "parent again")])
    print(len(saver.read("t")))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_is_refused_and_its_parent_goes_on(
    path: Path, run_child: RunChild
) -> None:
    child = run_child(FORK, path)

    refused = ["StoreClosedError True"] * 6
    assert child.stdout.splitlines() == [*refused, "StoreHeldError False", "7", "2"]
    assert "Traceback" not in child.stderr  # DuckDB 2.0.0 tells of leaks there.


SNAPSHOT_FORK = """
    import gc, warnings
    warnings.simplefilter("ignore")
    from nbflow.checkpoint.looking import SnapshotSaver
    from nbflow.errors import StoreError
    with DuckDBSaver(sys.argv[1]) as saver:
        saver.commit([written("t", "kept")])
        snapshot = saver.snapshot(sys.argv[1] + ".monday")
        saver.compact()  # Its connections are gone before the fork.
    looking = SnapshotSaver(snapshot)
    child = os.fork()
    if not child:
        try:
            looking.read("t")
        except StoreError as error:
            print(type(error).__name__, "was forked" in str(error), flush=True)
        looking.close()
        del looking
        gc.collect()
        sys.exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    print(len(looking.read("t")))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_is_refused_a_snapshot_and_ends_as_it_wants(
    path: Path, run_child: RunChild
) -> None:
    child = run_child(SNAPSHOT_FORK, path)

    assert child.stdout.splitlines() == ["StoreClosedError True", "7", "1"]
    assert "Traceback" not in child.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_does_not_keep_the_lock_of_its_parent(
    path: Path, run_child: RunChild
) -> None:
    code = """
        saver = DuckDBSaver(sys.argv[1])
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            os.dup2(1, 2)
            threading.Event().wait(60)
            os._exit(0)
        saver.close()
        print(child, flush=True)
    """
    parent = run_child(code, path)
    child = int(parent.stdout)
    try:
        with DuckDBSaver(path) as saver:
            heads = saver.heads()
        os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)

    assert heads == []


CALLS = "trace=write,writev,pwrite64,fsync,fdatasync,rename,renameat,renameat2"
STEPS = {
    "row written": r"write(v|64)?\(\d+<[^>]*\.wal>",
    "row synced": r"sync\(\d+<[^>]*\.wal>.* = 0",
    "value synced": r"sync\(\d+<[^>]*\.part>.* = 0",
    "value named": r"rename.*\.part\".* = 0",
    "name synced": r"sync\(\d+<[^>]*\.blobs>.* = 0",
    "log's name synced": r"sync\(\d+<[^>.]*>.* = 0",
    "mark moved": r"write\(\d+<[^>]*\.mark>.* = \d+",
}
ACKNOWLEDGED = """
    saver = DuckDBSaver(sys.argv[1])
    for text in ("small", "x" * 300_000, "small"):
        is_told = threading.Event()

        def tell(error):
            os.write(1, b"acknowledged\\n")
            is_told.set()

        saver.append([written("t", text)])
        saver.append([written("t", text)], tell)
        is_told.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="strace is Linux's")
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_completed_sync_stands_before_each_acknowledgement(
    path: Path, tmp_path: Path, run_child: RunChild
) -> None:
    trace = tmp_path / "trace"

    child = run_child(
        ACKNOWLEDGED, path, before=("strace", "-fy", "-e", CALLS, "-o", str(trace))
    )

    assert child.stdout == "acknowledged\n" * 3, child.stderr
    small, large, last = acknowledgements(trace.read_text())
    row = ["row written", "row synced"]
    assert small[-4:] == [*row, "log's name synced", "mark moved"]
    assert last[-3:] == [*row, "mark moved"]
    value = ["value synced", "value named", "name synced"]
    named = [step for step in large if step in value]
    assert named[:3] == value
    assert large.index("name synced") < large.index("row written")
    assert large[-3:] == [*row, "mark moved"]


def acknowledgements(trace: str) -> Iterator[list[str]]:
    """Say of each what had been done for it, step by step, when it was given."""
    begun: dict[str, str] = {}
    steps: list[str] = []
    for line in trace.splitlines():
        thread, _, call = line.partition(" ")
        if call.lstrip().startswith("<..."):
            call = f"{begun.pop(thread)} {call}"
        elif "<unfinished" in call:
            begun[thread] = call
        if "acknowledged" in call and "resumed" not in call:
            yield steps
            steps = []
        for step, pattern in STEPS.items():
            if re.search(pattern, call) and steps[-1:] != [step]:
                steps.append(step)
