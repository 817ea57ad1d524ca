"""What can be read of a damaged store, in a new file in its place.

The damaged file, its log and its mark are kept beside it under another name, as
they were. Reading is done on a copy: DuckDB changes what it opens. What the rows
mean is not known here.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nbflow._database.blobs import blob_folder
from nbflow._database.connection import Connection
from nbflow._database.files import (
    FileLock,
    aside_prefix,
    is_open_here,
    logs_beside,
    remove_leftovers,
    salvage_folder,
    swap_in,
    unusable,
)
from nbflow._database.integrity import MarkFile, audit, find_gaps, mark_path, read_mark
from nbflow._database.payloads import Payloads
from nbflow._database.reads import LogPast
from nbflow._database.rows import COLUMNS, Sealer, checked, pack, read_values, unpack
from nbflow._database.schema import migrate, version_of
from nbflow._database.wal import checksum, is_fold_mark, whole_frames
from nbflow._events import Compacted, Record
from nbflow.errors import (
    StoreDamagedError,
    StoreError,
    StoreUnavailableError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nbflow._database.integrity import Mark
    from nbflow._database.rows import Row

__all__ = ["Salvage", "mend", "salvage"]

_AT: Final = COLUMNS.index("happened_at")
_THREAD_ID: Final = COLUMNS.index("thread_id")
_KIND: Final = COLUMNS.index("kind")
_READ: Final = ", ".join(COLUMNS)
_ROWS: Final = f"""
SELECT epoch_us(happened_at), {_READ} FROM log WHERE rowid BETWEEN ? AND ?
"""  # noqa: S608 - our own constants
_THREAD: Final = "SELECT thread_id FROM log WHERE rowid = ?"
_ROWS_AT_ONCE: Final = 2_048
_BLOCK_BYTES: Final = 262_144


@dataclass(frozen=True, slots=True)
class Salvage:
    """What became of a damaged store.

    Attributes
    ----------
    path : str
        The store, which can be opened again.
    kept : tuple of str
        The damaged files, under the names they have now.
    rows : int
        How many rows were read, and are in the store.
    lost : int
        How many rows were acknowledged, and can't be read.
    gaps : tuple of (int, int)
        First and last `seq` of what is missing.
    unreadable : int
        How many of the rows that were read have a value that can't be: it stands in
        a file that is missing, or builds on a row that is lost.
    threads : tuple of str
        The threads of what is lost, as far as that can still be read.
    """

    path: str
    kept: tuple[str, ...]
    rows: int
    lost: int
    gaps: tuple[tuple[int, int], ...]
    unreadable: int
    threads: tuple[str, ...]

    def __str__(self) -> str:
        said = f"{self.rows} rows of {self.path!r} were read, {self.lost} are lost"
        if self.gaps:
            said += ": " + ", ".join(f"{a}-{b}" for a, b in self.gaps[:8])
        if self.unreadable:
            said += f"; {self.unreadable} values can't be read"
        if self.threads:
            said += f"; threads {', '.join(map(repr, self.threads[:8]))}"
        return f"{said}.\nThe damaged files are {', '.join(map(repr, self.kept))}."


class _Found:
    """Takes the rows that are read, and counts them.

    Parameters
    ----------
    path : str
        The store, for errors.
    connection : Connection
        The new file.
    mark : Mark or None
        How far the log had come, where that is known.
    """

    def __init__(self, path: str, connection: Connection, mark: Mark | None) -> None:
        self._path = path
        self._mark = mark
        self.has_mark = mark is not None and not mark.seq
        self._connection = connection
        self._appender = connection.appender("log")
        self.seqs: set[int] = set()
        self.generation = 1
        self._begun = {1}
        self.checksums = 0
        self.unread = 0
        self.unreadable = 0
        self.threads: set[str] = set()

    def take(self, rows: Iterable[tuple[int, Row]], payloads: Payloads) -> None:
        """Write those rows that are what was written, each with its time."""
        kept = [row for at, row in rows if self._is_good(at, row, payloads)]
        if kept:
            self._appender.append(kept)

    def _is_good(self, at: int, row: Row, payloads: Payloads) -> bool:
        read = (*row[:_AT], at, *row[_AT + 1 :])
        try:
            checked(read, self._path)
        except StoreDamagedError:
            self.miss(row[_THREAD_ID])
            return False
        if row[0] in self.seqs:
            return False
        if self._mark is not None and row[0] == self._mark.seq:
            known = (self._mark.generation, self._mark.checksum)
            self.has_mark = known == (row[1], row[-1])
        try:
            with suppress(StoreUnavailableError):  # A newer version wrote it, whole.
                read_values(unpack(read, self._path, payloads))
        except StoreDamagedError:
            self.unreadable += 1
            self.threads.add(row[_THREAD_ID])
        if row[_KIND] == Compacted.__name__:
            self._begun.add(row[1])
        self.seqs.add(row[0])
        self.generation = max(self.generation, row[1])
        self.checksums += row[-1]
        return True

    @property
    def has_begin(self) -> bool:
        """Whether the row was read that begins the newest generation."""
        return self.generation in self._begun

    def miss(self, thread_id: str | None) -> None:
        """Note a row that is there and can't be read."""
        self.unread += 1
        if thread_id:
            self.threads.add(thread_id)

    def finish(self) -> tuple[list[tuple[int, int]], int]:
        """Begin a new generation: in the ones before it there may be gaps.

        Returns
        -------
        gaps : list of (int, int)
            What is missing, as far as it is known by its `seq`.
        lost : int
            How many rows were acknowledged, and are not here.
        """
        mark = self._mark
        upto = max(self.seqs, default=0)
        is_of_mark = mark is not None and mark.generation >= self.generation
        if mark is not None and is_of_mark:
            upto = max(upto, mark.seq)
        gaps: list[tuple[int, int]] = []
        if mark is None or mark.generation <= self.generation:
            gaps = find_gaps(self._connection, self.generation, upto)
        lost = max(self.unread, sum(last - first + 1 for first, last in gaps))
        if mark is not None and is_of_mark:
            newer = sum(seq > mark.seq for seq in self.seqs)
            lost = max(lost, mark.rows + newer - len(self.seqs))
            self.generation = mark.generation
        event = Compacted(upto, len(self.seqs), self.checksums, lost)
        record = Record("", "", time.time_ns() // 1000, event)
        row = Sealer(self.generation + 1).seal(pack(record), upto + 1)
        self._appender.append([row])
        self._appender.close()
        return gaps, lost


class _Copy:
    """The open copy of a damaged file, as far as reading goes.

    Parameters
    ----------
    path : str
        The store, beside which the files of large values are.
    copy : str
        The copy of its database file.
    """

    def __init__(self, path: str, copy: str) -> None:
        self.path = path
        self.payloads = Payloads(path, LogPast(self))
        self._connection = Connection(copy)

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        """Run one statement and return its rows."""
        return self._connection.fetch(sql, parameters)

    def close(self) -> None:
        """Close the copy."""
        self._connection.close(untouched=True)


def salvage(path: str | os.PathLike[str]) -> Salvage:
    """Set a damaged store aside, and put one with all that can be read in its place.

    Nothing is deleted: the damaged files stay in the folder, under a name that says
    when this was done. A store that is whole comes out as it was.

    Parameters
    ----------
    path : str or path
        The database file. Nobody may have it open.

    Returns
    -------
    Salvage
        How many rows were read, which are lost, and where the old files are.

    Raises
    ------
    UsageError
        This process has the store open.
    StoreHeldError
        Another process has it open.
    StoreUnavailableError
        There is no such file, it is no store, a newer nbflow wrote it, or there is no
        room for a new one.
    """
    real = str(Path(path).expanduser().resolve())
    try:
        if is_open_here(real):
            raise UsageError(
                f"The store {real!r} is open in this process.\n"
                "Close its savers and connections first, or restart the kernel."
            )
        lock = FileLock(real, "salvage")
        try:
            return _salvaged(real)
        finally:
            lock.release()
    except OSError as error:
        if isinstance(error, StoreUnavailableError):
            raise
        raise unusable(real, error) from error


def mend(path: str) -> int | None:
    """Write a damaged store anew, if that costs nothing.

    A process that is killed while DuckDB folds its log may leave a block of the file
    half written. What that block said before is still in it.

    Parameters
    ----------
    path : str
        The database file. Its lock is held by the caller, and nobody has it open.

    Returns
    -------
    int or None
        How many rows are in the store, every one that was acknowledged; None where
        some can't be read, or it isn't known: then everything is left as it was.
    """
    mark = read_mark(path)
    if mark is None:
        return None
    with _rebuilt(path, mark) as rebuilt:
        found = rebuilt.found
        is_known = found.has_mark and found.has_begin
        if rebuilt.lost or found.unreadable or not is_known:
            return None
        _put_in_place(path, rebuilt)
        return len(found.seqs)


def _salvaged(path: str) -> Salvage:
    with _rebuilt(path, read_mark(path)) as rebuilt:
        kept = _set_aside(path)
        _put_in_place(path, rebuilt)
    found = rebuilt.found
    return Salvage(
        path,
        kept,
        len(found.seqs),
        rebuilt.lost,
        tuple(rebuilt.gaps),
        found.unreadable,
        tuple(sorted(found.threads)),
    )


class _Rebuilt(NamedTuple):
    """A new file that has what can be read of a damaged one."""

    file: str
    found: _Found
    gaps: list[tuple[int, int]]
    lost: int
    mark: Mark


@contextmanager
def _rebuilt(path: str, mark: Mark | None) -> Iterator[_Rebuilt]:
    remove_leftovers(path)
    folder = salvage_folder(path)
    folder.mkdir()
    try:
        copy, new = str(folder / "copy"), str(folder / "new")
        shutil.copyfile(path, copy)
        _repair_head(copy)
        _refuse_others(path, copy)
        _add_log(path, copy)
        connection = Connection(new)
        try:
            migrate(connection, 0)
            found = _Found(path, connection, mark)
            _read_all(path, copy, found)
            gaps, lost = found.finish()
            newest = audit(connection, new, None)
        finally:
            connection.close()
        yield _Rebuilt(new, found, gaps, lost, newest)
    finally:
        shutil.rmtree(folder)


def _put_in_place(path: str, rebuilt: _Rebuilt) -> None:
    swap_in(rebuilt.file, path)
    for log in logs_beside(path):
        Path(log).unlink()
    # Of a file that is set aside, the link has the old mark's bytes.
    Path(mark_path(path)).unlink(missing_ok=True)
    mark_file = MarkFile(path)
    mark_file.move(rebuilt.mark)
    mark_file.close()


def _repair_head(copy: str) -> None:
    """Let a copy be opened whose head was half written when a process was killed.

    DuckDB writes its own tables' blocks over themselves: what was valid stays as it
    was, and what is new beside it is not valid yet. Only the checksum of the whole is
    wrong. Rows have checksums of their own, which are looked at later.
    """
    repaired: set[int] = set()
    while (place := _broken_block(copy)) is not None and place not in repaired:
        repaired.add(place)
        with Path(copy).open("r+b") as file:
            file.seek(place)
            block = file.read(_BLOCK_BYTES)
            file.seek(place)
            file.write(struct.pack("<Q", checksum(block[8:])))


def _broken_block(copy: str) -> int | None:
    try:
        Connection(copy).close(untouched=True)
    except StoreError as error:
        found = re.search(r"in block at location (\d+)", str(error))
        return int(found[1]) if found else None
    return None


def _refuse_others(path: str, copy: str) -> None:
    """Raise StoreUnavailableError if a file can be read and isn't ours to write anew.

    It holds other tables, or a newer schema, of which this version knows a part.
    """
    with suppress(StoreDamagedError), closing(_Copy(path, copy)) as opened:
        version_of(opened, path)


def _add_log(path: str, copy: str) -> None:
    """Give a copy of the file a log of all that is whole in the file's own."""
    log = f"{path}.wal"
    frames: list[bytes] = []
    for beside in logs_beside(path):
        content = Path(beside).read_bytes()
        whole = (content[f.begin : f.end] for f in whole_frames(content))
        # Without these marks all logs are one. A row that is in the file too is met
        # twice, and taken once.
        frames += [frame for frame in whole if not is_fold_mark(frame)]
    if not frames:
        with suppress(FileNotFoundError):
            shutil.copyfile(log, f"{copy}.wal")
        return
    with suppress(StoreError):
        Path(f"{copy}.wal").write_bytes(b"".join([_preamble(copy), *frames]))


def _preamble(copy: str) -> bytes:
    # What a log begins with says whose it is, and its first frame, to which table
    # rows go. DuckDB writes both anew, to a copy of its own.
    other = f"{copy}.other"
    shutil.copyfile(copy, other)
    connection = Connection(other)
    try:
        nothing = [0, *[None] * (len(COLUMNS) - 1)]
        appender = connection.appender("log")
        appender.append([nothing])
        appender.close()
    finally:
        connection.close(untouched=True)
    content = Path(f"{other}.wal").read_bytes()
    return content[: whole_frames(content)[0].end]


def _read_all(path: str, copy: str, found: _Found) -> None:
    try:
        _read(path, copy, found)
    except StoreError:
        # The log can't be replayed, or nothing can: not even the head of the file.
        with suppress(StoreError):
            Path(f"{copy}.wal").unlink(missing_ok=True)
            _read(path, copy, found)


def _read(path: str, copy: str, found: _Found) -> None:
    with closing(_Copy(path, copy)) as opened:
        ((count,),) = opened.fetch("SELECT coalesce(max(rowid), -1) + 1 FROM log")
        for first in range(0, count, _ROWS_AT_ONCE):
            last = min(first + _ROWS_AT_ONCE, count) - 1
            for rowid, rows in _readable(opened, first, last):
                if rows is None:
                    found.miss(_thread_of(opened, rowid))
                else:
                    pairs = ((at, tuple(row)) for at, *row in rows)
                    found.take(pairs, opened.payloads)


def _readable(
    opened: _Copy, first: int, last: int
) -> Iterator[tuple[int, list[Any] | None]]:
    """Yield the rows of a range; None for one that can't be read."""
    try:
        yield first, opened.fetch(_ROWS, (first, last))
    except StoreError:
        if first == last:
            yield first, None
            return
        middle = (first + last) // 2
        yield from _readable(opened, first, middle)
        yield from _readable(opened, middle + 1, last)


def _thread_of(opened: _Copy, rowid: int) -> str | None:
    with suppress(StoreError):
        for (thread_id,) in opened.fetch(_THREAD, (rowid,)):
            return str(thread_id)
    return None


def _set_aside(path: str) -> tuple[str, ...]:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    file = Path(path)
    aside = f"{aside_prefix(path)}{stamp}{file.suffix}"
    kept = []
    for old in (path, *logs_beside(path), mark_path(path)):
        name = aside + old.removeprefix(path)
        with suppress(FileNotFoundError):
            _link(old, name)
            kept.append(name)
    # Linked too: a later sweep deletes what only the damaged file refers to.
    folder = blob_folder(path)
    if folder.is_dir():
        shutil.copytree(folder, blob_folder(aside), copy_function=_link)
        kept.append(str(blob_folder(aside)))
    return tuple(kept)


def _link(old: str, name: str) -> None:
    try:
        os.link(old, name)
    except OSError:  # Not every file system has links.
        shutil.copy2(old, name)
