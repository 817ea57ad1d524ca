"""A state's schema: which keys there are, and the state as a node gets it."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from nbflow._values import Overwrite
from nbflow.errors import InvalidUpdateError
from nbflow.graph.channels import Channel, channel_of

__all__ = ["ROOT", "Schema", "schema_of"]

ROOT: Final = "__root__"
"""The one key of a state that is no collection of keys."""

_OVERWRITE: Final = "__overwrite__"


@dataclass(frozen=True, slots=True)
class Schema:
    """What a state, or a part of it, looks like.

    Attributes
    ----------
    type : Any
        The user's class: a TypedDict, dataclass or pydantic model; or any other
        type, for a state of one value.
    channels : mapping of str to Channel
        How each key takes writes.
    """

    type: Any
    channels: Mapping[str, Channel]

    @property
    def is_root(self) -> bool:
        """Whether the state is one value."""
        return ROOT in self.channels

    def read(self, values: Mapping[str, Any]) -> Any:
        """Return the state, or this part of it, as a body gets it.

        Keys that nothing was written to are left out of a dict, and are the class's
        own defaults otherwise.
        """
        if self.is_root:
            return values.get(ROOT)
        held = {name: values[name] for name in self.channels if name in values}
        if _is_typed_dict(self.type):
            return held
        return self.type(**held)

    def written(self, update: Any) -> dict[str, Any]:
        """Return what an update writes to each key; unknown keys are left out.

        Raises
        ------
        InvalidUpdateError
            It is no update of this state.
        """
        if update is None:
            return {}
        if self.is_root:
            return {ROOT: _unwrapped(update)}
        if not isinstance(update, Mapping):
            update = self._of_object(update)
        return {k: _unwrapped(v) for k, v in update.items() if k in self.channels}

    def _of_object(self, update: Any) -> dict[str, Any]:
        if dataclasses.is_dataclass(update) and not isinstance(update, type):
            return {f.name: getattr(update, f.name) for f in dataclasses.fields(update)}
        fields_set = getattr(update, "model_fields_set", None)
        if fields_set is not None:
            # LangGraph's rule: a None that is only the default writes nothing.
            return {
                name: getattr(update, name)
                for name, field in type(update).model_fields.items()
                if getattr(update, name) is not None
                or field.default is not None
                or name in fields_set
            }
        raise InvalidUpdateError(
            f"Expected dict, got {update!r} (INVALID_GRAPH_NODE_RETURN_VALUE). A node "
            "returns a dict of the keys that it changes, a Command, or None."
        )


def schema_of(kind: Any) -> Schema:
    """Return the schema of a state's class.

    Raises
    ------
    TypeError
        Its annotations can't be read.
    """
    inner = typing.get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
    if isinstance(inner, type) and (_is_typed_dict(inner) or _has_fields(inner)):
        try:
            hints = typing.get_type_hints(inner, include_extras=True)
        except Exception as error:  # the user's annotations may be anything
            raise TypeError(
                f"The annotations of the state {inner.__name__} can't be read: "
                f"{error}. Define it where their names are known, at the top of a "
                "cell or module."
            ) from error
        names = _field_names(inner, hints)
        return Schema(inner, {name: channel_of(hints[name]) for name in names})
    return Schema(kind, {ROOT: channel_of(kind)})


def _field_names(kind: type, hints: Mapping[str, Any]) -> list[str]:
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    fields = getattr(kind, "model_fields", None)
    return list(hints) if fields is None else list(fields)


def _is_typed_dict(kind: Any) -> bool:
    # typing_extensions has a TypedDict of its own, which typing does not know.
    return (
        isinstance(kind, type) and issubclass(kind, dict) and hasattr(kind, "__total__")
    )


def _has_fields(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) or hasattr(kind, "model_fields")


def _unwrapped(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {_OVERWRITE}:
        return Overwrite(value[_OVERWRITE])
    return value
