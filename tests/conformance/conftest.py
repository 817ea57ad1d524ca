"""The savers that have to keep the contract, and records to try them with."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import strategies as st

from nbflow._events import KINDS, LIFECYCLE, Record, RunStarted, StateUpdated
from nbflow._values import Payload
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.checkpoint.memory import InMemorySaver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hypothesis.strategies import SearchStrategy

    from nbflow._events import Event
    from nbflow.checkpoint.base import BaseCheckpointSaver

LASTING = ("duckdb",)
EVERY = ("memory", *LASTING)


class Place:
    """Where savers of one kind are opened; each opens the same log if it lasts."""

    def __init__(self, make: Callable[[], BaseCheckpointSaver]) -> None:
        self._make = make
        self._opened: list[BaseCheckpointSaver] = []

    def open(self) -> BaseCheckpointSaver:
        """Return one saver more."""
        saver = self._make()
        self._opened.append(saver)
        return saver

    def close(self) -> None:
        """Close every saver that was opened."""
        for saver in self._opened:
            saver.close()


def _place(name: str, folder: Path) -> Iterator[Place]:
    # A saver that is added to the project is added here, and nowhere else.
    makers: dict[str, Callable[[], BaseCheckpointSaver]] = {
        "memory": InMemorySaver,
        "duckdb": lambda: DuckDBSaver(folder / "threads.duckdb"),
    }
    place = Place(makers[name])
    yield place
    place.close()


@pytest.fixture(params=EVERY)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    yield from _place(request.param, tmp_path)


@pytest.fixture(params=LASTING)
def lasting_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    yield from _place(request.param, tmp_path)


@pytest.fixture
def saver(place: Place) -> BaseCheckpointSaver:
    return place.open()


@pytest.fixture
def new_thread() -> Callable[[], str]:
    """Name a thread that the log does not know."""
    numbers = itertools.count(1)
    return lambda: f"thread {next(numbers)}"


@pytest.fixture
def started() -> Callable[..., Record]:
    def record(thread_id: str, run_id: str, **fields: Any) -> Record:
        given: dict[str, Any] = {
            "workflow": "essay",
            "input": Payload(b"topic"),
            "code": "code",
            "checkpoint_id": f"{run_id}-input",
        }
        return Record(thread_id, run_id, 1, RunStarted(**(given | fields)))

    return record


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
DATA = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.integers(4_000, 6_000).map(lambda size: b"ab" * size),
    st.randoms(use_true_random=False).map(lambda random: random.randbytes(5_000)),
)


def _values(hint: Any) -> SearchStrategy[Any]:
    if hint is Payload:
        return DATA.map(Payload)
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) is dict:
        held = get_args(hint)[1]
        values = JSON if held is Any else _values(held)
        return st.dictionaries(st.text(max_size=5), values, max_size=3)
    if get_origin(hint) is tuple:
        return st.lists(_values(get_args(hint)[0]), max_size=3).map(tuple)
    if get_args(hint):
        return st.one_of(*map(_values, get_args(hint)))
    plain: dict[Any, SearchStrategy[Any]] = {
        str: st.text(max_size=12),
        int: st.integers(),
        bool: st.booleans(),
        float: st.floats(allow_nan=False, allow_infinity=False),
        type(None): st.none(),
    }
    return plain[hint]


# What does not change where a thread stands is always the same in a history.
_EXAMPLES: dict[Any, Any] = {
    Payload: Payload(b"value"),
    Payload | None: None,
    str: "text",
    str | None: None,
    int: 0,
    dict[str, Any]: {},
    dict[str, Any] | None: None,
    dict[str, int] | None: None,
    tuple[str, ...]: (),
}


def _plain(kind: type[Event]) -> dict[str, SearchStrategy[Any]]:
    hints = _hints(kind).items()
    return {n: st.just(_EXAMPLES[hint]) for n, hint in hints if hint in _EXAMPLES}


def _hints(kind: type[Event]) -> dict[str, Any]:
    return get_type_hints(kind, localns={"Payload": Payload})


def _events(kind: type[Event], **given: SearchStrategy[Any]) -> SearchStrategy[Event]:
    chosen = {name: _values(hint) for name, hint in _hints(kind).items()}
    chosen |= {name: values for name, values in given.items() if name in chosen}
    return st.builds(kind, **chosen)


@pytest.fixture(params=sorted(KINDS))
def events_of_one_kind(request: pytest.FixtureRequest) -> SearchStrategy[Event]:
    return _events(KINDS[request.param])


@pytest.fixture
def histories() -> Callable[[tuple[str, ...]], SearchStrategy[list[Record]]]:
    """Make histories of threads: any lifecycle in any order, with work between."""
    ids = st.sampled_from(["a", "b", "c"])
    telling: dict[str, SearchStrategy[Any]] = {
        "checkpoint_id": ids,
        "interrupt_id": ids,
        "interrupt_ids": st.lists(ids, max_size=3).map(tuple),
        "previous_run_id": st.none() | ids,
        "step": st.integers(-1, 5),
        "workflow": ids,
    }
    kinds = [KINDS[name] for name in sorted(LIFECYCLE)]
    kinds += [KINDS["RunStarted"]] * 4 + [KINDS["TaskCalled"], KINDS["TaskFinished"]]
    events = st.one_of([_events(kind, **(_plain(kind) | telling)) for kind in kinds])

    def of(threads: tuple[str, ...]) -> SearchStrategy[list[Record]]:
        steps = st.tuples(
            st.sampled_from(threads), st.integers(0, 2), st.integers(-9, 9), events
        )
        return st.lists(steps, min_size=8, max_size=24).map(_with_runs)

    return of


def _with_runs(steps: list[tuple[str, int, int, Event]]) -> list[Record]:
    # Each begin is of a new run; the others belong to one of the last runs begun.
    begun: dict[str, int] = defaultdict(int)
    records = []
    for thread_id, back, at, event in steps:
        if isinstance(event, RunStarted | StateUpdated):
            begun[thread_id] += 1
            run_id = f"r{begun[thread_id]}"
        else:
            run_id = f"r{max(0, begun[thread_id] - back)}"
        records.append(Record(thread_id, run_id, at, event))
    return records
