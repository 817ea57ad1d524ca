"""A followed run: who is told what, how often, and on which thread."""

# ruff: noqa: D102
from __future__ import annotations

import contextvars
import logging
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from nbflow.session.following import Following

if TYPE_CHECKING:
    import pytest

    from nbflow.session.views import RunView
    from tests.session.conftest import RunLog

SOON_SECONDS = 5
where: contextvars.ContextVar[str] = contextvars.ContextVar("where", default="nowhere")


class Ear:
    """Keeps the views it is told, with times and threads."""

    def __init__(self, wanted: int = 1) -> None:
        self.views: list[RunView] = []
        self.times: list[float] = []
        self.threads: set[str] = set()
        self.contexts: set[str] = set()
        self.wanted = wanted
        self.heard = threading.Event()

    def __call__(self, view: RunView) -> None:
        self.views.append(view)
        self.times.append(time.monotonic())
        self.threads.add(threading.current_thread().name)
        self.contexts.add(where.get())
        if len(self.views) >= self.wanted:
            self.heard.set()


def ends(following: Following) -> bool:
    """Return whether the telling thread ends soon."""
    deadline = time.monotonic() + SOON_SECONDS
    while following.is_telling and time.monotonic() < deadline:
        time.sleep(0.005)
    return not following.is_telling


def test_a_listener_is_told_soon_from_another_thread_in_the_writer_s_context(
    log: RunLog,
) -> None:
    following, ear = Following(), Ear()
    following.listen(ear)
    where.set("cell 7")

    following.show(log.start().records)

    assert ear.heard.wait(SOON_SECONDS)
    assert ear.threads == {"nbflow-panel"}
    assert ear.contexts == {"cell 7"}
    assert ear.views == [log.view]


def test_news_in_quick_succession_are_told_together_and_none_is_lost(
    log: RunLog,
) -> None:
    following, ear = Following(), Ear()
    following.listen(ear, interval_seconds=0.05)

    following.show(log.start().records)
    assert ear.heard.wait(SOON_SECONDS)
    for n in range(500):
        following.show(log.write(n).records[-1:])
        time.sleep(0.0002)
    following.flush()

    *paced, _ = pairwise(ear.times)  # The last one was asked for.
    assert all(b - a >= 0.05 for a, b in paced)
    assert ear.views[-1] == log.view
    told = [view.seen for view in ear.views]
    assert told == sorted(set(told))


def test_each_listener_has_its_own_pace(log: RunLog) -> None:
    following, quick, slow = Following(), Ear(4), Ear(2)
    following.listen(quick, interval_seconds=0.01)
    following.listen(slow, interval_seconds=0.2)

    log.start()
    while not (quick.heard.is_set() and slow.heard.is_set()):
        following.show(log.write(1).records[-1:])
        time.sleep(0.003)
    following.close()

    assert slow.times[1] - slow.times[0] >= 0.2
    assert min(b - a for a, b in pairwise(quick.times)) < 0.2


def test_a_slow_listener_is_called_less_often(log: RunLog) -> None:
    following, ear = Following(), Ear(3)

    def listen(view: RunView) -> None:
        ear(view)
        time.sleep(0.03)

    following.listen(listen, interval_seconds=0.001)
    log.start()
    while not ear.heard.is_set():
        following.show(log.write(1).records[-1:])
        time.sleep(0.001)

    gaps = [b - a for a, b in pairwise(ear.times)]
    assert min(gaps) >= 0.03 + 3 * 0.03


def test_an_end_is_told_before_show_returns(log: RunLog) -> None:
    following, ear = Following(), Ear()
    following.listen(ear)

    following.show(log.start().end().records)

    assert [view.status for view in ear.views] == ["finished"]
    assert threading.current_thread().name in ear.threads


def test_a_look_at_the_view_takes_no_news_from_listeners(log: RunLog) -> None:
    following, ear = Following(), Ear()
    following.listen(ear)
    following.telling.acquire()

    following.show(log.start().records)
    seen = following.view
    following.telling.release()

    assert seen == log.view
    assert ear.heard.wait(SOON_SECONDS)


def test_who_has_an_older_view_is_told_the_newest_before_listening_begins(
    log: RunLog,
) -> None:
    following, behind, abreast = Following(), Ear(), Ear()
    old = following.view
    following.show(log.start().end(1).records)

    following.listen(behind, told=old)
    following.listen(abreast, told=following.view)

    assert behind.views == [log.view]
    assert abreast.views == []


def test_a_failing_listener_harms_no_other(
    log: RunLog, caplog: pytest.LogCaptureFixture
) -> None:
    following, ear = Following(), Ear()

    def fail(_view: RunView) -> None:
        raise OSError("the page is gone")

    following.listen(fail)
    following.listen(ear)
    with caplog.at_level(logging.ERROR):
        following.show(log.start().end().records)

    assert len(ear.views) == 1
    assert "the page is gone" in caplog.text


def test_who_stopped_listening_hears_nothing(log: RunLog) -> None:
    following, ear = Following(), Ear()
    stop = following.listen(ear)

    stop()
    stop()
    following.show(log.start().end().records)

    assert ear.views == []


def test_another_view_takes_the_place_of_this_one(log: RunLog) -> None:
    following, ear = Following(log.start().view), Ear()
    following.listen(ear)

    following.update(log.end().view)

    assert ear.heard.wait(SOON_SECONDS)
    assert following.view.status == "finished"


def test_the_telling_thread_ends_when_there_is_nothing_to_tell(log: RunLog) -> None:
    following, ear = Following(), Ear()
    following.listen(ear, interval_seconds=0.01)

    following.show(log.start().records)

    assert ear.heard.wait(SOON_SECONDS)
    assert ends(following)


def test_a_quick_listener_does_not_wait_for_a_slow_one(log: RunLog) -> None:
    following, quick, slow = Following(), Ear(2), Ear()
    following.listen(quick, interval_seconds=0.01)
    following.listen(slow, interval_seconds=60)

    following.show(log.start().records)
    assert slow.heard.wait(SOON_SECONDS)
    for n in range(3):
        following.show(log.write(n).records[-1:])
        time.sleep(0.05)

    assert quick.heard.wait(SOON_SECONDS)
    assert len(slow.views) == 1
    following.close()


def test_a_closed_one_has_told_all_and_tells_no_more(log: RunLog) -> None:
    following, ear = Following(), Ear()
    following.listen(ear, interval_seconds=60)
    following.show(log.start().records)
    assert ear.heard.wait(SOON_SECONDS)
    following.show(log.write("late").records[-1:])

    following.close()
    following.show(log.end().records[-1:])

    assert [view.stream_total for view in ear.views] == [0, 1]
    assert following.view.status == "finished"
    assert ends(following)


def test_records_from_many_threads_are_all_told(log: RunLog) -> None:
    following, ear = Following(log.start().view), Ear()
    following.listen(ear)
    log.write("x")
    (record,) = log.records[1:]

    def work() -> None:
        for _ in range(500):
            following.show([record])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    following.flush()

    assert ear.views[-1].stream_total == 2_000
