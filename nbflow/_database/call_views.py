"""The views of what happens in a run: its task calls, questions and failures.

What holds for all views stands in `nbflow._database.views`.
"""

from __future__ import annotations

from typing import Final

from nbflow._database.run_views import CHANGES, OF_RUN, View

__all__ = ["ANSWERS", "FAILURES", "INTERRUPTS", "PENDING_INTERRUPTS", "TASKS"]

# What a model reports, or a stranger's bundle, may be no number that fits.
_TOKENS: Final = "TRY_CAST(sum(TRY_CAST(usage ->> '{0}' AS BIGINT)) AS BIGINT) AS {0}"

TASKS: Final = View(
    "tasks",
    "one row for each task call of a run",
    {
        **OF_RUN,
        "call_id": "identity of the call",
        "parent_id": "call_id of the task that called it; empty for the body",
        "name": "name of the task",
        "call_kind": "task, node of a graph, or workflow for a nested run",
        "args": "a short text of its arguments",
        "ordinal": "how many calls of the same name, code and arguments stood before",
        "code": "fingerprint of its code",
        "status": "waiting, running (or its process is gone), finished, failed, "
        "interrupted where it or a call in it asks a person, dropped where its run "
        "ended before it began, or cancelled where its run ended or went on without it",
        "attempts": "how often its body was begun",
        "replays": "how often a continued run used what is recorded",
        "cached": "whether the result came from the cache",
        "called_at": "when it was called, UTC",
        "started_at": "when its newest attempt began, UTC",
        "ended_at": "when it returned or raised, UTC",
        "run_seconds": "its newest attempt, from begin to end",
        "wait_seconds": "from the call to the begin of its newest attempt",
        "error": "repr of what it raised, where it failed",
        "why": "in a continued run, why nothing recorded was used; in a fork, whether "
        "it was kept or replaced",
        "result_bytes": "size of its result as stored",
        "input_tokens": "tokens that the models it called itself say they read, in all "
        "its attempts; null where none reported",
        "output_tokens": "tokens that they say they wrote; likewise",
        "called_seq": "seq of its newest call",
    },
    f"""
    SELECT calls.thread_id, calls.run_id, call_id, c.parent_id, name,
        c.kind AS call_kind, c.args, c.ordinal, c.code,
        CASE WHEN change IS NULL THEN state WHEN change = 'RunInterrupted'
            THEN 'interrupted' ELSE 'cancelled' END AS status,
        attempts, replays, state = 'finished' AND last_cached AS cached,
        called_at, started_at,
        CASE WHEN state IN ('finished', 'failed') THEN last_ended_at END AS ended_at,
        date_diff('microsecond', started_at, ended_at) / 1e6 AS run_seconds,
        date_diff('microsecond', called_at, started_at) / 1e6 AS wait_seconds,
        CASE state WHEN 'failed' THEN last_error END AS error, c.why,
        CASE state WHEN 'finished' THEN last_bytes END AS result_bytes,
        input_tokens, output_tokens, called_seq
    FROM (
        SELECT *, from_json(call, '{{
            "parent_id": "VARCHAR", "kind": "VARCHAR", "args": "VARCHAR",
            "ordinal": "BIGINT", "code": "VARCHAR", "why": "VARCHAR"
        }}') AS c, CASE WHEN state IN ('waiting', 'running') THEN run_id END AS open_in
        FROM (
            SELECT thread_id, run_id, call_id,
                arg_max(name, seq) FILTER (called) AS name,
                arg_max(detail, seq) FILTER (called) AS call,
                arg_max(state, seq) AS state,
                max(seq) FILTER (state IS NOT NULL) AS state_seq,
                count(*) FILTER (begins) AS attempts,
                count(*) FILTER (kind = 'TaskReplayed') AS replays,
                coalesce(arg_max(detail ->> 'cached' = 'true', seq)
                    FILTER (kind = 'TaskFinished'), false) AS last_cached,
                arg_max(happened_at, seq) FILTER (called) AS called_at,
                arg_max(happened_at, seq) FILTER (begins) AS started_at,
                arg_max(happened_at, seq)
                    FILTER (state IN ('finished', 'failed')) AS last_ended_at,
                arg_max(detail ->> 'text', seq) FILTER (state = 'failed') AS last_error,
                arg_max(value_bytes, seq) FILTER (state = 'finished') AS last_bytes,
                {_TOKENS.format("input_tokens")},
                {_TOKENS.format("output_tokens")},
                max(seq) FILTER (called) AS called_seq
            FROM (
                SELECT * REPLACE (CASE kind WHEN 'Interrupted'
                        THEN detail ->> 'parent_id' ELSE call_id END AS call_id),
                    kind = 'TaskCalled' AS called,
                    CASE WHEN kind = 'TaskCalled' AND detail ->> 'waiting' = 'true'
                            OR kind = 'TaskRetried' THEN 'waiting'
                        WHEN kind IN ('TaskCalled', 'TaskAttempted') THEN 'running'
                        WHEN kind = 'TaskFinished' THEN 'finished'
                        WHEN kind = 'TaskFailed' THEN 'failed'
                        WHEN kind = 'Interrupted' THEN 'interrupted'
                        WHEN kind = 'TaskDropped' THEN 'dropped' END AS state,
                    state = 'running' AS begins,
                    detail -> 'usage' AS usage
                FROM events WHERE kind IN ('TaskCalled', 'TaskAttempted', 'TaskRetried',
                    'TaskFinished', 'TaskFailed', 'TaskReplayed', 'TaskDropped',
                    'UsageNoted', 'Interrupted')
            )
            GROUP BY thread_id, run_id, call_id
        )
        WHERE called_seq IS NOT NULL
    ) AS calls LEFT JOIN (
        SELECT thread_id, run_id, kind AS change, seq AS change_seq,
            lag(seq) OVER (PARTITION BY thread_id, run_id ORDER BY seq) AS before_seq
        FROM events WHERE kind IN {CHANGES}
    ) AS changes ON calls.thread_id = changes.thread_id AND open_in = changes.run_id
        AND state_seq > before_seq AND state_seq < change_seq
    """,  # noqa: S608 - our own constants
)

INTERRUPTS: Final = View(
    "interrupts",
    "one row for each question that a run asked",
    {
        **OF_RUN,
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
    SELECT thread_id, asking.run_id, interrupt_id, parent_id,
        CASE WHEN last_kind = 'Answered' THEN 'answered'
            WHEN newest_runs.run_id = asking.run_id
                AND newest_runs.status NOT IN ('finished', 'superseded') THEN 'pending'
            ELSE 'closed' END AS status,
        asked_at, answered_at, answered_by,
        date_diff('microsecond', asked_at, answered_at) / 1e6 AS wait_seconds,
        response_schema, question_bytes, answer_bytes, asked_seq
    FROM (
        SELECT thread_id, run_id, interrupt_id, arg_max(kind, seq) AS last_kind,
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
            SELECT *, kind = 'Interrupted' AS asks,
                detail ->> 'interrupt_id' AS interrupt_id
            FROM events WHERE kind IN ('Interrupted', 'Answered')
        )
        GROUP BY thread_id, run_id, interrupt_id
    ) AS asking LEFT JOIN newest_runs USING (thread_id)
    """,
)

PENDING_INTERRUPTS: Final = View(
    "pending_interrupts",
    "one row for each question that waits for an answer",
    {
        **OF_RUN,
        "interrupt_id": "the question",
        "workflow": "name of the entrypoint that asks",
        "asked_at": "when it was last asked, UTC",
        "response_schema": "JSON Schema of an answer, as text",
        "question_bytes": "size of what was asked as stored",
        "asked_seq": "seq of the newest time it was asked",
    },
    """
    SELECT thread_id, run_id, interrupt_id, newest_runs.workflow, asked_at,
        response_schema, question_bytes, asked_seq
    FROM interrupts JOIN newest_runs USING (thread_id, run_id)
    WHERE interrupts.status = 'pending'
    """,
)

ANSWERS: Final = View(
    "answers",
    "one row for each answer, in the order of seq",
    {
        **OF_RUN,
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

FAILURES: Final = View(
    "failures",
    "one row for each failure of a task or a run, in the order of seq",
    {
        **OF_RUN,
        "call_id": "the task call that failed; null where the run did",
        "name": "name of the task or workflow",
        "failed_at": "when it failed, UTC",
        "error": "repr of the exception",
        "trace": "the user's frames of the traceback",
        "seq": "position in the log",
    },
    """
    SELECT failed.thread_id, failed.run_id, failed.call_id,
        coalesce(called.name, began.detail ->> 'workflow') AS name,
        failed.happened_at AS failed_at, failed.detail ->> 'text' AS error,
        failed.detail ->> 'trace' AS trace, failed.seq
    FROM (
        SELECT * FROM events WHERE kind IN ('TaskFailed', 'RunFailed')
    ) AS failed LEFT JOIN (
        SELECT thread_id, run_id, call_id, any_value(name) AS name
        FROM events WHERE kind = 'TaskCalled' GROUP BY thread_id, run_id, call_id
    ) AS called USING (thread_id, run_id, call_id) LEFT JOIN (
        SELECT thread_id, run_id, detail FROM events WHERE kind = 'RunStarted'
    ) AS began USING (thread_id, run_id)
    """,
)
