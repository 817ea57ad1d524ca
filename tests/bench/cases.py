"""The work that is measured: each case is the same code on every engine.

A case opens its saver, warms up, checks what came out, and returns seconds for
each unit of its work. Who is compared with whom is not known here.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.bench.adapters import Engine, Store

__all__ = ["CASES", "Case"]

SLEEP_SECONDS = 0.01
_WARM_UP = 10


class PlannedFailure(Exception):  # noqa: N818 - it is no error: the case asks for it
    """What a body raises after its last task, for its run to be continued."""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of work.

    Attributes
    ----------
    name : str
        What is done, with how many of them.
    measure : callable
        Takes an engine, an empty folder and a count, and returns seconds for each.
    count : int
        How many units are done in one measurement.
    quick_count : int
        How many in the quick form.
    aims : mapping of {"memory", "file"} to float
        How many times faster than the peer nbflow wants to be.
    """

    name: str
    measure: Callable[[Engine, Path, int], float]
    count: int
    quick_count: int
    aims: dict[Store, float]


def add_one(number: int) -> int:
    return number + 1


async def add_one_soon(number: int) -> int:
    return number + 1


def sleep_and_add(number: int) -> int:
    time.sleep(SLEEP_SECONDS)
    return number + 1


def sequential(engine: Engine, folder: Path, count: int) -> float:
    """Time tasks that wait for each other."""
    task = engine.func.task(add_one)

    def body(tasks: int) -> int:
        number = 0
        for _ in range(tasks):
            number = task(number).result()
        return int(number)

    with engine.saver(folder) as saver:
        workflow = engine.func.entrypoint(checkpointer=saver)(body)
        _check(workflow.invoke(_WARM_UP, _thread("warm")), _WARM_UP)
        with _Clock() as clock:
            result = workflow.invoke(count, _thread("timed"))
        _check(result, count)
    return clock.seconds / count


def fan_out(
    engine: Engine,
    folder: Path,
    count: int,
    function: Callable[[int], int] = add_one,
) -> float:
    """Time tasks that are all begun before the first is waited for."""
    task = engine.func.task(function)

    def body(tasks: int) -> int:
        futures = [task(number) for number in range(tasks)]
        total: int = sum(future.result() for future in futures)
        return total

    with engine.saver(folder) as saver:
        workflow = engine.func.entrypoint(checkpointer=saver)(body)
        _check(workflow.invoke(_WARM_UP, _thread("warm")), _sum_to(_WARM_UP))
        with _Clock() as clock:
            result = workflow.invoke(count, _thread("timed"))
        _check(result, _sum_to(count))
    return clock.seconds / count


def sleeping(engine: Engine, folder: Path, count: int) -> float:
    """Time a fan-out of tasks that sleep 10 ms, with the engine's own bound."""
    return fan_out(engine, folder, count, sleep_and_add)


def async_fan_out(engine: Engine, folder: Path, count: int) -> float:
    """Time asynchronous tasks of an asynchronous body."""
    return asyncio.run(_async_fan_out(engine, folder, count))


async def _async_fan_out(engine: Engine, folder: Path, count: int) -> float:
    task = engine.func.task(add_one_soon)

    async def body(tasks: int) -> int:
        results = await asyncio.gather(*[task(number) for number in range(tasks)])
        return sum(results)

    async with engine.async_saver(folder) as saver:
        workflow = engine.func.entrypoint(checkpointer=saver)(body)
        _check(await workflow.ainvoke(_WARM_UP, _thread("warm")), _sum_to(_WARM_UP))
        with _Clock() as clock:
            result = await workflow.ainvoke(count, _thread("timed"))
        _check(result, _sum_to(count))
    return clock.seconds / count


def replay(engine: Engine, folder: Path, count: int) -> float:
    """Time the continuation of a run that failed after its last task."""
    task = engine.func.task(add_one)
    repaired = threading.Event()

    def body(tasks: int) -> int:
        futures = [task(number) for number in range(tasks)]
        total: int = sum(future.result() for future in futures)
        if not repaired.is_set():
            raise PlannedFailure
        return total

    with engine.saver(folder) as saver:
        workflow = engine.func.entrypoint(checkpointer=saver)(body)
        for thread, tasks in (("warm", _WARM_UP), ("timed", count)):
            repaired.clear()
            with suppress(PlannedFailure):
                workflow.invoke(tasks, _thread(thread))
            repaired.set()
            with _Clock() as clock:
                result = workflow.invoke(None, _thread(thread))
            _check(result, _sum_to(tasks))
    return clock.seconds / count


def empty_invoke(engine: Engine, folder: Path, count: int) -> float:
    """Time runs without a task, each of a new thread."""

    def body(number: int) -> int:
        return number

    with engine.saver(folder) as saver:
        workflow = engine.func.entrypoint(checkpointer=saver)(body)
        _check(workflow.invoke(_WARM_UP, _thread("warm")), _WARM_UP)
        with _Clock() as clock:
            for number in range(count):
                workflow.invoke(number, _thread(f"timed {number}"))
    return clock.seconds / count


def first_chunk(engine: Engine, folder: Path, count: int) -> float:
    """Time runs of one task up to their first streamed update."""
    task = engine.func.task(add_one)

    def body(number: int) -> int:
        return int(task(number).result())

    seconds = []
    with engine.saver(folder) as saver:
        workflow = engine.func.entrypoint(checkpointer=saver)(body)
        _check(workflow.invoke(1, _thread("warm")), 2)
        for number in range(count):
            thread = _thread(f"timed {number}")
            begun = time.perf_counter()
            chunks = workflow.stream(number, thread, stream_mode="updates")
            chunk = next(chunks)
            seconds.append(time.perf_counter() - begun)
            _check(chunk, {"add_one": number + 1})
            _check(list(chunks), [{"body": number + 1}])
    return median(seconds)


def importing(engine: Engine, _folder: Path, count: int) -> float:
    """Time what a user imports, each time in a new interpreter."""
    # What is installed was compiled then; a checkout is by the warm-up, if it may.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    code = (
        "from time import perf_counter; begun = perf_counter(); "
        f"import {', '.join(engine.modules)}; print(perf_counter() - begun)"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env=env,
        )
        for _ in range(count)
    ]
    return sum(float(process.stdout) for process in told) / count


class _Clock:
    """Time a block; what others left to collect is collected before."""

    def __enter__(self) -> Self:
        gc.collect()
        self._begun = time.perf_counter()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.seconds = time.perf_counter() - self._begun


def _thread(thread_id: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread_id}}


def _sum_to(count: int) -> int:
    return count * (count + 1) // 2


def _check(result: object, expected: object) -> None:
    if result != expected:
        raise RuntimeError(f"The work gave {result!r} instead of {expected!r}.")


CASES = (
    Case("sequential task", sequential, 1000, 50, {"memory": 8, "file": 7}),
    Case("fan-out task", fan_out, 1000, 50, {"memory": 20, "file": 20}),
    Case("async fan-out task", async_fan_out, 1000, 50, {"memory": 8, "file": 15}),
    Case("sleeping 10 ms task", sleeping, 1000, 50, {"memory": 10, "file": 10}),
    Case("replayed task", replay, 1000, 20, {"memory": 10, "file": 10}),
    Case("replayed task", replay, 10_000, 200, {}),
    Case("empty invoke", empty_invoke, 50, 5, {"memory": 6, "file": 3}),
    Case("first chunk", first_chunk, 20, 3, {"memory": 5, "file": 3}),
    Case("import", importing, 1, 1, {"memory": 10, "file": 10}),
)
"""In the order in which they are measured and shown."""
