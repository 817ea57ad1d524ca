"""Event loops: calls from other threads, and one in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LoopThread", "call_soon"]


def call_soon(
    loop: asyncio.AbstractEventLoop, call: Callable[..., object], *args: object
) -> None:
    """Have a loop call something soon; from any thread.

    Where the loop was closed meanwhile, nobody waits for it any more: a task that
    can't be killed may outlive its loop, and so may what is being written.
    """
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        if not loop.is_closed():
            raise


class LoopThread:
    """A loop that runs until it is closed, for asynchronous tasks of sync bodies.

    One for each run that needs it: a loop shared by all of them would stand still
    as soon as one of its tasks blocks on another run.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._serve, name="nbflow-loop", daemon=True
        )
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()

    def close(self) -> None:
        """Stop the loop once what it has scheduled by now is done."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join()
