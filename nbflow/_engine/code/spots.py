"""Where in a file or cell a code object was written.

A place is taken only if it compiles to the code object at hand: a file may have
been edited since it was imported, and two lambdas may share a line.
"""

from __future__ import annotations
import __future__

import ast
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from nbflow._engine.code.bytecode import code_objects, same_code
from nbflow._engine.code.syntax import Definition, Scope

if TYPE_CHECKING:
    from types import CodeType

__all__ = ["Spot", "spot_of", "spots"]

_FUTURES = __future__.annotations.compiler_flag  # the only one that is not the rule


class Spot(Struct, frozen=True):
    """A scope of a file or cell.

    Attributes
    ----------
    node : ast.AST
        The scope.
    around : tuple of ast.AST
        The scopes that it stands in, from the module inwards.
    """

    node: Scope
    around: tuple[Scope, ...]


@lru_cache(maxsize=16)
def spots(tree: ast.Module) -> tuple[Spot, ...]:
    """Return all scopes of a file or cell, in the order in which they are written."""
    found: list[Spot] = []
    todo: list[tuple[ast.AST, tuple[Scope, ...]]] = [(tree, ())]
    while todo:
        node, around = todo.pop()
        if isinstance(node, Scope):
            found.append(Spot(node, around))
            around = (*around, node)
        children = [(child, around) for child in ast.iter_child_nodes(node)]
        todo.extend(reversed(children))
    return tuple(found)


def spot_of(tree: ast.Module | None, code: CodeType) -> Spot | None:
    """Return where a function was written.

    Parameters
    ----------
    tree : ast.Module or None
        The file or cell that the code object names.
    code : types.CodeType
        Of a function or lambda.

    Returns
    -------
    Spot or None
        The one nearest to the code's line that compiles to it, or None.
    """
    if tree is None:
        return None
    named = [spot for spot in spots(tree) if _name(spot.node) == code.co_name]
    named.sort(key=lambda spot: abs(_line(spot.node) - code.co_firstlineno))
    # How a call of an attribute is compiled depends on whether the name was
    # imported in what was compiled with it: all of the file, or one statement.
    imports = _imports(tree)
    for spot in named:
        if any(_compiles_to(spot, code, with_) for with_ in ([], imports)):
            return spot
    return None


def _name(node: Scope) -> str:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name
        case ast.Lambda():
            return "<lambda>"
        case _:
            return ""


def _line(node: Scope) -> int:
    if isinstance(node, Definition) and node.decorator_list:
        return node.decorator_list[0].lineno
    return getattr(node, "lineno", 0)


def _imports(tree: ast.Module) -> list[ast.stmt]:
    """Return statements that bind the names which a module's top level imports."""
    names: set[str] = set()
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            names.update(
                alias.asname or alias.name.partition(".")[0] for alias in node.names
            )
        elif not isinstance(node, Scope):
            todo.extend(ast.iter_child_nodes(node))
    aliases = [ast.alias(name=name) for name in sorted(names - {"*"})]
    return [ast.Import(names=aliases)] if aliases else []


def _compiles_to(spot: Spot, code: CodeType, imports: list[ast.stmt]) -> bool:
    module = ast.Module(body=[*imports, _scaffold(spot, code)], type_ignores=[])
    ast.fix_missing_locations(module)
    flags = code.co_flags & _FUTURES
    try:
        compiled = compile(module, code.co_filename, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(
        same_code(candidate, code)
        for candidate in code_objects(compiled)
        if candidate.co_name == code.co_name
    )


def _scaffold(spot: Spot, code: CodeType) -> ast.stmt:
    """Return a function that binds what the code reads from around it."""
    node: Any = spot.node
    body = [ast.Expr(value=node) if isinstance(node, ast.Lambda) else node]
    classes = [around for around in spot.around if isinstance(around, ast.ClassDef)]
    if classes:
        # The name of the class is part of the names that begin with "__".
        body = [_made(ast.ClassDef, name=classes[-1].name, body=body)]
    free = [name for name in code.co_freevars if not name.startswith("__")]
    arguments = _made(ast.arguments, args=[ast.arg(arg=name) for name in free])
    # Asynchronous, since there both kinds of decorators and defaults are right.
    made: ast.stmt = _made(ast.AsyncFunctionDef, name="_", args=arguments, body=body)
    return made


_LISTS = ("bases", "decorator_list", "defaults", "keywords", "kw_defaults")
_MORE_LISTS = ("kwonlyargs", "posonlyargs", "type_params")


def _made(form: Any, **fields: Any) -> Any:
    # Pythons before 3.13 want every list to be given, and none that they don't know.
    empty: dict[str, Any] = {
        name: [] for name in (*_LISTS, *_MORE_LISTS) if name in form._fields
    }
    return form(**empty | fields)
