"""How long a search by embedding takes among many items."""

from __future__ import annotations

import random
import time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from nbflow.store.base import PutOp
from nbflow.store.duckdb import DuckDBStore
from tests.bench.questions import Taken

if TYPE_CHECKING:
    from pathlib import Path

    from nbflow.store.base import IndexConfig

__all__ = ["DIMS", "search"]

DIMS = 384
"""Of an embedding: as many as small models give."""

_AT_ONCE = 1_000
_NAMESPACES = 10
_REPEATS = 15


def search(path: Path, items: int) -> Taken:
    """Fill a store, open it anew, and search it again and again.

    What the model takes is not counted: vectors are random, and so are the queries.
    """
    chance = np.random.default_rng(1)

    def embed(texts: list[str]) -> list[list[float]]:
        made: list[list[float]] = chance.standard_normal((len(texts), DIMS)).tolist()
        return made

    index: IndexConfig = {"dims": DIMS, "embed": embed}
    with DuckDBStore(path, index=index) as store:
        for begin in range(0, items, _AT_ONCE):
            numbers = range(begin, min(begin + _AT_ONCE, items))
            store.batch(
                [PutOp((str(n % _NAMESPACES),), str(n), {"n": n}) for n in numbers]
            )
    with DuckDBStore(path, index=index) as store:
        taken = []
        for _ in range(1 + _REPEATS):
            query = str(random.random())  # noqa: S311 - only to be another one
            began = time.perf_counter()
            store.search((), query=query)
            taken.append(time.perf_counter() - began)
    return Taken(taken[0], median(taken[1:]))
