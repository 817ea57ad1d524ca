"""What a graph's run shows: streams, states, histories, and where it stops."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest

from nbflow.errors import InvalidUpdateError
from nbflow.graph import END, START, StateGraph
from nbflow.types import Command, StreamMode, interrupt

if TYPE_CHECKING:
    from nbflow.checkpoint.base import BaseCheckpointSaver
    from nbflow.graph.compiled import CompiledStateGraph

CONFIG: dict[str, Any] = {"configurable": {"thread_id": "1"}}


class State(TypedDict, total=False):
    """What nodes have seen."""

    seen: Annotated[list[str], operator.add]


def first(_state: State) -> dict[str, Any]:
    return {"seen": ["first"]}


def ask(_state: State) -> dict[str, Any]:
    return {"seen": [interrupt("well?")]}


def choose(_state: State) -> str:
    return "ask"


@pytest.fixture
def graph(saver: BaseCheckpointSaver) -> CompiledStateGraph:
    builder = StateGraph(State)
    builder.add_node(first).add_node(ask).add_conditional_edges(
        START, lambda _s: "first"
    )
    builder.add_conditional_edges("first", choose).add_edge("ask", END)
    return builder.compile(checkpointer=saver, name="talk")


def test_updates_are_of_nodes_and_values_are_of_steps(
    graph: CompiledStateGraph,
) -> None:
    modes: list[StreamMode] = ["updates", "values"]
    begun = list(graph.stream({"seen": ["in"]}, CONFIG, stream_mode=modes))

    went_on = list(graph.stream(Command(resume="fine"), CONFIG, stream_mode=modes))

    assert begun[:3] == [
        ("values", {"seen": ["in"]}),
        ("updates", {"first": {"seen": ["first"]}}),
        ("values", {"seen": ["in", "first"]}),
    ]
    (updates, asked), (values, state) = begun[3:]
    assert (updates, values) == ("updates", "values")
    assert asked["__interrupt__"][0].value == "well?"
    assert state == {"seen": ["in", "first"], **asked}
    assert went_on == [
        ("updates", {"ask": {"seen": ["fine"]}}),
        ("values", {"seen": ["in", "first", "fine"]}),
    ]


def test_a_question_comes_with_the_state(graph: CompiledStateGraph) -> None:
    asked = graph.invoke({"seen": ["in"]}, CONFIG)

    assert asked["seen"] == ["in", "first"]
    assert asked["__interrupt__"][0].value == "well?"


def test_nodes_begin_with_the_state_and_end_with_their_update(
    graph: CompiledStateGraph,
) -> None:
    chunks = list(graph.stream({"seen": ["in"]}, CONFIG, stream_mode="tasks"))

    shown = [(c["name"], c.get("input"), c.get("result")) for c in chunks]
    assert ("first", {"seen": ["in"]}, None) in shown
    assert ("first", None, {"seen": ["first"]}) in shown
    assert START not in [name for name, *_ in shown]


def test_the_state_of_a_waiting_graph_is_that_of_its_step(
    graph: CompiledStateGraph,
) -> None:
    graph.invoke({"seen": ["in"]}, CONFIG)

    state = graph.get_state(CONFIG)

    assert state.values == {"seen": ["in", "first"]}
    assert state.next == ("ask",)
    assert [(t.name, t.status) for t in state.tasks] == [("ask", "interrupted")]
    assert [i.value for i in state.interrupts] == ["well?"]


def test_a_graphs_history_has_a_checkpoint_for_each_step(
    graph: CompiledStateGraph,
) -> None:
    graph.invoke({"seen": ["in"]}, CONFIG)
    graph.invoke(Command(resume="fine"), CONFIG)

    history = list(graph.get_state_history(CONFIG))

    assert [(s.next, s.values) for s in history] == [
        ((), {"seen": ["in", "first", "fine"]}),
        (("ask",), {"seen": ["in", "first"]}),
        (("first",), {"seen": ["in"]}),
        ((START,), {}),
    ]
    steps = [s.metadata["step"] for s in history if s.metadata is not None]
    assert steps == [2, 1, 0, -1]
    assert history[1].tasks[0].result == {"seen": ["fine"]}
    assert [s.parent_config for s in history[:-1]] == [s.config for s in history[1:]]


def test_a_new_input_on_a_waiting_thread_stands_on_the_steps_it_has_taken(
    graph: CompiledStateGraph,
) -> None:
    graph.invoke({"seen": ["in"]}, CONFIG)

    again = graph.invoke({"seen": ["more"]}, CONFIG)

    assert again["seen"] == ["in", "first", "more", "first"]


@pytest.mark.parametrize("when", ["interrupt_before", "interrupt_after"])
def test_a_run_stops_where_it_is_told_to_and_goes_on_with_none(
    saver: BaseCheckpointSaver, when: str
) -> None:
    builder = StateGraph(State)
    builder.add_node("a", first).add_node("b", first).add_node("c", first)
    builder.add_edge(START, "a").add_edge("a", "b").add_edge("b", "c")
    graph = builder.compile(checkpointer=saver)

    if when == "interrupt_before":
        stopped = graph.invoke({}, CONFIG, interrupt_before=["b"])
    else:
        stopped = graph.invoke({}, CONFIG, interrupt_after=["b"])
    stands = graph.get_state(CONFIG)
    finished = graph.invoke(None, CONFIG)

    ran = 1 if when == "interrupt_before" else 2
    assert stopped == {"seen": ["first"] * ran}
    assert stands.next == ("b" if when == "interrupt_before" else "c",)
    assert finished == {"seen": ["first"] * 3}


def test_a_graph_may_stop_in_every_run(saver: BaseCheckpointSaver) -> None:
    builder = StateGraph(State)
    builder.add_node("a", first).add_edge(START, "a")
    graph = builder.compile(checkpointer=saver, interrupt_before="*")

    chunks = list(graph.stream({}, CONFIG))

    assert chunks == [{"__interrupt__": ()}]
    assert graph.invoke(None, CONFIG) == {"seen": ["first"]}


def test_a_nested_graph_shows_its_steps_in_its_namespace(
    saver: BaseCheckpointSaver,
) -> None:
    inner = StateGraph(State)
    inner.add_node("deep", first).add_edge(START, "deep")
    outer = StateGraph(State)
    outer.add_node("inner", inner.compile()).add_edge(START, "inner")
    graph = outer.compile(checkpointer=saver)

    chunks = list(graph.stream({}, CONFIG, subgraphs=True))

    (namespace, deep), (root, whole) = chunks
    assert deep == {"deep": {"seen": ["first"]}}
    assert whole == {"inner": {"seen": ["first"]}}
    assert root == ()
    assert [part.partition(":")[0] for part in namespace] == ["inner"]


def test_what_can_not_be_done_to_a_graph_yet_says_so(
    graph: CompiledStateGraph,
) -> None:
    graph.invoke({"seen": ["in"]}, CONFIG)
    step = list(graph.get_state_history(CONFIG))[1]

    with pytest.raises(InvalidUpdateError, match="stands inside of a graph's run"):
        graph.invoke(None, step.config)
    with pytest.raises(NotImplementedError, match="by hand yet"):
        graph.update_state(CONFIG, {"seen": ["x"]})
