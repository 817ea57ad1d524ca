"""The cache of an entrypoint, as its tasks use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow.cache.duckdb import DuckDBCache
from nbflow.func import entrypoint, task
from nbflow.types import CachePolicy

if TYPE_CHECKING:
    from pathlib import Path

    from nbflow.cache.base import BaseCache
    from tests.cache.conftest import FakeClock


def test_a_task_runs_once_for_the_same_arguments(cache: BaseCache) -> None:
    ran: list[int] = []

    @task(cache_policy=CachePolicy())
    def double(number: int) -> int:
        ran.append(number)
        return 2 * number

    @entrypoint(cache=cache)
    def workflow(numbers: list[int]) -> list[int]:
        return [double(number).result() for number in numbers]

    first, second = workflow.invoke([1, 2, 1]), workflow.invoke([2, 3])

    assert (first, second) == ([2, 4, 2], [4, 6])
    assert ran == [1, 2, 3]


def test_a_result_that_is_over_is_made_anew(cache: BaseCache, clock: FakeClock) -> None:
    ran: list[int] = []

    @task(cache_policy=CachePolicy(ttl=60))
    def double(number: int) -> int:
        ran.append(number)
        return 2 * number

    @entrypoint(cache=cache)
    def workflow(number: int) -> int:
        return double(number).result()

    workflow.invoke(1)
    clock.forward(59)
    workflow.invoke(1)
    clock.forward(1)
    workflow.invoke(1)

    assert ran == [1, 1]


def test_clearing_a_tasks_results_leaves_those_of_others(cache: BaseCache) -> None:
    ran: list[str] = []

    @task(cache_policy=CachePolicy())
    def one(number: int) -> int:
        ran.append("one")
        return number

    @task(cache_policy=CachePolicy())
    def two(number: int) -> int:
        ran.append("two")
        return number

    @entrypoint(cache=cache)
    def workflow(number: int) -> int:
        return one(number).result() + two(number).result()

    workflow.invoke(1)
    one.clear_cache(cache)
    workflow.invoke(1)

    assert ran == ["one", "two", "one"]


def test_a_result_is_used_after_the_file_was_opened_again(tmp_path: Path) -> None:
    ran: list[int] = []

    @task(cache_policy=CachePolicy())
    def double(number: int) -> dict[str, tuple[int, ...]]:
        ran.append(number)
        return {"twice": (number, number)}

    results = []
    for _ in range(3):
        with DuckDBCache(tmp_path / "cache.duckdb") as cache:

            @entrypoint(cache=cache)
            def workflow(number: int) -> dict[str, tuple[int, ...]]:
                return double(number).result()

            results.append(workflow.invoke(4))

    assert results == [{"twice": (4, 4)}] * 3
    assert ran == [4]
