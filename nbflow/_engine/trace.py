"""The user's lines: of a traceback, and of who called."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["caller_line", "error_text", "is_ours", "user_trace"]

_OURS = str(Path(__file__).parent.parent)
_MACHINERY = tuple(
    str(Path(sys.modules[name].__file__ or "").parent)
    for name in ("concurrent.futures", "asyncio")
    if name in sys.modules
)


def is_ours(filename: str) -> bool:
    """Return whether a file is part of nbflow or of the machinery below it."""
    return filename.startswith((_OURS, *_MACHINERY))


def user_trace(error: BaseException) -> str:
    """Return the traceback's text with the user's frames only."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=False)
    seen: set[int] = set()
    todo = [shown]
    while todo:
        part = todo.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        part.stack = traceback.StackSummary.from_list(
            [frame for frame in part.stack if not is_ours(frame.filename)]
        )
        todo.extend(p for p in (part.__cause__, part.__context__) if p is not None)
        todo.extend(part.exceptions or ())
    return _storable("".join(shown.format()))


def error_text(error: BaseException) -> str:
    """Return an exception as text, whatever its class makes of `repr`."""
    try:
        return _storable(repr(error))
    except Exception as broken:  # noqa: BLE001 - the user's own __repr__
        name = type(error).__name__
        return f"{name}(<its __repr__ raised {type(broken).__name__}>)"


def _storable(text: str) -> str:
    # Halves of surrogate pairs, as in names of files, are no UTF-8.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def caller_line() -> str:
    """Return ``file:line`` of the nearest frame that is the user's."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - cheap, and no stack is kept
    while frame is not None and is_ours(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        return "unknown line"
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
