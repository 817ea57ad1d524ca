"""What stands in a notebook where no panel can be drawn."""

# ruff: noqa: D102
from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from nbflow._events import RunCancelled, TaskAttempted, TaskDropped, TaskReplayed
from nbflow.session.wire import RUN_MIME, Setting
from nbflow.widgets import mime_bundle

if TYPE_CHECKING:
    from tests.widgets.conftest import RunLog

PLAIN_ELEMENTS = {
    *("blockquote", "code", "details", "div", "em", "p", "pre", "strong"),
    *("summary", "table", "tbody", "td", "th", "thead", "time", "tr"),
}


class Elements(HTMLParser):
    """The elements and attributes of a text, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.names.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def text(log: RunLog, setting: Setting | None = None) -> str:
    return str(mime_bundle(log.view, setting)["text/plain"])


def test_the_text_tells_the_run(log: RunLog) -> None:
    log.start().call("a", "'Adelie'").call("b", "'Gentoo'", waiting=True)
    log.finish("a", {"doubtful": 2}).add(TaskAttempted("b")).fail("b", "OSError('net')")
    log.call("c", "1", name="summary", parent_id="a").call("d", "2", why="code")
    log.add(TaskReplayed("a"), TaskDropped("c")).fail_run("OSError('net')", "line 3")

    assert text(log) == (
        "Workflow review \u00b7 thread 'penguins' \u00b7 failed \u00b7 "
        "4 calls (1 failed, 1 replayed)\n"
        "  \u2713 inspect('Adelie') \u2192 {'doubtful': 2} [replayed]\n"
        "    \u2013 summary(1) [dropped]\n"
        "  \u2717 inspect('Gentoo') \u2717 OSError('net')\n"
        "  \u25a0 inspect(2) [ran again: code changed, cancelled]\n"
        "  \u2717 OSError('net')"
    )


def test_the_text_shows_what_is_asked(log: RunLog) -> None:
    log.start().call("a").ask("q1", parent_id="a")

    assert text(log, Setting(live=True)) == (
        "Workflow review \u00b7 thread 'penguins' \u00b7 waits for a person \u00b7 "
        "1 call\n"
        "  ? inspect()\n"
        "  ? inspect asks: Is this correct?\n"
        "      repair(mass=3.0)"
    )


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (["yes", "no"], ["  ? asks: Choose one", "      yes | no"]),
        (
            {"question": "Send?", "draft": "Dear\nall"},
            ["  ? asks: Send?", "      draft: Dear", "      all"],
        ),
        (
            {"tool_call": {"name": "t", "args": 3}},
            [
                "  ? asks: Review the call of t",
                "      t(args is a int, not an object)",
                "      args is a int, not an object",
                "      {'name': 't', 'args': 3}",
            ],
        ),
    ],
)
def test_each_kind_of_question_has_its_lines(
    log: RunLog, value: Any, lines: list[str]
) -> None:
    log.start().ask("q1", value)

    assert text(log).splitlines()[1:] == lines


def test_an_answered_question_says_so(log: RunLog) -> None:
    log.start().ask("q1", "Go on?").answer("q1")

    assert text(log).splitlines()[-1] == "      answered"


def test_two_runs_of_the_same_code_have_the_same_text(
    log: RunLog, other_log: RunLog
) -> None:
    a1, b1, a2, b2 = "1" * 32, "2" * 32, "3" * 32, "4" * 32
    log.start().call(a1, "<object at 0x7f00aa>").call(b1, "1")
    log.call("x", "3", parent_id=a1).call("y", "4", parent_id=b1)
    log.finish(b1).finish(a1, "<f at 0xabc>").end(1)

    other_log.start().call(a2, "<object at 0x11>").call(b2, "1")
    other_log.call("z", "4", parent_id=b2).call("w", "3", parent_id=a2)
    other_log.finish(a2, "<f at 0xdef>").finish(b2).end(1)

    assert text(log).replace("\u2026", "\u2713") == text(other_log)
    assert "0x" not in text(log)


def test_calls_made_side_by_side_are_sorted(log: RunLog, other_log: RunLog) -> None:
    log.start().call("a", "1").call("c", "3", aside=True).call("b", "2", aside=True)
    other_log.start().call("a", "1").call("b", "2", aside=True)
    other_log.call("c", "3", aside=True)

    assert text(log) == text(other_log)


def test_a_long_run_is_cut_and_says_so(log: RunLog) -> None:
    log.start()
    for n in range(70):
        log.call(str(n), str(n))

    lines = text(log).splitlines()

    assert len(lines) == 62
    assert lines[-1] == "  \u2026 10 more calls"


def test_a_lost_run_is_not_called_running(log: RunLog) -> None:
    log.start().call("a")

    assert "not finished" in text(log)
    assert "running" in text(log, Setting(live=True))


@pytest.mark.parametrize(
    "evil",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "]]><svg/onload=alert(1)>",
        "</pre></details><style>*{display:none}</style>",
        "\x1b[31m<b>\x1b[0m",
        "'\"><a href='javascript:alert(1)'>",
        "&lt;script&gt;",
    ],
)
def test_nothing_of_a_run_becomes_markup(log: RunLog, evil: str) -> None:
    log.start().call("a", evil, name=evil).finish("a", evil).call("b", evil)
    log.fail("b", evil).write(evil)
    log.ask("q1", {"question": evil, "tool_call": {"name": evil, "args": {evil: evil}}})
    log.resume().ask("q2", {"question": evil, "choices": [evil], "more": evil})
    log.fail_run(evil, evil).add(RunCancelled(evil))

    bundle = mime_bundle(log.view, Setting(notes=(evil,), store=evil))
    found = Elements(bundle["text/html"])

    assert found.names <= PLAIN_ELEMENTS
    assert found.open == []
    assert found.attributes == [("open", None)]
    assert "\x1b" not in bundle["text/html"] + bundle["text/plain"]
    assert "alert" not in evil or "alert(1)" in found.text


def test_the_html_tells_the_run_with_its_times(log: RunLog) -> None:
    log.start().call("a", "1").finish("a", "ok").write("half way").end([1, 2])

    found = Elements(mime_bundle(log.view)["text/html"])

    assert "Workflow review \u00b7 thread 'penguins' \u00b7 finished" in found.text
    assert "\u2192 [1, 2]" in found.text
    assert "\u2713 finished" in found.text
    assert "1.0 s" in found.text
    assert "Stream (1)" in found.text
    assert "half way" in found.text


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [(0, "0 ms"), (1_500, "1.5 s"), (90_000, "1 min 30 s"), (3_700_000, "1 h 1 min")],
)
def test_durations_are_written_for_people(
    log: RunLog, milliseconds: int, shown: str
) -> None:
    log.start().end()
    record = log.records[1]
    at = log.records[0].at + milliseconds * 1000
    log.records[1] = type(record)(record.thread_id, record.run_id, at, record.event)

    assert f"<time>{shown}</time>" in mime_bundle(log.view)["text/html"]


def test_the_run_type_is_small_json_that_a_renderer_can_draw(log: RunLog) -> None:
    log.start()
    for n in range(1_000):
        log.call(str(n), "x" * 300).finish(str(n), "y" * 5_000)
    log.end()

    bundle = mime_bundle(log.view)

    assert bundle[RUN_MIME]["v"] == 1
    assert bundle[RUN_MIME]["counts"]["calls"] == 1_000
    assert len(json.dumps(bundle)) < 1_000_000
