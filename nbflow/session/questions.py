"""A question of the log as a form shows it, and the form's answer on its way back.

The words are those of `labextension/src/protocol.ts`. What is asked is read
anew from the log each time, so a form can't change it. Nothing here knows of
panels, or of what an answer starts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    NotRequired,
    TypeAlias,
    TypedDict,
    assert_never,
)

from nbflow._values import Payload
from nbflow.errors import InvalidAnswerError, UnreadableValueError
from nbflow.session.reviews import (
    Allowed,
    Proposal,
    RefusedError,
    Review,
    answer_form,
    decide,
    example_answer,
    read_review,
)
from nbflow.session.schemas import (
    UnshowableError,
    fit,
    is_rounded,
    is_same,
    json_form,
    strings_of,
)
from nbflow.session.texts import plain, text_of, value_of

if TYPE_CHECKING:
    from nbflow.session.views import QuestionView

__all__ = [
    "Choice",
    "ChoiceQuestion",
    "Question",
    "SchemaQuestion",
    "TextQuestion",
    "ToolCallQuestion",
    "check_answer",
    "question_of",
]

_TEXT_LIMIT: Final = 4_000
_DESCRIPTION_LIMIT: Final = 20_000
_LABEL_LIMIT: Final = 80
_MOST_CHOICES: Final = 30


class _QuestionBase(TypedDict):
    id: str
    source: str
    asked_at: float
    text: str
    description: str
    answered: bool
    note: str
    code: str


class ToolCallQuestion(_QuestionBase):
    """A tool call: answered ``{"action", "data"}``."""

    kind: Literal["tool_call"]
    tool: str
    args: dict[str, Any]
    args_json: NotRequired[str]
    schema: dict[str, Any]
    malformed: str
    allow: list[Allowed]


class TextQuestion(_QuestionBase):
    """A plain question: any text is its answer."""

    kind: Literal["text"]


class Choice(TypedDict):
    """One button and what pressing it sends."""

    label: str
    value: Any


class ChoiceQuestion(_QuestionBase):
    """A question with a few answers."""

    kind: Literal["choice"]
    choices: list[Choice]


class SchemaQuestion(_QuestionBase):
    """A question with a `response_schema`."""

    kind: Literal["schema"]
    schema: dict[str, Any]


Question: TypeAlias = ToolCallQuestion | TextQuestion | ChoiceQuestion | SchemaQuestion


@dataclass(frozen=True, slots=True)
class _Typed:
    schema: dict[str, Any]
    text: str
    description: str


@dataclass(frozen=True, slots=True)
class _Choices:
    text: str
    options: tuple[Any, ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class _Open:
    text: str
    description: str = ""


_Shape: TypeAlias = Review | _Typed | _Choices | _Open


def question_of(asked: QuestionView, thread_id: str, *, note: str = "") -> Question:
    """Return the form of a question, ready for a browser.

    Any value gets a form: a `response_schema` a typed one; a tool call in one of
    the shapes of `read_review` a review; a bool, a list of plain values or
    ``{"question", "choices"}`` buttons; everything else a text field under the
    value's text.

    Parameters
    ----------
    asked : QuestionView
        The question as folded from the log.
    thread_id : str
        Its thread, for the code that answers it.
    note : str, optional
        What a person has to do before the run can go on.
    """
    shape = _shape_of(asked)
    notes = [note, _note(shape)]
    base: _QuestionBase = {
        "id": asked.interrupt_id,
        "source": asked.source,
        "asked_at": asked.asked_at / 1000,
        "text": plain(_text(shape), _TEXT_LIMIT, lines=True),
        "description": plain(_description(shape), _DESCRIPTION_LIMIT, lines=True),
        "answered": asked.answered,
        "note": "\n".join(text for text in notes if text),
        "code": _code(asked.interrupt_id, thread_id, shape),
    }
    match shape:
        case _Typed(schema=schema):
            return {**base, "kind": "schema", "schema": schema}
        case _Choices(options=options):
            return {**base, "kind": "choice", "choices": _buttons(options)}
        case Review(proposals=(proposal,)):
            return _tool_call(base, proposal)
        case Review() | _Open():
            return {**base, "kind": "text"}
        case _:
            assert_never(shape)


def _tool_call(base: _QuestionBase, proposal: Proposal) -> ToolCallQuestion:
    question: ToolCallQuestion = {
        **base,  # type: ignore[typeddict-item] # args_json is added below
        "kind": "tool_call",
        "tool": plain(proposal.tool, _LABEL_LIMIT),
        "args": proposal.args,
        "schema": proposal.schema,
        "malformed": plain(proposal.malformed, _TEXT_LIMIT),
        "allow": list(proposal.allow),
    }
    if is_rounded(proposal.args):
        question["args_json"] = json.dumps(proposal.args, ensure_ascii=False)
    return question


def check_answer(asked: QuestionView, answer: Any) -> Any:
    """Return the answer that the workflow gets for what a form or a file sent.

    Numbers regain the types of what was proposed (3 where 3.0 was becomes 3.0);
    an answer to a review is put into the dialect of its question. A plain
    question takes any value.

    Parameters
    ----------
    asked : QuestionView
        The question as folded from the log.
    answer : Any
        JSON values.

    Raises
    ------
    InvalidAnswerError
        The answer does not fit: an action that is not allowed, a field of
        another type, none of the choices. Paths of its problems are those of the
        form's fields, as in ``"rows[0].name"``.
    """
    shape = _shape_of(asked)
    match shape:
        case _Open():
            return answer
        case _Choices(options=options):
            for option in options:
                if is_same(option, answer) or is_same(_sent(option), answer):
                    return option
            offered = ", ".join(repr(option) for option in options)
            problem = ("", f"is {answer!r}; choose one of {offered}")
            raise InvalidAnswerError(asked.interrupt_id, [problem])
        case _Typed(schema=schema):
            fitted, problems = fit(schema, answer)
            if problems:
                raise InvalidAnswerError(asked.interrupt_id, problems)
            return fitted
        case Review():
            try:
                return decide(shape, answer)
            except RefusedError as error:
                raise InvalidAnswerError(asked.interrupt_id, error.problems) from error
        case _:
            assert_never(shape)


def _text(shape: _Shape) -> str:
    match shape:
        case _Typed(text=text) | _Choices(text=text) | _Open(text=text):
            return text
        case Review(proposals=(proposal,), question=question):
            return question or f"Review the call of {proposal.tool}"
        case Review(proposals=proposals):
            return f"Review {len(proposals)} tool calls"
        case _:
            assert_never(shape)


# Reading.


def _shape_of(asked: QuestionView) -> _Shape:
    try:
        value = value_of(asked.value)
    except UnreadableValueError:
        return _Open(text_of(asked.value, _TEXT_LIMIT))
    if asked.response_schema is not None:
        typed = _typed(asked.response_schema, value, asked)
        if typed is not None:
            return typed
    review = read_review(value)
    if review is not None:
        return review
    return _choices(value) or _open(value, asked)


def _typed(schema: dict[str, Any], value: Any, asked: QuestionView) -> _Typed | None:
    try:
        shown = json_form(schema)
    except UnshowableError:
        return None
    opened = _open(value, asked)
    return _Typed(shown, opened.text, opened.description)


def _open(value: Any, asked: QuestionView) -> _Open:
    if isinstance(value, str):
        return _Open(value)
    if isinstance(value, Mapping) and isinstance(value.get("question"), str):
        others = {key: item for key, item in value.items() if key != "question"}
        return _Open(value["question"], _listing(others))
    return _Open("The workflow asks", text_of(asked.value, _DESCRIPTION_LIMIT))


def _listing(items: Mapping[Any, Any]) -> str:
    # A text stands as it was written; other values as their preview shows them.
    return "\n".join(
        f"{key}: {text_of(Payload(live=item), _TEXT_LIMIT, lines=True)}"
        for key, item in items.items()
    )


def _choices(value: Any) -> _Choices | None:
    if isinstance(value, bool):
        return _Choices("Yes or no?", (True, False))
    if isinstance(value, list | tuple) and _are_options(value):
        return _Choices("Choose one", tuple(value))
    if isinstance(value, Mapping) and isinstance(value.get("question"), str):
        options = value.get("choices")
        if isinstance(options, list | tuple) and _are_options(options):
            known = {"question", "choices"}
            others = {key: item for key, item in value.items() if key not in known}
            return _Choices(value["question"], tuple(options), _listing(others))
    return None


def _are_options(values: list[Any] | tuple[Any, ...]) -> bool:
    if not 0 < len(values) <= _MOST_CHOICES:
        return False
    try:
        forms = [json_form(value) for value in values]
    except UnshowableError:
        return False
    return not any(isinstance(form, list | dict) or form is None for form in forms)


# Writing.


def _buttons(options: tuple[Any, ...]) -> list[Choice]:
    labels = [_label(option) for option in options]
    if len(set(labels)) < len(labels):
        labels = [plain(repr(option), _LABEL_LIMIT) for option in options]
    return [
        {"label": label, "value": _sent(option)}
        for label, option in zip(labels, options, strict=True)
    ]


def _sent(option: Any) -> Any:
    # A browser would round it, and then it would be none of the choices.
    form = json_form(option)
    is_wide = isinstance(form, int) and is_rounded(form)
    return str(form) if is_wide else form


def _label(option: Any) -> str:
    if isinstance(option, bool):
        return "Yes" if option else "No"
    return plain(str(option), _LABEL_LIMIT) or "(empty)"


def _description(shape: _Shape) -> str:
    match shape:
        case _Typed(description=text) | _Choices(description=text):
            return text
        case _Open(description=text):
            return text
        case Review(proposals=(proposal,)):
            return _proposal_text(proposal)
        case Review(proposals=proposals):
            return "\n\n".join(
                f"[{i}] {p.tool}\n{_proposal_text(p, with_args=True)}"
                for i, p in enumerate(proposals)
            )
        case _:
            assert_never(shape)


def _proposal_text(proposal: Proposal, *, with_args: bool = False) -> str:
    parts = [proposal.description]
    if proposal.malformed:
        original = Payload(live=proposal.original)
        parts += [proposal.malformed, text_of(original, _TEXT_LIMIT)]
    elif with_args:
        parts.append(json.dumps(proposal.args, indent=2, ensure_ascii=False))
    return "\n".join(part for part in parts if part)


def _note(shape: _Shape) -> str:
    match shape:
        case Review(proposals=(proposal,)):
            texts = strings_of(proposal.args)
            hidden = any(not _is_visible(text) for text in texts)
            return "The arguments hold characters that can't be seen." if hidden else ""
        case Review():
            return f"The answer {answer_form(shape)}, written as JSON."
        case _:
            return ""


def _is_visible(text: str) -> bool:
    return text.replace("\n", "").replace("\t", "").isprintable()


def _code(interrupt_id: str, thread_id: str, shape: _Shape) -> str:
    answer = _example(shape)
    return f"nbflow.resume({thread_id!r}, {answer}, interrupt_id={interrupt_id!r})"


def _example(shape: _Shape) -> str:
    match shape:
        case _Open():
            return repr("your answer")
        case _Choices(options=options):
            return repr(options[0])
        case _Typed(schema={"properties": dict() as properties}):
            return "{" + ", ".join(f"{name!r}: ..." for name in properties) + "}"
        case _Typed():
            return "..."
        case Review():
            return repr(example_answer(shape))
        case _:
            assert_never(shape)
