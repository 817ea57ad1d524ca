"""What a running body sees: one frozen context in one context variable."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from nbflow._engine.ids import digest, place_below

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._engine.run import Run, Settings
    from nbflow._engine.timeouts import Deadline
    from nbflow._engine.usage import Usage
    from nbflow._values import Interrupt

__all__ = ["RunContext", "Scope", "current", "enter", "require"]


class Scope:
    """The place where a body makes calls: it numbers them and so names them.

    Parameters
    ----------
    parent_id : str
        Identity of the call whose body this is; empty for the run's own.
    place : callable
        Returns the identity of the place, computed when it is first needed: most
        tasks call nothing.
    name : str
        Name of the task or workflow, for messages.
    loop : asyncio.AbstractEventLoop or None
        The loop an asynchronous body runs on; None for a synchronous body.
    nested : bool, default False
        Whether it is inside of a nested run.
    above : Scope or None
        The body that this one was called in; None for the run's own.

    Attributes
    ----------
    settings : Settings or None
        What a nested run was given; None is what the body above has.
    branch : tuple of str
        What a nested run's namespace has before its name: which one of the
        body above it is. Empty for the first.
    order : tuple of int
        Which call of each body around it, from the outermost one, led to this body.
    fresh : bool
        Whether nothing recorded is used here: a nested run without a history.
    is_run : bool
        Whether it is the own body of a nested run.
    holds_place : bool
        Whether the body counts as a running task.
    open_calls : int
        How many calls made here, and in nested runs here, have not ended.
    asked : list of Interrupt
        Questions without an answer that came up here or below.
    asked_at : str
        ``file:line`` of the newest question of this body itself.
    keeps : bool
        Whether what finishes here may be used again in this stretch: this body, or
        one around it, may be attempted again.
    left : str
        Why nothing may begin here any more, once its attempt or its body is over;
        empty before.
    deadline : Deadline or None
        What bounds the attempt in time.
    cached : bool
        Whether the body's result came from the cache.
    is_graph : bool
        Whether the body only runs a graph's nodes: then it has no level of its own in
        their namespaces.
    usage : Usage or None
        What the models called in the body, in all its attempts, say they used.
    """

    keeps = False
    left = ""
    deadline: Deadline | None = None
    cached = False
    usage: Usage | None = None
    settings: Settings | None = None
    branch: tuple[str, ...] = ()
    order: tuple[int, ...] = ()
    fresh = False
    is_run = False
    is_graph = False

    def __init__(
        self,
        parent_id: str,
        place: Callable[[], str],
        *,
        name: str = "",
        loop: asyncio.AbstractEventLoop | None = None,
        nested: bool = False,
        above: Scope | None = None,
    ) -> None:
        self.parent_id = parent_id
        self.name = name
        self.above = above
        if above is not None and above.settings is not None:
            self.settings, self.fresh = above.settings, above.fresh
        self.loop = loop
        self.nested = nested
        self.holds_place = False
        self.open_calls = 0
        self.asked: list[Interrupt] = []
        self.asked_at = ""
        self._make_place = place
        self._place: str | None = None
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, ...], int] = defaultdict(int)
        self._index = 0
        self._owner: object = None
        self._lanes = 0

    def again(self) -> Scope:
        """Return the scope of another attempt at the same body.

        Its calls are numbered from the start, and so have the same identities; a
        place that this attempt holds goes over to it.
        """
        scope = Scope(
            self.parent_id,
            self._make_place,
            name=self.name,
            loop=self.loop,
            nested=self.nested,
            above=self.above,
        )
        scope.settings, scope.branch = self.settings, self.branch
        scope.order = self.order
        scope.fresh, scope.is_run = self.fresh, self.is_run
        scope.is_graph = self.is_graph
        scope.holds_place = self.lend()
        scope.keeps = self.keeps
        self.left = "another attempt was made"
        # A question is pending, and a model has worked, whatever becomes of the
        # attempt that asked it.
        scope.asked = self.asked
        scope.usage = self.usage
        scope.asked_at = self.asked_at
        return scope

    def lend(self) -> bool:
        """Give the body's place away; return whether it had one."""
        with self._lock:
            had, self.holds_place = self.holds_place, False
        return had

    def hold(self) -> bool:
        """Take a place for the body; return False if it has one, or is over."""
        with self._lock:
            takes = not (self.left or self.holds_place)
            self.holds_place = self.holds_place or takes
        return takes

    @property
    def holder(self) -> Scope:
        """The body whose place stands for this one: nested runs have none."""
        scope = self
        while scope.is_run and scope.above is not None:
            scope = scope.above
        return scope

    def leave(self) -> None:
        """Let nothing begin here any more: threads and lanes may outlive their body."""
        self.left = self.left or f"the body of {self.name!r} has ended"

    def begin(self) -> None:
        """Note whose calls are the body's own: called where the body runs."""
        self._owner = _line(self.loop)

    @property
    def has_called(self) -> bool:
        """Whether the body called anything."""
        return self._index > 0 or self._lanes > 0

    @property
    def place(self) -> str:
        """Identity of this place, whatever the code of the body is."""
        if self._place is None:
            self._place = self._make_place()
        return self._place

    @property
    def body_id(self) -> str:
        """Identity of this body: its call, or the run's own."""
        return self.parent_id or digest(self.place, self.name)

    @property
    def path(self) -> tuple[str, ...]:
        """The bodies around this one, itself last, each as ``name:identity``."""
        own = () if self.is_graph else (f"{self.name}:{self.body_id}",)
        return own if self.above is None else (*self.above.path, *self.branch, *own)

    @property
    def namespace(self) -> tuple[str, ...]:
        """What a stream calls the run that this body is in; empty for the root."""
        scope = self
        while scope.above is not None and not scope.is_run:
            scope = scope.above
        return () if scope.above is None else (*scope.above.path, *scope.branch)

    def count(self, *key: str) -> int:
        """Return how often this key was counted here before."""
        with self._lock:
            seen = self._seen[key]
            self._seen[key] = seen + 1
        return seen

    def next_index(self) -> tuple[int, bool]:
        """Return the number of a call in the body's own line of control.

        Returns
        -------
        index : int
            How many such calls stood before it.
        aside : bool
            Whether the call comes from another thread or asyncio task; then it
            is not numbered.
        """
        if _line(self.loop) is not self._owner:
            self.lane()
            return self._index, True
        index = self._index
        self._index = index + 1
        return index, False

    def lane(self) -> str:
        """Return the name of the line of control that asks; "" for the body's own.

        Another thread or asyncio task is named by the order in which such lines
        first call something here, below the one that began it. In asyncio that
        order is the same in every run as long as a lane's first step is a call.
        """
        line = _line(self.loop)
        if line is self._owner:
            return ""
        held = _lane.get()
        if held is not None and held.scope is self and held.line is line:
            return held.name
        with self._lock:
            if held is None or held.scope is not self:
                name = str(self._lanes)
                self._lanes += 1
            else:
                name = f"{held.name}.{held.lanes}"
                held.lanes += 1
        _lane.set(_Lane(self, line, name))
        return name

    def place_below(self, name: str, args_key: str) -> Callable[[], str]:
        """Return what makes the place of a call's own body.

        It holds no code, so that calls below an edited task keep their identity.
        """
        return _Below(self, name, args_key, self.count(name, args_key))


class _Below(Struct, frozen=True, eq=False):
    """The place of a call's own body: every call has one, and few need it."""

    scope: Scope
    name: str
    args_key: str
    ordinal: int

    def __call__(self) -> str:
        return place_below(self.scope.place, self.name, self.args_key, self.ordinal)


class _Lane:
    """A line of control that a body began beside its own."""

    __slots__ = ("lanes", "line", "name", "scope")

    def __init__(self, scope: Scope, line: object, name: str) -> None:
        self.scope = scope
        self.line = line
        self.name = name
        self.lanes = 0


def _line(loop: asyncio.AbstractEventLoop | None) -> object:
    if loop is None:
        return threading.current_thread()
    try:
        return asyncio.current_task(loop)
    except RuntimeError:
        return threading.current_thread()


class RunContext(Struct, frozen=True, eq=False):
    """What the running body belongs to.

    Attributes
    ----------
    run : Run
        The run.
    scope : Scope
        Where calls of this body are counted.
    attempt : int
        Which attempt of the task this is, from 1.
    began_at : float
        When its first attempt began, in seconds since 1970-01-01 UTC; 0 for now.
    """

    run: Run
    scope: Scope
    attempt: int = 1
    began_at: float = 0.0

    @property
    def settings(self) -> Settings:
        """What this body's run was started with; a nested run has its own."""
        return self.scope.settings or self.run.settings


_current: ContextVar[RunContext | None] = ContextVar("nbflow_run", default=None)
_lane: Final[ContextVar[_Lane | None]] = ContextVar("nbflow_lane", default=None)


def current() -> RunContext | None:
    """Return the context of the running body; None outside of one."""
    return _current.get()


def enter(context: RunContext) -> None:
    """Make a context the current one; call it inside a copied `contextvars` context."""
    _current.set(context)


def require(what: str) -> RunContext:
    """Return the context of the running body.

    Raises
    ------
    RuntimeError
        No body is running here.
    """
    context = _current.get()
    if context is None:
        raise RuntimeError(
            f"Called {what} outside of a runnable context. "
            "Call it in the body of an entrypoint or a task that a run has started."
        )
    return context
