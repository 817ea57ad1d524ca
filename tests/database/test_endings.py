"""What a thread saved last is at hand, and is what the file holds."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from nbflow._database.compact import compact
from nbflow._events import Record, RunFinished, RunStarted, ThreadDeleted
from nbflow._values import UNSET, Payload
from nbflow.checkpoint import endings
from nbflow.checkpoint.duckdb import DuckDBSaver

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def run(number: int, thread_id: str = "t", size: int = 10) -> list[Record]:
    run_id = f"{thread_id}-{number}"
    begun = RunStarted("w", Payload(b"in", "in"), "code", run_id)
    value = Payload(b"%d" % number, ["live"])
    done = RunFinished(value, Payload(bytes(size), bytearray(size)), f"{run_id}-end")
    return [Record(thread_id, run_id, 1, begun), Record(thread_id, run_id, 2, done)]


def ending(saver: DuckDBSaver, run_id: str, **given: Any) -> list[Record]:
    return saver.read(
        run_id.split("-", maxsplit=1)[0],
        run_id=run_id,
        kinds=("RunFinished",),
        newest_first=True,
        limit=1,
        **given,
    )


def test_an_ending_at_hand_is_the_one_in_the_file(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        for number in range(3):
            saver.commit(run(number))
        (at_hand,) = ending(saver, "t-2")

    with DuckDBSaver(path) as saver:
        assert ending(saver, "t-2") == [at_hand]


def test_an_ending_at_hand_holds_no_object_of_the_user(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit(run(1))
        (found,) = ending(saver, "t-1")

    assert isinstance(found.event, RunFinished)
    assert found.event.value.live is UNSET
    assert found.event.save is not None
    assert found.event.save.live is UNSET


def test_the_ending_of_an_earlier_run_is_still_found(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit([*run(1), *run(2)])

        (found,) = ending(saver, "t-1")

    assert found.event.value.data == b"1"  # type: ignore[union-attr]


def test_a_deleted_thread_has_no_ending(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit(run(1))
        saver.delete_thread("t")

        assert ending(saver, "t-1") == []


def test_an_ending_at_hand_does_not_wait_for_what_is_queued(path: Path) -> None:
    goes_on = threading.Event()

    def work(_: BaseException | None) -> None:
        goes_on.wait()

    with DuckDBSaver(path) as saver, ExitStack() as at_last:
        at_last.callback(goes_on.set)
        saver.commit(run(1))
        saver.append(run(2, "other"), work)
        saver.append(run(2)[:1])

        (found,) = ending(saver, "t-1")  # The writer is at work meanwhile.

        assert not goes_on.is_set()
    assert found.run_id == "t-1"


def test_an_ending_that_is_queued_is_waited_for(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        for number in range(200):
            saver.append(run(number))

            (found,) = ending(saver, f"t-{number}")

            assert found.run_id == f"t-{number}"


def test_a_thread_whose_deletion_is_queued_has_no_ending(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        for number in range(50):
            saver.commit(run(number))
            saver.append([Record("t", "", 3, ThreadDeleted())])

            assert ending(saver, f"t-{number}") == []


def test_an_ending_before_what_is_asked_for_is_left_out(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit(run(1))

        assert ending(saver, "t-1", after=2) == []


def test_an_ending_is_read_again_from_a_file_that_was_written_anew(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit(run(1))
        before = ending(saver, "t-1")
        compact(saver._database)

        assert ending(saver, "t-1") == before


def test_no_more_is_kept_at_hand_than_is_allowed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "KEPT_BYTES", 1_000)
    with DuckDBSaver(path) as saver:
        for number in range(5):
            saver.commit(run(number, f"t{number}", 400))

        assert len(saver._endings._records) == 2
        assert all(ending(saver, f"t{number}-{number}") for number in range(5))
