"""The contract of a cache: values by namespace and key, for as long as is said.

What a key is made of, and what a task is, is not known here; nor where values
are kept.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from nbflow.errors import StoredValueError
from nbflow.serde import decode, encode_with_report

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "BaseCache",
    "Entry",
    "FullKey",
    "Namespace",
    "checked_keys",
    "checked_namespaces",
    "entries_of",
    "values_of",
]

Namespace: TypeAlias = tuple[str, ...]
"""Labels, from the root; any texts."""
FullKey: TypeAlias = tuple[Namespace, str]
"""A namespace, and a key in it."""


class Entry(NamedTuple):
    """A value that is to be kept.

    Attributes
    ----------
    data : bytes
        The value, encoded.
    expires_at : float or None
        Seconds since 1970-01-01 UTC from which on it is gone.
    """

    data: bytes
    expires_at: float | None


class BaseCache(ABC):
    """What every cache does.

    All methods may be called from any thread at any time. The names that begin
    with an a do the same off the event loop.
    """

    @abstractmethod
    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """Return the values of those keys that have one.

        Parameters
        ----------
        keys : sequence of (tuple of str, str)
            What to look for; a subclass begins with `checked_keys`.

        Returns
        -------
        dict
            A fresh copy of each value that was found, by its key. A key is left
            out where nothing was set, where its time is over, and where the class
            of its value is not known in this process.

        Raises
        ------
        TypeError
            A key is none.
        """

    @abstractmethod
    def set(self, pairs: Mapping[FullKey, tuple[Any, float | None]]) -> None:
        """Keep values, in place of those that are there.

        Afterwards `get` returns them, also to those who open the same cache
        later. A second identical call changes nothing but that their time begins
        again. Nothing is kept unless everything can be. A value that holds a
        secret is not kept, and neither is what stood in its place.

        Parameters
        ----------
        pairs : Mapping of (tuple of str, str) to (value, ttl)
            Each value, and the seconds, > 0, until it is gone; None keeps it. A
            subclass begins with `entries_of`.

        Raises
        ------
        UnstorableValueError
            A value holds something that can't be stored; it names the path.
        TypeError
            A key is none.
        ValueError
            A time is not > 0.
        """

    @abstractmethod
    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Forget values.

        Parameters
        ----------
        namespaces : sequence of tuple of str, optional
            Exactly these, and none below them; all by default. A subclass begins
            with `checked_namespaces`.

        Raises
        ------
        TypeError
            A namespace is none.
        """

    # Derived once, for every cache.

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """Return the values of those keys that have one; see `get`."""
        return await asyncio.to_thread(self.get, keys)

    async def aset(self, pairs: Mapping[FullKey, tuple[Any, float | None]]) -> None:
        """Keep values; see `set`."""
        await asyncio.to_thread(self.set, pairs)

    async def aclear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Forget values; see `clear`."""
        await asyncio.to_thread(self.clear, namespaces)


def checked_keys(keys: Iterable[object]) -> list[FullKey]:
    """Return keys, each once, all of which can be looked for.

    Raises
    ------
    TypeError
        One of them is no pair of a namespace and a text.
    """
    found: list[FullKey] = []
    for key in dict.fromkeys(keys):
        if not (isinstance(key, tuple) and len(key) == 2):  # noqa: PLR2004 - a pair
            raise TypeError(
                f"The key {key!r} of a cache is no pair. "
                "Give a namespace and a key: (('prices',), 'today')."
            )
        namespace, name = key
        _check_namespace(namespace)
        _check_text("key", name)
        found.append(key)
    return found


def checked_namespaces(namespaces: Iterable[Namespace] | None) -> list[Namespace]:
    """Return namespaces, each once, all of which can be cleared; none for None.

    Raises
    ------
    TypeError
        One of them is no tuple of texts.
    """
    if isinstance(namespaces, str):
        raise TypeError(
            f"{namespaces!r} is a text, but what is cleared is a list of namespaces. "
            f"Write [({namespaces!r},)]."
        )
    found = list(dict.fromkeys(namespaces or ()))
    for namespace in found:
        _check_namespace(namespace)
    return found


def entries_of(
    pairs: Mapping[FullKey, tuple[Any, float | None]], now: float
) -> dict[FullKey, Entry | None]:
    """Return what is to be kept, encoded; None where a value holds a secret.

    Parameters
    ----------
    pairs : Mapping of (tuple of str, str) to (value, ttl)
        What `BaseCache.set` was given.
    now : float
        Seconds since 1970-01-01 UTC.

    Raises
    ------
    UnstorableValueError
        A value holds something that can't be stored.
    TypeError
        A key is none.
    ValueError
        A time is not > 0.
    """
    found: dict[FullKey, Entry | None] = {}
    for key in checked_keys(pairs):
        value, ttl = pairs[key]
        expires_at = _end_of(ttl, now)
        encoded = encode_with_report(value)
        # It would come back as a mark in the secret's place.
        held = None if encoded.redacted else Entry(encoded.data, expires_at)
        found[key] = held
    return found


def values_of(stored: Mapping[FullKey, bytes]) -> dict[FullKey, Any]:
    """Return fresh copies of stored values, without those that can't be rebuilt."""
    found: dict[FullKey, Any] = {}
    for key, data in stored.items():
        try:
            found[key] = decode(data)
        except StoredValueError:
            continue  # Its class has changed or is not known: it is made anew.
    return found


def _check_namespace(namespace: object) -> None:
    if not isinstance(namespace, tuple):
        raise TypeError(
            f"The namespace {namespace!r} of a cache is a {type(namespace).__name__}. "
            "Give a tuple of texts: ('prices',)."
        )
    for label in namespace:
        _check_text("label", label)


def _check_text(what: str, text: object) -> None:
    if not isinstance(text, str):
        raise TypeError(
            f"The {what} {text!r} of a cache is a {type(text).__name__}, but it has "
            f"to be a text. Use {str(text)!r}."
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TypeError(
            f"The {what} {text!r} of a cache is no valid Unicode: it has half of a "
            "surrogate pair. Leave that character out."
        ) from error


def _end_of(ttl: object, now: float) -> float | None:
    if ttl is None:
        return None
    if isinstance(ttl, int | float) and not isinstance(ttl, bool) and ttl > 0:
        return now + ttl if ttl < math.inf else None
    raise ValueError(
        f"The ttl of a cached value is {ttl!r}. Give seconds, > 0, or None to keep it."
    )
