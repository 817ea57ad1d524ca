"""What `task` and `entrypoint` take, keep and refuse."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_type

import pytest
from pydantic import BaseModel

from nbflow import config as config_door
from nbflow import constants, errors, runtime, types
from nbflow._engine.workflow import Workflow
from nbflow.cache.memory import InMemoryCache
from nbflow.checkpoint.memory import InMemorySaver
from nbflow.errors import (
    LangGraphDeprecatedSinceV05,
    LangGraphDeprecatedSinceV10,
    UnstorableValueError,
)
from nbflow.func import entrypoint, task
from nbflow.runtime import Runtime, get_runtime
from nbflow.store.memory import InMemoryStore
from nbflow.types import CachePolicy, RetryPolicy, TimeoutPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from nbflow._engine.futures import TaskFuture

Config = dict[str, Any]


def test_a_task_keeps_what_it_was_told_and_what_it_is_made_of() -> None:
    retry, cache = RetryPolicy(max_attempts=2), CachePolicy(ttl=1)

    def work(number: int) -> int:
        """Do some work."""
        return number

    decorated = task(
        name="labour", retry_policy=[retry], cache_policy=cache, timeout=1.5
    )(work)

    assert decorated.func is work
    assert (decorated.name, decorated.__name__) == ("labour", "labour")
    assert decorated.__doc__ == "Do some work."
    assert decorated.retry_policy == (retry,)
    assert decorated.cache_policy is cache
    assert decorated.timeout == TimeoutPolicy(run_timeout=1.5)
    assert work.__name__ == "work"


def test_all_spellings_of_the_decorator_work(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def bare() -> str:
        return "bare"

    @task()
    def called() -> str:
        return "called"

    class Machine:
        def __call__(self) -> str:
            return "object"

    class Shop:
        name = "shop"

        @task
        def method(self) -> str:
            return self.name

        def plain(self) -> str:
            return f"bound {self.name}"

    bound = task(Shop().plain)
    partial = task(name="partly")(functools.partial(str.upper, "partial"))
    an_object = task(Machine())

    @entrypoint(checkpointer=saver)
    def workflow(_: int) -> list[Any]:
        futures: list[TaskFuture[Any]] = [bare(), called(), an_object(), bound()]
        return [f.result() for f in [*futures, partial(), Shop().method()]]

    result = workflow.invoke(1, config)

    assert result == ["bare", "called", "object", "bound shop", "PARTIAL", "shop"]


def test_a_decorated_function_keeps_its_types(saver: InMemorySaver) -> None:
    @task
    def sync_task(number: int, *, text: str = "") -> str:
        return text * number

    @task(timeout=1)
    async def async_task(number: int) -> float:
        return float(number)

    @entrypoint(checkpointer=saver)
    def plain(number: int) -> str:
        return str(number)

    @entrypoint()
    async def awaited(number: int, *, previous: float | None = None) -> float:
        return number + (previous or 0.0)

    @entrypoint()
    def final(text: str) -> entrypoint.final[int, str]:
        return entrypoint.final(value=1, save=text)

    @entrypoint()
    async def final_awaited(text: str) -> entrypoint.final[int, str]:
        return entrypoint.final(value=1, save=text)

    if TYPE_CHECKING:
        assert_type(sync_task(1, text="a"), TaskFuture[str])
        assert_type(async_task(1), TaskFuture[float])
        assert_type(plain, Workflow[int, str])
        assert_type(awaited, Workflow[int, float])
        assert_type(final, Workflow[str, int])
        assert_type(final_awaited, Workflow[str, int])
        sync_task("no number")  # type: ignore[arg-type]
        sync_task(1, colour="red")  # type: ignore[call-arg]
    assert isinstance(plain, Workflow)


# Bad input.


def test_generators_are_refused_when_decorating() -> None:
    def generator(_: int) -> Iterator[int]:
        yield 1

    async def async_generator(_: int) -> AsyncIterator[int]:
        yield 1

    for function in (generator, async_generator):
        for decorate in (task, entrypoint()):
            with pytest.raises(
                NotImplementedError,
                match=r"^Generators are not supported in the Functional API\.$",
            ):
                decorate(function)


def test_an_entrypoint_without_a_parameter_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^Entrypoint function must have at least one parameter$"
    ):

        @entrypoint()  # type: ignore[arg-type]
        def nothing() -> None:
            return None


def test_final_with_one_type_is_refused() -> None:
    with pytest.raises(TypeError, match="has to name two types"):

        @entrypoint()
        def workflow(_: int) -> entrypoint.final[int]:  # type: ignore[type-arg]
            return entrypoint.final(value=1, save=1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"retry_policy": "often"},
        {"retry_policy": ["often"]},
        {"retry_policy": 3},
        {"cache_policy": 120},
        {"timeout": "1s"},
        {"colour": "red"},
    ],
    ids=str,
)
def test_an_argument_of_another_type_is_refused_by_both(
    arguments: dict[str, Any],
) -> None:
    for decorate in (task, entrypoint):
        with pytest.raises(TypeError):
            decorate(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"checkpointer": "file.duckdb"},
        {"store": {}},
        {"cache": {}},
    ],
    ids=str,
)
def test_a_part_that_is_none_is_refused(arguments: dict[str, Any]) -> None:
    (name,) = arguments

    with pytest.raises(TypeError, match=f"{name} must be a "):
        entrypoint(**arguments)


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="task takes a function, not 5"):
        task(5)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="name must be a text"):
        task(name="")
    with pytest.raises(TypeError, match="entrypoint decorates a function, not 5"):
        entrypoint()(5)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="on_divergence must be"):
        entrypoint(on_divergence="hope")  # type: ignore[arg-type]


def test_parts_are_taken_by_position_in_langgraphs_order() -> None:
    saver, store, cache = InMemorySaver(), InMemoryStore(), InMemoryCache()

    @entrypoint(saver, store, cache, dict, CachePolicy(), RetryPolicy(), 60)
    def workflow(number: int) -> int:
        return number

    result = workflow.invoke(1, {"configurable": {"thread_id": "1"}})

    assert result == 1


def test_older_names_warn_and_work() -> None:
    policy = RetryPolicy(max_attempts=1)

    with pytest.warns(LangGraphDeprecatedSinceV05, match="use `retry_policy`"):
        decorated = task(retry=policy)(lambda: None)
    with pytest.warns(LangGraphDeprecatedSinceV05, match="use `retry_policy`"):
        entrypoint(retry=policy)
    with pytest.warns(
        LangGraphDeprecatedSinceV10, match=r"in LangGraph V1\.0 to be removed in V2\.0"
    ):
        entrypoint(config_schema=dict)

    assert decorated.retry_policy == (policy,)


def test_a_task_called_outside_of_a_run_says_so() -> None:
    @task
    def work() -> None:
        return None

    with pytest.raises(
        RuntimeError, match="Called get_config outside of a runnable context"
    ):
        work()


def test_a_coroutine_that_a_synchronous_function_returns_is_an_error(
    saver: InMemorySaver, config: Config
) -> None:
    async def later() -> int:
        return 1

    @task
    def forgot() -> Any:
        return later()

    @entrypoint(checkpointer=saver)
    def in_task(_: int) -> Any:
        return forgot().result()

    @entrypoint()
    def in_body(_: int) -> Any:
        return later()

    with pytest.raises(TypeError, match="The task 'forgot' returned a coroutine"):
        in_task.invoke(1, config)
    with pytest.raises(TypeError, match="The workflow 'in_body' returned a coroutine"):
        in_body.invoke(1)


def test_a_result_that_cannot_be_stored_names_its_task_and_its_place(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def work() -> dict[str, Any]:
        return {"a": [1, lambda: None]}

    @entrypoint(checkpointer=saver)
    def workflow(_: int) -> Any:
        return work().result()

    place = re.escape("result['a'][1] of task 'work'")
    with pytest.raises(UnstorableValueError, match=place):
        workflow.invoke(1, config)


def test_a_failure_says_in_which_tasks_it_happened(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def bad() -> None:
        raise ValueError("Failure")

    @task
    def outer() -> None:
        bad().result()

    @entrypoint(checkpointer=saver)
    def workflow(_: int) -> None:
        outer().result()

    with pytest.raises(ValueError, match="Failure") as failed:
        workflow.invoke(1, config)

    names = [note.split("'")[1] for note in failed.value.__notes__]
    assert failed.value.__notes__[0].startswith("During task with name 'bad' and id '")
    assert names == ["bad", "outer", "workflow"]


def test_only_a_fitting_annotation_has_config_filled_in() -> None:
    with pytest.warns(UserWarning, match="not RunnableConfig: it is not filled in"):

        @task
        def own(config: int) -> int:
            return config

    @task
    def filled(config: dict[str, Any] | None = None) -> Any:
        return None if config is None else config["configurable"]["user"]

    @entrypoint()
    def workflow(_: int) -> list[Any]:
        given = {"configurable": {"user": "given"}}
        return [own(5).result(), filled().result(), filled(given).result()]

    result = workflow.invoke(1, {"configurable": {"user": "ann"}})

    assert result == [5, "ann", "given"]


# Both worlds in one workflow.


def test_a_synchronous_body_calls_asynchronous_tasks(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    async def double(number: int) -> int:
        return number * 2

    @entrypoint(checkpointer=saver)
    def workflow(count: int) -> int:
        return sum(future.result() for future in [double(n) for n in range(count)])

    assert workflow.invoke(4, config) == 12


async def test_an_asynchronous_body_awaits_synchronous_tasks(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def double(number: int) -> int:
        return number * 2

    @entrypoint(checkpointer=saver)
    async def workflow(count: int) -> int:
        futures = [double(n) for n in range(count)]
        return sum([await future for future in futures])

    assert await workflow.ainvoke(4, config) == 12


def test_a_task_that_nobody_awaits_runs_before_the_run_ends(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def unawaited() -> int:
        return 1

    @entrypoint(checkpointer=saver)
    def workflow(_: int) -> str:
        unawaited()
        return "done"

    chunks = list(workflow.stream(1, config, stream_mode="updates"))

    assert chunks == [{"unawaited": 1}, {"workflow": "done"}]


# The caller's context.


@dataclass
class User:
    """A context as a dataclass."""

    name: str


class Settings(BaseModel):
    """A context as a pydantic model."""

    name: str


@pytest.mark.parametrize("schema", [User, Settings])
def test_a_dict_is_made_into_the_context_schema(schema: Callable[..., Any]) -> None:
    @entrypoint(context_schema=schema)  # type: ignore[arg-type]
    def workflow(_: int, *, runtime: Runtime[Any]) -> Any:
        return runtime.context, get_runtime(User).context

    made, same = workflow.invoke(1, context={"name": "ann"})
    given, _ = workflow.invoke(1, context=schema(name="bob"))
    left_out, _ = workflow.invoke(1)

    assert made == same == schema(name="ann")
    assert given == schema(name="bob")
    assert left_out is None


def test_a_context_that_does_not_fit_its_schema_is_refused(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver, context_schema=User)
    def workflow(_: int) -> None:
        return None

    with pytest.raises(TypeError, match="unexpected keyword argument 'nome'"):
        workflow.invoke(1, config, context={"nome": "ann"})

    assert saver.read("t") == []
    assert workflow.invoke(1, config) is None


# Where names are.


def test_every_public_name_is_at_its_mirrored_place() -> None:
    places = {
        types: """All CachePolicy Checkpointer Command Durability Interrupt PregelTask
            RetryPolicy Send StateSnapshot StateUpdate StreamMode StreamWriter
            TimeoutPolicy interrupt""",
        config_door: "get_config get_store get_stream_writer",
        runtime: "ExecutionInfo RunControl Runtime get_runtime",
        constants: "END START TAG_HIDDEN TAG_NOSTREAM",
        errors: """EmptyChannelError EmptyInputError ErrorCode GraphBubbleUp
            GraphDrained GraphInterrupt GraphRecursionError InvalidUpdateError
            NodeCancelledError NodeError NodeInterrupt NodeTimeoutError ParentCommand
            TaskNotFound
            UnknownInterruptError is_invalid_resume""",
    }

    missing = {
        f"{module.__name__}.{name}"
        for module, names in places.items()
        for name in names.split()
        if name not in module.__all__ or not hasattr(module, name)
    }

    assert not missing
