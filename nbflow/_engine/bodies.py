"""How a workflow's body is called, at the root of a run and inside of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow._engine.attempts import Attempts
from nbflow._engine.caching import CachedBody

if TYPE_CHECKING:
    from nbflow._engine.context import RunContext
    from nbflow._engine.spec import Spec

__all__ = ["await_body", "await_end", "call_body"]


def call_body(context: RunContext, spec: Spec, given: Any) -> Any:
    """Call a synchronous body; run this inside a copied `contextvars` context."""
    attempts = Attempts(context, spec, (given,), {})
    cached = None if spec.cache is None else CachedBody.of(context, spec, given)
    try:
        return attempts.call() if cached is None else cached.result(attempts.call)
    finally:
        context.scope.asked_at = attempts.scope.asked_at
        attempts.scope.leave()


async def await_body(context: RunContext, spec: Spec, given: Any) -> Any:
    """Await an asynchronous body; make this an asyncio task of its own."""
    attempts = Attempts(context, spec, (given,), {})
    cached = None if spec.cache is None else CachedBody.of(context, spec, given)
    try:
        if cached is None:
            return await attempts.awaited()
        return await cached.awaited(attempts.awaited)
    finally:
        context.scope.asked_at = attempts.scope.asked_at
        attempts.scope.leave()


async def await_end(
    context: RunContext, spec: Spec, given: Any
) -> tuple[Any, BaseException | None]:
    """Like `await_body`, and return what would end more than the body.

    One of these exceptions that left an asyncio task would end its event loop, and
    with it everything else that runs there: a whole kernel, in a notebook.
    """
    try:
        return await await_body(context, spec, given), None
    except (KeyboardInterrupt, SystemExit, GeneratorExit) as error:
        return None, error
