"""Whose code something is: the user's own, or that of Python and its packages.

The user's own is what a notebook's cell defined and what lies outside of the
folders that packages are installed in.
"""

from __future__ import annotations

import linecache
import sys
import sysconfig
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FunctionType, ModuleType

__all__ = ["Origins", "is_cell"]

_INSTALLED = frozenset({"site-packages", "dist-packages"})
_ALWAYS_FOREIGN = sys.stdlib_module_names | {__name__.partition(".")[0]}
_LAZY = 1  # length of linecache's entries for sources that it has not read yet


def is_cell(filename: str) -> bool:
    """Return whether a file name stands for source that lies in memory only."""
    entry: Any = linecache.cache.get(filename)
    if entry is None or len(entry) == _LAZY or filename.startswith("<frozen "):
        return False
    return entry[1] is None


class Origins:
    """Tells the user's own code from that of others.

    Parameters
    ----------
    space : dict
        The namespace that the question comes from. Where it is a module of an
        installed package that itself defines tasks, that package is the user's.
    """

    __slots__ = ("_package",)

    def __init__(self, space: dict[str, Any]) -> None:
        self._package = ""
        filename = space.get("__file__")
        if isinstance(filename, str) and _is_installed(filename):
            defines_tasks = any(
                hasattr(type(value), "__nbflow_code__")
                for value in list(space.values())
            )
            self._package = _top(space.get("__name__")) if defines_tasks else ""

    def owns_function(self, function: FunctionType) -> bool:
        """Return whether a function is the user's own."""
        return self._owns(function.__module__, function.__code__.co_filename)

    def owns_class(self, cls: type) -> bool:
        """Return whether a class is the user's own."""
        filename = getattr(sys.modules.get(cls.__module__), "__file__", None)
        return self._owns(cls.__module__, filename)

    def owns_module(self, module: ModuleType) -> bool:
        """Return whether a module is the user's own."""
        return self._owns(module.__name__, getattr(module, "__file__", None))

    def _owns(self, module: object, filename: str | None) -> bool:
        top = _top(module)
        if top == "__main__" or (filename is not None and is_cell(filename)):
            return True
        if top and top == self._package and top not in _ALWAYS_FOREIGN:
            return True
        if filename is not None and Path(filename).is_absolute():
            return not _is_installed(filename)
        # Code without a file: a built-in, or something that exec() made.
        return top not in _ALWAYS_FOREIGN


def _top(module: object) -> str:
    return module.partition(".")[0] if isinstance(module, str) else ""


@lru_cache(maxsize=4096)
def _is_installed(filename: str) -> bool:
    places = (Path(filename), Path(filename).resolve())
    return any(
        not _INSTALLED.isdisjoint(place.parts)
        or any(place.is_relative_to(folder) for folder in _folders())
        for place in places
    )


@lru_cache(maxsize=1)
def _folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [Path(paths[name]) for name in names if name in paths]
    folders.append(Path(__file__).parents[2])
    return tuple({form for folder in folders for form in (folder, folder.resolve())})
