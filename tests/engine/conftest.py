"""A saver, threads and a clock for tests of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.checkpoint.memory import InMemorySaver
from nbflow.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nbflow.checkpoint.base import BaseCheckpointSaver


@pytest.fixture
def saver() -> InMemorySaver:
    return InMemorySaver()


@pytest.fixture(params=["memory", "duckdb"])
def any_saver(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[BaseCheckpointSaver]:
    with (
        InMemorySaver()
        if request.param == "memory"
        else DuckDBSaver(tmp_path / "engine.duckdb")
    ) as saver:
        yield saver


@pytest.fixture
def config() -> dict[str, Any]:
    return {"configurable": {"thread_id": "t"}}


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    """Have runs look at a clock that the test moves."""
    with FakeClock() as moved:
        yield moved
