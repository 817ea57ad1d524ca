"""What panels and lines ask of a store, each in a process of its own.

``python -m tests.bench.questions PATH QUESTION`` opens a store and prints seconds: of
the first time that it is asked, and the median of the later ones.
"""

from __future__ import annotations

import json
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from nbflow._engine.state import history_of
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.session.bus import view_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.checkpoint.base import Head

__all__ = ["QUESTIONS", "Taken", "ask"]

PAGE: Final = 20
_REPEATS: Final = 9

_Ask: TypeAlias = "Callable[[DuckDBSaver, Head], object]"


class Taken(NamedTuple):
    """How long a question took, in seconds."""

    first: float
    later: float


def _history(saver: DuckDBSaver, head: Head) -> object:
    config = {"configurable": {"thread_id": head.thread_id}}
    return list(history_of(saver, config, limit=PAGE))


QUESTIONS: Final[dict[str, _Ask]] = {
    "thread list": lambda saver, _: saver.newest(PAGE),
    "history page": _history,
    "timeline": lambda saver, head: view_of(saver, head.thread_id, head.run_id),
    "pending interrupts": lambda saver, _: saver.questions(),
}
"""What is asked, of a store and one of its threads."""


def ask(path: str, question: str) -> Taken:
    """Open a store and ask it one thing, of one thread after the other."""
    answer = QUESTIONS[question]
    with DuckDBSaver(path) as other:
        # Looked up before, so that nothing is warm when the first one is asked.
        heads = other.newest(PAGE * (1 + _REPEATS))[::PAGE]
    with DuckDBSaver(path) as saver:
        taken = []
        for head in heads:
            began = time.perf_counter()
            answer(saver, head)
            taken.append(time.perf_counter() - began)
    return Taken(taken[0], median(taken[1:]))


if __name__ == "__main__":
    print(json.dumps(ask(*sys.argv[1:])))  # noqa: T201 - what is asked for
