"""Deleting a thread, closing a saver, and opening the same log again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nbflow._events import Record, RunFinished
from nbflow._values import Payload
from nbflow.checkpoint.leases import held
from nbflow.checkpoint.memory import InMemorySaver
from nbflow.errors import StoreClosedError, ThreadBusyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.checkpoint.base import BaseCheckpointSaver
    from tests.conformance.conftest import Place

END = RunFinished(Payload(b"done"), None, "end")


def test_a_deleted_thread_is_gone_and_the_others_stay(
    saver: BaseCheckpointSaver, started: Callable[..., Record]
) -> None:
    saver.append([started("gone", "r1"), started("kept", "r2")])

    saver.delete_thread("gone")

    assert saver.read("gone") == []
    assert saver.read("gone", run_id="r1") == []
    assert saver.head("gone") is None
    assert [head.thread_id for head in saver.heads()] == ["kept"]
    assert [record.run_id for record in saver.read("kept")] == ["r2"]


def test_a_deleted_thread_can_begin_anew(
    saver: BaseCheckpointSaver, started: Callable[..., Record]
) -> None:
    saver.append([started("t", "r1")])
    saver.delete_thread("t")

    saver.append([started("t", "r2")])

    head = saver.head("t")
    assert head is not None
    assert (head.run_id, head.runs) == ("r2", 1)
    assert [record.run_id for record in saver.read("t")] == ["r2"]


def test_a_thread_that_a_run_holds_is_not_deleted(
    saver: BaseCheckpointSaver, started: Callable[..., Record]
) -> None:
    saver.append([started("t", "r1")])

    with (
        held(saver.scope, "t", "a test"),
        pytest.raises(ThreadBusyError, match="held by a test"),
    ):
        saver.delete_thread("t", purge=True)

    assert saver.head("t") is not None
    saver.delete_thread("t", purge=True)
    assert saver.head("t") is None


def test_deleting_an_unknown_thread_writes_nothing(
    saver: BaseCheckpointSaver, started: Callable[..., Record]
) -> None:
    saver.delete_thread("nobody")
    saver.append([started("t", "r")])

    (record,) = saver.read("t")

    assert record.seq == 1


def test_a_closed_saver_refuses_to_append(
    saver: BaseCheckpointSaver, started: Callable[..., Record]
) -> None:
    saver.close()

    with pytest.raises(StoreClosedError, match="ake a new"):
        saver.append([started("t", "r")])
    with pytest.raises(StoreClosedError):
        saver.commit([started("t", "r")])


def test_closing_twice_does_nothing_more(saver: BaseCheckpointSaver) -> None:
    saver.close()

    saver.close()


def test_a_with_statement_closes_the_saver(
    place: Place, started: Callable[..., Record]
) -> None:
    with place.open() as saver:
        saver.append([started("t", "r")])

    with pytest.raises(StoreClosedError):
        saver.append([started("t", "r")])


def test_closing_writes_and_acknowledges_what_is_queued(
    saver: BaseCheckpointSaver, started: Callable[..., Record]
) -> None:
    told: list[BaseException | None] = []
    for number in range(50):
        saver.append([started(f"t{number}", "r")], told.append)

    saver.close()

    assert told == [None] * 50


def test_a_saver_names_its_place(saver: BaseCheckpointSaver) -> None:
    location = saver.location

    assert isinstance(location, str)
    assert location


def test_savers_over_different_logs_have_different_scopes(
    saver: BaseCheckpointSaver,
) -> None:
    other = InMemorySaver()

    scopes = {saver.scope, saver.scope, other.scope}

    assert len(scopes) == 2


def test_a_reopened_log_holds_everything(
    lasting_place: Place, started: Callable[..., Record]
) -> None:
    with lasting_place.open() as saver:
        saver.append([started("t", "r"), Record("t", "r", 2, END)])
        saver.append([started("other", "r")])
        before = (saver.read("t"), saver.head("t"), saver.heads())

    with lasting_place.open() as saver:
        after = (saver.read("t"), saver.head("t"), saver.heads())

    assert after == before


def test_a_reopened_log_goes_on_counting(
    lasting_place: Place, started: Callable[..., Record]
) -> None:
    with lasting_place.open() as saver:
        saver.append([started("t", "r")])

    with lasting_place.open() as saver:
        saver.append([Record("t", "r", 2, END)])

        assert [record.seq for record in saver.read("t")] == [1, 2]


def test_a_deletion_is_remembered(
    lasting_place: Place, started: Callable[..., Record]
) -> None:
    with lasting_place.open() as saver:
        saver.append([started("t", "r"), started("kept", "r")])
        saver.delete_thread("t")

    with lasting_place.open() as saver:
        assert saver.read("t") == []
        assert [head.thread_id for head in saver.heads()] == ["kept"]


def test_two_savers_on_one_log_see_each_other_at_once(
    lasting_place: Place, started: Callable[..., Record]
) -> None:
    one, other = lasting_place.open(), lasting_place.open()

    one.append([started("t", "r")])
    other.append([Record("t", "r", 2, END)])

    assert one.scope == other.scope
    assert one.read("t") == other.read("t")
    assert [type(r.event).__name__ for r in one.read("t")] == [
        "RunStarted",
        "RunFinished",
    ]
    assert one.heads() == other.heads()
    assert one.head("t") == other.head("t")


def test_closing_one_of_two_savers_leaves_the_other_open(
    lasting_place: Place, started: Callable[..., Record]
) -> None:
    one, other = lasting_place.open(), lasting_place.open()

    one.append([started("t", "r")])
    one.close()

    other.commit([Record("t", "r", 2, END)])
    assert len(other.read("t")) == 2
