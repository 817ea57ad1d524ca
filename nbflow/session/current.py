"""The session of this process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from nbflow.session.session import Session

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["current_session", "take_session"]

_lock = threading.Lock()
_sessions: list[Session] = []


def current_session() -> Session:
    """Return the process's session; a script gets one over its main module."""
    with _lock:
        if not _sessions:
            import __main__  # noqa: PLC0415 - only a script's own names are meant

            _sessions.append(Session(vars(__main__)))
        return _sessions[0]


def take_session(
    namespace: MutableMapping[str, Any], *, store: str | None = None
) -> Session:
    """Return the process's session over a notebook's names."""
    with _lock:
        if not _sessions:
            _sessions.append(Session(namespace, store=store))
        _sessions[0].namespace = namespace
        return _sessions[0]
