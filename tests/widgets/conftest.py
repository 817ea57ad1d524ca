"""A run to show, and the page on the other side of a widget's comm."""

# ruff: noqa: D102 - the methods are named after what they do
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import comm
import pytest
from comm.base_comm import BaseComm

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
from nbflow.widgets import panel as panels
from nbflow.widgets.frontend import FrontEnd
from nbflow.widgets.panel import RunPanel

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND = 1_000_000
TOOL_CALL = {"name": "repair", "args": {"mass": 3.0}, "id": "1"}


class PageComm(BaseComm):
    """A comm that keeps what is said to the page, in order."""

    def publish_msg(
        self, msg_type: str, data: Any = None, *_args: Any, **_keys: Any
    ) -> None:
        self.__dict__.setdefault("messages", []).append((msg_type, data or {}))


class Page:
    """What a browser hears of a panel, and a way to say something back."""

    def __init__(self, panel: RunPanel) -> None:
        self.comm: Any = panel.comm

    @property
    def heard(self) -> list[Any]:
        return [
            data["content"]
            for _, data in self.comm.messages
            if data.get("method") == "custom"
        ]

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.comm.messages]

    def say(self, content: Any) -> list[Any]:
        """Send a message, and return what was said in return at once."""
        before = len(self.heard)
        data = {"method": "custom", "content": content}
        self.comm.handle_msg({"content": {"data": data}, "buffers": []})
        return self.heard[before:]


class RunLog:
    """Writes the records of one run, a second apart; `new` hands out the newest."""

    def __init__(self, run_id: str = "r1", begin: int = 1_767_225_600) -> None:
        self.run_id = run_id
        self.begin = begin * SECOND
        self.records: list[Record] = []
        self._handed_out = 0

    @property
    def view(self) -> RunView:
        return fold(RunView(), self.records)

    @property
    def new(self) -> list[Record]:
        """The records since this was last asked."""
        newest = self.records[self._handed_out :]
        self._handed_out = len(self.records)
        return newest

    def add(self, *events: Event) -> Self:
        for event in events:
            at = self.begin + len(self.records) * SECOND
            self.records.append(Record("penguins", self.run_id, at, event))
        return self

    def start(self) -> Self:
        return self.add(RunStarted("review", Payload(), "", ""))

    def resume(self) -> Self:
        return self.add(RunResumed("review", ""))

    def call(self, call_id: str, args: str = "", **fields: Any) -> Self:
        known = {"parent_id": "", "place": "", "name": "inspect", "code": "k"}
        known |= {"args_key": "k", "args": args}
        return self.add(TaskCalled(call_id=call_id, **(known | fields)))

    def finish(self, call_id: str, value: Any = None) -> Self:
        return self.add(TaskFinished(call_id, Payload(encode(value))))

    def fail(self, call_id: str, text: str) -> Self:
        return self.add(TaskFailed(call_id, Payload(), text))

    def write(self, *texts: str) -> Self:
        return self.add(*(Custom("", Payload(encode(text))) for text in texts))

    def ask(self, interrupt_id: str, value: Any = None, parent_id: str = "") -> Self:
        asked = value or {"question": "Is this correct?", "tool_call": TOOL_CALL}
        payload = Payload(encode(asked))
        return self.add(
            Interrupted(interrupt_id, parent_id, "", payload, "k"),
            RunInterrupted((interrupt_id,)),
        )

    def answer(self, interrupt_id: str) -> Self:
        return self.add(Answered(interrupt_id, Payload(encode(1)), "k"))

    def end(self, value: Any = None) -> Self:
        return self.add(RunFinished(Payload(encode(value)), None, "cp"))

    def fail_run(self, text: str, trace: str = "") -> Self:
        return self.add(RunFailed(Payload(), text, trace))


@pytest.fixture(autouse=True)
def _comms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comm, "create_comm", PageComm)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send no page anything unasked only because a test takes long."""
    monkeypatch.setattr(panels, "UNHEARD_SECONDS", 3600)


@pytest.fixture
def frontend() -> FrontEnd:
    return FrontEnd("export default {}", "export const open = 1", "p {}", "0123abcd")


@pytest.fixture
def log() -> RunLog:
    return RunLog()


@pytest.fixture
def other_log() -> RunLog:
    """Return another run of the same code, at another time."""
    return RunLog("r2", 1_800_000_000)


@pytest.fixture
def panel(log: RunLog, frontend: FrontEnd) -> Iterator[RunPanel]:
    """Make a panel of a run with one finished call and one under way."""
    log.start().call("a", "'Adelie'").finish("a", 152).call("b", "'Gentoo'")
    made = RunPanel(fold(RunView(), log.new), frontend=frontend)
    yield made
    made.close()


@pytest.fixture
def page(panel: RunPanel) -> Page:
    return Page(panel)


@pytest.fixture
def page_of() -> type[Page]:
    """Make the page of a panel that a test made."""
    return Page
