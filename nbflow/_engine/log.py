"""The writing half of a run's log: first stored, then shown.

Rule 1 of the architecture lives here. What an event means is not known here.
"""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING

from nbflow import serde
from nbflow._engine.ids import now
from nbflow._events import (
    Custom,
    MessageStreamed,
    Record,
    StreamCut,
    TaskFinished,
)
from nbflow._values import Payload
from nbflow.errors import NbflowWarning, SecretNotStoredError, UnstorableValueError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from nbflow._events import Event
    from nbflow._values import Durability
    from nbflow.checkpoint.base import BaseCheckpointSaver

__all__ = ["NEXT_RUN", "STREAM_LIMIT_BYTES", "WHEN_CONTINUED", "Log"]

NEXT_RUN = "in the next run"
WHEN_CONTINUED = "when the run is continued"

STREAM_LIMIT_BYTES = 16 * 2**20
"""How much of its custom stream a run keeps."""


class Log:
    """Write the events of one run, and tell those who watch.

    Parameters
    ----------
    saver : BaseCheckpointSaver or None
        Where records are kept; None only shows them.
    thread_id, run_id : str
        What every record carries.
    durability : {"sync", "async", "exit"}
        When outcomes are on disk: before they are used, soon after, or when the
        run ends.
    observers : sequence of callable
        Each is called with every record once it may be shown, from whichever
        thread wrote it; it must be quick.
    """

    def __init__(
        self,
        saver: BaseCheckpointSaver | None,
        thread_id: str,
        run_id: str,
        *,
        durability: Durability = "async",
        observers: tuple[Callable[[Record], None], ...] = (),
    ) -> None:
        self.saver = saver
        self.durability = durability
        self.thread_id = thread_id
        self.run_id = run_id
        self._observers = observers
        self._kept: list[Record] = []
        self._keeps = saver is not None and durability == "exit"
        self._lock = threading.Lock()
        self._streamed = 0

    @property
    def waits(self) -> bool:
        """Whether an outcome has to be on disk before it is used."""
        return self.saver is not None and self.durability == "sync"

    def observe(self, observer: Callable[[Record], None]) -> None:
        """Have `observer` called with every record from now on."""
        with self._lock:
            self._observers = (*self._observers, observer)

    def forget(self, observer: Callable[[Record], None]) -> None:
        """Undo `observe`."""
        with self._lock:
            self._observers = tuple(o for o in self._observers if o != observer)

    def payload(
        self,
        value: Any,
        *,
        root: str,
        task: str = "",
        missing: str = "",
        pickles: bool = False,
    ) -> Payload:
        """Return a value as events hold it; secrets in it are not stored.

        Parameters
        ----------
        root, task : str
            How errors call the value, and whose it is.
        missing : str, default ""
            When a secret would be missed, such as ``"in the next run"``: then one is
            an error.
        pickles : bool, default False
            Whether the value is pickled where it can't be stored otherwise.

        Raises
        ------
        UnstorableValueError
            The value can't be stored; the error names the place in it.
        SecretNotStoredError
            It holds a secret that would be missed.
        """
        payload, secrets = self._encoded(value, root, task, pickles=pickles)
        if secrets and missing:
            raise SecretNotStoredError(secrets[0], why=missing, task=task)
        return payload

    def finished(
        self,
        call_id: str,
        value: Any,
        *,
        task: str,
        cached: bool = False,
        usage: dict[str, int] | None = None,
        pickles: bool = False,
    ) -> TaskFinished:
        """Return the event of a call that returned; `usage` is what its models used.

        Raises
        ------
        UnstorableValueError
            Its result can't be stored.
        """
        payload, secrets = self._encoded(value, "result", task, pickles=pickles)
        return TaskFinished(call_id, payload, cached, bool(secrets), usage)

    def _encoded(
        self, value: Any, root: str, task: str, *, pickles: bool
    ) -> tuple[Payload, tuple[str, ...]]:
        if self.saver is None:
            return Payload(None, value), ()
        try:
            encoded = serde.encode_with_report(value, root=root, pickles=pickles)
            if encoded.unnamed and self.saver.is_lasting:
                _warn_of_unnamed(root, task, encoded.unnamed)
            if encoded.streams:
                return self.saver.keep(encoded.write, value), encoded.secrets
            return Payload(encoded.tree, value), encoded.secrets
        except UnstorableValueError as error:
            raise UnstorableValueError(
                error.path, error.type_name, why=error.why, task=task
            ) from error.__cause__

    def record(self, event: Event) -> Record:
        """Return an event with its place and the time."""
        return Record(self.thread_id, self.run_id, now(), event)

    def write(self, event: Event) -> None:
        """Queue an event, then show it."""
        self._write(Record(self.thread_id, self.run_id, now(), event))

    def write_of(self, run_id: str, event: Event) -> None:
        """Queue an event of another run of the thread, before this one's own."""
        self._write(Record(self.thread_id, run_id, now(), event))

    def _write(self, record: Record) -> None:
        if self.saver is not None and not (self._keeps and self._keep(record)):
            self.saver.append((record,))
        for observer in self._observers:
            observer(record)

    def write_custom(self, call_id: str, chunk: Any) -> None:
        """Write a chunk of the custom stream.

        What can't be stored is shown as it is and stored as a short text. A run
        stores `STREAM_LIMIT_BYTES` of chunks; what comes later is only shown.
        """
        data = self._streamable(chunk)
        self._stream(Custom(call_id, Payload(data, chunk)), data)

    def write_message(
        self, call_id: str, message_id: str, part: Any, metadata: dict[str, Any]
    ) -> None:
        """Write a part of a chat message; it counts as a chunk of the custom stream."""
        data = self._streamable(part)
        event = MessageStreamed(call_id, message_id, Payload(data, part), metadata)
        self._stream(event, data)

    def _streamable(self, chunk: Any) -> bytes | None:
        if self.saver is None or self._streamed > STREAM_LIMIT_BYTES:
            return None
        data = _encode_or_preview(chunk)
        self._streamed += len(data)
        if self._streamed <= STREAM_LIMIT_BYTES:
            return data
        self.write(StreamCut(STREAM_LIMIT_BYTES))
        return None

    def _stream(self, event: Event, data: bytes | None) -> None:
        if data is None:
            self._show([self.record(event)])
        else:
            self.write(event)

    def commit(self, *events: Event) -> None:
        """Write events, and everything kept back, to the disk; then show them.

        Raises
        ------
        StoreError
            They could not be written, and are not shown.
        """
        records = [self.record(event) for event in events]
        if self.saver is not None:
            with self._lock:
                kept, self._kept = self._kept, []
            self.saver.commit([*kept, *records])
        self._show(records)

    def write_outcome(self, event: Event) -> None:
        """Write a call's outcome; in ``"sync"`` it is on disk when this returns."""
        if self.waits:
            self.commit(event)
        else:
            self.write(event)

    def commit_later(
        self, event: Event, then: Callable[[BaseException | None], object]
    ) -> None:
        """Like `commit` for an event loop: `then` is called instead of waiting."""
        record = self.record(event)

        def settle(error: BaseException | None) -> None:
            if error is None:
                self._show([record])
            then(error)

        if self.saver is None:
            settle(None)
        else:
            self.saver.append([record], settle)

    def end(self, *events: Event) -> None:
        """Commit the last events of a stretch; nothing is kept back after it."""
        self.commit(*events)
        self._keeps = False

    def _keep(self, record: Record) -> bool:
        with self._lock:
            self._kept.append(record)
        return True

    def _show(self, records: list[Record]) -> None:
        for record in records:
            for observer in self._observers:
                observer(record)


def _warn_of_unnamed(root: str, task: str, classes: tuple[str, ...]) -> None:
    of = f" of {task!r}" if task else ""
    names = ", ".join(map(repr, classes))
    warnings.warn(
        f"{root}{of} holds instances of {names}, which no module holds under that "
        "name. This kernel finds it again; another one shows what is stored as "
        "Opaque, and hands it to a body only where a function on the way to it has "
        "defined the class anew. Define it at the top of a cell or module.",
        NbflowWarning,
        stacklevel=4,
    )


def _encode_or_preview(chunk: Any) -> bytes:
    try:
        return serde.encode(chunk, root="chunk")
    except UnstorableValueError:
        return serde.encode(serde.preview(chunk, 2000), root="chunk")
