"""How much memory a large value takes, how large a long chat becomes, and how slow."""

from __future__ import annotations

import random
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.func import entrypoint, task

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    RunChild = Callable[..., subprocess.CompletedProcess[str]]

MOST_SIZES = 1.5
ANSWER_SECONDS = 0.05  # Less than any model takes.
WORDS_KNOWN = 5_000

# The highest that the resident size ever was, against what it was before the value.
CHECKPOINTED = """
    import numpy, pandas, pyarrow
    from nbflow import serde
    from nbflow.func import entrypoint, task

    kind, megabytes = sys.argv[2], int(sys.argv[3])
    count = megabytes * 2**20 // 8

    def resident(name):
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith(name))
        return int(line.split()[1]) * 1024

    def made():
        numbers = numpy.random.default_rng(1).random(count)
        if kind == "array":
            return numbers
        return pandas.DataFrame(numbers.reshape(16, -1).T, copy=False)

    saver = DuckDBSaver(sys.argv[1])
    config = {"configurable": {"thread_id": "t"}}

    @task
    def load():
        return made()

    @entrypoint(checkpointer=saver)
    def work(wanted):
        return len(load().result()) if wanted else 0

    work.invoke(0, config)
    serde.decode(serde.encode(pandas.DataFrame({"a": [1.0]})))
    before = resident("VmRSS")
    work.invoke(1, config, durability="sync")
    print((resident("VmHWM") - before) / (megabytes * 2**20))
    saver.close()
"""


def peak(run_child: RunChild, path: Path, kind: str, megabytes: int) -> float:
    child = run_child(CHECKPOINTED, path, kind, megabytes)
    assert child.returncode == 0, child.stderr
    return float(child.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells")
@pytest.mark.parametrize("kind", ["array", "frame"])
def test_a_large_value_is_checkpointed_without_a_copy_of_it(
    path: Path, run_child: RunChild, kind: str
) -> None:
    assert 1 <= peak(run_child, path, kind, 64) < MOST_SIZES


@pytest.mark.bench
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["array", "frame"])
def test_a_gigabyte_is_checkpointed_with_half_of_it_to_spare(
    path: Path,
    run_child: RunChild,
    record_testsuite_property: Callable[[str, object], None],
    kind: str,
) -> None:
    sizes = peak(run_child, path, kind, 1024)

    record_testsuite_property("peak_in_sizes", sizes)
    assert sizes < MOST_SIZES


@pytest.mark.bench
@pytest.mark.timeout(600)
@pytest.mark.parametrize("repeats_input", [False, True])
def test_a_chat_of_a_thousand_turns_stays_small_and_quick(
    path: Path,
    record_testsuite_property: Callable[[str, object], None],
    *,
    repeats_input: bool,
) -> None:
    chance = random.Random(1)  # noqa: S311 - text
    words = [chance.randbytes(4).hex()[: 2 + n % 7] for n in range(WORDS_KNOWN)]
    answer_seconds = 0.0

    def said(role: str) -> dict[str, str]:
        return {"role": role, "content": " ".join(chance.choices(words, k=100))[:500]}

    with DuckDBSaver(path) as saver:

        @task
        def answer(_messages: list[dict[str, str]]) -> dict[str, str]:
            time.sleep(answer_seconds)
            return said("assistant")

        @entrypoint(checkpointer=saver)
        def chat(
            given: list[dict[str, str]], *, previous: list[dict[str, str]] | None = None
        ) -> list[dict[str, str]]:
            messages = given if repeats_input else [*(previous or []), *given]
            return [*messages, answer(messages).result()]

        threads: dict[str, list[dict[str, str]]] = {}

        def turn(thread_id: str) -> float:
            before = threads.get(thread_id, []) if repeats_input else []
            config: Any = {"configurable": {"thread_id": thread_id}}
            given = [*before, said("user")]
            began = time.perf_counter()
            threads[thread_id] = chat.invoke(given, config)
            return time.perf_counter() - began

        for _ in range(1_000):
            turn("long")
        size = sum(f.stat().st_size for f in path.parent.rglob("*") if f.is_file())
        answer_seconds = ANSWER_SECONDS
        # In turn, so that both meet the same company on the machine.
        pairs = [(turn(f"first {n}"), turn("long")) for n in range(30)]

    first, last = map(statistics.median, zip(*pairs, strict=True))
    record_testsuite_property("megabytes", size / 1e6)
    record_testsuite_property("first_and_last_turn_ms", (first * 1e3, last * 1e3))
    assert len(threads["long"]) == 2_060
    assert size < 10_000_000
    # A chat that also gets its history as input has it fingerprinted twice a turn.
    assert repeats_input or last < 1.3 * first
