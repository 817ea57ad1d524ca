"""What every cache promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbflow.errors import UnstorableValueError
from nbflow.serde import encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.cache.base import BaseCache, FullKey
    from tests.cache.conftest import FakeClock

SPACE = ("prices",)
KEY = (SPACE, "today")
HOSTILE = (
    "",
    "a'b",
    'a"b',
    "'; DROP TABLE log; --",
    "?",
    "$1",
    "%s",
    "a.b",
    "a\x00b",
    "\\",
    "\n",
    "日本 🐍",
    "[1, 2]",
    "null",
)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes(timezones=st.just(UTC))
    | st.decimals(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=10,
)


@dataclass(frozen=True)
class Price:
    """A value of a user's own class."""

    amount: Decimal
    at: datetime


def test_what_was_set_is_returned_and_what_was_not_is_left_out(
    cache: BaseCache,
) -> None:
    price = Price(Decimal("4.20"), datetime(2026, 1, 1, tzinfo=UTC))

    cache.set({KEY: (price, None), (SPACE, "none"): (None, None)})

    found = cache.get([KEY, (SPACE, "none"), (SPACE, "tomorrow"), (("x",), "today")])
    assert found == {KEY: price, (SPACE, "none"): None}


def test_a_key_that_is_asked_for_twice_and_no_key_at_all_are_fine(
    cache: BaseCache,
) -> None:
    cache.set({KEY: (1, None)})
    cache.set({})

    assert cache.get([KEY, KEY]) == {KEY: 1}
    assert cache.get([]) == {}


def test_a_later_value_stands_in_place_of_the_earlier_one(cache: BaseCache) -> None:
    cache.set({KEY: (1, None)})
    cache.set({KEY: (2, None)})

    assert cache.get([KEY]) == {KEY: 2}


@settings(max_examples=30, deadline=None)
@given(value=values)
def test_a_value_comes_back_with_the_same_bytes(
    open_cache: Callable[..., BaseCache], value: Any
) -> None:
    cache = open_cache()

    cache.set({KEY: (value, None)})

    assert encode(cache.get([KEY])[KEY]) == encode(value)


def test_each_get_returns_a_fresh_copy(cache: BaseCache) -> None:
    value = {"rows": [1]}
    cache.set({KEY: (value, None)})

    value["rows"].append(2)
    cache.get([KEY])[KEY]["rows"].append(3)

    assert cache.get([KEY])[KEY] == {"rows": [1]}


def test_a_value_is_gone_when_its_seconds_are_over(
    cache: BaseCache, clock: FakeClock
) -> None:
    cache.set({KEY: (1, 60), (SPACE, "soon"): (2, 0.5), (SPACE, "kept"): (3, None)})

    clock.forward(59.9)

    assert cache.get([KEY, (SPACE, "soon"), (SPACE, "kept")]) == {
        KEY: 1,
        (SPACE, "kept"): 3,
    }
    clock.forward(0.1)
    assert cache.get([KEY, (SPACE, "kept")]) == {(SPACE, "kept"): 3}


def test_setting_a_value_again_lets_its_time_run_from_the_start(
    cache: BaseCache, clock: FakeClock
) -> None:
    cache.set({KEY: (1, 60)})
    clock.forward(50)

    cache.set({KEY: (1, 60)})

    clock.forward(50)
    assert cache.get([KEY]) == {KEY: 1}


def test_reading_a_value_does_not_prolong_it(
    cache: BaseCache, clock: FakeClock
) -> None:
    cache.set({KEY: (1, 60)})
    clock.forward(50)

    cache.get([KEY])

    clock.forward(50)
    assert cache.get([KEY]) == {}


def test_many_values_that_are_over_leave_room(
    cache: BaseCache, clock: FakeClock
) -> None:
    cache.set({(("old", str(n)), "k"): (n, 60) for n in range(50)})
    clock.forward(3600)

    cache.set({KEY: (1, None)})

    assert cache.get([(("old", "7"), "k"), KEY]) == {KEY: 1}


def test_clear_forgets_exactly_the_named_namespaces(cache: BaseCache) -> None:
    below, beside = (("prices", "old"), "k"), (("rates",), "k")
    cache.set({KEY: (1, None), below: (2, None), beside: (3, None)})

    cache.clear([SPACE])

    assert cache.get([KEY, below, beside]) == {below: 2, beside: 3}


def test_clear_forgets_everything_when_nothing_is_named(cache: BaseCache) -> None:
    cache.set({KEY: (1, None), ((), "root"): (2, None)})

    cache.clear()

    assert cache.get([KEY, ((), "root")]) == {}


def test_clearing_no_namespace_forgets_nothing(cache: BaseCache) -> None:
    cache.set({KEY: (1, None)})

    cache.clear([])
    cache.clear([("unknown",)])

    assert cache.get([KEY]) == {KEY: 1}


def test_a_value_can_be_set_again_after_a_clear(cache: BaseCache) -> None:
    cache.set({KEY: (1, None)})
    cache.clear([SPACE])

    cache.set({KEY: (2, None)})

    assert cache.get([KEY]) == {KEY: 2}


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_is_a_label_and_a_key(cache: BaseCache, text: str) -> None:
    key: FullKey = ((text, text), text)

    cache.set({key: (text, None), KEY: (1, None)})
    found = cache.get([key])
    cache.clear([key[0]])

    assert found == {key: text}
    assert cache.get([key, KEY]) == {KEY: 1}


def test_namespaces_that_read_alike_are_kept_apart(cache: BaseCache) -> None:
    spaces = [("a", "b"), ("a.b",), ("a,b",), ("a", "b", ""), ("ab",), ()]
    cache.set({(space, "k"): (n, None) for n, space in enumerate(spaces)})

    found = cache.get([(space, "k") for space in spaces])

    assert list(found.values()) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_key_that_was_never_set_finds_nothing(
    cache: BaseCache, text: str
) -> None:
    cache.set({KEY: (1, None)})

    assert cache.get([((text,), text)]) == {}


def test_nothing_is_kept_when_one_value_cannot_be(cache: BaseCache) -> None:
    with pytest.raises(UnstorableValueError, match=r"\['f'\]"):
        cache.set({KEY: (1, None), (SPACE, "bad"): ({"f": lambda: 0}, None)})

    assert cache.get([KEY]) == {}


def test_a_value_that_holds_a_secret_is_not_kept(cache: BaseCache) -> None:
    pydantic = pytest.importorskip("pydantic")
    cache.set({KEY: (1, None), (SPACE, "open"): (1, None)})

    cache.set({KEY: ({"token": pydantic.SecretStr("s3cret")}, None)})

    assert cache.get([KEY, (SPACE, "open")]) == {(SPACE, "open"): 1}


def test_a_value_whose_class_is_not_known_any_more_is_no_hit(
    cache: BaseCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: Any = dataclass(type("Gone", (), {}))
    monkeypatch.setitem(globals(), "Gone", gone)
    cache.set({KEY: (gone(), None), (SPACE, "plain"): (1, None)})

    monkeypatch.delitem(globals(), "Gone")

    assert cache.get([KEY, (SPACE, "plain")]) == {(SPACE, "plain"): 1}


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), "60", True, timedelta(1)])
def test_a_time_that_means_nothing_is_refused(cache: BaseCache, ttl: Any) -> None:
    with pytest.raises(ValueError, match="Give seconds"):
        cache.set({KEY: (1, ttl)})

    assert cache.get([KEY]) == {}


@pytest.mark.parametrize(
    "key",
    ["today", ("prices", "today"), (SPACE,), (SPACE, 1), ((1,), "k"), (["x"], "k")],
)
def test_what_is_no_key_is_refused(cache: BaseCache, key: Any) -> None:
    with pytest.raises(TypeError):
        cache.get([key])


@pytest.mark.parametrize("namespaces", ["prices", ["prices"], [(1,)]])
def test_what_is_no_namespace_is_refused(cache: BaseCache, namespaces: Any) -> None:
    cache.set({KEY: (1, None)})

    with pytest.raises(TypeError):
        cache.clear(namespaces)

    assert cache.get([KEY]) == {KEY: 1}


async def test_the_async_names_do_the_same(cache: BaseCache) -> None:
    await cache.aset({KEY: (1, None), (("rates",), "k"): (2, None)})

    assert await cache.aget([KEY]) == {KEY: 1}
    await cache.aclear([SPACE])
    assert await cache.aget([KEY, (("rates",), "k")]) == {(("rates",), "k"): 2}
    await cache.aclear()
    assert await cache.aget([(("rates",), "k")]) == {}


def test_many_threads_lose_nothing(cache: BaseCache) -> None:
    def work(lane: int) -> list[Any]:
        seen = []
        for n in range(20):
            key = ((f"lane {lane}",), str(n))
            cache.set({key: ([lane, n], None), KEY: ((lane, n), None)})
            seen.append(cache.get([key])[key])
            assert len(cache.get([KEY])[KEY]) == 2
        return seen

    with ThreadPoolExecutor(16) as pool:
        seen = list(pool.map(work, range(16)))

    assert seen == [[[lane, n] for n in range(20)] for lane in range(16)]
    keys: list[FullKey] = [
        ((f"lane {i}",), str(n)) for i in range(16) for n in range(20)
    ]
    assert len(cache.get(keys)) == 320
