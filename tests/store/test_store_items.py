"""What every store keeps of what is put, and hands out again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbflow.errors import NbflowError, UnstorableValueError
from nbflow.serde import decode, encode
from nbflow.store.base import (
    NOT_PROVIDED,
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    PutOp,
    SearchItem,
    SearchOp,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nbflow.store.base import Op, Result
    from tests.store.conftest import FakeClock

NOTES = ("users", "ann", "notes")


def test_what_was_put_is_returned_with_where_and_when(
    store: BaseStore, clock: FakeClock
) -> None:
    store.put(NOTES, "1", {"text": "milk"})

    now = datetime.fromtimestamp(clock(), UTC)
    assert store.get(NOTES, "1") == Item(NOTES, "1", {"text": "milk"}, now, now)


def test_what_was_never_put_is_none(store: BaseStore) -> None:
    assert store.get(NOTES, "1") is None


def test_a_second_put_replaces_the_value_and_keeps_the_time_of_the_first(
    store: BaseStore, clock: FakeClock
) -> None:
    store.put(NOTES, "1", {"text": "milk"})
    clock.forward(minutes=5)
    store.put(NOTES, "1", {"done": True})

    item = store.get(NOTES, "1")

    assert item is not None
    assert item.value == {"done": True}
    assert item.updated_at - item.created_at == timedelta(minutes=5)


def test_deleted_items_are_gone_and_begin_anew(
    store: BaseStore, clock: FakeClock
) -> None:
    store.put(NOTES, "1", {"text": "milk"})
    store.delete(NOTES, "1")
    gone = store.get(NOTES, "1")
    clock.forward(minutes=1)
    store.put(NOTES, "1", {"text": "eggs"})

    item = store.get(NOTES, "1")

    assert gone is None
    assert item is not None
    assert item.created_at == item.updated_at


def test_deleting_what_is_not_there_does_nothing(store: BaseStore) -> None:
    store.delete(NOTES, "1")

    assert store.list_namespaces() == []


def test_putting_none_deletes(store: BaseStore) -> None:
    store.put(NOTES, "1", {"text": "milk"})
    store.put(NOTES, "1", None)

    assert store.get(NOTES, "1") is None


def test_keys_of_other_namespaces_are_other_items(store: BaseStore) -> None:
    store.put(("a",), "1", {"n": 1})
    store.put(("a", "b"), "1", {"n": 2})

    store.delete(("a",), "1")

    assert [item.value for item in store.search(())] == [{"n": 2}]


def test_a_key_that_is_a_number_is_its_text(store: BaseStore) -> None:
    key: Any = 7
    store.put(NOTES, key, {"n": 7})

    item = store.get(NOTES, "7")

    assert item is not None
    assert item.key == "7"
    assert store.get(NOTES, key) == item


def test_changing_a_value_after_it_was_put_changes_nothing(store: BaseStore) -> None:
    value = {"tags": ["a"]}
    store.put(NOTES, "1", value)
    value["tags"].append("b")

    item = store.get(NOTES, "1")

    assert item is not None
    assert item.value == {"tags": ["a"]}


def test_what_is_returned_is_a_copy_each_time(store: BaseStore) -> None:
    store.put(NOTES, "1", {"tags": ["a"]})
    for found in (store.get(NOTES, "1"), *store.search(NOTES)):
        assert found is not None
        found.value["tags"].append("b")

    again = store.get(NOTES, "1")

    assert again is not None
    assert again.value == {"tags": ["a"]}


def test_values_keep_their_types(store: BaseStore) -> None:
    value = {
        "when": datetime(2026, 1, 2, tzinfo=UTC),
        "pair": (1, 2),
        "kinds": {"a", "b"},
        "big": 2**80,
    }
    store.put(NOTES, "1", value)

    item = store.get(NOTES, "1")

    assert item is not None
    assert item.value == value
    assert isinstance(item.value["pair"], tuple)


def test_any_mapping_comes_back_as_a_dict(store: BaseStore) -> None:
    store.put(NOTES, "1", OrderedDict(a=1))

    item = store.get(NOTES, "1")

    assert item is not None
    assert type(item.value) is dict


@pytest.mark.parametrize("value", [["milk"], "milk", 3])
def test_a_value_that_is_no_dict_is_refused(store: BaseStore, value: Any) -> None:
    with pytest.raises(TypeError, match="a store keeps dicts"):
        store.put(NOTES, "1", value)


def test_a_value_that_cannot_be_stored_is_named_and_leaves_the_old_one(
    store: BaseStore,
) -> None:
    store.put(NOTES, "1", {"text": "milk"})

    with pytest.raises(UnstorableValueError) as caught:
        store.put(NOTES, "1", {"deep": [threading.Lock()]})

    item = store.get(NOTES, "1")
    assert caught.value.path == "value['deep'][0]"
    assert item is not None
    assert item.value == {"text": "milk"}


def test_nothing_of_a_batch_is_put_when_one_value_is_refused(store: BaseStore) -> None:
    puts = [PutOp(NOTES, "1", {"n": 1}), PutOp(NOTES, "2", {"f": lambda: None})]

    with pytest.raises(UnstorableValueError):
        store.batch(puts)

    assert store.search(()) == []


def test_a_batch_answers_each_operation_in_order(store: BaseStore) -> None:
    store.put(NOTES, "1", {"n": 1})

    results = store.batch(
        iter(
            [
                ListNamespacesOp(),
                PutOp(NOTES, "2", {"n": 2}),
                GetOp(NOTES, "1"),
                GetOp(NOTES, "none"),
                SearchOp(()),
            ]
        )
    )

    named, put, read, missing, found = results
    assert (named, put, missing) == ([NOTES], None, None)
    assert isinstance(read, Item)
    assert isinstance(found, list)
    assert len(found) == 1


def test_reads_of_a_batch_see_the_store_as_it_was_before(store: BaseStore) -> None:
    store.put(NOTES, "1", {"n": 1})

    _, read = store.batch([PutOp(NOTES, "1", {"n": 2}), GetOp(NOTES, "1")])

    after = store.get(NOTES, "1")
    assert isinstance(read, Item)
    assert after is not None
    assert (read.value, after.value) == ({"n": 1}, {"n": 2})


def test_the_last_put_of_a_batch_counts(store: BaseStore) -> None:
    store.batch(
        [
            PutOp(NOTES, "1", {"n": 1}),
            PutOp(NOTES, "2", {"n": 1}),
            PutOp(NOTES, "1", {"n": 2}),
            PutOp(NOTES, "2", None),
        ]
    )

    assert [(i.key, i.value) for i in store.search(())] == [("1", {"n": 2})]


def test_an_empty_batch_does_nothing(store: BaseStore) -> None:
    assert store.batch([]) == []


def test_what_is_no_operation_is_refused(store: BaseStore) -> None:
    wrong: Any = ("get", NOTES, "1")

    with pytest.raises(TypeError, match="not an operation of a store"):
        store.batch([wrong])


def test_a_key_that_is_no_text_is_refused_in_a_batch(store: BaseStore) -> None:
    key: Any = 1

    with pytest.raises(TypeError, match="a key is a text"):
        store.batch([GetOp(NOTES, key)])


async def test_the_async_names_do_the_same(store: BaseStore) -> None:
    await store.aput(NOTES, "1", {"n": 1})
    await store.aput(NOTES, "2", {"n": 2})
    await store.adelete(NOTES, "2")

    item = await store.aget(NOTES, "1")

    assert item == store.get(NOTES, "1")
    assert await store.asearch((), filter={"n": 1}) == store.search(())
    assert await store.alist_namespaces(prefix=("users",)) == [NOTES]
    assert await store.abatch([GetOp(NOTES, "1")]) == [item]


def test_many_threads_lose_nothing(store: BaseStore) -> None:
    def work(number: int) -> None:
        for step in range(20):
            store.put(("t", str(number)), str(step), {"n": step})
            store.search(("t",), limit=3)
            store.delete(("t", str(number)), str(step - 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))

    left = store.search((), limit=1000)
    assert [item.value for item in left] == [{"n": 19}] * 8


class Foreign(BaseStore):
    """A store that writes `batch` only, and knows no ttl."""

    def __init__(self) -> None:
        self.seen: list[Op] = []

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Note what is asked."""
        self.seen.extend(found := list(ops))
        return [None for _ in found]


def test_a_store_without_ttl_refuses_one_and_takes_none() -> None:
    store = Foreign()

    with pytest.raises(NotImplementedError, match="TTL is not supported by Foreign"):
        store.put(NOTES, "1", {}, ttl=1)

    store.put(NOTES, "1", {}, ttl=None)
    store.put(NOTES, "1", {}, ttl=NOT_PROVIDED)
    assert store.seen == [PutOp(NOTES, "1", {})] * 2


def test_what_is_not_provided_says_so_and_is_false() -> None:
    assert repr(NOT_PROVIDED) == "NOT_PROVIDED"
    assert not NOT_PROVIDED


def test_items_cannot_be_assigned_to(store: BaseStore) -> None:
    store.put(NOTES, "1", {"n": 1})
    item: Any = store.get(NOTES, "1")

    with pytest.raises(FrozenInstanceError):
        item.key = "2"


def test_items_say_themselves_in_json_and_come_back() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    found = SearchItem(NOTES, "1", {"n": 1}, at, at, 0.5)

    said = found.dict()

    assert said == {
        "namespace": ["users", "ann", "notes"],
        "key": "1",
        "value": {"n": 1},
        "created_at": "2026-01-02T03:04:05.000006+00:00",
        "updated_at": "2026-01-02T03:04:05.000006+00:00",
        "score": 0.5,
    }
    assert SearchItem(**said) == found
    assert len({found, SearchItem(**said)}) == 1


def test_an_item_can_be_the_result_of_a_task(store: BaseStore) -> None:
    store.put(NOTES, "1", {"n": 1})
    item = store.get(NOTES, "1")
    found = store.search(())

    assert decode(encode([item, found])) == [item, found]


KEYS = st.sampled_from(["1", "2", "3"])
SPACES = st.sampled_from([("a",), ("a", "b"), ("b",)])
STEPS = st.lists(
    st.tuples(SPACES, KEYS, st.none() | st.integers(0, 3)), min_size=1, max_size=25
)


@settings(deadline=None, max_examples=40)
@given(steps=STEPS)
def test_a_store_is_a_dict_of_what_was_put_last(
    open_store: Callable[..., BaseStore],
    steps: list[tuple[tuple[str, ...], str, int | None]],
) -> None:
    store = open_store()
    model: dict[tuple[tuple[str, ...], str], int] = {}

    for namespace, key, number in steps:
        store.put(namespace, key, None if number is None else {"n": number})
        if number is None:
            model.pop((namespace, key), None)
        else:
            model[namespace, key] = number

    found = [((i.namespace, i.key), i.value["n"]) for i in store.search((), limit=99)]
    below = [
        ((i.namespace, i.key), i.value["n"]) for i in store.search(("a",), limit=99)
    ]
    assert found == list(model.items())
    assert below == [pair for pair in model.items() if pair[0][0][0] == "a"]
    assert store.list_namespaces() == sorted({namespace for namespace, _ in model})


def test_errors_of_a_store_are_nbflows(store: BaseStore) -> None:
    with pytest.raises(NbflowError):
        store.put((), "1", {"n": 1})
