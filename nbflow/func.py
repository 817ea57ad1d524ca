"""`task` and `entrypoint`: how ordinary functions become durable ones."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, overload

from nbflow._engine.begin import Definition
from nbflow._engine.context import require
from nbflow._engine.spec import Spec, spec_of
from nbflow._engine.workflow import Workflow
from nbflow._values import FinalValue, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from nbflow._engine.futures import TaskFuture
    from nbflow._values import OnDivergence
    from nbflow.checkpoint.base import BaseCheckpointSaver

__all__ = ["entrypoint", "task"]

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")


class Task(Generic[P, T]):
    """A function whose calls are recorded; made by `task`.

    Calling it in a body starts it and returns a future at once.

    Attributes
    ----------
    func : callable
        The function itself.
    name : str
        What it is called in the log.
    retry_policy : tuple of RetryPolicy
        When a failed attempt is made again.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        functools.update_wrapper(self, spec.func)
        self.func = spec.func
        self.name = spec.name
        self.retry_policy = tuple(spec.retry)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> TaskFuture[T]:
        context = require("get_config")
        return context.run.call(self._spec, context.scope, args, kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        # A task in a class body is a method: the instance is its first argument.
        return self if instance is None else functools.partial(self, instance)

    def __nbflow_code__(self) -> Callable[..., Any]:
        """Return the function whose code counts as this task's."""
        return self._spec.func

    def __repr__(self) -> str:
        return f"<task {self.name!r}>"


class TaskDecorator(Protocol):
    """What `task` returns when it is given no function."""

    @overload
    def __call__(self, func: Callable[P, Awaitable[T]], /) -> Task[P, T]: ...
    @overload
    def __call__(self, func: Callable[P, T], /) -> Task[P, T]: ...


@overload
def task(__func: Callable[P, Awaitable[T]], /) -> Task[P, T]: ...
@overload
def task(__func: Callable[P, T], /) -> Task[P, T]: ...
@overload
def task(
    __func: None = None,
    /,
    *,
    name: str | None = None,
    retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
) -> TaskDecorator: ...
def task(
    __func: Any = None,
    /,
    *,
    name: str | None = None,
    retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
) -> Any:
    """Make a function a task: its calls run side by side and are recorded.

    Parameters
    ----------
    name : str, optional
        What it is called in the log; by default the function's name.
    retry_policy : RetryPolicy or sequence of RetryPolicy, optional
        When a failed attempt is made again; the first that fits counts.

    Returns
    -------
    Task
        Or a decorator, if called without a function.

    Raises
    ------
    NotImplementedError
        The function is a generator.
    TypeError
        It is not a function, or a policy is of another type.

    Examples
    --------
    >>> @task
    ... def double(number: int) -> int:
    ...     return number * 2
    >>> @entrypoint()
    ... def workflow(numbers: list[int]) -> list[int]:
    ...     futures = [double(number) for number in numbers]
    ...     return [future.result() for future in futures]
    >>> workflow.invoke([1, 2, 3])
    [2, 4, 6]
    """
    policies = _policies(retry_policy)

    def decorate(func: Callable[..., Any]) -> Task[Any, Any]:
        if not callable(func):
            raise TypeError(f"task takes a function, not {func!r}")
        return Task(spec_of(func, name=name, retry=policies))

    return decorate if __func is None else decorate(__func)


def _policies(
    given: RetryPolicy | Sequence[RetryPolicy] | None,
) -> tuple[RetryPolicy, ...]:
    # A policy is a named tuple, so it is a sequence too.
    found = (
        () if given is None else (given,) if isinstance(given, RetryPolicy) else given
    )
    for policy in found:
        if not isinstance(policy, RetryPolicy):
            raise TypeError(f"retry_policy takes RetryPolicy values, not {policy!r}")
    return tuple(found)


class entrypoint:  # noqa: N801 - LangGraph's name
    """Make a function a workflow: its runs are recorded, and can be continued.

    Parameters
    ----------
    checkpointer : BaseCheckpointSaver, optional
        Where runs are kept. Without one nothing is, and nothing can be continued.
    store : Any, optional
        Handed to bodies as `store`.
    on_divergence : {"warn", "error", "rerun"}, default "warn"
        What happens when a replayed body asks for another call than before.

    Raises
    ------
    NotImplementedError
        The function is a generator.
    ValueError
        It takes no parameter: the first one is the input.

    Examples
    --------
    >>> from nbflow.checkpoint.memory import InMemorySaver
    >>> @entrypoint(checkpointer=InMemorySaver())
    ... def add_up(number: int, *, previous: int | None) -> int:
    ...     return (previous or 0) + number
    >>> config = {"configurable": {"thread_id": "1"}}
    >>> add_up.invoke(1, config), add_up.invoke(2, config)
    (1, 3)
    """

    class final(FinalValue[R, S]):  # noqa: N801 - LangGraph's name
        """Return ``entrypoint.final(value=..., save=...)`` to save another value.

        Attributes
        ----------
        value : R
            What the caller gets.
        save : S
            What the next run of the thread gets as `previous`.
        """

        __slots__ = ()

    def __init__(
        self,
        checkpointer: BaseCheckpointSaver | None = None,
        store: Any = None,
        *,
        on_divergence: OnDivergence = "warn",
    ) -> None:
        if checkpointer is not None and not hasattr(checkpointer, "append"):
            raise TypeError(
                f"checkpointer must be a saver such as InMemorySaver() or "
                f"DuckDBSaver(path), not {checkpointer!r}"
            )
        self._checkpointer = checkpointer
        self._store = store
        self._on_divergence = on_divergence

    def __call__(self, func: Callable[..., Any]) -> Workflow[Any, Any]:
        """Make the function a workflow."""
        if not callable(func):
            raise TypeError(f"entrypoint decorates a function, not {func!r}")
        if not inspect.signature(func).parameters:
            raise ValueError("Entrypoint function must have at least one parameter")
        spec = spec_of(func, skip_first=True)
        return Workflow(
            Definition(
                spec,
                self._checkpointer,
                self._store,
                on_divergence=self._on_divergence,
            )
        )
