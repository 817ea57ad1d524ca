"""What of a function's own text counts as its code, and what does not."""

from __future__ import annotations

import functools
import json
import math
from typing import TYPE_CHECKING

import pytest

from nbflow._engine.code import code_of, refingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._engine.code import Code
    from tests.engine.code.conftest import Notebook

FETCH = """
def fetch(url, retries=3):
    '''Say hello.'''
    total = 0
    for _ in range(retries):
        total += len(url)
    return {"total": total}
"""


@pytest.mark.parametrize(
    "same",
    [
        FETCH.replace("    total = 0\n", "    # from nothing\n\n    total = (  0 )\n"),
        FETCH.replace('{"total": total}', "{'total':total,}"),
        FETCH.replace("url, retries=3", "url: str, retries: int = 3"),
        FETCH.replace("total = 0", "total: int = 0"),
        FETCH.replace("retries=3):", "retries=3) -> dict[str, int]:"),
        "import functools\n\n\n" + FETCH,
    ],
    ids=["comments", "quotes", "annotations", "a local's", "the result's", "place"],
)
def test_what_does_not_change_what_runs_does_not_change_the_code(
    fresh_code: Callable[..., Code], same: str
) -> None:
    first = fresh_code(FETCH)

    second = fresh_code(same)

    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize(
    "edited",
    [
        FETCH.replace("total = 0", "total = 1"),
        FETCH.replace("total = 0", "total = 0.0"),
        FETCH.replace("total = 0", "total = False"),
        FETCH.replace("total +=", "total -="),
        FETCH.replace("hello", "goodbye"),
        FETCH.replace("retries=3", "retries=4"),
        FETCH.replace("retries=3", "retries='3'"),
        FETCH.replace("url, retries=3", "url, *, retries=3"),
        FETCH.replace("def fetch", "async def fetch"),
    ],
    ids=[
        "constant",
        "float",
        "bool",
        "operator",
        "docstring",
        "default",
        "type of default",
        "keyword-only",
        "async",
    ],
)
def test_what_changes_what_runs_changes_the_code(
    fresh_code: Callable[..., Code], edited: str
) -> None:
    first = fresh_code(FETCH)

    second = fresh_code(edited)

    assert first.fingerprint != second.fingerprint


def test_a_string_of_several_lines_counts_with_its_indentation(
    fresh_code: Callable[..., Code],
) -> None:
    prompt = 'if True:\n    def fetch():\n        return """a\n{}b"""\n'
    first = fresh_code(prompt.format(""))

    second = fresh_code(prompt.format("        "))

    assert first.fingerprint != second.fingerprint


def test_a_default_counts_by_its_value_where_that_is_a_constant(
    fresh_code: Callable[..., Code],
) -> None:
    source = "def fetch(x, limit=limits['x']): return x[:limit]"
    first = fresh_code("limits = {'x': 3}", source)

    same = fresh_code("limits = {'x': 1 + 2}", source)
    other = fresh_code("limits = {'x': 4}", source)

    assert first.fingerprint == same.fingerprint
    assert first.fingerprint != other.fingerprint


def test_a_default_that_is_no_constant_counts_by_its_type(
    fresh_code: Callable[..., Code],
) -> None:
    source = "def fetch(x, known=known): return known.get(x)"
    first = fresh_code("known = {}", source)

    same = fresh_code("known = {1: 2}", source)
    other = fresh_code("known = []", source)

    assert first.fingerprint == same.fingerprint
    assert first.fingerprint != other.fingerprint


def test_a_helper_given_as_a_default_is_code(fresh_code: Callable[..., Code]) -> None:
    source = "def fetch(x, clean=clean): return clean(x)"
    first = fresh_code("def clean(x): return x", source)

    second = fresh_code("def clean(x): return x + 1", source)

    assert first.fingerprint != second.fingerprint


def test_lambdas_on_one_line_are_told_apart(notebook: Notebook) -> None:
    notebook.cell("one, two = lambda x: x + 1, lambda x: x + 2")
    notebook.cell("again = (lambda x:   # the same\n    x + 1)")

    codes = [notebook.code(name).fingerprint for name in ("one", "two", "again")]

    assert codes[0] == codes[2] != codes[1]


def test_code_without_a_source_is_taken_by_its_bytecode() -> None:
    names: list[dict[str, Callable[..., object]]] = [{}, {}, {}]
    for space, body in zip(names, ("x + 1", "x +  1", "x + 2"), strict=True):
        exec(f"def fetch(x): return {body}", space)  # noqa: S102 - has no source

    codes = [code_of(space["fetch"]) for space in names]

    assert codes[0].fingerprint == codes[1].fingerprint != codes[2].fingerprint
    assert json.loads(codes[0].source)["parts"][0]["kind"] == "bytecode"


def test_a_function_that_was_edited_in_its_file_since_counts_as_what_runs(
    write_module: Callable[[str, str], object],
) -> None:
    old = "def fetch(x):\n    return x + {}\n"
    module = write_module("edited_since", old.format(1))
    function: Callable[..., object] = vars(module)["fetch"]

    write_module("edited_since", old.format(2))
    code = code_of(function)

    assert json.loads(code.source)["parts"][0]["kind"] == "bytecode"


@pytest.mark.parametrize(
    "function",
    [len, print, dict, math.sqrt, functools.partial(len), "".join, object()],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_has_a_code_too(function: object) -> None:
    code = code_of(function)

    assert code.fingerprint == refingerprint(code.source)


def test_the_name_is_the_qualified_name(notebook: Notebook) -> None:
    notebook.cell("""
        def make():
            def fetch(): ...
            return fetch
        fetch = make()
    """)

    code = notebook.code("fetch")

    assert code.name == "make.<locals>.fetch"


def test_a_fingerprint_carries_the_version_of_the_rule(notebook: Notebook) -> None:
    notebook.cell(FETCH)

    version, digits = notebook.code("fetch").fingerprint.split("-")

    assert version.isdigit()
    assert len(digits) == 32
    assert set(digits) <= set("0123456789abcdef")


def test_a_function_that_calls_itself_is_one_part(notebook: Notebook) -> None:
    notebook.cell("def fetch(n): return n and fetch(n - 1)")

    parts = json.loads(notebook.code("fetch").source)["parts"]

    assert [part["uses"] for part in parts] == [{"fetch": 0}]


def test_an_expression_nested_deeper_than_python_recurses_has_a_code(
    notebook: Notebook,
) -> None:
    notebook.cell("def fetch(x): return " + " + ".join(["x"] * 500))

    code = notebook.code("fetch")

    assert code.fingerprint == refingerprint(code.source)
