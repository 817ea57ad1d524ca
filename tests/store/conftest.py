"""The stores that have to keep the contract, a clock, and vectors of letters."""

from __future__ import annotations

from collections import Counter
from itertools import count
from shutil import copyfile
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import pytest

from nbflow.store.duckdb import DuckDBStore
from nbflow.store.memory import InMemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.store.base import BaseStore

EVERY = ("memory", "duckdb")


class FakeClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        """Return seconds since 1970-01-01 UTC."""
        return self.seconds

    def forward(self, *, minutes: float) -> None:
        """Go on."""
        self.seconds += minutes * 60


# Of the session, so that a test with generated examples may open one for each.
@pytest.fixture(params=EVERY, scope="session")
def open_store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., BaseStore]:
    """Open an empty store; takes ``index``, ``ttl`` and ``clock``."""
    # A store that is added to the project is added here, and nowhere else.
    folder = tmp_path_factory.mktemp("stores")
    numbers = count()
    empty = folder / "empty.duckdb"

    def open_duckdb(**given: Any) -> BaseStore:
        if not empty.exists():
            DuckDBStore(empty).close()
        # A copy is opened in a third of the time that a new one takes.
        path = copyfile(empty, folder / f"{next(numbers)}.duckdb")
        return DuckDBStore(path, **given)

    makers: dict[str, Callable[..., BaseStore]]
    makers = {"memory": InMemoryStore, "duckdb": open_duckdb}
    return makers[request.param]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(open_store: Callable[..., BaseStore], clock: FakeClock) -> BaseStore:
    return open_store(clock=clock)


def count_letters(texts: list[str]) -> list[list[float]]:
    """Return how often each letter stands in each text."""
    counts = [Counter(text.lower()) for text in texts]
    return [[float(found[letter]) for letter in ascii_lowercase] for found in counts]


@pytest.fixture
def letters() -> dict[str, Any]:
    """Return an index by which texts of the same letters are near."""
    return {"dims": 26, "embed": count_letters, "fields": ["text"]}
