"""Results that only a pickle holds: the author asks for them, and the reader does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from nbflow.checkpoint.bundle import export_bundle, import_bundle
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.checkpoint.memory import InMemorySaver
from nbflow.errors import (
    PickleNotAllowedError,
    UnregisteredTypeError,
    UnstorableValueError,
)
from nbflow.func import entrypoint, task
from nbflow.serde import Opaque
from nbflow.testing import killed_after, replay
from nbflow.types import RetryPolicy

if TYPE_CHECKING:
    from pathlib import Path

    from nbflow._engine.workflow import Workflow
    from nbflow.checkpoint.base import BaseCheckpointSaver


class Model:
    """What no codec takes."""

    def __init__(self, weight: float) -> None:
        self.weight = weight


fits: list[float] = []
broken: list[bool] = []


@pytest.fixture(autouse=True)
def _anew() -> None:
    fits.clear()
    broken[:] = [True]


@task(codec="pickle")
def fit(weight: float) -> Model:
    fits.append(weight)
    return Model(weight)


def _body(weight: float) -> float:
    model = fit(weight).result()
    if broken[0]:
        raise RuntimeError("not yet")
    return model.weight


def workflow_on(saver: BaseCheckpointSaver) -> Workflow[float, float]:
    return entrypoint(checkpointer=saver)(_body)


def recorded(path: Path, config: dict[str, Any]) -> None:
    """Leave a run whose task is finished, and a closed store."""
    with DuckDBSaver(path) as saver, pytest.raises(RuntimeError):
        workflow_on(saver).invoke(0.5, config)
    broken[:] = [False]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pickles.duckdb"


def test_author_and_reader_ask_for_it_and_the_call_is_replayed(
    path: Path, config: dict[str, Any]
) -> None:
    recorded(path, config)

    with DuckDBSaver(path, allow_pickle=True) as saver:
        value = workflow_on(saver).invoke(None, config)

    assert value == 0.5
    assert fits == [0.5]


def test_without_the_reader_the_body_gets_an_error_that_says_what_to_do(
    path: Path, config: dict[str, Any]
) -> None:
    recorded(path, config)

    with (
        DuckDBSaver(path) as saver,
        pytest.raises(PickleNotAllowedError) as caught,
    ):
        workflow_on(saver).invoke(None, config)

    assert caught.value.task == "fit"
    assert f"DuckDBSaver({str(path)!r}, allow_pickle=True)" in str(caught.value)
    assert fits == [0.5]


def test_a_run_that_was_refused_goes_on_once_the_reader_asks(
    path: Path, config: dict[str, Any]
) -> None:
    recorded(path, config)
    with DuckDBSaver(path) as saver, pytest.raises(PickleNotAllowedError):
        workflow_on(saver).invoke(None, config)

    with DuckDBSaver(path, allow_pickle=True) as saver:
        value = workflow_on(saver).invoke(None, config)

    assert value == 0.5


def test_a_result_that_codecs_take_needs_no_reader_who_asks(
    path: Path, config: dict[str, Any]
) -> None:
    @task(codec="pickle")
    def plain(number: int) -> tuple[int, set[int]]:
        fits.append(number)
        return number, {1}

    @entrypoint()
    def workflow(number: int) -> tuple[int, set[int]]:
        result = plain(number).result()
        if broken[0]:
            raise RuntimeError("not yet")
        return result

    with DuckDBSaver(path) as saver:
        with pytest.raises(RuntimeError):
            workflow.with_saver(saver).invoke(2, config)
        broken[:] = [False]
        value = workflow.with_saver(saver).invoke(None, config)

    assert value == (2, {1})
    assert fits == [2]


def test_states_show_type_and_size_until_the_reader_asks(
    path: Path, config: dict[str, Any]
) -> None:
    recorded(path, config)

    with DuckDBSaver(path) as saver:
        shown = workflow_on(saver).get_state(config).tasks[1].result
        (history,) = workflow_on(saver).get_state_history(config)
    with DuckDBSaver(path, allow_pickle=True) as saver:
        asked = workflow_on(saver).get_state(config).tasks[1].result

    assert isinstance(shown, Opaque)
    assert shown.type_name.endswith(":Model")
    assert shown.data["pickled_bytes"] > 0
    assert history.tasks[1].result == shown
    assert asked.weight == 0.5


def test_without_the_author_a_result_is_refused(config: dict[str, Any]) -> None:
    @task
    def plain() -> Model:
        return Model(1.0)

    @entrypoint(checkpointer=InMemorySaver())
    def workflow(_: int) -> float:
        return plain().result().weight

    with pytest.raises(UnstorableValueError, match="'plain'"):
        workflow.invoke(1, config)


def test_what_can_not_be_pickled_names_the_task_and_the_place(
    any_saver: BaseCheckpointSaver, config: dict[str, Any]
) -> None:
    @task(codec="pickle")
    def locked() -> Any:
        return {"model": Model(1.0), "locks": [threading.Lock()]}

    @entrypoint(checkpointer=any_saver)
    def workflow(_: int) -> int:
        return len(locked().result())

    with pytest.raises(UnstorableValueError, match="result") as caught:
        workflow.invoke(1, config)

    assert caught.value.task == "locked"
    assert caught.value.path == "result['locks'][0]"


async def test_asynchronous_tasks_can_ask_too(config: dict[str, Any]) -> None:
    saver = InMemorySaver()

    @task(codec="pickle")
    async def fitted(weight: float) -> Model:
        fits.append(weight)
        return Model(weight)

    @entrypoint(checkpointer=saver)
    async def workflow(weight: float) -> float:
        model = await fitted(weight)
        if broken[0]:
            raise RuntimeError("not yet")
        return model.weight

    with pytest.raises(RuntimeError):
        await workflow.ainvoke(0.5, config)
    broken[:] = [False]
    value = await workflow.ainvoke(None, config)

    assert value == 0.5
    assert fits == [0.5]


def test_what_a_body_attempts_again_is_its_own(
    path: Path, config: dict[str, Any]
) -> None:
    attempts: list[float] = []

    with DuckDBSaver(path) as saver:

        @entrypoint(checkpointer=saver, retry_policy=RetryPolicy(initial_interval=0))
        def workflow(weight: float) -> float:
            attempts.append(fit(weight).result().weight)
            if len(attempts) == 1:
                raise ConnectionError("once")
            return attempts[-1]

        value = workflow.invoke(0.5, config)

    assert value == 0.5
    assert attempts == [0.5, 0.5]
    assert fits == [0.5]


def counting(saver: BaseCheckpointSaver) -> Workflow[float, Any]:
    @entrypoint(checkpointer=saver, codec="pickle")
    def workflow(weight: float, *, previous: Model | None = None) -> Any:
        before = 0.0 if previous is None else previous.weight
        model = Model(before + weight)
        return entrypoint.final(value=model.weight, save=model)

    return workflow


def test_what_a_workflow_saves_can_be_a_pickle(
    path: Path, config: dict[str, Any]
) -> None:
    with DuckDBSaver(path, allow_pickle=True) as saver:
        counting(saver).invoke(1.0, config)

        value = counting(saver).invoke(2.0, config)

    assert value == 3.0


def test_a_saved_pickle_is_not_read_without_the_reader(
    path: Path, config: dict[str, Any]
) -> None:
    with DuckDBSaver(path) as saver:
        counting(saver).invoke(1.0, config)

        with pytest.raises(PickleNotAllowedError, match="'workflow'"):
            counting(saver).invoke(2.0, config)


def test_copies_for_tests_allow_what_their_source_does(
    path: Path, config: dict[str, Any]
) -> None:
    recorded(path, config)

    with DuckDBSaver(path) as saver:
        workflow = workflow_on(saver)
        left = killed_after(saver, "t", len(saver.read("t")))
        with pytest.raises(PickleNotAllowedError):
            workflow.with_saver(left).invoke(None, config)
        with pytest.raises(PickleNotAllowedError):
            replay(workflow, "t")


@pytest.mark.parametrize("trusted", [False, True])
def test_no_bundle_brings_a_pickle_in(
    tmp_path: Path, path: Path, config: dict[str, Any], *, trusted: bool
) -> None:
    recorded(path, config)
    with DuckDBSaver(path, allow_pickle=True) as saver:
        bundle = export_bundle(saver, "t", tmp_path / "thread.zip")
    taken = InMemorySaver()

    import_bundle(taken, bundle, trusted=trusted)

    shown = workflow_on(taken).get_state(config).tasks[1].result
    assert isinstance(shown, Opaque)
    with pytest.raises(UnregisteredTypeError, match=r"bundle:.*:Model"):
        workflow_on(taken).invoke(None, config)


def test_a_large_pickle_comes_back_too(path: Path, config: dict[str, Any]) -> None:
    @task(codec="pickle")
    def large() -> Any:
        fits.append(1.0)
        return [Model(1.0), bytes(5_000_000)]

    @entrypoint()
    def workflow(_: int) -> int:
        held = large().result()
        if broken[0]:
            raise RuntimeError("not yet")
        return len(held[1])

    with DuckDBSaver(path) as saver, pytest.raises(RuntimeError):
        workflow.with_saver(saver).invoke(1, config)
    broken[:] = [False]
    with DuckDBSaver(path, allow_pickle=True) as saver:
        value = workflow.with_saver(saver).invoke(None, config)

    assert value == 5_000_000
    assert fits == [1.0]


def test_another_codec_is_refused() -> None:
    with pytest.raises(ValueError, match="'dill'"):
        task(codec="dill")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="'dill'"):
        entrypoint(codec="dill")  # type: ignore[arg-type]
