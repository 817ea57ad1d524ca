"""Each test that keeps a thread runs on every saver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.checkpoint.memory import InMemorySaver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nbflow.checkpoint.base import BaseCheckpointSaver


@pytest.fixture(params=["memory", "duckdb"])
def saver(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[BaseCheckpointSaver]:
    made: BaseCheckpointSaver
    made = (
        InMemorySaver()
        if request.param == "memory"
        else DuckDBSaver(tmp_path / "graph.duckdb")
    )
    with made:
        yield made
