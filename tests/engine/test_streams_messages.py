"""Chat messages and their tokens, from LangChain's models and from any task."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models.fake_chat_models import (
    FakeListChatModel,
    GenericFakeChatModel,
)
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage

from nbflow._engine import log as log_module
from nbflow._engine.options import Watch, options_from
from nbflow._events import MessageStreamed, StreamCut
from nbflow.constants import TAG_NOSTREAM
from nbflow.func import entrypoint, task
from nbflow.graph.message import push_message
from nbflow.types import Command, interrupt

if TYPE_CHECKING:
    from nbflow.checkpoint.memory import InMemorySaver

Config = dict[str, Any]


def model(text: str = "hi") -> FakeListChatModel:
    return FakeListChatModel(responses=[text])


def test_tokens_of_a_model_in_a_task_come_with_where_they_are_from(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def call(query: str) -> Any:
        return model().invoke(query, {"metadata": {"own": 1}}).content

    @entrypoint(checkpointer=saver)
    def chat(query: str) -> Any:
        return call(query).result()

    asked = {**config, "metadata": {"k": "v"}, "tags": ["a tag"]}
    shown = list(chat.stream("foo", asked, stream_mode="messages"))

    assert [message.content for message, _ in shown] == ["h", "i"]
    assert all(isinstance(message, AIMessageChunk) for message, _ in shown)
    assert len({message.id for message, _ in shown}) == 1
    metadata = shown[1][1]
    entry, called = list(chat.get_state_history(config))[-1].tasks
    place = f"chat:{entry.id}|call:{called.id}"
    expected = {
        "k": "v",
        "own": 1,
        "thread_id": "t",
        "tags": ["a tag"],
        "langgraph_step": 0,
        "langgraph_node": "call",
        "langgraph_triggers": ("__pregel_push",),
        "langgraph_path": ("__pregel_push", ("__pregel_pull", "chat"), 0, True),
        "langgraph_checkpoint_ns": place,
        "checkpoint_ns": place,
        "ls_provider": "fakelistchatmodel",
        "ls_model_type": "chat",
    }
    assert {key: metadata[key] for key in expected} == expected


def test_tokens_of_a_model_in_the_body_itself_are_the_bodys(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def chat(query: str) -> Any:
        return model().invoke(query).content

    shown = list(chat.stream("foo", config, stream_mode="messages", version="v2"))

    assert [part["data"][0].content for part in shown] == ["h", "i"]
    metadata = shown[0]["data"][1]
    assert metadata["langgraph_node"] == "chat"
    assert metadata["langgraph_triggers"] == ("__start__",)
    assert metadata["langgraph_path"] == ("__pregel_pull", "chat")


def test_tokens_stream_on_an_event_loop_too(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    async def call(query: str) -> Any:
        answer = await GenericFakeChatModel(
            messages=iter([AIMessage("hello you")])
        ).ainvoke(query)
        return answer.content

    @entrypoint(checkpointer=saver)
    async def chat(query: str) -> Any:
        return await asyncio.gather(call(query), call("other"))

    async def read() -> list[Any]:
        return [c async for c in chat.astream("foo", config, stream_mode="messages")]

    shown = asyncio.run(read())

    by_message: dict[str, str] = {}
    for message, _ in shown:
        by_message[message.id] = by_message.get(message.id, "") + message.content
    assert list(by_message.values()) == ["hello you", "hello you"]


def test_a_model_tagged_nostream_is_silent(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def call(query: str) -> Any:
        quiet = model().with_config(tags=[TAG_NOSTREAM])
        return quiet.invoke(query).content

    @entrypoint(checkpointer=saver)
    def chat(query: str) -> Any:
        return call(query).result()

    assert list(chat.stream("foo", config, stream_mode="messages")) == []


def test_messages_that_a_task_returns_are_shown_once(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def call(query: str) -> Any:
        return [HumanMessage(query, id="asked"), model().invoke(query)]

    @task
    def known() -> Any:
        return {"messages": [AIMessage("known", id="k")], "other": "text"}

    @entrypoint(checkpointer=saver)
    def chat(query: str) -> Any:
        return [*call(query).result(), *known().result()["messages"]]

    shown = list(chat.stream("foo", config, stream_mode="messages"))

    assert [message.content for message, _ in shown] == ["h", "i", "foo", "known"]
    assert [m["langgraph_node"] for _, m in shown] == ["call", "call", "call", "known"]


def test_replayed_tasks_show_no_messages_again(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def call(query: str) -> Any:
        return model().invoke(query).content

    @entrypoint(checkpointer=saver)
    def chat(query: str) -> Any:
        return [call(query).result(), interrupt("more?"), call("other").result()]

    list(chat.stream("foo", config, stream_mode="messages"))
    after = list(chat.stream(Command(resume="y"), config, stream_mode="messages"))

    assert [message.content for message, _ in after] == ["h", "i"]


def test_tokens_of_nested_runs_are_shown_under_their_names(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def call(query: str) -> Any:
        return model("x").invoke(query).content

    @entrypoint()
    def inner(query: str) -> Any:
        return call(query).result()

    @entrypoint(checkpointer=saver)
    def outer(query: str) -> Any:
        own = [part.content for part, _ in inner.stream(query, stream_mode="messages")]
        return [own, inner.invoke(query)]

    result = outer.invoke("foo", config)
    shown = list(outer.stream("foo", config, stream_mode="messages", subgraphs=True))
    alone = list(outer.stream("foo", config, stream_mode="messages"))

    assert result == [["x"], "x"]
    assert [ns[0].partition(":")[0] for ns, _ in shown] == ["outer", "outer"]
    assert [ns[1:] for ns, _ in shown] == [(), ("1",)]
    metadata = shown[0][1][1]
    assert metadata["langgraph_path"] == (
        "__pregel_push",
        ("__pregel_pull", "inner"),
        0,
        True,
    )
    assert alone == []


def test_any_task_streams_messages_without_a_model_of_langchain(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def call(query: str) -> str:
        for word in query.split():
            push_message(AIMessageChunk(content=word, id="m"))
        push_message({"role": "assistant", "content": "!", "id": "n"})
        return query

    @entrypoint(checkpointer=saver)
    def chat(query: str) -> str:
        return call(query).result()

    shown = list(chat.stream("two words", config, stream_mode="messages"))

    assert [message.content for message, _ in shown] == ["two", "words", "!"]
    assert shown[0][1]["langgraph_node"] == "call"


def test_a_pushed_message_needs_an_id_and_a_run(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def chat(_: str) -> None:
        push_message(AIMessage("no id"))

    with pytest.raises(ValueError, match="Message ID is required"):
        chat.invoke("go", config)
    with pytest.raises(RuntimeError, match="outside of a runnable context"):
        push_message(AIMessage("alone", id="1"))


def test_tokens_are_kept_in_the_log_for_whoever_watches(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def chat(query: str) -> Any:
        return model().invoke(query).content

    chat.execute("foo", options_from(config, watch=Watch(tokens=True)))
    chat.invoke("again", {"configurable": {"thread_id": "quiet"}})

    kept = [r.event for r in saver.read("t") if isinstance(r.event, MessageStreamed)]
    assert len(kept) == 2
    assert kept[0].metadata["ls_model_type"] == "chat"
    assert kept[1].metadata == {}
    assert len({event.message_id for event in kept}) == 1


def test_tokens_beyond_the_limit_are_shown_and_not_stored(
    saver: InMemorySaver, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "STREAM_LIMIT_BYTES", 1000)

    @entrypoint(checkpointer=saver)
    def chat(query: str) -> Any:
        return model("x" * 100).invoke(query).content

    shown = list(chat.stream("foo", config, stream_mode="messages"))

    events = [record.event for record in saver.read("t")]
    assert len(shown) == 100
    assert 0 < sum(isinstance(e, MessageStreamed) for e in events) < 100
    assert sum(isinstance(e, StreamCut) for e in events) == 1


def test_a_stream_of_other_modes_does_not_import_langchain() -> None:
    program = """
import sys
from nbflow.func import entrypoint, task

@task
def double(number):
    return number * 2

@entrypoint()
def workflow(number):
    return double(number).result()

every = ["updates", "values", "custom", "tasks", "checkpoints", "debug"]
assert list(workflow.stream(1, stream_mode=every))
print("langchain_core" in sys.modules)
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == "False"
