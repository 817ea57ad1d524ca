"""The view of checkpoints lists what a history lists."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.func import entrypoint
from nbflow.graph import END, START, StateGraph
from nbflow.types import Command, interrupt

if TYPE_CHECKING:
    from pathlib import Path

ASKED = (
    "SELECT checkpoint_id, parent_checkpoint_id, source, step FROM checkpoints "
    "ORDER BY created_at DESC, seq DESC"
)


def address(config: dict[str, Any] | None) -> str | None:
    return None if config is None else config["configurable"]["checkpoint_id"]


def test_checkpoints_in_sql_are_those_of_a_history_with_forks_and_changes(
    tmp_path: Path,
) -> None:
    config = {"configurable": {"thread_id": "t"}}
    with DuckDBSaver(tmp_path / "a.duckdb") as saver:

        @entrypoint(checkpointer=saver)
        def same(n: int) -> int:
            return n

        same.invoke(1, config)
        same.invoke(2, config)
        same.invoke(None, list(same.get_state_history(config))[3].config)
        same.update_state(config, 3)
        same.update_state(config, None, as_node="__copy__")
        history = list(same.get_state_history(config))
        rows = saver.ask(ASKED).fetchall()

    assert rows == [
        (
            address(snapshot.config),
            address(snapshot.parent_config),
            snapshot.metadata["source"],
            snapshot.metadata["step"],
        )
        for snapshot in history
        if snapshot.metadata
    ]


class Numbers(TypedDict):
    """What the graph is over."""

    found: Annotated[list[int], operator.add]


def ask(_: Numbers) -> dict[str, list[int]]:
    return {"found": [interrupt("which?")]}


def test_views_know_the_steps_of_a_graph(tmp_path: Path) -> None:
    config = {"configurable": {"thread_id": "t"}}
    graph = StateGraph(Numbers)
    graph.add_node("one", lambda _: {"found": [1]})
    graph.add_node("ask", ask)
    graph.add_edge(START, "one")
    graph.add_edge("one", "ask")
    graph.add_edge("ask", END)
    with DuckDBSaver(tmp_path / "a.duckdb") as saver:
        compiled = graph.compile(checkpointer=saver)

        compiled.invoke({"found": []}, config)
        paused = states_and_rows(saver, compiled, config)
        compiled.invoke(Command(resume=2), config)
        done = states_and_rows(saver, compiled, config)
        compiled.invoke({"found": []}, config)
        again = states_and_rows(saver, compiled, config)

    for states, rows, newest, head in (paused, done, again):
        assert rows == states
        assert newest == [(states[0][0], states[0][3]), head, head]
    assert len(again[0]) == 7


def states_and_rows(
    saver: DuckDBSaver, compiled: Any, config: dict[str, Any]
) -> tuple[list[Any], list[Any], list[Any], tuple[str, int]]:
    """Return a history, its rows, the newest as told by views, and by the head."""
    states = [
        (
            address(snapshot.config),
            address(snapshot.parent_config),
            snapshot.metadata["source"],
            snapshot.metadata["step"],
        )
        for snapshot in compiled.get_state_history(config)
    ]
    newest = "SELECT checkpoint_id, step FROM {} ORDER BY started_at DESC LIMIT 1"
    told = [
        *saver.ask(ASKED + " LIMIT 1").project("checkpoint_id, step").fetchall(),
        *saver.ask(newest.format("runs")).fetchall(),
        *saver.ask(newest.format("threads")).fetchall(),
    ]
    (head,) = saver.heads()
    return states, saver.ask(ASKED).fetchall(), told, (head.checkpoint_id, head.step)
