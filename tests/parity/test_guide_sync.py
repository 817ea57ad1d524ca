"""One test for each heading of the functional API's guide, synchronous."""

# ruff: noqa: ARG001 - the guide's bodies take what they don't use

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypedDict

from nbflow.config import get_stream_writer
from nbflow.func import entrypoint, task
from nbflow.graph import END, START, StateGraph
from nbflow.types import Command, Interrupt, RetryPolicy, StreamWriter, interrupt

if TYPE_CHECKING:
    from nbflow.checkpoint.base import BaseCheckpointSaver

Config = dict[str, Any]


def test_creating_a_simple_workflow(saver: BaseCheckpointSaver, config: Config) -> None:
    @entrypoint(checkpointer=saver)
    def my_workflow(inputs: dict[str, int]) -> int:
        value = inputs["value"]
        another_value = inputs["another_value"]
        return value + another_value

    result = my_workflow.invoke({"value": 1, "another_value": 2}, config)

    assert result == 3


def test_parallel_execution(saver: BaseCheckpointSaver, config: Config) -> None:
    together = threading.Barrier(3, timeout=10)

    @task
    def add_one(number: int) -> int:
        together.wait()
        return number + 1

    @entrypoint(checkpointer=saver)
    def graph(numbers: list[int]) -> list[int]:
        futures = [add_one(i) for i in numbers]
        return [f.result() for f in futures]

    result = graph.invoke([1, 2, 3], config)

    assert result == [2, 3, 4]


class Note(TypedDict):
    """The state of a graph."""

    foo: str


def test_calling_graphs(saver: BaseCheckpointSaver, config: Config) -> None:
    ran: list[str] = []

    def shout(state: Note) -> dict[str, str]:
        ran.append(state["foo"])
        return {"foo": state["foo"].upper()}

    builder = StateGraph(Note).add_node("shout", shout)
    some_graph = builder.add_edge(START, "shout").add_edge("shout", END).compile()

    @entrypoint(checkpointer=saver)
    def some_workflow(some_input: dict[str, str]) -> dict[str, Any]:
        result_1 = some_graph.invoke(some_input)
        result_2 = some_graph.invoke({"foo": result_1["foo"] + "!"})
        return {"result_1": result_1, "result_2": result_2}

    result = some_workflow.invoke({"foo": "bar"}, config)

    assert result == {"result_1": {"foo": "BAR"}, "result_2": {"foo": "BAR!"}}
    assert ran == ["bar", "BAR!"]


def test_calling_other_entrypoints(saver: BaseCheckpointSaver, config: Config) -> None:
    @entrypoint()
    def some_other_workflow(inputs: dict[str, int]) -> int:
        return inputs["value"]

    @entrypoint(checkpointer=saver)
    def my_workflow(inputs: dict[str, int]) -> int:
        value: int = some_other_workflow.invoke({"value": inputs["value"]})
        return value

    result = my_workflow.invoke({"value": 1}, config)

    assert result == 1


def test_streaming(saver: BaseCheckpointSaver, config: Config) -> None:
    @entrypoint(checkpointer=saver)
    def main(inputs: dict[str, int]) -> int:
        writer = get_stream_writer()
        writer("Started processing")
        result = inputs["x"] * 2
        writer(f"Result is {result}")
        return result

    chunks = list(main.stream({"x": 5}, config, stream_mode=["custom", "updates"]))

    assert chunks == [
        ("custom", "Started processing"),
        ("custom", "Result is 10"),
        ("updates", {"main": 10}),
    ]


def test_streaming_tells_of_tasks_and_of_what_they_write(
    saver: BaseCheckpointSaver, config: Config
) -> None:
    @task
    def add_one(x: int) -> int:
        return x + 1

    @task
    def add_two(x: int) -> int:
        return x + 2

    @entrypoint(checkpointer=saver)
    def main(inputs: dict[str, int], writer: StreamWriter) -> int:
        one = add_one(inputs["x"]).result()
        two = add_two(one - 1).result()
        writer("hello")
        writer("world")
        return two + 2

    chunks = list(main.stream({"x": 1}, config, stream_mode=["updates", "custom"]))

    assert chunks == [
        ("updates", {"add_one": 2}),
        ("updates", {"add_two": 3}),
        ("custom", "hello"),
        ("custom", "world"),
        ("updates", {"main": 5}),
    ]


def test_retry_policy(saver: BaseCheckpointSaver, config: Config) -> None:
    attempts = 0
    policy = RetryPolicy(retry_on=ValueError, initial_interval=0, jitter=False)

    @task(retry_policy=policy)
    def get_info() -> str:
        nonlocal attempts
        attempts += 1
        if attempts < 2:
            raise ValueError("Failure")
        return "OK"

    @entrypoint(checkpointer=saver)
    def main(inputs: dict[str, str], writer: StreamWriter) -> str:
        return get_info().result()

    result = main.invoke({"any_input": "foobar"}, config)

    assert result == "OK"
    assert attempts == 2


def test_resuming_after_an_error(saver: BaseCheckpointSaver, config: Config) -> None:
    attempts = {"get_info": 0, "slow_task": 0}

    @task()
    def get_info() -> str:
        attempts["get_info"] += 1
        if attempts["get_info"] < 2:
            raise ValueError("Failure")
        return "OK"

    @task
    def slow_task() -> str:
        attempts["slow_task"] += 1
        return "Ran slow task."

    @entrypoint(checkpointer=saver)
    def main(inputs: dict[str, str], writer: StreamWriter) -> str:
        slow_task_result = slow_task().result()
        get_info().result()
        return slow_task_result

    try:
        main.invoke({"any_input": "foobar"}, config=config)
    except ValueError as error:
        failure: BaseException = error
    result = main.invoke(None, config=config)

    assert str(failure) == "Failure"
    assert result == "Ran slow task."
    assert attempts == {"get_info": 2, "slow_task": 1}


def test_basic_human_in_the_loop_workflow(
    saver: BaseCheckpointSaver, config: Config
) -> None:
    @task
    def step_1(input_query: str) -> str:
        return f"{input_query} bar"

    @task
    def human_feedback(input_query: str) -> str:
        feedback = interrupt(f"Please provide feedback: {input_query}")
        return f"{input_query} {feedback}"

    @task
    def step_3(input_query: str) -> str:
        return f"{input_query} qux"

    @entrypoint(checkpointer=saver)
    def graph(input_query: str) -> str:
        result_1 = step_1(input_query).result()
        result_2 = human_feedback(result_1).result()
        return step_3(result_2).result()

    first = list(graph.stream("foo", config))
    (question,) = first[1]["__interrupt__"]
    second = list(graph.stream(Command(resume="baz"), config))

    assert first[0] == {"step_1": "foo bar"}
    assert question == Interrupt("Please provide feedback: foo bar", question.id)
    assert len(question.id) == 32
    assert second == [
        {"human_feedback": "foo bar baz"},
        {"step_3": "foo bar baz qux"},
        {"graph": "foo bar baz qux"},
    ]


def test_view_thread_state(saver: BaseCheckpointSaver, config: Config) -> None:
    @entrypoint(checkpointer=saver)
    def graph(text: str) -> str:
        return text.upper()

    graph.invoke("hi", config)
    state = graph.get_state(config)

    assert state.values == "HI"
    assert state.next == ()
    assert state.config["configurable"]["thread_id"] == "1"
    assert state.metadata is not None
    assert state.metadata["source"] == "loop"
    assert state.metadata["step"] == 0
    assert state.interrupts == ()


def test_view_the_history_of_the_thread(
    saver: BaseCheckpointSaver, config: Config
) -> None:
    @task
    def shout(text: str) -> str:
        return text.upper()

    @entrypoint(checkpointer=saver)
    def graph(text: str) -> str:
        return shout(text).result()

    graph.invoke("one", config)
    graph.invoke("two", config)
    history = list(graph.get_state_history(config))

    steps = [s.metadata["step"] for s in history if s.metadata is not None]
    assert steps == [2, 1, 0, -1]
    assert [s.values for s in history] == ["TWO", "ONE", "ONE", None]
    assert [s.next for s in history] == [(), ("graph",), (), ("graph",)]
    assert [s.parent_config for s in history] == [
        *[s.config for s in history[1:]],
        None,
    ]
    assert [t.name for t in history[1].tasks] == ["graph", "shout"]
    assert history[1].tasks[1].result == "TWO"


def test_decouple_return_value_from_saved_value(
    saver: BaseCheckpointSaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def accumulate(n: int, *, previous: int | None) -> entrypoint.final[int, int]:
        previous = previous or 0
        total = previous + n
        return entrypoint.final(value=previous, save=total)

    results = [accumulate.invoke(n, config=config) for n in (1, 2, 3)]

    assert results == [0, 1, 3]


def test_short_term_memory_is_kept_for_each_thread(saver: BaseCheckpointSaver) -> None:
    @entrypoint(checkpointer=saver)
    def remember(text: str, *, previous: list[str] | None) -> list[str]:
        return [*(previous or []), text]

    one, other = ({"configurable": {"thread_id": name}} for name in ("one", "other"))
    remember.invoke("a", one)
    remember.invoke("x", other)
    result = remember.invoke("b", one)

    assert result == ["a", "b"]
