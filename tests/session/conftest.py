"""A log of one run, written event by event as the engine would."""

# ruff: noqa: D102 - the methods are named after what they write
from __future__ import annotations

from typing import Any, Self

import pytest

from nbflow._events import (
    Answered,
    Custom,
    Event,
    Interrupted,
    Record,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunResumed,
    RunStarted,
    TaskCalled,
    TaskFailed,
    TaskFinished,
)
from nbflow._values import Payload
from nbflow.serde import encode
from nbflow.session.folding import fold
from nbflow.session.views import RunView

SECOND = 1_000_000
BEGIN = 1_767_225_600 * SECOND


class RunLog:
    """Records of one run, a second apart; each method adds one and returns the log."""

    def __init__(self, thread_id: str = "penguins", run_id: str = "r1") -> None:
        self.thread_id = thread_id
        self.run_id = run_id
        self.records: list[Record] = []

    @property
    def view(self) -> RunView:
        return fold(RunView(), self.records)

    def add(self, *events: Event) -> Self:
        for event in events:
            at = BEGIN + len(self.records) * SECOND
            self.records.append(Record(self.thread_id, self.run_id, at, event))
        return self

    def start(self, workflow: str = "review") -> Self:
        return self.add(RunStarted(workflow, stored(None), "code", "cp"))

    def resume(self, reason: Any = "continue") -> Self:
        return self.add(RunResumed("review", "code", reason))

    def call(self, call_id: str, **fields: Any) -> Self:
        known = {"parent_id": "", "place": "", "name": "inspect", "code": "k"}
        known |= {"args_key": "k", "args": repr(call_id)}
        return self.add(TaskCalled(call_id=call_id, **(known | fields)))

    def finish(self, call_id: str, value: Any = None, *, cached: bool = False) -> Self:
        return self.add(TaskFinished(call_id, stored(value), cached))

    def fail(self, call_id: str, text: str = "ValueError('bad')") -> Self:
        return self.add(TaskFailed(call_id, stored(None), text))

    def ask(
        self,
        interrupt_id: str,
        value: Any = "Right?",
        *,
        parent_id: str = "",
        schema: dict[str, Any] | None = None,
    ) -> Self:
        asked = Interrupted(
            interrupt_id, parent_id, "", stored(value), "k", response_schema=schema
        )
        return self.add(asked)

    def pause(self, *interrupt_ids: str) -> Self:
        return self.add(RunInterrupted(interrupt_ids))

    def answer(self, interrupt_id: str, value: Any = "yes") -> Self:
        return self.add(Answered(interrupt_id, stored(value), "k", by="ann"))

    def write(self, data: Any, call_id: str = "") -> Self:
        return self.add(Custom(call_id, stored(data)))

    def end(self, value: Any = None) -> Self:
        return self.add(RunFinished(stored(value), None, "cp2"))

    def fail_run(self, text: str = "ValueError('bad')", trace: str = "") -> Self:
        return self.add(RunFailed(stored(None), text, trace))


def stored(value: Any) -> Payload:
    """Return a payload as a saver returns it."""
    return Payload(encode(value))


@pytest.fixture
def log() -> RunLog:
    return RunLog()
