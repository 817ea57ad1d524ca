"""Which call of a run a person means: its name, its number among those, or its id."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from nbflow._events import Interrupted, TaskCalled
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbflow._events import Record

__all__ = ["CALL_KINDS", "find_call", "numbered"]

CALL_KINDS: Final = ("TaskCalled", "Interrupted")
"""The kinds of records that `find_call` looks at."""

_QUESTION: Final = "interrupt"
_SHORTEST_ID: Final = 6
_SHOWN: Final = 20


def numbered(names: Mapping[str, str]) -> dict[str, str]:
    """Return how calls are told apart, by their ids.

    Parameters
    ----------
    names : mapping of str to str
        Each call's name by its id, in the order of first calls.

    Examples
    --------
    >>> numbered({"1f": "draft", "2e": "polish", "3d": "polish"})
    {'1f': 'draft', '2e': 'polish#1', '3d': 'polish#2'}
    """
    times, seen = Counter(names.values()), Counter[str]()
    found: dict[str, str] = {}
    for call_id, name in names.items():
        seen[name] += 1
        found[call_id] = f"{name}#{seen[name]}" if times[name] > 1 else name
    return found


def find_call(records: Iterable[Record], wanted: str) -> str:
    """Return the id of a call or a question of a run.

    Parameters
    ----------
    records : iterable of Record
        The run's, of `CALL_KINDS`.
    wanted : str
        The name of a task, or ``"interrupt"``; with ``#2`` behind it the second of
        that name. Or an id, or its first characters.

    Raises
    ------
    UsageError
        It names none of them, or several.
    """
    names: dict[str, str] = {}
    for record in records:
        match record.event:
            case TaskCalled(call_id=call_id, name=name):
                names.setdefault(call_id, name)
            case Interrupted(interrupt_id=interrupt_id):
                names.setdefault(interrupt_id, _QUESTION)
            case _:
                pass
    shown = numbered(names)
    name, _, number = wanted.rpartition("#")
    alone = {call_id for call_id in names if number == "1" and shown[call_id] == name}
    found = alone or {
        call_id
        for call_id in names
        if wanted in (call_id, shown[call_id], names[call_id])
        or (len(wanted) >= _SHORTEST_ID and call_id.startswith(wanted))
    }
    if len(found) == 1:
        return found.pop()
    known = list(shown.values())
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    what = "is several calls" if found else "is no call"
    raise UsageError(
        f"{wanted!r} {what} of that run. Its calls: "
        f"{', '.join(known[:_SHOWN]) or 'none'}{more}.\n"
        "Name one of them as it is written here, or by its id."
    )
