"""Checkpoints: a projection of a thread's log in LangGraph's shape.

A functional run has two, its input and its end. Nothing is stored for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nbflow import serde
from nbflow._engine.ids import digest
from nbflow._engine.run import as_interrupt
from nbflow._events import (
    Answered,
    Interrupted,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunResumed,
    RunStarted,
    RunSuperseded,
    TaskAttempted,
    TaskCalled,
    TaskDropped,
    TaskFailed,
    TaskFinished,
    TaskReplayed,
)
from nbflow._values import Interrupt, Payload, PregelTask, StateSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nbflow._events import Record
    from nbflow.checkpoint.base import BaseCheckpointSaver

__all__ = ["history_of", "state_of"]


@dataclass(slots=True)
class _Call:
    called: TaskCalled
    at: int
    row: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _RunPicture:
    """One run, folded from its records for its two checkpoints."""

    run_id: str
    at: int = 0
    started: RunStarted | None = None
    finished: RunFinished | None = None
    finished_at: int = 0
    error: str | None = None
    superseded: bool = False
    calls: dict[str, _Call] = field(default_factory=dict)
    asked: dict[str, Interrupted] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)


def state_of(
    saver: BaseCheckpointSaver, workflow: str, config: Mapping[str, Any]
) -> StateSnapshot:
    """Return a thread's newest checkpoint, or the one that the config names."""
    thread_id, checkpoint_id = _address(config)
    for snapshot in history_of(saver, workflow, config):
        found = snapshot.config["configurable"]["checkpoint_id"]
        if checkpoint_id is None or checkpoint_id == found:
            return snapshot
    given = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
    unknown = given if checkpoint_id is None else dict(config)
    return StateSnapshot({}, (), unknown, None, None, None, (), ())


def history_of(
    saver: BaseCheckpointSaver,
    workflow: str,
    config: Mapping[str, Any],
    *,
    limit: int | None = None,
) -> Iterator[StateSnapshot]:
    """Yield a thread's checkpoints, the newest first."""
    thread_id, _ = _address(config)
    pictures = _pictures(saver.read(thread_id))
    values = _values_before(pictures)
    count = 0
    for picture in reversed(list(pictures.values())):
        for snapshot in _checkpoints(thread_id, workflow, picture, values):
            if limit is not None and count >= limit:
                return
            count += 1
            yield snapshot


def _address(config: Mapping[str, Any]) -> tuple[str, str | None]:
    configurable = config.get("configurable") or {}
    if configurable.get("thread_id") is None:
        raise ValueError(
            "Checkpointer requires one or more of the following 'configurable' keys: "
            "thread_id, checkpoint_ns, checkpoint_id"
        )
    return str(configurable["thread_id"]), configurable.get("checkpoint_id")


def _pictures(records: Iterable[Record]) -> dict[str, _RunPicture]:
    pictures: dict[str, _RunPicture] = {}
    for record in records:
        picture = pictures.setdefault(record.run_id, _RunPicture(record.run_id))
        _fold(picture, record)
    return pictures


def _fold(picture: _RunPicture, record: Record) -> None:
    match record.event:
        case RunStarted() as started:
            picture.started, picture.at = started, record.at
        case RunFinished() as finished:
            picture.finished, picture.finished_at = finished, record.at
        case RunFailed(text=text):
            picture.error = text
        case RunResumed():
            picture.error = None
        case RunSuperseded():
            picture.superseded = True
        case Interrupted(interrupt_id=asked) as question:
            picture.asked[asked] = question
            picture.answered.discard(asked)
            _set(picture, question.parent_id, status="interrupted")
        case Answered(interrupt_id=asked):
            picture.answered.add(asked)
        case RunInterrupted() | RunCancelled():
            _still(picture, "cancelled")
        case _:
            _fold_call(picture, record)


def _fold_call(picture: _RunPicture, record: Record) -> None:
    at = _iso(record.at)
    match record.event:
        case TaskCalled(call_id=call_id) as called:
            old = picture.calls.get(call_id)
            attempts = old.row["attempts"] if old is not None else 0
            status = "waiting" if called.waiting else "running"
            row = {"status": status, "attempts": attempts + 1, "started": at}
            picture.calls[call_id] = _Call(called, record.at, row)
        case TaskAttempted(call_id=call_id, attempt=attempt):
            _set(picture, call_id, status="running", started=at, attempts=attempt)
        case TaskFinished(call_id=call_id, result=result, cached=cached):
            row = {"status": "finished", "finished": at, "cached": cached}
            _set(picture, call_id, **row, result=result, error=None)
        case TaskFailed(call_id=call_id, text=text):
            _set(picture, call_id, status="failed", finished=at, error=text)
        case TaskReplayed(call_id=call_id):
            _set(picture, call_id, replayed=True)
        case TaskDropped(call_id=call_id):
            _set(picture, call_id, status="dropped")
        case _:
            return


def _set(picture: _RunPicture, call_id: str, **row: Any) -> None:
    if call_id in picture.calls:
        picture.calls[call_id].row.update(row)


def _still(picture: _RunPicture, status: str) -> None:
    for call in picture.calls.values():
        if call.row["status"] in ("waiting", "running"):
            call.row["status"] = status


def _values_before(pictures: Mapping[str, _RunPicture]) -> dict[str, Payload | None]:
    """Return, for each run, what the thread's last finished run returned before."""
    last: Payload | None = None
    found: dict[str, Payload | None] = {}
    for run_id, picture in pictures.items():
        found[run_id] = last
        if picture.finished is not None:
            last = picture.finished.value
    return found


def _checkpoints(
    thread_id: str,
    workflow: str,
    picture: _RunPicture,
    values: Mapping[str, Payload | None],
) -> Iterator[StateSnapshot]:
    started = picture.started
    if started is None:
        return
    own = _config(thread_id, started.checkpoint_id)
    parent = started.parent_checkpoint_id
    if picture.finished is not None:
        yield StateSnapshot(
            values=_decoded(picture.finished.value),
            next=(),
            config=_config(thread_id, picture.finished.checkpoint_id),
            metadata=_metadata(thread_id, picture, "loop", started.step + 1),
            created_at=_iso(picture.finished_at),
            parent_config=own,
            tasks=(),
            interrupts=(),
        )
    done = picture.finished is not None or picture.superseded
    interrupts = () if done else _pending(picture)
    yield StateSnapshot(
        values=_decoded(values[picture.run_id]),
        next=(started.workflow or workflow,),
        config=own,
        metadata=_metadata(thread_id, picture, "input", started.step),
        created_at=_iso(picture.at),
        parent_config=None if parent is None else _config(thread_id, parent),
        tasks=_tasks(picture, started),
        interrupts=interrupts,
    )


def _pending(
    picture: _RunPicture, parent_id: str | None = None
) -> tuple[Interrupt, ...]:
    return tuple(
        as_interrupt(question)
        for interrupt_id, question in picture.asked.items()
        if interrupt_id not in picture.answered
        and (parent_id is None or question.parent_id == parent_id)
    )


def _tasks(picture: _RunPicture, started: RunStarted) -> tuple[PregelTask, ...]:
    result = None if picture.finished is None else _decoded(picture.finished.value)
    entry = PregelTask(
        id=digest(picture.run_id, started.workflow),
        name=started.workflow,
        path=("__pregel_pull", started.workflow),
        error=picture.error,
        interrupts=_pending(picture),
        result=result,
        code=started.code,
    )
    calls = (_task(picture, call) for call in picture.calls.values())
    return (entry, *calls)


def _task(picture: _RunPicture, call: _Call) -> PregelTask:
    called = call.called
    row = {**call.row, "result": _decoded(call.row.get("result"))}
    return PregelTask(
        id=called.call_id,
        name=called.name,
        path=("__pregel_push", called.parent_id, called.ordinal),
        interrupts=_pending(picture, called.call_id),
        arguments=called.args,
        code=called.code,
        **row,
    )


def _decoded(payload: Payload | None) -> Any:
    if payload is None or payload.data is None:
        return None
    return serde.decode(payload.data, opaque=True)


def _config(thread_id: str, checkpoint_id: str) -> dict[str, Any]:
    return {
        "configurable": {
            "thread_id": thread_id,
            "checkpoint_ns": "",
            "checkpoint_id": checkpoint_id,
        }
    }


def _metadata(
    thread_id: str, picture: _RunPicture, source: str, step: int
) -> dict[str, Any]:
    own = picture.started.metadata if picture.started is not None else {}
    return {
        **own,
        "source": source,
        "step": step,
        "parents": {},
        "run_id": picture.run_id,
        "thread_id": thread_id,
    }


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000_000, UTC).isoformat()
