"""Chat messages as a stream shows them: those on their way, and those returned."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from nbflow._engine.ids import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbflow._engine.run import Run
    from nbflow._engine.streaming.calls import Noted
    from nbflow._events import MessageStreamed

__all__ = ["Messages"]

_Described: TypeAlias = tuple[Any, dict[str, Any]]


class Messages:
    """What a stream says of messages, each with where it came from.

    Parameters
    ----------
    run : Run
        The run.
    step : callable
        Returns the step of the input's checkpoint.
    """

    def __init__(self, run: Run, step: Callable[[], int]) -> None:
        self._run = run
        self._step = step
        self._seen: set[str] = set()
        self._models: dict[str, dict[str, Any]] = {}

    def streamed(self, event: MessageStreamed, noted: Noted | None) -> _Described:
        """Return a part of a message with what is known of it."""
        self._seen.add(event.message_id)
        if event.metadata:
            self._models[event.message_id] = dict(event.metadata)
        place = self._place(noted)
        model = self._models.get(event.message_id, {})
        own = {"checkpoint_ns": place["langgraph_checkpoint_ns"]}
        tags = (*(self._run.settings.config.get("tags") or ()), *model.get("tags", ()))
        shown = {"tags": list(dict.fromkeys(tags))} if tags else {}
        return event.data.live, {**place, **own, **model, **shown}

    def returned(self, value: Any, noted: Noted | None) -> Iterator[_Described]:
        """Yield the messages of a result that were not streamed before."""
        kind = _message_class()
        if kind is None:
            return
        for message in _found(value, kind):
            if message.id is not None and message.id in self._seen:
                continue
            if message.id is not None:
                self._seen.add(message.id)
            yield message, self._place(noted)

    def _place(self, noted: Noted | None) -> dict[str, Any]:
        run = self._run
        settings = run.settings
        described: dict[str, Any] = dict(settings.config.get("metadata") or {})
        if settings.thread_id:
            described["thread_id"] = settings.thread_id
        nested = noted is not None and bool(noted.home)
        name = settings.workflow if noted is None else noted.name
        path = _path(noted, settings.workflow)
        return {
            **described,
            "langgraph_step": 0 if nested else self._step() + 1,
            "langgraph_node": name,
            "langgraph_triggers": (
                ("__pregel_push",) if path[0] == "__pregel_push" else ("__start__",)
            ),
            "langgraph_path": path,
            "langgraph_checkpoint_ns": self._namespace(noted),
        }

    def _namespace(self, noted: Noted | None) -> str:
        if noted is not None:
            return "|".join(noted.path)
        settings = self._run.settings
        return f"{settings.workflow}:{digest(settings.run_id, settings.workflow)}"


def _path(noted: Noted | None, workflow: str) -> tuple[Any, ...]:
    if noted is None:
        return ("__pregel_pull", workflow)
    if noted.kind == "workflow":
        return ("__pregel_pull", noted.name)
    return ("__pregel_push", _path(noted.parent, workflow), noted.number, True)


def _message_class() -> type[Any] | None:
    # Nobody can have returned one where its module was never imported.
    module = sys.modules.get("langchain_core.messages")
    found: type[Any] | None = getattr(module, "BaseMessage", None)
    return found


def _found(value: Any, kind: type[Any]) -> Iterator[Any]:
    parts = [value] if isinstance(value, kind) else value
    if isinstance(parts, str | bytes):
        return
    if not isinstance(parts, Sequence):
        parts = _fields(value)
    for part in parts:
        if isinstance(part, kind):
            yield part
        elif isinstance(part, list | tuple) and parts is not value:
            yield from (item for item in part if isinstance(item, kind))


def _fields(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, f.name) for f in fields(value)]
    names = getattr(type(value), "model_fields", ())
    return [getattr(value, name) for name in names]
