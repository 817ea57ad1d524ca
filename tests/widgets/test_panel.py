"""The run panel, as the page on the other side of its comm sees it."""

# ruff: noqa: D102
from __future__ import annotations

import gc
import json
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import ipywidgets
import pytest

from nbflow._events import Custom
from nbflow._values import Payload
from nbflow.errors import InvalidAnswerError, UnknownInterruptError
from nbflow.session.folding import fold
from nbflow.session.following import Following
from nbflow.session.views import RunView
from nbflow.session.wire import Setting, run_json
from nbflow.widgets import Commands, RunPanel
from nbflow.widgets import panel as panels
from nbflow.widgets.frontend import NOT_BUILT, FrontEnd, read_front_end

if TYPE_CHECKING:
    from pathlib import Path

    from tests.widgets.conftest import Page, RunLog

OPEN = {"type": "open"}
SOON_SECONDS = 5


def rows(view: Any) -> dict[str, Any]:
    return {call["id"]: call for call in view["calls"]}


# What it shows.


def test_a_page_that_cannot_be_heard_gets_everything_unasked(
    panel: RunPanel, page: Page, log: RunLog
) -> None:
    panel.show(log.finish("b").new)
    panel.flush()
    panel._unheard.function(*panel._unheard.args)  # Its time is over.

    assert [message["type"] for message in page.heard] == ["view", "patch", "bundle"]


def test_a_page_that_was_heard_is_sent_no_views_unasked(
    panel: RunPanel, page: Page
) -> None:
    page.say(OPEN)

    panel._unheard.function(*panel._unheard.args)  # Its time is over.

    assert [message["type"] for message in page.heard] == ["view", "view"]


def test_a_page_is_waited_for_only_so_long(
    log: RunLog,
    frontend: FrontEnd,
    page_of: type[Page],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(panels, "UNHEARD_SECONDS", 0.01)
    panel = RunPanel(log.start().view, frontend=frontend)

    page = page_of(panel)
    while page.heard[-1]["type"] != "bundle":
        time.sleep(0.005)

    panel.close()


def test_a_page_that_opens_gets_the_whole_picture(page: Page, log: RunLog) -> None:
    (message,) = page.say(OPEN)

    expected = run_json(log.view, Setting(live=True))
    assert message["type"] == "view"
    assert rows(message["view"]).keys() == rows(expected).keys()
    assert message["view"]["counts"]["finished"] == 1


def test_an_open_page_gets_what_changes(
    panel: RunPanel, page: Page, log: RunLog
) -> None:
    page.say(OPEN)

    panel.show(log.finish("b", 3).write("half way").new)
    panel.flush()

    message = page.heard[-1]
    assert message["type"] == "patch"
    assert [(c["id"], c["result"]) for c in message["calls"]] == [("b", "3")]
    assert [item["text"] for item in message["stream"]] == ["half way"]


def test_a_flush_without_news_sends_nothing(panel: RunPanel, page: Page) -> None:
    page.say(OPEN)
    before = len(page.heard)

    panel.flush()
    panel.flush()

    assert len(page.heard) == before


def test_closed_and_opened_again_it_shows_the_same(
    panel: RunPanel, page: Page, log: RunLog, frontend: FrontEnd, page_of: type[Page]
) -> None:
    page.say(OPEN)
    panel.show(log.finish("b").call("c").write("x").ask("q1", parent_id="c").new)
    view = fold(RunView(), log.records)
    panel.close()

    reopened = RunPanel(view, frontend=frontend)
    (before,) = page_of(reopened).say(OPEN)
    (again,) = page_of(reopened).say(OPEN)
    reopened.close()

    stored = run_json(view)
    for picture in (before["view"], again["view"]):
        assert {**picture, "now": 0} == {**stored, "now": 0}


def test_an_end_has_reached_the_page_when_it_has_been_shown(
    panel: RunPanel, page: Page, log: RunLog
) -> None:
    page.say(OPEN)

    panel.show(log.finish("b").new)
    panel.show(log.end("done").new)

    last = page.heard[-1]
    assert last["header"]["status"] == "finished"
    assert last["header"]["result"] == "'done'"
    assert panel.status == "finished"


def test_a_burst_reaches_the_page_in_few_messages_and_in_order(
    panel: RunPanel, page: Page, log: RunLog
) -> None:
    page.say(OPEN)
    payload = Payload(live="x")
    start = len(log.records)

    for record in log.add(*(Custom("", payload) for _ in range(20_000))).new:
        panel.show([record])
    panel.show(log.end().new)

    patches = page.heard[2:]
    items = [item["n"] for patch in patches for item in patch["stream"]]
    assert start == 4
    assert len(patches) < 100
    assert items == sorted(set(items))
    assert items[-1] == 19_999
    assert patches[-1]["header"]["stream_total"] == 20_000
    assert patches[-1]["header"]["status"] == "finished"


def test_changes_are_told_without_being_asked_for(
    panel: RunPanel, page: Page, log: RunLog
) -> None:
    page.say(OPEN)
    told = threading.Event()
    panel.observe(lambda _change: told.set(), "workflow")

    other = log.add().new
    panel.update(fold(RunView(), other or log.records[:1]))
    panel.update(RunView(workflow="another", run_id="r9"))

    assert told.wait(SOON_SECONDS)
    assert page.heard[-1]["view"]["run_id"] == "r9"


def test_traits_can_be_observed(panel: RunPanel, log: RunLog) -> None:
    seen: list[str] = []
    panel.observe(lambda change: seen.append(change["new"]), "status")

    panel.show(log.ask("q1").new)
    panel.show(log.answer("q1").resume().end().new)

    assert seen == ["interrupted", "finished"]
    assert (panel.run_id, panel.thread_id, panel.workflow) == (
        "r1",
        "penguins",
        "review",
    )


def test_traits_are_not_sent_to_the_page(
    panel: RunPanel, page: Page, log: RunLog
) -> None:
    panel.show(log.ask("q1").new)

    assert {data.get("method") for _, data in page.comm.messages[1:]} == {"custom"}


def test_another_setting_is_shown_at_once(panel: RunPanel, page: Page) -> None:
    page.say(OPEN)

    panel.describe(Setting(live=True, store="run.duckdb", notes=("note",)))

    assert page.heard[-1]["view"]["store"] == "run.duckdb"
    assert page.heard[-1]["view"]["live"] is True


def test_it_stands_in_a_box_as_any_widget_does(panel: RunPanel) -> None:
    box = ipywidgets.VBox([panel])

    assert box.children == (panel,)
    box.close()


# The bundle.


def test_the_page_gets_loader_code_and_style(page: Page, frontend: FrontEnd) -> None:
    opened = page.comm.messages[0][1]

    (message,) = page.say({"type": "bundle"})

    assert opened["state"]["_esm"] == frontend.loader
    assert message == {
        "type": "bundle",
        "code": frontend.code,
        "css": frontend.css,
        "hash": frontend.hash,
    }


def test_a_front_end_is_read_from_its_folder(tmp_path: Path) -> None:
    for name in ("loader.js", "widget.js", "widget.css"):
        assert read_front_end(tmp_path) is None
        (tmp_path / name).write_text(name, "utf-8")

    found = read_front_end(tmp_path)

    assert found is not None
    assert (found.loader, found.code, found.css) == (
        "loader.js",
        "widget.js",
        "widget.css",
    )
    assert len(found.hash) == 16


def test_the_bundle_that_is_shown_has_twin_and_widget(panel: RunPanel) -> None:
    bundle, metadata = panel._repr_mimebundle_()

    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == (
        panel.model_id
    )
    assert "Workflow review" in bundle["text/plain"]
    assert metadata == {}


def test_without_a_built_front_end_the_text_says_how_to_build_it(
    log: RunLog, monkeypatch: pytest.MonkeyPatch, page_of: type[Page]
) -> None:
    monkeypatch.setattr("nbflow.widgets.panel.front_end", lambda: None)

    panel = RunPanel(log.start().view)
    bundle, _ = panel._repr_mimebundle_()
    (refusal,) = page_of(panel).say({"type": "bundle"})

    assert not panel.is_built
    assert "application/vnd.jupyter.widget-view+json" not in bundle
    assert NOT_BUILT in bundle["text/plain"]
    assert NOT_BUILT in page_of(panel).comm.messages[0][1]["state"]["_esm"]
    assert refusal["problems"][0]["text"] == NOT_BUILT
    panel.close()


# What it sends.


class Pressed:
    """Commands that note what was pressed, and on which thread."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.threads: set[int] = set()
        self.error = error
        self.done = threading.Event()

    def __call__(self, *args: Any) -> None:
        self.calls.append(args)
        self.threads.add(threading.get_ident())
        self.done.set()
        if self.error is not None:
            raise self.error


def press(page: Page, content: dict[str, Any]) -> Any:
    """Send a message, and return the refusal that follows."""
    before = len(page.heard)
    page.say(content)
    deadline = threading.Event()
    for _ in range(SOON_SECONDS * 100):
        if len(page.heard) > before:
            break
        deadline.wait(0.01)
    return page.heard[before]


@pytest.fixture
def pressed() -> Pressed:
    return Pressed()


def commanded(pressed: Pressed, log: RunLog, frontend: FrontEnd) -> RunPanel:
    commands = Commands(answer=pressed, stop=pressed, resume=pressed)
    return RunPanel(log.start().view, commands=commands, frontend=frontend)


@pytest.mark.parametrize(
    ("content", "args"),
    [
        ({"type": "stop"}, ()),
        ({"type": "continue"}, ()),
        ({"type": "answer", "id": "q1", "answer": {"a": 1}}, ("q1", {"a": 1})),
        ({"type": "answer", "id": "q1", "answer": None}, ("q1", None)),
        (
            {
                "type": "answer",
                "id": "q1",
                "answer": 3,
                "json": "[3.0, 36028797018963969]",
            },
            ("q1", [3.0, 2**55 + 1]),
        ),
    ],
)
def test_a_press_becomes_a_command_on_a_thread_of_its_own(  # noqa: PLR0917
    pressed: Pressed,
    log: RunLog,
    frontend: FrontEnd,
    page_of: type[Page],
    content: dict[str, Any],
    args: tuple[Any, ...],
) -> None:
    panel = commanded(pressed, log, frontend)

    said = page_of(panel).say(content)

    assert pressed.done.wait(SOON_SECONDS)
    assert json.dumps(pressed.calls) == json.dumps([args])
    assert threading.get_ident() not in pressed.threads
    assert said == []
    panel.close()


@pytest.mark.parametrize(
    ("error", "problems"),
    [
        (
            InvalidAnswerError("q1", [("mass", "is a text")]),
            [{"field": "mass", "text": "is a text"}],
        ),
        (
            UnknownInterruptError("not_pending", ["q1"]),
            [
                {
                    "field": "",
                    "text": "No pending interrupt has the id 'q1'. Pending: none.",
                }
            ],
        ),
        (KeyError("x"), [{"field": "", "text": "KeyError: 'x'"}]),
    ],
)
def test_a_command_that_fails_is_a_refusal(
    log: RunLog,
    frontend: FrontEnd,
    page_of: type[Page],
    error: Exception,
    problems: Any,
) -> None:
    panel = commanded(Pressed(error), log, frontend)

    refusal = press(page_of(panel), {"type": "answer", "id": "q1", "answer": 1})

    assert refusal == {"type": "refused", "id": "q1", "problems": problems}
    panel.close()


@pytest.mark.parametrize("content", [{"type": "stop"}, {"type": "answer", "id": "q1"}])
def test_a_stored_run_takes_no_commands(page: Page, content: Any) -> None:
    (refusal,) = page.say(content)

    assert refusal["type"] == "refused"
    assert "stored run" in refusal["problems"][0]["text"]


@pytest.mark.parametrize(
    "content", [None, [], "open", {}, {"type": []}, {"type": "answer", "id": 3}]
)
def test_what_no_panel_says_is_refused(page: Page, content: Any) -> None:
    (refusal,) = page.say(content)

    assert refusal["type"] == "refused"


@pytest.mark.parametrize("text", ["{", 3])
def test_an_answer_that_is_not_json_is_refused(page: Page, text: Any) -> None:
    (refusal,) = page.say({"type": "answer", "id": "q1", "answer": 1, "json": text})

    assert refusal["id"] == "q1"
    assert "not JSON" in refusal["problems"][0]["text"]


# Its end.


def test_a_closed_panel_has_sent_all_and_sends_no_more(
    panel: RunPanel, page: Page, log: RunLog
) -> None:
    page.say(OPEN)
    panel.show(log.finish("b").new)

    panel.close()
    panel.show(log.call("c").end().new)
    panel.close()

    assert page.heard[-1]["calls"][0]["id"] == "b"
    assert page.kinds[-1] == "comm_close"
    assert panel.view.status == "finished"
    assert "finished" in panel._repr_mimebundle_()[0]["text/plain"]


def test_a_closed_panel_leaves_no_thread_behind(panel: RunPanel, log: RunLog) -> None:
    panel.show(log.finish("b").new)

    panel.close()

    for thread in threading.enumerate():
        if thread.name == "nbflow-panel":
            thread.join(SOON_SECONDS)
            assert not thread.is_alive()


def test_a_closed_panel_is_forgotten(log: RunLog, frontend: FrontEnd) -> None:
    following = Following(log.start().view)
    panel = RunPanel(following, frontend=frontend)
    gone = weakref.ref(panel)

    panel.close()
    del panel
    gc.collect()

    assert gone() is None
    following.show(log.end().new)


def test_a_panel_on_a_shared_run_closes_alone(log: RunLog, frontend: FrontEnd) -> None:
    following = Following(log.start().view)
    seen: list[RunView] = []
    following.listen(seen.append)

    panel = RunPanel(following, frontend=frontend)
    panel.close()
    following.show(log.end().new[1:])

    assert [view.status for view in seen] == ["finished"]


def test_replies_come_on_any_shell_where_the_kernel_would_pin_them(
    log: RunLog, frontend: FrontEnd, monkeypatch: pytest.MonkeyPatch, panel: RunPanel
) -> None:
    pinned = type(
        "Pinned",
        (type(panel.comm),),
        {"_reply_subshell_for": lambda _self, _data, _default: "main"},
    )
    monkeypatch.setattr("comm.create_comm", pinned)

    repaired = RunPanel(log.view, frontend=frontend)

    assert repaired.comm._reply_subshell_for({}, "asked for") == "asked for"
    repaired.close()
