"""Where the source of a function or class stands, and what it says.

A source is taken only if the code object at hand is what it compiles to: a file
may have been edited since it was imported.
"""

from __future__ import annotations

import ast
import builtins
import functools
import linecache
import operator
import types
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from nbflow._engine.code.scopes import Chain, bindings_of, outside_reads
from nbflow._engine.code.sources import Source, source_named, sources_of
from nbflow._engine.code.spots import Spot, spot_of, spots
from nbflow._engine.code.syntax import Comprehension, Kind, Scope, parsed
from nbflow._engine.code.weak import WeakIdentityMap

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Written", "functions_of", "written_class", "written_function"]


class Written(Struct, frozen=True):
    """A function or class as it stands in its file or cell.

    Attributes
    ----------
    kind : str
        What the text is.
    text : str
        Its lines, with decorators and comments.
    reads : tuple of tuple of str
        The names it reads from outside, each with its attributes.
    settled : frozenset of str
        Those that a function around it binds once and for all.
    """

    kind: Kind
    text: str
    reads: tuple[Chain, ...]
    settled: frozenset[str] = frozenset()


class _Search(Struct, frozen=True):
    source: Source
    found: Written | None


class _ClassSearch(Struct, frozen=True):
    codes: tuple[CodeType, ...]
    found: Written | None


_SEARCHES: WeakIdentityMap[CodeType, _Search] = WeakIdentityMap()
_CLASSES: WeakIdentityMap[type, _ClassSearch] = WeakIdentityMap()

_Home: TypeAlias = tuple[Source | None, int]
_GENERATED: _Home = (None, 0)  # by a decorator: not in the text of the class
_LOST: _Home = (None, -1)
_EXECUTED = "<string>"  # any text given to exec(), and what `python -c` was given
_DEEPEST = 64  # wrappers around one method, lest they turn in a circle


def written_function(function: FunctionType) -> Written | None:
    """Return the source of a function.

    Parameters
    ----------
    function : function
        Also a lambda, or a function that was made of a whole cell: its attribute
        `__nbflow_source__` is then the text of the cell.

    Returns
    -------
    Written or None
        None where no source is at hand that compiles to the function's code.
    """
    code, space = function.__code__, function.__globals__
    source = source_named(code.co_filename, space)
    known = _SEARCHES.get(code)
    if known is not None and (known.found is not None or known.source is source):
        return known.found
    cell = function.__dict__.get("__nbflow_source__")
    if cell is not None:
        found = _written_cell(cell, code)
    else:
        found = _written(source, code)
        if found is None:
            # The file may have changed, and been imported again, since it was read.
            linecache.checkcache(code.co_filename)
            source = source_named(code.co_filename, space)
            found = _written(source, code)
    if source is not None:
        _SEARCHES.put(code, _Search(source, found))
    return found


def _written_cell(text: str, code: CodeType) -> Written | None:
    tree = parsed(text)
    if tree is None:
        return None
    # What the magic hands in (the inputs, say) is no name of the notebook.
    own = {*code.co_varnames, *code.co_cellvars}
    reads = tuple(chain for chain in outside_reads(tree) if chain[0] not in own)
    return Written("cell", text, reads)


def _written(source: Source | None, code: CodeType) -> Written | None:
    spot = None if source is None else spot_of(source.tree, code)
    if source is None or spot is None:
        return None
    kind: Kind = "lambda" if isinstance(spot.node, ast.Lambda) else "function"
    return _written_in(source, spot, kind)


def written_class(cls: type, space: dict[str, Any]) -> Written | None:
    """Return the source of a class.

    Parameters
    ----------
    cls : type
        The class.
    space : dict
        The namespace it was defined in.

    Returns
    -------
    Written or None
        From the file or cell of its methods; where it has none, from the newest
        source that defines a class of that name with the same annotated names.
    """
    functions = functions_of(cls)
    codes = tuple(function.__code__ for function in functions.values())
    known = _CLASSES.get(cls)
    if known is not None and _are_same(known.codes, codes):
        return known.found
    homes = {_home(function, cls) for function in functions.values()}
    homes.discard(_GENERATED)
    if not homes:
        return _written_elsewhere(cls, space)
    if len(homes) > 1 or _LOST in homes:
        # Some of its methods were edited since: there is no one text of it.
        return None
    found = _written_at(*homes.pop())
    _CLASSES.put(cls, _ClassSearch(codes, found))
    return found


def _are_same(some: tuple[object, ...], others: tuple[object, ...]) -> bool:
    return len(some) == len(others) and all(map(operator.is_, some, others))


def _home(function: FunctionType, cls: type) -> _Home:
    """Return the source of a method and the line of the class around it."""
    code = function.__code__
    source = source_named(code.co_filename, function.__globals__)
    if source is None or code.co_filename == _EXECUTED:
        return _GENERATED
    tree = source.tree
    spot = None if tree is None else spot_of(tree, code)
    if spot is None:
        return _LOST
    for around in reversed(spot.around):
        if isinstance(around, ast.ClassDef) and around.name == cls.__name__:
            return source, around.lineno
    return _GENERATED


def _written_at(source: Source | None, line: int) -> Written | None:
    tree = None if source is None else source.tree
    if source is None or tree is None:
        return None
    for spot in spots(tree):
        if isinstance(spot.node, ast.ClassDef) and spot.node.lineno == line:
            return _written_in(source, spot, "class")
    return None


def _written_elsewhere(cls: type, space: dict[str, Any]) -> Written | None:
    """Return the newest source that defines a class like one without methods."""
    path = cls.__qualname__.split(".")
    for source in sources_of(space):
        # Parsing all cells of a long notebook would take too long.
        tree = source.tree if cls.__name__ in source.text else None
        for spot in reversed(spots(tree) if tree is not None else ()):
            if _is_at(spot, path) and _has_annotations_of(spot.node, cls):
                return _written_in(source, spot, "class")
    return None


def functions_of(cls: type) -> dict[str, FunctionType]:
    """Return the functions that a class itself defines, by name."""
    found: dict[str, FunctionType] = {}
    for name, value in list(vars(cls).items()):
        function = _unwrapped(value)
        if (
            isinstance(function, FunctionType)
            and function.__module__ == cls.__module__
            and function.__qualname__.startswith(f"{cls.__qualname__}.")
        ):
            found[name] = function
    return found


def _unwrapped(value: Any) -> object:
    for _ in range(_DEEPEST):
        match type(value):
            case builtins.staticmethod | builtins.classmethod:
                value = value.__func__
            case builtins.property:
                value = value.fget
            case functools.cached_property:
                value = value.func
            case types.FunctionType if "__wrapped__" in value.__dict__:
                value = value.__wrapped__
            case _:
                break
    return value


def _written_in(source: Source, spot: Spot, kind: Kind) -> Written:
    reads = outside_reads(spot.node)
    return Written(kind, _text(source, spot.node), reads, _settled(spot, reads))


def _text(source: Source, node: Scope) -> str:
    if isinstance(node, ast.Lambda):
        return ast.get_source_segment(source.text, node) or ""
    if isinstance(node, ast.Module | Comprehension):
        return source.text
    first = min(part.lineno for part in (node, *node.decorator_list))
    return "".join(source.lines[first - 1 : node.end_lineno])


def _settled(spot: Spot, reads: Iterable[Chain]) -> frozenset[str]:
    """Return the names read that a scope around binds once and for all."""
    missing = {chain[0] for chain in reads}
    settled: set[str] = set()
    for around in reversed(spot.around):
        if isinstance(around, ast.ClassDef):
            continue
        # Also the top level: a cell may have been the body of a function.
        bindings = bindings_of(around)
        bound = missing & bindings.own
        settled |= (bound & bindings.once) - bindings.inner_nonlocal
        missing -= bound
    return frozenset(settled)


def _is_at(spot: Spot, path: list[str]) -> bool:
    if not isinstance(spot.node, ast.ClassDef):
        return False
    names = [getattr(node, "name", "") for node in (*spot.around, spot.node)]
    found = [name for name in names if name]
    wanted = [name for name in path if name != "<locals>"]
    # A cell that was the body of a function adds that function to the path.
    return wanted == found or ("<locals>" in path and wanted[-len(found) :] == found)


def _has_annotations_of(node: Scope, cls: type) -> bool:
    known = vars(cls).get("__annotations__")
    if not isinstance(known, dict) or not isinstance(node, ast.ClassDef):
        return True
    # A class may have more than it says: a TypedDict has those of its bases.
    return known.keys() >= {
        inside.target.id
        for inside in node.body
        if isinstance(inside, ast.AnnAssign) and isinstance(inside.target, ast.Name)
    }
