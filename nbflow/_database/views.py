"""The views of the log: what a person asks of it in SQL.

Every view hides what stands before its thread's newest deletion. Times are UTC,
`*_seconds` are seconds, `*_bytes` are bytes as stored (large values are
compressed). Names are for users, so a column is added and never renamed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["VIEWS", "View"]


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
_RUN: Final = {**_THREAD, "run_id": "the run"}

_EVENTS: Final = View(
    "events",
    "one row for each event, in the order of seq",
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
    """
    SELECT seq, happened_at, thread_id, run_id, kind, call_id, name, detail,
        octet_length(value) AS value_bytes, octet_length(extra) AS extra_bytes
    FROM log LEFT JOIN (
        SELECT thread_id, max(seq) AS deleted_seq FROM log
        WHERE kind = 'ThreadDeleted' GROUP BY thread_id
    ) USING (thread_id)
    WHERE seq > coalesce(deleted_seq, 0)
    """,
)

_RUNS: Final = View(
    "runs",
    "one row for each run",
    {
        **_RUN,
        "workflow": "name of its entrypoint",
        "status": "running (or its process is gone), interrupted, failed, cancelled, "
        "finished or superseded",
        "started_at": "when it began, UTC",
        "updated_at": "its newest change of status, UTC",
        "wall_seconds": "from began to its newest change of status",
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
    """
    SELECT thread_id, run_id, began.workflow,
        CASE newest.kind WHEN 'RunInterrupted' THEN 'interrupted'
            WHEN 'RunFailed' THEN 'failed' WHEN 'RunCancelled' THEN 'cancelled'
            WHEN 'RunFinished' THEN 'finished' WHEN 'RunSuperseded' THEN 'superseded'
            ELSE 'running' END AS status,
        began.started_at, newest.updated_at,
        date_diff('microsecond', began.started_at, newest.updated_at) / 1e6
            AS wall_seconds,
        newest.resumes,
        began.step + (newest.end_checkpoint_id IS NOT NULL)::INTEGER AS step,
        coalesce(newest.end_checkpoint_id, began.checkpoint_id) AS checkpoint_id,
        began.parent_checkpoint_id, began.previous_run_id, newest.code, began.cell,
        began.input_bytes, began.started_seq
    FROM (
        SELECT thread_id, run_id, detail ->> 'workflow' AS workflow,
            happened_at AS started_at, (detail ->> 'step')::INTEGER AS step,
            detail ->> 'checkpoint_id' AS checkpoint_id,
            detail ->> 'parent_checkpoint_id' AS parent_checkpoint_id,
            detail ->> 'previous_run_id' AS previous_run_id,
            detail ->> 'cell' AS cell, value_bytes AS input_bytes, seq AS started_seq
        FROM events WHERE kind = 'RunStarted'
    ) AS began JOIN (
        SELECT thread_id, run_id, arg_max(kind, seq) AS kind,
            arg_max(happened_at, seq) AS updated_at,
            count(*) FILTER (kind = 'RunResumed') AS resumes,
            arg_max(detail ->> 'code', seq)
                FILTER (kind IN ('RunStarted', 'RunResumed')) AS code,
            arg_max(detail ->> 'checkpoint_id', seq)
                FILTER (kind = 'RunFinished') AS end_checkpoint_id
        FROM events WHERE kind IN ('RunStarted', 'RunResumed', 'RunInterrupted',
            'RunFailed', 'RunCancelled', 'RunFinished', 'RunSuperseded')
        GROUP BY thread_id, run_id
    ) AS newest USING (thread_id, run_id)
    """,
)

_TASKS: Final = View(
    "tasks",
    "one row for each task call of a run",
    {
        **_RUN,
        "call_id": "identity of the call",
        "parent_id": "call_id of the task that called it; empty for the body",
        "name": "name of the task",
        "call_kind": "task, or workflow for a nested run",
        "args": "a short text of its arguments",
        "ordinal": "how many calls of the same name, code and arguments stood before",
        "code": "fingerprint of its code",
        "status": "waiting, running (or its process is gone), finished, failed or "
        "dropped",
        "attempts": "how often its body was begun",
        "replays": "how often a continued run used what is recorded",
        "cached": "whether the result came from the cache",
        "called_at": "when it was called, UTC",
        "started_at": "when its newest attempt began, UTC",
        "ended_at": "when it returned or raised, UTC",
        "run_seconds": "its newest attempt, from begin to end",
        "wait_seconds": "from the call to the begin of its newest attempt",
        "error": "repr of what it raised, where it failed",
        "why": "in a continued run, why nothing recorded was used",
        "result_bytes": "size of its result as stored",
        "called_seq": "seq of its newest call",
    },
    """
    SELECT thread_id, run_id, call_id, parent_id, name, call_kind, args, ordinal, code,
        status, attempts, replays, cached, called_at, started_at,
        CASE WHEN status IN ('finished', 'failed') THEN last_ended_at END AS ended_at,
        date_diff('microsecond', started_at, ended_at) / 1e6 AS run_seconds,
        date_diff('microsecond', called_at, started_at) / 1e6 AS wait_seconds,
        CASE status WHEN 'failed' THEN last_error END AS error,
        why, result_bytes, called_seq
    FROM (
        SELECT thread_id, run_id, call_id,
            arg_max(detail ->> 'parent_id', seq) FILTER (called) AS parent_id,
            arg_max(name, seq) FILTER (called) AS name,
            arg_max(detail ->> 'kind', seq) FILTER (called) AS call_kind,
            arg_max(detail ->> 'args', seq) FILTER (called) AS args,
            arg_max((detail ->> 'ordinal')::BIGINT, seq) FILTER (called) AS ordinal,
            arg_max(detail ->> 'code', seq) FILTER (called) AS code,
            arg_max(state, seq) AS status,
            count(*) FILTER (begins) AS attempts,
            count(*) FILTER (kind = 'TaskReplayed') AS replays,
            coalesce(arg_max(detail ->> 'cached' = 'true', seq)
                FILTER (kind = 'TaskFinished'), false) AS cached,
            arg_max(happened_at, seq) FILTER (called) AS called_at,
            arg_max(happened_at, seq) FILTER (begins) AS started_at,
            arg_max(happened_at, seq)
                FILTER (state IN ('finished', 'failed')) AS last_ended_at,
            arg_max(detail ->> 'text', seq) FILTER (state = 'failed') AS last_error,
            arg_max(detail ->> 'why', seq) FILTER (called) AS why,
            arg_max(value_bytes, seq) FILTER (state = 'finished') AS result_bytes,
            max(seq) FILTER (called) AS called_seq
        FROM (
            SELECT *, kind = 'TaskCalled' AS called,
                CASE WHEN kind = 'TaskCalled' AND detail ->> 'waiting' = 'true'
                        THEN 'waiting'
                    WHEN kind IN ('TaskCalled', 'TaskAttempted', 'TaskRetried')
                        THEN 'running'
                    WHEN kind = 'TaskFinished' THEN 'finished'
                    WHEN kind = 'TaskFailed' THEN 'failed'
                    WHEN kind = 'TaskDropped' THEN 'dropped' END AS state,
                state = 'running' AND kind <> 'TaskRetried' AS begins
            FROM events WHERE kind IN ('TaskCalled', 'TaskAttempted', 'TaskRetried',
                'TaskFinished', 'TaskFailed', 'TaskReplayed', 'TaskDropped')
        )
        GROUP BY thread_id, run_id, call_id
    )
    """,
)

_CHECKPOINTS: Final = View(
    "checkpoints",
    "one row for each checkpoint: the input of a run, and its end",
    {
        **_RUN,
        "checkpoint_id": "the checkpoint",
        "parent_checkpoint_id": "the checkpoint before",
        "source": "input, or loop for the end of a run",
        "step": "its step, from -1",
        "created_at": "when it was made, UTC",
        "value_bytes": "size of the input or of the returned value as stored",
        "seq": "position in the log",
    },
    """
    SELECT began.thread_id, began.run_id, point.checkpoint_id,
        point.parent_checkpoint_id, point.source, point.step, point.created_at,
        point.value_bytes, point.seq
    FROM (
        SELECT *, detail ->> 'checkpoint_id' AS input_id,
            (detail ->> 'step')::INTEGER AS input_step
        FROM events WHERE kind = 'RunStarted'
    ) AS began LEFT JOIN (
        SELECT * FROM events WHERE kind = 'RunFinished'
    ) AS ended USING (thread_id, run_id),
    LATERAL (
        SELECT began.input_id AS checkpoint_id,
            began.detail ->> 'parent_checkpoint_id' AS parent_checkpoint_id,
            'input' AS source, began.input_step AS step,
            began.happened_at AS created_at, began.value_bytes AS value_bytes,
            began.seq AS seq
        UNION ALL
        SELECT ended.detail ->> 'checkpoint_id', began.input_id, 'loop',
            began.input_step + 1, ended.happened_at, ended.value_bytes, ended.seq
        WHERE ended.seq IS NOT NULL
    ) AS point
    """,
)

_INTERRUPTS: Final = View(
    "interrupts",
    "one row for each question that a run asked",
    {
        **_RUN,
        "interrupt_id": "the question",
        "parent_id": "call_id of the task that asked; empty for the body",
        "status": "pending, answered, or closed where its run ended without it",
        "asked_at": "when it was last asked, UTC",
        "answered_at": "when it was last answered, UTC",
        "answered_by": "who answered",
        "wait_seconds": "from the question to the answer",
        "response_schema": "JSON Schema of an answer, as text",
        "question_bytes": "size of what was asked as stored",
        "answer_bytes": "size of the answer as stored",
        "asked_seq": "seq of the newest time it was asked",
    },
    """
    SELECT thread_id, run_id, interrupt_id, parent_id,
        CASE WHEN last_kind = 'Answered' THEN 'answered'
            WHEN runs.status IN ('finished', 'superseded')
                OR runs.started_seq < newest_started_seq THEN 'closed'
            ELSE 'pending' END AS status,
        asked_at, answered_at, answered_by,
        date_diff('microsecond', asked_at, answered_at) / 1e6 AS wait_seconds,
        response_schema, question_bytes, answer_bytes, asked_seq
    FROM (
        SELECT thread_id, run_id, detail ->> 'interrupt_id' AS interrupt_id,
            arg_max(kind, seq) AS last_kind,
            arg_max(detail ->> 'parent_id', seq) FILTER (asks) AS parent_id,
            arg_max(happened_at, seq) FILTER (asks) AS asked_at,
            arg_max(happened_at, seq) FILTER (NOT asks) AS answered_at,
            arg_max(detail ->> 'by', seq) FILTER (NOT asks) AS answered_by,
            arg_max(detail ->> 'response_schema', seq) FILTER (asks)
                AS response_schema,
            arg_max(value_bytes, seq) FILTER (asks) AS question_bytes,
            arg_max(value_bytes, seq) FILTER (NOT asks) AS answer_bytes,
            max(seq) FILTER (asks) AS asked_seq
        FROM (
            SELECT *, kind = 'Interrupted' AS asks
            FROM events WHERE kind IN ('Interrupted', 'Answered')
        )
        GROUP BY thread_id, run_id, interrupt_id
    ) LEFT JOIN runs USING (thread_id, run_id) LEFT JOIN (
        SELECT thread_id, max(seq) AS newest_started_seq
        FROM events WHERE kind = 'RunStarted' GROUP BY thread_id
    ) USING (thread_id)
    """,
)

_PENDING: Final = View(
    "pending_interrupts",
    "one row for each question that waits for an answer",
    {
        **_RUN,
        "interrupt_id": "the question",
        "workflow": "name of the entrypoint that asks",
        "asked_at": "when it was last asked, UTC",
        "response_schema": "JSON Schema of an answer, as text",
        "question_bytes": "size of what was asked as stored",
        "asked_seq": "seq of the newest time it was asked",
    },
    """
    SELECT thread_id, run_id, interrupt_id, runs.workflow, asked_at, response_schema,
        question_bytes, asked_seq
    FROM interrupts JOIN runs USING (thread_id, run_id)
    WHERE interrupts.status = 'pending'
    """,
)

_ANSWERS: Final = View(
    "answers",
    "one row for each answer, in the order of seq",
    {
        **_RUN,
        "interrupt_id": "the question that was answered",
        "answered_at": "when it was answered, UTC",
        "answered_by": "who answered",
        "answer_key": "fingerprint of the answer",
        "answer_bytes": "size of the answer as stored",
        "seq": "position in the log",
    },
    """
    SELECT thread_id, run_id, detail ->> 'interrupt_id' AS interrupt_id,
        happened_at AS answered_at, detail ->> 'by' AS answered_by,
        detail ->> 'answer_key' AS answer_key, value_bytes AS answer_bytes, seq
    FROM events WHERE kind = 'Answered'
    """,
)

_FAILURES: Final = View(
    "failures",
    "one row for each failure of a task or a run, in the order of seq",
    {
        **_RUN,
        "call_id": "the task call that failed; null where the run did",
        "name": "name of the task or workflow",
        "failed_at": "when it failed, UTC",
        "error": "repr of the exception",
        "trace": "the user's frames of the traceback",
        "seq": "position in the log",
    },
    """
    SELECT failed.thread_id, failed.run_id, failed.call_id,
        coalesce(called.name, runs.workflow) AS name, failed.happened_at AS failed_at,
        failed.detail ->> 'text' AS error, failed.detail ->> 'trace' AS trace,
        failed.seq
    FROM (
        SELECT * FROM events WHERE kind IN ('TaskFailed', 'RunFailed')
    ) AS failed LEFT JOIN (
        SELECT thread_id, run_id, call_id, any_value(name) AS name
        FROM events WHERE kind = 'TaskCalled' GROUP BY thread_id, run_id, call_id
    ) AS called USING (thread_id, run_id, call_id)
    LEFT JOIN runs ON failed.call_id IS NULL AND runs.thread_id = failed.thread_id
        AND runs.run_id = failed.run_id
    """,
)

_CODE: Final = View(
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

_THREADS: Final = View(
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
    SELECT thread_id, newest.run_id AS run_id, newest.workflow AS workflow,
        newest.status AS status, runs, coalesce(pending, 0) AS pending,
        newest.step AS step, newest.checkpoint_id AS checkpoint_id,
        newest.started_at AS started_at, newest.updated_at AS updated_at,
        first_started_at
    FROM (
        SELECT thread_id, count(*) AS runs, min(started_at) AS first_started_at,
            arg_max(runs, started_seq) AS newest
        FROM runs GROUP BY thread_id
    ) LEFT JOIN (
        SELECT thread_id, count(*) AS pending FROM pending_interrupts
        GROUP BY thread_id
    ) USING (thread_id)
    """,
)

VIEWS: Final = (
    _EVENTS,
    _RUNS,
    _TASKS,
    _CHECKPOINTS,
    _INTERRUPTS,
    _PENDING,
    _ANSWERS,
    _FAILURES,
    _CODE,
    _THREADS,
)
"""Each view after those that it reads."""
