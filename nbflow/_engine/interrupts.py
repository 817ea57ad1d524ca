"""A body asks a person; the answer comes with a later stretch of the same run."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from nbflow import serde
from nbflow._engine.context import require
from nbflow._engine.ids import question_id
from nbflow._engine.schemas import checked, json_schema
from nbflow._engine.stored import hand_over
from nbflow._engine.trace import caller_line
from nbflow._events import Answered, Interrupted
from nbflow._values import Interrupt
from nbflow.errors import (
    GraphBubbleUp,
    GraphInterrupt,
    InvalidAnswerError,
    ReplayWarning,
    SwallowedInterruptWarning,
    UnstorableValueError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow._engine.context import RunContext, Scope

__all__ = ["interrupt", "of_group", "swallowed", "warn_swallowed"]


def interrupt(value: Any, *, response_schema: Any = None) -> Any:
    """Ask a person, and return the answer.

    Without an answer the run ends here, with the question pending. Once it is
    answered with ``Command(resume=...)``, the body runs again from its first line,
    every finished task gives what it gave before, and this call returns.

    Parameters
    ----------
    value : Any
        What to ask: any value that can be stored.
    response_schema : dict or type, optional
        A JSON Schema, which the form follows; or a pydantic model, dataclass or
        TypedDict, which also validates: the answer is refused before anything is
        saved, and the validated object is returned. An answer is stored, so it must
        hold no secret: ask for its name or place instead.

    Returns
    -------
    Any
        The answer.

    Raises
    ------
    GraphInterrupt
        There is no answer yet. It is a signal, not an error: let it pass.
    InvalidAnswerError
        The answer does not fit; the question is still pending.
    RuntimeError
        Called outside of a run.
    """
    context = require("interrupt")
    run, scope = context.run, context.scope
    run.raise_if_stopping(scope)
    index, aside = scope.next_index()
    value_key = serde.fingerprint(value)
    ordinal = scope.count("interrupt", value_key)
    question = Interrupted(
        interrupt_id=question_id(scope.place, value_key, ordinal),
        parent_id=scope.parent_id,
        place=scope.place,
        value=run.log.payload(value, root="question", task=scope.name),
        value_key=value_key,
        ordinal=ordinal,
        response_schema=json_schema(response_schema),
        aside=aside,
    )
    return _answer(context, question, value, response_schema, index)


def _answer(
    context: RunContext,
    question: Interrupted,
    value: Any,
    response_schema: Any,
    index: int,
) -> Any:
    run, interrupt_id = context.run, question.interrupt_id
    try:
        offered = run.offered.take(interrupt_id, context.scope.name)
        if offered is not None:
            return _take_offered(context, question, offered, response_schema)
        recorded = run.recorded.answer_to(interrupt_id)
        if recorded is None:
            recorded = _diverged(context, question, index)
        else:
            run.recorded.claim_answer(interrupt_id)
        if recorded is not None:
            data = recorded.value.data or b""
            answer = hand_over(data, run.log.saver, context.scope.name, "answer")
            return checked(interrupt_id, answer, response_schema)
    except InvalidAnswerError as refused:
        run.refuse(refused)
    asked = Interrupt(value, interrupt_id, question.response_schema)
    run.ask(question, asked, (*context.scope.order, index))
    context.scope.asked.append(asked)
    context.scope.asked_at = caller_line()
    raise GraphInterrupt((asked,))


def _take_offered(
    context: RunContext,
    question: Interrupted,
    offered: tuple[Any, str],
    response_schema: Any,
) -> Any:
    run, interrupt_id = context.run, question.interrupt_id
    answer, by = offered
    value = checked(interrupt_id, answer, response_schema)
    _refuse_secrets(interrupt_id, answer)
    if value is not answer:
        # An answer is stored as it came, before its schema made a secret of it.
        _refuse_secrets(interrupt_id, value)
    payload = run.log.payload(answer, root="answer", task=context.scope.name)
    event = Answered(interrupt_id, payload, serde.fingerprint(answer), by)
    asked = () if interrupt_id in run.recorded.questions else (question,)
    run.log.commit(*asked, event)
    run.recorded.take_answer(event, question)
    return value


def _refuse_secrets(interrupt_id: str, answer: Any) -> None:
    with suppress(UnstorableValueError):
        paths = serde.encode_with_report(answer, root="answer").secrets
        if paths:
            problem = "a secret is never stored; ask where it is kept instead"
            raise InvalidAnswerError(interrupt_id, [(path, problem) for path in paths])


def _diverged(
    context: RunContext, question: Interrupted, index: int
) -> Answered | None:
    run = context.run
    if run.settings.on_divergence == "rerun":
        return None
    found = run.recorded.look_up_answer(question, index)
    if found is not None:
        text = (
            f"The question asked at {caller_line()} is not the one that was answered: "
            "the body is not deterministic. The recorded answer is used."
        )
        warnings.warn(text, ReplayWarning, stacklevel=3)
    return found


def warn_swallowed(scope: Scope) -> None:
    """Warn that a body itself went on after its question."""
    if scope.asked_at:
        warnings.warn(
            f"{scope.name!r} caught the signal of its interrupt at {scope.asked_at} "
            "and went on. The question is still pending, so what the body returned is "
            "not saved. Don't catch BaseException around interrupt().",
            SwallowedInterruptWarning,
            stacklevel=2,
        )


def swallowed(scope: Scope) -> NoReturn:
    """Warn that a body went on after a question, and raise the signal again.

    Raises
    ------
    GraphInterrupt
        Always, with everything that is asked.
    """
    warn_swallowed(scope)
    raise GraphInterrupt(tuple(scope.asked))


def of_group(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what a group that a body raised counts as.

    A group of nothing but signals is a signal: of all that is asked, unless one of
    them is of another kind. Beside errors, signals are left out: a run that failed
    asks again when it is continued.
    """
    signals, errors = group.split(GraphBubbleUp)
    if signals is None or errors is not None:
        return group if errors is None else errors
    asked: list[Interrupt] = []
    for signal in _leaves(signals):
        if not isinstance(signal, GraphInterrupt):
            return signal
        asked.extend(signal.interrupts)
    return GraphInterrupt(asked)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for part in group.exceptions:
        if isinstance(part, BaseExceptionGroup):
            yield from _leaves(part)
        else:
            yield part
