"""A thread in one file: whole, without secrets if asked, and harmless to open."""

from __future__ import annotations

import dataclasses
import json
import random
import tempfile
import zipfile
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import zstandard

from nbflow import serde
from nbflow._events import (
    KINDS,
    Custom,
    Record,
    RunFinished,
    RunStarted,
    TaskCalled,
    TaskFinished,
    ThreadDeleted,
)
from nbflow._values import Payload
from nbflow.checkpoint.bundle import export_bundle, import_bundle
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.checkpoint.memory import InMemorySaver
from nbflow.errors import (
    InvalidBundleError,
    StoreUnavailableError,
    ThreadNotFoundError,
    UnregisteredTypeError,
    UsageError,
)
from nbflow.func import entrypoint, task
from nbflow.serde.redact import SECRET_NAMES
from nbflow.types import Command, interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbflow._events import Event

CANARY = "canary-5d1e77"


@dataclasses.dataclass
class Account:
    """A class of the bundle's author."""

    name: str
    api_key: str = ""


def records_of(value: Any, thread_id: str = "t") -> list[Record]:
    """Return a run that got a value, and returned it."""
    payload = Payload(serde.encode(value))
    called = TaskCalled("c", "", "place", "fetch", "code", "key", "(1)")
    events: list[Event] = [
        RunStarted("essay", payload, "code", "r-in", metadata={"token": CANARY}),
        called,
        TaskFinished("c", payload),
        RunFinished(payload, None, "r-out"),
    ]
    return [Record(thread_id, "r", at, event) for at, event in enumerate(events, 1)]


@pytest.fixture
def saver(path: Path) -> Iterator[DuckDBSaver]:
    with DuckDBSaver(path) as opened:
        yield opened


@pytest.fixture
def bundle(path: Path) -> Path:
    return path.with_name("t.zip")


def input_of(saver: DuckDBSaver, thread_id: str) -> bytes:
    """Return what a thread's first run was called with, as stored."""
    event = saver.read(thread_id)[0].event
    assert isinstance(event, RunStarted)
    return event.input.data or b""


def plain(records: list[Record]) -> list[Record]:
    """Return records without their places, for comparison."""
    return [msgspec.structs.replace(record, seq=0) for record in records]


def rewrite(bundle: Path, change: Callable[[dict[str, bytes]], object]) -> None:
    """Change the files of a bundle."""
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def say(files: dict[str, bytes], /, **said: Any) -> None:
    """Change what the manifest says."""
    files["manifest.json"] = json.dumps(
        json.loads(files["manifest.json"]) | said
    ).encode()


@pytest.mark.parametrize("large", [b"", bytes(range(256)) * 4_000])
def test_what_goes_out_comes_in_equal(
    saver: DuckDBSaver, bundle: Path, large: bytes
) -> None:
    saver.commit(records_of({"n": (1, {2}), "large": large}))
    before = saver.read("t")

    export_bundle(saver, "t", bundle)
    saver.delete_thread("t", purge=True)
    name = import_bundle(saver, bundle)

    assert name == "t"
    assert plain(saver.read("t")) == plain(before)
    assert [head.status for head in saver.heads()] == ["finished"]


def test_any_saver_gives_a_bundle_and_takes_one(bundle: Path) -> None:
    with InMemorySaver() as one, InMemorySaver() as other:
        one.commit(records_of([1, 2]))

        export_bundle(one, "t", bundle)
        import_bundle(other, bundle, thread_id="copy")

        found = [dataclasses_of(record) for record in other.read("copy")]
        assert found == [dataclasses_of(record) for record in one.read("t")]


def dataclasses_of(record: Record) -> tuple[str, int, Event]:
    """Return what of a record does not depend on its thread."""
    return record.run_id, record.at, record.event


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_only_events_of_runs_come_in(
    saver: DuckDBSaver, bundle: Path, kind: str
) -> None:
    saver.commit(records_of(1))
    export_bundle(saver, "t", bundle)

    def smuggle(files: dict[str, bytes]) -> None:
        rows = bundle.with_name("rows.parquet")
        rows.write_bytes(files["rows.parquet"])
        with duckdb.connect() as memory:
            memory.execute(f"CREATE TABLE b AS FROM read_parquet('{rows}')")
            memory.execute("UPDATE b SET kind = ? WHERE position = 4", [kind])
            memory.execute(f"COPY b TO '{rows}' (FORMAT parquet)")
        replace_rows(files, rows.read_bytes())

    rewrite(bundle, smuggle)
    try:
        import_bundle(saver, bundle, thread_id="copy")
    except InvalidBundleError:
        assert saver.read("copy") == []
    else:
        assert saver.read("")[1:] == []
        assert type(saver.read("copy")[3].event).__name__ == kind
    assert len(saver.read("t")) == 4


def replace_rows(files: dict[str, bytes], rows: bytes) -> None:
    """Put other rows into a bundle, and say so in its manifest."""
    replace(files, "rows.parquet", rows)


def replace(files: dict[str, bytes], name: str, data: bytes) -> None:
    """Put another file into a bundle, and say so in its manifest."""
    files[name] = data
    said = json.loads(files["manifest.json"])["files"]
    say(files, files=said | {name: [sha256(data).hexdigest(), len(data)]})


def replace_values(
    files: dict[str, bytes], *, after: bytes = b"", but: int = 0
) -> None:
    """Put some bytes behind a bundle's values, or take some of the last away."""
    values = unpacked(files["values.zst"])
    held = values[: len(values) - but] + after
    replace(files, "values.zst", zstandard.compress(held))


def test_secrets_are_left_out_by_name_wherever_they_stand(
    saver: DuckDBSaver, bundle: Path
) -> None:
    secret = {
        "api_key": CANARY,
        "deep": [{"OPENAI_API_KEY": CANARY}, Account("ann", CANARY)],
        ("a", "tuple"): {"token": [CANARY] * 3},
        "region": "north",
    }
    saver.commit(records_of(secret))

    export_bundle(saver, "t", bundle, redacted={"api_key", "token"})

    shared = shared_bytes(bundle)
    assert CANARY.encode() not in shared
    assert b"north" in shared
    import_bundle(saver, bundle, thread_id="copy", trusted=True)
    value = serde.decode(input_of(saver, "copy"))
    assert value["deep"][1] == Account("ann", serde.Redacted())  # type: ignore[arg-type]


UNDER_NAMES: dict[str, Callable[[], Any]] = {
    "an ordered dict": lambda: OrderedDict(api_key=CANARY),
    "keys of bytes": lambda: {b"token": CANARY},
    "an answer of the web": lambda: {"accessToken": CANARY, "X-Api-Key": CANARY},
    "a frame's column": lambda: pd.DataFrame({"n": [1], "password": [CANARY]}),
    "a column of levels": lambda: pd.DataFrame({("a", "token"): [CANARY]}),
    "a frame's attributes": lambda: framed(token=CANARY),
    "a row's label": lambda: pd.Series([CANARY, "x"], ["token", "n"]),
    "a series' name": lambda: pd.Series([CANARY], name="client_secret"),
    "a category's index": lambda: pd.Series([CANARY], pd.Categorical(["token"])),
    "a table's column": lambda: pa.table({"token": [CANARY]}),
    "a struct's field": lambda: pa.table({"a": [{"token": CANARY}]}),
    "a polars column": lambda: pytest.importorskip("polars").DataFrame(
        {"token": [CANARY]}
    ),
    "a record's field": lambda: np.array([(CANARY.encode(),)], [("token", "S20")]),
    "a large frame": lambda: pd.DataFrame({"token": [CANARY] * 100_000}),
    "a frame in a list": lambda: [1, {"x": pd.DataFrame({"token": [CANARY]})}],
}


def framed(**attributes: str) -> Any:
    """Return a frame with attributes."""
    frame = pd.DataFrame({"n": [1]})
    frame.attrs.update(attributes)
    return frame


@pytest.mark.parametrize("made", UNDER_NAMES.values(), ids=list(UNDER_NAMES))
def test_what_stands_under_a_secret_name_is_left_out_of_any_value(
    saver: DuckDBSaver, bundle: Path, made: Callable[[], Any]
) -> None:
    saver.commit(records_of([made(), "north"]))

    export_bundle(saver, "t", bundle, redacted=SECRET_NAMES)

    assert CANARY.encode() not in shared_bytes(bundle)
    import_bundle(saver, bundle, thread_id="copy")
    assert serde.decode(input_of(saver, "copy"))[1] == "north"


def shared_bytes(bundle: Path) -> bytes:
    """Return everything that a bundle holds, unpacked."""
    with zipfile.ZipFile(bundle) as archive, duckdb.connect() as memory:
        rows = Path(archive.extract("rows.parquet", bundle.parent))
        found = memory.execute(f"FROM '{rows}'").fetchall()
        rows.unlink()
        values = unpacked(archive.read("values.zst"))
        return b"".join((archive.read("manifest.json"), str(found).encode(), values))


def unpacked(stream: bytes) -> bytes:
    """Return what a stream of values holds, as any program reads it."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(stream)


def test_a_frame_without_secret_labels_stays(saver: DuckDBSaver, bundle: Path) -> None:
    frame = pd.DataFrame({"max_tokens": [1, 2], "text": ["token", "password"]})
    saver.commit(records_of(frame))

    export_bundle(saver, "t", bundle, redacted=SECRET_NAMES)

    import_bundle(saver, bundle, thread_id="copy")
    pd.testing.assert_frame_equal(serde.decode(input_of(saver, "copy")), frame)


@pytest.mark.parametrize("names", ["ssn", ["SSN"], {"Ssn"}, ("x", "ssn")])
def test_names_of_ones_own_hide_however_they_are_written(
    saver: DuckDBSaver, bundle: Path, names: Any
) -> None:
    saver.commit(records_of({"SSN": CANARY, "s": "north"}))

    export_bundle(saver, "t", bundle, redacted=names)

    held = shared_bytes(bundle)
    assert serde.encode(CANARY) not in held
    assert b"north" in held


def test_a_name_that_events_use_themselves_hides_only_what_is_the_users(
    saver: DuckDBSaver, bundle: Path
) -> None:
    names = ("code", "id", "key", "kind", "name", "place", "tokens", "workflow")
    saver.commit(records_of({"code": CANARY, "n": 1}))
    saver.commit(
        [Record("t", "r", 9, TaskFinished("d", Payload(b"\x01"), usage=USAGE))]
    )
    before = saver.read("t")

    export_bundle(saver, "t", bundle, redacted=names)
    import_bundle(saver, bundle, thread_id="copy")

    after = saver.read("copy")
    begun = after[0].event
    assert isinstance(begun, RunStarted)
    assert (begun.workflow, begun.code) == ("essay", "code")
    assert after[-1].event == before[-1].event


USAGE = {"input_tokens": 3}


def test_texts_of_arguments_are_left_out_and_a_form_still_can_be_answered(
    saver: DuckDBSaver, bundle: Path
) -> None:
    @task
    def fetch(who: str, ssn: str) -> str:
        return who + ssn

    @entrypoint(checkpointer=saver)
    def ask(who: str) -> Any:
        fetch(who, CANARY).result()
        return interrupt({"question": "Which?", "response_schema": SCHEMA})

    ask.invoke("ann", {"configurable": {"thread_id": "t"}})

    export_bundle(saver, "t", bundle, redacted={"ssn", "token"})
    import_bundle(saver, bundle, thread_id="copy")

    (called,) = saver.read("copy", kinds=("TaskCalled",))
    assert isinstance(called.event, TaskCalled)
    assert called.event.args == "…"
    answer: Command[Any] = Command(resume={"token": "mine"})
    config = {"configurable": {"thread_id": "copy"}}
    assert ask.invoke(answer, config) == {"token": "mine"}


SCHEMA = {
    "type": "object",
    "properties": {"token": {"type": "string", "default": CANARY}},
    "required": ["token"],
}


def test_a_call_whose_result_was_left_out_runs_again(
    saver: DuckDBSaver, bundle: Path
) -> None:
    calls: list[str] = []

    @task
    def fetch(name: str) -> dict[str, str]:
        calls.append(name)
        return {name: CANARY}

    @entrypoint(checkpointer=saver)
    def ask(_: str) -> Any:
        found = [fetch(name).result() for name in ("token", "north")]
        return [interrupt("Good?"), *found]

    ask.invoke("x", {"configurable": {"thread_id": "t"}})

    export_bundle(saver, "t", bundle, redacted={"token"})
    import_bundle(saver, bundle, thread_id="copy")
    answer: Command[Any] = Command(resume="yes")
    result = ask.invoke(answer, {"configurable": {"thread_id": "copy"}})

    assert result == ["yes", {"token": CANARY}, {"north": CANARY}]
    assert calls == ["token", "north", "token"]


def test_a_strangers_class_is_shown_and_never_built(
    saver: DuckDBSaver, bundle: Path
) -> None:
    saver.commit(records_of([Account("ann"), ValueError("kept")]))
    export_bundle(saver, "t", bundle)

    import_bundle(saver, bundle, thread_id="theirs")
    import_bundle(saver, bundle, thread_id="ours", trusted=True)

    data = input_of(saver, "theirs")
    account, error = serde.decode(data, opaque=True)
    assert isinstance(account, serde.Opaque)
    assert account.type_name.startswith("bundle:")
    assert type(error) is ValueError
    with pytest.raises(UnregisteredTypeError):
        serde.decode(data)
    assert serde.decode(input_of(saver, "ours"))[0] == Account("ann")


STRANGE: dict[str, Callable[[dict[str, bytes]], object]] = {
    "it leaves its folder": lambda files: files.update({"../evil.py": b"x"}),
    "an absolute name": lambda files: files.update({"/evil.py": b"x"}),
    "a file too much": lambda files: files.update({"more.parquet": b"x"}),
    "no manifest": lambda files: files.pop("manifest.json"),
    "no rows": lambda files: files.pop("rows.parquet"),
    "no values": lambda files: files.pop("values.zst"),
    "other values": lambda files: files.update({"values.zst": zstandard.compress(b"")}),
    "values of no row": lambda files: replace_values(files, after=b"x"),
    "too few values": lambda files: replace_values(files, but=1),
    "no values at all": lambda files: replace(files, "values.zst", b"(no zstd)"),
    "other rows": lambda files: files.update({"rows.parquet": b"PAR1"}),
    "no json": lambda files: files.update({"manifest.json": b"{"}),
    "not ours": lambda files: say(files, format="other"),
    "newer": lambda files: say(files, version=3),
    "older": lambda files: say(files, version=1),
    "other count": lambda files: say(files, rows=7),
    "bytes": lambda files: replace_rows(files, b"PAR1" * 10),
    "a field too much": lambda files: say(files, more=1),
}


@pytest.mark.parametrize("change", STRANGE.values(), ids=list(STRANGE))
def test_what_is_not_as_it_was_exported_is_refused(
    saver: DuckDBSaver, bundle: Path, change: Callable[[dict[str, bytes]], object]
) -> None:
    saver.commit(records_of(1))
    export_bundle(saver, "t", bundle)
    rewrite(bundle, change)
    beside = {file.name for file in bundle.parent.parent.rglob("*")}

    with pytest.raises(InvalidBundleError):
        import_bundle(saver, bundle, thread_id="copy")

    assert [head.thread_id for head in saver.heads()] == ["t"]
    assert {file.name for file in bundle.parent.parent.rglob("*")} == beside


def sql(*statements: str) -> Callable[[dict[str, bytes]], None]:
    """Return what changes the rows of a bundle, and its manifest with them."""

    def change(files: dict[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder, duckdb.connect() as memory:
            rows = Path(folder, "rows.parquet")
            rows.write_bytes(files["rows.parquet"])
            memory.execute(f"CREATE TABLE b AS FROM read_parquet('{rows}')")
            for statement in statements:
                memory.execute(statement)
            memory.execute(f"COPY b TO '{rows}' (FORMAT parquet)")
            ((count,),) = memory.execute("SELECT count(*) FROM b").fetchall()
            replace_rows(files, rows.read_bytes())
            say(files, rows=count)

    return change


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE b SET position = NULL WHERE position = 2",
        "UPDATE b SET position = 3 WHERE position = 2",
        "UPDATE b SET happened_at = 9223372036854775807",
        "UPDATE b SET run_id = NULL",
        "UPDATE b SET detail = repeat('{\"metadata\":', 20000) || repeat('}', 20000)",
        "UPDATE b SET value_begin = NULL WHERE position = 1",
        "UPDATE b SET value_begin = 0 WHERE position = 3",
        "UPDATE b SET value_begin = -1, value_bytes = 1 WHERE position = 1",
        "UPDATE b SET value_bytes = -1 WHERE position = 1",
        "UPDATE b SET value_bytes = 9223372036854775807 WHERE position = 4",
        "UPDATE b SET value_begin = NULL, value_bytes = NULL WHERE position = 4",
        "ALTER TABLE b ADD COLUMN more INTEGER",
        "ALTER TABLE b ALTER name TYPE STRUCT(a INTEGER) USING NULL",
    ],
)
def test_rows_that_no_export_writes_are_refused(
    saver: DuckDBSaver, bundle: Path, statement: str
) -> None:
    saver.commit(records_of(1))
    export_bundle(saver, "t", bundle)
    rewrite(bundle, sql(statement))

    with pytest.raises(InvalidBundleError):
        import_bundle(saver, bundle, thread_id="copy")

    assert saver.read("copy") == []


def test_a_file_with_any_bits_turned_is_whole_or_refused(
    saver: DuckDBSaver, bundle: Path
) -> None:
    saver.commit(records_of([1, {"text": "kept"}]))
    export_bundle(saver, "t", bundle)
    whole, before = bundle.read_bytes(), plain(saver.read("t"))
    chance = random.Random(4)  # noqa: S311 - the same each time
    refused = 0

    for _ in range(400):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 1, 3))):
            data[-1 - chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        bundle.write_bytes(data[: chance.choice((len(data), chance.randrange(1200)))])
        other = InMemorySaver()
        try:
            import_bundle(other, bundle, thread_id="t")
        except InvalidBundleError:
            refused += 1
        else:
            assert plain(other.read("t")) == before

    assert refused > 200


@pytest.mark.parametrize("packed", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_is_packed_in_another_way_is_refused(
    saver: DuckDBSaver, bundle: Path, packed: int
) -> None:
    saver.commit(records_of(1))
    export_bundle(saver, "t", bundle)
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(bundle, "w", packed) as archive:
        for name, data in files.items():
            archive.writestr(name, data)

    with pytest.raises(InvalidBundleError, match="packed"):
        import_bundle(saver, bundle, thread_id="copy")


def test_a_value_that_many_rows_share_is_held_once(
    saver: DuckDBSaver, bundle: Path
) -> None:
    saver.commit(records_of(1))
    export_bundle(saver, "t", bundle)
    rewrite(bundle, lambda files: share(files, bytes(4_000_000), 1_000))

    with InMemorySaver() as other:
        import_bundle(other, bundle, thread_id="copy", limit_bytes=10_000_000)

        events = [record.event for record in other.read("copy", kinds=("Custom",))]
        assert len({id(e.data) for e in events if isinstance(e, Custom)}) == 1


def test_a_small_value_that_many_rows_share_is_refused(
    saver: DuckDBSaver, bundle: Path
) -> None:
    saver.commit(records_of(1))
    export_bundle(saver, "t", bundle)
    rewrite(bundle, lambda files: share(files, bytes(100_000), 1_000))

    with pytest.raises(InvalidBundleError, match="does not follow the one before"):
        import_bundle(saver, bundle, thread_id="copy")


def share(files: dict[str, bytes], value: Any, rows: int) -> None:
    """Give a bundle a value that so many of its rows refer to."""
    data = serde.encode(value)
    begin = len(unpacked(files["values.zst"]))
    sql(
        "INSERT INTO b SELECT 4 + i, 1, 'r', 'Custom', 'c', NULL, '{}', "  # noqa: S608 - our own text
        f"{begin}, {len(data)}, NULL, NULL FROM range(1, {rows + 1}) t(i)"
    )(files)
    replace_values(files, after=data)


def test_a_name_that_is_none_and_a_file_that_is_not_there_are_told(
    saver: DuckDBSaver, bundle: Path
) -> None:
    saver.commit(records_of(1))
    export_bundle(saver, "t", bundle)

    with pytest.raises(UsageError, match="no thread's name"):
        import_bundle(saver, bundle, thread_id="")
    with pytest.raises(UsageError, match="can't be opened: No such file"):
        import_bundle(saver, bundle.with_name("other.zip"))
    with pytest.raises(UsageError, match="can't be opened"):
        import_bundle(saver, bundle.parent)


@pytest.mark.parametrize("version", [1, 99])
def test_another_version_is_named_and_what_to_do(
    saver: DuckDBSaver, bundle: Path, version: int
) -> None:
    saver.commit(records_of(1))
    export_bundle(saver, "t", bundle)
    rewrite(bundle, lambda files: say(files, version=version))

    with pytest.raises(
        InvalidBundleError, match=rf"version {version}.*reads 2: update nbflow, or have"
    ):
        import_bundle(saver, bundle, thread_id="copy")


def test_no_zip_at_all_is_refused(saver: DuckDBSaver, bundle: Path) -> None:
    bundle.write_bytes(b"PK\x03\x04 but no more")

    with pytest.raises(InvalidBundleError, match="no zip"):
        import_bundle(saver, bundle)


def test_a_bomb_is_refused_before_it_goes_off(saver: DuckDBSaver, bundle: Path) -> None:
    saver.commit(records_of("x"))
    export_bundle(saver, "t", bundle)
    rewrite(bundle, lambda files: files.update({"values.zst": bytes(3_000_000)}))
    assert bundle.stat().st_size < 100_000

    with pytest.raises(InvalidBundleError, match="is the most"):
        import_bundle(saver, bundle, thread_id="copy", limit_bytes=2_000_000)


def test_values_that_grow_when_read_are_refused(
    saver: DuckDBSaver, bundle: Path
) -> None:
    saver.commit(records_of("x"))
    export_bundle(saver, "t", bundle)
    rewrite(bundle, lambda files: share(files, bytes(3_000_000), 1))
    assert bundle.stat().st_size < 100_000

    with pytest.raises(InvalidBundleError, match=r"3,000,0.. bytes.*is the most"):
        import_bundle(saver, bundle, thread_id="copy", limit_bytes=2_000_000)


def test_values_that_ask_for_more_memory_than_an_export_does_are_refused(
    saver: DuckDBSaver, bundle: Path
) -> None:
    saver.commit(records_of("x"))
    export_bundle(saver, "t", bundle)
    wide = zstandard.ZstdCompressionParameters(window_log=30)
    compressor = zstandard.ZstdCompressor(compression_params=wide)

    def widen(files: dict[str, bytes]) -> None:
        stream = compressor.compressobj()
        values = stream.compress(unpacked(files["values.zst"])) + stream.flush()
        replace(files, "values.zst", values)

    rewrite(bundle, widen)

    with pytest.raises(InvalidBundleError, match="requires too much memory"):
        import_bundle(saver, bundle, thread_id="copy")


def test_rows_that_grow_when_read_are_refused(saver: DuckDBSaver, bundle: Path) -> None:
    saver.commit(records_of("x"))
    export_bundle(saver, "t", bundle)

    def blow_up(files: dict[str, bytes]) -> None:
        rows = bundle.with_name("rows.parquet")
        rows.write_bytes(files["rows.parquet"])
        with duckdb.connect() as memory:
            memory.execute(f"CREATE TABLE b AS FROM read_parquet('{rows}')")
            memory.execute(
                "INSERT INTO b SELECT 4 + i, 1, 'r', 'StreamCut', NULL, NULL, "
                "'{}' || repeat(' ', 100000), NULL, NULL, NULL, NULL "
                "FROM range(1, 2001) t(i)"
            )
            memory.execute(f"COPY b TO '{rows}' (FORMAT parquet, COMPRESSION zstd)")
        replace_rows(files, rows.read_bytes())
        say(files, rows=2_004)

    rewrite(bundle, blow_up)
    assert bundle.stat().st_size < 1_000_000

    with pytest.raises(InvalidBundleError, match="is the most"):
        import_bundle(saver, bundle, thread_id="copy", limit_bytes=100_000_000)


def test_a_bundle_never_replaces_a_file_or_a_thread(
    saver: DuckDBSaver, bundle: Path
) -> None:
    saver.commit(records_of(1))
    export_bundle(saver, "t", bundle)

    with pytest.raises(UsageError, match="already"):
        export_bundle(saver, "t", bundle)
    with pytest.raises(UsageError, match="already"):
        import_bundle(saver, bundle)
    with pytest.raises(ThreadNotFoundError):
        export_bundle(saver, "nobody", bundle)


def test_a_place_where_no_bundle_can_be_written_is_told(
    saver: DuckDBSaver, bundle: Path
) -> None:
    saver.commit(records_of(1))

    with pytest.raises(StoreUnavailableError, match="Name a file in a folder that is"):
        export_bundle(saver, "t", bundle.parent / "nowhere" / "t.zip")


def test_a_deleted_beginning_of_a_thread_is_not_exported(
    saver: DuckDBSaver, bundle: Path
) -> None:
    saver.commit(records_of(CANARY))
    saver.commit([Record("t", "", 1, ThreadDeleted())])
    saver.commit(records_of("after"))

    export_bundle(saver, "t", bundle)

    import_bundle(saver, bundle, thread_id="copy")
    assert len(saver.read("copy")) == 4
