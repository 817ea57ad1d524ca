"""A workflow called in a body: a call of the same run, whose body is a workflow.

Its tasks, questions and failures are in the parent's log. What a caller of it sees
as a stream is in `streaming`; nothing here knows of chunks.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from nbflow._engine.beside import in_thread
from nbflow._engine.bodies import await_end, call_body
from nbflow._engine.context import RunContext, Scope
from nbflow._engine.futures import SyncFuture
from nbflow._engine.interrupts import swallowed
from nbflow._engine.log import NEXT_RUN
from nbflow._engine.recorded import Missing
from nbflow._engine.run import Failure
from nbflow._engine.stored import hand_over
from nbflow._engine.usage import usage_of
from nbflow._events import NestedSaved, TaskCalled, TaskDropped, UsageNoted
from nbflow._values import FinalValue
from nbflow.errors import GraphBubbleUp, GraphInterrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Context

    from nbflow._engine.begin import Definition
    from nbflow._engine.run import Run

__all__ = ["Nested", "begin_nested", "perform", "perform_async"]


class Nested(Struct, frozen=True, eq=False):
    """A nested run that was called and numbered, and has not run yet.

    Attributes
    ----------
    around : RunContext
        The body that calls it.
    definition : Definition
        The workflow.
    given : Any
        Its input.
    scope : Scope
        Where its own body will make calls.
    event : TaskCalled
        The call.
    reused : SyncFuture or None
        What is recorded of it; None where it has to run.
    """

    around: RunContext
    definition: Definition
    given: Any
    scope: Scope
    event: TaskCalled
    reused: SyncFuture[Any] | None

    @property
    def run(self) -> Run:
        """The run it is a part of."""
        return self.around.run

    @property
    def inner(self) -> RunContext:
        """What its body sees."""
        return RunContext(self.run, self.scope)

    @property
    def namespace(self) -> str:
        """Where it stands, the same in every run of the thread."""
        path = (part.partition(":")[0] for part in self.scope.path)
        return "|".join(path)


def begin_nested(
    around: RunContext,
    definition: Definition,
    given: Any,
    *,
    context: Any = None,
    config: Mapping[str, Any] | None = None,
    on_call: Callable[[Nested], None] | None = None,
) -> Nested:
    """Call a workflow in a body; make this in the body's own line of control.

    Parameters
    ----------
    context : Any, optional
        Its runtime's context; by default that of the body around it.
    config : mapping, optional
        What its bodies get as `config`; by default that of the body around it.
    on_call : callable, optional
        Called before anything of it is written.
    """
    run, above, spec = around.run, around.scope, definition.spec
    run.raise_if_stopping(above)
    index, aside = above.next_index()
    event = run.identify(spec, above, ((given,), {}), aside=aside)
    event = replace(event, kind="workflow")
    loop = asyncio.get_running_loop() if spec.is_async else None
    place = above.place_below(event.name, event.args_key)
    scope = Scope(
        event.call_id, place, name=spec.name, loop=loop, nested=True, above=above
    )
    number = above.count("workflow")
    scope.branch = (str(number),) if number else ()
    scope.is_run = True
    scope.order = (*above.order, index)
    scope.fresh = above.fresh or definition.keeps is False
    scope.keeps = above.keeps
    found = run.find(event, index, scope)
    nested = Nested(around, definition, given, scope, event, None)
    scope.settings = replace(
        around.settings,
        previous=partial(_previous, nested),
        context=around.settings.context if context is None else context,
        config=around.settings.config if config is None else config,
        store=_first(definition.store, around.settings.store),
        cache=_first(definition.cache, around.settings.cache),
    )
    if on_call is not None:
        on_call(nested)
    for listener in run.listeners:
        listener(event, (given,), {}, found, above, scope)
    if isinstance(found, Missing):
        run.log.write(replace(event, why=found.why))
        return nested
    reused: SyncFuture[Any] = SyncFuture()
    run.reuse(event, index, found, above, reused)
    return replace(nested, reused=reused)


def _first(own: Any, around: Any) -> Any:
    return around if own is None else own


def perform(nested: Nested, context: Context | None = None) -> Any:
    """Run a synchronous nested body in this thread, and return what it gives.

    Parameters
    ----------
    context : Context, optional
        What the body's context variables are; by default a copy of the caller's.
    """
    if nested.reused is not None:
        return nested.reused.result()
    held = context or copy_context()
    spec, given = nested.definition.spec, nested.given
    try:
        value = held.run(call_body, nested.inner, spec, given)
    except BaseException as error:
        _failed(nested, error)
        raise
    return _finished(nested, value)


async def perform_async(nested: Nested, context: Context | None = None) -> Any:
    """Like `perform`, on the running loop; a synchronous body gets a thread."""
    if nested.reused is not None:
        return nested.reused.result()
    spec = nested.definition.spec
    held = context or copy_context()
    if not spec.is_async:
        try:
            return await in_thread(partial(perform, nested, held))
        except asyncio.CancelledError:
            nested.scope.left = "the nested run was cancelled"
            raise
    loop = asyncio.get_running_loop()
    coroutine = await_end(nested.inner, spec, nested.given)
    body = loop.create_task(coroutine, context=held)
    nested.run.adopt(body, loop)
    try:
        value = _value_of(*await body)
    except BaseException as error:
        if not body.done():
            body.cancel()
        await in_thread(partial(_failed, nested, error))
        raise
    return await in_thread(partial(_finished, nested, value))


def _value_of(value: Any, raised: BaseException | None) -> Any:
    if raised is not None:
        raise raised
    return value


def _finished(nested: Nested, value: Any) -> Any:
    scope, event, log = nested.scope, nested.event, nested.run.log
    if scope.asked:
        nested.around.scope.asked.extend(scope.asked)
        swallowed(scope)
    save = value
    if isinstance(value, FinalValue):
        value, save = value.value, value.save
    pickles = nested.definition.spec.pickles
    finished = log.finished(
        event.call_id,
        value,
        task=event.name,
        cached=scope.cached,
        usage=usage_of(scope),
        pickles=pickles,
    )
    if nested.definition.keeps:
        saved = log.payload(
            save, root="save", task=event.name, missing=NEXT_RUN, pickles=pickles
        )
        log.write(NestedSaved(nested.namespace, scope.place, saved))
    log.write_outcome(finished)
    return value


def _failed(nested: Nested, error: BaseException) -> None:
    above, run = nested.around.scope, nested.run
    if isinstance(error, GraphInterrupt):
        above.asked.extend(nested.scope.asked or error.interrupts)
    event, usage = nested.event, usage_of(nested.scope)
    if isinstance(error, GraphBubbleUp | asyncio.CancelledError | KeyboardInterrupt):
        if usage is not None:
            run.log.write(UsageNoted(event.call_id, usage))
        if not isinstance(error, GraphBubbleUp):
            # What was cancelled has no outcome: it runs again when the run goes on.
            run.log.write(TaskDropped(event.call_id))
        return
    future: SyncFuture[Any] = SyncFuture()
    future.seen = True
    run.note_failure(event.call_id, Failure(error, future, event.parent_id))
    failed = run.failed(event, error)
    run.log.write_outcome(failed if usage is None else replace(failed, usage=usage))


def _previous(nested: Nested) -> Any:
    """Return what the last nested run here saved, or None (`checkpointer=True`)."""
    log = nested.run.log
    if not nested.definition.keeps or log.saver is None:
        return None
    found: bytes | None = None
    forked_at = nested.run.settings.forked_at()
    records = log.saver.read(log.thread_id, kinds=("NestedSaved",), newest_first=True)
    for record in records:
        event = record.event
        if not isinstance(event, NestedSaved) or event.namespace != nested.namespace:
            continue
        if record.run_id != log.run_id:
            if forked_at is not None and record.seq >= forked_at:
                continue
            found = event.value.data if found is None else found
            break
        # Its own from before its code was edited is not before it, nor what followed.
        own = event.place == nested.scope.place
        found = None if own else found or event.value.data
    if found is None:
        return None
    return hand_over(found, log.saver, nested.event.name, "previous")
