"""Chunks of every stream mode, made of a run's records as they come.

What records don't hold (the arguments of a call, a result that is used again) comes
from the run as it makes the call. Nothing here knows who reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow import serde
from nbflow._engine.ids import digest, now
from nbflow._engine.recorded import Blocked, Found
from nbflow._engine.streaming.calls import Calls
from nbflow._engine.streaming.checkpoints import Checkpoints
from nbflow._engine.streaming.messages import Messages
from nbflow._engine.streaming.payloads import debugged, task_end, task_start
from nbflow._engine.streaming.shape import END_KEY, keyed
from nbflow._events import (
    Custom,
    Interrupted,
    MessageStreamed,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunResumed,
    RunStarted,
    StepReached,
    TaskCalled,
    TaskDropped,
    TaskFailed,
    TaskFinished,
)
from nbflow._values import START, NodeOutput

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbflow._engine.context import Scope
    from nbflow._engine.recorded import Missing
    from nbflow._engine.run import Run
    from nbflow._engine.streaming.calls import Noted
    from nbflow._engine.streaming.shape import Chunk, Shape
    from nbflow._events import Record
    from nbflow._values import Interrupt, StreamMode

__all__ = ["Projection"]

_Given = tuple[tuple[Any, ...], dict[str, Any]]


class Projection:
    """Make the chunks of one stream.

    Parameters
    ----------
    run : Run
        The run it is of.
    shape : Shape
        What to make.
    root : Scope or None
        The nested run that is streamed; None streams the run itself.
    """

    def __init__(self, run: Run, shape: Shape, root: Scope | None = None) -> None:
        self._run = run
        self._shape = shape
        self._modes = shape.shown
        self._root_id = "" if root is None else root.parent_id
        self._base = () if root is None else root.namespace
        self._calls = Calls(self._root_id)
        self._checkpoints = Checkpoints(run)
        self._messages = Messages(run, self._checkpoints.step)
        self._asked_by: dict[str, str] = {}
        self._reached: dict[str, Any] = {}
        name = run.settings.workflow if root is None else root.name
        self._name = name
        self._entry_id = self._root_id or digest(run.settings.run_id, name)

    # What is told as a call is made.

    def called(
        self,
        event: TaskCalled,
        given: _Given,
        found: Found | Blocked | Missing,
        scope: Scope,
    ) -> Iterator[Chunk]:
        """Note a call; yield what there is to say of one that does not run again."""
        noted = self._calls.note(event, given, scope)
        if (
            noted is None
            or noted.name == START
            or not isinstance(found, Found | Blocked)
        ):
            return
        yield from self._begin(noted)
        if isinstance(found, Blocked):
            for interrupt_id in found.interrupt_ids:
                self._asked_by[interrupt_id] = event.call_id
            return
        outcome = found.outcome
        if isinstance(outcome, TaskFailed):
            yield from self._end(noted, error=outcome.text, replayed=True)
            return
        value = None
        if self._wants("tasks", "debug") or noted.call_id == self._root_id:
            value = _shown(serde.decode(outcome.result.data or b"", opaque=True))
        yield from self._end(noted, value=value, replayed=True)
        if noted.call_id == self._root_id:
            yield from self._result(noted.name, value, value)

    # What records say.

    def chunks(self, record: Record) -> Iterator[Chunk]:  # noqa: C901 - a case each
        """Yield what one more record adds."""
        match record.event:
            case TaskCalled(call_id=call_id):
                noted = self._calls.get(call_id)
                if noted is not None and noted.name != START:
                    yield from self._begin(noted, record.at)
            case TaskFinished():
                yield from self._finished(record.event, record.at)
            case TaskFailed(call_id=call_id, text=text):
                yield from self._failed(call_id, text, record.at)
            case TaskDropped(call_id=call_id):
                text = "RunStopped('the run ended before this task began')"
                yield from self._failed(call_id, text, record.at)
            case StepReached(call_id=call_id, value=value):
                yield from self._step(call_id, value.live)
            case Interrupted(interrupt_id=interrupt_id, parent_id=parent_id):
                self._asked_by[interrupt_id] = parent_id
            case Custom(call_id=call_id, data=data):
                yield from self._from_body(call_id, "custom", data.live)
            case MessageStreamed() as message:
                yield from self._message(message)
            case _:
                if not self._root_id:
                    yield from self._of_run(record)

    def _of_run(self, record: Record) -> Iterator[Chunk]:
        """Yield what the run itself says of its begin and its end."""
        at = record.at
        match record.event:
            case RunStarted() | RunResumed():
                yield from self._started(record)
            case RunInterrupted():
                yield from self.interrupted(self._run.asked, at)
            case RunFinished(value=value, save=save, cached=cached):
                saved = value.live if save is None else save.live
                yield from self._result(self._name, value.live, saved, cached=cached)
                result = {END_KEY: value.live}
                yield from self._entry_end(at, result=result, cached=cached)
                yield from self._checkpoint(self._checkpoints.of_end(record), at)
                if self._shape.stops_after:
                    yield from self._say("", "updates", {"__interrupt__": ()})
            case RunFailed(text=text):
                yield from self._cut(text, at)
            case RunCancelled(reason=reason):
                yield from self._cut(f"RunStopped({reason!r})", at)
            case _:
                return

    def interrupted(
        self, interrupts: tuple[Interrupt, ...], at: int | None = None
    ) -> Iterator[Chunk]:
        """Yield that the body waits, and every call of it that waits with it."""
        at = now() if at is None else at
        waiting: dict[str, list[Interrupt]] = {}
        for interrupt in interrupts:
            for noted in self._calls.around(self._asker(interrupt.id)):
                waiting.setdefault(noted.call_id, []).append(interrupt)
        for noted in self._calls.still_open():
            held = waiting.get(noted.call_id, [])
            if noted.kind == "workflow" and noted.call_id != self._root_id:
                yield from self._ask(noted.home, tuple(held))
            if noted.call_id != self._root_id:
                yield from self._end(noted, interrupts=held, at=at)
        yield from self._ask(self._root_id, interrupts)
        yield from self._entry_end(at, interrupts=interrupts)

    def _asker(self, interrupt_id: str) -> str:
        known = self._run.recorded.questions.get(interrupt_id)
        before = "" if known is None else known.parent_id
        return self._asked_by.get(interrupt_id, before)

    # Its parts.

    def _started(self, record: Record) -> Iterator[Chunk]:
        # The input's checkpoint, once more where the run goes on; then its body.
        self._checkpoints.begin(record)
        if self._wants("checkpoints", "debug"):
            chunk = self._checkpoints.of_input(self._entry_id)
            yield from self._checkpoint(chunk, record.at)
        if self._wants("tasks", "debug"):
            given = self._checkpoints.given()
            start = task_start(
                self._entry_id,
                self._name,
                given,
                pushed=False,
                config=self._run.settings.config,
            )
            yield from self._task("", "task", start, record.at)

    def _begin(self, noted: Noted, at: int | None = None) -> Iterator[Chunk]:
        if noted.begun:
            return
        noted.begun = True
        given, noted.given = noted.given, None
        if given is None or not self._wants("tasks", "debug"):
            return
        pushed = noted.kind == "task"
        start = task_start(
            noted.call_id,
            noted.name,
            given if pushed else given[0][-1],
            pushed=pushed,
            config=self._run.settings.config,
        )
        yield from self._task(noted.home, "task", start, at)

    def _finished(self, event: TaskFinished, at: int) -> Iterator[Chunk]:
        noted = self._calls.get(event.call_id)
        if noted is None or noted.name == START:
            return
        value = _shown(event.result.live)
        yield from self._begin(noted, at)
        if noted.kind == "workflow":
            yield from self._result(
                noted.name, value, value, home=noted.home, cached=event.cached
            )
        else:
            if not event.cached:
                yield from self._returned(noted.call_id, noted.home, value)
            chunk = {noted.name: value} | _marked(cached=event.cached)
            yield from self._say(noted.home, "updates", chunk)
        yield from self._end(noted, value=value, cached=event.cached, at=at)

    def _failed(self, call_id: str, text: str, at: int) -> Iterator[Chunk]:
        noted = self._calls.get(call_id)
        if noted is not None:
            yield from self._begin(noted, at)
            yield from self._end(noted, error=text, at=at)

    def _result(
        self,
        name: str,
        value: Any,
        save: Any,
        *,
        home: str | None = None,
        cached: bool = False,
    ) -> Iterator[Chunk]:
        home = self._root_id if home is None else home
        keys = self._shape.output_keys if home == self._root_id else None
        shown = keyed(keys, value, save)
        if not self._is_graph(home):
            yield from self._returned(home, home, value)
            chunk = {name: shown} | _marked(cached=cached)
            yield from self._say(home, "updates", chunk)
        yield from self._say(home, "values", shown)

    def _step(self, call_id: str, values: Any) -> Iterator[Chunk]:
        # A graph's state, in the namespace of the run that it is.
        if call_id != self._root_id and self._calls.get(call_id) is None:
            return
        self._reached[call_id] = values
        keys = self._shape.output_keys if call_id == self._root_id else None
        yield from self._say(call_id, "values", keyed(keys, values, values))

    def _is_graph(self, call_id: str) -> bool:
        return call_id in self._reached or self._run.recorded.is_graph(call_id)

    def _cut(self, text: str, at: int) -> Iterator[Chunk]:
        for noted in self._calls.still_open():
            yield from self._end(noted, error=text, at=at)
        yield from self._entry_end(at, error=text)

    def _ask(self, home: str, interrupts: tuple[Interrupt, ...]) -> Iterator[Chunk]:
        chunk = {"__interrupt__": interrupts}
        yield from self._say(home, "updates", chunk)
        if interrupts:
            # A run that goes on passes the steps it has taken without a word.
            known = self._reached.get(home)
            reached = known if home else self._run.reached
            state = reached if isinstance(reached, dict) else {}
            yield from self._say(home, "values", {**state, **chunk})

    def _end(
        self,
        noted: Noted,
        *,
        value: Any = None,
        error: str | None = None,
        interrupts: Iterable[Interrupt] | None = None,
        cached: bool = False,
        replayed: bool = False,
        at: int | None = None,
    ) -> Iterator[Chunk]:
        if not noted.open:
            return
        noted.open = False
        if not self._wants("tasks", "debug"):
            return
        key = "__return__" if noted.kind == "task" else END_KEY
        result = value if noted.kind == "node" else {key: value}
        has_value = error is None and interrupts is None
        chunk = task_end(
            noted.call_id,
            noted.name,
            result=result if has_value else None,
            error=error,
            interrupts=interrupts or (),
            cached=cached,
            replayed=replayed,
        )
        yield from self._task(noted.home, "task_result", chunk, at)

    def _entry_end(
        self,
        at: int,
        *,
        result: dict[str, Any] | None = None,
        error: str | None = None,
        interrupts: Iterable[Interrupt] = (),
        cached: bool = False,
    ) -> Iterator[Chunk]:
        entry = self._calls.get(self._root_id)
        if entry is not None:
            yield from self._end(entry, interrupts=interrupts, error=error, at=at)
        elif self._wants("tasks", "debug"):
            chunk = task_end(
                self._entry_id,
                self._name,
                result=result,
                error=error,
                interrupts=interrupts,
                cached=cached,
            )
            yield from self._task("", "task_result", chunk, at)

    def _message(self, event: MessageStreamed) -> Iterator[Chunk]:
        if self._wants("messages"):
            described = self._messages.streamed(event, self._calls.get(event.call_id))
            yield from self._from_body(event.call_id, "messages", described)

    def _returned(self, call_id: str, home: str, value: Any) -> Iterator[Chunk]:
        if self._wants("messages"):
            noted = self._calls.get(call_id)
            for described in self._messages.returned(value, noted):
                yield from self._say(home, "messages", described)

    def _task(
        self, home: str, kind: str, payload: dict[str, Any], at: int | None
    ) -> Iterator[Chunk]:
        yield from self._say(home, "tasks", payload)
        if self._wants("debug"):
            step = 0 if home else self._checkpoints.step() + 1
            when = now() if at is None else at
            yield from self._say(
                home, "debug", debugged(kind, payload, step=step, at=when)
            )

    def _checkpoint(self, payload: dict[str, Any], at: int) -> Iterator[Chunk]:
        yield from self._say("", "checkpoints", payload)
        if self._wants("debug"):
            step = payload["metadata"]["step"]
            chunk = debugged("checkpoint", payload, step=step, at=at)
            yield from self._say("", "debug", chunk)

    def _from_body(self, call_id: str, mode: StreamMode, data: Any) -> Iterator[Chunk]:
        noted = self._calls.get(call_id)
        if noted is not None:
            yield from self._say(noted.home, mode, data)
        elif call_id == self._root_id:
            yield from self._say(call_id, mode, data)

    def _wants(self, *modes: str) -> bool:
        return not self._modes.isdisjoint(modes)

    def _say(self, home: str, mode: StreamMode, data: Any) -> Iterator[Chunk]:
        if mode not in self._modes:
            return
        if home == self._root_id:
            yield self._base, mode, data
        elif self._shape.subgraphs:
            noted = self._calls.get(home)
            yield (() if noted is None else noted.namespace), mode, data


def _shown(value: Any) -> Any:
    # Where a node goes on is the graph's business.
    return value.update if isinstance(value, NodeOutput) else value


def _marked(*, cached: bool) -> dict[str, Any]:
    return {"__metadata__": {"cached": True}} if cached else {}
