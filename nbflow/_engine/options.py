"""LangGraph-shaped `config` dictionaries, read once at the door."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, get_args

from msgspec import Struct, field

from nbflow._engine.context import current
from nbflow._engine.limits import DEFAULT_MAX_CONCURRENCY
from nbflow._values import Durability, OnDivergence, Replay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbflow._engine.control import RunControl
    from nbflow._events import Record

__all__ = ["Options", "Watch", "limit_of", "options_from"]

_DEFAULT_RECURSION_LIMIT = 10_007
_OWN_KEYS = frozenset(
    {"thread_id", "checkpoint_id", "checkpoint_ns", "on_divergence", "replay"}
)


class Watch(Struct, frozen=True):
    """How a session takes part in a run that it starts.

    Attributes
    ----------
    observers : tuple of callable
        Called with every record once it may be shown.
    on_run : callable
        Called with the live run before its first event.
    cell : str
        Which notebook cell starts it, for a person to read.
    by : str
        Who answers, for the log.
    force : bool
        Go on even where an earlier stretch's task still holds the thread.
    tokens : bool
        Have LangChain's chat models stream, so that their tokens are in the log.
    """

    observers: tuple[Callable[[Record], None], ...] = ()
    on_run: Callable[[Any], None] = lambda _run: None
    cell: str = ""
    by: str = ""
    force: bool = False
    tokens: bool = False


class Options(Struct, frozen=True):
    """What a call of `invoke` or `stream` asks for.

    Attributes
    ----------
    thread_id : str or None
        The thread.
    config : dict
        The dictionary as bodies get it.
    metadata : dict
        What is kept with each checkpoint.
    checkpoint_id : str or None
        The checkpoint of the thread to go on from; None is its newest.
    control : RunControl or None
        Asks the run from outside to end early.
    interrupt_before, interrupt_after : tuple of str
        Workflows and nodes to stop at; ``"*"`` is each.
    """

    thread_id: str | None
    config: Mapping[str, Any]
    metadata: Mapping[str, Any]
    max_concurrency: int = DEFAULT_MAX_CONCURRENCY
    durability: Durability = "async"
    on_divergence: OnDivergence | None = None
    replay: Replay = "changed"
    context: Any = None
    watch: Watch = field(default_factory=Watch)
    checkpoint_id: str | None = None
    control: RunControl | None = None
    interrupt_before: tuple[str, ...] = ()
    interrupt_after: tuple[str, ...] = ()


def options_from(
    config: Mapping[str, Any] | None,
    *,
    durability: str | None = None,
    context: Any = None,
    watch: Watch | None = None,
    control: RunControl | None = None,
    interrupt_before: tuple[str, ...] = (),
    interrupt_after: tuple[str, ...] = (),
) -> Options:
    """Read a config dictionary.

    Parameters
    ----------
    config : mapping or None
        In LangGraph's shape; inside of a body, what is left out is taken from the
        run around it.

    Raises
    ------
    ValueError, TypeError
        A value is not what its key takes; the error names the key.
    """
    merged = _merged(config)
    configurable = merged["configurable"]
    # It names where this run begins: runs that are begun inside have their own.
    checkpoint_id = configurable.pop("checkpoint_id", None)
    thread_id = configurable.get("thread_id")
    return Options(
        # Records of no thread, such as a store's items, have an empty one.
        thread_id=None if thread_id is None else str(thread_id) or None,
        config=merged,
        metadata=_metadata(merged),
        max_concurrency=limit_of(merged) or DEFAULT_MAX_CONCURRENCY,
        durability=_one_of(
            "durability",
            durability or configurable.get("__pregel_durability", "async"),
            Durability,
        ),
        on_divergence=_one_of(
            "on_divergence", configurable.get("on_divergence"), OnDivergence
        ),
        replay=_one_of("replay", configurable.get("replay", "changed"), Replay),
        context=context,
        watch=watch or Watch(),
        checkpoint_id=None if checkpoint_id is None else str(checkpoint_id),
        control=control,
        interrupt_before=interrupt_before,
        interrupt_after=interrupt_after,
    )


def limit_of(config: Mapping[str, Any] | None) -> int | None:
    """Return a config's ``max_concurrency``; None where it has none.

    Raises
    ------
    ValueError
        It is no int of at least 1.
    """
    limit = (config or {}).get("max_concurrency")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise ValueError(f"max_concurrency must be an int of at least 1, not {limit!r}")
    return limit


def _merged(config: Mapping[str, Any] | None) -> dict[str, Any]:
    if config is not None and not hasattr(config, "keys"):
        raise TypeError(
            f"config must be a dict such as {{'configurable': {{'thread_id': '1'}}}}, "
            f"not {config!r}"
        )
    around = current()
    outer: Mapping[str, Any] = {} if around is None else around.settings.config
    # LangChain's rule: a key that is None was not given.
    given = {k: v for k, v in (config or {}).items() if v is not None}
    for key in ("configurable", "metadata"):
        if not hasattr(given.get(key, {}), "keys"):
            raise TypeError(f"config[{key!r}] must be a dict, not {given[key]!r}")
    merged = {**outer, **given}
    configurable = {**outer.get("configurable", {}), **given.get("configurable", {})}
    merged["configurable"] = configurable
    limit = merged.setdefault("recursion_limit", _recursion_limit())
    if not isinstance(limit, int):
        raise TypeError(f"recursion_limit must be an int, not {limit!r}")
    if limit < 1:
        raise ValueError("recursion_limit must be at least 1")
    return merged


def _recursion_limit() -> int:
    name = "LANGGRAPH_DEFAULT_RECURSION_LIMIT"
    return int(os.environ.get(name, _DEFAULT_RECURSION_LIMIT))


def _metadata(config: Mapping[str, Any]) -> dict[str, Any]:
    # LangGraph's rule: the caller's metadata, and scalars of `configurable`.
    kept = {
        key: _plain_value(value)
        for key, value in config["configurable"].items()
        if isinstance(value, str | int | float | bool)
        and key not in _OWN_KEYS
        and not key.startswith(("__", "langgraph_"))
    }
    return {**kept, **_plain(config.get("metadata") or {})}


def _plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key): _plain_value(value) for key, value in metadata.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no number for it
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple):
        return [_plain_value(item) for item in value]
    if isinstance(value, dict):
        return _plain(value)
    return str(value)


def _one_of(name: str, value: Any, literal: Any) -> Any:
    known = get_args(literal)
    if value is not None and value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")
    return value
