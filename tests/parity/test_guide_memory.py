"""The guide's memory, of a thread and beyond it, and its cache: sync and async."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nbflow.cache.duckdb import DuckDBCache
from nbflow.cache.memory import InMemoryCache
from nbflow.func import entrypoint, task
from nbflow.graph import add_messages
from nbflow.store.duckdb import DuckDBStore
from nbflow.store.memory import InMemoryStore
from nbflow.types import CachePolicy

if TYPE_CHECKING:
    from pathlib import Path

    from nbflow.cache.base import BaseCache
    from nbflow.checkpoint.base import BaseCheckpointSaver
    from nbflow.store.base import BaseStore

Config = dict[str, Any]


@pytest.fixture
def cache(saver: BaseCheckpointSaver, tmp_path: Path) -> BaseCache:
    if saver.location == "memory":
        return InMemoryCache()
    return DuckDBCache(tmp_path / "cache.duckdb")


@pytest.fixture
def store(saver: BaseCheckpointSaver, tmp_path: Path) -> BaseStore:
    if saver.location == "memory":
        return InMemoryStore()
    return DuckDBStore(tmp_path / "store.duckdb")


def _slow_add(ran: list[int], x: int) -> int:
    ran.append(x)
    return x * 2


EXPECTED_CHUNKS = [
    {"slow_add": 10},
    {"slow_add": 10, "__metadata__": {"cached": True}},
    {"main": {"result1": 10, "result2": 10}},
]


def test_caching_tasks(cache: BaseCache) -> None:
    ran: list[int] = []

    @task(cache_policy=CachePolicy(ttl=120))
    def slow_add(x: int) -> int:
        return _slow_add(ran, x)

    @entrypoint(cache=cache)
    def main(inputs: dict[str, int]) -> dict[str, int]:
        result1 = slow_add(inputs["x"]).result()
        result2 = slow_add(inputs["x"]).result()
        return {"result1": result1, "result2": result2}

    chunks = list(main.stream({"x": 5}, stream_mode="updates"))

    assert chunks == EXPECTED_CHUNKS
    assert ran == [5]


async def test_caching_tasks_async(cache: BaseCache) -> None:
    ran: list[int] = []

    @task(cache_policy=CachePolicy(ttl=120))
    async def slow_add(x: int) -> int:
        return _slow_add(ran, x)

    @entrypoint(cache=cache)
    async def main(inputs: dict[str, int]) -> dict[str, int]:
        result1 = await slow_add(inputs["x"])
        result2 = await slow_add(inputs["x"])
        return {"result1": result1, "result2": result2}

    chunks = [c async for c in main.astream({"x": 5}, stream_mode="updates")]

    assert chunks == EXPECTED_CHUNKS
    assert ran == [5]


def test_short_term_memory_is_of_one_thread(saver: BaseCheckpointSaver) -> None:
    @entrypoint(checkpointer=saver)
    def chat(message: str, *, previous: list[str] | None) -> list[str]:
        return [*(previous or []), message]

    said = [
        chat.invoke(message, {"configurable": {"thread_id": thread}})
        for thread, message in (("1", "hi"), ("2", "hello"), ("1", "again"))
    ]

    assert said == [["hi"], ["hello"], ["hi", "again"]]


async def test_short_term_memory_is_of_one_thread_async(
    saver: BaseCheckpointSaver,
) -> None:
    @entrypoint(checkpointer=saver)
    async def chat(message: str, *, previous: list[str] | None) -> list[str]:
        return [*(previous or []), message]

    said = [
        await chat.ainvoke(message, {"configurable": {"thread_id": thread}})
        for thread, message in (("1", "hi"), ("2", "hello"), ("1", "again"))
    ]

    assert said == [["hi"], ["hello"], ["hi", "again"]]


def test_manage_checkpoints(saver: BaseCheckpointSaver, config: Config) -> None:
    @entrypoint(checkpointer=saver)
    def graph(number: int) -> int:
        return number + 1

    graph.invoke(1, config)
    graph.invoke(10, config)
    history = list(graph.get_state_history(config))
    older = graph.get_state(history[2].config)
    saver.delete_thread("1")
    after = graph.get_state(config)

    assert [snapshot.values for snapshot in history] == [11, 2, 2, None] or [
        snapshot.values for snapshot in history
    ] == [11, 2, 2, {}]
    assert older == history[2]
    assert list(graph.get_state_history(config)) == []
    assert after.values == {}
    assert after.next == ()


async def test_manage_checkpoints_async(
    saver: BaseCheckpointSaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    async def graph(number: int) -> int:
        return number + 1

    await graph.ainvoke(1, config)
    await graph.ainvoke(10, config)
    history = [snapshot async for snapshot in graph.aget_state_history(config)]
    older = await graph.aget_state(history[2].config)
    await saver.adelete_thread("1")
    after = await graph.aget_state(config)

    assert [snapshot.values for snapshot in history][:3] == [11, 2, 2]
    assert older == history[2]
    assert after.values == {}


def test_long_term_memory_is_shared_by_threads(
    saver: BaseCheckpointSaver, store: BaseStore
) -> None:
    @task
    def remember(user: str, fact: str, store: BaseStore) -> None:
        store.put(("users", user), fact, {"fact": fact})

    @entrypoint(checkpointer=saver, store=store)
    def chat(inputs: dict[str, str], *, store: BaseStore) -> list[str]:
        if "fact" in inputs:
            remember(inputs["user"], inputs["fact"]).result()  # type: ignore[call-arg]
        known = store.search(("users", inputs["user"]))
        return sorted(item.key for item in known)

    for thread, given in (("1", {"fact": "likes tea"}), ("2", {"fact": "has a cat"})):
        chat.invoke({"user": "bob", **given}, {"configurable": {"thread_id": thread}})
    in_third = chat.invoke({"user": "bob"}, {"configurable": {"thread_id": "3"}})
    of_other = chat.invoke({"user": "eve"}, {"configurable": {"thread_id": "4"}})

    assert in_third == ["has a cat", "likes tea"]
    assert of_other == []


async def test_long_term_memory_is_shared_by_threads_async(
    saver: BaseCheckpointSaver, store: BaseStore
) -> None:
    @task
    async def remember(user: str, fact: str, store: BaseStore) -> None:
        await store.aput(("users", user), fact, {"fact": fact})

    @entrypoint(checkpointer=saver, store=store)
    async def chat(inputs: dict[str, str], *, store: BaseStore) -> list[str]:
        if "fact" in inputs:
            await remember(inputs["user"], inputs["fact"])  # type: ignore[call-arg]
        known = await store.asearch(("users", inputs["user"]))
        return sorted(item.key for item in known)

    for thread, given in (("1", {"fact": "likes tea"}), ("2", {"fact": "has a cat"})):
        await chat.ainvoke(
            {"user": "bob", **given}, {"configurable": {"thread_id": thread}}
        )
    in_third = await chat.ainvoke({"user": "bob"}, {"configurable": {"thread_id": "3"}})

    assert in_third == ["has a cat", "likes tea"]


def test_integrating_with_another_library(
    saver: BaseCheckpointSaver, config: Config
) -> None:
    # Another library's object needs no adapter: its method is called in a task.
    class ForeignAgent:
        def reply(self, messages: list[Any]) -> dict[str, str]:
            return {"role": "assistant", "content": f"heard {len(messages)}"}

    agent = ForeignAgent()

    @task
    def call_agent(messages: list[Any]) -> dict[str, str]:
        return agent.reply(messages)

    @entrypoint(checkpointer=saver)
    def workflow(messages: list[Any], previous: list[Any] | None) -> Any:
        messages = add_messages(previous or [], messages)
        reply = call_agent(messages).result()
        return entrypoint.final(
            value=reply["content"], save=add_messages(messages, reply)
        )

    message = {"role": "user", "content": "hello"}
    first = workflow.invoke([message], config)
    second = workflow.invoke([message], config)

    assert (first, second) == ("heard 1", "heard 3")
