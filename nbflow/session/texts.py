"""Short, harmless texts of values and of what users wrote.

What is shown in a page or a terminal can't move its cursor, colour it or make
one text look like another. Nothing here knows of runs or views.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from nbflow._values import UNSET
from nbflow.errors import UnreadableValueError
from nbflow.serde import decode, preview

if TYPE_CHECKING:
    from nbflow._values import Payload

__all__ = ["plain", "text_of", "value_of"]

_ANSI = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours and cursor moves
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles and links
    r"|\x1b[ -/]*[0-~]"
)
_INVISIBLE: Final = (
    {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"}
    | {0x7F: "\u2421", 0x2028: "\n", 0x2029: "\n"}
    | dict.fromkeys(range(0x80, 0xA0), "\ufffd")
    | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
    # Bidirectional controls can make one text look like another.
    | {
        code: f"<U+{code:04X}>"
        for code in (
            0x061C,
            0x200E,
            0x200F,
            *range(0x202A, 0x202F),
            *range(0x2066, 0x206A),
        )
    }
)


def plain(text: str, limit: int, *, lines: bool = False) -> str:
    """Return a text that can be shown anywhere: short, and without control characters.

    Parameters
    ----------
    text : str
        Any text.
    limit : int
        Longest result, in characters, > 0; a cut one ends in an ellipsis.
    lines : bool, default False
        Keep line breaks; otherwise they are shown as a sign.
    """
    # A cut before cleaning bounds the work, and leaves room for what is removed.
    cut = text[: 2 * limit + 64]
    if not cut.isprintable():
        cut = _ANSI.sub("", cut).replace("\r\n", "\n").translate(_INVISIBLE)
        if not lines:
            cut = cut.replace("\n", "\u21b5")
    if len(cut) > limit or len(text) > 2 * limit + 64:
        return f"{cut[: limit - 1]}\u2026"
    return cut


def value_of(payload: Payload) -> Any:
    """Return the value of a payload: the object itself, or what its bytes say.

    Unknown classes come back as `Opaque`. None where there is neither.

    Raises
    ------
    UnreadableValueError
        The bytes are not a stored value.
    """
    if payload.live is not UNSET:
        return payload.live
    data = payload.data
    return None if data is None else decode(data, opaque=True)


def text_of(payload: Payload, limit: int, *, lines: bool = False) -> str:
    """Return a short, harmless text of a value. Never raises.

    A string stands as it is when `lines` is set, anything else as `preview`
    shows it; what can't be read or shown says so.
    """
    if payload.live is UNSET and payload.data is None:
        return ""
    try:
        value = value_of(payload)
        shown = value if lines and isinstance(value, str) else preview(value, limit)
    except UnreadableValueError as error:
        shown = f"<unreadable: {error.why}>"
    return plain(shown, limit, lines=lines)
