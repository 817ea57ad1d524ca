"""The store of an entrypoint, as its body and its tasks get it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.config import get_store
from nbflow.func import entrypoint, task
from nbflow.runtime import Runtime, get_runtime
from nbflow.store.base import BaseStore, GetOp, PutOp, SearchOp
from nbflow.store.duckdb import DuckDBStore

if TYPE_CHECKING:
    from pathlib import Path

    from nbflow.store.base import Item

SPACE = ("users", "ann")


def test_a_body_and_a_task_get_the_store_by_its_annotation(store: BaseStore) -> None:
    @task
    def learn(fact: str, *, store: BaseStore | None = None) -> str:
        assert store is not None
        store.put(SPACE, fact, {"fact": fact})
        return fact

    @entrypoint(store=store)
    def chat(fact: str, *, store: BaseStore) -> list[str]:
        learn(fact).result()
        return [item.value["fact"] for item in store.search(SPACE)]

    answers = [chat.invoke("likes tea"), chat.invoke("has a cat")]

    assert answers == [["likes tea"], ["likes tea", "has a cat"]]
    assert len(store.search(SPACE)) == 2


async def test_an_async_body_and_task_get_it_too(store: BaseStore) -> None:
    @task
    async def learn(fact: str) -> Item | None:
        found: Any = get_store()
        await found.aput(SPACE, "fact", {"fact": fact})
        item: Item | None = await found.aget(SPACE, "fact")
        return item

    @entrypoint(store=store)
    async def chat(fact: str, *, store: BaseStore | None) -> Any:
        assert store is not None
        return await learn(fact), await store.aget(SPACE, "fact")

    learned, read = await chat.ainvoke("likes tea")

    assert learned == read == store.get(SPACE, "fact")


def test_the_runtime_of_a_body_has_the_store(store: BaseStore) -> None:
    @entrypoint(store=store)
    def chat(fact: str, *, runtime: Runtime[None]) -> bool:
        assert runtime.store is store
        runtime.store.put(SPACE, "fact", {"fact": fact})
        return get_runtime().store is store

    assert chat.invoke("likes tea")
    assert store.get(SPACE, "fact") is not None


def test_tasks_side_by_side_lose_nothing(store: BaseStore) -> None:
    @task
    def learn(n: int, *, store: BaseStore | None = None) -> None:
        assert store is not None
        store.put(SPACE, str(n), {"n": n})

    @entrypoint(store=store)
    def chat(count: int, *, store: BaseStore) -> int:
        for future in [learn(n) for n in range(count)]:
            future.result()
        return len(store.search(SPACE, limit=count))

    assert chat.invoke(30) == 30


async def test_a_batch_of_operations_can_be_awaited(store: BaseStore) -> None:
    @entrypoint(store=store)
    async def chat(fact: str, *, store: BaseStore) -> list[Any]:
        await store.abatch([PutOp(SPACE, "fact", {"fact": fact})])
        return await store.abatch([GetOp(SPACE, "fact"), SearchOp(SPACE)])

    item, found = await chat.ainvoke("likes tea")

    assert item.value == {"fact": "likes tea"}
    assert [each.key for each in found] == ["fact"]


def test_a_store_and_a_saver_of_one_file_serve_one_workflow(tmp_path: Path) -> None:
    path = tmp_path / "threads.duckdb"
    config = {"configurable": {"thread_id": "1"}}
    with DuckDBSaver(path) as saver, DuckDBStore(path) as both:

        @entrypoint(checkpointer=saver, store=both)
        def chat(fact: str, *, previous: str | None, store: BaseStore) -> str:
            store.put(SPACE, fact, {"after": previous})
            return fact

        chat.invoke("likes tea", config)
        chat.invoke("has a cat", config)

        found = {item.key: item.value["after"] for item in both.search(SPACE)}
        assert found == {"likes tea": None, "has a cat": "likes tea"}
        assert [head.thread_id for head in saver.list_threads()] == ["1"]


def test_a_run_on_the_thread_without_a_name_is_refused(tmp_path: Path) -> None:
    with DuckDBSaver(tmp_path / "threads.duckdb") as saver:

        @entrypoint(checkpointer=saver)
        def chat(fact: str) -> str:
            return fact

        with pytest.raises(ValueError, match="thread_id"):
            chat.invoke("likes tea", {"configurable": {"thread_id": ""}})
