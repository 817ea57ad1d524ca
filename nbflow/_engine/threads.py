"""A workflow's threads: where they stand, what they were, and how to change them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from nbflow._engine.begin import change_thread, fork_thread
from nbflow._engine.beside import in_thread
from nbflow._engine.drawing import drawing_of
from nbflow._engine.state import DRAWN_KINDS, history_of, state_of, thread_of
from nbflow._values import UNSET, StateUpdate
from nbflow.checkpoint.points import find_point

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

    from nbflow._engine.begin import Definition
    from nbflow._engine.drawing import Drawing
    from nbflow._events import Record
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

    # Looking.

    def get_state(
        self, config: Mapping[str, Any], *, subgraphs: bool = False
    ) -> StateSnapshot:
        """Return where a thread stands.

        Parameters
        ----------
        config : mapping
            Names the thread, and optionally a checkpoint of it; with a
            ``checkpoint_ns`` from a task's state, a nested run.
        subgraphs : bool, default False
            Give the states of nested runs in full, at any depth; else a task's
            `state` is the config of its nested run.

        Returns
        -------
        StateSnapshot
            One without a checkpoint for a thread or checkpoint that is not known.

        Raises
        ------
        ValueError
            The workflow has no saver, or the config names no thread.
        TaskNotFound
            There is no such nested run.
        """
        return state_of(self._saver(), config, subgraphs=subgraphs)

    def get_state_history(
        self,
        config: Mapping[str, Any],
        *,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> Iterator[StateSnapshot]:
        """Yield a thread's checkpoints, the newest first, read as they are asked for.

        Parameters
        ----------
        config : mapping
            Names the thread; with a checkpoint, only that one is given.
        filter : mapping, optional
            Only checkpoints whose metadata hold all of these, equal.
        before : mapping, optional
            Config of a checkpoint; only older ones are given.
        limit : int, optional
            At most so many.

        Raises
        ------
        ValueError
            The workflow has no saver, or the config names no thread.
        """
        return history_of(
            self._saver(), config, metadata=filter, before=before, limit=limit
        )

    def get_graph(
        self, config: Mapping[str, Any] | None = None, *, xray: int | bool = True
    ) -> Drawing:
        """Return a drawing of what a run did; without a run, of the workflow alone.

        Parameters
        ----------
        config : mapping, optional
            Names the thread, whose newest run is drawn, and optionally a checkpoint
            of the run to draw.
        xray : int or bool, default True
            How many levels of nested runs are drawn in full; True is all.

        Returns
        -------
        Drawing
            With `draw_mermaid` and `draw_ascii`.

        Raises
        ------
        ValueError
            The config names no thread.
        """
        records: list[Record] = []
        if config is not None and self._definition.saver is not None:
            thread_id, checkpoint_id = thread_of(config)
            saver = self._definition.saver
            point = find_point(saver, thread_id, checkpoint_id)
            if point is not None:
                records = saver.read(thread_id, run_id=point.run_id, kinds=DRAWN_KINDS)
        return drawing_of(self.name, records, xray=xray)

    # Changing.

    def update_state(
        self,
        config: Mapping[str, Any],
        values: Any,
        as_node: str | None = None,
        task_id: str | None = None,
    ) -> dict[str, Any]:
        """Set what a thread holds, as if its workflow had returned it.

        Parameters
        ----------
        config : mapping
            Names the thread, and optionally the checkpoint to start from.
        values : Any
            What the thread returns and saves from here on; an ``entrypoint.final``
            gives each its own. None without `as_node` copies the checkpoint.
        as_node : str, optional
            The entrypoint's name, which is what is meant without it;
            ``"__input__"`` makes `values` the input of a run that waits to be
            begun with None; ``"__copy__"`` copies the checkpoint beside itself;
            ``"__end__"`` gives an unfinished run up.
        task_id : str, optional
            Kept for programs that pass it; a change is a run of its own.

        Returns
        -------
        dict
            Config of the new checkpoint, on disk by now.

        Raises
        ------
        ValueError
            The workflow has no saver, or the config names no thread.
        InvalidUpdateError
            There is no such node, or nothing to copy.
        CheckpointNotFoundError
            The thread has no checkpoint of that id.
        ThreadBusyError
            A run holds the thread.
        UnstorableValueError
            `values` can't be stored.
        """
        return self.bulk_update_state(config, [[StateUpdate(values, as_node, task_id)]])

    def bulk_update_state(
        self, config: Mapping[str, Any], supersteps: Iterable[Iterable[StateUpdate]]
    ) -> dict[str, Any]:
        """Make several changes, one checkpoint after the other; all or none.

        Parameters
        ----------
        config : mapping
            As for `update_state`.
        supersteps : iterable of iterable of StateUpdate
            One checkpoint each. A workflow has one node, so each holds one update.

        Returns
        -------
        dict
            Config of the last checkpoint.

        Raises
        ------
        ValueError
            There is no superstep, or an empty one; and as for `update_state`.
        InvalidUpdateError
            Several updates in one superstep; and as for `update_state`.
        """
        return change_thread(self._definition, self._saver(), config, supersteps)

    def fork(
        self, config: Mapping[str, Any], *, before: str, result: Any = UNSET
    ) -> dict[str, Any]:
        """Make a new run of an old one that starts before one of its calls.

        The new run has the same input, and keeps what stands before that call in the
        order in which the body made its calls: results, caught failures, answers,
        recorded times and chance. It waits to be continued: ``invoke(None, fork)``. A
        task that was edited meanwhile runs again, as in any run that is continued. The
        old run stays as it is, and the new one needs nothing of it.

        Parameters
        ----------
        config : mapping
            Names the thread, and optionally a checkpoint of the run that is meant; by
            default the newest.
        before : str
            The `id` of a task, or of an interrupt, in the state at the run's input.
        result : Any, optional
            Takes the place of what that call returned, or of the answer to that
            interrupt; the new run then goes on behind it.

        Returns
        -------
        dict
            Config of the new run's input, on disk by now.

        Raises
        ------
        ValueError
            The workflow has no saver, or the config names no thread.
        CheckpointNotFoundError
            The thread has no such checkpoint, or no run at all.
        TaskNotFound
            The run has no such call.
        ThreadBusyError
            A run holds the thread.
        UnstorableValueError, SecretNotStoredError
            `result` can't be stored.

        Examples
        --------
        >>> from nbflow import entrypoint, task
        >>> from nbflow.checkpoint.memory import InMemorySaver
        >>> @task
        ... def draft(topic: str) -> str:
        ...     return f"About {topic}"
        >>> @task
        ... def shout(text: str) -> str:
        ...     return text.upper()
        >>> @entrypoint(checkpointer=InMemorySaver())
        ... def write(topic: str) -> str:
        ...     return shout(draft(topic).result()).result()
        >>> config = {"configurable": {"thread_id": "1"}}
        >>> write.invoke("cats", config)
        'ABOUT CATS'
        >>> ended, began = write.get_state_history(config)
        >>> _, drafted, shouted = began.tasks
        >>> fork = write.fork(config, before=drafted.id, result="On cats")
        >>> write.invoke(None, fork)
        'ON CATS'
        """
        return fork_thread(self._definition, self._saver(), config, before, result)

    # The same, without blocking the event loop.

    async def aget_state(
        self, config: Mapping[str, Any], *, subgraphs: bool = False
    ) -> StateSnapshot:
        """Like `get_state`, without blocking the event loop."""
        return await in_thread(partial(self.get_state, config, subgraphs=subgraphs))

    async def aget_state_history(
        self,
        config: Mapping[str, Any],
        *,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[StateSnapshot]:
        """Like `get_state_history`, without blocking the event loop."""
        found = self.get_state_history(
            config, filter=filter, before=before, limit=limit
        )
        while True:
            snapshot = await in_thread(partial(next, found, None))
            if snapshot is None:
                return
            yield snapshot

    async def aget_graph(
        self, config: Mapping[str, Any] | None = None, *, xray: int | bool = True
    ) -> Drawing:
        """Like `get_graph`, without blocking the event loop."""
        return await in_thread(partial(self.get_graph, config, xray=xray))

    async def aupdate_state(
        self,
        config: Mapping[str, Any],
        values: Any,
        as_node: str | None = None,
        task_id: str | None = None,
    ) -> dict[str, Any]:
        """Like `update_state`, without blocking the event loop."""
        return await in_thread(
            partial(self.update_state, config, values, as_node, task_id)
        )

    async def abulk_update_state(
        self, config: Mapping[str, Any], supersteps: Iterable[Iterable[StateUpdate]]
    ) -> dict[str, Any]:
        """Like `bulk_update_state`, without blocking the event loop."""
        return await in_thread(partial(self.bulk_update_state, config, supersteps))

    async def afork(
        self, config: Mapping[str, Any], *, before: str, result: Any = UNSET
    ) -> dict[str, Any]:
        """Like `fork`, without blocking the event loop."""
        return await in_thread(partial(self.fork, config, before=before, result=result))

    def _saver(self) -> BaseCheckpointSaver:
        if self._definition.saver is None:
            raise ValueError("No checkpointer set")
        return self._definition.saver
