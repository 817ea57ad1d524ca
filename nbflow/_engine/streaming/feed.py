"""A run's chunks on their way from its threads to whoever reads its stream."""

from __future__ import annotations

import asyncio
import threading
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from nbflow._engine.loops import call_soon
from nbflow._engine.pool import pool
from nbflow._engine.streaming.projection import Projection
from nbflow._engine.tokens import listen_to_models
from nbflow.errors import GraphInterrupt

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable
    from contextvars import Context

    from nbflow._engine.context import Scope
    from nbflow._engine.nested import Nested
    from nbflow._engine.recorded import Blocked, Found, Missing
    from nbflow._engine.run import Run
    from nbflow._engine.streaming.shape import Chunk, Shape
    from nbflow._events import Record, TaskCalled
    from nbflow._values import StreamMode

__all__ = ["Feed"]

_LAST = object()
_joining = threading.Lock()
_UNREAD = "nobody reads its stream any more"


class Feed:
    """Join a run, and hand its chunks to a reader while it goes on.

    Parameters
    ----------
    shape : Shape
        What the reader asked for.
    show : callable, optional
        Gets each chunk with its mode at once, in the thread that makes it; for one
        who does not iterate.
    """

    def __init__(
        self, shape: Shape, show: Callable[[StreamMode, Any], None] | None = None
    ) -> None:
        self._shape = shape
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._nested: Scope | None = None
        self._projection: Projection | None = None
        self._stopped: str | None = None
        self._put: Callable[[Any], object] = _drop
        if show is not None:
            self._put = lambda chunk: show(chunk[1], chunk[2])

    def join(self, run: Run) -> None:
        """Stream a run; called before its first event."""
        self._join(run, None)
        if self._stopped is not None:
            run.stop(self._stopped)

    def join_nested(self, nested: Nested) -> None:
        """Stream a nested run; called before its first event."""
        self._join(nested.run, nested.scope)

    def _join(self, run: Run, scope: Scope | None) -> None:
        self._run, self._nested = run, scope
        self._projection = Projection(run, self._shape, scope)
        with _joining:
            run.listeners = (*run.listeners, self._called)
        run.log.observe(self._see)

    def leave(self) -> None:
        """Stream nothing more."""
        run = self._run
        if run is not None:
            run.log.forget(self._see)
            with _joining:
                run.listeners = tuple(x for x in run.listeners if x != self._called)

    def _called(  # noqa: PLR0917 - called by the run, once a call
        self,
        event: TaskCalled,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        found: Found | Blocked | Missing,
        scope: Scope,
        inner: Scope | None = None,
    ) -> None:
        if self._projection is not None:
            given = (args, kwargs)
            self._hand(self._projection.called(event, given, found, inner or scope))

    def _see(self, record: Record) -> None:
        if self._projection is not None:
            self._hand(self._projection.chunks(record))

    def _hand(self, chunks: Iterable[Chunk]) -> None:
        # Chunks of one record stay together, whatever other threads have to say.
        with self._lock:
            for chunk in chunks:
                self._put(chunk)

    def stop(self) -> None:
        """End what is streamed: its reader has gone."""
        self._stopped = _UNREAD
        if self._nested is not None:
            self._nested.left = _UNREAD
        elif self._run is not None:
            self._run.stop(_UNREAD)

    # Reading it.

    def context(self) -> Context:
        """Return the context variables for the body that is streamed."""
        context = copy_context()
        if "messages" in self._shape.shown:
            context.run(listen_to_models)
        return context

    def read(
        self, work: Callable[[], Any], *, waits: bool = False
    ) -> Generator[Any, None, Any]:
        """Do `work` in a thread, yield its chunks, and return what it returns.

        Parameters
        ----------
        work : callable
            Runs what is streamed to its end.
        waits : bool, default False
            Whether a reader that leaves waits for the end of it.
        """
        queue: SimpleQueue[Any] = SimpleQueue()
        self._put = queue.put
        ends: list[Any] = []
        errors: list[BaseException] = []

        def perform() -> None:
            try:
                ends.append(work())
            except BaseException as error:  # noqa: BLE001 - raised where it is streamed
                errors.append(error)
                self._interrupted(error)
            queue.put(_LAST)

        pool.submit(partial(self.context().run, perform))
        finished = False
        try:
            while (chunk := queue.get()) is not _LAST:
                yield from self.show(chunk)
            finished = True
        finally:
            if not finished:
                self.stop()
                while waits and queue.get() is not _LAST:
                    continue
            self.leave()
        if errors:
            raise errors[0]
        return ends[0]

    async def read_async(
        self, work: Callable[[], Coroutine[Any, Any, Any]], ends: list[Any]
    ) -> AsyncGenerator[Any, None]:
        """Like `read`, on the running loop; what it returns is put into `ends`."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Any] = asyncio.Queue()

        def put(chunk: Any) -> None:
            call_soon(loop, queue.put_nowait, chunk)

        self._put = put

        async def perform() -> Any:
            try:
                return await work()
            except BaseException as error:
                self._interrupted(error)
                raise

        task = loop.create_task(perform(), context=self.context())
        task.add_done_callback(lambda _: self._put(_LAST))
        try:
            while (chunk := await queue.get()) is not _LAST:
                for shown in self.show(chunk):
                    yield shown
        finally:
            if not task.done():
                self.stop()
                if self._nested is not None:
                    task.cancel()
                await asyncio.wait([task])
            self.leave()
            # Taken, or asyncio would say that nobody did.
            failed = None if task.cancelled() else task.exception()
        if failed is not None:
            raise failed
        ends.append(task.result())

    def _interrupted(self, error: BaseException) -> None:
        # A nested run that asks ends with its parent, which tells no stream of it.
        if isinstance(error, GraphInterrupt) and self._projection is not None:
            self._hand(self._projection.interrupted(error.interrupts))

    def show(self, chunk: Chunk) -> Generator[Any, None, None]:
        """Print a chunk, and yield it in the reader's form, each where asked for."""
        mode = chunk[1]
        if mode in self._shape.printed:
            print(self._shape.line(chunk))  # noqa: T201 - asked for by `print_mode`
        if mode in self._shape.modes:
            yield self._shape.handed(chunk)


def _drop(_chunk: Any) -> None:
    pass
