"""Several inputs of one workflow at once, each a run of its own."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from nbflow._engine.pool import pool
from nbflow.errors import ThreadBusyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

__all__ = ["batched", "batched_async", "configs_for", "shared_threads"]

_TURN_SECONDS = 0.5


def configs_for(
    inputs: Sequence[Any],
    config: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
) -> list[Mapping[str, Any] | None]:
    """Return one config for each input.

    Raises
    ------
    ValueError
        There are not as many configs as inputs.
    """
    if config is None or hasattr(config, "keys"):
        return [config] * len(inputs)  # type: ignore[list-item] # it is a mapping
    found = list(config)
    if len(found) != len(inputs):
        raise ValueError(
            f"config must be a list of the same length as inputs, but got "
            f"{len(found)} configs for {len(inputs)} inputs"
        )
    return list(found)


def shared_threads(
    configs: Sequence[Mapping[str, Any] | None],
) -> dict[int, ThreadBusyError]:
    """Return an error for each run whose thread an earlier one of the batch has."""
    seen: set[str] = set()
    errors: dict[int, ThreadBusyError] = {}
    for number, config in enumerate(configs):
        configurable = (config or {}).get("configurable") or {}
        thread_id = configurable.get("thread_id")
        if thread_id is None:
            continue
        if str(thread_id) in seen:
            holder = "an earlier input of the same batch"
            errors[number] = ThreadBusyError(str(thread_id), "", holder)
        seen.add(str(thread_id))
    return errors


def batched(
    works: Sequence[Callable[[], Any]], *, limit: int | None, return_exceptions: bool
) -> list[Any]:
    """Do all of `works`, at most `limit` at once, and return what they return.

    Raises
    ------
    Exception
        The first failure in the order of the works, once all have ended.
    """
    results: list[Any] = [None] * len(works)
    failed: dict[int, BaseException] = {}
    # Queues, since a semaphore may break where Ctrl-C comes while one waits for it.
    places: SimpleQueue[None] = SimpleQueue()
    done: SimpleQueue[None] = SimpleQueue()
    for _ in range(limit or len(works)):
        places.put(None)

    def perform(number: int) -> None:
        try:
            results[number] = works[number]()
        except BaseException as error:  # noqa: BLE001 - handed to the batch's caller
            failed[number] = error
        places.put(None)
        done.put(None)

    for number in range(len(works)):
        _take(places)
        pool.submit(partial(copy_context().run, perform, number))
    for _ in works:
        _take(done)
    return _settled(results, failed, return_exceptions=return_exceptions)


def _take(queue: SimpleQueue[None]) -> None:
    # In turns: a Ctrl-C that comes just before a wait without an end is not heard.
    while True:
        try:
            return queue.get(timeout=_TURN_SECONDS)
        except Empty:
            continue


async def batched_async(
    works: Sequence[Callable[[], Awaitable[Any]]],
    *,
    limit: int | None,
    return_exceptions: bool,
) -> list[Any]:
    """Like `batched`, on the running loop."""
    places = asyncio.Semaphore(limit or max(1, len(works)))

    async def perform(work: Callable[[], Awaitable[Any]]) -> Any:
        async with places:
            return await work()

    ends = await asyncio.gather(*map(perform, works), return_exceptions=True)
    failed = {n: end for n, end in enumerate(ends) if isinstance(end, BaseException)}
    return _settled(list(ends), failed, return_exceptions=return_exceptions)


def _settled(
    results: list[Any], failed: Mapping[int, BaseException], *, return_exceptions: bool
) -> list[Any]:
    for number in sorted(failed):
        error = failed[number]
        if not return_exceptions or not isinstance(error, Exception):
            raise error
        results[number] = error
    return results
