"""A long thread in one file: as small as in its store, and as quickly redacted."""

from __future__ import annotations

import gc
import io
import random
import tracemalloc
import zipfile
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from nbflow import serde
from nbflow._database.value_stream import ValueReader, ValueWriter
from nbflow._events import Record, RunFinished, RunStarted
from nbflow._values import Payload
from nbflow.checkpoint.bundle import export_bundle, import_bundle
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.checkpoint.memory import InMemorySaver
from nbflow.func import entrypoint, task
from nbflow.serde.redact import SECRET_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CANARY = "canary-5d1e77"
TURNS = 200


@pytest.fixture
def saver(path: Path) -> Iterator[DuckDBSaver]:
    with DuckDBSaver(path) as opened:
        yield opened


@pytest.fixture
def bundle(path: Path) -> Path:
    return path.with_name("t.zip")


def message(number: int, **more: str) -> dict[str, str]:
    text = random.Random(number).randbytes(250).hex()  # noqa: S311 - text
    return {"role": "user", "content": text, **more}


def talk(saver: DuckDBSaver, *, repeats_input: bool, **more: str) -> None:
    """Let a thread say much, all of which is saved after each turn."""

    @task
    def answer(messages: list[Any]) -> dict[str, str]:
        return message(-len(messages))

    @entrypoint(checkpointer=saver)
    def chat(given: list[Any], *, previous: list[Any] | None = None) -> list[Any]:
        messages = given if repeats_input else [*(previous or []), *given]
        return [*messages, answer(messages).result()]

    said: list[Any] = []
    for number in range(TURNS):
        asked = [*(said if repeats_input else []), message(number, **more)]
        said = chat.invoke(asked, {"configurable": {"thread_id": "t"}})


def size_of(saver: DuckDBSaver, path: Path) -> int:
    """Return how large a store's file is, with everything in it."""
    saver.close()
    return path.stat().st_size


def plain(records: list[Record]) -> list[Record]:
    return [msgspec.structs.replace(record, seq=0) for record in records]


@pytest.mark.parametrize("repeats_input", [False, True])
def test_a_long_chat_is_no_larger_in_a_bundle_than_in_its_store_here_and_there(
    saver: DuckDBSaver, path: Path, bundle: Path, *, repeats_input: bool
) -> None:
    talk(saver, repeats_input=repeats_input)
    other = path.with_name("other.duckdb")

    export_bundle(saver, "t", bundle)
    with DuckDBSaver(other) as there:
        import_bundle(there, bundle)

        assert plain(there.read("t")) == plain(saver.read("t"))
        size_there = size_of(there, other)

    size_here = size_of(saver, path)
    assert bundle.stat().st_size < size_here
    assert size_there < 1.2 * size_here


@pytest.mark.parametrize("repeats_input", [False, True])
def test_nothing_that_is_left_out_of_a_long_chat_stands_anywhere(
    saver: DuckDBSaver, path: Path, bundle: Path, *, repeats_input: bool
) -> None:
    talk(saver, repeats_input=repeats_input, api_key=CANARY)
    other = path.parent / "there" / "other.duckdb"

    export_bundle(saver, "t", bundle, redacted=SECRET_NAMES)
    with DuckDBSaver(other) as there:
        import_bundle(there, bundle)
        kept = [
            payload.data or b""
            for record in there.read("t", kinds=("RunStarted", "RunFinished"))
            for payload in held_by(record)
        ]

    with zipfile.ZipFile(bundle) as archive:
        stream = zstandard.ZstdDecompressor().decompressobj()
        values = stream.decompress(archive.read("values.zst"))
    assert b"content" in values
    files = [file.read_bytes() for file in other.parent.rglob("*") if file.is_file()]
    for held in (values, *kept, *files):
        assert CANARY.encode() not in held


def held_by(record: Record) -> list[Payload]:
    """Return the values of how a run begins or ends."""
    event = record.event
    if isinstance(event, RunStarted):
        return [event.input]
    assert isinstance(event, RunFinished)
    return [p for p in (event.value, event.save) if p is not None]


def test_an_import_holds_a_few_values_at_a_time(saver: DuckDBSaver, path: Path) -> None:
    size, count = 500_000, 100
    text = random.Random(1).randbytes(size)  # noqa: S311 - text
    with InMemorySaver() as memory:
        memory.commit(
            [
                Record("t", f"r-{n}", 1, event)
                for n in range(count)
                for event in run(serde.encode(text + b"%d" % n), n)
            ]
        )
        bundle = export_bundle(memory, "t", path.with_name("t.zip"))
    gc.collect()

    tracemalloc.start()
    try:
        import_bundle(saver, bundle)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 30 * size


def run(data: bytes, number: int) -> tuple[RunStarted, RunFinished]:
    begun = RunStarted("chat", Payload(b"\x01"), "code", f"{number}-in")
    return begun, RunFinished(Payload(data), None, f"{number}-out")


def test_what_was_imported_is_read_after_the_bundle_and_its_saver_are_gone(
    saver: DuckDBSaver, bundle: Path
) -> None:
    data = serde.encode(bytes(300_000))
    begun, done = run(data, 1)
    saver.commit([Record("t", "r", 1, begun), Record("t", "r", 2, done)])
    export_bundle(saver, "t", bundle)

    with InMemorySaver() as memory:
        import_bundle(memory, bundle)
        bundle.unlink()
        saver.close()
        gc.collect()

        (ended,) = memory.read("t", kinds=("RunFinished",))
        assert [payload.data for payload in held_by(ended)] == [data]


VALUES = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.integers(0, 3).map(lambda n: bytes([n]) * 300_000),
        st.integers(0, 3).map(lambda n: bytes([n, n + 1]) * 200_000),
    ),
    max_size=12,
)


@given(VALUES)
def test_values_come_out_of_a_stream_as_they_went_in(values: list[bytes]) -> None:
    pieces: list[bytes] = []
    writer = ValueWriter(pieces.append)

    places = [writer.add(value) for value in values]
    writer.close()

    source = io.BytesIO(b"".join(pieces))
    reader = ValueReader(source, sum(map(len, values)))
    found: dict[Any, bytes] = {}
    for place in places:
        if place not in found or not place.size_bytes:
            found[place] = reader.read(place)
    reader.finish()
    assert [found[place] for place in places] == values
    large = [value for value in values if len(value) > 256 << 10]
    assert len({p for p in places if p.size_bytes > 256 << 10}) == len(set(large))
