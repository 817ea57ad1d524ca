"""The names of a store's files: several for one file, or one that leads elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.errors import StoreClosedError, StoreError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from nbflow._events import Record

    RunChild = Callable[..., subprocess.CompletedProcess[str]]

needs_posix = pytest.mark.skipif(
    sys.platform == "win32", reason="an open file can't be deleted there"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def test_two_hard_links_of_a_file_are_one_store(
    path: Path, written: Callable[..., Record]
) -> None:
    DuckDBSaver(path).close()
    link = path.with_name("link.duckdb")
    os.link(path, link)

    with DuckDBSaver(path) as one, DuckDBSaver(link) as other:
        one.commit([written("t", "one")])
        other.commit([written("t", "other")])

        assert one.scope == other.scope
    with DuckDBSaver(path) as saver:
        assert len(saver.read("t")) == 2


def delete_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def delete_file(path: Path) -> None:
    path.unlink()


def replace_file(path: Path) -> None:
    other = path.with_name("other.duckdb")
    shutil.copyfile(path, other)
    other.replace(path)


@needs_posix
@pytest.mark.parametrize("fault", [delete_folder, delete_file, replace_file])
def test_nothing_is_acknowledged_that_is_written_to_a_file_without_a_name(
    folder: Path, written: Callable[..., Record], fault: Callable[[Path], None]
) -> None:
    path = folder / "threads.duckdb"
    saver = DuckDBSaver(path)
    saver.commit([written("t")])
    told: list[BaseException | None] = []
    fault(path)

    saver.append([written("t")], told.append)
    with pytest.raises(StoreClosedError, match="deleted, or another one was put"):
        saver.commit([written("t")])

    assert [type(error) for error in told] == [StoreClosedError]
    assert saver.is_closed


@needs_posix
def test_a_folder_that_was_deleted_can_be_begun_anew_at_once(
    folder: Path, written: Callable[..., Record]
) -> None:
    path = folder / "threads.duckdb"
    saver = DuckDBSaver(path)
    shutil.rmtree(folder)
    with pytest.raises(StoreError):
        saver.commit([written("t")])

    with DuckDBSaver(path) as again:
        again.commit([written("t")])

    with DuckDBSaver(path) as again:
        assert len(again.read("t")) == 1


ANEW = """
    import signal
    saver = DuckDBSaver(sys.argv[1])
    for number in range(3):
        saver.commit([written("t", str(number))])
    os.kill(os.getpid(), signal.SIGKILL)
"""


@needs_posix
@pytest.mark.parametrize("use", ["close", "compact", "fold"])
def test_a_store_whose_file_was_deleted_leaves_its_successor_alone(
    folder: Path, run_child: RunChild, written: Callable[..., Record], use: str
) -> None:
    path = folder / "threads.duckdb"
    saver = DuckDBSaver(path)
    saver.commit([written("t")])
    shutil.rmtree(folder)
    run_child(ANEW, path)  # Its rows are in the log beside the new file.

    if use == "compact":
        with pytest.raises(StoreError):
            saver.compact()
    elif use == "fold":
        with pytest.raises(StoreError):
            saver._database.connection.checkpoint()
    saver.close()

    with DuckDBSaver(path) as successor:
        assert len(successor.read("t")) == 3
