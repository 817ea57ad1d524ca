"""How a key of a graph's state takes what nodes write to it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, MutableMapping, MutableSequence, MutableSet
from collections.abc import Mapping as MappingABC
from collections.abc import Sequence as SequenceABC
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias, assert_never

from nbflow._values import UNSET, Overwrite
from nbflow.errors import InvalidUpdateError

__all__ = ["Channel", "LastValue", "Reduced", "applied", "channel_of"]

_MAKERS: Final[dict[Any, type]] = {
    MutableSequence: list,
    SequenceABC: list,
    MutableSet: set,
    AbstractSet: set,
    MutableMapping: dict,
    MappingABC: dict,
}


@dataclass(frozen=True, slots=True)
class LastValue:
    """A key that holds what was written last, by one node in each step."""


@dataclass(frozen=True, slots=True)
class Reduced:
    """A key whose writes are combined.

    Attributes
    ----------
    reducer : callable
        Takes what the key holds and what is written, and returns what it holds then.
    make : callable or None
        Makes what the key holds before the first write; None where its type can't be
        made of nothing: then the first write is it.
    """

    reducer: Callable[[Any, Any], Any]
    make: Callable[[], Any] | None


Channel: TypeAlias = LastValue | Reduced


def channel_of(annotation: Any) -> Channel:
    """Return how a key takes writes, by its annotation.

    ``Annotated[T, reducer]`` combines, with a reducer of two parameters; everything
    else holds the last value.
    """
    if typing.get_origin(annotation) in (typing.Required, typing.NotRequired):
        return channel_of(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is not Annotated:
        return LastValue()
    kind, *_, last = typing.get_args(annotation)
    if isinstance(last, type) or not callable(last) or not _takes_two(last):
        return LastValue()
    return Reduced(last, _maker(kind))


def applied(name: str, channel: Channel, held: Any, writes: SequenceABC[Any]) -> Any:
    """Return what a key holds after one step's writes.

    Parameters
    ----------
    name : str
        The key, for messages.
    held : Any
        What it holds, or `UNSET`.
    writes : sequence
        At least one, in order. An `Overwrite` puts its value in the place of all.

    Raises
    ------
    InvalidUpdateError
        Two nodes wrote to a key that holds one value, or two overwrote one.
    """
    overwrites = [write for write in writes if isinstance(write, Overwrite)]
    if len(overwrites) > 1:
        raise InvalidUpdateError(
            f"At key {name!r}: can receive only one Overwrite value per step."
        )
    match channel:
        case LastValue():
            if len(writes) > 1:
                raise InvalidUpdateError(
                    f"At key '{name}': Can receive only one value per step. Use an "
                    "Annotated key to handle multiple values: "
                    f"{name}: Annotated[..., reducer] (INVALID_CONCURRENT_GRAPH_UPDATE)"
                )
            return overwrites[0].value if overwrites else writes[0]
        case Reduced(reducer=reducer, make=make):
            if overwrites:
                return overwrites[0].value
            if held is UNSET and make is not None:
                held = make()
            for write in writes:
                held = write if held is UNSET else reducer(held, write)
            return held
        case _:
            assert_never(channel)


def _takes_two(reducer: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(reducer).parameters.values()
    except ValueError:  # operator.add and other built-ins may have no signature
        return True
    by_position = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    )
    return sum(p.kind in by_position for p in parameters) >= 2  # noqa: PLR2004


def _maker(kind: Any) -> Callable[[], Any] | None:
    origin = typing.get_origin(kind) or kind
    maker = _MAKERS.get(origin, origin)
    if not callable(maker):
        return None
    try:
        maker()
    except TypeError:  # it needs arguments: the first write is what it holds
        return None
    return typing.cast("Callable[[], Any]", maker)
