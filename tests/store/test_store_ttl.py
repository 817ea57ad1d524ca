"""How long every store keeps what was put with an end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nbflow.store.base import GetOp, PutOp
from nbflow.store.memory import InMemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.store.base import BaseStore
    from tests.store.conftest import FakeClock

NOTES = ("notes",)


def test_an_item_is_there_until_its_minutes_are_over(
    store: BaseStore, clock: FakeClock
) -> None:
    store.put(NOTES, "1", {"n": 1}, ttl=0.5)

    clock.forward(minutes=0.4)
    before = store.get(NOTES, "1", refresh_ttl=False)
    clock.forward(minutes=0.1)

    assert before is not None
    assert store.get(NOTES, "1") is None
    assert store.search(NOTES) == []


def test_items_without_an_end_are_kept(store: BaseStore, clock: FakeClock) -> None:
    store.put(NOTES, "1", {"n": 1})
    store.put(NOTES, "2", {"n": 2}, ttl=None)

    clock.forward(minutes=1e6)

    assert len(store.search(NOTES)) == 2


@pytest.mark.parametrize("how", ["get", "search"])
def test_a_read_lets_the_time_run_again(
    store: BaseStore, clock: FakeClock, how: str
) -> None:
    store.put(NOTES, "1", {"n": 1}, ttl=10)

    for _ in range(3):
        clock.forward(minutes=9)
        if how == "get":
            store.get(NOTES, "1")
        else:
            store.search(NOTES)

    assert store.get(NOTES, "1") is not None


@pytest.mark.parametrize("how", ["get", "search"])
def test_a_read_can_leave_the_time_alone(
    store: BaseStore, clock: FakeClock, how: str
) -> None:
    store.put(NOTES, "1", {"n": 1}, ttl=10)
    clock.forward(minutes=9)
    if how == "get":
        store.get(NOTES, "1", refresh_ttl=False)
    else:
        store.search(NOTES, refresh_ttl=False)

    clock.forward(minutes=1)

    assert store.get(NOTES, "1") is None


def test_only_what_a_search_returns_runs_again(
    store: BaseStore, clock: FakeClock
) -> None:
    store.put(NOTES, "1", {"n": 1}, ttl=10)
    store.put(NOTES, "2", {"n": 2}, ttl=10)
    clock.forward(minutes=9)
    store.search(NOTES, limit=1)

    clock.forward(minutes=1)

    assert [item.key for item in store.search(NOTES)] == ["1"]


def test_a_read_does_not_change_when_an_item_was_updated(
    store: BaseStore, clock: FakeClock
) -> None:
    store.put(NOTES, "1", {"n": 1}, ttl=10)
    first = store.get(NOTES, "1")

    clock.forward(minutes=5)

    assert store.get(NOTES, "1") == first


def test_a_put_decides_the_time_anew(store: BaseStore, clock: FakeClock) -> None:
    store.put(NOTES, "1", {"n": 1}, ttl=1)
    store.put(NOTES, "1", {"n": 2})
    store.put(NOTES, "2", {"n": 1})
    store.put(NOTES, "2", {"n": 2}, ttl=1)

    clock.forward(minutes=1)

    assert [item.key for item in store.search(NOTES)] == ["1"]


def test_what_was_gone_begins_anew(store: BaseStore, clock: FakeClock) -> None:
    store.put(NOTES, "1", {"n": 1}, ttl=1)
    store.put(NOTES, "2", {"n": 2})
    clock.forward(minutes=1)
    store.put(NOTES, "1", {"n": 3})

    found = store.search(NOTES)

    assert [item.key for item in found] == ["2", "1"]
    assert found[1].created_at == found[1].updated_at


def test_a_batch_that_reads_and_deletes_leaves_nothing(
    store: BaseStore, clock: FakeClock
) -> None:
    store.put(NOTES, "1", {"n": 1}, ttl=1)
    clock.forward(minutes=0.5)

    read, _ = store.batch([GetOp(NOTES, "1"), PutOp(NOTES, "1", None)])

    assert read is not None
    assert store.search(NOTES) == []


def test_the_stores_own_time_is_for_puts_that_say_none(
    open_store: Callable[..., BaseStore], clock: FakeClock
) -> None:
    store = open_store(ttl={"default_ttl": 10}, clock=clock)
    store.put(NOTES, "default", {"n": 1})
    store.put(NOTES, "longer", {"n": 2}, ttl=20)
    store.put(NOTES, "kept", {"n": 3}, ttl=None)

    clock.forward(minutes=10)
    after_ten = [item.key for item in store.search(NOTES, refresh_ttl=False)]
    clock.forward(minutes=10)
    after_twenty = [item.key for item in store.search(NOTES)]

    assert (after_ten, after_twenty) == (["longer", "kept"], ["kept"])


def test_a_store_may_leave_the_time_alone_unless_a_read_says_so(
    open_store: Callable[..., BaseStore], clock: FakeClock
) -> None:
    config = {"default_ttl": 10, "refresh_on_read": False}
    store = open_store(ttl=config, clock=clock)
    store.put(NOTES, "1", {"n": 1})
    store.put(NOTES, "2", {"n": 2})
    clock.forward(minutes=9)
    store.get(NOTES, "1")
    store.get(NOTES, "2", refresh_ttl=True)

    clock.forward(minutes=1)

    assert [item.key for item in store.search(NOTES)] == ["2"]


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf"), True, "1"])
def test_minutes_that_are_no_time_are_refused(
    store: BaseStore, open_store: Callable[..., BaseStore], minutes: Any
) -> None:
    with pytest.raises(ValueError, match="Give minutes"):
        store.put(NOTES, "1", {"n": 1}, ttl=minutes)
    with pytest.raises(ValueError, match="Give minutes"):
        open_store(ttl={"default_ttl": minutes})


def test_a_name_that_a_ttl_config_has_not_is_refused(
    open_store: Callable[..., BaseStore],
) -> None:
    with pytest.raises(ValueError, match="no 'minutes'"):
        open_store(ttl={"minutes": 5})


def test_what_is_gone_takes_no_room_after_a_while(clock: FakeClock) -> None:
    store = InMemoryStore(ttl={"sweep_interval_minutes": 2}, clock=clock)
    for number in range(5):
        store.put(("short", str(number)), "1", {"n": number}, ttl=1)
    store.put(NOTES, "short", {"n": 1}, ttl=1)
    store.put(NOTES, "kept", {"n": 1})

    clock.forward(minutes=2)
    store.batch([])

    held = [key for entries in store._entries.values() for key in entries]
    assert held == ["kept"]
