"""A workflow's threads: where they stand, what they were, and how to change them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from nbflow._engine.state import history_of, state_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from nbflow._engine.begin import Definition
    from nbflow._values import StateSnapshot
    from nbflow.checkpoint.base import BaseCheckpointSaver

__all__ = ["Threads"]


class Threads:
    """The threads of one definition; the half of a workflow that runs nothing."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition

    @property
    def definition(self) -> Definition:
        """What the decorator was told."""
        return self._definition

    @property
    def name(self) -> str:
        """Name of the function."""
        return self._definition.spec.name

    @property
    def checkpointer(self) -> BaseCheckpointSaver | None:
        """Where runs are kept; None keeps nothing."""
        return self._definition.saver

    def get_state(self, config: Mapping[str, Any]) -> StateSnapshot:
        """Return where a thread stands.

        Parameters
        ----------
        config : mapping
            Names the thread, and optionally a checkpoint of it.

        Raises
        ------
        ValueError
            The workflow has no saver, or the config names no thread.
        """
        return state_of(self._saver(), self.name, config)

    def get_state_history(
        self, config: Mapping[str, Any], *, limit: int | None = None
    ) -> Iterator[StateSnapshot]:
        """Yield a thread's checkpoints, the newest first.

        Parameters
        ----------
        config : mapping
            Names the thread.
        limit : int, optional
            At most so many.
        """
        return history_of(self._saver(), self.name, config, limit=limit)

    async def aget_state(self, config: Mapping[str, Any]) -> StateSnapshot:
        """Like `get_state`, without blocking the event loop."""
        return await asyncio.to_thread(self.get_state, config)

    async def aget_state_history(
        self, config: Mapping[str, Any], *, limit: int | None = None
    ) -> AsyncIterator[StateSnapshot]:
        """Like `get_state_history`, without blocking the event loop."""
        found = await asyncio.to_thread(
            lambda: list(self.get_state_history(config, limit=limit))
        )
        for snapshot in found:
            yield snapshot

    def _saver(self) -> BaseCheckpointSaver:
        if self._definition.saver is None:
            raise ValueError("No checkpointer set")
        return self._definition.saver
