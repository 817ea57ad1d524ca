"""How instances of users' classes become a state and come back.

A class is never called: its instances are made empty and given the attributes
that were stored, so that neither ``__init__`` nor a validator runs.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import MISSING, fields
from enum import Enum, Flag
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from msgspec import Struct

from nbflow.serde import failures
from nbflow.serde.codec import Family, Opaque, Refusal, given
from nbflow.serde.kinds import HEAP_TYPE, key_of, slots_of
from nbflow.serde.registry import lookup, registration_of, tag_of

if TYPE_CHECKING:
    from types import MemberDescriptorType

__all__ = ["FAMILIES", "REGISTERED", "family_of"]

_GENERIC_ALIAS = "__orig_class__"  # typing's note on an instance of a generic class


def _native_base(cls: type) -> type:
    """Return the nearest base that isn't made by a class statement."""
    return next(base for base in cls.__mro__ if not base.__flags__ & HEAP_TYPE)


class _Layout(Struct, frozen=True):
    """Where instances of a dataclass keep their attributes."""

    fields: tuple[str, ...]
    slots: dict[str, MemberDescriptorType]


_layouts: WeakKeyDictionary[type, _Layout] = WeakKeyDictionary()


def _layout(cls: Any) -> _Layout:
    layout = _layouts.get(cls)
    if layout is None:
        slots = slots_of(cls)
        names = tuple(field.name for field in fields(cls))
        ordered = (*(name for name in names if name in slots), *slots)
        layout = _Layout(names, {name: slots[name] for name in ordered})
        _layouts[cls] = layout
    return layout


def _attribute_steps(state: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(f"{{}}.{name}", item) for name, item in state.items()]


# Dataclasses


def _is_dataclass(cls: type) -> bool:
    marked = any("__dataclass_fields__" in vars(base) for base in cls.__mro__)
    return marked and cls is not Opaque and _native_base(cls) is object


def _dataclass_state(value: Any) -> dict[str, Any]:
    """Return all attributes by name, those that are no fields included."""
    state = dict(getattr(value, "__dict__", ()))
    state.pop(_GENERIC_ALIAS, None)
    for name, slot in _layout(type(value)).slots.items():
        with suppress(AttributeError):  # a slot may be empty
            state[name] = slot.__get__(value)
    return state


def _dataclass_canon(value: Any) -> dict[str, Any]:
    # A cached property is no part of what the value is.
    state = _dataclass_state(value)
    return {name: state[name] for name in _layout(type(value)).fields if name in state}


def _dataclass(cls: type, state: dict[str, Any]) -> Any:
    value: Any = object.__new__(cls)
    layout = _layout(cls)
    if not state.keys() >= set(layout.fields):
        state = _gained(cls, state) | state
    slots, names = layout.slots, getattr(value, "__dict__", None)
    for name, item in state.items():
        if name in slots:
            slots[name].__set__(value, item)
        elif names is not None:
            names[name] = item
    return value


def _gained(cls: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Return defaults of the fields that the class has gained since."""
    gained = {}
    for field in fields(cls):
        if field.name in state or not field.init:
            continue
        if field.default is not MISSING:
            gained[field.name] = field.default
        elif field.default_factory is not MISSING:
            gained[field.name] = field.default_factory()
        else:
            raise ValueError(f"{cls.__qualname__} has gained the field {field.name!r}")
    return gained


# Named tuples


def _is_named_tuple(cls: type) -> bool:
    named = any("_fields" in vars(base) for base in cls.__mro__)
    return named and _native_base(cls) is tuple


def _named_tuple_state(value: Any) -> dict[str, Any]:
    if getattr(value, "__dict__", None):
        raise Refusal(value, "it has attributes besides its fields")
    return dict(zip(type(value)._fields, tuple.__iter__(value), strict=True))


def _named_tuple(cls: Any, state: dict[str, Any]) -> Any:
    known = cls._field_defaults | state
    return tuple.__new__(cls, [known[name] for name in cls._fields])


# Enumerations


def _is_enum(cls: type) -> bool:
    return issubclass(cls, Enum)


def _enum_state(value: Any) -> str | int:
    if isinstance(value, Flag):
        return int(value._value_)
    if type(value)._member_map_.get(value._name_) is not value:
        raise Refusal(value, "it is none of the members of its class")
    return str(value._name_)


def _enum(cls: Any, state: str | int) -> Any:
    if isinstance(state, str):
        return cls._member_map_[state]
    if not issubclass(cls, Flag):
        raise TypeError(f"{cls.__qualname__} is no longer a Flag")
    return cls(state)


# Pydantic models


def _is_model(cls: type) -> bool:
    return any(
        "__pydantic_private__" in vars(base) and key_of(base) == "pydantic:BaseModel"
        for base in cls.__mro__
    )


def _model_state(value: Any) -> list[Any]:
    names = type(value).model_fields
    return [
        {name: item for name, item in value.__dict__.items() if name in names},
        sorted(value.__pydantic_fields_set__),
        value.__pydantic_extra__,
        value.__pydantic_private__,
    ]


def _model_canon(value: Any) -> list[Any]:
    held, _, extra, private = _model_state(value)
    return [held, extra, private]


def _model_shown(state: list[Any]) -> dict[str, Any]:
    held, _, extra, _ = given(state, list)
    return {**given(held, dict), **given(extra or {}, dict)}


def _model_steps(value: Any) -> list[tuple[str, Any]]:
    held, _, extra, private = _model_state(value)
    return _attribute_steps({**held, **(extra or {}), **(private or {})})


def _model(cls: Any, state: list[Any]) -> Any:
    held, names, extra, private = state
    for part in (held, extra or {}, private or {}):
        given(part, dict)
    for name, field in cls.model_fields.items():
        if name not in held and not field.is_required():
            held[name] = field.get_default(
                call_default_factory=True, validated_data=held
            )
    value: Any = object.__new__(cls)
    # What pydantic itself does for a copy: the four slots, and no validator.
    object.__setattr__(value, "__dict__", held)
    object.__setattr__(value, "__pydantic_fields_set__", set(given(names, list)))
    object.__setattr__(value, "__pydantic_extra__", extra)
    object.__setattr__(value, "__pydantic_private__", private)
    return value


# Classes with a codec of their author's


def _is_registered(cls: type) -> bool:
    registration = registration_of(cls)
    return registration is not None and registration.encode is not None


def _registered_state(value: Any) -> Any:
    registration = registration_of(type(value))
    if registration is None or registration.encode is None:
        raise Refusal(value)
    return registration.encode(value)


def _registered(cls: type, state: Any) -> Any:
    known = lookup(tag_of(cls))
    if known is None or known[1].decode is None:
        raise ValueError(f"{cls.__qualname__} is no longer registered with decode=")
    return known[1].decode(state)


REGISTERED = Family(
    45,
    _is_registered,
    _registered_state,
    _registered,
    (object,),
    lambda value: (("(the encoded form of {})", _registered_state(value)),),
)
FAMILIES: tuple[Family, ...] = (
    REGISTERED,
    Family(
        44,
        failures.is_exception,
        failures.exception_state,
        failures.exception,
        (dict,),
        failures.exception_steps,
        to_canon=failures.exception_canon,
        without_class=failures.replayed,
    ),
    Family(40, _is_enum, _enum_state, _enum, (str, int), lambda _: ()),
    Family(
        42,
        _is_named_tuple,
        _named_tuple_state,
        _named_tuple,
        (dict,),
        lambda value: _attribute_steps(_named_tuple_state(value)),
    ),
    Family(
        43,
        _is_model,
        _model_state,
        _model,
        (list,),
        _model_steps,
        to_canon=_model_canon,
        shown=_model_shown,
    ),
    Family(
        41,
        _is_dataclass,
        _dataclass_state,
        _dataclass,
        (dict,),
        lambda value: _attribute_steps(_dataclass_state(value)),
        to_canon=_dataclass_canon,
    ),
)
"""The first family that admits a class has it."""


def family_of(cls: type) -> Family | None:
    """Return the family that a class belongs to, or None."""
    return next((family for family in FAMILIES if family.admits(cls)), None)
