"""What a name stands for, and whether its value counts as code.

A value counts where its name is bound once and for all; whether it is, is read
off the file of a module, or off all the cells of a notebook.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from nbflow._engine.code.sources import Source, sources_of
from nbflow._engine.code.standing import MISSING, Owner, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._engine.code.origins import Origins
    from nbflow._engine.code.scopes import Chain

__all__ = ["Fate", "Found", "Names", "Space"]

Fate: TypeAlias = Literal["once", "changing", "foreign"]
"""How a name is bound: once and for all; in some other way, or nobody knows how;
by an import from a package that is not the user's."""


@dataclass(frozen=True, slots=True)
class Space:
    """Where the names of one function or class are looked up.

    Attributes
    ----------
    owner : function or module
        Has the namespace.
    names : dict
        The namespace.
    cells : dict
        Functions that hold each free name in their closure, with its index.
    settled : frozenset of str
        The free names that are bound once and for all.
    """

    owner: Owner
    names: dict[str, Any]
    cells: dict[str, tuple[FunctionType, int]] = field(default_factory=dict)
    settled: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Found:
    """What a dotted name stands for.

    Attributes
    ----------
    name : str
        The part of the dotted name that was followed: through modules only.
    value : object
        What it stands for; MISSING if for nothing.
    fate : callable
        Gives how the name is bound. Called only where that matters.
    expect : callable
        Notes that the value, or (with `by_type`) its type, is to stay.
    """

    name: str
    value: Any
    fate: Callable[[], Fate]
    expect: Callable[..., None]


class Names:
    """Looks names up for one walk, and notes what must stay as it is.

    Parameters
    ----------
    origins : Origins
        Tells which modules are followed.

    Attributes
    ----------
    watch : Watch
        What was noted.
    """

    __slots__ = ("_origins", "_sources", "watch")

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._sources: dict[int, list[Source]] = {}
        self.watch = Watch()

    @property
    def asked(self) -> bool:
        """Whether the sources of a namespace were asked how a name is bound."""
        return bool(self._sources)

    def look_up(self, chain: Chain, space: Space) -> Found:
        """Return what a dotted name stands for.

        Parameters
        ----------
        chain : tuple of str
            A name and the attributes read from it.
        space : Space
            Where the name is read.

        Returns
        -------
        Found
            For as much of the chain as leads through modules of the user's.
        """
        name = chain[0]
        if name in space.cells:
            return self._in_cell(name, space)
        value = space.names.get(name, MISSING)
        owner, names, depth = space.owner, space.names, 1
        while (
            issubclass(type(value), ModuleType)
            and depth < len(chain)
            and self._origins.owns_module(value)
        ):
            self.watch.name(owner, chain[depth - 1], value, by_type=False)
            owner, names = value, vars(value)
            value = names.get(chain[depth], MISSING)
            depth += 1
        dotted, last, home = ".".join(chain[:depth]), chain[depth - 1], names

        def fate() -> Fate:
            if depth > 1 and any(dotted in s.stored for s in self._of(space.names)):
                return "changing"
            return self._fate(home, last, frozenset())

        def expect(*, by_type: bool = False) -> None:
            self.watch.name(owner, last, value, by_type=by_type)

        return Found(dotted, value, fate, expect)

    def _in_cell(self, name: str, space: Space) -> Found:
        function, index = space.cells[name]
        closure = function.__closure__ or ()
        value: Any
        try:
            value = closure[index].cell_contents
        except ValueError:
            value = MISSING

        def fate() -> Fate:
            return "once" if name in space.settled else "changing"

        def expect(*, by_type: bool = False) -> None:
            self.watch.cell(function, index, value, by_type=by_type)

        return Found(name, value, fate, expect)

    def _of(self, names: dict[str, Any]) -> list[Source]:
        sources = self._sources.get(id(names))
        if sources is None:
            sources = self._sources[id(names)] = sources_of(names)
        return sources

    def _fate(
        self, names: dict[str, Any], name: str, seen: frozenset[tuple[int, str]]
    ) -> Fate:
        bindings = [source.bindings for source in self._of(names)]
        imports = {known.imports[name] for known in bindings if name in known.imports}
        once = any(name in known.once for known in bindings)
        if (
            any(name in known.inner_global for known in bindings)
            or any(
                name in known.otherwise and name not in known.imports
                for known in bindings
            )
            or (once and imports)
            or len(imports) > 1
            or (id(names), name) in seen
        ):
            return "changing"
        for module, original in imports:
            origin = _module(module, names)
            if origin is None or not self._origins.owns_module(origin):
                return "foreign"
            return self._fate(vars(origin), original, seen | {(id(names), name)})
        return "once" if once else "changing"


def _module(name: str, names: dict[str, Any]) -> ModuleType | None:
    """Return the module that an import statement named, if it is loaded."""
    try:
        absolute = importlib.util.resolve_name(name, names.get("__package__"))
    except ImportError:
        return None
    return sys.modules.get(absolute)
