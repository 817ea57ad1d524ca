"""Streams of nested runs, seen from the root and from the body that calls them."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from nbflow.checkpoint.memory import InMemorySaver
from nbflow.config import get_stream_writer
from nbflow.func import entrypoint, task
from nbflow.types import Command, interrupt

if TYPE_CHECKING:
    from nbflow._engine.workflow import Workflow

Config = dict[str, Any]


@task
def deep(number: int) -> int:
    get_stream_writer()(f"deep {number}")
    return number + 1


@entrypoint()
def inner(number: int) -> int:
    get_stream_writer()(f"inner {number}")
    return deep(number).result()


@task
def through(number: int) -> int:
    result: int = inner.invoke(number)
    return result


def names(namespace: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part.partition(":")[0] for part in namespace)


def test_nested_runs_show_what_they_do_under_their_own_names(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def outer(number: int) -> list[int]:
        found = [inner.invoke(number), inner.invoke(number + 10)]
        return [*found, through(number + 20).result()]

    modes: Any = ["updates", "custom", "values"]
    shown = list(outer.stream(1, config, stream_mode=modes, subgraphs=True))
    alone = list(outer.stream(2, config, stream_mode=modes))

    places = [("outer",), ("outer", "1"), ("outer", "through")]
    nested = [
        [
            (place, "custom", f"inner {number}"),
            (place, "custom", f"deep {number}"),
            (place, "updates", {"deep": number + 1}),
            (place, "updates", {"inner": number + 1}),
            (place, "values", number + 1),
        ]
        for place, number in zip(places, (1, 11, 21), strict=True)
    ]
    assert [(names(ns), mode, data) for ns, mode, data in shown] == [
        *nested[0],
        *nested[1],
        *nested[2],
        ((), "updates", {"through": 22}),
        ((), "updates", {"outer": [2, 12, 22]}),
        ((), "values", [2, 12, 22]),
    ]
    assert [mode for mode, _ in alone] == ["updates", "updates", "values"]


def test_the_name_of_a_nested_run_holds_the_id_of_the_task_that_called_it(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def outer(number: int) -> int:
        return through(number).result()

    shown = list(outer.stream(1, config, stream_mode="tasks", subgraphs=True))
    spaces = {ns for ns, _ in shown}

    entry, called = list(outer.get_state_history(config))[-1].tasks[:2]
    below = (f"outer:{entry.id}", f"through:{called.id}")
    assert spaces == {(), below}
    assert [c["name"] for ns, c in shown if ns == below] == [
        "inner",
        "deep",
        "deep",
        "inner",
    ]


def test_a_question_inside_is_shown_in_its_run_and_again_at_the_root(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint()
    def asks(number: int) -> tuple[int, Any]:
        return deep(number).result(), interrupt("q?")

    @entrypoint(checkpointer=saver)
    def outer(number: int) -> Any:
        return asks.invoke(number)

    modes: Any = ["updates", "values"]
    first = list(outer.stream(1, config, stream_mode=modes, subgraphs=True))
    answer: Command[Any] = Command(resume="A")
    after = list(outer.stream(answer, config, stream_mode=modes, subgraphs=True))

    asked = [
        (names(ns), mode) for ns, mode, data in first if "__interrupt__" in str(data)
    ]
    assert asked == [
        (("outer",), "updates"),
        (("outer",), "values"),
        ((), "updates"),
        ((), "values"),
    ]
    assert [(names(ns), mode, data) for ns, mode, data in after] == [
        (("outer",), "updates", {"asks": (2, "A")}),
        (("outer",), "values", (2, "A")),
        ((), "updates", {"outer": (2, "A")}),
        ((), "values", (2, "A")),
    ]


def test_a_body_reads_the_stream_of_what_it_calls(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def outer(number: int, config: dict[str, Any]) -> dict[str, Any]:
        modes: Any = ["updates", "custom"]
        return {
            "plain": list(inner.stream(number)),
            "with config": list(inner.stream(number, config)),
            "several": list(inner.stream(number, stream_mode=modes)),
            "placed": list(inner.stream(number, subgraphs=True)),
        }

    result = outer.invoke(1, config)

    assert result["plain"] == [{"deep": 2}, {"inner": 2}]
    assert result["with config"] == [2]
    assert result["several"] == [
        ("custom", "inner 1"),
        ("custom", "deep 1"),
        ("updates", {"deep": 2}),
        ("updates", {"inner": 2}),
    ]
    assert [names(ns) for ns, _ in result["placed"]] == [("outer", "3")] * 2


def test_an_async_body_reads_the_stream_of_what_it_calls(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    async def step(number: int) -> int:
        return number + 1

    @entrypoint()
    async def child(number: int) -> int:
        return await step(number)

    @entrypoint(checkpointer=saver)
    async def outer(number: int) -> list[Any]:
        own = [chunk async for chunk in child.astream(number)]
        return own + [chunk async for chunk in inner.astream(number)]

    result = asyncio.run(outer.ainvoke(1, config))

    assert result == [{"step": 2}, {"child": 2}, {"deep": 2}, {"inner": 2}]


def test_parallel_nested_streams_show_only_their_own(
    saver: InMemorySaver, config: Config
) -> None:
    together = threading.Barrier(2, timeout=10)

    @task
    def step(number: int) -> int:
        together.wait()
        return number

    @entrypoint()
    def child(number: int) -> int:
        return step(number).result()

    @task
    def reads(number: int) -> list[Any]:
        return list(child.stream(number))

    @entrypoint(checkpointer=saver)
    def outer(_: str) -> list[Any]:
        return [future.result() for future in [reads(1), reads(2)]]

    result = outer.invoke("go", config)

    assert result == [[{"step": n}, {"child": n}] for n in (1, 2)]


def test_a_nested_stream_arrives_while_the_nested_run_goes_on(
    saver: InMemorySaver, config: Config
) -> None:
    may_end = threading.Event()

    @entrypoint()
    def child(number: int) -> int:
        deep(number).result()
        may_end.wait(10)
        return number

    @entrypoint(checkpointer=saver)
    def outer(number: int) -> list[Any]:
        stream = child.stream(number)
        early = next(stream)
        may_end.set()
        return [early, *stream]

    result = outer.invoke(1, config)

    assert result == [{"deep": 2}, {"child": 1}]


def test_leaving_a_nested_stream_early_ends_the_nested_run_only(
    saver: InMemorySaver, config: Config
) -> None:
    ran: list[int] = []

    @task
    def step(number: int) -> int:
        ran.append(number)
        return number

    @entrypoint()
    def child(_: int) -> None:
        for number in range(1_000_000):
            step(number).result()

    @entrypoint(checkpointer=saver)
    def outer(number: int) -> int:
        for _ in child.stream(number):
            break
        return step(-1).result()

    result = outer.invoke(1, config)

    assert result == -1
    assert len(ran) < 1_000_000


def test_leaving_an_async_nested_stream_early_ends_the_nested_run_only(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    async def step(number: int) -> int:
        return number

    @entrypoint()
    async def child(_: int) -> None:
        for number in range(1_000_000):
            await step(number)

    @entrypoint(checkpointer=saver)
    async def outer(number: int) -> int:
        stream = child.astream(number)
        async for _ in stream:
            break
        await stream.aclose()
        return await step(-1)

    result = asyncio.run(outer.ainvoke(1, config))

    assert result == -1


def test_a_question_under_a_nested_stream_is_answered_as_any_other(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint()
    def asks(number: int) -> Any:
        deep(number).result()
        return interrupt("q?")

    seen: list[Any] = []

    @entrypoint(checkpointer=saver)
    def outer(number: int) -> list[Any]:
        chunks = []
        for chunk in asks.stream(number):
            seen.append(chunk)
            chunks.append(chunk)
        return chunks

    asked = outer.invoke(1, config)
    shown = seen[:]
    result = outer.invoke(Command(resume="A"), config)

    assert asked["__interrupt__"][0].value == "q?"
    assert [list(chunk) for chunk in shown] == [["deep"], ["__interrupt__"]]
    assert result == [{"asks": "A"}]


def test_a_failed_nested_stream_raises_in_its_reader(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint()
    def fails(number: int) -> None:
        raise ValueError(number)

    @entrypoint(checkpointer=saver)
    def outer(number: int) -> str:
        try:
            list(fails.stream(number))
        except ValueError as error:
            return f"caught {error}"
        return "nothing"

    result = outer.invoke(1, config)

    assert result == "caught 1"


# What a nested run remembers.


def counter(keeps: bool | None) -> tuple[Workflow[Any, Any], list[Any]]:
    seen: list[Any] = []

    @entrypoint(checkpointer=keeps)
    def count(number: int, *, previous: int | None = None) -> Any:
        seen.append((number, previous))
        total = (previous or 0) + number
        return entrypoint.final(value=number, save=total)

    return count, seen


@pytest.mark.parametrize(
    ("keeps", "before"),
    [(True, [None, None, 1, 1]), (False, [None] * 4), (None, [None] * 4)],
)
def test_only_a_history_of_its_own_outlives_the_parents_run(
    saver: InMemorySaver, config: Config, keeps: bool | None, before: list[Any]
) -> None:
    count, seen = counter(keeps)

    @entrypoint(checkpointer=saver)
    def outer(number: int) -> list[Any]:
        return [count.invoke(number), count.invoke(number)]

    outer.invoke(1, config)
    outer.invoke(1, config)

    assert [previous for _, previous in seen] == before


def test_a_history_of_its_own_belongs_to_its_place_and_thread(
    saver: InMemorySaver, config: Config
) -> None:
    count, seen = counter(keeps=True)

    @task
    def in_task(number: int) -> Any:
        return count.invoke(number)

    @entrypoint(checkpointer=saver)
    def outer(number: int) -> Any:
        return in_task(number).result()

    @entrypoint(checkpointer=saver)
    def other(number: int) -> Any:
        return in_task(number).result()

    outer.invoke(1, config)
    outer.invoke(2, config)
    outer.invoke(3, {"configurable": {"thread_id": "another"}})
    other.invoke(4, config)

    assert seen == [(1, None), (2, 1), (3, None), (4, None)]


def test_previous_of_a_nested_run_is_the_same_when_it_goes_on(
    saver: InMemorySaver, config: Config
) -> None:
    seen: list[Any] = []

    @entrypoint(checkpointer=True)
    def asks(_: int, *, previous: Any = None) -> Any:
        seen.append(previous)
        return [previous, interrupt("q?")]

    @entrypoint(checkpointer=saver)
    def outer(number: int) -> Any:
        return asks.invoke(number)

    outer.invoke(1, config)
    first = outer.invoke(Command(resume="a"), config)
    outer.invoke(2, config)
    second = outer.invoke(Command(resume="b"), config)

    assert first == [None, "a"]
    assert second == [[None, "a"], "b"]
    assert seen == [None, None, [None, "a"], [None, "a"]]


def test_a_nested_run_without_a_history_runs_its_tasks_again(
    saver: InMemorySaver, config: Config
) -> None:
    ran: list[int] = []

    @task
    def step(number: int) -> int:
        ran.append(number)
        return number

    @entrypoint(checkpointer=False)
    def asks(number: int) -> Any:
        return [step(number).result(), interrupt("q?")]

    @entrypoint(checkpointer=saver)
    def outer(number: int) -> Any:
        return asks.invoke(number)

    outer.invoke(1, config)
    result = outer.invoke(Command(resume="a"), config)

    assert result == [1, "a"]
    assert ran == [1, 1]


def test_a_history_of_its_own_is_for_nested_runs_only(config: Config) -> None:
    @entrypoint(checkpointer=True)
    def alone(number: int) -> int:
        return number

    text = "checkpointer=True cannot be used for root graphs"
    with pytest.raises(RuntimeError, match=text):
        alone.invoke(1, config)
    with pytest.raises(RuntimeError, match=text):
        list(alone.stream(1, config))
    with pytest.raises(RuntimeError, match=text):
        asyncio.run(alone.ainvoke(1, config))


def test_a_saver_and_a_thread_of_its_own_make_an_independent_thread(
    saver: InMemorySaver, config: Config
) -> None:
    own_saver = InMemorySaver()

    @entrypoint(checkpointer=own_saver)
    def own(number: int, *, previous: int | None = None) -> int:
        return (previous or 0) + number

    @entrypoint(checkpointer=saver)
    def outer(number: int) -> int:
        value: int = own.invoke(number, {"configurable": {"thread_id": "other"}})
        return value

    results = [outer.invoke(n, config) for n in (1, 2)]

    assert results == [1, 3]
    assert [head.thread_id for head in own_saver.list_threads()] == ["other"]
    assert [head.thread_id for head in saver.list_threads()] == ["t"]


def test_the_same_saver_and_thread_make_a_part_of_the_same_run(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def child(number: int) -> int:
        return deep(number).result()

    @entrypoint(checkpointer=saver)
    def outer(number: int) -> int:
        value: int = child.invoke(number)
        return value

    result = outer.invoke(1, config)

    assert result == 2
    begun = list(outer.get_state_history(config))[-1]
    assert [t.name for t in begun.tasks] == ["outer", "child", "deep"]


def test_a_nested_run_has_a_context_of_its_own_where_it_is_given_one(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def tells(*, runtime: Any = None) -> Any:
        return runtime.context

    @entrypoint()
    def child(_: str) -> Any:
        return tells().result()

    @entrypoint(checkpointer=saver)
    def outer(_: str) -> Any:
        return [child.invoke("go"), child.invoke("go", context="own"), tells().result()]

    result = outer.invoke("go", config, context="outer's")

    assert result == ["outer's", "own", "outer's"]
