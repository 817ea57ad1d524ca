"""A thread in one file goes on elsewhere: nested runs, graphs, changes and forks."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypedDict

import numpy as np
import pytest
from langchain_core.messages import AIMessage

from nbflow.checkpoint.bundle import export_bundle, import_bundle
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.func import entrypoint, task
from nbflow.graph import START, StateGraph
from nbflow.types import Command, interrupt

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from nbflow.checkpoint.base import BaseCheckpointSaver


class Words(TypedDict):
    """The state of a graph."""

    words: Annotated[list[str], operator.add]


class Programs(NamedTuple):
    """The same workflow and the same graph over one store."""

    survey: Any
    graph: Any
    calls: list[int]


def programs(saver: BaseCheckpointSaver) -> Programs:
    calls: list[int] = []

    @task
    def count(n: int) -> tuple[int]:
        calls.append(n)
        return (n,)

    @task
    def ask(question: str) -> Any:
        return interrupt(question)

    @entrypoint(checkpointer=True)
    def total(n: int, *, previous: int | None = None) -> int:
        return (previous or 0) + n

    @entrypoint(checkpointer=saver)
    def survey(n: int, *, previous: Any = None) -> Any:
        counted, all_of_them = count(n).result(), total.invoke(n)
        answers = [ask(question) for question in ("one?", "two?")]
        return [previous, counted, all_of_them, [a.result() for a in answers]]

    builder = StateGraph(Words)
    builder.add_node("hear", lambda _: {"words": ["heard"]})
    builder.add_node("ask", lambda _: {"words": [interrupt("which?")]})
    builder.add_edge(START, "hear")
    builder.add_edge("hear", "ask")
    return Programs(survey, builder.compile(checkpointer=saver), calls)


def at(thread_id: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread_id}}


def answers(paused: dict[str, Any], *given: str) -> Command[Any]:
    """Return answers to all questions that a run ended with, by their texts."""
    # Tasks side by side ask in any order.
    asked = sorted(paused["__interrupt__"], key=lambda question: str(question.value))
    ids = [question.id for question in asked]
    return Command(resume=dict(zip(ids, given, strict=True)))


def history(workflow: Any, thread_id: str) -> list[Any]:
    return [
        (s.values, s.next, s.created_at, [t.name for t in s.tasks], s.interrupts)
        for s in workflow.get_state_history(at(thread_id))
    ]


@pytest.fixture
def here(path: Path) -> Iterator[DuckDBSaver]:
    with DuckDBSaver(path) as saver:
        yield saver


@pytest.fixture
def there(path: Path) -> Iterator[DuckDBSaver]:
    with DuckDBSaver(path.with_name("other.duckdb")) as saver:
        yield saver


@pytest.mark.parametrize("trusted", [False, True])
def test_a_thread_is_the_same_elsewhere_and_goes_on_by_itself(
    here: DuckDBSaver, there: DuckDBSaver, path: Path, *, trusted: bool
) -> None:
    ours, theirs = programs(here), programs(there)
    first = ours.survey.invoke(1, at("t"))
    ours.survey.invoke(answers(first, "a", "b"), at("t"))
    ours.survey.update_state(at("t"), "by hand")
    paused = ours.survey.invoke(2, at("t"))
    bundle = export_bundle(here, "t", path.with_name("t.zip"))

    for name in ("t", "again"):
        import_bundle(there, bundle, thread_id=name, trusted=trusted)

    wanted = ["by hand", (2,), 3]
    for name in ("t", "again"):
        assert history(theirs.survey, name) == history(ours.survey, "t")
        resumed = theirs.survey.invoke(answers(paused, "c", name), at(name))
        assert resumed == [*wanted, ["c", name]]
    ended = ours.survey.invoke(answers(paused, "c", "d"), at("t"))
    assert ended == [*wanted, ["c", "d"]]
    assert theirs.calls == []
    begun = list(theirs.survey.get_state_history(at("t")))[-1]
    fork = theirs.survey.invoke(None, begun.config)
    assert {question.value for question in fork["__interrupt__"]} == {"one?", "two?"}


def test_a_graph_goes_on_elsewhere(
    here: DuckDBSaver, there: DuckDBSaver, path: Path
) -> None:
    programs(here).graph.invoke({"words": ["said"]}, at("t"))

    bundle = export_bundle(here, "t", path.with_name("t.zip"))
    import_bundle(there, bundle)
    ended = programs(there).graph.invoke(Command(resume="this"), at("t"))

    assert ended == {"words": ["said", "heard", "this"]}


LOADING = """
from nbflow.checkpoint.bundle import import_bundle
saver = DuckDBSaver(sys.argv[1])
before = set(sys.modules)
import_bundle(saver, sys.argv[2])
saver.close()
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(loaded & {"langchain_core", "numpy", "pydantic", "tests"}))
"""


def test_no_library_is_loaded_for_what_a_bundle_holds(
    here: DuckDBSaver,
    path: Path,
    run_child: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    @entrypoint(checkpointer=here)
    def survey(_: str) -> Any:
        return [AIMessage("hello"), np.arange(3)]

    survey.invoke("x", at("t"))
    bundle = export_bundle(here, "t", path.with_name("t.zip"))

    child = run_child(LOADING, path.with_name("new.duckdb"), bundle)

    assert (child.stdout.strip(), child.stderr) == ("[]", "")
