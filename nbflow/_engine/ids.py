"""Identities: computed for calls, new for runs and checkpoints."""

from __future__ import annotations

import time
import uuid
from hashlib import blake2b

from uuid_utils import uuid6

__all__ = ["digest", "new_checkpoint_id", "new_run_id", "now"]


def digest(*parts: str) -> str:
    """Return 32 hex digits that stand for the parts, in their order.

    Parts are separated by a character that no fingerprint or name holds, so that
    ``("ab", "c")`` and ``("a", "bc")`` differ.
    """
    joined = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return blake2b(joined, digest_size=16).hexdigest()


def new_run_id() -> str:
    """Return a random id (UUID version 4)."""
    return str(uuid.uuid4())


def new_checkpoint_id() -> str:
    """Return an id that sorts by the time it was made (UUID version 6)."""
    return str(uuid6())


def now() -> int:
    """Return the time in microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1000
