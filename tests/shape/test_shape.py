"""Budgets for the longest module, class and function; the medians mind themselves."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PYTHON = sorted((ROOT / "nbflow").rglob("*.py"))
TYPESCRIPT = sorted(
    path
    for ending in ("*.ts", "*.tsx")
    for path in (ROOT / "labextension/src").rglob(ending)
)

MODULE, CLASS, FUNCTION, TYPESCRIPT_FILE = 400, 250, 40, 400

# "nbflow/func.py" or "nbflow/func.py::task": why it may be longer.
EXCEPTIONS: dict[str, str] = {}

Scope: TypeAlias = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
NO_CODE = frozenset(
    {
        tokenize.COMMENT,
        tokenize.DEDENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
        tokenize.INDENT,
        tokenize.NEWLINE,
        tokenize.NL,
    }
)


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_classes_and_functions_stay_within_their_budgets(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    source = path.read_text("utf-8")

    too_long = {
        place: f"{length} lines of code, budget {budget}"
        for place, length, budget in _measure(name, source)
        if length > budget and place not in EXCEPTIONS
    }

    assert not too_long


@pytest.mark.parametrize(
    "path", TYPESCRIPT, ids=lambda path: str(path.relative_to(ROOT))
)
def test_typescript_files_stay_within_their_budget(path: Path) -> None:
    name = str(path.relative_to(ROOT))

    length = _typescript_lines(path.read_text("utf-8"))

    assert length <= TYPESCRIPT_FILE or name in EXCEPTIONS


def test_every_exception_is_still_needed() -> None:
    lengths = {
        place: (length, budget)
        for path in PYTHON
        for place, length, budget in _measure(
            str(path.relative_to(ROOT)), path.read_text("utf-8")
        )
    } | {
        str(path.relative_to(ROOT)): (
            _typescript_lines(path.read_text("utf-8")),
            TYPESCRIPT_FILE,
        )
        for path in TYPESCRIPT
    }

    idle = [
        place
        for place in EXCEPTIONS
        if place not in lengths or lengths[place][0] <= lengths[place][1]
    ]

    assert not idle


COUNTED = '''
"""A module's docstring."""

import os  # 1


def fetch(
    url: str,
    *,
    retries: int = 3,
) -> bytes:
    """A docstring
    of two lines."""
    # a comment
    answer = os.environ.get(  # 2
        url,  # 3
    )  # 4

    match answer:  # 5
        case None:  # 6
            retries += 1
            return b""
        case str():  # 7
            return answer.encode()
        case _:  # 8
            assert_never(answer)
'''


def test_only_code_is_counted_and_a_closed_match_counts_one_line_a_case() -> None:
    measured = {place: length for place, length, _ in _measure("m.py", COUNTED)}

    assert measured == {"m.py": 8, "m.py::fetch": 7}


def _measure(name: str, source: str) -> Iterator[tuple[str, int, int]]:
    """Yield each module, class and function with its length and its budget."""
    tree = ast.parse(source)
    code = _lines_of_code(source, tree)
    yield name, len(code), MODULE
    for place, node in _scopes(tree, name):
        body = range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)
        budget = CLASS if isinstance(node, ast.ClassDef) else FUNCTION
        yield place, len(code.intersection(body)), budget


def _scopes(tree: ast.AST, name: str) -> Iterator[tuple[str, Scope]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Scope):
            separator = "." if "::" in name else "::"
            place = f"{name}{separator}{node.name}"
            yield place, node
            yield from _scopes(node, place)
        else:
            yield from _scopes(node, name)


def _lines_of_code(source: str, tree: ast.Module) -> set[int]:
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | Scope) and ast.get_docstring(node) is not None:
            lines.difference_update(_span(node.body[0]))
        if isinstance(node, Scope):
            lines.difference_update(range(node.lineno, node.body[0].lineno))
        if isinstance(node, ast.Match) and _is_closed(node):
            lines.difference_update(_span(node))
            lines.add(node.lineno)
            lines.update(case.pattern.lineno for case in node.cases)
    return lines


def _span(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _is_closed(node: ast.Match) -> bool:
    match node.cases[-1].body[-1]:
        case ast.Expr(value=ast.Call(func=ast.Name(id="assert_never"))):
            return True
        case _:
            return False


def _typescript_lines(source: str) -> int:
    lines = 0
    in_comment = False
    for line in map(str.strip, source.splitlines()):
        if in_comment or line.startswith("/*"):
            in_comment = "*/" not in line
        elif line and not line.startswith("//"):
            lines += 1
    return lines
