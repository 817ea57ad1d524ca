"""Ending a run early and in good order, and taking calls back."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from nbflow._events import RunCancelled, TaskCalled, TaskDropped, TaskFinished
from nbflow.errors import GraphDrained, NodeCancelledError
from nbflow.func import entrypoint, task
from nbflow.runtime import ExecutionInfo, RunControl, Runtime, get_runtime
from nbflow.types import Command, RetryPolicy, interrupt

if TYPE_CHECKING:
    from nbflow._events import Event
    from nbflow.checkpoint.memory import InMemorySaver
    from nbflow.testing import FakeClock

Config = dict[str, Any]
NOWHERE: Runtime[None] = Runtime(context=None)
"""Stands where a run fills in its own."""


def events_of(saver: InMemorySaver) -> list[Event]:
    return [record.event for record in saver.read("t")]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_drained_run_finishes_what_runs_and_begins_nothing_else(
    saver: InMemorySaver, config: Config, kind: str
) -> None:
    control, ran = RunControl(), list[str]()

    @task
    def first() -> int:
        ran.append("first")
        control.request_drain("deploy")
        return 1

    @task
    def second() -> int:
        ran.append("second")
        return 2

    @entrypoint(checkpointer=saver)
    def blocking(number: int) -> int:
        return number + first().result() + second().result()

    @entrypoint(checkpointer=saver)
    async def waiting(number: int) -> int:
        return number + await first() + await second()

    workflow = blocking if kind == "sync" else waiting

    with pytest.raises(GraphDrained, match="Graph drained: deploy") as drained:
        await workflow.ainvoke(10, config, control=control)
    before = list(ran)
    result = await workflow.ainvoke(None, config)

    assert drained.value.reason == "deploy"
    assert before == ["first"]
    assert result == 13
    assert ran == ["first", "second"]
    ends = [e.reason for e in events_of(saver) if isinstance(e, RunCancelled)]
    assert ends == ["drained: deploy"]


def test_draining_drops_what_stands_in_line(
    saver: InMemorySaver, config: Config
) -> None:
    control, all_called = RunControl(), threading.Event()

    @task
    def work(number: int) -> int:
        all_called.wait(10)
        control.request_drain()
        return number

    @entrypoint(checkpointer=saver)
    def workflow(count: int) -> int:
        futures = [work(number) for number in range(count)]
        all_called.set()
        return sum(future.result() for future in futures)

    with pytest.raises(GraphDrained):
        workflow.invoke(5, {**config, "max_concurrency": 1}, control=control)
    finished = [e for e in events_of(saver) if isinstance(e, TaskFinished)]
    dropped = [e for e in events_of(saver) if isinstance(e, TaskDropped)]
    result = workflow.invoke(None, config)

    assert (len(finished), len(dropped)) == (1, 4)
    assert result == 10


def test_a_run_that_needs_nothing_more_is_not_drained(
    saver: InMemorySaver, config: Config
) -> None:
    control = RunControl()

    @task
    def last() -> int:
        control.request_drain()
        return 1

    @entrypoint(checkpointer=saver)
    def workflow(_: int) -> int:
        return last().result()

    assert workflow.invoke(1, config, control=control) == 1


def test_a_control_that_was_asked_before_lets_nothing_begin(
    saver: InMemorySaver, config: Config
) -> None:
    control = RunControl()
    control.request_drain("over")

    @task
    def work() -> int:
        return 1

    @entrypoint(checkpointer=saver)
    def workflow(_: int) -> int:
        return work().result()

    with pytest.raises(GraphDrained, match="over"):
        workflow.invoke(1, config, control=control)

    assert not [e for e in events_of(saver) if isinstance(e, TaskCalled)]


def test_a_drained_retry_runs_again_and_is_not_a_failure(
    saver: InMemorySaver, config: Config, clock: FakeClock
) -> None:
    control, tries = RunControl(), list[int]()

    @task(retry_policy=RetryPolicy(initial_interval=60.0))
    def flaky() -> int:
        tries.append(1)
        if len(tries) == 1:
            control.request_drain()
            raise ConnectionError("try again")
        return len(tries)

    @entrypoint(checkpointer=saver)
    def workflow(_: int) -> int:
        return flaky().result()

    with pytest.raises(GraphDrained):
        workflow.invoke(1, config, control=control)
    result = workflow.invoke(None, config)

    assert result == 2
    assert clock.elapsed_seconds == 0


def test_a_question_that_was_asked_before_the_drain_is_still_there(
    saver: InMemorySaver, config: Config
) -> None:
    control = RunControl()

    @task
    def ask() -> str:
        control.request_drain()
        return str(interrupt("how?"))

    @entrypoint(checkpointer=saver)
    def workflow(_: int) -> str:
        return ask().result()

    first = workflow.invoke(1, config, control=control)
    answered = workflow.invoke(Command(resume="well"), config)

    assert [i.value for i in first["__interrupt__"]] == ["how?"]
    assert answered == "well"


def test_a_body_sees_that_it_was_asked_to_end(
    saver: InMemorySaver, config: Config
) -> None:
    control = RunControl()

    @entrypoint(checkpointer=saver)
    def workflow(_: int, *, runtime: Runtime[None]) -> list[Any]:
        before = runtime.drain_requested
        control.request_drain("soon")
        control.request_drain("a second request does nothing")
        return [before, runtime.drain_requested, runtime.drain_reason]

    assert workflow.invoke(1, config, control=control) == [False, True, "soon"]


# Taking calls back.


async def test_an_awaited_task_that_is_cancelled_ends_and_runs_again_later(
    saver: InMemorySaver, config: Config
) -> None:
    ended: list[str] = []
    patience = [0.01]

    @task
    async def slow() -> str:
        try:
            await asyncio.sleep(30 if patience else 0)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return "done"

    @task
    async def fails() -> None:
        if patience:
            raise ValueError("not yet")

    @entrypoint(checkpointer=saver)
    async def workflow(_: int) -> str:
        try:
            found = await asyncio.wait_for(slow(), 0.01 if patience else 30)
        except TimeoutError:
            found = "gave up"
        await fails()
        return found

    with pytest.raises(ValueError, match="not yet"):
        await workflow.ainvoke(1, config)
    patience.clear()
    result = await workflow.ainvoke(None, config)

    assert ended == ["cancelled"]
    assert result == "done"
    assert [type(e) for e in events_of(saver) if isinstance(e, TaskDropped)]


def test_a_call_in_line_can_be_taken_back_and_a_running_one_can_not(
    saver: InMemorySaver, config: Config
) -> None:
    begun, release, ran = threading.Event(), threading.Event(), list[str]()

    @task
    def holds() -> str:
        begun.set()
        release.wait(10)
        return "held"

    @task
    def queued() -> None:
        ran.append("queued")

    @entrypoint(checkpointer=saver)
    def workflow(_: int) -> list[Any]:
        running, waiting = holds(), queued()
        begun.wait(10)
        answers = [running.cancel(), waiting.cancel(), waiting.cancelled()]
        release.set()
        return [*answers, running.result(), running.cancel()]

    result = workflow.invoke(1, {**config, "max_concurrency": 1})

    assert result == [False, True, True, "held", False]
    assert ran == []


async def test_a_synchronous_task_goes_on_though_nobody_awaits_it_any_more(
    saver: InMemorySaver, config: Config
) -> None:
    begun, release = threading.Event(), threading.Event()

    @task
    def thread() -> str:
        begun.set()
        release.wait(10)
        return "recorded"

    @entrypoint(checkpointer=saver)
    async def workflow(_: int) -> str:
        future = thread()
        await asyncio.to_thread(begun.wait, 10)
        assert future.cancel()
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await future
        return "went on"

    result = await workflow.ainvoke(1, config)

    assert result == "went on"
    assert [e.result.live for e in events_of(saver) if isinstance(e, TaskFinished)]


async def test_a_body_that_raises_cancelled_error_itself_fails(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    async def workflow(_: int) -> None:
        raise asyncio.CancelledError

    with pytest.raises(NodeCancelledError, match="'workflow' raised"):
        await workflow.ainvoke(1, config)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_done_callbacks_and_exceptions_work_in_both_worlds(
    saver: InMemorySaver, config: Config, kind: str
) -> None:
    seen: list[str] = []

    @task
    def fails() -> int:
        raise LookupError("nothing there")

    @task
    def works() -> int:
        return 1

    @entrypoint(checkpointer=saver)
    def blocking(_: int) -> list[Any]:
        good, bad = works(), fails()
        good.add_done_callback(lambda f: seen.append(f"good {f.result()}"))
        bad.add_done_callback(lambda f: seen.append(f"bad {f.exception()!r}"))
        error = bad.exception()
        return [good.exception(), type(error).__name__, good.result(), bad.done()]

    @entrypoint(checkpointer=saver)
    async def waiting(_: int) -> list[Any]:
        good, bad = works(), fails()
        good.add_done_callback(lambda f: seen.append(f"good {f.result()}"))
        bad.add_done_callback(lambda f: seen.append(f"bad {f.exception()!r}"))
        await asyncio.wait([good, bad])  # type: ignore[type-var]
        error = bad.exception()
        return [good.exception(), type(error).__name__, good.result(), bad.done()]

    workflow = blocking if kind == "sync" else waiting

    result = await workflow.ainvoke(1, config)

    assert result == [None, "LookupError", 1, True]
    assert sorted(seen) == ["bad LookupError('nothing there')", "good 1"]


# Attempts at a body.


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("kept", [True, False])
async def test_a_body_is_attempted_again_without_its_finished_calls(
    saver: InMemorySaver, config: Config, clock: FakeClock, kind: str, kept: bool
) -> None:
    ran: list[str] = []
    policy = RetryPolicy(initial_interval=8.0, jitter=False)

    @task
    def step(name: str) -> str:
        ran.append(name)
        return name

    @task
    def fails_once() -> str:
        ran.append("fails")
        if ran.count("fails") == 1:
            raise ConnectionError("no net")
        return "fine"

    @entrypoint(checkpointer=saver if kept else None, retry_policy=policy)
    def blocking(_: int) -> list[str]:
        return [step("a").result(), fails_once().result(), step("b").result()]

    @entrypoint(checkpointer=saver if kept else None, retry_policy=policy)
    async def waiting(_: int, *, runtime: Runtime[None]) -> list[str]:
        info = runtime.execution_info
        assert info is not None
        ran.append(f"attempt {info.node_attempt}")
        return [await step("a"), await fails_once(), await step("b")]

    workflow = blocking if kind == "sync" else waiting

    result = await workflow.ainvoke(1, config)

    assert result == ["a", "fine", "b"]
    assert [name for name in ran if "attempt" not in name] == [
        "a",
        "fails",
        "fails",
        "b",
    ]
    assert clock.elapsed_seconds == 8
    if kind == "async":
        assert [n for n in ran if "attempt" in n] == ["attempt 1", "attempt 2"]


def test_a_call_still_at_work_is_shared_by_the_next_attempt(
    clock: FakeClock,
) -> None:
    release, ran = threading.Event(), list[str]()

    @task
    def slow() -> int:
        ran.append("slow")
        release.wait(10)
        return 7

    @task
    def fails_once() -> None:
        ran.append("fails")
        if ran.count("fails") == 1:
            raise ConnectionError("no net")
        release.set()

    @entrypoint(retry_policy=RetryPolicy())
    def workflow(_: int) -> int:
        future = slow()
        fails_once().result()
        return future.result()

    result = workflow.invoke(1)

    assert result == 7
    assert ran.count("slow") == 1
    assert clock.elapsed_seconds > 0


# What a runtime is.


def test_a_runtime_says_where_it_is(saver: InMemorySaver, config: Config) -> None:
    infos: list[ExecutionInfo | None] = []

    @task(retry_policy=RetryPolicy(initial_interval=0.0, jitter=False))
    def attempted(*, runtime: Runtime[None] = NOWHERE) -> None:
        infos.append(runtime.execution_info)
        if len(infos) == 1:
            raise ConnectionError("once")

    @entrypoint(checkpointer=saver)
    def workflow(_: int, *, runtime: Runtime[None]) -> None:
        attempted().result()
        infos.append(runtime.execution_info)

    workflow.invoke(1, config)

    first, second, body = infos
    assert first is not None
    assert second is not None
    assert body is not None
    assert (first.node_attempt, second.node_attempt, body.node_attempt) == (1, 2, 1)
    assert first.node_first_attempt_time == second.node_first_attempt_time
    assert first.task_id == second.task_id
    assert (first.task_id != "", body.task_id) == (True, "")
    assert first.thread_id == body.thread_id == "t"
    assert first.checkpoint_ns.startswith(body.checkpoint_ns + "|attempted:")
    state = next(iter(workflow.get_state_history(config, limit=2)))
    assert state.metadata is not None
    assert first.run_id == state.metadata["run_id"]
    history = list(workflow.get_state_history(config))
    assert first.checkpoint_id == history[-1].config["configurable"]["checkpoint_id"]


def test_runtimes_are_merged_overridden_and_patched() -> None:
    written: list[Any] = []
    info = ExecutionInfo("c", "", "t")
    base: Runtime[str] = Runtime(context="ann", stream_writer=written.append)
    other: Runtime[str] = Runtime(previous=0, execution_info=info)

    merged = base.merge(other)
    merged.stream_writer("kept")
    patched = merged.patch_execution_info(node_attempt=2)

    assert (merged.context, merged.previous, merged.execution_info) == ("ann", 0, info)
    assert written == ["kept"]
    assert merged.override(context="bob").context == "bob"
    assert patched.execution_info == ExecutionInfo("c", "", "t", node_attempt=2)
    base.heartbeat()  # outside of a run it does nothing
    with pytest.raises(RuntimeError, match="before it has been set"):
        base.patch_execution_info(node_attempt=2)


def test_get_runtime_is_only_for_running_bodies() -> None:
    with pytest.raises(RuntimeError, match="outside of a runnable context"):
        get_runtime()


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_run_that_is_drained_at_each_call_runs_every_call_once(
    saver: InMemorySaver, kind: str
) -> None:
    ran: Counter[str] = Counter()
    controls: list[RunControl] = []

    @task
    def leaf(name: str) -> int:
        ran[name] += 1
        controls[-1].request_drain()
        return len(name)

    @task
    def group(name: str) -> int:
        return sum(f.result() for f in [leaf(name + "x"), leaf(name + "yy")])

    @entrypoint(checkpointer=saver)
    def blocking(_: int) -> int:
        return sum(group(name).result() for name in "abc") + leaf("last").result()

    @entrypoint(checkpointer=saver)
    async def waiting(_: int) -> int:
        groups = await asyncio.gather(*[group(name) for name in "abc"])
        return sum(groups) + await leaf("last")

    workflow = blocking if kind == "sync" else waiting
    config = {"configurable": {"thread_id": "t"}, "max_concurrency": 1}
    given: int | None = 1
    result: int | None = None
    while result is None:
        controls.append(RunControl())
        with suppress(GraphDrained):
            result = await workflow.ainvoke(given, config, control=controls[-1])
        given = None

    assert result == 19
    assert len(controls) > 2
    assert set(ran.values()) == {1}
    assert len(ran) == 7
