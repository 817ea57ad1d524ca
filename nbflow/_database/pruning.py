"""Which runs are old, and what each thread takes: looks at the log for housekeeping."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from nbflow._database.blobs import Blob
from nbflow._database.compact import RunKey
from nbflow._database.payloads import BLOB

if TYPE_CHECKING:
    from nbflow._database.database import Database

__all__ = ["ThreadSize", "old_runs", "thread_sizes"]


class ThreadSize(NamedTuple):
    """What one thread takes.

    Attributes
    ----------
    thread_id : str
        The thread; empty for what belongs to none: the store's items, the cache.
    runs : int
        How many runs it has.
    rows : int
        How many rows of the log.
    row_bytes : int
        Bytes of these rows' texts and values as stored.
    deleted_bytes : int
        Bytes of rows that were deleted, and are freed by compaction.
    blob_bytes : int
        Bytes of the files of its large values; a file that threads share counts
        for each of them.
    """

    thread_id: str
    runs: int
    rows: int
    row_bytes: int
    deleted_bytes: int
    blob_bytes: int = 0


# A run is kept if it can be continued, if its saved value is what the thread's next
# run gets, or if one that can be continued began from its saved value. So is what
# nested runs saved last, each at its namespace; of a run that can be continued it is
# not the last, since it may save again.
_OLD_RUNS: Final = """
WITH run AS (
    SELECT thread_id, run_id, min(seq) AS began_seq, max(happened_at) AS updated_at,
        arg_max(kind, seq) FILTER (kind LIKE 'Run%' OR kind = 'StateUpdated') AS last,
        any_value(detail ->> 'previous_run_id')
            FILTER (kind = 'RunStarted') AS previous_run_id
    FROM events WHERE run_id <> '' GROUP BY thread_id, run_id
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY thread_id ORDER BY began_seq DESC)
            AS place,
        last IN ('RunFinished', 'StateUpdated') AS saved,
        place = 1 AND NOT saved AND last <> 'RunSuperseded' AS goes_on
    FROM run
), wanted AS (
    SELECT *, place <= $1 OR updated_at >= $2 OR goes_on AS stays FROM ranked
), kept AS (
    SELECT thread_id, run_id, CASE WHEN goes_on THEN previous_run_id END
        AS previous_run_id
    FROM wanted WHERE stays
    UNION ALL
    SELECT thread_id, arg_max(run_id, began_seq) FILTER (saved), NULL
    FROM wanted GROUP BY thread_id HAVING bool_or(stays)
    UNION ALL
    SELECT thread_id, arg_max(run_id, seq), NULL
    FROM events JOIN wanted USING (thread_id, run_id)
    WHERE kind = 'NestedSaved' AND NOT goes_on AND thread_id IN (
        SELECT thread_id FROM wanted WHERE stays
    )
    GROUP BY thread_id, detail ->> 'namespace'
)
SELECT thread_id, run_id FROM run
ANTI JOIN kept USING (thread_id, run_id)
ANTI JOIN (
    SELECT thread_id, previous_run_id AS run_id FROM kept
) USING (thread_id, run_id)
ORDER BY thread_id, began_seq
"""
_SIZES: Final = """
SELECT thread_id, count(*) FILTER (live AND kind = 'RunStarted'),
    count(*) FILTER (live), coalesce(sum(bytes) FILTER (live), 0)::BIGINT AS size,
    coalesce(sum(bytes) FILTER (NOT live), 0)::BIGINT
FROM (
    SELECT thread_id, kind, seq > coalesce(deleted_seq, 0) AS live,
        octet_length(encode(detail)) + coalesce(octet_length(value), 0)
            + coalesce(octet_length(extra), 0) AS bytes
    FROM log LEFT JOIN (
        SELECT thread_id, max(seq) AS deleted_seq FROM log
        WHERE kind = 'ThreadDeleted' GROUP BY thread_id
    ) USING (thread_id)
)
GROUP BY thread_id ORDER BY size DESC, thread_id
"""


_REFERENCES: Final = """
SELECT DISTINCT thread_id, held
FROM (
    SELECT thread_id, seq, value AS held FROM log WHERE value_codec = $1
    UNION ALL SELECT thread_id, seq, extra FROM log WHERE extra_codec = $1
) LEFT JOIN (
    SELECT thread_id, max(seq) AS deleted_seq FROM log
    WHERE kind = 'ThreadDeleted' GROUP BY thread_id
) USING (thread_id)
WHERE seq > coalesce(deleted_seq, 0)
"""


def old_runs(
    database: Database, *, keep_last: int, before: datetime | None
) -> list[RunKey]:
    """Return the runs that pruning drops, the oldest of each thread first.

    Parameters
    ----------
    database : Database
        The open store.
    keep_last : int
        How many of its newest runs a thread keeps whatever their age, >= 0.
    before : datetime or None
        Aware; only runs whose newest event is older. None means any.
    """
    moment = datetime.max if before is None else before.astimezone(UTC)  # noqa: DTZ901 - the column has no zone
    parameters = (keep_last, moment.replace(tzinfo=None))
    return [RunKey(*row) for row in database.fetch(_OLD_RUNS, parameters)]


def thread_sizes(database: Database) -> list[ThreadSize]:
    """Return what each thread takes, the largest first."""
    database.writer.flush()
    held = database.payloads.blobs.sizes()
    blobs: Counter[str] = Counter()
    for thread_id, reference in database.fetch(_REFERENCES, (BLOB,)):
        blobs[thread_id] += held.get(Blob.of(reference).digest, 0)
    rows = database.fetch(_SIZES)
    sizes = [ThreadSize(*row)._replace(blob_bytes=blobs[row[0]]) for row in rows]
    return sorted(sizes, key=lambda size: -size.row_bytes - size.blob_bytes)
