"""Which values a filter takes, and which namespaces a pattern fits.

The one meaning of filters and patterns for every store; what is stored, and
where, is not known here.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["WILDCARD", "check_filter", "fits", "is_taken"]

WILDCARD: Final = "*"
"""Stands for any one label in the pattern of a namespace."""

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def check_filter(wanted: Mapping[str, Any]) -> None:
    """Raise where a filter names an operator that there is not.

    Parameters
    ----------
    wanted : Mapping
        A filter, or a part of one.

    Raises
    ------
    ValueError
        A name that begins with ``$`` is no operator, or stands among names that
        are fields.
    """
    for name, condition in wanted.items():
        if not isinstance(condition, dict):
            continue
        operators = [key for key in condition if _is_operator(key)]
        unknown = [key for key in operators if key not in _OPERATORS]
        if unknown:
            raise ValueError(
                f"Unsupported operator: {unknown[0]} (on {name!r}). "
                f"Use one of {', '.join(_OPERATORS)}."
            )
        if operators and len(operators) < len(condition):
            raise ValueError(
                f"The filter on {name!r} mixes operators and fields: {condition!r}. "
                "Give each its own filter."
            )
        if not operators:
            check_filter(condition)


def is_taken(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether a filter takes a value.

    Parameters
    ----------
    value : Mapping
        A stored value.
    wanted : Mapping
        A field's name and what is asked of it: a value it equals, a dict of
        operators that it satisfies all, or a dict of fields inside it. A missing
        field counts as None. A list is compared element by element.

    Returns
    -------
    bool
        Whether all is as asked. What can't be compared is not taken.

    Examples
    --------
    >>> is_taken({"age": 41, "at": {"city": "Oslo"}}, {"age": {"$gte": 18}})
    True
    >>> is_taken({"age": 41, "at": {"city": "Oslo"}}, {"at": {"city": "Bonn"}})
    False
    >>> is_taken({"age": "unknown"}, {"age": {"$gte": 18}})
    False
    """
    return all(_meets(value.get(name), asked) for name, asked in wanted.items())


def _meets(found: Any, asked: Any) -> bool:
    if isinstance(asked, dict):
        if any(map(_is_operator, asked)):
            return all(_compare(_OPERATORS[k], found, v) for k, v in asked.items())
        return isinstance(found, dict) and is_taken(found, asked)
    if isinstance(asked, list | tuple):
        return (
            isinstance(found, list | tuple)
            and len(found) == len(asked)
            and all(map(_meets, found, asked))
        )
    return _compare(operator.eq, found, asked)


def _compare(compare: Callable[[Any, Any], Any], found: Any, asked: Any) -> bool:
    try:
        return bool(compare(found, asked))
    except (TypeError, ValueError):
        # No order between the two, or an array of answers instead of one.
        return False


def _is_operator(key: Any) -> bool:
    return isinstance(key, str) and key.startswith("$")


def fits(
    namespace: tuple[str, ...],
    *,
    prefix: Sequence[str] = (),
    suffix: Sequence[str] = (),
) -> bool:
    """Return whether a namespace begins and ends as two patterns say.

    Parameters
    ----------
    namespace : tuple of str
        The namespace.
    prefix, suffix : sequence of str
        Labels, or ``"*"`` for any one label.

    Examples
    --------
    >>> fits(("users", "ann", "notes"), prefix=("users", "*"), suffix=("notes",))
    True
    >>> fits(("users",), prefix=("users", "*"))
    False
    """
    if len(namespace) < max(len(prefix), len(suffix)):
        return False
    return all(
        asked in {WILDCARD, label}
        for label, asked in (
            *_beside(namespace, prefix),
            *_beside(namespace[::-1], suffix[::-1]),
        )
    )


def _beside(labels: Sequence[str], pattern: Sequence[str]) -> Iterator[tuple[str, str]]:
    return zip(labels, pattern, strict=False)
