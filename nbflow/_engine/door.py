"""What users call inside of a body, answered from the one context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from nbflow._engine.context import require
from nbflow._engine.inject import runtime_of, writer_of

if TYPE_CHECKING:
    from nbflow._engine.inject import Runtime
    from nbflow._values import StreamWriter
    from nbflow.store.base import BaseStore

__all__ = ["get_config", "get_runtime", "get_store", "get_stream_writer"]

ContextT = TypeVar("ContextT")


def get_config() -> dict[str, Any]:
    """Return the config of the running workflow.

    Raises
    ------
    RuntimeError
        Called outside of a run.
    """
    return dict(require("get_config").settings.config)


def get_store() -> BaseStore | None:
    """Return the store that the entrypoint was given, or None.

    Raises
    ------
    RuntimeError
        Called outside of a run.
    """
    return require("get_store").settings.store


def get_stream_writer() -> StreamWriter:
    """Return a function that writes to the stream mode ``"custom"``.

    Raises
    ------
    RuntimeError
        Called outside of a run.
    """
    return writer_of(require("get_stream_writer"))


def get_runtime(
    context_schema: type[ContextT] | None = None,  # noqa: ARG001 - for type checkers
) -> Runtime[ContextT]:
    """Return the runtime of the running body.

    Parameters
    ----------
    context_schema : type, optional
        What the runtime's `context` is, for type checkers only.

    Raises
    ------
    RuntimeError
        Called outside of a run.
    """
    return runtime_of(require("get_runtime"))
