"""How a run asks a person, and how answers find their questions."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import pytest
from pydantic import BaseModel

from nbflow.errors import (
    EmptyInputError,
    InvalidAnswerError,
    SwallowedInterruptWarning,
    UnknownInterruptError,
)
from nbflow.func import entrypoint, task
from nbflow.types import Command, interrupt

if TYPE_CHECKING:
    from nbflow.checkpoint.memory import InMemorySaver

Config = dict[str, Any]


def ids_of(result: dict[str, Any]) -> dict[str, str]:
    return {i.value: i.id for i in result["__interrupt__"]}


def test_every_question_asked_side_by_side_is_visible_and_answered_by_a_map(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def ask(name: str) -> str:
        return f"{name}={interrupt(name)}"

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> list[str]:
        return [f.result() for f in [ask(n) for n in "abc"]]

    asked = ids_of(workflow.invoke("go", config))
    state = workflow.get_state(config)
    answers = {asked[name]: name.upper() for name in "abc"}
    result = workflow.invoke(Command(resume=answers), config)

    assert set(asked) == {"a", "b", "c"}
    assert {i.value for i in state.interrupts} == {"a", "b", "c"}
    assert result == ["a=A", "b=B", "c=C"]


def test_questions_stand_in_the_order_of_their_calls_whoever_asked_first(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def ask(name: str) -> str:
        while name == "a" and not saver.read("t", kinds=("Interrupted",)):
            time.sleep(0.001)
        return f"{name}={interrupt(name)}"

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> list[str]:
        return [f.result() for f in [ask(n) for n in "ab"]]

    asked = workflow.invoke("go", config)["__interrupt__"]
    state = workflow.get_state(config)
    still = workflow.invoke(None, config)["__interrupt__"]
    result = workflow.invoke(Command(resume=[1, 2]), config)

    assert [i.value for i in asked] == ["a", "b"]
    assert [i.value for i in state.interrupts] == ["a", "b"]
    assert [i.value for i in still] == ["a", "b"]
    assert result == ["a=1", "b=2"]


def test_a_partial_answer_runs_only_the_task_that_it_belongs_to(
    saver: InMemorySaver, config: Config
) -> None:
    ran: Counter[str] = Counter()

    @task
    def ask(name: str) -> str:
        ran[name] += 1
        return f"{name}={interrupt(name)}"

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> list[str]:
        return [f.result() for f in [ask(n) for n in "ab"]]

    asked = ids_of(workflow.invoke("go", config))
    still = workflow.invoke(Command(resume={asked["a"]: 1}), config)
    result = workflow.invoke(Command(resume=2), config)

    assert ids_of(still) == {"b": asked["b"]}
    assert result == ["a=1", "b=2"]
    assert ran == {"a": 2, "b": 2}


def test_one_answer_for_several_questions_is_refused_with_their_ids(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def ask(name: str) -> Any:
        return interrupt(name)

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> list[Any]:
        return [f.result() for f in [ask(n) for n in "ab"]]

    asked = ids_of(workflow.invoke("go", config))
    with pytest.raises(UnknownInterruptError) as caught:
        workflow.invoke(Command(resume="x"), config)

    assert caught.value.reason == "ambiguous"
    assert set(caught.value.pending_ids) == set(asked.values())


def test_an_unknown_id_runs_nothing(saver: InMemorySaver, config: Config) -> None:
    runs = Counter[str]()

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        runs["body"] += 1
        return interrupt("q")

    workflow.invoke("go", config)
    with pytest.raises(UnknownInterruptError, match="No pending interrupt"):
        workflow.invoke(Command(resume={"0" * 32: "x"}), config)

    assert runs["body"] == 1


def test_the_identical_answer_sent_twice_changes_nothing(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        return interrupt("q")

    workflow.invoke("go", config)
    first = workflow.invoke(Command(resume="x"), config)
    records = len(saver.read("t"))
    second = workflow.invoke(Command(resume="x"), config)

    assert first == second == "x"
    assert len(saver.read("t")) == records


def test_another_answer_to_an_answered_question_is_refused(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        return interrupt("q")

    workflow.invoke("go", config)
    workflow.invoke(Command(resume="x"), config)
    with pytest.raises(UnknownInterruptError):
        workflow.invoke(Command(resume="y"), config)


def test_none_is_an_answer_and_an_empty_command_is_an_error(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        return interrupt("q") is None

    workflow.invoke("go", config)
    with pytest.raises(EmptyInputError):
        workflow.invoke(Command(), config)
    result = workflow.invoke(Command(resume=None), config)

    assert result is True


def test_an_answer_does_not_leak_into_a_new_run(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        return interrupt("first"), interrupt("second")

    workflow.invoke("go", config)
    workflow.invoke(Command(resume="A"), config)
    again = workflow.invoke("again", config)

    assert list(ids_of(again)) == ["first"]


def test_continuing_without_an_answer_asks_the_same_question(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        return interrupt("first"), interrupt("second")

    workflow.invoke("go", config)
    second = workflow.invoke(Command(resume="A"), config)
    again = workflow.invoke(None, config)

    assert ids_of(again) == ids_of(second)


def test_a_swallowed_interrupt_still_ends_the_run_and_is_warned_of(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        try:
            return interrupt("q")
        except BaseException:  # noqa: BLE001 - what the test is about
            return "went on"

    with pytest.warns(SwallowedInterruptWarning, match=r"test_interrupts\.py:\d+"):
        result = workflow.invoke("go", config)
    answered = workflow.invoke(Command(resume="x"), config)

    assert list(ids_of(result)) == ["q"]
    assert answered == "x"


def test_except_exception_does_not_catch_an_interrupt(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        try:
            return interrupt("q")
        except Exception:  # noqa: BLE001 - what the test is about
            return "swallowed"

    workflow.invoke("go", config)
    result = workflow.invoke(Command(resume="x"), config)

    assert result == "x"


def test_a_task_group_of_questions_is_an_interrupt(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    async def ask(name: str) -> Any:
        return interrupt(name)

    @entrypoint(checkpointer=saver)
    async def workflow(_: str) -> list[Any]:
        async def lane(name: str) -> Any:
            return await ask(name)

        async with asyncio.TaskGroup() as group:
            lanes = [group.create_task(lane(name)) for name in "ab"]
        return [lane.result() for lane in lanes]

    asked = ids_of(asyncio.run(workflow.ainvoke("go", config)))
    answers = {asked[name]: name * 2 for name in asked}
    result = asyncio.run(workflow.ainvoke(Command(resume=answers), config))

    assert result == ["aa", "bb"]


def test_without_a_saver_the_question_is_returned_and_cannot_be_answered() -> None:
    @entrypoint()
    def workflow(_: str) -> Any:
        return interrupt("q")

    result = workflow.invoke("go")
    with pytest.raises(RuntimeError, match="without checkpointer"):
        workflow.invoke(Command(resume="x"))

    assert list(ids_of(result)) == ["q"]


class Decision(BaseModel):
    """What a person decides."""

    approve: bool
    amount: int


def test_an_answer_that_its_type_refuses_saves_nothing_and_can_be_corrected(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        decision = interrupt("approve?", response_schema=Decision)
        assert isinstance(decision, Decision)
        return decision.amount

    (asked,) = workflow.invoke("go", config)["__interrupt__"]
    with pytest.raises(InvalidAnswerError) as caught:
        workflow.invoke(Command(resume={"approve": True, "amount": "many"}), config)
    answered = [r for r in saver.read("t") if type(r.event).__name__ == "Answered"]
    result = workflow.invoke(Command(resume={"approve": True, "amount": 3}), config)

    assert asked.response_schema["properties"]["amount"] == {
        "title": "Amount",
        "type": "integer",
    }
    assert [path for path, _ in caught.value.problems] == ["amount"]
    assert answered == []
    assert result == 3


class Reason(TypedDict):
    """Why it was decided so."""

    text: str
    weight: NotRequired[int]


class Verdict(TypedDict):
    """What a person decides, as a dict."""

    approve: bool
    reason: Reason


def test_a_question_may_want_a_typed_dict(saver: InMemorySaver, config: Config) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        return interrupt("approve?", response_schema=Verdict)

    (asked,) = workflow.invoke("go", config)["__interrupt__"]
    with pytest.raises(InvalidAnswerError) as caught:
        workflow.invoke(Command(resume={"approve": True, "reason": {}}), config)
    answer = {"approve": True, "reason": {"text": "cheap", "weight": "2"}}
    result = workflow.invoke(Command(resume=answer), config)

    assert asked.response_schema["required"] == ["approve", "reason"]
    assert asked.response_schema["$defs"]["Reason"]["required"] == ["text"]
    assert [path for path, _ in caught.value.problems] == ["reason.text"]
    assert result == {"approve": True, "reason": {"text": "cheap", "weight": 2}}


def test_a_schema_of_no_known_type_says_what_to_pass(saver: InMemorySaver) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        return interrupt("approve?", response_schema=object())

    with pytest.raises(
        TypeError, match=r"pydantic can describe.*Pass a pydantic model"
    ):
        workflow.invoke("go", {"configurable": {"thread_id": "1"}})


def test_an_answer_to_a_typed_question_of_a_task_runs_that_task_again(
    saver: InMemorySaver, config: Config
) -> None:
    begun: list[str] = []

    @task
    def ask(name: str) -> int:
        begun.append(name)
        decision: Decision = interrupt(name, response_schema=Decision)
        return decision.amount

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> list[int]:
        return [future.result() for future in (ask("a"), ask("b"))]

    asked = {q.value: q.id for q in workflow.invoke("go", config)["__interrupt__"]}
    answer = {"approve": True, "amount": 3}
    with pytest.raises(InvalidAnswerError):
        workflow.invoke(Command(resume={asked["a"]: {"amount": 3}}), config)
    (still,) = workflow.invoke(Command(resume={asked["a"]: answer}), config)[
        "__interrupt__"
    ]
    result = workflow.invoke(Command(resume=answer), config)

    assert still.value == "b"
    assert result == [3, 3]
    assert sorted(begun) == ["a", "a", "a", "b", "b"]


def test_several_questions_in_one_body_are_answered_one_after_another(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        return [interrupt(f"q{n}") for n in range(3)]

    workflow.invoke("go", config)
    for answer in "ab":
        workflow.invoke(Command(resume=answer), config)
    result = workflow.invoke(Command(resume="c"), config)

    assert result == ["a", "b", "c"]
