"""The views of the log: what a person asks of it in SQL.

Every view hides what stands before its thread's newest deletion. Times are UTC,
`*_seconds` are seconds, `*_bytes` are bytes as stored (large values are
compressed). Names are for users, so a column is added and never renamed.
"""

from __future__ import annotations

from typing import Final

from nbflow._database.call_views import (
    ANSWERS,
    FAILURES,
    INTERRUPTS,
    PENDING_INTERRUPTS,
    TASKS,
)
from nbflow._database.item_views import CACHE, STORE_ITEMS
from nbflow._database.run_views import (
    CHECKPOINTS,
    CODE_VERSIONS,
    EVENTS,
    NEWEST_RUNS,
    RUNS,
    THREADS,
)

__all__ = ["VIEWS"]

VIEWS: Final = (
    EVENTS,
    RUNS,
    NEWEST_RUNS,
    TASKS,
    CHECKPOINTS,
    INTERRUPTS,
    PENDING_INTERRUPTS,
    ANSWERS,
    FAILURES,
    CODE_VERSIONS,
    THREADS,
    STORE_ITEMS,
    CACHE,
)
"""Each view after those that it reads."""
