"""What panels and lines ask of a store stays quick, however many threads it has."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import pytest

from nbflow._engine.state import history_of
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.session.bus import view_of
from tests.bench.stores import make_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nbflow.checkpoint.base import Head

PAGE = 20
REPEATS = 9
LIMIT_MILLISECONDS = 50


def _milliseconds(ask: Callable[[Head], object], heads: list[Head]) -> float:
    taken = []
    for head in heads:
        began = time.perf_counter()
        ask(head)
        taken.append((time.perf_counter() - began) * 1_000)
    return median(taken)


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_ten_thousand_threads_are_listed_and_opened_within_the_limit(
    tmp_path: Path,
) -> None:
    make_store(tmp_path / "many.duckdb", 10_000)

    with DuckDBSaver(tmp_path / "many.duckdb") as saver:
        heads = saver.newest(PAGE * REPEATS)[::PAGE]
        taken = {
            "thread list": _milliseconds(lambda _: saver.newest(PAGE), heads),
            "pending interrupts": _milliseconds(lambda _: saver.questions(), heads),
            "timeline": _milliseconds(lambda head: view_of(saver, head), heads),
            "history page": _milliseconds(
                lambda head: list(
                    history_of(
                        saver,
                        {"configurable": {"thread_id": head.thread_id}},
                        limit=PAGE,
                    )
                ),
                heads,
            ),
        }

    print({name: round(value, 1) for name, value in taken.items()})  # noqa: T201 - a benchmark
    assert all(value < LIMIT_MILLISECONDS for value in taken.values()), taken
