"""A recorded run is replayed without a task, or the test fails and says why."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from nbflow import Command, entrypoint, interrupt, task
from nbflow.checkpoint.memory import InMemorySaver
from nbflow.errors import NonDeterministicReplayError, ThreadNotFoundError
from nbflow.testing import NotRecordedError, areplay, replay

CONFIG: dict[str, Any] = {"configurable": {"thread_id": "t"}}


@pytest.fixture
def saver() -> InMemorySaver:
    return InMemorySaver()


@task(name="fetch")
def fetch(city: str) -> int:
    """Return how long a name is."""
    return len(city)


@task(name="fetch")
def edited_fetch(city: str) -> int:
    """Return twice how long a name is."""
    return len(city) * 2


@task
def fails() -> None:
    """Fail."""
    raise ValueError("always")


def _define(saver: InMemorySaver, fetching: Any = fetch, city: str = "Oslo") -> Any:
    @entrypoint(checkpointer=saver)
    def workflow(factor: int) -> int:
        return int(fetching(city).result() * factor)

    return workflow


def test_a_replay_gives_the_result_and_changes_nothing(saver: InMemorySaver) -> None:
    workflow = _define(saver)
    workflow.invoke(10, CONFIG)
    before = saver.read("t")

    assert replay(workflow, "t") == 40
    assert saver.read("t") == before


def test_a_replay_uses_the_body_of_today(saver: InMemorySaver) -> None:
    _define(saver).invoke(10, CONFIG)

    @entrypoint()
    def workflow(factor: int) -> str:
        return f"{fetch('Oslo').result()} x {factor}"

    assert replay(workflow, "t", saver=saver) == "4 x 10"


def test_an_edited_task_is_not_recorded(saver: InMemorySaver) -> None:
    _define(saver).invoke(10, CONFIG)

    with pytest.raises(NotRecordedError, match="its code was edited") as raised:
        replay(_define(saver, edited_fetch), "t")

    assert (raised.value.task, raised.value.why) == ("fetch", "code")
    assert raised.value.args_text == "'Oslo'"
    assert pickle.loads(pickle.dumps(raised.value)).args == raised.value.args  # noqa: S301 - made here


def test_other_arguments_are_not_recorded_even_where_the_body_catches(
    saver: InMemorySaver,
) -> None:
    _define(saver).invoke(10, CONFIG)

    @entrypoint(checkpointer=saver)
    def workflow(_: int) -> int:
        try:
            return fetch("Bergen").result()
        except Exception:  # noqa: BLE001 - what a careless body does
            return 0

    with pytest.raises(NotRecordedError, match=r"fetch.*'Bergen'"):
        replay(workflow, "t")


def test_a_body_that_is_not_deterministic_is_an_error(saver: InMemorySaver) -> None:
    cities = ["Oslo", "Rome"]

    @entrypoint(checkpointer=saver)
    def workflow(_: int) -> int:
        return fetch(cities.pop()).result()

    workflow.invoke(1, CONFIG)

    with pytest.raises(NonDeterministicReplayError):
        replay(workflow, "t")


def test_a_failed_run_fails_again_without_a_task(saver: InMemorySaver) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: int) -> None:
        fails().result()

    with pytest.raises(ValueError, match="always"):
        workflow.invoke(1, CONFIG)

    with pytest.raises(ValueError, match="always"):
        replay(workflow, "t")


def test_answers_are_given_again_and_open_questions_asked(
    saver: InMemorySaver,
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: int) -> str:
        first = interrupt("first?")
        return f"{first} {interrupt('second?')}"

    workflow.invoke(1, CONFIG)
    workflow.invoke(Command(resume="a"), CONFIG)
    asked = replay(workflow, "t")["__interrupt__"]
    workflow.invoke(Command(resume="b"), CONFIG)

    assert [question.value for question in asked] == ["second?"]
    assert replay(workflow, "t") == "a b"


def test_any_run_of_a_thread_can_be_replayed_with_what_it_had(
    saver: InMemorySaver,
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(number: int, *, previous: int | None = None) -> int:
        return number + (previous or 0) + fetch("Oslo").result()

    results = [workflow.invoke(number, CONFIG) for number in (1, 2, 3)]
    runs = list(dict.fromkeys(record.run_id for record in saver.read("t")))

    assert [replay(workflow, "t", run_id=run_id) for run_id in runs] == results


async def test_asynchronous_workflows_are_replayed_too(saver: InMemorySaver) -> None:
    @entrypoint(checkpointer=saver)
    async def workflow(city: str) -> int:
        return int(await fetch(city)) * 10

    @entrypoint(checkpointer=saver)
    async def edited(city: str) -> int:
        return int(await fetch(city)) + int(await fetch("Rome"))

    await workflow.ainvoke("Oslo", CONFIG)

    assert await areplay(workflow, "t") == 40
    with pytest.raises(NotRecordedError, match="'Rome'"):
        await areplay(edited, "t")


def test_what_was_never_recorded_is_said(saver: InMemorySaver) -> None:
    workflow = _define(saver)
    workflow.invoke(10, CONFIG)

    @entrypoint()
    def nowhere(number: int) -> int:
        return number

    with pytest.raises(ThreadNotFoundError):
        replay(workflow, "another")
    with pytest.raises(ThreadNotFoundError):
        replay(workflow, "t", run_id="another")
    with pytest.raises(ValueError, match="no checkpointer"):
        replay(nowhere, "t")
