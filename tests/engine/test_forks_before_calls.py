"""Forks that start before a call: what they keep, and what they do anew."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, TypedDict

import pytest

import nbflow
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.errors import (
    CheckpointNotFoundError,
    InvalidUpdateError,
    SecretNotStoredError,
    TaskNotFound,
    ThreadBusyError,
    UnstorableValueError,
)
from nbflow.func import entrypoint, task
from nbflow.graph import END, START, StateGraph
from nbflow.types import Command, interrupt

if TYPE_CHECKING:
    from pathlib import Path

    from nbflow._engine.workflow import Workflow
    from nbflow._values import PregelTask
    from nbflow.checkpoint.base import BaseCheckpointSaver
    from nbflow.checkpoint.memory import InMemorySaver

Config = dict[str, Any]


class Story:
    """A workflow of three steps, each of which counts its runs."""

    def __init__(self, saver: BaseCheckpointSaver) -> None:
        self.ran = ran = Counter[str]()

        @task
        def plan(topic: str) -> str:
            ran["plan"] += 1
            return f"plan of {topic}"

        @task
        def draft(plan: str) -> str:
            ran["draft"] += 1
            return f"draft by {plan}"

        @task
        def polish(text: str) -> str:
            ran["polish"] += 1
            return text.upper()

        @entrypoint(checkpointer=saver)
        def write(topic: str, *, previous: str | None = None) -> str:
            end = polish(draft(plan(topic).result()).result()).result()
            return end if previous is None else f"{previous}; {end}"

        self.write: Workflow[str, str] = write


class _State(TypedDict):
    text: str


def tasks_of(workflow: Workflow[Any, Any], config: Config) -> dict[str, PregelTask]:
    """Return the tasks of a thread's newest run by their names, the last of each."""
    states = workflow.get_state_history(config)
    tasks = next(state.tasks for state in states if state.tasks)
    return {found.name: found for found in tasks}


def test_results_before_the_call_are_kept_and_it_runs_with_what_follows(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    story = Story(any_saver)
    story.write.invoke("cats", config)

    fork = story.write.fork(config, before=tasks_of(story.write, config)["draft"].id)
    result = story.write.invoke(None, fork)

    assert result == "DRAFT BY PLAN OF CATS"
    assert story.ran == {"plan": 1, "draft": 2, "polish": 2}


def test_what_is_kept_is_told_as_what_did_not_run(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    story = Story(any_saver)
    story.write.invoke("cats", config)

    draft = tasks_of(story.write, config)["draft"]
    story.write.fork(config, before=draft.id, result="of my own")
    waiting = tasks_of(story.write, config)
    story.write.invoke(None, config)
    done = tasks_of(story.write, config)

    assert [(t.status, t.attempts, t.started) for t in waiting.values()][1:] == [
        ("finished", 0, None),
        ("finished", 0, None),
    ]
    assert [(t.name, t.attempts, t.replayed) for t in done.values()][1:] == [
        ("plan", 0, True),
        ("draft", 0, True),
        ("polish", 1, False),
    ]


def test_a_result_can_be_replaced_and_what_follows_builds_on_it(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    story = Story(any_saver)
    story.write.invoke("cats", config)

    draft = tasks_of(story.write, config)["draft"]
    fork = story.write.fork(config, before=draft.id, result="of my own")
    result = story.write.invoke(None, fork)

    assert result == "OF MY OWN"
    assert story.ran == {"plan": 1, "draft": 1, "polish": 2}
    assert tasks_of(story.write, config)["draft"].result == "of my own"


def test_a_fork_stands_beside_its_run_which_stays_as_it_is(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    story = Story(any_saver)
    story.write.invoke("cats", config)
    end, begun = story.write.get_state_history(config)

    fork = story.write.fork(config, before=tasks_of(story.write, config)["draft"].id)
    waiting = story.write.get_state(config)
    story.write.invoke(None, fork)
    history = list(story.write.get_state_history(config))

    assert waiting.config == fork
    assert waiting.parent_config == begun.config
    assert waiting.next == ("write",)
    assert waiting.metadata is not None
    assert (waiting.metadata["source"], waiting.metadata["step"]) == ("fork", 0)
    assert [state.config for state in history[2:]] == [end.config, begun.config]
    assert history[2].values == history[0].values
    assert [t.id for t in history[3].tasks] == [t.id for t in begun.tasks]


def test_a_fork_has_the_previous_value_of_its_run(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    story = Story(any_saver)
    for topic in ("cats", "dogs"):
        story.write.invoke(topic, config)

    fork = story.write.fork(config, before=tasks_of(story.write, config)["polish"].id)

    assert story.write.invoke(None, fork) == (
        "DRAFT BY PLAN OF CATS; DRAFT BY PLAN OF DOGS"
    )
    assert story.ran["draft"] == 2


def test_any_run_of_the_thread_can_be_forked(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    story = Story(any_saver)
    for topic in ("cats", "dogs"):
        story.write.invoke(topic, config)
    first = list(story.write.get_state_history(config))[-1]

    polish = first.tasks[-1]
    fork = story.write.fork(first.config, before=polish.id, result="MEOW")

    assert story.write.invoke(None, fork) == "MEOW"


def test_a_fork_can_be_forked(any_saver: BaseCheckpointSaver, config: Config) -> None:
    story = Story(any_saver)
    story.write.invoke("cats", config)

    for name, result in (("draft", "my draft"), ("polish", "my polish")):
        call = tasks_of(story.write, config)[name]
        fork = story.write.fork(config, before=call.id, result=result)
        story.write.invoke(None, fork)

    assert story.write.get_state(config).values == "my polish"
    assert story.ran == {"plan": 1, "draft": 1, "polish": 2}


def test_a_fork_before_the_workflow_itself_keeps_nothing(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    story = Story(any_saver)
    story.write.invoke("cats", config)

    fork = story.write.fork(config, before=tasks_of(story.write, config)["write"].id)
    story.write.invoke(None, fork)

    assert story.ran == {"plan": 2, "draft": 2, "polish": 2}


def test_a_fork_that_waits_survives_its_process_and_its_run(
    tmp_path: Path, config: Config
) -> None:
    path = tmp_path / "threads.duckdb"
    with DuckDBSaver(path) as saver:
        story = Story(saver)
        story.write.invoke("cats", config)
        run_id = (story.write.get_state(config).metadata or {})["run_id"]
        polish = tasks_of(story.write, config)["polish"]
        fork = story.write.fork(config, before=polish.id)
        saver.delete_for_runs([run_id])

    with DuckDBSaver(path) as saver:
        again = Story(saver)
        result = again.write.invoke(None, fork)

    assert result == "DRAFT BY PLAN OF CATS"
    assert again.ran == {"polish": 1}


def test_what_is_kept_of_an_edited_task_runs_again(
    saver: InMemorySaver, config: Config
) -> None:
    def define(answer: int) -> Workflow[int, int]:
        # The default is part of the code.
        @task
        def first(n: int, plus: int = answer) -> int:
            return n + plus

        @task
        def second(n: int) -> int:
            return n * 2

        @entrypoint(checkpointer=saver)
        def run(n: int) -> int:
            return second(first(n).result()).result()

        return run

    workflow = define(1)
    workflow.invoke(1, config)

    fork = workflow.fork(config, before=tasks_of(workflow, config)["second"].id)

    assert define(10).invoke(None, fork) == 22


def test_a_question_is_asked_again_or_answered_otherwise(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    ran = Counter[str]()

    @task
    def draft(topic: str) -> str:
        ran[topic] += 1
        return topic

    @entrypoint(checkpointer=any_saver)
    def review(topic: str) -> str:
        text = draft(topic).result()
        verdict = interrupt(f"Is {text} good?")
        mark = interrupt("Which mark?")
        return f"{text}: {verdict}, {mark}"

    review.invoke("cats", config)
    first, *_ = review.get_state(config).interrupts
    review.invoke(Command(resume="yes"), config)
    review.invoke(Command(resume=1), config)
    run = list(review.get_state_history(config))[-1].config

    again = review.invoke(None, review.fork(run, before=first.id))
    otherwise = review.invoke(None, review.fork(run, before=first.id, result="no"))

    assert [asked.value for asked in again["__interrupt__"]] == ["Is cats good?"]
    assert [asked.value for asked in otherwise["__interrupt__"]] == ["Which mark?"]
    assert review.invoke(Command(resume=6), config) == "cats: no, 6"
    assert ran == {"cats": 1}


def test_answers_before_the_call_are_kept(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    ran = Counter[str]()

    @task
    def send(text: str) -> str:
        ran[text] += 1
        return f"sent {text}"

    @entrypoint(checkpointer=any_saver)
    def mail(_: str) -> str:
        return send(interrupt("What?")).result()

    mail.invoke("", config)
    mail.invoke(Command(resume="hello"), config)

    fork = mail.fork(config, before=tasks_of(mail, config)["send"].id)

    assert mail.invoke(None, fork) == "sent hello"
    assert ran == {"hello": 2}


def test_calls_made_before_keep_their_results_whenever_these_came(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    ran = Counter[int]()
    third_is_done = threading.Event()

    @task
    def work(n: int) -> int:
        ran[n] += 1
        if n == 3:
            third_is_done.set()
        elif n == 1:
            third_is_done.wait(10)
        return n

    @entrypoint(checkpointer=any_saver)
    def fan_out(_: str) -> list[int]:
        return [future.result() for future in [work(n) for n in range(5)]]

    fan_out.invoke("", config)
    begun = list(fan_out.get_state_history(config))[-1]
    third = next(t for t in begun.tasks if t.arguments == "3")

    assert fan_out.invoke(None, fan_out.fork(config, before=third.id)) == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert ran == {0: 1, 1: 1, 2: 1, 3: 2, 4: 2}


def test_a_call_inside_of_a_task_is_a_point_too(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    ran = Counter[str]()

    @task
    def inner(name: str) -> str:
        ran[name] += 1
        return name

    @task
    def outer(name: str) -> str:
        ran[name] += 1
        return inner(f"{name}1").result() + inner(f"{name}2").result()

    @entrypoint(checkpointer=any_saver)
    def nested(_: str) -> str:
        return outer("a").result() + outer("b").result()

    nested.invoke("", config)
    begun = list(nested.get_state_history(config))[-1]
    point = next(t for t in begun.tasks if "b2" in t.arguments)

    fork = nested.fork(config, before=point.id, result="!")

    assert nested.invoke(None, fork) == "a1a2b1!"
    assert ran == {"a": 1, "a1": 1, "a2": 1, "b": 2, "b1": 1, "b2": 1}


@pytest.mark.parametrize("point", ["outer", "first", "count", "note"])
def test_a_nested_workflow_remembers_what_it_did_where_the_fork_begins(
    any_saver: BaseCheckpointSaver, config: Config, point: str
) -> None:
    @task
    def first() -> None:
        pass

    @entrypoint(checkpointer=True)
    def count(n: int, *, previous: int | None = None) -> int:
        return n + (previous or 0)

    @task
    def note(n: int) -> int:
        return n

    @entrypoint(checkpointer=any_saver)
    def outer(n: int) -> int:
        first().result()
        return note(count.invoke(n)).result()

    assert [outer.invoke(n, config) for n in (1, 10, 100)] == [1, 11, 111]
    second = list(outer.get_state_history(config))[3]
    call = next(t for t in second.tasks if t.name == point)

    assert outer.invoke(None, outer.fork(second.config, before=call.id)) == 11
    assert outer.invoke(5, config) == 16


def test_a_failure_that_the_body_caught_is_kept(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    ran = Counter[str]()

    @task
    def risky() -> None:
        ran["risky"] += 1
        raise ValueError("no")

    @task
    def note(text: str) -> str:
        ran["note"] += 1
        return text

    @entrypoint(checkpointer=any_saver)
    def careful(_: str) -> str:
        try:
            risky().result()
        except ValueError as error:
            return note(str(error)).result()
        return ""

    careful.invoke("", config)

    fork = careful.fork(config, before=tasks_of(careful, config)["note"].id)

    assert careful.invoke(None, fork) == "no"
    assert ran == {"risky": 1, "note": 2}


def test_the_call_that_made_a_run_fail_can_be_given_a_result(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    @task
    def fetch() -> str:
        raise ConnectionError("the site is gone")

    @entrypoint(checkpointer=any_saver)
    def read(_: str) -> str:
        return fetch().result().upper()

    with pytest.raises(ConnectionError):
        read.invoke("", config)

    fork = read.fork(config, before=tasks_of(read, config)["fetch"].id, result="saved")

    assert read.invoke(None, fork) == "SAVED"


def test_recorded_chance_before_the_call_is_kept_and_behind_it_is_new(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    @task
    def use(key: str) -> str:
        return key

    @entrypoint(checkpointer=any_saver)
    def keys(_: str) -> list[str]:
        return [use(str(nbflow.uuid4())).result() for _ in range(3)]

    before = keys.invoke("", config)
    begun = list(keys.get_state_history(config))[-1]

    fork = keys.fork(config, before=begun.tasks[2].id)
    after = keys.invoke(None, fork)

    assert after[:2] == before[:2]
    assert after[2] != before[2]


def test_a_body_that_was_edited_is_forked_in_the_order_of_its_newest_stretch(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    ran = Counter[str]()

    @task
    def step(name: str) -> str:
        ran[name] += 1
        if name == "c" and ran["c"] == 1:
            raise ConnectionError("once")
        return name

    def define(*names: str) -> Workflow[str, str]:
        @entrypoint(checkpointer=any_saver)
        def run(_: str, steps: tuple[str, ...] = names) -> str:
            return "".join(step(name).result() for name in steps)

        return run

    with pytest.raises(ConnectionError):
        define("a", "c").invoke("", config)
    edited = define("a", "b", "c", "d")
    edited.invoke(None, config)
    begun = list(edited.get_state_history(config))[-1]
    point = next(t for t in begun.tasks if "'c'" in t.arguments)

    assert edited.invoke(None, edited.fork(config, before=point.id)) == "abcd"
    assert ran == {"a": 1, "b": 1, "c": 3, "d": 2}


def test_a_large_value_that_is_kept_is_one_file(tmp_path: Path, config: Config) -> None:
    @task
    def large() -> bytes:
        return bytes(range(256)) * 4_000

    @task
    def small(data: bytes) -> int:
        return len(data)

    with DuckDBSaver(tmp_path / "threads.duckdb") as saver:

        @entrypoint(checkpointer=saver)
        def measure(_: str) -> int:
            return small(large().result()).result()

        measure.invoke("", config)
        fork = measure.fork(config, before=tasks_of(measure, config)["small"].id)
        result = measure.invoke(None, fork)

    blobs = [file for file in tmp_path.rglob("*") if "blobs" in str(file)]
    assert result == 1_024_000
    assert len([file for file in blobs if file.is_file()]) == 1


def test_a_value_of_a_graphs_node_is_kept(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    ran = Counter[str]()

    def node(name: str) -> Any:
        def run(state: dict[str, str]) -> dict[str, str]:
            ran[name] += 1
            return {"text": state["text"] + name}

        return run

    builder = StateGraph(_State)
    for name in "abc":
        builder.add_node(name, node(name))
    builder.add_edge(START, "a").add_edge("a", "b").add_edge("b", "c")
    builder.add_edge("c", END)
    graph = builder.compile(checkpointer=any_saver)
    graph.invoke({"text": ""}, config)
    states = list(graph.get_state_history(config))
    call = next(t for state in states for t in state.tasks if t.name == "b")

    with pytest.raises(NotImplementedError, match="node 'b'"):
        graph.fork(config, before=call.id, result={"text": "!"})
    result = graph.invoke(None, graph.fork(config, before=call.id))

    assert result == {"text": "abc"}
    assert ran == {"a": 1, "b": 2, "c": 2}


def test_forking_does_not_block_an_event_loop(
    saver: InMemorySaver, config: Config
) -> None:
    story = Story(saver)
    story.write.invoke("cats", config)
    draft = tasks_of(story.write, config)["draft"].id

    async def fork() -> str:
        made = await story.write.afork(config, before=draft, result="mine")
        result: str = await story.write.ainvoke(None, made)
        return result

    assert asyncio.run(fork()) == "MINE"


# What is refused, and leaves everything as it was.


def test_a_call_that_is_not_there_is_an_error_that_names_those_that_are(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    story = Story(any_saver)
    story.write.invoke("cats", config)
    draft = tasks_of(story.write, config)["draft"].id

    with pytest.raises(
        TaskNotFound, match=rf"no call 'nothing'[\s\S]*{draft} \(draft\)"
    ):
        story.write.fork(config, before="nothing")
    entry = tasks_of(story.write, config)["write"].id
    with pytest.raises(TaskNotFound):
        story.write.fork(config, before=entry, result="no call returned it")

    assert story.write.get_state(config).values == "DRAFT BY PLAN OF CATS"


def test_a_thread_or_checkpoint_that_is_not_there_is_an_error(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    story = Story(any_saver)

    with pytest.raises(CheckpointNotFoundError):
        story.write.fork(config, before="x")
    story.write.invoke("cats", config)
    config["configurable"]["checkpoint_id"] = "nowhere"
    with pytest.raises(CheckpointNotFoundError, match="nowhere"):
        story.write.fork(config, before="x")
    with pytest.raises(ValueError, match="thread_id"):
        story.write.fork({}, before="x")
    inner = {"configurable": {"thread_id": "t", "checkpoint_ns": "a:b"}}
    with pytest.raises(InvalidUpdateError, match="nested"):
        story.write.fork(inner, before="x")


def test_a_result_that_cannot_be_stored_is_refused(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    pydantic = pytest.importorskip("pydantic")
    story = Story(any_saver)
    story.write.invoke("cats", config)
    draft = tasks_of(story.write, config)["draft"].id

    with pytest.raises(UnstorableValueError, match="result"):
        story.write.fork(config, before=draft, result=threading.Lock())
    with pytest.raises(SecretNotStoredError):
        story.write.fork(config, before=draft, result=pydantic.SecretStr("s"))

    assert len(list(story.write.get_state_history(config))) == 2


def test_a_thread_that_a_run_holds_is_not_forked(
    saver: InMemorySaver, config: Config
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    @task
    def work() -> None:
        begun.set()
        may_end.wait(10)

    @entrypoint(checkpointer=saver)
    def run(_: str) -> None:
        work().result()

    thread = threading.Thread(target=run.invoke, args=("", config))
    thread.start()
    begun.wait(10)

    try:
        with pytest.raises(ThreadBusyError):
            run.fork(config, before="x")
    finally:
        may_end.set()
        thread.join()


def test_a_fork_gives_an_unfinished_run_up(
    any_saver: BaseCheckpointSaver, config: Config
) -> None:
    @task
    def fetch() -> str:
        raise ConnectionError("gone")

    @entrypoint(checkpointer=any_saver)
    def read(_: str) -> str:
        return fetch().result()

    with pytest.raises(ConnectionError):
        read.invoke("", config)
    run_id = (read.get_state(config).metadata or {})["run_id"]
    call = tasks_of(read, config)["fetch"].id

    read.fork(config, before=call, result="kept")

    events = [r.event for r in any_saver.read("t", run_id=run_id)]
    assert type(events[-1]).__name__ == "RunSuperseded"
    assert read.invoke(None, config) == "kept"
