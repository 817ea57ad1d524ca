"""Constants as JSON that is the same on every Python and under any hash seed.

Two constants have the same form exactly if they are of the same type and equal.
Nothing here knows where a constant comes from.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Json", "digested", "is_constant", "literal"]

Json: TypeAlias = dict[str, "Json"] | list["Json"] | str | int | bool | None

_PLAIN = frozenset({int, float, str, bytes, bool, type(None)})
_SHOWN = 200  # characters of a value that a reader of the log may see


def is_constant(value: object) -> bool:
    """Return whether a value is of a type that counts as code: exactly, no subclass."""
    if type(value) is tuple:
        return all(map(is_constant, value))
    return type(value) in _PLAIN


def literal(value: Any) -> Json:
    """Return the form of a constant that stands in the code, in full.

    Parameters
    ----------
    value : object
        A constant of a syntax tree or of a code object. One of another type
        counts by the name of its type.

    Returns
    -------
    list
        The name of its type, then what tells it from others of the type.
    """
    form = _FORMS.get(type(value))
    return [type(value).__name__, *(form(value) if form is not None else ())]


_FORMS: dict[type, Callable[[Any], Sequence[Json]]] = {
    bool: lambda value: [value],
    bytes: lambda value: [value.hex()],
    complex: lambda value: [value.real.hex(), value.imag.hex()],
    float: lambda value: [value.hex()],
    frozenset: lambda value: sorted(map(literal, value), key=json.dumps),
    # Decimal digits are limited by the interpreter, hexadecimal are not.
    int: lambda value: [hex(value)],
    slice: lambda value: [*map(literal, (value.start, value.stop, value.step))],
    # What repr() leaves as it is depends on the Unicode of that Python.
    str: lambda value: [ascii(value)],
    tuple: lambda value: [*map(literal, value)],
}


def digested(value: object) -> Json:
    """Return the form of a constant that code finds when it is called.

    Text and bytes leave only a digest, since such a value may be a secret that
    the source itself never holds; so do values too long to be looked at.

    Parameters
    ----------
    value : object
        A value for which `is_constant` is true.

    Returns
    -------
    list
        The name of its type, then the value or its digest.
    """
    form = literal(value)
    text = json.dumps(form)
    if len(text) > _SHOWN or _holds_text(value):
        digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        return [type(value).__name__, "blake2b", digest]
    return form


def _holds_text(value: object) -> bool:
    if isinstance(value, tuple):
        return any(map(_holds_text, value))
    return isinstance(value, str | bytes)
