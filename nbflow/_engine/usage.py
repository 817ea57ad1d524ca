"""What the models called in a body say they used, in tokens.

LangChain's models tell it to a callback that is there in every body, once a module of
theirs has been imported; nothing is imported for it before. What no callback can have
seen is taken from the message that a task returns. A message counts once.
"""

from __future__ import annotations

import sys
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from nbflow._engine.context import current

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nbflow._engine.context import Scope

__all__ = ["Usage", "hear_usage", "usage_of"]

_MODELS: Final = "langchain_core.language_models.chat_models"
_MESSAGES: Final = "langchain_core.messages"
_KEYS: Final = ("input_tokens", "output_tokens", "total_tokens")
_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes, dict})

_lock: Final = threading.Lock()
_registering: Final = threading.Lock()
_hears: Final = threading.Event()


class Usage:
    """What was used by the models that a body called.

    Attributes
    ----------
    tokens : dict of str to int
        Sums of what was reported: ``input_tokens``, ``output_tokens`` and
        ``total_tokens``.
    """

    __slots__ = ("_seen", "tokens")

    def __init__(self) -> None:
        self.tokens = dict.fromkeys(_KEYS, 0)
        self._seen: set[str] = set()

    def add(self, message_id: str | None, reported: Mapping[str, Any]) -> None:
        """Add what a message reports, once: models may call each other for it."""
        if message_id is not None:
            if message_id in self._seen:
                return
            self._seen.add(message_id)
        if reported.get("total_cost") == 0:
            return  # LangChain's mark of what came from its own cache.
        for key in _KEYS:
            count = reported.get(key)
            if isinstance(count, int) and count > 0:
                self.tokens[key] += count


def hear_usage() -> None:
    """Have LangChain's models report from here on; does nothing while none is there."""
    if _hears.is_set() or not hasattr(sys.modules.get(_MODELS), "BaseChatModel"):
        return
    # Imported here: optional, and slow unless they are there already.
    from langchain_core.tracers.context import register_configure_hook  # noqa: PLC0415

    from nbflow._engine.langchain import UsageCallback  # noqa: PLC0415 - likewise

    with _registering:
        if not _hears.is_set():
            callback: Any = UsageCallback(_note)
            heard = ContextVar("nbflow_usage", default=callback)
            register_configure_hook(heard, inheritable=False)
            _hears.set()


def usage_of(
    scope: Scope,
    value: Any = None,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> dict[str, int] | None:
    """Return what the models called in a body used; None where none reported.

    Parameters
    ----------
    scope : Scope
        Of the body, which has ended.
    value : Any, optional
        What a task returned.
    args, kwargs : tuple, mapping
        What it was called with: messages in it are not its own.
    """
    if scope.usage is None:
        if _MESSAGES not in sys.modules:
            return None
        if type(value) not in _PLAIN and not scope.has_called:
            _note_returned(scope, value, (args, kwargs or {}))
        hear_usage()  # The task may have imported them.
    usage = scope.usage
    return usage.tokens if usage is not None and any(usage.tokens.values()) else None


def _note(message_id: str | None, reported: Mapping[str, Any]) -> None:
    context = current()
    if context is not None:
        _add(context.scope, message_id, reported)


def _add(scope: Scope, message_id: str | None, reported: Mapping[str, Any]) -> None:
    with _lock:
        if scope.usage is None:
            scope.usage = Usage()
        scope.usage.add(message_id, reported)


def _note_returned(scope: Scope, value: Any, given: Any) -> None:
    langchain = sys.modules[_MESSAGES]
    several = value if isinstance(value, list | tuple) else (value,)
    # A list of messages has one first; another may be long.
    if not several or not isinstance(several[0], langchain.BaseMessage):
        return
    others = list(_messages(given, langchain.AIMessage))
    for message in _messages(several, langchain.AIMessage):
        # A model that was heard has given its message an id.
        if not (_hears.is_set() and message.id) and message not in others:
            _add(scope, message.id, message.usage_metadata or {})


def _messages(value: Any, kind: type, depth: int = 4) -> Iterator[Any]:
    if isinstance(value, kind):
        yield value
    elif depth and isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _messages(each, kind, depth - 1)
