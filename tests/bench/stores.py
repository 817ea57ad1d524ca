"""A store with many threads, written in seconds: rows without runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._database.connection import Connection
from nbflow._database.rows import Sealer, pack
from nbflow._events import (
    Interrupted,
    Record,
    RunFinished,
    RunInterrupted,
    RunStarted,
    TaskCalled,
    TaskFinished,
)
from nbflow._values import Payload
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.serde import encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nbflow._events import Event

__all__ = ["make_store"]

RUNS = 15
"""Of each thread: two checkpoints each."""

_ASKS_EVERY = 100
_SECOND = 1_000_000
_BEGIN = 1_767_225_600 * _SECOND


def make_store(path: Path, threads: int) -> None:
    """Write threads of 30 checkpoints; every hundredth waits for an answer.

    Their runs take turns, so that a thread's are strewn over the whole file.
    """
    DuckDBSaver(path).close()
    connection = Connection(str(path))
    try:
        appender, sealer = connection.appender("log"), Sealer(1)
        rows = []
        for seq, record in enumerate(_records(threads), 1):
            rows.append(sealer.seal(pack(record), seq))
            if len(rows) == 5_000:
                appender.append(rows)
                rows = []
        appender.append(rows)
        appender.close()
        connection.checkpoint()
    finally:
        connection.close()
    # It was written behind the store's back.
    path.with_name(f"{path.name}.mark").unlink()


def _records(threads: int) -> Iterator[Record]:
    at = _BEGIN
    for turn in range(RUNS):
        for number in range(threads):
            at += 1_000
            is_asking = turn == RUNS - 1 and number % _ASKS_EVERY == 0
            run_id = f"{number:05d}-{turn:02d}"
            for event in _events(number, turn, is_asking=is_asking):
                yield Record(f"thread-{number:05d}", run_id, at, event)


def _events(number: int, turn: int, *, is_asking: bool) -> Iterator[Event]:
    value = Payload(encode({"answer": "x" * 40, "n": number}))
    own, before = (f"{number:05d}-{n:02d}" for n in (turn, turn - 1))
    yield RunStarted(
        "essay",
        value,
        "code",
        f"{own}-in",
        parent_checkpoint_id=f"{before}-out" if turn else None,
        previous_run_id=before if turn else None,
        step=2 * turn - 1,
    )
    for call_id in (f"{own}-a", f"{own}-b"):
        yield TaskCalled(call_id, "", "place", "fetch", "code", "key", "(1)")
        yield TaskFinished(call_id, value)
    if is_asking:
        yield Interrupted(f"{own}-q", f"{own}-b", "place", value, "key")
        yield RunInterrupted((f"{own}-q",))
    else:
        yield RunFinished(value, None, f"{own}-out")
