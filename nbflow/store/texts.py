"""The texts of a value that its vectors are made from.

A field path names them: ``"title"``, ``"at.city"``, ``"items[*].text"``,
``"items[-1]"``, ``"*"``, ``"{title,body}"``, and ``"$"`` for the whole value.
Vectors, and what makes them, are not known here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, Final, TypeAlias

__all__ = ["WHOLE", "FieldPath", "field_path", "texts_at"]

WHOLE: Final = "$"
"""The path of the whole value."""

Step: TypeAlias = Callable[[Any], Iterable[Any]]
FieldPath: TypeAlias = tuple[Step, ...]
"""From a value to the values one step further in, step by step."""

_TOKEN = re.compile(
    r"""\.?(?: \[(?P<index> \* | -?\d+ )\]
        | \{(?P<fork> [^{}]+ )\}
        | (?P<name> [^.\[\]{}]+ ) )""",
    re.VERBOSE,
)


def field_path(path: str) -> FieldPath:
    """Return a field path's steps.

    Parameters
    ----------
    path : str
        The path, as the module's head describes it.

    Returns
    -------
    tuple of callable
        The steps; none for the whole value.

    Raises
    ------
    ValueError
        It is not a path.
    """
    if path in {WHOLE, ""}:
        return ()
    steps: list[Step] = []
    at = 0
    while at < len(path):
        token = _TOKEN.match(path, at)
        if token is None or path.startswith("."):
            raise ValueError(
                f"{path!r} is not a path to a field, from {path[at:]!r} on. "
                'Write one like "title", "at.city", "items[*].text" or "$".'
            )
        steps.append(_step(token))
        at = token.end()
    return tuple(steps)


def _step(token: re.Match[str]) -> Step:
    match token.lastgroup, token[token.lastgroup or 0]:
        case ("index", "*"):
            return _elements
        case ("index", number):
            return _element(int(number))
        case ("fork", names):
            return _fork([field_path(name.strip()) for name in names.split(",")])
        case (_, "*"):
            return _children
        case (_, name):
            return _field(name)


def _field(name: str) -> Step:
    def step(value: Any) -> Iterable[Any]:
        return (value[name],) if isinstance(value, Mapping) and name in value else ()

    return step


def _element(number: int) -> Step:
    def step(value: Any) -> Iterable[Any]:
        if not isinstance(value, list | tuple):
            return ()
        there = -len(value) <= number < len(value)
        return (value[number],) if there else ()

    return step


def _fork(paths: list[FieldPath]) -> Step:
    def step(value: Any) -> Iterable[Any]:
        return chain.from_iterable(_walk(value, path) for path in paths)

    return step


def _elements(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list | tuple) else ()


def _children(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else _elements(value)


def _walk(value: Any, path: FieldPath) -> list[Any]:
    found = [value]
    for step in path:
        found = [child for parent in found for child in step(parent)]
    return found


def texts_at(value: Mapping[str, Any], path: FieldPath) -> list[str]:
    """Return the texts that stand at a path, in order.

    Parameters
    ----------
    value : Mapping
        A value that is to be stored.
    path : tuple of callable
        From `field_path`.

    Returns
    -------
    list of str
        A string as it is; a list or a dict as JSON with sorted keys; anything
        else by ``str``. None and blank texts are left out, and so is a path that
        leads nowhere.

    Examples
    --------
    >>> texts_at({"items": [{"text": "a"}, {"text": "b"}]}, field_path("items[*].text"))
    ['a', 'b']
    >>> texts_at({"b": 1, "a": [2]}, field_path("$"))
    ['{"a": [2], "b": 1}']
    """
    texts = (_text_of(found) for found in _walk(value, path) if found is not None)
    return [text for text in texts if text.strip()]


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return json.dumps(dict(value), default=str, ensure_ascii=False, sort_keys=True)
    if isinstance(value, list | tuple):
        return json.dumps(value, default=str, ensure_ascii=False, sort_keys=True)
    return str(value)
