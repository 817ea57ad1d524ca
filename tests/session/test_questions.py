"""Questions as forms, and what a form sends as the answer that a workflow gets."""

from __future__ import annotations

import json
import math
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow._values import Payload
from nbflow.errors import InvalidAnswerError
from nbflow.session.questions import check_answer, question_of
from nbflow.session.schemas import fit, json_form, schema_of
from nbflow.session.views import QuestionView

if TYPE_CHECKING:
    from tests.session.conftest import RunLog

BOOKING = {"name": "book", "args": {"city": "Oslo", "nights": 3}, "id": "call-1"}


def asked(
    value: Any, schema: dict[str, Any] | None = None, *, answered: bool = False
) -> QuestionView:
    return QuestionView("q1", "", "ask", 1_500, Payload(live=value), schema, answered)


def form(value: Any, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return dict(question_of(asked(value, schema), "t"))


def howto(args: Any, **others: Any) -> dict[str, Any]:
    call = {"name": "book", "args": args, "id": "call-1"}
    return {"question": "Is this correct?", "tool_call": call, **others}


def problems(value: Any, answer: Any, schema: Any = None) -> dict[str, str]:
    with pytest.raises(InvalidAnswerError) as caught:
        check_answer(asked(value, schema), answer)
    assert caught.value.interrupt_id == "q1"
    return dict(caught.value.problems)


# The forms.


def test_a_question_says_who_asks_when_and_which_code_answers() -> None:
    question = question_of(asked("Go on?", answered=True), "t'1", note="Run cell 3.")

    assert question["kind"] == "text"
    assert (question["id"], question["source"]) == ("q1", "ask")
    assert question["asked_at"] == 1.5
    assert question["answered"]
    assert question["note"] == "Run cell 3."
    assert question["code"] == (
        """nbflow.resume("t'1", 'your answer', interrupt_id='q1')"""
    )


def test_a_text_asks_for_a_text() -> None:
    question = form("What is\x1b[1m next?")

    assert (question["kind"], question["text"]) == ("text", "What is next?")


@pytest.mark.parametrize(
    ("value", "text", "labels", "values"),
    [
        (True, "Yes or no?", ["Yes", "No"], [True, False]),
        (["a", "b"], "Choose one", ["a", "b"], ["a", "b"]),
        ({"question": "Which?", "choices": (1, 2.5)}, "Which?", ["1", "2.5"], [1, 2.5]),
        ([1, "1"], "Choose one", ["1", "'1'"], [1, "1"]),
        ([2**60 + 1], "Choose one", [str(2**60 + 1)], [str(2**60 + 1)]),
        (["", True], "Choose one", ["(empty)", "Yes"], ["", True]),
    ],
)
def test_plain_values_become_buttons(
    value: Any, text: str, labels: list[str], values: list[Any]
) -> None:
    question = form(value)

    if len(set(map(str, labels))) < len(labels) or labels == ["1", "'1'"]:
        labels = [repr(v) for v in values]
    assert (question["kind"], question["text"]) == ("choice", text)
    assert [c["label"] for c in question["choices"]] == labels
    assert [c["value"] for c in question["choices"]] == values


@pytest.mark.parametrize(
    "value",
    [[], [None], [math.nan], [["a"], ["b"]], list(range(31)), 3, None, {"a": 1}],
)
def test_any_other_value_asks_for_a_text_below_its_own(value: Any) -> None:
    question = form(value)

    assert question["kind"] == "text"
    assert question["description"]


def test_what_stands_beside_a_question_is_shown_with_it() -> None:
    question = form({"question": "Send it?", "draft": "Dear all,\nhello", "to": 3})

    assert question["text"] == "Send it?"
    assert question["description"] == "draft: Dear all,\nhello\nto: 3"


def test_a_response_schema_gives_a_typed_form() -> None:
    schema = {"type": "object", "properties": {"mass": {"type": "number"}}}

    question = form({"question": "Mass?"}, schema)

    assert (question["kind"], question["schema"]) == ("schema", schema)
    assert question["text"] == "Mass?"
    assert question["code"].startswith("nbflow.resume('t', {'mass': ...}, ")


def test_a_tool_call_is_shown_in_full_with_a_schema_of_its_arguments() -> None:
    args = {
        "city": "Oslo",
        "nights": 3,
        "price": 99.5,
        "quiet": True,
        "notes": "a\nb",
        "tags": ["x"],
        "guest": {"age": None},
    }

    question = form(howto(args, description="From the chat"))

    assert question["kind"] == "tool_call"
    assert question["text"] == "Is this correct?"
    assert question["description"] == "From the chat"
    assert (question["tool"], question["args"]) == ("book", args)
    assert question["allow"] == ["accept", "edit", "respond"]
    assert "args_json" not in question
    assert question["schema"]["properties"] == {
        "city": {"type": "string"},
        "nights": {"type": "integer"},
        "price": {"type": "number"},
        "quiet": {"type": "boolean"},
        "notes": {"type": "string", "format": "multiline"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "guest": {"type": "object", "properties": {"age": {}}},
    }


def test_numbers_that_a_browser_would_round_are_sent_as_text_too() -> None:
    question = form(howto({"mass": 3.0, "key": 2**60 + 1}))

    assert json.loads(question["args_json"]) == {"mass": 3.0, "key": 2**60 + 1}
    assert '"mass": 3.0' in question["args_json"]


def test_numpy_numbers_and_tuples_are_shown_as_plain_ones() -> None:
    args = {"row": np.int64(7), "mass": np.float64(3.5), "box": (1, 2)}

    question = form(howto(args))

    assert question["malformed"] == ""
    assert json.dumps(question["args"]) == '{"row": 7, "mass": 3.5, "box": [1, 2]}'


def test_a_given_schema_is_used_for_the_arguments() -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}}}

    question = form(howto({"city": "Oslo"}, schema=schema))

    assert question["schema"] == schema


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ("{}", "args is a str, not an object"),
        (None, "args is a NoneType, not an object"),
        ({"x": math.nan}, "args['x'] is nan, which is not a JSON number"),
        ({"x": [math.inf]}, "args['x'][0] is inf, which is not a JSON number"),
        ({1: 2}, "args has the key 1, which is not a text"),
        ({"on": date(2026, 1, 2)}, "args['on'] is a date, which has no JSON form"),
        ({"x": "\ud800"}, "args['x'] holds half a character"),
        (
            {"x": "y" * 256_000},
            "args takes 256,009 bytes; a form shows at most 256,000",
        ),
    ],
)
def test_malformed_arguments_can_be_commented_on_only(args: Any, why: str) -> None:
    question = form(howto(args))

    assert question["malformed"] == why
    assert (question["args"], question["allow"]) == ({}, ["respond"])
    assert "continue" in problems(howto(args), {"action": "continue"})["action"]


def test_arguments_without_an_end_are_malformed() -> None:
    args: dict[str, Any] = {}
    args["x"] = args

    assert "levels deep" in form(howto(args))["malformed"]


def test_characters_that_cannot_be_seen_are_pointed_out() -> None:
    assert form(howto({"path": "a\u202eb"}))["note"]
    assert not form(howto({"path": "a\nb"}))["note"]


def test_a_question_that_cannot_be_read_is_still_a_question(log: RunLog) -> None:
    view = log.start().ask("q1").view
    damaged = QuestionView("q1", "", "", 0, Payload(b"\xc1"))

    question = question_of(damaged, view.thread_id)

    assert question["kind"] == "text"
    assert question["text"].startswith("<unreadable: ")


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_any_value_gets_a_form_that_json_can_hold(value: Any) -> None:
    for shape in (value, howto(value), {"question": "?", "choices": value}):
        text = json.dumps(form(shape), allow_nan=False, ensure_ascii=False)

        assert text.encode()


# The answers.


def test_a_plain_question_takes_any_answer() -> None:
    assert check_answer(asked("Go on?"), {"x": [1]}) == {"x": [1]}


def test_a_choice_is_the_value_that_was_offered() -> None:
    value = [2**60 + 1, 2.0, True, "a"]

    answers = [check_answer(asked(value), a) for a in (str(2**60 + 1), 2, True, "a")]

    assert answers == value
    assert [type(a) for a in answers] == [int, float, bool, str]
    assert "choose one of" in problems(value, 1)[""]


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        ({"action": "continue"}, {"action": "continue"}),
        ({"action": "continue", "data": None}, {"action": "continue"}),
        (
            {"action": "feedback", "data": "Use Rome"},
            {"action": "feedback", "data": "Use Rome"},
        ),
        (
            {"action": "update", "data": {"city": "Rome", "nights": 3}},
            {"action": "update", "data": {"city": "Rome", "nights": 3}},
        ),
        ({"action": "update", "data": {}}, {"action": "update", "data": {}}),
    ],
)
def test_a_review_is_answered_in_the_words_of_the_how_to(
    sent: Any, answer: Any
) -> None:
    value = {"question": "Is this correct?", "tool_call": BOOKING}

    assert check_answer(asked(value), sent) == answer


def test_edited_numbers_keep_the_types_that_were_proposed() -> None:
    value = howto({"nights": 3, "price": 99.0, "box": [1.5, 2.5], "key": 2**60 + 1})
    sent = {"nights": 4.0, "price": 100, "box": [1, 2.5], "key": 2**60 + 3}

    answer = check_answer(asked(value), {"action": "update", "data": sent})

    assert json.dumps(answer["data"]) == json.dumps(
        {"nights": 4, "price": 100.0, "box": [1.0, 2.5], "key": 2**60 + 3}
    )


@pytest.mark.parametrize(
    ("sent", "path", "text"),
    [
        ({}, "", "needs the key 'action'"),
        ("continue", "", "needs the key 'action'"),
        ({"action": "accept"}, "action", "is 'accept'; choose one of 'continue'"),
        ({"action": []}, "action", "is []; choose one of 'continue'"),
        ({"action": "ignore"}, "action", "is not allowed here"),
        ({"action": "update"}, "data", "has to be an object"),
        ({"action": "update", "data": [1]}, "data", "has to be an object"),
        (
            {"action": "update", "data": {"nights": "3"}},
            "nights",
            'is "3"; it has to be a whole number',
        ),
        (
            {"action": "update", "data": {"nights": True}},
            "nights",
            "is true; it has to be a whole number",
        ),
        (
            {"action": "update", "data": {"guests": [{"age": "x"}]}},
            "guests[0].age",
            'is "x"; it has to be a whole number',
        ),
        ({"action": "feedback", "data": " "}, "data", "is empty"),
        ({"action": "feedback", "data": 3}, "data", "is empty"),
    ],
)
def test_a_review_refuses_what_does_not_fit(sent: Any, path: str, text: str) -> None:
    value = howto({"nights": 3, "guests": [{"age": 40}]})

    found = problems(value, sent)

    assert list(found) == [path]
    assert text in found[path]


def test_all_fields_that_do_not_fit_are_named_at_once() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"$ref": "#/$defs/Kind"}},
        "required": ["a", "b", "c"],
        "additionalProperties": False,
        "$defs": {"Kind": {"enum": ["x", "y"]}},
    }

    found = problems("?", {"a": "1", "b": "z", "d": 1}, schema)

    assert found == {
        "a": 'is "1"; it has to be a whole number',
        "b": 'is "z"; choose one of ["x", "y"]',
        "c": "is missing",
        "d": "is not one of the fields",
    }


@pytest.mark.parametrize(
    ("schema", "value", "fitted"),
    [
        ({"type": "number"}, 3, 3.0),
        ({"type": ["integer", "null"]}, None, None),
        ({"type": ["number", "integer"]}, 3, 3),
        ({"anyOf": [{"type": "number"}, {"type": "integer"}]}, 3, 3),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, 3, 3.0),
        ({"allOf": [{"type": "number"}]}, 3, 3.0),
        ({"const": 1}, 1.0, 1),
        ({"type": "array", "items": {"type": "number"}}, (1, 2), [1.0, 2.0]),
        ({"additionalProperties": {"type": "number"}}, {"a": 1}, {"a": 1.0}),
        ({"$ref": "#"}, 3, 3),
        ({"$ref": "https://example.org/schema"}, 3, 3),
        ({"type": "number"}, 10**400, None),
    ],
)
def test_values_are_fitted_to_a_schema(schema: Any, value: Any, fitted: Any) -> None:
    found, wrong = fit(schema, value)

    if fitted is None and value is not None:
        assert wrong
    else:
        assert (found, type(found), wrong) == (fitted, type(fitted), ())


def test_none_of_several_types_names_the_one_that_came_closest() -> None:
    option = {"type": "object", "properties": {"a": {"type": "integer"}}}

    _, found = fit({"anyOf": [{"type": "null"}, option]}, {"a": "x"})

    assert found == (("a", 'is "x"; it has to be a whole number'),)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner)
    ),
    max_leaves=12,
)


@given(args=st.dictionaries(st.text(st.characters(codec="utf-8")), json_values))
def test_unedited_arguments_fit_the_schema_made_of_them(args: dict[str, Any]) -> None:
    fitted, found = fit(schema_of(args), json.loads(json.dumps(json_form(args))))

    assert found == ()
    assert fitted == args


# The other dialects.


def inbox(args: Any, **config: bool) -> dict[str, Any]:
    request = {"action": "book", "args": args}
    return {"action_request": request, "config": config, "description": "A booking"}


def middleware(*allowed: str, count: int = 1) -> dict[str, Any]:
    request = {"name": "book", "args": {"nights": 3}, "description": "A booking"}
    config = {"action_name": "book", "allowed_decisions": list(allowed)}
    return {"action_requests": [request] * count, "review_configs": [config]}


def test_an_agent_inbox_request_offers_what_its_config_allows() -> None:
    value = inbox({"nights": 3}, allow_accept=True, allow_ignore=True, allow_edit=False)

    question = form([value])

    assert (question["kind"], question["tool"]) == ("tool_call", "book")
    assert question["text"] == "Review the call of book"
    assert question["description"] == "A booking"
    assert question["allow"] == ["accept", "ignore"]


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (
            {"action": "continue"},
            {"type": "accept", "args": {"action": "book", "args": {"nights": 3.0}}},
        ),
        (
            {"action": "update", "data": {"nights": 4}},
            {"type": "edit", "args": {"action": "book", "args": {"nights": 4.0}}},
        ),
        ({"action": "feedback", "data": "no"}, {"type": "response", "args": "no"}),
        ({"action": "ignore"}, {"type": "ignore", "args": None}),
        ([{"type": "response", "args": "no"}], {"type": "response", "args": "no"}),
        ('[{"type": "ignore", "args": null}]', {"type": "ignore", "args": None}),
        (
            [{"type": "edit", "args": {"action": "book", "args": {"nights": 4}}}],
            {"type": "edit", "args": {"action": "book", "args": {"nights": 4.0}}},
        ),
    ],
)
def test_an_agent_inbox_request_is_answered_in_its_own_shape(
    sent: Any, answer: Any
) -> None:
    allow = dict.fromkeys(("accept", "edit", "respond", "ignore"), True)
    value = inbox(
        {"nights": 3.0}, **{f"allow_{name}": ok for name, ok in allow.items()}
    )

    found = check_answer(asked(value), sent)

    assert json.dumps(found) == json.dumps([answer])


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        ({"action": "continue"}, {"type": "approve"}),
        (
            {"action": "update", "data": {"nights": 4}},
            {"type": "edit", "edited_action": {"name": "book", "args": {"nights": 4}}},
        ),
        ({"action": "feedback", "data": "no"}, {"type": "reject", "message": "no"}),
        ({"action": "ignore"}, {"type": "reject"}),
        (
            {"decisions": [{"type": "reject", "message": "no"}]},
            {"type": "reject", "message": "no"},
        ),
        ({"decisions": [{"type": "reject"}]}, {"type": "reject"}),
        (
            {"decisions": [{"type": "edit", "edited_action": {"args": {"nights": 4}}}]},
            {"type": "edit", "edited_action": {"name": "book", "args": {"nights": 4}}},
        ),
    ],
)
def test_a_middleware_request_is_answered_in_its_own_shape(
    sent: Any, answer: Any
) -> None:
    value = middleware("approve", "edit", "reject")

    assert check_answer(asked(value), sent) == {"decisions": [answer]}


def test_a_message_for_a_tool_is_a_response_where_that_is_allowed() -> None:
    value = middleware("approve", "respond")

    question = form(value)
    answer = check_answer(asked(value), {"action": "feedback", "data": "42"})

    assert question["allow"] == ["accept", "respond"]
    assert answer == {"decisions": [{"type": "respond", "message": "42"}]}


def test_several_calls_in_one_question_are_answered_with_json() -> None:
    value = middleware("approve", "edit", "reject", count=2)
    sent = {
        "decisions": [
            {"type": "approve"},
            {
                "type": "edit",
                "edited_action": {"name": "book", "args": {"nights": "x"}},
            },
        ]
    }

    question = form(value)
    found = problems(value, json.dumps(sent))
    sent["decisions"][1] = {"type": "reject"}

    assert (question["kind"], question["text"]) == ("text", "Review 2 tool calls")
    assert '"nights": 3' in question["description"]
    assert "written as JSON" in question["note"]
    assert found == {"[1].nights": 'is "x"; it has to be a whole number'}
    assert check_answer(asked(value), json.dumps(sent)) == sent


@pytest.mark.parametrize(
    ("value", "sent", "path", "text"),
    [
        (middleware(count=2), "[", "", "is not JSON"),
        (middleware(count=2), {"decisions": [{}]}, "", "with 2 decisions"),
        (middleware(count=2), {"action": "continue"}, "", "with 2 decisions"),
        (middleware(), {"decisions": [{"type": "x"}]}, "[0].type", "is 'x'"),
        (middleware("approve"), {"action": "ignore"}, "action", "allowed: 'accept'"),
        ([inbox({})], [{"type": []}], "[0].type", "is []"),
        ([inbox({})], {"type": "accept"}, "", "has to be a list of 1 answers"),
    ],
)
def test_answers_in_a_wrong_shape_are_refused(
    value: Any, sent: Any, path: str, text: str
) -> None:
    found = problems(value, sent)

    assert text in found[path]


@pytest.mark.parametrize(
    "value",
    [
        {"tool_call": "book"},
        {"tool_call": {"args": {}}},
        {"action_requests": []},
        {"action_requests": [{"args": {}}]},
        {"action_request": {"args": {}}},
        [inbox({}), "and then"],
    ],
)
def test_half_a_request_is_a_plain_question(value: Any) -> None:
    assert form(value)["kind"] == "text"
