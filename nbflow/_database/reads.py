"""What is asked of the log: records of a thread, and the ends of threads.

Every value goes in as a bound parameter. There is no index: a bound on `seq`
lets DuckDB skip what was written long before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from nbflow._database.blobs import Blob
from nbflow._database.payloads import BLOB, Held
from nbflow._database.rows import COLUMNS, checked, unpack
from nbflow._events import LIFECYCLE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from nbflow._database.history import Series
    from nbflow._database.payloads import Payloads, Place
    from nbflow._events import Record

__all__ = [
    "Ends",
    "LogPast",
    "Readable",
    "read_asking_threads",
    "read_blobs",
    "read_deleted",
    "read_end",
    "read_ends",
    "read_newest_threads",
    "read_questions",
    "read_records",
    "read_rows",
    "read_task_names",
]

_BLOBS: Final = ("value", "extra")


def _as_read(column: str) -> str:
    return "epoch_us(happened_at)" if column == "happened_at" else column


_WHOLE: Final = ", ".join(map(_as_read, COLUMNS))
_WITHOUT_BLOBS: Final = ", ".join(
    "NULL" if name in _BLOBS else _as_read(name) for name in COLUMNS
)
_LIFECYCLE: Final = ", ".join(f"'{kind}'" for kind in sorted(LIFECYCLE))

_DELETED: Final = """
SELECT thread_id, max(seq) AS deleted_seq FROM log
WHERE kind = 'ThreadDeleted' AND seq <= $1 GROUP BY thread_id
"""
_BEGAN: Final = f"""
SELECT thread_id, count(*) FILTER (kind = 'RunStarted') AS runs,
    max(seq) AS began_seq, arg_max(run_id, seq) AS run_id
FROM log LEFT JOIN ({_DELETED}) USING (thread_id)
WHERE kind IN ('RunStarted', 'StateUpdated') AND seq <= $1
    AND seq > coalesce(deleted_seq, 0)
GROUP BY thread_id
"""  # noqa: S608 - our own constants
_ENDS: Final = f"""
SELECT {_WITHOUT_BLOBS}, runs FROM log JOIN ({_BEGAN}) USING (thread_id, run_id)
WHERE kind IN ({_LIFECYCLE}) AND seq BETWEEN began_seq AND $1 ORDER BY seq
"""  # noqa: S608 - our own constants

# Among some threads: three narrow looks, the later ones at what is not older than the
# oldest of their newest runs.
# A kind alone is looked for faster than one of several.
_BEGAN_AMONG: Final = """
SELECT thread_id, count(*) FILTER (is_run), max(seq) FROM (
    SELECT thread_id, seq, true AS is_run FROM log
    WHERE kind = 'RunStarted' AND seq <= $1
    UNION ALL
    SELECT thread_id, seq, false FROM log WHERE kind = 'StateUpdated' AND seq <= $1
) JOIN (
    SELECT unnest($2::VARCHAR[]) AS thread_id, unnest($3::BIGINT[]) AS deleted_seq
) USING (thread_id)
WHERE seq > deleted_seq GROUP BY thread_id
"""
_RUNS_BEGUN: Final = """
SELECT thread_id, run_id FROM log
WHERE seq BETWEEN $1 AND $2 AND seq IN (SELECT unnest($3::BIGINT[]))
"""
_ENDS_OF_RUNS: Final = f"""
SELECT {_WITHOUT_BLOBS} FROM log
WHERE seq BETWEEN $1 AND $2 AND kind IN ({_LIFECYCLE})
    AND run_id IN (SELECT unnest($3::VARCHAR[])) ORDER BY seq
"""  # noqa: S608 - our own constants
_TOP: Final = "SELECT max(seq) FROM log"
_NEWEST_THREADS: Final = """
SELECT thread_id FROM log WHERE seq > ? AND thread_id <> ''
GROUP BY thread_id ORDER BY max(seq) DESC LIMIT ?
"""
_NEVER: Final = (1 << 63) - 1
_FIRST_SPAN: Final = 1 << 17  # about a row group
_ASKING_THREADS: Final = "SELECT DISTINCT thread_id FROM log WHERE kind = 'Interrupted'"
_QUESTIONS: Final = f"""
SELECT {_WHOLE} FROM log
WHERE seq >= ? AND kind = 'Interrupted' AND run_id IN (SELECT unnest(?::VARCHAR[]))
ORDER BY seq
"""  # noqa: S608 - our own constants
_NAMES: Final = """
SELECT DISTINCT call_id, name FROM log
WHERE seq BETWEEN ? AND ? AND kind = 'TaskCalled'
    AND call_id IN (SELECT unnest(?::VARCHAR[]))
"""

# For one thread: two narrow looks are five times as fast as one that is wide, since
# the runs of a thread are strewn over the whole file, and a run is not.
_BEGINS_OF_ONE: Final = """
SELECT seq, run_id, kind FROM log
WHERE seq <= ? AND thread_id = ?
    AND kind IN ('RunStarted', 'StateUpdated', 'ThreadDeleted')
ORDER BY seq
"""
_END_OF_ONE: Final = f"""
SELECT {_WITHOUT_BLOBS} FROM log
WHERE seq BETWEEN ? AND ? AND thread_id = ? AND run_id = ?
    AND kind IN ({_LIFECYCLE}) ORDER BY seq
"""  # noqa: S608 - our own constants


_BLOBS_HELD: Final = f"""
SELECT value FROM log WHERE value_codec = {BLOB}
UNION SELECT extra FROM log WHERE extra_codec = {BLOB}
"""  # noqa: S608 - our own constants
_NEWEST: Final = """
SELECT max(seq) FROM log WHERE thread_id = $1 AND kind = $2 AND seq > (
    SELECT coalesce(max(seq), 0) FROM log
    WHERE thread_id = $1 AND kind = 'ThreadDeleted'
)
"""
_TASK: Final = """
SELECT name FROM log WHERE thread_id = ? AND call_id = ? AND name IS NOT NULL LIMIT 1
"""
_WORKFLOW: Final = """
SELECT detail ->> 'workflow' FROM log
WHERE thread_id = ? AND kind = 'RunStarted' LIMIT 1
"""


class Readable(Protocol):
    """An open log, as far as reading goes."""

    @property
    def path(self) -> str:
        """The database file, for errors."""

    @property
    def payloads(self) -> Payloads:
        """The values that its rows don't hold whole."""

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        """Run one statement and return its rows."""


class Ends(NamedTuple):
    """What the heads of threads are folded from.

    Attributes
    ----------
    records : list of Record
        The lifecycle of each thread's newest run, in stored order and without
        payloads.
    runs : dict of str to int
        How many runs a thread has since its newest deletion.
    deleted : dict of str to int
        `seq` of the newest deletion of a thread, where there was one.
    begun : dict of (str, str) to int
        `seq` of the first record of runs, by thread and run, in stored order: at
        least of each thread's newest one.
    """

    records: list[Record]
    runs: dict[str, int]
    deleted: dict[str, int]
    begun: dict[tuple[str, str], int]


def read_records(
    database: Readable,
    thread_id: str,
    *,
    after: int,
    before: int | None = None,
    run_id: str | None = None,
    kinds: Collection[str] | None = None,
    newest_first: bool = False,
    limit: int | None = None,
) -> list[Record]:
    """Return records of a thread whose `seq` is between `after` and `before`."""
    clauses, given = ["thread_id = ?"], [thread_id]
    if run_id is not None:
        clauses.append("run_id = ?")
        given.append(run_id)
    if kinds is not None:
        if not kinds:
            return []
        clauses.append(f"kind IN ({', '.join('?' * len(kinds))})")
        given.extend(kinds)
    wanted = " AND ".join(clauses)
    if newest_first and limit is not None:
        rows = _newest_rows(database, wanted, given, (after, before), limit)
    else:
        order = "DESC" if newest_first else "ASC"
        sql = f"SELECT {_WHOLE} FROM log WHERE seq > ? AND seq < ? AND {wanted} "  # noqa: S608 - no value is in it
        sql += f"ORDER BY seq {order} LIMIT ?"
        end = _NEVER if before is None else before
        rows = database.fetch(sql, [after, end, *given, limit])
    return [unpack(row, database.path, database.payloads) for row in rows]


def _newest_rows(
    database: Readable,
    wanted: str,
    given: Sequence[object],
    between: tuple[int, int | None],
    limit: int,
) -> list[Any]:
    """Return rows from the end backwards: what is asked for stands near it mostly."""
    sql = f"SELECT {_WHOLE} FROM log WHERE seq > ? AND seq < ? AND {wanted} "  # noqa: S608 - no value is in it
    sql += "ORDER BY seq DESC LIMIT ?"
    after, before = between
    if before is None:
        ((top,),) = database.fetch(_TOP)
        before = (top or 0) + 1
    rows: list[Any] = []
    span = _FIRST_SPAN
    while len(rows) < limit and before > after + 1:
        lower = max(after, before - span)
        rows += database.fetch(sql, [lower, before, *given, limit - len(rows)])
        before, span = lower + 1, 4 * span
    return rows


def read_rows(database: Readable, seqs: Collection[int]) -> dict[int, Record]:
    """Return records by their `seq`; what is not in the file is left out."""
    if not seqs:
        return {}
    # One is looked up in half the time that a list of one takes.
    wanted = "= ?" if len(seqs) == 1 else "IN (SELECT unnest(?::BIGINT[]))"
    given = next(iter(seqs)) if len(seqs) == 1 else list(seqs)
    sql = f"SELECT {_WHOLE} FROM log WHERE seq {wanted}"  # noqa: S608 - no value is in it
    rows = database.fetch(sql, [given])
    return {row[0]: unpack(row, database.path, database.payloads) for row in rows}


def read_blobs(database: Readable) -> set[bytes]:
    """Return the digests of the files that rows refer to; deleted rows too."""
    return {Blob.of(reference).digest for (reference,) in database.fetch(_BLOBS_HELD)}


def read_newest_threads(database: Readable, limit: int) -> list[str]:
    """Return the threads that were written to last, the newest first."""
    ((top,),) = database.fetch(_TOP)
    # They stand at the end of the log: what is long before need not be looked at.
    left, span = top or 0, _FIRST_SPAN
    while True:
        left -= span
        rows = database.fetch(_NEWEST_THREADS, (left, limit))
        if len(rows) == limit or left <= 0:
            return [name for (name,) in rows]
        span *= 16


def read_asking_threads(database: Readable) -> list[str]:
    """Return the threads that ever asked something."""
    return [name for (name,) in database.fetch(_ASKING_THREADS)]


def read_questions(
    database: Readable, run_ids: Sequence[str], *, since: int = 0
) -> list[Record]:
    """Return every time something was asked in some runs, in stored order.

    Parameters
    ----------
    database : Readable
        The open log.
    run_ids : sequence of str
        The runs.
    since : int, default 0
        A `seq` before which none of them began.
    """
    rows = database.fetch(_QUESTIONS, [since, list(run_ids)])
    return [unpack(row, database.path, database.payloads) for row in rows]


def read_task_names(
    database: Readable, call_ids: Collection[str], since: int, upto: int
) -> dict[str, str]:
    """Return the names of tasks by their calls, made between two `seq`."""
    return dict(database.fetch(_NAMES, [since, upto, list(call_ids)]))


def read_deleted(database: Readable, upto: int) -> dict[str, int]:
    """Return `seq` of the newest deletion of every thread that was deleted."""
    return dict(database.fetch(_DELETED, (upto,)))


def read_ends(
    database: Readable, upto: int, among: Sequence[str] | None = None
) -> Ends:
    """Return what the heads of threads are folded from.

    Parameters
    ----------
    database : Database
        The open store.
    upto : int
        Only records whose `seq` is not greater.
    among : sequence of str, optional
        Only these threads; by default all.
    """
    ends = Ends([], {}, read_deleted(database, upto), {})
    if among is not None:
        _read_ends_among(database, upto, among, ends)
        return ends
    for *row, count in database.fetch(_ENDS, (upto,)):
        record = unpack(row, database.path, with_payloads=False)
        ends.records.append(record)
        ends.begun.setdefault((record.thread_id, record.run_id), record.seq)
        ends.runs[record.thread_id] = count
    return ends


def _read_ends_among(
    database: Readable, upto: int, among: Sequence[str], ends: Ends
) -> None:
    newest: dict[str, int] = {}
    deleted = [ends.deleted.get(name, 0) for name in among]
    for name, count, seq in database.fetch(_BEGAN_AMONG, (upto, list(among), deleted)):
        ends.runs[name] = count
        newest[name] = seq
    if not newest:
        return
    oldest, wanted = min(newest.values()), list(newest.values())
    found = database.fetch(_RUNS_BEGUN, (oldest, max(wanted), wanted))
    ends.begun.update(((name, run_id), newest[name]) for name, run_id in found)
    runs = sorted({run_id for _, run_id in ends.begun})
    for row in database.fetch(_ENDS_OF_RUNS, (oldest, upto, runs)):
        record = unpack(row, database.path, with_payloads=False)
        # A copy of a thread has runs with the same ids.
        if record.seq >= ends.begun.get((record.thread_id, record.run_id), upto + 1):
            ends.records.append(record)


def read_end(database: Readable, upto: int, thread_id: str) -> Ends:
    """Return what the head of one thread is folded from; as `read_ends`."""
    ends = Ends([], {}, {}, {})
    newest: tuple[int, str] | None = None
    for seq, run_id, kind in database.fetch(_BEGINS_OF_ONE, (upto, thread_id)):
        if kind == "ThreadDeleted":
            ends.deleted[thread_id] = seq
            ends.runs.clear()
            ends.begun.clear()
            newest = None
        else:
            ends.runs.setdefault(thread_id, 0)
            ends.runs[thread_id] += kind == "RunStarted"
            ends.begun.setdefault((thread_id, run_id), seq)
            newest = (seq, run_id)
    if newest is not None:
        seq, run_id = newest
        rows = database.fetch(_END_OF_ONE, (seq, upto, thread_id, run_id))
        ends.records.extend(
            unpack(row, database.path, with_payloads=False) for row in rows
        )
    return ends


class LogPast:
    """What the values of a log ask of it; see `nbflow._database.payloads.Past`.

    Parameters
    ----------
    database : Readable
        The open log.
    """

    def __init__(self, database: Readable) -> None:
        self._database = database

    @property
    def path(self) -> str:
        """The database file, for errors."""
        return self._database.path

    def values(self, seqs: Collection[int], column: int) -> dict[int, Held]:
        """Return what rows hold in a column, by `seq`."""
        sql = f"SELECT {_WHOLE} FROM log WHERE seq IN (SELECT unnest(?::BIGINT[]))"  # noqa: S608 - no value is in it
        rows = self._database.fetch(sql, [list(seqs)])
        return {row[0]: Held(row[0], *checked(row, self.path)[column]) for row in rows}

    def newest(self, series: Series) -> Held | None:
        """Return the newest value of a series."""
        found = self._database.fetch(_NEWEST, (series.thread_id, series.kind))
        ((seq,),) = found
        return None if seq is None else self.values([seq], series.column).get(seq)

    def task_of(self, place: Place) -> str:
        """Return the name of the task or workflow whose value it is, or ``""``."""
        sql, given = _WORKFLOW, [place.thread_id]
        if place.call_id:
            sql, given = _TASK, [place.thread_id, place.call_id]
        return next((str(name) for (name,) in self._database.fetch(sql, given)), "")
