"""Text of a program as a tree, and a tree as text that is the same on every Python.

Only what decides what runs is left in that text: no positions, comments or
annotations. Nothing here knows of functions, modules or values.
"""

from __future__ import annotations

import ast
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from nbflow._engine.code.literals import literal

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Comprehension",
    "Definition",
    "Kind",
    "Scope",
    "canonical",
    "parsed",
    "parsed_part",
]

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Scope: TypeAlias = Definition | ast.Lambda | ast.ClassDef | ast.Module | Comprehension

Kind: TypeAlias = Literal["function", "lambda", "class", "cell"]
"""What a text is: a definition as it stands in its file, with its indentation;
an expression; or a whole cell whose statements are the body of one function."""

_Piece: TypeAlias = str | tuple[ast.AST, bool]

_DROPPED = frozenset(
    {"annotation", "ctx", "kind", "returns", "simple", "type_comment"}
    | {"type_ignores", "type_params"}
)
_GONE = object()
_TRIES = 100
# What the parser of any Python raises for a text that it can't take.
_UNREADABLE = (SyntaxError, ValueError, MemoryError, RecursionError)


@lru_cache(maxsize=16)  # a tree takes a hundred times the room of its text
def parsed(text: str) -> ast.Module | None:
    """Return the tree of a file or cell, or None where this Python can't read it."""
    # With an old grammar a doubtful escape in the user's text warns in a way that
    # is ignored by default: it was said when the text was first compiled.
    for grammar in ((3, 11), None):
        try:
            return _tree(text, grammar)
        except _UNREADABLE:
            continue
    return None


def _tree(text: str, grammar: tuple[int, int] | None) -> ast.Module:
    # CPython counts how deep a tree is for all threads together, so that one which
    # parses beside another may be refused (python/cpython#106905); not for long.
    for _ in range(_TRIES):
        try:
            return ast.parse(text, feature_version=grammar)
        except SystemError:
            continue
    return ast.parse(text, feature_version=grammar)


def parsed_part(text: str, kind: Kind) -> Scope | None:
    """Return the tree of one part of a program.

    Parameters
    ----------
    text : str
        The part, as it stands in its file.
    kind : str
        What it is.

    Returns
    -------
    ast.AST or None
        The definition, lambda or module; None where this Python can't read it.
    """
    if kind == "lambda":
        text = f"({text}\n)"
    elif text[:1].isspace() and kind != "cell":
        # Dedenting would change strings of several lines: give it a parent.
        text = f"if True:\n{text}"
    module = parsed(text)
    if module is None or kind == "cell":
        return module
    found: ast.AST | None = module.body[0] if module.body else None
    if isinstance(found, ast.If):
        found = found.body[0]
    if isinstance(found, ast.Expr):
        found = found.value
    return found if isinstance(found, Scope) else None


def canonical(root: Scope) -> str:
    """Return what a tree says that decides what runs.

    Left out are positions, annotations (but for those of classes, which may
    define fields), type parameters, and the decorators of a function that is the
    root. Docstrings stay: they may be prompts.

    Parameters
    ----------
    root : ast.AST
        What `parsed_part` returned.

    Returns
    -------
    str
        The same text on every Python that can read the program.
    """
    written: list[str] = []
    # Own stack: a long expression may be nested deeper than Python recurses.
    todo: list[_Piece] = [(root, False)]
    while todo:
        piece = todo.pop()
        if isinstance(piece, str):
            written.append(piece)
        else:
            node, in_class = piece
            bare = node is root and isinstance(node, Definition)
            todo.extend(reversed(list(_pieces(node, in_class, bare))))
    return "".join(written)


def _pieces(node: ast.AST, in_class: bool, bare: bool) -> Iterator[_Piece]:
    yield f"{type(node).__name__}("
    if isinstance(node, ast.Constant):
        yield json.dumps(literal(node.value))
    else:
        for name in sorted(node._fields):
            # Only those of classes are left: others have become plain assignments.
            keeps = isinstance(node, ast.AnnAssign) and name == "annotation"
            if (name in _DROPPED and not keeps) or (bare and name == "decorator_list"):
                continue
            inside = _is_in_class(node, name, in_class)
            yield from _field(name, _value(node, name, inside), inside)
    yield ")"


def _is_in_class(parent: ast.AST, field: str, in_class: bool) -> bool:
    if field != "body":
        return in_class
    if isinstance(parent, ast.ClassDef):
        return True
    return in_class and not isinstance(parent, Definition | ast.Lambda)


def _field(name: str, value: object, in_class: bool) -> Iterator[_Piece]:
    items = value if isinstance(value, list) else [value]
    if not items or items == [None]:
        return
    yield f"{name}=["
    for item in items:
        if isinstance(item, ast.AST):
            yield item, in_class
        else:
            yield json.dumps(literal(item))
        yield ","
    yield "]"


def _value(node: ast.AST, name: str, in_class: bool) -> object:
    value = getattr(node, name, None)
    if isinstance(value, list) and isinstance(node, ast.JoinedStr):
        return list(_joined(value))
    if isinstance(value, list) and not in_class:
        return [bare for item in value if (bare := _unannotated(item)) is not _GONE]
    return value


def _unannotated(item: object) -> object:
    if not isinstance(item, ast.AnnAssign):
        return item
    if item.value is None:
        return _GONE
    return ast.Assign(targets=[item.target], value=item.value)


def _joined(items: list[ast.expr]) -> Iterator[ast.expr]:
    """Yield the parts of a string with its texts whole: Pythons cut them otherwise."""
    text = ""
    for item in items:
        if isinstance(item, ast.Constant) and isinstance(item.value, str):
            text += item.value
            continue
        if text:
            yield ast.Constant(value=text)
        text = ""
        yield item
    if text:
        yield ast.Constant(value=text)
