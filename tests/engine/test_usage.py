"""Tokens: what the models that a task calls say they used."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models.fake_chat_models import (
    FakeMessagesListChatModel,
    GenericFakeChatModel,
)
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda

from nbflow._events import TaskFailed, TaskFinished, UsageNoted
from nbflow.cache.memory import InMemoryCache
from nbflow.func import entrypoint, task
from nbflow.types import CachePolicy, Command, RetryPolicy, interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_core.messages.ai import UsageMetadata

    from nbflow.checkpoint.memory import InMemorySaver

Config = dict[str, Any]
Tokens = dict[str, int] | None


def used(given: int, taken: int) -> UsageMetadata:
    return {
        "input_tokens": given,
        "output_tokens": taken,
        "total_tokens": given + taken,
    }


def reply(given: int = 5, taken: int = 2, text: str = "hi", **more: Any) -> AIMessage:
    return AIMessage(text, usage_metadata=used(given, taken), **more)


def model(*replies: AIMessage) -> FakeMessagesListChatModel:
    return FakeMessagesListChatModel(responses=list(replies or (reply(),)))


@pytest.fixture
def tokens(saver: InMemorySaver) -> Callable[[], list[Tokens]]:
    """Return what each outcome in the log says was used, in stored order."""

    def look() -> list[Tokens]:
        events = [record.event for record in saver.read("t")]
        told = TaskFinished | TaskFailed | UsageNoted
        return [event.usage for event in events if isinstance(event, told)]

    return look


def test_a_task_that_returns_text_has_the_tokens_of_its_models(
    saver: InMemorySaver, config: Config, tokens: Callable[[], list[Tokens]]
) -> None:
    @task
    def call(query: str) -> str:
        first = model(reply(5, 2)).invoke(query).content
        second = model(reply(10, 4)).invoke(query).content
        return f"{first}{second}"

    @entrypoint(checkpointer=saver)
    def chat(query: str) -> Any:
        return call(query).result()

    chat.invoke("foo", config)

    assert tokens() == [used(15, 6)]


def test_an_asynchronous_task_has_its_own(
    saver: InMemorySaver, config: Config, tokens: Callable[[], list[Tokens]]
) -> None:
    @task
    async def call(number: int) -> str:
        await asyncio.sleep(0)
        return str((await model(reply(number, 1)).ainvoke("foo")).content)

    @entrypoint(checkpointer=saver)
    async def chat(_: str) -> Any:
        return await asyncio.gather(call(1), call(2), call(3))

    asyncio.run(chat.ainvoke("foo", config))

    assert sorted(u["input_tokens"] for u in tokens() if u) == [1, 2, 3]


def test_a_model_whose_messages_are_streamed_counts_once(
    saver: InMemorySaver, config: Config, tokens: Callable[[], list[Tokens]]
) -> None:
    @task
    def call(query: str) -> AIMessage:
        found = model().invoke(query)
        assert isinstance(found, AIMessage)
        return found

    @entrypoint(checkpointer=saver)
    def chat(query: str) -> Any:
        return call(query).result()

    shown = list(chat.stream("foo", config, stream_mode="messages"))

    assert [message.content for message, _ in shown] == ["hi"]
    assert tokens() == [used(5, 2)]


def test_models_inside_of_chains_and_batches_count(
    saver: InMemorySaver, config: Config, tokens: Callable[[], list[Tokens]]
) -> None:
    @task
    def call(query: str) -> list[str]:
        def text(message: AIMessage) -> str:
            return str(message.content)

        inner: Any = model(reply(1, 1), reply(1, 1), reply(1, 1))
        found: list[str] = (inner | RunnableLambda(text)).batch([query] * 3)
        return found

    @entrypoint(checkpointer=saver)
    def chat(query: str) -> Any:
        return call(query).result()

    chat.invoke("foo", config)

    assert tokens() == [used(3, 3)]


def test_a_message_that_one_model_takes_from_another_counts_once(
    saver: InMemorySaver, config: Config, tokens: Callable[[], list[Tokens]]
) -> None:
    @task
    def call(query: str) -> str:
        def delegate() -> Iterator[AIMessage]:
            yield model().invoke(query)

        return str(GenericFakeChatModel(messages=delegate()).invoke(query).content)

    @entrypoint(checkpointer=saver)
    def chat(query: str) -> Any:
        return call(query).result()

    chat.invoke("foo", config)

    assert tokens() == [used(5, 2)]


def test_a_message_that_no_model_of_langchain_made_counts_where_it_is_returned(
    saver: InMemorySaver, config: Config, tokens: Callable[[], list[Tokens]]
) -> None:
    @task
    def call() -> list[Any]:
        return [HumanMessage("foo"), reply()]

    @task
    def answer(messages: list[Any]) -> Any:
        return messages[-1]

    @task
    def keep(state: dict[str, Any]) -> Any:
        return state["messages"]

    @task
    def ask() -> Any:
        return call().result()

    @entrypoint(checkpointer=saver)
    def chat(_: str) -> str:
        messages = call().result()
        answer(messages).result()
        keep({"messages": messages}).result()
        ask().result()
        return "done"

    chat.invoke("foo", config)

    # `ask` hands on what its own call returned.
    assert tokens() == [used(5, 2), None, None, used(5, 2), None]


def test_what_a_task_has_of_a_model_called_before_counts_there_only(
    saver: InMemorySaver, config: Config, tokens: Callable[[], list[Tokens]]
) -> None:
    held: list[Any] = []

    @task
    def call(query: str) -> str:
        held.append(model().invoke(query))
        return "kept"

    @task
    def fetch() -> Any:
        return held[0]

    @entrypoint(checkpointer=saver)
    def chat(query: str) -> str:
        call(query).result()
        fetch().result()
        return "done"

    chat.invoke("foo", config)

    assert tokens() == [used(5, 2), None]


def test_attempts_that_failed_count(
    saver: InMemorySaver, config: Config, tokens: Callable[[], list[Tokens]]
) -> None:
    tries: list[int] = []
    again = RetryPolicy(initial_interval=0, jitter=False, retry_on=ValueError)

    @task(retry_policy=again)
    def call(query: str) -> str:
        model().invoke(query)
        tries.append(1)
        if len(tries) == 1:
            raise ValueError(query)
        return "done"

    @entrypoint(checkpointer=saver)
    def chat(query: str) -> str:
        return call(query).result()

    chat.invoke("foo", config)

    assert tokens() == [used(10, 4)]


def test_a_task_that_fails_has_used_what_it_used(
    saver: InMemorySaver, config: Config, tokens: Callable[[], list[Tokens]]
) -> None:
    @task
    def call(query: str) -> str:
        model().invoke(query)
        raise LookupError(query)

    @entrypoint(checkpointer=saver)
    def chat(query: str) -> str:
        return call(query).result()

    with pytest.raises(LookupError):
        chat.invoke("foo", config)

    assert tokens() == [used(5, 2)]


def test_what_was_used_before_a_person_was_asked_counts(
    saver: InMemorySaver, config: Config, tokens: Callable[[], list[Tokens]]
) -> None:
    @task
    def propose(topic: str) -> str:
        model(reply(5, 2)).invoke(topic)
        return f"{topic}: {interrupt('Good?')}"

    @task
    def around(topic: str) -> str:
        model(reply(7, 1)).invoke(topic)
        return propose(topic).result()

    @entrypoint(checkpointer=saver)
    def chat(topic: str) -> Any:
        return around(topic).result()

    chat.invoke("foo", config)
    chat.invoke(Command(resume="yes"), config)

    assert tokens() == [used(5, 2), used(7, 1), used(5, 2), used(7, 1)]


def test_what_was_used_before_a_call_was_cancelled_counts(
    saver: InMemorySaver, config: Config, tokens: Callable[[], list[Tokens]]
) -> None:
    @task
    async def linger(topic: str) -> None:
        await model(reply(5, 2)).ainvoke(topic)
        await asyncio.sleep(60)

    @entrypoint(checkpointer=saver)
    async def chat(topic: str) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(linger(topic), 0.2)

    asyncio.run(chat.ainvoke("foo", config))

    assert tokens() == [used(5, 2)]


def test_nothing_is_used_by_what_is_replayed_or_cached(
    saver: InMemorySaver, config: Config, tokens: Callable[[], list[Tokens]]
) -> None:
    @task(cache_policy=CachePolicy())
    def call(query: str) -> AIMessage:
        return reply(text=query)

    @entrypoint(checkpointer=saver, cache=InMemoryCache())
    def chat(query: str) -> str:
        call(query).result()
        call(query).result()
        return str(interrupt("well?"))

    chat.invoke("foo", config)
    chat.invoke(Command(resume="yes"), config)

    assert tokens() == [used(5, 2), None]


def test_a_nested_run_has_what_its_own_body_used(
    saver: InMemorySaver, config: Config, tokens: Callable[[], list[Tokens]]
) -> None:
    @task
    def call(query: str) -> str:
        model(reply(1, 1)).invoke(query)
        return "called"

    @entrypoint()
    def inner(query: str) -> str:
        model(reply(10, 10)).invoke(query)
        return call(query).result()

    @task
    def outer(query: str) -> Any:
        return inner.invoke(query)

    @entrypoint(checkpointer=saver)
    def chat(query: str) -> Any:
        return outer(query).result()

    chat.invoke("foo", config)

    assert tokens() == [used(1, 1), used(10, 10), None]


def test_models_that_report_nothing_leave_nothing(
    saver: InMemorySaver, config: Config, tokens: Callable[[], list[Tokens]]
) -> None:
    @task
    def call(query: str) -> Any:
        return model(AIMessage("hi")).invoke(query)

    @entrypoint(checkpointer=saver)
    def chat(query: str) -> str:
        call(query).result()
        return "done"

    chat.invoke("foo", config)

    assert tokens() == [None]


LATE = """
import sys
from nbflow.checkpoint.memory import InMemorySaver
from nbflow.func import entrypoint, task

saver = InMemorySaver()

@task
def plain() -> int:
    return 1

@task
def call() -> object:
    from langchain_core.language_models.fake_chat_models import (
        FakeMessagesListChatModel,
    )
    from langchain_core.messages import AIMessage

    used = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    reply = AIMessage("hi", usage_metadata=used)
    return FakeMessagesListChatModel(responses=[reply]).invoke("foo")

@entrypoint(checkpointer=saver)
def chat(_: str) -> str:
    plain().result()
    assert "langchain_core" not in sys.modules
    call().result()
    call().result()
    return "done"

chat.invoke("foo", {"configurable": {"thread_id": "t"}})
found = [r.event for r in saver.read("t", kinds=["TaskFinished"])]
print([(e.usage or {}).get("input_tokens") for e in found])
"""


def test_nothing_is_imported_and_models_imported_in_a_task_count_from_then_on() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LATE],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout.strip() == "[None, 5, 5]"
