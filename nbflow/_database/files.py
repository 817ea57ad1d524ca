"""The place of a store: its folder, its lock, and what may stand there.

The database file itself is opened by DuckDB alone; nothing here knows what is in
it beyond the first bytes of its format.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow.errors import StoreClosedError, StoreHeldError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # Windows: DuckDB's own lock has to do.
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "FileLock",
    "Names",
    "aside_prefix",
    "holder_of",
    "is_open_here",
    "logs_beside",
    "making_for",
    "new_file",
    "prepare_folder",
    "refuse_other_formats",
    "remove_database",
    "remove_leftovers",
    "salvage_folder",
    "set_aside",
    "swap_in",
    "sync_folder",
    "unusable",
]

_MAGIC = b"DUCK"
_MAGIC_AT = 8
_OUR_FOLDER = ".nbflow"
_FAILURES = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class FileLock:
    """A lock on a second file, so that the database file is never touched.

    It is let go when the process ends, however it ends. The file says who holds
    it and stays.

    Parameters
    ----------
    path : str
        The database file; the lock's name is this and ``.lock``.
    holder : str
        Who takes it, for a person to read.

    Raises
    ------
    StoreHeldError
        Another process has it.
    StoreUnavailableError
        The file can't be written, or not be locked.
    """

    def __init__(self, path: str, holder: str) -> None:
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
            file = os.open(_lock_of(path), flags, 0o644)
        except OSError as error:
            raise unusable(path, error) from error
        self._file: int | None = file
        try:
            self._take(file, path, holder)
        except BaseException:
            self.release()
            raise

    def _take(self, file: int, path: str, holder: str) -> None:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StoreHeldError(path, *_noted(path)) from error
            except OSError as error:
                raise unusable(path, error) from error
        note = json.dumps({"pid": os.getpid(), "holder": holder})
        try:
            os.ftruncate(file, 0)
            os.lseek(file, 0, os.SEEK_SET)
            os.write(file, note.encode())
        except OSError as error:
            raise unusable(path, error) from error

    def release(self) -> None:
        """Let go; a second call does nothing."""
        # Closing is not enough: a child that was forked at this moment, by whatever
        # thread, has the file open until it becomes another program.
        try:
            if self._file is not None and fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        finally:
            self.disown()

    def disown(self) -> None:
        """Close the file; a forked child leaves the lock to its parent so."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def holder_of(path: str, pid: int | None) -> str:
    """Return who a process said it is when it took a store's lock, if it did."""
    noted, holder = _noted(path)
    return holder if noted == pid else ""


def _lock_of(path: str) -> str:
    return f"{path}.lock"


def _noted(path: str) -> tuple[int | None, str]:
    # The holder may be writing it at this moment.
    with suppress(OSError, ValueError, TypeError, KeyError):
        note = json.loads(Path(_lock_of(path)).read_bytes())
        return int(note["pid"]), str(note["holder"])
    return None, ""


class Names:
    """The names of a database file that is open, and of its log.

    What is written to an open file whose name is gone, or leads to another file, is
    lost when it is closed; and DuckDB deletes a folded log by its name, whosever it
    is by then.

    Parameters
    ----------
    path : str
        The database file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = _identity(path)
        self._log: tuple[int, int] | None = None

    @property
    def lead_here(self) -> bool:
        """Whether the file's name still leads to the file that was opened."""
        return _identity(self._path) == self._file

    def check(self) -> None:
        """Raise StoreUnavailableError if what is written now would be lost."""
        if not self.lead_here:
            raise StoreUnavailableError(
                f"The file of the store {self._path!r} was deleted, or another one was "
                "put in its place, while it was open: nothing more is written to it.\n"
                "Put it back or leave it, then open the store again."
            )

    def sync_log(self) -> None:
        """Make the name of a log that was begun anew survive a power cut.

        Raises
        ------
        OSError
            It can't be.
        """
        log = _identity(f"{self._path}.wal")
        if log != self._log:
            sync_folder(self._path)
            self._log = log


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - for each commit; a Path takes twice as long
    except OSError:
        return None
    return status.st_dev, status.st_ino


def prepare_folder(path: str) -> None:
    """Make the folder of a store.

    A folder of our own name is kept out of the user's git.

    Raises
    ------
    StoreUnavailableError
        It can't be made.
    """
    folder = Path(path).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ignore = folder / ".gitignore"
        if folder.name == _OUR_FOLDER and not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise unusable(path, error) from error


def refuse_other_formats(path: str) -> bool:
    """Look whether a store can be at a path, and return whether a file is there.

    Raises
    ------
    StoreUnavailableError
        What is there is no DuckDB database. DuckDB itself would fetch an extension
        for some of these from the network.
    """
    file = Path(path)
    try:
        status = file.stat()
        if _is_open(status):
            return True
        with file.open("rb") as opened:
            head = opened.read(_MAGIC_AT + len(_MAGIC))
    except FileNotFoundError:
        return False
    except IsADirectoryError as error:
        raise StoreUnavailableError(
            f"The store {path!r} is a folder.\nName a file in it."
        ) from error
    except OSError as error:
        raise unusable(path, error) from error
    if head[_MAGIC_AT:] != _MAGIC:
        raise StoreUnavailableError(
            f"{path!r} is not a DuckDB database; it was left as it is.\n"
            "Name another file: %workflow store PATH."
        )
    return True


def is_open_here(path: str) -> bool:
    """Return whether this process has a file open."""
    return _is_open(Path(path).stat())


def _is_open(status: os.stat_result) -> bool:
    # Opening and closing a file that this process has open, say by the user's own
    # connection, drops the lock that DuckDB holds on it.
    return any(os.path.samestat(status, opened) for opened in _open_files())


def _open_files() -> Iterator[os.stat_result]:
    descriptors = Path("/dev/fd")
    for entry in descriptors.iterdir() if descriptors.is_dir() else ():
        with suppress(OSError):
            yield os.fstat(int(entry.name))


def logs_beside(path: str) -> list[str]:
    """Return DuckDB's logs of a database file: they hold what is not yet in it."""
    folder, name = Path(path).parent, Path(path).name
    if not folder.is_dir():
        return []
    return sorted(
        str(file) for file in folder.iterdir() if file.name.startswith(f"{name}.wal")
    )


def new_file(path: str) -> str:
    """Return where a file is made that takes the place of another one."""
    return f"{path}.new"


def salvage_folder(path: str) -> Path:
    """Return where a damaged file is worked on."""
    return Path(f"{path}.salvage")


def set_aside(path: str) -> list[Path]:
    """Return the damaged files that were kept when a store was salvaged."""
    aside = Path(aside_prefix(path))
    folder = aside.parent
    return sorted(file for file in folder.iterdir() if file.name.startswith(aside.name))


def aside_prefix(path: str) -> str:
    """Return what the names of files begin with that are set aside."""
    return f"{Path(path).with_suffix('')}.damaged-"


def remove_database(path: str) -> None:
    """Delete a database file with its logs, as far as they are there."""
    for leftover in (path, *logs_beside(path)):
        Path(leftover).unlink(missing_ok=True)


def remove_leftovers(path: str) -> None:
    """Delete what a process left that was killed while it made a file.

    So too what DuckDB had put aside there, for lack of memory.

    Raises
    ------
    StoreUnavailableError
        It can't be deleted.
    """
    folders = [salvage_folder(path)]
    try:
        if not Path(path).exists() or not is_open_here(path):
            folders.append(Path(f"{path}.tmp"))
        remove_database(new_file(path))
        for folder in folders:
            with suppress(FileNotFoundError):
                shutil.rmtree(folder)
    except OSError as error:
        raise unusable(path, error) from error


@contextmanager
def making_for(path: str) -> Iterator[None]:
    """Where a new file for a store fails for good, say that the store has not.

    Raises
    ------
    StoreUnavailableError
        There was no room for it, say.
    """
    try:
        yield
    except StoreClosedError as error:
        reason = str(error.__cause__ or error).partition("\n")[0]
        raise StoreUnavailableError(
            f"A new file for the store {path!r} can't be written: {reason}\n"
            "The store is as it was. Make room on its disk, then try again."
        ) from error


def swap_in(new: str, path: str) -> None:
    """Put a file that nobody has open in the place of another, in one step.

    After a power cut one of the two stands there, whole.

    Raises
    ------
    StoreUnavailableError
        The new one is not whole: DuckDB left a log beside it, which is what it does
        where the disk is too full to fold it in. The other one stays.
    """
    if beside := logs_beside(new):
        raise StoreUnavailableError(
            f"{path!r} was left as it is: the file that was to take its place has rows "
            f"that are still in {beside[0]!r}.\nMake room on its disk, then try again."
        )
    file = os.open(new, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(file)
    finally:
        os.close(file)
    Path(new).replace(path)
    sync_folder(path)


def sync_folder(path: str) -> None:
    """Make the names in the folder of a file survive a power cut.

    Raises
    ------
    OSError
        The disk has failed or is full.
    """
    try:
        folder = os.open(Path(path).parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        # Some file systems refuse it, and need none.
        if error.errno in _FAILURES:
            raise


def unusable(path: str, error: OSError) -> StoreUnavailableError:
    """Return what to say where the file system refuses."""
    return StoreUnavailableError(
        f"The store {path!r} can't be used: {error}.\n"
        "Make its folder writable and room on its disk, or name another file: "
        "%workflow store PATH."
    )
