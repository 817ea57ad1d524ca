"""What a continued run uses again, and what it runs."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from nbflow._events import TaskCalled
from nbflow.errors import NonDeterministicReplayError, ReplayWarning, RunStopped
from nbflow.func import entrypoint, task
from nbflow.types import Command, interrupt

if TYPE_CHECKING:
    from nbflow.checkpoint.memory import InMemorySaver

Config = dict[str, Any]


class Broken:
    """Fails until it is mended: the network, as a test sees it."""

    def __init__(self) -> None:
        self.is_broken = True

    def check(self) -> None:
        """Raise, while it is broken."""
        if self.is_broken:
            raise ConnectionError("no network")


@pytest.fixture
def network() -> Broken:
    return Broken()


def test_a_finished_call_is_not_run_again(
    saver: InMemorySaver, config: Config, network: Broken
) -> None:
    ran: Counter[int] = Counter()

    @task
    def fetch(number: int) -> int:
        ran[number] += 1
        return number * 10

    @entrypoint(checkpointer=saver)
    def workflow(numbers: list[int]) -> int:
        total = sum(fetch(n).result() for n in numbers)
        network.check()
        return total

    with pytest.raises(ConnectionError):
        workflow.invoke([1, 2, 1], config)
    network.is_broken = False
    result = workflow.invoke(None, config)

    assert result == 40
    assert ran == {1: 2, 2: 1}


def test_calls_are_found_in_whatever_order_they_are_asked_for(
    saver: InMemorySaver, config: Config, network: Broken
) -> None:
    ran: Counter[int] = Counter()
    order = itertools.cycle([[1, 2, 3], [3, 2, 1]])

    @task
    async def fetch(number: int) -> int:
        ran[number] += 1
        return number * 10

    @entrypoint(checkpointer=saver)
    async def workflow(_: str) -> dict[int, int]:
        async def lane(number: int) -> tuple[int, int]:
            return number, await fetch(number)

        found = dict(await asyncio.gather(*(lane(n) for n in next(order))))
        network.check()
        return found

    with pytest.raises(ConnectionError):
        asyncio.run(workflow.ainvoke("go", config))
    network.is_broken = False
    result = asyncio.run(workflow.ainvoke(None, config))

    assert result == {1: 10, 2: 20, 3: 30}
    assert ran == {1: 1, 2: 1, 3: 1}


def test_an_edited_task_runs_again_and_the_others_do_not(
    saver: InMemorySaver, config: Config, network: Broken
) -> None:
    ran: Counter[str] = Counter()

    @task
    def load() -> int:
        ran["load"] += 1
        return 2

    @task(name="scale")
    def scale(value: int) -> int:
        ran["scale"] += 1
        return value * 10

    @task(name="scale")
    def edited_scale(value: int) -> int:
        ran["edited scale"] += 1
        return value * 100

    def define(scaling: Any) -> Any:
        @entrypoint(checkpointer=saver)
        def workflow(_: str) -> int:
            value: int = scaling(load().result()).result()
            network.check()
            return value

        return workflow

    with pytest.raises(ConnectionError):
        define(scale).invoke("go", config)
    network.is_broken = False
    result = define(edited_scale).invoke(None, config)

    assert result == 200
    assert ran == {"load": 1, "scale": 1, "edited scale": 1}
    calls = [
        record.event
        for record in saver.read("t", kinds=("TaskCalled",))
        if isinstance(record.event, TaskCalled)
    ]
    why = {call.name: call.why for call in calls[2:]}
    assert why == {"scale": "code"}


def test_a_caught_failure_is_replayed(
    saver: InMemorySaver, config: Config, network: Broken
) -> None:
    ran: Counter[str] = Counter()

    @task
    def risky() -> int:
        ran["risky"] += 1
        raise ValueError("always the first time")

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> str:
        try:
            risky().result()
        except ValueError as error:
            caught = str(error)
        network.check()
        return caught

    with pytest.raises(ConnectionError):
        workflow.invoke("go", config)
    network.is_broken = False
    result = workflow.invoke(None, config)

    assert result == "always the first time"
    assert ran == {"risky": 1}


@pytest.mark.parametrize("failing", [{1}, {1, 3}, {0, 1, 2, 3}])
def test_one_continue_is_enough_for_all_tasks_that_failed_side_by_side(
    saver: InMemorySaver, config: Config, network: Broken, failing: set[int]
) -> None:
    ran: Counter[int] = Counter()

    @task
    def fetch(number: int) -> int:
        ran[number] += 1
        if number in failing:
            network.check()
        return number

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> list[int]:
        return [f.result() for f in [fetch(n) for n in range(4)]]

    with pytest.raises(ConnectionError):
        workflow.invoke("go", config)
    network.is_broken = False
    result = workflow.invoke(None, config)

    assert result == [0, 1, 2, 3]
    assert ran == {n: 2 if n in failing else 1 for n in range(4)}


@pytest.mark.parametrize("in_lanes", [False, True])
def test_one_continue_is_enough_where_gather_hands_on_one_failure_only(
    saver: InMemorySaver, config: Config, network: Broken, *, in_lanes: bool
) -> None:
    ran: Counter[int] = Counter()

    @task
    async def fetch(number: int) -> int:
        ran[number] += 1
        network.check()
        return number

    async def lane(number: int) -> int:
        return await fetch(number)

    @entrypoint(checkpointer=saver)
    async def workflow(_: str) -> list[int]:
        return await asyncio.gather(
            *(lane(n) if in_lanes else fetch(n) for n in range(3))
        )

    with pytest.raises(ConnectionError):
        asyncio.run(workflow.ainvoke("go", config))
    network.is_broken = False
    result = asyncio.run(workflow.ainvoke(None, config))

    assert result == [0, 1, 2]
    assert ran == {0: 2, 1: 2, 2: 2}


def test_a_failure_below_a_failed_task_runs_again_with_it(
    saver: InMemorySaver, config: Config, network: Broken
) -> None:
    @task
    def inner() -> str:
        network.check()
        return "inner"

    @task
    def outer() -> str:
        try:
            return f"outer of {inner().result()}"
        except ConnectionError as error:
            raise RuntimeError("outer could not") from error

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> str:
        return outer().result()

    with pytest.raises(RuntimeError, match="outer could not"):
        workflow.invoke("go", config)
    network.is_broken = False
    result = workflow.invoke(None, config)

    assert result == "outer of inner"


def test_what_a_failed_task_caught_is_replayed_when_it_runs_again(
    saver: InMemorySaver, config: Config, network: Broken
) -> None:
    ran: Counter[str] = Counter()

    @task
    def risky() -> int:
        ran["risky"] += 1
        raise ValueError("no")

    @task
    def fetch() -> int:
        ran["fetch"] += 1
        network.check()
        return 1

    @task
    def outer() -> int:
        ran["outer"] += 1
        try:
            risky().result()
        except ValueError:
            return fetch().result()
        return 0

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> int:
        return outer().result()

    with pytest.raises(ConnectionError):
        workflow.invoke("go", config)
    network.is_broken = False
    result = workflow.invoke(None, config)

    assert result == 1
    assert ran == {"risky": 1, "fetch": 2, "outer": 2}


def test_all_questions_of_a_group_in_a_task_are_asked(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    async def outer() -> int:
        async def lane(name: str) -> int:
            return int(interrupt(name))

        async with asyncio.TaskGroup() as group:
            lanes = [group.create_task(lane(name)) for name in "ab"]
        return sum(lane.result() for lane in lanes)

    @entrypoint(checkpointer=saver)
    async def workflow(_: str) -> int:
        result: int = await outer()
        return result

    asked = asyncio.run(workflow.ainvoke("go", config))["__interrupt__"]
    answers = {question.id: 2 for question in asked}
    result = asyncio.run(workflow.ainvoke(Command(resume=answers), config))

    assert [question.value for question in asked] == ["a", "b"]
    assert result == 4


def test_a_failure_beside_a_question_is_an_error_that_can_be_caught(
    saver: InMemorySaver, config: Config, network: Broken
) -> None:
    @task
    async def fetch() -> int:
        network.check()
        return 1

    @entrypoint(checkpointer=saver)
    async def workflow(_: str) -> int:
        async def ask() -> int:
            return int(interrupt("how many?"))

        async with asyncio.TaskGroup() as group:
            fetched = group.create_task(_awaited(fetch()))
            await asyncio.sleep(0)
            asked = group.create_task(ask())
        return int(fetched.result() + asked.result())

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(workflow.ainvoke("go", config))
    network.is_broken = False
    asked = asyncio.run(workflow.ainvoke(None, config))["__interrupt__"]
    result = asyncio.run(workflow.ainvoke(Command(resume=2), config))

    assert raised.group_contains(ConnectionError)
    assert [question.value for question in asked] == ["how many?"]
    assert result == 3


def test_a_nested_run_that_was_cancelled_runs_again(
    saver: InMemorySaver, config: Config, network: Broken
) -> None:
    begun = asyncio.Event()

    @task
    async def fetch() -> int:
        await begun.wait()
        network.check()
        return 1

    @entrypoint()
    async def nested(number: int) -> int:
        begun.set()
        if network.is_broken:
            await asyncio.sleep(60)
        return number

    @entrypoint(checkpointer=saver)
    async def workflow(_: str) -> int:
        async def lane() -> int:
            return int(await nested.ainvoke(2))

        async with asyncio.TaskGroup() as group:
            lanes = [group.create_task(lane()), group.create_task(_awaited(fetch()))]
        return sum(lane.result() for lane in lanes)

    with pytest.raises(ExceptionGroup):
        asyncio.run(workflow.ainvoke("go", config))
    network.is_broken = False
    result = asyncio.run(workflow.ainvoke(None, config))

    assert result == 3


async def _awaited(future: Any) -> Any:
    return await future


async def test_lanes_that_outlive_their_body_begin_nothing_more(
    saver: InMemorySaver, config: Config
) -> None:
    ran: Counter[int] = Counter()
    stopped = list[BaseException]()

    @task
    async def fetch(number: int) -> int:
        ran[number] += 1
        await asyncio.sleep(0.01)
        return number

    @entrypoint(checkpointer=saver)
    async def workflow(_: str) -> int:
        async def ask() -> int:
            return int(interrupt("go on?"))

        async def loop() -> int:
            try:
                return sum([int(await fetch(number)) for number in range(5)])
            except BaseException as error:
                stopped.append(error)
                raise

        return sum(await asyncio.gather(loop(), ask()))

    await workflow.ainvoke("go", config)
    before = saver.read("t")
    await asyncio.sleep(0.05)
    after, ran_by_then = saver.read("t"), ran.copy()
    result = await workflow.ainvoke(Command(resume=1), config)

    assert after == before
    assert ran_by_then == {0: 1}
    assert [type(error) for error in stopped] == [RunStopped]
    assert result == 11
    assert set(ran.values()) == {1}


def test_a_body_that_is_not_deterministic_is_warned_of_and_gets_the_earlier_result(
    saver: InMemorySaver, config: Config, network: Broken
) -> None:
    ran: list[int] = []
    clock = itertools.count(1)

    @task
    def fetch(at: int) -> int:
        ran.append(at)
        return at

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> int:
        value = fetch(next(clock)).result()
        network.check()
        return value

    with pytest.raises(ConnectionError):
        workflow.invoke("go", config)
    network.is_broken = False
    with pytest.warns(ReplayWarning, match=r"fetch\(2\).*had called fetch\(1\)"):
        result = workflow.invoke(None, config)

    assert result == 1
    assert ran == [1]


def test_a_body_that_is_not_deterministic_can_be_an_error(
    saver: InMemorySaver, config: Config, network: Broken
) -> None:
    clock = itertools.count(1)

    @task
    def fetch(at: int) -> int:
        return at

    @entrypoint(checkpointer=saver, on_divergence="error")
    def workflow(_: str) -> int:
        value = fetch(next(clock)).result()
        network.check()
        return value

    with pytest.raises(ConnectionError):
        workflow.invoke("go", config)
    with pytest.raises(NonDeterministicReplayError, match=r"fetch\(2\)"):
        workflow.invoke(None, config)


def test_a_body_that_is_not_deterministic_can_run_again(
    saver: InMemorySaver, config: Config, network: Broken
) -> None:
    clock = itertools.count(1)

    @task
    def fetch(at: int) -> int:
        return at

    @entrypoint(checkpointer=saver, on_divergence="rerun")
    def workflow(_: str) -> int:
        value = fetch(next(clock)).result()
        network.check()
        return value

    with pytest.raises(ConnectionError):
        workflow.invoke("go", config)
    network.is_broken = False
    result = workflow.invoke(None, config)

    assert result == 2


@pytest.mark.parametrize(
    ("replay", "expected"),
    [
        ("changed", {"a": 1, "b": 2, "c": 1}),
        ("prefix", {"a": 1, "b": 2, "c": 2}),
        ("all", {"a": 1, "b": 1, "c": 1}),
        ("none", {"a": 2, "b": 2, "c": 2}),
    ],
)
def test_replay_says_how_much_is_used_again(
    saver: InMemorySaver,
    config: Config,
    network: Broken,
    replay: str,
    expected: dict[str, int],
) -> None:
    ran: Counter[str] = Counter()

    @task
    def a() -> None:
        ran["a"] += 1

    @task(name="b")
    def b() -> None:
        ran["b"] += 1

    @task(name="b")
    def edited_b() -> None:
        ran["b"] += int("1")

    @task
    def c() -> None:
        ran["c"] += 1

    def define(middle: Any) -> Any:
        @entrypoint(checkpointer=saver)
        def workflow(_: str) -> str:
            for each in (a, middle, c):
                each().result()
            network.check()
            return "done"

        return workflow

    with pytest.raises(ConnectionError):
        define(b).invoke("go", config)
    network.is_broken = False
    define(edited_b).invoke(
        None, {"configurable": {"thread_id": "t", "replay": replay}}
    )

    assert ran == expected


def test_a_replay_hands_out_fresh_copies(
    saver: InMemorySaver, config: Config, network: Broken
) -> None:
    @task
    def items() -> list[int]:
        return [1]

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> list[int]:
        found = items().result()
        found.append(2)
        network.check()
        return found

    with pytest.raises(ConnectionError):
        workflow.invoke("go", config)
    with pytest.raises(ConnectionError):
        workflow.invoke(None, config)
    network.is_broken = False
    result = workflow.invoke(None, config)

    assert result == [1, 2]


def test_a_new_input_closes_an_unfinished_run(
    saver: InMemorySaver, config: Config, network: Broken
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(number: int, *, previous: int | None) -> int:
        if number == 2:
            network.check()
        return (previous or 0) + number

    workflow.invoke(1, config)
    with pytest.raises(ConnectionError):
        workflow.invoke(2, config)
    result = workflow.invoke(3, config)

    assert result == 4
    kinds = [type(r.event).__name__ for r in saver.read("t")]
    assert "RunSuperseded" in kinds


def test_arguments_count_the_same_by_position_and_by_name(
    saver: InMemorySaver, config: Config, network: Broken
) -> None:
    ran: list[int] = []
    calls: Any = iter([lambda t: t(1, b=2), lambda t: t(a=1, b=2)])

    @task
    def add(a: int, b: int) -> int:
        ran.append(a)
        return a + b

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> int:
        value: int = next(calls)(add).result()
        network.check()
        return value

    with pytest.raises(ConnectionError):
        workflow.invoke("go", config)
    network.is_broken = False
    result = workflow.invoke(None, config)

    assert result == 3
    assert ran == [1]


def test_arguments_that_cannot_be_encoded_count_by_their_type(
    saver: InMemorySaver, config: Config, network: Broken
) -> None:
    ran: list[str] = []

    class Client:
        def __init__(self) -> None:
            self.opened = object()

    @task
    def fetch(client: Client, transform: Any) -> str:
        ran.append(type(client).__name__)
        return str(transform("x"))

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> str:
        value = fetch(Client(), lambda text: text * 2).result()
        network.check()
        return value

    with pytest.raises(ConnectionError):
        workflow.invoke("go", config)
    network.is_broken = False
    result = workflow.invoke(None, config)

    assert result == "xx"
    assert ran == ["Client"]
