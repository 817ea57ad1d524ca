"""A graph of nodes over one state: steps, writes, choices, questions, and replay."""

from __future__ import annotations

import asyncio
import operator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

import pytest
from pydantic import BaseModel

from nbflow.cache.memory import InMemoryCache
from nbflow.errors import GraphRecursionError, InvalidUpdateError, NodeTimeoutError
from nbflow.func import entrypoint, task
from nbflow.graph import END, START, MessagesState, StateGraph
from nbflow.types import CachePolicy, Command, Overwrite, RetryPolicy, Send, interrupt

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.checkpoint.base import BaseCheckpointSaver

CONFIG: dict[str, Any] = {"configurable": {"thread_id": "1"}}


class State(TypedDict, total=False):
    """What nodes have seen."""

    seen: Annotated[list[str], operator.add]
    n: int


def visits(name: str, **more: Any) -> Callable[[State], dict[str, Any]]:
    def node(_state: State) -> dict[str, Any]:
        return {"seen": [name], **more}

    node.__name__ = name
    return node


def graph_of(*nodes: str, **wanted: Any) -> StateGraph[State]:
    builder = StateGraph(State)
    for name in nodes:
        builder.add_node(name, wanted.get(name, visits(name)))
    return builder


# Steps and writes.


def test_nodes_of_one_step_see_the_same_state_and_write_in_order_of_their_names() -> (
    None
):
    heard: dict[str, list[str]] = {}

    def node(name: str) -> Callable[[State], dict[str, Any]]:
        def listen(state: State) -> dict[str, Any]:
            heard[name] = list(state["seen"])
            return {"seen": [name]}

        return listen

    builder = StateGraph(State).add_node("first", node("first"))
    for name in ("z", "b", "a"):
        builder.add_node(name, node(name)).add_edge("first", name).add_edge(name, END)
    graph = builder.add_edge(START, "first").compile()

    result = graph.invoke({"seen": ["input"]})

    assert result == {"seen": ["input", "first", "a", "b", "z"]}
    assert heard["z"] == heard["a"] == ["input", "first"]


def test_a_join_waits_for_all_of_its_nodes() -> None:
    builder = graph_of("a", "slow", "slower", "end")
    builder.add_edge(START, "a").add_edge(START, "slow").add_edge("slow", "slower")
    builder.add_edge(["a", "slower"], "end")

    result = builder.compile().invoke({})

    assert result["seen"] == ["a", "slow", "slower", "end"]


def test_a_deferred_node_runs_once_when_nothing_else_is_left() -> None:
    builder = graph_of("a", "b", "a2").add_node("d", visits("d"), defer=True)
    builder.add_edge(START, "a").add_edge(START, "b").add_edge("a", "a2")
    builder.add_edge("a2", "d").add_edge("b", "d")

    result = builder.compile().invoke({})

    assert result["seen"] == ["a", "b", "a2", "d"]


def test_two_nodes_that_write_one_value_are_an_error_that_names_the_key() -> None:
    builder = graph_of("a", "b", a=visits("a", n=1), b=visits("b", n=2))
    builder.add_edge(START, "a").add_edge(START, "b")

    with pytest.raises(InvalidUpdateError, match=r"At key 'n'.*one value per step"):
        builder.compile().invoke({})


def test_an_overwrite_takes_the_place_of_what_is_combined() -> None:
    def reset(_state: State) -> dict[str, Any]:
        return {"seen": Overwrite(["new"])}

    builder = graph_of("reset", reset=reset).add_edge(START, "reset")

    result = builder.compile().invoke({"seen": ["old"]})

    assert result == {"seen": ["new"]}


def test_a_node_that_returns_something_else_is_an_error_that_shows_it() -> None:
    builder = graph_of("a", a=lambda _state: 5).add_edge(START, "a")

    with pytest.raises(InvalidUpdateError, match="Expected dict, got 5"):
        builder.compile().invoke({})


def test_unknown_keys_are_left_out_and_none_writes_nothing() -> None:
    builder = graph_of("a", "b", a=lambda _s: {"what": 1}, b=lambda _s: None)
    builder.add_edge(START, "a").add_edge("a", "b")

    result = builder.compile().invoke({"n": 1, "other": 2})

    assert result == {"seen": [], "n": 1}


class Question(TypedDict):
    """What is asked."""

    question: str


class Answer(TypedDict):
    """What is answered."""

    answer: str


class Whole(Question, Answer):
    """Both."""


class Private(TypedDict):
    """What only nodes see."""

    notes: str


@dataclass
class Counted:
    """A state with defaults."""

    count: int = 0
    seen: Annotated[list[int], operator.add] = field(default_factory=list)


class Checked(BaseModel):
    """A state that is validated."""

    count: int = 0
    seen: Annotated[list[int], operator.add] = []


@pytest.mark.parametrize("schema", [Counted, Checked])
def test_a_node_gets_the_state_as_its_class(schema: Any) -> None:
    def grow(state: Any) -> dict[str, Any]:
        assert isinstance(state, schema)
        return {"count": state.count + 1, "seen": [state.count]}

    builder = StateGraph(schema).add_node(grow)
    builder.add_edge(START, "grow")
    builder.add_conditional_edges(
        "grow", lambda state: "grow" if state.count < 3 else END
    )

    result = builder.compile().invoke({"count": 0})

    assert result == {"count": 3, "seen": [0, 1, 2]}


def test_a_state_may_be_one_value() -> None:
    builder = StateGraph(Annotated[list[int], operator.add])
    builder.add_node("double", lambda state: [n * 2 for n in state])
    builder.add_edge(START, "double")

    result = builder.compile().invoke([1, 2])

    assert result == [1, 2, 2, 4]


def test_input_output_and_private_keys_have_schemas_of_their_own() -> None:
    def think(state: Question) -> dict[str, str]:
        return {"notes": f"about {state['question']}"}

    def reply(state: Private) -> dict[str, str]:
        assert set(state) == {"notes"}
        return {"answer": state["notes"].upper()}

    builder = StateGraph(Whole, input_schema=Question, output_schema=Answer)
    builder.add_sequence([think, ("reply", reply)]).add_edge(START, "think")

    result = builder.compile().invoke({"question": "tea"})

    assert result == {"answer": "ABOUT TEA"}


# Choices.


def test_a_branch_sees_what_its_node_wrote_and_may_map_its_answers() -> None:
    builder = graph_of("a", "low", "high", a=visits("a", n=7))
    builder.add_edge(START, "a")
    builder.add_conditional_edges(
        "a", lambda state: state["n"] > 5, {True: "high", False: "low"}
    )

    result = builder.compile().invoke({})

    assert result["seen"] == ["a", "high"]


def test_sends_run_a_node_for_each_with_an_argument_of_its_own() -> None:
    def spread(_state: State) -> list[Send]:
        return [Send("work", {"item": item}) for item in ("x", "y")]

    def work(argument: dict[str, str]) -> dict[str, Any]:
        return {"seen": [argument["item"]]}

    builder = graph_of("work", "end", work=work)
    builder.add_conditional_edges(START, spread).add_edge("work", "end")

    result = builder.compile().invoke({})

    assert result["seen"] == ["x", "y", "end"]


def test_a_command_writes_and_goes_on() -> None:
    def choose(_state: State) -> Command[Literal["b"]]:
        return Command(update={"seen": ["choose"]}, goto="b")

    builder = graph_of("choose", "b", "c", choose=choose).add_edge(START, "choose")

    result = builder.compile().invoke({})

    assert result["seen"] == ["choose", "b"]


def test_going_on_to_no_node_is_an_error_that_names_the_nodes() -> None:
    builder = graph_of("a", a=lambda _s: Command(goto="nowhere")).add_edge(START, "a")

    with pytest.raises(InvalidUpdateError, match=r"'nowhere'.*nodes are 'a'"):
        builder.compile().invoke({})


def test_a_loop_ends_at_the_recursion_limit_with_its_state_kept(
    saver: BaseCheckpointSaver,
) -> None:
    builder = graph_of("a").add_edge(START, "a").add_edge("a", "a")
    graph = builder.compile(checkpointer=saver)

    with pytest.raises(GraphRecursionError, match="Recursion limit of 3 reached"):
        graph.invoke({}, {**CONFIG, "recursion_limit": 3})


# Runs that go on.


def test_a_thread_keeps_its_state_from_run_to_run(saver: BaseCheckpointSaver) -> None:
    graph = graph_of("a").add_edge(START, "a").compile(checkpointer=saver)

    graph.invoke({"seen": ["one"]}, CONFIG)
    result = graph.invoke({"seen": ["two"]}, CONFIG)

    assert result["seen"] == ["one", "a", "two", "a"]


def test_a_failed_run_goes_on_without_running_finished_nodes_again(
    saver: BaseCheckpointSaver,
) -> None:
    ran: list[str] = []
    repaired = False

    def first(_state: State) -> dict[str, Any]:
        ran.append("first")
        return {"seen": ["first"]}

    def second(_state: State) -> dict[str, Any]:
        ran.append("second")
        if not repaired:
            raise ValueError("not yet")
        return {"seen": ["second"]}

    builder: StateGraph[State] = (
        StateGraph(State).add_sequence([first, second]).add_edge(START, "first")
    )
    graph = builder.compile(checkpointer=saver)
    with pytest.raises(ValueError, match="not yet"):
        graph.invoke({}, CONFIG)
    repaired = True

    result = graph.invoke(None, CONFIG)

    assert result["seen"] == ["first", "second"]
    assert ran == ["first", "second", "second"]


def test_a_branch_that_costs_is_asked_once_over_all_stretches(
    saver: BaseCheckpointSaver,
) -> None:
    asked = 0

    def choose(_state: State) -> str:
        nonlocal asked
        asked += 1
        return "human"

    def human(_state: State) -> dict[str, Any]:
        return {"seen": [interrupt("well?")]}

    builder = graph_of("a", "human", human=human).add_edge(START, "a")
    graph = builder.add_conditional_edges("a", choose).compile(checkpointer=saver)
    first = graph.invoke({}, CONFIG)

    result = graph.invoke(Command(resume="fine"), CONFIG)

    assert first["__interrupt__"][0].value == "well?"
    assert result["seen"] == ["a", "fine"]
    assert asked == 1


def test_all_nodes_of_a_step_may_ask_at_once(saver: BaseCheckpointSaver) -> None:
    def ask(name: str) -> Callable[[State], dict[str, Any]]:
        def node(_state: State) -> dict[str, Any]:
            return {"seen": [f"{name} {interrupt(name)}"]}

        return node

    builder = graph_of("a", "b", a=ask("a"), b=ask("b"))
    builder.add_edge(START, "a").add_edge(START, "b")
    graph = builder.compile(checkpointer=saver)
    asked = {i.value: i.id for i in graph.invoke({}, CONFIG)["__interrupt__"]}

    result = graph.invoke(Command(resume={asked["b"]: 2, asked["a"]: 1}), CONFIG)

    assert result["seen"] == ["a 1", "b 2"]


def test_a_node_is_tried_again_as_its_policy_says() -> None:
    attempts = 0

    def flaky(_state: State) -> dict[str, Any]:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise ValueError("again")
        return {"n": attempts}

    policy = RetryPolicy(initial_interval=0, jitter=False, retry_on=ValueError)
    builder = StateGraph(State).add_node(flaky, retry_policy=policy)

    result = builder.add_edge(START, "flaky").compile().invoke({})

    assert result == {"seen": [], "n": 3}


@pytest.mark.parametrize("limit", [0.01, timedelta(milliseconds=10)])
async def test_a_node_ends_at_its_time_limit(limit: float | timedelta) -> None:
    async def wait(_: State) -> State:
        await asyncio.Event().wait()
        return {}

    builder = StateGraph(State).add_node("wait", wait, timeout=limit)
    graph = builder.add_edge(START, "wait").compile()

    with pytest.raises(NodeTimeoutError, match="'wait' exceeded its run timeout"):
        await graph.ainvoke({})


# Beside the functional API.


def test_a_graph_is_called_in_a_workflow_and_is_part_of_its_run(
    saver: BaseCheckpointSaver,
) -> None:
    ran: list[str] = []

    def work(_state: State) -> dict[str, Any]:
        ran.append("work")
        return {"n": 1}

    def ask(_state: State) -> dict[str, Any]:
        return {"seen": [interrupt("who?")]}

    builder: StateGraph[State] = (
        StateGraph(State).add_sequence([work, ask]).add_edge(START, "work")
    )
    graph = builder.compile()

    @task
    def after(state: State) -> str:
        return f"{state['n']} {state['seen']}"

    @entrypoint(checkpointer=saver)
    def workflow(_given: int) -> str:
        return after(graph.invoke({})).result()

    first = workflow.invoke(0, CONFIG)
    result = workflow.invoke(Command(resume="bob"), CONFIG)

    assert first["__interrupt__"][0].value == "who?"
    assert result == "1 ['bob']"
    assert ran == ["work"]


def test_a_graph_may_be_a_node_and_send_its_parent_on() -> None:
    def leave(_state: State) -> Command[str]:
        return Command(graph=Command.PARENT, update={"seen": ["left"]}, goto="there")

    inner = graph_of("leave", leave=leave).add_edge(START, "leave").compile()
    builder = graph_of("inner", "there", inner=inner).add_edge(START, "inner")

    result = builder.compile().invoke({"seen": []})

    assert result["seen"] == ["left", "there"]


def test_a_command_for_a_parent_that_is_not_there_says_so() -> None:
    def leave(_state: State) -> Command[str]:
        return Command(graph=Command.PARENT, goto="there")

    graph = graph_of("leave", leave=leave).add_edge(START, "leave").compile()

    with pytest.raises(InvalidUpdateError, match="there is none"):
        graph.invoke({})


async def test_asynchronous_nodes_run_side_by_side_on_the_callers_loop() -> None:
    loop = asyncio.get_running_loop()
    met = asyncio.Barrier(2)

    def node(name: str) -> Any:
        async def wait(_state: State) -> dict[str, Any]:
            assert asyncio.get_running_loop() is loop
            await met.wait()
            return {"seen": [name]}

        return wait

    async def more(_state: State) -> str:
        return END

    builder = graph_of("a", "b", a=node("a"), b=node("b"))
    builder.add_edge(START, "a").add_edge(START, "b")
    graph = builder.add_conditional_edges("b", more).compile()

    result = await graph.ainvoke({})

    assert result["seen"] == ["a", "b"]
    with pytest.raises(TypeError, match="No synchronous function"):
        graph.invoke({})


def test_messages_are_merged_by_their_ids() -> None:
    def reply(_state: MessagesState) -> dict[str, Any]:
        return {"messages": {"role": "assistant", "content": "hi", "id": "2"}}

    graph = StateGraph(MessagesState).add_node(reply).add_edge(START, "reply").compile()

    result = graph.invoke({"messages": [{"role": "user", "content": "hello"}]})

    assert [message.content for message in result["messages"]] == ["hello", "hi"]


# What can't be built.


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda g: g.compile(), "Graph must have an entrypoint"),
        (lambda g: g.add_edge(START, "nope").compile(), "unknown node `nope`"),
        (lambda g: g.add_node("a", visits("a")), "Node `a` already present."),
        (lambda g: g.add_node(START, visits("a")), "Node `__start__` is reserved."),
        (lambda g: g.add_node("a|b", visits("a")), r"'\|' is a reserved character"),
        (lambda g: g.add_edge(END, "a"), "END cannot be a start node"),
        (lambda g: g.add_edge("a", START), "START cannot be an end node"),
        (lambda g: g.add_sequence([]), "at least one node"),
    ],
)
def test_what_can_not_run_is_refused_when_it_is_built(
    build: Callable[[StateGraph[State]], Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        build(graph_of("a"))


class Parts(BaseModel):
    """A state with defaults."""

    n: int = 1
    name: str = "x"
    note: str | None = None


@dataclass
class Fields:
    """The same, as a dataclass."""

    n: int = 1
    name: str = "x"


@pytest.mark.parametrize("schema", [Parts, Fields])
def test_a_state_given_as_an_object_brings_its_defaults(schema: Any) -> None:
    builder = StateGraph(schema).add_node("add", lambda s: schema(n=s.n + 1))

    result = builder.add_edge(START, "add").compile().invoke(schema(n=4))

    assert result == {"n": 5, "name": "x"}


def test_a_key_that_combines_is_there_before_anything_is_written_to_it() -> None:
    builder = graph_of("count", count=lambda state: {"n": len(state["seen"])})

    result = builder.add_edge(START, "count").compile().invoke({})

    assert result == {"seen": [], "n": 0}


def test_a_command_may_write_in_pairs_of_key_and_value() -> None:
    command: Command[Any] = Command(update=[("seen", ["a"]), ("seen", ["b"])])
    builder = graph_of("write", write=lambda _: command)

    result = builder.add_edge(START, "write").compile().invoke({})

    assert result == {"seen": ["a", "b"]}
    assert repr(Command(update={"n": 1}, resume=None)) == (
        "Command(update={'n': 1}, resume=None)"
    )


def test_what_a_graphs_nodes_left_in_the_cache_can_be_cleared_by_their_names() -> None:
    runs: list[int] = []

    def add(state: State) -> State:
        runs.append(state["n"])
        return {"n": state["n"] + 1}

    policy = CachePolicy(key_func=lambda state: str(state["n"]))
    builder = StateGraph(State).add_node(add, cache_policy=policy)
    builder.add_edge(START, "add")
    graph = builder.compile(cache=InMemoryCache())

    for _ in range(2):
        graph.invoke({"n": 1})
    graph.clear_cache()
    graph.invoke({"n": 1})

    assert runs == [1, 1]
    with pytest.raises(ValueError, match=r"no node 'nope'\. Its nodes are 'add'"):
        graph.clear_cache(["nope"])


def test_a_question_is_told_with_what_the_others_of_its_step_have_written(
    saver: BaseCheckpointSaver,
) -> None:
    def ask(_: State) -> State:
        return {"seen": [interrupt("first") + interrupt("second")]}

    builder = graph_of("ask", "tell", ask=ask)
    builder.add_edge(START, "ask").add_edge(START, "tell")
    graph = builder.compile(checkpointer=saver)

    first = graph.invoke({}, CONFIG)
    later = list(graph.stream(Command(resume="1"), CONFIG, stream_mode="values"))

    assert first["seen"] == ["tell"]
    assert [chunk["seen"] for chunk in later] == [["tell"]]
    assert graph.invoke(Command(resume="2"), CONFIG)["seen"] == ["12", "tell"]


def test_a_graph_in_a_graph_is_named_by_its_nodes_alone() -> None:
    deep = graph_of("leaf").add_edge(START, "leaf").compile()
    middle = graph_of("deep", deep=deep).add_edge(START, "deep").compile()
    graph = graph_of("middle", middle=middle).add_edge(START, "middle").compile()

    chunks = list(graph.stream({}, stream_mode="updates", subgraphs=True))

    levels = [tuple(level.partition(":")[0] for level in ns) for ns, _ in chunks]
    assert levels == [("middle", "deep"), ("middle",), ()]


def test_what_was_sent_is_written_after_the_nodes_that_read_the_state() -> None:
    builder = graph_of("begin", "one", "two")
    builder.add_edge(START, "begin")
    builder.add_conditional_edges("begin", lambda _: [Send("one", {}), "two"])

    result = builder.compile().invoke({})

    assert result == {"seen": ["begin", "two", "one"]}


def test_a_branch_that_returns_nothing_is_an_error_that_names_it() -> None:
    def choose(_: State) -> None:
        return None

    builder = graph_of("begin").add_edge(START, "begin")
    builder.add_conditional_edges("begin", choose)

    with pytest.raises(ValueError, match="valid destination: 'choose' after 'begin'"):
        builder.compile().invoke({})
