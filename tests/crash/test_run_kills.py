"""A run that is killed again and again finishes, and repeats nothing it had."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from nbflow.checkpoint.duckdb import DuckDBSaver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# DuckDB may leave a block half written when it is killed while it folds its log.
pytestmark = [
    pytest.mark.timeout(3600),
    pytest.mark.filterwarnings("default::nbflow.errors.MendedStoreWarning"),
]

CHILD = """
import os, sys, time, warnings
from pathlib import Path
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.errors import MendedStoreWarning
from nbflow.func import entrypoint, task

warnings.simplefilter("ignore", MendedStoreWarning)
folder, first = Path(sys.argv[1]), sys.argv[2] == "first"
ran = os.open(folder / "ran", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
had = os.open(folder / "had", os.O_CREAT | os.O_APPEND | os.O_WRONLY)


@task
def step(number: int) -> bytes:
    os.write(ran, f"{number}\\n".encode())
    time.sleep(0.002)
    return str(number).encode() * 200


@entrypoint(checkpointer=DuckDBSaver(folder / "runs.duckdb"))
def workflow(count: int) -> int:
    total = 0
    for base in range(0, count, 10):
        fan = [step(base + i) for i in range(9)]
        for number, future in enumerate(fan):
            total += len(future.result())
            os.write(had, f"{base + number}\\n".encode())
        total += len(step(base + 9).result())
        os.write(had, f"{base + 9}\\n".encode())
    return total


print("ready", flush=True)
config = {"configurable": {"thread_id": "t"}, "max_concurrency": 4}
print(workflow.invoke(int(sys.argv[3]) if first else None, config, durability="sync"))
"""


def numbers(path: Path) -> list[int]:
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    # The last line may be torn: its write was not acknowledged.
    return [int(line) for line in text.split("\n")[:-1]]


def test_a_killed_run_finishes_and_repeats_no_acknowledged_call(
    tmp_path: Path, kills: int, note: Callable[..., None]
) -> None:
    chance = random.Random(20261122)  # noqa: S311 - when to kill
    script = tmp_path / "child.py"
    script.write_text(CHILD, encoding="utf-8")
    count = 100 * kills
    killed = 0
    finished = ""

    while not finished:
        had_before = set(numbers(tmp_path / "had"))
        ran_before = len(numbers(tmp_path / "ran"))
        saver_knows = (tmp_path / "runs.duckdb").exists() and bool(ran_before)
        child = subprocess.Popen(
            [
                sys.executable,
                script,
                tmp_path,
                "again" if saver_knows else "first",
                str(count),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        if killed < kills:
            time.sleep(chance.uniform(0.05, 0.6))
            child.send_signal(signal.SIGKILL)
            killed += child.wait() == -signal.SIGKILL
        out, errors = child.communicate()
        again = set(numbers(tmp_path / "ran")[ran_before:]) & had_before
        assert not again, f"acknowledged, and run again: {sorted(again)}"
        assert not errors, errors
        finished = out.strip()

    expected = sum(len(str(n)) * 200 for n in range(count))
    assert int(finished) == expected
    assert killed >= kills // 2
    with DuckDBSaver(tmp_path / "runs.duckdb") as saver:
        outcomes = Counter(
            record.event.call_id  # type: ignore[union-attr]
            for record in saver.read("t", kinds=("TaskFinished",))
        )
    assert len(outcomes) == count
    assert set(outcomes.values()) == {1}
    note("kill -9 of a run with a fan-out", killed, count, "0 calls run again")
