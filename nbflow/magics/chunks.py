"""What `--stream` prints: a run's chunks in its cell, as they come."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from nbflow.session.runs import Reader

if TYPE_CHECKING:
    from nbflow._values import StreamMode

__all__ = ["chunk_reader"]


def chunk_reader(modes: tuple[StreamMode, ...]) -> Reader | None:
    """Return who reads these modes of a run; None where there are none."""
    return Reader(modes, _Printer(named=len(modes) > 1).show) if modes else None


class _Printer:
    """Prints chunks, one a line; tokens follow each other on theirs."""

    def __init__(self, *, named: bool) -> None:
        self._named = named
        self._lock = threading.Lock()
        self._in_line = False

    def show(self, mode: StreamMode, chunk: Any) -> None:
        with self._lock:
            if mode == "messages":
                self._print(_text_of(chunk[0]), end="")
                self._in_line = True
                return
            if self._in_line:
                self._print("")
                self._in_line = False
            self._print(f"{mode}: {chunk}" if self._named else chunk)

    def _print(self, what: Any, end: str = "\n") -> None:
        print(what, end=end, flush=True)  # noqa: T201 - what --stream asks for


def _text_of(message: Any) -> str:
    content = message.get("content") if isinstance(message, dict) else message.content
    if isinstance(content, str):
        return content
    parts = (part.get("text", "") for part in content or () if isinstance(part, dict))
    return "".join(parts)
