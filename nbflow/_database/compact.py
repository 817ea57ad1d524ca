"""A log in a new file, without what was deleted or is not to be kept.

Deleting in the log only hides; here the bytes go. The new file is made beside the
old one and takes its place in one step: a kill at any moment leaves one of the
two, whole. Rows keep their `seq`. What is worth keeping is not known here.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from nbflow._database.connection import Connection
from nbflow._database.files import (
    is_open_here,
    logs_beside,
    making_for,
    new_file,
    remove_database,
    swap_in,
    unusable,
)
from nbflow._database.item_views import KEPT_ROWS
from nbflow._database.reads import read_blobs, read_records
from nbflow._database.rows import Sealer, pack
from nbflow._database.run_views import OF_NO_RUN
from nbflow._database.schema import migrate
from nbflow._events import Compacted, Record
from nbflow.errors import StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from nbflow._database.database import Database
    from nbflow._database.rows import Row
    from nbflow._database.writer import Place

__all__ = ["Compaction", "RunKey", "compact"]


class RunKey(NamedTuple):
    """Which run of which thread."""

    thread_id: str
    run_id: str


class Compaction(NamedTuple):
    """What a compaction did.

    Attributes
    ----------
    rows : int
        How many rows were kept.
    dropped : int
        How many rows were not.
    bytes_before, bytes_after : int
        Size of the database file.
    blob_bytes_freed : int
        Size of the files of large values that were deleted.
    """

    rows: int
    dropped: int
    bytes_before: int
    bytes_after: int
    blob_bytes_freed: int = 0


# Rows of threads of which a part goes are written anew: a value may be stored as
# its difference to one that goes.
_KEPT: Final = f"""
INSERT INTO {{new}}.log
SELECT log.* FROM log
LEFT JOIN (
    SELECT thread_id, max(seq) AS deleted_seq FROM log
    WHERE kind = 'ThreadDeleted' GROUP BY thread_id
) USING (thread_id)
WHERE seq > coalesce(deleted_seq, 0) AND kind <> 'Compacted'
    AND thread_id NOT IN (SELECT unnest($1::VARCHAR[]))
    AND (kind NOT IN {OF_NO_RUN} OR seq IN ({KEPT_ROWS}))
ORDER BY seq
"""  # noqa: S608 - our own constants
_PARTLY_DELETED: Final = """
SELECT thread_id FROM log JOIN (
    SELECT thread_id, max(seq) AS deleted_seq FROM log
    WHERE kind = 'ThreadDeleted' GROUP BY thread_id
) USING (thread_id)
GROUP BY thread_id HAVING max(seq) > max(deleted_seq)
"""
_DELETED_SEQ: Final = """
SELECT coalesce(max(seq), 0) FROM log WHERE kind = 'ThreadDeleted' AND thread_id = ?
"""
# What a compaction says of itself is no row that anybody wrote.
_COUNTED: Final = """
SELECT count(*), coalesce(sum(checksum), 0)::BIGINT FROM log WHERE kind <> 'Compacted'
"""
_ROWS_AT_ONCE: Final = 2_000


def compact(
    database: Database, choose: Callable[[], Collection[RunKey]] = tuple
) -> Compaction:
    """Let a store go on in a new file, without what was deleted.

    Runs go on meanwhile: what they write waits for as long as the new file takes.

    Parameters
    ----------
    database : Database
        The open store.
    choose : callable, optional
        Called when everything appended so far can be read; returns runs that are
        not kept either.

    Returns
    -------
    Compaction
        What was kept and what was not.

    Raises
    ------
    StoreUnavailableError
        Another connection of this process has the file open, or there is no room
        for the new one. The store goes on in the file it has.
    """
    done: list[Compaction] = []

    def work(place: Place) -> None:
        try:
            done.append(_exchange(database, place, frozenset(choose())))
        finally:  # Before a row is written that builds on one gone.
            database.payloads.forget()

    database.writer.exchange(work)
    freed = database.payloads.blobs.sweep(lambda: read_blobs(database))
    return done[0]._replace(blob_bytes_freed=freed)


def _exchange(
    database: Database, place: Place, dropped: frozenset[RunKey]
) -> Compaction:
    path = database.path
    new = new_file(path)
    remove_database(new)
    try:
        before = Path(path).stat().st_size
        with making_for(path):
            counts = _fill(database, new, place, dropped)
        after = Path(new).stat().st_size
        database.connection.exchange(lambda: _swap(new, path))
    except StoreError:
        raise  # Some of ours are OSErrors too.
    except OSError as error:
        raise unusable(path, error) from error
    finally:
        with suppress(OSError):
            remove_database(new)
    return Compaction(*counts, before, after)


def _fill(
    database: Database, new: str, place: Place, dropped: frozenset[RunKey]
) -> tuple[int, int]:
    connection = database.connection
    parts = {thread_id for (thread_id,) in connection.fetch(_PARTLY_DELETED)}
    parts |= {key.thread_id for key in dropped}
    ((before, _),) = connection.fetch(_COUNTED)
    made = Connection(new)
    try:
        migrate(made, 0)
    finally:
        made.close()
    connection.copy_into(new, ((_KEPT, (sorted(parts),)),))
    made = Connection(new)
    try:
        appender = made.appender("log")
        for rows in _written_anew(database, place, sorted(parts), dropped):
            appender.append(rows)
        ((kept, checksums),) = made.fetch(_COUNTED)
        event = Compacted(place.seq, kept, checksums, before - kept)
        record = Record("", "", time.time_ns() // 1000, event)
        sealer = Sealer(place.generation + 1)
        appender.append([sealer.seal(pack(record), place.seq + 1)])
        appender.close()
    finally:
        made.close()
    return kept, before - kept


def _written_anew(
    database: Database,
    place: Place,
    threads: Collection[str],
    dropped: frozenset[RunKey],
) -> Iterator[list[Row]]:
    sealer, payloads = Sealer(place.generation), database.payloads.anew()
    for thread_id in threads:
        ((after,),) = database.connection.fetch(_DELETED_SEQ, (thread_id,))
        while records := read_records(
            database, thread_id, after=after, limit=_ROWS_AT_ONCE
        ):
            after = records[-1].seq
            rows = [
                sealer.seal(pack(record, payloads), record.seq)
                for record in records
                if RunKey(thread_id, record.run_id) not in dropped
            ]
            if rows:
                yield rows


def _swap(new: str, path: str) -> None:
    if is_open_here(path):
        raise StoreUnavailableError(
            f"Another connection of this process has the store {path!r} open, so its "
            "file can't be exchanged; what was deleted is invisible, but still in it."
            "\nClose that connection (jupysql: %sql --close ALIAS), then try again."
        )
    if beside := logs_beside(path):
        raise StoreUnavailableError(
            f"The store {path!r} can't be exchanged: {beside[0]!r} could not be folded "
            "into it.\nClose other connections to it, then try again."
        )
    swap_in(new, path)
