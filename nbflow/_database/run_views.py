"""The views of events, of runs, of what runs leave, and of threads.

What holds for all views stands in `nbflow._database.views`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = [
    "CHANGES",
    "CHECKPOINTS",
    "CODE_VERSIONS",
    "EVENTS",
    "NEWEST_RUNS",
    "OF_NO_RUN",
    "OF_RUN",
    "RUNS",
    "THREADS",
    "View",
]


@dataclass(frozen=True, slots=True)
class View:
    """A documented view.

    Attributes
    ----------
    name : str
        Its name.
    says : str
        What a row of it is.
    columns : dict of str to str
        What each column holds, in order.
    sql : str
        The query.
    """

    name: str
    says: str
    columns: dict[str, str]
    sql: str


_THREAD: Final = {"thread_id": "the thread"}
OF_RUN: Final = {**_THREAD, "run_id": "the run"}
"""The columns that say which run."""

OF_NO_RUN: Final = """(
    'ItemPut', 'ItemTouched', 'ItemDeleted', 'CacheSet', 'CacheCleared'
)"""
"""The events of the store and of the cache that stand in the same file."""

EVENTS: Final = View(
    "events",
    "one row for each event of runs and threads, in the order of seq",
    {
        "seq": "position in the log, from 1",
        "happened_at": "when it happened, UTC",
        **_THREAD,
        "run_id": "the run; empty for events of the thread itself",
        "kind": "name of the event",
        "call_id": "the call it belongs to, where it belongs to one",
        "name": "name of the task or function, where it has one",
        "detail": "its other fields, a JSON object as text",
        "value_bytes": "size of its value as stored",
        "extra_bytes": "size of its second value as stored",
    },
    f"""
    SELECT seq, happened_at, thread_id, run_id, kind, call_id, name, detail,
        octet_length(value) AS value_bytes, octet_length(extra) AS extra_bytes
    FROM log LEFT JOIN (
        SELECT thread_id, max(seq) AS deleted_seq FROM log
        WHERE kind = 'ThreadDeleted' GROUP BY thread_id
    ) USING (thread_id)
    WHERE seq > coalesce(deleted_seq, 0) AND kind NOT IN {OF_NO_RUN}
    """,  # noqa: S608 - our own constants
)

CHANGES: Final = """(
    'RunStarted', 'RunResumed', 'RunInterrupted', 'RunFailed', 'RunCancelled',
    'RunFinished', 'RunSuperseded', 'StateUpdated'
)"""
"""The events that change the status of a run."""

_STEPS: Final = "kind = 'StepReached' AND call_id = ''"
"""What a graph has between its run's begin and end; one in a body has its own."""

_BEGINS: Final = "('RunStarted', 'StateUpdated')"
_STATUS: Final = """CASE last_kind
    WHEN 'RunInterrupted' THEN 'interrupted' WHEN 'RunFailed' THEN 'failed'
    WHEN 'RunCancelled' THEN 'cancelled' WHEN 'RunFinished' THEN 'finished'
    WHEN 'RunSuperseded' THEN 'superseded' WHEN 'StateUpdated' THEN 'finished'
    ELSE 'running' END"""
_LATER: Final = f"kind = 'RunFinished' OR {_STEPS}"
"""What makes a run's checkpoints after its input's."""

# One reading of an object for all of its fields: four times as fast as `->>` for each.
_BEGAN: Final = """from_json(began, '{
    "workflow": "VARCHAR", "step": "INTEGER", "checkpoint_id": "VARCHAR",
    "parent_checkpoint_id": "VARCHAR", "previous_run_id": "VARCHAR", "cell": "VARCHAR"
}')"""
_SUMMED: Final = f"""
    arg_max(kind, seq) FILTER (kind IN {CHANGES}) AS last_kind,
    arg_max(happened_at, seq) FILTER (kind IN {CHANGES}) AS updated_at,
    arg_max(detail, seq) FILTER (kind IN {_BEGINS}) AS began,
    (count(*) FILTER ({_LATER}))::INTEGER AS later,
    arg_max(detail ->> 'checkpoint_id', seq) FILTER ({_LATER}) AS newest
"""

RUNS: Final = View(
    "runs",
    "one row for each run",
    {
        **OF_RUN,
        "workflow": "name of its entrypoint",
        "status": "running (or its process is gone), interrupted, failed, cancelled, "
        "finished or superseded",
        "started_at": "when it began, UTC",
        "updated_at": "its newest change of status, UTC",
        "wall_seconds": "from its begin to its newest change of status",
        "resumes": "how often it was continued",
        "step": "step of its newest checkpoint",
        "checkpoint_id": "its newest checkpoint",
        "parent_checkpoint_id": "the checkpoint it started from",
        "previous_run_id": "the run whose saved value was its previous",
        "code": "fingerprint of its newest body",
        "cell": "the notebook cell that began it",
        "input_bytes": "size of its input as stored",
        "started_seq": "seq of its first event",
    },
    f"""
    SELECT thread_id, run_id, b.workflow, {_STATUS} AS status, started_at, updated_at,
        date_diff('microsecond', started_at, updated_at) / 1e6 AS wall_seconds, resumes,
        b.step + later AS step, coalesce(newest, b.checkpoint_id) AS checkpoint_id,
        b.parent_checkpoint_id, b.previous_run_id, body ->> 'code' AS code, b.cell,
        input_bytes, started_seq
    FROM (
        SELECT *, {_BEGAN} AS b
        FROM (
            SELECT thread_id, run_id, {_SUMMED},
                arg_max(detail, seq)
                    FILTER (kind IN ('RunStarted', 'RunResumed')) AS body,
                max(happened_at) FILTER (kind = 'RunStarted') AS started_at,
                max(seq) FILTER (kind = 'RunStarted') AS started_seq,
                max(value_bytes) FILTER (kind = 'RunStarted') AS input_bytes,
                count(*) FILTER (kind = 'RunResumed') AS resumes
            FROM events WHERE kind IN {CHANGES} OR {_STEPS} GROUP BY thread_id, run_id
        )
        WHERE started_seq IS NOT NULL
    )
    """,  # noqa: S608 - our own constants
)

NEWEST_RUNS: Final = View(
    "newest_runs",
    "one row for each thread: its newest run, or a newer change by hand",
    {
        **OF_RUN,
        "workflow": "name of its entrypoint",
        "status": "as in runs",
        "step": "step of its newest checkpoint",
        "checkpoint_id": "its newest checkpoint",
        "started_at": "when it began, UTC",
        "updated_at": "its newest change of status, UTC",
        "runs": "how many runs the thread has; changes by hand don't count",
        "first_started_at": "when the first of them began, UTC",
    },
    f"""
    SELECT thread_id, run_id, b.workflow, {_STATUS} AS status,
        b.step + later AS step, coalesce(newest, b.checkpoint_id) AS checkpoint_id,
        started_at, updated_at, runs, first_started_at
    FROM (
        SELECT *, {_BEGAN} AS b
        FROM (
            SELECT thread_id, run_id, any_value(runs) AS runs,
                any_value(started_at) AS started_at,
                any_value(first_started_at) AS first_started_at, {_SUMMED}
            FROM events JOIN (
                SELECT thread_id, arg_max(run_id, seq) AS run_id,
                    count(*) FILTER (kind = 'RunStarted') AS runs,
                    arg_max(happened_at, seq) AS started_at,
                    min(happened_at) AS first_started_at
                FROM events WHERE kind IN {_BEGINS} GROUP BY thread_id
            ) USING (thread_id, run_id)
            WHERE kind IN {CHANGES} OR {_STEPS} GROUP BY thread_id, run_id
        )
    )
    """,  # noqa: S608 - our own constants
)

CHECKPOINTS: Final = View(
    "checkpoints",
    "one row for each checkpoint: the input of a run, a step of a graph, the end of a "
    "run, or a change by hand",
    {
        **OF_RUN,
        "checkpoint_id": "the checkpoint",
        "parent_checkpoint_id": "the checkpoint before",
        "source": "input, loop for a step or the end of a run, update for a change by "
        "hand, or fork for what began from another checkpoint",
        "step": "its step, from -1",
        "created_at": "when it was made, UTC",
        "value_bytes": "size of the input, of a step's or of the returned value as "
        "stored",
        "seq": "position in the log",
    },
    f"""
    SELECT thread_id, run_id, p.checkpoint_id AS checkpoint_id,
        CASE WHEN begins THEN p.parent_checkpoint_id
            ELSE lag(p.checkpoint_id) OVER of_run END AS parent_checkpoint_id,
        CASE WHEN begins THEN coalesce(p.source, 'input') ELSE 'loop' END AS source,
        first_value(p.step) OVER of_run + (row_number() OVER of_run)::INTEGER - 1
            AS step,
        happened_at AS created_at, value_bytes, seq
    FROM (
        SELECT *, kind IN {_BEGINS} AS begins, from_json(detail, '{{
            "checkpoint_id": "VARCHAR", "parent_checkpoint_id": "VARCHAR",
            "source": "VARCHAR", "step": "INTEGER"
        }}') AS p
        FROM events WHERE kind IN {_BEGINS} OR {_LATER}
    )
    WINDOW of_run AS (PARTITION BY thread_id, run_id ORDER BY seq)
    QUALIFY first_value(begins) OVER of_run
    """,  # noqa: S608 - our own constants
)

CODE_VERSIONS: Final = View(
    "code_versions",
    "one row for each version of a function's code that ran",
    {
        "code": "its fingerprint",
        "name": "name of the function",
        "source": "what was fingerprinted",
        "first_seen_at": "when a run first met it, UTC",
        "last_seen_at": "when a run last met it, UTC",
        "runs": "how many runs met it",
    },
    """
    SELECT code, name, any_value(source) AS source, min(happened_at) AS first_seen_at,
        max(happened_at) AS last_seen_at,
        count(DISTINCT (thread_id, run_id)) AS runs
    FROM (
        SELECT *, detail ->> 'code' AS code, detail ->> 'source' AS source
        FROM events WHERE kind = 'CodeSeen'
    )
    GROUP BY code, name
    """,
)

THREADS: Final = View(
    "threads",
    "one row for each thread",
    {
        **_THREAD,
        "run_id": "its newest run",
        "workflow": "name of that run's entrypoint",
        "status": "status of that run",
        "runs": "how many runs it has",
        "pending": "how many questions wait for an answer",
        "step": "step of its newest checkpoint",
        "checkpoint_id": "its newest checkpoint",
        "started_at": "when its newest run began, UTC",
        "updated_at": "that run's newest change of status, UTC",
        "first_started_at": "when its first run began, UTC",
    },
    """
    SELECT thread_id, run_id, workflow, status, runs, coalesce(pending, 0) AS pending,
        step, checkpoint_id, started_at, updated_at, first_started_at
    FROM newest_runs LEFT JOIN (
        SELECT thread_id, count(*) AS pending FROM pending_interrupts
        GROUP BY thread_id
    ) USING (thread_id)
    """,
)
