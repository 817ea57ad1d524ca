"""A graph as a body: in each step its nodes run side by side, as calls of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from nbflow import serde
from nbflow._engine.context import require
from nbflow._engine.ids import new_checkpoint_id
from nbflow._events import StepReached
from nbflow._values import START, FinalValue, NodeOutput
from nbflow.errors import GraphInterrupt, GraphRecursionError, ParentCommand
from nbflow.graph.plan import Frontier, Plan, Turn, no_parent

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from nbflow._engine.context import RunContext
    from nbflow._engine.futures import TaskFuture

__all__ = ["GraphBody"]

_Steps: TypeAlias = "Generator[list[TaskFuture[Any]], list[Any], FinalValue[Any, Any]]"


class GraphBody:
    """What a compiled graph's run calls; the same steps for both worlds.

    Parameters
    ----------
    plan : Plan
        The graph.
    code : callable
        What counts as its code.
    is_async : bool
        Whether a node of it is.
    """

    def __init__(self, plan: Plan, code: Any, *, is_async: bool) -> None:
        self._plan = plan
        self._code = code
        self._is_async = is_async

    def __nbflow_code__(self) -> Any:
        """Return what counts as the graph's own code: its shape."""
        return self._code

    def __call__(self, given: Any, *, config: Mapping[str, Any], previous: Any) -> Any:
        """Run the graph on an input."""
        steps = _steps(self._plan, given, config, previous)
        return _awaiting(steps) if self._is_async else _waiting(steps)


def _waiting(steps: _Steps) -> FinalValue[Any, Any]:
    try:
        futures = next(steps)
        while True:
            futures = steps.send([_outcome(future) for future in futures])
    except StopIteration as stop:
        final: FinalValue[Any, Any] = stop.value
        return final


async def _awaiting(steps: _Steps) -> FinalValue[Any, Any]:
    try:
        futures = next(steps)
        while True:
            ended = [await _awaited(future) for future in futures]
            futures = steps.send(ended)
    except StopIteration as stop:
        final: FinalValue[Any, Any] = stop.value
        return final


def _steps(plan: Plan, given: Any, config: Mapping[str, Any], previous: Any) -> _Steps:
    context, limit = require("a graph"), config["recursion_limit"]
    context.scope.is_graph = True
    values: dict[str, Any] = plan.begin(previous, given)
    frontier = Frontier(plan)
    start = plan.calls.get(START)
    outputs: list[Any] = [None]
    if start is not None:
        outputs = yield _called(plan, context, [Turn(START)], values)
        _raise_first(context, outputs)
    frontier.advance([(START, outputs[0])])
    step, ended = 0, list[Turn]()
    while True:
        turns = frontier.take()
        if not turns:
            return FinalValue(value=plan.result(values), save=values)
        _note(context, plan, step, values, turns, ended=ended)
        ended = turns
        if step >= limit:
            raise GraphRecursionError(
                f"Recursion limit of {limit} reached without hitting a stop condition. "
                "You can increase the limit by setting the `recursion_limit` config "
                "key."
            )
        outputs = yield _called(plan, context, turns, values)
        ends = [output.update for output in outputs if isinstance(output, NodeOutput)]
        values = plan.after(values, ends)
        if len(ends) < len(outputs) and not context.scope.nested:
            context.run.reached = plan.result(values)
        _raise_first(context, outputs)
        frontier.advance(
            [(turn.node, output) for turn, output in zip(turns, outputs, strict=True)]
        )
        step += 1


def _called(
    plan: Plan, context: RunContext, turns: list[Turn], values: Mapping[str, Any]
) -> list[TaskFuture[Any]]:
    held = dict(values)
    return [
        context.run.call(
            plan.calls[turn.node].spec, context.scope, (held, *turn.sent), {}
        )
        for turn in turns
    ]


def _note(
    context: RunContext,
    plan: Plan,
    step: int,
    values: Mapping[str, Any],
    turns: list[Turn],
    *,
    ended: list[Turn],
) -> None:
    run, scope = context.run, context.scope
    shown = plan.result(values)
    names = tuple(turn.node for turn in turns)
    event = StepReached(
        call_id=scope.parent_id,
        step=step,
        value=run.log.payload(shown, root="state", task=scope.name),
        save=(
            None
            if not plan.output.is_root and shown.keys() == values.keys()
            else run.log.payload(dict(values), root="state", task=scope.name)
        ),
        key=serde.fingerprint((values, names)),
        next=names,
        checkpoint_id=new_checkpoint_id(),
    )
    if not scope.nested:
        run.reached = shown
    if run.recorded.is_new_step(event):
        run.log.write(event)
        _stop_here(context, names, ended)


def _stop_here(context: RunContext, names: tuple[str, ...], ended: list[Turn]) -> None:
    # Once at each place: where the run goes on, the step is recorded.
    before, after = context.run.settings.stops
    stops = [name for name in names if "*" in before or name in before]
    stops += [turn.node for turn in ended if "*" in after or turn.node in after]
    if stops:
        context.run.stands_still = True
        raise GraphInterrupt


def _outcome(future: TaskFuture[Any]) -> Any:
    try:
        return future.result()
    except (Exception, GraphInterrupt, ParentCommand) as error:  # noqa: BLE001 - the user's; the others of the step are waited for first
        return error


async def _awaited(future: TaskFuture[Any]) -> Any:
    try:
        return await future
    except (Exception, GraphInterrupt, ParentCommand) as error:  # noqa: BLE001 - as above
        return error


def _raise_first(context: RunContext, outputs: list[Any]) -> None:
    """Raise what ended the step: a failure before a question before a command."""
    raised = [o for o in outputs if not isinstance(o, NodeOutput)]
    order = (Exception, GraphInterrupt, ParentCommand)
    for kind in order:
        for error in raised:
            if not isinstance(error, kind):
                continue
            if isinstance(error, ParentCommand) and not context.scope.nested:
                raise no_parent(error.command) from error
            raise error
