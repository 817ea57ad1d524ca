"""A cell that is a workflow: its statements as one function over the notebook."""

from __future__ import annotations
import __future__

import asyncio
import builtins
import dataclasses
import inspect
import linecache
import pickle
import sys
import textwrap
import threading
import traceback
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from nbflow.session.body import FinishedNames, compile_body
from nbflow.session.cells import WorkflowCell, default_input, needs_input, parse_cell

if TYPE_CHECKING:
    from collections.abc import Callable

FILENAME = "<cell 7>"


def body(
    text: str, namespace: dict[str, Any], *, name: str = "review", **options: Any
) -> Callable[..., Any]:
    cell = parse_cell(textwrap.dedent(text), filename=FILENAME, name=name)
    assert isinstance(cell, WorkflowCell)
    return compile_body(cell, namespace, **options)


def run(text: str, namespace: dict[str, Any] | None = None, inputs: Any = None) -> Any:
    space = {} if namespace is None else namespace
    return body(text, space)(inputs)


# The result.


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("6 * 7", 42),
        ("x = 6\nx * 7", 42),
        ("x = 6\nx * 7;", 42),
        ("x = 6", None),
        ("", None),
        ("# nothing", None),
        ("'a text'", "a text"),
        ("return 5", 5),
        ("for i in range(9):\n    if i == 3:\n        return i", 3),
        ("return\n1", None),
        ("if True:\n    5", None),
    ],
)
def test_a_cells_result_is_its_return_or_last_expression(
    text: str, result: object
) -> None:
    assert run(text) == result


def test_inputs_and_previous_are_visible() -> None:
    function = body("(inputs, previous)", {})

    assert function({"n": 1}, previous="before") == ({"n": 1}, "before")


def test_previous_is_none_where_nobody_gives_it() -> None:
    assert body("previous", {})(1) is None


def test_functions_of_the_cell_see_inputs_and_previous() -> None:
    function = body("def both():\n    return inputs, previous\nboth()", {})

    assert function(1, previous=2) == (1, 2)


def test_a_variable_named_inputs_does_not_hide_the_runs_input() -> None:
    assert run("inputs", {"inputs": "the notebook's"}, "the run's") == "the run's"


def test_a_body_that_awaits_is_an_async_function() -> None:
    text = """
        import asyncio
        x = await asyncio.sleep(0, 20)
        async def more():
            return x + 1
        return await more()
    """
    function = body(text, {})

    assert inspect.iscoroutinefunction(function)
    assert asyncio.run(function(None)) == 21


def test_a_body_that_does_not_await_is_a_plain_function() -> None:
    function = body("async def f(): await g()", {})

    assert not inspect.iscoroutinefunction(function)


def test_an_async_comprehension_makes_the_body_async() -> None:
    text = """
        async def numbers():
            yield 1
            yield 2
        [n async for n in numbers()]
    """

    assert asyncio.run(body(text, {})(None)) == [1, 2]


# Names.


def test_names_reach_the_notebook_when_the_body_returns() -> None:
    namespace: dict[str, Any] = {}
    seen: list[bool] = []
    namespace["look"] = lambda: seen.append("total" in namespace)

    run("total = 3\nlook()\n", namespace)

    assert seen == [False]
    assert namespace["total"] == 3


def test_names_of_a_failed_body_do_not_reach_the_notebook() -> None:
    namespace: dict[str, Any] = {"n": 1}

    with pytest.raises(ZeroDivisionError):
        run("n = 2\nfresh = 3\n1 / 0", namespace)

    assert namespace["n"] == 1
    assert "fresh" not in namespace


def test_a_name_of_the_notebook_begins_with_the_notebooks_value() -> None:
    namespace: dict[str, Any] = {"n": 41}

    assert run("n = n + 1\nn", namespace) == 42
    assert namespace["n"] == 42


def test_an_augmented_assignment_begins_with_the_notebooks_value() -> None:
    namespace: dict[str, Any] = {"n": 41}

    run("n += 1", namespace)

    assert namespace["n"] == 42


def test_a_body_that_runs_again_after_an_error_begins_from_the_same_values() -> None:
    namespace: dict[str, Any] = {"n": 1, "ready": False}
    function = body("n = n + 1\nif not ready:\n    1 / 0\nn", namespace)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            function(None)

    namespace["ready"] = True

    assert function(None) == 2
    assert namespace["n"] == 2


def test_each_finished_run_begins_where_the_last_one_ended() -> None:
    namespace: dict[str, Any] = {"n": 0}
    function = body("n = n + 1\nn", namespace)

    assert [function(None) for _ in range(3)] == [1, 2, 3]


def test_an_interrupted_body_publishes_nothing() -> None:
    namespace: dict[str, Any] = {"n": 1, "KeyboardInterrupt": KeyboardInterrupt}

    with pytest.raises(KeyboardInterrupt):
        run("n = 2\nraise KeyboardInterrupt", namespace)

    assert namespace["n"] == 1


def test_a_name_that_is_nowhere_is_unbound_until_it_is_assigned() -> None:
    with pytest.raises(UnboundLocalError, match="'n'"):
        run("n = n + 1", {})


def test_a_built_in_name_can_be_assigned_from_itself() -> None:
    namespace: dict[str, Any] = {}

    assert run("max = max(1, 2)\nmax", namespace) == 2
    assert namespace["max"] == 2
    assert builtins.max(3, 4) == 4


def test_names_that_are_only_read_are_looked_up_when_they_are_used() -> None:
    namespace: dict[str, Any] = {"rate": 1}
    namespace["edit"] = lambda: namespace.update(rate=2)

    assert run("before = rate\nedit()\n(before, rate)", namespace) == (1, 2)


def test_a_name_that_nobody_knows_is_the_plain_name_error() -> None:
    with pytest.raises(NameError, match="'nowhere'"):
        run("nowhere", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a, (b, *c) = 1, (2, 3, 4)", {"a": 1, "b": 2, "c": [3, 4]}),
        ("for a in [1, 2]: b = a", {"a": 2, "b": 2}),
        ("print(a := 1, end='')", {"a": 1}),
        ("any((a := x) > 1 for x in [1, 2, 3])", {"a": 2}),
        ("a: int = 1", {"a": 1}),
        ("with opened() as a: pass", {"a": "open"}),
        ("match [1, 2, 3]:\n    case [a, *b]: pass", {"a": 1, "b": [2, 3]}),
        ("match {1: 1, 2: 2}:\n    case {1: a, **b}: pass", {"a": 1, "b": {2: 2}}),
        ("match 5:\n    case int() as a: pass", {"a": 5}),
        ("a = b = 1", {"a": 1, "b": 1}),
        ("[x for x in range(3)]", {}),
        ("a: int", {}),
        ("def f(): inner = 1\nf()\ndel f", {}),
        ("try:\n    1 / 0\nexcept ZeroDivisionError as a:\n    b = str(a)",
         {"b": "division by zero"}),
    ],
)  # fmt: skip
def test_every_way_of_binding_a_name_reaches_the_notebook(
    text: str, expected: dict[str, Any]
) -> None:
    class Opened:
        def __enter__(self) -> str:
            return "open"

        def __exit__(self, *_: object) -> None: ...

    namespace: dict[str, Any] = {"opened": Opened}
    before = {*namespace, "__builtins__"}

    run(text, namespace)

    assert {k: v for k, v in namespace.items() if k not in before} == expected


def test_deleting_a_name_deletes_it_from_the_notebook_when_the_body_returns() -> None:
    namespace: dict[str, Any] = {"n": 1}

    run("del n", namespace)

    assert "n" not in namespace


def test_deleting_a_name_and_failing_leaves_it_in_the_notebook() -> None:
    namespace: dict[str, Any] = {"n": 1}

    with pytest.raises(ZeroDivisionError):
        run("del n\n1 / 0", namespace)

    assert namespace["n"] == 1


def test_the_name_of_a_caught_exception_is_gone_as_in_any_cell() -> None:
    namespace: dict[str, Any] = {"error": "old"}

    run("try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    pass", namespace)

    assert "error" not in namespace


def test_names_bound_after_a_return_in_a_finally_reach_the_notebook() -> None:
    namespace: dict[str, Any] = {}

    assert run("try:\n    return 1\nfinally:\n    closed = True", namespace) == 1
    assert namespace["closed"] is True


def test_a_return_whose_finally_fails_publishes_nothing() -> None:
    namespace: dict[str, Any] = {}

    with pytest.raises(ZeroDivisionError):
        run("done = 1\ntry:\n    return 1\nfinally:\n    1 / 0", namespace)

    assert "done" not in namespace


def test_a_value_that_the_body_left_as_it_was_is_not_written_again() -> None:
    namespace: dict[str, Any] = {"n": 1}
    namespace["other_cell"] = lambda: namespace.update(n=100)

    run("other_cell()\nif False:\n    n = 2", namespace)

    assert namespace["n"] == 100


def test_underscores_are_thrown_away() -> None:
    namespace: dict[str, Any] = {"_": "the last output"}

    run("for _ in range(3): pass\n__, x = 1, 2\n_private = 3", namespace)

    assert namespace["_"] == "the last output"
    assert "__" not in namespace
    assert (namespace["x"], namespace["_private"]) == (2, 3)


def test_an_assigned_input_is_a_variable_like_others() -> None:
    namespace: dict[str, Any] = {}

    assert run("inputs = [*inputs, 2]\ninputs", namespace, [1]) == [1, 2]
    assert namespace["inputs"] == [1, 2]


def test_nothing_of_the_machinery_is_left_in_the_notebook() -> None:
    namespace: dict[str, Any] = {}

    run("x = 1\ndef f(): ...\nclass C: ...\nimport math", namespace)

    assert {*namespace} == {"__builtins__", "x", "f", "C", "math"}


def test_the_caller_may_keep_the_names_until_the_run_has_finished() -> None:
    namespace: dict[str, Any] = {"gone": 1, "same": 2}
    kept: list[FinishedNames] = []
    function = body(
        "b = 1\na = 2\nsame = same\ndel gone", namespace, on_return=kept.append
    )

    function(None)

    assert "b" not in namespace
    assert "gone" in namespace
    assert kept == [FinishedNames({"a": 2, "b": 1}, ("gone",))]
    assert list(kept[0].bound) == ["a", "b"]
    kept[0].publish(namespace)
    assert (namespace["a"], namespace["b"]) == (2, 1)
    assert "gone" not in namespace


def test_two_runs_at_once_keep_their_names_apart() -> None:
    both = threading.Barrier(2, timeout=10)
    namespace: dict[str, Any] = {"wait": both.wait}
    function = body(
        "limit = inputs\ndef get():\n    return limit\nwait()\n(limit, get())",
        namespace,
    )
    results: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda n=n: results.update({n: function(n)}))
        for n in (1, 2)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == {1: (1, 1), 2: (2, 2)}


# Functions, classes and imports.


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("def made(): ...", "made"),
        ("async def made(): ...", "made"),
        ("class made: ...", "made"),
        ("import textwrap", "textwrap"),
        ("import os.path", "os"),
        ("import os.path as p", "p"),
        ("from os import path", "path"),
        ("from os import path as p", "p"),
        ("if True:\n    def made(): ...", "made"),
        ("try:\n    import textwrap\nfinally:\n    pass", "textwrap"),
        ("for _ in [1]:\n    with nothing:\n        def made(): ...", "made"),
        ("match 1:\n    case 1:\n        import textwrap", "textwrap"),
    ],
)
def test_functions_classes_and_imports_reach_the_notebook_at_once(
    statement: str, name: str
) -> None:
    namespace: dict[str, Any] = {"nothing": threading.Lock()}

    with pytest.raises(ZeroDivisionError):
        run(f"{statement}\n1 / 0", namespace)

    assert name in namespace


def test_a_definition_that_was_not_reached_is_not_in_the_notebook() -> None:
    namespace: dict[str, Any] = {}

    with pytest.raises(ZeroDivisionError):
        run("1 / 0\ndef late(): ...", namespace)

    assert "late" not in namespace


def test_a_decorated_function_reaches_the_notebook_as_decorated() -> None:
    namespace: dict[str, Any] = {"task": lambda f: ("task", f.__name__)}

    run("@task\ndef fetch(): ...", namespace)

    assert namespace["fetch"] == ("task", "fetch")


def test_functions_see_the_names_of_the_cell_as_closures() -> None:
    namespace: dict[str, Any] = {"limit": 1}

    run("limit = 5\ndef get():\n    return limit", namespace)
    namespace["limit"] = 100

    assert namespace["get"]() == 5


def test_a_function_sees_what_the_cell_assigns_after_it() -> None:
    assert run("def get():\n    return later\nlater = 3\nget()") == 3


def test_functions_of_the_cell_can_call_each_other_and_themselves() -> None:
    text = """
        def even(n): return n == 0 or odd(n - 1)
        def odd(n): return n != 0 and even(n - 1)
        even(10)
    """

    assert run(text) is True


def test_nonlocal_reaches_the_cells_name() -> None:
    text = """
        calls = 0
        def count():
            nonlocal calls
            calls += 1
        count(); count()
    """
    namespace: dict[str, Any] = {}

    run(text, namespace)

    assert namespace["calls"] == 2


def test_global_in_a_function_is_the_same_variable_as_the_cells() -> None:
    text = """
        attempts: int = 0
        def attempt():
            global attempts
            attempts += 1
        attempt(); attempt()
        attempts
    """
    namespace: dict[str, Any] = {}

    assert run(text, namespace) == 2
    assert namespace["attempts"] == 2


def test_a_top_level_global_is_written_at_once() -> None:
    namespace: dict[str, Any] = {"n": 1}

    with pytest.raises(ZeroDivisionError):
        run("global n\nn = 2\n1 / 0", namespace)

    assert namespace["n"] == 2


def test_definitions_are_named_as_in_a_plain_cell() -> None:
    text = """
        def f():
            def g(): ...
            return g
        class C:
            class D: ...
            def m(self): ...
        lam = lambda: 1
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}

    run(text, namespace)

    names = {
        "f": namespace["f"],
        "f.<locals>.g": namespace["f"](),
        "C": namespace["C"],
        "C.D": namespace["C"].D,
        "C.m": namespace["C"].m,
        "<lambda>": namespace["lam"],
    }
    assert {name: thing.__qualname__ for name, thing in names.items()} == {
        name: name for name in names
    }
    assert namespace["C"].__module__ == "__main__"


def test_an_instance_of_a_class_of_the_cell_can_be_pickled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = ModuleType("a_notebook")
    monkeypatch.setitem(sys.modules, "a_notebook", module)
    text = """
        from dataclasses import dataclass
        @dataclass
        class Point:
            x: int
        Point(3)
    """

    point = run(text, module.__dict__)

    assert pickle.loads(pickle.dumps(point)) == point  # noqa: S301 - our own bytes


def test_a_class_may_name_its_field_like_the_cells_variable() -> None:
    text = """
        from dataclasses import dataclass
        limit, size = 5, 2
        @dataclass
        class Settings:
            limit: int = limit
            double: int = limit * 2
            size = size + 1
            size = size + 1
            def cell_limit(self):
                return limit
        Settings()
    """

    settings = run(text, {"limit": "the notebook's"})

    assert dataclasses.asdict(settings) == {"limit": 5, "double": 10}
    assert (settings.size, settings.cell_limit()) == (4, 5)


def test_an_inner_class_and_a_comprehension_read_the_cells_variable() -> None:
    text = """
        rows = [1, 2]
        class Outer:
            class Inner:
                rows = [row * 10 for row in rows]
            rows = tuple(rows)
            __slots__ = ()
        (Outer.Inner.rows, Outer.rows)
    """

    assert run(text) == ([10, 20], (1, 2))


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("x = (lambda n=n: n)()", 5),
        ("x = (lambda: n)()", 5),
        ("x = [n for _ in [1]][0]", 5),
        ("x = {n for n in [n]}.pop()", 5),
        ("x = {k: v for k, v in [(1, n)]}[1]", 5),
        ("x = next(i for i in [n])", 5),
        ("def get(m=n): return m\n    x = get()", 5),
        ("async def get(m=n): return m\n    x = get.__defaults__[0]", 5),
        ("n += 1\n    x = n", 6),
        ("x = n\n    n = 7", 5),
        ("n = 7\n    x = n", 7),
        ("n = 7\n    del n\n    x = n", 5),
    ],
)
def test_a_class_that_binds_a_name_reads_the_cells_before(
    member: str, value: int
) -> None:
    text = f"n = 5\nclass C:\n    {member}\n    n = 9\nC.x"

    assert run(text, {"n": "the notebook's"}) == value


def test_future_annotations_hold_for_the_whole_cell() -> None:
    text = '''
        """What the cell does."""
        from __future__ import annotations
        def f(x: Unknown) -> Unknown: ...
        f.__annotations__
    '''

    assert run(text) == {"x": "Unknown", "return": "Unknown"}


def test_a_late_future_import_is_the_syntax_error_it_is() -> None:
    with pytest.raises(SyntaxError, match="from __future__"):
        body("x = 1\nfrom __future__ import annotations", {})


def test_the_notebooks_compiler_flags_hold_for_the_cell() -> None:
    flags = __future__.annotations.compiler_flag
    function = body("def f(x: Unknown): ...\nf.__annotations__['x']", {}, flags=flags)

    assert function(None) == "Unknown"


# The function as others see it.


def test_the_function_is_named_like_the_workflow() -> None:
    function = body("x = 1", {}, name="penguins")

    assert (function.__name__, function.__qualname__) == ("penguins", "penguins")
    assert function.__code__.co_name == "penguins"


def test_the_functions_globals_are_the_notebook_itself() -> None:
    namespace: dict[str, Any] = {}

    function: Any = body("x = 1", namespace)

    assert function.__globals__ is namespace


def test_the_function_carries_the_cells_text() -> None:
    function: Any = body("# why\nx = 1  # because\n", {})

    assert function.__nbflow_source__ == "# why\nx = 1  # because\n"
    assert "".join(linecache.getlines(FILENAME)) == "# why\nx = 1  # because\n"
    assert function.__code__.co_filename == FILENAME
    assert function.__code__.co_firstlineno == 1


def test_a_function_of_the_cell_has_the_cells_source() -> None:
    namespace: dict[str, Any] = {}

    run("x = 1\n\ndef f(n):\n    # a comment\n    return n\n\ny = 2\n", namespace)

    assert inspect.getsource(namespace["f"]) == (
        "def f(n):\n    # a comment\n    return n\n"
    )


@pytest.mark.parametrize(
    ("text", "needs"), [("inputs + 1", True), ("inputs = 1", False), ("x = 1", False)]
)
def test_the_function_has_a_default_input_where_the_cell_needs_none(
    text: str, needs: bool
) -> None:
    function = body(text, {})

    assert needs_input(function) is needs
    if not needs:
        assert default_input(function) == {}
        assert function() is None


# Tracebacks.


def frames(error: BaseException) -> list[tuple[str, int | None, str | None]]:
    found = traceback.extract_tb(error.__traceback__)
    return [(f.name, f.lineno, f.line) for f in found if f.filename == FILENAME]


def test_a_traceback_shows_the_cells_own_lines() -> None:
    text = """\
        # %%workflow review
        total = 0

        def divide(n):
            return 1 / n

        for n in (1, 0):
            total += divide(n)
    """

    with pytest.raises(ZeroDivisionError) as caught:
        run(text)

    assert frames(caught.value) == [
        ("review", 8, "total += divide(n)"),
        ("divide", 5, "return 1 / n"),
    ]


def test_a_traceback_shows_the_line_of_a_last_expression() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run("x = 0\n(\n    1\n    / x\n)\n")

    assert frames(caught.value) == [("review", 3, "1")]


def test_a_traceback_of_an_async_body_shows_the_cells_own_lines() -> None:
    function = body("import asyncio\nawait asyncio.sleep(0)\n1 / 0\n", {})

    with pytest.raises(ZeroDivisionError) as caught:
        asyncio.run(function(None))

    assert frames(caught.value) == [("review", 3, "1 / 0")]


def test_a_traceback_of_a_class_body_shows_the_cells_own_lines() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run("n = 0\nclass C:\n    n = 1 / n\n")

    assert frames(caught.value) == [("review", 2, "class C:"), ("C", 3, "n = 1 / n")]


def test_a_misplaced_statement_points_at_the_cells_line() -> None:
    with pytest.raises(SyntaxError) as caught:
        body("x = 1\nbreak\n", {})

    assert caught.value.filename == FILENAME
    assert (caught.value.lineno, caught.value.text) == (2, "break")


def test_one_cell_can_be_compiled_more_than_once() -> None:
    cell = parse_cell("def f(): return 1\nf()", filename=FILENAME)
    assert isinstance(cell, WorkflowCell)

    results = [compile_body(cell, {})(None) for _ in range(2)]

    assert results == [1, 1]
