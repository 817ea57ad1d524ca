"""What callers of invoke, stream and batch can ask for beside an input."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from nbflow.cache.memory import InMemoryCache
from nbflow.errors import (
    GraphDrained,
    LangGraphDeprecatedSinceV10,
    ThreadBusyError,
)
from nbflow.func import entrypoint, task
from nbflow.runtime import RunControl
from nbflow.types import CachePolicy

if TYPE_CHECKING:
    from nbflow._engine.workflow import Workflow
    from nbflow.checkpoint.memory import InMemorySaver

Config = dict[str, Any]


@dataclass
class AsDataclass:
    """A context, as a dataclass."""

    user: str


class AsModel(BaseModel):
    """A context, as a pydantic model."""

    user: str


def threads(*names: str) -> list[Config]:
    return [{"configurable": {"thread_id": name}} for name in names]


def doubling(saver: InMemorySaver | None) -> Workflow[Any, Any]:
    @task
    def double(number: int) -> int:
        return number * 2

    @entrypoint(checkpointer=saver)
    def workflow(number: int) -> Any:
        result = double(number).result()
        return entrypoint.final(value=result, save=result * 10)

    return workflow


@pytest.mark.parametrize("schema", [AsDataclass, AsModel])
def test_a_context_is_made_into_its_schema(
    saver: InMemorySaver, config: Config, schema: type[Any]
) -> None:
    @entrypoint(checkpointer=saver, context_schema=schema)
    def workflow(_: str, *, runtime: Any) -> Any:
        return [type(runtime.context) is schema, runtime.context.user]

    from_dict = workflow.invoke("go", config, context={"user": "b"})
    as_it_is = list(
        workflow.stream("go", config, context=schema(user="c"), stream_mode="values")
    )

    assert from_dict == [True, "b"]
    assert as_it_is == [[True, "c"]]


def test_a_context_that_its_schema_refuses_runs_nothing(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver, context_schema=AsDataclass)
    def workflow(_: str, *, runtime: Any) -> Any:
        return runtime.context

    with pytest.raises(TypeError, match="wrong"):
        workflow.invoke("go", config, context={"wrong": "b"})
    without = workflow.invoke("go", config)

    assert without is None
    assert len(list(workflow.get_state_history(config))) == 2


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("__end__", 4),
        ("__previous__", 40),
        (["__end__", "__previous__"], {"__end__": 4, "__previous__": 40}),
    ],
)
def test_output_keys_name_what_is_returned_and_streamed(
    saver: InMemorySaver, config: Config, keys: Any, expected: Any
) -> None:
    workflow = doubling(saver)

    returned = workflow.invoke(2, config, output_keys=keys)
    recorded = workflow.invoke(None, config, output_keys=keys)
    streamed = list(
        workflow.stream(2, config, output_keys=keys, stream_mode=["values", "updates"])
    )

    assert returned == recorded == expected
    assert streamed == [
        ("updates", {"double": 4}),
        ("updates", {"workflow": expected}),
        ("values", expected),
    ]


def test_an_unknown_key_mode_version_or_argument_is_refused(
    saver: InMemorySaver, config: Config
) -> None:
    workflow = doubling(saver)

    with pytest.raises(ValueError, match="Key nope not in channels"):
        workflow.invoke(2, config, output_keys="nope")
    with pytest.raises(ValueError, match="Unknown print_mode 'nope'"):
        workflow.invoke(2, config, print_mode="nope")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="version must be"):
        workflow.invoke(2, config, version="v9")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unexpected keyword argument 'nope'"):
        workflow.invoke(2, config, nope=1)

    assert list(workflow.get_state_history(config)) == []


@pytest.mark.parametrize("names", ["*", ["workflow"]])
def test_a_run_stops_before_its_body_and_goes_on_with_none(
    saver: InMemorySaver, config: Config, names: Any
) -> None:
    workflow = doubling(saver)
    modes: Any = ["updates", "values"]

    stopped = list(
        workflow.stream(2, config, stream_mode=modes, interrupt_before=names)
    )
    state = workflow.get_state(config)
    after = list(
        workflow.stream(None, config, stream_mode=modes, interrupt_before=names)
    )

    assert stopped == [("updates", {"__interrupt__": ()})]
    assert (state.next, state.interrupts) == (("workflow",), ())
    assert after == [
        ("updates", {"double": 4}),
        ("updates", {"workflow": 4}),
        ("values", 4),
    ]


def test_a_run_that_stops_before_its_body_returns_nothing(
    saver: InMemorySaver, config: Config
) -> None:
    workflow = doubling(saver)

    stopped = workflow.invoke(2, config, interrupt_before="*")
    result = asyncio.run(workflow.ainvoke(None, config, interrupt_before="*"))

    assert stopped is None
    assert result == 4


def test_a_run_that_stops_after_its_body_is_finished(
    saver: InMemorySaver, config: Config
) -> None:
    workflow = doubling(saver)

    shown = list(workflow.stream(2, config, interrupt_after=["workflow"]))

    assert shown[-1] == {"__interrupt__": ()}
    assert workflow.get_state(config).next == ()
    assert workflow.get_state(config).values == 4


def test_a_durability_without_a_saver_warns_and_runs() -> None:
    workflow = doubling(None)

    with pytest.warns(UserWarning, match="`durability` has no effect"):
        result = workflow.invoke(2, durability="sync")

    assert result == 4


def test_the_config_can_say_the_durability(
    saver: InMemorySaver, config: Config
) -> None:
    workflow = doubling(saver)
    config["configurable"]["__pregel_durability"] = "never"

    with pytest.raises(ValueError, match="durability must be one of"):
        workflow.invoke(2, config)
    config["configurable"]["__pregel_durability"] = "exit"

    assert workflow.invoke(2, config) == 4


def test_checkpoint_during_is_an_older_name_of_durability(
    saver: InMemorySaver, config: Config
) -> None:
    workflow = doubling(saver)

    with pytest.warns(LangGraphDeprecatedSinceV10, match="checkpoint_during"):
        result = workflow.invoke(2, config, checkpoint_during=False)
    with (
        pytest.warns(LangGraphDeprecatedSinceV10),
        pytest.raises(ValueError, match="Cannot use both `checkpoint_during`"),
    ):
        workflow.invoke(2, config, checkpoint_during=True, durability="sync")

    assert result == 4


def test_a_control_ends_a_stream_early_and_the_run_goes_on_later(
    saver: InMemorySaver, config: Config
) -> None:
    control = RunControl()

    @task
    def step(number: int) -> int:
        if number == 1:
            control.request_drain("enough")
        return number

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> int:
        return sum(step(number).result() for number in range(3))

    stream = workflow.stream("go", config, control=control)
    shown: list[Any] = []
    with pytest.raises(GraphDrained, match="enough"):
        shown.extend(iter(lambda: next(stream), None))
    result = workflow.invoke(None, config)

    assert shown == [{"step": 0}, {"step": 1}]
    assert result == 3


def test_what_comes_from_the_cache_is_marked_and_has_an_end(
    saver: InMemorySaver,
) -> None:
    @task(cache_policy=CachePolicy())
    def double(number: int) -> int:
        return number * 2

    @entrypoint(checkpointer=saver, cache=InMemoryCache())
    def workflow(number: int) -> int:
        return double(number).result()

    first, second = threads("a", "b")
    workflow.invoke(2, first)
    modes: Any = ["updates", "tasks"]
    shown = list(workflow.stream(2, second, stream_mode=modes))

    updates = [chunk for mode, chunk in shown if mode == "updates"]
    ends = [chunk for mode, chunk in shown if mode == "tasks" and "result" in chunk]
    assert updates == [
        {"double": 4, "__metadata__": {"cached": True}},
        {"workflow": 4},
    ]
    assert [end.get("cached", False) for end in ends] == [True, False]


# Batches.


def test_a_batch_runs_its_inputs_side_by_side_in_order(saver: InMemorySaver) -> None:
    together = threading.Barrier(3, timeout=10)

    @entrypoint(checkpointer=saver)
    def workflow(number: int) -> int:
        together.wait()
        return number * 2

    results = workflow.batch([1, 2, 3], threads("a", "b", "c"))

    assert results == [2, 4, 6]


def test_max_concurrency_bounds_the_runs_of_a_batch() -> None:
    lock = threading.Lock()
    inside = most = 0

    @entrypoint()
    def workflow(number: int) -> int:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1
        return number

    results = workflow.batch(list(range(20)), {"max_concurrency": 1})
    awaited = asyncio.run(workflow.abatch(list(range(20)), {"max_concurrency": 1}))

    assert results == awaited == list(range(20))
    assert most == 1


def test_an_async_batch_awaits_all_of_its_runs(saver: InMemorySaver) -> None:
    @entrypoint(checkpointer=saver)
    async def workflow(number: int) -> int:
        await asyncio.sleep(0)
        return number * 2

    results = asyncio.run(workflow.abatch([1, 2], threads("a", "b")))

    assert results == [2, 4]


def test_a_batch_raises_its_first_failure_or_returns_them_all() -> None:
    @entrypoint()
    def workflow(number: int) -> int:
        if number:
            raise ValueError(number)
        return number

    with pytest.raises(ValueError, match="1"):
        workflow.batch([0, 1, 2])
    results = workflow.batch([0, 1, 2], return_exceptions=True)
    awaited = asyncio.run(workflow.abatch([0, 1], return_exceptions=True))

    assert results[0] == awaited[0] == 0
    assert [str(error) for error in results[1:]] == ["1", "2"]
    assert isinstance(awaited[1], ValueError)


def test_two_runs_of_one_thread_in_a_batch_are_refused(saver: InMemorySaver) -> None:
    workflow = doubling(saver)
    configs = threads("a", "b", "a")

    with pytest.raises(ThreadBusyError, match="'a'"):
        workflow.batch([1, 2, 3], configs)
    with pytest.raises(ThreadBusyError, match="'a'"):
        asyncio.run(workflow.abatch([1, 2, 3], configs))
    ran_before = saver.list_threads()
    results = workflow.batch([1, 2, 3], configs, return_exceptions=True)

    assert ran_before == []
    assert results[:2] == [2, 4]
    assert isinstance(results[2], ThreadBusyError)


INTERRUPTED = """
import asyncio, os, signal, time
from nbflow.checkpoint.memory import InMemorySaver
from nbflow.func import entrypoint, task

# A shell may have begun the tests in its background, deaf to it.
signal.signal(signal.SIGINT, signal.default_int_handler)
saver = InMemorySaver()

@task
async def forever():
    os.write(1, b"inside\\n")  # at once, whatever the other one writes
    await asyncio.sleep(3600)

@entrypoint(checkpointer=saver)
def workflow(_):
    forever().result()

configs = [{"configurable": {"thread_id": name}} for name in "ab"]
try:
    workflow.batch([1, 2], configs)
except KeyboardInterrupt:
    while {head.status for head in saver.list_threads()} != {"cancelled"}:
        time.sleep(0.005)
    print("stopped", flush=True)
"""


def test_a_batch_that_is_interrupted_stops_its_runs() -> None:
    # In a process of its own: a signal that comes late would end the test run.
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        begun = [process.stdout.readline() for _ in range(2)]

        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=15)

    assert begun == ["inside\n"] * 2
    assert told == "stopped\n"


def test_a_batch_takes_one_config_for_each_input_and_an_empty_list() -> None:
    workflow = doubling(None)

    with pytest.raises(ValueError, match="2 configs for 3 inputs"):
        workflow.batch([1, 2, 3], threads("a", "b"))

    assert workflow.batch([]) == []
