"""Changing a thread by hand: each change is one more run of its own in the log.

A change never alters what is recorded. It is written as a checkpoint after the one
that it starts from, and an unfinished run is closed by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, overload

from msgspec import Struct

from nbflow._engine.ids import new_checkpoint_id, new_run_id, now
from nbflow._engine.log import NEXT_RUN, Log
from nbflow._events import (
    Record,
    RunCancelled,
    RunStarted,
    RunSuperseded,
    StateUpdated,
    StepReached,
)
from nbflow._values import FinalValue, Payload, StateUpdate
from nbflow.checkpoint.points import Point, ending_of, find_point, point_of
from nbflow.errors import CheckpointNotFoundError, InvalidUpdateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbflow._events import Event, RunFinished
    from nbflow.checkpoint.base import BaseCheckpointSaver, Head
    from nbflow.checkpoint.points import Ending

__all__ = ["Target", "open_run", "supersteps_of", "write_updates"]

_Copied: TypeAlias = Literal["update", "fork"]

_END: Final = "__end__"
_INPUT: Final = "__input__"
_COPY: Final = "__copy__"


class Target(Struct, frozen=True):
    """The thread that is changed, and by whom.

    Attributes
    ----------
    saver : BaseCheckpointSaver
        Whose thread it is.
    workflow : str
        Name of the entrypoint.
    code : str
        Fingerprint of its body.
    thread_id : str
        The thread.
    checkpoint_id : str or None
        The checkpoint to start from; None is the newest.
    metadata : dict
        What is kept with each checkpoint.
    cell : str
        Which notebook cell does it.
    """

    saver: BaseCheckpointSaver
    workflow: str
    code: str
    thread_id: str
    checkpoint_id: str | None
    metadata: dict[str, Any]
    cell: str = ""


def supersteps_of(given: Iterable[Iterable[Any]]) -> list[list[StateUpdate]]:
    """Read what `bulk_update_state` was given.

    Raises
    ------
    ValueError
        There is no superstep, or an empty one.
    """
    supersteps = [[StateUpdate(*update) for update in step] for step in given]
    if not supersteps:
        raise ValueError("No supersteps provided")
    if not all(supersteps):
        raise ValueError("No updates provided")
    return supersteps


def write_updates(target: Target, supersteps: Sequence[Sequence[StateUpdate]]) -> Point:
    """Change a thread; all of it is on disk when this returns, or nothing.

    Parameters
    ----------
    target : Target
        What is changed; the caller holds its lease.
    supersteps : sequence of sequence of StateUpdate
        One checkpoint each, in this order.

    Returns
    -------
    Point
        The thread's newest checkpoint.

    Raises
    ------
    InvalidUpdateError
        A change names a node that there is not, or can't be made here.
    CheckpointNotFoundError
        The thread has no checkpoint of that id.
    UnstorableValueError
        A value can't be stored.
    """
    writing = _Writing(target)
    for superstep in supersteps:
        writing.take(_only(superstep, target.workflow))
    target.saver.commit(writing.records)
    if writing.point is None:
        raise AssertionError("a superstep makes a checkpoint")
    return writing.point


def _only(superstep: Sequence[StateUpdate], workflow: str) -> StateUpdate:
    """Return a superstep's one update: a workflow has one place to write to."""
    if len(superstep) == 1:
        return superstep[0]
    for update in superstep:
        if update.as_node is None:
            raise InvalidUpdateError(
                "Ambiguous update, specify as_node: it is required when applying "
                "multiple updates in one superstep."
            )
        if update.as_node in (_INPUT, _COPY):
            raise InvalidUpdateError(
                f"Cannot apply multiple updates when one is as_node={update.as_node!r}."
                " Give it a superstep of its own."
            )
        if update.as_node != workflow:
            raise _unknown(update.as_node, workflow)
    raise InvalidUpdateError(
        "At key '__end__': Can receive only one value per step. Give each update a "
        "superstep of its own."
    )


def _unknown(as_node: str, workflow: str) -> InvalidUpdateError:
    return InvalidUpdateError(
        f"Node {as_node} does not exist. Use as_node={workflow!r}, leave it out, or "
        "use '__input__', '__copy__' or '__end__'."
    )


class _Writing:
    """The records of one change as they come together."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.records: list[Record] = []
        self.point = find_point(target.saver, target.thread_id, target.checkpoint_id)
        if self.point is None and target.checkpoint_id is not None:
            raise CheckpointNotFoundError(target.thread_id, target.checkpoint_id)
        self._open = open_run(target.saver.head(target.thread_id))
        self._endings: dict[str | None, StateUpdated] = {}
        self._log = Log(target.saver, target.thread_id, "")

    def take(self, update: StateUpdate) -> None:
        """Add one change.

        Raises
        ------
        InvalidUpdateError
            It can't be made.
        """
        values, as_node, _ = update
        if as_node == _COPY or (values is None and as_node is None):
            self._copy(values, is_fork=as_node == _COPY)
        elif as_node == _END and values is None:
            self._clear()
        elif as_node == _INPUT:
            self._input(values)
        elif as_node in (None, self.target.workflow):
            self._update(values)
        else:
            raise _unknown(str(as_node), self.target.workflow)

    def _update(self, values: Any) -> None:
        save = None
        if isinstance(values, FinalValue):
            values, save = values.value, self._payload(values.save)
        self._ended(self._payload(values), save, parent_id=self._newest)

    def _clear(self) -> None:
        point = self._existing("clear the tasks of")
        ending = self._ending(point)
        value = self._payload(None) if ending is None else _bare(ending.value)
        save = None if ending is None else _bare(ending.save)
        self._ended(value, save, parent_id=point.checkpoint_id)

    def _input(self, values: Any) -> None:
        if values is None:
            raise InvalidUpdateError("Received no input writes for __start__")
        payload = self._payload(values)
        self._begun(payload, source="input", parent_id=self._newest)

    def _copy(self, values: Any, *, is_fork: bool) -> None:
        if values is not None:
            raise InvalidUpdateError(
                "A copy takes no values. Copy first, then update, in two supersteps."
            )
        point = self._existing("copy")
        parent_id = point.parent_id if is_fork else point.checkpoint_id
        source: _Copied = "fork" if is_fork else "update"
        if point.ending is not None:
            value, save = _bare(point.ending.value), _bare(point.ending.save)
            self._ended(value, save, source=source, parent_id=parent_id)
        elif isinstance(point.begun, RunStarted):
            given = _bare(point.begun.input)
            self._begun(given, source=source, parent_id=parent_id)

    def _existing(self, what: str) -> Point:
        if self.point is None:
            raise InvalidUpdateError(
                f"Cannot {what} a non-existent checkpoint: thread "
                f"{self.target.thread_id!r} has none. Start it with an input, or "
                "update it with values."
            )
        return self.point

    def _ending(self, point: Point) -> RunFinished | StateUpdated | None:
        if point.ending is not None:
            return _of_function(point.ending)
        if point.saved_run_id in self._endings:
            return self._endings[point.saved_run_id]
        target = self.target
        found = ending_of(target.saver, target.thread_id, point.saved_run_id)
        return None if found is None else _of_function(found)

    @property
    def _newest(self) -> str | None:
        return None if self.point is None else self.point.checkpoint_id

    def _payload(self, value: Any) -> Payload:
        return self._log.payload(
            value, root="values", task=self.target.workflow, missing=NEXT_RUN
        )

    # Records.

    def _ended(
        self,
        value: Payload,
        save: Payload | None,
        *,
        source: _Copied = "update",
        parent_id: str | None,
    ) -> None:
        target, point = self.target, self.point
        event = StateUpdated(
            workflow=target.workflow,
            value=value,
            save=save,
            checkpoint_id=new_checkpoint_id(),
            parent_checkpoint_id=parent_id,
            step=0 if point is None else point.step + 1,
            source=source,
            metadata=dict(target.metadata),
            cell=target.cell,
        )
        run_id = self._write(event)
        self._endings[run_id] = event

    def _begun(
        self,
        given: Payload,
        *,
        source: Literal["input", "fork", "update"],
        parent_id: str | None,
    ) -> None:
        target, point = self.target, self.point
        event = RunStarted(
            workflow=target.workflow,
            input=given,
            code=target.code,
            checkpoint_id=new_checkpoint_id(),
            parent_checkpoint_id=parent_id,
            previous_run_id=None if point is None else point.saved_run_id,
            step=-1 if point is None else point.step + 1,
            metadata=dict(target.metadata),
            cell=target.cell,
            source=source,
        )
        run_id = self._write(event)
        # Nobody is at work on it: it waits to be continued with None.
        self._append(run_id, RunCancelled("set by update_state, and not begun"))
        self._open = run_id

    def _write(self, event: RunStarted | StateUpdated) -> str:
        run_id = new_run_id()
        if self._open is not None:
            self._append(self._open, RunSuperseded(run_id))
            self._open = None
        self.point = point_of(self._append(run_id, event), event)
        return run_id

    def _append(self, run_id: str, event: Event) -> Record:
        record = Record(self.target.thread_id, run_id, now(), event)
        self.records.append(record)
        return record


def _of_function(ending: Ending) -> RunFinished | StateUpdated:
    if isinstance(ending, StepReached):
        raise InvalidUpdateError(
            "The thread stands inside of a graph's run, and a workflow that is none "
            "can't be set there. Use the graph, or a thread of its own."
        )
    return ending


def open_run(head: Head | None) -> str | None:
    """Return the run of a thread that can still go on, and that another one closes."""
    if head is None or head.status in ("finished", "superseded"):
        return None
    return head.run_id


@overload
def _bare(payload: Payload) -> Payload: ...
@overload
def _bare(payload: Payload | None) -> Payload | None: ...
def _bare(payload: Payload | None) -> Payload | None:
    return None if payload is None else Payload(payload.data)
