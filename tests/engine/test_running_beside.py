"""A workflow needs nothing of the threads that asyncio has for everybody."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from nbflow.func import entrypoint, task

if TYPE_CHECKING:
    from nbflow.checkpoint.memory import InMemorySaver

Config = dict[str, Any]


def test_runs_and_states_need_no_thread_of_asyncios_own(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    async def double(number: int) -> int:
        return 2 * number

    @entrypoint()
    async def inner(number: int) -> int:
        return await double(number)

    @entrypoint(checkpointer=saver)
    async def outer(number: int) -> int:
        held: int = await inner.ainvoke(number)
        return held + await double(number)

    async def use() -> list[Any]:
        loop, let_go = asyncio.get_running_loop(), threading.Event()
        loop.set_default_executor(ThreadPoolExecutor(max_workers=1))
        taken = loop.run_in_executor(None, let_go.wait)
        try:
            async with asyncio.timeout(10):
                result = await outer.ainvoke(3, config)
                state = await outer.aget_state(config)
                history = [s.values async for s in outer.aget_state_history(config)]
                await outer.aupdate_state(config, 7)
                changed = await outer.aget_state(config)
                return [result, state.values, history[0], changed.values]
        finally:
            let_go.set()
            await taken

    assert asyncio.run(use()) == [12, 12, 12, 7]
