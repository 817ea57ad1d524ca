"""One for each kernel: it chooses the store, and knows the runs of this kernel.

The composition root: the only place that opens a DuckDB file by itself. Names of
workflows are looked up in the user's namespace when they are needed.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nbflow import serde
from nbflow._engine.begin import NewInput, Settled, record_answers
from nbflow._engine.workflow import Workflow
from nbflow._events import RunFinished, RunStarted
from nbflow._values import UNSET, Command
from nbflow.checkpoint.points import address
from nbflow.errors import (
    EmptyInputError,
    ThreadNotFoundError,
    UnknownInterruptError,
    UsageError,
)
from nbflow.session.bus import Bus, view_of
from nbflow.session.calls import CALL_KINDS, find_call
from nbflow.session.following import Following
from nbflow.session.places import StorePlace, default_store
from nbflow.session.questions import check_answer
from nbflow.session.runs import RunHandle, Stretch

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from nbflow._events import Record
    from nbflow.checkpoint.base import BaseCheckpointSaver, Head, Question
    from nbflow.session.views import QuestionView, RunView

__all__ = ["Beginning", "FoundRun", "Session"]

_NAMED: Final = 100  # threads, in an error
_SEARCHED: Final = 100  # threads, for a run
_SHORTEST_RUN: Final = 8  # as tables show it


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a cell asks for.

    Attributes
    ----------
    thread_id : str
        The thread.
    value : Any
        The input.
    new : bool
        Begin a new run whatever is unfinished.
    once : bool
        Return a finished run's result where code and input are the same.
    stretch : Stretch
        How to run.
    """

    thread_id: str
    value: Any
    new: bool = False
    once: bool = False
    stretch: Stretch = field(default_factory=Stretch)


class FoundRun(NamedTuple):
    """A run, and where it is kept."""

    saver: BaseCheckpointSaver
    thread_id: str
    run_id: str

    @property
    def is_newest(self) -> bool:
        """Whether its thread has no newer one."""
        head = self.saver.head(self.thread_id)
        return head is not None and head.run_id == self.run_id


class Session:
    """What one kernel does with workflows.

    Parameters
    ----------
    namespace : mutable mapping
        The user's names.
    store : str, optional
        Path of the store; by default it stands beside the notebook.
    """

    def __init__(
        self, namespace: MutableMapping[str, Any], *, store: str | None = None
    ) -> None:
        self.namespace = namespace
        self._lock = threading.RLock()
        self._place: StorePlace | None = None
        self._saver: BaseCheckpointSaver | None = None
        self._asked_store = store
        self._bus = Bus()
        self._runs: dict[tuple[Any, str], RunHandle] = {}
        self._queued: dict[RunHandle, dict[str, Any]] = {}

    # The store.

    @property
    def place(self) -> StorePlace:
        """Where the store is, and why there."""
        with self._lock:
            if self._place is None:
                self._place = self._find_place()
            return self._place

    def _find_place(self) -> StorePlace:
        return default_store(
            os.environ,
            self.namespace,
            Path.cwd(),
            os.getpid(),
            asked=self._asked_store,
        )

    @property
    def saver(self) -> BaseCheckpointSaver:
        """The store, opened when it is first needed.

        Raises
        ------
        StoreHeldError, StoreUnavailableError, StoreDamagedError
            It can't be opened; a later call tries again.
        """
        with self._lock:
            if self._saver is None or self._saver.is_closed:
                # Imported here: a session that never runs anything needs no duckdb.
                from nbflow.checkpoint.duckdb import DuckDBSaver  # noqa: PLC0415

                holder = str(self.place.notebook or "")
                self._saver = DuckDBSaver(self.place.path, holder=holder)
            return self._saver

    def use_store(self, path: str) -> None:
        """Use another store from now on; what runs goes on in its own.

        Raises
        ------
        StoreError
            It can't be opened; the session keeps the one it has.
        """
        with self._lock:
            before = self._place, self._saver, self._asked_store
            self._place, self._saver, self._asked_store = None, None, path
            try:
                opened = self.saver
            except BaseException:
                self._place, self._saver, self._asked_store = before
                raise
        if (
            before[1] is not None
            and before[1] is not opened
            and not self._is_used(before[1])
        ):
            before[1].close()

    def _is_used(self, saver: BaseCheckpointSaver) -> bool:
        return any(run.is_working and run.saver is saver for run in self._runs.values())

    def close(self) -> None:
        """Stop what runs and let go of the store."""
        for run in list(self._runs.values()):
            run.stop("the kernel shuts down")
        with self._lock:
            saver, self._saver = self._saver, None
        if saver is not None:
            saver.close()

    # Workflows.

    def workflow(self, name: str) -> Workflow[Any, Any] | None:
        """Return the workflow of that name in the user's namespace, with a saver."""
        found = self.namespace.get(name)
        if not isinstance(found, Workflow):
            named = (
                value
                for value in list(self.namespace.values())
                if isinstance(value, Workflow) and value.name == name
            )
            found = next(named, None)
        return None if found is None else self.with_store(found)

    def with_store(self, workflow: Workflow[Any, Any]) -> Workflow[Any, Any]:
        """Return a workflow that has a saver: its own, else the session's."""
        if workflow.checkpointer is not None:
            return workflow
        return workflow.with_saver(self.saver)

    def workflow_names(self) -> list[str]:
        """Return the names of the workflows in the user's namespace."""
        return sorted(
            {v.name for v in list(self.namespace.values()) if isinstance(v, Workflow)}
        )

    # Runs.

    def begin(self, workflow: Workflow[Any, Any], asked: Beginning) -> RunHandle:
        """Do with a thread what running a cell means.

        Where its last run is unfinished and has the same input, that run goes on;
        otherwise a new one begins.

        Returns
        -------
        RunHandle
            Its work has begun, or there is none to do (`once`).

        Raises
        ------
        UsageError
            This kernel is at work on the thread.
        """
        workflow = self.with_store(workflow)
        saver = workflow.checkpointer
        assert saver is not None  # noqa: S101 - with_store sees to it
        head = saver.head(asked.thread_id)
        goes_on = (
            not asked.new
            and head is not None
            and self.goes_on(saver, head, asked.value)
        )
        handle = self._handle(
            workflow, saver, asked.thread_id, head if goes_on or asked.once else None
        )
        if asked.once and head is not None:
            handle.end = self._finished_value(saver, head, workflow, asked.value)
            if handle.end is not None:
                return handle
        given = None if goes_on else NewInput(asked.value)
        if not handle.begin(replace(asked.stretch, given=given)):
            raise UsageError(
                f"Thread {asked.thread_id!r} is being worked on in this kernel.\n"
                "Wait for it, stop it with '%workflow cancel', or use another thread."
            )
        return handle

    def goes_on(self, saver: BaseCheckpointSaver, head: Head, value: Any) -> bool:
        """Return whether this input continues the thread's last run."""
        if head.status in ("finished", "superseded"):
            return False
        started = _started(saver, head)
        return started is not None and _has_input(started, value)

    def _finished_value(
        self,
        saver: BaseCheckpointSaver,
        head: Head,
        workflow: Workflow[Any, Any],
        value: Any,
    ) -> Settled | None:
        started = _started(saver, head)
        if head.status != "finished" or started is None:
            return None
        same_code = workflow.code_fingerprint in _codes(saver, head)[-1:]
        if not same_code or not _has_input(started, value):
            return None
        records = saver.read(head.thread_id, run_id=head.run_id, kinds=("RunFinished",))
        for record in reversed(records):
            if isinstance(record.event, RunFinished):
                data, pickles = record.event.value.data or b"", saver.allow_pickle
                return Settled(serde.decode(data, opaque=True, pickles=pickles))
        return None

    def _handle(
        self,
        workflow: Workflow[Any, Any],
        saver: BaseCheckpointSaver,
        thread_id: str,
        head: Head | None,
    ) -> RunHandle:
        with self._lock:
            known = self._runs.get((saver.scope, thread_id))
            if known is not None and known.is_working:
                return known
            picture = Following() if head is None else self._bus.picture_of(saver, head)
            handle = RunHandle(workflow, thread_id, self._bus, picture)
            handle.after_end(self._send_queued)
            self._runs[saver.scope, thread_id] = handle
            return handle

    def lingering(self, thread_id: str) -> tuple[str, ...]:
        """Return the tasks of stopped runs that still hold a thread."""
        return tuple(
            name
            for handle in self.handles()
            if handle.thread_id == thread_id and not handle.is_working
            for name in handle.running_tasks
        )

    def handles(self) -> list[RunHandle]:
        """Return the runs that this kernel has worked on, the oldest first."""
        with self._lock:
            return list(self._runs.values())

    # What a person does with them.

    def answer(
        self, thread_id: str, answers: Mapping[str | None, Any], *, by: str = ""
    ) -> RunHandle | None:
        """Answer questions, and go on with their run where that can be done.

        Parameters
        ----------
        answers : mapping
            By the question's id, or None where exactly one is pending: answers as
            the question's form or a file gives them.

        Returns
        -------
        RunHandle or None
            The run that goes on; None where its workflow is not defined in this
            kernel: then the answers are kept, and running its cell uses them.

        Raises
        ------
        InvalidAnswerError
            An answer does not fit; nothing is saved.
        UnknownInterruptError, ThreadNotFoundError
            There is no such question, or no such thread.
        """
        saver, head = self.find_thread(thread_id)
        handle = self._runs.get((saver.scope, thread_id))
        picture = self._bus.picture_of(saver, head)
        checked = dict(_checked(picture.view, key, answers[key]) for key in answers)
        workflow = self._workflow_of(saver, head.workflow, handle)
        if workflow is None:
            record_answers(saver, thread_id, Command(resume=checked), by=by)
            picture.update(view_of(saver, thread_id, head.run_id))
            return None
        if handle is None:
            handle = self._handle(workflow, saver, thread_id, head)
        handle.workflow = workflow
        with self._lock:
            if not handle.go_on(Command(resume=checked), by=by):
                self._queued.setdefault(handle, {}).update(checked)
        return handle

    def answer_with(
        self,
        workflow: Workflow[Any, Any],
        thread_id: str,
        answer: Any,
        stretch: Stretch,
    ) -> RunHandle:
        """Answer a thread's only question, and go on with this workflow."""
        workflow = self.with_store(workflow)
        saver, head = self.find_thread(thread_id)
        handle = self._handle(workflow, saver, thread_id, head)
        view = self._bus.picture_of(saver, head).view
        key, value = _checked(view, None, answer)
        handle.begin(replace(stretch, given=Command(resume={key: value})))
        return handle

    def resume(self, thread_id: str, stretch: Stretch | None = None) -> RunHandle:
        """Go on with a thread's unfinished run.

        Raises
        ------
        UsageError
            Its workflow is not defined in this kernel.
        EmptyInputError
            Its last run is finished.
        ThreadNotFoundError
            There is no such thread.
        """
        saver, head = self.find_thread(thread_id)
        if head.status in ("finished", "superseded"):
            raise EmptyInputError(
                f"The last run of thread {thread_id!r} is {head.status}.\n"
                "Start a new one with an input: %workflow run NAME -i EXPR."
            )
        known = self._runs.get((saver.scope, thread_id))
        workflow = self._defined(saver, head.workflow, known)
        handle = known or self._handle(workflow, saver, thread_id, head)
        handle.workflow = workflow
        return _continued(handle, stretch)

    def fork(
        self,
        run: FoundRun,
        before: str,
        result: Any = UNSET,
        stretch: Stretch | None = None,
    ) -> RunHandle:
        """Fork a run before one of its calls, and go on with the fork.

        Parameters
        ----------
        run : FoundRun
            The run.
        before : str
            The call, as for `find_call`.
        result : Any, optional
            What takes the place of the call's result, or of the answer to a question.
        stretch : Stretch, optional
            How to run.

        Raises
        ------
        UsageError
            There is no such call, or the workflow is not defined in this kernel.
        ThreadBusyError
            A run holds the thread.
        UnstorableValueError, SecretNotStoredError
            `result` can't be stored.
        """
        saver, thread_id, run_id = run
        kinds = ("RunStarted", *CALL_KINDS)
        records = saver.read(thread_id, run_id=run_id, kinds=kinds)
        call_id = find_call(records, before)
        begun = next(r.event for r in records if isinstance(r.event, RunStarted))
        known = self._runs.get((saver.scope, thread_id))
        workflow = self._defined(saver, begun.workflow, known)
        workflow.fork(
            address(thread_id, begun.checkpoint_id), before=call_id, result=result
        )
        handle = self._handle(workflow, saver, thread_id, saver.head(thread_id))
        return _continued(handle, stretch)

    def stop(self, thread_id: str | None = None, reason: str = "stopped") -> list[str]:
        """Ask runs of this kernel to stop, and return their threads."""
        stopped = []
        for handle in self.handles():
            if handle.is_working and thread_id in (None, handle.thread_id):
                handle.stop(reason)
                stopped.append(handle.thread_id)
        return stopped

    def can_go_on(self, thread_id: str) -> bool:
        """Return whether this kernel knows the workflow of a thread's newest run."""
        saver, head = self.find_thread(thread_id)
        known = self._runs.get((saver.scope, thread_id))
        return self._workflow_of(saver, head.workflow, known) is not None

    def _defined(
        self, saver: BaseCheckpointSaver, name: str, handle: RunHandle | None
    ) -> Workflow[Any, Any]:
        workflow = self._workflow_of(saver, name, handle)
        if workflow is None:
            raise UsageError(
                f"The workflow {name!r} is not defined in this kernel.\n"
                "Run the cell that defines it, then try again."
            )
        return workflow

    def _workflow_of(
        self, saver: BaseCheckpointSaver, name: str, handle: RunHandle | None
    ) -> Workflow[Any, Any] | None:
        found = self.workflow(name)
        if found is None and handle is not None:
            found = handle.workflow
        if found is None or found.checkpointer is saver:
            return found
        # The thread goes on where it is kept, whatever store is in use now.
        return found.with_saver(saver)

    def _send_queued(self, handle: RunHandle) -> None:
        # Answers that came while a stretch was under way begin the next one.
        with self._lock:
            answers = self._queued.pop(handle, None)
        if answers:
            pending = {q.interrupt_id for q in handle.view.questions}
            still = {key: value for key, value in answers.items() if key in pending}
            if still:
                handle.go_on(Command(resume=still))

    # What is stored.

    def savers(self) -> list[BaseCheckpointSaver]:
        """Return the session's store, and those that workflows bring along."""
        found = {self.saver.scope: self.saver}
        brought = [
            value.checkpointer
            for value in list(self.namespace.values())
            if isinstance(value, Workflow) and value.checkpointer is not None
        ]
        for saver in (*brought, *(handle.saver for handle in self.handles())):
            if not saver.is_closed:
                found.setdefault(saver.scope, saver)
        return list(found.values())

    def threads(self, limit: int | None = None) -> list[Head]:
        """Return every thread, or so many, the most recently updated first."""
        savers = self.savers()
        if limit is None:
            heads = [head for saver in savers for head in saver.heads()]
        else:
            heads = [head for saver in savers for head in saver.newest(limit)]
        return sorted(heads, key=lambda head: head.updated_at, reverse=True)[:limit]

    def find_thread(self, thread_id: str) -> tuple[BaseCheckpointSaver, Head]:
        """Return a thread's head and where it is kept.

        Raises
        ------
        ThreadNotFoundError
            No store of this session has it.
        """
        for saver in self.savers():
            head = saver.head(thread_id)
            if head is not None:
                return saver, head
        known = tuple(head.thread_id for head in self.threads(_NAMED))
        raise ThreadNotFoundError(thread_id, known=known)

    def find_run(self, target: str | None) -> FoundRun:
        """Return where a run is kept.

        Parameters
        ----------
        target : str or None
            A thread, whose newest run is meant; or the first characters of the id of
            a run, eight at least, of the threads that were updated last. None is the
            run that was updated last.

        Raises
        ------
        ThreadNotFoundError
            It is neither, or there is no run.
        """
        if target is None:
            heads = self.threads(1)
            target = heads[0].thread_id if heads else ""
        try:
            saver, head = self.find_thread(target)
        except ThreadNotFoundError:
            found = self._run_of(target) if len(target) >= _SHORTEST_RUN else None
            if found is None:
                raise
            return found
        return FoundRun(saver, head.thread_id, head.run_id)

    def _run_of(self, start: str) -> FoundRun | None:
        heads = [(saver, h) for saver in self.savers() for h in saver.newest(_SEARCHED)]
        newest = ((saver, head.thread_id, head.run_id) for saver, head in heads)
        older = (
            (saver, head.thread_id, record.run_id)
            for saver, head in heads
            for record in saver.read(head.thread_id, kinds=("RunStarted",))
        )
        found = (run for run in chain(newest, older) if run[2].startswith(start))
        return next((FoundRun(*run) for run in found), None)

    def view(self, run: FoundRun) -> RunView:
        """Return a run as it stands."""
        if run.is_newest:
            return self.picture(run.thread_id).view
        return view_of(*run)

    def picture(self, thread_id: str) -> Following:
        """Return the picture of a thread's newest run; it is kept up to date."""
        saver, head = self.find_thread(thread_id)
        return self._bus.picture_of(saver, head)

    def pending(self) -> list[Question]:
        """Return every question that waits for a person."""
        return [asked for saver in self.savers() for asked in saver.questions()]


def _continued(handle: RunHandle, stretch: Stretch | None) -> RunHandle:
    if stretch is None:
        handle.go_on(None)
    else:
        handle.begin(replace(stretch, given=None))
    return handle


def _checked(view: RunView, interrupt_id: str | None, value: Any) -> tuple[str, Any]:
    question = _question(view, interrupt_id)
    if question is None:
        # Answered before: the engine knows whether this is the same answer.
        return interrupt_id or "", value
    return question.interrupt_id, check_answer(question, value)


def _question(view: RunView, interrupt_id: str | None) -> QuestionView | None:
    pending = [q for q in view.questions if not q.answered]
    ids = tuple(q.interrupt_id for q in pending)
    if interrupt_id is None:
        if len(pending) == 1:
            return pending[0]
        raise UnknownInterruptError("ambiguous" if pending else "not_pending", (), ids)
    return next((q for q in pending if q.interrupt_id == interrupt_id), None)


def _has_input(started: RunStarted, value: Any) -> bool:
    """Return whether a run was begun with this very input, as far as can be known."""
    key = serde.fingerprint_exact(value)
    if key is None:
        return False
    given = serde.decode(started.input.data or b"", opaque=True)
    return key == serde.fingerprint_exact(given)


def _started(saver: BaseCheckpointSaver, head: Head) -> RunStarted | None:
    records: list[Record] = saver.read(
        head.thread_id, run_id=head.run_id, kinds=("RunStarted",), limit=1
    )
    event = records[0].event if records else None
    return event if isinstance(event, RunStarted) else None


def _codes(saver: BaseCheckpointSaver, head: Head) -> list[str]:
    kinds = ("RunStarted", "RunResumed")
    records = saver.read(head.thread_id, run_id=head.run_id, kinds=kinds)
    return [record.event.code for record in records]  # type: ignore[union-attr]
