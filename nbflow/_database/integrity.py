"""Whether a log still holds every row that was acknowledged.

DuckDB takes a broken length in its write-ahead log for a torn end, and drops what
follows without a word. So a small file beside the database, the mark, says how
far the log had come. It is moved after each commit and before anybody is told of
it: a log that is behind its mark has lost rows, and no kill and no power cut can
bring that about. It may well be ahead.

What the rows mean is not known here.
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from nbflow.errors import StoreDamagedError

if TYPE_CHECKING:
    from nbflow._database.connection import Connection

__all__ = ["Mark", "MarkFile", "audit", "find_gaps", "mark_path", "read_mark"]

# Two places, each in a page of its own: a write that is torn spares the other one.
_SLOT: Final = struct.Struct("<8sQQQQ")
_SEALED: Final = struct.Struct("<I")
_SLOT_BYTES: Final = _SLOT.size + _SEALED.size
_PAGE_BYTES: Final = 4096
_FORMAT: Final = b"nbflow\x00\x01"
# Without a sync, the mark survives the process but not the machine. After a power
# cut it may lag by this much, and what it does not know of it can't miss.
SYNC_SECONDS: Final = 1.0

_GENERATIONS: Final = """
SELECT generation, count(*), min(seq), max(seq), sum(seq)::VARCHAR FROM log
GROUP BY generation ORDER BY generation
"""
_CHECKSUM: Final = "SELECT checksum FROM log WHERE seq = ? AND generation = ?"
_GAPS: Final = """
SELECT seq + 1, next - 1 FROM (
    SELECT seq, lead(seq, 1, ?::BIGINT) OVER (ORDER BY seq) AS next FROM log
    WHERE generation = ? UNION ALL SELECT ?::BIGINT, (
        SELECT coalesce(min(seq), ?::BIGINT) FROM log WHERE generation = ?
    )
) WHERE next > seq + 1 ORDER BY seq
"""


class Mark(NamedTuple):
    """How far a log had come.

    Attributes
    ----------
    generation : int
        Its generation, from 1.
    seq : int
        Its newest row; 0 where there is none.
    rows : int
        How many rows it held, of all generations.
    checksum : int
        The checksum of the newest row; 0 where there is none.
    """

    generation: int = 1
    seq: int = 0
    rows: int = 0
    checksum: int = 0


def mark_path(path: str) -> str:
    """Return the file of the mark of a database file."""
    return f"{path}.mark"


def read_mark(path: str) -> Mark | None:
    """Return the mark of a database file that nobody writes to, if it has one."""
    if not Path(mark_path(path)).exists():
        return None
    file = MarkFile(path)
    try:
        return file.read()
    finally:
        file.close()


class MarkFile:
    """The mark on the disk, for one thread.

    Parameters
    ----------
    path : str
        The database file.

    Raises
    ------
    OSError
        The file can't be opened.
    """

    def __init__(self, path: str) -> None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        flags |= getattr(os, "O_BINARY", 0)
        self._file: int | None = os.open(mark_path(path), flags, 0o644)
        self._slot = 0
        self._is_dirty = False
        self._synced_at = 0.0

    def read(self) -> Mark | None:
        """Return the mark; None where there is none, or none that can be read."""
        if self._file is None:
            return None
        found = [self._read_slot(slot) for slot in (0, 1)]
        self._slot = 1 if (found[0] or Mark(0)) >= (found[1] or Mark(0)) else 0
        return max(filter(None, found), default=None)

    def _read_slot(self, slot: int) -> Mark | None:
        if self._file is None:
            return None
        os.lseek(self._file, slot * _PAGE_BYTES, os.SEEK_SET)
        data = os.read(self._file, _SLOT_BYTES)
        if len(data) != _SLOT_BYTES:
            return None
        body, (seal,) = data[: _SLOT.size], _SEALED.unpack(data[_SLOT.size :])
        if zlib.crc32(body) != seal:
            return None
        known, *numbers = _SLOT.unpack(body)
        return Mark(*numbers) if known == _FORMAT else None

    def move(self, mark: Mark) -> None:
        """Say that the log has come this far; it survives a kill from here on."""
        if self._file is None:
            return
        body = _SLOT.pack(_FORMAT, *mark)
        data = body + _SEALED.pack(zlib.crc32(body))
        # The rows are on the disk, so nobody is to be told otherwise: a mark that
        # stays behind is a weaker promise, not a wrong one.
        with suppress(OSError):
            os.lseek(self._file, self._slot * _PAGE_BYTES, os.SEEK_SET)
            os.write(self._file, data)
            self._slot = 1 - self._slot
            self._is_dirty = True
        if time.monotonic() - self._synced_at > SYNC_SECONDS:
            self.sync()

    @property
    def is_dirty(self) -> bool:
        """Whether a power cut may take the newest moves back."""
        return self._is_dirty

    def sync(self) -> None:
        """Make the mark survive a power cut."""
        if self._file is None or not self._is_dirty:
            return
        with suppress(OSError):
            os.fsync(self._file)
        self._is_dirty = False
        self._synced_at = time.monotonic()

    def close(self, *, is_ours: bool = True) -> None:
        """Let go of the file; in a forked child it is the parent's to sync."""
        if is_ours:
            self.sync()
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def audit(connection: Connection, path: str, mark: Mark | None) -> Mark:
    """Look whether rows are missing, and return how far the log has come.

    Parameters
    ----------
    connection : Connection
        The open file.
    path : str
        The database file, for errors.
    mark : Mark or None
        How far it had come; None where that is not known.

    Raises
    ------
    StoreDamagedError
        Rows are missing, or it is another log than the one of the mark.
    """
    generations = connection.fetch(_GENERATIONS)
    if not generations:
        found = Mark()
    else:
        generation, _, _, seq, _ = generations[-1]
        ((checksum, *_), *_) = connection.fetch(_CHECKSUM, (seq, generation))
        found = Mark(generation, seq, sum(row[1] for row in generations), checksum)
    if generations and not _is_gapless(*generations[-1]):
        raise _lost(connection, path, found, mark)
    if mark is None or found.generation > mark.generation:
        return found
    if found.generation < mark.generation:
        raise _other(path, "an older one: since then its rows were moved to a new file")
    if found.seq < mark.seq or found.rows - mark.rows < found.seq - mark.seq:
        raise _lost(connection, path, found, mark)
    if found.rows - mark.rows > found.seq - mark.seq:
        raise _other(path, "another one")
    at_mark = connection.fetch(_CHECKSUM, (mark.seq, mark.generation))
    if mark.seq and at_mark != [(mark.checksum,)]:
        raise _other(path, "another one")
    return found


def find_gaps(
    connection: Connection, generation: int, upto: int
) -> list[tuple[int, int]]:
    """Return the first and the last `seq` of each gap of a generation, in order.

    Parameters
    ----------
    connection : Connection
        The open file.
    generation : int
        The generation; of the first it is known that it begins with 1.
    upto : int
        The newest `seq` there should be.
    """
    sql = "SELECT coalesce(min(seq), 1) FROM log WHERE generation = ?"
    ((first,),) = connection.fetch(sql, (generation,))
    before = 0 if generation == 1 else first - 1
    end = upto + 1
    return connection.fetch(_GAPS, (end, generation, before, end, generation))


def _is_gapless(generation: int, rows: int, first: int, last: int, total: str) -> bool:
    begin = 1 if generation == 1 else first
    wanted = last - begin + 1
    return rows == wanted and int(total) * 2 == (begin + last) * wanted


def _lost(
    connection: Connection, path: str, found: Mark, mark: Mark | None
) -> StoreDamagedError:
    upto = found.seq
    if mark is not None and mark.generation == found.generation:
        upto = max(upto, mark.seq)
    gaps = find_gaps(connection, found.generation, upto)
    lost = sum(last - first + 1 for first, last in gaps)
    where = ", ".join(f"{a}-{b}" if b > a else str(a) for a, b in gaps[:5])
    if not lost and mark is not None:
        lost, where = mark.rows + found.seq - mark.seq - found.rows, "older ones"
    return StoreDamagedError(
        f"The store {path!r} has lost {lost} of its rows ({where}), which were "
        "acknowledged.\nIt was left as it is. To set it aside and go on with what can "
        f"be read: nbflow.checkpoint.duckdb.salvage({path!r}). If you put back an "
        f"older copy of it yourself, delete {mark_path(path)!r} and open it again."
    )


def _other(path: str, which: str) -> StoreDamagedError:
    return StoreDamagedError(
        f"The log in the store {path!r} is not the one that was written there last, "
        f"but {which}.\nIt was left as it is. If you put this file there yourself, "
        f"delete {mark_path(path)!r} and open it again."
    )
