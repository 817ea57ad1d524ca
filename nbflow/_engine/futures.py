"""What a task call returns: a future of the body's own world.

A synchronous body gets one to block on, an asynchronous one gets one to await.
Both note when a failure was handed to the body: a failure that nobody has seen
can't have been caught, and is tried again when the run is continued.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from nbflow._engine.loops import call_soon

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

__all__ = ["AsyncFuture", "SyncFuture", "TaskFuture"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class TaskFuture(Protocol[T_co]):
    """The result of a task call, now or later.

    In a synchronous body `result` blocks; in an asynchronous one the future is
    awaited, and `result` may be called once it is done.
    """

    def result(self, timeout: float | None = None) -> T_co:
        """Return the task's result, or raise its exception.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most; only in a synchronous body.

        Raises
        ------
        TimeoutError
            The task is not done in time.
        """
        ...

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the task's exception, or None if it returned."""
        ...

    def done(self) -> bool:
        """Return whether the task has ended."""
        ...

    def cancel(self) -> bool:
        """Take the call back, and return whether that was possible.

        A call that waits for a place is dropped, and an asynchronous task is
        cancelled; either runs again when the run is continued. The body of a
        synchronous task can't be stopped: its outcome is recorded, though a body
        that awaits it goes on without.
        """
        ...

    def cancelled(self) -> bool:
        """Return whether the call was taken back."""
        ...

    def add_done_callback(self, fn: Callable[[Any], object], /) -> None:
        """Have `fn` called with this future once the task has ended."""
        ...

    def __await__(self) -> Generator[Any, None, T_co]:
        """Wait in an asynchronous body."""
        ...


class SyncFuture(concurrent.futures.Future[T]):
    """The future of a call made in a synchronous body.

    Attributes
    ----------
    seen : bool
        Whether a body asked for its outcome.
    come_back : callable or None
        Blocks until the task that made the call may go on running.
    take_back : callable or None
        Takes the call back; returns whether it could.
    task : asyncio.Task or None
        What performs the call, where that is a coroutine.
    """

    seen = False
    come_back: Callable[[], None] | None = None
    take_back: Callable[[Any], bool] | None = None
    task: asyncio.Task[None] | None = None

    def cancel(self) -> bool:
        """Take the call back if it has not begun or is a coroutine."""
        if self.done():
            return False
        if self.take_back is None or not self.take_back(self):
            return False
        return super().cancel()

    def result(self, timeout: float | None = None) -> T:
        """Return the result, waiting for it; see `TaskFuture.result`."""
        self.seen = True
        try:
            return super().result(timeout)
        finally:
            if self.come_back is not None:
                self.come_back()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the exception, waiting for the end; None if there is none."""
        self.seen = True
        try:
            return super().exception(timeout)
        finally:
            if self.come_back is not None:
                self.come_back()

    def settle(self, value: Any, error: BaseException | None) -> None:
        """End the call from any thread; a second end is ignored.

        The other end can only be that of a run that was stopped: its futures
        are failed at once, and a task that can't be killed reports later.
        """
        try:
            if error is None:
                self.set_result(value)
            else:
                self.set_exception(error)
        except concurrent.futures.InvalidStateError:
            return

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.wrap_future(self).__await__()


class AsyncFuture(asyncio.Future, Generic[T]):  # type: ignore[type-arg]
    """The future of a call made in an asynchronous body, bound to its loop.

    Attributes
    ----------
    seen : bool
        Whether a body awaited it or took its result.
    peeked : bool
        Whether its exception was only looked at, as `asyncio.gather` does.
    waiter : asyncio.Task or None
        The asyncio task that awaited it.
    come_back : callable or None
        Makes an awaitable that ends when the task that made the call may go on.
    take_back : callable or None
        Takes the call back; returns whether it could.
    task : asyncio.Task or None
        What performs the call, where that is a coroutine.
    """

    seen = False
    peeked = False
    come_back: Callable[[], Awaitable[None]] | None = None
    take_back: Callable[[Any], bool] | None = None
    task: asyncio.Task[None] | None = None

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.waiter: asyncio.Task[Any] | None = None
        self._thread = threading.get_ident()

    def cancel(self, msg: Any = None) -> bool:
        """Take the call back; who awaits it goes on, even where its body can't stop."""
        cancelled = super().cancel(msg)
        if cancelled and self.take_back is not None:
            self.take_back(self)
        return cancelled

    def result(self, timeout: float | None = None) -> T:  # noqa: ARG002
        """Return the result of a call that is done; await it before."""
        self.seen = True
        value: T = super().result()
        return value

    def exception(self, timeout: float | None = None) -> BaseException | None:  # noqa: ARG002
        """Return the exception of a call that is done; None if there is none."""
        self.peeked = True
        return super().exception()

    def __await__(self) -> Generator[Any, None, T]:
        self.seen = True
        self.waiter = asyncio.current_task(self.get_loop())
        try:
            value: T = yield from super().__await__()
            return value
        finally:
            if self.come_back is not None:
                yield from self.come_back().__await__()

    def escaped(self, error: BaseException) -> bool:
        """Return whether `error` left the asyncio task that awaited it uncaught."""
        waiter = self.waiter
        if waiter is None or not waiter.done() or waiter.cancelled():
            return False
        return waiter.exception() is error

    def settle(self, value: Any, error: BaseException | None) -> None:
        """End the call from any thread; a second end is ignored."""
        if threading.get_ident() == self._thread:
            self._settle(value, error)
            return
        call_soon(self.get_loop(), self._settle, value, error)

    def _settle(self, value: Any, error: BaseException | None) -> None:
        if self.done():
            return
        if error is None:
            self.set_result(value)
        else:
            self.set_exception(error)
            # Taken once, or asyncio would report a failure that nobody awaited when
            # the future is collected; the run itself warns of it.
            super().exception()
