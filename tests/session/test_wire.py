"""Messages between kernel and panel: what they hold, how much, and how they agree."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import pytest

from nbflow._events import RunCancelled, RunSuperseded, StreamCut, TaskReplayed
from nbflow.checkpoint.base import RunStatus
from nbflow.session import questions, wire
from nbflow.session.folding import fold
from nbflow.session.views import CallStatus, RunView
from nbflow.session.wire import (
    Forms,
    Setting,
    patch_messages,
    refused,
    run_json,
    view_messages,
)

if TYPE_CHECKING:
    from tests.session.conftest import RunLog

PROTOCOL = Path(__file__).parents[2] / "labextension/src/protocol.ts"
LIVE = Setting(live=True)


def interfaces() -> dict[str, set[str]]:
    """Return the fields of each interface of the protocol, inherited ones too."""
    comments = re.compile(r"/\*\*.*?\*/|//[^\n]*", flags=re.DOTALL)
    text = comments.sub("", PROTOCOL.read_text("utf-8"))
    found: dict[str, set[str]] = {}
    pattern = r"interface (\w+)(?: extends (\w+))? \{(.*?)\n\}"
    for name, parent, body in re.findall(pattern, text, flags=re.DOTALL):
        own = set(re.findall(r"^ {2}(\w+)\??:", body, flags=re.MULTILINE))
        found[name] = own | found.get(parent, set())
    return found


def constants(name: str) -> set[str]:
    """Return the texts that a type of the protocol is a union of."""
    text = re.sub(r"//[^\n]*", "", PROTOCOL.read_text("utf-8"))
    return set(re.findall(r"'(\w+)'", text.split(f"type {name} =")[1].split(";")[0]))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("Call", wire.Call),
        ("StreamItem", wire.StreamItem),
        ("Counts", wire.Counts),
        ("Header", wire.Header),
        ("RunView", wire.RunJSON),
        ("ToolCallQuestion", questions.ToolCallQuestion),
        ("TextQuestion", questions.TextQuestion),
        ("ChoiceQuestion", questions.ChoiceQuestion),
        ("SchemaQuestion", questions.SchemaQuestion),
    ],
)
def test_both_halves_of_the_protocol_have_the_same_fields(
    name: str, shape: type
) -> None:
    known = {"RunStatus": str, "CallStatus": str, "Question": dict}

    assert set(get_type_hints(shape, localns=known)) == interfaces()[name]


def test_both_halves_of_the_protocol_have_the_same_statuses() -> None:
    assert set(get_args(RunStatus)) == constants("RunStatus")
    assert set(get_args(CallStatus)) == constants("CallStatus")


def test_both_halves_of_the_protocol_have_one_version() -> None:
    text = PROTOCOL.read_text("utf-8")

    assert f"VERSION = {wire.VERSION};" in text
    assert f"RUN_MIME = '{wire.RUN_MIME}';" in text


def test_a_picture_holds_the_run_in_milliseconds(log: RunLog) -> None:
    log.start().call("a").finish("a", 3).write("hello", "a").end("done")
    begin = log.records[0].at / 1000

    picture = run_json(log.view)

    assert picture["v"] == 1
    assert (picture["started_at"], picture["ended_at"]) == (begin, begin + 4_000)
    assert picture["now"] == begin + 4_000
    assert (picture["status"], picture["result"]) == ("finished", "'done'")
    assert [(c["id"], c["result"], c["ended_at"]) for c in picture["calls"]] == [
        ("a", "3", begin + 2_000)
    ]
    assert [(i["n"], i["source"], i["text"]) for i in picture["stream"]] == [
        (0, "inspect", "hello")
    ]
    assert picture["code"]["continue"] == "nbflow.resume('penguins')"


def test_a_picture_is_json_whatever_the_run_holds(log: RunLog) -> None:
    log.start("w\x1b[1m").call("a", name="n\x00", args="\ud800")
    log.ask("q", {"tool_call": {"name": "t", "args": {"x": float("nan")}}})
    log.write(float("inf")).fail_run("ValueError('\x1b[31m')", "\ud800\x07")

    for picture in (run_json(log.view), view_messages(log.view, LIVE, now=0)):
        text = json.dumps(picture, allow_nan=False, ensure_ascii=False)

        assert text.encode()
        assert not re.search(r"\\u00[01]", text.replace("\\n", ""))


def test_a_stored_run_has_nothing_under_way_and_a_live_one_does(log: RunLog) -> None:
    view = log.start().call("a").view

    stored, live = run_json(view), run_json(view, LIVE)

    assert (stored["calls"][0]["status"], stored["live"]) == ("cancelled", False)
    assert (live["calls"][0]["status"], live["live"]) == ("running", True)


def test_notes_say_what_the_numbers_do_not(log: RunLog) -> None:
    log.start().call("a").finish("a").add(TaskReplayed("a", diverged=True))
    log.add(StreamCut(1_024), RunCancelled("by ann"), RunSuperseded("r2"))

    picture = run_json(log.view, Setting(notes=("mind the gap",)))

    assert picture["notes"][0] == "mind the gap"
    assert len(picture["notes"]) == 5
    assert "Stopped: by ann" in picture["notes"]


def test_a_saved_picture_keeps_five_hundred_calls_the_failed_ones_first(
    log: RunLog,
) -> None:
    log.start()
    for n in range(800):
        log.call(f"c{n}").finish(f"c{n}")
    log.call("last").fail("last").fail_run()

    picture = run_json(log.view)

    ids = [call["id"] for call in picture["calls"]]
    assert len(ids) == 500
    assert ids == [*(f"c{n}" for n in range(499)), "last"]
    assert picture["notes"] == ["301 of 801 calls are left out."]
    assert picture["counts"]["calls"] == 801
    assert len(json.dumps(picture)) < 250_000


def test_a_saved_picture_keeps_the_newest_of_the_stream(log: RunLog) -> None:
    log.start()
    for n in range(300):
        log.write(n)

    picture = run_json(log.view)

    assert (picture["stream_total"], picture["stream_cut"]) == (300, 100)
    assert [picture["stream"][0]["n"], picture["stream"][-1]["n"]] == [100, 299]


def test_a_long_picture_comes_in_pieces_that_make_the_whole(log: RunLog) -> None:
    log.start()
    for n in range(4_500):
        log.call(f"c{n}")

    first, *more = view_messages(log.view, LIVE, now=0)

    pieces: Any = [first, *more]
    assert [m["type"] for m in pieces] == ["view", "patch", "patch"]
    rows = [c["id"] for c in pieces[0]["view"]["calls"]]
    rows += [c["id"] for piece in pieces[1:] for c in piece["calls"]]
    assert rows == list(log.view.calls)


def test_a_patch_holds_what_changed_and_nothing_else(log: RunLog) -> None:
    log.start().call("a").call("b").call("c").write("one")
    before = log.view
    log.finish("b", 2).call("e").call("d").finish("a").write("two").finish("e")

    (message,) = patch_messages(before, log.view, LIVE, now=5_000)

    assert message["type"] == "patch"
    assert [c["id"] for c in message["calls"]] == ["a", "b", "e", "d"]
    assert [i["text"] for i in message["stream"]] == ["two"]
    assert message["header"]["counts"]["calls"] == 5
    assert message["header"]["now"] == 5


def test_a_patch_costs_what_changed_however_many_calls_there_are(log: RunLog) -> None:
    log.start()
    for n in range(3_000):
        log.call(f"c{n}")
    before = log.view
    after = fold(before, log.call("new").records[-1:])

    class Counted(dict[str, int]):
        looked_up = 0

        def __getitem__(self, key: str) -> int:
            Counted.looked_up += 1
            return super().__getitem__(key)

    object.__setattr__(after, "touched", Counted(after.touched))
    patch_messages(before, after, LIVE, now=0)

    assert Counted.looked_up == 2


def test_patches_applied_one_after_another_make_the_whole_picture(log: RunLog) -> None:
    log.start().call("a").call("b", waiting=True).fail("a").ask("q", parent_id="b")
    log.pause("q").answer("q").resume("answer").call("b").write("x").finish("b").end(1)
    view, rows, items = RunView(), dict[str, Any](), list[Any]()

    for record in log.records:
        after = fold(view, [record])
        for message in patch_messages(view, after, LIVE, now=7):
            assert message["type"] == "patch"
            rows |= {call["id"]: call for call in message["calls"]}
            items += message["stream"]
            header = message["header"]
        view = after

    whole = view_messages(view, LIVE, now=7)[0]
    assert whole["type"] == "view"
    assert {**header, "v": 1, "calls": [*rows.values()], "stream": items} == (
        whole["view"]
    )


def test_a_form_is_made_once_while_its_question_stays(log: RunLog) -> None:
    forms = Forms()
    view = log.start().ask("q1").ask("q2").view

    first, again = forms.of(view), forms.of(view)
    changed = forms.of(log.answer("q1").view, "Run cell 3.")

    assert all(a is b for a, b in zip(first, again, strict=True))
    assert [q["answered"] for q in changed] == [True, False]
    assert [q["note"] for q in changed] == ["Run cell 3."] * 2


def test_hundreds_of_questions_are_shown_in_part_and_it_is_said(log: RunLog) -> None:
    log.start()
    for n in range(205):
        log.ask(f"q{n}")

    picture = run_json(log.view)

    assert len(picture["questions"]) == 200
    assert picture["notes"] == ["5 more questions wait behind those shown."]


def test_a_refusal_names_its_fields() -> None:
    message = refused("q1", [("nights", "is a text\x07"), ("", "no")])

    assert message == {
        "type": "refused",
        "id": "q1",
        "problems": [
            {"field": "nights", "text": "is a text\u2407"},
            {"field": "", "text": "no"},
        ],
    }
