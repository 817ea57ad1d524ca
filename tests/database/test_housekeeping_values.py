"""Large and repeated values when a part of the log goes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from nbflow._events import Record, RunFinished, RunStarted
from nbflow._values import Payload
from nbflow.checkpoint.duckdb import DuckDBSaver

if TYPE_CHECKING:
    from pathlib import Path

LARGE = random.Random(7).randbytes(400_000)  # noqa: S311 - the same each time
CHAT = random.Random(8).randbytes(60_000)  # noqa: S311 - as above


def run_of(thread_id: str, run_id: str, value: bytes) -> list[Record]:
    """Return the records of a run that returned what it got."""
    started = RunStarted("essay", Payload(value), "code", f"{run_id}-in")
    ended = RunFinished(Payload(value), None, f"{run_id}-out")
    return [Record(thread_id, run_id, 1, event) for event in (started, ended)]


def values_of(saver: DuckDBSaver, thread_id: str) -> list[bytes | None]:
    """Return what the runs of a thread returned."""
    records = saver.read(thread_id, kinds=("RunFinished",))
    events = [record.event for record in records]
    return [event.value.data for event in events if isinstance(event, RunFinished)]


def files_of(path: Path) -> list[Path]:
    """Return the files of a store's large values."""
    return sorted(path.with_name(f"{path.name}.blobs").glob("*"))


def test_a_copied_thread_keeps_the_values_that_it_shared(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit(run_of("gone", "g", LARGE))
        saver.copy_thread("gone", "copy")

        saver.delete_thread("gone", purge=True)

        assert values_of(saver, "copy") == [LARGE]
        assert len(files_of(path)) == 1
    with DuckDBSaver(path) as saver:
        assert values_of(saver, "copy") == [LARGE]


def test_the_file_of_a_purged_value_goes_and_others_stay(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit(run_of("gone", "g", LARGE))
        saver.commit(run_of("kept", "k", LARGE[::-1]))
        before = files_of(path)

        saver.delete_thread("gone", purge=True)

        assert (len(before), len(files_of(path))) == (2, 1)
        assert values_of(saver, "kept") == [LARGE[::-1]]


def test_a_value_outlives_those_that_it_was_written_as_a_difference_to(
    path: Path,
) -> None:
    turns = [CHAT[: 20_000 + 500 * number] for number in range(20)]
    with DuckDBSaver(path) as saver:
        for number, value in enumerate(turns):
            saver.commit(run_of("chat", f"r{number:02d}", value))
            saver.commit(run_of("other", f"o{number:02d}", value))

        saver.drop_runs(keep_last=3, before=None)
        for number, value in enumerate(turns[:5]):
            saver.commit(run_of("chat", f"s{number:02d}", value))

        assert values_of(saver, "chat") == turns[-3:] + turns[:5]
        assert values_of(saver, "other") == turns[-3:]
    with DuckDBSaver(path) as saver:
        assert values_of(saver, "chat") == turns[-3:] + turns[:5]


def test_other_threads_keep_their_differences(path: Path) -> None:
    turns = [CHAT[: 20_000 + 500 * number] for number in range(20)]
    with DuckDBSaver(path) as saver:
        saver.commit(run_of("gone", "g", LARGE[:9_000]))
        for number, value in enumerate(turns):
            saver.commit(run_of("chat", f"r{number:02d}", value))

        saver.delete_thread("gone", purge=True)

        assert values_of(saver, "chat") == turns
        row_bytes = {size.thread_id: size.row_bytes for size in saver.sizes()}
        assert row_bytes["chat"] < sum(map(len, turns)) / 4


def test_sizes_add_up_to_the_files_and_a_shared_one_counts_for_each(path: Path) -> None:
    with DuckDBSaver(path) as saver:
        saver.commit(run_of("one", "a", LARGE))
        saver.commit(run_of("two", "b", LARGE[::-1]))
        on_disk = sum(file.stat().st_size for file in files_of(path))

        alone = sum(size.blob_bytes for size in saver.sizes())
        saver.copy_thread("one", "copy")
        found = {size.thread_id: size.blob_bytes for size in saver.sizes()}

        assert alone == on_disk
        assert found["copy"] == found["one"]
        assert sum(file.stat().st_size for file in files_of(path)) == on_disk
