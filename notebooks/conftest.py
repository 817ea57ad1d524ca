"""What nbval is told about cells whose output changes while they run.

nbval keeps what a cell showed first. A panel is shown at once and follows its run, so
here each change takes the place of what it changes, as on a notebook's page.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from nbval.plugin import IPyNbFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pytest

__all__ = ["pytest_collection_modifyitems"]

RUN_MIME: Final = "application/vnd.nbflow.run.v1+json"
"""A run with its times and ids: what it tells stands in the text and the HTML too."""


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Prepare each notebook once, before its first cell is run."""
    files = {item.parent for item in items if isinstance(item.parent, IPyNbFile)}
    for file in files:
        file.skip_compare = (*file.skip_compare, RUN_MIME)
        file.get_kernel_message = _Settled(file.get_kernel_message)


class _Settled:
    """Hands on what a kernel publishes, once the cell is done and nothing changes."""

    def __init__(self, receive: Callable[..., dict[str, Any]]) -> None:
        self._receive = receive
        self._settled: deque[dict[str, Any]] = deque()

    def __call__(
        self, timeout: float | None = None, stream: str = "iopub"
    ) -> dict[str, Any]:
        if not self._settled:
            self._settled.extend(self._until_idle(timeout, stream))
        return self._settled.popleft()

    def _until_idle(self, timeout: float | None, stream: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        shown: dict[str, dict[str, Any]] = {}
        while True:
            message = self._receive(timeout, stream)
            content = message["content"]
            display_id = content.get("transient", {}).get("display_id", "")
            if message["msg_type"] == "update_display_data":
                if display_id in shown:
                    shown[display_id] |= {
                        name: content[name] for name in ("data", "metadata")
                    }
                continue
            if display_id:
                shown[display_id] = content
            messages.append(message)
            if content.get("execution_state") == "idle":
                return messages
