"""Identities: computed for calls, new for runs and checkpoints."""

from __future__ import annotations

import threading
import time
import uuid
from hashlib import blake2b
from typing import Final

from uuid_utils import uuid6

__all__ = [
    "digest",
    "new_checkpoint_id",
    "new_run_id",
    "now",
    "place_below",
    "question_id",
]


def digest(*parts: str) -> str:
    """Return 32 hex digits that stand for the parts, in their order.

    Parts are separated by a character that no fingerprint or name holds, so that
    ``("ab", "c")`` and ``("a", "bc")`` differ.
    """
    joined = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return blake2b(joined, digest_size=16).hexdigest()


def place_below(place: str, name: str, args_key: str, ordinal: int) -> str:
    """Return the identity of the place where a call's own body makes calls.

    It holds no code, so that calls below an edited task keep their identity.
    """
    return digest(place, name, args_key, str(ordinal))


def question_id(place: str, value_key: str, ordinal: int) -> str:
    """Return the identity of a question that is asked at a place."""
    return digest(place, "interrupt", value_key, str(ordinal))


def new_run_id() -> str:
    """Return a random id (UUID version 4)."""
    return str(uuid.uuid4())


def new_checkpoint_id() -> str:
    """Return an id that sorts behind all that this process made (UUID version 6)."""
    global _newest  # noqa: PLW0603 - what a clock that jumps back is compared with
    made = uuid6().int
    with _making:
        ticks = (made >> 80) << 12 | (made >> 64) & 0xFFF
        ticks = _newest = max(ticks, _newest + 1)
    rest = made & (1 << 64) - 1
    made = (ticks >> 12) << 80 | 6 << 76 | (ticks & 0xFFF) << 64 | rest
    return str(uuid.UUID(int=made))


_making: Final = threading.Lock()
_newest = 0


def now() -> int:
    """Return the time in microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1000
