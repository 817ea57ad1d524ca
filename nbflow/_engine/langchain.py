"""What LangChain's chat models call back; imported only where one may be called.

Importing this imports langchain-core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk
from langchain_core.tracers._streaming import _StreamingCallbackHandler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from uuid import UUID

    from langchain_core.messages import BaseMessage
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.outputs import LLMResult

    from nbflow._engine.context import RunContext

__all__ = ["TokenCallback", "UsageCallback"]

_NO_STREAM = "nostream"


class TokenCallback(BaseCallbackHandler, _StreamingCallbackHandler[Any]):
    """Write the tokens of each chat model into the log of the run that calls it.

    One serves every run: a model's run is found by the context it is called in.

    Parameters
    ----------
    current : callable
        Returns the context of the body that runs here, or None.
    note : callable
        Writes a part of a message.
    """

    run_inline = True  # in the model's own thread, so that tokens keep their order

    def __init__(
        self,
        current: Callable[[], RunContext | None],
        note: Callable[[RunContext, str, Any, dict[str, Any]], None],
    ) -> None:
        self._current = current
        self._note = note
        self._models: dict[UUID, tuple[RunContext, dict[str, Any]]] = {}
        self._begun: set[UUID] = set()

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],  # noqa: ARG002 - LangChain's
        messages: list[list[BaseMessage]],  # noqa: ARG002 - LangChain's
        *,
        run_id: UUID,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Note in which body a model was called."""
        context = self._current()
        if context is None or _NO_STREAM in (tags or ()):
            return
        described = dict(metadata or {})
        if tags and (shown := [t for t in tags if not t.startswith("seq:step")]):
            described["tags"] = shown
        self._models[run_id] = (context, described)

    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],  # noqa: ARG002 - the chunk has it too
        *,
        chunk: Any = None,
        run_id: UUID,
        **_: Any,
    ) -> None:
        """Write one token."""
        if isinstance(chunk, ChatGenerationChunk) and run_id in self._models:
            self._write(run_id, chunk.message)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """Write the message of a model that does not stream."""
        if run_id in self._models and run_id not in self._begun:
            for generation in response.generations[:1]:
                if generation and isinstance(generation[0], ChatGeneration):
                    self._write(run_id, generation[0].message)
        self._forget(run_id)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:  # noqa: ARG002
        """Forget a model that failed."""
        self._forget(run_id)

    def tap_output_aiter(
        self,
        run_id: UUID,  # noqa: ARG002 - LangChain's
        output: AsyncIterator[Any],
    ) -> AsyncIterator[Any]:
        """Leave a model's output as it is."""
        return output

    def tap_output_iter(
        self,
        run_id: UUID,  # noqa: ARG002 - LangChain's
        output: Iterator[Any],
    ) -> Iterator[Any]:
        """Leave a model's output as it is."""
        return output

    def _write(self, run_id: UUID, message: BaseMessage) -> None:
        context, metadata = self._models[run_id]
        if message.id is None:
            message.id = f"lc_run--{run_id}"
        first = run_id not in self._begun
        self._begun.add(run_id)
        self._note(context, message.id, message, metadata if first else {})

    def _forget(self, run_id: UUID) -> None:
        self._models.pop(run_id, None)
        self._begun.discard(run_id)


class UsageCallback(BaseCallbackHandler):
    """Tell what each chat model says it used.

    Parameters
    ----------
    note : callable
        Takes the id of the model's message and what it reports; called in the
        context that the model was called in.
    """

    run_inline = True  # in that context
    ignore_chain = ignore_retriever = ignore_agent = ignore_chat_model = True
    ignore_custom_event = True

    def __init__(self, note: Callable[[str | None, UsageMetadata], None]) -> None:
        self._note = note

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Tell what the first answer reports: that is the whole call's."""
        for generation in response.generations[:1]:
            if generation and isinstance(generation[0], ChatGeneration):
                message = generation[0].message
                usage = getattr(message, "usage_metadata", None)
                if usage:
                    self._note(message.id, usage)
