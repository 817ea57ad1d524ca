"""Every stream mode, on a first run and on a resume, in both worlds and savers."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from nbflow._engine.context import require
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.checkpoint.memory import InMemorySaver
from nbflow.config import get_stream_writer
from nbflow.errors import LangGraphDeprecatedSinceV11
from nbflow.func import entrypoint, task
from nbflow.types import Command, GraphOutput, Interrupt, interrupt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nbflow._engine.workflow import Workflow
    from nbflow.checkpoint.base import BaseCheckpointSaver

Config = dict[str, Any]


@pytest.fixture(params=["memory", "duckdb"])
def either_saver(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[BaseCheckpointSaver]:
    made: BaseCheckpointSaver
    made = (
        InMemorySaver()
        if request.param == "memory"
        else DuckDBSaver(tmp_path / "streams.duckdb")
    )
    with made:
        yield made


def in_sync(saver: BaseCheckpointSaver) -> Workflow[Any, Any]:
    @task
    def step_1(query: str) -> str:
        get_stream_writer()(f"step_1 of {query}")
        return f"{query} bar"

    @task
    def human(query: str) -> str:
        return f"{query} {interrupt(f'Please provide feedback: {query}')}"

    @task
    def step_3(query: str, *, end: str) -> str:
        return f"{query} {end}"

    @entrypoint(checkpointer=saver)
    def graph(query: str) -> str:
        found = human(step_1(query).result()).result()
        return step_3(found, end="qux").result()

    return graph


def in_async(saver: BaseCheckpointSaver) -> Workflow[Any, Any]:
    @task
    async def step_1(query: str) -> str:
        get_stream_writer()(f"step_1 of {query}")
        return f"{query} bar"

    @task
    async def human(query: str) -> str:
        return f"{query} {interrupt(f'Please provide feedback: {query}')}"

    @task
    async def step_3(query: str, *, end: str) -> str:
        return f"{query} {end}"

    @entrypoint(checkpointer=saver)
    async def graph(query: str) -> str:
        found = await human(await step_1(query))
        return await step_3(found, end="qux")

    return graph


def chunks_of(workflow: Workflow[Any, Any], given: Any, **asked: Any) -> list[Any]:
    config = {"configurable": {"thread_id": "1"}}
    if not workflow.definition.spec.is_async:
        return list(workflow.stream(given, config, **asked))

    async def read() -> list[Any]:
        return [chunk async for chunk in workflow.astream(given, config, **asked)]

    return asyncio.run(read())


class TextOf:
    """Equals every text of a kind: an id, a time."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and len(other) == self._length

    def __hash__(self) -> int:
        return hash(self._length)


ID, UUID_, AT = TextOf(32), TextOf(36), TextOf(32)
ASKED = Interrupt("Please provide feedback: foo bar", ID)  # type: ignore[arg-type]
ASKED_PLAIN = {"value": ASKED.value, "id": ID, "response_schema": None}
PLACE = {"thread_id": "1", "checkpoint_ns": "", "checkpoint_id": UUID_}


def start(name: str, given: Any, *, entry: bool = False) -> dict[str, Any]:
    triggers = ("__start__",) if entry else ("__pregel_push",)
    return {"id": ID, "name": name, "input": given, "triggers": triggers}


def end(name: str, **more: Any) -> dict[str, Any]:
    chunk: dict[str, Any] = {"id": ID, "name": name, "error": None}
    chunk |= {"result": {}, "interrupts": []}
    return {**chunk, **more}


def checkpoint(source: str, step: int, **more: Any) -> dict[str, Any]:
    metadata = {"source": source, "step": step, "parents": {}, "thread_id": "1"}
    chunk: dict[str, Any] = {
        "config": {"configurable": PLACE},
        "parent_config": None,
        "values": None,
        "metadata": {**metadata, "run_id": UUID_},
        "next": [],
        "tasks": [],
    }
    return {**chunk, **more}


def entry(*interrupts: Any) -> dict[str, Any]:
    return {"id": ID, "name": "graph", "interrupts": interrupts, "state": None}


def debug(kind: str, step: int, payload: Any) -> dict[str, Any]:
    return {"step": step, "timestamp": AT, "type": kind, "payload": payload}


TASKS_FIRST = [
    start("graph", "foo", entry=True),
    start("step_1", (("foo",), {})),
    end("step_1", result={"__return__": "foo bar"}),
    start("human", (("foo bar",), {})),
    end("human", interrupts=[ASKED_PLAIN]),
    end("graph", interrupts=[ASKED_PLAIN]),
]
TASKS_RESUMED = [
    start("graph", "foo", entry=True),
    start("step_1", (("foo",), {})),
    end("step_1", result={"__return__": "foo bar"}, replayed=True),
    start("human", (("foo bar",), {})),
    end("human", result={"__return__": "foo bar baz"}),
    start("step_3", (("foo bar baz",), {"end": "qux"})),
    end("step_3", result={"__return__": "foo bar baz qux"}),
    end("graph", result={"__end__": "foo bar baz qux"}),
]
CHECKPOINTS_FIRST = [checkpoint("input", -1, next=["graph"], tasks=[entry()])]
CHECKPOINTS_RESUMED = [
    checkpoint("input", -1, next=["graph"], tasks=[entry(ASKED_PLAIN)]),
    checkpoint(
        "loop", 0, parent_config={"configurable": PLACE}, values="foo bar baz qux"
    ),
]


def debugged(tasks: list[Any]) -> list[Any]:
    kinds = ["task" if "input" in chunk else "task_result" for chunk in tasks]
    return [debug(kind, 0, t) for kind, t in zip(kinds, tasks, strict=True)]


ROWS: dict[str, tuple[list[Any], list[Any]]] = {
    "updates": (
        [{"step_1": "foo bar"}, {"__interrupt__": (ASKED,)}],
        [
            {"human": "foo bar baz"},
            {"step_3": "foo bar baz qux"},
            {"graph": "foo bar baz qux"},
        ],
    ),
    "values": ([{"__interrupt__": (ASKED,)}], ["foo bar baz qux"]),
    "custom": (["step_1 of foo"], []),
    "messages": ([], []),
    "tasks": (TASKS_FIRST, TASKS_RESUMED),
    "checkpoints": (CHECKPOINTS_FIRST, CHECKPOINTS_RESUMED),
    "debug": (
        [debug("checkpoint", -1, CHECKPOINTS_FIRST[0]), *debugged(TASKS_FIRST)],
        [
            debug("checkpoint", -1, CHECKPOINTS_RESUMED[0]),
            *debugged(TASKS_RESUMED),
            debug("checkpoint", 0, CHECKPOINTS_RESUMED[1]),
        ],
    ),
}


@pytest.mark.parametrize("make", [in_sync, in_async])
@pytest.mark.parametrize("mode", ROWS)
def test_each_mode_shows_a_first_run_and_a_resume(
    either_saver: BaseCheckpointSaver, mode: Any, make: Any
) -> None:
    workflow = make(either_saver)
    first, resumed = ROWS[mode]

    shown = chunks_of(workflow, "foo", stream_mode=mode)
    after = chunks_of(workflow, Command(resume="baz"), stream_mode=mode)

    assert shown == first
    assert after == resumed


@pytest.mark.parametrize("make", [in_sync, in_async])
@pytest.mark.parametrize("mode", ROWS)
def test_version_2_says_of_each_chunk_what_it_is(
    saver: InMemorySaver, mode: Any, make: Any
) -> None:
    workflow = make(saver)

    shown = chunks_of(workflow, "foo", stream_mode=mode, version="v2")
    shown += chunks_of(
        workflow, Command(resume="baz"), stream_mode=[mode], version="v2"
    )

    if mode == "values":
        expected = [({}, (ASKED,)), ("foo bar baz qux", ())]
        assert shown == [
            {"type": "values", "ns": (), "data": data, "interrupts": asked}
            for data, asked in expected
        ]
    else:
        assert shown == [
            {"type": mode, "ns": (), "data": data} for row in ROWS[mode] for data in row
        ]


def test_a_list_of_modes_names_each_chunk_and_subgraphs_its_run(
    saver: InMemorySaver, config: Config
) -> None:
    workflow = in_sync(saver)
    other = {"configurable": {"thread_id": "other"}}

    named = list(workflow.stream("foo", config, stream_mode=["updates", "custom"]))
    placed = list(
        workflow.stream("foo", other, stream_mode=["updates", "custom"], subgraphs=True)
    )

    assert named == [
        ("custom", "step_1 of foo"),
        ("updates", {"step_1": "foo bar"}),
        ("updates", {"__interrupt__": (ASKED,)}),
    ]
    assert [chunk[0] for chunk in placed] == [(), (), ()]
    assert [chunk[1] for chunk in placed] == ["custom", "updates", "updates"]


def test_a_finished_thread_shows_what_it_holds_and_runs_nothing(
    saver: InMemorySaver, config: Config
) -> None:
    workflow = in_sync(saver)
    workflow.invoke("foo", config)
    workflow.invoke(Command(resume="baz"), config)

    shown = {
        mode: list(workflow.stream(None, config, stream_mode=mode))
        for mode in ("updates", "values", "tasks", "checkpoints", "debug")
    }

    assert shown["updates"] == shown["tasks"] == []
    assert shown["values"] == ["foo bar baz qux"]
    assert [c["metadata"]["step"] for c in shown["checkpoints"]] == [0]
    assert [c["type"] for c in shown["debug"]] == ["checkpoint"]


def test_a_failure_is_shown_as_text_and_every_begin_has_its_end(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def broken(number: int) -> None:
        raise ValueError(number)

    @entrypoint(checkpointer=saver)
    def workflow(number: int) -> None:
        broken(number).result()

    stream = workflow.stream(7, config, stream_mode="tasks")
    shown: list[Any] = []
    with pytest.raises(ValueError, match="7"):
        shown.extend(iter(lambda: next(stream), None))
    again: list[Any] = []
    stream = workflow.stream(None, config, stream_mode="checkpoints")
    with pytest.raises(ValueError, match="7"):
        again.extend(iter(lambda: next(stream), None))

    assert [(c["name"], c.get("error")) for c in shown] == [
        ("workflow", None),
        ("broken", None),
        ("broken", "ValueError(7)"),
        ("workflow", "ValueError(7)"),
    ]
    assert again[0]["tasks"][0]["error"] == "ValueError(7)"


def test_the_callers_metadata_and_tags_stand_with_each_begin(
    saver: InMemorySaver, config: Config
) -> None:
    workflow = in_sync(saver)
    asked = {**config, "metadata": {"k": "v"}, "tags": ["a tag"]}

    shown = list(workflow.stream("foo", asked, stream_mode="tasks"))

    begins = [chunk for chunk in shown if "input" in chunk]
    expected = {"k": "v", "tags": ["a tag"]}
    assert all(chunk["metadata"] == expected for chunk in begins)


def test_tasks_of_a_stream_are_the_tasks_of_the_state(
    saver: InMemorySaver, config: Config
) -> None:
    workflow = in_sync(saver)

    shown = list(workflow.stream("foo", config, stream_mode="tasks"))

    listed = [(task.id, task.name) for task in workflow.get_state(config).tasks]
    assert [(c["id"], c["name"]) for c in shown if "input" in c] == listed


@pytest.mark.parametrize("mode", ["updates", "custom", "tasks"])
def test_chunks_of_each_mode_arrive_while_the_run_goes_on(
    saver: InMemorySaver, config: Config, mode: Any
) -> None:
    may_end = threading.Event()

    @task
    def first() -> str:
        get_stream_writer()("first")
        return "first"

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> str:
        first().result()
        may_end.wait(10)
        return "end"

    stream = workflow.stream("go", config, stream_mode=mode)
    early = next(stream)
    still_running = saver.head("t")
    may_end.set()
    late = list(stream)

    assert early
    assert still_running is not None
    assert still_running.status == "running"
    assert late or mode == "custom"


def test_invoke_with_version_2_returns_an_output_with_its_interrupts(
    saver: InMemorySaver, config: Config
) -> None:
    workflow = in_sync(saver)

    asked = workflow.invoke("foo", config, version="v2")
    done = workflow.invoke(Command(resume="baz"), config, version="v2")

    assert asked == GraphOutput({}, (ASKED,))
    assert done == GraphOutput("foo bar baz qux")


def test_an_output_is_still_read_like_a_dict_with_a_warning() -> None:
    output = GraphOutput({"k": 1}, (Interrupt("?"),))

    with pytest.warns(LangGraphDeprecatedSinceV11, match=r"result\[key\]"):
        value = output["k"]
    with pytest.warns(LangGraphDeprecatedSinceV11, match="key in result"):
        is_in = "other" in output
    with pytest.warns(LangGraphDeprecatedSinceV11), pytest.raises(KeyError):
        GraphOutput(5)["missing"]

    assert value == 1
    assert not is_in


def test_print_mode_prints_in_bold_and_leaves_the_result_as_it_is(
    saver: InMemorySaver, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    @task
    def double(number: int) -> int:
        return number * 2

    @entrypoint(checkpointer=saver)
    def workflow(number: int) -> int:
        return double(number).result()

    result = workflow.invoke(2, config, print_mode="updates")
    printed = capsys.readouterr().out
    chunks = list(workflow.stream(3, config, stream_mode="values", debug=True))
    debugged = capsys.readouterr().out

    assert result == 4
    assert printed == (
        "\033[1m[updates]\033[0m {'double': 4}\n"
        "\033[1m[updates]\033[0m {'workflow': 4}\n"
    )
    assert chunks == [6]
    assert debugged.endswith("\033[1m[values]\033[0m 6\n")


def test_a_run_that_nobody_streams_has_no_listener(
    saver: InMemorySaver, config: Config
) -> None:
    seen: list[Any] = []

    @entrypoint(checkpointer=saver)
    def workflow(number: int, *, runtime: Any) -> int:
        seen.append((require("test").run.listeners, runtime.previous))
        return number

    workflow.invoke(1, config)
    list(workflow.stream(2, config))

    assert seen[0] == ((), None)
    assert len(seen[1][0]) == 1
