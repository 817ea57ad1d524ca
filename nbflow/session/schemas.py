"""JSON Schema of a form: made from values, and held against what a form sends.

Only what a form needs: types, properties, items, choices and references. Ranges
and patterns are left to the workflow's own validation. Nothing here knows what
is asked or why.
"""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

__all__ = [
    "Problem",
    "UnshowableError",
    "fit",
    "is_rounded",
    "is_same",
    "json_form",
    "schema_of",
    "strings_of",
]

Problem: TypeAlias = tuple[str, str]
"""Path of a field (empty for the whole value) and what is wrong there."""

_SAFE_INTEGER: Final = 2**53 - 1
_LONG_TEXT: Final = 80
_DEEPEST: Final = 64
_LARGEST_FLOAT: Final = 2**1023
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list, tuple),
    "string": (str,),
    "integer": (int,),
    "number": (float,),
    "boolean": (bool,),
    "null": (type(None),),
}
_NAMES: Final = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "empty",
}


class UnshowableError(ValueError):
    """A value has no JSON form that a person could see and send back."""


def json_form(value: Any, path: str = "", *, depth: int = 0) -> Any:
    """Return what a browser gets of a value: JSON with nothing lost on the way.

    Tuples become lists, and a NumPy number becomes Python's.

    Raises
    ------
    UnshowableError
        Some part has no such form: another type, NaN or an infinity, a key that
        is not a text, half a character, nesting without end.
    """
    if depth > _DEEPEST:
        raise UnshowableError(f"{path} is nested more than {_DEEPEST} levels deep")
    match value:
        case None | bool():
            return value
        case str():
            return _whole_text(value, path)
        case numbers.Integral():
            return int(value)
        case numbers.Real() if not isinstance(value, numbers.Rational):
            number = float(value)
            if math.isfinite(number):
                return number
            raise UnshowableError(f"{path} is {number}, which is not a JSON number")
        case list() | tuple():
            return [
                json_form(item, f"{path}[{i}]", depth=depth + 1)
                for i, item in enumerate(value)
            ]
        case dict():
            return {
                _key(key, path): json_form(item, f"{path}[{key!r}]", depth=depth + 1)
                for key, item in value.items()
            }
        case _:
            raise UnshowableError(
                f"{path} is a {type(value).__name__}, which has no JSON form"
            )


def schema_of(value: Any) -> dict[str, Any]:
    """Return the JSON Schema of values like this one, which `json_form` accepts.

    No property is required, and None says nothing of a type. A text with line
    breaks or of more than 80 characters has the format ``"multiline"``.
    """
    match value:
        case None:
            return {}
        case bool():
            return {"type": "boolean"}
        case str():
            is_long = "\n" in value or len(value) > _LONG_TEXT
            return {"type": "string"} | ({"format": "multiline"} if is_long else {})
        case numbers.Integral():
            return {"type": "integer"}
        case numbers.Real():
            return {"type": "number"}
        case list() | tuple():
            return {"type": "array", "items": _common([schema_of(v) for v in value])}
        case _:
            properties = {key: schema_of(item) for key, item in value.items()}
            return {"type": "object", "properties": properties}


def fit(schema: Mapping[str, Any], value: Any) -> tuple[Any, tuple[Problem, ...]]:
    """Hold a value from a form or a file against a schema, and mend its numbers.

    A person who means 3.0 types 3: where the schema says ``"number"`` a whole
    number becomes a float, where it says ``"integer"`` 3.0 becomes 3. Keywords other
    than types, properties, items, choices and references are passed over.

    Returns
    -------
    value : Any
        The value with its numbers as the schema has them.
    problems : tuple of (str, str)
        Path and text of all that does not fit; empty where everything does.
    """
    sheet = _Fitting(schema)
    fitted = sheet.fit(schema, value, "")
    return fitted, tuple(sheet.problems)


class _Fitting:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.problems: list[Problem] = []

    def fit(self, schema: Any, value: Any, path: str, depth: int = 0) -> Any:
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return value
        if "$ref" in schema:
            return self.fit(self._resolve(schema["$ref"]), value, path, depth + 1)
        if "enum" in schema or "const" in schema:
            return self._choose(schema, value, path)
        for one in schema.get("allOf", ()):
            value = self.fit(one, value, path, depth + 1)
        options = schema.get("anyOf", schema.get("oneOf"))
        if options:
            return self._first_that_fits(options, value, path, depth)
        return self._fit_inside(
            schema, self._fit_type(schema, value, path), path, depth
        )

    def _fit_inside(
        self, schema: Mapping[str, Any], value: Any, path: str, depth: int
    ) -> Any:
        if isinstance(value, dict):
            return self._fit_object(schema, value, path, depth)
        if isinstance(value, list) and "items" in schema:
            items = schema["items"]
            return [
                self.fit(items, item, f"{path}[{i}]", depth + 1)
                for i, item in enumerate(value)
            ]
        return value

    def _refuse(self, path: str, text: str) -> None:
        self.problems.append((path, text))

    def _resolve(self, reference: Any) -> Any:
        # Only references into the schema itself; anything else is not fetched.
        found: Any = self.root
        for part in str(reference).removeprefix("#").strip("/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            if name:
                found = found.get(name) if isinstance(found, Mapping) else None
        return found if str(reference).startswith("#") else None

    def _choose(self, schema: Mapping[str, Any], value: Any, path: str) -> Any:
        options = [schema["const"]] if "const" in schema else schema["enum"]
        for option in options:
            if is_same(option, value):
                return option
        self._refuse(path, f"is {_short(value)}; choose one of {_short(options)}")
        return value

    def _first_that_fits(
        self, options: Sequence[Any], value: Any, path: str, depth: int
    ) -> Any:
        # An option that leaves the value's type alone beats one that changes it.
        fitting: list[Any] = []
        refusals: list[list[Problem]] = []
        for option in options:
            trial = _Fitting(self.root)
            result = trial.fit(option, value, path, depth + 1)
            if trial.problems:
                refusals.append(trial.problems)
            elif type(result) is type(value):
                return result
            else:
                fitting.append(result)
        if fitting:
            return fitting[0]
        # The option that came furthest speaks for all: its complaint is deepest.
        self.problems += max(refusals, key=lambda found: max(len(p) for p, _ in found))
        return value

    def _fit_type(self, schema: Mapping[str, Any], value: Any, path: str) -> Any:
        names = schema.get("type")
        if names is None:
            if isinstance(value, float) and not math.isfinite(value):
                self._refuse(path, f"is {value}, which is not a JSON number")
            return value
        allowed = [names] if isinstance(names, str) else list(names)
        for exact in (True, False):
            for name in allowed:
                found = _as_type(name, value, exact=exact)
                if found is not None:
                    return found[0]
        wanted = " or ".join(_NAMES.get(name, str(name)) for name in allowed)
        self._refuse(path, f"is {_short(value)}; it has to be {wanted}")
        return value

    def _fit_object(
        self, schema: Mapping[str, Any], value: dict[Any, Any], path: str, depth: int
    ) -> Any:
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        for name in schema.get("required", ()):
            if name not in value:
                self._refuse(_join(path, name), "is missing")
        fitted = {}
        for name, item in value.items():
            where = _join(path, str(name))
            if name not in properties and others is False:
                self._refuse(where, "is not one of the fields")
            inner = properties.get(name, others)
            fitted[name] = self.fit(inner, item, where, depth + 1)
        return fitted


def is_same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal, true and 1 being different."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _as_type(name: str, value: Any, *, exact: bool) -> tuple[Any] | None:
    # A one-tuple, since None is a value of its own.
    kind = type(value)
    if kind is float and not math.isfinite(value):
        return None
    if kind in _TYPES.get(name, ()):
        return (list(value) if kind is tuple else value,)
    if exact:
        return None
    if name == "integer" and kind is float and value.is_integer():
        return (int(value),)
    if name == "number" and kind is int and abs(value) < _LARGEST_FLOAT:
        return (float(value),)
    return None


def _common(
    schemas: list[dict[str, Any]],
) -> dict[str, Any]:
    known = [schema for schema in schemas if schema]
    if not known:
        return {}
    if len(known) < len(schemas):
        return {"anyOf": [_common(known), {"type": "null"}]}
    if all(schema == known[0] for schema in known):
        return known[0]
    match sorted({str(schema.get("type")) for schema in known}):
        case ["integer", "number"]:
            return {"type": "number"}
        case ["string"]:
            return {"type": "string", "format": "multiline"}
        case ["object"]:
            return _common_object(known)
        case _:
            return {}


def _common_object(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    names = dict.fromkeys(name for s in schemas for name in s["properties"])
    properties = {
        name: _common(
            [p[name] for p in (s["properties"] for s in schemas) if name in p]
        )
        for name in names
    }
    return {"type": "object", "properties": properties}


def _whole_text(text: str, path: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UnshowableError(f"{path} holds half a character") from error
    return text


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise UnshowableError(f"{path} has the key {key!r}, which is not a text")
    return _whole_text(key, path)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _short(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _LONG_TEXT else f"{text[:_LONG_TEXT]}\u2026"


def is_rounded(value: Any) -> bool:
    """Return whether a browser's numbers lose something of a JSON value.

    They can't tell 3.0 from 3, nor hold whole numbers beyond 2**53.
    """
    match value:
        case bool():
            return False
        case int():
            return abs(value) > _SAFE_INTEGER
        case float():
            return value.is_integer()
        case list():
            return any(map(is_rounded, value))
        case dict():
            return any(map(is_rounded, value.values()))
        case _:
            return False


def strings_of(value: Any) -> Iterator[str]:
    """Yield every text inside a JSON value, keys included."""
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from strings_of(item)
        case dict():
            for key, item in value.items():
                yield key
                yield from strings_of(item)
        case _:
            return
