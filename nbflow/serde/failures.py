"""Exceptions as values: what is kept of one, and how it comes back.

Kept are type, arguments, attributes, message, notes, the formatted traceback
and the text of the cause. An exception comes back without its own ``__init__``
being called; one whose type is not known comes back as `ReplayedTaskError`.
"""

from __future__ import annotations

import builtins
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nbflow.errors import ReplayedTaskError
from nbflow.serde.codec import Attempt, given, library, name_of
from nbflow.serde.kinds import key_of, slots_of
from nbflow.serde.preview import preview

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.serde.codec import Children

__all__ = [
    "exception",
    "exception_canon",
    "exception_state",
    "exception_steps",
    "is_exception",
    "replayed",
]

TRACEBACK = "__nbflow_traceback__"
"""Attribute of a rebuilt exception: the traceback of the original, as text."""

_OWN_ATTRIBUTES = ("__notes__", TRACEBACK)
_NATIVE_ATTRIBUTES: tuple[tuple[type[BaseException], tuple[str, ...]], ...] = (
    (ImportError, ("name", "path")),
    (NameError, ("name",)),
    (AttributeError, ("name",)),
)
"""What built-in exceptions keep beside ``args`` and ``__dict__``."""

_VALIDATION = "pydantic_core:ValidationError"
"""Made in Rust, and raised wherever a model's answer does not fit: it is made anew
from what it pickles."""


def is_exception(cls: type) -> bool:
    """Return whether a class is one of exceptions."""
    return issubclass(cls, BaseException)


def exception_state(value: BaseException) -> dict[str, Any]:
    """Return what is kept of an exception."""
    cause = value.__cause__
    return {
        **exception_canon(value),
        "text": _text(value),
        "traceback": _traceback(value),
        "notes": [note for note in _notes(value) if isinstance(note, str)],
        "cause": None if cause is None else [name_of(type(cause)), _text(cause)],
    }


def exception_canon(value: BaseException) -> dict[str, Any]:
    """Return what an exception is, without where and how it came about."""
    own = {n: v for n, v in _attributes(value) if n not in _OWN_ATTRIBUTES}
    native = {
        name: getattr(value, name)
        for base, names in _NATIVE_ATTRIBUTES
        if isinstance(value, base)
        for name in names
    }
    return {
        "args": [_attempt(item) for item in _arguments(value)],
        "own": {name: _attempt(item) for name, item in own.items()},
        "native": {name: _attempt(item) for name, item in native.items()},
    }


def exception_steps(value: BaseException) -> Children:
    """Yield the values that stand in an exception, with the way to each."""
    for index, item in enumerate(value.args):
        yield f"{{}}.args[{index}]", item
    for name, item in _attributes(value):
        yield f"{{}}.{name}", item


def exception(cls: type, state: dict[str, Any]) -> BaseException:
    """Return an exception of a class from what was kept of it."""
    native, args = _native_type(cls), given(state["args"], list)
    if issubclass(native, SyntaxError | BaseExceptionGroup):
        for second in args[1:2]:  # which these go through
            given(second, list, tuple)
    try:
        value: BaseException = _made(cls, native, args)
    except (LookupError, TypeError, ValueError):
        # The class's native base has changed since, or a text stands where it
        # wants what could not be stored.
        return replayed(f"{cls.__module__}:{cls.__qualname__}", state)
    slots = slots_of(cls)
    for name, item in given(state["own"], dict).items():
        if name in slots:
            slots[name].__set__(value, item)
        else:
            value.__dict__[name] = item
    for base, names in _NATIVE_ATTRIBUTES:
        for name in names if issubclass(native, base) else ():
            vars(base)[name].__set__(value, state["native"][name])
    return _furnished(value, state)


def _made(cls: Any, native: type[BaseException], args: list[Any]) -> Any:
    if key_of(cls) == _VALIDATION:
        title, *others = args
        made = cls.from_exception_data(given(title, str), *others)
        made.args = ()  # as where it was raised
        return made
    value = native.__new__(cls, *args)
    native.__init__(value, *args)
    return value


def replayed(tag: str, state: dict[str, Any]) -> ReplayedTaskError:
    """Return what stands in for an exception whose class is not known."""
    name = tag.removeprefix("builtins:").replace(":", ".")
    value = ReplayedTaskError(name, str(state["text"]))
    _furnished(value, state)
    return value


def _furnished(value: BaseException, state: dict[str, Any]) -> BaseException:
    for note in given(state["notes"], list):
        value.add_note(note)
    value.__dict__[TRACEBACK] = str(state["traceback"])
    if state["cause"] is not None:
        name, text = given(state["cause"], list)
        value.__cause__ = ReplayedTaskError(str(name), str(text))
    return value


def _attributes(value: BaseException) -> Iterator[tuple[str, Any]]:
    yield from value.__dict__.items()
    for name, slot in slots_of(type(value)).items():
        with suppress(AttributeError):  # a slot may be empty
            yield name, slot.__get__(value)


def _attempt(item: Any) -> Attempt:
    return Attempt(item, preview(item))


def _arguments(value: BaseException) -> tuple[Any, ...]:
    if key_of(type(value)) == _VALIDATION:
        pickled: Any = value.__reduce__()[1]
        title, errors, *others = pickled
        kept = [
            {name: _attempt(item) for name, item in error.items()} for error in errors
        ]
        return title, kept, *others
    if not isinstance(value, OSError) or value.filename is None:
        return value.args
    # OSError takes five arguments and shows two of them in `args`.
    files = [value.filename, None, value.filename2]
    return (*value.args, *(files if value.filename2 is not None else files[:1]))


def _native_type(cls: type) -> type[BaseException]:
    native: type[BaseException] = next(
        base for base in cls.__mro__ if vars(builtins).get(base.__name__) is base
    )
    return native


def _notes(value: BaseException) -> list[Any]:
    notes = getattr(value, "__notes__", ())
    return list(notes) if isinstance(notes, list | tuple) else []


def _text(value: BaseException) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - the author's __str__ may raise anything
        return preview(value)


def _traceback(value: BaseException) -> str:
    kept = value.__dict__.get(TRACEBACK)
    if isinstance(kept, str):
        return kept
    return "".join(library("traceback").format_exception(value))
