"""Nothing that waits for the clock needs to wait in a test."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

import nbflow
from nbflow import RetryPolicy, entrypoint, task
from nbflow._engine import clock as seam
from nbflow.store.memory import InMemoryStore
from nbflow.testing import FakeClock

if TYPE_CHECKING:
    from nbflow.testing import FakeClock as Clock

POLICY = RetryPolicy(initial_interval=60.0, max_interval=600.0, jitter=False)


def test_a_synchronous_retry_waits_by_the_fake_clock(fake_clock: Clock) -> None:
    errors = [ConnectionError("no"), ConnectionError("still no")]

    @task(retry_policy=POLICY)
    def fetch() -> str:
        if errors:
            raise errors.pop()
        return "page"

    @entrypoint()
    def workflow(_: str) -> str:
        return fetch().result()

    begun = time.monotonic()
    assert workflow.invoke("go") == "page"
    assert fake_clock.elapsed_seconds == 60.0 + 120.0
    assert time.monotonic() - begun < 10


async def test_an_asynchronous_retry_waits_by_the_fake_clock(
    fake_clock: Clock,
) -> None:
    errors = [ConnectionError("no")]

    @task(retry_policy=POLICY)
    async def fetch() -> str:
        if errors:
            raise errors.pop()
        return "page"

    @entrypoint()
    async def workflow(_: str) -> str:
        return str(await fetch())

    assert await workflow.ainvoke("go") == "page"
    assert fake_clock.elapsed_seconds == 60.0


def test_now_is_what_the_clock_says(fake_clock: Clock) -> None:
    @entrypoint()
    def workflow(_: str) -> list[datetime]:
        first = nbflow.now()
        fake_clock.advance(3600)
        return [first, nbflow.now()]

    first, later = workflow.invoke("go")

    assert first == datetime(2030, 1, 1, tzinfo=UTC)
    assert later - first == timedelta(hours=1)


def test_a_store_forgets_by_the_clock(fake_clock: Clock) -> None:
    store = InMemoryStore(
        ttl={"default_ttl": 5, "refresh_on_read": False}, clock=fake_clock.time
    )
    store.put(("notes",), "a", {"text": "soon gone"})

    fake_clock.advance(4 * 60)
    there = store.get(("notes",), "a")
    fake_clock.advance(2 * 60)

    assert there is not None
    assert store.get(("notes",), "a") is None


def test_without_jumps_a_wait_lasts_until_the_clock_is_moved() -> None:
    errors = [ConnectionError("no")]

    @task(retry_policy=POLICY)
    def fetch() -> str:
        if errors:
            raise errors.pop()
        return "page"

    @entrypoint()
    def workflow(_: str) -> str:
        return fetch().result()

    found: list[str] = []
    with FakeClock(jumps=False) as clock:
        run = threading.Thread(target=lambda: found.append(workflow.invoke("go")))
        run.start()
        while not clock.waiting:
            time.sleep(0.001)
        clock.advance(59)
        before = found[:]
        clock.advance(1)
        run.join()

    assert before == []
    assert found == ["page"]


async def test_a_sleep_that_is_cancelled_is_no_longer_waited_for() -> None:
    clock = FakeClock(jumps=False)
    sleep = asyncio.ensure_future(clock.sleep(5))
    await asyncio.sleep(0)
    waiting = clock.waiting

    sleep.cancel()
    await asyncio.wait([sleep])

    assert (waiting, clock.waiting) == (1, 0)


def test_what_is_due_happens_in_its_order_and_at_its_time() -> None:
    clock, seen = FakeClock(), list[tuple[str, float]]()

    def note(name: str) -> None:
        seen.append((name, clock.monotonic()))

    clock.call_later(3, lambda: note("late"))
    clock.call_later(1, lambda: note("early"))
    clock.call_later(2, lambda: note("never")).cancel()
    clock.advance(2)
    before = seen[:]
    clock.advance(2)

    assert before == [("early", 1.0)]
    assert seen == [("early", 1.0), ("late", 3.0)]
    assert clock.monotonic() == 4.0


def test_the_clock_before_is_in_use_again_afterwards() -> None:
    before = seam.in_use()

    with FakeClock() as outer:
        with FakeClock() as inner:
            assert seam.in_use() is inner
        assert seam.in_use() is outer

    assert seam.in_use() is before


def test_a_clock_goes_forward_from_a_time_with_a_zone() -> None:
    with pytest.raises(ValueError, match="aware datetime"):
        FakeClock(datetime(2030, 1, 1))  # noqa: DTZ001 - what is refused
    with pytest.raises(ValueError, match="at least 0"):
        FakeClock().advance(-1)
