"""The contract of a saver: an append-only log of records, and its heads.

A saver stores and returns; what the records mean to a run is the engine's
business, and how they look is a panel's.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from io import BytesIO
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeAlias

from nbflow._events import (
    Answered,
    Interrupted,
    Record,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunResumed,
    RunStarted,
    RunSuperseded,
    StateUpdated,
    StepReached,
    TaskCalled,
    ThreadDeleted,
)
from nbflow._values import Payload
from nbflow.checkpoint.leases import held
from nbflow.checkpoint.rewriting import copy_thread, drop_runs, keep_newest
from nbflow.checkpoint.tuples import (
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    find_tuple,
    tuples,
)

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Callable,
        Collection,
        Hashable,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )
    from types import TracebackType

    from nbflow.serde import Content

__all__ = [
    "BaseCheckpointSaver",
    "Checkpoint",
    "CheckpointMetadata",
    "CheckpointTuple",
    "Head",
    "Question",
    "RunStatus",
    "fold_head",
    "heads_of",
]

RunStatus: TypeAlias = Literal[
    "running", "interrupted", "failed", "cancelled", "finished", "superseded"
]


@dataclass(frozen=True, slots=True)
class Head:
    """Where a thread stands: a fold of its lifecycle events.

    Attributes
    ----------
    thread_id : str
        The thread.
    run_id : str
        Its newest run, or the id of a newer change by hand.
    workflow : str
        Name of that run's entrypoint.
    status : str
        As written in the log; ``"running"`` may also mean that its process is
        gone.
    step : int
        Step of the newest checkpoint.
    checkpoint_id : str
        The newest checkpoint.
    saved_run_id : str or None
        The newest finished run, whose saved value is the next one's `previous`.
    runs : int
        How many runs the thread has; changes by hand don't count.
    pending : tuple of str
        Ids of the questions without an answer.
    started_at, updated_at : int
        Microseconds since 1970-01-01 UTC: the newest run's begin and the newest
        lifecycle event.
    """

    thread_id: str
    run_id: str
    workflow: str
    status: RunStatus
    step: int
    checkpoint_id: str
    saved_run_id: str | None
    runs: int
    pending: tuple[str, ...]
    started_at: int
    updated_at: int


Heads: TypeAlias = list[Head]
# Within a saver `list` is LangGraph's method, so its own types have names.
Records: TypeAlias = list[Record]


class Question(NamedTuple):
    """A question that waits for an answer.

    Attributes
    ----------
    head : Head
        Where its thread stands.
    record : Record
        The newest time it was asked: an `Interrupted`.
    source : str
        Name of the task that asks; empty for the run's own body.
    """

    head: Head
    record: Record
    source: str


def fold_head(head: Head | None, record: Record) -> Head | None:
    """Return the thread's head after one more record.

    Parameters
    ----------
    head : Head or None
        The head so far; None for a thread without runs.
    record : Record
        The next record of that thread. Kinds outside of
        `nbflow._events.LIFECYCLE` leave the head as it is.

    Returns
    -------
    Head or None
        None after the thread was deleted.
    """
    event = record.event
    if isinstance(event, ThreadDeleted):
        return None
    if isinstance(event, RunStarted):
        return Head(
            thread_id=record.thread_id,
            run_id=record.run_id,
            workflow=event.workflow,
            status="running",
            step=event.step,
            checkpoint_id=event.checkpoint_id,
            saved_run_id=event.previous_run_id,
            runs=(head.runs if head else 0) + 1,
            pending=(),
            started_at=record.at,
            updated_at=record.at,
        )
    if isinstance(event, StateUpdated):
        return Head(
            thread_id=record.thread_id,
            run_id=record.run_id,
            workflow=event.workflow,
            status="finished",
            step=event.step,
            checkpoint_id=event.checkpoint_id,
            saved_run_id=record.run_id,
            runs=head.runs if head else 0,
            pending=(),
            started_at=record.at,
            updated_at=record.at,
        )
    if head is None or head.run_id != record.run_id:
        return head
    return _fold_newest_run(head, record)


def _fold_newest_run(head: Head, record: Record) -> Head:
    at = record.at
    match record.event:
        case RunResumed():
            return replace(head, status="running", updated_at=at)
        case Interrupted(interrupt_id=asked):
            pending = (*(i for i in head.pending if i != asked), asked)
            return replace(head, pending=pending, updated_at=at)
        case Answered(interrupt_id=answered):
            pending = tuple(i for i in head.pending if i != answered)
            return replace(head, pending=pending, updated_at=at)
        case RunInterrupted(interrupt_ids=asked_ids):
            return replace(
                head, status="interrupted", pending=tuple(asked_ids), updated_at=at
            )
        case RunFailed():
            return replace(head, status="failed", updated_at=at)
        case RunCancelled():
            return replace(head, status="cancelled", updated_at=at)
        case RunSuperseded():
            return replace(head, status="superseded", pending=(), updated_at=at)
        case StepReached(call_id=""):
            return replace(
                head,
                step=head.step + 1,
                checkpoint_id=record.event.checkpoint_id,
                saved_run_id=head.run_id,
                updated_at=at,
            )
        case RunFinished(checkpoint_id=checkpoint_id):
            return replace(
                head,
                status="finished",
                step=head.step + 1,
                checkpoint_id=checkpoint_id,
                saved_run_id=head.run_id,
                pending=(),
                updated_at=at,
            )
        case _:
            return head


class BaseCheckpointSaver(ABC):
    """An append-only log of records, one for all threads.

    Methods are synchronous and may be called from any thread. Records appended
    by one thread of control are read back in the order in which they were
    appended; `read` and `heads` see everything whose `append` has returned.

    A run's first record is its `RunStarted`, or a `StateUpdated` that is also its
    last, and its id is never used again: a saver may look for a run's records from
    there on.
    """

    allow_pickle: bool = False
    """Whether bodies may get what a task with ``codec="pickle"`` left here.

    Unpickling runs whatever the bytes say, so this is for whoever opens a log to
    decide, and nothing in the log changes it.
    """

    is_lasting: bool = True
    """Whether another process may read what this one has written."""

    @property
    def scope(self) -> Hashable:
        """What two savers over the same log have in common, and others don't."""
        return id(self)

    @property
    @abstractmethod
    def location(self) -> str:
        """Where the log is, for a person to read: a path, or ``"memory"``."""

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether it was closed, or can't be written any more."""

    @abstractmethod
    def append(
        self,
        records: Sequence[Record],
        on_durable: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        """Queue records at the end of the log.

        They are written together: after a crash either all of them are there or
        none. Returns at once; the records' `seq` is given by the saver.

        Parameters
        ----------
        records : sequence of Record
            May be empty: then only `on_durable` is called, in its turn.
        on_durable : callable, optional
            Called exactly once with None when the records, and all that were
            appended before them, would survive a power cut, or with the error if
            they could not be written. It may run on the writer's thread, before or
            after this method returns, must be quick and not raise, and must not
            read from the saver.

        Raises
        ------
        StoreClosedError
            The saver was closed, or an earlier write failed for good.
        """

    def keep(
        self,
        content: Content,
        live: Any,
    ) -> Payload:
        """Take a large value before the record that holds it is appended.

        Parameters
        ----------
        content : callable
            Hands the encoded value to a sink, piece by piece.
        live : Any
            The value itself.

        Returns
        -------
        Payload
            For a record of this saver. This one holds all of it in memory; a saver
            that can store it at once needs no second copy of a large frame.
        """
        held = BytesIO()
        content(held.write)
        return Payload(held.getvalue(), live)

    @abstractmethod
    def read(
        self,
        thread_id: str,
        *,
        run_id: str | None = None,
        kinds: Collection[str] | None = None,
        after: int = 0,
        before: int | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> Records:
        """Return records of a thread, in stored order.

        Parameters
        ----------
        thread_id : str
            The thread; records before its newest `ThreadDeleted`, and that
            record itself, are not returned.
        run_id : str, optional
            Only this run's.
        kinds : collection of str, optional
            Only events of these names (see `nbflow._events.KINDS`).
        after : int, default 0
            Only records whose `seq` is greater.
        before : int, optional
            Only records whose `seq` is smaller.
        newest_first : bool, default False
            Return them in the opposite order.
        limit : int, optional
            At most so many, counted from the end that comes first.

        Returns
        -------
        list of Record
            With their `seq`; empty for an unknown thread. Their payloads hold
            `data` only.
        """

    @abstractmethod
    def heads(self, thread_id: str | None = None) -> Heads:
        """Return where threads stand, the most recently updated first.

        Parameters
        ----------
        thread_id : str, optional
            Only this thread: a list of one, or an empty one.
        """

    @abstractmethod
    def close(self) -> None:
        """Write what is queued and let go of the log; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # Derived once, for every saver.

    def commit(self, records: Sequence[Record]) -> None:
        """Append records and return when they would survive a power cut.

        Raises
        ------
        StoreError
            They could not be written.
        """
        # No Event: one whose wait is interrupted may keep who tells waiting for ever.
        told: SimpleQueue[BaseException | None] = SimpleQueue()
        self.append(records, told.put)
        error = told.get()
        if error is not None:
            raise error

    def head(self, thread_id: str) -> Head | None:
        """Return where one thread stands, or None if it is unknown."""
        found = self.heads(thread_id)
        return found[0] if found else None

    def newest(self, limit: int) -> list[Head]:
        """Return where the threads stand that were updated last.

        Parameters
        ----------
        limit : int
            At most so many.
        """
        return self.heads()[:limit]

    def questions(self) -> list[Question]:
        """Return every question that waits, of the newest thread first."""
        return [
            question
            for head in self.heads()
            if head.pending
            for question in self._questions_of(head)
        ]

    def _questions_of(self, head: Head) -> Iterator[Question]:
        kinds = ("Interrupted", "TaskCalled")
        asked: dict[str, tuple[Record, str]] = {}
        names: dict[str, str] = {}
        for record in self.read(head.thread_id, run_id=head.run_id, kinds=kinds):
            match record.event:
                case Interrupted(interrupt_id=interrupt_id, parent_id=parent_id):
                    asked[interrupt_id] = record, parent_id
                case TaskCalled(call_id=call_id, name=name):
                    names[call_id] = name
                case _:
                    pass
        for interrupt_id in head.pending:
            if interrupt_id in asked:
                record, parent_id = asked[interrupt_id]
                yield Question(head, record, names.get(parent_id, ""))

    def list_threads(self) -> Heads:
        """Return every thread of the log, the most recently updated first."""
        return self.heads()

    def delete_thread(self, thread_id: str, *, purge: bool = False) -> None:
        """Make everything of a thread invisible; an unknown thread is left as it is.

        Parameters
        ----------
        thread_id : str
            The thread.
        purge : bool, default False
            Also free its bytes at once, and those of all that was deleted before.

        Raises
        ------
        ThreadBusyError
            A run holds it: what that still writes would stand in no thread.
        StoreError
            It could not be written. With `purge`, the bytes could not be freed;
            then the thread is invisible nevertheless.
        """
        with held(self.scope, thread_id, "its deletion"):
            if self.head(thread_id) is not None:
                at = time.time_ns() // 1000
                self.commit([Record(thread_id, "", at, ThreadDeleted())])
        if purge:
            self.compact()

    def compact(self) -> NamedTuple | None:
        """Free the bytes of what was deleted.

        Returns
        -------
        tuple or None
            What was kept and what not; None where nothing is kept of what is
            deleted.

        Raises
        ------
        StoreError
            They could not be freed.
        """
        return None

    # In LangGraph's shapes.

    def get(self, config: Mapping[str, Any]) -> Checkpoint | None:
        """Return the checkpoint of `get_tuple` alone."""
        found = self.get_tuple(config)
        return None if found is None else found.checkpoint

    def get_tuple(self, config: Mapping[str, Any]) -> CheckpointTuple | None:
        """Return the checkpoint that a config names, or its thread's newest one.

        Parameters
        ----------
        config : mapping
            ``{"configurable": {"thread_id": ..., "checkpoint_id": ...}}``.

        Returns
        -------
        CheckpointTuple or None
            None for a thread or checkpoint that is not known.
        """
        return find_tuple(self, config)

    def list(
        self,
        config: Mapping[str, Any] | None,
        *,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Yield checkpoints, newest first, reading as far as is asked for.

        Parameters
        ----------
        config : mapping or None
            Names the thread; None is every thread, one after the other, the most
            recently updated first. With a checkpoint, only that one.
        filter : mapping, optional
            Only checkpoints whose metadata hold all of these, equal.
        before : mapping, optional
            Config of a checkpoint: only those that come after it in this order.
        limit : int, optional
            At most so many.
        """
        return tuples(self, config, metadata=filter, before=before, limit=limit)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread as it stands; the ids of its runs and checkpoints stay.

        The copy can be continued, and neither knows of the other. All of it is on
        disk when this returns, or nothing.

        Raises
        ------
        ThreadNotFoundError
            There is no such thread.
        ValueError
            There is a thread of the new id.
        ThreadBusyError
            A run holds the new id.
        """
        copy_thread(self, source_thread_id, target_thread_id)

    def prune(
        self,
        thread_ids: Sequence[str],
        *,
        strategy: Literal["keep_latest", "delete"] = "keep_latest",
        purge: bool = False,
    ) -> None:
        """Drop what threads need no more to go on from where they stand.

        Parameters
        ----------
        thread_ids : sequence of str
            The threads; unknown ones are passed over.
        strategy : {"keep_latest", "delete"}
            Keep each thread's newest run and those whose saved values are what it,
            the next one or a nested one gets as `previous`, or nothing.
        purge : bool, default False
            Also free the bytes at once; else they go with the next compaction.

        Raises
        ------
        ValueError
            The strategy is unknown.
        ThreadBusyError
            A run holds one of them; those before it are done.
        """
        if strategy not in {"keep_latest", "delete"}:
            raise ValueError(f"strategy is 'keep_latest' or 'delete', not {strategy!r}")
        if strategy == "keep_latest":
            keep_newest(self, thread_ids)
        else:
            for thread_id in thread_ids:
                self.delete_thread(thread_id)
        if purge:
            self.compact()

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Make runs invisible, whichever threads they are of.

        Where a thread's newest run goes, the one before it is the newest. What began
        from the saved value of such a run has no `previous` any more. Every thread
        is looked at.

        Raises
        ------
        ThreadBusyError
            A run holds one of the threads; those before it are done.
        """
        drop_runs(self, run_ids)

    # The same, without blocking the event loop.

    async def aget(self, config: Mapping[str, Any]) -> Checkpoint | None:
        """Like `get`, in a thread."""
        return await asyncio.to_thread(self.get, config)

    async def aget_tuple(self, config: Mapping[str, Any]) -> CheckpointTuple | None:
        """Like `get_tuple`, in a thread."""
        return await asyncio.to_thread(self.get_tuple, config)

    async def alist(
        self,
        config: Mapping[str, Any] | None,
        *,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Like `list`, in a thread."""
        found = self.list(config, filter=filter, before=before, limit=limit)
        while (one := await asyncio.to_thread(next, found, None)) is not None:
            yield one

    async def alist_threads(self) -> Heads:
        """Like `list_threads`, in a thread."""
        return await asyncio.to_thread(self.list_threads)

    async def adelete_thread(self, thread_id: str, *, purge: bool = False) -> None:
        """Like `delete_thread`, in a thread."""
        await asyncio.to_thread(self.delete_thread, thread_id, purge=purge)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Like `copy_thread`, in a thread."""
        await asyncio.to_thread(self.copy_thread, source_thread_id, target_thread_id)

    async def aprune(
        self,
        thread_ids: Sequence[str],
        *,
        strategy: Literal["keep_latest", "delete"] = "keep_latest",
        purge: bool = False,
    ) -> None:
        """Like `prune`, in a thread."""
        await asyncio.to_thread(self.prune, thread_ids, strategy=strategy, purge=purge)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Like `delete_for_runs`, in a thread."""
        await asyncio.to_thread(self.delete_for_runs, run_ids)


def heads_of(records: Iterable[Record]) -> dict[str, Head]:
    """Fold records of any threads, in stored order, into their heads."""
    heads: dict[str, Head] = {}
    for record in records:
        head = fold_head(heads.get(record.thread_id), record)
        if head is None:
            heads.pop(record.thread_id, None)
        else:
            heads[record.thread_id] = head
    return heads
