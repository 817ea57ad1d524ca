"""The shapes of single chunks, as LangGraph has them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbflow._values import Interrupt, StateSnapshot

__all__ = [
    "asked",
    "checkpoint",
    "checkpoint_of",
    "debugged",
    "task_end",
    "task_start",
]


def asked(interrupt: Interrupt) -> dict[str, Any]:
    """Return a question as chunks of tasks and checkpoints hold it."""
    return {
        "value": interrupt.value,
        "id": interrupt.id,
        "response_schema": interrupt.response_schema,
    }


def task_start(
    task_id: str, name: str, given: Any, *, pushed: bool, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the chunk of a call that begins.

    Parameters
    ----------
    given : Any
        A workflow's input, or a task's ``(args, kwargs)``.
    pushed : bool
        Whether it is a task's call.
    config : mapping
        The run's; its metadata and tags are shown where it has any.
    """
    chunk = {
        "id": task_id,
        "name": name,
        "input": given,
        "triggers": ("__pregel_push",) if pushed else ("__start__",),
    }
    metadata = dict(config.get("metadata") or {})
    if config.get("tags"):
        metadata["tags"] = list(config["tags"])
    return {**chunk, "metadata": metadata} if metadata else chunk


def task_end(
    task_id: str,
    name: str,
    *,
    result: Mapping[str, Any] | None = None,
    error: str | None = None,
    interrupts: Iterable[Interrupt] = (),
    cached: bool = False,
    replayed: bool = False,
) -> dict[str, Any]:
    """Return the chunk of a call that ended."""
    chunk: dict[str, Any] = {
        "id": task_id,
        "name": name,
        "error": error,
        "result": dict(result or {}),
        "interrupts": [asked(interrupt) for interrupt in interrupts],
    }
    if cached:
        chunk["cached"] = True
    if replayed:
        chunk["replayed"] = True
    return chunk


def checkpoint(
    config: Mapping[str, Any],
    *,
    parent_config: Mapping[str, Any] | None,
    values: Any,
    metadata: Mapping[str, Any],
    tasks: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the chunk of a checkpoint; its tasks are what runs next."""
    listed = [dict(task) for task in tasks]
    return {
        "config": dict(config),
        "parent_config": None if parent_config is None else dict(parent_config),
        "values": values,
        "metadata": dict(metadata),
        "next": [task["name"] for task in listed],
        "tasks": listed,
    }


def checkpoint_of(snapshot: StateSnapshot) -> dict[str, Any]:
    """Return the chunk of a checkpoint that is stored."""
    return checkpoint(
        snapshot.config,
        parent_config=snapshot.parent_config,
        values=snapshot.values,
        metadata=snapshot.metadata or {},
        tasks=[
            {
                "id": task.id,
                "name": task.name,
                "interrupts": tuple(asked(i) for i in task.interrupts),
                "state": task.state,
            }
            for task in snapshot.tasks
            if task.name in snapshot.next
        ],
    )


def debugged(kind: str, payload: Any, *, step: int, at: int) -> dict[str, Any]:
    """Return a chunk of the mode ``"debug"``; `at` is in microseconds UTC."""
    return {
        "step": step,
        "timestamp": datetime.fromtimestamp(at / 1_000_000, UTC).isoformat(),
        "type": kind,
        "payload": payload,
    }
