"""Which functions, classes and modules belong to the code of a task."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import pytest

from nbflow._engine.code import code_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from nbflow._engine.code import Code
    from tests.engine.code.conftest import Notebook

CELL = """
def trim(text): return text.strip()
def clean(text): return trim(text).lower()
def fetch(text): return clean(text)
"""


def parts(code: Code) -> list[str]:
    return [part["name"] for part in json.loads(code.source)["parts"]]


@pytest.mark.parametrize("edited", ["lower", "strip"])
def test_an_edited_helper_or_helper_of_a_helper_changes_the_code(
    fresh_code: Callable[..., Code], edited: str
) -> None:
    first = fresh_code(CELL)

    second = fresh_code(CELL.replace(edited, "title"))

    assert first.fingerprint != second.fingerprint
    assert parts(first) == ["fetch", "clean", "trim"]


def test_an_edited_function_that_is_not_used_changes_nothing(
    fresh_code: Callable[..., Code],
) -> None:
    first = fresh_code(CELL, "def other(): return 1")

    second = fresh_code(CELL, "def other(): return 2")

    assert first.fingerprint == second.fingerprint


def test_a_local_name_is_no_helper_of_that_name(
    fresh_code: Callable[..., Code],
) -> None:
    source = "def fetch(text):\n    clean = text\n    return [clean for clean in clean]"
    first = fresh_code("def clean(): return 1", source)

    second = fresh_code("def clean(): return 2", source)

    assert first.fingerprint == second.fingerprint


def test_helpers_that_call_each_other_are_each_one_part(notebook: Notebook) -> None:
    notebook.cell("""
        def even(n): return n == 0 or odd(n - 1)
        def odd(n): return n != 0 and even(n - 1)
    """)

    code = notebook.code("even")

    assert parts(code) == ["even", "odd"]


def test_a_helper_in_a_closure_is_code(fresh_code: Callable[..., Code]) -> None:
    source = """
def make():
    def clean(x): return x + {}
    def fetch(x): return clean(x)
    return fetch
fetch = make()
"""
    first = fresh_code(source.format(1))

    second = fresh_code(source.format(2))

    assert first.fingerprint != second.fingerprint


CLASS = """
import functools
class Base:
    def greet(self): return "hello"
class Cleaner(Base):
    limit: int = 3
    fields = ["name", "age"]
    @property
    def short(self): return self.limit + 1
    @staticmethod
    def trim(text): return text.strip()
    @functools.cached_property
    def long(self): return self.limit * 2
def fetch(text): return Cleaner().trim(text)
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("strip", "lower"),
        ("hello", "goodbye"),
        ("= 3", "= 4"),
        ('"age"', '"size"'),
        ("+ 1", "+ 2"),
        ("* 2", "* 3"),
        (": int", ": float"),
        ("@staticmethod", "@classmethod"),
    ],
)
def test_an_edited_class_changes_the_code(
    fresh_code: Callable[..., Code], old: str, new: str
) -> None:
    first = fresh_code(CLASS)

    second = fresh_code(CLASS.replace(old, new))

    assert first.fingerprint != second.fingerprint


DATACLASS = """
from dataclasses import dataclass, field
@dataclass
class Record:
    name: str
    kind: str = "{}"
def fetch(name): return Record(name)
"""


def test_a_class_without_methods_is_code(fresh_code: Callable[..., Code]) -> None:
    first = fresh_code(DATACLASS.format("a"))

    second = fresh_code(DATACLASS.format("b"))

    assert first.fingerprint != second.fingerprint


def test_a_class_without_methods_is_that_of_the_cell_run_last(
    notebook: Notebook,
) -> None:
    codes = []

    for kind in ("a", "b", "a", "b"):
        notebook.cell(DATACLASS.format(kind))
        codes.append(notebook.code("fetch").fingerprint)

    assert codes[0] == codes[2] != codes[1] == codes[3]


@pytest.mark.parametrize(
    "source",
    [
        "import typing\nclass Made(typing.NamedTuple):\n    size: int = {}",
        "import typing\nclass Made(typing.TypedDict):\n    size: typing.Literal[{}]",
        "import enum\nclass Made(enum.Enum):\n    SIZE = {}",
        "import pydantic\nclass Made(pydantic.BaseModel):\n    size: int = {}",
        (
            "import dataclasses\n@dataclasses.dataclass(slots=True)\n"
            "class Made:\n    size: int = {}\n    def tall(self): return self.size > 1"
        ),
        "class Made(Exception):\n    'A docstring {}'",
    ],
    ids=["NamedTuple", "TypedDict", "Enum", "pydantic", "slots", "Exception"],
)
def test_every_kind_of_class_counts_by_its_text(
    fresh_code: Callable[..., Code], source: str
) -> None:
    use = "def fetch(): return Made"
    first = fresh_code(source.format(1), use)

    second = fresh_code(source.format(2), use)
    kinds = [part["kind"] for part in json.loads(first.source)["parts"]]

    assert kinds == ["function", "class"]
    assert first.fingerprint != second.fingerprint


def test_the_class_of_an_object_that_is_bound_once_is_code_but_not_its_state(
    fresh_code: Callable[..., Code],
) -> None:
    source = """
class Model:
    def __init__(self, weight): self.weight = weight
    def predict(self, x): return x * self.weight
model = Model({weight})
def fetch(x): return model.predict(x)
"""
    first = fresh_code(source.format(weight=1))

    other_state = fresh_code(source.format(weight=2))
    other_class = fresh_code(source.format(weight=1).replace("x *", "x +"))

    assert first.fingerprint == other_state.fingerprint != other_class.fingerprint
    assert first.watched == ("model",)


def test_a_bound_method_is_the_code_of_its_class_without_the_state(
    notebook: Notebook,
) -> None:
    notebook.cell("""
        class Model:
            def __init__(self, weight): self.weight = weight
            def fetch(self, x): return x * self.weight
            def other(self, x): return x
    """)
    model = notebook.names["Model"]

    codes = [
        code_of(method).fingerprint
        for method in (model(1).fetch, model(2).fetch, model(1).other)
    ]

    assert codes[0] == codes[1] != codes[2]


def test_a_partial_is_its_function_and_its_constants(notebook: Notebook) -> None:
    notebook.cell("def fetch(x, y, z=0): return x")
    fetch = notebook.names["fetch"]

    codes = [
        code_of(functools.partial(fetch, *given)).fingerprint
        for given in ((1,), (1,), (2,), (1, 1), (1.0,))
    ]

    assert codes[0] == codes[1]
    assert len(set(codes)) == 4


def test_a_task_counts_through_the_function_that_it_wraps(
    fresh_code: Callable[..., Code],
) -> None:
    cells = (
        """
class Task:
    def __init__(self, function): self.function = function
    def __nbflow_code__(self): return self.function
    def __call__(self, x): return self.function(x)
        """,
        "@Task\ndef clean(x): return x + 1",
        "@Task\ndef fetch(x): return clean(x)",
    )
    first = fresh_code(*cells)

    second = fresh_code(cells[0], cells[1].replace("1", "2"), cells[2])

    assert first.fingerprint != second.fingerprint
    assert parts(first) == ["fetch", "clean"]


def test_a_decorator_that_runs_around_the_function_is_code(
    fresh_code: Callable[..., Code],
) -> None:
    source = """
import functools
def twice(function):
    @functools.wraps(function)
    def run(x): return function(x) {} 2
    return run
@twice
def fetch(x): return x + 1
"""
    first = fresh_code(source.format("*"))

    other_wrapper = fresh_code(source.format("+"))
    other_body = fresh_code(source.format("*").replace("x + 1", "x + 3"))

    assert len({c.fingerprint for c in (first, other_wrapper, other_body)}) == 3


def test_a_decorator_that_is_a_class_is_code(fresh_code: Callable[..., Code]) -> None:
    source = """
import functools
class Twice:
    def __init__(self, function): functools.update_wrapper(self, function)
    def __call__(self, x): return self.__wrapped__(x) {} 2
@Twice
def clean(x): return x + 1
def fetch(x): return clean(x)
"""
    first = fresh_code(source.format("*"))

    other_class = fresh_code(source.format("+"))
    other_body = fresh_code(source.format("*").replace("x + 1", "x + 3"))

    assert len({c.fingerprint for c in (first, other_class, other_body)}) == 3


def test_a_function_inside_of_one_of_another_package_is_code(
    notebook: Notebook, write_module: Callable[[str, str], ModuleType]
) -> None:
    source = "def hold(function):\n    return lambda x: function(x)"
    notebook.names["hold"] = write_module("site-packages.holding", source).hold
    codes = []

    for sign in "+-":
        notebook.cell(f"fetch = hold(lambda x: x {sign} 1)")
        notebook.cell("def store(x): return fetch(x)")
        codes += [notebook.code("fetch"), notebook.code("store")]

    assert len({code.fingerprint for code in codes}) == 4


def test_a_function_that_says_it_wraps_itself_has_a_code(notebook: Notebook) -> None:
    notebook.cell("def fetch(x): return x\nfetch.__wrapped__ = fetch")

    code = notebook.code("fetch")

    assert parts(code) == ["fetch"]


def test_partials_of_different_functions_and_helpers_differ(
    notebook: Notebook,
) -> None:
    notebook.cell("def one(x): return x\ndef two(x): return x + 1")
    one, two = notebook.names["one"], notebook.names["two"]
    made: list[tuple[Any, Any]] = [
        (map, one),
        (map, two),
        (filter, two),
        (one, two),
        (two, two),
    ]

    codes = [code_of(functools.partial(f, x)).fingerprint for f, x in made]

    assert len(set(codes)) == len(made)


def test_methods_of_other_packages_differ_by_their_names() -> None:
    encoder, decoder = json.JSONEncoder(), json.JSONDecoder()
    methods = (encoder.encode, encoder.iterencode, decoder.decode, decoder.raw_decode)

    codes = [code_of(method).fingerprint for method in methods]

    assert len(set(codes)) == 4


def test_a_function_bound_to_an_object_of_another_package_is_code(
    notebook: Notebook,
) -> None:
    codes = []

    for sign in "+-":
        notebook.cell(f"import types\ndef fetch(x): return x {sign} 1")
        notebook.cell("bound = types.MethodType(fetch, 3)")
        codes.append(notebook.code("bound").fingerprint)

    assert codes[0] != codes[1]


def test_a_decorator_of_another_package_is_looked_through(
    fresh_code: Callable[..., Code],
) -> None:
    source = """
import functools, contextlib
@functools.lru_cache(maxsize={size})
def clean(x): return x + {add}
def fetch(x): return clean(x)
"""
    first = fresh_code(source.format(size=1, add=1))

    other_option = fresh_code(source.format(size=2, add=1))
    other_body = fresh_code(source.format(size=1, add=2))

    assert first.fingerprint == other_option.fingerprint != other_body.fingerprint


def test_options_in_the_decorator_line_are_no_code(
    fresh_code: Callable[..., Code],
) -> None:
    source = """
def task(retries):
    return lambda function: function
@task({})
def fetch(x): return x
"""
    first = fresh_code(source.format(1))

    second = fresh_code(source.format(2))

    assert first.fingerprint == second.fingerprint


def test_a_helper_in_a_module_of_the_users_is_code(
    notebook: Notebook, write_module: Callable[[str, str], ModuleType]
) -> None:
    source = "from kit.texts import lower\ndef clean(x): return lower(x)"
    write_module("kit.texts", "def lower(x): return x.lower()")
    write_module("kit.cleaning", source)
    notebook.cell("""
        import kit.cleaning
        from kit.cleaning import clean as tidy
        def fetch(x): return kit.cleaning.clean(x)
        def store(x): return tidy(x)
    """)

    fetched = notebook.code("fetch")
    stored = notebook.code("store")

    assert parts(fetched) == ["fetch", "clean", "lower"]
    assert parts(stored) == ["store", "clean", "lower"]


def test_what_python_and_packages_bring_counts_by_name_only(
    notebook: Notebook,
) -> None:
    notebook.cell("""
        import json, textwrap
        import pytest as checks
        from msgspec.json import encode
        def fetch(x):
            checks.approx(x)
            return json.loads(textwrap.dedent(encode(x).decode())), sorted(x)
    """)

    code = notebook.code("fetch")

    assert parts(code) == ["fetch"]
    assert code.watched == ()


def test_an_installed_package_is_the_users_if_it_defines_tasks(
    write_module: Callable[[str, str], ModuleType],
) -> None:
    source = """
        class Task:
            def __init__(self, function): self.function = function
            def __nbflow_code__(self): return self.function
        def clean(x): return x
        {}
        def fetch(x): return clean(x)
    """
    tasks = write_module("site-packages.with_tasks", source.format("@Task"))
    plain = write_module("site-packages.without", source.format(""))

    with_tasks = code_of(tasks.fetch)
    without = code_of(plain.fetch)

    assert parts(with_tasks) == ["fetch", "clean"]
    assert parts(without) == ["fetch"]


def test_a_proxy_that_fails_when_it_is_looked_at_is_a_value(
    notebook: Notebook,
) -> None:
    notebook.cell("""
        class Proxy:
            @property
            def __class__(self): raise RuntimeError("outside of a request")
            def __getattr__(self, name): raise RuntimeError("outside of a request")
        request = Proxy()
        def fetch(): return request
    """)

    code = notebook.code("fetch")

    assert code.watched == ("request",)


def test_helpers_are_found_without_a_source_too(
    write_module: Callable[[str, str], ModuleType],
) -> None:
    kit = write_module("kit", "def clean(x): return x\nlimit = 3\nrows = []")
    space: dict[str, Any] = {"__name__": "made_at_run_time", "kit": kit}
    exec(  # noqa: S102 - has no source
        "def fetch(x):\n"
        "    class Row:\n"
        "        names = ('b', 'a')\n"
        "        size = 1\n"
        "    def inner(): return kit.clean(x), x, Row, kit.limit\n"
        "    return inner(), kit.rows\n",
        space,
    )

    code = code_of(space["fetch"])

    assert parts(code) == ["fetch", "clean"]
    assert json.loads(code.source)["parts"][0]["constants"].keys() == {"kit.limit"}
    assert code.watched == ("kit.rows",)


def test_a_method_of_a_class_made_at_run_time_is_code() -> None:
    def names(sign: str) -> dict[str, Any]:
        space: dict[str, Any] = {"__name__": "made_at_run_time"}
        exec(  # noqa: S102 - has no source
            "class Cleaner:\n"
            "    limit = 3\n"
            f"    def trim(self, x): return x {sign} 1\n"
            "def fetch(x): return Cleaner().trim(x)\n",
            space,
        )
        return space

    codes = [code_of(names(sign)["fetch"]).fingerprint for sign in "++-"]

    assert codes[0] == codes[1] != codes[2]
