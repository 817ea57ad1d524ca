"""One call of `invoke` or `stream`, at the root of a run or inside of a body."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from nbflow._engine.begin import Settled
from nbflow._engine.context import current
from nbflow._engine.execution import execute, execute_async
from nbflow._engine.ids import now
from nbflow._engine.inject import as_context
from nbflow._engine.nested import Nested, begin_nested, perform, perform_async
from nbflow._engine.options import options_from
from nbflow._engine.stored import read_again
from nbflow._engine.streaming.feed import Feed
from nbflow._engine.streaming.payloads import checkpoint_of, debugged
from nbflow._engine.streaming.shape import PREVIOUS_KEY, keyed
from nbflow._events import RunFinished, StateUpdated
from nbflow._values import GraphOutput
from nbflow.errors import WorkflowStopped

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator

    from nbflow._engine.asking import Asked
    from nbflow._engine.context import RunContext
    from nbflow._engine.execution import Ended
    from nbflow._engine.options import Options
    from nbflow._engine.streaming.shape import Chunk, Shape
    from nbflow._engine.workflow import Workflow
    from nbflow._values import StreamMode

__all__ = ["Reading"]


class Reading:
    """What one caller wants of one workflow.

    Parameters
    ----------
    workflow : Workflow
        The workflow.
    asked : Asked
        The arguments of the call.
    """

    def __init__(self, workflow: Workflow[Any, Any], asked: Asked) -> None:
        self._workflow = workflow
        self._definition = workflow.definition
        self._asked = asked

    # The result.

    def result(self, given: Any) -> Any:
        """Run to the end and return what `invoke` returns."""
        asked = self._asked
        if asked.stream_mode != "values":
            return list(self.chunks(given))
        if not asked.is_plain:
            return self._output(list(self._in_parts().chunks(given)))
        self._workflow.synchronous()
        around = self._around()
        if around is not None:
            return perform(self._nested(around, given))
        options = asked.options(self._definition)
        return _value(execute(self._definition, given, options), options)

    async def result_async(self, given: Any) -> Any:
        """Like `result`, on the running loop."""
        asked = self._asked
        if asked.stream_mode != "values":
            return [chunk async for chunk in self.chunks_async(given)]
        if not asked.is_plain:
            parts = self._in_parts().chunks_async(given)
            return self._output([part async for part in parts])
        around = self._around()
        if around is not None:
            return await perform_async(self._nested(around, given))
        options = asked.options(self._definition)
        ended = await execute_async(self._definition, given, options)
        return _value(ended, options)

    def _in_parts(self) -> Reading:
        # Parts say what they are, so the result is told from a question.
        self._asked.shape(self._workflow.name)
        return Reading(self._workflow, replace(self._asked, version="v2"))

    def _output(self, chunks: list[Any]) -> Any:
        # Nothing is said where a static interrupt came before the body.
        last: dict[str, Any] = chunks[-1] if chunks else {}
        value, interrupts = last.get("data"), tuple(last.get("interrupts", ()))
        if self._asked.version == "v2":
            return GraphOutput(value, interrupts)
        return {"__interrupt__": list(interrupts)} if interrupts else value

    # Its chunks.

    def chunks(self, given: Any) -> Generator[Any, None, None]:
        """Run and yield what `stream` yields."""
        self._workflow.synchronous()
        around = self._around()
        if around is not None:
            return self._nested_chunks(around, given)
        feed, shape, options = self._prepared()
        return self._root_chunks(given, feed, shape, options)

    def _root_chunks(
        self, given: Any, feed: Feed, shape: Shape, options: Options
    ) -> Generator[Any, None, None]:
        work = partial(execute, self._definition, given, options)
        ended = yield from feed.read(work)
        for chunk in self._rest(ended, shape, options):
            yield from feed.show(chunk)
        _raise_from(ended, options)

    def _nested_chunks(
        self, around: RunContext, given: Any
    ) -> Generator[Any, None, None]:
        feed = Feed(self._nested_shape())
        nested = self._nested(around, given, feed)
        yield from feed.read(partial(perform, nested), waits=True)

    def chunks_async(self, given: Any) -> AsyncGenerator[Any, None]:
        """Like `chunks`, on the running loop."""
        around = self._around()
        if around is not None:
            return self._nested_chunks_async(around, given)
        feed, shape, options = self._prepared()
        return self._root_chunks_async(given, feed, shape, options)

    async def _root_chunks_async(
        self, given: Any, feed: Feed, shape: Shape, options: Options
    ) -> AsyncGenerator[Any, None]:
        work = partial(execute_async, self._definition, given, options)
        ends: list[Ended] = []
        async for shown in feed.read_async(work, ends):
            yield shown
        for chunk in self._rest(ends[0], shape, options):
            for shown in feed.show(chunk):
                yield shown
        _raise_from(ends[0], options)

    async def _nested_chunks_async(
        self, around: RunContext, given: Any
    ) -> AsyncGenerator[Any, None]:
        feed = Feed(self._nested_shape())
        nested = self._nested(around, given, feed)
        async for shown in feed.read_async(partial(perform_async, nested), []):
            yield shown

    # Where it runs, and what it says.

    def _around(self) -> RunContext | None:
        """Return the body that this is a part of; None makes a run of its own."""
        around = current()
        saver = self._definition.saver
        if around is None or saver is None:
            return around
        log = around.run.log
        if log.saver is None or saver.scope != log.saver.scope:
            return None
        configurable = (self._asked.config or {}).get("configurable") or {}
        thread_id = configurable.get("thread_id", log.thread_id)
        return around if str(thread_id) == log.thread_id else None

    def _nested(
        self, around: RunContext, given: Any, feed: Feed | None = None
    ) -> Nested:
        asked, definition = self._asked, self._definition
        return begin_nested(
            around,
            definition,
            given,
            context=as_context(definition.context_schema, asked.context),
            config=options_from(asked.config).config if asked.config else None,
            on_call=None if feed is None else feed.join_nested,
        )

    def _nested_shape(self) -> Shape:
        # LangGraph's rule: with the parent's config at hand it shows values.
        default: StreamMode = "updates" if self._asked.config is None else "values"
        return self._asked.shape(self._workflow.name, default=default)

    def _prepared(self) -> tuple[Feed, Shape, Options]:
        shape = self._asked.shape(self._workflow.name)
        feed = Feed(shape)
        return feed, shape, self._asked.options(self._definition, feed.join)

    def _rest(self, ended: Ended, shape: Shape, options: Options) -> Iterator[Chunk]:
        """Yield what a thread that had nothing to run holds."""
        if not isinstance(ended, Settled):
            return
        if ended.interrupts:
            chunk = {"__interrupt__": ended.interrupts}
            yield (), "updates", chunk
            yield (), "values", chunk
            return
        yield (
            (),
            "values",
            keyed(shape.output_keys, ended.value, self._saved(shape, options)),
        )
        if not shape.shown.isdisjoint({"checkpoints", "debug"}):
            snapshot = self._workflow.get_state(options.config)
            payload = checkpoint_of(snapshot)
            step = int((snapshot.metadata or {}).get("step", -1))
            yield (), "checkpoints", payload
            yield (), "debug", debugged("checkpoint", payload, step=step, at=now())

    def _saved(self, shape: Shape, options: Options) -> Any:
        saver = self._definition.saver
        if saver is None or PREVIOUS_KEY not in (shape.output_keys or ()):
            return None
        kinds = ("RunFinished", "StateUpdated")
        for record in saver.read(
            options.thread_id or "", kinds=kinds, newest_first=True, limit=1
        ):
            if isinstance(record.event, RunFinished | StateUpdated):
                data = (record.event.save or record.event.value).data
                name = self._definition.spec.name
                return None if data is None else read_again(data, saver, name)
        return None


def _value(ended: Ended, options: Options) -> Any:
    _raise_from(ended, options)
    reached = None if isinstance(ended, Settled) else ended.reached
    if ended.interrupts:
        state = reached if isinstance(reached, dict) else {}
        return {**state, "__interrupt__": list(ended.interrupts)}
    return ended.value if reached is None else reached


def _raise_from(ended: Ended, options: Options) -> None:
    if isinstance(ended, Settled):
        return
    if ended.error is not None:
        raise ended.error
    if ended.status == "cancelled":
        raise WorkflowStopped(options.thread_id or "", ended.reason)
