"""What every store finds by namespace and filter."""

from __future__ import annotations

import operator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbflow.store.base import PutOp

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.store.base import BaseStore

PEOPLE: dict[str, dict[str, Any]] = {
    "ann": {"age": 41, "at": {"city": "Oslo", "zip": 150}, "tags": ["a", "b"]},
    "bob": {"age": 17, "at": {"city": "Bonn"}, "tags": ["a"], "note": None},
    "cat": {"age": "unknown", "at": "home"},
}


@pytest.fixture
def people(store: BaseStore) -> BaseStore:
    store.batch([PutOp(("people",), key, value) for key, value in PEOPLE.items()])
    return store


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        ({}, "ann bob cat"),
        ({"age": 41}, "ann"),
        ({"age": {"$eq": 41}}, "ann"),
        ({"age": {"$ne": 41}}, "bob cat"),
        ({"age": {"$gt": 17}}, "ann"),
        ({"age": {"$gte": 17}}, "ann bob"),
        ({"age": {"$lt": 41}}, "bob"),
        ({"age": {"$lte": 41}}, "ann bob"),
        ({"age": {"$gt": 17, "$lt": 41}}, ""),
        ({"age": {"$gte": "a"}}, "cat"),
        ({"at": {"city": "Oslo"}}, "ann"),
        ({"at": {"zip": {"$gt": 100}}}, "ann"),
        ({"at": "home"}, "cat"),
        ({"tags": ["a", "b"]}, "ann"),
        ({"tags": ["a"]}, "bob"),
        ({"missing": None}, "ann bob cat"),
        ({"missing": {"$ne": 1}}, "ann bob cat"),
        ({"missing": {"$gt": 1}}, ""),
        ({"age": 41, "at": {"city": "Bonn"}}, ""),
    ],
)
def test_a_filter_takes_what_satisfies_all_of_it(
    people: BaseStore, wanted: dict[str, Any], keys: str
) -> None:
    found = people.search(("people",), filter=wanted)

    assert [item.key for item in found] == keys.split()
    assert all(item.score is None for item in found)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"age": {"$near": 3}}, r"Unsupported operator: \$near"),
        ({"at": {"city": {"$in": ["Oslo"]}}}, r"Unsupported operator: \$in"),
        ({"age": {"$gt": 3, "city": "Oslo"}}, "mixes operators and fields"),
    ],
)
def test_a_filter_without_a_meaning_is_refused_even_where_nothing_is(
    store: BaseStore, wanted: dict[str, Any], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        store.search((), filter=wanted)


def test_times_are_compared_as_times(store: BaseStore) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    store.put(("log",), "1", {"at": at})

    assert store.search((), filter={"at": {"$lte": at}})
    assert not store.search((), filter={"at": {"$gt": at}})


def test_what_compares_to_many_answers_is_not_taken(store: BaseStore) -> None:
    store.put(("data",), "1", {"x": np.arange(3)})

    assert store.search((), filter={"x": 1}) == []


class Taking:
    """Equal to all, and deletes what it is compared for."""

    __hash__ = None  # type: ignore[assignment] # as of any class with an __eq__

    def __init__(self, store: BaseStore) -> None:
        self.store = store

    def __eq__(self, other: object) -> bool:
        self.store.delete(("n",), str(other))
        return True


def test_a_users_equality_may_use_the_store(store: BaseStore) -> None:
    store.put(("n",), "1", {"n": 1}, ttl=5)

    found = store.search((), filter={"n": Taking(store)})

    assert [item.key for item in found] == ["1"]
    assert store.get(("n",), "1") is None


def test_items_are_found_below_a_prefix_of_whole_labels(store: BaseStore) -> None:
    for namespace in (("ab",), ("a", "c"), ("a",), ("b", "a")):
        store.put(namespace, "1", {"n": 1})

    found = store.search(("a",))

    assert [item.namespace for item in found] == [("a", "c"), ("a",)]


def test_items_are_found_in_the_order_of_their_first_put(store: BaseStore) -> None:
    store.put(("b",), "1", {"n": 1})
    store.put(("a",), "2", {"n": 2})
    store.put(("b",), "3", {"n": 3})
    store.put(("b",), "1", {"n": 4})

    assert [item.value["n"] for item in store.search(())] == [4, 2, 3]


def test_a_page_is_cut_after_the_filter(store: BaseStore) -> None:
    for number in range(30):
        store.put(("n",), str(number), {"n": number, "even": number % 2 == 0})

    page = store.search(("n",), filter={"even": True}, limit=3, offset=2)

    assert [item.value["n"] for item in page] == [4, 6, 8]
    assert len(store.search(("n",))) == 10
    assert store.search(("n",), limit=0) == []
    assert store.search(("n",), offset=30) == []


@pytest.mark.parametrize("page", [{"limit": -1}, {"offset": -1}, {"limit": 1.5}])
def test_a_page_that_is_no_page_is_refused(
    store: BaseStore, page: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="Give a whole number"):
        store.search((), **page)


def test_without_an_index_a_query_says_nothing(people: BaseStore) -> None:
    found = people.search(("people",), query="who?")

    assert [(item.key, item.score) for item in found] == [
        ("ann", None),
        ("bob", None),
        ("cat", None),
    ]


@settings(deadline=None, max_examples=40)
@given(
    numbers=st.lists(st.integers(-9, 9), max_size=12),
    name=st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]),
    limit=st.integers(-9, 9),
)
def test_operators_mean_what_python_means_by_them(
    open_store: Callable[..., BaseStore], numbers: list[int], name: str, limit: int
) -> None:
    store = open_store()
    store.batch([PutOp(("n",), str(i), {"n": n}) for i, n in enumerate(numbers)])
    sign = {"ge": "$gte", "le": "$lte"}.get(name, f"${name}")

    found = store.search((), filter={"n": {sign: limit}}, limit=99)

    kept = [n for n in numbers if getattr(operator, name)(n, limit)]
    assert [item.value["n"] for item in found] == kept
