"""The same code has the same fingerprint anywhere, and stored code keeps it."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow._engine.code import refingerprint
from nbflow._engine.code.literals import digested, is_constant, literal
from nbflow._engine.code.syntax import Kind, canonical, parsed_part

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._engine.code import Code

ROOT = Path(__file__).parents[3]

PROGRAM = '''
from __future__ import annotations
import linecache, json, functools
from nbflow._engine.code import code_of

SOURCE = """
import json, dataclasses
from dataclasses import dataclass
LIMIT, RATE, NAMES = 3, 0.5, ("a", b"b", None, True)
rows = []
@dataclass
class Record:
    name: str
    size: "int | None" = None
    def tall(self) -> bool: return (self.size or 0) > LIMIT
def clean(text: str, /, *more: int, key=None, **rest) -> str:
    match text:
        case str() | bytes(): pass
        case {"a": [1, *_], **others}: pass
        case None if more: return f"{text!r:>{LIMIT}.{key}} {text=}" "end" f""
    return [x async for x in rest] if 1j in {1, 2, "three"} else json.dumps(text)[1:...]
async def fetch(x, rate=RATE, *, names=NAMES):
    global seen
    with open(x) as f, f as g: n: int = 1 << 70
    try: await clean(x)
    except* ValueError as error: raise KeyError from error
    def inner():
        nonlocal n
        n += (m := lambda y, z=n: {y: z for y in rows})
        yield from {**m(1)}
    return Record(x, *names, **{}), inner, f"{x:{n}}{LIMIT:}", "\\\\N{BULLET}é"
"""
SOURCE = SOURCE.replace("[x async for x in rest]", "[x for x in rest]")
lines = SOURCE.splitlines(keepends=True)
linecache.cache["<cell>"] = (len(SOURCE), None, lines, "<cell>")
names = {"__name__": "__main__"}
exec(compile(SOURCE, "<cell>", "exec", dont_inherit=True), names)
code = code_of(functools.partial(names["fetch"], 1, names=(2.5, "x")))
kinds = [part["kind"] for part in json.loads(code.source)["parts"]]
print(code.fingerprint, *kinds)
'''

EXPECTED = "1-7600c0e8c6f4d3f776464ca33e4e2d39 object function function class"


def pythons() -> list[str]:
    """Return this Python and the others of the machine that can read nbflow."""
    found = [sys.executable]
    for minor in range(11, 16):
        path = shutil.which(f"python3.{minor}")
        if path and minor != sys.version_info[1]:
            answer = subprocess.run(
                [path, "-c", ""], capture_output=True, check=False, timeout=10
            )
            if answer.returncode == 0:
                found.append(path)
    return found


@pytest.mark.parametrize("python", pythons(), ids=lambda path: Path(path).name)
@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_a_fingerprint_is_the_same_on_every_python_and_under_any_hash_seed(
    python: str, seed: str
) -> None:
    environment = {
        **os.environ,
        "PYTHONHASHSEED": seed,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    printed = subprocess.run(
        [python, "-c", PROGRAM],
        capture_output=True,
        check=True,
        env=environment,
        text=True,
    )

    assert printed.stdout.strip() == EXPECTED


def text(value: str) -> str:
    return f"""["str", "'{value}'"],"""


def name(value: str) -> str:
    return f"Name(id=[{text(value)}]),"


GOLDEN: dict[str, tuple[Kind, str, str]] = {
    "what is left out of a function": (
        "function",
        "@task(1)\ndef f(x: int, /) -> int:\n    'doc'\n    z: int\n    k: int = x\n",
        (
            f"FunctionDef(args=[arguments(posonlyargs=[arg(arg=[{text('x')}]),]),]"
            """body=[Expr(value=[Constant(["str", "'doc'"]),]),"""
            f"Assign(targets=[{name('k')}]value=[{name('x')}]),]name=[{text('f')}])"
        ),
    ),
    "a string that is put together": (
        "function",
        "def f():\n    return f'{k}' 'a' 'b'\n",
        (
            "FunctionDef(args=[arguments(),]body=[Return(value=[JoinedStr(values=["
            f"""FormattedValue(conversion=[["int", "-0x1"],]value=[{name("k")}]),"""
            """Constant(["str", "'ab'"]),]),]),]"""
            f"name=[{text('f')}])"
        ),
    ),
    "a lambda of two lines": (
        "lambda",
        "lambda *a: (a[0]\n  , not a)",
        (
            f"Lambda(args=[arguments(vararg=[arg(arg=[{text('a')}]),]),]"
            "body=[Tuple(elts=[Subscript("
            f"""slice=[Constant(["int", "0x0"]),]value=[{name("a")}]),"""
            f"UnaryOp(op=[Not(),]operand=[{name('a')}]),]),])"
        ),
    ),
    "annotations of a class": (
        "class",
        "  @made\n  class C:\n    x: int = 1\n    y: int\n",
        (
            f"ClassDef(body=[AnnAssign(annotation=[{name('int')}]target=[{name('x')}]"
            f"""value=[Constant(["int", "0x1"]),]),"""
            f"AnnAssign(annotation=[{name('int')}]target=[{name('y')}]),]"
            f"decorator_list=[{name('made')}]name=[{text('C')}])"
        ),
    ),
    "a cell": (
        "cell",
        "x: float = 1.5\nawait go\n",
        (
            f"Module(body=[Assign(targets=[{name('x')}]"
            """value=[Constant(["float", "0x1.8000000000000p+0"]),]),"""
            f"Expr(value=[Await(value=[{name('go')}]),]),])"
        ),
    ),
}


@pytest.mark.parametrize(
    ("kind", "program", "expected"), GOLDEN.values(), ids=GOLDEN.keys()
)
def test_the_canonical_text_of_a_program_is_the_same_on_every_python(
    kind: Kind, program: str, expected: str
) -> None:
    tree = parsed_part(program, kind)

    assert tree is not None
    assert canonical(tree) == expected


@pytest.mark.parametrize("name", ["fetch", "made", "Cleaner", "part"])
def test_stored_code_has_the_fingerprint_that_it_was_taken_with(
    fresh_code: Callable[..., Code], name: str
) -> None:
    source = """
from functools import partial
LIMIT = 3
class Cleaner:
    def clean(self, x): return x[:LIMIT]
def fetch(x, y="b"): return Cleaner().clean(x), made(x)
made = [lambda x: x, lambda x: not x][1]
part = partial(fetch, 1, y=made)
"""
    code = fresh_code(source, name=name)

    stored = json.loads(json.dumps(code.source))

    assert refingerprint(stored) == code.fingerprint


def test_stored_code_with_other_comments_has_the_same_fingerprint(
    fresh_code: Callable[..., Code],
) -> None:
    code = fresh_code("def fetch(x):\n    return x  # as it is")

    rewritten = code.source.replace("  # as it is", "")

    assert rewritten != code.source
    assert refingerprint(rewritten) == code.fingerprint


def test_stored_code_that_this_python_can_not_read_differs_from_all_other() -> None:
    def stored(text: str) -> str:
        part = {"name": "f", "kind": "function", "text": text}
        return json.dumps({"format": 1, "parts": [part]})

    found = {refingerprint(stored(f"def f(): return {s}")) for s in ("$", "?", "1")}

    assert len(found) == 3


@pytest.mark.parametrize("source", ["", "{}", "[]", '{"parts": [{"new": 1}]}', "null"])
def test_what_was_never_stored_code_is_refused_by_its_text(source: str) -> None:
    with pytest.raises(ValueError, match="Pass the `source` of a recorded code"):
        refingerprint(source)


# Few, so that two of them are often the same.
constants = st.recursive(
    st.sampled_from([None, False, True, 0, 1, -1, 0.0, -0.0, 1.0, float("nan")])
    | st.sampled_from(["", "0", "a", "\ud800", b"", b"0", b"a"]),
    lambda inner: st.lists(inner, max_size=2).map(tuple),
    max_leaves=3,
)


@given(constants, constants)
def test_constants_have_the_same_form_exactly_if_type_and_value_are_the_same(
    one: Any, other: Any
) -> None:
    same = _typed(one) == _typed(other)

    forms = [json.dumps(literal(value)) for value in (one, other)]
    digests = [json.dumps(digested(value)) for value in (one, other)]

    assert is_constant(one)
    assert (forms[0] == forms[1]) is same
    assert (digests[0] == digests[1]) is same


def _typed(value: Any) -> object:
    if isinstance(value, tuple):
        return [tuple, *map(_typed, value)]
    # Equal, but not the same: 0.0 and -0.0; the same, but not equal: nan.
    return [type(value), value.hex() if isinstance(value, float) else value]


def test_a_number_with_more_digits_than_python_prints_has_a_form() -> None:
    number = 10**5000

    form = digested(number)

    assert form != digested(number + 1)
    assert len(json.dumps(form)) < 100


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "nbflow" / "_engine" / "code").glob("*.py")),
    ids=lambda p: p.name,
)
def test_a_program_and_its_reformatted_text_are_the_same_code(path: Path) -> None:
    program = path.read_text("utf-8")
    reformatted = ast.unparse(ast.parse(program))

    trees = [parsed_part(written, "cell") for written in (program, reformatted)]

    assert program != reformatted
    assert len({canonical(tree) for tree in trees if tree is not None}) == 1
