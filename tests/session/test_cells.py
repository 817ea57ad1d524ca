"""What a cell is: its form, its names, and whether it needs an input."""

from __future__ import annotations

import inspect
import linecache
import textwrap
import traceback
from typing import Any

import pytest

from nbflow._values import UNSET
from nbflow.errors import UsageError
from nbflow.session.body import define
from nbflow.session.cells import (
    DefiningCell,
    WorkflowCell,
    cell_name,
    default_input,
    needs_input,
    parse_cell,
    register_source,
)


def defining(text: str, name: str | None = None) -> DefiningCell:
    cell = parse_cell(textwrap.dedent(text), filename="<cell 1>", name=name)
    assert isinstance(cell, DefiningCell)
    return cell


def workflow(text: str, **options: Any) -> WorkflowCell:
    cell = parse_cell(textwrap.dedent(text), filename="<cell 1>", **options)
    assert isinstance(cell, WorkflowCell)
    return cell


@pytest.mark.parametrize(
    "decorator",
    [
        "entrypoint",
        "entrypoint()",
        "nbflow.entrypoint",
        "nbflow.func.entrypoint(checkpointer=saver)",
        "langgraph.func.entrypoint(checkpointer=saver, cache=None)",
        "entrypoint(a)(b)",
    ],
)
def test_a_function_under_any_spelling_of_entrypoint_is_a_workflow(
    decorator: str,
) -> None:
    cell = defining(f"@{decorator}\ndef review(x):\n    return x\n")

    assert cell.names == ("review",)


def test_an_entrypoint_below_other_decorators_is_a_workflow() -> None:
    cell = defining("@logged\n@entrypoint()\n@timed\ndef review(x): ...\n")

    assert cell.names == ("review",)


def test_an_async_entrypoint_is_a_workflow() -> None:
    cell = defining("@entrypoint()\nasync def review(x): ...\n")

    assert cell.name == "review"


@pytest.mark.parametrize(
    "text",
    [
        "@entrypoint.final\ndef f(x): ...",
        "@entrypoints\ndef f(x): ...",
        "@table['entrypoint']\ndef f(x): ...",
        "@entrypoint()\nclass C: ...",
        "if True:\n    @entrypoint()\n    def f(x): ...",
        "class C:\n    @entrypoint()\n    def f(self): ...",
        "flow = entrypoint()(f)",
        "",
    ],
)
def test_a_cell_without_a_top_level_entrypoint_function_is_a_workflow_itself(
    text: str,
) -> None:
    cell = parse_cell(text, filename="<cell 1>")

    assert isinstance(cell, WorkflowCell)


TWO = """
@entrypoint()
def first(x): ...

def between(x): ...

@entrypoint()
def second(x=1): ...
"""


def test_the_last_of_several_workflows_is_run() -> None:
    cell = defining(TWO)

    assert (cell.name, cell.names) == ("second", ("first", "second"))


def test_a_name_picks_one_of_several_workflows() -> None:
    cell = defining(TWO, name="first")

    assert cell.name == "first"


def test_an_unknown_name_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"no workflow 'frist'.*'first', 'second'"):
        defining(TWO, name="frist")


def test_a_helper_function_is_no_workflow_to_pick() -> None:
    with pytest.raises(UsageError, match="'between'"):
        defining(TWO, name="between")


def test_a_cell_that_is_a_workflow_takes_the_name_it_is_given() -> None:
    cell = workflow("x = 1", name="review", default_name="cell_1")

    assert cell.name == "review"


def test_a_cell_without_a_name_keeps_its_name_when_its_text_changes() -> None:
    before = workflow("x = 1", default_name="cell_9d2f60ab")
    after = workflow("x = 2", default_name="cell_9d2f60ab")

    assert before.name == after.name == "cell_9d2f60ab"


@pytest.mark.parametrize(
    ("cell_id", "name"),
    [
        ("9d2f60ab", "cell_9d2f60ab"),
        ("9d2f-60ab-7744-0000", "cell_9d2f60ab"),
        ("", "cell"),
        ("--", "cell"),
        (None, "cell"),
    ],
)
def test_a_cells_own_name_comes_from_its_id(cell_id: str | None, name: str) -> None:
    assert cell_name(cell_id) == name
    assert cell_name(cell_id).isidentifier()


def test_names_that_a_body_binds_in_any_way_are_its_own() -> None:
    cell = workflow("""
        a = 1
        b, (c, *d) = 1, (2, 3)
        e += 1
        f: int = 1
        for g in []: h = 1
        with open("x") as i: pass
        try: pass
        except E as j: pass
        import k.l as m, n.o
        from p import q as r, s
        def t(): u = 1
        class v: w = 1
        print(x := 1)
        match y:
            case [z, *aa]: pass
            case {"k": bb, **cc}: pass
        del dd
        [ee for ee in []]
        any((ff := 1) for _gg in [])
        ii.jj = kk[0] = 1
    """)

    assert set(cell.own_names) == {
        *"abcdefghijmnrstvxz",
        *("aa", "bb", "cc", "dd", "ff"),
    }


def test_names_that_a_function_declares_global_stay_the_notebooks() -> None:
    cell = workflow("""
        attempts = 0
        seen = []
        def count():
            global attempts
            attempts += 1
        global limit
        limit = 3
    """)

    assert cell.own_names == ("count", "seen")
    assert cell.notebook_names == ("attempts", "limit")


@pytest.mark.parametrize(
    ("text", "is_async"),
    [
        ("x = await f()", True),
        ("async for x in f(): pass", True),
        ("async with f(): pass", True),
        ("[x async for x in f()]", True),
        ("[await x for x in f()]", True),
        ("def g(x=await f()): ...", True),
        ("async def g():\n    await f()", False),
        ("g = lambda: f()", False),
        ("f().result()", False),
    ],
)
def test_a_body_is_async_where_it_awaits_outside_of_functions(
    text: str, is_async: bool
) -> None:
    assert workflow(text).is_async is is_async


def test_a_top_level_return_is_allowed() -> None:
    assert workflow("if ready:\n    return 1\nx = 2").own_names == ("x",)


def test_import_star_is_refused_with_its_line() -> None:
    with pytest.raises(UsageError, match=r"Line 2: .*'from math import \*'"):
        workflow("x = 1\nfrom math import *\n")


def test_import_star_inside_a_block_is_refused() -> None:
    with pytest.raises(UsageError, match="Line 2"):
        workflow("if True:\n    from math import *\n")


@pytest.mark.parametrize("text", ["yield 1", "x = yield", "yield from f()"])
def test_a_top_level_yield_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"Line 1: .* can't yield"):
        workflow(text)


@pytest.mark.parametrize("text", ["def g(): yield 1", "g = lambda: (yield)"])
def test_a_function_of_the_cell_may_yield(text: str) -> None:
    assert workflow(text).own_names == ("g",)


def test_text_that_is_no_python_points_at_the_cells_line() -> None:
    with pytest.raises(SyntaxError) as caught:
        parse_cell("x = 1\ny = = 2\n", filename="<cell 1>")

    assert (caught.value.filename, caught.value.lineno) == ("<cell 1>", 2)
    assert caught.value.text == "y = = 2\n"


@pytest.mark.parametrize(
    "text",
    [
        "inputs",
        "x = inputs['n']",
        "def f(): return inputs",
        "f = lambda: inputs",
        "[i for i in inputs]",
        "[i for i in range(3) if inputs]",
        "inputs = inputs or {}",
        "inputs += 1",
        "inputs.append(1)",
        "class A:\n    x = inputs",
        "if x:\n    inputs = 1\nprint(inputs)",
        "print(f'{inputs}')",
        "inputs: dict\nprint(inputs)",
    ],
)
def test_a_body_that_reads_inputs_needs_an_input(text: str) -> None:
    assert needs_input(workflow(text))


@pytest.mark.parametrize(
    "text",
    [
        "x = 1",
        "inputs = 1\nprint(inputs)",
        "inputs: int = 1\nprint(inputs)",
        "import inputs\ninputs.read()",
        "def f(inputs): return inputs",
        "f = lambda inputs: inputs",
        "[inputs for inputs in x]",
        "def f():\n    inputs = 1\n    return inputs",
        "x.inputs",
        "f(inputs=1)",
    ],
)
def test_a_body_that_does_not_read_inputs_needs_none(text: str) -> None:
    assert not needs_input(workflow(text))


@pytest.mark.parametrize(
    ("parameters", "needs"),
    [
        ("x", True),
        ("x, previous=None", True),
        ("x, *, previous=None", True),
        ("x=1", False),
        ("x=None, *, previous=None", False),
        ("x, /", True),
        ("x=1, /, y=2", False),
    ],
)
def test_a_defined_workflow_needs_an_input_unless_its_first_parameter_has_a_default(
    parameters: str, needs: bool
) -> None:
    text = f"def flow({parameters}): ...\n"
    namespace: dict[str, Any] = {}
    exec(text, namespace)  # noqa: S102 - written above

    assert needs_input(defining(f"@entrypoint()\n{text}")) is needs
    assert needs_input(namespace["flow"]) is needs


def test_the_default_of_the_first_parameter_is_what_a_workflow_begins_with() -> None:
    def with_default(x: int = 5, y: int = 6) -> None: ...
    def without(x: int, y: int = 6) -> None: ...

    assert default_input(with_default) == 5
    assert default_input(without) is UNSET
    assert default_input(lambda: 1) is UNSET


def test_a_defining_cell_leaves_its_definitions_in_the_notebook() -> None:
    namespace: dict[str, Any] = {"entrypoint": lambda: lambda f: f}

    define(
        defining("""
            from math import *
            limit = 3
            @entrypoint()
            def flow(x):
                return x + limit
        """),
        namespace,
    )

    assert namespace["limit"] == 3
    assert namespace["flow"](1) == 4
    assert "sqrt" in namespace


def test_a_traceback_through_a_defining_cell_shows_its_line() -> None:
    namespace: dict[str, Any] = {"entrypoint": lambda: lambda f: f}
    define(defining("@entrypoint()\ndef flow(x):\n    return 1 / x\n"), namespace)

    with pytest.raises(ZeroDivisionError) as caught:
        namespace["flow"](0)

    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.lineno, last.line) == (3, "return 1 / x")


def test_a_defining_cell_that_awaits_outside_of_functions_is_a_syntax_error() -> None:
    cell = defining("x = await f()\n@entrypoint()\ndef flow(x): ...\n")

    with pytest.raises(SyntaxError) as caught:
        define(cell, {})

    assert (caught.value.lineno, caught.value.text) == (1, "x = await f()")


def test_a_registered_source_is_found_line_by_line() -> None:
    register_source("<cell lines>", "a = '\x0c'\r\nb = '\u2028'\nc = 3")

    assert linecache.getline("<cell lines>", 1) == "a = '\x0c'\n"
    assert linecache.getline("<cell lines>", 3) == "c = 3\n"


def test_a_registered_source_survives_a_check_of_the_cache() -> None:
    register_source("<cell kept>", "x = 1\n")

    linecache.checkcache()

    assert linecache.getlines("<cell kept>") == ["x = 1\n"]


def test_inspect_finds_the_source_of_what_a_defining_cell_defines() -> None:
    namespace: dict[str, Any] = {"entrypoint": lambda: lambda f: f}
    define(defining("@entrypoint()\ndef flow(x):\n    return x\n"), namespace)

    assert inspect.getsource(namespace["flow"]).startswith("@entrypoint()\ndef flow")
