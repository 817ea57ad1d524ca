"""What a cache in a file promises beyond what every cache does."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from nbflow._database.compact import compact
from nbflow._database.database import open_database
from nbflow.cache.duckdb import DuckDBCache
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.errors import StoreClosedError, StoreHeldError, UsageError
from nbflow.store.duckdb import DuckDBStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cache.conftest import FakeClock

SPACE = ("prices",)
KEY = (SPACE, "today")

WRITER = """
    import sys, threading
    from nbflow.cache.duckdb import DuckDBCache

    cache = DuckDBCache(sys.argv[1])

    def work(lane):
        for n in range(10_000):
            key = (f"lane {lane}",), str(n)
            cache.set({key: ({"n": n, "text": "x" * 500}, None)})
            sys.stdout.write(f"{lane} {n}\\n")
            sys.stdout.flush()

    for lane in range(4):
        threading.Thread(target=work, args=(lane,)).start()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.duckdb"


def test_values_are_there_when_the_file_is_opened_again(path: Path) -> None:
    with DuckDBCache(path) as cache:
        cache.set({KEY: ((1, {2}), None), (SPACE, "old"): (1, None)})
        cache.set({(SPACE, "old"): (2, None)})

    with DuckDBCache(path) as cache:
        found = cache.get([KEY, (SPACE, "old")])

    assert found == {KEY: (1, {2}), (SPACE, "old"): 2}


def test_the_time_of_a_value_goes_on_while_the_file_is_closed(
    path: Path, clock: FakeClock
) -> None:
    with DuckDBCache(path, clock=clock) as cache:
        cache.set({KEY: (1, 60), (SPACE, "later"): (2, 120)})

    clock.forward(60)

    with DuckDBCache(path, clock=clock) as cache:
        assert cache.get([KEY, (SPACE, "later")]) == {(SPACE, "later"): 2}


def test_what_was_cleared_stays_away_when_the_file_is_opened_again(path: Path) -> None:
    below, beside = (("prices", "old"), "k"), (("rates",), "k")
    with DuckDBCache(path) as cache:
        cache.set({KEY: (1, None), below: (2, None), beside: (3, None)})
        cache.clear([SPACE])
        cache.set({(SPACE, "new"): (4, None)})

    with DuckDBCache(path) as cache:
        some = cache.get([KEY, below, beside, (SPACE, "new")])
        cache.clear()
        cache.set({KEY: (5, None)})

    with DuckDBCache(path) as cache:
        all_ = cache.get([KEY, below, beside, (SPACE, "new")])
    assert some == {below: 2, beside: 3, (SPACE, "new"): 4}
    assert all_ == {KEY: 5}


def test_a_secret_in_a_values_place_stays_away_when_the_file_is_opened_again(
    path: Path,
) -> None:
    pydantic = pytest.importorskip("pydantic")
    with DuckDBCache(path) as cache:
        cache.set({KEY: (1, None), (SPACE, "open"): (2, None)})
        cache.set({KEY: (pydantic.SecretStr("canary-7e1f"), None)})

    with DuckDBCache(path) as cache:
        assert cache.get([KEY, (SPACE, "open")]) == {(SPACE, "open"): 2}
    stored = [file.read_bytes() for file in path.parent.rglob("*") if file.is_file()]
    assert not any(b"canary-7e1f" in each for each in stored)


def test_caches_on_one_path_see_at_once_what_the_others_set(path: Path) -> None:
    with DuckDBCache(path) as one, DuckDBCache(str(path)) as two:
        one.set({KEY: (1, None)})
        seen = two.get([KEY])
        two.clear([SPACE])

        assert seen == {KEY: 1}
        assert one.get([KEY]) == {}


def test_what_was_acknowledged_survives_a_kill(path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path)]
    acknowledged: dict[Any, int] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            lane, n = line.split()
            acknowledged[(f"lane {lane}",), n] = int(n)
            if len(acknowledged) == 200:
                child.kill()

    with DuckDBCache(path) as cache:
        found = cache.get(list(acknowledged))

    assert {key: value["n"] for key, value in found.items()} == acknowledged


def test_a_saver_a_store_and_a_cache_share_a_file(path: Path) -> None:
    with DuckDBSaver(path) as saver, DuckDBStore(path) as store:
        cache = DuckDBCache(path)
        cache.set({KEY: (1, None)})
        store.put(SPACE, "today", {"n": 2})
        cache.clear()
        cache.set({(SPACE, "new"): (3, None)})
        cache.close()

        item = store.get(SPACE, "today")
        assert item is not None
        assert item.value == {"n": 2}
        assert saver.list_threads() == []
    with DuckDBCache(path) as cache:
        assert cache.get([KEY, (SPACE, "new")]) == {(SPACE, "new"): 3}


def test_values_stay_when_the_file_is_compacted(path: Path) -> None:
    with DuckDBCache(path) as cache:
        for n in range(10):
            cache.set({(SPACE, str(n % 3)): (n, None), (("x",), str(n)): (n, None)})
        cache.clear([("x",)])

        database = open_database(path)
        compact(database)
        database.writer.release()
        cache.set({KEY: (10, None)})

    keys = [*((SPACE, str(n)) for n in range(3)), KEY, (("x",), "9")]
    with DuckDBCache(path) as cache:
        assert list(cache.get(keys).values()) == [9, 7, 8, 10]


def test_a_large_value_whose_file_is_lost_is_no_hit(path: Path) -> None:
    large = b"".join(n.to_bytes(4, "big") for n in range(200_000))
    with DuckDBCache(path) as cache:
        cache.set({KEY: (large, None), (SPACE, "small"): (1, None)})
        before = cache.get([KEY])

    blobs = [
        file
        for file in path.parent.rglob("*")
        if file.is_file() and not file.name.startswith(path.name)
    ]
    for blob in blobs:
        blob.unlink()

    with DuckDBCache(path) as cache:
        after = cache.get([KEY, (SPACE, "small")])
    assert before == {KEY: large}
    assert blobs
    assert after == {(SPACE, "small"): 1}


def test_what_is_kept_is_rows_in_sql(path: Path) -> None:
    with DuckDBCache(path) as cache:
        cache.set({KEY: (1, 60), (SPACE, "kept"): (2, None)})
        cache.set({(SPACE, "short"): (3, 1e-6), (("rates",), "k"): (4, None)})
        cache.set({(("x", "'; --"), "a\x00b"): (5, None)})
        cache.clear([("rates",)])
        with duckdb.connect(path) as connection:
            rows = connection.sql(
                "SELECT namespace, key, epoch(expires_at - set_at), value_bytes > 0 "
                "FROM cache ORDER BY seq"
            ).fetchall()

    assert [row[:2] for row in rows] == [
        (["prices"], "today"),
        (["prices"], "kept"),
        (["x", "'; --"], "a\x00b"),
    ]
    assert [row[2] for row in rows] == [pytest.approx(60, abs=0.01), None, None]
    assert all(has_bytes for *_, has_bytes in rows)


def test_another_process_is_told_who_holds_the_file(path: Path) -> None:
    program = (
        "import sys; from nbflow.cache.duckdb import DuckDBCache; "
        "DuckDBCache(sys.argv[1])"
    )

    with DuckDBCache(path, holder="prices.ipynb"):
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)],
            capture_output=True,
            check=False,
            text=True,
        )

    assert StoreHeldError.__name__ in done.stderr
    assert "prices.ipynb" in done.stderr


def test_a_closed_cache_says_so(path: Path) -> None:
    cache = DuckDBCache(path)
    cache.close()
    cache.close()

    assert cache.is_closed
    for use in (lambda: cache.get([KEY]), lambda: cache.set({}), cache.clear):
        with pytest.raises(StoreClosedError, match="DuckDBCache"):
            use()


def test_a_cache_needs_a_file() -> None:
    with pytest.raises(UsageError, match="InMemoryCache"):
        DuckDBCache(":memory:")
