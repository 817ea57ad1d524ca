"""What panels and lines ask of a store with many threads is answered in pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nbflow._database import reads
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
    calls = view_of(saver, head.thread_id, head.run_id).calls
    return [len(saver.newest(PAGE)), len(history), len(calls), len(saver.questions())]


def test_a_store_of_many_threads_answers(tmp_path: Path) -> None:
    make_store(tmp_path / "many.duckdb", 200)

    with DuckDBSaver(tmp_path / "many.duckdb") as saver:
        assert questions(saver) == [PAGE, PAGE, 2, 2]


@pytest.mark.parametrize("span", [1, 7, 100, 5_000])
def test_what_is_newest_is_the_same_however_far_a_look_reaches(
    tmp_path: Path, span: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(tmp_path / "many.duckdb", 20)
    with DuckDBSaver(tmp_path / "many.duckdb") as saver:
        everything = saver.read("thread-00007")

        monkeypatch.setattr(reads, "_FIRST_SPAN", span)
        pages = [
            saver.read("thread-00007", newest_first=True, limit=limit, before=before)
            for limit in (1, 8, 1_000)
            for before in (None, everything[40].seq)
        ]
        newest = [head.thread_id for head in saver.newest(5)]

    backwards = everything[::-1]
    older = everything[39::-1]
    assert pages == [
        *(backwards[:1], older[:1]),
        *(backwards[:8], older[:8]),
        *(backwards, older),
    ]
    assert newest == [f"thread-000{number}" for number in (19, 18, 17, 16, 15)]


def test_the_newest_threads_are_found_behind_deleted_ones(tmp_path: Path) -> None:
    make_store(tmp_path / "many.duckdb", 20)
    with DuckDBSaver(tmp_path / "many.duckdb") as saver:
        for number in (3, 4, 19):
            saver.delete_thread(f"thread-000{number:02d}")

    with DuckDBSaver(tmp_path / "many.duckdb") as saver:
        newest = [head.thread_id for head in saver.newest(2)]

    assert newest == ["thread-00018", "thread-00017"]


def test_a_page_of_a_history_is_the_same_with_and_without_a_choice(
    tmp_path: Path,
) -> None:
    make_store(tmp_path / "many.duckdb", 3)
    config = {"configurable": {"thread_id": "thread-00000"}}

    with DuckDBSaver(tmp_path / "many.duckdb") as saver:
        whole = list(history_of(saver, config))
        chosen = list(history_of(saver, config, metadata={"parents": {}}))
        pages = [list(history_of(saver, config, limit=n)) for n in (1, 5, PAGE)]

    assert len(whole) == 29  # its newest run waits for an answer
    assert chosen == whole
    assert pages == [whole[:n] for n in (1, 5, PAGE)]
