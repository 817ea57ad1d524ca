"""A saver fails at the write that a test names, and nothing recorded is lost."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from nbflow import entrypoint, task
from nbflow.checkpoint.memory import InMemorySaver
from nbflow.errors import StoreClosedError, StoreUnavailableError
from nbflow.testing import FailingSaver, killed_after

CONFIG: dict[str, Any] = {"configurable": {"thread_id": "t"}}


def define(saver: Any, ran: Counter[int]) -> Any:
    @task
    def double(number: int) -> int:
        ran[number] += 1
        return number * 2

    @entrypoint(checkpointer=saver)
    def workflow(number: int) -> int:
        for _ in range(3):
            number = double(number).result()
        return number

    return workflow


@pytest.mark.parametrize("n", range(1, 10))
def test_whichever_write_fails_the_run_can_be_continued(n: int) -> None:
    ran: Counter[int] = Counter()
    saver = FailingSaver(fails_at=n)
    workflow = define(saver, ran)

    with pytest.raises(StoreUnavailableError, match=f"Record {n} "):
        workflow.invoke(1, CONFIG)
    given = None if saver.head("t") else 1
    result = workflow.invoke(given, CONFIG)

    assert result == 8
    assert max(ran.values()) <= 2
    assert len(saver.failed) == 1


@pytest.mark.parametrize("n", [1, 2, 3])
def test_an_outcome_that_is_not_on_disk_is_not_used(n: int) -> None:
    ran: Counter[int] = Counter()
    saver = FailingSaver(fails_at=n, kinds={"TaskFinished"}, how="disk")
    workflow = define(saver, ran)

    with pytest.raises(StoreUnavailableError):
        workflow.invoke(1, CONFIG, durability="sync")
    result = workflow.invoke(None, CONFIG)

    assert result == 8
    assert ran == {number: 1 + (number == 2 ** (n - 1)) for number in (1, 2, 4)}


def test_a_saver_that_failed_for_good_takes_nothing_more() -> None:
    saver = FailingSaver(fails_at=4, for_good=True)
    workflow = define(saver, Counter())

    with pytest.raises(StoreClosedError):
        workflow.invoke(1, CONFIG)

    assert saver.is_closed
    assert len(saver.read("t")) == 3


def test_a_failing_saver_is_the_saver_behind_it_in_all_else() -> None:
    behind = InMemorySaver()
    saver = FailingSaver(behind, fails_at=())

    assert define(saver, Counter()).invoke(1, CONFIG) == 8
    assert saver.read("t") == behind.read("t")
    assert saver.heads() == behind.heads()
    assert (saver.scope, saver.location) == (behind.scope, behind.location)
    assert saver.written == len(behind.read("t"))
    saver.close()
    assert behind.is_closed
    assert saver.is_closed


def test_a_write_that_never_comes_is_refused() -> None:
    with pytest.raises(ValueError, match="counts from 1"):
        FailingSaver(fails_at=0)


def test_a_killed_process_leaves_the_records_it_wrote() -> None:
    ran: Counter[int] = Counter()
    saver = InMemorySaver()
    workflow = define(saver, ran)
    workflow.invoke(1, CONFIG)
    whole = saver.read("t")

    for length in range(1, len(whole) + 1):
        left = killed_after(saver, "t", length)
        assert workflow.with_saver(left).invoke(None, CONFIG) == 8

    assert killed_after(saver, "t", 0).read("t") == []
    assert saver.read("t") == whole
    with pytest.raises(ValueError, match="at least 0"):
        killed_after(saver, "t", -1)
