"""What panels and lines ask of a store with many threads is answered in pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._engine.state import history_of
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.session.bus import view_of
from tests.bench.stores import make_store

if TYPE_CHECKING:
    from pathlib import Path

PAGE = 20


def questions(saver: DuckDBSaver) -> list[object]:
    """Ask the four questions once, and return how much each found."""
    head = saver.newest(PAGE)[-1]
    config = {"configurable": {"thread_id": head.thread_id}}
    history = list(history_of(saver, config, limit=PAGE))
    calls = view_of(saver, head).calls
    return [len(saver.newest(PAGE)), len(history), len(calls), len(saver.questions())]


def test_a_store_of_many_threads_answers(tmp_path: Path) -> None:
    make_store(tmp_path / "many.duckdb", 200)

    with DuckDBSaver(tmp_path / "many.duckdb") as saver:
        assert questions(saver) == [PAGE, PAGE, 2, 2]
