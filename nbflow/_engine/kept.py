"""What a fork keeps of the run it comes from: all that stands before one of its calls.

Calls, questions and notes of a run are named by their place in it, so in a fork each
is the same event under a name of the fork's own. What is before a call is said by the
order in which bodies made their calls when they came to it last, not by when these
ended. Nothing here reads or writes a log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from nbflow._engine.ids import digest, place_below, question_id
from nbflow._engine.recorded import Recorded
from nbflow._events import (
    Answered,
    CodeSeen,
    Interrupted,
    NestedSaved,
    RunResumed,
    RunStarted,
    TaskCalled,
    TaskFailed,
    TaskFinished,
    TaskReplayed,
    ValueNoted,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nbflow._events import Event, Record
    from nbflow._values import Payload

__all__ = ["KEPT_KINDS", "Instead", "Names", "kept_before"]

KEPT_KINDS: Final = (
    "RunStarted",
    "RunResumed",
    "RunFailed",
    "RunInterrupted",
    "CodeSeen",
    "TaskCalled",
    "TaskReplayed",
    "TaskFinished",
    "TaskFailed",
    "Interrupted",
    "Answered",
    "ValueNoted",
    "NestedSaved",
)
"""The kinds of records that `kept_before` looks at."""

_Placed: TypeAlias = TaskCalled | Interrupted | ValueNoted


class Instead(Struct, frozen=True):
    """What stands in a fork where the run had another result.

    Attributes
    ----------
    value : Payload
        What the call returned, or the answer to the question.
    key : str
        Fingerprint of it.
    by : str
        Who says so, and from where, for a person to read.
    """

    value: Payload
    key: str
    by: str = ""


class Names:
    """What the calls, questions and notes of a run are called in a fork of it.

    Parameters
    ----------
    run_id, fork_id : str
        The run and its fork.
    """

    def __init__(self, run_id: str, fork_id: str) -> None:
        self._places = {run_id: fork_id}
        self._calls: dict[str, str] = {}

    def call(self, called: TaskCalled) -> TaskCalled | None:
        """Return a call of the fork, whose body's place is known from now on.

        A caller has to come before the calls that it makes; None is for one whose
        caller did not.
        """
        place = self._places.get(called.place)
        if place is None:
            return None
        key = (called.name, called.args_key, called.ordinal)
        self._places[place_below(called.place, *key)] = place_below(place, *key)
        call_id = digest(
            place, called.name, called.code, called.args_key, str(called.ordinal)
        )
        self._calls[called.call_id] = call_id
        parent_id = self._calls.get(called.parent_id, "")
        return replace(called, call_id=call_id, parent_id=parent_id, place=place)

    def outcome(
        self, outcome: TaskFinished | TaskFailed
    ) -> TaskFinished | TaskFailed | None:
        """Return the outcome of a call of the fork; what it used was used once."""
        call_id = self._calls.get(outcome.call_id)
        return (
            None if call_id is None else replace(outcome, call_id=call_id, usage=None)
        )

    def question(self, question: Interrupted) -> Interrupted | None:
        """Return a question of the fork; None as for `call`."""
        place = self._places.get(question.place)
        if place is None:
            return None
        parent_id = self._calls.get(question.parent_id, "")
        interrupt_id = question_id(place, question.value_key, question.ordinal)
        return replace(
            question, interrupt_id=interrupt_id, parent_id=parent_id, place=place
        )

    def note(self, noted: ValueNoted) -> ValueNoted | None:
        """Return a value that a body of the fork took; None as for `call`."""
        place = self._places.get(noted.place)
        if place is None:
            return None
        call_id = self._calls.get(noted.call_id, "")
        note_id = digest(place, "noted", noted.name, noted.lane, str(noted.ordinal))
        return replace(noted, note_id=note_id, call_id=call_id, place=place)

    def saved(self, saved: NestedSaved) -> NestedSaved | None:
        """Return what a nested run of the fork saved; None as for `call`."""
        place = self._places.get(saved.place)
        return None if place is None else replace(saved, place=place)


def kept_before(
    records: Sequence[Record],
    identity: str,
    fork_id: str,
    *,
    instead: Instead | None = None,
) -> list[Event] | None:
    """Return the events that a fork has from its beginning.

    Parameters
    ----------
    records : sequence of Record
        The run that is forked, in stored order, of `KEPT_KINDS`.
    identity : str
        Id of the call or the question that the fork starts before.
    fork_id : str
        The fork's run.
    instead : Instead, optional
        What came of it in the fork, which then starts behind it.

    Returns
    -------
    list of Event or None
        In stored order; None where the run has no such call.
    """
    placed: dict[str, _Placed] = {}
    for record in records:
        if isinstance(record.event, _Placed):
            placed.setdefault(_identity_of(record.event), record.event)
    if identity not in placed:
        return None
    names = Names(records[0].run_id, fork_id)
    keeping = _Keeping(records, placed, identity, names=names, instead=instead)
    found = (event for record in records for event in keeping.of(record.event))
    return [event for event in found if event is not None]


class _Keeping:
    """What becomes of a run's events in a fork."""

    def __init__(
        self,
        records: Sequence[Record],
        placed: Mapping[str, _Placed],
        identity: str,
        *,
        names: Names,
        instead: Instead | None,
    ) -> None:
        self._placed = placed
        self._point = placed[identity]
        turns = _turns(records, identity)
        self._before, self._whole = _before(placed, turns, identity)
        self._recorded = Recorded(records)
        self._names = names
        self._instead = instead

    def of(self, event: Event) -> Iterable[Event | None]:
        """Return what an event is in the fork; nothing where it is not kept."""
        match event:
            case CodeSeen():
                return (event,)
            case TaskCalled() | Interrupted() | ValueNoted():
                return self._of_placed(event)
            case TaskFinished() | TaskFailed() if self._counts(event):
                return (self._names.outcome(event),)
            case NestedSaved(place=place) if place in self._whole:
                return (self._names.saved(event),)
            case _:
                return ()

    def _of_placed(self, event: _Placed) -> Iterable[Event | None]:
        identity = _identity_of(event)
        if self._placed[identity] is not event:
            return ()  # It is told once.
        if identity in self._before:
            return _told(event, self._names, self._recorded)
        if event is self._point and self._instead is not None:
            return _replaced(event, self._names, self._instead)
        return ()

    def _counts(self, outcome: TaskFinished | TaskFailed) -> bool:
        called = self._placed.get(outcome.call_id)
        return (
            isinstance(called, TaskCalled)
            and _body_of(called) in self._whole
            and self._recorded.outcome_of(outcome.call_id) is outcome
        )


def _turns(records: Sequence[Record], identity: str) -> dict[str, int]:
    """Return when each call had its turn in the last stretch that came to one of them.

    A stretch tells of calls that it makes and of those whose outcome it uses.
    """
    turns, found = dict[str, int](), dict[str, int]()
    for index, record in enumerate(records):
        match record.event:
            case RunStarted() | RunResumed():
                turns = {}
            case (
                TaskCalled(call_id=mine)
                | TaskReplayed(call_id=mine)
                | Interrupted(interrupt_id=mine)
            ):
                turns.setdefault(mine, index)
                if mine == identity:
                    found = turns
            case _:
                pass
    return found


def _before(
    placed: Mapping[str, _Placed], turns: Mapping[str, int], identity: str
) -> tuple[set[str], set[str]]:
    """Return what stands before a call, and the bodies that do so as a whole.

    The bodies that the call was made in don't; nor what they called later.
    """
    bodies = {
        _body_of(event): event
        for event in placed.values()
        if isinstance(event, TaskCalled)
    }
    around = set(_around(placed[identity].place, bodies))
    before, whole = set[str](), set[str]()
    newest = dict[str, int]()
    at = list(placed).index(identity)
    for index, (mine, event) in enumerate(placed.items()):
        if not isinstance(event, TaskCalled):
            continue
        is_later = index >= at
        if mine in turns and identity in turns:
            is_later = turns[mine] >= turns[identity]
        if is_later and event.place not in whole:
            continue
        before.add(mine)
        newest[event.place] = index
        if _body_of(event) not in around:
            whole.add(_body_of(event))
    for index, (mine, event) in enumerate(placed.items()):
        if isinstance(event, TaskCalled) or mine == identity:
            continue
        # An answer or the time has its turn once: a kept call may rest on it.
        last = max(at, newest.get(event.place, -1))
        if index < last or event.place in whole:
            before.add(mine)
    return before, whole


def _around(place: str, bodies: Mapping[str, TaskCalled]) -> Iterator[str]:
    while place in bodies:
        yield place
        place = bodies[place].place


def _told(event: _Placed, names: Names, recorded: Recorded) -> tuple[Event | None, ...]:
    match event:
        case TaskCalled():
            called = names.call(event)
            return (None if called is None else _not_begun(called, "kept"),)
        case ValueNoted():
            return (names.note(event),)
        case Interrupted():
            answer = recorded.answer_to(event.interrupt_id)
            asked = names.question(event)
            if answer is None or asked is None:
                return ()  # It will be asked again.
            return asked, replace(answer, interrupt_id=asked.interrupt_id)


def _replaced(
    event: _Placed, names: Names, instead: Instead
) -> tuple[Event | None, ...]:
    match event:
        case TaskCalled():
            called = names.call(event)
            if called is None:
                return ()
            finished = TaskFinished(called.call_id, instead.value)
            return _not_begun(called, "replaced"), finished
        case Interrupted():
            asked = names.question(event)
            if asked is None:
                return ()
            answer = Answered(
                asked.interrupt_id, instead.value, instead.key, instead.by
            )
            return asked, answer
        case ValueNoted():
            noted = names.note(event)
            return (None if noted is None else replace(noted, value=instead.value),)


def _not_begun(called: TaskCalled, why: str) -> TaskCalled:
    # It waits for a place that it never needs: its body is not begun in the fork.
    return replace(called, why=why, waiting=True)


def _identity_of(event: _Placed) -> str:
    match event:
        case TaskCalled(call_id=identity):
            return identity
        case Interrupted(interrupt_id=identity):
            return identity
        case ValueNoted(note_id=identity):
            return identity


def _body_of(called: TaskCalled) -> str:
    return place_below(called.place, called.name, called.args_key, called.ordinal)
