"""`task` and `entrypoint`: how ordinary functions become durable ones."""

from __future__ import annotations

import ast
import functools
import inspect
import typing
import warnings
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVar,
    overload,
)

from nbflow._engine import caching
from nbflow._engine.begin import Definition
from nbflow._engine.context import require
from nbflow._engine.retry import policies_of
from nbflow._engine.spec import Spec, spec_of
from nbflow._engine.workflow import Workflow
from nbflow._values import (
    CachePolicy,
    FinalValue,
    OnDivergence,
    RetryPolicy,
    TimeoutPolicy,
)
from nbflow.errors import LangGraphDeprecatedSinceV05, LangGraphDeprecatedSinceV10

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from datetime import timedelta
    from typing import Unpack

    from nbflow._engine.futures import TaskFuture
    from nbflow.cache.base import BaseCache
    from nbflow.checkpoint.base import BaseCheckpointSaver
    from nbflow.store.base import BaseStore

__all__ = ["entrypoint", "task"]

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")
InputT = TypeVar("InputT")


class _OldNames(TypedDict, total=False):
    retry: RetryPolicy | Sequence[RetryPolicy] | None


class _OldNamesOfEntrypoints(_OldNames, total=False):
    config_schema: type[Any] | None


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
    cache_policy : CachePolicy or None
        How its results are kept for other runs.
    timeout : TimeoutPolicy or None
        How long an attempt may take, in numbers of seconds.
    """

    __name__: str

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        functools.update_wrapper(self, spec.func)
        self.func: Callable[..., Any] = spec.func
        self.name: str = spec.name
        self.__name__ = spec.name
        self.retry_policy: tuple[RetryPolicy, ...] = tuple(spec.retry)
        self.cache_policy: CachePolicy | None = spec.cache
        self.timeout: TimeoutPolicy | None = spec.timeout

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> TaskFuture[T]:
        context = require("get_config")
        return context.run.call(self._spec, context.scope, args, kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        # A task in a class body is a method: the instance is its first argument.
        return self if instance is None else functools.partial(self, instance)

    def __nbflow_code__(self) -> Callable[..., Any]:
        """Return the function whose code counts as this task's."""
        return self._spec.func

    def clear_cache(self, cache: BaseCache) -> None:
        """Forget this task's results in a cache; without a cache policy do nothing."""
        if self._spec.cache is not None:
            cache.clear([caching.namespace_of(self._spec)])

    async def aclear_cache(self, cache: BaseCache) -> None:
        """Like `clear_cache`, off the event loop."""
        if self._spec.cache is not None:
            await cache.aclear([caching.namespace_of(self._spec)])

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
    cache_policy: CachePolicy | None = None,
    timeout: float | timedelta | TimeoutPolicy | None = None,
    codec: Literal["pickle"] | None = None,
    **deprecated: Unpack[_OldNames],
) -> TaskDecorator: ...
def task(
    __func: Any = None,
    /,
    *,
    name: str | None = None,
    retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
    cache_policy: CachePolicy | None = None,
    timeout: float | timedelta | TimeoutPolicy | None = None,
    codec: Literal["pickle"] | None = None,
    **deprecated: Unpack[_OldNames],
) -> Any:
    """Make a function a task: its calls run side by side and are recorded.

    Parameters
    ----------
    name : str, optional
        What it is called in the log; by default the function's name.
    retry_policy : RetryPolicy or sequence of RetryPolicy, optional
        When a failed attempt is made again; the first that fits counts.
    cache_policy : CachePolicy, optional
        How results are kept for other runs, in the cache of the entrypoint. The
        code of the function is part of what a result is found by.
    timeout : float, timedelta or TimeoutPolicy, optional
        How long an attempt may take; a number is the seconds for all of it. An
        asynchronous task is then cancelled. A synchronous one can't be: its thread
        is left behind, and what it returns later is discarded.
    codec : {"pickle"}, optional
        Pickle a result where part of it can't be stored otherwise; other results stay
        as readable as they are. Only a saver that was opened with
        ``allow_pickle=True`` hands pickles out again, an `InMemorySaver` always. They
        are kept in no cache and in no exported thread, and as arguments of other
        tasks they count by the name of their type.
    **deprecated
        ``retry``, the older name of `retry_policy`.

    Returns
    -------
    Task
        Or a decorator, if called without a function.

    Raises
    ------
    NotImplementedError
        The function is a generator.
    TypeError
        It is not a function, or a policy or the name is of another type.
    ValueError
        A time is not greater than 0, or `codec` is another text.

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
    retry = policies_of(_renamed(deprecated, retry_policy, "task"))
    cache = _cache_policy(cache_policy)
    limit = TimeoutPolicy.coerce(timeout)
    pickles = _pickles(codec)
    if name is not None:
        _check_name(name)

    def decorate(func: Callable[..., Any]) -> Task[Any, Any]:
        if not callable(func):
            raise TypeError(f"task takes a function, not {func!r}")
        return Task(
            spec_of(
                func,
                name=name,
                retry=retry,
                cache=cache,
                timeout=limit,
                pickles=pickles,
            )
        )

    return decorate if __func is None else decorate(__func)


def _renamed(given: Any, retry_policy: Any, decorator: str) -> Any:
    """Return the retry policy, also where it came by its older name."""
    unknown = sorted(set(given) - {"retry"})
    if unknown:
        raise TypeError(
            f"{decorator}() got an unexpected keyword argument {unknown[0]!r}"
        )
    if "retry" not in given:
        return retry_policy
    warnings.warn(
        LangGraphDeprecatedSinceV05(
            "`retry` is deprecated and will be removed. "
            "Please use `retry_policy` instead."
        ),
        stacklevel=3,
    )
    return given["retry"] if retry_policy is None else retry_policy


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise TypeError(f"name must be a text, and not an empty one, not {name!r}")


def _cache_policy(given: CachePolicy | None) -> CachePolicy | None:
    if given is not None and not isinstance(given, CachePolicy):
        raise TypeError(f"cache_policy takes a CachePolicy, not {given!r}")
    return given


def _pickles(codec: str | None) -> bool:
    if codec not in (None, "pickle"):
        raise ValueError(
            f"codec must be 'pickle' or None, not {codec!r}: what nbflow can store "
            "needs none. Register a codec of your own with nbflow.serde.register."
        )
    return codec is not None


class entrypoint:  # noqa: N801 - LangGraph's name
    """Make a function a workflow: its runs are recorded, and can be continued.

    Parameters
    ----------
    checkpointer : BaseCheckpointSaver or bool, optional
        Where runs are kept. Without one nothing is, and nothing can be continued.
        Inside of another workflow None is part of that one's run, True keeps a
        history of its own there, and False keeps nothing.
    store : BaseStore, optional
        Handed to bodies as `store`.
    cache : BaseCache, optional
        Where results of tasks with a `cache_policy`, and of the body with one, are
        kept for other runs.
    context_schema : type, optional
        What the caller's `context` is; a dict is made into it where it is a
        dataclass or a pydantic model.
    cache_policy : CachePolicy, optional
        How the body's own result is kept for other runs with the same input.
    retry_policy : RetryPolicy or sequence of RetryPolicy, optional
        When the body is attempted again; its finished calls are not.
    timeout : float, timedelta or TimeoutPolicy, optional
        How long an attempt of the body may take; see `task`.
    on_divergence : {"warn", "error", "rerun"}, default "warn"
        What happens when a replayed body asks for another call than before.
    codec : {"pickle"}, optional
        Pickle what the body returns and saves where it can't be stored otherwise; see
        `task`.
    **deprecated
        ``config_schema`` and ``retry``, the older names of `context_schema` and
        `retry_policy`.

    Raises
    ------
    NotImplementedError
        The function is a generator.
    TypeError
        An argument is not what it has to be, or ``entrypoint.final[...]`` in the
        function's annotation does not name two types.
    ValueError
        It takes no parameter: the first one is the input. Or a time is not greater
        than 0, or a text is none of those that are allowed.

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

    def __init__(  # noqa: PLR0917 - LangGraph's order
        self,
        checkpointer: BaseCheckpointSaver | bool | None = None,
        store: BaseStore | None = None,
        cache: BaseCache | None = None,
        context_schema: type[Any] | None = None,
        cache_policy: CachePolicy | None = None,
        retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
        timeout: float | timedelta | TimeoutPolicy | None = None,
        *,
        on_divergence: OnDivergence = "warn",
        codec: Literal["pickle"] | None = None,
        **deprecated: Unpack[_OldNamesOfEntrypoints],
    ) -> None:
        given: dict[str, Any] = dict(deprecated)
        if "config_schema" in given:
            warnings.warn(
                LangGraphDeprecatedSinceV10(
                    "`config_schema` is deprecated and will be removed. "
                    "Please use `context_schema` instead."
                ),
                stacklevel=2,
            )
            older = given.pop("config_schema")
            context_schema = older if context_schema is None else context_schema
        self._retry = policies_of(_renamed(given, retry_policy, "entrypoint"))
        self._cache_policy = _cache_policy(cache_policy)
        self._timeout = TimeoutPolicy.coerce(timeout)
        _check_parts(checkpointer, store, cache)
        if on_divergence not in typing.get_args(OnDivergence):
            raise ValueError(
                "on_divergence must be 'warn', 'error' or 'rerun', not "
                f"{on_divergence!r}"
            )
        self._checkpointer = checkpointer
        self._store = store
        self._cache = cache
        self._context_schema = context_schema
        self._on_divergence: OnDivergence = on_divergence
        self._pickles = _pickles(codec)

    @overload
    def __call__(
        self,
        func: Callable[
            Concatenate[InputT, ...], Coroutine[Any, Any, FinalValue[R, Any]]
        ],
    ) -> Workflow[InputT, R]: ...
    @overload
    def __call__(
        self, func: Callable[Concatenate[InputT, ...], FinalValue[R, Any]]
    ) -> Workflow[InputT, R]: ...
    @overload
    def __call__(
        self, func: Callable[Concatenate[InputT, ...], Awaitable[R]]
    ) -> Workflow[InputT, R]: ...
    @overload
    def __call__(
        self, func: Callable[Concatenate[InputT, ...], R]
    ) -> Workflow[InputT, R]: ...
    def __call__(self, func: Callable[..., Any]) -> Workflow[Any, Any]:
        """Make the function a workflow."""
        if not callable(func):
            raise TypeError(f"entrypoint decorates a function, not {func!r}")
        if not inspect.signature(func).parameters:
            raise ValueError("Entrypoint function must have at least one parameter")
        _check_final(func)
        spec = spec_of(
            func,
            retry=self._retry,
            cache=self._cache_policy,
            timeout=self._timeout,
            pickles=self._pickles,
            skip_first=True,
        )
        given = self._checkpointer
        return Workflow(
            Definition(
                spec,
                None if isinstance(given, bool) else given,
                self._store,
                cache=self._cache,
                context_schema=self._context_schema,
                on_divergence=self._on_divergence,
                keeps=given if isinstance(given, bool) else None,
            )
        )


def _check_parts(checkpointer: object, store: object, cache: object) -> None:
    is_saver = checkpointer is None or isinstance(checkpointer, bool)
    if not is_saver and not hasattr(checkpointer, "append"):
        raise TypeError(
            f"checkpointer must be a saver such as InMemorySaver() or "
            f"DuckDBSaver(path), True, False or None, not {checkpointer!r}"
        )
    if store is not None and not hasattr(store, "batch"):
        raise TypeError(f"store must be a store such as InMemoryStore(), not {store!r}")
    if cache is not None and not hasattr(cache, "aclear"):
        raise TypeError(f"cache must be a cache such as InMemoryCache(), not {cache!r}")


def _check_final(func: Callable[..., Any]) -> None:
    """Raise where a text of an annotation gives `entrypoint.final` not two types.

    Where annotations are no texts, Python itself raises.
    """
    annotation = getattr(func, "__annotations__", {}).get("return")
    if not isinstance(annotation, str) or "final[" not in annotation:
        return
    for node in ast.walk(ast.parse(annotation, mode="eval")):
        if not isinstance(node, ast.Subscript):
            continue
        named = node.value
        is_final = isinstance(named, ast.Attribute) and named.attr == "final"
        types = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if is_final and len(types) != 2:  # noqa: PLR2004 - value and save
            raise TypeError(
                f"{annotation} has to name two types: what the caller gets and what is "
                "saved for the next run, as in entrypoint.final[int, str]."
            )
