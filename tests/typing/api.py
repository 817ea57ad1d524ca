"""A program of public names, with what a type checker has to say about each.

Both mypy and pyright read it, and `main` runs it: what is said is also so.
"""

from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, assert_type

import nbflow
from nbflow._engine.futures import TaskFuture
from nbflow._engine.workflow import Workflow
from nbflow.cache.memory import InMemoryCache
from nbflow.checkpoint.base import BaseCheckpointSaver, CheckpointTuple, Head
from nbflow.checkpoint.memory import InMemorySaver
from nbflow.config import get_config, get_store, get_stream_writer
from nbflow.constants import END, START, TAG_HIDDEN, TAG_NOSTREAM
from nbflow.errors import (
    EmptyInputError,
    GraphBubbleUp,
    GraphDrained,
    GraphInterrupt,
    InvalidAnswerError,
    InvalidUpdateError,
    NodeTimeoutError,
    UnknownInterruptError,
    is_invalid_resume,
)
from nbflow.func import entrypoint, task
from nbflow.graph import MessagesState, StateGraph, add_messages
from nbflow.graph.compiled import CompiledStateGraph
from nbflow.runtime import ExecutionInfo, RunControl, Runtime, get_runtime
from nbflow.store.base import BaseStore, Item, SearchItem
from nbflow.store.memory import InMemoryStore
from nbflow.types import (
    All,
    CachePolicy,
    Checkpointer,
    Command,
    Durability,
    Interrupt,
    PregelTask,
    RetryPolicy,
    Send,
    StateSnapshot,
    StateUpdate,
    StreamMode,
    StreamWriter,
    TimeoutPolicy,
    interrupt,
)

if TYPE_CHECKING:
    from nbflow.cache.base import BaseCache

saver: Checkpointer = InMemorySaver()
store: BaseStore = InMemoryStore()
cache: BaseCache = InMemoryCache()
durability: Durability = "sync"
everything: All = "*"
modes: list[StreamMode] = ["updates", "custom", "values"]


def on(thread_id: str) -> dict[str, Any]:
    """Return the config of a thread."""
    return {"configurable": {"thread_id": thread_id}}


# Tasks keep their parameters and what they return.


@task
def length(text: str, *, twice: bool = False) -> int:
    """Return how long a text is."""
    return len(text) * (2 if twice else 1)


@task()
async def shout(text: str) -> str:
    """Return a text in capitals."""
    return text.upper()


@task(
    name="word",
    retry_policy=[RetryPolicy(max_attempts=2, retry_on=ConnectionError)],
    cache_policy=CachePolicy(ttl=60),
    timeout=timedelta(seconds=30),
)
def first_word(text: str, sep: str | None = None) -> str | None:
    """Return the first word of a text."""
    words = text.split(sep)
    return words[0] if words else None


@dataclass
class Answer:
    """What a person answers."""

    text: str


@task(timeout=TimeoutPolicy(run_timeout=30, idle_timeout=10))
async def ask(question: str, writer: StreamWriter | None = None) -> str:
    """Return what a person answers."""
    if writer is not None:
        writer({"asking": question})
    answer = interrupt({"question": question}, response_schema=Answer)
    assert_type(answer, Any)
    return str(answer.text)


# Futures in both worlds.


@entrypoint(checkpointer=saver, store=store, cache=cache)
def measured(texts: list[str]) -> dict[str, int]:
    """Measure texts side by side."""
    futures = [length(text, twice=True) for text in texts]
    assert_type(futures, list[TaskFuture[int]])
    word = first_word(" ".join(texts))
    assert_type(word, TaskFuture[str | None])
    assert_type(word.result(timeout=10), str | None)
    assert_type(word.exception(), BaseException | None)
    assert_type(word.done(), bool)
    found = [future.result() for future in futures]
    assert_type(found, list[int])
    return dict(zip(texts, found, strict=True))


@entrypoint(checkpointer=saver)
async def shouted(texts: list[str]) -> list[str]:
    """Shout texts, side by side."""
    first = shout(texts[0])
    assert_type(first, TaskFuture[str])
    assert_type(await first, str)
    assert_type(await length(texts[0]), int)
    found = await asyncio.gather(*(shout(text) for text in texts))
    assert_type(found, list[str])
    return found


# What is saved may be another value than what is returned.


@entrypoint(checkpointer=saver)
def total(number: int, *, previous: int | None = None) -> entrypoint.final[str, int]:
    """Return a text and save a sum."""
    summed = number + (previous or 0)
    final = entrypoint.final(value=f"in all {summed}", save=summed)
    assert_type(final, entrypoint.final[str, int])
    assert_type(final.value, str)
    assert_type(final.save, int)
    return final


# What a body can be handed.


@dataclass
class User:
    """Who runs a workflow."""

    name: str


@task
def remember(fact: str, runtime: Runtime[User], store: BaseStore) -> Item | None:
    """Remember a fact about the user."""
    assert_type(runtime, Runtime[User])
    assert_type(runtime.context, User)
    assert_type(runtime.store, BaseStore | None)
    assert_type(runtime.execution_info, ExecutionInfo | None)
    assert_type(runtime.control, RunControl | None)
    runtime.heartbeat()
    namespace = ("facts", runtime.context.name)
    store.put(namespace, fact, {"text": fact}, ttl=5)
    found = store.search(namespace, filter={"text": fact}, limit=3)
    assert_type(found, list[SearchItem])
    assert_type(store.list_namespaces(prefix=("facts",)), list[tuple[str, ...]])
    return store.get(namespace, fact)


@entrypoint(store=store, context_schema=User, retry_policy=RetryPolicy(), timeout=30.0)
def introduced(
    fact: str,
    *,
    config: dict[str, Any],
    writer: StreamWriter,
    runtime: Runtime[User],
) -> str:
    """Say who somebody is."""
    assert_type(get_config(), dict[str, Any])
    assert_type(get_store(), BaseStore | None)
    assert_type(get_stream_writer(), StreamWriter)
    assert_type(get_runtime(User), Runtime[User])
    assert_type(nbflow.random(), float)
    writer({"at": nbflow.now().isoformat(), "with": sorted(config)})
    # The last two parameters are handed in, and may be named by the caller too.
    item = remember(fact, runtime, store).result()
    assert_type(item, Item | None)
    return f"{runtime.context.name}: {fact}, {item is not None}"


# Questions, answers and what is kept.


@entrypoint(checkpointer=saver, on_divergence="error")
async def asked(question: str) -> str:
    """Ask a person."""
    return await ask(question)


def answered() -> str:
    """Ask, look at what waits, and answer."""
    config = on("asked")
    asyncio.run(asked.ainvoke("Well?", config))
    snapshot = asked.get_state(config)
    assert_type(snapshot, StateSnapshot)
    assert_type(snapshot.interrupts, tuple[Interrupt, ...])
    assert_type(snapshot.tasks, tuple[PregelTask, ...])
    assert_type(snapshot.next, tuple[str, ...])
    question = snapshot.interrupts[0]
    assert_type(question.id, str)
    try:
        asyncio.run(asked.ainvoke(Command(resume={"0" * 32: "lost"}), config))
    except UnknownInterruptError as error:
        assert_type(error.pending_ids, tuple[str, ...])
    with suppress(InvalidAnswerError):
        asyncio.run(asked.ainvoke(Command(resume={question.id: 5}), config))
    yes: Command[str] = Command(resume={question.id: {"text": "yes"}})
    answer = asyncio.run(asked.ainvoke(yes, config))
    assert_type(answer, Any)
    return str(answer)


def kept() -> None:
    """Look at threads, change one, and forget it."""
    config = on("kept")
    total.invoke(1, config, durability=durability)
    assert_type(
        total.update_state(config, entrypoint.final(value="5", save=5)), dict[str, Any]
    )
    total.bulk_update_state(config, [[StateUpdate("6", as_node="total")]])
    history = total.get_state_history(config, filter={"source": "update"}, limit=2)
    assert_type(history, Iterator[StateSnapshot])
    assert isinstance(saver, BaseCheckpointSaver)
    assert_type(saver.get_tuple(config), CheckpointTuple | None)
    assert_type(saver.list(config, limit=1), Iterator[CheckpointTuple])
    saver.copy_thread("kept", "copy")
    assert_type(saver.head("copy"), Head | None)
    saver.delete_thread("copy")


# Runs.


def run() -> None:
    """Run workflows in each of the ways there are."""
    assert_type(measured, Workflow[list[str], dict[str, int]])
    assert_type(shouted, Workflow[list[str], list[str]])
    assert_type(total, Workflow[int, str])
    assert_type(asked, Workflow[str, str])
    measured.invoke(["a", "bc"], on("run"))
    measured.batch([["a"], ["bc"]], [on("one"), on("two")])
    chunks = measured.stream(["a", "bc"], on("run"), stream_mode=modes, subgraphs=True)
    assert_type(chunks, Generator[Any, None, None])
    assert list(chunks)
    assert introduced.invoke("friendly", context={"name": "Ann"})
    control = RunControl()
    control.request_drain("maintenance")
    try:
        measured.invoke(["a"], on("drained"), control=control, version="v2")
    except GraphDrained as error:
        assert_type(error.reason, str)
    length.clear_cache(cache)
    measured.clear_cache()


async def arun() -> None:
    """Run workflows on a loop."""
    await shouted.ainvoke(["a", "bc"], on("arun"))
    await shouted.abatch([["a"], ["bc"]], [on("three"), on("four")])
    chunks = shouted.astream(["a"], on("arun"), stream_mode="tasks", debug=False)
    assert_type(chunks, AsyncGenerator[Any, None])
    assert [chunk async for chunk in chunks]
    await first_word.aclear_cache(cache)
    assert_type(await shouted.aget_state(on("arun")), StateSnapshot)


# Graphs.


class State(TypedDict):
    """What the nodes of a graph share."""

    words: Annotated[list[str], operator.add]


def split(state: State) -> State:
    """Split the newest word."""
    return {"words": list(state["words"][-1])}


def choose(state: State) -> Command[Literal["split"]] | list[Send]:
    """Choose what comes next."""
    if len(state["words"]) > 1:
        return [Send("split", {"words": [word]}) for word in state["words"]]
    return Command(goto="split", update={"words": ["more"]})


def graph() -> Any:
    """Build a graph and run it."""
    builder = StateGraph(State)
    assert_type(builder, StateGraph[State])
    builder.add_node("split", split, retry_policy=RetryPolicy(), timeout=30)
    builder.add_edge(START, "split").add_edge("split", END)
    compiled = builder.compile(checkpointer=saver, name="letters")
    assert_type(compiled, CompiledStateGraph)
    return compiled.invoke({"words": ["ab"]}, on("graph"))


def said(state: MessagesState) -> list[Any]:
    """Return the messages with one more."""
    return add_messages(state["messages"], {"role": "user", "content": "Hello"})


def name_of(error: BaseException) -> str:
    """Say what kind of error it is."""
    assert_type(is_invalid_resume(error), bool)
    match error:
        case GraphInterrupt():
            return f"asks {error.interrupts}"
        case GraphBubbleUp():
            return "a signal"
        case NodeTimeoutError():
            return f"{error.node} took {error.elapsed}"
        case EmptyInputError() | InvalidUpdateError():
            return "misused"
        case _:
            return "another"


def main() -> None:
    """Run it all."""
    run()
    asyncio.run(arun())
    kept()
    assert answered() == "yes"
    assert graph() == {"words": ["ab", "a", "b"]}
    assert len(said({"messages": []})) == 1
    assert name_of(EmptyInputError()) == "misused"
    assert choose({"words": ["a"]})
    assert {TAG_HIDDEN, TAG_NOSTREAM, everything}
