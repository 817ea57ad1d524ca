"""What an answer has to look like: JSON Schemas, and types that validate."""

from __future__ import annotations

import json
import sys
import typing
from typing import Any

from nbflow.errors import InvalidAnswerError

__all__ = ["checked", "json_schema"]


def json_schema(response_schema: Any) -> dict[str, Any] | None:
    """Return the JSON Schema of what `interrupt` was given.

    Parameters
    ----------
    response_schema : dict, type or None
        A JSON Schema is returned as it is.

    Raises
    ------
    TypeError
        It is neither a dict nor a type that pydantic can describe.
    """
    if response_schema is None:
        return None
    schema: dict[str, Any]
    if not isinstance(response_schema, dict):
        schema = _adapter(response_schema).json_schema()
        return schema
    try:
        # As it comes back from a log: JSON knows no tuples, and no NaN.
        schema = json.loads(json.dumps(response_schema, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"response_schema is no JSON Schema: {error}. Pass plain dicts, lists, "
            "texts and numbers, or a type."
        ) from error
    return schema


def checked(interrupt_id: str, answer: Any, response_schema: Any) -> Any:
    """Return the answer as its schema's type makes it.

    A JSON Schema only describes, so with one the answer is returned as it is.

    Raises
    ------
    InvalidAnswerError
        The type refuses the answer.
    """
    if response_schema is None or isinstance(response_schema, dict):
        return answer
    from pydantic import ValidationError  # noqa: PLC0415 - optional

    try:
        return _adapter(response_schema).validate_python(answer)
    except ValidationError as error:
        problems = [
            (".".join(map(str, problem["loc"])), str(problem["msg"]))
            for problem in error.errors(include_url=False)
        ]
        raise InvalidAnswerError(interrupt_id, problems) from error


def _adapter(schema_type: Any) -> Any:
    try:
        from pydantic import TypeAdapter  # noqa: PLC0415 - optional
        from pydantic.errors import PydanticUserError  # noqa: PLC0415 - optional
    except ImportError as error:
        raise TypeError(
            f"response_schema={schema_type!r} is a type, which needs pydantic. "
            "Install pydantic, or pass a JSON Schema as a dict."
        ) from error
    try:
        return TypeAdapter(_current(schema_type))
    except (PydanticUserError, NameError) as error:
        raise TypeError(
            f"response_schema={schema_type!r} is no type that pydantic can describe: "
            f"{str(error).splitlines()[0]} Pass a pydantic model, a dataclass, a "
            "TypedDict, or a JSON Schema as a dict."
        ) from error


def _current(schema_type: Any) -> Any:
    """Return a TypedDict as pydantic takes it: before Python 3.12 not typing's own."""
    if sys.version_info >= (3, 12) or not typing.is_typeddict(schema_type):
        return schema_type
    import typing_extensions as later  # noqa: PLC0415 - pydantic brings it

    fields: dict[str, Any] = {}
    hints = typing.get_type_hints(schema_type, include_extras=True)
    for name, hint in hints.items():
        # What is said of a key counts: __required_keys__ misses it in a text.
        said = typing.get_origin(hint)
        is_said = said in (typing.Required, typing.NotRequired)
        kind = _current(typing.get_args(hint)[0] if is_said else hint)
        required = name in schema_type.__required_keys__
        if is_said:
            required = said is typing.Required
        fields[name] = later.Required[kind] if required else later.NotRequired[kind]
    made = later.TypedDict(schema_type.__name__, fields)  # type: ignore[misc] # its name is known at run time
    made.__doc__ = schema_type.__doc__
    return made
