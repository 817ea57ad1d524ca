"""Where a thread stands, what it was, and who may ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nbflow.errors import TaskNotFound
from nbflow.func import entrypoint, task
from nbflow.types import Command, interrupt

if TYPE_CHECKING:
    from collections.abc import Collection

    from nbflow._engine.workflow import Workflow
    from nbflow._events import Record
    from nbflow.checkpoint.memory import InMemorySaver

Config = dict[str, Any]


class Counting:
    """Counts the records that a saver hands out."""

    def __init__(self, saver: InMemorySaver, monkeypatch: pytest.MonkeyPatch) -> None:
        self.records = 0
        self._read = saver.read
        monkeypatch.setattr(saver, "read", self.read)

    def read(self, thread_id: str, **choice: Any) -> Collection[Record]:
        """Return what the saver returns."""
        found = self._read(thread_id, **choice)
        self.records += len(found)
        return found


def adder(saver: InMemorySaver) -> Workflow[int, int]:
    @task
    def double(n: int) -> int:
        return 2 * n

    @entrypoint(checkpointer=saver)
    def add(n: int, *, previous: int | None = None) -> int:
        return (previous or 0) + double(n).result()

    return add


def test_an_unknown_thread_has_an_empty_state(
    saver: InMemorySaver, config: Config
) -> None:
    add = adder(saver)

    state = add.get_state(config)

    assert state.values == {}
    assert state.next == ()
    assert state.metadata is None
    assert (state.tasks, state.interrupts) == ((), ())
    assert list(add.get_state_history(config)) == []


def test_an_unknown_checkpoint_has_an_empty_state_with_the_config_given(
    saver: InMemorySaver, config: Config
) -> None:
    add = adder(saver)
    add.invoke(1, config)
    unknown = {"configurable": {"thread_id": "t", "checkpoint_id": "nope"}}

    state = add.get_state(unknown)

    assert (state.values, state.config) == ({}, unknown)


def test_state_without_a_saver_or_a_thread_is_refused(saver: InMemorySaver) -> None:
    @entrypoint()
    def alone(n: int) -> int:
        return n

    with pytest.raises(ValueError, match="No checkpointer set"):
        alone.get_state({"configurable": {"thread_id": "t"}})
    with pytest.raises(ValueError, match="thread_id"):
        adder(saver).get_state({"configurable": {}})


def test_steps_parents_and_sources_are_those_of_two_checkpoints_for_each_run(
    saver: InMemorySaver, config: Config
) -> None:
    add = adder(saver)
    add.invoke(1, config)
    add.invoke(10, config)

    history = list(add.get_state_history(config))

    told = [(s.metadata["source"], s.metadata["step"]) for s in history if s.metadata]
    assert told == [("loop", 2), ("input", 1), ("loop", 0), ("input", -1)]
    assert [s.values for s in history] == [22, 2, 2, None]
    assert [s.next for s in history] == [(), ("add",), (), ("add",)]
    parents = [s.parent_config for s in history]
    assert parents == [s.config for s in history[1:]] + [None]
    assert history[0].config == add.get_state(config).config


def test_an_older_checkpoint_shows_what_its_run_did(
    saver: InMemorySaver, config: Config
) -> None:
    add = adder(saver)
    add.invoke(1, config)
    add.invoke(10, config)
    first_input = list(add.get_state_history(config))[-1].config

    state = add.get_state(first_input)

    entry, double = state.tasks
    assert (entry.name, entry.path, entry.result) == (
        "add",
        ("__pregel_pull", "add"),
        2,
    )
    assert (double.name, double.result, double.status) == ("double", 2, "finished")
    assert (double.arguments, double.attempts) == ("1", 1)
    assert double.started is not None
    assert double.finished is not None


def test_a_history_is_filtered_cut_and_begun_before_a_checkpoint(
    saver: InMemorySaver, config: Config
) -> None:
    add = adder(saver)
    for number in range(3):
        add.invoke(number, {**config, "metadata": {"round": number}})
    everything = list(add.get_state_history(config))

    inputs = list(add.get_state_history(config, filter={"source": "input"}))
    both = list(add.get_state_history(config, filter={"source": "loop", "round": 1}))
    older = list(add.get_state_history(config, before=everything[2].config))
    two = list(add.get_state_history(config, limit=2))
    none = list(add.get_state_history(config, limit=0))
    one = list(add.get_state_history(everything[3].config))
    nowhere = {"configurable": {"thread_id": "t", "checkpoint_id": "nope"}}

    assert inputs == everything[1::2]
    assert both == [everything[2]]
    assert older == everything[3:]
    assert two == everything[:2]
    assert none == []
    assert one == [everything[3]]
    assert list(add.get_state_history(config, before=nowhere)) == []


async def test_state_and_history_have_asynchronous_twins(
    saver: InMemorySaver, config: Config
) -> None:
    add = adder(saver)
    await add.ainvoke(1, config)

    state = await add.aget_state(config)
    history = [s async for s in add.aget_state_history(config, limit=1)]

    assert state == add.get_state(config)
    assert history == list(add.get_state_history(config, limit=1))


def test_what_a_state_and_a_page_of_history_read_does_not_grow_with_the_thread(
    saver: InMemorySaver, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = adder(saver)
    for number in range(30):
        add.invoke(number, config)
    counting = Counting(saver, monkeypatch)
    add.get_state(config)
    list(add.get_state_history(config, limit=6))
    of_thirty, counting.records = counting.records, 0
    monkeypatch.undo()
    for number in range(100):
        add.invoke(number, config)

    counting = Counting(saver, monkeypatch)
    add.get_state(config)
    list(add.get_state_history(config, limit=6))

    assert counting.records == of_thirty < 60


def test_pages_of_a_long_history_are_put_together_without_gap(
    saver: InMemorySaver, config: Config
) -> None:
    add = adder(saver)
    for number in range(60):
        add.invoke(number, config)

    history = list(add.get_state_history(config))

    steps = [s.metadata["step"] for s in history if s.metadata]
    assert steps == list(range(118, -2, -1))


def test_a_failed_run_shows_its_error_and_what_failed(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def bad() -> None:
        raise ValueError("Failure")

    @entrypoint(checkpointer=saver)
    def fails(_: int) -> None:
        bad().result()

    with pytest.raises(ValueError, match="Failure"):
        fails.invoke(1, config)
    state = fails.get_state(config)

    entry, call = state.tasks
    assert state.next == ("fails",)
    assert (entry.error, call.error) == ("ValueError('Failure')",) * 2
    assert (entry.status, call.status) == ("failed", "failed")
    assert state.interrupts == ()


def test_a_live_state_shows_what_waits_and_an_explicit_one_what_was_asked(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def ask(_: str) -> tuple[str, str]:
        return interrupt("one?"), interrupt("two?")

    ask.invoke("go", config)
    first = ask.get_state(config)
    ask.invoke(Command(resume="1"), config)
    second = ask.get_state(config)
    ask.invoke(Command(resume="2"), config)
    done = ask.get_state(config)
    explicit = ask.get_state(first.config)

    assert [i.value for i in first.interrupts] == ["one?"]
    assert [i.value for i in second.interrupts] == ["two?"]
    assert done.interrupts == ()
    assert [i.value for i in explicit.interrupts] == ["two?"]
    assert [i.value for i in explicit.tasks[0].interrupts] == ["two?"]


def test_questions_of_parallel_tasks_stand_with_their_tasks(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def ask(name: str) -> str:
        return str(interrupt(name))

    @entrypoint(checkpointer=saver)
    def both(_: str) -> list[str]:
        return [future.result() for future in [ask("a"), ask("b")]]

    shown = both.invoke("go", config)["__interrupt__"]
    state = both.get_state(config)

    assert state.interrupts == tuple(shown) == state.tasks[0].interrupts
    assert {t.arguments: t.interrupts[0].value for t in state.tasks[1:]} == {
        "'a'": "a",
        "'b'": "b",
    }
    assert {t.status for t in state.tasks[1:]} == {"interrupted"}


def nest(saver: InMemorySaver) -> Workflow[str, str]:
    @task
    def ask(name: str) -> str:
        return str(interrupt(name))

    @entrypoint()
    def inner(name: str) -> str:
        return ask(name).result()

    @task
    def calls(name: str) -> str:
        return str(inner.invoke(name))

    @entrypoint(checkpointer=saver)
    def outer(_: str) -> str:
        return calls("deep").result() + str(inner.invoke("flat"))

    return outer


def test_nested_runs_have_a_state_at_any_depth(
    saver: InMemorySaver, config: Config
) -> None:
    outer = nest(saver)
    outer.invoke("go", config)

    state = outer.get_state(config, subgraphs=True)

    (deep,) = (t for t in state.tasks if t.name == "inner")
    assert deep.state.next == ("inner",)
    assert [t.name for t in deep.state.tasks] == ["inner", "ask"]
    assert [i.value for i in deep.state.interrupts] == ["deep"]
    assert deep.state.metadata["parents"] == {
        "": state.config["configurable"]["checkpoint_id"]
    }


def test_a_nested_run_is_addressed_by_the_config_in_its_parents_state(
    saver: InMemorySaver, config: Config
) -> None:
    outer = nest(saver)
    outer.invoke("go", config)
    outer.invoke(Command(resume="D"), config)
    state = outer.get_state(config)

    nested = [t for t in state.tasks if t.name == "inner"]
    states = [outer.get_state(t.state) for t in nested]

    assert [s.values for s in states] == ["D", None]
    assert [s.next for s in states] == [(), ("inner",)]
    assert [[i.value for i in s.interrupts] for s in states] == [["deep"], ["flat"]]
    assert len({t.state["configurable"]["checkpoint_ns"] for t in nested}) == 2


def test_a_nested_run_that_is_not_there_is_named_with_those_that_are(
    saver: InMemorySaver, config: Config
) -> None:
    add = adder(saver)
    add.invoke(1, config)
    nowhere = {"configurable": {"thread_id": "t", "checkpoint_ns": "add:1"}}

    with pytest.raises(TaskNotFound, match="Nested runs of it: none"):
        add.get_state(nowhere)
