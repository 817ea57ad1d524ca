"""Threads of a salvaged store: read and continued with whichever row is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from nbflow._database.blobs import blob_folder
from nbflow._database.integrity import mark_path
from nbflow.checkpoint.duckdb import DuckDBSaver, check, salvage
from nbflow.errors import StoreDamagedError
from nbflow.func import entrypoint, task

CONFIG: Any = {"configurable": {"thread_id": "t"}}


class Work:
    """A workflow that can be told to fail, on a store that is opened again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_broken = False
        self.ran: list[int] = []

    def on(self, saver: DuckDBSaver) -> Any:
        """Return the workflow."""

        @task
        def double(number: int) -> int:
            self.ran.append(number)
            return 2 * number

        @entrypoint(checkpointer=saver)
        def work(count: int, *, previous: int | None = None) -> int:
            total = sum(double(number).result() for number in range(count))
            if self.is_broken:
                raise ValueError(count)
            return total + (previous or 0)

        return work


@pytest.fixture
def work(path: Path) -> Work:
    """Return a workflow whose first run finished and whose second one failed."""
    work = Work(path)
    with DuckDBSaver(path) as saver:
        work.on(saver).invoke(2, CONFIG)
        work.is_broken = True
        with pytest.raises(ValueError, match="3"):
            work.on(saver).invoke(3, CONFIG)
    work.is_broken = False
    work.ran.clear()
    return work


def lose(path: Path, kind: str) -> int:
    """Delete the newest row of a kind, and return its place."""
    with duckdb.connect(str(path)) as connection:
        (seq,) = connection.execute(
            "DELETE FROM log WHERE seq = (SELECT max(seq) FROM log WHERE kind = ?) "
            "RETURNING seq",
            [kind],
        ).fetchall()[0]
    return int(seq)


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        ("RunStarted", 2),
        ("CodeSeen", 8),
        ("TaskCalled", 8),
        ("TaskFinished", 8),
        ("RunFailed", 8),
        ("RunFinished", 6),
    ],
)
def test_a_thread_is_read_and_continued_without_one_of_its_rows(
    work: Work, kind: str, result: int
) -> None:
    seq = lose(work.path, kind)
    with pytest.raises(StoreDamagedError, match=rf"lost 1 of its rows \({seq}\)"):
        DuckDBSaver(work.path)

    done = salvage(work.path)

    assert (done.lost, done.gaps) == (1, ((seq, seq),))
    with DuckDBSaver(work.path) as saver:
        workflow = work.on(saver)
        assert [head.thread_id for head in saver.list_threads()] == ["t"]
        assert list(workflow.get_state_history(CONFIG))
        assert workflow.invoke(None, CONFIG) == result
        assert len(work.ran) <= 1
    assert check(work.path).is_whole


def test_a_value_whose_file_is_gone_costs_no_row(path: Path) -> None:
    @task
    def large(size: int) -> bytes:
        return bytes(range(256)) * size

    with DuckDBSaver(path) as saver:

        @entrypoint(checkpointer=saver)
        def work(size: int) -> int:
            return len(large(size).result())

        work.invoke(4096, CONFIG)
    (file,) = blob_folder(str(path)).iterdir()
    content = file.read_bytes()
    file.unlink()
    report = check(path)

    done = salvage(path)

    assert (done.lost, done.unreadable, done.threads) == (0, 1, ("t",))
    assert [finding.thread_id for finding in report.findings] == ["t"]
    assert "large" in report.findings[0].says
    assert file.name in report.findings[0].says
    file.write_bytes(content)
    assert check(path).is_whole


def test_the_files_of_values_are_kept_with_the_damaged_store(path: Path) -> None:
    with DuckDBSaver(path) as saver:

        @entrypoint(checkpointer=saver)
        def work(size: int) -> bytes:
            return bytes(range(256)) * size

        work.invoke(4096, CONFIG)
    (file,) = blob_folder(str(path)).iterdir()
    content = file.read_bytes()
    lose(path, "RunFinished")

    done = salvage(path)
    with DuckDBSaver(path) as saver:
        saver.compact()

    aside = next(name for name in done.kept if name.endswith(".duckdb"))
    assert not file.exists()  # No row of the salvaged store refers to it.
    assert (blob_folder(aside) / file.name).read_bytes() == content
    assert Path(mark_path(aside)).exists()
