"""Times, ids and chances are recorded: a body that runs again gets them again."""

from __future__ import annotations

import asyncio
import random
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import nbflow
from nbflow import Command, RetryPolicy, entrypoint, interrupt, task
from nbflow._events import TaskCalled, ValueNoted
from nbflow.checkpoint.memory import InMemorySaver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow._events import Record

Config = dict[str, Any]


def test_outside_of_a_run_the_values_are_the_plain_ones() -> None:
    before = datetime.now(UTC)

    assert before <= nbflow.now() <= datetime.now(UTC)
    assert nbflow.now().tzinfo is UTC
    assert isinstance(nbflow.uuid4(), uuid.UUID)
    assert nbflow.uuid4() != nbflow.uuid4()
    assert 0 <= nbflow.random() < 1


def test_a_continued_body_gets_the_values_it_got_before(
    saver: InMemorySaver, config: Config
) -> None:
    seen: list[tuple[Any, ...]] = []

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        values = (nbflow.now(), nbflow.uuid4(), nbflow.random(), nbflow.now())
        seen.append(values)
        return interrupt("go on?")

    workflow.invoke("go", config)
    workflow.invoke(Command(resume="yes"), config)

    first, again = seen
    assert first == again
    assert len(set(first)) == 4
    assert [type(value) for value in again] == [datetime, uuid.UUID, float, datetime]


def test_a_new_run_gets_values_of_its_own(saver: InMemorySaver, config: Config) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> uuid.UUID:
        return nbflow.uuid4()

    assert workflow.invoke("go", config) != workflow.invoke("go", config)


def test_a_task_keeps_its_idempotency_key_when_it_fails_and_runs_again(
    saver: InMemorySaver, config: Config
) -> None:
    keys: list[uuid.UUID] = []

    @task
    def pay() -> None:
        keys.append(nbflow.uuid4())
        if len(keys) < 2:
            raise ConnectionError("no network")

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> str:
        pay().result()
        return "paid"

    with pytest.raises(ConnectionError):
        workflow.invoke("go", config)
    workflow.invoke(None, config)

    assert len(keys) == 2
    assert keys[0] == keys[1]


@pytest.mark.parametrize("stored", [True, False])
def test_a_retry_gets_the_values_of_the_first_attempt(
    saver: InMemorySaver, config: Config, *, stored: bool
) -> None:
    keys: list[uuid.UUID] = []
    again = RetryPolicy(initial_interval=0, jitter=False)

    @task(retry_policy=again)
    def pay() -> None:
        keys.append(nbflow.uuid4())
        if len(keys) < 3:
            raise ConnectionError("no network")

    @entrypoint(checkpointer=saver if stored else None)
    def workflow(_: str) -> str:
        pay().result()
        return "paid"

    workflow.invoke("go", config if stored else None)

    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_two_calls_of_a_task_get_values_of_their_own(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def key() -> uuid.UUID:
        return nbflow.uuid4()

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> int:
        futures = [key() for _ in range(5)]
        return len({future.result() for future in futures})

    assert workflow.invoke("go", config) == 5


def test_sync_has_a_value_on_disk_before_it_is_used(config: Config) -> None:
    class Slow(InMemorySaver):
        """Says that records are on disk only when it is told to."""

        def __init__(self) -> None:
            super().__init__()
            self.waiting: list[tuple[Record, Callable[..., None]]] = []
            self.came = threading.Semaphore(0)

        def append(
            self,
            records: Sequence[Record],
            on_durable: Callable[[BaseException | None], None] | None = None,
        ) -> None:
            super().append(records)
            if on_durable is None:
                return
            if isinstance(records[0].event, ValueNoted):
                self.waiting.append((records[0], on_durable))
                self.came.release()
            else:
                on_durable(None)

    saver = Slow()
    used: list[uuid.UUID] = []

    @task
    def pay() -> None:
        used.append(nbflow.uuid4())

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> None:
        pay().result()

    runs = threading.Thread(
        target=workflow.invoke, args=("go", config), kwargs={"durability": "sync"}
    )
    runs.start()
    saver.came.acquire()
    before = used[:]
    saver.waiting[0][1](None)
    runs.join()

    assert before == []
    assert len(used) == 1


def test_lanes_of_an_asynchronous_body_keep_their_values_whoever_is_faster(
    saver: InMemorySaver, config: Config
) -> None:
    turns = [[0.02, 0.0, 0.01], [0.0, 0.01, 0.02]]
    seen: list[list[uuid.UUID]] = []

    @task
    async def wait(lane: int) -> None:
        await asyncio.sleep(turns[len(seen)][lane])

    @entrypoint(checkpointer=saver, on_divergence="rerun")
    async def workflow(_: str) -> Any:
        async def lane(number: int) -> list[uuid.UUID]:
            async def below() -> uuid.UUID:
                return nbflow.uuid4()

            first = nbflow.uuid4()
            await asyncio.sleep(turns[len(seen)][number])
            pair = await asyncio.gather(below(), below())
            await asyncio.sleep(turns[len(seen)][2 - number])
            return [first, *pair, nbflow.uuid4()]

        lanes = await asyncio.gather(*map(lane, range(3)))
        seen.append([key for lane_keys in lanes for key in lane_keys])
        return interrupt("go on?")

    asyncio.run(workflow.ainvoke("go", config))
    asyncio.run(workflow.ainvoke(Command(resume="yes"), config))

    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 12


def test_a_value_taken_in_a_thread_of_the_body_is_recorded(
    saver: InMemorySaver, config: Config
) -> None:
    seen: list[uuid.UUID] = []

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        with ThreadPoolExecutor(1) as threads:
            context = copy_context()
            seen.append(threads.submit(context.run, nbflow.uuid4).result())
        return interrupt("go on?")

    workflow.invoke("go", config)
    workflow.invoke(Command(resume="yes"), config)

    assert seen[0] == seen[1]


def test_values_of_a_nested_run_are_recorded(
    saver: InMemorySaver, config: Config
) -> None:
    seen: list[float] = []

    @entrypoint()
    def inner(_: str) -> Any:
        seen.append(nbflow.random())
        return interrupt("go on?")

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        return inner.invoke("in")

    workflow.invoke("go", config)
    workflow.invoke(Command(resume="yes"), config)

    assert seen[0] == seen[1]


def test_a_replay_of_nothing_takes_values_anew(
    saver: InMemorySaver, config: Config
) -> None:
    seen: list[float] = []

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        seen.append(nbflow.random())
        return interrupt("go on?")

    workflow.invoke("go", config)
    none = {"configurable": {"thread_id": "t", "replay": "none"}}
    workflow.invoke(Command(resume="yes"), none)

    assert seen[0] != seen[1]


def test_a_call_with_a_recorded_value_as_argument_is_found_again(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def note(key: uuid.UUID, chance: list[int]) -> str:
        return f"{key}{chance}"

    @entrypoint(checkpointer=saver, on_divergence="error")
    def workflow(_: str) -> Any:
        items = list(range(20))
        random.Random(nbflow.random()).shuffle(items)  # noqa: S311 - not a secret
        note(nbflow.uuid4(), items).result()
        return interrupt("go on?")

    workflow.invoke("go", config)
    workflow.invoke(Command(resume="yes"), config)

    called = saver.read("t", kinds=("TaskCalled",))
    assert [type(record.event) for record in called] == [TaskCalled]
