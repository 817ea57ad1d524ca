"""Kill a process that writes to a store, at any moment, and look what is left.

Several threads append groups of records, small and large, acknowledged and not,
while the file is folded now and then; what was acknowledged is told through a
pipe, which outlives the process.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from nbflow.checkpoint.duckdb import DuckDBSaver, check

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nbflow._events import Record

pytestmark = pytest.mark.timeout(3600)

WORK = """
import os, random, sys, threading, time
import duckdb
from nbflow._events import Custom, Record
from nbflow._values import Payload
from nbflow.checkpoint.duckdb import DuckDBSaver

path, name, seed = sys.argv[1:]
saver = DuckDBSaver(path)


def group(thread_id, number, chance):
    size = chance.choice([1, 1, 1, 2, 4])
    padding = chance.randbytes(chance.choice([10, 10, 10, 9_000, 300_000]))
    heads = (f"{number} {index} {size} ".encode() for index in range(size))
    data = [Payload(head + padding) for head in heads]
    return [Record(thread_id, name, 1, Custom("", payload)) for payload in data]


def work(worker):
    chance = random.Random(f"{seed} {worker}")
    thread_id, number = f"{name} {worker}", 0
    while True:
        told = threading.Event()

        def tell(error, line=f"{worker} {number}\\n".encode(), told=told):
            if error is None:
                os.write(1, line)
            told.set()

        saver.append(group(thread_id, number, chance), tell)
        number += 1
        if worker % 2:
            saver.append(group(thread_id, number, chance))
            number += 1
        if worker % 3:
            told.wait()
        else:
            time.sleep(0.001)


for worker in range(6):
    threading.Thread(target=work, args=[worker], daemon=True).start()
chance = random.Random(seed)
connection = duckdb.connect(path)
while True:
    time.sleep(chance.uniform(0.01, 0.2))
    try:
        connection.execute("CHECKPOINT")
    except duckdb.TransactionException:
        pass
"""


class Killed:
    """What one killed process had acknowledged: the newest group of each worker."""

    def __init__(self) -> None:
        self.newest: dict[str, int] = defaultdict(lambda: -1)
        self.count = 0

    def listen(self, child: subprocess.Popen[bytes]) -> None:
        """Read until the process is dead; a last line may be torn."""
        assert child.stdout is not None
        for line in child.stdout:
            if line.endswith(b"\n"):
                worker, number = line.split()
                self.newest[worker.decode()] = int(number)
                self.count += 1


def kill_one(path: Path, name: str, chance: random.Random) -> Killed:
    killed = Killed()
    child = subprocess.Popen(
        [sys.executable, "-c", WORK, str(path), name, str(chance.random())],
        stdout=subprocess.PIPE,
    )
    listener = threading.Thread(target=killed.listen, args=[child])
    listener.start()
    with child:
        if chance.random() < 0.8:
            while not killed.count and child.poll() is None:
                time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.4))
        is_alive = child.poll() is None
        child.kill()
        listener.join()
    assert is_alive
    return killed


def groups_of(records: list[Record]) -> list[tuple[int, int, int]]:
    data = (record.event.data.data for record in records)  # type: ignore[union-attr]
    heads = (bytes(value or b"")[:20].split(b" ") for value in data)
    return [(int(number), int(index), int(size)) for number, index, size, *_ in heads]


def whole_groups(records: list[Record]) -> int:
    """Count the groups, which have to be whole and without a gap from the first."""
    left = iter(groups_of(records))
    count = 0
    for number, index, size in left:
        assert (number, index) == (count, 0)
        assert [next(left)[:2] for _ in range(size - 1)] == [
            (number, index) for index in range(1, size)
        ]
        count += 1
    return count


def lost_of(saver: DuckDBSaver, name: str, killed: Killed) -> int:
    lost = 0
    for worker in map(str, range(6)):
        kept = whole_groups(saver.read(f"{name} {worker}"))
        lost += max(0, killed.newest[worker] + 1 - kept)
    return lost


# DuckDB may leave a block half written when it is killed while it folds its log.
@pytest.mark.filterwarnings("default::nbflow.errors.MendedStoreWarning")
def test_no_kill_loses_what_was_acknowledged(
    tmp_path: Path,
    kills: int,
    seed: int,
    note: Callable[..., None],
) -> None:
    chance = random.Random(seed)  # noqa: S311 - chosen moments, no secrets
    path = tmp_path / "threads.duckdb"
    everyone: list[tuple[Path, str, Killed]] = []
    acknowledged = lost = 0

    for number in range(kills):
        if number % 10 == 0:  # a new file now and then: it may die while it is made
            path = tmp_path / f"threads {number}.duckdb"
        killed = kill_one(path, f"run {number}", chance)
        acknowledged += killed.count
        everyone.append((path, f"run {number}", killed))
        if chance.random() < 0.3:  # The next one finds the file as this kill left it.
            continue
        with DuckDBSaver(path) as saver:
            lost += lost_of(saver, f"run {number}", killed)
            counted = saver._database.fetch(
                "SELECT count(*), count(DISTINCT seq), coalesce(max(seq), 0) FROM log"
            )
        assert len(set(counted[0])) == 1, "the places in the log have gaps"

    for path, name, killed in everyone:
        with DuckDBSaver(path) as saver:
            lost += lost_of(saver, name, killed)
    for whole in {path for path, _, _ in everyone}:
        assert not check(whole).findings  # every value, those in files too
    note("kill -9 of six threads that write", kills, acknowledged, f"{lost} lost")
    assert acknowledged > kills
    assert lost == 0
