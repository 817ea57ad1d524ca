"""One stretch of work on a run: its calls, from the first to the last.

A call is looked up, run if nothing recorded fits, written and handed on. How a
body is driven is in `drive`, how an attempt is made in `attempts`.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections import Counter
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

from nbflow import serde
from nbflow._engine.attempts import perform, perform_async
from nbflow._engine.code import code_of
from nbflow._engine.futures import AsyncFuture, SyncFuture
from nbflow._engine.ids import digest
from nbflow._engine.loops import LoopThread
from nbflow._engine.pool import pool
from nbflow._engine.recorded import Blocked, Diverged, Found, Missing
from nbflow._engine.trace import caller_line, user_trace
from nbflow._events import (
    CodeSeen,
    TaskCalled,
    TaskDropped,
    TaskFailed,
    TaskFinished,
    TaskReplayed,
)
from nbflow._values import Interrupt
from nbflow.errors import (
    GraphInterrupt,
    NonDeterministicReplayError,
    ReplayWarning,
    RunStopped,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextvars import Context

    from nbflow._engine.context import Scope
    from nbflow._engine.limits import Places
    from nbflow._engine.log import Log
    from nbflow._engine.recorded import Recorded
    from nbflow._engine.spec import Spec
    from nbflow._events import Interrupted
    from nbflow._values import OnDivergence
    from nbflow.errors import InvalidAnswerError

__all__ = ["Call", "Failure", "Run", "Settings", "as_interrupt"]

_Future: TypeAlias = SyncFuture[Any] | AsyncFuture[Any]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run was started with, and never changes.

    Attributes
    ----------
    workflow : str
        Name of the entrypoint.
    thread_id, run_id : str
        The run; `thread_id` is empty without a saver.
    config : dict
        As LangGraph gives it to bodies.
    store : Any
        The store given to the entrypoint, or None.
    previous : callable
        Returns a fresh copy of what the thread's last run saved, or None.
    context : Any
        What the caller passed as `context`.
    on_divergence : {"warn", "error", "rerun"}
        What happens when a replayed body is not deterministic.
    """

    workflow: str
    thread_id: str
    run_id: str
    config: Mapping[str, Any]
    store: Any = None
    previous: Callable[[], Any] = lambda: None
    context: Any = None
    on_divergence: OnDivergence = "warn"


class Call(Struct, frozen=True, eq=False):
    """A task call that is being run."""

    event: TaskCalled
    spec: Spec
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: _Future
    parent: Scope
    context: Context
    place: Callable[[], str]

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.event.name


class Failure(Struct, frozen=True, eq=False):
    """A call that failed in this stretch, or whose failure was replayed in it."""

    error: BaseException
    future: _Future
    parent_id: str


class Run:
    """The live half of a run.

    Parameters
    ----------
    settings : Settings
        What it was started with.
    log : Log
        Where its events go.
    recorded : Recorded
        What it can use again.
    places : Places
        The bound on its running tasks.
    """

    def __init__(
        self, settings: Settings, log: Log, recorded: Recorded, places: Places
    ) -> None:
        self.settings = settings
        self.log = log
        self.recorded = recorded
        self.places = places
        self.offered: dict[str, Any] = {}
        self.failures: dict[str, Failure] = {}
        self.refusals: list[InvalidAnswerError] = []
        self.stopping: str | None = None
        self._ended = False
        self._asked: dict[str, Interrupt] = {}
        self._lock = threading.Lock()
        self._open: set[Call] = set()
        self._running: Counter[str] = Counter()
        self._codes: set[str] = set()
        self._loops: list[LoopThread] = []
        self._aio: dict[Any, asyncio.AbstractEventLoop] = {}
        self._on_idle: list[Callable[[], None]] = []
        self._on_stop: list[Callable[[], None]] = []
        self._at_end: list[Callable[[], None]] = []

    # Calls.

    def call(
        self, spec: Spec, scope: Scope, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Future:
        """Call a task in a scope of this run, and return its future at once."""
        self.raise_if_stopping()
        index, aside = scope.next_index()
        event = self.identify(spec, scope, spec.normal(args, kwargs), aside=aside)
        future: _Future = (
            SyncFuture() if scope.loop is None else AsyncFuture(scope.loop)
        )
        found = self.find(event, index)
        if isinstance(found, Missing):
            place = scope.place_below(event.name, event.args_key)
            event = replace(event, why=found.why) if found.why else event
            self._start(
                Call(event, spec, args, kwargs, future, scope, copy_context(), place)
            )
        else:
            scope.place_below(event.name, event.args_key)
            self.reuse(event, found, scope, future)
        return future

    def identify(
        self,
        spec: Spec,
        scope: Scope,
        given: tuple[tuple[Any, ...], dict[str, Any]],
        *,
        aside: bool,
    ) -> TaskCalled:
        """Return a call by its identity (rule R1), numbered among its equals."""
        code = code_of(spec.func)
        if code.fingerprint not in self._codes:
            self._codes.add(code.fingerprint)
            self.log.write(
                CodeSeen(code.fingerprint, code.name, code.source, code.watched)
            )
        args_key = serde.fingerprint(given)
        ordinal = scope.count("call", spec.name, code.fingerprint, args_key)
        call_id = digest(
            scope.place, spec.name, code.fingerprint, args_key, str(ordinal)
        )
        return TaskCalled(
            call_id=call_id,
            parent_id=scope.parent_id,
            place=scope.place,
            name=spec.name,
            code=code.fingerprint,
            args_key=args_key,
            args=_text_of(given),
            ordinal=ordinal,
            aside=aside,
        )

    def find(self, event: TaskCalled, index: int) -> Found | Blocked | Missing:
        """Look a call up, and note in the log that its outcome is used again."""
        found = self.recorded.look_up(event, index)
        match found:
            case Found(call_id=call_id):
                self.log.write(TaskReplayed(call_id))
                return found
            case Diverged():
                return self._diverged(event, found)
            case Blocked() | Missing():
                return found
            case _:
                assert_never(found)

    def _diverged(self, event: TaskCalled, found: Diverged) -> Found | Missing:
        before = found.before
        text = (
            f"The workflow {self.settings.workflow!r} called "
            f"{event.name}({event.args}) at "
            f"{caller_line()}, where it had called "
            f"{before.name}({before.args}) before: "
            "its body is not deterministic. Keep times, random numbers and what "
            "changes outside in tasks, whose results are recorded."
        )
        match self.settings.on_divergence:
            case "error":
                raise NonDeterministicReplayError(text)
            case "rerun":
                return Missing("arguments")
            case "warn":
                self.recorded.use_diverged(found)
                warnings.warn(
                    f"{text} The recorded result is used.", ReplayWarning, stacklevel=2
                )
                self.log.write(TaskReplayed(before.call_id, diverged=True))
                return Found(before.call_id, found.outcome)
            case _:
                assert_never(self.settings.on_divergence)

    def reuse(
        self, event: TaskCalled, found: Found | Blocked, scope: Scope, future: _Future
    ) -> None:
        """Settle a future with what is recorded."""
        if isinstance(found, Blocked):
            asked = self.ask_again(found.interrupt_ids)
            scope.asked.extend(asked)
            future.settle(None, GraphInterrupt(asked))
            return
        match found.outcome:
            case TaskFinished(result=result):
                future.settle(serde.decode(result.data or b""), None)
            case TaskFailed(error=error, call_id=call_id):
                failure: BaseException = serde.decode(error.data or b"")
                self.note_failure(call_id, Failure(failure, future, event.parent_id))
                future.settle(None, failure)
            case _:
                assert_never(found.outcome)

    # Running them.

    def _start(self, call: Call) -> None:
        self._lend_place(call)
        waiting = not self.places.take()
        if waiting:
            call = replace(call, event=replace(call.event, waiting=True))
        with self._lock:
            self._open.add(call)
            call.parent.open_calls += 1
        try:
            self.log.write(call.event)
        except BaseException:
            self._forget_child(call)
            self._close(call)
            if not waiting:
                self.places.leave()
            raise
        if waiting:
            launch, drop = partial(self._launch, call), partial(self._drop, call)
            self.places.stand_in_line(launch, drop)
        else:
            self._launch(call)

    def _launch(self, call: Call) -> None:
        with self._lock:
            self._running[call.name] += 1
        if not call.spec.is_async:
            pool.submit(partial(call.context.run, perform, self, call))
            return
        loop = call.parent.loop or self.own_loop()
        if call.parent.loop is not None and _is_running(loop):
            self._create_task(call, loop)
        else:
            loop.call_soon_threadsafe(self._create_task, call, loop)

    def _create_task(self, call: Call, loop: asyncio.AbstractEventLoop) -> None:
        coroutine = perform_async(self, call)
        self.adopt(loop.create_task(coroutine, context=call.context), loop)

    def _forget(self, task: Any) -> None:
        with self._lock:
            self._aio.pop(task, None)

    def own_loop(self) -> asyncio.AbstractEventLoop:
        """Return this run's own loop, for asynchronous tasks of synchronous bodies."""
        with self._lock:
            if not self._loops:
                self._loops.append(LoopThread())
            return self._loops[0].loop

    def _drop(self, call: Call) -> None:
        self.log.write(TaskDropped(call.event.call_id))
        self._forget_child(call)
        call.future.settle(None, RunStopped("the run ended before this task began"))
        self._close(call)

    def _lend_place(self, call: Call) -> None:
        # A task that calls others counts no more as running until it comes back
        # from waiting for them: so any nesting works with one place (rule R10).
        scope = call.parent
        if scope.lend():
            self.places.leave()
        if scope.parent_id and isinstance(call.future, SyncFuture):
            call.future.come_back = partial(self._come_back, scope)
        elif scope.parent_id:
            call.future.come_back = partial(self._come_back_async, scope)

    def _comes_back(self, scope: Scope) -> bool:
        return not scope.holds_place and not scope.open_calls and self.stopping is None

    def _come_back(self, scope: Scope) -> None:
        if self._comes_back(scope):
            back = threading.Event()
            self.places.stand_first(partial(_take_place, scope, back.set), back.set)
            back.wait()

    async def _come_back_async(self, scope: Scope) -> None:
        if self._comes_back(scope):
            loop, back = asyncio.get_running_loop(), asyncio.Event()
            notify = partial(loop.call_soon_threadsafe, back.set)
            self.places.stand_first(partial(_take_place, scope, notify), notify)
            await back.wait()

    def ended(self, call: Call, scope: Scope | None) -> None:
        """Note that a call's body has ended; `scope` is that of its last attempt."""
        with self._lock:
            self._running[call.name] -= 1
            if not self._running[call.name]:
                del self._running[call.name]
        if scope is None or scope.lend():
            self.places.leave()

    def settle(self, call: Call, value: Any, error: BaseException | None) -> None:
        """Hand a call's end to whoever waits for it."""
        if isinstance(error, GraphInterrupt):
            call.parent.asked.extend(error.interrupts)
        elif error is not None and not isinstance(error, RunStopped):
            failure = Failure(error, call.future, call.event.parent_id)
            self.note_failure(call.event.call_id, failure)
        self._forget_child(call)
        call.future.settle(value, error)
        self._close(call)

    def _forget_child(self, call: Call) -> None:
        with self._lock:
            call.parent.open_calls -= 1

    def failed(self, event: TaskCalled, error: BaseException) -> TaskFailed:
        """Return the event of a call that raised."""
        payload = self.log.payload(error, root="error", task=event.name)
        return TaskFailed(event.call_id, payload, repr(error), user_trace(error))

    def note_failure(self, call_id: str, failure: Failure) -> None:
        """Remember a failure: the run's end asks who has seen it."""
        with self._lock:
            self.failures[call_id] = failure

    def _close(self, call: Call) -> None:
        with self._lock:
            self._open.discard(call)
            idle = [] if self._open else self._on_idle[:]
        for notify in idle:
            notify()

    # Questions.

    def ask(self, question: Interrupted, interrupt: Interrupt) -> None:
        """Note a question that was asked, and write it unless it is recorded."""
        known = question.interrupt_id in self.recorded.questions
        answered = self.recorded.answer_to(question.interrupt_id) is not None
        if not known or answered:
            self.log.commit(question)
        with self._lock:
            self._asked[interrupt.id] = interrupt

    def refuse(self, refused: InvalidAnswerError) -> None:
        """Note that an answer does not fit its question, which is asked again."""
        self.refusals.append(refused)

    def ask_again(self, interrupt_ids: Iterable[str]) -> tuple[Interrupt, ...]:
        """Note questions that are still pending."""
        asked = tuple(
            as_interrupt(self.recorded.questions[interrupt_id])
            for interrupt_id in interrupt_ids
        )
        with self._lock:
            self._asked.update((interrupt.id, interrupt) for interrupt in asked)
        return asked

    @property
    def asked(self) -> tuple[Interrupt, ...]:
        """The questions this stretch has met without an answer, in order."""
        with self._lock:
            return tuple(self._asked.values())

    # Its end.

    def raise_if_stopping(self) -> None:
        """Raise the signal that ends a body, once the run was asked to stop."""
        if self.stopping is not None:
            raise RunStopped(self.stopping)

    def stop(self, reason: str = "stopped") -> None:
        """Ask the run to stop; it ends at its next call. A second request does nothing.

        Asynchronous tasks are cancelled. A synchronous task can't be: its thread
        goes on, and its outcome is recorded when it ends.
        """
        with self._lock:
            if self.stopping is not None or self._ended:
                return
            self.stopping = reason
            waiting = list(self._open)
            tasks = list(self._aio.items())
            notified = self._on_stop[:]
        self.places.drop_line()
        for call in waiting:
            call.future.settle(None, RunStopped(reason))
        for task, loop in tasks:
            loop.call_soon_threadsafe(task.cancel)
        for notify in notified:
            notify()

    def when_idle(self, notify: Callable[[], None]) -> None:
        """Have `notify` called, at least once, when no call is open."""
        with self._lock:
            self._on_idle.append(notify)
            idle = not self._open
        if idle:
            notify()

    def when_stopped(self, notify: Callable[[], None]) -> None:
        """Have `notify` called once the run is asked to stop."""
        with self._lock:
            self._on_stop.append(notify)
            stopped = self.stopping is not None
        if stopped:
            notify()

    def adopt(self, task: asyncio.Task[Any], loop: asyncio.AbstractEventLoop) -> None:
        """Cancel this asyncio task too when the run is asked to stop."""
        with self._lock:
            self._aio[task] = loop
        task.add_done_callback(self._forget)
        if self.stopping is not None:
            task.cancel()

    @property
    def running(self) -> tuple[str, ...]:
        """Names of the tasks whose bodies are at work."""
        with self._lock:
            return tuple(self._running)

    def on_end(self, notify: Callable[[], None]) -> None:
        """Have `notify` called when the run has ended and nothing of it is at work.

        A stopped run may end before: its synchronous tasks can't be killed.
        """
        self._at_end.append(notify)

    def close(self) -> None:
        """Note that the run has ended; called once, after its last event."""
        with self._lock:
            self._ended = True
        self.when_idle(self._let_go)

    def _let_go(self) -> None:
        for notify in self._at_end:
            notify()
        with self._lock:
            loops, self._loops = self._loops, []
        for loop in loops:
            loop.close()


def as_interrupt(question: Interrupted) -> Interrupt:
    """Return a recorded question as users see it."""
    value = question.value
    data = serde.decode(value.data) if value.data is not None else value.live
    return Interrupt(data, question.interrupt_id, question.response_schema)


def _take_place(scope: Scope, notify: Callable[[], object]) -> None:
    scope.holds_place = True
    notify()


def _text_of(given: tuple[tuple[Any, ...], dict[str, Any]]) -> str:
    args, kwargs = given
    shown = [serde.preview(arg, 80) for arg in args[:8]]
    shown += [f"{name}={serde.preview(v, 80)}" for name, v in list(kwargs.items())[:8]]
    return ", ".join(shown)[:200]


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
