"""How a workflow's body is called, at the root of a run and inside of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow._engine.attempts import Attempts

if TYPE_CHECKING:
    from nbflow._engine.context import RunContext
    from nbflow._engine.spec import Spec

__all__ = ["await_body", "call_body"]


def call_body(context: RunContext, spec: Spec, given: Any) -> Any:
    """Call a synchronous body; run this inside a copied `contextvars` context."""
    attempts = Attempts(context, spec, (given,), {})
    try:
        return attempts.call()
    finally:
        context.scope.asked_at = attempts.scope.asked_at


async def await_body(context: RunContext, spec: Spec, given: Any) -> Any:
    """Await an asynchronous body; make this an asyncio task of its own."""
    attempts = Attempts(context, spec, (given,), {})
    try:
        return await attempts.awaited()
    finally:
        context.scope.asked_at = attempts.scope.asked_at
