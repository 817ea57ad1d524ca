"""A compiled graph: who runs after whom, and how writes become the next state.

Pure functions over values. What a run, a log or a thread is, is not known here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbflow._values import END, START, UNSET, Send
from nbflow.errors import InvalidUpdateError
from nbflow.graph.channels import Reduced, applied
from nbflow.graph.schema import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nbflow._values import NodeOutput
    from nbflow.graph.channels import Channel
    from nbflow.graph.nodes import NodeCall
    from nbflow.graph.schema import Schema

__all__ = ["Frontier", "Plan", "Turn"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a run of a graph follows.

    Attributes
    ----------
    channels : mapping of str to Channel
        Every key of the state, those of nodes' own input schemas too.
    input, output : Schema
        What a run is given, and what its caller gets.
    state : Schema
        The whole state.
    calls : mapping of str to NodeCall
        The nodes by name. `START` is among them where branches begin there.
    edges : mapping of str to tuple of str
        Who runs after a node.
    joins : tuple of (frozenset of str, str)
        Who runs once all of some nodes have run.
    deferred : frozenset of str
        Who runs when nothing else is left.
    """

    channels: Mapping[str, Channel]
    input: Schema
    output: Schema
    state: Schema
    calls: Mapping[str, NodeCall]
    edges: Mapping[str, tuple[str, ...]]
    joins: tuple[tuple[frozenset[str], str], ...] = ()
    deferred: frozenset[str] = frozenset()

    def begin(self, values: Mapping[str, Any] | None, given: Any) -> dict[str, Any]:
        """Return the values that a run begins with: the thread's, and its input."""
        update = given if self.input.is_root else self.input.written(given)
        empty = {
            name: channel.make()
            for name, channel in self.channels.items()
            if isinstance(channel, Reduced) and channel.make is not None
        }
        return self.after({**empty, **(values or {})}, (update,))

    def after(
        self, values: Mapping[str, Any], updates: Iterable[Any]
    ) -> dict[str, Any]:
        """Return the values after one step's updates, in order.

        Raises
        ------
        InvalidUpdateError
            An update is none, or two nodes wrote to a key that holds one value.
        """
        writes: dict[str, list[Any]] = defaultdict(list)
        for update in updates:
            for name, value in self._written(update):
                writes[name].append(value)
        new = dict(values)
        for name, written in writes.items():
            held = values.get(name, UNSET)
            new[name] = applied(name, self.channels[name], held, written)
        return new

    def state_after(self, values: Mapping[str, Any], update: Any) -> Any:
        """Return the state that a node's branches see."""
        return self.state.read(self.after(values, (update,)))

    def result(self, values: Mapping[str, Any]) -> Any:
        """Return what the caller gets of these values."""
        if self.output.is_root:
            return values.get(ROOT)
        return {name: values[name] for name in self.output.channels if name in values}

    def _written(self, update: Any) -> Iterable[tuple[str, Any]]:
        if isinstance(update, list | tuple) and not self.state.is_root:
            if update and all(map(_is_pair, update)):
                # The same key may be written to more than once.
                return [pair for part in update for pair in self._written(dict([part]))]
            if isinstance(update, list):
                return [pair for part in update for pair in self._written(part)]
        known = self.state.written(update)
        if isinstance(update, dict):
            # A node may write what only another node's own input schema has.
            for name in update.keys() & (self.channels.keys() - known.keys()):
                known[name] = update[name]
        return known.items()

    def check_target(self, target: str | Send, *, of: str) -> None:
        """Refuse a target that is no node.

        Raises
        ------
        InvalidUpdateError
            It is none.
        """
        name = target.node if isinstance(target, Send) else target
        if name not in self.calls or name == START:
            known = ", ".join(map(repr, self.calls.keys() - {START}))
            raise InvalidUpdateError(
                f"The node {of!r} goes on to {name!r}, which is no node of this graph. "
                f"Its nodes are {known}."
            )


def _is_pair(part: Any) -> bool:
    return isinstance(part, tuple) and len(part) == 2 and isinstance(part[0], str)  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class Turn:
    """One node's turn in a step.

    Attributes
    ----------
    node : str
        Its name.
    sent : tuple
        What was sent to it, alone in the tuple; empty where it reads the state.
    """

    node: str
    sent: tuple[Any, ...] = ()


@dataclass(slots=True)
class Frontier:
    """Who runs next, and who waits for whom."""

    plan: Plan
    _sends: list[Turn] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)
    _deferred: set[str] = field(default_factory=set)
    _seen: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))

    def advance(self, ended: Sequence[tuple[str, NodeOutput | None]]) -> None:
        """Note which nodes have run, and where they go on."""
        for name, output in ended:
            for target in self.plan.edges.get(name, ()):
                self._go(target, of=name)
            for target in output.goto if output is not None else ():
                self._go(target, of=name)
        names = {name for name, _ in ended}
        for index, (before, then) in enumerate(self.plan.joins):
            seen = self._seen[index]
            seen |= names & before
            if seen == before:
                seen.clear()
                self._go(then, of="+".join(sorted(before)))

    def take(self) -> list[Turn]:
        """Return who runs in the next step: by name, then what was sent, in order."""
        sends, self._sends = self._sends, []
        names, self._names = self._names, set()
        if not sends and not names:
            names, self._deferred = self._deferred, set()
        return [*(Turn(name) for name in sorted(names)), *sends]

    def _go(self, target: str | Send, *, of: str) -> None:
        if target == END:
            return
        self.plan.check_target(target, of=of)
        if isinstance(target, Send):
            self._sends.append(Turn(target.node, (target.arg,)))
        elif target in self.plan.deferred:
            self._deferred.add(target)
        else:
            self._names.add(target)


def no_parent(command: Any) -> InvalidUpdateError:
    """Return the error of a command for a graph that is not there."""
    return InvalidUpdateError(
        f"{command!r} is for the graph around this one, and there is none: this graph "
        "was called by itself."
    )
