"""Chat messages on their way into the log: LangChain's tokens, and one's own.

LangChain is imported only by `listen_to_models`, which is called where somebody
asked for messages. Its models find the callback through a context variable of ours,
so that nothing has to be handed to them.
"""

from __future__ import annotations

import importlib.util
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nbflow._engine.context import current

if TYPE_CHECKING:
    from nbflow._engine.context import RunContext

__all__ = ["listen_to_models", "note_message"]

_listening: ContextVar[Any] = ContextVar("nbflow_tokens", default=None)


def listen_to_models() -> None:
    """Have the chat models that are called in this context write their tokens.

    Does nothing where langchain-core is not installed.
    """
    if _listening.get() is not None or not _has_langchain():
        return
    _listening.set(_callback())


def note_message(
    context: RunContext, message_id: str, part: Any, metadata: dict[str, Any]
) -> None:
    """Write a message, or a part of one, in the name of a body."""
    run, scope = context.run, context.scope
    run.raise_if_stopping(scope)
    if scope.deadline is not None:
        scope.deadline.move()
    run.log.write_message(scope.parent_id, message_id, part, metadata)


@lru_cache(maxsize=1)
def _has_langchain() -> bool:
    return importlib.util.find_spec("langchain_core") is not None


@lru_cache(maxsize=1)
def _callback() -> Any:
    from langchain_core.tracers.context import (  # noqa: PLC0415 - optional, and slow
        register_configure_hook,
    )

    from nbflow._engine.langchain import TokenCallback  # noqa: PLC0415 - likewise

    register_configure_hook(_listening, inheritable=True)
    return TokenCallback(current, note_message)
