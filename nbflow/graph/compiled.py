"""A compiled graph: a workflow whose body runs nodes in steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from nbflow._engine.workflow import Workflow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbflow._engine.begin import Definition
    from nbflow._values import StateUpdate
    from nbflow.checkpoint.base import BaseCheckpointSaver
    from nbflow.graph.state import StateGraph

__all__ = ["CompiledStateGraph"]


class CompiledStateGraph(Workflow[Any, Any]):
    """A graph that can be run; made by `StateGraph.compile`.

    Attributes
    ----------
    builder : StateGraph
        What it was compiled from.
    """

    def __init__(self, definition: Definition, builder: StateGraph[Any]) -> None:
        super().__init__(definition)
        self.builder = builder

    def with_saver(self, saver: BaseCheckpointSaver) -> CompiledStateGraph:
        """Return this graph with another saver."""
        return CompiledStateGraph(self._with(saver), self.builder)

    def bulk_update_state(
        self,
        config: Mapping[str, Any],
        supersteps: Iterable[Iterable[StateUpdate]],
    ) -> NoReturn:
        """Refuse: a graph's thread can't be changed by hand yet.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError(
            f"The state of graph {self.name!r} can't be changed by hand yet. Let a "
            "node write it, or begin a new run with an input."
        )
