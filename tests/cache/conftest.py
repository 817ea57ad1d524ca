"""The caches that have to keep the contract, and a clock."""

from __future__ import annotations

from itertools import count
from shutil import copyfile
from typing import TYPE_CHECKING, Any

import pytest

from nbflow.cache.duckdb import DuckDBCache
from nbflow.cache.memory import InMemoryCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.cache.base import BaseCache

EVERY = ("memory", "duckdb")


class FakeClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        """Return seconds since 1970-01-01 UTC."""
        return self.seconds

    def forward(self, seconds: float) -> None:
        """Go on."""
        self.seconds += seconds


# Of the session, so that a test with generated examples may open one for each.
@pytest.fixture(params=EVERY, scope="session")
def open_cache(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., BaseCache]:
    """Open an empty cache; takes ``clock``."""
    # A cache that is added to the project is added here, and nowhere else.
    folder = tmp_path_factory.mktemp("caches")
    numbers = count()
    empty = folder / "empty.duckdb"

    def open_duckdb(**given: Any) -> BaseCache:
        if not empty.exists():
            DuckDBCache(empty).close()
        # A copy is opened in a third of the time that a new one takes.
        path = copyfile(empty, folder / f"{next(numbers)}.duckdb")
        return DuckDBCache(path, **given)

    makers: dict[str, Callable[..., BaseCache]]
    makers = {"memory": InMemoryCache, "duckdb": open_duckdb}
    return makers[request.param]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cache(open_cache: Callable[..., BaseCache], clock: FakeClock) -> BaseCache:
    return open_cache(clock=clock)
