"""What threads saved last, at hand for the run that comes next.

Every run of a thread begins with what the one before saved, and looking for it in the
file takes longer the larger the file is. It follows what is written; what it does not
have has to be read.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import structs

from nbflow._events import PAYLOADS, Record, RunFinished, StateUpdated, ThreadDeleted
from nbflow._values import UNSET, Payload, SpooledPayload

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Endings"]

KEPT_BYTES: Final = 64 << 20
KEPT_THREADS: Final = 10_000

_KINDS: Final = frozenset({"RunFinished", "StateUpdated", "StepReached"})
_Ending: TypeAlias = RunFinished | StateUpdated


class Endings:
    """The newest ending of threads, as far as it was written since the file was opened.

    Parameters
    ----------
    opened_at : int
        The newest `seq` that is not followed.
    """

    def __init__(self, opened_at: int) -> None:  # noqa: ARG002 - a follower has it
        self._records: OrderedDict[str, tuple[Record, int]] = OrderedDict()
        self._size_bytes = 0

    def follow(self, seq: int, record: Record) -> None:
        """Note a record; under the writer's lock."""
        event = record.event
        if isinstance(event, ThreadDeleted):
            self._drop(record.thread_id)
        elif isinstance(event, _Ending):
            self._drop(record.thread_id)
            if _is_spooled(event):
                return  # It is not at hand, and would keep its file.
            # Without the objects themselves: users may change them.
            stored, size = _stored(event)
            found = structs.replace(record, event=stored, seq=seq)
            self._records[record.thread_id] = found, size
            self._size_bytes += size
            while self._size_bytes > KEPT_BYTES or len(self._records) > KEPT_THREADS:
                self._drop(next(iter(self._records)))

    def restart(self, seq: int) -> None:  # noqa: ARG002 - a follower has it
        """Forget everything: rows may be gone."""
        self._records.clear()
        self._size_bytes = 0

    def find(
        self, thread_id: str, run_id: str | None, kinds: Collection[str] | None
    ) -> Record | None:
        """Return how a run ended; None where the file has to be asked.

        Parameters
        ----------
        thread_id, run_id : str
            The run.
        kinds : collection of str
            The kinds that are asked for, the newest record of which is wanted.
        """
        found, _ = self._records.get(thread_id, (None, 0))
        if found is None or found.run_id != run_id:
            return None
        # A run ends once, after its steps.
        wanted = kinds is not None and _KINDS.issuperset(kinds)
        return found if wanted and type(found.event).__name__ in (kinds or ()) else None

    def _drop(self, thread_id: str) -> None:
        _, size = self._records.pop(thread_id, (None, 0))
        self._size_bytes -= size


def _is_spooled(event: _Ending) -> bool:
    held = (getattr(event, name) for name in PAYLOADS[type(event).__name__])
    return any(isinstance(payload, SpooledPayload) for payload in held)


def _stored(event: _Ending) -> tuple[_Ending, int]:
    size, held = 0, dict[str, Payload]()
    for name in PAYLOADS[type(event).__name__]:
        payload = getattr(event, name)
        if payload is not None:
            held[name] = structs.replace(payload, live=UNSET)
            if type(payload) is Payload:
                size += len(payload.data or b"")
    return structs.replace(event, **held), size
