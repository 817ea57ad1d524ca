"""A compiled graph: a workflow whose body runs nodes in steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from nbflow._engine.caching import namespace_of
from nbflow._engine.workflow import Workflow
from nbflow.graph.nodes import NodeCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nbflow._engine.begin import Definition
    from nbflow._values import StateUpdate
    from nbflow.cache.base import BaseCache, Namespace
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

    def _cached_nodes(
        self, nodes: Sequence[str] | None
    ) -> tuple[BaseCache | None, list[Namespace]]:
        known = self.builder.nodes
        for name in nodes or ():
            if name not in known:
                raise ValueError(
                    f"{self.name!r} has no node {name!r}. Its nodes are "
                    f"{', '.join(map(repr, known))}."
                )
        names = known if nodes is None else nodes
        specs = [NodeCall(known[name], (), _nothing).spec for name in names]
        return self._definition.cache, [namespace_of(spec) for spec in specs]

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


def _nothing(_values: Mapping[str, Any], _update: Any) -> None:
    """Stand for the state after a node, where only its name is asked for."""
