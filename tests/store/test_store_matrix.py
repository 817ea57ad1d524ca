"""The vectors that are kept in memory give what the file says, and stay small."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbflow._database.compact import compact
from nbflow._database.database import open_database
from nbflow._database.item_reads import read_column
from nbflow.store import matrix
from nbflow.store.duckdb import DuckDBStore
from nbflow.store.matrix import Matrix
from nbflow.store.vectors import cosines_of_packed, index_of, packed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nbflow._database.database import Database
    from nbflow.store.base import IndexConfig
    from tests.store.conftest import FakeClock

Key = tuple[tuple[str, ...], str]

FIELDS = ["texts[*]"]
WIDTH = 4 * 4


def numbers(texts: list[str]) -> list[list[float]]:
    """Return the vectors that texts spell out."""
    return [[float(number) for number in text.split()] for text in texts]


INDEX: IndexConfig = {"dims": 4, "embed": numbers, "fields": FIELDS}
SHORT: IndexConfig = {"dims": 3, "embed": numbers, "fields": FIELDS}


@dataclass
class Naive:
    """What a store of vectors does, one item after the other."""

    items: dict[Key, tuple[list[str], float | None]] = field(default_factory=dict)

    def found(
        self, prefix: tuple[str, ...], query: str, now: float
    ) -> list[tuple[Key, float | None]]:
        """Return items and scores as a search has to find them."""
        among = [
            (key, _score(texts, query))
            for key, (texts, until) in self.items.items()
            if key[0][: len(prefix)] == prefix and (until is None or now < until)
        ]
        ranked = [(key, score) for key, score in among if score is not None]
        ranked.sort(key=lambda found: -found[1])
        return [*ranked, *(found for found in among if found[1] is None)]

    def put(self, key: Key, texts: list[str], now: float, until: float | None) -> None:
        """Put an item; one that is gone does not keep its place."""
        _, old = self.items.get(key, ([], None))
        if old is not None and now >= old:
            del self.items[key]
        self.items[key] = texts, until


def _score(texts: list[str], query: str) -> float | None:
    vectors = index_of(INDEX).of_texts([text for text in texts if text.count(" ") == 3])
    asked = index_of(INDEX).of_queries([query])[query]
    found = [cosines_of_packed(asked, packed([v])) for v in vectors.values()]
    return max((near for (near,) in found), default=None)


SPACES = st.sampled_from([("a",), ("a", "b"), ("c",)])
VECTORS = st.lists(st.integers(-2, 2), min_size=4, max_size=4).map(
    lambda numbers: " ".join(map(str, numbers))
)
TEXTS = st.lists(VECTORS, max_size=3)
KEYS = st.tuples(SPACES, st.sampled_from("uvwxyz"))
PUTS = st.tuples(st.just("put"), KEYS, TEXTS, st.sampled_from([None, 5]))
SHORTS = st.tuples(st.just("short"), KEYS)
DELETES = st.tuples(st.just("delete"), KEYS)
STEPS = st.lists(
    st.tuples(st.sampled_from([0, 0, 1, 6]), st.one_of(PUTS, PUTS, SHORTS, DELETES)),
    min_size=1,
    max_size=10,
)
SEARCHES = st.lists(
    st.tuples(
        st.sampled_from([(), ("a",), ("c",)]),
        VECTORS,
        st.integers(0, 8),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=3,
)


@pytest.fixture(params=[None, 10, 0], ids=["room", "little room", "no room"])
def room(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param is not None:
        monkeypatch.setattr(matrix, "KEPT_BYTES", request.param * WIDTH)
        monkeypatch.setattr(matrix, "BLOCK_BYTES", 3 * WIDTH)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "items.duckdb"


@pytest.mark.usefixtures("room")
@given(st.lists(PUTS, min_size=8, max_size=20), STEPS, SEARCHES)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_search_finds_what_looking_at_every_item_finds(
    path: Path, clock: FakeClock, first: list[Any], steps: list[Any], searches: Any
) -> None:
    naive = Naive()
    with (
        DuckDBStore(path, index=INDEX, clock=clock) as store,
        DuckDBStore(path, index=SHORT, clock=clock) as short,
    ):
        for item in store.search((), limit=100, refresh_ttl=False):
            store.delete(item.namespace, item.key)
        for step in first:
            _take(step, store, short, naive, clock)

        for minutes, step in steps:
            clock.forward(minutes=minutes)
            _take(step, store, short, naive, clock)

            for prefix, query, limit, offset in searches:
                found = store.search(
                    prefix, query=query, limit=limit, offset=offset, refresh_ttl=False
                )
                wanted = naive.found(prefix, query, clock())[offset : offset + limit]
                assert [((i.namespace, i.key), i.score) for i in found] == wanted


def _take(
    step: Any, store: DuckDBStore, short: DuckDBStore, naive: Naive, clock: FakeClock
) -> None:
    kind, (space, key), *more = step
    now = clock()
    if kind == "put":
        texts, minutes = more
        store.put(space, key, {"texts": texts}, ttl=minutes)
        until = None if minutes is None else now + 60 * minutes
        naive.put((space, key), texts, now, until)
    elif kind == "short":
        short.put(space, key, {"texts": ["1 2 3"]})
        naive.put((space, key), ["1 2 3"], now, None)
    else:
        store.delete(space, key)
        naive.items.pop((space, key), None)


@pytest.fixture
def filled(path: Path) -> Iterator[DuckDBStore]:
    with DuckDBStore(path, index=INDEX) as store:
        for number in range(30):
            store.put(("n",), str(number), {"texts": [f"{number} 1 0 0"]})
        yield store


def database_of(store: DuckDBStore) -> Database:
    database = open_database(store.location)
    database.writer.release()
    return database


def rows_kept(store: DuckDBStore) -> int:
    """Return how many vectors are in memory for the file."""
    followed = database_of(store).writer.followed(Matrix)
    assert isinstance(followed, Matrix)
    return sum(rows.size for rows in followed._rows.values())


def keys(store: DuckDBStore, query: str = "1 0 0 0", **more: Any) -> list[str]:
    return [item.key for item in store.search(("n",), query=query, **more)]


def test_a_vector_is_read_once_for_all_stores_of_a_file(
    filled: DuckDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counted(database: Any, column: Any, seqs: list[int]) -> dict[int, bytes]:
        asked.extend(seqs)
        return read_column(database, column, seqs)

    monkeypatch.setattr("nbflow._database.contents.read_column", counted)

    with DuckDBStore(filled.location, index=INDEX) as other:
        first = [keys(store) for store in (filled, other, filled)]
        assert len(asked) == 30
        filled.put(("n",), "7", {"texts": ["1 0 0 0"]})
        second = [keys(store) for store in (filled, other)]

    assert len(asked) == 31
    assert first == [[str(number) for number in range(29, 19, -1)]] * 3
    assert second == [["7", *first[0][:9]]] * 2


def test_a_file_that_is_compacted_takes_its_vectors_from_memory(
    filled: DuckDBStore,
) -> None:
    keys(filled)
    for number in range(20, 30):
        filled.delete(("n",), str(number))
    before = keys(filled)
    assert rows_kept(filled) == 30

    compact(database_of(filled))

    assert keys(filled) == before == [str(number) for number in range(19, 9, -1)]
    assert rows_kept(filled) == 20


def test_vectors_that_nobody_asks_for_any_more_make_room(
    filled: DuckDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "KEPT_BYTES", 50 * WIDTH)
    keys(filled)

    for number in range(30):
        filled.put(("n",), str(number), {"texts": [f"1 {number} 0 0"]})
        found = keys(filled)

        assert rows_kept(filled) <= 50
    assert found == [str(number) for number in range(10)]


def test_a_search_finds_the_same_without_numpy(
    filled: DuckDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_numpy = filled.search((), query="5 1 2 0", limit=30)

    monkeypatch.setitem(sys.modules, "numpy", None)
    without = filled.search((), query="5 1 2 0", limit=30)

    assert [item.key for item in without] == [item.key for item in with_numpy]
    assert [item.score for item in without] == pytest.approx(
        [item.score for item in with_numpy], abs=1e-12
    )
