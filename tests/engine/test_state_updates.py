"""Threads changed by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nbflow._engine.begin import begin
from nbflow._engine.options import options_from
from nbflow.errors import (
    CheckpointNotFoundError,
    EmptyInputError,
    InvalidUpdateError,
    ThreadBusyError,
    UnknownInterruptError,
    UnstorableValueError,
)
from nbflow.func import entrypoint, task
from nbflow.types import Command, Send, StateUpdate, interrupt

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._engine.workflow import Workflow
    from nbflow.checkpoint.memory import InMemorySaver

Config = dict[str, Any]


@pytest.fixture
def remember(saver: InMemorySaver) -> Workflow[Any, Any]:
    @entrypoint(checkpointer=saver)
    def remember(n: Any, *, previous: Any = None) -> Any:
        return entrypoint.final(value=("returned", n, previous), save=n)

    return remember


def test_an_update_is_what_the_thread_holds_and_the_next_runs_previous(
    remember: Workflow[Any, Any], config: Config
) -> None:
    remember.invoke(1, config)

    updated = remember.update_state(config, "by hand")
    state = remember.get_state(config)
    following = remember.invoke(2, config)

    assert state.config == updated
    assert (state.values, state.next, state.tasks) == ("by hand", (), ())
    assert state.metadata is not None
    assert (state.metadata["source"], state.metadata["step"]) == ("update", 1)
    assert following == ("returned", 2, "by hand")


def test_an_update_begins_a_fresh_thread(
    remember: Workflow[Any, Any], config: Config
) -> None:
    remember.update_state(config, {"k": (1, 2)}, as_node="remember")

    history = list(remember.get_state_history(config))
    following = remember.invoke(2, config)

    assert [(s.values, s.parent_config) for s in history] == [({"k": (1, 2)}, None)]
    assert following == ("returned", 2, {"k": (1, 2)})


def test_an_update_gives_caller_and_next_run_values_of_their_own(
    remember: Workflow[Any, Any], config: Config
) -> None:
    remember.update_state(config, entrypoint.final(value="seen", save="kept"))

    seen = remember.get_state(config).values
    following = remember.invoke(2, config)

    assert (seen, following) == ("seen", ("returned", 2, "kept"))


def test_continuing_an_updated_thread_returns_what_it_was_set_to(
    remember: Workflow[Any, Any], config: Config, saver: InMemorySaver
) -> None:
    remember.update_state(config, "by hand")
    records = len(saver.read("t"))

    found = remember.invoke(None, config)

    assert found == "by hand"
    assert len(saver.read("t")) == records


def test_an_update_stands_on_the_checkpoint_that_its_config_names(
    remember: Workflow[Any, Any], config: Config
) -> None:
    remember.invoke(1, config)
    remember.invoke(2, config)
    first_end = list(remember.get_state_history(config))[2]

    remember.update_state(first_end.config, "branch")
    head = remember.get_state(config)

    assert head.values == "branch"
    assert head.parent_config == first_end.config
    assert head.metadata is not None
    assert head.metadata["step"] == 1


def test_an_update_keeps_the_callers_metadata(
    remember: Workflow[Any, Any], config: Config
) -> None:
    remember.update_state({**config, "metadata": {"who": "me"}}, 1)

    metadata = remember.get_state(config).metadata

    assert metadata is not None
    assert (metadata["who"], metadata["thread_id"]) == ("me", "t")


def test_an_update_closes_an_unfinished_run_and_its_questions(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def ask(_: str) -> Any:
        return interrupt("q")

    asked = ask.invoke("go", config)["__interrupt__"][0].id
    ask.update_state(config, "decided")

    with pytest.raises(UnknownInterruptError):
        ask.invoke(Command(resume={asked: "late"}), config)
    assert ask.get_state(config).interrupts == ()
    assert ask.invoke(None, config) == "decided"
    head = saver.head("t")
    assert head is not None
    assert head.pending == ()


def test_a_copy_of_an_end_holds_and_saves_the_same(
    remember: Workflow[Any, Any], config: Config
) -> None:
    remember.invoke(1, config)
    remember.invoke(2, config)
    _, _, first_end, first_input = remember.get_state_history(config)

    plain = remember.get_state(remember.update_state(first_end.config, None))
    beside = remember.get_state(
        remember.update_state(first_end.config, None, as_node="__copy__")
    )
    following = remember.invoke(3, config)

    assert plain.values == beside.values == first_end.values
    assert plain.parent_config == first_end.config
    assert beside.parent_config == first_input.config
    assert plain.metadata is not None
    assert beside.metadata is not None
    assert (plain.metadata["source"], beside.metadata["source"]) == ("update", "fork")
    assert following == ("returned", 3, 1)


def test_a_copy_of_an_input_waits_to_be_begun(
    saver: InMemorySaver, config: Config
) -> None:
    ran: list[int] = []

    @task
    def work(n: int) -> int:
        ran.append(n)
        return n

    @entrypoint(checkpointer=saver)
    def run(n: int) -> int:
        return work(n).result()

    run.invoke(7, config)
    _, first_input = run.get_state_history(config)

    copy = run.get_state(run.update_state(first_input.config, None, "__copy__"))
    result = run.invoke(None, config)

    assert copy.next == ("run",)
    assert [t.name for t in copy.tasks] == ["run"]
    assert (result, ran) == (7, [7, 7])


def test_an_input_set_by_hand_waits_to_be_begun(
    remember: Workflow[Any, Any], config: Config
) -> None:
    remember.invoke(1, config)

    remember.update_state(config, 5, as_node="__input__")
    waiting = remember.get_state(config)
    result = remember.invoke(None, config)

    assert waiting.next == ("remember",)
    assert waiting.metadata is not None
    assert (waiting.metadata["source"], waiting.metadata["step"]) == ("input", 1)
    assert result == ("returned", 5, 1)


def test_giving_a_run_up_leaves_what_the_thread_held(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def stop(n: int, *, previous: Any = None) -> Any:
        return interrupt("q") if n == 2 else (n, previous)

    stop.invoke(1, config)
    stop.invoke(2, config)

    stop.update_state(config, None, as_node="__end__")
    state = stop.get_state(config)

    assert (state.values, state.next, state.interrupts) == ((1, None), (), ())
    assert stop.invoke(None, config) == (1, None)
    assert stop.invoke(3, config) == (3, (1, None))


def test_several_supersteps_make_a_checkpoint_each(
    remember: Workflow[Any, Any], config: Config
) -> None:
    steps = [
        [StateUpdate("a")],
        [StateUpdate("b", "remember")],
        [StateUpdate(9, "__input__")],
        [StateUpdate(None, "__end__")],
    ]

    remember.bulk_update_state(config, steps)
    history = list(remember.get_state_history(config))

    assert [s.values for s in history] == ["b", "b", "b", "a"]
    told = [(s.metadata["source"], s.metadata["step"]) for s in history if s.metadata]
    assert told == [("update", 3), ("input", 2), ("update", 1), ("update", 0)]
    assert remember.invoke(None, config) == "b"


def test_a_change_that_fails_halfway_changes_nothing(
    remember: Workflow[Any, Any], config: Config, saver: InMemorySaver
) -> None:
    with pytest.raises(UnstorableValueError, match=r"values\['f'\]"):
        remember.bulk_update_state(
            config, [[StateUpdate("a")], [StateUpdate({"f": lambda: 1})]]
        )

    assert saver.read("t") == []


async def test_updates_have_asynchronous_twins(
    remember: Workflow[Any, Any], config: Config
) -> None:
    one = await remember.aupdate_state(config, "a")
    two = await remember.abulk_update_state(one, [[StateUpdate("b")]])

    assert (await remember.aget_state(config)).config == two


BAD: dict[str, tuple[Callable[[Any, Config], Any], type[Exception], str]] = {
    "unknown node": (
        lambda w, c: w.update_state(c, 1, as_node="nope"),
        InvalidUpdateError,
        "Node nope does not exist",
    ),
    "no superstep": (
        lambda w, c: w.bulk_update_state(c, []),
        ValueError,
        "No supersteps provided",
    ),
    "an empty superstep": (
        lambda w, c: w.bulk_update_state(c, [[]]),
        ValueError,
        "No updates provided",
    ),
    "several without a node": (
        lambda w, c: w.bulk_update_state(c, [[StateUpdate(1), StateUpdate(2)]]),
        InvalidUpdateError,
        "specify as_node",
    ),
    "several at once": (
        lambda w, c: w.bulk_update_state(c, [[StateUpdate(1, "remember")] * 2]),
        InvalidUpdateError,
        "only one value per step",
    ),
    "a copy among several": (
        lambda w, c: w.bulk_update_state(
            c, [[StateUpdate(1, "remember"), StateUpdate(None, "__copy__")]]
        ),
        InvalidUpdateError,
        "superstep of its own",
    ),
    "a copy of nothing": (
        lambda w, c: w.update_state(c, None),
        InvalidUpdateError,
        "non-existent checkpoint",
    ),
    "an end of nothing": (
        lambda w, c: w.update_state(c, None, "__end__"),
        InvalidUpdateError,
        "non-existent checkpoint",
    ),
    "a copy with values": (
        lambda w, c: w.update_state(c, 1, "__copy__"),
        InvalidUpdateError,
        "takes no values",
    ),
    "an end with values": (
        lambda w, c: w.update_state(c, 1, "__end__"),
        InvalidUpdateError,
        "Node __end__ does not exist",
    ),
    "no input": (
        lambda w, c: w.update_state(c, None, "__input__"),
        InvalidUpdateError,
        "no input writes",
    ),
    "an unknown checkpoint": (
        lambda w, _: w.update_state(
            {"configurable": {"thread_id": "t", "checkpoint_id": "nope"}}, 1
        ),
        CheckpointNotFoundError,
        "no checkpoint 'nope'",
    ),
    "a nested run": (
        lambda w, _: w.update_state(
            {"configurable": {"thread_id": "t", "checkpoint_ns": "a:b"}}, 1
        ),
        InvalidUpdateError,
        "Leave checkpoint_ns out",
    ),
    "no thread": (
        lambda w, _: w.update_state({"configurable": {}}, 1),
        ValueError,
        "thread_id",
    ),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_a_bad_update_says_what_to_do_and_changes_nothing(
    case: str, remember: Workflow[Any, Any], config: Config, saver: InMemorySaver
) -> None:
    update, kind, text = BAD[case]

    with pytest.raises(kind, match=text):
        update(remember, config)

    assert saver.read("t") == []


def test_an_update_without_a_saver_is_refused(config: Config) -> None:
    @entrypoint()
    def alone(n: int) -> int:
        return n

    with pytest.raises(ValueError, match="No checkpointer set"):
        alone.update_state(config, 1)


def test_a_thread_that_a_run_holds_can_not_be_changed(
    saver: InMemorySaver, config: Config
) -> None:
    refused: list[ThreadBusyError] = []

    @entrypoint(checkpointer=saver)
    def busy(n: int) -> int:
        try:
            busy.update_state(config, "meanwhile")
        except ThreadBusyError as error:
            refused.append(error)
        return n

    result = busy.invoke(1, config)

    assert result == 1
    assert refused[0].thread_id == "t"
    assert "workflow 'busy'" in str(refused[0])


def test_a_command_may_call_the_workflow_with_an_input(
    remember: Workflow[Any, Any], config: Config
) -> None:
    remember.invoke(1, config)

    sent = remember.invoke(Command(goto=Send("remember", 2)), config)
    in_list = remember.invoke(Command(goto=[Send("remember", 3)]), config)

    assert sent == ("returned", 2, 1)
    assert in_list == ("returned", 3, 2)


def test_a_command_may_update_the_thread_before_it_calls_the_workflow(
    remember: Workflow[Any, Any], config: Config
) -> None:
    command: Command[Any] = Command(update="by hand", goto=Send("remember", 2))

    result = remember.invoke(command, config)

    assert result == ("returned", 2, "by hand")


COMMANDS: dict[str, tuple[Command[Any], type[Exception], str]] = {
    "nothing": (Command(), EmptyInputError, "holds no answer"),
    "goto a name": (Command(goto="remember"), InvalidUpdateError, "Send"),
    "goto nowhere": (Command(goto="nope"), InvalidUpdateError, "Node nope does not"),
    "send nowhere": (Command(goto=Send("no", 1)), InvalidUpdateError, "Node no does"),
    "two inputs": (
        Command(goto=[Send("remember", 1), Send("remember", 2)]),
        InvalidUpdateError,
        "one input",
    ),
    "update alone": (Command(update=1), InvalidUpdateError, "update_state"),
    "both": (Command(update=1, resume=2), InvalidUpdateError, "two commands"),
    "for a parent": (
        Command(graph=Command.PARENT, goto="remember"),
        InvalidUpdateError,
        "Leave graph out",
    ),
}


@pytest.mark.parametrize("case", sorted(COMMANDS))
def test_a_command_without_meaning_says_what_to_do_and_runs_nothing(
    case: str, remember: Workflow[Any, Any], config: Config, saver: InMemorySaver
) -> None:
    command, kind, text = COMMANDS[case]

    with pytest.raises(kind, match=text):
        remember.invoke(command, config)

    assert saver.read("t") == []


def test_a_command_without_a_saver_calls_and_does_not_answer(config: Config) -> None:
    @entrypoint()
    def alone(n: int) -> int:
        return n

    result = alone.invoke(Command(goto=Send("alone", 3)), config)

    assert result == 3
    with pytest.raises(RuntimeError, match="without checkpointer"):
        alone.invoke(Command(resume=1), config)
    with pytest.raises(ValueError, match="No checkpointer set"):
        alone.invoke(Command(update=1, goto=Send("alone", 3)), config)


def test_an_update_is_one_event_below_a_run_of_its_own(
    remember: Workflow[Any, Any], config: Config, saver: InMemorySaver
) -> None:
    remember.invoke(1, config)
    ready = begin(remember.definition, None, options_from(config))
    before = len(saver.read("t"))

    remember.update_state(config, 2)
    added = saver.read("t")[before:]

    assert not hasattr(ready, "run")
    assert [type(record.event).__name__ for record in added] == ["StateUpdated"]
    assert len({record.run_id for record in saver.read("t")}) == 2
