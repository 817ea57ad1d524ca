"""Where threads stand is the fold of what was appended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from nbflow._events import Record, RunFinished, ThreadDeleted
from nbflow._values import Payload
from nbflow.checkpoint.base import heads_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import DataObject, SearchStrategy

    from nbflow._events import Event
    from nbflow.checkpoint.base import BaseCheckpointSaver
    from tests.conformance.conftest import Place

    Histories = Callable[[tuple[str, ...]], SearchStrategy[list[Record]]]

SETTINGS = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def test_an_empty_log_has_no_heads(saver: BaseCheckpointSaver) -> None:
    heads = saver.heads()

    assert heads == []
    assert saver.head("nobody") is None


def test_heads_see_what_was_appended_a_moment_ago(
    saver: BaseCheckpointSaver, started: Callable[..., Record]
) -> None:
    saver.append([started("t", "r", step=4)])

    head = saver.head("t")

    assert head is not None
    assert (head.run_id, head.status, head.step) == ("r", "running", 4)


@pytest.mark.timeout(120)
def test_heads_are_the_fold_of_every_history(
    saver: BaseCheckpointSaver, new_thread: Callable[[], str], histories: Histories
) -> None:
    @SETTINGS
    @given(st.data())
    def agree(data: DataObject) -> None:
        thread_ids = (new_thread(), new_thread())
        records = data.draw(histories(thread_ids))
        asks_between = data.draw(st.booleans())

        for record in records:
            saver.append([record])
            if asks_between:
                saver.heads(record.thread_id)

        folded = heads_of(records)
        assert {t: saver.head(t) for t in thread_ids} == {
            t: folded.get(t) for t in thread_ids
        }
        assert {h.thread_id: h for h in saver.heads() if h.thread_id in thread_ids} == (
            folded
        )

    agree()


@pytest.mark.timeout(120)
def test_heads_of_a_reopened_log_are_the_fold_of_every_history(
    lasting_place: Place, new_thread: Callable[[], str], histories: Histories
) -> None:
    # Each example opens the log twice: too slow to make a failure smaller.
    @settings(SETTINGS, max_examples=10, phases=[Phase.generate])
    @given(st.data())
    def agree(data: DataObject) -> None:
        thread_ids = (new_thread(), new_thread())
        records = data.draw(histories(thread_ids))
        reopened = data.draw(st.integers(0, len(records)))
        asks_all = data.draw(st.booleans())
        with lasting_place.open() as saver:
            saver.append(records[:reopened])

        with lasting_place.open() as saver:
            if asks_all:
                saver.heads()
            saver.append(records[reopened:])
            one_by_one = {t: saver.head(t) for t in thread_ids}
            together = {h.thread_id: h for h in saver.heads()}
            read = {t: saver.read(t, run_id="r1") for t in thread_ids}

        folded = heads_of(records)
        assert one_by_one == {t: folded.get(t) for t in thread_ids}
        assert {t: h for t, h in together.items() if t in thread_ids} == folded
        assert {t: [r.event for r in read[t]] for t in thread_ids} == {
            t: visible(records, t, "r1") for t in thread_ids
        }

    agree()


def test_a_reopened_log_counts_all_runs_of_a_thread(
    lasting_place: Place, started: Callable[..., Record]
) -> None:
    with lasting_place.open() as saver:
        saver.append([started("t", "r1"), started("t", "r2")])

    with lasting_place.open() as saver:
        saver.append([started("t", "r3")])
        one, together = saver.head("t"), saver.heads()

    assert one is not None
    assert (one.run_id, one.runs) == ("r3", 3)
    assert together == [one]


def test_a_reopened_log_folds_what_is_appended_before_anybody_asks(
    lasting_place: Place, started: Callable[..., Record]
) -> None:
    with lasting_place.open() as saver:
        saver.append([started("t", "r1"), started("other", "r1")])

    with lasting_place.open() as saver:
        saver.commit([Record("t", "r1", 9, RunFinished(Payload(b"x"), None, "end"))])
        saver.commit([Record("other", "r1", 9, RunFinished(Payload(), None, "end"))])
        one, together = saver.head("t"), saver.heads()

    assert one is not None
    assert one.status == "finished"
    assert {head.status for head in together} == {"finished"}


def test_the_most_recently_updated_thread_comes_first(
    saver: BaseCheckpointSaver, started: Callable[..., Record]
) -> None:
    for thread_id in ("a", "b", "c"):
        saver.append([started(thread_id, "r")])
    end = RunFinished(Payload(b"done"), None, "end")

    saver.append([Record("b", "r", 30, end), Record("a", "r", 20, end)])

    assert [head.thread_id for head in saver.heads()] == ["b", "a", "c"]
    assert saver.list_threads() == saver.heads()


def visible(records: list[Record], thread_id: str, run_id: str) -> list[Event]:
    events: list[Event] = []
    for record in records:
        if record.thread_id == thread_id:
            if isinstance(record.event, ThreadDeleted):
                events.clear()
            elif record.run_id == run_id:
                events.append(record.event)
    return events
