"""A saver, threads and a clock for tests of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nbflow.checkpoint.memory import InMemorySaver
from nbflow.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def saver() -> InMemorySaver:
    return InMemorySaver()


@pytest.fixture
def config() -> dict[str, Any]:
    return {"configurable": {"thread_id": "t"}}


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    """Have runs look at a clock that the test moves."""
    with FakeClock() as moved:
        yield moved
