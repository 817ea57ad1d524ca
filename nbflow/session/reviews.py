"""Tool calls put before a person, in the three dialects in which programs do it.

Each dialect has its own shape of the question and of the answer; what a form
asks and sends is the same for all. Nothing here knows of runs or panels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, assert_never

from nbflow.session.schemas import (
    Problem,
    UnshowableError,
    fit,
    json_form,
    schema_of,
)

__all__ = [
    "Action",
    "Allowed",
    "Decision",
    "Dialect",
    "Proposal",
    "RefusedError",
    "Review",
    "answer_form",
    "decide",
    "example_answer",
    "read_review",
]

Action: TypeAlias = Literal["continue", "update", "feedback", "ignore"]
"""What a form sends, in the how-to's words, and ``"ignore"``."""

Allowed: TypeAlias = Literal["accept", "edit", "respond", "ignore"]
"""What a form offers."""

Dialect: TypeAlias = Literal["how-to", "inbox", "middleware"]

_OFFERED_AS: Final[Mapping[Action, Allowed]] = {
    "continue": "accept",
    "update": "edit",
    "feedback": "respond",
    "ignore": "ignore",
}
_INBOX_TYPES: Final[Mapping[str, Action]] = {
    "accept": "continue",
    "edit": "update",
    "response": "feedback",
    "ignore": "ignore",
}
_MIDDLEWARE_TYPES: Final[Mapping[str, Action]] = {
    "approve": "continue",
    "edit": "update",
    "respond": "feedback",
    "reject": "feedback",
}
_LARGEST_ARGS: Final = 256_000


class RefusedError(ValueError):
    """An answer does not fit its review.

    Attributes
    ----------
    problems : tuple of (str, str)
        Path of the field and what is wrong there.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__(self.problems)


@dataclass(frozen=True, slots=True)
class Proposal:
    """One tool call that waits for a decision.

    Attributes
    ----------
    tool : str
        Name of the tool.
    args : dict
        The proposed arguments as a browser gets them.
    schema : dict
        JSON Schema of the arguments.
    allow : tuple of str
        What may be decided.
    malformed : str
        Why the arguments can be neither accepted nor edited; empty if they can.
    description : str
        The program's own words about this call.
    original : Any
        The action as it stands in the question.
    """

    tool: str
    args: dict[str, Any]
    schema: dict[str, Any]
    allow: tuple[Allowed, ...]
    malformed: str = ""
    description: str = ""
    original: Any = None


@dataclass(frozen=True, slots=True)
class Review:
    """The tool calls of one question, and in which dialect it was asked."""

    dialect: Dialect
    proposals: tuple[Proposal, ...]
    question: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about one tool call.

    Attributes
    ----------
    action : str
        ``"continue"``, ``"update"``, ``"feedback"`` or ``"ignore"``.
    data : Any
        The arguments of an update, or the text of a feedback.
    """

    action: Action
    data: Any = None


def read_review(value: Any) -> Review | None:
    """Return the tool calls that a question's value proposes, or None.

    Recognised are the how-to's ``{"question", "tool_call": {"name", "args"}}``,
    Agent Inbox's ``HumanInterrupt``, alone or in a list, and LangChain's
    ``HITLRequest``. A JSON Schema at ``"schema"`` beside ``"tool_call"``, or at
    ``"args_schema"`` of a review configuration, is used for the arguments.
    """
    if isinstance(value, Mapping):
        if "tool_call" in value:
            return _read_howto(value)
        if "action_requests" in value:
            return _read_middleware(value)
    requests = list(value) if isinstance(value, list | tuple) else [value]
    proposals = [_read_inbox(request) for request in requests]
    if proposals and all(proposals):
        return Review("inbox", tuple(p for p in proposals if p is not None))
    return None


def decide(review: Review, answer: Any) -> Any:
    """Return an answer in the review's own dialect.

    Parameters
    ----------
    review : Review
        What was asked.
    answer : Any
        What a form sends, ``{"action", "data"}``; or an answer that is in the
        dialect already, as a value or as its JSON text.

    Returns
    -------
    Any
        The answer with the types of its numbers as proposed.

    Raises
    ------
    RefusedError
        The action is not allowed, or the data does not fit.
    """
    decisions = _parse(review, answer)
    problems: list[Problem] = []
    checked = []
    for index, (proposal, decision) in enumerate(
        zip(review.proposals, decisions, strict=True)
    ):
        prefix = f"[{index}]" if len(decisions) > 1 else ""
        data, found = _check(proposal, decision)
        problems += [(_under(prefix, path), text) for path, text in found]
        checked.append(Decision(decision.action, data))
    if problems:
        raise RefusedError(problems)
    return _encode(review, checked)


def answer_form(review: Review) -> str:
    """Return what an answer in the review's own dialect has to be, as a predicate."""
    count = len(review.proposals)
    match review.dialect:
        case "how-to":
            return "needs the key 'action': 'continue', 'update' or 'feedback'"
        case "inbox":
            return (
                f"has to be a list of {count} answers "
                '[{"type": "accept" | "edit" | "response" | "ignore", "args": ...}]'
            )
        case "middleware":
            return (
                f'has to be {{"decisions": [...]}} with {count} decisions '
                '{"type": "approve" | "edit" | "reject", ...}'
            )
        case _:
            assert_never(review.dialect)


def example_answer(review: Review) -> Any:
    """Return an answer that takes every call as it is, or refuses what can't be."""
    decisions = [
        Decision("continue") if "accept" in p.allow else Decision("feedback", "...")
        for p in review.proposals
    ]
    return _encode(review, decisions)


# Reading a question.


def _read_howto(value: Mapping[str, Any]) -> Review | None:
    call = value["tool_call"]
    if not isinstance(call, Mapping) or not isinstance(call.get("name"), str):
        return None
    proposal = _propose(
        tool=call["name"],
        args=call.get("args"),
        schema=value.get("schema"),
        allow=("accept", "edit", "respond"),
        description=value.get("description"),
        original=call,
    )
    question = value.get("question")
    return Review("how-to", (proposal,), question if isinstance(question, str) else "")


def _read_inbox(value: Any) -> Proposal | None:
    request = value.get("action_request") if isinstance(value, Mapping) else None
    if not isinstance(request, Mapping) or not isinstance(request.get("action"), str):
        return None
    config = value.get("config")
    offered: tuple[Allowed, ...] = ("accept", "edit", "respond", "ignore")
    if isinstance(config, Mapping):
        offered = tuple(name for name in offered if config.get(f"allow_{name}"))
    return _propose(
        tool=request["action"],
        args=request.get("args"),
        schema=None,
        allow=offered,
        description=value.get("description"),
        original=request,
    )


def _read_middleware(value: Mapping[str, Any]) -> Review | None:
    requests = value["action_requests"]
    if not isinstance(requests, list | tuple) or not requests:
        return None
    configs = value.get("review_configs")
    rules = {
        rule.get("action_name"): rule
        for rule in (configs if isinstance(configs, list | tuple) else ())
        if isinstance(rule, Mapping)
    }
    proposals = []
    for request in requests:
        if not isinstance(request, Mapping) or not isinstance(request.get("name"), str):
            return None
        rule = rules.get(request["name"], {})
        proposal = _propose(
            tool=request["name"],
            args=request.get("args"),
            schema=rule.get("args_schema"),
            allow=_offered(rule.get("allowed_decisions")),
            description=request.get("description"),
            original={**request, "allowed": rule.get("allowed_decisions")},
        )
        proposals.append(proposal)
    return Review("middleware", tuple(proposals))


def _offered(decisions: Any) -> tuple[Allowed, ...]:
    if not isinstance(decisions, list | tuple):
        return ("accept", "edit", "respond", "ignore")
    offered: list[Allowed] = []
    if "approve" in decisions:
        offered.append("accept")
    if "edit" in decisions:
        offered.append("edit")
    if "respond" in decisions or "reject" in decisions:
        offered.append("respond")
    if "reject" in decisions:
        offered.append("ignore")
    return tuple(offered)


def _propose(
    *,
    tool: str,
    args: Any,
    schema: Any,
    allow: tuple[Allowed, ...],
    description: Any,
    original: Any,
) -> Proposal:
    text = description if isinstance(description, str) else ""
    try:
        shown, typed = _shown(args), _given_schema(schema)
    except UnshowableError as error:
        allow = tuple(name for name in allow if name in {"respond", "ignore"})
        return Proposal(tool, {}, {}, allow, str(error), text, original)
    if typed is None:
        typed = schema_of(args)
    return Proposal(tool, shown, typed, allow, "", text, original)


def _shown(args: Any) -> dict[str, Any]:
    if not isinstance(args, dict):
        raise UnshowableError(f"args is a {type(args).__name__}, not an object")
    shown: dict[str, Any] = json_form(args, "args")
    size = len(json.dumps(shown))
    if size > _LARGEST_ARGS:
        raise UnshowableError(
            f"args takes {size:,} bytes; a form shows at most {_LARGEST_ARGS:,}"
        )
    return shown


def _given_schema(schema: Any) -> dict[str, Any] | None:
    # A schema that no form can use is as good as none.
    if not isinstance(schema, dict):
        return None
    try:
        given: dict[str, Any] = json_form(schema)
    except UnshowableError:
        return None
    return given


# Reading an answer.


def _parse(review: Review, answer: Any) -> list[Decision]:
    if isinstance(answer, str) and review.dialect != "how-to":
        answer = _from_json(answer)
    count = len(review.proposals)
    if count == 1 and isinstance(answer, Mapping) and "action" in answer:
        return [_from_form(answer)]
    match review.dialect:
        case "how-to":
            raise RefusedError([("", answer_form(review))])
        case "inbox":
            items, types = answer, _INBOX_TYPES
        case "middleware":
            items = answer.get("decisions") if isinstance(answer, Mapping) else None
            types = _MIDDLEWARE_TYPES
        case _:
            assert_never(review.dialect)
    if not isinstance(items, list | tuple) or len(items) != count:
        raise RefusedError([("", answer_form(review))])
    return [_from_native(item, types, index) for index, item in enumerate(items)]


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise RefusedError([("", f"is not JSON: {error}")]) from error


def _from_form(answer: Mapping[str, Any]) -> Decision:
    action = answer["action"]
    for known in _OFFERED_AS:
        if action == known:
            return Decision(known, answer.get("data"))
    names = ", ".join(map(repr, _OFFERED_AS))
    raise RefusedError([("action", f"is {action!r}; choose one of {names}")])


def _from_native(item: Any, types: Mapping[str, Action], index: int) -> Decision:
    kind = item.get("type") if isinstance(item, Mapping) else None
    if not isinstance(kind, str) or kind not in types:
        known = ", ".join(map(repr, types))
        raise RefusedError([(f"[{index}].type", f"is {kind!r}; choose one of {known}")])
    action = types[kind]
    if types is _INBOX_TYPES:
        data = item.get("args")
        if action == "update" and isinstance(data, Mapping):
            data = data.get("args")
        return Decision(action, data if action in {"update", "feedback"} else None)
    if action == "update":
        edited = item.get("edited_action")
        return Decision(
            action, edited.get("args") if isinstance(edited, Mapping) else None
        )
    message = item.get("message")
    if kind == "reject" and message is None:
        return Decision("ignore")
    return Decision(action, message)


def _check(proposal: Proposal, decision: Decision) -> tuple[Any, Sequence[Problem]]:
    if _OFFERED_AS[decision.action] not in proposal.allow:
        why = f" ({proposal.malformed})" if proposal.malformed else ""
        offered = ", ".join(map(repr, proposal.allow)) or "nothing"
        text = f"{decision.action!r} is not allowed here{why}; allowed: {offered}"
        return None, [("action", text)]
    match decision.action:
        case "continue" | "ignore":
            return None, ()
        case "update" if not isinstance(decision.data, dict):
            return None, [("data", "has to be an object: all arguments, edited")]
        case "update":
            return fit(proposal.schema, decision.data)
        case "feedback":
            if isinstance(decision.data, str) and decision.data.strip():
                return decision.data, ()
            return None, [("data", "is empty; write what to tell")]
        case _:
            assert_never(decision.action)


def _under(prefix: str, path: str) -> str:
    joint = "." if prefix and path and not path.startswith("[") else ""
    return f"{prefix}{joint}{path}"


# Writing an answer.


def _encode(review: Review, decisions: Sequence[Decision]) -> Any:
    pairs = list(zip(review.proposals, decisions, strict=True))
    match review.dialect:
        case "how-to":
            ((_, decision),) = pairs
            answer: dict[str, Any] = {"action": decision.action}
            return answer if decision.data is None else answer | {"data": decision.data}
        case "inbox":
            return [_inbox_answer(proposal, decision) for proposal, decision in pairs]
        case "middleware":
            return {"decisions": [_middleware_answer(p, d) for p, d in pairs]}
        case _:
            assert_never(review.dialect)


def _inbox_answer(proposal: Proposal, decision: Decision) -> dict[str, Any]:
    match decision.action:
        case "continue":
            return {"type": "accept", "args": proposal.original}
        case "update":
            edited = {"action": proposal.tool, "args": decision.data}
            return {"type": "edit", "args": edited}
        case "feedback":
            return {"type": "response", "args": decision.data}
        case "ignore":
            return {"type": "ignore", "args": None}
        case _:
            assert_never(decision.action)


def _middleware_answer(proposal: Proposal, decision: Decision) -> dict[str, Any]:
    match decision.action:
        case "continue":
            return {"type": "approve"}
        case "update":
            edited = {"name": proposal.tool, "args": decision.data}
            return {"type": "edit", "edited_action": edited}
        case "feedback":
            allowed = proposal.original["allowed"] or ("reject",)
            kind = "respond" if "respond" in allowed else "reject"
            return {"type": kind, "message": decision.data}
        case "ignore":
            return {"type": "reject"}
        case _:
            assert_never(decision.action)
