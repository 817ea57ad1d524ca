"""How a person can answer while a cell is busy: by a click, or in text."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["ask_in_text", "is_attended", "takes_clicks"]

_FIRST_WITH_CLICKS = (7, 3)


def is_attended(shell: InteractiveShell) -> bool:
    """Return whether somebody can answer: a batch run takes no input."""
    kernel = getattr(shell, "kernel", None)
    return True if kernel is None else bool(getattr(kernel, "_allow_stdin", False))


def takes_clicks(shell: InteractiveShell) -> bool:
    """Return whether a button reaches the kernel while a cell is busy.

    Measured: from ipykernel 7.3 on, on a subshell; 6.31 handles it after the cell.
    """
    kernel = getattr(shell, "kernel", None)
    if kernel is None or not getattr(kernel, "_supports_kernel_subshells", False):
        return False
    try:
        parts = re.findall(r"\d+", version("ipykernel"))
    except PackageNotFoundError:
        return False
    return tuple(map(int, parts[:2])) >= _FIRST_WITH_CLICKS


def ask_in_text(shell: InteractiveShell, question: str) -> Any:
    """Ask in a text field, and return the answer: JSON where it is JSON."""
    kernel = getattr(shell, "kernel", None)
    prompt = f"{question}\nAnswer (text or JSON): "
    text = str(kernel.raw_input(prompt) if kernel is not None else input(prompt))
    try:
        return json.loads(text)
    except ValueError:
        return text
