"""Code is taken once, and again as soon as anything that it reads is another."""

from __future__ import annotations

import ast
import gc
import importlib
import json
import linecache
import subprocess
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from nbflow._engine.code import code_of
from nbflow._engine.code.syntax import parsed

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tests.engine.code.conftest import Notebook

CELL = """
limit = 3
rows = [1]
class Base:
    def greet(self): return "hello"
class Cleaner(Base):
    def trim(self, x): return x[:limit]
def lower(x): return x.lower()
def clean(x): return Cleaner().trim(lower(x))
def fetch(x): return clean(x), rows, late(x)
"""


def test_code_is_not_taken_again_while_nothing_changed(notebook: Notebook) -> None:
    notebook.cell(CELL)
    first = notebook.code("fetch")
    notebook.names["rows"] = [2, 3]
    notebook.names["other"] = 1

    second = notebook.code("fetch")

    assert first is second


@pytest.mark.parametrize(
    "redefinition",
    [
        "limit = 4",
        "def lower(x): return x.title()",
        "def clean(x): return x",
        "class Cleaner:\n    def trim(self, x): return x",
        (
            "class Base:\n    def greet(self): return 'bye'\n"
            "class Cleaner(Base):\n    def trim(self, x): return x[:limit]\n"
        ),
        "def late(x): return x",
        "rows = (1,)",
        "def rows(): ...",
        "lower = len",
    ],
)
def test_a_redefinition_is_noticed_by_a_function_whose_code_was_taken(
    notebook: Notebook, redefinition: str
) -> None:
    notebook.cell(CELL)
    first = notebook.code("fetch")

    notebook.cell(redefinition)
    second = notebook.code("fetch")

    assert first.fingerprint != second.fingerprint


def test_a_new_cell_that_rebinds_a_constant_is_noticed(notebook: Notebook) -> None:
    notebook.cell("limit = 3\ndef fetch(x): return x[:limit]")
    first = notebook.code("fetch")

    notebook.cell("def more():\n    global limit\n    limit = 4")
    second = notebook.code("fetch")

    assert first.watched == ()
    assert second.watched == ("limit",)


def test_code_that_is_replaced_in_place_is_noticed(notebook: Notebook) -> None:
    notebook.cell("def fetch(x): return x\ndef other(x): return x + 1")
    fetch, other = notebook.names["fetch"], notebook.names["other"]
    first = code_of(fetch)

    fetch.__code__ = other.__code__
    second = code_of(fetch)

    assert first.fingerprint != second.fingerprint


def test_a_default_that_is_replaced_in_place_is_noticed(notebook: Notebook) -> None:
    notebook.cell("def fetch(x, n=1): return x")
    first = notebook.code("fetch")

    notebook.names["fetch"].__defaults__ = (2,)
    second = notebook.code("fetch")

    assert first.fingerprint != second.fingerprint


def test_a_closure_that_is_rebound_is_noticed(notebook: Notebook) -> None:
    notebook.cell("""
        def make():
            def clean(x): return x
            def fetch(x): return clean(x)
            def edit():
                nonlocal clean
                clean = len
            return fetch, edit
        fetch, edit = make()
    """)
    first = notebook.code("fetch")

    notebook.names["edit"]()
    second = notebook.code("fetch")

    assert first.fingerprint != second.fingerprint


def test_a_frame_in_a_closure_may_be_replaced_but_not_by_a_helper(
    notebook: Notebook,
) -> None:
    notebook.cell("""
        def make():
            rows = [1]
            def fetch(x): return rows
            def edit(value):
                nonlocal rows
                rows = value
            return fetch, edit
        fetch, edit = make()
    """)
    first = notebook.code("fetch")

    notebook.names["edit"]([2])
    same = notebook.code("fetch")
    notebook.names["edit"](notebook.names["make"])
    other = notebook.code("fetch")

    assert first is same
    assert first.fingerprint != other.fingerprint


def test_a_free_name_that_is_bound_later_is_noticed(notebook: Notebook) -> None:
    notebook.cell("""
        def make(seen):
            def fetch(x): return clean(x)
            seen(fetch)
            seen(fetch)
            def clean(x): return x
            seen(fetch)
    """)
    codes: list[str] = []

    notebook.names["make"](lambda fetch: codes.append(code_of(fetch).fingerprint))

    assert codes[0] == codes[1] != codes[2]


def test_a_module_that_was_edited_and_reloaded_is_noticed(
    notebook: Notebook, write_module: Callable[[str, str], ModuleType]
) -> None:
    source = "def clean(x):\n    return x + {}\n"
    module = write_module("reloaded", source.format(1))
    notebook.cell("import reloaded\ndef fetch(x): return reloaded.clean(x)")
    first = notebook.code("fetch")

    write_module("reloaded", source.format("1 + 1"))
    importlib.reload(module)
    second = notebook.code("fetch")

    assert first.fingerprint != second.fingerprint
    assert {part["kind"] for part in json.loads(second.source)["parts"]} == {"function"}


def test_a_class_that_was_edited_in_its_file_in_part_counts_as_what_runs(
    notebook: Notebook, write_module: Callable[[str, str], ModuleType]
) -> None:
    source = (
        "class Cleaner:\n    def trim(self): return 1\n    def lower(self): return {}\n"
    )
    write_module("edited_class", source.format(1))
    notebook.cell("from edited_class import Cleaner\ndef fetch(): return Cleaner()")

    write_module("edited_class", source.format(2))
    linecache.checkcache()
    part = json.loads(notebook.code("fetch").source)["parts"][1]

    assert part["kind"] == "shape"


def test_a_function_that_was_taken_can_be_forgotten(notebook: Notebook) -> None:
    notebook.cell("""
        class Big: ...
        def make():
            rows, big = [], Big()
            def clean(x): return x, fetch, big
            def fetch(x): return clean(x), rows, fetch
            return fetch, big
        fetch, big = make()
    """)
    notebook.code("fetch")
    gone = [weakref.ref(notebook.names.pop(name)) for name in ("fetch", "big")]

    gc.collect()

    assert [reference() for reference in gone] == [None, None]


def test_a_namespace_that_was_read_can_be_forgotten() -> None:
    class Names(dict[str, Any]):
        __slots__ = ("__weakref__",)

    names = Names(__name__="made", rows=[])
    exec("def clean(): ...\ndef fetch(): return clean(), rows, fetch", names)  # noqa: S102
    code_of(names["fetch"])
    gone = weakref.ref(names)

    del names
    gc.collect()

    assert gone() is None


def test_threads_that_take_the_same_code_at_once_agree(notebook: Notebook) -> None:
    notebook.cell(CELL)
    fetch, start = notebook.names["fetch"], threading.Barrier(8)
    found: list[str] = []

    def take() -> None:
        start.wait()
        for value in range(20):
            notebook.names["late"] = lambda x, y=value: (x, y)
            found.append(code_of(fetch).name)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == ["fetch"] * 160


IPYTHON = '''
import json
from IPython.core.interactiveshell import InteractiveShell
from nbflow._engine.code import code_of
from nbflow._engine.code.syntax import parsed
shell = InteractiveShell.instance(history_manager=None)
cells = ["""
import json
limit = 3
def clean(x):
    return json.dumps(x)  # a note
pairs = [1]
def fetch(x):
    return clean(x)[:limit], pairs""", """
limit += 1""", """
limit = 3
if True:
    limit = 4"""]
shell.run_cell(cells[0])
code = code_of(shell.user_ns["fetch"])
print([part["kind"] for part in json.loads(code.source)["parts"]], code.watched)
shell.run_cell(cells[1])
print(code_of(shell.user_ns["fetch"]).watched)
'''


def test_cells_that_ipython_ran_are_read_as_they_were_written() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", IPYTHON], capture_output=True, check=True, text=True
    )

    assert printed.stdout.splitlines() == [
        "['function', 'function'] ('pairs',)",
        "('limit', 'pairs')",
    ]


def test_a_parser_that_another_thread_disturbs_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusals = [SystemError("AST constructor recursion depth mismatch")] * 3
    parse = ast.parse

    def disturbed(*args: Any, **kwargs: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return parse(*args, **kwargs)

    monkeypatch.setattr(ast, "parse", disturbed)

    tree = parsed("unusual = 'text of this test only'")

    assert tree is not None
    assert refusals == []
