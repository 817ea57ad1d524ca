"""How the picture of a run is folded from its records.

The same fold serves a live run and one read back from the store, so a panel
can't tell them apart. Nothing here knows of widgets, comms or databases.
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final, assert_never

from nbflow._events import (
    Answered,
    CodeSeen,
    Compacted,
    Custom,
    Event,
    Interrupted,
    MessageStreamed,
    NestedSaved,
    OfNoRun,
    Record,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunResumed,
    RunStarted,
    RunSuperseded,
    StateUpdated,
    StepReached,
    StreamCut,
    TaskAttempted,
    TaskCalled,
    TaskDropped,
    TaskFailed,
    TaskFinished,
    TaskReplayed,
    TaskRetried,
    ThreadDeleted,
    UsageNoted,
    ValueNoted,
)
from nbflow.session.texts import plain, text_of
from nbflow.session.views import (
    STREAM_KEPT,
    CallView,
    Counts,
    Failure,
    QuestionView,
    RunView,
    StreamItem,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow._values import Payload
    from nbflow.checkpoint.base import RunStatus

__all__ = ["fold", "settled"]

_ROW_LIMIT: Final = 200
_STREAM_LIMIT: Final = 1_000
_RESULT_LIMIT: Final = 4_000
_TRACE_LIMIT: Final = 20_000
_FINAL: Final = frozenset({"finished", "failed", "cancelled", "superseded"})


def fold(view: RunView, records: Iterable[Record]) -> RunView:
    """Return the view after more records of its run.

    However the records are cut into batches, the same view results. A batch
    costs the number of its records, and one copy of the mapping of calls.

    Parameters
    ----------
    view : RunView
        The picture so far; left unchanged.
    records : iterable of Record
        The next records in stored order. An empty view takes the run of the
        first one; records of other runs are passed over.

    Returns
    -------
    RunView
        The new picture.
    """
    draft = _Draft(view)
    for record in records:
        draft.take(record)
    return draft.view()


def settled(view: RunView) -> RunView:
    """Return the view of a run that no process is at work on.

    Calls that the log left running or waiting were lost with their process:
    they become ``"cancelled"``, ended at the last sign of life.
    """
    draft = _Draft(view)
    draft.cancel_open_calls()
    return draft.view()


class _Draft:
    """A view being folded: the one place where anything changes."""

    def __init__(self, view: RunView) -> None:
        self.base = view
        self.changes: dict[str, Any] = {}
        self.seen = view.seen
        self.updated_at = view.updated_at
        self.calls: dict[str, CallView] = {}
        self.touched: dict[str, int] = {}
        self.is_copied = False
        self.tally: dict[str, int] = asdict(view.counts)
        self.questions = {q.interrupt_id: q for q in view.questions}
        self.stream: deque[tuple[int, str, Payload]] = deque(maxlen=STREAM_KEPT)
        self.stream_total = view.stream_total

    def __getitem__(self, name: str) -> Any:
        return self.changes.get(name, getattr(self.base, name))

    def view(self) -> RunView:
        if self.seen == self.base.seen and not self.is_copied:
            return self.base
        if self.is_copied:
            self.changes |= {"calls": self.calls, "touched": self.touched}
        return replace(
            self.base,
            seen=self.seen,
            updated_at=self.updated_at,
            counts=Counts(**self.tally),
            questions=self._questions_in_order(),
            stream=self._stream_items(),
            stream_total=self.stream_total,
            **self.changes,
        )

    def _questions_in_order(self) -> tuple[QuestionView, ...]:
        # Tasks that run side by side ask in no fixed order; their calls have one.
        questions = tuple(self.questions.values())
        if len(questions) < 2:  # noqa: PLR2004 - nothing to order
            return questions
        place = {call_id: index for index, call_id in enumerate(self._known())}
        return tuple(sorted(questions, key=lambda q: place.get(q.parent_id, -1)))

    def take(self, record: Record) -> None:
        if not self._is_ours(record):
            return
        self.seen += 1
        self._apply(record.event, record.at)
        self.updated_at = max(self.updated_at, record.at)

    def _is_ours(self, record: Record) -> bool:
        if not self["run_id"] and record.run_id:
            self.changes |= {"run_id": record.run_id, "thread_id": record.thread_id}
        if record.thread_id != self["thread_id"]:
            return False
        return record.run_id == self["run_id"] or isinstance(
            record.event, ThreadDeleted
        )

    def _apply(self, event: Event, at: int) -> None:  # noqa: C901, PLR0912 - a case each
        match event:
            case TaskCalled():
                self._call(event, at)
            case TaskAttempted(call_id=call_id):
                self._attempt(call_id, at)
            case TaskRetried(call_id=call_id, text=text):
                self._update(call_id, status="waiting", error=plain(text, _ROW_LIMIT))
            case TaskFinished():
                self._finish(event, at)
            case TaskFailed():
                self._fail(event, at)
            case TaskReplayed(call_id=call_id, diverged=diverged):
                self._update(call_id, replayed=True, diverged=diverged)
            case TaskDropped(call_id=call_id):
                self._update(call_id, status="dropped", ended_at=at)
            case UsageNoted():
                self._use(event)
            case Interrupted():
                self._ask(event, at)
            case Answered():
                self._answer(event)
            case Custom():
                self._write(event, at)
            case StreamCut(limit_bytes=limit_bytes):
                self.changes["stream_limit"] = limit_bytes
            case RunStarted():
                self._start(event, at)
            case RunResumed():
                self._resume(event, at)
            case RunFinished(value=value):
                self._finish_run(value, at)
            case RunFailed():
                self._fail_run(event, at)
            case RunInterrupted(interrupt_ids=interrupt_ids):
                self._pause(interrupt_ids, at)
            case RunCancelled(reason=reason):
                self._cancel(reason, at)
            case RunSuperseded(by_run_id=by_run_id):
                self._supersede(by_run_id, at)
            case StateUpdated(value=value):
                self._start(event, at)
                self._finish_run(value, at)
            case ThreadDeleted():
                self.changes["is_deleted"] = True
            case (
                CodeSeen()
                | Compacted()
                | MessageStreamed()
                | NestedSaved()
                | StepReached()
                | ValueNoted()
            ):
                pass
            case OfNoRun():
                pass
            case _:
                assert_never(event)

    # Calls.

    def _put(self, call: CallView) -> None:
        if not self.is_copied:
            # Not dict(): that is slow where keys were taken out.
            self.calls = self.base.calls.copy()
            self.touched = self.base.touched.copy()
            self.is_copied = True
        before = self.calls.get(call.call_id)
        if before is not None:
            self._count(before, -1)
        self._count(call, 1)
        self.calls[call.call_id] = call
        self.touched.pop(call.call_id, None)
        self.touched[call.call_id] = self.seen

    def _count(self, call: CallView, step: int) -> None:
        tally = self.tally
        tally["calls"] += step
        tally[call.status] += step
        for mark in ("cached", "replayed", "diverged"):
            if getattr(call, mark):
                tally[mark] += step

    def _known(self) -> dict[str, CallView]:
        return self.calls if self.is_copied else self.base.calls

    def _name(self, call_id: str) -> str:
        call = self._known().get(call_id)
        return call.name if call is not None else ""

    def _update(self, call_id: str, **changes: Any) -> None:
        # A log read from the middle may speak of calls whose begin is missing.
        call = self._known().get(call_id)
        if call is not None:
            self._put(replace(call, **changes))

    def _call(self, event: TaskCalled, at: int) -> None:
        before = self._known().get(event.call_id)
        attempts = before.attempts if before is not None else 0
        position = before.position if before is not None else self.tally["calls"]
        self._put(
            CallView(
                call_id=event.call_id,
                parent_id=event.parent_id,
                position=position,
                name=plain(event.name, _ROW_LIMIT),
                args=plain(event.args, _ROW_LIMIT),
                status="waiting" if event.waiting else "running",
                called_at=at,
                started_at=None if event.waiting else at,
                attempts=attempts if event.waiting else attempts + 1,
                why=event.why,
                aside=event.aside,
                input_tokens=0 if before is None else before.input_tokens,
                output_tokens=0 if before is None else before.output_tokens,
            )
        )

    def _attempt(self, call_id: str, at: int) -> None:
        call = self._known().get(call_id)
        if call is not None:
            started_at = at if call.started_at is None else call.started_at
            self._update(
                call_id,
                status="running",
                started_at=started_at,
                attempts=call.attempts + 1,
                error="",
            )

    def _finish(self, event: TaskFinished, at: int) -> None:
        if event.call_id in self._known():
            self._update(
                event.call_id,
                status="finished",
                ended_at=at,
                cached=event.cached,
                result=text_of(event.result, _ROW_LIMIT),
                error="",
            )
            self._use(event)

    def _fail(self, event: TaskFailed, at: int) -> None:
        error = plain(event.text, _ROW_LIMIT)
        self._update(
            event.call_id, status="failed", ended_at=at, error=error, result=""
        )
        self._use(event)

    def _use(self, event: TaskFinished | TaskFailed | UsageNoted) -> None:
        call = self._known().get(event.call_id)
        if call is not None and event.usage is not None:
            self._update(
                event.call_id,
                input_tokens=call.input_tokens + event.usage["input_tokens"],
                output_tokens=call.output_tokens + event.usage["output_tokens"],
            )

    def cancel_open_calls(self) -> None:
        for call in tuple(self._known().values()):
            if call.status in {"running", "waiting"}:
                self._put(replace(call, status="cancelled", ended_at=self.updated_at))

    # Questions.

    def _ask(self, event: Interrupted, at: int) -> None:
        before = self.questions.get(event.interrupt_id)
        self.questions[event.interrupt_id] = QuestionView(
            interrupt_id=event.interrupt_id,
            parent_id=event.parent_id,
            source=self._name(event.parent_id),
            asked_at=before.asked_at if before is not None else at,
            value=event.value,
            response_schema=event.response_schema,
        )
        call = self._known().get(event.parent_id)
        if call is not None and call.status in {"running", "waiting"}:
            self._put(replace(call, status="interrupted", ended_at=at))

    def _answer(self, event: Answered) -> None:
        question = self.questions.get(event.interrupt_id)
        if question is None:
            return
        if self["status"] == "running" and question.asked_at < self["resumed_at"]:
            # The run went on because of this answer: nobody has to wait for it.
            del self.questions[event.interrupt_id]
            return
        self.questions[event.interrupt_id] = replace(
            question, answered=True, by=plain(event.by, _ROW_LIMIT)
        )

    def _interrupt_ancestors(self, at: int) -> None:
        # The signal of a question ended every call on its way up.
        visited: set[str] = set()
        for question in self.questions.values():
            call = self._known().get(question.parent_id)
            while call is not None and call.call_id not in visited:
                visited.add(call.call_id)
                if call.status in {"running", "waiting"}:
                    self._put(replace(call, status="interrupted", ended_at=at))
                call = self._known().get(call.parent_id)

    # The run.

    def _start(self, event: RunStarted | StateUpdated, at: int) -> None:
        self.changes |= {
            "workflow": plain(event.workflow, _ROW_LIMIT),
            "cell": plain(event.cell, _ROW_LIMIT),
            "status": "running",
            "started_at": at,
            "resumed_at": at,
        }

    def _resume(self, event: RunResumed, at: int) -> None:
        self.cancel_open_calls()
        for call in tuple(self._known().values()):
            if call.replayed:
                self._put(replace(call, replayed=False, diverged=False))
        for interrupt_id, question in tuple(self.questions.items()):
            if question.answered:
                del self.questions[interrupt_id]
        self.changes |= {
            "workflow": plain(event.workflow, _ROW_LIMIT),
            "cell": plain(event.cell, _ROW_LIMIT),
            "status": "running",
            "resumed_at": at,
            "ended_at": None,
            "result": None,
            "error": None,
            "stopped": "",
        }

    def _end(self, status: RunStatus, at: int) -> bool:
        # The first end stands until the run is continued; what comes later is
        # a report of something that was already under way.
        if self["status"] in _FINAL:
            return False
        self.changes |= {"status": status, "ended_at": at}
        return True

    def _finish_run(self, value: Payload, at: int) -> None:
        if self._end("finished", at):
            self.changes["result"] = text_of(value, _RESULT_LIMIT)
        self.questions.clear()

    def _fail_run(self, event: RunFailed, at: int) -> None:
        if self._end("failed", at):
            self.changes["error"] = Failure(
                plain(event.text, _RESULT_LIMIT, lines=True),
                plain(event.trace, _TRACE_LIMIT, lines=True),
            )

    def _cancel(self, reason: str, at: int) -> None:
        if self._end("cancelled", at):
            self.changes["stopped"] = plain(reason, _ROW_LIMIT)

    def _pause(self, interrupt_ids: tuple[str, ...], at: int) -> None:
        self._end("interrupted", at)
        for interrupt_id in tuple(self.questions):
            if interrupt_id not in interrupt_ids:
                del self.questions[interrupt_id]
        self._interrupt_ancestors(at)

    def _supersede(self, by_run_id: str, at: int) -> None:
        self.questions.clear()
        if self["status"] == "finished":
            return
        ended_at = self["ended_at"]
        self.changes |= {
            "status": "superseded",
            "superseded_by": by_run_id,
            "ended_at": at if ended_at is None else ended_at,
        }

    # The stream.

    def _write(self, event: Custom, at: int) -> None:
        self.stream.append((at, self._name(event.call_id), event.data))
        self.stream_total += 1

    def _stream_items(self) -> tuple[StreamItem, ...]:
        # Texts are made of what is kept only: a task may write a million items.
        first = self.stream_total - len(self.stream)
        added = [
            StreamItem(n, at, source, text_of(data, _STREAM_LIMIT, lines=True))
            for n, (at, source, data) in enumerate(self.stream, start=first)
        ]
        if not added:
            return self.base.stream
        return (*self.base.stream, *added)[-STREAM_KEPT:]
