"""`%config NBFlow`: what a person sets once for a kernel."""

from __future__ import annotations

from traitlets import Bool, Enum, Unicode
from traitlets.config import Configurable

__all__ = ["NBFlow"]


class NBFlow(Configurable):
    """How workflows run and show themselves in this notebook."""

    store: Unicode[str, str | bytes] = Unicode(
        "",
        help="Path of the store. Empty: NBFLOW_STORE, else .nbflow/<notebook>.duckdb "
        "beside the notebook. Change it with %workflow store PATH.",
    ).tag(config=True)
    durability: Enum[str] = Enum(
        ("sync", "async", "exit"),
        default_value="sync",
        help="When results of tasks are on disk: before they are used, soon after, or "
        "when the run ends.",
    ).tag(config=True)
    panel: Bool[bool, bool | int] = Bool(True, help="Show a panel under the cell.").tag(
        config=True
    )
    on_interrupt: Enum[str] = Enum(
        ("stop", "continue", "wait"),
        default_value="stop",
        help="What a cell does when its workflow asks a person: end with "
        "WorkflowPaused, so that Run All stops; end without an error; or stay busy "
        "until the answer is there.",
    ).tag(config=True)
    on_error: Enum[str] = Enum(
        ("short", "full"),
        default_value="short",
        help="Show your own lines of a traceback, or nbflow's as well.",
    ).tag(config=True)
