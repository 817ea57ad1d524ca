"""What a continued run can use again: an index over its records.

Built once when a run is continued, asked before every call. The rules are R1 to
R8 of the design: a call is found by its identity, in whatever order it is asked
for. Nothing here runs or writes anything.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from nbflow._events import (
    Answered,
    Interrupted,
    RunFailed,
    RunInterrupted,
    RunResumed,
    RunStarted,
    StepReached,
    TaskCalled,
    TaskFailed,
    TaskFinished,
    ValueNoted,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow._events import Record
    from nbflow._values import Replay

__all__ = ["Blocked", "Diverged", "Found", "Lookup", "Missing", "Recorded"]


class Found(Struct, frozen=True):
    """The call's own outcome is recorded."""

    call_id: str
    outcome: TaskFinished | TaskFailed


class Blocked(Struct, frozen=True):
    """The call waits for a person, and no answer has come since it was run."""

    interrupt_ids: tuple[str, ...]


class Diverged(Struct, frozen=True):
    """Another call stood here before; its outcome is the nearest to use."""

    before: TaskCalled
    outcome: TaskFinished | TaskFailed


class Missing(Struct, frozen=True):
    """Nothing fits: the call has to run. `why` as in `TaskCalled`."""

    why: str


_Index: TypeAlias = dict[tuple[str, str, str], deque[str]]
Lookup: TypeAlias = Found | Blocked | Diverged | Missing
Why: TypeAlias = Literal[
    "", "new", "code", "arguments", "failed", "unfinished", "answered", "secret"
]


class Recorded:
    """The calls, outcomes, questions and answers of a run so far.

    Parameters
    ----------
    records : iterable of Record
        The run's records in stored order; empty for a new run.
    replay : {"changed", "prefix", "all", "none"}
        What to use again: what is unchanged, everything before the first
        change, everything whatever its code, or nothing.
    code : str
        Fingerprint of the body that is about to run.

    Attributes
    ----------
    resumed : bool
        Whether the run has been worked on before.
    edited : bool
        Whether the body, or a task it has asked for by now, is not what it was.
    """

    def __init__(
        self,
        records: Iterable[Record] = (),
        *,
        replay: Replay = "changed",
        code: str = "",
    ) -> None:
        self._lock = threading.Lock()
        self._replay = replay
        self._calls: dict[str, TaskCalled] = {}
        self._outcomes: dict[str, TaskFinished | TaskFailed] = {}
        self._failed: set[str] = set()
        self._answered_since: set[str] = set()
        self._codes: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._order: dict[str, list[str]] = defaultdict(list)
        self._questions: dict[str, Interrupted] = {}
        self._answers: dict[str, Answered] = {}
        self._steps: dict[tuple[str, int], str] = {}
        self._claimed: set[str] = set()
        self._redacted: set[str] = set()
        self._shown: tuple[str, ...] = ()
        self._noted: dict[str, ValueNoted] = {}
        self._noted_now: dict[str, ValueNoted] = {}
        self._cut = False
        codes: set[str] = set()
        for record in records:
            self._take(record, codes)
        self.resumed = bool(codes)
        self.edited = bool(codes - {code})
        self._below = self._questions_below()
        self._by_args, self._by_code = self._with_outcomes()

    # Building the index.

    def _take(self, record: Record, codes: set[str]) -> None:  # noqa: C901, PLR0912 - a case each
        match record.event:
            case RunStarted(code=code) | RunResumed(code=code):
                codes.add(code)
            case TaskCalled(call_id=call_id) as call:
                self._note_order(call.place, call_id, aside=call.aside)
                self._calls[call_id] = call
                self._codes[call.place, call.name, call.args_key].add(call.code)
                self._outcomes.pop(call_id, None)
                self._answered_since.discard(call_id)
            case TaskFinished(call_id=call_id, redacted=True):
                # What is stored is not what the body got: it has to run again.
                self._redacted.add(call_id)
            case TaskFinished(call_id=call_id) | TaskFailed(call_id=call_id) as outcome:
                self._outcomes[call_id] = outcome
            case RunFailed(causes=causes):
                for call_id in causes:
                    if isinstance(self._outcomes.get(call_id), TaskFailed):
                        del self._outcomes[call_id]
                        self._failed.add(call_id)
            case Interrupted(interrupt_id=asked) as question:
                self._note_order(question.place, asked, aside=question.aside)
                self._questions[asked] = question
                self._answers.pop(asked, None)
            case RunInterrupted(interrupt_ids=shown):
                self._shown = shown
            case Answered(interrupt_id=asked) as answer:
                self._answers[asked] = answer
                if asked in self._questions:
                    self._answered_since.update(self._ancestors(asked))
            case ValueNoted(note_id=note_id) as noted:
                self._noted[note_id] = noted
            case StepReached(call_id=call_id, step=step, key=key):
                self._steps[call_id, step] = key
            case _:
                return

    def _note_order(self, place: str, identity: str, *, aside: bool) -> None:
        known = identity in self._calls or identity in self._questions
        if not aside and not known:
            self._order[place].append(identity)

    def _ancestors(self, interrupt_id: str) -> list[str]:
        found: list[str] = []
        call_id = self._questions[interrupt_id].parent_id
        while call_id and call_id not in found:
            found.append(call_id)
            call = self._calls.get(call_id)
            call_id = call.parent_id if call is not None else ""
        return found

    def _questions_below(self) -> dict[str, tuple[str, ...]]:
        below: dict[str, list[str]] = defaultdict(list)
        for interrupt_id in self._questions:
            if interrupt_id not in self._answers:
                for call_id in self._ancestors(interrupt_id):
                    below[call_id].append(interrupt_id)
        return {call_id: tuple(ids) for call_id, ids in below.items()}

    def _with_outcomes(self) -> tuple[_Index, _Index]:
        by_args: _Index = defaultdict(deque)
        by_code: _Index = defaultdict(deque)
        for call_id in self._outcomes:
            call = self._calls.get(call_id)
            if call is not None:
                by_args[call.place, call.name, call.args_key].append(call_id)
                by_code[call.place, call.name, call.code].append(call_id)
        return by_args, by_code

    # Asking it.

    @property
    def questions(self) -> dict[str, Interrupted]:
        """Every question of the run by its id, oldest first."""
        return self._questions

    @property
    def pending(self) -> tuple[str, ...]:
        """Ids of the questions that have no answer, in the order callers saw."""
        order = dict.fromkeys((*self._shown, *self._questions))
        return tuple(
            i for i in order if i in self._questions and i not in self._answers
        )

    def outcome_of(self, call_id: str) -> TaskFinished | TaskFailed | None:
        """Return the outcome that a call would have again, if it has one."""
        return self._outcomes.get(call_id)

    def answer_to(self, interrupt_id: str) -> Answered | None:
        """Return the recorded answer to a question."""
        return self._answers.get(interrupt_id)

    def take_answer(
        self, answer: Answered, question: Interrupted | None = None
    ) -> None:
        """Add an answer that has just been recorded, so that its tasks run again.

        Parameters
        ----------
        answer : Answered
            The answer.
        question : Interrupted, optional
            Its question, where that is as new.
        """
        with self._lock:
            if question is not None:
                self._questions.setdefault(question.interrupt_id, question)
            self._answers[answer.interrupt_id] = answer
            self._answered_since.update(self._ancestors(answer.interrupt_id))

    def expect_answer(self, interrupt_id: str) -> None:
        """Have the tasks of a question run again: its answer is offered to them."""
        with self._lock:
            self._answered_since.update(self._ancestors(interrupt_id))

    def noted(self, note_id: str) -> ValueNoted | None:
        """Return a value that was taken from outside before, to be used again."""
        with self._lock:
            now = self._noted_now.get(note_id)
            if now is not None or self._replay == "none" or self._cut:
                return now
            return self._noted.get(note_id)

    def take_note(self, noted: ValueNoted) -> None:
        """Add a value that has just been recorded: a later attempt gets it too."""
        with self._lock:
            self._noted_now[noted.note_id] = noted

    def is_graph(self, call_id: str) -> bool:
        """Return whether the body of a call, or with "" the run's, has taken steps."""
        return (call_id, 0) in self._steps

    def is_new_step(self, step: StepReached) -> bool:
        """Return whether a graph has not come to this step with this state before."""
        return self._steps.get((step.call_id, step.step)) != step.key

    def look_up(self, call: TaskCalled, index: int) -> Lookup:
        """Return what is recorded for a call that a body is about to make.

        Parameters
        ----------
        call : TaskCalled
            The call.
        index : int
            How many calls its body has made before, those aside not counted.
        """
        with self._lock:
            if not self.resumed or self._replay == "none" or self._cut:
                return Missing("replay" if self.resumed else "")
            call_id = call.call_id
            outcome = self._outcomes.get(call_id)
            if outcome is not None:
                self._claimed.add(call_id)
                return Found(call_id, outcome)
            below = self._below.get(call_id)
            if below and call_id not in self._answered_since:
                still = tuple(i for i in below if i not in self._answers)
                if still:
                    return Blocked(still)
            return self._look_beside(call, index)

    def look_up_answer(self, question: Interrupted, index: int) -> Answered | None:
        """Return the answer to another question that stood here before, if any.

        The exact question is asked for with `answer_to`.
        """
        with self._lock:
            if not self._may_diverge(question.place, question.interrupt_id, index):
                return None
            if question.aside:
                return None
            for identity in self._order[question.place]:
                answer = self._answers.get(identity)
                if answer is not None and identity not in self._claimed:
                    self._claimed.add(identity)
                    return answer
            return None

    def claim_answer(self, interrupt_id: str) -> None:
        """Note that an answer was asked for by its own question."""
        with self._lock:
            self._claimed.add(interrupt_id)

    # What to say, and what to use instead, where the call itself isn't recorded.

    def _look_beside(self, call: TaskCalled, index: int) -> Lookup:
        why = self._why(call)
        if self._replay == "all":
            same = self._unclaimed(self._by_args, call, call.args_key)
            if same is not None:
                self._claimed.add(same.call_id)
                return Found(same.call_id, self._outcomes[same.call_id])
        changed = why in ("code", "arguments", "new")
        diverged = not call.aside and self._may_diverge(call.place, call.call_id, index)
        if changed and diverged and why != "code":
            other = self._unclaimed(self._by_code, call, call.code)
            if other is not None:
                return Diverged(other, self._outcomes[other.call_id])
        if why == "code":
            self.edited = True
        if changed and self._replay == "prefix" and self._position(call, index):
            self._cut = True
        return Missing(why)

    def use_diverged(self, diverged: Diverged) -> None:
        """Claim the outcome of the call that stood here before."""
        with self._lock:
            self._claimed.add(diverged.before.call_id)

    def _position(self, call: TaskCalled, index: int) -> bool:
        # Beyond what was recorded nothing has changed: the run only goes on.
        return call.aside or index < len(self._order.get(call.place, ()))

    def _may_diverge(self, place: str, identity: str, index: int) -> bool:
        # Certain only in the body's own line of control: there the n-th call is
        # the n-th call, and what was asked for then has to be asked for now.
        if self.edited or self._replay != "changed":
            return False
        order = self._order.get(place, ())
        return index < len(order) and order[index] != identity

    def _why(self, call: TaskCalled) -> Why:
        if call.call_id in self._failed:
            return "failed"
        if call.call_id in self._answered_since:
            return "answered"
        if call.call_id in self._redacted:
            return "secret"
        if call.call_id in self._calls:
            return "unfinished"
        if self._codes[call.place, call.name, call.args_key] - {call.code}:
            return "code"
        if self._unclaimed(self._by_code, call, call.code):
            return "arguments"
        return "new"

    def _unclaimed(
        self, index: _Index, call: TaskCalled, key: str
    ) -> TaskCalled | None:
        line = index.get((call.place, call.name, key))
        while line:
            if line[0] not in self._claimed:
                return self._calls[line[0]]
            line.popleft()
        return None
