"""How often the loops kill, and with which seed."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def kills() -> int:
    """Few, for every run of the suite; NBFLOW_CRASH_KILLS asks for more."""
    return int(os.environ.get("NBFLOW_CRASH_KILLS", "20"))


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("NBFLOW_CRASH_SEED", "1"))
