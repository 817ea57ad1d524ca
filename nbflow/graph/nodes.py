"""A node of a graph: the user's function, and where it goes on after it."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nbflow._engine.spec import Spec, spec_of
from nbflow._engine.workflow import Workflow
from nbflow._values import Command, NodeOutput, Send
from nbflow.errors import InvalidUpdateError, ParentCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nbflow._values import CachePolicy
    from nbflow.graph.schema import Schema

__all__ = ["Branch", "Node", "NodeCall", "node_spec", "targets_of"]


@dataclass(frozen=True, slots=True)
class Branch:
    """A choice after a node.

    Attributes
    ----------
    name : str
        Of the path function, unique at its node.
    path : callable
        Takes the state and returns where to go on.
    targets : mapping of str to str, or None
        What its answers stand for; None where they are names themselves.
    """

    name: str
    path: Callable[..., Any]
    targets: Mapping[Any, str] | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """What a builder knows of a node.

    Attributes
    ----------
    name : str
        Its name.
    spec : Spec
        The user's function, or what stands for it.
    schema : Schema
        What of the state it reads.
    defer : bool
        Whether it waits until nothing else is left to run.
    ends : tuple of str
        Where a command of it may go, for a drawing.
    """

    name: str
    spec: Spec
    schema: Schema
    defer: bool = False
    ends: tuple[str, ...] = ()


def node_spec(action: Any, name: str, **policies: Any) -> Spec:
    """Return what the engine has to know of a node's action.

    Parameters
    ----------
    action : callable, workflow or runnable
        A function of the state; a workflow or graph, which is run as a part of the
        same run; or an object with `invoke`, as LangChain's runnables.
    policies : Any
        As for `spec_of`.

    Raises
    ------
    TypeError
        It is none of these.
    """
    if isinstance(action, Workflow):
        function = functools.partial(_call_workflow, action)
        spec = spec_of(function, name=name, skip_first=True, **policies)
        # The workflow's code counts by itself: it is a call inside of this one.
        return replace(spec, is_async=action.definition.spec.is_async)
    if not inspect.isroutine(action) and callable(getattr(action, "invoke", None)):
        action = functools.partial(_call_runnable, action)
    if callable(action):
        return spec_of(action, name=name, skip_first=True, **policies)
    raise TypeError(
        f"The node {name!r} takes a function of the state, a workflow or a runnable, "
        f"not {action!r}."
    )


def targets_of(given: Any) -> tuple[str | Send, ...]:
    """Return where a branch or command goes on, as names and sends."""
    if given is None:
        return ()
    if isinstance(given, str | Send):
        return (given,)
    if isinstance(given, list | tuple | set | frozenset):
        return tuple(given)
    raise InvalidUpdateError(
        f"A branch returns a node's name, a Send, or a list of these, not {given!r}."
    )


class NodeCall:
    """A node as the engine calls it: the action, then its branches.

    Branches are part of the call, so that what they chose is recorded with it: a
    branch that asks a model is not asked again when the run goes on.

    Parameters
    ----------
    node : Node
        The node.
    branches : sequence of Branch
        What chooses where to go on.
    after : callable
        Takes the state's values and an update, and returns the state that branches
        get.
    """

    def __init__(
        self,
        node: Node,
        branches: Sequence[Branch],
        after: Callable[[Mapping[str, Any], Any], Any],
    ) -> None:
        self._node = node
        self._branches = tuple(branches)
        self._after = after
        self.spec: Spec = replace(
            node.spec, func=self, kind="node", cache=self._cache_policy()
        )

    def __nbflow_code__(self) -> Any:
        """Return what counts as the code of this call."""
        paths = {f"branch_{i}": b.path for i, b in enumerate(self._branches)}
        action = self._node.spec.func
        return functools.partial(action, **paths) if paths else action

    def _cache_policy(self) -> CachePolicy | None:
        policy = self._node.spec.cache
        if policy is None or policy.key_func is None:
            return policy
        key_func, read = policy.key_func, self._node.schema.read

        def key_of(values: Mapping[str, Any], *sent: Any, **injected: Any) -> Any:
            return key_func(sent[0] if sent else read(values), **injected)

        return replace(policy, key_func=key_of)

    def __call__(self, values: Mapping[str, Any], *sent: Any, **injected: Any) -> Any:
        """Run the action on the state's values, or on what was sent to it."""
        state = sent[0] if sent else self._node.schema.read(values)
        if self._node.spec.is_async:
            return self._acall(values, state, injected)
        try:
            returned = self._node.spec.func(state, **injected)
        except ParentCommand as raised:
            returned = raised.command
        update, goto = _read(returned)
        for branch in self._branches:
            answer = branch.path(self._after(values, update))
            goto += self._resolved(branch, answer)
        return NodeOutput(update, goto)

    async def _acall(
        self, values: Mapping[str, Any], state: Any, injected: Mapping[str, Any]
    ) -> NodeOutput:
        try:
            returned = await self._node.spec.func(state, **injected)
        except ParentCommand as raised:
            returned = raised.command
        update, goto = _read(returned)
        for branch in self._branches:
            answer = branch.path(self._after(values, update))
            if inspect.isawaitable(answer):
                answer = await answer
            goto += self._resolved(branch, answer)
        return NodeOutput(update, goto)

    def _resolved(self, branch: Branch, answer: Any) -> tuple[str | Send, ...]:
        if answer is None:
            raise ValueError(
                f"Branch did not return a valid destination: {branch.name!r} after "
                f"{self._node.name!r} returned None. Return a node's name, or END."
            )
        if branch.targets is None:
            return targets_of(answer)
        many = answer if isinstance(answer, list | tuple) else (answer,)
        return tuple(self._target(branch, target) for target in many)

    def _target(self, branch: Branch, answer: Any) -> str | Send:
        targets = branch.targets or {}
        if isinstance(answer, Send):
            return answer
        if answer not in targets:
            raise InvalidUpdateError(
                f"The branch {branch.name!r} after {self._node.name!r} returned "
                f"{answer!r}, which its path map does not know. It knows "
                f"{', '.join(map(repr, targets))}."
            )
        return targets[answer]


def _read(returned: Any) -> tuple[Any, tuple[str | Send, ...]]:
    """Return a node's update, and where its commands go on."""
    updates: list[Any] = []
    goto: list[str | Send] = []
    is_list = isinstance(returned, list)
    many = is_list and any(isinstance(part, Command) for part in returned)
    for part in returned if many else (returned,):
        if not isinstance(part, Command):
            updates.append(part)
            continue
        if part.graph == Command.PARENT:
            raise ParentCommand(replace(part, graph=None))
        goto.extend(targets_of(part.goto))
        if part.update is not None:
            updates.append(part.update)
    if len(updates) > 1:
        return updates, tuple(goto)
    return (updates[0] if updates else None), tuple(goto)


def _call_workflow(workflow: Workflow[Any, Any], state: Any) -> Any:
    spec = workflow.definition.spec
    return workflow.ainvoke(state) if spec.is_async else workflow.invoke(state)


def _call_runnable(runnable: Any, state: Any, config: Any) -> Any:
    return runnable.invoke(state, config)
