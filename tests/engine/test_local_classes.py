"""Values of classes that no module holds: found again here, shown elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from nbflow import serde
from nbflow._events import TaskFailed
from nbflow.checkpoint.bundle import export_bundle, import_bundle
from nbflow.errors import (
    NbflowWarning,
    ReplayedTaskError,
    UnregisteredTypeError,
)
from nbflow.func import entrypoint, task
from nbflow.serde import registry
from nbflow.types import Command, interrupt

if TYPE_CHECKING:
    from pathlib import Path

    from nbflow._values import Payload
    from nbflow.checkpoint.base import BaseCheckpointSaver

pytestmark = pytest.mark.filterwarnings("ignore:.*which no module holds")


def _local() -> Any:
    @dataclass
    class Row:
        n: int

    return Row


class _Flow:
    """A workflow whose every value is of a local class."""

    def __init__(self, saver: BaseCheckpointSaver) -> None:
        self.row = _local()
        self.ran: list[int] = []
        self.previous: list[Any] = []

        @task
        def fetch(n: int) -> Any:
            self.ran.append(n)
            return self.row(n)

        @entrypoint(checkpointer=saver)
        def flow(given: Any, *, previous: Any = None) -> Any:
            self.previous.append(previous)
            found = fetch(given.n).result()
            interrupt(self.row(9))
            return found

        self.flow = flow


def test_local_classes_come_back_equal_in_the_process_that_wrote_them(
    any_saver: BaseCheckpointSaver, config: dict[str, Any]
) -> None:
    made = _Flow(any_saver)
    answer: Command[Any] = Command(resume="yes")

    made.flow.invoke(made.row(1), config)
    result = made.flow.invoke(answer, config)
    made.flow.invoke(made.row(2), config)

    assert result == made.row(1)
    assert made.ran == [1, 2]
    assert made.previous == [None, None, made.row(1)]
    assert made.flow.get_state(config).interrupts[0].value == made.row(9)


def test_elsewhere_they_are_shown_wherever_one_looks(
    any_saver: BaseCheckpointSaver,
    config: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = _Flow(any_saver)
    made.flow.invoke(made.row(1), config)
    made.flow.invoke(Command(resume="yes"), config)
    made.flow.invoke(made.row(2), config)
    export_bundle(any_saver, "t", tmp_path / "t.zip")
    import_bundle(any_saver, tmp_path / "t.zip", thread_id="theirs")
    tag = f"{__name__}:_local.<locals>.Row"

    monkeypatch.setattr(registry, "_unnamed", {})
    for thread_id, shown in (("t", tag), ("theirs", f"bundle:{tag}")):
        there: Any = {"configurable": {"thread_id": thread_id}}
        state = made.flow.get_state(there)
        history = list(made.flow.get_state_history(there))
        listed = list(any_saver.list(there))

        assert state.interrupts[0].value == serde.Opaque(shown, {"n": 9})
        assert state.tasks[1].result == serde.Opaque(shown, {"n": 2})
        assert serde.Opaque(shown, {"n": 1}) in [each.values for each in history]
        assert len(listed) == len(history)


def test_a_body_gets_none_that_is_not_known_and_the_error_says_what_to_do(
    any_saver: BaseCheckpointSaver,
    config: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = _Flow(any_saver)
    made.flow.invoke(made.row(1), config)
    tag = f"{__name__}:_local.<locals>.Row"

    monkeypatch.setattr(registry, "_unnamed", {})
    with pytest.raises(UnregisteredTypeError, match="at the top of a cell or module"):
        made.flow.invoke(Command(resume="yes"), config)
    monkeypatch.setitem(registry._unnamed, tag, made.row)

    assert made.flow.invoke(Command(resume="yes"), config) == made.row(1)
    assert made.ran == [1]


def test_a_failure_of_a_local_class_is_replayed_as_what_it_was(
    any_saver: BaseCheckpointSaver,
    config: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Wrong(Exception):  # noqa: N818
        pass

    caught: list[type[BaseException]] = []

    @task
    def fail() -> None:
        raise Wrong("no")

    @entrypoint(checkpointer=any_saver)
    def flow(_: int) -> Any:
        try:
            fail().result()
        except Exception as error:  # noqa: BLE001 - the test looks at its type
            caught.append(type(error))
        return interrupt("Go on?")

    flow.invoke(1, config)
    flow.invoke(Command(resume="yes"), config)

    assert caught == [Wrong, Wrong]
    failed = any_saver.read("t", kinds=("TaskFailed",))[0].event
    assert isinstance(failed, TaskFailed)
    assert type(_elsewhere(failed.error, monkeypatch)) is ReplayedTaskError


def _elsewhere(payload: Payload, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(registry, "_unnamed", {})
    with ThreadPoolExecutor(1) as pool:  # where no function on the way defines a class
        return pool.submit(serde.decode, payload.data or b"").result()


def test_whoever_stores_such_a_value_is_told(
    any_saver: BaseCheckpointSaver, config: dict[str, Any]
) -> None:
    made = _Flow(any_saver)

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        made.flow.invoke(made.row(1), config)

    told = [str(each.message) for each in seen if each.category is NbflowWarning]
    tag = f"{__name__}:_local.<locals>.Row"
    if not any_saver.is_lasting:
        assert told == []
        return
    assert len(told) == 3
    assert told[0].startswith(f"input of 'flow' holds instances of {tag!r}")
    assert told[1].startswith(f"result of 'fetch' holds instances of {tag!r}")
    assert told[2].startswith(f"question of 'flow' holds instances of {tag!r}")


SCRIPT = """
import sys
from dataclasses import dataclass
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.func import entrypoint, task

ran, stops = [], sys.argv[2] == "stops"

with DuckDBSaver(sys.argv[1]) as saver:
    @entrypoint(checkpointer=saver)
    def flow(n):
        @dataclass
        class Row:
            n: int

        @task
        def fetch(n):
            ran.append(n)
            return Row(n)

        found = fetch(n).result()
        if stops:
            raise RuntimeError("not yet")
        return isinstance(found, Row), found == Row(n), ran

    config = {"configurable": {"thread_id": "t"}}
    try:
        print(flow.invoke(1 if stops else None, config))
    except RuntimeError as error:
        print(error)
"""


def test_a_body_that_defines_the_class_gets_its_values_in_another_process(
    tmp_path: Path,
) -> None:
    def run(*args: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCRIPT, *args],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    path = str(tmp_path / "classes.duckdb")

    assert run(path, "stops") == "not yet"
    assert run(path, "goes on") == "(True, True, [])"
