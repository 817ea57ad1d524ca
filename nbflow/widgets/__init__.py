"""Panels as widgets, and what stands in a notebook where none can be drawn.

A name is loaded when it is first used: the widgets need anywidget, the twin does
not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from nbflow.widgets.display import PanelDisplay
    from nbflow.widgets.panel import Commands, RunPanel
    from nbflow.widgets.twin import mime_bundle

__all__ = ["Commands", "PanelDisplay", "RunPanel", "mime_bundle"]

_HOMES: Final = {
    "Commands": "panel",
    "PanelDisplay": "display",
    "RunPanel": "panel",
    "mime_bundle": "twin",
}


if not TYPE_CHECKING:  # it would make every misspelt name one of type Any

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
