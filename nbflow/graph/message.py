"""Lists of chat messages, merged by id.

LangChain's message classes where langchain-core is installed, plain dictionaries
with ``role`` and ``content`` where it is not.
"""

from __future__ import annotations

import importlib.util
import uuid
from typing import TYPE_CHECKING, Annotated, Any, Final, TypedDict

from nbflow._engine.context import current, require
from nbflow._engine.ids import digest
from nbflow._engine.tokens import note_message

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["REMOVE_ALL_MESSAGES", "MessagesState", "add_messages", "push_message"]

REMOVE_ALL_MESSAGES: Final = "__remove_all__"
"""Id of a `RemoveMessage` that removes everything before it."""


def add_messages(left: Any, right: Any) -> list[Any]:
    """Merge two lists of messages.

    A message of `right` with the id of one of `left` takes its place; others are
    appended. A message without an id gets one: in a run it is derived from the run
    and a counter, so that a replay gives the same, else it is random.

    Parameters
    ----------
    left, right : message or list of messages
        A message is a LangChain message, a dict with ``role`` and ``content``, a
        pair ``(role, content)`` or a text, which the user says.

    Returns
    -------
    list
        LangChain messages, or dicts where langchain-core is not installed.

    Raises
    ------
    ValueError
        A `RemoveMessage` names an id that `left` does not hold.
    TypeError
        Something is no message.

    Examples
    --------
    >>> one = {"role": "user", "content": "hi", "id": "1"}
    >>> other = {"role": "user", "content": "hello", "id": "1"}
    >>> [message.content for message in add_messages([one], [other])]
    ['hello']
    """
    kept = _with_ids(_coerced(left))
    new = _with_ids(_coerced(right))
    for index in range(len(new) - 1, -1, -1):
        if _removes(new[index]) == REMOVE_ALL_MESSAGES:
            return new[index + 1 :]
    return _merged(kept, new)


class MessagesState(TypedDict):
    """A state that is a list of chat messages, merged by `add_messages`."""

    messages: Annotated[list[Any], add_messages]


def push_message(message: Any, *, state_key: str | None = "messages") -> Any:
    """Show a message, or a part of one, in the stream mode ``"messages"``.

    For models that LangChain knows nothing of: give each token as a message with the
    same id. The log keeps it, within the limit of the custom stream.

    Parameters
    ----------
    message : message
        A LangChain message or its chunk, or a dict with ``role``, ``content`` and
        ``id``.
    state_key : str or None, default "messages"
        Where a graph's state would hold it. A workflow has no such state: return the
        message to keep it.

    Returns
    -------
    message
        What was shown.

    Raises
    ------
    ValueError
        It has no id, by which its parts belong together.
    RuntimeError
        Called outside of a run.
    """
    del state_key
    context = require("push_message")
    pushed = _coerced_part(message)
    message_id = _id(pushed)
    if not message_id:
        raise ValueError(
            "Message ID is required. Give every part of one message the same id."
        )
    note_message(context, message_id, pushed, {})
    return pushed


def _coerced_part(message: Any) -> Any:
    if importlib.util.find_spec("langchain_core") is None:
        return _as_dict(message)
    from langchain_core.messages import (  # noqa: PLC0415 - optional
        convert_to_messages,
    )

    return convert_to_messages([message])[0]


def _merged(left: list[Any], right: list[Any]) -> list[Any]:
    merged = list(left)
    places = {_id(message): index for index, message in enumerate(merged)}
    removed: set[str] = set()
    for message in right:
        message_id = _id(message)
        if _removes(message) is not None:
            if message_id not in places:
                raise ValueError(
                    "Attempting to delete a message with an ID that doesn't exist "
                    f"({message_id!r})"
                )
            removed.add(message_id)
        elif message_id in places:
            removed.discard(message_id)
            merged[places[message_id]] = message
        else:
            places[message_id] = len(merged)
            merged.append(message)
    return [message for message in merged if _id(message) not in removed]


def _coerced(given: Any) -> list[Any]:
    messages = given if isinstance(given, list) else [given]
    if importlib.util.find_spec("langchain_core") is None:
        return [_as_dict(message) for message in messages]
    from langchain_core.messages import (  # noqa: PLC0415 - optional
        convert_to_messages,
        message_chunk_to_message,
    )

    chunk_to_message: Callable[[Any], Any] = message_chunk_to_message
    return [chunk_to_message(message) for message in convert_to_messages(messages)]


def _as_dict(message: Any) -> dict[str, Any]:
    match message:
        case {"role": _, "content": _}:
            return dict(message)
        case (str(role), content):
            return {"role": role, "content": content}
        case str(text):
            return {"role": "user", "content": text}
        case _:
            raise TypeError(
                f"{message!r} is no message. Pass a dict with 'role' and 'content', or "
                "install langchain-core for its message classes."
            )


def _with_ids(messages: list[Any]) -> list[Any]:
    return [m if _id(m) else _with_id(m, _new_id()) for m in messages]


def _id(message: Any) -> str:
    found = message.get("id") if isinstance(message, dict) else message.id
    return found or ""


def _with_id(message: Any, message_id: str) -> Any:
    # A copy: the caller's own message is not ours to change.
    if isinstance(message, dict):
        return {**message, "id": message_id}
    return message.model_copy(update={"id": message_id})


def _removes(message: Any) -> str | None:
    kind = message.get("role") if isinstance(message, dict) else message.type
    return _id(message) if kind == "remove" else None


def _new_id() -> str:
    context = current()
    if context is None:
        return str(uuid.uuid4())
    scope = context.scope
    made = digest(scope.place, "message", str(scope.count("message")))
    return str(uuid.UUID(made))
