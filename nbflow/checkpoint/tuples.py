"""Checkpoints in LangGraph's shape: what `get_tuple` and `list` of a saver give.

They are made of the log when they are asked for; nothing is stored in this shape.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, TypedDict

from nbflow import serde
from nbflow._events import (
    Answered,
    Interrupted,
    RunFailed,
    RunFinished,
    RunStarted,
    TaskFailed,
    TaskFinished,
)
from nbflow._values import Interrupt
from nbflow.checkpoint.points import find_point, points, saved, visits, within

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from nbflow._events import Record
    from nbflow._values import Payload
    from nbflow.checkpoint.base import BaseCheckpointSaver
    from nbflow.checkpoint.points import Ending, Point, Visit

__all__ = [
    "Checkpoint",
    "CheckpointMetadata",
    "CheckpointTuple",
    "PendingWrite",
    "find_tuple",
    "tuples",
]

PendingWrite: TypeAlias = tuple[str, str, Any]
"""The id of a call (or of the run, for its body), a channel, and a value."""

_VERSION: Final = 4
_WRITES: Final = (
    "TaskFinished",
    "TaskFailed",
    "Interrupted",
    "Answered",
    "RunFailed",
    "RunFinished",
)


class Checkpoint(TypedDict):
    """What a thread held at one moment.

    Attributes
    ----------
    v : int
        Version of this shape.
    id : str
        Sorts by the time it was made.
    ts : str
        ISO 8601, UTC.
    channel_values : dict
        ``__start__`` is a run's input, ``__end__`` what the last one returned, and
        ``__previous__`` what it saved.
    channel_versions, versions_seen : dict
        Steps as versions.
    updated_channels : list of str or None
        What this checkpoint changed.
    """

    v: int
    id: str
    ts: str
    channel_values: dict[str, Any]
    channel_versions: dict[str, int]
    versions_seen: dict[str, dict[str, int]]
    updated_channels: list[str] | None


class CheckpointMetadata(TypedDict, total=False):
    """How a checkpoint came about; the caller's own keys stand beside these.

    Attributes
    ----------
    source : str
        ``"input"``, ``"loop"``, ``"update"`` or ``"fork"``.
    step : int
        From -1.
    parents : dict
        Always empty: nested runs are part of the run around them.
    run_id, thread_id : str
        Whose it is.
    """

    source: Literal["input", "loop", "update", "fork"]
    step: int
    parents: dict[str, str]
    run_id: str
    thread_id: str


class CheckpointTuple(NamedTuple):
    """A checkpoint with what belongs to it.

    Attributes
    ----------
    config : dict
        Addresses it.
    checkpoint : Checkpoint
        What the thread held.
    metadata : CheckpointMetadata
        How it came about.
    parent_config : dict or None
        Addresses the checkpoint before.
    pending_writes : list of PendingWrite or None
        What its run has done since, in the order of the log.
    """

    config: dict[str, Any]
    checkpoint: Checkpoint
    metadata: CheckpointMetadata
    parent_config: dict[str, Any] | None = None
    pending_writes: list[PendingWrite] | None = None


def find_tuple(
    saver: BaseCheckpointSaver, config: Mapping[str, Any]
) -> CheckpointTuple | None:
    """Return the checkpoint that a config names, or its thread's newest one."""
    thread_id, checkpoint_id = _address(config)
    if thread_id is None:
        return None
    point = find_point(saver, thread_id, checkpoint_id)
    if point is None:
        return None
    return _tuple(next(visits(saver, iter([point]), kinds=_WRITES)))


def tuples(
    saver: BaseCheckpointSaver,
    config: Mapping[str, Any] | None,
    *,
    metadata: Mapping[str, Any] | None = None,
    before: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> Iterator[CheckpointTuple]:
    """Yield checkpoints of one thread or of all, newest first; see `within`."""
    thread_id, checkpoint_id = _address(config or {})
    chooses = checkpoint_id is not None or bool(metadata) or before is not None
    found = _points(saver, thread_id, None if chooses else _WRITES, limit)
    if checkpoint_id is not None:
        found = (point for point in found if point.checkpoint_id == checkpoint_id)
    chosen = within(found, metadata=metadata, before=before, limit=limit)
    yield from map(_tuple, visits(saver, chosen, kinds=_WRITES, limit=limit))


def _address(config: Mapping[str, Any]) -> tuple[str | None, str | None]:
    configurable = config.get("configurable") or {}
    thread_id = configurable.get("thread_id")
    checkpoint_id = configurable.get("checkpoint_id")
    return None if thread_id is None else str(thread_id), checkpoint_id or None


def _points(
    saver: BaseCheckpointSaver,
    thread_id: str | None,
    along: Collection[str] | None,
    limit: int | None,
) -> Iterator[Point]:
    if thread_id is not None:
        yield from points(saver, thread_id, along=along, limit=limit)
        return
    for head in saver.heads():
        yield from points(saver, head.thread_id, along=along, limit=limit)


def _tuple(visit: Visit) -> CheckpointTuple:
    point = visit.point
    values = _values(point, visit.ending)
    changed = ["__start__"] if point.kind == "input" else ["__end__", "__previous__"]
    checkpoint = Checkpoint(
        v=_VERSION,
        id=point.checkpoint_id,
        ts=datetime.fromtimestamp(point.at / 1_000_000, UTC).isoformat(),
        channel_values=values,
        channel_versions=dict.fromkeys(values, point.step + 2),
        versions_seen={},
        updated_channels=changed,
    )
    metadata: Any = point.metadata
    writes = list(_writes(visit.records))
    return CheckpointTuple(
        point.config, checkpoint, metadata, point.parent_config, writes
    )


def _values(point: Point, ending: Ending | None) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if point.kind == "input" and isinstance(point.begun, RunStarted):
        values["__start__"] = _decoded(point.begun.input)
    if ending is not None:
        values["__end__"] = _decoded(ending.value)
        values["__previous__"] = _decoded(saved(ending))
    return values


def _writes(records: Iterable[Record]) -> Iterator[PendingWrite]:
    asked_by: dict[str, str] = {}
    for record in records:
        if isinstance(record.event, Interrupted):
            asked_by[record.event.interrupt_id] = record.event.parent_id
        yield from _writes_of(record, asked_by)


def _writes_of(record: Record, asked_by: Mapping[str, str]) -> Iterator[PendingWrite]:
    run_id = record.run_id
    match record.event:
        case TaskFinished(call_id=call_id, result=result):
            yield call_id, "__return__", _decoded(result)
        case TaskFailed(call_id=call_id, text=text):
            yield call_id, "__error__", text
        case RunFailed(text=text):
            yield run_id, "__error__", text
        case Interrupted() as asked:
            question = Interrupt(
                _decoded(asked.value), asked.interrupt_id, asked.response_schema
            )
            yield asked.parent_id or run_id, "__interrupt__", (question,)
        case Answered(interrupt_id=interrupt_id, value=value):
            by = asked_by.get(interrupt_id) or run_id
            yield by, "__resume__", _decoded(value)
        case RunFinished() as finished:
            yield run_id, "__end__", _decoded(finished.value)
            yield run_id, "__previous__", _decoded(saved(finished))
        case _:
            return


def _decoded(payload: Payload) -> Any:
    data = payload.data
    return None if data is None else serde.decode(data, opaque=True)
