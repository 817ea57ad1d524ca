"""When a failed attempt is made again, and how long it waits: LangGraph's rules."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nbflow._values import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["default_retry_on", "policies_of", "policy_for", "wait_before"]

_SERVER_ERRORS = range(500, 600)
_NOT_AGAIN = (
    ValueError,
    TypeError,
    ArithmeticError,
    ImportError,
    LookupError,
    NameError,
    SyntaxError,
    RuntimeError,
    ReferenceError,
    StopIteration,
    StopAsyncIteration,
    OSError,
)


def policies_of(
    given: RetryPolicy | Sequence[RetryPolicy] | None,
) -> tuple[RetryPolicy, ...]:
    """Return the policies that a decorator was given, in order.

    Raises
    ------
    TypeError
        One is something else.
    """
    # A policy is a named tuple, so it is a sequence too.
    found = (
        () if given is None else (given,) if isinstance(given, RetryPolicy) else given
    )
    if not isinstance(found, list | tuple):
        raise TypeError(f"retry_policy takes RetryPolicy values, not {given!r}")
    for policy in found:
        if not isinstance(policy, RetryPolicy):
            raise TypeError(f"retry_policy takes RetryPolicy values, not {policy!r}")
    return tuple(found)


def policy_for(policies: Sequence[RetryPolicy], error: Exception) -> RetryPolicy | None:
    """Return the first policy whose `retry_on` takes this error, or None."""
    for policy in policies:
        if _takes(policy, error):
            return policy
    return None


def wait_before(
    policy: RetryPolicy, failures: int, chance: Callable[[], float]
) -> float:
    """Return the seconds to wait after so many failures.

    ``min(max_interval, initial_interval * backoff_factor ** (failures - 1))``, and
    up to one second more where the policy has jitter.

    Parameters
    ----------
    failures : int
        Failed attempts so far, at least 1.
    chance : callable
        Returns a random number in [0, 1).
    """
    factor = policy.backoff_factor ** (failures - 1)
    delay = min(policy.max_interval, policy.initial_interval * factor)
    return delay + (chance() if policy.jitter else 0.0)


def default_retry_on(error: Exception) -> bool:
    """Return whether an error is worth a second attempt: networks, not bugs."""
    if isinstance(error, ConnectionError):
        return True
    for module in ("httpx", "requests"):
        client = sys.modules.get(module)
        status_error = getattr(
            client, "HTTPStatusError" if module == "httpx" else "HTTPError", None
        )
        if isinstance(status_error, type) and isinstance(error, status_error):
            response = getattr(error, "response", None)
            code = getattr(response, "status_code", None)
            return module == "requests" if code is None else code in _SERVER_ERRORS
    return not isinstance(error, _NOT_AGAIN)


def _takes(policy: RetryPolicy, error: Exception) -> bool:
    retry_on = policy.retry_on
    if retry_on is None:
        return default_retry_on(error)
    if isinstance(retry_on, type):
        return isinstance(error, retry_on)
    if isinstance(retry_on, Sequence):
        return isinstance(error, tuple(retry_on))
    return bool(retry_on(error))
