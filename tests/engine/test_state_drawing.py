"""A drawing shows what a run did, and nothing in it but labels is the user's."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from nbflow._engine.drawing import Box, Drawing, Lanes, drawing_of
from nbflow._events import (
    Record,
    RunFinished,
    RunStarted,
    TaskCalled,
    TaskFailed,
    TaskFinished,
    TaskReplayed,
)
from nbflow._values import Payload
from nbflow.func import entrypoint, task
from nbflow.types import Command, interrupt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow._events import Event
    from nbflow.checkpoint.memory import InMemorySaver

Config = dict[str, Any]

ALONE = """---
config:
  flowchart:
    curve: linear
---
graph TD;
	main(main)
	__start__([<p>__start__</p>]):::first
	__end__([<p>__end__</p>]):::last
	__start__ --> main;
	main -.-> __end__;
	classDef default fill:#f2f0ff,line-height:1.2
	classDef first fill-opacity:0
	classDef last fill:#bfb6fc
"""


def called(call_id: str, name: str = "work", parent_id: str = "", **more: Any) -> Event:
    return TaskCalled(call_id, parent_id, "", name, "", call_id, repr(call_id), **more)


def finished(call_id: str, *, cached: bool = False) -> Event:
    return TaskFinished(call_id, Payload(b""), cached)


def records(events: Sequence[Event], *, ends: bool = True) -> list[Record]:
    started = RunStarted("main", Payload(b""), "", "c1")
    last = [RunFinished(Payload(b""), None, "c2")] if ends else []
    return [
        Record("t", "r", at, event)
        for at, event in enumerate([started, *events, *last])
    ]


def test_a_workflow_without_a_run_is_one_box(saver: InMemorySaver) -> None:
    @entrypoint(checkpointer=saver)
    def main(n: int) -> int:
        return n

    unknown = {"configurable": {"thread_id": "nobody"}}

    assert main.get_graph().draw_mermaid() == ALONE
    assert main.get_graph(unknown).draw_mermaid() == ALONE
    assert main.get_graph().draw_ascii() == "__start__\nmain\n__end__"


def test_calls_one_after_the_other_stand_in_a_row() -> None:
    events = [called("a"), finished("a"), called("b"), finished("b")]

    drawing = drawing_of("main", records(events))

    assert str(drawing).splitlines() == [
        "__start__",
        "main  finished",
        "|- work('a')  finished",
        "`- work('b')  finished",
        "__end__",
    ]
    assert "n1 --> n2;" in drawing.draw_mermaid()
    assert "main --> __end__;" in drawing.draw_mermaid()


def test_calls_at_work_at_once_stand_in_lanes() -> None:
    events = [called("a"), called("b"), finished("a"), called("c")]
    events += [finished("c"), finished("b"), called("d"), finished("d")]

    drawing = drawing_of("main", records(events))

    lanes, last = drawing.steps
    assert isinstance(lanes, Lanes)
    assert [[box.detail for box in lane] for lane in lanes.lanes] == [
        ["'a'", "'c'"],
        ["'b'"],
    ]
    assert isinstance(last, Box)
    assert str(drawing).splitlines()[2:8] == [
        "|- at once:",
        "|  |- in turn:",
        "|  |  |- work('a')  finished",
        "|  |  `- work('c')  finished",
        "|  `- work('b')  finished",
        "`- work('d')  finished",
    ]
    edges = set(re.findall(r"n\d+ --> n\d+", drawing.draw_mermaid()))
    assert edges == {"n1 --> n2", "n2 --> n4", "n3 --> n4"}


def test_two_groups_at_once_meet_in_one_point() -> None:
    events = [called("a"), called("b"), finished("a"), finished("b")]
    events += [called("c"), called("d"), finished("c"), finished("d")]

    mermaid = drawing_of("main", records(events)).draw_mermaid()

    assert mermaid.count(":::join\n") == 1
    assert len(re.findall(r"n\d+ --> n\d+;", mermaid)) == 4


def test_what_is_special_about_a_call_is_said() -> None:
    events = [
        called("a"),
        finished("a", cached=True),
        TaskReplayed("a"),
        called("b"),
        TaskFailed("b", Payload(b""), "ValueError('no')"),
    ]

    drawing = drawing_of("main", records(events, ends=False))

    assert "work('a')  finished, cached, replayed" in str(drawing)
    assert "work('b')  failed, ValueError('no')" in str(drawing)
    mermaid = drawing.draw_mermaid()
    assert ":::reused" in mermaid
    assert ":::failed" in mermaid
    assert "main -.-> __end__;" in mermaid


def test_nested_runs_are_drawn_as_deep_as_asked() -> None:
    events = [
        called("o", "outer", kind="workflow"),
        called("i", "inner", parent_id="o", kind="workflow"),
        called("t", "leaf", parent_id="i"),
        finished("t"),
        finished("i"),
        finished("o"),
    ]
    run = records(events)

    full, one, none = (str(drawing_of("main", run, xray=x)) for x in (True, 1, False))

    assert ["leaf" in text for text in (full, one, none)] == [True, False, False]
    assert ["inner" in text for text in (full, one, none)] == [True, True, False]
    assert drawing_of("main", run).draw_mermaid().count("subgraph") == 3


@pytest.mark.parametrize("side_by_side", [True, False])
def test_many_calls_that_went_alike_are_one_box(*, side_by_side: bool) -> None:
    ids = [f"c{number}" for number in range(1_000)]
    if side_by_side:
        events = [*map(called, ids), *map(finished, ids)]
    else:
        events = [e for call_id in ids for e in (called(call_id), finished(call_id))]

    drawing = drawing_of("main", records(events))

    assert "work x1000  finished" in str(drawing)
    assert len(str(drawing).splitlines()) < 8


def test_what_went_otherwise_stays_apart_from_many_that_went_alike() -> None:
    ids = [f"c{number}" for number in range(100)]
    events = [*map(called, ids), TaskFailed("c50", Payload(b""), "E()")]
    events += [finished(call_id) for call_id in ids if call_id != "c50"]

    text = str(drawing_of("main", records(events)))

    assert "work x99  finished" in text
    assert "work('c50')  failed, E()" in text


HOSTILE = [
    '"] --> x["',
    "%%{init: {'securityLevel': 'loose'}}%%",
    "<script>alert(1)</script>",
    "a\n\tclick n1 href 'javascript:0'\n",
    "`x` [y](javascript:0) &lt; #35;",
    "\x1b[31m\u202e",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_labels_are_data(text: str) -> None:
    event = TaskCalled("a", "", "", "work", "", "", text)
    failed = TaskFailed("a", Payload(b""), text)

    drawing = drawing_of("main", records([event, failed]))

    line = next(x for x in drawing.draw_mermaid().splitlines() if "work" in x)
    label = re.fullmatch(r'\t+n1\("(.*)"\):::failed', line)
    assert label is not None
    assert not set(label[1].replace("<br/>", "")) & set('"<>&%{}[]()`\n\t\x1b\u202e')
    assert len(str(drawing).splitlines()) == 4
    assert "\x1b" not in str(drawing)


def test_a_thread_is_drawn_with_its_questions_and_by_its_checkpoints(
    saver: InMemorySaver, config: Config
) -> None:
    both = threading.Barrier(2, timeout=10)

    @task
    def write(name: str) -> str:
        both.wait()
        return name

    @entrypoint(checkpointer=saver)
    def main(name: str) -> str:
        drafts = [f.result() for f in [write(name + "1"), write(name + "2")]]
        return "".join(drafts) + str(interrupt("good?"))

    main.invoke("a", config)
    waiting = main.get_graph(config)
    main.invoke(Command(resume="!"), config)
    done = main.get_graph(config)
    main.invoke("b", config)
    older = list(main.get_state_history(config))[-1].config

    assert isinstance(waiting, Drawing)
    assert [line.strip() for line in str(waiting).splitlines()] == [
        "__start__",
        "main  interrupted",
        "|- at once:",
        "|  |- write('a1')  finished",
        "|  `- write('a2')  finished",
        "`- interrupt  asked",
        "__end__",
    ]
    assert "`- interrupt  answered" in str(done)
    assert "write('a1')  finished, replayed" in str(done)
    assert "'b1'" in str(main.get_graph(config))
    assert "'a1'" in str(main.get_graph(older))


async def test_a_drawing_has_an_asynchronous_twin(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    async def main(n: int) -> int:
        return n

    await main.ainvoke(1, config)

    assert (await main.aget_graph(config)) == main.get_graph(config)
    assert str(main.get_graph(config)) == "__start__\nmain  finished\n__end__"
