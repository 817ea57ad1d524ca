"""Results that other runs may use: found by name, code and arguments."""

from __future__ import annotations

import asyncio
import threading
import types
from typing import TYPE_CHECKING, Any

import pytest

from nbflow._events import TaskCalled, TaskFinished
from nbflow.cache.base import BaseCache
from nbflow.cache.memory import InMemoryCache
from nbflow.errors import NbflowWarning
from nbflow.func import entrypoint, task
from nbflow.types import CachePolicy, Command, RetryPolicy, interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nbflow._engine.workflow import Workflow
    from nbflow.cache.base import FullKey, Namespace
    from nbflow.checkpoint.memory import InMemorySaver
    from nbflow.testing import FakeClock

Config = dict[str, Any]


@pytest.fixture
def cache(clock: FakeClock) -> InMemoryCache:
    return InMemoryCache(clock=clock.time)


@pytest.fixture
def ran() -> list[Any]:
    """Return what task bodies have done."""
    return []


@pytest.fixture
def add(cache: InMemoryCache, ran: list[Any]) -> Workflow[Any, Any]:
    """Return a workflow that calls a cached task twice."""

    @task(cache_policy=CachePolicy(ttl=120))
    def slow_add(number: int) -> int:
        ran.append(number)
        return number * 2

    @entrypoint(cache=cache)
    def main(given: dict[str, int]) -> dict[str, int]:
        first = slow_add(given["x"]).result()
        second = slow_add(given["x"]).result()
        return {"first": first, "second": second}

    return main


def test_the_second_identical_call_comes_from_the_cache(
    add: Workflow[Any, Any], ran: list[Any]
) -> None:
    chunks = list(add.stream({"x": 5}, stream_mode="updates"))

    assert chunks == [
        {"slow_add": 10},
        {"slow_add": 10, "__metadata__": {"cached": True}},
        {"main": {"first": 10, "second": 10}},
    ]
    assert ran == [5]


def test_an_entry_serves_other_runs_until_its_time_is_over(
    add: Workflow[Any, Any], ran: list[Any], clock: FakeClock
) -> None:
    add.invoke({"x": 5})
    clock.advance(119)
    add.invoke({"x": 5})
    before = list(ran)
    clock.advance(2)
    add.invoke({"x": 5})

    assert before == [5]
    assert ran == [5, 5]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_hit_is_recorded_as_one_and_replayed(
    cache: InMemoryCache,
    ran: list[Any],
    saver: InMemorySaver,
    config: Config,
    kind: str,
) -> None:
    @task(cache_policy=CachePolicy())
    def blocking(number: int) -> int:
        ran.append(number)
        return number

    @task(cache_policy=CachePolicy())
    async def waiting(number: int) -> int:
        ran.append(number)
        return number

    work = blocking if kind == "sync" else waiting

    @entrypoint(checkpointer=saver, cache=cache)
    async def workflow(number: int) -> list[Any]:
        return [await work(number), interrupt("go on?")]

    other = {"configurable": {"thread_id": "other"}}
    await workflow.ainvoke(1, other)
    await workflow.ainvoke(1, config)
    result = await workflow.ainvoke(Command(resume="yes"), config)

    events = [record.event for record in saver.read("t")]
    assert result == [1, "yes"]
    assert ran == [1]
    assert [e.cached for e in events if isinstance(e, TaskFinished)] == [True]
    assert len([e for e in events if isinstance(e, TaskCalled)]) == 1


def test_each_reader_gets_a_copy_of_its_own(cache: InMemoryCache) -> None:
    @task(cache_policy=CachePolicy())
    def make() -> list[int]:
        return [1]

    @entrypoint(cache=cache)
    def workflow(_: int) -> list[list[int]]:
        found = [make().result() for _ in range(3)]
        for one in found:
            one.append(2)
        return [*found, make().result()]

    assert workflow.invoke(1) == [[1, 2], [1, 2], [1, 2], [1]]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_identical_calls_at_once_run_once(
    cache: InMemoryCache, ran: list[Any], kind: str
) -> None:
    release = threading.Event()

    @task(cache_policy=CachePolicy())
    def blocking(number: int) -> list[int]:
        ran.append(number)
        release.wait(10)
        return [number]

    @task(cache_policy=CachePolicy())
    async def waiting(number: int) -> list[int]:
        ran.append(number)
        await asyncio.to_thread(release.wait, 10)
        return [number]

    work = blocking if kind == "sync" else waiting

    @task
    def lets_go() -> None:
        release.set()

    @entrypoint(cache=cache)
    async def workflow(_: int) -> list[list[int]]:
        futures = [work(7) for _ in range(20)]
        await lets_go()
        found = await asyncio.gather(*futures)
        found[0].append(8)
        return found

    result = await workflow.ainvoke(1, {"max_concurrency": 2})

    assert ran == [7]
    assert sorted(result) == [[7]] * 19 + [[7, 8]]


def test_identical_calls_of_two_runs_at_once_run_once(
    cache: InMemoryCache, ran: list[Any]
) -> None:
    begun, release = threading.Event(), threading.Event()

    @task(cache_policy=CachePolicy())
    def work(number: int) -> int:
        ran.append(number)
        begun.set()
        release.wait(10)
        return number

    @task
    def lets_go() -> None:
        release.set()

    @entrypoint(cache=cache)
    def first(number: int) -> int:
        return work(number).result()

    @entrypoint(cache=cache)
    def second(number: int) -> int:
        begun.wait(10)
        future = work(number)
        lets_go().result()
        return future.result()

    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(first.invoke(3)))
    thread.start()
    results.append(second.invoke(3, {"max_concurrency": 1}))
    thread.join()

    assert results == [3, 3]
    assert ran == [3]


def test_where_the_first_of_identical_calls_fails_the_others_run(
    cache: InMemoryCache, ran: list[Any]
) -> None:
    all_called = threading.Event()

    @task(cache_policy=CachePolicy())
    def fails_first() -> int:
        all_called.wait(10)
        ran.append(1)
        if len(ran) == 1:
            raise LookupError("the first one")
        return 2

    @entrypoint(cache=cache)
    def workflow(_: int) -> list[Any]:
        futures = [fails_first() for _ in range(3)]
        all_called.set()
        errors = [future.exception() for future in futures]
        return [type(error).__name__ for error in errors]

    result = workflow.invoke(1)

    assert sorted(result) == ["LookupError", "NoneType", "NoneType"]
    assert len(ran) == 3


def test_a_cached_task_that_calls_itself_alike_does_not_wait_for_itself(
    cache: InMemoryCache,
) -> None:
    depth = [0]

    @task(cache_policy=CachePolicy())
    def again(number: int) -> int:
        depth[0] += 1
        return number if depth[0] > 3 else again(number).result()

    @entrypoint(cache=cache)
    def workflow(_: int) -> int:
        return again(5).result()

    assert workflow.invoke(1) == 5


def test_a_stopped_run_leaves_no_one_waiting(
    cache: InMemoryCache, ran: list[Any], saver: InMemorySaver
) -> None:
    begun, release = threading.Event(), threading.Event()

    @task(cache_policy=CachePolicy())
    def work(number: int) -> int:
        ran.append(number)
        begun.set()
        release.wait(10)
        return number

    @entrypoint(cache=cache)
    def leads(number: int) -> int:
        return work(number).result()

    @task
    def fails() -> None:
        begun.wait(10)
        raise LookupError("this run is over")

    @entrypoint(checkpointer=saver, cache=cache)
    def follows(number: int) -> int:
        begun.wait(10)
        work(number)
        fails().result()
        return number

    thread = threading.Thread(target=leads.invoke, args=(3,))
    thread.start()
    with pytest.raises(LookupError, match="this run is over"):
        follows.invoke(3, {"configurable": {"thread_id": "t"}})
    release.set()
    thread.join()

    assert ran == [3]


def test_edited_code_does_not_get_the_old_result(
    cache: InMemoryCache, ran: list[Any]
) -> None:
    def workflow_with(body: str) -> Workflow[Any, Any]:
        module = types.ModuleType("cell")
        exec(  # noqa: S102 - a cell that is run again
            f"def work(number):\n    return {body}\n", vars(module)
        )
        work = task(cache_policy=CachePolicy())(vars(module)["work"])

        @entrypoint(cache=cache)
        def workflow(number: int) -> Any:
            ran.append(body)
            return work(number).result()

        return workflow

    results = [
        workflow_with(body).invoke(1) for body in ("number", "number + 1", "number")
    ]

    assert results == [1, 2, 1]


def test_a_key_func_says_what_counts(cache: InMemoryCache, ran: list[Any]) -> None:
    @task(cache_policy=CachePolicy(key_func=lambda user, _session: str(user["id"])))
    def greet(user: dict[str, Any], _session: object) -> str:
        ran.append(user["id"])
        return f"hello {user['name']}"

    @entrypoint(cache=cache)
    def workflow(name: str) -> str:
        return greet({"id": 1, "name": name}, object()).result()

    assert [workflow.invoke(name) for name in ("ann", "bob")] == ["hello ann"] * 2
    assert ran == [1]


def test_a_key_that_is_no_text_is_refused(cache: InMemoryCache) -> None:
    policy = CachePolicy(key_func=lambda number: number)

    @task(cache_policy=policy)
    def work(number: int) -> int:
        return number

    @entrypoint(cache=cache)
    def workflow(_: int) -> int:
        return work(1).result()

    with pytest.raises(TypeError, match="must return str or bytes, not 1"):
        workflow.invoke(1)


def test_arguments_that_cannot_be_compared_are_not_cached(
    cache: InMemoryCache, ran: list[Any]
) -> None:
    @task(cache_policy=CachePolicy())
    def work(thing: object) -> int:
        ran.append(thing)
        return len(ran)

    @entrypoint(cache=cache)
    def workflow(_: int) -> list[int]:
        return [work(object()).result() for _ in range(2)]

    with pytest.warns(NbflowWarning, match="'work' is not cached"):
        result = workflow.invoke(1)

    assert result == [1, 2]


def test_a_failure_is_not_cached_and_a_retried_success_is(
    cache: InMemoryCache, ran: list[Any]
) -> None:
    policy = RetryPolicy(initial_interval=0.0, jitter=False)

    @task(cache_policy=CachePolicy(), retry_policy=policy)
    def work() -> int:
        ran.append(1)
        if len(ran) == 1:
            raise ConnectionError("no net")
        return 5

    @entrypoint(cache=cache)
    def workflow(_: int) -> int:
        return work().result()

    assert [workflow.invoke(1), workflow.invoke(2)] == [5, 5]
    assert len(ran) == 2


def test_clearing_a_task_leaves_the_others(
    cache: InMemoryCache, ran: list[Any]
) -> None:
    @task(cache_policy=CachePolicy())
    def one() -> None:
        ran.append("one")

    @task(cache_policy=CachePolicy())
    def two() -> None:
        ran.append("two")

    @task
    def without_policy() -> None:
        return None

    @entrypoint(cache=cache)
    def workflow(_: int) -> None:
        one().result()
        two().result()

    workflow.invoke(1)
    one.clear_cache(cache)
    without_policy.clear_cache(cache)
    workflow.invoke(1)

    assert ran == ["one", "two", "one"]


async def test_a_body_is_cached_too_and_can_be_cleared(
    cache: InMemoryCache, ran: list[Any], saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver, cache=cache, cache_policy=CachePolicy())
    def main2(number: int, *, previous: Any = None) -> entrypoint.final[int, int]:
        ran.append(previous)
        return entrypoint.final(value=number * 2, save=number)

    @entrypoint(cache=cache, cache_policy=CachePolicy())
    async def waiting(number: int) -> int:
        ran.append("waiting")
        return number

    first = list(main2.stream(5, config))
    second = list(main2.stream(5, config))
    saved = main2.get_state(config).values
    main2.clear_cache()
    third = main2.invoke(5, config)
    awaited = [await waiting.ainvoke(1), await waiting.ainvoke(1)]
    await waiting.aclear_cache(["waiting"])
    awaited.append(await waiting.ainvoke(1))

    assert first == [{"main2": 10}]
    assert second == [{"main2": 10, "__metadata__": {"cached": True}}]
    assert (saved, third) == (10, 10)
    assert ran == [None, 5, "waiting", "waiting"]
    assert awaited == [1, 1, 1]
    with pytest.raises(ValueError, match="has no node 'nope'"):
        main2.clear_cache(["nope"])


def test_a_body_that_asks_is_not_cached(
    cache: InMemoryCache, saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver, cache=cache, cache_policy=CachePolicy())
    def workflow(number: int) -> int:
        return number + int(interrupt("how many more?"))

    asked = workflow.invoke(1, config)
    answered = workflow.invoke(Command(resume=2), config)
    again = workflow.invoke(1, {"configurable": {"thread_id": "other"}})

    assert len(asked["__interrupt__"]) == 1
    assert (answered, again) == (3, 3)


class BrokenCache(BaseCache):
    """A cache whose disk is gone."""

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """Fail."""
        raise OSError("the disk is gone", len(keys))

    def set(self, pairs: Mapping[FullKey, tuple[Any, float | None]]) -> None:
        """Fail."""
        raise OSError("the disk is gone", len(pairs))

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Fail."""
        raise OSError("the disk is gone", namespaces)


def test_a_broken_cache_costs_a_warning_and_no_result(ran: list[Any]) -> None:
    @task(cache_policy=CachePolicy())
    def work() -> int:
        ran.append(1)
        return 5

    @entrypoint(cache=BrokenCache())
    def workflow(_: int) -> int:
        return work().result()

    with pytest.warns(NbflowWarning, match="could not be (read|written)") as said:
        result = workflow.invoke(1)

    assert result == 5
    assert len(said) == 2


def test_without_a_cache_a_policy_does_nothing(ran: list[Any]) -> None:
    @task(cache_policy=CachePolicy())
    def work() -> int:
        ran.append(1)
        return 5

    @entrypoint()
    def workflow(_: int) -> list[int]:
        return [work().result(), work().result()]

    assert workflow.invoke(1) == [5, 5]
    assert len(ran) == 2


def test_a_value_that_cannot_be_kept_is_returned_all_the_same(
    cache: InMemoryCache, ran: list[Any]
) -> None:
    @task(cache_policy=CachePolicy())
    def make() -> Callable[[], None]:
        ran.append(1)
        return lambda: None

    @entrypoint(cache=cache)
    def workflow(_: int) -> bool:
        return callable(make().result()) and callable(make().result())

    with pytest.warns(NbflowWarning, match="could not be written for 'make'"):
        assert workflow.invoke(1) is True
    assert len(ran) == 2
