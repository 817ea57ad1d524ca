"""What a thread repeats from run to run is not stored again and again."""

from __future__ import annotations

import os
import random
import tracemalloc
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from nbflow._database import history
from nbflow._database.compact import RunKey, compact
from nbflow._database.deltas import apply, difference
from nbflow._database.reads import LogPast
from nbflow._events import Record, RunFinished, RunStarted, ThreadDeleted
from nbflow._values import Payload
from nbflow.checkpoint.duckdb import DuckDBSaver, check
from nbflow.errors import StoreClosedError, StoreDamagedError, UnstorableValueError
from nbflow.func import entrypoint, task

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from nbflow._database.payloads import Held

PIECES = st.sampled_from([bytes([n]) * 40 for n in range(4)] + [b"", b"x", b"yz" * 300])
RELATED = st.lists(PIECES, max_size=40).map(b"".join) | st.binary(max_size=300)


def text(number: int, size: int = 500) -> str:
    return random.Random(number).randbytes(size // 2).hex()  # noqa: S311 - text


def values(count: int, size: int = 2_000) -> Iterator[bytes]:
    """Yield a value that grows at its end."""
    value = b""
    for number in range(count):
        value += b"%06d" % number + text(number, size).encode()
        yield value


def run(number: int, data: bytes, thread_id: str = "t") -> list[Record]:
    run_id = f"{thread_id}-{number}"
    begun = RunStarted("chat", Payload(b"hello"), "code", run_id)
    done = RunFinished(Payload(b"reply"), Payload(data), f"{run_id}-end")
    return [
        Record(thread_id, run_id, 2 * number, begun),
        Record(thread_id, run_id, 2 * number + 1, done),
    ]


def kept_in(saver: DuckDBSaver, thread_id: str = "t") -> list[bytes | None]:
    records = saver.read(thread_id, kinds=("RunFinished",))
    return [r.event.save.data for r in records]  # type: ignore[union-attr]


def size_of(path: Path) -> int:
    return sum(f.stat().st_size for f in path.parent.rglob("*") if f.is_file())


def chains(path: Path) -> list[int]:
    """Return how a row holds each saved value: 3 for a difference."""
    with duckdb.connect(str(path)) as connection:
        sql = "SELECT extra_codec FROM log WHERE kind = 'RunFinished' ORDER BY seq"
        return [codec for (codec,) in connection.execute(sql).fetchall()]


# The codec.


@given(RELATED, RELATED)
def test_a_difference_gives_the_value_again(data: bytes, base: bytes) -> None:
    assert apply(base, difference(data, base)) == data


@given(RELATED, RELATED, RELATED)
def test_a_difference_to_another_value_is_an_error_or_harmless(
    data: bytes, base: bytes, other: bytes
) -> None:
    delta = difference(data, base)

    try:
        found = apply(other, delta)
    except ValueError:
        return

    assert found == data


@given(st.binary(max_size=200))
def test_bytes_that_are_no_difference_are_an_error(delta: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        apply(b"base", delta)


def _repeating(base: bytes) -> bytes:
    """Return a difference that takes all of a value over, again and again."""
    numbers = [0, 0, len(base)] * 10_000
    return msgspec.msgpack.encode((numbers, zstandard.compress(b""), 0))


def _promising(_: bytes) -> bytes:
    """Return a difference whose new part says that it takes 32 TiB."""
    header = b"\x28\xb5\x2f\xfd\xe0" + (1 << 45).to_bytes(8, "little")
    return msgspec.msgpack.encode(([], header + b"\x01\x00\x00", 0))


@pytest.mark.parametrize("forged", [_repeating, _promising])
def test_a_difference_that_makes_too_much_is_an_error_and_costs_little(
    forged: Any,
) -> None:
    base = os.urandom(1 << 20)
    delta = forged(base)
    tracemalloc.start()

    with pytest.raises(ValueError, match=r"more of a value|it says that it holds"):
        apply(base, delta)

    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 16 << 20


@pytest.mark.parametrize(
    "change",
    [
        lambda base: base + os.urandom(500),
        lambda base: os.urandom(500) + base,
        lambda base: base[5_000:] + os.urandom(500),
        lambda base: base[:50_000] + os.urandom(500) + base[51_000:],
        lambda base: b"\xdc\x00\x10" + base[1:],
    ],
    ids=["appended", "prepended", "window", "edited", "other head"],
)
def test_a_difference_is_about_as_large_as_the_change(change: Any) -> None:
    base = os.urandom(100_000)

    assert len(difference(change(base), base)) < 700


# The series of a thread.


def test_a_growing_value_is_stored_as_differences(path: Path) -> None:
    grown = list(values(200))
    with DuckDBSaver(path) as saver:
        for number, data in enumerate(grown):
            saver.append(run(number, data))
        found = kept_in(saver)

    assert found == grown
    assert chains(path).count(3) > 190
    assert size_of(path) < sum(map(len, grown)) / 10


def test_a_value_is_read_again_by_another_process_of_time(path: Path) -> None:
    grown = list(values(100))
    with DuckDBSaver(path) as saver:
        for number, data in enumerate(grown):
            saver.append(run(number, data))

    with DuckDBSaver(path) as saver:
        found = kept_in(saver)

    assert found == grown


def test_a_series_goes_on_after_reopening(path: Path) -> None:
    grown = list(values(12))
    for number, data in enumerate(grown):
        with DuckDBSaver(path) as saver:
            saver.commit(run(number, data))

    with DuckDBSaver(path) as saver:
        found = kept_in(saver)

    assert found == grown
    assert set(chains(path)[3:]) == {3}


def test_a_value_needs_few_others(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        payloads = saver._database.payloads
        for number, data in enumerate(values(130)):
            saver.append(run(number, data))
            series = history.Series("t", "RunFinished", 1)
            line = payloads._history._lines.get(series)
            held = [] if line is None else line.values or []
            assert len(held) <= (number + 1).bit_length() + 1


def test_neighbours_are_read_without_reading_again_what_they_build_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown = list(values(130))
    with DuckDBSaver(path) as saver:
        for number, data in enumerate(grown):
            saver.append(run(number, data))
    read: list[int] = []
    original = LogPast.values

    def counted(self: LogPast, seqs: Collection[int], column: int) -> dict[int, Held]:
        read.extend(seqs)
        return original(self, seqs, column)

    monkeypatch.setattr(LogPast, "values", counted)

    with DuckDBSaver(path) as saver:
        found = kept_in(saver)

    assert found == grown
    assert len(read) == len(set(read)) < len(grown)


def test_what_was_read_is_kept_only_up_to_a_bound(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "READ_BYTES", 500_000)
    grown = list(values(130))
    with DuckDBSaver(path) as saver:
        for number, data in enumerate(grown):
            saver.append(run(number, data))

    with DuckDBSaver(path) as saver:
        assert kept_in(saver) == grown
        kept = saver._database.payloads._history._read.values()
        assert 0 < sum(map(len, kept)) <= 500_000


def test_a_check_reads_the_file_and_not_what_is_remembered_of_it(path: Path) -> None:
    grown = list(values(8, 6_000))
    with DuckDBSaver(path) as saver:
        for number, data in enumerate(grown):
            saver.append(run(number, data))
    with DuckDBSaver(path) as saver:
        assert kept_in(saver) == grown
        with duckdb.connect(str(path)) as connection:
            connection.execute("UPDATE log SET extra = 'x'::BLOB WHERE seq = 2")

        found = check(path).findings

    assert {finding.seq for finding in found} == set(range(2, 17, 2))


def test_small_values_are_stored_whole(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        for number in range(5):
            saver.commit(run(number, b"a" * 4_000))

    assert chains(path) == [0] * 5


def test_many_series_at_once_keep_apart(path: Path) -> None:
    grown = {
        name: list(values(20, size)) for name, size in (("a", 3_000), ("b", 5_000))
    }
    with DuckDBSaver(path) as saver:
        for number in range(20):
            for name, series in grown.items():
                saver.append(run(number, series[number], name))

        for name, series in grown.items():
            assert kept_in(saver, name) == series


def test_little_memory_makes_values_larger_but_never_wrong(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "KEPT_BYTES", 10_000)
    grown = list(values(30))
    with DuckDBSaver(path) as saver:
        for number, data in enumerate(grown):
            saver.append(run(number, data))

        assert kept_in(saver) == grown


def test_one_append_may_hold_several_values_of_a_series(path: Path) -> None:
    grown = list(values(10))
    with DuckDBSaver(path) as saver:
        saver.commit([r for n, data in enumerate(grown) for r in run(n, data)])
        found = kept_in(saver)

    assert found == grown
    assert set(chains(path)[3:]) == {3}


def test_nothing_builds_on_a_value_that_was_refused(path: Path) -> None:
    grown = list(values(10))
    with DuckDBSaver(path) as saver:
        saver.commit(run(0, grown[3]))
        with pytest.raises(UnstorableValueError):
            saver.append([*run(1, grown[4]), Record("\ud800", "r", 1, ThreadDeleted())])
        for number in range(2, 6):
            saver.commit(run(number, grown[number + 3]))

    with DuckDBSaver(path) as saver:
        assert kept_in(saver) == [grown[3], *grown[5:9]]


def test_rows_that_are_pruned_leave_the_others_readable(path: Path) -> None:
    grown = list(values(64))
    with DuckDBSaver(path) as saver:
        for number, data in enumerate(grown):
            saver.append(run(number, data))
        compact(saver._database, lambda: [RunKey("t", f"t-{n}") for n in range(50)])
        saver.commit(run(64, grown[-1] + b"more"))

        assert kept_in(saver) == [*grown[50:], grown[-1] + b"more"]

    with DuckDBSaver(path) as saver:
        assert kept_in(saver) == [*grown[50:], grown[-1] + b"more"]
    assert chains(path).count(3) >= 13


def test_a_deleted_thread_begins_anew_and_its_bytes_go(path: Path) -> None:
    secret = text(1, 20_000).encode()
    with DuckDBSaver(path) as saver:
        saver.commit(run(0, secret))
        saver.commit([Record("t", "", 1, ThreadDeleted())])
        saver.commit(run(1, secret[:10_000] + b"new"))
        compact(saver._database)

        assert kept_in(saver) == [secret[:10_000] + b"new"]

    data = path.read_bytes()
    assert secret[10_000:10_100] not in data


def test_a_value_whose_beginning_is_lost_is_named_and_alone(path: Path) -> None:
    grown = list(values(8, 6_000))
    with DuckDBSaver(path) as saver:
        for number, data in enumerate(grown):
            saver.append(run(number, data))
        saver.commit(run(0, grown[0], "other"))
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE log SET extra = 'x'::BLOB WHERE seq = 2")

    with DuckDBSaver(path) as saver:
        assert kept_in(saver, "other") == [grown[0]]
        for number in range(1, 8):
            _, record = saver.read("t", run_id=f"t-{number}")
            assert record.event.value.data == b"reply"  # type: ignore[union-attr]
            with pytest.raises(StoreDamagedError, match=r"'chat'.*Row 2 of"):
                _ = record.event.save.data  # type: ignore[union-attr]


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("tu"), st.integers(0, 5), st.booleans()), max_size=15
    )
)
def test_any_history_comes_back_also_after_reopening(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, bool]]
) -> None:
    path = tmp_path_factory.mktemp("store") / "threads.duckdb"
    written: dict[str, list[bytes]] = {"t": [], "u": []}
    pieces = [text(n, 5_000).encode() for n in range(6)]
    saver = DuckDBSaver(path)
    for number, (thread_id, piece, reopens) in enumerate(steps):
        before = written[thread_id][-1] if written[thread_id] else b""
        data = before[piece * 900 :] + pieces[piece]
        saver.append(run(number, data, thread_id))
        written[thread_id].append(data)
        if reopens:
            saver.close()
            saver = DuckDBSaver(path)

    found = {thread_id: kept_in(saver, thread_id) for thread_id in "tu"}
    saver.close()

    assert found == written


# A chat.


def test_a_chat_that_repeats_its_history_stays_small(path: Path) -> None:
    with DuckDBSaver(path) as saver:

        @task
        def answer(messages: list[dict[str, str]]) -> dict[str, str]:
            return {"role": "assistant", "content": text(len(messages))}

        @entrypoint(checkpointer=saver)
        def chat(messages: list[dict[str, str]]) -> list[dict[str, str]]:
            return [*messages, answer(messages).result()]

        config: Any = {"configurable": {"thread_id": "chat"}}
        messages: list[dict[str, str]] = []
        for turn in range(120):
            said = {"role": "user", "content": text(-turn - 1)}
            messages = chat.invoke([*messages, said], config)

    whole = 120 * 121 // 2 * 1_000 * 2
    assert size_of(path) < whole / 8


def test_a_store_that_is_closed_says_so_where_a_value_is_asked_for(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        for number, data in enumerate(values(8, 6_000)):
            saver.commit(run(number, data))
    with DuckDBSaver(path) as saver:
        record = saver.read("t", kinds=("RunFinished",))[-1]

    with pytest.raises(StoreClosedError):
        _ = record.event.save.data  # type: ignore[union-attr]
