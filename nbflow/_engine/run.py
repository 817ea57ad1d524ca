"""One stretch of work on a run: its calls, from the first to the last.

A call is looked up, run if nothing recorded fits, written and handed on. How a
body is driven is in `drive`, how an attempt is made in `attempts`.
"""

from __future__ import annotations

import asyncio
import warnings
from contextvars import copy_context
from functools import partial
from itertools import islice, zip_longest
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

from nbflow import serde
from nbflow._engine.attempts import perform, perform_async
from nbflow._engine.caching import CachedCall
from nbflow._engine.code import code_of
from nbflow._engine.ending import Ending
from nbflow._engine.forks import Offers
from nbflow._engine.futures import AsyncFuture, SyncFuture
from nbflow._engine.ids import digest
from nbflow._engine.lending import lend_place
from nbflow._engine.loops import call_soon
from nbflow._engine.pool import pool
from nbflow._engine.recorded import Blocked, Diverged, Found, Missing
from nbflow._engine.stored import hand_over
from nbflow._engine.trace import caller_line, error_text, user_trace
from nbflow._events import (
    CodeSeen,
    TaskCalled,
    TaskDropped,
    TaskFailed,
    TaskFinished,
    TaskReplayed,
)
from nbflow._values import Interrupt, Payload
from nbflow.errors import (
    GraphInterrupt,
    NonDeterministicReplayError,
    ReplayWarning,
    RunStopped,
)
from nbflow.serde.redact import MASK, is_secret_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextvars import Context

    from nbflow._engine.context import Scope
    from nbflow._engine.control import RunControl
    from nbflow._engine.limits import Places
    from nbflow._engine.log import Log
    from nbflow._engine.recorded import Recorded
    from nbflow._engine.spec import Spec
    from nbflow._events import Interrupted
    from nbflow._values import OnDivergence
    from nbflow.cache.base import BaseCache
    from nbflow.errors import InvalidAnswerError
    from nbflow.store.base import BaseStore

__all__ = ["Call", "Failure", "Run", "Settings", "as_interrupt"]

_Future: TypeAlias = SyncFuture[Any] | AsyncFuture[Any]


class Settings(Struct, frozen=True):
    """What a run was started with, and never changes.

    Attributes
    ----------
    workflow : str
        Name of the entrypoint.
    thread_id, run_id : str
        The run; `thread_id` is empty without a saver.
    config : dict
        As LangGraph gives it to bodies.
    store : BaseStore or None
        The store given to the entrypoint.
    previous : callable
        Returns a fresh copy of what the thread's last run saved, or None.
    forked_at : callable
        Returns the place in the log from which on a fork remembers nothing of other
        runs, or None: what its nested runs had saved there is what they get.
    context : Any
        What the caller passed as `context`.
    on_divergence : {"warn", "error", "rerun"}
        What happens when a replayed body is not deterministic.
    cache : BaseCache or None
        Where results of calls with a cache policy are kept for other runs.
    control : RunControl or None
        What drains the run.
    checkpoint_id : str
        The checkpoint at the run's input.
    stops : tuple of frozenset of str
        Nodes of a graph to stop before, and nodes to stop after; ``"*"`` is each.
    pickles : bool
        Whether what the body returns is pickled where it can't be stored otherwise.
    """

    workflow: str
    thread_id: str
    run_id: str
    config: Mapping[str, Any]
    store: BaseStore | None = None
    previous: Callable[[], Any] = lambda: None
    forked_at: Callable[[], int | None] = lambda: None
    context: Any = None
    on_divergence: OnDivergence = "warn"
    cache: BaseCache | None = None
    control: RunControl | None = None
    checkpoint_id: str = ""
    stops: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
    pickles: bool = False


class Call(Struct, eq=False):
    """A task call that is being run.

    It is at work from the moment it has a place until its body has ended.
    """

    event: TaskCalled
    index: int
    spec: Spec
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: _Future
    parent: Scope
    context: Context
    place: Callable[[], str]
    cached: CachedCall | None = None
    at_work: bool = False

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.event.name


class _Queued(Struct, frozen=True, eq=False):
    """A call that stands in line for a place."""

    run: Run
    key: Call

    def start(self) -> None:
        self.run.launch(self.key)

    def drop(self) -> None:
        self.run.drop(self.key)


class Failure(Struct, frozen=True, eq=False):
    """A call that failed in this stretch, or whose failure was replayed in it."""

    error: BaseException
    future: _Future
    parent_id: str


class Run(Ending):
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
        super().__init__(places)
        self.settings = settings
        self.log = log
        self.recorded = recorded
        self.offered = Offers()
        self.failures: dict[str, Failure] = {}
        self.refusals: list[InvalidAnswerError] = []
        self.reached: Any = None
        self.stands_still = False
        self.listeners: tuple[Callable[..., None], ...] = ()
        self._asked: dict[str, tuple[tuple[int, ...], Interrupt]] = {}
        self._codes: set[str] = set()
        self._kept: dict[str, TaskFinished | _Future] = {}

    # Calls.

    def call(
        self, spec: Spec, scope: Scope, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Future:
        """Call a task in a scope of this run, and return its future at once."""
        self.raise_if_stopping(scope)
        if scope.deadline is not None:
            scope.deadline.move()
        index, aside = scope.next_index()
        event = self.identify(spec, scope, spec.normal(args, kwargs), aside=aside)
        found = self._kept_from(scope, event) or self.find(event, index, scope)
        for listener in self.listeners:
            listener(event, args, kwargs, found, scope)
        if isinstance(found, SyncFuture | AsyncFuture):
            scope.place_below(event.name, event.args_key)
            return found
        future: _Future = (
            SyncFuture() if scope.loop is None else AsyncFuture(scope.loop)
        )
        if isinstance(found, Missing):
            place = scope.place_below(event.name, event.args_key)
            event = replace(event, why=found.why) if found.why else event
            around = copy_context()
            call = Call(event, index, spec, args, kwargs, future, scope, around, place)
            if spec.cache is None or not self._start_cached(call):
                self._start(call)
        else:
            scope.place_below(event.name, event.args_key)
            self.reuse(event, index, found, scope, future)
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
            args=_text_of(spec, given),
            ordinal=ordinal,
            kind=spec.kind,
            aside=aside,
        )

    def _kept_from(self, scope: Scope, event: TaskCalled) -> Found | _Future | None:
        # What finished in an earlier attempt of this stretch, or is still at work.
        if not scope.keeps:
            return None
        with self._lock:
            kept = self._kept.get(event.call_id)
        if isinstance(kept, TaskFinished):
            self.log.write(TaskReplayed(event.call_id))
            return Found(event.call_id, kept)
        return kept

    def find(
        self, event: TaskCalled, index: int, scope: Scope
    ) -> Found | Blocked | Missing:
        """Look a call up, and note in the log that its outcome is used again."""
        if scope.fresh:
            return Missing("replay")
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
        self,
        event: TaskCalled,
        index: int,
        found: Found | Blocked,
        scope: Scope,
        future: _Future,
    ) -> None:
        """Settle a future with what is recorded."""
        if isinstance(found, Blocked):
            asked = self.ask_again(found.interrupt_ids, (*scope.order, index))
            scope.asked.extend(asked)
            future.settle(None, GraphInterrupt(asked))
            return
        match found.outcome:
            case TaskFinished(result=result):
                own = self._kept.get(found.call_id) is found.outcome
                future.settle(self._handed_over(result, event.name, own=own), None)
            case TaskFailed(error=error, call_id=call_id):
                failure: BaseException = serde.decode(error.data or b"")
                self.note_failure(call_id, Failure(failure, future, event.parent_id))
                future.settle(None, failure)
            case _:
                assert_never(found.outcome)

    def _handed_over(self, result: Payload, task: str, *, own: bool) -> Any:
        data = result.data
        if data is None:
            return result.live
        return hand_over(data, self.log.saver, task, "result", own=own)

    # Running them.

    def _start(self, call: Call) -> None:
        self.hold_back()
        lend_place(self, call)
        waiting = not self.places.take()
        if waiting:
            call.event = replace(call.event, waiting=True)
        try:
            self._open_up(call)
        except BaseException:
            if not waiting:
                self.places.leave()
            raise
        if waiting:
            self.places.stand_in_line(_Queued(self, call))
        else:
            self.launch(call)

    def _start_cached(self, call: Call) -> bool:
        settings = call.parent.settings or self.settings
        cached = CachedCall.of(self, call, settings.cache)
        if cached is None:
            return False
        self.hold_back()
        lend_place(self, call)
        call.event = replace(call.event, waiting=True)
        call.cached = cached
        self._open_up(call)
        cached.start(call)
        return True

    def begin(self, call: Call) -> None:
        """Have an open call run, as soon as there is a place for it."""
        self.places.stand_in_line(_Queued(self, call))

    def _open_up(self, call: Call) -> None:
        call.future.take_back = self._take_back
        with self._lock:
            if self.stopping is not None:
                # A stop ends the calls that are open by then: none may follow it.
                raise RunStopped(self.stopping)
            self._open.add(call)
            call.parent.holder.open_calls += 1
            if call.parent.keeps:
                self._kept[call.event.call_id] = call.future
        try:
            self.log.write(call.event)
        except BaseException:
            self._forget_child(call)
            self._close(call)
            raise

    def launch(self, call: Call) -> None:
        """Have an open call run that has a place."""
        call.at_work = True
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
        task = loop.create_task(coroutine, context=call.context)
        call.future.task = task
        self.cancel_if_stopping(task, loop)

    def drop(self, call: Call) -> None:
        """Close an open call that has not begun and will not."""
        self.held_back = True
        self.log.write(TaskDropped(call.event.call_id))
        self._forget_child(call)
        call.future.settle(None, RunStopped("the run ended before this task began"))
        self._close(call)

    def _take_back(self, future: _Future) -> bool:
        with self._lock:
            call = next((one for one in self._open if one.future is future), None)
        if call is None or self.stopping is not None:
            return False
        if self.places.step_out(call):
            self.log.write(TaskDropped(call.event.call_id))
            self._forget_child(call)
            self._close(call)
            return True
        if future.task is None:
            return False
        call_soon(future.task.get_loop(), future.task.cancel)
        return True

    def ended(self, call: Call, scope: Scope) -> None:
        """Note that a call's body has ended; `scope` is that of its last attempt."""
        call.at_work = False
        scope.leave()
        if scope.lend():
            self.places.leave()

    def settle(
        self,
        call: Call,
        value: Any,
        error: BaseException | None,
        event: TaskFinished | TaskFailed | TaskDropped | None,
    ) -> None:
        """Hand a call's end, and its event if it has one, to whoever waits for it."""
        if call.parent.keeps:
            self._keep(call, event)
        if call.parent.deadline is not None:
            call.parent.deadline.move()
        if isinstance(error, GraphInterrupt):
            call.parent.asked.extend(error.interrupts)
        elif error is not None and (
            isinstance(error, Exception) or isinstance(event, TaskFailed)
        ):
            failure = Failure(error, call.future, call.event.parent_id)
            self.note_failure(call.event.call_id, failure)
        self._forget_child(call)
        call.future.settle(value, error)
        self._close(call)

    def _keep(self, call: Call, event: object) -> None:
        call_id = call.event.call_id
        with self._lock:
            if isinstance(event, TaskFinished) and not event.redacted:
                data = event.result.data
                bare = event.result if data is None else Payload(data)
                self._kept[call_id] = TaskFinished(call_id, bare)
            else:
                self._kept.pop(call_id, None)

    def _forget_child(self, call: Call) -> None:
        with self._lock:
            call.parent.holder.open_calls -= 1

    def failed(self, event: TaskCalled, error: BaseException) -> TaskFailed:
        """Return the event of a call that raised."""
        payload = self.log.payload(error, root="error", task=event.name)
        text, trace = error_text(error), user_trace(error)
        return TaskFailed(event.call_id, payload, text, trace)

    def note_failure(self, call_id: str, failure: Failure) -> None:
        """Remember a failure: the run's end asks who has seen it."""
        with self._lock:
            self.failures[call_id] = failure

    # Questions.

    def ask(
        self, question: Interrupted, interrupt: Interrupt, order: tuple[int, ...]
    ) -> None:
        """Note a question that was asked, and write it unless it is recorded."""
        known = question.interrupt_id in self.recorded.questions
        answered = self.recorded.answer_to(question.interrupt_id) is not None
        if not known or answered:
            self.log.commit(question)
        with self._lock:
            self._asked[interrupt.id] = order, interrupt

    def refuse(self, refused: InvalidAnswerError) -> None:
        """Note that an answer does not fit its question, which is asked again."""
        self.refusals.append(refused)

    def ask_again(
        self, interrupt_ids: Iterable[str], order: tuple[int, ...]
    ) -> tuple[Interrupt, ...]:
        """Note questions that are still pending."""
        asked = tuple(
            as_interrupt(self.recorded.questions[interrupt_id])
            for interrupt_id in interrupt_ids
        )
        with self._lock:
            self._asked.update((one.id, (order, one)) for one in asked)
        return asked

    @property
    def asked(self) -> tuple[Interrupt, ...]:
        """The questions this stretch has met without an answer, in order.

        That is the order of the calls which ask, whoever of them was faster.
        """
        with self._lock:
            asked = sorted(self._asked.values(), key=itemgetter(0))
        return tuple(interrupt for _, interrupt in asked)


def as_interrupt(question: Interrupted) -> Interrupt:
    """Return a recorded question as users see it."""
    value = question.value
    # For looking at: whoever asks knows what is asked.
    data = value.data
    shown = value.live if data is None else serde.decode(data, opaque=True)
    return Interrupt(shown, question.interrupt_id, question.response_schema)


def _text_of(spec: Spec, given: tuple[tuple[Any, ...], dict[str, Any]]) -> str:
    args, kwargs = given
    code = getattr(spec.func, "__code__", None)
    names = () if code is None else code.co_varnames[: code.co_argcount]
    placed = zip_longest(names[: len(args)], args[:8])
    shown = [_shown(name, arg) for name, arg in islice(placed, 8)]
    shown += [f"{name}={_shown(name, v)}" for name, v in list(kwargs.items())[:8]]
    return ", ".join(shown)[:200]


def _shown(name: str | None, value: Any) -> str:
    is_secret = value is not None and is_secret_name(name)
    return MASK if is_secret else serde.preview(value, 80)


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
