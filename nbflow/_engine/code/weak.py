"""A mapping that knows its keys by identity and keeps none of them alive."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WeakIdentityMap", "weakly"]

Key = TypeVar("Key")
Value = TypeVar("Value")


class WeakIdentityMap(Generic[Key, Value]):
    """What is known of objects that may be equal without being the same.

    Threads may read and write at once; the last value put stays.
    """

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Any], Value]] = {}

    def get(self, key: Key) -> Value | None:
        """Return what was put for this very object, or None."""
        entry = self._entries.get(id(key))
        # An id may have been given to another object since.
        return entry[1] if entry is not None and entry[0]() is key else None

    def put(self, key: Key, value: Value) -> None:
        """Keep a value as long as its key lives; not at all if it can't be told."""
        identity = id(key)
        entries = self._entries

        def forget(reference: weakref.ref[Any]) -> None:
            entry = entries.get(identity)
            if entry is not None and entry[0] is reference:
                del entries[identity]

        try:
            entries[identity] = (weakref.ref(key, forget), value)
        except TypeError:
            return


def weakly(value: object) -> Callable[[], object | None]:
    """Return a function that gives an object as long as it lives.

    One that can't be referred to weakly is kept alive instead.
    """
    try:
        return weakref.ref(value)
    except TypeError:
        return lambda: value
