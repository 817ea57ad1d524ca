"""Read every row of a store and say which are not what was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nbflow._database.database import open_database
from nbflow._database.payloads import Payloads
from nbflow._database.reads import LogPast
from nbflow._database.rows import COLUMNS, read_values, unpack
from nbflow.errors import StoreDamagedError, StoreError, StoreUnavailableError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from nbflow._database.database import Database

__all__ = ["Check", "Finding", "check"]

_ROWS_AT_ONCE: Final = 1_000
_THREAD_ID: Final = COLUMNS.index("thread_id")
_READ: Final = ", ".join(COLUMNS).replace("happened_at", "epoch_us(happened_at)")
_ROWS: Final = f"SELECT {_READ} FROM log WHERE rowid BETWEEN ? AND ?"  # noqa: S608 - our own constants
_PLACE: Final = "SELECT seq, thread_id FROM log WHERE rowid = ?"

# What the row says that begins a generation, of the rows before it.
_KEPT: Final = """
SELECT seq, generation, (detail ->> 'rows')::BIGINT, (detail ->> 'checksums')::BIGINT
FROM log WHERE kind = 'Compacted' ORDER BY seq DESC LIMIT 1
"""
_EARLIER: Final = """
SELECT count(*), coalesce(sum(checksum), 0)::BIGINT FROM log WHERE generation < ?
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a store that is not what was written.

    Attributes
    ----------
    seq : int or None
        The row; None where it concerns the file or can't be read.
    thread_id : str
        The row's thread; empty where it concerns the file or can't be read.
    says : str
        What is wrong.
    """

    seq: int | None
    thread_id: str
    says: str


@dataclass(frozen=True, slots=True)
class Check:
    """What a look at every row of a store found.

    Attributes
    ----------
    path : str
        The database file.
    rows : int
        How many rows were read.
    findings : tuple of Finding
        What is wrong; empty for a store that is whole.
    """

    path: str
    rows: int
    findings: tuple[Finding, ...]

    @property
    def is_whole(self) -> bool:
        """Whether every row that was acknowledged is there, as it was written."""
        return not self.findings


def check(path: str | os.PathLike[str]) -> Check:
    """Read every row of a store, with its values, and compare the checksums.

    A store that this process has open is looked at as it is; another one is opened
    for as long as this takes.

    Parameters
    ----------
    path : str or path
        The database file.

    Raises
    ------
    StoreHeldError
        Another process has the store open.
    StoreUnavailableError
        The file can't be opened, or is no store.
    """
    try:
        database = open_database(path, "a check")
    except StoreDamagedError as error:
        return Check(str(path), 0, (Finding(None, "", str(error)),))
    try:
        database.writer.flush()
        rows, findings = 0, list[Finding]()
        for finding in _look(database):
            rows += 1
            if finding is not None:
                findings.append(finding)
        findings += _compared(database)
        return Check(database.path, rows, tuple(findings))
    finally:
        database.writer.release()


def _look(database: Database) -> Iterator[Finding | None]:
    """Yield for each row what is wrong with it."""
    ((count,),) = database.fetch("SELECT coalesce(max(rowid), -1) + 1 FROM log")
    # Values as they are in the file, not as this process remembers them.
    blobs = database.payloads.blobs
    payloads = Payloads(database.path, LogPast(database), blobs=blobs)
    for first in range(0, count, _ROWS_AT_ONCE):
        last = min(first + _ROWS_AT_ONCE, count) - 1
        yield from _look_at(database, payloads, first, last)


def _look_at(
    database: Database, payloads: Payloads, first: int, last: int
) -> Iterator[Finding | None]:
    try:
        rows = database.fetch(_ROWS, (first, last))
    except StoreDamagedError as error:
        if first == last:
            seq, thread_id = _place_of(database, first)
            yield Finding(seq, thread_id, str(error))
            return
        middle = (first + last) // 2
        yield from _look_at(database, payloads, first, middle)
        yield from _look_at(database, payloads, middle + 1, last)
        return
    for row in rows:
        try:
            read_values(unpack(row, database.path, payloads))
        except (StoreDamagedError, StoreUnavailableError) as error:
            yield Finding(row[0], row[_THREAD_ID], str(error))
        else:
            yield None


def _compared(database: Database) -> Iterator[Finding]:
    """Compare the rows of earlier generations with what was said of them."""
    for seq, generation, rows, checksums in database.fetch(_KEPT):
        ((found, total),) = database.fetch(_EARLIER, (generation,))
        if found < rows:
            yield Finding(seq, "", f"{rows - found} of {rows} earlier rows are missing")
        elif (found, total) != (rows, checksums):
            yield Finding(seq, "", "the earlier rows are not those that were kept")


def _place_of(database: Database, rowid: int) -> tuple[int | None, str]:
    try:
        ((seq, thread_id),) = database.fetch(_PLACE, (rowid,))
    except StoreError:
        return None, ""
    return seq, thread_id
