"""What LangGraph's savers give, derived from the log for every saver."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest

from nbflow.checkpoint.base import CheckpointTuple
from nbflow.checkpoint.leases import held
from nbflow.errors import ThreadBusyError, ThreadNotFoundError
from nbflow.func import entrypoint, task
from nbflow.graph import START, StateGraph
from nbflow.types import Command, Interrupt, interrupt

if TYPE_CHECKING:
    from nbflow._engine.workflow import Workflow
    from nbflow.checkpoint.base import BaseCheckpointSaver


class Words(TypedDict):
    """The state of a graph."""

    words: Annotated[list[str], operator.add]


def at(thread_id: str, **more: Any) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread_id}, **more}


@pytest.fixture
def add(saver: BaseCheckpointSaver) -> Workflow[Any, Any]:
    return adder(saver)


def adder(saver: BaseCheckpointSaver) -> Workflow[Any, Any]:
    @task
    def double(n: int) -> int:
        return 2 * n

    @entrypoint(checkpointer=saver)
    def add(n: int, *, previous: int | None = None) -> Any:
        total = (previous or 0) + double(n).result()
        return entrypoint.final(value=(total,), save=total)

    return add


def test_a_tuple_holds_a_checkpoint_in_langgraphs_shape(
    saver: BaseCheckpointSaver, add: Workflow[Any, Any]
) -> None:
    add.invoke(1, at("t"))
    add.invoke(10, at("t", metadata={"who": "me"}))

    head, begun, first, _ = found = list(saver.list(at("t")))

    assert all(isinstance(one, CheckpointTuple) for one in found)
    assert saver.get_tuple(at("t")) == head
    assert saver.get(at("t")) == head.checkpoint
    assert head.checkpoint["channel_values"] == {"__end__": (22,), "__previous__": 22}
    assert begun.checkpoint["channel_values"] == {
        "__start__": 10,
        "__end__": (2,),
        "__previous__": 2,
    }
    assert [w[1:] for w in begun.pending_writes or ()] == [
        ("__return__", 20),
        ("__end__", (22,)),
        ("__previous__", 22),
    ]
    assert begun.parent_config == first.config
    assert begun.metadata["source"] == "input"
    assert begun.metadata["who"] == "me"  # type: ignore[typeddict-item] # the caller's
    assert head.checkpoint["id"] == head.config["configurable"]["checkpoint_id"]
    assert head.checkpoint["id"] > begun.checkpoint["id"]


def test_a_tuple_that_is_not_there_is_none(
    saver: BaseCheckpointSaver, add: Workflow[Any, Any]
) -> None:
    add.invoke(1, at("t"))
    nowhere = {"configurable": {"thread_id": "t", "checkpoint_id": "nope"}}

    found = [saver.get_tuple(at("nobody")), saver.get_tuple(nowhere)]

    assert found == [None, None]
    assert saver.get(at("nobody")) is None
    assert list(saver.list(nowhere)) == []


def test_pending_writes_hold_questions_answers_and_errors(
    saver: BaseCheckpointSaver,
) -> None:
    @entrypoint(checkpointer=saver)
    def ask(_: str) -> None:
        interrupt("q")
        raise ValueError("no")

    ask.invoke("go", at("t"))
    with pytest.raises(ValueError, match="no"):
        ask.invoke(Command(resume="a"), at("t"))
    found = saver.get_tuple(at("t"))

    assert found is not None
    asked, answer, error = found.pending_writes or []
    (question,) = asked[2]
    assert isinstance(question, Interrupt)
    assert question.value == "q"
    assert answer[1:] == ("__resume__", "a")
    assert error[1:] == ("__error__", "ValueError('no')")


def test_a_list_is_of_all_threads_and_is_chosen_from(
    saver: BaseCheckpointSaver, add: Workflow[Any, Any]
) -> None:
    for thread_id in ("a", "b", "a"):
        add.invoke(1, at(thread_id))

    everything = list(saver.list(None))
    threads = [one.metadata["thread_id"] for one in everything]
    inputs = list(saver.list(None, filter={"source": "input"}, limit=2))
    older = list(saver.list(at("a"), before=everything[1].config))

    assert threads == ["a"] * 4 + ["b"] * 2
    assert inputs == [everything[1], everything[3]]
    assert older == everything[2:4]
    assert list(saver.list(everything[2].config)) == [everything[2]]


def test_pages_of_tuples_are_put_together_without_gap(
    saver: BaseCheckpointSaver, add: Workflow[Any, Any]
) -> None:
    for number in range(50):
        add.invoke(number, at("t"))
        add.invoke(number, at("other"))

    found = list(saver.list(at("t")))

    assert [one.metadata["step"] for one in found] == list(range(98, -2, -1))
    writes = [len(one.pending_writes or ()) for one in found]
    assert writes == [0, 3] * 50


def test_a_copy_goes_on_by_itself(
    saver: BaseCheckpointSaver, add: Workflow[Any, Any]
) -> None:
    add.invoke(1, at("t"))

    saver.copy_thread("t", "copy")
    add.invoke(10, at("copy"))
    add.invoke(100, at("t"))

    assert [s.values for s in add.get_state_history(at("t"))][::2] == [(202,), (2,)]
    assert [s.values for s in add.get_state_history(at("copy"))][::2] == [(22,), (2,)]
    ids = [one.checkpoint["id"] for one in saver.list(at("copy"))][2:]
    assert ids == [one.checkpoint["id"] for one in saver.list(at("t"))][2:]


def test_a_copy_of_an_unfinished_run_runs_nothing_again_that_is_recorded(
    saver: BaseCheckpointSaver,
) -> None:
    ran: list[str] = []

    @task
    def work() -> str:
        ran.append("work")
        return "done"

    @entrypoint(checkpointer=saver)
    def ask(_: str) -> str:
        return work().result() + str(interrupt("q"))

    ask.invoke("go", at("t"))
    saver.copy_thread("t", "copy")

    results = [ask.invoke(Command(resume=x), at(x)) for x in ("copy", "t")]

    assert results == ["donecopy", "donet"]
    assert ran == ["work"]


def test_a_copy_outlives_the_thread_that_it_is_of(
    saver: BaseCheckpointSaver, add: Workflow[Any, Any]
) -> None:
    add.invoke(1, at("t"))
    saver.copy_thread("t", "copy")

    saver.delete_thread("t", purge=True)

    assert add.get_state(at("copy")).values == (2,)
    assert add.invoke(10, at("copy")) == (22,)


def test_a_copy_needs_a_thread_and_a_free_id(
    saver: BaseCheckpointSaver, add: Workflow[Any, Any]
) -> None:
    add.invoke(1, at("t"))
    add.invoke(1, at("u"))
    before = saver.read("u")

    with pytest.raises(ThreadNotFoundError, match="'nobody'"):
        saver.copy_thread("nobody", "v")
    with pytest.raises(ValueError, match="'u' exists"):
        saver.copy_thread("t", "u")

    assert saver.read("u") == before
    assert saver.head("v") is None


def test_pruning_keeps_what_a_thread_goes_on_from(
    saver: BaseCheckpointSaver, add: Workflow[Any, Any]
) -> None:
    for number in (1, 10, 100):
        add.invoke(number, at("t"))
        add.invoke(number, at("u"))
    whole = list(saver.list(at("u")))

    saver.prune(["t", "nobody"])

    assert [s.values for s in add.get_state_history(at("t"))] == [(222,), None]
    assert add.invoke(1000, at("t")) == (2222,)
    assert list(saver.list(at("u"))) == whole


def test_pruning_keeps_what_an_unfinished_run_stands_on(
    saver: BaseCheckpointSaver,
) -> None:
    @entrypoint(checkpointer=saver)
    def ask(n: int, *, previous: Any = None) -> Any:
        return (previous, interrupt("q")) if n == 3 else n

    for number in (1, 2, 3):
        ask.invoke(number, at("t"))

    saver.prune(["t"])
    head = saver.head("t")
    result = ask.invoke(Command(resume="a"), at("t"))

    assert head is not None
    assert (head.status, head.runs, len(head.pending)) == ("interrupted", 2, 1)
    assert result == (2, "a")


def test_pruning_keeps_what_a_graph_began_from(saver: BaseCheckpointSaver) -> None:
    def ask(_: Words) -> dict[str, Any]:
        return {"words": [interrupt("q")]}

    builder = StateGraph(Words)
    builder.add_node("hear", lambda _: {"words": ["heard"]})
    builder.add_node("ask", ask)
    builder.add_edge(START, "hear")
    builder.add_edge("hear", "ask")
    graph = builder.compile(checkpointer=saver)
    graph.invoke({"words": ["one"]}, at("t"))
    graph.invoke(Command(resume="yes"), at("t"))
    graph.invoke({"words": ["two"]}, at("t"))

    saver.prune(["t"])
    result = graph.invoke(Command(resume="no"), at("t"))

    assert result == {"words": ["one", "heard", "yes", "two", "heard", "no"]}


def test_pruning_keeps_what_nested_runs_remember(saver: BaseCheckpointSaver) -> None:
    @entrypoint(checkpointer=True)
    def total(n: int, *, previous: int | None = None) -> int:
        return (previous or 0) + n

    @entrypoint(checkpointer=saver)
    def add(n: int) -> Any:
        return total.invoke(n) if n else interrupt("q")

    add.invoke(1, at("t"))
    add.invoke(10, at("t"))
    add.invoke(0, at("t"))
    add.invoke(Command(resume="one"), at("t"))
    add.invoke(0, at("t"))

    saver.prune(["t"])
    add.invoke(Command(resume="two"), at("t"))

    assert add.invoke(100, at("t")) == 111
    saver.prune(["t"])
    head = saver.head("t")
    assert head is not None
    assert head.runs == 1


def test_pruning_all_of_a_thread_deletes_it(
    saver: BaseCheckpointSaver, add: Workflow[Any, Any]
) -> None:
    add.invoke(1, at("t"))
    add.invoke(1, at("u"))

    saver.prune(["t"], strategy="delete", purge=True)

    assert [head.thread_id for head in saver.list_threads()] == ["u"]
    with pytest.raises(ValueError, match="strategy"):
        saver.prune(["u"], strategy="some")  # type: ignore[arg-type] # a mistake


def test_runs_are_deleted_wherever_they_are(
    saver: BaseCheckpointSaver, add: Workflow[Any, Any]
) -> None:
    for number in (1, 10, 100):
        add.invoke(number, at("t"))
    add.invoke(5, at("u"))
    saver.copy_thread("t", "copy")
    newest = saver.head("t")
    other = saver.head("u")
    assert newest is not None
    assert other is not None

    saver.delete_for_runs([newest.run_id, other.run_id, "unknown"])

    for thread_id in ("t", "copy"):
        assert add.get_state(at(thread_id)).values == (22,)
        assert len(list(add.get_state_history(at(thread_id)))) == 4
    assert saver.head("u") is None
    assert add.invoke(1000, at("t")) == (2022,)


def test_a_thread_that_a_run_holds_is_not_rewritten(
    saver: BaseCheckpointSaver, add: Workflow[Any, Any]
) -> None:
    add.invoke(1, at("t"))
    add.invoke(2, at("t"))
    run_id = saver.read("t")[0].run_id
    records = saver.read("t")

    with held(saver.scope, "t", "a test"), held(saver.scope, "new", "a test"):
        with pytest.raises(ThreadBusyError, match="held by a test"):
            saver.prune(["t"])
        with pytest.raises(ThreadBusyError):
            saver.delete_for_runs([run_id])
        with pytest.raises(ThreadBusyError):
            saver.copy_thread("t", "new")

    assert saver.read("t") == records


def test_what_was_rewritten_is_there_in_a_reopened_log(lasting_place: Any) -> None:
    with lasting_place.open() as saver:
        add = adder(saver)
        for number in (1, 10, 100):
            add.invoke(number, at("t"))
        saver.copy_thread("t", "copy")
        saver.prune(["t"])
        saver.compact()

    with lasting_place.open() as saver:
        add = adder(saver)
        values = [s.values for s in add.get_state_history(at("copy"))][::2]
        pruned = list(add.get_state_history(at("t")))
        following = add.invoke(1000, at("t"))

    assert values == [(222,), (22,), (2,)]
    assert [s.values for s in pruned] == [(222,), None]
    assert following == (2222,)


async def test_shapes_have_asynchronous_twins(
    saver: BaseCheckpointSaver, add: Workflow[Any, Any]
) -> None:
    await add.ainvoke(1, at("t"))

    found = [one async for one in saver.alist(None)]
    await saver.acopy_thread("t", "copy")
    await saver.aprune(["copy"], strategy="delete")
    threads = await saver.alist_threads()

    assert found == list(saver.list(at("t")))
    assert await saver.aget_tuple(at("t")) == found[0]
    assert await saver.aget(at("t")) == found[0].checkpoint
    assert [head.thread_id for head in threads] == ["t"]
    await saver.adelete_for_runs([threads[0].run_id])
    await saver.adelete_thread("t")
    assert saver.heads() == []
