"""`StateGraph`: nodes and edges over one state, compiled to a workflow."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Self,
    TypeVar,
    overload,
)

from nbflow._engine.asking import names_of
from nbflow._engine.begin import Definition
from nbflow._engine.retry import policies_of
from nbflow._engine.spec import Spec
from nbflow._values import END, START, Command, TimeoutPolicy
from nbflow.graph.compiled import CompiledStateGraph
from nbflow.graph.nodes import Branch, Node, NodeCall, node_spec
from nbflow.graph.plan import Plan
from nbflow.graph.schema import Schema, schema_of
from nbflow.graph.supersteps import GraphBody

if TYPE_CHECKING:
    from datetime import timedelta

    from nbflow._values import CachePolicy, RetryPolicy
    from nbflow.cache.base import BaseCache
    from nbflow.checkpoint.base import BaseCheckpointSaver
    from nbflow.graph.channels import Channel
    from nbflow.store.base import BaseStore

__all__ = ["CompiledStateGraph", "StateGraph"]

StateT = TypeVar("StateT")


class StateGraph(Generic[StateT]):
    """A builder of a graph: its nodes read one state and write parts of it.

    In each step the nodes whose turn it is run side by side; what they return is
    written to the state when all of them have ended; edges say whose turn is next.

    Parameters
    ----------
    state_schema : type
        A TypedDict, dataclass or pydantic model with the state's keys, or any other
        type for a state of one value. A key annotated with ``Annotated[T, reducer]``
        combines what is written to it.
    context_schema : type, optional
        What the caller's `context` is made into.
    input_schema, output_schema : type, optional
        What a run takes and gives, where that is not the whole state.

    Examples
    --------
    >>> import operator
    >>> from typing import Annotated, TypedDict
    >>> State = TypedDict("State", {"words": Annotated[list[str], operator.add]})
    >>> builder = StateGraph(State)
    >>> _ = builder.add_node("greet", lambda state: {"words": ["hello"]})
    >>> _ = builder.add_edge(START, "greet").add_edge("greet", END)
    >>> builder.compile().invoke({"words": ["well,"]})
    {'words': ['well,', 'hello']}
    """

    @overload
    def __init__(
        self,
        state_schema: type[StateT],
        context_schema: type[Any] | None = None,
        *,
        input_schema: Any = None,
        output_schema: Any = None,
    ) -> None: ...
    @overload
    def __init__(
        self: StateGraph[Any],
        state_schema: Any,
        context_schema: type[Any] | None = None,
        *,
        input_schema: Any = None,
        output_schema: Any = None,
    ) -> None: ...
    def __init__(
        self,
        state_schema: Any,
        context_schema: type[Any] | None = None,
        *,
        input_schema: Any = None,
        output_schema: Any = None,
    ) -> None:
        self.state_schema = state_schema
        self.context_schema = context_schema
        self._state = schema_of(state_schema)
        self._input = self._state if input_schema is None else schema_of(input_schema)
        self._output = (
            self._state if output_schema is None else schema_of(output_schema)
        )
        self.nodes: dict[str, Node] = {}
        self.edges: set[tuple[str, str]] = set()
        self.branches: dict[str, list[Branch]] = {}
        self._joins: dict[tuple[frozenset[str], str], None] = {}

    # Nodes.

    def add_node(
        self,
        node: str | Callable[..., Any] | Any,
        action: Callable[..., Any] | Any = None,
        *,
        defer: bool = False,
        input_schema: Any = None,
        retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
        cache_policy: CachePolicy | None = None,
        destinations: Sequence[str] | Mapping[str, str] | None = None,
        timeout: float | timedelta | TimeoutPolicy | None = None,
    ) -> Self:
        """Add a node.

        Parameters
        ----------
        node : str or callable
            Its name; or the action itself, whose name it takes.
        action : callable, workflow or runnable, optional
            Takes the state and returns a dict of what it changes, a `Command`, a
            list of these, or None.
        defer : bool, default False
            Run it when nothing else is left to run.
        input_schema : type, optional
            What of the state it reads; by default what its first parameter is
            annotated with, else all of it.
        retry_policy, cache_policy, timeout
            As for `nbflow.func.task`.
        destinations : sequence or mapping of str, optional
            Where its commands may go, for the drawing.

        Returns
        -------
        StateGraph
            This builder.

        Raises
        ------
        ValueError
            The name is reserved, taken or holds a reserved character.
        TypeError
            The action can't be called.
        """
        if not isinstance(node, str):
            node, action = _name_of(node), node
        if action is None:
            raise TypeError(f"The node {node!r} has no action: add_node(name, action).")
        self._check_name(node)
        spec = node_spec(
            action,
            node,
            retry=policies_of(retry_policy),
            cache=cache_policy,
            timeout=TimeoutPolicy.coerce(timeout),
        )
        schema = self._read_by(action, input_schema)
        ends = tuple(destinations or ()) or _ends_of(action)
        self.nodes[node] = Node(node, spec, schema, defer, ends)
        return self

    def _check_name(self, name: str) -> None:
        if name in self.nodes:
            raise ValueError(f"Node `{name}` already present.")
        if name in (START, END):
            raise ValueError(f"Node `{name}` is reserved.")
        for character in "|:":
            if character in name:
                raise ValueError(
                    f"'{character}' is a reserved character and is not allowed in the "
                    "node names."
                )

    def _read_by(self, action: Any, given: Any) -> Schema:
        if given is not None:
            return schema_of(given)
        annotation = _first_annotation(action)
        if isinstance(annotation, type) and _may_be_schema(annotation):
            return schema_of(annotation)
        return self._state

    # Edges.

    def add_edge(self, start_key: str | Sequence[str], end_key: str) -> Self:
        """Run a node after another, or after all of several.

        Parameters
        ----------
        start_key : str or sequence of str
            Who runs before; several are all waited for.
        end_key : str
            Who runs then.

        Raises
        ------
        ValueError
            An end can't start, or a start end.
        """
        if end_key == START:
            raise ValueError("START cannot be an end node")
        starts = (start_key,) if isinstance(start_key, str) else tuple(start_key)
        if END in starts:
            raise ValueError("END cannot be a start node")
        if isinstance(start_key, str):
            self.edges.add((start_key, end_key))
        else:
            self._joins[frozenset(starts), end_key] = None
        return self

    def add_conditional_edges(
        self,
        source: str,
        path: Callable[..., Any],
        path_map: Mapping[Hashable, str] | Sequence[str] | None = None,
    ) -> Self:
        """Choose who runs after a node.

        Parameters
        ----------
        source : str
            The node.
        path : callable
            Takes the state after the node, and returns a name, a `Send`, or a list
            of these.
        path_map : mapping or sequence of str, optional
            What its answers stand for, or the names it may return.

        Raises
        ------
        ValueError
            The node has a branch of that name.
        """
        name = _name_of(path)
        known = self.branches.setdefault(source, [])
        if any(branch.name == name for branch in known):
            raise ValueError(
                f"Branch with name `{name}` already exists for node `{source}`"
            )
        if path_map is None:
            path_map = _literals_of(path)
        if path_map is not None and not isinstance(path_map, Mapping):
            path_map = {target: target for target in path_map}
        known.append(Branch(name, path, path_map or None))
        return self

    def add_sequence(self, nodes: Sequence[Any]) -> Self:
        """Add nodes that run one after the other.

        Parameters
        ----------
        nodes : sequence of callable or (str, callable)
            The nodes, in order.

        Raises
        ------
        ValueError
            There are none.
        """
        if not nodes:
            raise ValueError("Sequence requires at least one node.")
        before: str | None = None
        for node in nodes:
            name, action = node if isinstance(node, tuple) else (_name_of(node), node)
            self.add_node(name, action)
            if before is not None:
                self.add_edge(before, name)
            before = name
        return self

    def set_entry_point(self, key: str) -> Self:
        """Begin with a node."""
        return self.add_edge(START, key)

    def set_finish_point(self, key: str) -> Self:
        """End after a node."""
        return self.add_edge(key, END)

    def set_conditional_entry_point(
        self,
        path: Callable[..., Any],
        path_map: Mapping[Hashable, str] | Sequence[str] | None = None,
    ) -> Self:
        """Choose which node to begin with; as `add_conditional_edges`."""
        return self.add_conditional_edges(START, path, path_map)

    # The end of building.

    def validate(self, interrupt: Sequence[str] | None = None) -> Self:
        """Check that the graph can run.

        Parameters
        ----------
        interrupt : sequence of str, optional
            Nodes that a run is to stop at.

        Raises
        ------
        ValueError
            Nothing is run first, or a name is no node's.
        """
        sources = {start for start, _ in self.edges} | set(self.branches)
        sources |= {start for starts, _ in self._joins for start in starts}
        for source in sources - {START}:
            if source not in self.nodes:
                raise ValueError(f"Found edge starting at unknown node '{source}'")
        if START not in sources:
            raise ValueError(
                "Graph must have an entrypoint: add at least one edge from START to "
                "another node"
            )
        ends = {end for _, end in self.edges} | {end for _, end in self._joins}
        for end in ends - {END}:
            if end not in self.nodes:
                raise ValueError(f"Found edge ending at unknown node `{end}`")
        for source, branches in self.branches.items():
            for branch in branches:
                self._check_branch(source, branch)
        for name in interrupt or ():
            if name not in self.nodes:
                raise ValueError(f"Interrupt node `{name}` not found")
        return self

    def _check_branch(self, source: str, branch: Branch) -> None:
        for target in (branch.targets or {}).values():
            if target != END and target not in self.nodes:
                raise ValueError(
                    f"At '{source}' node, '{branch.name}' branch found unknown target "
                    f"'{target}'"
                )

    def compile(
        self,
        checkpointer: BaseCheckpointSaver | bool | None = None,
        *,
        cache: BaseCache | None = None,
        store: BaseStore | None = None,
        interrupt_before: Sequence[str] | str | None = None,
        interrupt_after: Sequence[str] | str | None = None,
        name: str | None = None,
    ) -> CompiledStateGraph:
        """Return the graph as a workflow: invoke it, stream it, look at its threads.

        Parameters
        ----------
        checkpointer : BaseCheckpointSaver or bool, optional
            As for `nbflow.func.entrypoint`.
        cache, store : optional
            As there.
        interrupt_before, interrupt_after : sequence of str or "*", optional
            Nodes that every run stops at.
        name : str, default "LangGraph"
            What it is called in the log.

        Raises
        ------
        ValueError
            The graph can't run.
        """
        stops = [interrupt_before, interrupt_after]
        named = [n for s in stops if s and not isinstance(s, str) for n in s]
        self.validate(named)
        plan = self._plan()
        is_async = any(node.spec.is_async for node in self.nodes.values())
        body = GraphBody(plan, self._code(), is_async=is_async)
        spec = Spec(
            func=body,
            name=name or "LangGraph",
            is_async=is_async,
            injected={"config": None, "previous": None},
            positional=("given",),
        )
        definition = Definition(
            spec,
            None if isinstance(checkpointer, bool) else checkpointer,
            store,
            cache=cache,
            context_schema=self.context_schema,
            keeps=checkpointer if isinstance(checkpointer, bool) else None,
            stops=(
                names_of("interrupt_before", interrupt_before),
                names_of("interrupt_after", interrupt_after),
            ),
        )
        return CompiledStateGraph(definition, self)

    def _plan(self) -> Plan:
        channels: dict[str, Channel] = {}
        schemas = [self._input, self._output, self._state]
        for schema in (*(node.schema for node in self.nodes.values()), *schemas):
            channels.update(schema.channels)
        edges: dict[str, list[str]] = {}
        for start, end in sorted(self.edges):
            edges.setdefault(start, []).append(end)
        plan = Plan(
            channels=channels,
            input=self._input,
            output=self._output,
            state=self._state,
            calls={},
            edges={start: tuple(ends) for start, ends in edges.items()},
            joins=tuple(self._joins),
            deferred=frozenset(n for n, node in self.nodes.items() if node.defer),
        )
        nodes = dict(self.nodes)
        if START in self.branches:
            spec = node_spec(_nothing, START)
            nodes[START] = Node(START, spec, self._state)
        calls = {
            name: NodeCall(node, self.branches.get(name, ()), plan.state_after)
            for name, node in nodes.items()
        }
        return replace(plan, calls=calls)

    def _code(self) -> Any:
        shape = (
            tuple(sorted(self.nodes)),
            tuple(sorted(self.edges)),
            tuple((tuple(sorted(starts)), end) for starts, end in self._joins),
        )
        return functools.partial(_nothing, repr(shape))


def _nothing(_state: Any) -> None:
    """Stand for a node that does nothing."""


def _name_of(action: Any) -> str:
    name = getattr(action, "__name__", None) or getattr(action, "name", None)
    return str(name or type(action).__name__)


def _first_annotation(action: Any) -> Any:
    function = action if inspect.isroutine(action) else type(action).__call__
    try:
        parameters = [n for n in inspect.signature(function).parameters if n != "self"]
        return typing.get_type_hints(function).get(parameters[0])
    except Exception:  # noqa: BLE001 - the user's annotations may be anything
        return None


def _may_be_schema(annotation: type) -> bool:
    fields = hasattr(annotation, "__dataclass_fields__") or hasattr(
        annotation, "model_fields"
    )
    return fields or (issubclass(annotation, dict) and hasattr(annotation, "__total__"))


def _literals_of(path: Any) -> tuple[str, ...] | None:
    found = _returned(path)
    if typing.get_origin(found) is typing.Literal:
        return typing.get_args(found)
    return None


def _ends_of(action: Any) -> tuple[str, ...]:
    found = _returned(action)
    if typing.get_origin(found) is not Command:
        return ()
    (literal,) = typing.get_args(found)
    return typing.get_args(literal)


def _returned(function: Any) -> Any:
    try:
        return typing.get_type_hints(function).get("return")
    except Exception:  # noqa: BLE001 - the user's annotations may be anything
        return None
