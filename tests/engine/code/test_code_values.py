"""Whose value counts as code: names that are bound once to a constant, no others."""

from __future__ import annotations

import json
import linecache
from typing import TYPE_CHECKING, Any

import pytest

from nbflow._engine.code import code_of
from nbflow.session.body import compile_body
from nbflow.session.cells import WorkflowCell, parse_cell

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from nbflow._engine.code import Code
    from tests.engine.code.conftest import Notebook

FETCH = "def fetch(x): return x[:limit]"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("3", "4"),
        ("3", "3.0"),
        ("1", "True"),
        ("0.0", "-0.0"),
        ("'a'", "'b'"),
        ("b'a'", "'a'"),
        ("None", "False"),
        ("(1, ('a', None))", "(1, ('b', None))"),
        ("(1,)", "(True,)"),
    ],
)
def test_a_constant_that_is_bound_once_counts(
    fresh_code: Callable[..., Code], old: str, new: str
) -> None:
    first = fresh_code(f"limit = {old}", FETCH)

    same = fresh_code(f"limit = ({old})  # once", FETCH)
    second = fresh_code(f"limit = {new}", FETCH)

    assert first.fingerprint == same.fingerprint != second.fingerprint
    assert first.watched == second.watched == ()


@pytest.mark.parametrize(
    "rebinding",
    [
        "def more():\n    global limit\n    limit = 5",
        "if False: limit += 1",
        "for limit in (): pass",
        "async def f():\n    global limit\n    async with limit: pass",
        "if False:\n    with open('x') as limit: pass",
        "if False: del limit",
        "if False: (limit := 3)",
        "[(limit := x) for x in ()]",
        "if False: import limit",
        "if False: from json import loads as limit",
        "if False:\n    limit = 3\n    limit = 3",
        "while False: limit = 3",
        "if False: limit = limit + 1",
        "try: pass\nexcept ValueError as limit: pass",
        "match ():\n    case [*limit] if False: pass",
        "if False:\n    def limit(): ...",
        "if False:\n    class limit: ...",
    ],
)
def test_a_constant_that_any_cell_rebinds_does_not_count(
    fresh_code: Callable[..., Code], rebinding: str
) -> None:
    first = fresh_code(f"limit = 3\n{rebinding}\nlimit_ = 0", FETCH)

    second = fresh_code(f"{rebinding}\n", "limit = 4", FETCH)

    assert first.fingerprint == second.fingerprint
    assert first.watched == second.watched == ("limit",)


def test_a_cell_that_was_edited_and_run_again_binds_its_names_once(
    notebook: Notebook,
) -> None:
    codes = []
    for value in (3, 4, 3):
        notebook.cell(f"limit = {value}\n{FETCH}")
        codes.append(notebook.code("fetch"))

    fingerprints = [code.fingerprint for code in codes]

    assert fingerprints[0] == fingerprints[2] != fingerprints[1]
    assert all(code.watched == () for code in codes)


def test_a_name_of_the_same_spelling_in_another_scope_rebinds_nothing(
    notebook: Notebook,
) -> None:
    notebook.cell(f"limit: int = 3\n{FETCH}")
    notebook.cell("""
        def other():
            limit = 0
            limit += 1
            def inner():
                nonlocal limit
                limit = [limit for limit in ()]
        class Other:
            limit = 4
        lambda limit: limit
    """)

    code = notebook.code("fetch")

    assert code.watched == ()


def test_a_counter_does_not_change_the_code(notebook: Notebook) -> None:
    notebook.cell("""
        attempts = 0
        def get_info():
            global attempts
            attempts += 1
            if attempts < 2:
                raise ValueError("Failure")
            return "OK"
    """)
    before = notebook.code("get_info")
    with pytest.raises(ValueError, match="Failure"):
        notebook.names["get_info"]()

    after = notebook.code("get_info")

    assert before == after
    assert after.watched == ("attempts",)


def test_a_client_that_is_made_on_first_use_does_not_change_the_code(
    notebook: Notebook,
) -> None:
    notebook.cell("""
        class Client:
            def get(self, x): return x
        client = None
        def fetch(x):
            global client
            if client is None:
                client = Client()
            return client.get(x)
    """)
    before = notebook.code("fetch")
    notebook.names["fetch"](1)

    after = notebook.code("fetch")

    assert before == after


def test_frames_clients_and_lists_are_watched_and_their_values_do_not_count(
    fresh_code: Callable[..., Code],
) -> None:
    source = """
import re
found = re.compile('{}')
rows = {}
def fetch(x): return found.match(x), rows, len(rows)
"""
    first = fresh_code(source.format("a", [1]))

    second = fresh_code(source.format("b", [2]))

    assert first.fingerprint == second.fingerprint
    assert first.watched == ("found", "rows")


def test_what_a_helper_of_another_module_reads_is_watched_by_its_full_name(
    notebook: Notebook, write_module: Callable[[str, str], ModuleType]
) -> None:
    write_module("shop", "prices = {}\ndef price(x): return prices[x]")
    notebook.cell("from shop import price\ndef fetch(x): return price(x)")

    code = notebook.code("fetch")

    assert code.watched == ("shop.prices",)


def test_a_cell_that_is_no_python_rebinds_nothing(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = ["limit += 1 1\n"]
    monkeypatch.setitem(linecache.cache, "<broken cell>", (13, None, text, ""))
    notebook.cell(f"limit = 3\n{FETCH}")

    code = notebook.code("fetch")

    assert code.watched == ()


def test_a_value_that_no_source_binds_is_watched(notebook: Notebook) -> None:
    notebook.names["limit"] = 3
    notebook.cell(FETCH)

    code = notebook.code("fetch")

    assert code.watched == ("limit",)


def test_an_imported_constant_of_the_users_counts_and_one_of_a_package_does_not(
    notebook: Notebook, write_module: Callable[[str, str], ModuleType]
) -> None:
    write_module("settings", "limit = 3\nseen = 0\nseen += 1")
    notebook.cell("""
        from math import pi
        from settings import limit, seen
        import settings
        def fetch(x): return x[:limit], pi, seen, settings.limit, settings.seen
    """)

    code = notebook.code("fetch")
    part = json.loads(code.source)["parts"][0]

    assert part["constants"].keys() == {"limit", "settings.limit"}
    assert code.watched == ("seen", "settings.seen")


def test_a_constant_counts_through_a_relative_import(
    write_module: Callable[[str, str], ModuleType],
) -> None:
    write_module("pack.settings", "limit = 3")
    module = write_module(
        "pack.work", "from .settings import limit\ndef fetch(x): return x[:limit]"
    )

    code = code_of(module.fetch)

    assert json.loads(code.source)["parts"][0]["constants"].keys() == {"limit"}


def test_a_name_that_an_import_of_nothing_binds_does_not_count(
    notebook: Notebook,
) -> None:
    notebook.names["limit"] = 3
    notebook.cell(f"if False: from .nowhere import limit\n{FETCH}")

    code = notebook.code("fetch")

    assert code.watched == ()
    assert "constants" not in json.loads(code.source)["parts"][0]


def test_an_attribute_of_a_module_that_any_cell_assigns_to_does_not_count(
    notebook: Notebook, write_module: Callable[[str, str], ModuleType]
) -> None:
    write_module("counting", "count = 0")
    notebook.cell("""
        import counting
        def fetch():
            counting.count += 1
            return counting.count
    """)
    before = notebook.code("fetch")
    notebook.names["fetch"]()

    after = notebook.code("fetch")

    assert before == after
    assert after.watched == ("counting.count",)


CLOSURE = """
def make(step):
    limit = 3
    {more}
    def fetch(x): return x[:limit:step]
    return fetch
fetch = make({step})
"""


def test_a_closure_over_constants_that_are_bound_once_counts(
    fresh_code: Callable[..., Code],
) -> None:
    source = CLOSURE.format(more="", step=1)
    first = fresh_code(source)

    other_limit = fresh_code(source.replace("= 3", "= 4"))
    other_step = fresh_code(CLOSURE.format(more="", step=2))

    assert len({c.fingerprint for c in (first, other_limit, other_step)}) == 3
    assert first.watched == ()


@pytest.mark.parametrize(
    "more",
    [
        "limit = step",
        "limit += 1",
        "def more():\n        nonlocal limit\n        limit = 5",
        "for limit in (3,): pass",
    ],
)
def test_a_closure_over_a_name_that_is_rebound_does_not_count(
    fresh_code: Callable[..., Code], more: str
) -> None:
    first = fresh_code(CLOSURE.format(more=more, step=1))

    second = fresh_code(CLOSURE.format(more=more, step=1).replace("= 3", "= 4"))

    assert first.fingerprint == second.fingerprint
    assert first.watched == ("limit",)


def body_of(notebook: Notebook, source: str) -> Callable[..., Any]:
    cell = parse_cell(source, filename="<ipython-input-9-cell>", name="review")
    assert isinstance(cell, WorkflowCell)
    notebook.filenames.append(cell.filename)
    return compile_body(cell, notebook.names)


CELL = """
limit = 3
seen = 0
rows = [1, 2]
def clean(x): return x + 1
def fetch(x):
    global told
    told = 0
    class Row:
        size = limit
    return clean(x)[:limit], rows, seen, Late
class Late:
    def trim(self): return limit
seen += 1
fetch
"""


def test_names_of_a_cell_that_is_a_workflow_count_as_closures(
    notebook: Notebook,
) -> None:
    codes = []
    for source in (CELL, CELL.replace("= 3", "= 4"), CELL.replace("x + 1", "x + 2")):
        notebook.names["fetch"] = body_of(notebook, source)(None)
        codes.append(notebook.code("fetch"))

    kinds = {part["kind"] for part in json.loads(codes[0].source)["parts"]}

    assert len({code.fingerprint for code in codes}) == 3
    assert codes[0].watched == ("rows", "seen")
    assert kinds == {"function", "class"}


def test_the_body_of_a_cell_that_is_a_workflow_is_the_text_of_the_cell(
    notebook: Notebook,
) -> None:
    notebook.cell("def helper(x): return x\nframe = [1]\nsize = 2")
    source = "# a comment\nrows = helper(inputs)\nlen(rows + frame) + size"
    first = notebook.names["body"] = body_of(notebook, source)
    code = notebook.code("body")

    notebook.names["body"] = body_of(notebook, source.replace("comment", "word"))
    same = notebook.code("body")
    notebook.names["body"] = body_of(notebook, source.replace("+ size", "- size"))
    edited = notebook.code("body")

    assert first.__name__ == "review"
    assert code.fingerprint == same.fingerprint != edited.fingerprint
    assert code.watched == ("frame",)
    assert json.loads(code.source)["parts"][0]["constants"].keys() == {"size"}


def test_a_text_that_code_reads_is_not_written_into_the_log(
    notebook: Notebook,
) -> None:
    notebook.names["environment"] = {"KEY": "sk-very-secret"}
    notebook.cell("key = environment['KEY']\ndef fetch(x=key): return key, x")

    code = notebook.code("fetch")

    assert "very-secret" not in code.source
    assert "key" in json.loads(code.source)["parts"][0]["constants"]
