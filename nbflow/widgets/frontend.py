"""The built half of the panels: what a browser is sent of it, and when it is missing.

The files are made by the build of `labextension/` and lie in ``static/``. Nothing
here knows of runs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["NOT_BUILT", "FrontEnd", "front_end", "read_front_end"]

NOT_BUILT: Final = (
    "The panel's front end is not built, so this is its text. "
    "Run 'make build' in the folder of nbflow's source, then restart the kernel."
)

_STATIC: Final = Path(__file__).resolve().parents[1] / "static"


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """The files that a browser needs to draw a panel.

    Attributes
    ----------
    loader : str
        A small ES module, sent with every panel. It asks for the rest once a
        page.
    code : str
        The ES module that draws.
    css : str
        Its styles.
    hash : str
        Names this version of `code` and `css`: 16 hex digits.
    """

    loader: str
    code: str
    css: str
    hash: str


def read_front_end(folder: Path) -> FrontEnd | None:
    """Return the front end that lies in a folder, or None if it is not complete."""
    try:
        loader, code, css = (
            (folder / name).read_text("utf-8")
            for name in ("loader.js", "widget.js", "widget.css")
        )
    except FileNotFoundError:
        return None
    digest = hashlib.sha256(f"{code}\0{css}".encode()).hexdigest()
    return FrontEnd(loader, code, css, digest[:16])


@cache
def front_end() -> FrontEnd | None:
    """Return this installation's front end, read once; None if it is not built."""
    return read_front_end(_STATIC)
