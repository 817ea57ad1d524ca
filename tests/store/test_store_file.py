"""What a store in a file promises beyond what every store does."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from nbflow._database.compact import compact
from nbflow._database.database import open_database
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.errors import (
    StoreClosedError,
    StoreDamagedError,
    StoreHeldError,
    UnregisteredTypeError,
    UsageError,
)
from nbflow.serde import register
from nbflow.store.base import GetOp, Item, PutOp, SearchItem
from nbflow.store.duckdb import DuckDBStore
from nbflow.store.memory import InMemoryStore

if TYPE_CHECKING:
    from pathlib import Path

    from nbflow.store.base import IndexConfig
    from tests.store.conftest import FakeClock

SPACE = ("users", "ann")

WRITER = """
    import sys, threading
    from nbflow.store.duckdb import DuckDBStore

    store = DuckDBStore(sys.argv[1])

    def work(lane):
        for n in range(10_000):
            store.put((f"lane {lane}",), str(n), {"n": n, "text": "x" * 500})
            if n % 5 == 0:
                store.delete((f"lane {lane}",), str(n))
            sys.stdout.write(f"{lane} {n}\\n")
            sys.stdout.flush()

    for lane in range(4):
        threading.Thread(target=work, args=(lane,)).start()
"""


class Secretive:
    """A class that is stored by a codec of its own."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memories.duckdb"


def test_items_are_there_when_the_file_is_opened_again(
    path: Path, clock: FakeClock, letters: IndexConfig
) -> None:
    with DuckDBStore(path, index=letters, clock=clock) as store:
        store.put(SPACE, "tea", {"text": "tea", "at": (1, 2)})
        store.put(SPACE, "cat", {"text": "cat"})
        store.put(SPACE, "gone", {"text": "gone"})
        clock.forward(minutes=1)
        store.put(SPACE, "tea", {"text": "tea", "at": (3, 4)})
        store.delete(SPACE, "gone")
        before = _all_of(store)

    with DuckDBStore(path, index=letters, clock=clock) as store:
        after = _all_of(store)
        names = store.list_namespaces()

    assert after == before
    assert [item.key for item in after[0]] == ["tea", "cat"]
    assert names == [SPACE]


def _all_of(store: DuckDBStore) -> tuple[list[SearchItem], list[SearchItem], Any]:
    near = store.search((), query="act")
    return store.search(()), near, store.get(SPACE, "tea")


def test_the_time_of_an_item_goes_on_while_the_file_is_closed(
    path: Path, clock: FakeClock
) -> None:
    with DuckDBStore(path, clock=clock) as store:
        store.put(SPACE, "short", {"n": 1}, ttl=10)
        store.put(SPACE, "read", {"n": 2}, ttl=10)
        clock.forward(minutes=9)
        store.get(SPACE, "read")

    clock.forward(minutes=2)

    with DuckDBStore(path, clock=clock) as store:
        assert store.get(SPACE, "short") is None
        assert store.get(SPACE, "read", refresh_ttl=False) is not None


def test_a_new_item_stands_last_also_after_the_file_was_opened_again(
    path: Path,
) -> None:
    for key in ("b", "a", "c"):
        with DuckDBStore(path) as store:
            store.put(SPACE, key, {})

    with DuckDBStore(path) as store:
        assert [item.key for item in store.search(SPACE)] == ["b", "a", "c"]


def test_stores_on_one_path_see_at_once_what_the_others_put(path: Path) -> None:
    with DuckDBStore(path) as one, DuckDBStore(str(path)) as two:
        one.put(SPACE, "fact", {"n": 1})
        seen = two.get(SPACE, "fact")
        two.delete(SPACE, "fact")

        assert seen is not None
        assert seen.value == {"n": 1}
        assert one.get(SPACE, "fact") is None


def test_a_reader_sees_what_is_just_being_written(path: Path) -> None:
    stop = threading.Event()

    def write(store: DuckDBStore) -> None:
        n = 0
        while not stop.is_set():
            n += 1
            store.batch([PutOp(SPACE, "a", {"n": n}), PutOp(SPACE, "b", {"n": n})])

    with DuckDBStore(path) as store, ThreadPoolExecutor(1) as pool:
        store.batch([PutOp(SPACE, "a", {"n": 0}), PutOp(SPACE, "b", {"n": 0})])
        writing = pool.submit(write, store)
        seen = []
        for _ in range(100):
            a, b = store.batch([GetOp(SPACE, "a"), GetOp(SPACE, "b")])
            seen.append((a, b))
        stop.set()
        writing.result()

    pairs = [(a.value["n"], b.value["n"]) for a, b in seen]  # type: ignore[union-attr] # both are there
    assert all(a == b for a, b in pairs)
    assert pairs == sorted(pairs)


def test_a_batch_of_which_one_value_cannot_be_kept_leaves_the_file_as_it_is(
    path: Path,
) -> None:
    with DuckDBStore(path) as store:
        with pytest.raises(TypeError, match="stored"):
            store.batch([PutOp(SPACE, "a", {}), PutOp(SPACE, "\ud800", {})])

        assert store.search(()) == []


def test_what_was_acknowledged_survives_a_kill(path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path)]
    acknowledged: list[tuple[str, int]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            lane, n = line.split()
            acknowledged.append((lane, int(n)))
            if len(acknowledged) == 200:
                child.kill()

    with DuckDBStore(path) as store:
        ops = [GetOp((f"lane {lane}",), str(n)) for lane, n in acknowledged]
        found = [item for item in store.batch(ops) if isinstance(item, Item)]

    assert [item.value["n"] for item in found] == [n for _, n in acknowledged if n % 5]


def test_another_process_is_told_who_holds_the_file(path: Path) -> None:
    program = (
        "import sys; from nbflow.store.duckdb import DuckDBStore; "
        "DuckDBStore(sys.argv[1])"
    )

    with DuckDBStore(path, holder="memories.ipynb"):
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)],
            capture_output=True,
            check=False,
            text=True,
        )

    assert StoreHeldError.__name__ in done.stderr
    assert "memories.ipynb" in done.stderr


def test_a_saver_and_a_store_share_a_file_and_neither_sees_the_others_records(
    path: Path,
) -> None:
    with DuckDBSaver(path) as saver, DuckDBStore(path) as store:
        store.put(SPACE, "fact", {"n": 1})
        store.put(SPACE, "old", {"n": 2})
        store.delete(SPACE, "old")

        assert saver.list_threads() == []
        with duckdb.connect(path) as connection:
            for view in ("threads", "runs", "events"):
                assert not connection.sql(f"SELECT * FROM {view}").fetchall()  # noqa: S608 - names of views


def test_items_stay_when_the_file_is_compacted(path: Path) -> None:
    with DuckDBStore(path) as store:
        for n in range(20):
            store.put(SPACE, str(n % 4), {"n": n})
        store.delete(SPACE, "3")
        before = store.search(SPACE)

        compact(open_shared(store))
        store.put(SPACE, "new", {"n": 20})

        after = store.search(SPACE)

    assert after[:3] == before
    with DuckDBStore(path) as store:
        assert store.search(SPACE) == after


def open_shared(store: DuckDBStore) -> Any:
    """Return the open file of a store, and count no user more."""
    database = open_database(store.location)
    database.writer.release()
    return database


def test_items_are_rows_in_sql(path: Path) -> None:
    with DuckDBStore(path) as store:
        store.put(SPACE, "it's; --", {"n": 1}, ttl=60)
        store.put(SPACE, "kept", {"n": 2})
        store.put(SPACE, "kept", {"n": 3})
        store.put(SPACE, "short", {"n": 4}, ttl=0.000001)
        store.put(SPACE, "gone", {"n": 5})
        store.delete(SPACE, "gone")
        items = {item.key: item for item in store.search(SPACE)}
        with duckdb.connect(path) as connection:
            rows = connection.sql(
                "SELECT namespace, key, created_at, updated_at, "
                "epoch(expires_at - updated_at), ttl_seconds, dims, value_bytes > 0 "
                "FROM store_items ORDER BY seq"
            ).fetchall()

    times = [
        (
            items[key].created_at.replace(tzinfo=None),
            items[key].updated_at.replace(tzinfo=None),
        )
        for key in ("it's; --", "kept")
    ]
    assert rows == [
        (list(SPACE), "it's; --", *times[0], 3600.0, 3600.0, 0, True),
        (list(SPACE), "kept", *times[1], None, None, 0, True),
    ]


def test_a_touched_item_lives_on_in_sql(path: Path) -> None:
    with DuckDBStore(path) as store:
        store.put(SPACE, "read", {"n": 1}, ttl=60)
        with duckdb.connect(path) as connection:
            sql = "SELECT expires_at FROM store_items"
            before = connection.sql(sql).fetchall()
            clock = store._clock
            store._clock = lambda: clock() + 1800
            store.get(SPACE, "read")
            store.put(SPACE, "other", {})
            after = connection.sql(sql + " WHERE key = 'read'").fetchall()

    assert (after[0][0] - before[0][0]).total_seconds() == pytest.approx(1800, abs=10)


def test_reading_again_and_again_writes_no_row_each_time(path: Path) -> None:
    with DuckDBStore(path) as store:
        store.put(SPACE, "read", {"n": 1}, ttl=60)
        for _ in range(50):
            store.get(SPACE, "read")
        store.put(SPACE, "other", {})
        with duckdb.connect(path) as connection:
            rows = connection.sql("SELECT count(*) FROM log").fetchall()

    assert rows == [(2,)]


def test_vectors_of_another_length_count_as_none(
    path: Path, letters: IndexConfig
) -> None:
    with DuckDBStore(path, index=letters) as store:
        store.put(SPACE, "tea", {"text": "tea"})

    def embed(texts: list[str]) -> list[list[float]]:
        return [[1.0, 0.0] for _ in texts]

    index: Any = {"dims": 2, "embed": embed, "fields": ["text"]}
    with DuckDBStore(path, index=index) as store:
        store.put(SPACE, "cat", {"text": "cat"})
        found = store.search(SPACE, query="x")

    assert [(item.key, item.score) for item in found] == [("cat", 1.0), ("tea", None)]


def test_vectors_too_long_for_a_plain_row_are_found(path: Path) -> None:
    dims = 3_000

    def embed(texts: list[str]) -> list[list[float]]:
        return [[float(len(text)), *[1.0] * (dims - 1)] for text in texts]

    index: Any = {"dims": dims, "embed": embed, "fields": ["a", "b"]}
    with DuckDBStore(path, index=index) as store:
        memory = InMemoryStore(index=index)
        for each in (store, memory):
            for n in range(5):
                each.put(SPACE, str(n), {"a": "x" * 400 * n, "b": "y" * 100})
            each.put(SPACE, "one", {"a": "x" * 900})
        near = store.search(SPACE, query="q" * 1_000)
        expected = memory.search(SPACE, query="q" * 1_000)

    assert [item.key for item in near] == [item.key for item in expected]
    scores = [item.score for item in expected]
    assert [item.score for item in near] == pytest.approx(scores, abs=1e-6)


def test_large_values_come_back(path: Path) -> None:
    value = {"text": "x" * 1_000_000, "bytes": bytes(range(256)) * 4_000}

    with DuckDBStore(path) as store:
        store.put(SPACE, "large", value)
        found = store.search(SPACE, filter={"text": value["text"]})

    with DuckDBStore(path) as store:
        item = store.get(SPACE, "large")
    assert item is not None
    assert [item.value, found[0].value] == [value, value]


def test_a_value_of_an_unknown_class_stops_no_search_that_leaves_it_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(Secretive, encode=lambda _: 1, decode=lambda _: Secretive())
    with DuckDBStore(path) as store:
        store.put(SPACE, "strange", {"kind": "a", "it": Secretive()})
        store.put(SPACE, "plain", {"kind": "b"})
        monkeypatch.setattr("nbflow.serde.tree.resolve", lambda *_, **__: None)

        found = store.search(SPACE, filter={"kind": "b"})

        assert [item.key for item in found] == ["plain"]
        with pytest.raises(UnregisteredTypeError, match="register"):
            store.get(SPACE, "strange")


def test_a_forked_child_is_told_that_the_store_is_its_parents(path: Path) -> None:
    program = """
        import os, sys, warnings
        from nbflow.store.duckdb import DuckDBStore

        warnings.simplefilter("ignore")
        store = DuckDBStore(sys.argv[1])
        store.put(("a",), "k", {})
        store._contents._lock.acquire()
        if os.fork() == 0:
            try:
                store.get(("a",), "k")
            except Exception as error:
                print(error, flush=True)
            os._exit(0)
        store._contents._lock.release()
        os.wait()
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(path)],
        capture_output=True,
        check=True,
        text=True,
        timeout=15,
    )

    assert "belongs to its parent" in done.stdout


def test_an_item_whose_row_was_taken_away_is_damage(path: Path) -> None:
    with DuckDBStore(path) as store:
        store.put(SPACE, "fact", {"n": 1})
        store.put(SPACE, "other", {"n": 2})
        with duckdb.connect(path) as connection:
            connection.execute("DELETE FROM log WHERE detail LIKE '%fact%'")

        with pytest.raises(StoreDamagedError, match="fact"):
            store.get(SPACE, "fact")
        other = store.get(SPACE, "other")

    assert other is not None


def test_a_closed_store_says_so_and_lets_the_file_go(path: Path) -> None:
    store = DuckDBStore(path)
    store.close()
    store.close()

    assert store.is_closed
    with pytest.raises(StoreClosedError, match="DuckDBStore"):
        store.get(SPACE, "fact")
    with DuckDBStore(path) as again:
        assert not again.is_closed


def test_a_store_that_is_garbage_lets_the_file_go(path: Path) -> None:
    DuckDBStore(path).put(SPACE, "fact", {"n": 1})
    gc.collect()

    database = open_database(path)  # Waits where it is just being closed.
    database.writer.release()

    assert database.writer.is_closed


@pytest.mark.parametrize("name", ["", ":memory:"])
def test_a_store_needs_a_file(name: str) -> None:
    with pytest.raises(UsageError, match="InMemoryStore"):
        DuckDBStore(name)


def test_what_is_gone_leaves_the_file_when_it_is_compacted(path: Path) -> None:
    with DuckDBStore(path) as store:
        store.put(SPACE, "old", {"text": "canary-old"}, ttl=0.000001)
        store.put(SPACE, "read", {"text": "canary-read"}, ttl=60)
        store.put(SPACE, "twice", {"text": "canary-first"})
        store.put(SPACE, "twice", {"text": "canary-second"})
        compact(open_shared(store))

        assert store.get(SPACE, "old") is None
        kept = [item.value["text"] for item in store.search(SPACE)]
    assert kept == ["canary-read", "canary-second"]
    stored = b"".join(f.read_bytes() for f in path.parent.rglob("*") if f.is_file())
    assert b"canary-old" not in stored
    assert b"canary-first" not in stored
    assert b"canary-second" in stored


def test_items_can_be_put_while_the_file_is_compacted(path: Path) -> None:
    stop = threading.Event()

    def write(store: DuckDBStore) -> int:
        n = 0
        while not stop.is_set():
            store.put(SPACE, str(n % 7), {"n": n})
            item = store.get(SPACE, str(n % 7))
            assert item is not None
            assert item.value == {"n": n}
            n += 1
        return n

    with DuckDBStore(path) as store, ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write, store)
        for _ in range(3):
            compact(open_shared(store))
        stop.set()
        count = writing.result()
        before = store.search(SPACE)

    with DuckDBStore(path) as store:
        assert store.search(SPACE) == before
    assert max(item.value["n"] for item in before) == count - 1
