"""What a kill may cost in each durability: nothing, some milliseconds, a stretch."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from nbflow.checkpoint.duckdb import DuckDBSaver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    RunChild = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.timeout(3600)

WORK = """
import os, sys, time
from pathlib import Path
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.func import entrypoint, task
from nbflow.types import interrupt

folder, durability, given = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
ran = os.open(folder / "ran", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

@task
def step(number):
    time.sleep(0.001)
    return number

@entrypoint(checkpointer=DuckDBSaver(folder / "runs.duckdb"))
def workflow(count):
    for number in range(count):
        step(number).result()
        os.write(1, f"{number} {time.time()}\\n".encode())
    return interrupt("go on?")

config = {"configurable": {"thread_id": "t"}}
workflow.invoke(int(given) if given else None, config, durability=durability)
os.write(1, b"paused\\n")
time.sleep(60)
"""


class Life:
    """A process that works through numbers, and what it said until it was killed."""

    def __init__(self, folder: Path, durability: str, given: str) -> None:
        self.said: dict[int, float] = {}
        self.is_paused = False
        self._child = subprocess.Popen(
            [sys.executable, "-c", WORK, str(folder), durability, given],
            stdout=subprocess.PIPE,
        )

    def until(self, count: int) -> Life:
        """Kill it once it has said this many numbers, or is paused."""
        assert self._child.stdout is not None
        with self._child:
            while not self.is_paused and len(self.said) < count:
                self._hear(self._child.stdout.readline())
            self.killed_at = time.time()
            self._child.send_signal(signal.SIGKILL)
            for line in self._child.stdout:
                self._hear(line)
        return self

    def _hear(self, line: bytes) -> None:
        assert line, "it ended of its own"
        self.is_paused = line == b"paused\n"
        if not self.is_paused:
            number, at = line.split()
            self.said[int(number)] = float(at)


def finished(folder: Path) -> int:
    with DuckDBSaver(folder / "runs.duckdb") as saver:
        return len(saver.read("t", kinds=("TaskFinished",)))


def test_in_sync_a_kill_costs_nothing_that_was_used(
    tmp_path: Path, factor: int, note: Callable[..., None]
) -> None:
    chance = random.Random(1)  # noqa: S311 - when to kill
    said = lost = 0

    for number in range(2 * factor):
        folder = tmp_path / str(number)
        folder.mkdir()
        life = Life(folder, "sync", "1000").until(chance.randrange(5, 60))
        said += len(life.said)
        lost += max(0, len(life.said) - finished(folder))

    note("kill -9 of a run in `sync`", 2 * factor, said, f"{lost} results lost")
    assert not lost


def test_in_async_a_kill_costs_the_last_of_many_results_at_most(
    tmp_path: Path, factor: int, note: Callable[..., None]
) -> None:
    chance = random.Random(2)  # noqa: S311 - when to kill
    said, lost, oldest = 0, 0, 0.0

    for number in range(2 * factor):
        folder = tmp_path / str(number)
        folder.mkdir()
        life = Life(folder, "async", "100000").until(chance.randrange(1_000, 1_500))
        kept = finished(folder)
        assert kept > len(life.said) // 2  # However slow the disk is.
        ages = [life.killed_at - at for n, at in life.said.items() if n >= kept]
        said += len(life.said)
        lost += len(ages)
        oldest = max(oldest, *ages, 0.0)

    outcome = f"{lost} results lost, the oldest of them {oldest * 1000:.0f} ms old"
    note("kill -9 of a run in `async`", 2 * factor, said, outcome)


def test_in_exit_a_kill_costs_the_stretch_and_no_earlier_one(tmp_path: Path) -> None:
    Life(tmp_path, "exit", "50").until(1000)

    before = finished(tmp_path)
    empty = tmp_path / "other"
    empty.mkdir()
    Life(empty, "exit", "1000").until(20)

    assert before == 50
    assert finished(empty) == 0


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_question_is_on_the_disk_before_it_is_asked(
    tmp_path: Path, durability: str
) -> None:
    life = Life(tmp_path, durability, "30").until(1000)

    assert life.is_paused
    assert finished(tmp_path) == 30
    with DuckDBSaver(tmp_path / "runs.duckdb") as saver:
        kinds = [type(record.event).__name__ for record in saver.read("t")]
        head = saver.head("t")
    assert head is not None
    assert head.status == "interrupted"
    assert kinds[-1] == "RunInterrupted"
    assert "Interrupted" in kinds
