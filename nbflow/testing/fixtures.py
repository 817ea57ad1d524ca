"""Fixtures for pytest: ``pytest_plugins = ["nbflow.testing.fixtures"]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nbflow.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["fake_clock"]


@pytest.fixture
def fake_clock() -> Iterator[FakeClock]:
    """Give every run of a test a `FakeClock` that jumps over its waits."""
    with FakeClock() as clock:
        yield clock
