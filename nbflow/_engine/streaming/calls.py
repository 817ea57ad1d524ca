"""The calls of a stretch as a stream knows them: what they are, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow._engine.context import Scope
    from nbflow._events import TaskCalled

__all__ = ["Calls", "Noted"]


class Noted(Struct, eq=False):
    """A call of this stretch.

    Attributes
    ----------
    given : tuple or None
        Its arguments, until its end is shown.
    home : str
        Call id of the nested run it is shown in; empty for the root. A nested run
        is shown in its own.
    number : int
        How many calls its parent made before.
    parent : Noted or None
        The call in whose body it was made; None for the streamed body itself.
    scope : Scope
        Where a task was called, or a nested run's own.
    path : tuple of str
        The bodies around it, itself last.
    begun, open : bool
        Whether its begin was shown, and its end was not.
    asked : tuple of str
        Ids of questions that it, or a call below it, waits for.
    """

    call_id: str
    parent_id: str
    name: str
    kind: Literal["task", "node", "workflow"]
    given: tuple[tuple[Any, ...], dict[str, Any]] | None
    home: str
    number: int
    parent: Noted | None
    scope: Scope
    begun: bool = False
    open: bool = True
    asked: tuple[str, ...] = ()

    @property
    def path(self) -> tuple[str, ...]:
        """The bodies around it, itself last, each as ``name:identity``."""
        branch = self.scope.branch if self.kind == "workflow" else ()
        above = self.scope.above if self.kind == "workflow" else self.scope
        around = () if above is None else above.path
        return (*around, *branch, f"{self.name}:{self.call_id}")

    @property
    def namespace(self) -> tuple[str, ...]:
        """What the run it is shown in is called."""
        return self.scope.namespace


class Calls:
    """The calls below one body, each noted when it is made.

    Parameters
    ----------
    root_id : str
        The call whose body it is; empty for the run's own.
    """

    def __init__(self, root_id: str = "") -> None:
        self._root_id = root_id
        self._noted: dict[str, Noted] = {}
        self._made: dict[str, int] = {}

    def note(
        self,
        event: TaskCalled,
        given: tuple[tuple[Any, ...], dict[str, Any]],
        scope: Scope,
    ) -> Noted | None:
        """Note a call; None for one that is not below the body.

        Parameters
        ----------
        scope : Scope
            Where a task was called, or a nested run's own.
        """
        parent = self._noted.get(event.parent_id)
        is_root = event.call_id == self._root_id
        if parent is None and not is_root and event.parent_id != self._root_id:
            return None
        number = self._made.get(event.parent_id, 0)
        self._made[event.parent_id] = number + 1
        noted = Noted(
            call_id=event.call_id,
            parent_id=event.parent_id,
            name=event.name,
            kind=event.kind,
            given=given,
            home=event.call_id if event.kind == "workflow" else self._home(parent),
            number=number,
            parent=parent,
            scope=scope,
        )
        self._noted[event.call_id] = noted
        return noted

    def _home(self, parent: Noted | None) -> str:
        return self._root_id if parent is None else parent.home

    def get(self, call_id: str) -> Noted | None:
        """Return a call by its id."""
        return self._noted.get(call_id)

    def around(self, call_id: str) -> Iterator[Noted]:
        """Yield a call and those around it, up to the body."""
        noted = self._noted.get(call_id)
        while noted is not None:
            yield noted
            noted = self._noted.get(noted.parent_id)

    def still_open(self) -> list[Noted]:
        """Return the calls whose begin was shown without an end, the newest first."""
        return [n for n in reversed(list(self._noted.values())) if n.begun and n.open]
