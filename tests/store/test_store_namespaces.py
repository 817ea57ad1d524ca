"""Which namespaces every store takes, and how it names them."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from nbflow.store.base import (
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
)

if TYPE_CHECKING:
    from nbflow.store.base import BaseStore
    from tests.store.conftest import FakeClock

SPACES = [
    ("a", "b", "c"),
    ("a", "b", "d", "e"),
    ("a", "b", "d", "i"),
    ("a", "b", "f"),
    ("a", "c", "f"),
    ("b", "a", "f"),
]


@pytest.fixture
def filled(store: BaseStore) -> BaseStore:
    store.batch([PutOp(namespace, "1", {"n": 1}) for namespace in reversed(SPACES)])
    return store


@pytest.mark.parametrize(
    ("namespace", "why"),
    [
        ((), "cannot be empty"),
        (("langgraph", "a"), 'cannot be "langgraph"'),
        (("nbflow",), 'cannot be "nbflow"'),
        (("a", "b.c"), "cannot contain periods"),
        (("a", "b\x00c"), "cannot contain NUL"),
        (("a", ""), "cannot be empty strings"),
        (("a", 1), "must be strings, but got int"),
        ("users", "is a tuple of labels"),
        (["users"], "is a tuple of labels"),
    ],
)
def test_a_namespace_that_cannot_be_used_is_refused(
    store: BaseStore, namespace: Any, why: str
) -> None:
    with pytest.raises(InvalidNamespaceError, match=why):
        store.put(namespace, "1", {"n": 1})

    with pytest.raises(InvalidNamespaceError, match=why):
        store.batch([PutOp(("a",), "1", {"n": 1}), PutOp(namespace, "1", {"n": 1})])

    assert store.search(()) == []


@pytest.mark.parametrize("namespace", ["users", ("a", ""), ("a.b",), (1,)])
def test_a_namespace_is_looked_at_in_reads_too(
    store: BaseStore, namespace: Any
) -> None:
    with pytest.raises(InvalidNamespaceError):
        store.get(namespace, "1")
    with pytest.raises(InvalidNamespaceError):
        store.search(namespace)
    with pytest.raises(InvalidNamespaceError):
        store.delete(namespace, "1")
    with pytest.raises(InvalidNamespaceError):
        store.list_namespaces(prefix=namespace)


def test_reserved_and_empty_namespaces_can_be_asked_for(store: BaseStore) -> None:
    assert store.get(("langgraph",), "1") is None
    assert store.batch([GetOp((), "1")]) == [None]


def test_the_error_crosses_processes() -> None:
    error = InvalidNamespaceError("Namespace cannot be empty.")

    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301


def test_reserved_labels_may_stand_below_the_root(store: BaseStore) -> None:
    store.put(("users", "langgraph"), "1", {"n": 1})

    assert store.list_namespaces() == [("users", "langgraph")]


def test_all_namespaces_are_named_in_order(filled: BaseStore) -> None:
    assert filled.list_namespaces() == SPACES


def test_a_prefix_leaves_out_the_others(filled: BaseStore) -> None:
    named = filled.list_namespaces(prefix=("a", "b"), max_depth=3)

    assert named == [("a", "b", "c"), ("a", "b", "d"), ("a", "b", "f")]


def test_a_suffix_leaves_out_the_others(filled: BaseStore) -> None:
    named = filled.list_namespaces(suffix=("f",))

    assert named == [("a", "b", "f"), ("a", "c", "f"), ("b", "a", "f")]


def test_a_star_stands_for_any_one_label(filled: BaseStore) -> None:
    by_prefix = filled.list_namespaces(prefix=("a", "*", "f"))
    by_suffix = filled.list_namespaces(suffix=("d", "*"))

    assert by_prefix == [("a", "b", "f"), ("a", "c", "f")]
    assert by_suffix == [("a", "b", "d", "e"), ("a", "b", "d", "i")]


def test_prefix_and_suffix_both_have_to_fit(filled: BaseStore) -> None:
    named = filled.list_namespaces(prefix=("a", "b"), suffix=("f",))

    assert named == [("a", "b", "f")]


def test_a_pattern_longer_than_a_namespace_does_not_fit(filled: BaseStore) -> None:
    assert filled.list_namespaces(prefix=("a", "b", "c", "*")) == []


def test_namespaces_are_cut_before_they_are_counted(filled: BaseStore) -> None:
    first = filled.list_namespaces(max_depth=2, limit=2)
    rest = filled.list_namespaces(max_depth=2, limit=2, offset=2)

    assert (first, rest) == ([("a", "b"), ("a", "c")], [("b", "a")])


def test_namespaces_without_items_are_not_named(
    filled: BaseStore, clock: FakeClock
) -> None:
    filled.delete(("a", "b", "c"), "1")
    filled.put(("short",), "1", {"n": 1}, ttl=1)
    clock.forward(minutes=1)

    assert filled.list_namespaces() == SPACES[1:]


def test_the_depth_has_to_be_more_than_nothing(store: BaseStore) -> None:
    with pytest.raises(ValueError, match="max_depth is 0"):
        store.list_namespaces(max_depth=0)


def test_a_pattern_of_another_kind_is_refused(store: BaseStore) -> None:
    kind: Any = "infix"

    with pytest.raises(ValueError, match="Unsupported match type"):
        store.batch([ListNamespacesOp((MatchCondition(kind, ("a",)),))])
