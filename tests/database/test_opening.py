"""Where a store can be opened, and what is said where it can't."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import duckdb
import pytest

from nbflow._database import database, schema
from nbflow._database.files import FileLock
from nbflow._database.schema import Migration
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.errors import (
    StoreDamagedError,
    StoreError,
    StoreHeldError,
    StoreUnavailableError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from nbflow._events import Record

    Child = Callable[..., AbstractContextManager[subprocess.Popen[str]]]


def test_the_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "threads.duckdb"

    DuckDBSaver(path).close()

    assert path.exists()
    assert not (path.parent / ".gitignore").exists()


def test_a_folder_of_our_own_name_is_kept_out_of_git(tmp_path: Path) -> None:
    path = tmp_path / ".nbflow" / "threads.duckdb"

    DuckDBSaver(path).close()

    assert (path.parent / ".gitignore").read_text() == "*\n"


def test_a_gitignore_of_the_user_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / ".nbflow"
    folder.mkdir()
    (folder / ".gitignore").write_text("mine")

    DuckDBSaver(folder / "threads.duckdb").close()

    assert (folder / ".gitignore").read_text() == "mine"


def test_a_path_may_be_text_and_begin_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    with DuckDBSaver("~/threads.duckdb") as saver:
        location = saver.location

    assert location == str(tmp_path.resolve() / "threads.duckdb")


def test_two_names_of_one_file_are_one_store(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.duckdb"
    link.symlink_to(path)

    with DuckDBSaver(path) as one, DuckDBSaver(link) as other:
        assert one.scope == other.scope


@pytest.mark.parametrize("name", ["", ":memory:", ":memory:named"])
def test_memory_is_refused_with_what_to_use_instead(name: str) -> None:
    with pytest.raises(UsageError, match="InMemorySaver"):
        DuckDBSaver(name)


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="is a folder"):
        DuckDBSaver(tmp_path)


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreUnavailableError, match="%workflow store"):
        DuckDBSaver(tmp_path / "file" / "threads.duckdb")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_folder_that_takes_no_files_is_refused() -> None:
    with pytest.raises(StoreUnavailableError, match="can't be used"):
        DuckDBSaver("/proc/threads.duckdb")


@pytest.mark.parametrize("content", [b"", b"x", b"hello world" * 1000])
def test_a_file_of_another_kind_is_refused_untouched(
    path: Path, content: bytes
) -> None:
    path.write_bytes(content)

    with pytest.raises(StoreUnavailableError, match="not a DuckDB database"):
        DuckDBSaver(path)

    assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_sqlite_file_is_refused_untouched(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (a)")
    connection.close()
    content = path.read_bytes()

    with pytest.raises(StoreUnavailableError, match="not a DuckDB database"):
        DuckDBSaver(path)

    assert path.read_bytes() == content


def test_a_database_with_other_tables_is_refused_untouched(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine (a INTEGER)")
    content = path.read_bytes()

    with pytest.raises(StoreUnavailableError, match=r"other tables \(mine\)"):
        DuckDBSaver(path)

    assert path.read_bytes() == content


def test_an_empty_database_becomes_a_store(
    path: Path, written: Callable[..., Record]
) -> None:
    duckdb.connect(str(path)).close()

    with DuckDBSaver(path) as saver:
        saver.append([written("t")])

        assert len(saver.read("t")) == 1


def test_a_newer_schema_is_refused_untouched(
    path: Path, written: Callable[..., Record]
) -> None:
    with DuckDBSaver(path) as saver:
        saver.append([written("t")])
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO schema_versions VALUES (99, 'later', now())")
    path.with_name(f"{path.name}.mark").unlink()
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in [path]}

    with pytest.raises(StoreUnavailableError, match="newer nbflow"):
        DuckDBSaver(path)

    lock = path.with_name(f"{path.name}.lock")
    assert {
        file: (file.read_bytes(), file.stat().st_mtime_ns)
        for file in path.parent.iterdir()
        if file != lock
    } == before


def test_a_newer_schema_is_refused_untouched_with_its_log_beside_it(path: Path) -> None:
    DuckDBSaver(path).close()
    connection = duckdb.connect(str(path))
    connection.execute("PRAGMA disable_checkpoint_on_shutdown")
    connection.execute("INSERT INTO schema_versions VALUES (99, 'later', now())")
    connection.close()
    files = [path, path.with_name(f"{path.name}.wal")]
    content = [file.read_bytes() for file in files]

    with pytest.raises(StoreUnavailableError, match="newer nbflow"):
        DuckDBSaver(path)

    assert [file.read_bytes() for file in files] == content


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make this version one whose schema is newer by a statement."""

    def add(statement: str) -> None:
        newest = Migration(99, "a later one", (statement,))
        for module in (database, schema):
            monkeypatch.setattr(module, "MIGRATIONS", (*schema.MIGRATIONS, newest))

    return add


def test_an_older_file_is_migrated_and_keeps_its_rows(
    path: Path, written: Callable[..., Record], later: Callable[[str], None]
) -> None:
    with DuckDBSaver(path) as saver:
        saver.append([written("t", "a"), written("t", "b")])
        before = saver.read("t")
    later("CREATE TABLE later (number INTEGER)")

    with DuckDBSaver(path) as saver:
        found = saver._database.fetch("SELECT count(*) FROM later")
        saver.append([written("t", "c")])
        after = saver.read("t")

    assert found == [(0,)]
    assert after[:2] == before
    assert len(after) == 3


def test_rows_in_the_log_of_an_older_file_are_kept(
    path: Path, child_at_work: Child, later: Callable[[str], None]
) -> None:
    held = """
        saver = DuckDBSaver(sys.argv[1])
        saver.commit([written("t", "kept")])
        print("ready", flush=True)
        sys.stdin.read()
    """
    with child_at_work(held, path) as child:
        child.kill()
        child.wait()
    later("CREATE TABLE later (number INTEGER)")

    with DuckDBSaver(path) as saver:
        assert len(saver.read("t")) == 1


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    path: Path, written: Callable[..., Record], later: Callable[[str], None]
) -> None:
    with DuckDBSaver(path) as saver:
        saver.append([written("t")])
    before = path.read_bytes()
    later("no SQL at all")

    with pytest.raises(StoreError, match="no SQL at all"):
        DuckDBSaver(path)

    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.new*"))


def test_an_older_file_that_the_user_has_open_is_not_migrated(
    path: Path, written: Callable[..., Record], later: Callable[[str], None]
) -> None:
    with DuckDBSaver(path) as saver:
        saver.append([written("t")])
    before = path.read_bytes()
    later("CREATE TABLE later (number INTEGER)")

    with (
        duckdb.connect(str(path)),
        pytest.raises(StoreUnavailableError, match="Close that connection"),
    ):
        DuckDBSaver(path)

    assert path.read_bytes() == before
    with DuckDBSaver(path) as saver:
        assert len(saver.read("t")) == 1


def test_a_damaged_file_is_reported_and_left_as_it_is(
    path: Path, written: Callable[..., Record]
) -> None:
    with DuckDBSaver(path) as saver:
        saver.append([written("t")])
    damaged = bytearray(path.read_bytes())
    for offset in (100, 4_096 + 20, 8_192 + 20):  # the three headers
        damaged[offset] ^= 0xFF
    path.write_bytes(damaged)

    with pytest.raises(StoreDamagedError, match="salvage"):
        DuckDBSaver(path)

    assert path.read_bytes() == bytes(damaged)


def test_after_a_refusal_the_path_can_be_used(
    path: Path, written: Callable[..., Record]
) -> None:
    path.write_text("no database")
    with pytest.raises(StoreUnavailableError):
        DuckDBSaver(path)
    path.unlink()

    with DuckDBSaver(path) as saver:
        saver.append([written("t")])

        assert len(saver.read("t")) == 1


def test_a_store_that_fails_to_open_holds_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError):
            DuckDBSaver(path)

    DuckDBSaver(path).close()


@pytest.mark.skipif(sys.platform != "linux", reason="strace is Linux's")
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("call", ["fsync", "rename", "fdatasync"])
def test_a_disk_that_fails_while_a_store_is_made_is_an_error_of_ours(
    path: Path, run_child: Callable[..., subprocess.CompletedProcess[str]], call: str
) -> None:
    fault = f"inject={call}:error=EIO:when=1"
    before = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", fault)
    code = """
        from nbflow.errors import StoreUnavailableError
        try:
            DuckDBSaver(sys.argv[1])
        except StoreUnavailableError as error:
            print(repr(sys.argv[1]) in str(error))
    """

    child = run_child(code, path, before=before)

    assert (child.stdout, child.stderr) == ("True\n", "")
    DuckDBSaver(path).close()


@pytest.mark.parametrize("is_made", [True, False])
def test_a_half_made_file_stands_in_nobodys_way_and_is_deleted(
    path: Path, written: Callable[..., Record], is_made: bool
) -> None:
    if is_made:
        DuckDBSaver(path).close()
    path.with_name(f"{path.name}.new").write_bytes(b"half")
    path.with_name(f"{path.name}.new.wal").write_bytes(b"half")
    folder = path.with_name(f"{path.name}.salvage")
    folder.mkdir()
    (folder / "copy").write_bytes(b"half")

    with DuckDBSaver(path) as saver:
        saver.append([written("t")])

    assert sorted(entry.name for entry in path.parent.iterdir()) == [
        path.name,
        f"{path.name}.lock",
        f"{path.name}.mark",
    ]


def test_another_process_that_holds_the_store_is_named(
    path: Path, child_at_work: Child
) -> None:
    held = """
        saver = DuckDBSaver(sys.argv[1], holder="essay.ipynb")
        print("ready", flush=True)
        sys.stdin.read()
    """

    with child_at_work(held, path) as child, pytest.raises(StoreHeldError) as refusal:
        DuckDBSaver(path)

    assert (refusal.value.pid, refusal.value.holder) == (child.pid, "essay.ipynb")
    assert "essay.ipynb" in str(refusal.value)


def test_a_killed_holder_holds_nothing(path: Path, child_at_work: Child) -> None:
    held = """
        saver = DuckDBSaver(sys.argv[1])
        saver.commit([written("t", "kept")])
        print("ready", flush=True)
        sys.stdin.read()
    """
    with child_at_work(held, path) as child:
        child.kill()
        child.wait()

    with DuckDBSaver(path) as saver:
        assert len(saver.read("t")) == 1


def test_another_process_that_only_has_the_file_open_is_named(
    path: Path, child_at_work: Child
) -> None:
    DuckDBSaver(path).close()
    opened = """
        import duckdb
        connection = duckdb.connect(sys.argv[1])
        print("ready", flush=True)
        sys.stdin.read()
    """

    with child_at_work(opened, path) as child, pytest.raises(StoreHeldError) as refusal:
        DuckDBSaver(path)

    assert refusal.value.pid == child.pid


def test_a_closed_store_can_be_opened_by_another_process(
    path: Path,
    run_child: Callable[..., subprocess.CompletedProcess[str]],
    written: Callable[..., Record],
) -> None:
    with DuckDBSaver(path) as saver:
        saver.append([written("t")])

    child = run_child("print(len(DuckDBSaver(sys.argv[1]).read('t')))", path)

    assert (child.stdout, child.stderr) == ("1\n", "")


def test_a_store_that_another_process_makes_at_this_moment_keeps_its_rows(
    path: Path,
    run_child: Callable[..., subprocess.CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lock(path: str, holder: str) -> FileLock:
        made = run_child("DuckDBSaver(sys.argv[1]).commit([written('t', '')])", path)
        assert made.stderr == ""
        return FileLock(path, holder)

    monkeypatch.setattr(database, "FileLock", lock)

    with DuckDBSaver(path) as saver:
        assert len(saver.read("t")) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no process is forked there")
def test_a_process_that_is_being_begun_keeps_no_store_from_being_opened_again(
    path: Path,
) -> None:
    saver = DuckDBSaver(path)
    lock = saver._database._lock._file
    assert lock is not None

    # As one has all files open until it becomes another program.
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        pass_fds=[lock],
    ):
        saver.close()

        DuckDBSaver(path).close()


def test_the_lock_stays_while_one_of_two_savers_is_open(
    path: Path, run_child: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    with DuckDBSaver(path):
        DuckDBSaver(path).close()

        child = run_child("DuckDBSaver(sys.argv[1])", path)

    assert (
        f"StoreHeldError: The store {str(path)!r} is held by process {os.getpid()}"
        in (child.stderr)
    )
