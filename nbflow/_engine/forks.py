"""A run begun again, from its input or before one of its calls.

A fork has the input and the `previous` of the run it comes from, and its calls and
questions have identities of their own. What stands before the call that it starts at
is copied into it, so a fork is a run like any other that waits to be continued, and
needs nothing of the one it comes from. An answer that is given along is for a question
that the fork has yet to ask.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from nbflow import serde
from nbflow._engine.ids import digest, new_checkpoint_id, new_run_id, now
from nbflow._engine.kept import KEPT_KINDS, Instead, Names, kept_before
from nbflow._engine.log import WHEN_CONTINUED, Log
from nbflow._engine.pictures import RunPicture, picture_of
from nbflow._engine.updates import open_run
from nbflow._events import (
    Record,
    RunCancelled,
    RunStarted,
    RunSuperseded,
    TaskCalled,
)
from nbflow._values import UNSET
from nbflow.checkpoint.points import address, find_point
from nbflow.errors import CheckpointNotFoundError, TaskNotFound, UnknownInterruptError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nbflow._engine.updates import Target
    from nbflow._events import Interrupted

__all__ = ["Offers", "offers_for_fork", "write_fork"]

_NAMED: Final = 12  # calls, in an error


class Offers:
    """Answers on their way to questions that a body is going to ask.

    Those with a schema wait here until the body has checked them; those of a fork,
    until it asks.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[str, tuple[Any, str]] = {}
        self._by_asker: dict[str, tuple[Any, str]] = {}

    def put(self, interrupt_id: str, answer: Any, by: str) -> None:
        """Offer an answer to the question of this id."""
        self._by_id[interrupt_id] = (answer, by)

    def put_first(self, asker: str, answer: Any, by: str) -> None:
        """Offer an answer to the first question that a body of this name asks."""
        self._by_asker[asker] = (answer, by)

    def take(self, interrupt_id: str, asker: str) -> tuple[Any, str] | None:
        """Return the answer to a question with who gave it, once; None if none is."""
        with self._lock:
            if interrupt_id in self._by_id:
                return self._by_id.pop(interrupt_id)
            return self._by_asker.pop(asker, None)


def offers_for_fork(
    records: Iterable[Record], run_id: str, resume: Any, *, by: str, is_map: bool
) -> Offers:
    """Return the answers of a command that forks a run.

    Parameters
    ----------
    records : iterable of Record
        The run that is forked.
    run_id : str
        The fork.
    resume : Any
        One answer, for a run whose first stop had one question: it goes to the first
        question that the same body asks, even where its text is another now. A list
        of as many answers as the first stop had questions, in their order, where
        those were several. Or a map of the run's interrupt ids to answers: each goes
        to the very same question, if the fork asks it.
    by : str
        Who answers.
    is_map : bool
        Whether `resume` is such a map.

    Raises
    ------
    UnknownInterruptError
        It fits no question of that run.
    """
    picture = picture_of(records) or RunPicture("")
    asked = picture.first_shown
    offers = Offers()
    if not is_map and len(asked) == 1:
        offers.put_first(_asker(picture, picture.asked[asked[0]]), resume, by)
        return offers
    if not is_map and asked and isinstance(resume, list) and len(resume) == len(asked):
        resume = dict(zip(asked, resume, strict=True))
    elif not is_map:
        raise UnknownInterruptError("ambiguous" if asked else "not_pending", (), asked)
    if not resume:
        raise UnknownInterruptError("empty_map", (), tuple(picture.asked))
    unknown = tuple(key for key in resume if key not in picture.asked)
    if unknown:
        raise UnknownInterruptError("not_pending", unknown, tuple(picture.asked))
    for interrupt_id, new_id in _ids_in_fork(picture, run_id, resume).items():
        offers.put(new_id, resume[interrupt_id], by)
    return offers


def _asker(picture: RunPicture, question: Interrupted) -> str:
    call = picture.calls.get(question.parent_id)
    if call is not None:
        return call.called.name
    return "" if picture.started is None else picture.started.workflow


def _ids_in_fork(
    picture: RunPicture, run_id: str, wanted: Mapping[str, Any]
) -> dict[str, str]:
    """Return what the questions of a run are called in a fork of it."""
    names = Names(picture.run_id, run_id)
    for call in picture.calls.values():
        names.call(call.called)
    found = ((key, names.question(picture.asked[key])) for key in wanted)
    return {key: asked.interrupt_id for key, asked in found if asked is not None}


def write_fork(
    target: Target, identity: str, result: Any = UNSET, *, by: str = ""
) -> dict[str, Any]:
    """Write a run that starts before a call of another; on disk when this returns.

    Parameters
    ----------
    target : Target
        The thread, which the caller holds, and the checkpoint whose run is forked.
    identity : str
        Id of the call or question; the run's own makes it begin at its input.
    result : Any, optional
        What came of the call, or the answer to the question, in the fork.
    by : str, default ""
        Who answers so.

    Returns
    -------
    dict
        Config of the fork's input, from where None continues it.

    Raises
    ------
    CheckpointNotFoundError
        The thread has no such checkpoint, or is not there.
    TaskNotFound
        The run has no such call.
    UnstorableValueError, SecretNotStoredError
        `result` can't be stored.
    """
    saver, thread_id = target.saver, target.thread_id
    point = find_point(saver, thread_id, target.checkpoint_id)
    if point is None:
        raise CheckpointNotFoundError(thread_id, target.checkpoint_id or "")
    log = Log(saver, thread_id, new_run_id())
    instead: Instead | None = None
    if result is not UNSET:
        value = log.payload(result, root="result", missing=WHEN_CONTINUED)
        instead = Instead(value, serde.fingerprint(result), by)
    records = saver.read(thread_id, run_id=point.run_id, kinds=KEPT_KINDS)
    if instead is not None:
        _refuse_nodes(records, identity)
    kept = kept_before(records, identity, log.run_id, instead=instead)
    begun = point.begun
    if (
        kept is None
        and instead is None
        and identity == digest(point.run_id, begun.workflow)
    ):
        kept = []
    if kept is None or not isinstance(begun, RunStarted):
        raise TaskNotFound(_no_such_call(thread_id, point.run_id, identity, records))
    started = replace(
        begun,
        checkpoint_id=new_checkpoint_id(),
        parent_checkpoint_id=begun.checkpoint_id,
        step=begun.step + 1,
        metadata=dict(target.metadata),
        cell=target.cell,
        source="fork",
    )
    # Nobody is at work on it: it waits to be continued with None.
    events = (started, *kept, RunCancelled("forked, and not begun"))
    saver.commit([*_superseded(target, log.run_id), *map(log.record, events)])
    return address(thread_id, started.checkpoint_id)


def _refuse_nodes(records: Iterable[Record], identity: str) -> None:
    for record in records:
        event = record.event
        if (
            isinstance(event, TaskCalled)
            and event.call_id == identity
            and event.kind == "node"
        ):
            raise NotImplementedError(
                f"What the node {event.name!r} of a graph returned can't be replaced "
                "yet: where the graph went on was a part of it. Fork before the node."
            )


def _superseded(target: Target, fork_id: str) -> list[Record]:
    before = open_run(target.saver.head(target.thread_id))
    if before is None:
        return []
    return [Record(target.thread_id, before, now(), RunSuperseded(fork_id))]


def _no_such_call(
    thread_id: str, run_id: str, identity: str, records: Sequence[Record]
) -> str:
    calls = {
        event.call_id: f"{event.call_id} ({event.name})"
        for record in records
        if isinstance(event := record.event, TaskCalled)
    }
    shown = ", ".join(list(calls.values())[:_NAMED]) or "none"
    more = f" and {len(calls) - _NAMED} more" if len(calls) > _NAMED else ""
    return (
        f"Run {run_id[:8]} of thread {thread_id!r} has no call {identity!r}.\n"
        "Take the id of a task or an interrupt of that run, from the checkpoint of its "
        f"input in get_state_history(config). Its calls: {shown}{more}."
    )
