"""A clock that jumps back by an hour: ids and order are still right."""

from __future__ import annotations

import time
import uuid
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import uuid_utils

from nbflow._engine import ids
from nbflow.checkpoint.duckdb import DuckDBSaver, check
from nbflow.func import entrypoint, task
from nbflow.types import Command, interrupt

if TYPE_CHECKING:
    from pathlib import Path

CONFIG: Any = {"configurable": {"thread_id": "t"}}


class Clock:
    """The machine's clock, as far as nbflow reads it, with an offset."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = time.time_ns
        self.offset_seconds = 0
        monkeypatch.setattr(
            time, "time_ns", lambda: real() + self.offset_seconds * 10**9
        )
        monkeypatch.setattr(ids, "uuid6", self._uuid6)

    def _uuid6(self) -> uuid_utils.UUID:
        seconds, nanos = divmod(time.time_ns(), 10**9)
        return uuid_utils.uuid6(timestamp=seconds, nanos=nanos)

    def jump_back(self) -> None:
        """Tell the time of an hour ago from now on."""
        self.offset_seconds -= 3600


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@task
def double(number: int) -> int:
    return 2 * number


def counting(saver: DuckDBSaver) -> Any:
    @entrypoint(checkpointer=saver)
    def count(number: int, *, previous: int | None = None) -> int:
        return double(number).result() + (previous or 0)

    return count


def test_ids_of_checkpoints_sort_by_when_they_were_made(clock: Clock) -> None:
    made = []

    for _ in range(20):
        made += [ids.new_checkpoint_id() for _ in range(10)]
        clock.jump_back()

    assert all(one < other for one, other in pairwise(made))
    assert {uuid.UUID(one).version for one in made} == {6}


@pytest.mark.parametrize("is_reopened", [False, True])
def test_the_history_is_in_the_order_in_which_it_was_written(
    tmp_path: Path, clock: Clock, is_reopened: bool
) -> None:
    path = tmp_path / "threads.duckdb"
    saver = DuckDBSaver(path)
    results = []

    for number in (1, 2, 3):
        results.append(counting(saver).invoke(number, CONFIG))
        clock.jump_back()
        if is_reopened:
            saver.close()
            saver = DuckDBSaver(path)

    history = list(counting(saver).get_state_history(CONFIG))
    state = counting(saver).get_state(CONFIG)
    places = [record.seq for record in saver.read("t")]
    saver.close()
    assert results == [2, 6, 12]
    assert state.values == 12
    assert [snapshot.values for snapshot in history if not snapshot.next] == [12, 6, 2]
    assert places == sorted(places)
    assert check(path).is_whole


def test_an_answer_given_before_it_was_asked_is_one_all_the_same(
    tmp_path: Path, clock: Clock
) -> None:
    with DuckDBSaver(tmp_path / "threads.duckdb") as saver:

        @entrypoint(checkpointer=saver)
        def asks(topic: str) -> str:
            return f"{topic}: {interrupt('go on?')}"

        asks.invoke("cats", CONFIG)
        clock.jump_back()
        answered = asks.invoke(Command(resume="yes"), CONFIG)

        state = asks.get_state(CONFIG)

    assert answered == "cats: yes"
    assert state.values == "cats: yes"
    assert state.interrupts == ()
