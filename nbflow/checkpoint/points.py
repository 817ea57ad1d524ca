"""A thread's checkpoints, read from its log: where each stands, without its tasks.

A functional run has two, its input and its end; one of a graph has one for each step
between them; a change by hand is one. They are read newest first and in pages, so the
newest cost the same however long the thread is. What they look like to a user is known
elsewhere.
"""

from __future__ import annotations

from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from msgspec import Struct, structs

from nbflow._events import RunFinished, RunStarted, StateUpdated, StepReached

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from nbflow._events import Record
    from nbflow._values import Payload
    from nbflow.checkpoint.base import BaseCheckpointSaver

__all__ = [
    "Ending",
    "Point",
    "Visit",
    "address",
    "ending_of",
    "find_point",
    "point_of",
    "points",
    "saved",
    "visits",
    "within",
]

Ending: TypeAlias = RunFinished | StateUpdated | StepReached
Kind: TypeAlias = Literal["input", "step", "end", "update"]

_ENDINGS: Final = ("RunFinished", "StateUpdated", "StepReached")
_KINDS: Final = ("RunStarted", *_ENDINGS)
_OPEN: Final = ("input", "step")
_FIRST_PAGE: Final = 32
_LARGEST_PAGE: Final = 4_096
_PER_POINT: Final = 3  # for runs of two tasks or so
_FIRST_BATCH: Final = 2
_LARGEST_BATCH: Final = 64


class Point(Struct, frozen=True):
    """One checkpoint.

    Attributes
    ----------
    thread_id, run_id : str
        Whose it is.
    kind : str
        ``"input"`` or ``"end"`` of a run, a ``"step"`` of a graph, or ``"update"``: a
        change by hand.
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
    ending : RunFinished, StateUpdated, StepReached or None
        What left that value, where it is this very run.
    records : list of Record or None
        The run's, where they were read along.
    left : RunFinished, StateUpdated or None
        What left the value that the run began with, where it was read along.
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
    records: list[Record] | None = None
    left: Ending | None = None

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


class Visit(Struct, frozen=True):
    """A checkpoint with what its run has done and what its thread held there.

    Attributes
    ----------
    point : Point
        The checkpoint.
    records : list of Record
        The run's, of the kinds that were asked for; none for an end.
    ending : RunFinished, StateUpdated or None
        What left the value that the thread held; None before the first.
    """

    point: Point
    records: list[Record]
    ending: Ending | None


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
    saver: BaseCheckpointSaver,
    thread_id: str,
    *,
    run_id: str | None = None,
    along: Collection[str] | None = None,
    limit: int | None = None,
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
    along : collection of str, optional
        Kinds of a run's records that are read along: that costs less than to read them
        later, if nearly all checkpoints are wanted.
    limit : int, optional
        How many checkpoints will be taken, where that is known.
    """
    size = min(max(_FIRST_PAGE, _PER_POINT * (limit or 0) + 4), _LARGEST_PAGE)
    later: dict[str, list[Record]] = {}
    kinds = tuple({*_KINDS, *(along or ())})
    found = _newest_first(saver, thread_id, run_id, kinds, size=size)
    for record, older in found:
        event = record.event
        if isinstance(event, StateUpdated):
            yield _update(record, event)
            continue
        own = later.setdefault(record.run_id, [])
        own.append(record)
        if isinstance(event, RunStarted):
            own = later.pop(record.run_id)[::-1]
            known = None if along is None else [r for r in own if _is_of(r, along)]
            made = _of_run(record, event, own, known)
            left = None if older is None else _left_to(event, older)
            made[0] = structs.replace(made[0], records=known, left=left)
            yield from reversed(made)


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


def visits(
    saver: BaseCheckpointSaver,
    found: Iterator[Point],
    *,
    kinds: Collection[str],
    limit: int | None = None,
) -> Iterator[Visit]:
    """Yield checkpoints with their runs' records, several runs for each reading.

    Parameters
    ----------
    saver : BaseCheckpointSaver
        Whose log it is.
    found : iterator of Point
        The checkpoints, newest first within each thread.
    kinds : collection of str
        Which records of a run are wanted.
    limit : int, optional
        How many checkpoints will be taken, where that is known.
    """
    size = min(limit or _FIRST_BATCH, _LARGEST_BATCH)
    before: int | None = None
    thread_id = ""
    while batch := list(islice(found, size)):
        for name, group in groupby(batch, key=lambda point: point.thread_id):
            before = before if name == thread_id else None
            thread_id = name
            own = list(group)
            yield from _visited(saver, own, kinds, before)
            # A run's records stand before the begin of the next one. The last run
            # of this batch may also be the first of the next.
            newer = [p.begun_seq for p in own if p.begun_seq > own[-1].begun_seq]
            before = min(newer, default=before)
        size = min(4 * size, _LARGEST_BATCH)


def _visited(
    saver: BaseCheckpointSaver,
    batch: Sequence[Point],
    kinds: Collection[str],
    before: int | None,
) -> Iterator[Visit]:
    endings = {p.run_id: p.ending for p in batch if p.kind in ("end", "update")}
    unread = [point for point in batch if point.records is None]
    records = _records_of(saver, unread, kinds, before)
    for point in batch:
        saved_run_id = point.saved_run_id
        ending = point.ending or point.left or endings.get(saved_run_id or "")
        if ending is None:
            ending = ending_of(
                saver, point.thread_id, saved_run_id, before=point.begun_seq
            )
        own = point.records or records.get(point.run_id, [])
        yield Visit(point, own if point.kind in _OPEN else [], ending)


def _records_of(
    saver: BaseCheckpointSaver,
    batch: Sequence[Point],
    kinds: Collection[str],
    before: int | None,
) -> dict[str, list[Record]]:
    inputs = [point for point in batch if point.kind in _OPEN]
    if not inputs:
        return {}
    newest, oldest = inputs[0], inputs[-1]
    found: dict[str, list[Record]] = {}
    if newest.step - oldest.step > 4 * len(inputs):
        # Chosen from a long history: what lies between is not wanted.
        for point in inputs:
            found[point.run_id] = saver.read(
                point.thread_id, run_id=point.run_id, kinds=kinds
            )
        return found
    for record in saver.read(
        oldest.thread_id, kinds=kinds, after=oldest.begun_seq - 1, before=before
    ):
        found.setdefault(record.run_id, []).append(record)
    return found


def ending_of(
    saver: BaseCheckpointSaver,
    thread_id: str,
    run_id: str | None,
    *,
    before: int | None = None,
) -> Ending | None:
    """Return what a run left to its thread; None if it has not ended, or is gone.

    Parameters
    ----------
    saver : BaseCheckpointSaver
        Whose log it is.
    thread_id, run_id : str
        The run.
    before : int, optional
        A `seq` that it had ended before.
    """
    if run_id is None:
        return None
    for record, _ in _newest_first(
        saver, thread_id, run_id, _ENDINGS, size=1, before=before
    ):
        event = record.event
        # A graph that is called in a body has steps of its own.
        if isinstance(event, Ending) and not getattr(event, "call_id", ""):
            return event
    return None


def saved(ending: Ending) -> Payload:
    """Return what the next run gets as `previous`."""
    return ending.value if ending.save is None else ending.save


def _after(found: Iterator[Point], checkpoint_id: str) -> Iterator[Point]:
    for point in found:
        if point.checkpoint_id == checkpoint_id:
            break
    return found


def _newest_first(
    saver: BaseCheckpointSaver,
    thread_id: str,
    run_id: str | None,
    kinds: tuple[str, ...],
    *,
    size: int,
    before: int | None = None,
) -> Iterator[tuple[Record, Record | None]]:
    """Yield records, each with the one before it if that was read with it."""
    while True:
        page = saver.read(
            thread_id,
            run_id=run_id,
            kinds=kinds,
            before=before,
            newest_first=True,
            limit=size,
        )
        yield from zip(page, [*page[1:], None], strict=False)
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


def _of_run(
    record: Record,
    begun: RunStarted,
    own: Iterable[Record],
    known: list[Record] | None,
) -> list[Point]:
    """Return a run's checkpoints in order, of its begin and what came later."""
    found = [_input(record, begun)]
    for end in own:
        event = end.event
        if isinstance(event, StepReached) and event.call_id:
            continue  # A graph that is called in a body has steps of its own.
        if isinstance(event, RunFinished | StepReached):
            kind: Kind = "end" if isinstance(event, RunFinished) else "step"
            before = found[-1]
            found.append(
                Point(
                    record.thread_id,
                    record.run_id,
                    kind,
                    event.checkpoint_id,
                    before.checkpoint_id,
                    before.step + 1,
                    "loop",
                    end.at,
                    begun,
                    record.seq,
                    record.run_id,
                    event,
                    known,
                )
            )
    return found


def _left_to(begun: RunStarted, older: Record) -> Ending | None:
    event = older.event
    is_its = older.run_id == begun.previous_run_id
    return event if is_its and isinstance(event, RunFinished | StateUpdated) else None


def _is_of(record: Record, kinds: Collection[str]) -> bool:
    return type(record.event).__name__ in kinds


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
