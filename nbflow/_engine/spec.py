"""What the engine knows of a decorated function, and what it hands into it."""

from __future__ import annotations

import inspect
import types
import typing
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nbflow import serde

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nbflow._values import CachePolicy, RetryPolicy, TimeoutPolicy

__all__ = ["INJECTED", "Spec", "spec_of"]

INJECTED = ("config", "writer", "store", "previous", "runtime")
"""Names of parameters that a run fills in."""

_FITTING: dict[str, frozenset[str]] = {
    "config": frozenset({"RunnableConfig", "dict", "Mapping", "Any"}),
    "writer": frozenset({"StreamWriter", "Callable", "Any"}),
    "store": frozenset({"BaseStore", "Any"}),
}


@dataclass(frozen=True, slots=True, eq=False)
class Spec:
    """A function with what its decorator said of it.

    Attributes
    ----------
    func : callable
        The user's function.
    name : str
        Name of the task or workflow.
    is_async : bool
        Whether it is a coroutine function.
    injected : dict
        Names of the parameters that a run fills in, each with its position or
        None where it is keyword-only.
    positional : tuple of str
        Names of the parameters that may be given by position, in order.
    retry : sequence of RetryPolicy
        Tried in order; the first that fits an exception counts.
    cache : CachePolicy or None
        How its results are kept for other runs.
    kind : {"task", "node"}
        What its calls are called in the log.
    timeout : TimeoutPolicy or None
        How long an attempt may take, in numbers of seconds.
    pickles : bool
        Whether what it returns is pickled where it can't be stored otherwise.
    """

    func: Callable[..., Any]
    name: str
    is_async: bool
    injected: Mapping[str, int | None]
    positional: tuple[str, ...]
    retry: Sequence[RetryPolicy] = ()
    cache: CachePolicy | None = None
    timeout: TimeoutPolicy | None = None
    kind: Literal["task", "node"] = "task"
    pickles: bool = False

    def normal(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments in one form: by position as far as that goes."""
        if not kwargs:
            return args, kwargs
        rest = dict(kwargs)
        found = list(args)
        for name in self.positional[len(args) :]:
            if name not in rest:
                break
            found.append(rest.pop(name))
        return tuple(found), rest

    def missing(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
        """Return the injected names that the caller did not give itself."""
        return [
            name
            for name, position in self.injected.items()
            if name not in kwargs and (position is None or position >= len(args))
        ]


def spec_of(
    func: Callable[..., Any],
    *,
    name: str | None = None,
    retry: Sequence[RetryPolicy] = (),
    cache: CachePolicy | None = None,
    timeout: TimeoutPolicy | None = None,
    pickles: bool = False,
    skip_first: bool = False,
) -> Spec:
    """Look at a function once, when it is decorated.

    Parameters
    ----------
    func : callable
        The user's function.
    skip_first : bool, default False
        Whether the first parameter is the input, whatever its name.

    Raises
    ------
    NotImplementedError
        It is a generator function.
    """
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        raise NotImplementedError("Generators are not supported in the Functional API.")
    parameters = list(inspect.signature(func).parameters.values())
    return Spec(
        func=func,
        name=name or str(getattr(func, "__name__", type(func).__name__)),
        is_async=_is_async(func),
        injected=_injected(func, parameters, skip=1 if skip_first else 0),
        positional=tuple(
            p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD
        ),
        retry=retry,
        cache=cache,
        timeout=timeout,
        pickles=pickles,
    )


def _is_async(func: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(
        getattr(func, "__call__", None)  # noqa: B004 - its kind, not whether it is
    )


def _injected(
    func: Callable[..., Any], parameters: list[inspect.Parameter], *, skip: int
) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    annotations = _annotations(func)
    _make_known(annotations.values())
    for position, parameter in enumerate(parameters):
        name = parameter.name
        by_position = parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        fillable = by_position or parameter.kind is parameter.KEYWORD_ONLY
        if position < skip or name not in INJECTED or not fillable:
            continue
        if _fits(name, annotations.get(name, parameter.annotation)):
            found[name] = position if by_position else None
        elif name == "config":
            warnings.warn(
                f"The parameter 'config' of {func.__name__!r} is annotated as "
                f"{parameter.annotation!r}, not RunnableConfig: it is not filled in.",
                UserWarning,
                stacklevel=5,
            )
    return found


def _annotations(func: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(func)
    except Exception:  # noqa: BLE001 - the user's annotations may be anything
        # A name that only a type checker knows: the parameter's name decides.
        return {}


def _make_known(annotations: Iterable[Any]) -> None:
    # A class made inside of a function can't be found by its name (rule V2), so
    # one that an annotation of the workflow names is registered.
    for annotation in annotations:
        _make_known(typing.get_args(annotation))
        is_class = isinstance(annotation, type)
        if is_class and "<locals>" in annotation.__qualname__:
            with suppress(TypeError, ValueError):  # no class that can be rebuilt so
                serde.register(annotation)


def _fits(name: str, annotation: Any) -> bool:
    fitting = _FITTING.get(name)
    if fitting is None or annotation is inspect.Parameter.empty:
        return True
    return not fitting.isdisjoint(_type_names(annotation))


def _type_names(annotation: Any) -> set[str]:
    if isinstance(annotation, str):
        words = annotation.replace("|", " ").replace("[", " ").replace("]", " ")
        return {word.rpartition(".")[2] for word in words.replace(",", " ").split()}
    origin = typing.get_origin(annotation)
    if origin is typing.Union or origin is types.UnionType:
        return {n for arg in typing.get_args(annotation) for n in _type_names(arg)}
    named = annotation if origin is None else origin
    return {getattr(named, "__name__", getattr(named, "_name", "")) or ""}
