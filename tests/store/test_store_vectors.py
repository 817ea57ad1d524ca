"""What every store finds by how near it is."""

from __future__ import annotations

import asyncio
import math
import random
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import DeterministicFakeEmbedding

from nbflow.store.base import PutOp, SearchOp
from nbflow.store.vectors import cosines, index_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.store.base import BaseStore

DOCS = ("docs",)


@pytest.fixture
def indexed(open_store: Callable[..., BaseStore], letters: dict[str, Any]) -> BaseStore:
    store = open_store(index=letters)
    store.put(DOCS, "none", {"title": "no text"})
    store.put(DOCS, "bird", {"text": "bird", "kind": "animal"})
    store.put(DOCS, "third", {"text": "third", "kind": "number"})
    store.put(DOCS, "oxo", {"text": "oxo", "kind": "animal"})
    return store


def _scores(store: BaseStore, query: str, **more: Any) -> list[tuple[str, Any]]:
    found = store.search(DOCS, query=query, **more)
    return [(i.key, i.score and round(i.score, 6)) for i in found]


def test_the_nearest_come_first_and_what_has_no_vector_last(indexed: BaseStore) -> None:
    near = round(3 / math.sqrt(4 * 5), 6)

    assert _scores(indexed, "bird") == [
        ("bird", 1.0),
        ("third", near),
        ("oxo", 0.0),
        ("none", None),
    ]


def test_what_is_equally_near_stands_in_the_order_of_its_first_put(
    open_store: Callable[..., BaseStore],
) -> None:
    chance = random.Random(1)  # noqa: S311 - the same each time
    vector = [chance.gauss() for _ in range(385)]
    index = {"dims": 385, "embed": lambda texts: [vector for _ in texts]}
    store = open_store(index=index)
    store.batch([PutOp((str(n % 7),), str(n), {}) for n in range(99)])

    found = store.search((), query="any", limit=99)

    assert [item.key for item in found] == [str(n) for n in range(99)]


def test_a_page_is_cut_from_what_is_ranked(indexed: BaseStore) -> None:
    keys = [key for key, _ in _scores(indexed, "bird", limit=2, offset=2)]

    assert keys == ["oxo", "none"]


def test_a_filter_holds_beside_a_query(indexed: BaseStore) -> None:
    found = _scores(indexed, "third", filter={"kind": "animal"})

    assert [key for key, _ in found] == ["bird", "oxo"]


def test_a_put_can_leave_an_item_out_of_the_index(indexed: BaseStore) -> None:
    indexed.put(DOCS, "bird", {"text": "bird"}, index=False)

    assert _scores(indexed, "bird")[-1] == ("bird", None)


def test_a_put_can_name_fields_of_its_own(indexed: BaseStore) -> None:
    indexed.put(DOCS, "none", {"title": "bird", "text": "oxo"}, index=["title"])

    assert _scores(indexed, "bird", limit=2) == [("none", 1.0), ("bird", 1.0)]


def test_a_new_value_has_new_vectors(indexed: BaseStore) -> None:
    indexed.put(DOCS, "bird", {"text": "oxo"})

    assert dict(_scores(indexed, "oxo"))["bird"] == 1.0


def test_an_item_is_as_near_as_its_nearest_text(
    open_store: Callable[..., BaseStore], letters: dict[str, Any]
) -> None:
    store = open_store(index=letters | {"fields": ["items[*].text", "at.place"]})
    items = [{"text": "oxo"}, {"text": "bird"}]
    store.put(DOCS, "many", {"items": items, "at": {"place": "zzz"}})

    assert _scores(store, "bird") == [("many", 1.0)]
    assert _scores(store, "z") == [("many", 1.0)]


def test_without_fields_the_whole_value_is_one_text(
    open_store: Callable[..., BaseStore],
) -> None:
    seen: list[str] = []

    def embed(texts: list[str]) -> list[list[float]]:
        seen.extend(texts)
        return [[1.0] for _ in texts]

    store = open_store(index={"dims": 1, "embed": embed})
    store.put(DOCS, "1", {"b": 2, "a": {"c": [1]}})

    assert seen == ['{"a": {"c": [1]}, "b": 2}']


def test_a_batch_embeds_each_text_once(open_store: Callable[..., BaseStore]) -> None:
    calls: list[list[str]] = []

    def embed(texts: list[str]) -> list[list[float]]:
        calls.append(texts)
        return [[1.0] for _ in texts]

    index = {"dims": 1, "embed": embed, "fields": ["text"]}
    store = open_store(index=index)

    store.batch(
        [
            PutOp(DOCS, "1", {"text": "a"}),
            PutOp(DOCS, "2", {"text": "a"}),
            PutOp(DOCS, "3", {"text": "b"}),
            SearchOp(DOCS, query="a"),
            SearchOp(DOCS, query="a", limit=1),
        ]
    )

    assert calls == [["a", "b"], ["a"]]


def test_blank_texts_are_not_embedded(
    open_store: Callable[..., BaseStore], letters: dict[str, Any]
) -> None:
    store = open_store(index=letters)
    store.put(DOCS, "1", {"text": "  "})

    assert _scores(store, "a") == [("1", None)]


def test_a_text_without_letters_is_near_to_nothing(indexed: BaseStore) -> None:
    indexed.put(DOCS, "dots", {"text": "..."})

    assert dict(_scores(indexed, "bird"))["dots"] == 0.0
    assert {score for _, score in _scores(indexed, "!")} == {0.0, None}


async def test_an_async_function_serves_both_worlds(
    open_store: Callable[..., BaseStore], letters: dict[str, Any]
) -> None:
    async def embed(texts: list[str]) -> Any:
        await asyncio.sleep(0)
        return letters["embed"](texts)

    store = open_store(index=letters | {"embed": embed})
    store.put(DOCS, "in a loop", {"text": "bird"})
    await store.aput(DOCS, "off it", {"text": "oxo"})

    assert [key for key, _ in _scores(store, "bird")] == ["in a loop", "off it"]
    found = await store.asearch(DOCS, query="oxo")
    assert [item.key for item in found] == ["off it", "in a loop"]


def test_an_async_functions_error_is_its_own(
    open_store: Callable[..., BaseStore],
) -> None:
    async def embed(_texts: list[str]) -> list[list[float]]:
        raise ConnectionError("no model")

    store = open_store(index={"dims": 1, "embed": embed})

    with pytest.raises(ConnectionError, match="no model"):
        store.put(DOCS, "1", {"text": "a"})

    assert store.search(DOCS) == []


def test_langchain_embeddings_are_taken(open_store: Callable[..., BaseStore]) -> None:
    index = {"dims": 8, "embed": DeterministicFakeEmbedding(size=8), "fields": ["t"]}
    store = open_store(index=index)
    for text in ("a", "b", "c"):
        store.put(DOCS, text, {"t": text})

    nearest = _scores(store, "b", limit=1)

    assert nearest == [("b", 1.0)]


@pytest.mark.parametrize(
    ("given_vectors", "why"),
    [
        ([], "returned 0 vectors for 1 texts"),
        ([[1.0], [2.0]], "returned 2 vectors for 1 texts"),
        ([[1.0, 2.0]], 'a vector of 2 numbers, but its "dims" are 1'),
        ([[math.nan]], "not finite"),
        ([[math.inf]], "not finite"),
    ],
)
def test_vectors_that_do_not_fit_are_refused_and_nothing_is_put(
    open_store: Callable[..., BaseStore], given_vectors: list[list[float]], why: str
) -> None:
    store = open_store(index={"dims": 1, "embed": lambda _texts: given_vectors})

    with pytest.raises(ValueError, match=why):
        store.put(DOCS, "1", {"text": "a"})

    assert store.search(DOCS) == []


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"embed": len}, '"dims" are None'),
        ({"dims": 0, "embed": len}, '"dims" are 0'),
        ({"dims": True, "embed": len}, '"dims" are True'),
        ({"dims": 1, "embed": len, "field": ["a"]}, "no 'field'"),
        ({"dims": 1, "embed": len, "fields": ["a[x]"]}, "not a path"),
        ({"dims": 1}, '"embed" is None'),
        ({"dims": 1, "embed": "openai:small"}, "\"embed\" is 'openai:small'"),
    ],
)
def test_an_index_without_a_meaning_is_refused(
    open_store: Callable[..., BaseStore], config: dict[str, Any], why: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=why):
        open_store(index=config)


def test_a_put_with_a_field_that_is_no_path_is_refused(store: BaseStore) -> None:
    with pytest.raises(ValueError, match="not a path to a field"):
        store.put(DOCS, "1", {"a": 1}, index=["a..b"])


NUMBERS = st.lists(
    st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6),
    min_size=3,
    max_size=3,
)


@given(query=NUMBERS, rows=st.lists(NUMBERS, min_size=1, max_size=5))
def test_scores_are_the_same_without_numpy(
    query: list[float], rows: list[list[float]]
) -> None:
    given_vectors = {"query": query, **{str(i): row for i, row in enumerate(rows)}}
    index = index_of(
        {"dims": 3, "embed": lambda texts: [given_vectors[text] for text in texts]}
    )
    asked, *vectors = index.of_texts(given_vectors).values()

    with_numpy = cosines(asked, vectors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "numpy", None)
        without = cosines(asked, vectors)

    assert without == pytest.approx(with_numpy, abs=1e-12)
    assert all(-1 <= cosine <= 1 for cosine in without)
