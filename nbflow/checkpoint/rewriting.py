"""Threads written anew: copied, or without some of their runs.

An append-only log changes a thread by a tombstone and, in the same commit, what is
left of it. So a crash leaves the thread as it was or as it shall be.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nbflow._events import NestedSaved, Record, RunStarted, ThreadDeleted
from nbflow.checkpoint.leases import held
from nbflow.errors import ThreadNotFoundError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from nbflow.checkpoint.base import BaseCheckpointSaver, Head

__all__ = ["copy_thread", "drop_runs", "keep_newest"]


def copy_thread(saver: BaseCheckpointSaver, source: str, target: str) -> None:
    """Copy a thread, with the ids of its runs and checkpoints; see the contract."""
    if saver.head(source) is None:
        known = tuple(head.thread_id for head in saver.heads())
        raise ThreadNotFoundError(source, known=known)
    with held(saver.scope, target, f"a copy of thread {source!r}"):
        if saver.head(target) is not None:
            raise ValueError(
                f"Thread {target!r} exists. Delete it first, or copy to another id."
            )
        records = saver.read(source)
        saver.commit([replace(r, thread_id=target, seq=0) for r in records])


def keep_newest(saver: BaseCheckpointSaver, thread_ids: Iterable[str]) -> None:
    """Drop what a thread needs no more to go on from where it stands."""
    for thread_id in thread_ids:
        _rewrite(saver, thread_id)


def drop_runs(saver: BaseCheckpointSaver, run_ids: Collection[str]) -> None:
    """Drop runs, whichever threads they are of."""
    gone = frozenset(run_ids)
    for head in saver.heads():
        thread_id = head.thread_id
        kinds = ("RunStarted", "StateUpdated")
        own = {record.run_id for record in saver.read(thread_id, kinds=kinds)}
        if own & gone:
            _rewrite(saver, thread_id, own - gone)


def _rewrite(
    saver: BaseCheckpointSaver, thread_id: str, kept: Collection[str] | None = None
) -> None:
    # A run that goes on meanwhile would lose what it writes: the thread is held.
    with held(saver.scope, thread_id, f"a clearing of thread {thread_id!r}"):
        head = saver.head(thread_id)
        if head is None:
            return
        records = saver.read(thread_id)
        needed = _needed(head, records) if kept is None else kept
        left = [r for r in records if not r.run_id or r.run_id in needed]
        if len(left) == len(records):
            return
        deleted = Record(thread_id, "", time.time_ns() // 1000, ThreadDeleted())
        saver.commit([deleted, *(replace(record, seq=0) for record in left)])


def _needed(head: Head, records: Iterable[Record]) -> set[str | None]:
    """Return the runs without which the thread's next stretch would be another."""
    goes_on = head.status not in ("finished", "superseded")
    needed = {head.run_id, head.saved_run_id}
    nested: dict[str, str] = {}
    for record in records:
        is_open = goes_on and record.run_id == head.run_id
        match record.event:
            case RunStarted(previous_run_id=previous) if is_open:
                needed.add(previous)
            case NestedSaved(namespace=namespace) if not is_open:
                nested[namespace] = record.run_id
            case _:
                pass
    return needed.union(nested.values())
