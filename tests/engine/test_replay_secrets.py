"""Secrets are never recorded, and what held one is never used again."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, SecretStr

from nbflow import Command, RetryPolicy, entrypoint, interrupt, task
from nbflow._events import TaskCalled
from nbflow.errors import InvalidAnswerError, SecretNotStoredError
from nbflow.runtime import Runtime  # noqa: TC001 - an annotation that is read
from nbflow.serde import Redacted, decode
from nbflow.testing import NotRecordedError, replay

if TYPE_CHECKING:
    from nbflow.checkpoint.memory import InMemorySaver

Config = dict[str, Any]
CANARY = "canary-in-the-mine"


class Login(BaseModel):
    """A model with a secret field."""

    user: str
    password: SecretStr


def written(saver: InMemorySaver) -> str:
    return "".join(repr(record.event) for record in saver.read("t"))


def test_a_call_whose_result_held_a_secret_runs_again(
    saver: InMemorySaver, config: Config
) -> None:
    ran: Counter[str] = Counter()

    @task
    def log_in() -> Login:
        ran["log_in"] += 1
        return Login(user="ann", password=SecretStr(CANARY))

    @task
    def fetch(user: str) -> int:
        ran["fetch"] += 1
        return len(user)

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> str:
        login = log_in().result()
        fetch(login.user).result()
        interrupt("go on?")
        return login.password.get_secret_value()[:6]

    workflow.invoke("go", config)
    result = workflow.invoke(Command(resume="yes"), config)

    assert result == "canary"
    assert ran == {"log_in": 2, "fetch": 1}
    assert CANARY not in written(saver)
    again = [r.event for r in saver.read("t", kinds=("TaskCalled",))][-1]
    assert isinstance(again, TaskCalled)
    assert (again.name, again.why) == ("log_in", "secret")


def test_a_retry_of_the_caller_does_not_get_a_mark(
    saver: InMemorySaver, config: Config
) -> None:
    seen: list[str] = []

    @task
    def log_in() -> SecretStr:
        return SecretStr(CANARY)

    @task(retry_policy=RetryPolicy(initial_interval=0, jitter=False))
    def outer() -> None:
        seen.append(log_in().result().get_secret_value())
        if len(seen) < 2:
            raise ConnectionError("no network")

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> None:
        outer().result()

    workflow.invoke("go", config)

    assert seen == [CANARY, CANARY]


def test_a_nested_run_whose_result_held_a_secret_runs_again(
    saver: InMemorySaver, config: Config
) -> None:
    ran: Counter[str] = Counter()

    @entrypoint()
    def nested(_: str) -> SecretStr:
        ran["nested"] += 1
        return SecretStr(CANARY)

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> int:
        secret = nested.invoke("in")
        interrupt("go on?")
        return len(secret.get_secret_value())

    workflow.invoke("go", config)
    result = workflow.invoke(Command(resume="yes"), config)

    assert result == len(CANARY)
    assert ran == {"nested": 2}


def test_a_saved_secret_is_an_error_that_names_the_path(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        save = {"logins": [Login(user="ann", password=SecretStr(CANARY))]}
        return entrypoint.final(value=1, save=save)

    with pytest.raises(SecretNotStoredError, match="in the next run") as raised:
        workflow.invoke("go", config)

    assert raised.value.path == "save['logins'][0].password"
    assert CANARY not in written(saver)


def test_a_result_is_saved_too_so_a_secret_in_it_is_an_error(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        return [SecretStr(CANARY)]

    with pytest.raises(SecretNotStoredError, match=r"result\[0\] of 'workflow'"):
        workflow.invoke("go", config)


def test_a_result_that_is_not_saved_may_hold_a_secret(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        return entrypoint.final(value=SecretStr(CANARY), save=None)

    result = workflow.invoke("go", config)

    assert result.get_secret_value() == CANARY
    assert CANARY not in written(saver)


def test_without_a_saver_secrets_go_wherever_they_are_sent() -> None:
    @entrypoint()
    def workflow(secret: SecretStr) -> SecretStr:
        return secret

    assert workflow.invoke(SecretStr(CANARY)).get_secret_value() == CANARY


def test_an_input_with_a_secret_is_refused_before_anything_runs(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: Any) -> None:
        raise AssertionError

    with pytest.raises(SecretNotStoredError, match="context=") as raised:
        workflow.invoke({"key": SecretStr(CANARY)}, config)

    assert raised.value.path == "input['key']"
    assert saver.read("t") == []


def test_a_secret_can_be_handed_in_as_context(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str, *, runtime: Runtime[SecretStr]) -> int:
        return len(runtime.context.get_secret_value())

    result = workflow.invoke("go", config, context=SecretStr(CANARY))

    assert result == len(CANARY)
    assert CANARY not in written(saver)


def test_a_secret_as_an_answer_is_refused_and_nothing_is_saved(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        return interrupt("the password?")

    workflow.invoke("go", config)
    before = len(saver.read("t"))

    with pytest.raises(SecretNotStoredError, match="answer is a secret"):
        workflow.invoke(Command(resume=SecretStr(CANARY)), config)

    assert not saver.read("t", kinds=("Answered",))
    assert len(saver.read("t")) == before
    assert workflow.invoke(Command(resume="in a safe place"), config)


def test_an_answer_that_its_schema_makes_a_secret_is_refused(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        return interrupt("who are you?", response_schema=Login).user

    workflow.invoke("go", config)

    with pytest.raises(InvalidAnswerError, match=r"password: a secret is never"):
        workflow.invoke(Command(resume={"user": "a", "password": CANARY}), config)

    assert CANARY not in written(saver)


def test_a_question_shows_a_mark_for_a_secret(
    saver: InMemorySaver, config: Config
) -> None:
    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> Any:
        return interrupt({"key": SecretStr(CANARY)})

    workflow.invoke("go", config)
    recorded = saver.read("t", kinds=("Interrupted",))[0].event
    result = workflow.invoke(Command(resume=1), config)

    assert isinstance(decode(recorded.value.data)["key"], Redacted)  # type: ignore[union-attr,arg-type]
    assert result == 1


def test_a_replayer_says_that_a_secret_is_not_recorded(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def log_in() -> SecretStr:
        return SecretStr(CANARY)

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> int:
        return len(log_in().result())

    workflow.invoke("go", config)

    with pytest.raises(NotRecordedError, match="held a secret"):
        replay(workflow, "t")


def test_an_argument_of_a_secret_name_is_not_shown(
    saver: InMemorySaver, config: Config
) -> None:
    @task
    def log_in(user: str, api_key: str | None = None, **_: Any) -> str:  # noqa: ARG001
        return user

    @entrypoint(checkpointer=saver)
    def workflow(_: str) -> None:
        log_in("ann", CANARY, accessToken=CANARY, tries=3).result()
        log_in("bob", api_key=CANARY).result()
        log_in("eve", api_key=None).result()

    workflow.invoke("go", config)

    events = [record.event for record in saver.read("t", kinds=("TaskCalled",))]
    shown = [event.args for event in events if isinstance(event, TaskCalled)]
    assert shown == [
        "'ann', **********, accessToken=**********, tries=3",
        "'bob', **********",
        "'eve', None",
    ]
    assert CANARY not in written(saver)
