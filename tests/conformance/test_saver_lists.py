"""The newest threads, and what waits for a person, without a look at everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from nbflow._events import (
    Answered,
    Interrupted,
    Record,
    RunInterrupted,
    RunSuperseded,
    TaskCalled,
)
from nbflow._values import Payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._events import Event
    from nbflow.checkpoint.base import BaseCheckpointSaver
    from tests.conformance.conftest import Place


def asked(interrupt_id: str, parent_id: str = "") -> Interrupted:
    return Interrupted(interrupt_id, parent_id, "place", Payload(b"sure?"), "key")


def fill(saver: BaseCheckpointSaver, started: Callable[..., Record]) -> None:
    """Write four threads: one asks twice, one was answered, one superseded."""
    runs: dict[str, list[Event]] = {
        "asks": [
            TaskCalled("c", "", "place", "check", "code", "key", "()"),
            asked("i"),
            asked("j", "c"),
            RunInterrupted(("i", "j")),
        ],
        "answered": [asked("k"), RunInterrupted(("k",)), Answered("k", Payload(), "")],
        "superseded": [asked("l"), RunInterrupted(("l",)), RunSuperseded("next")],
        "plain": [],
    }
    for at, (thread_id, events) in enumerate(runs.items(), 2):
        begin = msgspec.structs.replace(started(thread_id, "r"), at=at)
        records = [Record(thread_id, "r", at, event) for event in events]
        saver.commit([begin, *records])


def test_the_newest_threads_are_the_first_of_all(
    place: Place, started: Callable[..., Record]
) -> None:
    with place.open() as saver:
        for number in range(9):
            saver.commit([started(f"t{number}", "r")])
        saver.delete_thread("t7")

        found = [saver.newest(limit) for limit in (0, 1, 3, 99)]

        assert [len(heads) for heads in found] == [0, 1, 3, 8]
        assert found[3] == saver.heads()
        assert all(head in saver.heads() for head in found[2])


def test_questions_are_those_that_wait(
    saver: BaseCheckpointSaver, started: Callable[..., Record]
) -> None:
    fill(saver, started)

    found = [
        (question.head.thread_id, question.record.event.interrupt_id, question.source)  # type: ignore[union-attr]
        for question in saver.questions()
    ]

    assert found == [("asks", "i", ""), ("asks", "j", "check")]


def test_a_reopened_log_tells_the_same(
    lasting_place: Place, started: Callable[..., Record]
) -> None:
    with lasting_place.open() as saver:
        fill(saver, started)
        newest, questions = saver.newest(4), saver.questions()

    with lasting_place.open() as cold:
        assert cold.newest(4) == newest
        assert [q.record.seq for q in cold.questions()] == [
            q.record.seq for q in questions
        ]
        assert cold.heads() == newest
