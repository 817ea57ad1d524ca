"""What `entrypoint` makes of a function: invoke it, stream it, look at its threads."""

from __future__ import annotations

import asyncio
import functools
from contextvars import copy_context
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from nbflow._engine.begin import Settled, begin
from nbflow._engine.code import code_of
from nbflow._engine.context import current
from nbflow._engine.drive import drive, drive_async
from nbflow._engine.nested import call_nested, call_nested_async
from nbflow._engine.options import Options, Watch, options_from
from nbflow._engine.pool import pool
from nbflow._engine.streaming import Projection, stream_modes
from nbflow._engine.threads import Threads
from nbflow.errors import WorkflowStopped

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Callable,
        Generator,
        Iterator,
        Mapping,
        Sequence,
    )

    from nbflow._engine.begin import Definition
    from nbflow._engine.drive import End
    from nbflow._engine.run import Run
    from nbflow._events import Record
    from nbflow._values import Durability, Interrupt, StreamMode
    from nbflow.checkpoint.base import BaseCheckpointSaver

__all__ = ["Workflow"]

InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


class Workflow(Threads, Generic[InputT, OutputT]):
    """A function whose runs are recorded; made by `nbflow.func.entrypoint`.

    Attributes
    ----------
    name : str
        Name of the function.
    checkpointer : BaseCheckpointSaver or None
        Where its runs are kept.
    """

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition)
        functools.update_wrapper(self, definition.spec.func)  # type: ignore[arg-type] # not a call

    @property
    def code_fingerprint(self) -> str:
        """What stands for the body, and all it uses, in the log."""
        return code_of(self._definition.spec.func).fingerprint

    def __nbflow_code__(self) -> Callable[..., Any]:
        """Return the function whose code counts as this workflow's."""
        return self._definition.spec.func

    def __repr__(self) -> str:
        return f"<workflow {self.name!r}>"

    def with_saver(self, saver: BaseCheckpointSaver) -> Workflow[InputT, OutputT]:
        """Return this workflow with another saver."""
        return Workflow(replace(self._definition, saver=saver))

    # Running.

    def invoke(
        self,
        input: InputT | Any,  # noqa: A002 - LangGraph's name
        config: Mapping[str, Any] | None = None,
        *,
        context: Any = None,
        stream_mode: StreamMode | Sequence[StreamMode] = "values",
        durability: Durability | None = None,
    ) -> Any:
        """Run the workflow to its end, a question or an error.

        Parameters
        ----------
        input : Any
            What the body gets. None continues the thread's unfinished run;
            ``Command(resume=...)`` answers its question and continues it.
        config : mapping, optional
            ``{"configurable": {"thread_id": ...}}``, required with a saver.
        context : Any, optional
            Handed to bodies as ``runtime.context``.
        stream_mode : str or sequence of str, default "values"
            With anything else than ``"values"`` the list of chunks is returned.
        durability : {"sync", "async", "exit"}, default "async"
            When outcomes are on disk: before they are used, soon after, or when
            the run ends.

        Returns
        -------
        Any
            What the body returned, or ``{"__interrupt__": [Interrupt, ...]}``.

        Raises
        ------
        EmptyInputError, UnknownInterruptError, ThreadBusyError, StoreError
            Nothing was run.
        WorkflowStopped
            The run was stopped.
        Exception
            Whatever the body raised.
        """
        if stream_mode != "values":
            return list(
                self.stream(
                    input,
                    config,
                    context=context,
                    stream_mode=stream_mode,
                    durability=durability,
                )
            )
        around = current()
        if around is not None and self._definition.saver is None:
            return call_nested(around, self._sync().spec, input)
        options = options_from(config, durability=durability, context=context)
        return _value(self.execute(input, options), options)

    async def ainvoke(
        self,
        input: InputT | Any,  # noqa: A002 - LangGraph's name
        config: Mapping[str, Any] | None = None,
        *,
        context: Any = None,
        stream_mode: StreamMode | Sequence[StreamMode] = "values",
        durability: Durability | None = None,
    ) -> Any:
        """Like `invoke`, on the running loop; a synchronous body gets a thread."""
        if stream_mode != "values":
            chunks = self.astream(
                input,
                config,
                context=context,
                stream_mode=stream_mode,
                durability=durability,
            )
            return [chunk async for chunk in chunks]
        around = current()
        if around is not None and self._definition.saver is None:
            if self._definition.spec.is_async:
                return await call_nested_async(around, self._definition.spec, input)
            return await asyncio.to_thread(
                call_nested, around, self._definition.spec, input
            )
        options = options_from(config, durability=durability, context=context)
        return _value(await self.aexecute(input, options), options)

    def stream(
        self,
        input: InputT | Any,  # noqa: A002 - LangGraph's name
        config: Mapping[str, Any] | None = None,
        *,
        context: Any = None,
        stream_mode: StreamMode | Sequence[StreamMode] | None = None,
        durability: Durability | None = None,
    ) -> Generator[Any, None, None]:
        """Run the workflow and yield what happens, as it happens.

        Parameters are those of `invoke`.

        Parameters
        ----------
        stream_mode : {"updates", "values", "custom"} or sequence, default "updates"
            Each finished task, the result, or what bodies write. With a sequence
            chunks are ``(mode, chunk)``.

        Yields
        ------
        Any
            Chunks. Leaving the loop early stops the run.
        """
        self._sync()
        feed = _Feed(self.name, stream_mode)
        options = options_from(
            config, durability=durability, context=context, watch=feed.watch()
        )
        return self._streamed(input, options, feed)

    def _streamed(
        self, given: Any, options: Options, feed: _Feed
    ) -> Generator[Any, None, None]:
        queue: SimpleQueue[Any] = SimpleQueue()
        feed.put = queue.put
        ends: list[End | Settled | BaseException] = []

        def work() -> None:
            try:
                ends.append(self.execute(given, options))
            except BaseException as error:  # noqa: BLE001 - raised where it is streamed
                ends.append(error)
            queue.put(_LAST)

        pool.submit(functools.partial(copy_context().run, work))
        finished = False
        try:
            while (chunk := queue.get()) is not _LAST:
                yield chunk
            finished = True
        finally:
            if not finished:
                feed.stop("nobody reads its stream any more")
        yield from feed.rest(ends[0])
        _raise_from(ends[0], options)

    async def astream(
        self,
        input: InputT | Any,  # noqa: A002 - LangGraph's name
        config: Mapping[str, Any] | None = None,
        *,
        context: Any = None,
        stream_mode: StreamMode | Sequence[StreamMode] | None = None,
        durability: Durability | None = None,
    ) -> AsyncGenerator[Any, None]:
        """Like `stream`, on the running event loop."""
        feed = _Feed(self.name, stream_mode)
        options = options_from(
            config, durability=durability, context=context, watch=feed.watch()
        )
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Any] = asyncio.Queue()
        feed.put = lambda chunk: loop.call_soon_threadsafe(queue.put_nowait, chunk)
        work = loop.create_task(self.aexecute(input, options))
        work.add_done_callback(lambda _: feed.put(_LAST))
        try:
            while (chunk := await queue.get()) is not _LAST:
                yield chunk
        finally:
            if not work.done():
                feed.stop("nobody reads its stream any more")
                await asyncio.wait([work])
        end = work.result()
        for chunk in feed.rest(end):
            yield chunk
        _raise_from(end, options)

    # The same, for a session: what happened, as a value.

    def execute(self, given: Any, options: Options) -> End | Settled:
        """Run a synchronous body in this thread and return how it ended."""
        definition = self._sync()
        ready = begin(definition, given, options)
        if isinstance(ready, Settled):
            return ready
        return drive(ready.run, definition.spec, ready.given)

    async def aexecute(self, given: Any, options: Options) -> End | Settled:
        """Run a body of either kind, and return how it ended."""
        if not self._definition.spec.is_async:
            end: End | Settled
            end = await _in_thread(functools.partial(self.execute, given, options))
            return end
        ready = await asyncio.to_thread(begin, self._definition, given, options)
        if isinstance(ready, Settled):
            return ready
        return await drive_async(ready.run, self._definition.spec, ready.given)

    def _sync(self) -> Definition:
        if self._definition.spec.is_async:
            raise TypeError(
                f"No synchronous function provided to {self.name!r}. It is 'async "
                "def': use ainvoke or astream, or the cell magic."
            )
        return self._definition


_LAST = object()


class _Feed:
    """A run's records on their way to whoever iterates over its stream."""

    def __init__(self, workflow: str, mode: str | Sequence[str] | None) -> None:
        self._modes, self._named = stream_modes(mode, "updates")
        self._projection = Projection(workflow, self._modes, self._questions)
        self._run: Run | None = None
        self._stopped: str | None = None
        self.put: Callable[[Any], object] = lambda _chunk: None

    def watch(self) -> Watch:

        return Watch(observers=(self._see,), on_run=self._on_run)

    def _on_run(self, run: Run) -> None:
        self._run = run
        if self._stopped is not None:
            run.stop(self._stopped)

    def _questions(self) -> tuple[Interrupt, ...]:
        return () if self._run is None else self._run.asked

    def _see(self, record: Record) -> None:
        for mode, chunk in self._projection.chunks(record):
            self.put((mode, chunk) if self._named else chunk)

    def stop(self, reason: str) -> None:
        self._stopped = reason
        if self._run is not None:
            self._run.stop(reason)

    def rest(self, end: End | Settled | BaseException) -> Iterator[Any]:
        """Yield what a thread that had nothing to run holds."""
        if not isinstance(end, Settled):
            return
        for mode in self._modes:
            chunk: Any = None
            if end.interrupts and mode != "custom":
                chunk = {"__interrupt__": end.interrupts}
            elif mode == "values":
                chunk = end.value
            if chunk is not None:
                yield (mode, chunk) if self._named else chunk


async def _in_thread(work: Callable[[], Any]) -> Any:
    # Not asyncio's own pool: it is bounded, and bodies wait for other bodies.
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(value)
        else:
            done.set_exception(error)

    def perform() -> None:
        value, error = None, None
        try:
            value = work()
        except BaseException as raised:  # noqa: BLE001 - raised where it is awaited
            error = raised
        loop.call_soon_threadsafe(settle, value, error)

    pool.submit(functools.partial(copy_context().run, perform))
    return await done


def _value(end: End | Settled, options: Options) -> Any:
    _raise_from(end, options)
    if end.interrupts:
        return {"__interrupt__": list(end.interrupts)}
    return end.value


def _raise_from(end: End | Settled | BaseException, options: Options) -> None:
    if isinstance(end, BaseException):
        raise end
    if isinstance(end, Settled):
        return
    if end.error is not None:
        raise end.error
    if end.status == "cancelled":
        raise WorkflowStopped(options.thread_id or "", end.reason)
