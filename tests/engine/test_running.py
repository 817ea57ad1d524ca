"""How bodies and tasks run: side by side, of both kinds, bounded, stopped, nested."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from nbflow._engine.limits import Places
from nbflow._engine.options import Watch, options_from
from nbflow._events import Record, RunStarted, TaskCalled, TaskDropped, TaskFinished
from nbflow.checkpoint.memory import InMemorySaver
from nbflow.errors import (
    EmptyInputError,
    NbflowWarning,
    ThreadBusyError,
    UnstorableValueError,
)
from nbflow.func import entrypoint, task
from nbflow.types import Command, RetryPolicy, interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow._engine.run import Run
    from nbflow._engine.workflow import Workflow
    from nbflow.checkpoint.base import BaseCheckpointSaver

Config = dict[str, Any]


class Gauge:
    """How many are inside at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_max_concurrency_bounds_running_tasks(
    saver: InMemorySaver, config: Config, limit: int
) -> None:
    gauge = Gauge()
    together = threading.Barrier(limit, timeout=10)

    @task
    def work(number: int) -> int:
        with gauge:
            together.wait()
        return number

    @entrypoint(checkpointer=saver)
    def workflow(count: int) -> int:
        return sum(f.result() for f in [work(n) for n in range(count)])

    result = workflow.invoke(12, {**config, "max_concurrency": limit})

    assert result == sum(range(12))
    assert gauge.most == limit


def test_tasks_that_call_tasks_do_not_deadlock_with_one_place(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def deep(level: int) -> int:
        if level == 0:
            return 0
        return 1 + sum(f.result() for f in [deep(level - 1)])

    @entrypoint(checkpointer=saver)
    def workflow(level: int) -> int:
        return deep(level).result()

    result = workflow.invoke(4, {**config, "max_concurrency": 1})

    assert result == 4


@pytest.mark.parametrize("limit", [1, 2])
def test_nested_runs_hold_no_place_of_their_own(
    saver: InMemorySaver, config: Config, limit: int
) -> None:
    @task
    def leaf(number: int) -> int:
        return number

    @entrypoint()
    def inner(number: int) -> int:
        return leaf(number).result() + leaf(number).result()

    @task
    def branch(number: int) -> int:
        return inner.invoke(number) + leaf(number).result()  # type: ignore[no-any-return]

    @entrypoint(checkpointer=saver)
    def workflow(count: int) -> int:
        in_the_body = sum(inner.invoke(n) for n in range(count))
        in_tasks = sum(f.result() for f in [branch(n) for n in range(count)])
        return int(in_the_body + in_tasks)

    result = workflow.invoke(5, {**config, "max_concurrency": limit})

    assert result == 50


async def test_asynchronous_nested_runs_side_by_side_hold_one_place(
    saver: InMemorySaver, config: Config
) -> None:
    gauge = Gauge()

    @task
    async def leaf(number: int) -> int:
        with gauge:
            await asyncio.sleep(0.001)
        return number

    @entrypoint()
    async def inner(number: int) -> int:
        return sum(await asyncio.gather(leaf(number), leaf(number + 1)))

    @task
    async def branch(number: int) -> int:
        sums = await asyncio.gather(inner.ainvoke(number), inner.ainvoke(number + 1))
        return sum(sums)

    @entrypoint(checkpointer=saver)
    async def workflow(count: int) -> int:
        return sum(await asyncio.gather(*map(branch, range(count))))

    result = await workflow.ainvoke(4, {**config, "max_concurrency": 1})

    assert result == sum(4 * n + 4 for n in range(4))
    assert gauge.most == 1


def test_async_tasks_that_call_tasks_do_not_deadlock_with_one_place(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    async def deep(level: int) -> int:
        if level == 0:
            return 0
        return 1 + sum(await asyncio.gather(deep(level - 1)))

    @entrypoint(checkpointer=saver)
    async def workflow(level: int) -> int:
        return await deep(level)

    result = asyncio.run(workflow.ainvoke(4, {**config, "max_concurrency": 1}))

    assert result == 4


def test_a_sync_body_calls_async_tasks_and_an_async_body_sync_ones(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return number * 2

    @task
    def triple(number: int) -> int:
        return number * 3

    @entrypoint(checkpointer=saver)
    def in_sync(number: int) -> int:
        return triple(double(number).result()).result()

    @entrypoint(checkpointer=saver)
    async def in_async(number: int) -> int:
        return await triple(await double(number))

    one = in_sync.invoke(1, config)
    other = asyncio.run(in_async.ainvoke(1, config))

    assert one == other == 6


def test_a_sync_run_inside_of_a_running_loop_works(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    async def double(number: int) -> int:
        return number * 2

    @entrypoint(checkpointer=saver)
    def workflow(number: int) -> int:
        return double(number).result()

    async def cell() -> int:
        value: int = workflow.invoke(4, config)
        return value

    result = asyncio.run(cell())

    assert result == 8


def test_a_task_that_nobody_awaits_runs_before_the_run_ends(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def slow() -> str:
        time.sleep(0.02)
        return "slept"

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> str:
        slow()
        return "returned"

    chunks = list(workflow.stream("go", config))

    assert chunks == [{"slow": "slept"}, {"workflow": "returned"}]


def test_a_failure_that_nobody_asked_for_is_warned_of(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def broken() -> None:
        raise ValueError("unseen")

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> str:
        broken()
        return "returned"

    with pytest.warns(NbflowWarning, match="unseen"):
        result = workflow.invoke("go", config)

    assert result == "returned"


def test_on_a_failure_running_tasks_are_recorded_and_queued_ones_dropped(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def work(number: int) -> int:
        if number == 0:
            raise ValueError("zero")
        while not any(isinstance(r.event, TaskDropped) for r in saver.read("t")):
            time.sleep(0.001)
        return number

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> list[int]:
        return [f.result() for f in [work(n) for n in range(6)]]

    with pytest.raises(ValueError, match="zero"):
        workflow.invoke("go", {**config, "max_concurrency": 2})

    status = {t.arguments: t.status for t in workflow.get_state(config).tasks[1:]}
    assert status["0"] == "failed"
    assert status["1"] == "finished"
    assert status["5"] == "dropped"
    assert "running" not in status.values()


def test_chunks_arrive_while_the_run_goes_on(
    saver: InMemorySaver, config: Config
) -> None:
    may_end = threading.Event()

    @task
    def first() -> str:
        return "first"

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> str:
        first().result()
        may_end.wait(10)
        return "end"

    stream = workflow.stream("go", config)
    early = next(stream)
    may_end.set()
    late = list(stream)

    assert early == {"first": "first"}
    assert late == [{"workflow": "end"}]


def test_leaving_a_stream_early_stops_the_run(
    saver: InMemorySaver, config: Config
) -> None:
    ran: list[int] = []

    @task
    def step(number: int) -> int:
        ran.append(number)
        return number

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> str:
        for number in range(1_000_000):
            step(number).result()
        return "end"

    stream = workflow.stream("go", config)
    next(stream)
    stream.close()
    deadline = time.monotonic() + 10
    while saver.head("t").status == "running" and time.monotonic() < deadline:  # type: ignore[union-attr]
        time.sleep(0.005)

    assert saver.head("t").status == "cancelled"  # type: ignore[union-attr]
    assert len(ran) < 1_000_000


def test_two_runs_of_one_thread_at_once_are_refused_by_name(
    saver: InMemorySaver, config: Config
) -> None:
    inside, may_end = threading.Event(), threading.Event()

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> str:
        inside.set()
        may_end.wait(10)
        return "end"

    first = threading.Thread(target=workflow.invoke, args=("go", config))
    first.start()
    inside.wait(10)
    try:
        with pytest.raises(ThreadBusyError, match="workflow 'workflow'"):
            workflow.invoke("again", config)
    finally:
        may_end.set()
        first.join()


def test_a_stopped_run_ends_at_once_and_keeps_its_thread_until_its_task_ends(
    saver: InMemorySaver, config: Config
) -> None:
    inside, may_end = threading.Event(), threading.Event()
    runs: list[Run] = []

    @task
    def stubborn() -> str:
        inside.set()
        may_end.wait(10)
        return "late"

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> str:
        return stubborn().result()

    def work() -> None:
        options = options_from(config, watch=Watch(on_run=runs.append))
        ends.append(workflow.execute("go", options))

    ends: list[Any] = []
    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(10)
    runs[0].stop("enough")
    thread.join(10)
    with pytest.raises(ThreadBusyError, match="its task 'stubborn' still runs"):
        workflow.invoke(None, config)
    may_end.set()
    result = invoke_when_free(workflow, config)

    assert ends[0].status == "cancelled"
    assert result == "late"
    names = [type(r.event).__name__ for r in saver.read("t")]
    assert names.count("TaskCalled") == 1


def invoke_when_free(
    workflow: Workflow[Any, Any], config: Config, given: Any = None
) -> Any:
    deadline = time.monotonic() + 10
    while True:
        try:
            return workflow.invoke(given, config)
        except ThreadBusyError:
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.mark.parametrize("moment", ["before it is noted", "before its loop knows it"])
def test_a_call_that_begins_while_its_run_is_stopped_keeps_nobody_waiting(
    saver: InMemorySaver,
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    runs: list[Run] = []
    take = Places.take

    @task
    async def forever() -> None:
        await asyncio.sleep(3600)

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> str:
        forever().result()
        return "never"

    def stop_and_take(places: Places) -> bool:
        runs[0].stop()
        return take(places)

    def see(record: Record) -> None:
        if moment == "before its loop knows it" and isinstance(
            record.event, TaskCalled
        ):
            runs[0].stop()

    if moment == "before it is noted":
        monkeypatch.setattr(Places, "take", stop_and_take)
    watch = Watch(observers=(see,), on_run=runs.append)
    ended = workflow.execute("go", options_from(config, watch=watch))

    monkeypatch.undo()

    @entrypoint(checkpointer=saver)
    def after(given: str) -> str:
        return given

    assert getattr(ended, "status", None) == "cancelled"
    assert invoke_when_free(after, config, "free") == "free"


def test_a_run_may_be_stopped_in_the_very_moment_it_ends(
    saver: InMemorySaver, config: Config
) -> None:
    runs: list[Run] = []

    @task
    async def work() -> str:
        return "done"

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> str:
        return work().result()

    closed = asyncio.new_event_loop()
    gone: Any = closed.create_future()
    closed.close()
    ended: list[Any] = []

    def see(record: Record) -> None:
        if isinstance(record.event, TaskFinished):
            # As where its loop is closed between the look at it and the call.
            runs[0].adopt(gone, closed)
            runs[0].stop("late")

    watch = Watch(observers=(see,), on_run=runs.append)
    ended.append(workflow.execute("go", options_from(config, watch=watch)))

    assert ended[0].status == "cancelled"
    assert invoke_when_free(workflow, config) == "done"


def test_stopping_a_run_raises_for_its_caller(
    saver: InMemorySaver, config: Config
) -> None:
    inside = asyncio.Event()

    @task
    async def forever() -> None:
        inside.set()
        await asyncio.sleep(3600)

    @entrypoint(checkpointer=saver)
    async def workflow(_: str) -> None:
        await forever()

    async def main() -> None:
        stream = workflow.astream("go", config, stream_mode="values")
        work = asyncio.ensure_future(anext(stream))
        await inside.wait()
        work.cancel()
        await asyncio.wait([work])
        await stream.aclose()

    asyncio.run(main())

    assert saver.head("t").status == "cancelled"  # type: ignore[union-attr]


def test_nested_tasks_are_part_of_the_run_and_are_replayed(
    saver: InMemorySaver, config: Config
) -> None:
    ran: list[str] = []

    @task
    def fetch(name: str) -> str:
        ran.append(name)
        return name

    @entrypoint()
    def inner(name: str) -> str:
        return f"{fetch(name).result()}{interrupt(f'{name}?')}"

    @entrypoint(checkpointer=saver)
    def outer(_: str) -> list[str]:
        return [inner.invoke("a"), inner.invoke("b")]

    first = outer.invoke("go", config)
    outer.invoke(Command(resume="1"), config)
    result = outer.invoke(Command(resume="2"), config)

    assert first["__interrupt__"][0].value == "a?"
    assert result == ["a1", "b2"]
    assert ran == ["a", "b"]


def test_a_result_that_cannot_be_stored_names_the_task_and_the_place(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def opens() -> Any:
        return {"a": [1, threading.Lock()]}

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        return opens().result()

    with pytest.raises(
        UnstorableValueError, match=r"result\['a'\]\[1\] of task 'opens'"
    ):
        workflow.invoke("go", config)
    state = workflow.get_state(config)

    assert state.tasks[1].status == "failed"


def test_a_task_outside_of_a_run_says_where_it_belongs() -> None:
    @task
    def alone() -> None: ...

    with pytest.raises(RuntimeError, match="outside of a runnable context"):
        alone()


def test_bad_input_is_refused_before_anything_runs(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(number: int) -> int:
        return number

    with pytest.raises(ValueError, match="thread_id"):
        workflow.invoke(1)
    with pytest.raises(ValueError, match="thread_id"):
        workflow.invoke(1, {"configurable": {}})
    with pytest.raises(EmptyInputError, match="no run to continue"):
        workflow.invoke(None, config)
    with pytest.raises(ValueError, match="stream_mode"):
        list(workflow.stream(1, config, stream_mode="nope"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_concurrency"):
        workflow.invoke(1, {**config, "max_concurrency": -1})
    with pytest.raises(ValueError, match="durability"):
        workflow.invoke(1, config, durability="never")  # type: ignore[arg-type]

    assert [workflow.invoke(n, config) for n in (0, 7)] == [0, 7]


def test_what_cannot_be_decorated_is_said_at_once() -> None:
    def generator(_: str) -> Any:
        yield 1

    def nothing() -> None: ...

    with pytest.raises(NotImplementedError, match="Generators"):
        task(generator)
    with pytest.raises(NotImplementedError, match="Generators"):
        entrypoint()(generator)
    with pytest.raises(ValueError, match="at least one parameter"):
        entrypoint()(nothing)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="task takes a function"):
        task(5)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="checkpointer"):
        entrypoint(checkpointer="file.duckdb")  # type: ignore[arg-type]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_every_durability_records_the_same_run(
    saver: InMemorySaver, config: Config, durability: Any
) -> None:
    @task
    def step(number: int) -> int:
        return number + 1

    @entrypoint(checkpointer=saver)
    def workflow(number: int) -> int:
        return step(step(number).result()).result()

    result = workflow.invoke(1, config, durability=durability)

    kinds = [type(r.event).__name__ for r in saver.read("t")]
    assert result == 3
    assert [k for k in kinds if k != "CodeSeen"] == [
        "RunStarted",
        "TaskCalled",
        "TaskFinished",
        "TaskCalled",
        "TaskFinished",
        "RunFinished",
    ]


def test_a_class_that_an_annotation_names_is_rebuilt_on_replay(
    saver: InMemorySaver, config: Config
) -> None:
    class Found(BaseModel):
        name: str

    def load(name: str) -> Any:
        return Found(name=name)

    load.__annotations__["return"] = list[Found]

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> str:
        found = task(load)("x").result()
        interrupt("go on?")
        return f"{type(found) is Found} {found.name}"

    workflow.invoke("go", config)
    result = workflow.invoke(Command(resume="yes"), config)

    assert result == "True x"


class Unspeakable(Exception):  # noqa: N818 - a user's
    """An exception whose class can't say what it is."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __str__(self) -> str:
        raise RuntimeError("no str")


@pytest.mark.parametrize(
    "error", [Unspeakable(), ValueError("half a pair: \ud800")], ids=["repr", "text"]
)
def test_a_failure_that_has_no_plain_text_is_recorded_like_any_other(
    any_saver: BaseCheckpointSaver, config: Config, error: Exception
) -> None:
    @task(retry_policy=RetryPolicy(initial_interval=0.001, jitter=False))
    def fail() -> None:
        raise error

    @entrypoint(checkpointer=any_saver)
    def workflow(_: str) -> None:
        fail().result()

    with pytest.raises(type(error)):
        workflow.invoke("go", config)
    state = workflow.get_state(config)

    assert state.next == ("workflow",)
    assert type(error).__name__ in (state.tasks[0].error or "")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("nested", [False, True])
def test_what_a_body_raises_to_end_the_process_ends_its_run_but_not_the_loop(
    saver: InMemorySaver,
    config: Config,
    kind: type[BaseException],
    nested: bool,
) -> None:
    tries: list[int] = []

    @task
    async def leave() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise kind
        return "stayed"

    @entrypoint()
    async def inner(_: str) -> str:
        return await leave()

    @entrypoint(checkpointer=saver)
    async def workflow(given: str) -> str:
        return await (inner.ainvoke(given) if nested else leave())

    async def main() -> Any:
        try:
            await workflow.ainvoke("go", config)
        except BaseException as error:
            if not isinstance(error, kind):
                raise
        return await workflow.ainvoke(None, config)

    assert asyncio.run(main()) == "stayed"


class _Slow(InMemorySaver):
    """Says of an outcome that it is on disk only when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Callable[[BaseException | None], None]] = []
        self.has_begun = threading.Event()

    def append(
        self,
        records: Sequence[Record],
        on_durable: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        is_outcome = any(isinstance(r.event, TaskFinished) for r in records)
        if on_durable is not None and is_outcome:
            super().append(records)
            self.held.append(on_durable)
            self.has_begun.set()
        else:
            super().append(records, on_durable)


def test_an_outcome_that_is_on_disk_only_after_its_loop_was_closed_harms_nobody(
    config: Config,
) -> None:
    saver = _Slow()
    times: list[int] = []

    @task
    async def work() -> str:
        times.append(1)
        return "done"

    @entrypoint(checkpointer=saver)
    async def workflow(_: str) -> str:
        return await work()

    async def main() -> None:
        running = asyncio.create_task(workflow.ainvoke("go", config, durability="sync"))
        await asyncio.to_thread(saver.has_begun.wait)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    asyncio.run(main())
    (tell,) = saver.held
    tell(None)

    assert asyncio.run(workflow.ainvoke(None, config)) == "done"
    assert len(times) == 1


class _SlowToBegin(InMemorySaver):
    """Takes the begin of a run only when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.has_begun, self.may_begin = threading.Event(), threading.Event()

    def append(
        self,
        records: Sequence[Record],
        on_durable: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        if any(isinstance(r.event, RunStarted) for r in records):
            self.has_begun.set()
            self.may_begin.wait(10)
        super().append(records, on_durable)


async def test_cancelling_the_caller_of_a_run_that_just_begins_ends_it(
    config: Config,
) -> None:
    saver = _SlowToBegin()

    @entrypoint(checkpointer=saver)
    async def workflow(given: str) -> str:
        return given

    running = asyncio.create_task(workflow.ainvoke("go", config))
    await asyncio.to_thread(saver.has_begun.wait)
    running.cancel()
    await asyncio.sleep(0)
    saver.may_begin.set()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert saver.head("t").status == "cancelled"  # type: ignore[union-attr]
    assert await workflow.ainvoke(None, config) == "go"


async def test_cancelling_the_caller_stops_a_synchronous_body_in_its_thread(
    saver: InMemorySaver, config: Config
) -> None:
    inside, may_end = threading.Event(), threading.Event()
    numbers: list[int] = []

    @task
    def work(number: int) -> int:
        numbers.append(number)
        inside.set()
        may_end.wait(10)
        return number

    @entrypoint(checkpointer=saver)
    def workflow(count: int) -> int:
        return sum(work(number).result() for number in range(count))

    running = asyncio.ensure_future(workflow.ainvoke(3, config))
    await asyncio.to_thread(inside.wait, 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    head = saver.head("t")
    may_end.set()
    result = await asyncio.to_thread(invoke_when_free, workflow, config)

    assert head is not None
    assert head.status == "cancelled"
    assert numbers == [0, 1, 2]
    assert result == 3


def test_a_nested_run_that_is_interrupted_from_the_keyboard_runs_again(
    saver: InMemorySaver, config: Config
) -> None:
    tries: list[int] = []

    @entrypoint()
    def inner(given: str) -> str:
        tries.append(1)
        if len(tries) == 1:
            raise KeyboardInterrupt
        return given

    @entrypoint(checkpointer=saver)
    def workflow(given: str) -> str:
        return inner.invoke(given)  # type: ignore[no-any-return]

    with pytest.raises(KeyboardInterrupt):
        workflow.invoke("go", config)

    assert workflow.invoke(None, config) == "go"


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"config": "t"}, "config must be a dict"),
        ({"config": {"configurable": "t"}}, "'configurable'.* must be a dict"),
        ({"config": {"metadata": "m"}}, "'metadata'.* must be a dict"),
        ({"config": {"recursion_limit": "9"}}, "recursion_limit must be an int"),
        ({"config": {"max_concurrency": 0}}, "max_concurrency must be an int"),
        ({"control": 3}, "control must be a RunControl"),
        ({"interrupt_before": 3}, "interrupt_before must be"),
        ({"stream_mode": 3}, "stream_mode must be"),
        ({"durability": "often"}, "durability must be one of"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_runs(
    saver: InMemorySaver, config: Config, given: Config, wrong: str
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(given: str) -> str:
        return given

    asked = given.get("config", {})
    merged = {**config, **asked} if isinstance(asked, dict) else asked
    with pytest.raises((TypeError, ValueError), match=wrong):
        workflow.invoke("go", **{**given, "config": merged})

    assert saver.head("t") is None
    assert workflow.invoke("free", config) == "free"


def test_a_key_of_the_config_that_is_none_was_not_given(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(given: str) -> str:
        return given

    keys = ("max_concurrency", "recursion_limit", "metadata", "tags")
    result = workflow.invoke("go", {**config, **dict.fromkeys(keys)})

    assert result == "go"


def test_a_batch_refuses_a_bound_that_lets_nothing_run() -> None:
    @entrypoint()
    def workflow(given: int) -> int:
        return given

    with pytest.raises(ValueError, match="at least 1, not -1"):
        workflow.batch([1, 2], {"max_concurrency": -1})
