"""Pickles of what no codec takes, where the author of a task asked for them.

A pickle stands in stored bytes behind the name of its value's type. Writing one is
the author's choice, reading one the reader's: who reads it runs what it says.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import Any, Final

from nbflow.errors import UnreadableValueError
from nbflow.serde.codec import Codec, Refusal, name_of
from nbflow.serde.kinds import key_of
from nbflow.serde.redact import SECRET_TYPES, Redacted

__all__ = ["PICKLE", "PICKLED", "describe", "dump", "load"]

PICKLED: Final = 110
"""The number that a pickle has in stored bytes."""

_PROTOCOL: Final = 5
_LONGEST_NAME: Final = 1000
_END: Final = b"\n"


def dump(value: Any) -> tuple[bytes, bool]:
    """Return a value as its type's name and a pickle, and whether it held secrets.

    A secret's place in it is taken by `Redacted`.

    Raises
    ------
    Exception
        Whatever pickling it raises: its class may do anything.
    """
    file = BytesIO()
    kind = type(value)
    name = f"{kind.__module__}:{kind.__qualname__}"[:_LONGEST_NAME].replace("\n", " ")
    file.write(name.encode("utf-8", "replace")[:_LONGEST_NAME] + _END)
    pickler = _pickler()(file)
    pickler.dump(value)
    return file.getvalue(), pickler.redacted


def load(data: bytes | memoryview) -> Any:
    """Return the value of a pickle; this runs whatever the pickle says.

    Raises
    ------
    Exception
        Whatever it raises.
    """
    import pickle  # noqa: PLC0415 - only where the reader asked for it

    _, start = _head(data)
    return pickle.loads(memoryview(data)[start:])  # noqa: S301 - the reader's choice


def describe(data: bytes | memoryview) -> tuple[str, dict[str, int]]:
    """Return a stored pickle's type and what is shown of it, without unpickling it.

    Raises
    ------
    UnreadableValueError
        There is no name.
    """
    name, start = _head(data)
    return name, {"pickled_bytes": len(data) - start}


def _head(data: bytes | memoryview) -> tuple[str, int]:
    head, end, _ = bytes(data[: _LONGEST_NAME + 1]).partition(_END)
    if not end:
        raise UnreadableValueError("a pickle in them has no type")
    return head.decode("utf-8", "replace"), len(head) + 1


@cache
def _pickler() -> Any:
    import pickle  # noqa: PLC0415 - most processes never need it

    class Pickler(pickle.Pickler):
        def __init__(self, file: BytesIO) -> None:
            super().__init__(file, _PROTOCOL)
            self.redacted = False
            self._secret: dict[type, bool] = {}

        def reducer_override(self, value: Any) -> Any:
            kind = type(value)
            is_secret = self._secret.get(kind)
            if is_secret is None:
                is_secret = self._secret[kind] = _is_secret(kind)
            if not is_secret:
                return NotImplemented
            self.redacted = True
            return Redacted, (name_of(kind),)

    return Pickler


def _is_secret(kind: type) -> bool:
    return any(key_of(base) in SECRET_TYPES for base in kind.__mro__)


def _never(value: Any) -> Any:
    raise Refusal(value)


PICKLE: Final = Codec(PICKLED, (), _never, _never, raw=True, own_store_only=True)
"""Its place in the table of codecs; `tree` writes and reads it by itself."""
