"""Time travel: runs begun again from older checkpoints."""

from __future__ import annotations

import pickle
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from nbflow.errors import (
    CheckpointNotFoundError,
    EmptyInputError,
    InvalidAnswerError,
    ThreadBusyError,
    UnknownInterruptError,
)
from nbflow.func import entrypoint, task
from nbflow.types import Command, Interrupt, interrupt

if TYPE_CHECKING:
    from nbflow._engine.workflow import Workflow
    from nbflow.checkpoint.memory import InMemorySaver

Config = dict[str, Any]


class Counted:
    """A workflow whose task's runs are counted."""

    def __init__(self, saver: InMemorySaver) -> None:
        self.ran = ran = Counter[int]()

        @task
        def work(n: int) -> int:
            ran[n] += 1
            return n

        @entrypoint(checkpointer=saver)
        def add(n: int, *, previous: int | None = None) -> int:
            return (previous or 0) + work(n).result()

        self.workflow: Workflow[int, int] = add


@pytest.fixture
def counted(saver: InMemorySaver) -> Counted:
    return Counted(saver)


def checkpoints(workflow: Workflow[Any, Any], config: Config) -> list[Config]:
    return [s.config for s in workflow.get_state_history(config)]


def asked_in(result: Any) -> list[Interrupt]:
    found: list[Interrupt] = result["__interrupt__"]
    return found


def test_no_input_at_an_older_input_runs_everything_again_as_a_fork(
    counted: Counted, config: Config
) -> None:
    add = counted.workflow
    for number in (1, 10, 100):
        add.invoke(number, config)
    second_input = checkpoints(add, config)[3]

    result = add.invoke(None, second_input)
    head, fork, *_ = add.get_state_history(config)

    assert result == head.values == 11
    assert counted.ran == {1: 1, 10: 2, 100: 1}
    assert fork.metadata is not None
    assert (fork.metadata["source"], fork.metadata["step"]) == ("fork", 2)
    assert fork.parent_config == second_input
    assert fork.values == 1
    assert head.metadata is not None
    assert (head.metadata["source"], head.metadata["step"]) == ("loop", 3)


def test_a_fork_is_where_the_thread_stands_from_then_on(
    counted: Counted, config: Config
) -> None:
    add = counted.workflow
    add.invoke(1, config)
    add.invoke(10, config)
    add.invoke(None, checkpoints(add, config)[3])

    following = add.invoke(100, config)

    assert following == 101


def test_an_input_at_an_older_checkpoint_branches_from_it(
    counted: Counted, config: Config
) -> None:
    add = counted.workflow
    add.invoke(1, config)
    add.invoke(10, config)
    _, _, first_end, first_input = checkpoints(add, config)

    after_end = add.invoke(100, first_end)
    at_end = add.get_state_history(config)
    _, begun, *_ = at_end
    after_input = add.invoke(1000, first_input)

    assert (after_end, after_input) == (101, 1000)
    assert begun.parent_config == first_end
    assert begun.metadata is not None
    assert (begun.metadata["source"], begun.metadata["step"]) == ("input", 1)
    assert add.invoke(1, config) == 1001


def test_no_input_at_an_older_end_returns_what_it_left_and_writes_nothing(
    counted: Counted, config: Config, saver: InMemorySaver
) -> None:
    add = counted.workflow
    add.invoke(1, config)
    add.invoke(10, config)
    records = len(saver.read("t"))

    result = add.invoke(None, checkpoints(add, config)[2])

    assert result == 1
    assert len(saver.read("t")) == records


def test_no_input_at_the_head_of_a_finished_thread_writes_nothing(
    counted: Counted, config: Config, saver: InMemorySaver
) -> None:
    add = counted.workflow
    add.invoke(1, config)
    records = len(saver.read("t"))

    found = [add.invoke(None, config), add.invoke(None, checkpoints(add, config)[0])]

    assert found == [1, 1]
    assert len(saver.read("t")) == records


def test_no_input_at_the_head_of_an_unfinished_thread_continues_its_run(
    saver: InMemorySaver, config: Config
) -> None:
    ran = Counter[str]()

    @task
    def work() -> int:
        ran["work"] += 1
        return 1

    @entrypoint(checkpointer=saver)
    def fails_once(_: int) -> int:
        found = work().result()
        ran["body"] += 1
        if ran["body"] == 1:
            raise ValueError("once")
        return found

    with pytest.raises(ValueError, match="once"):
        fails_once.invoke(1, config)
    result = fails_once.invoke(None, fails_once.get_state(config).config)

    assert result == 1
    assert ran == {"work": 1, "body": 2}
    assert len({record.run_id for record in saver.read("t")}) == 1


def test_a_checkpoint_that_the_thread_does_not_have_is_an_error(
    counted: Counted, config: Config, saver: InMemorySaver
) -> None:
    add = counted.workflow
    add.invoke(1, config)
    records = len(saver.read("t"))
    nowhere = {"configurable": {"thread_id": "t", "checkpoint_id": "nope"}}

    inputs: list[Any] = [None, 2, Command(resume="x")]
    for given in inputs:
        with pytest.raises(CheckpointNotFoundError) as caught:
            add.invoke(given, nowhere)

    assert len(saver.read("t")) == records
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert (again.thread_id, again.checkpoint_id) == ("t", "nope")


def test_a_fork_closes_an_unfinished_run(saver: InMemorySaver, config: Config) -> None:
    @entrypoint(checkpointer=saver)
    def ask(n: int) -> Any:
        return interrupt(f"{n}?") if n else "none"

    ask.invoke(0, config)
    late = asked_in(ask.invoke(1, config))[0].id
    ask.invoke(None, checkpoints(ask, config)[2])

    with pytest.raises(UnknownInterruptError):
        ask.invoke(Command(resume={late: "late"}), config)
    assert ask.get_state(config).values == "none"


def asker(saver: InMemorySaver) -> Workflow[str, Any]:
    @entrypoint(checkpointer=saver)
    def ask(_: str) -> Any:
        return interrupt("q")

    return ask


def test_an_answer_at_a_superseded_input_forks_and_answers(
    saver: InMemorySaver, config: Config
) -> None:
    ask = asker(saver)
    old = asked_in(ask.invoke("go", config))[0].id
    ask.invoke(Command(resume="a"), config)
    first_input = checkpoints(ask, config)[1]

    by_value = ask.invoke(Command(resume="b"), first_input)
    by_id = ask.invoke(Command(resume={old: "c"}), first_input)

    assert (by_value, by_id) == ("b", "c")
    assert [s.values for s in ask.get_state_history(config)][::2] == ["c", "b", "a"]


def test_an_answer_at_the_heads_checkpoint_is_one_without_an_id(
    saver: InMemorySaver, config: Config
) -> None:
    ask = asker(saver)
    ask.invoke("go", config)

    result = ask.invoke(Command(resume="a"), ask.get_state(config).config)

    assert result == "a"
    assert len({record.run_id for record in saver.read("t")}) == 1


def test_a_fork_asks_again_what_was_answered_before(
    saver: InMemorySaver, config: Config
) -> None:
    ask = asker(saver)
    first = asked_in(ask.invoke("go", config))[0]
    ask.invoke(Command(resume="a"), config)

    again = asked_in(ask.invoke(None, checkpoints(ask, config)[1]))[0]
    result = ask.invoke(Command(resume="b"), config)

    assert again.value == first.value
    assert again.id != first.id
    assert result == "b"


def test_an_answer_by_value_reaches_the_fork_though_the_question_reads_otherwise(
    saver: InMemorySaver, config: Config
) -> None:
    drafts = iter("xyz")

    @task
    def draft() -> str:
        return next(drafts)

    @task
    def review(text: str) -> str:
        return f"{text}: {interrupt(f'is {text} good?')}"

    @entrypoint(checkpointer=saver)
    def write(_: str) -> str:
        return review(draft().result()).result()

    old = asked_in(write.invoke("go", config))[0].id
    write.invoke(Command(resume="no"), config)
    first_input = checkpoints(write, config)[1]

    by_value = write.invoke(Command(resume="yes"), first_input)
    by_id = write.invoke(Command(resume={old: "yes"}), first_input)

    assert by_value == "y: yes"
    assert asked_in(by_id)[0].value == "is z good?"


def pair(saver: InMemorySaver) -> Workflow[str, Any]:
    @task
    def ask(name: str) -> Any:
        return name, interrupt("q")

    @entrypoint(checkpointer=saver)
    def both(_: str) -> Any:
        return dict(future.result() for future in [ask("a"), ask("b")])

    return both


def test_answers_at_a_superseded_input_find_parallel_questions_by_id_and_by_order(
    saver: InMemorySaver, config: Config
) -> None:
    both = pair(saver)
    both.invoke("go", config)
    shown = {t.arguments: t.interrupts[0].id for t in both.get_state(config).tasks[1:]}
    in_order = [i.id for i in both.get_state(config).interrupts]
    both.invoke(Command(resume=dict.fromkeys(shown.values(), 0)), config)
    first_input = checkpoints(both, config)[1]

    by_id = both.invoke(Command(resume={shown["'a'"]: 1, shown["'b'"]: 2}), first_input)
    by_order = both.invoke(
        Command(resume=[3 if i == shown["'a'"] else 4 for i in in_order]), first_input
    )

    assert by_id == {"a": 1, "b": 2}
    assert by_order == {"a": 3, "b": 4}


def test_an_answer_that_fits_nothing_at_an_old_checkpoint_begins_nothing(
    saver: InMemorySaver, config: Config, counted: Counted
) -> None:
    both = pair(saver)
    both.invoke("go", config)
    ids = [i.id for i in both.get_state(config).interrupts]
    both.invoke(Command(resume=dict.fromkeys(ids, 0)), config)
    end, first_input = checkpoints(both, config)
    counted.workflow.invoke(1, {"configurable": {"thread_id": "u"}})
    counted.workflow.invoke(1, {"configurable": {"thread_id": "u"}})
    unasked = checkpoints(counted.workflow, {"configurable": {"thread_id": "u"}})
    records = len(saver.read("t")), len(saver.read("u"))

    for resume, where, reason in [
        ("one", first_input, "ambiguous"),
        ([1], first_input, "ambiguous"),
        ({}, first_input, "empty_map"),
        ({"0" * 32: 1}, first_input, "not_pending"),
        ("one", end, "not_pending"),
        ("one", unasked[3], "not_pending"),
        ("one", unasked[2], "not_pending"),
    ]:
        with pytest.raises(UnknownInterruptError) as caught:
            both.invoke(Command(resume=resume), where)
        assert caught.value.reason == reason

    assert (len(saver.read("t")), len(saver.read("u"))) == records


def test_the_recorded_answer_sent_to_an_older_end_returns_what_it_left(
    saver: InMemorySaver, config: Config
) -> None:
    ask = asker(saver)
    ask.invoke("go", config)
    ask.invoke(Command(resume="a"), config)
    ask.invoke("go", config)
    ask.invoke(Command(resume="b"), config)
    first_end = checkpoints(ask, config)[2]

    result = ask.invoke(Command(resume="a"), first_end)

    assert result == "a"


def test_a_forks_answer_is_checked_by_its_schema_before_it_is_kept(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def ask(_: str) -> Any:
        schema = {"type": "integer"}
        return interrupt("how many?", response_schema=int if _ == "typed" else schema)

    ask.invoke("typed", config)
    ask.invoke(Command(resume=1), config)
    first_input = checkpoints(ask, config)[1]

    with pytest.raises(InvalidAnswerError):
        ask.invoke(Command(resume="many"), first_input)
    result = ask.invoke(Command(resume=2), config)

    assert result == 2


def test_a_list_answers_several_questions_in_the_order_shown(
    saver: InMemorySaver, config: Config
) -> None:
    both = pair(saver)
    shown = asked_in(both.invoke("go", config))
    names = {t.interrupts[0].id: t.arguments for t in both.get_state(config).tasks[1:]}

    result = both.invoke(Command(resume=[1, 2]), config)

    first, second = (names[i.id].strip("'") for i in shown)
    assert result == {first: 1, second: 2}


def test_a_list_is_the_answer_where_one_question_is_pending(
    saver: InMemorySaver, config: Config
) -> None:
    ask = asker(saver)
    ask.invoke("go", config)

    result = ask.invoke(Command(resume=["x"]), config)

    assert result == ["x"]


def test_a_list_of_another_length_than_the_questions_is_refused(
    saver: InMemorySaver, config: Config
) -> None:
    both = pair(saver)
    both.invoke("go", config)

    with pytest.raises(UnknownInterruptError) as caught:
        both.invoke(Command(resume=[1, 2, 3]), config)

    assert caught.value.reason == "ambiguous"
    assert len(caught.value.pending_ids) == 2


def test_an_answer_never_reaches_the_next_question_or_the_next_run(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def ask(_: str) -> Any:
        return interrupt("one?"), interrupt("two?")

    ask.invoke("go", config)
    ask.invoke(Command(resume="A"), config)
    continued = ask.invoke(None, config)
    anew = ask.invoke("again", config)
    forked = ask.invoke(None, checkpoints(ask, config)[1])

    assert [i.value for i in asked_in(continued)] == ["two?"]
    assert [i.value for i in asked_in(anew)] == ["one?"]
    assert [i.value for i in asked_in(forked)] == ["one?"]


def test_nothing_to_run_and_nothing_to_answer_are_said_so(
    saver: InMemorySaver, config: Config
) -> None:
    ask = asker(saver)

    with pytest.raises(EmptyInputError, match="'t' has no run to continue"):
        ask.invoke(None, config)
    with pytest.raises(UnknownInterruptError):
        ask.invoke(Command(resume="x"), config)
    with pytest.raises(ValueError, match="thread_id"):
        ask.invoke("go", {"configurable": {}})
    with pytest.raises(ValueError, match="thread_id"):
        ask.invoke("go")

    assert saver.read("t") == []


def test_inputs_that_are_false_are_inputs(counted: Counted, config: Config) -> None:
    result = counted.workflow.invoke(0, config)

    assert result == 0
    assert counted.ran == {0: 1}


def test_a_fork_of_a_busy_thread_is_refused(
    saver: InMemorySaver, config: Config
) -> None:
    may_end = threading.Event()

    @task
    def work(n: int) -> int:
        return n

    @entrypoint(checkpointer=saver)
    def busy(n: int) -> int:
        found = work(n).result()
        if n == 2:
            may_end.wait(10)
        return found

    busy.invoke(1, config)
    first_input = checkpoints(busy, config)[1]
    stream = busy.stream(2, config)
    next(stream)

    with pytest.raises(ThreadBusyError, match="workflow 'busy'"):
        busy.invoke(None, first_input)
    may_end.set()

    assert list(stream) == [{"busy": 2}]


async def test_forks_work_on_a_loop(saver: InMemorySaver, config: Config) -> None:
    @entrypoint(checkpointer=saver)
    async def ask(_: str) -> Any:
        return interrupt("q")

    await ask.ainvoke("go", config)
    await ask.ainvoke(Command(resume="a"), config)
    first_input = [s.config async for s in ask.aget_state_history(config)][1]

    answered = await ask.ainvoke(Command(resume="b"), first_input)
    chunks = [c async for c in ask.astream(None, first_input)]

    assert answered == "b"
    assert [i.value for i in chunks[0]["__interrupt__"]] == ["q"]


def test_a_nested_runs_question_is_answered_in_a_fork(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint()
    def inner(name: str) -> str:
        return str(interrupt(name))

    @task
    def calls(name: str) -> str:
        return str(inner.invoke(name))

    @entrypoint(checkpointer=saver)
    def outer(_: str) -> str:
        return calls("deep").result()

    old = asked_in(outer.invoke("go", config))[0].id
    outer.invoke(Command(resume="a"), config)
    first_input = checkpoints(outer, config)[1]

    by_id = outer.invoke(Command(resume={old: "b"}), first_input)
    by_value = outer.invoke(Command(resume="c"), first_input)

    assert (by_id, by_value) == ("b", "c")
