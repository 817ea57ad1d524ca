"""What is appended is what is read: order, filters, togetherness."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbflow._events import Custom, Record, TaskFinished
from nbflow._values import UNSET, Payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import DataObject, SearchStrategy

    from nbflow._events import Event
    from nbflow.checkpoint.base import BaseCheckpointSaver

SETTINGS = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def written(thread_id: str, text: str, run_id: str = "r") -> Record:
    return Record(thread_id, run_id, 1, Custom("", Payload(text.encode())))


def texts(records: list[Record]) -> list[str]:
    return [r.event.data.data.decode() for r in records]  # type: ignore[union-attr]


def test_an_unknown_thread_has_no_records(saver: BaseCheckpointSaver) -> None:
    found = saver.read("nobody")

    assert found == []


def test_what_is_appended_is_read_at_once_and_in_order(
    saver: BaseCheckpointSaver,
) -> None:
    for number in range(20):
        saver.append([written("t", f"{number}a"), written("t", f"{number}b")])

    found = texts(saver.read("t"))

    assert found == [f"{number}{half}" for number in range(20) for half in "ab"]


def test_places_in_the_log_begin_at_one_and_have_no_gaps(
    saver: BaseCheckpointSaver,
) -> None:
    for number in range(9):
        saver.append([written(f"t{number % 3}", str(number))])

    found = itertools.chain(*(saver.read(f"t{number}") for number in range(3)))

    assert sorted(record.seq for record in found) == list(range(1, 10))


@pytest.mark.timeout(120)
def test_every_kind_of_event_comes_back_equal(
    saver: BaseCheckpointSaver,
    new_thread: Callable[[], str],
    events_of_one_kind: SearchStrategy[Event],
) -> None:
    @SETTINGS
    @given(st.lists(events_of_one_kind, min_size=1, max_size=4))
    def comes_back(events: list[Event]) -> None:
        thread_id = new_thread()
        records = [Record(thread_id, "r", at, e) for at, e in enumerate(events)]

        saver.append(records)

        is_deleted = type(events[0]).__name__ == "ThreadDeleted"
        found = saver.read(thread_id)
        assert [r.event for r in found] == ([] if is_deleted else events)
        assert [r.at for r in found] == ([] if is_deleted else list(range(len(events))))

    comes_back()


def test_a_payload_comes_back_as_bytes_without_the_object(
    saver: BaseCheckpointSaver,
) -> None:
    payload = Payload(b"\x00\xff" * 5_000, live=object())
    saver.append([Record("t", "r", 1, TaskFinished("c", payload))])

    (record,) = saver.read("t")

    assert isinstance(record.event, TaskFinished)
    assert record.event.result.data == b"\x00\xff" * 5_000
    assert record.event.result.live is UNSET


def test_a_run_is_read_from_its_first_record_to_its_last(
    saver: BaseCheckpointSaver, started: Callable[..., Record]
) -> None:
    for run_id in ("r1", "r2"):
        saver.append([started("t", run_id), written("t", "middle", run_id)])
        saver.append([written("t", "end", run_id)])

    found = {run_id: saver.read("t", run_id=run_id) for run_id in ("r1", "r2")}

    assert {run_id: [r.seq for r in records] for run_id, records in found.items()} == {
        "r1": [1, 2, 3],
        "r2": [4, 5, 6],
    }


@pytest.mark.timeout(120)
def test_filters_choose_what_a_plain_filter_would_choose(
    saver: BaseCheckpointSaver,
    new_thread: Callable[[], str],
    histories: Callable[[tuple[str, ...]], SearchStrategy[list[Record]]],
) -> None:
    @SETTINGS
    @given(st.data())
    def chooses(data: DataObject) -> None:
        thread_ids = (new_thread(), new_thread())
        records = data.draw(histories(thread_ids))
        saver.append(records)
        everything = saver.read(thread_ids[0])
        seqs = [record.seq for record in everything]
        choice: dict[str, Any] = {
            "run_id": data.draw(st.none() | st.sampled_from(["r1", "r2", "none"])),
            "kinds": data.draw(
                st.none()
                | st.sets(st.sampled_from(["RunStarted", "TaskFinished", "RunFailed"]))
            ),
            "after": dict(enumerate(seqs)).get(data.draw(st.integers(0, 9)), 0),
            "before": dict(enumerate(seqs)).get(data.draw(st.integers(0, 40))),
            "newest_first": data.draw(st.booleans()),
            "limit": data.draw(st.none() | st.integers(0, 4)),
        }

        found = saver.read(thread_ids[0], **choice)

        assert found == chosen(everything, **choice)

    chooses()


def chosen(
    records: list[Record],
    *,
    run_id: str | None,
    kinds: set[str] | None,
    after: int,
    before: int | None,
    newest_first: bool,
    limit: int | None,
) -> list[Record]:
    left = [
        record
        for record in records
        if record.seq > after
        and (before is None or record.seq < before)
        and run_id in (None, record.run_id)
        and (kinds is None or type(record.event).__name__ in kinds)
    ]
    return (left[::-1] if newest_first else left)[:limit]


def test_a_group_is_seen_whole_or_not_at_all(saver: BaseCheckpointSaver) -> None:
    counts: list[int] = []
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            counts.append(len(saver.read("t")))

    with ThreadPoolExecutor() as pool:
        looking = pool.submit(look)
        for _ in range(40):
            saver.append([written("t", half) for half in "abc"])
        is_over.set()
        looking.result()

    assert {count % 3 for count in counts} == {0}


def test_threads_that_append_at_once_keep_their_own_order(
    saver: BaseCheckpointSaver,
) -> None:
    def work(name: str) -> None:
        for number in range(50):
            saver.append([written(name, str(number)), written("shared", name)])

    names = [f"worker {number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, names))

    own = {name: texts(saver.read(name)) for name in names}
    shared = saver.read("shared")
    assert own == {name: [str(number) for number in range(50)] for name in names}
    assert sorted(texts(shared)) == sorted(names * 50)
    assert [r.seq for r in shared] == sorted({r.seq for r in shared})


def test_each_append_is_acknowledged_exactly_once(saver: BaseCheckpointSaver) -> None:
    told: list[tuple[int, BaseException | None]] = []

    def work(start: int) -> None:
        for number in range(start, start + 50):
            saver.append(
                [written("t", str(number))],
                lambda error, number=number: told.append((number, error)),  # type: ignore[misc]
            )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(0, 200, 50)))
    saver.commit([])

    assert sorted(told) == [(number, None) for number in range(200)]


def test_an_empty_append_is_acknowledged_in_its_turn(
    saver: BaseCheckpointSaver,
) -> None:
    told: list[str] = []
    is_told = threading.Event()

    saver.append([written("t", "a")], lambda _: told.append("first"))
    saver.append([], lambda _: told.append("empty"))
    saver.append([written("t", "b")], lambda _: is_told.set())

    assert is_told.wait(10)
    assert told == ["first", "empty"]


def test_what_is_acknowledged_covers_what_was_appended_before(
    saver: BaseCheckpointSaver,
) -> None:
    seen: list[int] = []
    for _ in range(10):
        saver.append([written("t", "queued")])

    saver.commit([written("t", "last")])
    seen = [record.seq for record in saver.read("t")]

    assert seen == list(range(1, 12))
