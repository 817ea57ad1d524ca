"""What a body takes from outside without a task: the time and chance.

Each value is recorded, so that a body that runs again gets what it got before.
Where values come from is `clock`'s business and the standard library's.
"""

from __future__ import annotations

import random as chance
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from nbflow import serde
from nbflow._engine import clock
from nbflow._engine.context import current
from nbflow._engine.ids import digest
from nbflow._events import ValueNoted

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["now", "random", "uuid4"]

T = TypeVar("T")


def now() -> datetime:
    """Return the time, recorded: a body that is continued sees the same moment.

    In a task it is the time of the task's first attempt that asked: a retry, or
    a task that runs again because its process was killed, gets it again. So do
    `uuid4` and `random`, and that makes them fit for idempotency keys. With
    ``durability="sync"`` the value is on disk when this returns.

    Values are told apart by their body, their name and how many the body took
    before. In threads or asyncio tasks that a body begins itself, they are also
    told apart by the order in which these first call something; where that order
    changes from run to run, as it may among threads, take the values before.

    Returns
    -------
    datetime
        Aware, in UTC, to the microsecond. Outside of a run the plain time, which
        nothing records.

    Raises
    ------
    StoreError
        The value could not be written.

    Examples
    --------
    >>> import nbflow
    >>> nbflow.now().tzname()
    'UTC'
    """
    return _taken("now", _time)


def uuid4() -> uuid.UUID:
    """Return a random UUID (version 4), recorded: fit for an idempotency key.

    Returns
    -------
    uuid.UUID
        The same one whenever the same body asks again; see `now`. Outside of a
        run a plain one, which nothing records.

    Raises
    ------
    StoreError
        The value could not be written.

    Examples
    --------
    >>> import nbflow
    >>> @nbflow.task
    ... def pay(amount: int) -> str:
    ...     key = str(nbflow.uuid4())  # the same one, however often the task runs
    ...     return key
    """
    return _taken("uuid4", uuid.uuid4)


def random() -> float:
    """Return a random number in [0, 1), recorded.

    For more than a number, seed a generator of your own with it:
    ``random.Random(nbflow.random()).shuffle(items)``.

    Returns
    -------
    float
        The same one whenever the same body asks again; see `now`. Outside of a
        run a plain one, which nothing records.

    Raises
    ------
    StoreError
        The value could not be written.

    Examples
    --------
    >>> import nbflow
    >>> 0 <= nbflow.random() < 1
    True
    """
    return _taken("random", chance.random)


def _time() -> datetime:
    return datetime.fromtimestamp(clock.in_use().time(), UTC)


def _taken(name: str, take: Callable[[], T]) -> T:
    context = current()
    if context is None:
        return take()
    run, scope = context.run, context.scope
    run.raise_if_stopping(scope)
    lane = scope.lane()
    ordinal = scope.count("noted", name, lane)
    note_id = digest(scope.place, "noted", name, lane, str(ordinal))
    known = run.recorded.noted(note_id)
    if known is not None:
        data = known.value.data
        found: T = known.value.live if data is None else serde.decode(data)
        return found
    value = take()
    payload = run.log.payload(value, root=f"{name}()", task=scope.name)
    event = ValueNoted(
        note_id, scope.parent_id, scope.place, name, lane, ordinal, payload
    )
    run.log.write_outcome(event)
    run.recorded.take_note(event)
    return value
