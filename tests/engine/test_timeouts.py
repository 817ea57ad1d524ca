"""Attempts that may take so long: of tasks and bodies, of both kinds."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from nbflow._events import TaskCalled, TaskFailed, TaskFinished, TaskRetried
from nbflow.config import get_stream_writer
from nbflow.errors import AbandonedTaskWarning, NodeCancelledError, NodeTimeoutError
from nbflow.func import entrypoint, task
from nbflow.runtime import get_runtime
from nbflow.types import RetryPolicy, TimeoutPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbflow._events import Event
    from nbflow.checkpoint.memory import InMemorySaver
    from nbflow.testing import FakeClock

Config = dict[str, Any]
AT_ONCE = RetryPolicy(initial_interval=0.0, jitter=False)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Give an event that bodies wait for; it is set at the test's end in any case."""
    event = threading.Event()
    yield event
    event.set()


def events_of(saver: InMemorySaver) -> list[Event]:
    return [record.event for record in saver.read("t")]


def test_a_synchronous_task_is_left_behind_when_its_time_is_over(
    saver: InMemorySaver,
    config: Config,
    clock: FakeClock,
    release: threading.Event,
) -> None:
    @task(timeout=2.0)
    def stuck() -> str:
        clock.advance(2.5)
        release.wait(10)
        return "too late"

    @entrypoint(checkpointer=saver)
    def workflow(_: int) -> str:
        try:
            return stuck().result()
        except NodeTimeoutError as error:
            return str(error)

    result = workflow.invoke(1, config)
    with pytest.warns(AbandonedTaskWarning, match="'stuck' came back") as said:
        _let_go(release, lambda: len(said) > 0)

    assert result == (
        "Node 'stuck' exceeded its run timeout of 2.000s (elapsed: 2.000s)."
    )
    assert not [e for e in events_of(saver) if isinstance(e, TaskFinished)]
    assert workflow.get_state(config).values == result


def test_an_abandoned_task_holds_no_place_any_more(
    clock: FakeClock, release: threading.Event
) -> None:
    @task(timeout=timedelta(seconds=1))
    def stuck() -> None:
        clock.advance(1)
        release.wait(10)

    @task
    def quick(number: int) -> int:
        return number

    @entrypoint()
    def workflow(_: int) -> list[int]:
        assert isinstance(stuck().exception(), NodeTimeoutError)
        return [future.result() for future in [quick(n) for n in range(3)]]

    result = workflow.invoke(1, {"max_concurrency": 1})

    assert result == [0, 1, 2]


def test_what_an_abandoned_task_still_calls_and_writes_is_not_taken(
    saver: InMemorySaver,
    config: Config,
    clock: FakeClock,
    release: threading.Event,
) -> None:
    ended = threading.Event()

    @task
    def child() -> int:
        return 1

    @task(timeout=1)
    def stuck() -> None:
        clock.advance(1)
        release.wait(10)
        try:
            get_stream_writer()("written too late")
        finally:
            try:
                child()
            finally:
                ended.set()

    @entrypoint(checkpointer=saver)
    def workflow(_: int) -> str:
        failed = stuck().exception()
        release.set()
        ended.wait(10)
        return type(failed).__name__

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AbandonedTaskWarning)
        chunks = list(workflow.stream(1, config, stream_mode=["custom", "values"]))

    assert chunks == [("values", "NodeTimeoutError")]
    called = [e.name for e in events_of(saver) if isinstance(e, TaskCalled)]
    assert called == ["stuck"]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_timed_out_attempt_is_made_again_by_default(
    saver: InMemorySaver, config: Config, clock: FakeClock, kind: str
) -> None:
    tries: list[int] = []

    @task(timeout=1.0, retry_policy=AT_ONCE)
    def blocking() -> int:
        tries.append(1)
        if len(tries) == 1:
            clock.advance(1)
        return len(tries)

    @task(timeout=1.0, retry_policy=AT_ONCE)
    async def waiting() -> int:
        tries.append(1)
        if len(tries) == 1:
            clock.advance(1)
            await asyncio.Event().wait()
        return len(tries)

    @entrypoint(checkpointer=saver)
    async def workflow(_: int) -> int:
        return await (blocking() if kind == "sync" else waiting())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AbandonedTaskWarning)
        result = await workflow.ainvoke(1, config)

    assert result == 2
    retried = [e for e in events_of(saver) if isinstance(e, TaskRetried)]
    assert ["run timeout of 1.000s" in e.text for e in retried] == [True]


async def test_an_asynchronous_task_is_cancelled_and_may_clean_up(
    clock: FakeClock,
) -> None:
    seen: list[str] = []

    @task(timeout=0.5)
    async def stuck() -> None:
        try:
            clock.advance(0.6)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned up")

    @entrypoint()
    async def workflow(_: int) -> str:
        with pytest.raises(NodeTimeoutError) as failed:
            await stuck()
        return f"{failed.value.kind} {failed.value.timeout} {failed.value.node}"

    result = await workflow.ainvoke(1)

    assert result == "run 0.5 stuck"
    assert seen == ["cleaned up"]


def test_an_asynchronous_task_of_a_synchronous_body_is_bounded_too(
    clock: FakeClock,
) -> None:
    @task(timeout=1)
    async def stuck() -> None:
        clock.advance(1)
        await asyncio.Event().wait()

    @entrypoint()
    def workflow(_: int) -> bool:
        return isinstance(stuck().exception(), NodeTimeoutError)

    assert workflow.invoke(1) is True


@pytest.mark.parametrize("sign", ["write", "call", "heartbeat"])
def test_progress_puts_an_idle_timeout_off(clock: FakeClock, sign: str) -> None:
    @task
    def child() -> None:
        return None

    @task(timeout=TimeoutPolicy(idle_timeout=1.0))
    def working() -> str:
        for _ in range(5):
            clock.advance(0.75)
            match sign:
                case "write":
                    get_stream_writer()("still here")
                case "call":
                    child().result()
                case _:
                    get_runtime().heartbeat()
        return "done"

    @entrypoint()
    def workflow(_: int) -> str:
        return working().result()

    assert workflow.invoke(1) == "done"


def test_without_progress_an_idle_timeout_ends_the_attempt(
    clock: FakeClock, release: threading.Event
) -> None:
    @task(timeout=TimeoutPolicy(run_timeout=60, idle_timeout=1.0))
    def silent() -> None:
        clock.advance(0.75)
        get_runtime().heartbeat()
        clock.advance(1)
        release.wait(10)

    @entrypoint()
    def workflow(_: int) -> str:
        return str(silent().exception())

    result = workflow.invoke(1)

    assert result == (
        "Node 'silent' exceeded its idle timeout of 1.000s without making progress "
        "(elapsed: 1.750s)."
    )


def test_with_refresh_on_heartbeat_nothing_else_counts(
    clock: FakeClock, release: threading.Event
) -> None:
    @task(timeout=TimeoutPolicy(idle_timeout=1.0, refresh_on="heartbeat"))
    def writing() -> None:
        clock.advance(0.75)
        get_stream_writer()("not a heartbeat")
        clock.advance(0.75)
        release.wait(10)

    @entrypoint()
    def workflow(_: int) -> bool:
        return isinstance(writing().exception(), NodeTimeoutError)

    assert workflow.invoke(1) is True


async def test_a_body_is_bounded_and_can_be_continued(
    saver: InMemorySaver, config: Config, clock: FakeClock
) -> None:
    ran: list[str] = []
    slow = [True]

    @task
    async def step() -> int:
        ran.append("step")
        return 1

    @entrypoint(checkpointer=saver, timeout=1.0)
    async def workflow(number: int) -> int:
        number += await step()
        if slow:
            clock.advance(1)
            await asyncio.Event().wait()
        return number

    with pytest.raises(NodeTimeoutError, match="Node 'workflow' exceeded"):
        await workflow.ainvoke(1, config)
    slow.clear()
    result = await workflow.ainvoke(None, config)

    assert result == 2
    assert ran == ["step"]


def test_a_synchronous_body_is_bounded_too(
    saver: InMemorySaver,
    config: Config,
    clock: FakeClock,
    release: threading.Event,
) -> None:
    @entrypoint(checkpointer=saver, timeout=1.0)
    def workflow(number: int) -> int:
        clock.advance(1)
        release.wait(10)
        return number

    with pytest.raises(NodeTimeoutError, match="Node 'workflow' exceeded"):
        workflow.invoke(1, config)

    assert workflow.get_state(config).next == ("workflow",)


def test_a_timeout_that_was_caught_is_replayed_as_it_was(
    saver: InMemorySaver,
    config: Config,
    clock: FakeClock,
    release: threading.Event,
) -> None:
    failing = [True]
    errors: list[NodeTimeoutError] = []

    @task(timeout=1.5)
    def stuck() -> None:
        clock.advance(2)
        release.wait(10)

    @task
    def fails() -> None:
        if failing:
            raise ValueError("not yet")

    @entrypoint(checkpointer=saver)
    def workflow(_: int) -> None:
        try:
            stuck().result()
        except NodeTimeoutError as error:
            errors.append(error)
        fails().result()

    with pytest.raises(ValueError, match="not yet"):
        workflow.invoke(1, config)
    failing.clear()
    workflow.invoke(None, config)

    first, again = errors
    assert str(first) == str(again)
    assert (again.node, again.kind, again.timeout, again.run_timeout) == (
        "stuck",
        "run",
        1.5,
        1.5,
    )


async def test_cancelled_error_raised_by_a_task_itself_is_its_failure(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    async def confused() -> None:
        raise asyncio.CancelledError

    @entrypoint(checkpointer=saver)
    async def workflow(_: int) -> str:
        with pytest.raises(NodeCancelledError) as failed:
            await confused()
        return str(failed.value)

    result = await workflow.ainvoke(1, config)

    assert result == "Node 'confused' raised asyncio.CancelledError"
    assert [type(e) for e in events_of(saver) if isinstance(e, TaskFailed)]


def test_the_system_clock_bounds_attempts_in_real_time(
    release: threading.Event,
) -> None:
    @task(timeout=0.05)
    def stuck() -> None:
        release.wait(10)

    @entrypoint()
    def workflow(_: int) -> NodeTimeoutError:
        error = stuck().exception()
        assert isinstance(error, NodeTimeoutError)
        return error

    error = workflow.invoke(1)

    assert 0.05 <= error.elapsed < 5


def test_a_timeout_error_survives_pickling() -> None:
    error = NodeTimeoutError("n", 1.5, kind="idle", idle_timeout=1.0, run_timeout=9.0)

    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert not isinstance(error, TimeoutError)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (0, ValueError),
        (-1.0, ValueError),
        (float("inf"), ValueError),
        (timedelta(0), ValueError),
        ("1", TypeError),
        (True, TypeError),
        (TimeoutPolicy(idle_timeout=-1), ValueError),
        (TimeoutPolicy(run_timeout=1, refresh_on="never"), ValueError),  # type: ignore[arg-type]
    ],
)
def test_a_time_that_is_none_is_refused_when_decorating(
    given: Any, wrong: type[Exception]
) -> None:
    with pytest.raises(wrong):
        task(timeout=given)


def test_times_are_coerced_to_seconds() -> None:
    policy = TimeoutPolicy(timedelta(minutes=1), 2, "heartbeat")

    coerced = TimeoutPolicy.coerce(policy)

    assert coerced == TimeoutPolicy(60.0, 2.0, "heartbeat")
    assert TimeoutPolicy.coerce(TimeoutPolicy()) is None
    assert TimeoutPolicy.coerce(3) == TimeoutPolicy(3.0)


def _let_go(release: threading.Event, condition: Callable[[], bool]) -> None:
    release.set()
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
