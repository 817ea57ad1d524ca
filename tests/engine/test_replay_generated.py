"""Killing a workflow at any event, or editing it, and going on is as good as new.

Workflows are generated as steps, written out as source, and run by nbflow; the same
source run with plain stand-ins says what is right. A kill is a log that ends after
any of its records: that is all that a process leaves behind.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import linecache
import os
import threading
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

import nbflow
from nbflow import Command, serde
from nbflow._events import (
    Interrupted,
    Record,
    RunFailed,
    RunInterrupted,
    TaskCalled,
    TaskDropped,
    TaskFailed,
    TaskFinished,
)
from nbflow.checkpoint.memory import InMemorySaver

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

EXAMPLES: Final = int(os.environ.get("NBFLOW_REPLAY_EXAMPLES", "16"))
CUTS_AT_MOST: Final = 10
CONFIG: Final = {"configurable": {"thread_id": "t"}}

pytestmark = pytest.mark.timeout(30 + 4 * EXAMPLES)
PHASES: Final = (Phase.explicit, Phase.generate)  # shrinking takes minutes here
generated = settings(
    phases=PHASES,
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


# What a program is.


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a task of the pool, with the value so far or without it."""

    label: int
    task: int
    uses_value: bool


@dataclass(frozen=True, slots=True)
class FanOut:
    """Several calls at once."""

    label: int
    task: int
    times: int


@dataclass(frozen=True, slots=True)
class Fails:
    """A task that always fails, and is caught."""

    label: int


@dataclass(frozen=True, slots=True)
class Flaky:
    """A task that fails the first time, and makes the run fail."""

    label: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to a person."""

    label: int


@dataclass(frozen=True, slots=True)
class Taken:
    """A value from outside, which a task is called with."""

    label: int
    name: str


@dataclass(frozen=True, slots=True)
class Chance:
    """A branch on a random number."""

    label: int


@dataclass(frozen=True, slots=True)
class Branch:
    """One of two blocks."""

    label: int
    then: Block
    otherwise: Block


@dataclass(frozen=True, slots=True)
class Loop:
    """A block several times."""

    label: int
    times: int
    block: Block


@dataclass(frozen=True, slots=True)
class Lanes:
    """Blocks side by side: threads, or asyncio tasks in a gather or a group."""

    label: int
    blocks: tuple[Block, ...]
    in_group: bool


@dataclass(frozen=True, slots=True)
class Below:
    """A block as the body of a task, or of a nested workflow."""

    label: int
    block: Block
    is_async: bool
    is_task: bool


Step: TypeAlias = (
    Call | FanOut | Fails | Flaky | Ask | Taken | Chance | Branch | Loop | Lanes | Below
)
Block: TypeAlias = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """A workflow's body, and the code of the three tasks of the pool."""

    body: Block
    is_async: bool
    task_is_async: tuple[bool, bool, bool]
    versions: tuple[str, str, str] = ("value", "value", "value")


LABEL: Final = st.integers(0, 0)  # numbered once the whole program is there
LEAF: Final = st.one_of(
    st.builds(Call, LABEL, st.integers(0, 2), st.booleans()),
    st.builds(Call, LABEL, st.integers(0, 2), st.booleans()),
    st.builds(FanOut, LABEL, st.integers(0, 2), st.integers(2, 3)),
    st.builds(Fails, LABEL),
    st.builds(Flaky, LABEL),
    st.builds(Ask, LABEL),
    st.builds(Taken, LABEL, st.sampled_from(["now", "uuid4", "random"])),
    st.builds(Chance, LABEL),
)


def _deeper(steps: st.SearchStrategy[Step]) -> st.SearchStrategy[Step]:
    block = st.lists(steps, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Branch, LABEL, block, block),
        st.builds(Loop, LABEL, st.integers(1, 2), block),
        st.builds(
            Lanes,
            LABEL,
            st.lists(block, min_size=2, max_size=3).map(tuple),
            st.booleans(),
        ),
        st.builds(Below, LABEL, block, st.booleans(), st.booleans()),
    )


STEPS: Final = st.recursive(LEAF, _deeper, max_leaves=6)


def _numbered(step: Any, labels: Iterable[int]) -> Any:
    """Return a step with labels of its own, all the way down."""
    changes: dict[str, Any] = {"label": next(iter(labels))}
    for name in ("block", "then", "otherwise"):
        if hasattr(step, name):
            block = getattr(step, name)
            changes[name] = tuple(_numbered(inner, labels) for inner in block)
    if isinstance(step, Lanes):
        changes["blocks"] = tuple(
            tuple(_numbered(inner, labels) for inner in block) for block in step.blocks
        )
    return replace(step, **changes)


def _programs(*, is_async: bool) -> st.SearchStrategy[Program]:
    body = st.lists(STEPS, min_size=1, max_size=5).map(
        lambda steps: tuple(map(_numbered, steps, [count(1)] * len(steps)))
    )
    flags = st.tuples(st.booleans(), st.booleans(), st.booleans())
    return st.builds(Program, body, st.just(is_async), flags)


# Its source.


class _Source:
    """Write a program out, once as a module and once as lines of a body."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.definitions: list[str] = []

    def module(self) -> str:
        """Return the whole source."""
        body = self.function("workflow", self.program.body, self.program.is_async)
        tasks = [
            line
            for number, is_async in enumerate(self.program.task_is_async)
            for line in self.task(number, is_async=is_async)
        ]
        root = ["@entrypoint(checkpointer=SAVER, on_divergence=ON_DIVERGENCE)", *body]
        return "\n".join([*tasks, *self.definitions, *root, ""])

    def task(self, number: int, *, is_async: bool) -> list[str]:
        """Return a task of the pool."""
        returned = self.program.versions[number]
        return [
            "@task",
            f"{'async ' * is_async}def t{number}(label, x):",
            *(["    await WORLD.turn(label, x)"] if is_async else []),
            f"    value = WORLD.run('t{number}', label, x)",
            f"    return {returned}",
        ]

    def function(self, name: str, block: Block, is_async: bool) -> list[str]:
        """Return a function whose body is a block."""
        lines = self.block(block, is_async=is_async, in_thread=False)
        return [
            f"{'async ' * is_async}def {name}(v):",
            *_indented(lines),
            "    return v",
        ]

    def block(self, block: Block, *, is_async: bool, in_thread: bool) -> list[str]:
        """Return the lines of a block."""
        return [
            line
            for step in block
            for line in self.step(step, is_async=is_async, in_thread=in_thread)
        ]

    def step(self, step: Step, *, is_async: bool, in_thread: bool) -> list[str]:  # noqa: C901 - a case each
        """Return the lines of a step."""
        label = step.label

        def value_of(call: str) -> str:
            return f"await {call}" if is_async else f"{call}.result()"

        def inner(block: Block) -> list[str]:
            return _indented(self.block(block, is_async=is_async, in_thread=in_thread))

        match step:
            case Call(task=task, uses_value=uses_value):
                x = "v" if uses_value else "0"
                return [f"v = mix(v, {value_of(f't{task}({label}, {x})')})"]
            case FanOut(task=task, times=times):
                calls = f"[t{task}({label}, v + i) for i in range({times})]"
                if is_async:
                    calls = f"await asyncio.gather(*{calls})"
                    return [f"for r in {calls}:", "    v = mix(v, r)"]
                return [f"for f in {calls}:", "    v = mix(v, f.result())"]
            case Fails():
                call = value_of(f"fails({label}, v)")
                caught = [
                    "except ValueError as error:",
                    "    v = mix(v, len(str(error)))",
                ]
                return ["try:", f"    v = mix(v, {call})", *caught]
            case Flaky():
                return [f"v = mix(v, {value_of(f'flaky({label}, v)')})"]
            case Ask():
                return [f"v = mix(v, interrupt(('question', {label}, v)))"]
            case Taken(name=name):
                # Among threads of one's own nothing says which of them asks.
                taken = "''" if in_thread else f"str(nbflow.{name}())"
                return [f"v = mix(v, {value_of(f'use({label}, {taken})')})"]
            case Chance():
                chance = "0" if in_thread else "nbflow.random()"
                either = [
                    f"v = mix(v, {value_of(f'either_{name}({label}, 0)')})"
                    for name in "ab"
                ]
                return [f"if {chance} < 0.5:", *_indented(either[:1]), "else:",
                        *_indented(either[1:])]  # fmt: skip
            case Branch(then=then, otherwise=otherwise):
                return ["if v % 2:", *inner(then), "else:", *inner(otherwise)]
            case Loop(times=times, block=block):
                return [f"for i{label} in range({times}):", *inner(block)]
            case Lanes():
                return self.lanes(step, is_async=is_async)
            case Below():
                return self.below(step, is_async=is_async)

    def lanes(self, step: Lanes, *, is_async: bool) -> list[str]:
        """Return the lines of blocks side by side."""
        names = [f"lane{step.label}_{number}" for number in range(len(step.blocks))]
        lines: list[str] = []
        for name, block in zip(names, step.blocks, strict=True):
            body = self.block(block, is_async=is_async, in_thread=not is_async)
            head = f"{'async ' * is_async}def {name}(v):"
            lines += [head, *_indented([*body, "return v"])]
        joined = ", ".join(names)
        if not is_async:
            start = f"fs = [pool.submit(copy_context().run, l, v) for l in ({joined})]"
            lines += [f"with ThreadPoolExecutor({len(names)}) as pool:", f"    {start}"]
            return [*lines, "for f in fs:", "    v = mix(v, f.result())"]
        if step.in_group:
            start = f"ts = [group.create_task(l(v)) for l in ({joined})]"
            lines += ["async with asyncio.TaskGroup() as group:", f"    {start}"]
            return [*lines, "for t in ts:", "    v = mix(v, t.result())"]
        lines += [f"for r in await asyncio.gather(*(l(v) for l in ({joined}))):"]
        return [*lines, "    v = mix(v, r)"]

    def below(self, step: Below, *, is_async: bool) -> list[str]:
        """Return the call of a task or workflow that has a block as its body."""
        # A synchronous body can call asynchronous tasks, but not workflows.
        inner_is_async = step.is_async if step.is_task or is_async else False
        name = f"{'outer' if step.is_task else 'nested'}{step.label}"
        decorator = "@task" if step.is_task else "@entrypoint()"
        lines = self.function(name, step.block, inner_is_async)
        mark = [f"    WORLD.run('{name}', 0, v)"]
        self.definitions += [decorator, lines[0], *mark, *lines[1:]]
        if step.is_task:
            call = f"await {name}(v)" if is_async else f"{name}(v).result()"
        else:
            call = f"await {name}.ainvoke(v)" if is_async else f"{name}.invoke(v)"
        return [f"v = mix(v, {call})"]


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


COMMON: Final = """
import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

def mix(v, r):
    return (v * 31 + r) % 1009

@task
def use(label, key):
    return WORLD.run("use", label, 0)

@task
def either_a(label, x):
    return WORLD.run("either", label, 0)

@task
def either_b(label, x):
    return WORLD.run("either", label, 0)

@task
def fails(label, x):
    raise ValueError("no " + str(WORLD.run("fails", label, x)))

@task
def flaky(label, x):
    return WORLD.run("flaky", label, x)
"""


# What it runs in.

Key: TypeAlias = tuple[str, int, Any]


class World:
    """What tasks reach outside: its answers never change, and it counts."""

    def __init__(self, before: Counter[Key] | None = None) -> None:
        self.ran: Counter[Key] = Counter()
        self._before = Counter(before)
        self._lock = threading.Lock()

    def run(self, name: str, label: int, x: Any) -> int:
        """Return what a task gets; a flaky one fails the first time."""
        key = (name, label, x)
        with self._lock:
            self.ran[key] += 1
            first = self.ran[key] + self._before[key] == 1
        if name == "flaky" and first:
            raise ConnectionError("the first time")
        return zlib.crc32(repr(key).encode()) % 1009

    async def turn(self, label: int, x: Any) -> None:
        """Let others go first, sometimes: other ones in each process."""
        turns = zlib.crc32(repr((label, x, len(self._before))).encode()) % 4
        for _ in range(turns):
            await asyncio.sleep(0)


def answer_to(question: Any) -> int:
    """Return what the person says."""
    return zlib.crc32(repr(question).encode()) % 1009


_numbers = count()


def load(program: Program, names: dict[str, Any]) -> dict[str, Any]:
    """Run a program's source as a module, with names of the outside."""
    source = COMMON + _Source(program).module()
    name = f"<generated {next(_numbers)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    space = {"__name__": "__main__", "nbflow": nbflow, **names}
    exec(compile(source, name, "exec"), space)  # noqa: S102 - generated here
    return space


# Run plainly: what is right.


class Plain:
    """A task's outcome at once, for bodies of both kinds."""

    def __init__(self, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._error: Exception | None = None
        self._value: Any = None
        try:
            self._value = _driven(func(*args))
        except ValueError as error:
            self._error = error

    def result(self) -> Any:
        """Return the value or raise the error."""
        if self._error is not None:
            raise self._error
        return self._value

    def __await__(self) -> Generator[None, None, Any]:
        yield from ()
        return self.result()


class PlainWorkflow:
    """A workflow that is nothing but its function."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self._func = func

    def invoke(self, v: int) -> Any:
        """Call it."""
        return _driven(self._func(v))

    async def ainvoke(self, v: int) -> Any:
        """Call it from an asynchronous body."""
        return self.invoke(v)


def _driven(value: Any) -> Any:
    """Return what a coroutine returns, on a loop of its own."""
    if not asyncio.iscoroutine(value):
        return value
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(copy_context().run, asyncio.run, value).result()


def run_plainly(program: Program) -> tuple[int, Counter[Key]]:
    """Return a program's result and what it runs, each call once."""
    world = World()
    world.run = _never_flaky(world.run)  # type: ignore[method-assign]
    space = load(
        program,
        {
            "WORLD": world,
            "SAVER": None,
            "ON_DIVERGENCE": "error",
            "interrupt": answer_to,
            "task": lambda func: lambda *args: Plain(func, args),
            "entrypoint": lambda **_: PlainWorkflow,
        },
    )
    return space["workflow"].invoke(1), world.ran


def _never_flaky(run: Callable[[str, int, Any], int]) -> Callable[..., int]:
    def run_again(name: str, label: int, x: Any) -> int:
        try:
            return run(name, label, x)
        except ConnectionError:
            return run(name, label, x)

    return run_again


# Run by nbflow.

FAILED: Final = object()


def define(program: Program) -> dict[str, Any]:
    """Return a program's module, as a process that starts has it."""
    return load(
        program,
        {
            "WORLD": World(),
            "SAVER": InMemorySaver(),
            "ON_DIVERGENCE": "error",
            "interrupt": nbflow.interrupt,
            "task": nbflow.task,
            "entrypoint": nbflow.entrypoint,
        },
    )


def run_to_the_end(
    module: dict[str, Any], saver: InMemorySaver, world: World, *, one_by_one: bool
) -> int:
    """Start or continue a program, as often as it takes, and answer its questions."""
    module["WORLD"] = world
    workflow = module["workflow"].with_saver(saver)
    talk = _conversation(saver, one_by_one=one_by_one)
    given = next(talk)
    try:
        if inspect.iscoroutinefunction(workflow.__wrapped__):
            asyncio.run(_talk_in_one_loop(talk, workflow, given))
        while True:
            try:
                result = workflow.invoke(given, CONFIG)
            except (ConnectionError, ExceptionGroup):
                result = FAILED
            given = talk.send(result)
    except _EndError as end:
        return end.value


class _EndError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value


async def _talk_in_one_loop(
    talk: Generator[Any, Any, None], workflow: Any, given: Any
) -> None:
    # As in a kernel: what a stretch leaves behind on the loop is still there.
    while True:
        try:
            result = await workflow.ainvoke(given, CONFIG)
        except (ConnectionError, ExceptionGroup):
            result = FAILED
        given = talk.send(result)


def _conversation(
    saver: InMemorySaver, *, one_by_one: bool
) -> Generator[Any, Any, None]:
    """Yield what to invoke a workflow with, until it is done."""
    given: Any = 1 if saver.head("t") is None else None
    for _ in range(200):
        result = yield given
        if result is FAILED:
            given = None
        elif not isinstance(result, dict):
            raise _EndError(result)
        else:
            asked = result["__interrupt__"][: 1 if one_by_one else None]
            given = Command(resume={i.id: answer_to(i.value) for i in asked})
    raise AssertionError("it never ends")


def cut(records: Sequence[Record], length: int) -> InMemorySaver:
    """Return a saver with what a process left that was killed there."""
    saver = InMemorySaver()
    saver.append(records[:length])
    return saver


def key_of(call: TaskCalled) -> Key:
    """Return how the world calls a call."""
    args = ast.literal_eval(f"({call.args},)")
    if call.name.startswith(("outer", "nested")):
        return (call.name, 0, args[0])
    if call.name.startswith("either"):
        return ("either", args[0], 0)
    return (call.name, args[0], 0 if call.name == "use" else args[1])


def began(records: Iterable[Record]) -> Counter[Key]:
    """Return what was begun."""
    return Counter(
        key_of(record.event)
        for record in records
        if isinstance(record.event, TaskCalled)
    )


def in_flight(records: Iterable[Record]) -> Counter[Key]:
    """Return what was begun and had no end when the process was killed.

    What was taken back, by an asyncio group that ended, has none either. A call that
    asked has ended with its stretch: until then a call beside it, below the same
    task, may be on its way.
    """
    calls: dict[str, TaskCalled] = {}
    dropped: list[TaskCalled] = []
    for record in records:
        match record.event:
            case TaskCalled(call_id=call_id) as call:
                calls[call_id] = call
            case TaskFinished(call_id=call_id) | TaskFailed(call_id=call_id):
                calls.pop(call_id, None)
            case TaskDropped(call_id=call_id):
                dropped.append(calls.pop(call_id))
            case RunInterrupted() | RunFailed():
                calls.clear()
            case _:
                continue
    return Counter(map(key_of, [*calls.values(), *dropped]))


def finished(records: Iterable[Record]) -> set[str]:
    """Return the ids of the calls whose outcome is there and may be used."""
    found: set[str] = set()
    for record in records:
        match record.event:
            case TaskFinished(call_id=call_id) | TaskFailed(call_id=call_id):
                found.add(call_id)
            case RunFailed(causes=causes):
                found -= set(causes)
            case _:
                continue
    return found


def is_leaf(key: Key) -> bool:
    """Return whether a call calls nothing itself, so that nothing below it asks."""
    return not key[0].startswith(("outer", "nested"))


def cuts_of(records: Sequence[Record], first: int) -> list[int]:
    """Return lengths to cut a log to: all of them, or as many as time allows."""
    step = max(1, -(-len(records) // CUTS_AT_MOST))
    return list(range(1 + first % step, len(records) + 1, step))


def _check_kills(program: Program, first: int, *, one_by_one: bool) -> None:
    right, calls = run_plainly(program)
    saver, world = InMemorySaver(), World()
    undisturbed = run_to_the_end(define(program), saver, world, one_by_one=one_by_one)
    records, module = saver.read("t"), define(program)
    leaves = {key: times for key, times in calls.items() if is_leaf(key)}

    assert undisturbed == right
    assert {key: n for key, n in world.ran.items() if is_leaf(key)} == leaves
    for length in cuts_of(records, first):
        note(f"cut after {length} of {len(records)}: {records[length - 1].event!r}")
        before = records[:length]
        again, anew = cut(records, length), World(began(before))

        result = run_to_the_end(module, again, anew, one_by_one=one_by_one)

        assert result == right
        begun, open_ = began(before), in_flight(before)
        # One that fails the first time has had its first time in any case.
        for key in [key for key in open_ if key[0] == "flaky" and begun[key] == 1]:
            del open_[key]
        ran = {key: anew.ran[key] + begun[key] - open_[key] for key in leaves}
        assert ran == leaves
        _check_nothing_finished_ran_again(before, again.read("t"))


def _check_nothing_finished_ran_again(
    before: Sequence[Record], after: Sequence[Record]
) -> None:
    usable = finished(before)
    for length in range(len(before), len(after)):
        event = after[length].event
        if isinstance(event, TaskCalled):
            assert event.call_id not in usable, event
        elif isinstance(event, RunFailed):
            usable -= set(event.causes)
        elif isinstance(event, TaskFinished | TaskFailed):
            usable.add(event.call_id)


# Forks.


def points_of(records: Sequence[Record], first: int) -> list[Record]:
    """Return where to fork: before each call and question, or many of them."""
    points = {
        identity: record
        for record in reversed(records)
        if (identity := point_of(record))
    }
    found = list(points.values())
    step = max(1, -(-len(found) // CUTS_AT_MOST))
    return found[first % step :: step]


def point_of(record: Record) -> str:
    """Return what names a call or a question, if a record tells of one."""
    event = record.event
    if isinstance(event, TaskCalled):
        return event.call_id
    return event.interrupt_id if isinstance(event, Interrupted) else ""


def kept_in(records: Iterable[Record]) -> Counter[Key]:
    """Return the calls that have an outcome from a fork's beginning."""
    calls: dict[str, TaskCalled] = {}
    kept: Counter[Key] = Counter()
    for record in records:
        match record.event:
            case TaskCalled(call_id=call_id) as call:
                calls[call_id] = call
            case TaskFinished(call_id=call_id) | TaskFailed(call_id=call_id):
                kept[key_of(calls[call_id])] += 1
            case _:
                continue
    return kept


def _check_forks(program: Program, first: int) -> None:
    right, calls = run_plainly(program)
    saver, module = InMemorySaver(), define(program)
    run_to_the_end(define(program), saver, World(), one_by_one=False)
    records = saver.read("t")
    results: dict[str, Any] = {
        record.event.call_id: serde.decode(record.event.result.data or b"")
        for record in records
        if isinstance(record.event, TaskFinished)
    }
    # One that fails the first time has had its first time.
    leaves = {
        key: times - (key[0] == "flaky") for key, times in calls.items() if is_leaf(key)
    }

    for point in points_of(records, first):
        identity = point_of(point)
        note(f"forked before {point.event!r}")
        replacing = [{"result": results[identity]}] if identity in results else []
        for instead in ({}, *replacing):
            again, world = cut(records, len(records)), World(began(records))
            module["workflow"].with_saver(again).fork(
                CONFIG, before=identity, **instead
            )
            before = again.read("t")[len(records) :]
            kept = kept_in(before)

            result = run_to_the_end(module, again, world, one_by_one=False)

            assert result == right
            ran = {key: world.ran[key] + kept[key] for key in leaves}
            is_leaf_call = isinstance(point.event, TaskCalled) and is_leaf(
                key_of(point.event)
            )
            if instead and not is_leaf_call:  # What it would call doesn't run.
                assert all(times <= leaves[key] for key, times in ran.items())
            else:
                assert ran == leaves
            if isinstance(point.event, TaskCalled) and is_leaf_call and not instead:
                assert world.ran[key_of(point.event)]
            _check_nothing_finished_ran_again(before, again.read("t")[len(records) :])


# Edits.


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a task's code, or of the workflow's body."""

    kind: str
    place: int
    step: Step

    def of(self, program: Program) -> Program:
        """Return the edited program."""
        if self.kind in ("other value", "same value"):
            changed = "value + 1" if self.kind == "other value" else "value * 1"
            first, second, third = (
                changed if task == self.place % 3 else "value" for task in range(3)
            )
            return replace(program, versions=(first, second, third))
        body, at = list(program.body), self.place % len(program.body)
        if self.kind == "insert":
            body.insert(at, self.step)
        elif self.kind == "remove":
            del body[at]
        else:
            body[at - 1], body[at] = body[at], body[at - 1]
        return replace(program, body=tuple(body))


NEW_LABELS: Final = 100
EDITS: Final = st.builds(
    Edit,
    st.sampled_from(["other value", "same value", "insert", "remove", "swap"]),
    st.integers(0, 9),
    STEPS.map(lambda step: _numbered(step, count(NEW_LABELS))),
)


def _check_edit(program: Program, edit: Edit, first: int) -> None:
    edited = edit.of(program)
    right, calls = run_plainly(edited)
    saver = InMemorySaver()
    run_to_the_end(define(program), saver, World(), one_by_one=False)
    records, module = saver.read("t"), define(edited)

    for length in cuts_of(records[:-1], first):
        note(f"cut after {length} of {len(records)}: {records[length - 1].event!r}")
        before = records[:length]
        again, anew = cut(records, length), World(began(before))

        result = run_to_the_end(module, again, anew, one_by_one=False)

        assert result == right
        assert set(anew.ran) <= set(calls)
        _check_nothing_finished_ran_again(before, again.read("t"))
        if edit.kind == "same value":
            _check_others_ran_once(anew, before, calls, f"t{edit.place % 3}")


def _check_others_ran_once(
    world: World, before: Sequence[Record], calls: Counter[Key], edited: str
) -> None:
    begun, open_ = began(before), in_flight(before)
    for key in calls:
        if is_leaf(key) and key[0] not in (edited, "flaky"):
            assert world.ran[key] + begun[key] - open_[key] == calls[key], key


@generated
@given(_programs(is_async=False), st.integers(0, 9))
def test_a_synchronous_workflow_can_be_forked_before_any_of_its_calls(
    program: Program, first: int
) -> None:
    note(_Source(program).module())
    _check_forks(program, first)


@generated
@given(_programs(is_async=True), st.integers(0, 9))
def test_an_asynchronous_workflow_can_be_forked_before_any_of_its_calls(
    program: Program, first: int
) -> None:
    note(_Source(program).module())
    _check_forks(program, first)


@generated
@given(_programs(is_async=False), EDITS, st.integers(0, 9))
def test_an_edited_synchronous_workflow_goes_on_as_if_it_were_new(
    program: Program, edit: Edit, first: int
) -> None:
    note(f"{_Source(program).module()}\n# edited\n{_Source(edit.of(program)).module()}")
    _check_edit(program, edit, first)


@generated
@given(_programs(is_async=True), EDITS, st.integers(0, 9))
def test_an_edited_asynchronous_workflow_goes_on_as_if_it_were_new(
    program: Program, edit: Edit, first: int
) -> None:
    note(f"{_Source(program).module()}\n# edited\n{_Source(edit.of(program)).module()}")
    _check_edit(program, edit, first)


@generated
@given(_programs(is_async=False), st.integers(0, 9), st.booleans())
def test_a_synchronous_workflow_survives_a_kill_at_any_event(
    program: Program, first: int, one_by_one: bool
) -> None:
    note(_Source(program).module())
    _check_kills(program, first, one_by_one=one_by_one)


@generated
@given(_programs(is_async=True), st.integers(0, 9), st.booleans())
def test_an_asynchronous_workflow_survives_a_kill_at_any_event(
    program: Program, first: int, one_by_one: bool
) -> None:
    note(_Source(program).module())
    _check_kills(program, first, one_by_one=one_by_one)
