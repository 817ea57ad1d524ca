"""A thread's checkpoints, read from its log: where each stands, without its tasks.

A functional run has two, its input and its end; a change by hand is one. They are
read newest first and in pages, so the newest cost the same however long the thread
is. What they look like to a user is known elsewhere.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from msgspec import Struct

from nbflow._events import RunFinished, RunStarted, StateUpdated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nbflow._events import Record
    from nbflow._values import Payload
    from nbflow.checkpoint.base import BaseCheckpointSaver

__all__ = [
    "Ending",
    "Point",
    "address",
    "ending_of",
    "find_point",
    "point_of",
    "points",
    "saved",
    "within",
]

Ending: TypeAlias = RunFinished | StateUpdated
Kind: TypeAlias = Literal["input", "end", "update"]

_KINDS: Final = ("RunStarted", "RunFinished", "StateUpdated")
_FIRST_PAGE: Final = 16
_LARGEST_PAGE: Final = 1_024


class Point(Struct, frozen=True):
    """One checkpoint.

    Attributes
    ----------
    thread_id, run_id : str
        Whose it is.
    kind : str
        ``"input"`` or ``"end"`` of a run, or ``"update"``: a change by hand.
    checkpoint_id : str
        Its id.
    parent_id : str or None
        The checkpoint before.
    step : int
        From -1.
    source : str
        ``"input"``, ``"loop"``, ``"update"`` or ``"fork"``.
    at : int
        When it was made, in microseconds since 1970-01-01 UTC.
    begun : RunStarted or StateUpdated
        First event of the run.
    begun_seq : int
        Its place in the log.
    saved_run_id : str or None
        The run whose value the thread holds here, and whose saved value is the
        next run's `previous`.
    ending : RunFinished, StateUpdated or None
        What left that value, where it is this very run.
    """

    thread_id: str
    run_id: str
    kind: Kind
    checkpoint_id: str
    parent_id: str | None
    step: int
    source: str
    at: int
    begun: RunStarted | StateUpdated
    begun_seq: int
    saved_run_id: str | None
    ending: Ending | None = None

    @property
    def config(self) -> dict[str, Any]:
        """What addresses it."""
        return address(self.thread_id, self.checkpoint_id)

    @property
    def parent_config(self) -> dict[str, Any] | None:
        """What addresses the checkpoint before; None at the thread's beginning."""
        return (
            None if self.parent_id is None else address(self.thread_id, self.parent_id)
        )

    @property
    def metadata(self) -> dict[str, Any]:
        """LangGraph's metadata, with the caller's own keys."""
        return {
            **self.begun.metadata,
            "source": self.source,
            "step": self.step,
            "parents": {},
            "run_id": self.run_id,
            "thread_id": self.thread_id,
        }


def address(thread_id: str, checkpoint_id: str) -> dict[str, Any]:
    """Return the config of a checkpoint."""
    return {
        "configurable": {
            "thread_id": thread_id,
            "checkpoint_ns": "",
            "checkpoint_id": checkpoint_id,
        }
    }


def points(
    saver: BaseCheckpointSaver, thread_id: str, *, run_id: str | None = None
) -> Iterator[Point]:
    """Yield a thread's checkpoints, newest first, reading as far as is asked for.

    Parameters
    ----------
    saver : BaseCheckpointSaver
        Whose log it is.
    thread_id : str
        The thread; an unknown one has none.
    run_id : str, optional
        Only those of this run.
    """
    ends: dict[str, Record] = {}
    for record in _newest_first(saver, thread_id, run_id):
        event = record.event
        if isinstance(event, RunStarted):
            end = ends.pop(record.run_id, None)
            if end is not None and isinstance(end.event, RunFinished):
                yield _end(record, event, end, end.event)
            yield _input(record, event)
        elif isinstance(event, StateUpdated):
            yield _update(record, event)
        else:
            ends.setdefault(record.run_id, record)


def find_point(
    saver: BaseCheckpointSaver, thread_id: str, checkpoint_id: str | None = None
) -> Point | None:
    """Return a checkpoint of a thread, or its newest one; None if there is no such.

    The newest run is looked at first: it is known without a search.
    """
    head = saver.head(thread_id)
    if head is None:
        return None
    of_head = points(saver, thread_id, run_id=head.run_id)
    if checkpoint_id is None:
        return next(of_head, None)
    for point in chain(of_head, points(saver, thread_id)):
        if point.checkpoint_id == checkpoint_id:
            return point
    return None


def point_of(record: Record, event: RunStarted | StateUpdated) -> Point:
    """Return the checkpoint that a run's first event makes."""
    if isinstance(event, RunStarted):
        return _input(record, event)
    return _update(record, event)


def within(
    found: Iterator[Point],
    *,
    metadata: Mapping[str, Any] | None = None,
    before: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> Iterator[Point]:
    """Yield the checkpoints that a reader of a history asked for.

    Parameters
    ----------
    found : iterator of Point
        A thread's, newest first.
    metadata : mapping, optional
        Only those whose metadata hold every one of these, equal.
    before : mapping, optional
        Config of a checkpoint: only older ones. One that the thread doesn't have
        has none before it.
    limit : int, optional
        At most so many.
    """
    named = (before or {}).get("configurable", {}).get("checkpoint_id")
    if named is not None:
        found = _after(found, str(named))
    count = 0
    while limit is None or count < limit:
        point = next(found, None)
        if point is None:
            return
        own = point.metadata
        if all(own.get(key) == value for key, value in (metadata or {}).items()):
            count += 1
            yield point


def ending_of(
    saver: BaseCheckpointSaver, thread_id: str, run_id: str | None
) -> Ending | None:
    """Return what a run left to its thread; None if it has not ended, or is gone."""
    if run_id is None:
        return None
    kinds = ("RunFinished", "StateUpdated")
    found = saver.read(
        thread_id, run_id=run_id, kinds=kinds, newest_first=True, limit=1
    )
    event = found[0].event if found else None
    return event if isinstance(event, RunFinished | StateUpdated) else None


def saved(ending: Ending) -> Payload:
    """Return what the next run gets as `previous`."""
    return ending.value if ending.save is None else ending.save


def _after(found: Iterator[Point], checkpoint_id: str) -> Iterator[Point]:
    for point in found:
        if point.checkpoint_id == checkpoint_id:
            break
    return found


def _newest_first(
    saver: BaseCheckpointSaver, thread_id: str, run_id: str | None
) -> Iterator[Record]:
    before: int | None = None
    size = _FIRST_PAGE
    while True:
        page = saver.read(
            thread_id,
            run_id=run_id,
            kinds=_KINDS,
            before=before,
            newest_first=True,
            limit=size,
        )
        yield from page
        if len(page) < size:
            return
        before, size = page[-1].seq, min(4 * size, _LARGEST_PAGE)


def _input(record: Record, begun: RunStarted) -> Point:
    return Point(
        record.thread_id,
        record.run_id,
        "input",
        begun.checkpoint_id,
        begun.parent_checkpoint_id,
        begun.step,
        begun.source,
        record.at,
        begun,
        record.seq,
        begun.previous_run_id,
    )


def _end(record: Record, begun: RunStarted, end: Record, ending: RunFinished) -> Point:
    return Point(
        record.thread_id,
        record.run_id,
        "end",
        ending.checkpoint_id,
        begun.checkpoint_id,
        begun.step + 1,
        "loop",
        end.at,
        begun,
        record.seq,
        record.run_id,
        ending,
    )


def _update(record: Record, event: StateUpdated) -> Point:
    return Point(
        record.thread_id,
        record.run_id,
        "update",
        event.checkpoint_id,
        event.parent_checkpoint_id,
        event.step,
        event.source,
        record.at,
        event,
        record.seq,
        record.run_id,
        event,
    )
