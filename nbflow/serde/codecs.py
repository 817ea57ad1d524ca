"""The table of all codecs: by number, and by a value's type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload
from weakref import WeakKeyDictionary

from nbflow.serde.arrays import ARRAYS
from nbflow.serde.arrow import ARROW
from nbflow.serde.codec import Codec, Family
from nbflow.serde.families import FAMILIES, family_of
from nbflow.serde.frames import FRAMES
from nbflow.serde.images import IMAGES
from nbflow.serde.kinds import key_of
from nbflow.serde.pickles import PICKLE, PICKLED
from nbflow.serde.redact import SECRET_TYPES
from nbflow.serde.registry import (
    Registration,
    record,
    registration_of,
    remember,
    tag_of,
)
from nbflow.serde.standard import REDACTED, STANDARD
from nbflow.serde.urls import URLS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BY_CODE", "CODECS", "Entry", "known", "register"]

T = TypeVar("T")
Entry: TypeAlias = tuple[Codec | Family | None, str]
"""A type's codec or family, None if there is neither; and a user's class's tag."""

CODECS = (*STANDARD, *ARRAYS, *ARROW, *FRAMES, *IMAGES, *URLS)
_BY_KEY = {key: codec for codec in CODECS for key in codec.types}
_BY_BASE = {codec.base: codec for codec in CODECS if codec.base}

BY_CODE: dict[int, Codec | Family] = {
    **{codec.code: codec for codec in CODECS},
    **{family.code: family for family in FAMILIES},
    PICKLED: PICKLE,
}
"""All codecs by the number that stands in stored bytes."""

_lasting: dict[type, Entry] = {}  # libraries' types, which stay
_entries: WeakKeyDictionary[type, Entry] = WeakKeyDictionary()


def known(kind: type) -> Entry:
    """Return how values of a type are written.

    Secret types have the codec that writes their name only.
    """
    entry = _lasting.get(kind) or _entries.get(kind)
    if entry is None:
        entry = _find(kind)
        (_lasting if key_of(kind) in _BY_KEY else _entries)[kind] = entry
    return entry


def _find(kind: type) -> Entry:
    keys = [key_of(base) for base in kind.__mro__]
    if not SECRET_TYPES.isdisjoint(keys):
        return BY_CODE[REDACTED], ""
    family = family_of(kind)
    if family is None or keys[0] in _BY_KEY:
        package = f"{keys[0].partition(':')[0]}:"
        bases = (_BY_BASE.get(key) for key in keys if key.startswith(package))
        found = _BY_KEY.get(keys[0]) or next(filter(None, bases), None)
        return found, ""
    tag = tag_of(kind)
    if not keys[0] and registration_of(kind) is None:
        remember(kind, tag)
    return family, tag


@overload
def register(
    cls: type[T],
    *,
    tag: str | None = None,
    encode: Callable[[T], Any] | None = None,
    decode: Callable[[Any], T] | None = None,
) -> type[T]: ...
@overload
def register(
    cls: None = None,
    *,
    tag: str | None = None,
    encode: Callable[[Any], Any] | None = None,
    decode: Callable[[Any], Any] | None = None,
) -> Callable[[type[T]], type[T]]: ...
def register(
    cls: type[T] | None = None,
    *,
    tag: str | None = None,
    encode: Callable[[Any], Any] | None = None,
    decode: Callable[[Any], Any] | None = None,
) -> type[T] | Callable[[type[T]], type[T]]:
    """Make a class known, so that its stored instances can be rebuilt.

    Dataclasses, pydantic models, enumerations, named tuples and exceptions need
    nothing else, and none of them needs it in the module or notebook that
    defines it. Any other class needs `encode` and `decode`.

    Parameters
    ----------
    cls : type, optional
        The class. Without it a decorator is returned.
    tag : str, optional
        What stands for the class in stored bytes; by default its
        ``module:qualname``. Give one before you rename or move a class.
    encode : callable, optional
        From an instance to a value that can be stored.
    decode : callable, optional
        From that value to an equal instance.

    Returns
    -------
    type
        The class itself.

    Raises
    ------
    TypeError
        If the class needs `encode` and `decode`, or only one of them is given.
    ValueError
        If the tag is another class's, or nbflow has a codec for the class.

    Examples
    --------
    >>> class Celsius:
    ...     def __init__(self, degrees: float) -> None:
    ...         self.degrees = degrees
    >>> _ = register(Celsius, encode=lambda it: it.degrees, decode=Celsius)
    """
    if cls is None:
        return lambda cls: register(cls, tag=tag, encode=encode, decode=decode)
    name = f"{cls.__module__}:{cls.__qualname__}"
    if (encode is None) is not (decode is None):
        raise TypeError(
            f"register({cls.__qualname__}) needs encode= and decode=, or neither."
        )
    if encode is None and family_of(cls) is None:
        raise TypeError(
            f"{name!r} is no dataclass, pydantic model, enumeration, named tuple or "
            f"exception: register({cls.__qualname__}, encode=..., decode=...)."
        )
    if isinstance(_find(cls)[0], Codec):
        raise ValueError(  # noqa: TRY004 - the class is well-formed, and taken
            f"{name!r} can be stored as it is; it has a codec of nbflow's."
        )
    record(cls, Registration(name if tag is None else tag, encode, decode))
    _entries.pop(cls, None)
    return cls
