"""What must still be so for code that was taken to be current.

This is the hot path of every call: a handful of lookups for each namespace
involved. Nothing here keeps a function or its namespace alive.
"""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct, field

from nbflow._engine.code.weak import weakly

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MISSING", "Owner", "Standing", "Watch"]

Owner: TypeAlias = FunctionType | ModuleType
"""What gives names a meaning: a function those of its globals, a module its own."""

_Getter: TypeAlias = "Callable[[], object]"
_Expected: TypeAlias = tuple[tuple[str, _Getter], ...]


class _Missing:
    """A name without a value."""


MISSING = _Missing()


class Standing(Struct, frozen=True, eq=False):
    """How everything was found that counts as the code of one function.

    Attributes
    ----------
    functions : tuple
        What gives each function, its code object and the ids of its defaults.
    spaces : tuple
        What gives the owner of each namespace, the attribute that holds it, the
        names that must stand for the same object, and those that must stand for
        one of the same type.
    cells : tuple
        What gives each function, the index of a free name, what gives the object
        (or the type) that it must stand for, and whether that is the type.
    """

    functions: tuple[tuple[_Getter, object, int, int], ...]
    spaces: tuple[tuple[_Getter, str, _Expected, _Expected], ...]
    cells: tuple[tuple[_Getter, int, _Getter, bool], ...]

    def holds(self) -> bool:
        """Return whether all of it would be found again."""
        function: Any
        for getter, code, defaults, keywords in self.functions:
            function = getter()
            if (
                function is None
                or function.__code__ is not code
                or id(function.__defaults__) != defaults
                or id(function.__kwdefaults__) != keywords
            ):
                return False
        for getter, space, same, kinds in self.spaces:
            names = getattr(getter(), space, None)
            if names is None:
                return False
            find = names.get
            for name, expected in same:
                if find(name, MISSING) is not expected():
                    return False
            for name, expected in kinds:
                if type(find(name, MISSING)) is not expected():
                    return False
        return not self.cells or self._cells_hold()

    def _cells_hold(self) -> bool:
        for getter, index, expected, by_type in self.cells:
            function: Any = getter()
            try:
                value = function.__closure__[index].cell_contents
            except (AttributeError, TypeError, ValueError):
                # The function is gone, or its cell is empty: bound later.
                return False
            if (type(value) if by_type else value) is not expected():
                return False
        return True


class Watch(Struct, eq=False):
    """A standing in the making."""

    _functions: dict[int, FunctionType] = field(default_factory=dict)
    _owners: dict[int, Owner] = field(default_factory=dict)
    _same: dict[int, dict[str, _Getter]] = field(default_factory=dict)
    _kinds: dict[int, dict[str, _Getter]] = field(default_factory=dict)
    _cells: dict[tuple[int, int], tuple[_Getter, int, _Getter, bool]] = field(
        default_factory=dict
    )

    def function(self, function: FunctionType) -> None:
        """Note a function: its code and defaults must stay."""
        self._functions[id(function)] = function

    def name(self, owner: Owner, name: str, value: object, *, by_type: bool) -> None:
        """Note what a name stood for.

        Parameters
        ----------
        owner : function or module
            Whose namespace it was found in.
        name : str
            The name.
        value : object
            What it stood for; MISSING if for nothing.
        by_type : bool
            Whether another value of the same type changes nothing.
        """
        # Functions of one module share its namespace, and are asked once for it.
        space = id(getattr(owner, _space(owner)))
        self._owners.setdefault(space, owner)
        expected = self._kinds if by_type else self._same
        expected.setdefault(space, {})[name] = weakly(type(value) if by_type else value)

    def cell(
        self, function: FunctionType, index: int, value: object, *, by_type: bool
    ) -> None:
        """Note what a free name of a function stood for, as `name` does."""
        expected = weakly(type(value) if by_type else value)
        key = (id(function), index)
        self._cells[key] = (weakly(function), index, expected, by_type)

    def finished(self) -> Standing:
        """Return the standing, which keeps nothing alive but constants."""
        return Standing(
            functions=tuple(
                (
                    weakly(function),
                    function.__code__,
                    id(function.__defaults__),
                    id(function.__kwdefaults__),
                )
                for function in self._functions.values()
            ),
            spaces=tuple(
                (
                    weakly(owner),
                    _space(owner),
                    tuple(self._same.get(space, {}).items()),
                    tuple(self._kinds.get(space, {}).items()),
                )
                for space, owner in self._owners.items()
            ),
            cells=tuple(self._cells.values()),
        )


def _space(owner: Owner) -> str:
    return "__globals__" if isinstance(owner, FunctionType) else "__dict__"
