"""A run's end is told to everybody who wants to hear of it, once it is one."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from nbflow.checkpoint.memory import InMemorySaver
from nbflow.func import entrypoint
from nbflow.session.bus import Bus
from nbflow.session.following import Following
from nbflow.session.runs import RunHandle, Stretch

if TYPE_CHECKING:
    from collections.abc import Iterator

SOON_SECONDS = 10


@pytest.fixture
def may_end() -> Iterator[threading.Event]:
    """Give an event that a second stretch waits for; it is set at the test's end."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def handle(may_end: threading.Event) -> RunHandle:
    @entrypoint(checkpointer=InMemorySaver())
    def workflow(given: int) -> int:
        if given > 1:
            may_end.wait(SOON_SECONDS)
        return given

    return RunHandle(workflow, "t", Bus(), Following())


def test_who_asks_for_the_end_while_others_are_told_is_told_too(
    handle: RunHandle,
) -> None:
    ends: list[object] = []
    handle.when_ended(lambda one: one.when_ended(lambda it: ends.append(it.result())))

    handle.begin(Stretch(1))

    assert handle.wait(SOON_SECONDS)
    assert ends == [(True, 1)]


def test_a_stretch_that_begins_as_another_ends_is_waited_for(
    handle: RunHandle, may_end: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_ended, tell = threading.Event(), handle._done.set
    beginning = threading.Thread(target=handle.begin, args=[Stretch(2)])

    def tell_late() -> None:
        beginning.start()
        beginning.join(0.1)
        tell()
        has_ended.set()

    with monkeypatch.context() as patched:
        patched.setattr(handle._done, "set", tell_late)
        handle.begin(Stretch(1))
        assert has_ended.wait(SOON_SECONDS)
        beginning.join(SOON_SECONDS)

    assert not handle.wait(0)
    may_end.set()
    assert handle.wait(SOON_SECONDS)
    assert handle.result() == (True, 2)


def test_a_listener_that_fails_keeps_nobody_waiting(
    handle: RunHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)

    def fail(_: RunHandle) -> None:
        raise ValueError("its own")

    handle.when_ended(fail)
    handle.begin(Stretch(1))

    assert handle.wait(SOON_SECONDS)
    assert not handle.is_working
    while not seen:
        time.sleep(0.001)
