"""The store of an entrypoint, as its body and its tasks get it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.config import get_store
from nbflow.func import entrypoint, task

if TYPE_CHECKING:
    from nbflow.store.base import BaseStore, Item

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
