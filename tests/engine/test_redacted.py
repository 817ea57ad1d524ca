"""What was left out of a bundle is missed aloud: no body gets a mark in its place."""

from __future__ import annotations

from operator import add
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest

from nbflow._events import Interrupted, TaskFinished
from nbflow.checkpoint.bundle import export_bundle, import_bundle
from nbflow.errors import RedactedValueError
from nbflow.func import entrypoint, task
from nbflow.graph import END, START, StateGraph
from nbflow.serde import Redacted
from nbflow.types import Command, interrupt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nbflow.checkpoint.base import BaseCheckpointSaver

HERE: dict[str, Any] = {"configurable": {"thread_id": "t"}}
COPY: dict[str, Any] = {"configurable": {"thread_id": "copy"}}
YES: Command[Any] = Command(resume="yes")
LOGIN = {"user": "ann", "token": "secret-1"}


@pytest.fixture
def share(any_saver: BaseCheckpointSaver, tmp_path: Path) -> Callable[[], None]:
    """Return what brings the thread back as one that somebody else has given."""

    def shared() -> None:
        export_bundle(any_saver, "t", tmp_path / "t.zip", redacted={"token"})
        import_bundle(any_saver, tmp_path / "t.zip", thread_id="copy")

    return shared


def test_a_run_without_its_whole_input_does_not_go_on(
    any_saver: BaseCheckpointSaver, share: Callable[[], None]
) -> None:
    got: list[Any] = []

    @entrypoint(checkpointer=any_saver)
    def ask(login: Any) -> Any:
        got.append(login)
        return interrupt("Sure?")

    ask.invoke(LOGIN, HERE)
    share()
    before = any_saver.read("copy")

    with pytest.raises(RedactedValueError) as caught:
        ask.invoke(YES, COPY)

    assert caught.value.paths == ("input['token']",)
    assert str(caught.value).startswith("input['token'] of 'ask' was left out")
    assert "Begin a new run of the thread with the whole input" in str(caught.value)
    assert got == [LOGIN]
    assert any_saver.read("copy") == before
    ask.invoke(LOGIN, COPY)
    assert ask.invoke(YES, COPY) == "yes"
    assert got[1:] == [LOGIN, LOGIN]


def test_a_fork_of_such_a_run_does_not_begin(
    any_saver: BaseCheckpointSaver, share: Callable[[], None]
) -> None:
    @entrypoint(checkpointer=any_saver)
    def greet(login: Any) -> str:
        return f"Hello {login['user']}"

    greet.invoke(LOGIN, HERE)
    share()
    begun = list(greet.get_state_history(COPY))[-1]

    with pytest.raises(RedactedValueError, match=r"input\['token'\] of 'greet'"):
        greet.invoke(None, begun.config)

    assert greet.invoke(None, COPY) == "Hello ann"


def test_what_the_last_run_saved_is_not_handed_on_in_part(
    any_saver: BaseCheckpointSaver, share: Callable[[], None]
) -> None:
    @entrypoint(checkpointer=any_saver)
    def remember(login: Any, *, previous: Any = None) -> Any:
        return entrypoint.final(value=previous, save=[login])

    remember.invoke(LOGIN, HERE)
    share()

    with pytest.raises(RedactedValueError, match="update_state") as caught:
        remember.invoke({}, COPY)

    assert caught.value.paths == ("previous[0]['token']",)
    remember.update_state(COPY, [LOGIN])
    assert remember.invoke({}, COPY) == [LOGIN]


def test_a_body_that_takes_no_previous_is_not_in_its_way(
    any_saver: BaseCheckpointSaver, share: Callable[[], None]
) -> None:
    @entrypoint(checkpointer=any_saver)
    def echo(given: Any) -> Any:
        return given

    echo.invoke(LOGIN, HERE)
    share()

    assert echo.invoke(1, COPY) == 1


def test_an_answer_is_not_handed_on_in_part(
    any_saver: BaseCheckpointSaver, share: Callable[[], None]
) -> None:
    @entrypoint(checkpointer=any_saver)
    def ask(_: int) -> Any:
        return [interrupt("Who?"), interrupt("Sure?")]

    ask.invoke(1, HERE)
    ask.invoke(Command(resume=LOGIN), HERE)
    share()

    with pytest.raises(RedactedValueError, match="with the whole answer") as caught:
        ask.invoke(YES, COPY)

    assert caught.value.paths == ("answer['token']",)
    asked = any_saver.read("copy", kinds=("Interrupted",))[0].event
    assert isinstance(asked, Interrupted)
    begun = list(ask.get_state_history(COPY))[-1]
    ask.fork(begun.config, before=asked.interrupt_id, result=LOGIN)
    ask.invoke(None, COPY)
    assert ask.invoke(YES, COPY) == [LOGIN, "yes"]


def test_a_result_that_is_not_whole_is_made_again_and_never_handed_on(
    any_saver: BaseCheckpointSaver, share: Callable[[], None]
) -> None:
    ran: list[int] = []

    @task
    def log_in() -> Any:
        ran.append(1)
        return LOGIN

    @entrypoint(checkpointer=any_saver)
    def ask(_: int) -> Any:
        return [log_in().result(), interrupt("Sure?")]

    ask.invoke(1, HERE)
    share()
    (finished,) = any_saver.read("copy", kinds=("TaskFinished",))

    assert isinstance(finished.event, TaskFinished)
    assert finished.event.redacted
    assert ask.invoke(YES, COPY) == [LOGIN, "yes"]
    assert ran == [1, 1]


def test_what_a_nested_run_saved_is_not_handed_on_in_part(
    any_saver: BaseCheckpointSaver, share: Callable[[], None]
) -> None:
    @entrypoint(checkpointer=True)
    def inner(login: Any, *, previous: Any = None) -> Any:
        return entrypoint.final(value=previous, save=login)

    @entrypoint(checkpointer=any_saver)
    def outer(_: int) -> Any:
        return inner.invoke(LOGIN)

    outer.invoke(1, HERE)
    share()

    with pytest.raises(RedactedValueError, match=r"previous\['token'\] of 'inner'"):
        outer.invoke(2, COPY)


class State(TypedDict):
    """What a graph holds."""

    token: str
    seen: Annotated[list[str], add]


def test_a_graph_does_not_go_on_with_a_state_in_part(
    any_saver: BaseCheckpointSaver, share: Callable[[], None]
) -> None:
    def look(state: State) -> Any:
        return {"seen": [state["token"]]}

    builder = StateGraph(State)
    builder.add_node("look", look)
    builder.add_edge(START, "look")
    builder.add_edge("look", END)
    graph = builder.compile(checkpointer=any_saver)
    graph.invoke({"token": "secret-1"}, HERE)
    share()

    with pytest.raises(RedactedValueError, match=r"previous\['token'\]"):
        graph.invoke({"seen": ["more"]}, COPY)


def test_whoever_looks_still_sees_a_mark(
    any_saver: BaseCheckpointSaver, share: Callable[[], None]
) -> None:
    @entrypoint(checkpointer=any_saver)
    def echo(given: Any) -> Any:
        return given

    echo.invoke(LOGIN, HERE)
    share()

    assert echo.get_state(COPY).values == {"user": "ann", "token": Redacted()}
    assert echo.invoke(None, COPY) == {"user": "ann", "token": Redacted()}
