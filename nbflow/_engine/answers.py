"""Answers on their way to the questions of a run: which one is for which.

One answer is enough where one question is pending. Where several are, it takes a map
of their ids to answers, or a list of exactly as many answers in the order in which
``__interrupt__`` and `get_state` show them; a list for one question is its answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nbflow import serde
from nbflow._engine.log import WHEN_CONTINUED, Log
from nbflow._engine.recorded import Recorded
from nbflow._events import Answered
from nbflow.errors import UnknownInterruptError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow._engine.run import Run
    from nbflow._values import Command
    from nbflow.checkpoint.base import BaseCheckpointSaver

__all__ = [
    "answered_ids",
    "answers_of",
    "is_answer_map",
    "record_answers",
    "take_answers",
]

_INTERRUPT_ID = re.compile(r"[0-9a-f]{32}")


def is_answer_map(resume: Any) -> bool:
    """Return whether an answer is a map of interrupt ids: then all keys are ids."""
    return isinstance(resume, dict) and all(
        isinstance(key, str) and _INTERRUPT_ID.fullmatch(key) for key in resume
    )


def answered_ids(command: Command[Any]) -> tuple[str, ...]:
    """Return what an error says was answered."""
    resume = command.resume
    return tuple(resume) if is_answer_map(resume) else ("(the only one)",)


def answers_of(command: Command[Any], recorded: Recorded) -> dict[str, Any]:
    """Return new answers by interrupt id (rules R4 and R5).

    Raises
    ------
    UnknownInterruptError
        An answer fits no pending question, or does not say which.
    """
    pending = recorded.pending
    resume = command.resume
    if not is_answer_map(resume):
        return _without_ids(resume, recorded)
    if not resume:
        raise UnknownInterruptError("empty_map", (), pending)
    unknown = tuple(
        interrupt_id
        for interrupt_id, answer in resume.items()
        if interrupt_id not in pending and not _repeats(recorded, interrupt_id, answer)
    )
    if unknown:
        raise UnknownInterruptError("not_pending", unknown, pending)
    return {key: answer for key, answer in resume.items() if key in pending}


def _without_ids(answer: Any, recorded: Recorded) -> dict[str, Any]:
    pending = recorded.pending
    if len(pending) == 1:
        return {pending[0]: answer}
    if pending:
        if isinstance(answer, list) and len(answer) == len(pending):
            return dict(zip(pending, answer, strict=True))
        raise UnknownInterruptError("ambiguous", (), pending)
    answered = list(recorded.questions)
    if answered and _repeats(recorded, answered[-1], answer):
        return {}
    raise UnknownInterruptError("not_pending", ("(the only one)",), ())


def _repeats(recorded: Recorded, interrupt_id: str, answer: Any) -> bool:
    known = recorded.answer_to(interrupt_id)
    return known is not None and known.answer_key == serde.fingerprint(answer)


def take_answers(run: Run, answers: Mapping[str, Any], by: str) -> None:
    """Write answers before anything uses them.

    One whose question has a schema waits until the body asks again: only the body
    has the type that can refuse it.
    """
    for interrupt_id, answer in answers.items():
        if run.recorded.questions[interrupt_id].response_schema is not None:
            run.offered.put(interrupt_id, answer, by)
            run.recorded.expect_answer(interrupt_id)
            continue
        payload = run.log.payload(answer, root="answer", missing=WHEN_CONTINUED)
        event = Answered(interrupt_id, payload, serde.fingerprint(answer), by)
        run.log.commit(event)
        run.recorded.take_answer(event)


def record_answers(
    saver: BaseCheckpointSaver, thread_id: str, command: Command[Any], *, by: str = ""
) -> tuple[str, ...]:
    """Keep answers in the log for a run that can't go on here yet.

    The next stretch of the run uses them.

    Returns
    -------
    tuple of str
        Ids of the questions that are answered by this; empty if they were before.

    Raises
    ------
    UnknownInterruptError
        An answer fits no pending question; nothing is kept.
    """
    head = saver.head(thread_id)
    if head is None:
        raise UnknownInterruptError("not_pending", answered_ids(command))
    recorded = Recorded(saver.read(thread_id, run_id=head.run_id))
    answers = answers_of(command, recorded)
    log = Log(saver, thread_id, head.run_id)
    events = [
        Answered(
            interrupt_id,
            log.payload(answer, root="answer", missing=WHEN_CONTINUED),
            serde.fingerprint(answer),
            by,
        )
        for interrupt_id, answer in answers.items()
    ]
    log.commit(*events)
    return tuple(answers)
