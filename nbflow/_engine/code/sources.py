"""The texts that code came from: files, and the cells that a notebook compiled.

All are read through `linecache`, where IPython, doctest and nbflow's own magics
leave the source of what they compile.
"""

from __future__ import annotations

import ast
import linecache
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nbflow._engine.code.origins import is_cell
from nbflow._engine.code.scopes import Bindings, bindings_of, stored_attributes
from nbflow._engine.code.syntax import parsed

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Source", "cells", "count_of_sources", "source_named", "sources_of"]


@dataclass(eq=False)
class Source:
    """The text of one file or cell.

    Attributes
    ----------
    filename : str
        What its code objects name as their file.
    lines : list of str
        As `linecache` holds them.
    """

    filename: str
    lines: list[str] = field(repr=False)

    @cached_property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.lines)

    @property
    def tree(self) -> ast.Module | None:
        """The syntax tree, or None for what is no Python."""
        return parsed(self.text)

    @cached_property
    def bindings(self) -> Bindings:
        """How its top level binds names; none where it is no Python."""
        return bindings_of(self.tree or ast.Module(body=[], type_ignores=[]))

    @cached_property
    def stored(self) -> frozenset[str]:
        """The dotted names that it assigns to anywhere."""
        return stored_attributes(self.tree or ast.Module(body=[], type_ignores=[]))


class _Shelf:
    """The sources seen so far, in the order in which they last came up anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sources: dict[str, Source] = {}

    def put(self, filename: str, lines: list[str]) -> Source:
        with self._lock:
            known = self._sources.get(filename)
            if known is not None and known.lines is lines:
                return known
            # A cell that is run again brings a new list of the same lines: it has
            # to count as the latest, so that its classes are found there.
            self._sources.pop(filename, None)
            source = self._sources[filename] = Source(filename, lines)
            return source

    def newest_first(self, filenames: set[str]) -> list[Source]:
        with self._lock:
            known = list(self._sources.values())
        return [source for source in reversed(known) if source.filename in filenames]


_SHELF = _Shelf()


def count_of_sources() -> int:
    """Return a number that changes when a new cell comes in."""
    return len(linecache.cache)


def source_named(filename: str, space: dict[str, Any]) -> Source | None:
    """Return the source of a file or cell.

    Parameters
    ----------
    filename : str
        As a code object names it.
    space : dict
        The module's namespace, whose loader may know the source.

    Returns
    -------
    Source or None
        None where no source can be had.
    """
    lines = linecache.getlines(filename, space)
    return _SHELF.put(filename, lines) if lines else None


def cells() -> list[Source]:
    """Return the sources of all cells, those that were run last first."""
    found: set[str] = set()
    for filename in list(linecache.cache):
        if is_cell(filename):
            found.add(filename)
            _SHELF.put(filename, linecache.getlines(filename))
    return _SHELF.newest_first(found)


def sources_of(space: dict[str, Any]) -> list[Source]:
    """Return the sources that may bind names of a namespace, the newest first.

    Parameters
    ----------
    space : dict
        A module's namespace, or a notebook's.

    Returns
    -------
    list of Source
        The file of an ordinary module; all cells for a notebook.
    """
    filename = space.get("__file__")
    own = source_named(filename, space) if isinstance(filename, str) else None
    if own is None or space.get("__name__") == "__main__":
        return [*cells(), *_only(own)]
    return [own]


def _only(source: Source | None) -> Iterable[Source]:
    return () if source is None else (source,)
