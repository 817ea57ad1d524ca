"""A saver and threads for tests of the engine."""

from __future__ import annotations

from typing import Any

import pytest

from nbflow.checkpoint.memory import InMemorySaver


@pytest.fixture
def saver() -> InMemorySaver:
    return InMemorySaver()


@pytest.fixture
def config() -> dict[str, Any]:
    return {"configurable": {"thread_id": "t"}}
