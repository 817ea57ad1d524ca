"""A saver that keeps its log in this process, for tests and short scripts."""

from __future__ import annotations

import threading
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec.structs import replace

from nbflow._events import KINDS, LIFECYCLE, PAYLOADS, Record, ThreadDeleted
from nbflow._values import UNSET, Payload
from nbflow.checkpoint.base import BaseCheckpointSaver, Head, fold_head
from nbflow.errors import StoreClosedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from nbflow._events import Event

__all__ = ["InMemorySaver", "MemorySaver"]


class InMemorySaver(BaseCheckpointSaver):
    """Keep the log of every thread in memory.

    It forgets everything with the process. Values are stored as bytes, as in any
    saver, so a replay gets fresh copies; also pickles, which are this process's own.

    Examples
    --------
    >>> saver = InMemorySaver()
    >>> saver.list_threads()
    []
    """

    is_lasting = False

    def __init__(self) -> None:
        self.allow_pickle = True
        self._lock = threading.Lock()
        self._seq = 0
        self._threads: dict[str, list[Record]] = {}
        self._heads: dict[str, Head] = {}
        self._closed = False

    @property
    def location(self) -> str:
        """Always ``"memory"``."""
        return "memory"

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def append(
        self,
        records: Sequence[Record],
        on_durable: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        """Keep records; they are as durable as they will be at once."""
        with self._lock:
            if self._closed:
                raise StoreClosedError(
                    "This saver is closed.\nMake a new InMemorySaver()."
                )
            for record in records:
                self._keep(record)
        if on_durable is not None:
            on_durable(None)

    def _keep(self, record: Record) -> None:
        self._seq += 1
        thread_id, event = record.thread_id, record.event
        if type(event) in _LIFECYCLE:
            self._fold(record)
        if isinstance(event, ThreadDeleted):
            self._threads.pop(thread_id, None)
            return
        stored = Record(
            thread_id, record.run_id, record.at, _without_live(event), self._seq
        )
        self._threads.setdefault(thread_id, []).append(stored)

    def _fold(self, record: Record) -> None:
        head = fold_head(self._heads.get(record.thread_id), record)
        if head is None:
            self._heads.pop(record.thread_id, None)
        else:
            self._heads[record.thread_id] = head

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
    ) -> list[Record]:
        """Return records of a thread; see the contract."""
        with self._lock:
            records = self._threads.get(thread_id, [])[:]
        ordered = reversed(records) if newest_first else records
        found = (
            record
            for record in ordered
            if record.seq > after
            and (before is None or record.seq < before)
            and (run_id is None or record.run_id == run_id)
            and (kinds is None or type(record.event).__name__ in kinds)
        )
        return list(islice(found, limit))

    def heads(self, thread_id: str | None = None) -> list[Head]:
        """Return where threads stand; see the contract."""
        with self._lock:
            if thread_id is not None:
                head = self._heads.get(thread_id)
                return [] if head is None else [head]
            heads = list(self._heads.values())
        return sorted(heads, key=lambda head: head.updated_at, reverse=True)

    def close(self) -> None:
        """Take no more records; a second call does nothing."""
        with self._lock:
            self._closed = True


MemorySaver: TypeAlias = InMemorySaver
"""The older name of it."""


def _without_live(event: Event) -> Event:
    # A log that held the objects themselves would hand out what was mutated since.
    for name in _PAYLOADS[type(event)]:
        payload = getattr(event, name)
        if payload is not None and payload.live is not UNSET:
            event = replace(event, **{name: Payload(payload.data)})
    return event


_LIFECYCLE: Final = frozenset(KINDS[name] for name in LIFECYCLE)
_PAYLOADS: Final = {KINDS[name]: fields for name, fields in PAYLOADS.items()}
