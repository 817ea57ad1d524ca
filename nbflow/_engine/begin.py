"""What an input means on its thread: a new run, more of the old one, or nothing."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from nbflow import serde
from nbflow._engine.code import code_of
from nbflow._engine.ids import new_checkpoint_id, new_run_id
from nbflow._engine.leases import Lease, take_lease
from nbflow._engine.limits import Places
from nbflow._engine.log import Log
from nbflow._engine.recorded import Recorded
from nbflow._engine.run import Run, Settings, as_interrupt
from nbflow._events import (
    Answered,
    RunFinished,
    RunResumed,
    RunStarted,
    RunSuperseded,
)
from nbflow._values import UNSET, Command
from nbflow.errors import EmptyInputError, UnknownInterruptError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbflow._engine.options import Options
    from nbflow._engine.spec import Spec
    from nbflow._events import Record
    from nbflow._values import Interrupt, OnDivergence
    from nbflow.checkpoint.base import BaseCheckpointSaver, Head

__all__ = ["Definition", "NewInput", "Ready", "Settled", "begin", "record_answers"]

_INTERRUPT_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Definition:
    """What `entrypoint` was told.

    Attributes
    ----------
    spec : Spec
        The body.
    saver : BaseCheckpointSaver or None
        Where its log is kept.
    store : Any
        What bodies get as `store`.
    cache : BaseCache or None
        Where results of tasks with a cache policy are kept for other runs.
    context_schema : type or None
        What the caller's `context` is made into.
    on_divergence : str
        What happens when a replayed body is not deterministic.
    """

    spec: Spec
    saver: BaseCheckpointSaver | None = None
    store: Any = None
    cache: Any = None
    context_schema: type[Any] | None = None
    on_divergence: OnDivergence = "warn"


@dataclass(frozen=True, slots=True)
class NewInput:
    """An input that begins a new run, whatever it is: even None, or a command."""

    value: Any


@dataclass(frozen=True, slots=True)
class Ready:
    """A run that can be driven: its body has to be called with `given`."""

    run: Run
    given: Any


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing runs: this is what is recorded."""

    value: Any = None
    interrupts: tuple[Interrupt, ...] = ()


def begin(definition: Definition, given: Any, options: Options) -> Ready | Settled:
    """Decide what an input means on its thread, and write the first event of it.

    Raises
    ------
    EmptyInputError
        There is no input, and nothing to continue.
    UnknownInterruptError
        An answer fits no pending question; nothing runs.
    ThreadBusyError
        Another run holds the thread.
    ValueError
        The config names no thread.
    """
    if isinstance(given, Command) and given.resume is UNSET:
        raise EmptyInputError(
            "Command() holds no answer, update or goto, so there is nothing to do. "
            "Answer with Command(resume=...), or continue with None."
        )
    saver = definition.saver
    if saver is None:
        return _without_saver(definition, given, options)
    if options.thread_id is None:
        raise ValueError(
            "Checkpointer requires one or more of the following 'configurable' keys: "
            "thread_id, checkpoint_ns, checkpoint_id"
        )
    return _on_thread(definition, saver, options.thread_id, given, options)


def _without_saver(definition: Definition, given: Any, options: Options) -> Ready:
    if isinstance(given, Command):
        raise RuntimeError(  # noqa: TRY004 - LangGraph's type and text
            "Cannot use Command(resume=...) without checkpointer"
        )
    if given is None:
        raise EmptyInputError("Received no input for __start__")
    given = given.value if isinstance(given, NewInput) else given
    log = Log(None, "", new_run_id(), observers=options.watch.observers)
    run = _run(definition, options, log, Recorded(), lambda: None)
    options.watch.on_run(run)
    log.write(_started(definition, options, log, given, None))
    return Ready(run, given)


def _on_thread(
    definition: Definition,
    saver: BaseCheckpointSaver,
    thread_id: str,
    given: Any,
    options: Options,
) -> Ready | Settled:
    holder: list[Run] = []
    lease = Lease(
        saver.scope,
        thread_id,
        new_run_id(),
        lambda: _describe(definition, options, holder),
        time.time(),
    )
    take_lease(lease, force=options.watch.force)
    try:
        head = saver.head(thread_id)
        if given is None or isinstance(given, Command):
            ready = _continued(definition, saver, head, given, options)
        else:
            given = given.value if isinstance(given, NewInput) else given
            ready = _new(definition, saver, head, given, options, run_id=lease.run_id)
    except BaseException:
        lease.release()
        raise
    if isinstance(ready, Settled):
        lease.release()
    else:
        holder.append(ready.run)
        ready.run.on_end(lease.release)
    return ready


def _describe(definition: Definition, options: Options, holder: list[Run]) -> str:
    name = f"workflow {definition.spec.name!r}"
    where = f" in {options.watch.cell}" if options.watch.cell else ""
    run = holder[0] if holder else None
    if run is None or run.stopping is None or not run.running:
        return f"{name}{where}"
    tasks = ", ".join(map(repr, run.running))
    return f"{name}{where}, which was stopped while its task {tasks} still runs"


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
        raise UnknownInterruptError("not_pending", _answered_ids(command))
    recorded = Recorded(saver.read(thread_id, run_id=head.run_id))
    answers = _answers(command, recorded)
    log = Log(saver, thread_id, head.run_id)
    events = [
        Answered(
            interrupt_id,
            log.payload(answer, root="answer"),
            serde.fingerprint(answer),
            by,
        )
        for interrupt_id, answer in answers.items()
    ]
    log.commit(*events)
    return tuple(answers)


# A new run.


def _new(
    definition: Definition,
    saver: BaseCheckpointSaver,
    head: Head | None,
    given: Any,
    options: Options,
    *,
    run_id: str,
) -> Ready:
    thread_id = options.thread_id or ""
    log = _log(saver, thread_id, run_id, options)
    saved_run_id = head.saved_run_id if head is not None else None
    previous = _saved_by(saver, thread_id, saved_run_id)
    run = _run(definition, options, log, Recorded(), previous)
    started = _started(definition, options, log, given, head)
    if head is not None and head.status not in ("finished", "superseded"):
        log.write_of(head.run_id, RunSuperseded(run_id))
    options.watch.on_run(run)
    log.write(started)
    return Ready(run, given)


def _started(
    definition: Definition, options: Options, log: Log, given: Any, head: Head | None
) -> RunStarted:
    return RunStarted(
        workflow=definition.spec.name,
        input=log.payload(given, root="input", task=definition.spec.name),
        input_key=serde.fingerprint_exact(given) or "",
        code=code_of(definition.spec.func).fingerprint,
        checkpoint_id=new_checkpoint_id(),
        parent_checkpoint_id=None if head is None else head.checkpoint_id,
        previous_run_id=None if head is None else head.saved_run_id,
        step=-1 if head is None else head.step + 1,
        metadata=dict(options.metadata),
        cell=options.watch.cell,
    )


def _log(
    saver: BaseCheckpointSaver, thread_id: str, run_id: str, options: Options
) -> Log:
    return Log(
        saver,
        thread_id,
        run_id,
        durability=options.durability,
        observers=options.watch.observers,
    )


def _run(
    definition: Definition,
    options: Options,
    log: Log,
    recorded: Recorded,
    previous: Callable[[], Any],
) -> Run:
    settings = Settings(
        workflow=definition.spec.name,
        thread_id=log.thread_id,
        run_id=log.run_id,
        config=options.config,
        store=definition.store,
        previous=previous,
        context=options.context,
        on_divergence=options.on_divergence or definition.on_divergence,
    )
    return Run(settings, log, recorded, Places(options.max_concurrency))


def _saved_by(
    saver: BaseCheckpointSaver, thread_id: str, run_id: str | None
) -> Callable[[], Any]:
    """Return what decodes a fresh copy of what a run saved."""

    @lru_cache(maxsize=1)
    def data() -> bytes | None:
        if run_id is None:
            return None
        records = saver.read(
            thread_id, run_id=run_id, kinds=("RunFinished",), newest_first=True, limit=1
        )
        return saved_data(records[0]) if records else None

    def previous() -> Any:
        found = data()
        return None if found is None else serde.decode(found)

    return previous


def saved_data(record: Record) -> bytes | None:
    """Return the bytes of what a finished run saved for the next one."""
    event = record.event
    if not isinstance(event, RunFinished):
        return None
    return (event.save or event.value).data


# More of the old run.


def _continued(
    definition: Definition,
    saver: BaseCheckpointSaver,
    head: Head | None,
    command: Command[Any] | None,
    options: Options,
) -> Ready | Settled:
    thread_id = options.thread_id or ""
    if head is None:
        if command is not None:
            raise UnknownInterruptError("not_pending", _answered_ids(command))
        raise EmptyInputError(
            f"Received no input for __start__: thread {thread_id!r} has no run to "
            "continue. Start it with an input."
        )
    records = saver.read(thread_id, run_id=head.run_id)
    code = code_of(definition.spec.func).fingerprint
    recorded = Recorded(records, replay=options.replay, code=code)
    answers = {} if command is None else _answers(command, recorded)
    if head.status in ("finished", "superseded"):
        return Settled(_value_of(records))
    if command is not None and not answers and head.status == "interrupted":
        pending = tuple(as_interrupt(recorded.questions[i]) for i in recorded.pending)
        if pending:
            return Settled(interrupts=pending)
    log = _log(saver, thread_id, head.run_id, options)
    started = next(r.event for r in records if isinstance(r.event, RunStarted))
    previous = _saved_by(saver, thread_id, started.previous_run_id)
    run = _run(definition, options, log, recorded, previous)
    options.watch.on_run(run)
    _take_answers(run, answers, options)
    reason: Literal["continue", "answer"]
    reason = "continue" if command is None else "answer"
    log.write(
        RunResumed(
            definition.spec.name, code, reason, options.replay, options.watch.cell
        )
    )
    return Ready(run, serde.decode(started.input.data or b""))


def _value_of(records: list[Record]) -> Any:
    for record in reversed(records):
        if isinstance(record.event, RunFinished):
            return serde.decode(record.event.value.data or b"")
    return None


def _take_answers(run: Run, answers: Mapping[str, Any], options: Options) -> None:
    """Write answers before anything uses them.

    One whose question has a schema waits until the body asks again: only the body
    has the type that can refuse it.
    """
    for interrupt_id, answer in answers.items():
        if run.recorded.questions[interrupt_id].response_schema is not None:
            run.offered[interrupt_id] = (answer, options.watch.by)
            continue
        payload = run.log.payload(answer, root="answer")
        key = serde.fingerprint(answer)
        event = Answered(interrupt_id, payload, key, options.watch.by)
        run.log.commit(event)
        run.recorded.take_answer(event)


def _answered_ids(command: Command[Any]) -> tuple[str, ...]:
    resume = command.resume
    return tuple(resume) if is_answer_map(resume) else ("(the only one)",)


def is_answer_map(resume: Any) -> bool:
    """Return whether an answer is a map of interrupt ids: then all keys are ids."""
    return isinstance(resume, dict) and all(
        isinstance(key, str) and _INTERRUPT_ID.fullmatch(key) for key in resume
    )


def _answers(command: Command[Any], recorded: Recorded) -> dict[str, Any]:
    """Return new answers by interrupt id (rules R4 and R5)."""
    pending = recorded.pending
    resume = command.resume
    if not is_answer_map(resume):
        return _single_answer(resume, recorded)
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


def _single_answer(answer: Any, recorded: Recorded) -> dict[str, Any]:
    pending = recorded.pending
    if len(pending) == 1:
        return {pending[0]: answer}
    if pending:
        raise UnknownInterruptError("ambiguous", (), pending)
    answered = list(recorded.questions)
    if answered and _repeats(recorded, answered[-1], answer):
        return {}
    raise UnknownInterruptError("not_pending", ("(the only one)",), ())


def _repeats(recorded: Recorded, interrupt_id: str, answer: Any) -> bool:
    known = recorded.answer_to(interrupt_id)
    return known is not None and known.answer_key == serde.fingerprint(answer)
