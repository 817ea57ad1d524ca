"""One database object for each file in a process, counted by its users.

It holds the lock, the open file and the writer. What the records mean, and what
is asked of them, is not known here.
"""

from __future__ import annotations

import atexit
import os
import shutil
import threading
import warnings
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nbflow._database.connection import FORKED, Connection
from nbflow._database.files import (
    FileLock,
    is_open_here,
    logs_beside,
    making_for,
    new_file,
    prepare_folder,
    refuse_other_formats,
    remove_leftovers,
    swap_in,
    unusable,
)
from nbflow._database.integrity import Mark, MarkFile, audit, mark_path, read_mark
from nbflow._database.payloads import Payloads
from nbflow._database.reads import LogPast
from nbflow._database.salvage import mend
from nbflow._database.schema import MIGRATIONS, migrate, version_of
from nbflow._database.writer import Writer
from nbflow.errors import (
    MendedStoreWarning,
    StoreClosedError,
    StoreDamagedError,
    StoreError,
    StoreUnavailableError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Database", "open_database"]


class Database:
    """An open store; see `open_database`.

    Attributes
    ----------
    path : str
        The file, without symbolic links.
    payloads : Payloads
        The values that rows don't hold whole.
    writer : Writer
        The one way to add to the log.
    """

    def __init__(self, path: str, holder: str) -> None:
        self.path = path
        self.payloads: Payloads = Payloads(path, LogPast(self))
        self._users = 1
        # Held while the file is open. Not an Event: see `Told`.
        self._in_use = threading.Lock()
        self._in_use.acquire()
        self._is_ending = False
        prepare_folder(path)
        refuse_other_formats(path)
        self._lock = FileLock(path, holder)
        with ExitStack() as undone:
            undone.callback(self._lock.release)
            self._connection, mark = _open(path)
            undone.callback(self._connection.close, untouched=True)
            self._mark_file = _marked(path, mark)
            undone.callback(self._mark_file.close)
            self.writer: Writer = Writer(
                self._connection, path, self, mark_file=self._mark_file, mark=mark
            )
            self.writer.start()
            undone.pop_all()

    @property
    def connection(self) -> Connection:
        """The open file."""
        self.writer.check()
        return self._connection

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        """Run one statement and return its rows; it sees what was committed."""
        self.writer.check()
        try:
            return self._connection.fetch(sql, parameters)
        except StoreError:
            self.writer.check()  # It may have been closed meanwhile: then that is why.
            raise

    def enter(self) -> bool:
        """Count one user more; False once it is being closed."""
        if self._is_ending or self.writer.is_closed:
            return False
        self._users += 1
        return True

    def wait_until_ended(self) -> None:
        """Return when the file is closed and its lock let go."""
        with self._in_use:
            pass

    # The writer's owner.

    def leave(self) -> bool:
        """Count one user less, and return whether it was the last one."""
        with _registry.lock:
            self._users -= 1
            self._is_ending = self._users <= 0
            return self._is_ending

    def end(self, cause: BaseException | None) -> None:
        """Close the file and let go of its lock."""
        self._is_ending = True
        with ExitStack() as last:  # Whatever fails, nobody waits for ever.
            last.callback(self._in_use.release)
            last.callback(_registry.forget, self.path)
            last.callback(self._lock.release)
            last.callback(self._mark_file.close)
            last.callback(self._connection.close)
            if cause is None:
                # Nothing is lost without it: the log beside the file has everything.
                with suppress(StoreError):
                    self._connection.checkpoint()

    def disown(self) -> None:
        """Make everything here refuse, in a forked child."""
        self._lock.disown()
        self._mark_file.close(is_ours=False)
        self.writer.disown(FORKED.format(path=self.path))


class _Registry:
    """The open databases of this process, by path."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.open: dict[str, Database] = {}
        self.is_over = False

    def forget(self, path: str) -> None:
        """Let the path be opened anew."""
        with self.lock:
            self.open.pop(path, None)


_registry: Final = _Registry()


def open_database(path: str | os.PathLike[str], holder: str = "") -> Database:
    """Open a store, or count one user more of it if this process has it open.

    Every user has to let go by `Writer.release` or `Writer.release_later`; the last
    one closes the file. So does the end of the process.

    Parameters
    ----------
    path : str or path
        The file. It and its folder are made if need be; ``~`` is the home folder.
    holder : str, default ""
        Who opens it, told to another process that wants it.

    Raises
    ------
    UsageError
        The path is none of a file.
    StoreHeldError
        Another process holds the file.
    StoreUnavailableError
        The folder or the file can't be used, or a newer nbflow wrote it.
    StoreDamagedError
        The file is not what was written.
    StoreClosedError
        The process is ending.
    """
    name = os.fspath(path)
    if not name or name.startswith(":memory:"):
        raise UsageError(
            f"The log of a DuckDB store is kept in a file, and {name!r} is none.\n"
            "Give a path, or use an InMemorySaver, InMemoryStore or InMemoryCache."
        )
    real = str(Path(name).expanduser().resolve())
    while True:
        with _registry.lock:
            _refuse_at_the_end(real)
            database = _registry.open.get(real) or _open_as_another(real)
            if database is None:
                database = Database(real, holder)
                _registry.open[real] = database
                return database
            if database.enter():
                return database
        database.wait_until_ended()


def _refuse_at_the_end(path: str) -> None:
    # A thread that is stopped inside of DuckDB takes the process with it; the main
    # thread, which runs what is to be done at the end, is not stopped.
    if _registry.is_over and threading.current_thread() is not threading.main_thread():
        raise StoreClosedError(
            f"The store {path!r} can't be opened: this process is ending.\n"
            "Wait for the thread that opens it before the program ends."
        )


def _open_as_another(path: str) -> Database | None:
    # A hard link, or the same name in other letters where these count for nothing.
    for database in _registry.open.values():
        with suppress(OSError):
            if Path(database.path).samefile(path):
                return database
    return None


def _open(path: str) -> tuple[Connection, Mark]:
    try:
        remove_leftovers(path)
        if not refuse_other_formats(path):  # With the lock: another may have made it.
            _make_file(path)
        try:
            return _open_file(path, read_mark(path))
        except StoreDamagedError as error:
            if is_open_here(path) or not _is_mended(path, error):
                raise
        return _open(path)
    except StoreError:
        raise  # Some of ours are OSErrors too.
    except OSError as error:
        raise unusable(path, error) from error


def _marked(path: str, mark: Mark) -> MarkFile:
    try:
        file = MarkFile(path)
    except OSError as error:
        raise unusable(path, error) from error
    file.read()
    file.move(mark)
    return file


def _is_mended(path: str, damage: StoreDamagedError) -> bool:
    try:
        rows = mend(path)
    except (StoreError, OSError):  # Then the damage itself is what is told.
        return False
    if rows is not None:
        reason = str(damage).partition("\n")[0]
        warnings.warn(
            f"{reason}\nIt was written anew: all of its {rows} rows are there.",
            MendedStoreWarning,
            stacklevel=2,
        )
    return rows is not None


def _open_file(path: str, mark: Mark | None) -> tuple[Connection, Mark]:
    connection = Connection(path)
    try:
        version = version_of(connection, path)
        found = audit(connection, path, mark) if version else Mark()
    except BaseException:
        connection.close(untouched=True)
        raise
    if version < MIGRATIONS[-1].version:
        connection = _migrated(connection, path, version)
        found = audit(connection, path, None)
    return connection, found


def _migrated(connection: Connection, path: str, version: int) -> Connection:
    is_folded = False
    try:
        is_folded = connection.checkpoint()
    finally:
        connection.close(untouched=not is_folded)
    if not is_folded or is_open_here(path) or logs_beside(path):
        raise StoreUnavailableError(
            f"The store {path!r} has to be brought to the schema of this version, and "
            "another connection of this process has it open.\n"
            "Close that connection, then try again."
        )
    _make_anew(path, version)
    return Connection(path)


def _make_file(path: str) -> None:
    if beside := logs_beside(path):
        shown = ", ".join(map(repr, beside))
        raise StoreDamagedError(
            f"The store {path!r} is gone, but rows that were not yet in it stand in "
            f"{shown}.\nPut the file back, or delete {shown} to begin anew."
        )
    Path(mark_path(path)).unlink(missing_ok=True)  # Of a file that was here before.
    _make_anew(path, 0)


def _make_anew(path: str, version: int) -> None:
    # Under another name until it is whole: a kill or a failure leaves what was there.
    new = new_file(path)
    try:
        if version:
            shutil.copyfile(path, new)
        with making_for(path):
            _make(new, version)
        swap_in(new, path)
    except BaseException:
        with suppress(StoreError):
            remove_leftovers(path)  # Where the disk is full, they are room.
        raise


def _make(path: str, version: int) -> None:
    connection = Connection(path)
    try:
        migrate(connection, version)
    finally:
        connection.close()


def _close_all() -> None:
    with _registry.lock:  # One that is just being opened is closed too.
        _registry.is_over = True
        databases = list(_registry.open.values())
    for database in databases:
        database.writer.stop()


def _disown_all() -> None:
    for database in _registry.open.values():
        database.disown()
    _registry.open.clear()
    _registry.lock = threading.Lock()


# Connections that are open at the end of the interpreter print a page of leaks.
atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
