"""What an input means on its thread: a new run, more of the old one, or nothing."""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from nbflow._engine.answers import (
    answered_ids,
    answers_of,
    is_answer_map,
    record_answers,
    take_answers,
)
from nbflow._engine.code import code_of
from nbflow._engine.commands import NewInput, read_command
from nbflow._engine.forks import offers_for_fork, write_fork
from nbflow._engine.ids import new_checkpoint_id, new_run_id
from nbflow._engine.inject import as_context
from nbflow._engine.limits import Places
from nbflow._engine.log import WHEN_CONTINUED, Log
from nbflow._engine.options import options_from
from nbflow._engine.recorded import Recorded
from nbflow._engine.run import Run, Settings, as_interrupt
from nbflow._engine.state import DRAWN_KINDS, thread_of
from nbflow._engine.stored import hand_over, read_again
from nbflow._engine.updates import Target, open_run, supersteps_of, write_updates
from nbflow._events import RunResumed, RunStarted, RunSuperseded
from nbflow._values import UNSET, Command, StateUpdate
from nbflow.checkpoint.leases import Lease, held, take_lease
from nbflow.checkpoint.points import ending_of, find_point, saved
from nbflow.errors import (
    CheckpointNotFoundError,
    EmptyInputError,
    InvalidUpdateError,
    UnknownInterruptError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from nbflow._engine.options import Options
    from nbflow._engine.spec import Spec
    from nbflow._values import Interrupt, OnDivergence
    from nbflow.cache.base import BaseCache
    from nbflow.checkpoint.base import BaseCheckpointSaver, Head
    from nbflow.checkpoint.points import Point
    from nbflow.store.base import BaseStore

__all__ = [
    "Definition",
    "NewInput",
    "Ready",
    "Settled",
    "begin",
    "change_thread",
    "fork_thread",
    "record_answers",
]

_Given: TypeAlias = NewInput | Command[Any] | None


class Definition(Struct, frozen=True):
    """What `entrypoint` was told.

    Attributes
    ----------
    spec : Spec
        The body.
    saver : BaseCheckpointSaver or None
        Where its log is kept.
    store : BaseStore or None
        What bodies get as `store`.
    cache : BaseCache or None
        Where results of tasks with a cache policy are kept for other runs.
    context_schema : type or None
        What the caller's `context` is made into.
    on_divergence : str
        What happens when a replayed body is not deterministic.
    keeps : bool or None
        What a nested run remembers: None is part of its parent's history, True has
        also a `previous` of its own, False uses nothing again.
    stops : tuple of tuple of str
        Nodes of a graph that every run stops before, and after.
    """

    spec: Spec
    saver: BaseCheckpointSaver | None = None
    store: BaseStore | None = None
    cache: BaseCache | None = None
    context_schema: type[Any] | None = None
    on_divergence: OnDivergence = "warn"
    keeps: bool | None = None
    stops: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


class Ready(Struct, frozen=True):
    """A run that can be driven: its body has to be called with `given`."""

    run: Run
    given: Any


class Settled(Struct, frozen=True):
    """Nothing runs: this is what is recorded."""

    value: Any = None
    interrupts: tuple[Interrupt, ...] = ()


def begin(definition: Definition, given: Any, options: Options) -> Ready | Settled:
    """Decide what an input means on its thread, and write the first event of it.

    Without a checkpoint in the config it is about the thread's newest run: an input
    begins another one, None and an answer continue it. At an older checkpoint an
    input begins a run that stands on that one; None and an answer begin the run of
    that checkpoint anew, as a fork.

    Raises
    ------
    EmptyInputError
        There is no input, and nothing to continue.
    InvalidUpdateError
        A command asks for what a functional workflow can't do.
    UnknownInterruptError
        An answer fits no question; nothing runs.
    CheckpointNotFoundError
        The thread has no checkpoint of that id.
    ThreadBusyError
        Another run holds the thread.
    ValueError
        The config names no thread.
    """
    if isinstance(given, Command):
        given = read_command(definition.spec.name, given)
    elif given is not None and not isinstance(given, NewInput):
        given = NewInput(given)
    saver = definition.saver
    if saver is None:
        return _without_saver(definition, given, options)
    if options.thread_id is None:
        raise ValueError(
            "Checkpointer requires one or more of the following 'configurable' keys: "
            "thread_id, checkpoint_ns, checkpoint_id"
        )
    return _on_thread(definition, saver, options.thread_id, given, options)


def _without_saver(definition: Definition, given: _Given, options: Options) -> Ready:
    if isinstance(given, Command):
        raise RuntimeError(  # noqa: TRY004 - LangGraph's type and text
            "Cannot use Command(resume=...) without checkpointer"
        )
    if given is None:
        raise EmptyInputError("Received no input for __start__")
    if given.update is not UNSET:
        raise ValueError("No checkpointer set")
    log = Log(None, "", new_run_id(), observers=options.watch.observers)
    started = _started(definition, options, log, given.value, None)
    run = _run(definition, options, log, Recorded(), started)
    options.watch.on_run(run)
    log.write(started)
    return Ready(run, given.value)


def _on_thread(
    definition: Definition,
    saver: BaseCheckpointSaver,
    thread_id: str,
    given: _Given,
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
        log = _log(saver, lease.run_id, options)
        thread = _Thread(definition, saver, options, log, options.checkpoint_id)
        ready = _begun(thread, given)
    except BaseException:
        lease.release()
        raise
    if isinstance(ready, Settled):
        lease.release()
    else:
        holder.append(ready.run)
        ready.run.on_end(lease.release)
    return ready


def _begun(thread: _Thread, given: _Given) -> Ready | Settled:
    """Begin what an input means, on a thread that is held for it."""
    options = thread.options
    if isinstance(given, NewInput) and given.update is not UNSET:
        target = _target(thread.definition, thread.saver, options)
        write_updates(target, [[StateUpdate(given.update)]])
        thread, given = replace(thread, from_id=None), NewInput(given.value)
    head = thread.saver.head(thread.log.thread_id)
    point: Point | None = None
    if thread.from_id is not None and (
        head is None or thread.from_id != head.checkpoint_id
    ):
        point = find_point(thread.saver, thread.log.thread_id, thread.from_id)
        if point is None:
            raise CheckpointNotFoundError(thread.log.thread_id, thread.from_id)
    if point is not None and point.kind == "step":
        raise InvalidUpdateError(
            f"Checkpoint {point.checkpoint_id!r} stands inside of a graph's run, and a "
            "run can't begin there yet. Begin at the run's input or end: see "
            "get_state_history."
        )
    if isinstance(given, NewInput):
        return _new(thread, head, point or head, given.value)
    if point is None:
        return _continued(thread, head, given)
    if point.kind == "input" and isinstance(point.begun, RunStarted):
        return _forked(thread, head, point, point.begun, given)
    return _at_old_end(thread.saver, point, given)


def _describe(definition: Definition, options: Options, holder: list[Run]) -> str:
    name = f"workflow {definition.spec.name!r}"
    where = f" in {options.watch.cell}" if options.watch.cell else ""
    run = holder[0] if holder else None
    if run is None or run.stopping is None or not run.running:
        return f"{name}{where}"
    tasks = ", ".join(map(repr, run.running))
    return f"{name}{where}, which was stopped while its task {tasks} still runs"


def change_thread(
    definition: Definition,
    saver: BaseCheckpointSaver,
    config: Mapping[str, Any],
    supersteps: Iterable[Iterable[StateUpdate]],
) -> dict[str, Any]:
    """Change a thread by hand, and return the config of its new checkpoint.

    Raises
    ------
    ThreadBusyError
        A run holds the thread.
    InvalidUpdateError, CheckpointNotFoundError, ValueError
        As `write_updates` and `supersteps_of`.
    """
    wanted = supersteps_of(supersteps)
    what = f"a change of workflow {definition.spec.name!r} by hand"
    with _held(definition, saver, config, what) as (target, _):
        return write_updates(target, wanted).config


def fork_thread(
    definition: Definition,
    saver: BaseCheckpointSaver,
    config: Mapping[str, Any],
    before: str,
    result: Any = UNSET,
) -> dict[str, Any]:
    """Fork a run of a thread before one of its calls, and return the fork's config.

    Raises
    ------
    ThreadBusyError
        A run holds the thread.
    InvalidUpdateError, ValueError
        The config names a nested run, or no thread.
    CheckpointNotFoundError, TaskNotFound, UnstorableValueError, SecretNotStoredError
        As `write_fork`.
    """
    what = f"a fork of workflow {definition.spec.name!r}"
    with _held(definition, saver, config, what) as (target, by):
        return write_fork(target, before, result, by=by)


@contextmanager
def _held(
    definition: Definition,
    saver: BaseCheckpointSaver,
    config: Mapping[str, Any],
    what: str,
) -> Iterator[tuple[Target, str]]:
    """Hold the thread that a config names, and say who does it from where."""
    thread_of(config)
    options = options_from(config)
    if config["configurable"].get("checkpoint_ns"):
        raise InvalidUpdateError(
            "A nested run is part of the run around it and can't be changed alone. "
            "Leave checkpoint_ns out to change the thread."
        )
    with held(saver.scope, options.thread_id or "", what):
        yield _target(definition, saver, options), options.watch.by


def _target(
    definition: Definition, saver: BaseCheckpointSaver, options: Options
) -> Target:
    return Target(
        saver,
        definition.spec.name,
        code_of(definition.spec.func).fingerprint,
        options.thread_id or "",
        options.checkpoint_id,
        dict(options.metadata),
        options.watch.cell,
    )


# A new run.


class _Thread(Struct, frozen=True):
    """A thread that is held for a new run, whose id `log` has."""

    definition: Definition
    saver: BaseCheckpointSaver
    options: Options
    log: Log
    from_id: str | None

    def run(self, log: Log, recorded: Recorded, started: RunStarted) -> Run:
        """Return a run that gets as `previous` what the one before it saved."""
        workflow = self.definition.spec.name
        previous = _saved_by(
            self.saver, log.thread_id, started.previous_run_id, workflow
        )
        return _run(
            self.definition,
            self.options,
            log,
            recorded,
            started,
            previous=previous,
            forked_at=_forked_at(self.saver, log.thread_id, started),
        )


def _new(
    thread: _Thread, head: Head | None, base: Head | Point | None, given: Any
) -> Ready:
    log = thread.log
    started = _started(thread.definition, thread.options, log, given, base)
    run = thread.run(log, Recorded(), started)
    _supersede(log, head)
    thread.options.watch.on_run(run)
    log.write(started)
    return Ready(run, given)


def _forked(
    thread: _Thread,
    head: Head | None,
    point: Point,
    before: RunStarted,
    command: Command[Any] | None,
) -> Ready:
    """Begin the run of an older checkpoint anew: same input, same `previous`."""
    log, watch = thread.log, thread.options.watch
    given = _input_of(before, thread.saver)
    started = _started(thread.definition, thread.options, log, given, point)
    started = replace(started, source="fork")
    run = thread.run(log, Recorded(), started)
    if command is not None:
        records = thread.saver.read(
            log.thread_id, run_id=point.run_id, kinds=DRAWN_KINDS
        )
        resume = command.resume
        run.offered = offers_for_fork(
            records, log.run_id, resume, by=watch.by, is_map=is_answer_map(resume)
        )
    _supersede(log, head)
    watch.on_run(run)
    log.write(started)
    return Ready(run, given)


def _supersede(log: Log, head: Head | None) -> None:
    before = open_run(head)
    if before is not None:
        log.write_of(before, RunSuperseded(log.run_id))


def _started(
    definition: Definition,
    options: Options,
    log: Log,
    given: Any,
    base: Head | Point | None,
) -> RunStarted:
    return RunStarted(
        workflow=definition.spec.name,
        input=log.payload(
            given, root="input", task=definition.spec.name, missing=WHEN_CONTINUED
        ),
        code=code_of(definition.spec.func).fingerprint,
        checkpoint_id=new_checkpoint_id(),
        parent_checkpoint_id=None if base is None else base.checkpoint_id,
        previous_run_id=None if base is None else base.saved_run_id,
        step=-1 if base is None else base.step + 1,
        metadata=dict(options.metadata),
        cell=options.watch.cell,
    )


def _log(saver: BaseCheckpointSaver, run_id: str, options: Options) -> Log:
    return Log(
        saver,
        options.thread_id or "",
        run_id,
        durability=options.durability,
        observers=options.watch.observers,
    )


def _run(
    definition: Definition,
    options: Options,
    log: Log,
    recorded: Recorded,
    started: RunStarted,
    *,
    previous: Callable[[], Any] = lambda: None,
    forked_at: Callable[[], int | None] = lambda: None,
) -> Run:
    settings = Settings(
        workflow=definition.spec.name,
        thread_id=log.thread_id,
        run_id=log.run_id,
        config=options.config,
        store=definition.store,
        previous=previous,
        forked_at=forked_at,
        context=as_context(definition.context_schema, options.context),
        cache=definition.cache,
        on_divergence=options.on_divergence or definition.on_divergence,
        control=options.control,
        checkpoint_id=started.checkpoint_id,
        stops=(
            frozenset((*definition.stops[0], *options.interrupt_before)),
            frozenset((*definition.stops[1], *options.interrupt_after)),
        ),
        pickles=definition.spec.pickles,
    )
    return Run(settings, log, recorded, Places(options.max_concurrency))


def _saved_by(
    saver: BaseCheckpointSaver, thread_id: str, run_id: str | None, workflow: str
) -> Callable[[], Any]:
    """Return what decodes a fresh copy of what a run saved."""

    @lru_cache(maxsize=1)
    def data() -> bytes | None:
        ending = ending_of(saver, thread_id, run_id)
        return None if ending is None else saved(ending).data

    def previous() -> Any:
        found = data()
        if found is None:
            return None
        return hand_over(found, saver, workflow, "previous")

    return previous


def _forked_at(
    saver: BaseCheckpointSaver, thread_id: str, started: RunStarted
) -> Callable[[], int | None]:
    """Return what finds where in the log the run began that a fork comes from."""

    @lru_cache(maxsize=1)
    def forked_at() -> int | None:
        parent_id = started.parent_checkpoint_id
        if started.source != "fork" or parent_id is None:
            return None
        point = find_point(saver, thread_id, parent_id)
        return point.begun_seq if point is not None and point.kind == "input" else None

    return forked_at


def _input_of(started: RunStarted, saver: BaseCheckpointSaver) -> Any:
    return hand_over(started.input.data or b"", saver, started.workflow, "input")


# More of the old run.


def _continued(
    thread: _Thread, head: Head | None, command: Command[Any] | None
) -> Ready | Settled:
    saver, options = thread.saver, thread.options
    thread_id = thread.log.thread_id
    if head is None:
        if command is not None:
            raise UnknownInterruptError("not_pending", answered_ids(command))
        raise EmptyInputError(
            f"Received no input for __start__: thread {thread_id!r} has no run to "
            "continue. Start it with an input."
        )
    if head.status == "finished" and command is None:
        return Settled(_value_of(saver, thread_id, head.run_id, head.workflow))
    records = saver.read(thread_id, run_id=head.run_id)
    spec = thread.definition.spec
    code = code_of(spec.func).fingerprint
    recorded = Recorded(records, replay=options.replay, code=code)
    answers = {} if command is None else answers_of(command, recorded)
    if head.status in ("finished", "superseded"):
        return Settled(_value_of(saver, thread_id, head.run_id, head.workflow))
    if command is not None and not answers and head.status == "interrupted":
        pending = tuple(as_interrupt(recorded.questions[i]) for i in recorded.pending)
        if pending:
            return Settled(interrupts=pending)
    log = _log(saver, head.run_id, options)
    started = next(r.event for r in records if isinstance(r.event, RunStarted))
    given = _input_of(started, saver)
    run = thread.run(log, recorded, started)
    options.watch.on_run(run)
    take_answers(run, answers, options.watch.by)
    reason: Literal["continue", "answer"]
    reason = "continue" if command is None else "answer"
    log.write(RunResumed(spec.name, code, reason, options.replay, options.watch.cell))
    return Ready(run, given)


def _at_old_end(
    saver: BaseCheckpointSaver, point: Point, command: Command[Any] | None
) -> Settled:
    """Return what an older run left: there is nothing to run, and nobody asks."""
    if command is not None:
        records = saver.read(point.thread_id, run_id=point.run_id)
        answers_of(command, Recorded(records))
    workflow = point.begun.workflow
    return Settled(_value_of(saver, point.thread_id, point.run_id, workflow))


def _value_of(
    saver: BaseCheckpointSaver, thread_id: str, run_id: str, workflow: str
) -> Any:
    ending = ending_of(saver, thread_id, run_id)
    data = None if ending is None else ending.value.data
    return None if data is None else read_again(data, saver, workflow)
