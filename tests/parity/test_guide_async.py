"""One test for each heading of the functional API's guide, asynchronous."""

# ruff: noqa: ARG001 - the guide's bodies take what they don't use

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypedDict

import pytest

from nbflow.func import entrypoint, task
from nbflow.graph import END, START, StateGraph
from nbflow.types import Command, Interrupt, RetryPolicy, StreamWriter, interrupt

if TYPE_CHECKING:
    from nbflow.checkpoint.base import BaseCheckpointSaver

Config = dict[str, Any]


async def test_creating_a_simple_workflow(
    saver: BaseCheckpointSaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    async def my_workflow(inputs: dict[str, int]) -> int:
        return inputs["value"] + inputs["another_value"]

    result = await my_workflow.ainvoke({"value": 1, "another_value": 2}, config)

    assert result == 3


async def test_parallel_execution(saver: BaseCheckpointSaver, config: Config) -> None:
    arrived = 0
    together = asyncio.Event()

    @task
    async def add_one(number: int) -> int:
        nonlocal arrived
        arrived += 1
        if arrived == 3:
            together.set()
        await asyncio.wait_for(together.wait(), 10)
        return number + 1

    @entrypoint(checkpointer=saver)
    async def graph(numbers: list[int]) -> list[int]:
        return await asyncio.gather(*(add_one(i) for i in numbers))

    result = await graph.ainvoke([1, 2, 3], config)

    assert result == [2, 3, 4]


class Note(TypedDict):
    """The state of a graph."""

    foo: str


async def test_calling_graphs(saver: BaseCheckpointSaver, config: Config) -> None:
    async def shout(state: Note) -> dict[str, str]:
        return {"foo": state["foo"].upper()}

    builder = StateGraph(Note).add_node("shout", shout)
    some_graph = builder.add_edge(START, "shout").add_edge("shout", END).compile()

    @entrypoint(checkpointer=saver)
    async def some_workflow(some_input: dict[str, str]) -> dict[str, Any]:
        result_1 = await some_graph.ainvoke(some_input)
        result_2 = await some_graph.ainvoke({"foo": result_1["foo"] + "!"})
        return {"result_1": result_1, "result_2": result_2}

    result = await some_workflow.ainvoke({"foo": "bar"}, config)

    assert result == {"result_1": {"foo": "BAR"}, "result_2": {"foo": "BAR!"}}


async def test_calling_other_entrypoints(
    saver: BaseCheckpointSaver, config: Config
) -> None:
    @entrypoint()
    async def some_other_workflow(inputs: dict[str, int]) -> int:
        return inputs["value"]

    @entrypoint(checkpointer=saver)
    async def my_workflow(inputs: dict[str, int]) -> int:
        value: int = await some_other_workflow.ainvoke({"value": inputs["value"]})
        return value

    result = await my_workflow.ainvoke({"value": 1}, config)

    assert result == 1


async def test_streaming(saver: BaseCheckpointSaver, config: Config) -> None:
    @task
    async def double(x: int) -> int:
        return x * 2

    @entrypoint(checkpointer=saver)
    async def main(inputs: dict[str, int], writer: StreamWriter) -> int:
        writer("Started processing")
        result = await double(inputs["x"])
        writer(f"Result is {result}")
        return result

    stream = main.astream({"x": 5}, config, stream_mode=["custom", "updates"])
    chunks = [chunk async for chunk in stream]

    assert chunks == [
        ("custom", "Started processing"),
        ("updates", {"double": 10}),
        ("custom", "Result is 10"),
        ("updates", {"main": 10}),
    ]


async def test_retry_policy(saver: BaseCheckpointSaver, config: Config) -> None:
    attempts = 0
    policy = RetryPolicy(retry_on=ValueError, initial_interval=0, jitter=False)

    @task(retry_policy=policy)
    async def get_info() -> str:
        nonlocal attempts
        attempts += 1
        if attempts < 2:
            raise ValueError("Failure")
        return "OK"

    @entrypoint(checkpointer=saver)
    async def main(inputs: dict[str, str], writer: StreamWriter) -> str:
        return await get_info()

    result = await main.ainvoke({"any_input": "foobar"}, config)

    assert (result, attempts) == ("OK", 2)


async def test_resuming_after_an_error(
    saver: BaseCheckpointSaver, config: Config
) -> None:
    attempts = {"get_info": 0, "slow_task": 0}

    @task()
    async def get_info() -> str:
        attempts["get_info"] += 1
        if attempts["get_info"] < 2:
            raise ValueError("Failure")
        return "OK"

    @task
    async def slow_task() -> str:
        attempts["slow_task"] += 1
        return "Ran slow task."

    @entrypoint(checkpointer=saver)
    async def main(inputs: dict[str, str], writer: StreamWriter) -> str:
        slow_task_result = await slow_task()
        await get_info()
        return slow_task_result

    with pytest.raises(ValueError, match="Failure"):
        await main.ainvoke({"any_input": "foobar"}, config)
    result = await main.ainvoke(None, config)

    assert result == "Ran slow task."
    assert attempts == {"get_info": 2, "slow_task": 1}


async def test_basic_human_in_the_loop_workflow(
    saver: BaseCheckpointSaver, config: Config
) -> None:
    @task
    async def step_1(input_query: str) -> str:
        return f"{input_query} bar"

    @task
    async def human_feedback(input_query: str) -> str:
        feedback = interrupt(f"Please provide feedback: {input_query}")
        return f"{input_query} {feedback}"

    @task
    async def step_3(input_query: str) -> str:
        return f"{input_query} qux"

    @entrypoint(checkpointer=saver)
    async def graph(input_query: str) -> str:
        return await step_3(await human_feedback(await step_1(input_query)))

    first = [chunk async for chunk in graph.astream("foo", config)]
    (question,) = first[1]["__interrupt__"]
    second = [chunk async for chunk in graph.astream(Command(resume="baz"), config)]

    assert first[0] == {"step_1": "foo bar"}
    assert question == Interrupt("Please provide feedback: foo bar", question.id)
    assert second == [
        {"human_feedback": "foo bar baz"},
        {"step_3": "foo bar baz qux"},
        {"graph": "foo bar baz qux"},
    ]


async def test_view_state_and_history(
    saver: BaseCheckpointSaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    async def graph(text: str) -> str:
        return text.upper()

    await graph.ainvoke("one", config)
    await graph.ainvoke("two", config)
    state = await graph.aget_state(config)
    history = [s async for s in graph.aget_state_history(config)]

    assert state.values == "TWO"
    assert [s.values for s in history] == ["TWO", "ONE", "ONE", None]


async def test_decouple_return_value_from_saved_value(
    saver: BaseCheckpointSaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    async def accumulate(n: int, *, previous: int | None) -> entrypoint.final[int, int]:
        previous = previous or 0
        return entrypoint.final(value=previous, save=previous + n)

    results = [await accumulate.ainvoke(n, config) for n in (1, 2, 3)]

    assert results == [0, 1, 3]
