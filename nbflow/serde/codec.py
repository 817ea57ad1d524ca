"""What a codec is: a number, the types it is for, and the way there and back.

A codec turns a value into simpler values (its parts), and parts into an equal
value. It says nothing of bytes: `tree` writes the parts, which may again hold
values that have codecs. The numbers stand in stored files: a number is never
given to another codec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

from msgspec import Struct

__all__ = [
    "ATOMS",
    "MAX_DEPTH",
    "Attempt",
    "Children",
    "Codec",
    "Family",
    "Opaque",
    "Refusal",
    "Step",
    "fixed",
    "given",
    "library",
    "name_of",
]

ATOMS = frozenset({type(None), bool, int, float, str, bytes})
"""The types that MessagePack holds as they are."""

MAX_DEPTH = 100
"""How deep values may stand inside each other, for writing and for reading."""

Step: TypeAlias = str | Callable[[], str]
"""A step to a child in Python's syntax, ``"{}[3]"``, or what makes one."""

Children: TypeAlias = Iterable[tuple[Step, Any]]
"""The values that stand in a value, each with the step to it."""


def _childless(_value: Any) -> Children:
    return ()


def _same(state: Any) -> Any:
    return state


class Codec(Struct, frozen=True):
    """How values of types that nbflow knows become parts and come back.

    Attributes
    ----------
    code : int
        Its number in stored bytes, 1 to 127.
    types : tuple of str
        The types, as ``package:Name``; a value's type must be one of them
        exactly. Nothing is imported to find out.
    to_parts : callable
        From a value to its parts; raises `Refusal` for what can't be stored.
    from_parts : callable
        From parts to a value. The parts may come from a stranger: it must not
        import, call or allocate by what they say, nor go through or compare one
        that is not what `given` says. It may raise anything.
    parts : tuple of type, default (list,)
        What the parts are; others that are read never come to `from_parts`.
    raw : bool, default False
        The parts are bytes, which are stored without a further wrapping.
    base : str, default ""
        A type of the same package whose subclasses count too.
    to_canon : callable, optional
        Parts for the fingerprint, where they differ from the stored ones.
    children : callable
        The values that stand in a value, for the path to one of them.
    own_store_only : bool, default False
        Not rebuilt from a stranger's bytes.
    pick : callable, optional
        Which codec has a value, where that depends on more than its type.
    """

    code: int
    types: tuple[str, ...]
    to_parts: Callable[[Any], Any]
    from_parts: Callable[[Any], Any]
    parts: tuple[type, ...] = (list,)
    raw: bool = False
    base: str = ""
    to_canon: Callable[[Any], Any] | None = None
    children: Callable[[Any], Children] = _childless
    own_store_only: bool = False
    pick: Callable[[Any], Codec] | None = None


class Family(Struct, frozen=True):
    """How instances of users' classes become a state and come back.

    What is stored is the class's tag and the state. The tag is looked up among
    the classes that are known already; it is never imported.

    Attributes
    ----------
    code : int
        Its number in stored bytes.
    admits : callable
        Whether a class belongs to the family.
    to_state : callable
        From a value to its state.
    from_state : callable
        From a class of the family and a state to a value, without calling the
        class.
    state : tuple of type
        What a state is; another that is read never comes to `from_state`.
    children : callable
        The values that stand in a value, for the path to one of them.
    to_canon : callable, optional
        A state for the fingerprint, where it differs from the stored one.
    shown : callable
        From a state to what an `Opaque` shows of it.
    without_class : callable, optional
        From the tag and a state to what stands in for a value whose class is
        not known; without it that is an error.
    """

    code: int
    admits: Callable[[type], bool]
    to_state: Callable[[Any], Any]
    from_state: Callable[[type, Any], Any]
    state: tuple[type, ...]
    children: Callable[[Any], Children]
    to_canon: Callable[[Any], Any] | None = None
    shown: Callable[[Any], Any] = _same
    without_class: Callable[[str, Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class Opaque:
    """A stored value whose class is not known here; for looking at only.

    Attributes
    ----------
    type_name : str
        Tag of the class, ``module:qualname`` unless it was registered with
        another.
    data : Any
        What was stored of the value: for a dataclass its attributes by name.
    """

    type_name: str
    data: Any


class Attempt(Struct, frozen=True):
    """A part to store as it is if that is possible, else as a text.

    Attributes
    ----------
    value : Any
        What is tried.
    otherwise : str
        What is stored in its place.
    """

    value: Any
    otherwise: str


class Refusal(Exception):  # noqa: N818 - caught in the encoder, never seen outside
    """A value that can't be stored, on its way up to where its path is found."""

    def __init__(self, value: Any, why: str = "") -> None:
        self.value = value
        self.why = why
        super().__init__(why)


def name_of(kind: type) -> str:
    """Return a type's name for people: ``module.qualname``, or a built-in's name."""
    module = kind.__module__
    return (
        kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
    )


def library(name: str) -> Any:
    """Return a module of the fixed set that codecs use, loading it at first use.

    The name is always one written in a codec, never one that was read.

    Raises
    ------
    ImportError
        If its package is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(
            f"it needs the package {package!r}, which is not installed here"
        ) from error


def given(part: Any, *kinds: type) -> Any:
    """Return a part that was read if it is what is written in its place.

    A few bytes can be a range, an index or an array of any length. So what is gone
    through must be of a kind that is as long as its bytes, and what is compared of
    one that compares as a whole.

    Raises
    ------
    TypeError
        It is of another kind.

    Examples
    --------
    >>> given([1, 2], list)
    [1, 2]
    """
    if not isinstance(part, kinds):
        names = " or ".join(map(name_of, kinds))
        raise TypeError(f"a {name_of(type(part))} stands where a {names} belongs")
    return part


def fixed(value: Any) -> Callable[[Any], Any]:
    """Return a function of one argument that always returns `value`."""
    return lambda _: value
