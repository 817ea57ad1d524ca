"""Equal values have one fingerprint, in every process; others have another."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nbflow._values import Send
from nbflow.serde import fingerprint, fingerprint_exact
from nbflow.serde.codec import ATOMS
from nbflow.serde.fingerprint import _Canon, _pack

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Client:
    """Holds something that can't be stored."""

    url: str
    lock: Any


DIFFERENT: list[Any] = [
    None,
    True,
    1,
    1.0,
    "1",
    b"1",
    bytearray(b"1"),
    (1,),
    [1],
    {1},
    frozenset({1}),
    {1: 1},
    {"1": 1},
    [[1]],
    [(1,)],
    ((1,),),
    [1, None],
    0.0,
    -0.0,
    2**64,
    -(2**64),
    1j,
    range(1),
    [],
    (),
    {},
    set(),
    frozenset(),
    [[], []],
    "",
    b"",
    OrderedDict(a=1),
    Counter(a=1),
    {"a": 1},
    "builtins.function",
    len,
    threading.Lock(),
]


def test_values_that_differ_have_other_fingerprints() -> None:
    prints = [fingerprint(value) for value in DIFFERENT]

    assert len(set(prints)) == len(DIFFERENT)
    assert all(len(text) == 32 and int(text, 16) >= 0 for text in prints)


SCRIPT = """
from nbflow._values import Send
from nbflow.serde import fingerprint
from nbflow.errors import UnstorableValueError
from collections import Counter
from datetime import date
from uuid import UUID
import re
value = {
    "set": {"a", "b", "c", ("d", frozenset("efg"))},
    "keys": {("x", 1): "1", "y": 2, 3: {"k", "l"}},
    "rare": [Counter("hello"), date(2024, 1, 1), UUID(int=1), re.compile("a"), 2**99],
    "error": UnstorableValueError("p", "t"),
    "gaps": [print, object(), lambda: 1],
}
print(fingerprint((("x", value), {"k": value})))
"""


def test_a_fingerprint_does_not_depend_on_the_hash_seed(
    run_script: Callable[..., str],
) -> None:
    prints = {run_script(SCRIPT, hash_seed=seed) for seed in ("0", "1", "4242")}

    assert len(prints) == 1


def test_fingerprints_are_what_they_always_were() -> None:
    # Stored logs hold them: a change here makes every recorded call run again.
    known: list[tuple[str, Any]] = [
        ("f943eb8876befe581f44788b328f88d8", ((), {})),
        ("413768232f0aeb24dc5ca975d6d137c7", ((1,), {"k": True})),
        (
            "26a455e2ab05a83bc563e6656d15c339",
            (([1.5, None, b"x", "å"],), {"k": {"b": 1, "a": (2,)}}),
        ),
        (
            "48afcc440a0787e65daa1f7a4eed7e87",
            (({1, 2}, {(1,): 2**64}, date(2024, 1, 1)), {}),
        ),
        ("cb572e9bd85e931fdef5ff31bacb3c6c", ((Send("n", 1),), {})),
    ]

    now = [(fingerprint(value), value) for _, value in known]

    assert now == known


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=4) | st.integers() | st.tuples(st.integers()),
        st.lists(st.integers()) | st.sets(st.text(max_size=3)),
        max_size=6,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_a_dict_does_not_count(value: dict[Any, Any], chance: Any) -> None:
    items = list(value.items())
    chance.shuffle(items)

    assert fingerprint((dict(items),)) == fingerprint((value,))


def test_many_plain_rows_count_like_few() -> None:
    rows = [{"a": n, "b": [n]} for n in range(40)]
    turned = [{"b": [n], "a": n} for n in range(40)]

    assert fingerprint(rows) == fingerprint(turned)
    assert fingerprint(rows) != fingerprint([*rows[:-1], {"a": 39, "b": (39,)}])


def test_an_integer_key_among_many_rows_is_no_text() -> None:
    rows = [{"1": n} for n in range(40)]

    assert fingerprint(rows) != fingerprint([*rows[:-1], {1: 39}])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: 1, lambda: 2),
        (threading.Lock(), threading.Lock()),
        (Client("u", threading.Lock()), Client("u", threading.Lock())),
        ({threading.Lock(): 1}, {threading.Lock(): 1}),
    ],
)
def test_what_can_not_be_stored_counts_by_its_type(one: Any, other: Any) -> None:
    assert fingerprint((one, 1)) == fingerprint((other, 1))
    assert fingerprint_exact((one, 1)) is None


def test_what_stands_beside_it_still_counts() -> None:
    lock = threading.Lock()

    assert fingerprint(Client("u", lock)) != fingerprint(Client("v", lock))


def test_a_value_that_contains_itself_counts_by_its_type_beside_the_others() -> None:
    loop: list[Any] = []
    loop += [loop, loop]

    assert fingerprint(((loop, 1), {})) == fingerprint(((loop, 1), {}))
    assert fingerprint(((loop, 1), {})) != fingerprint(((loop, 2), {}))
    assert fingerprint(((1,), {"k": loop})) != fingerprint(((2,), {"k": loop}))
    assert fingerprint_exact(((loop,), {})) is None


def test_half_a_surrogate_pair_and_long_integers_count_in_full() -> None:
    assert fingerprint({"\ud800": 1}) != fingerprint({"\ud801": 1})
    assert fingerprint(["\ud800", 2**64]) != fingerprint(["\ud800", 2**64 + 1])
    assert fingerprint_exact({"a": "\ud800", "b": 2**64}) is not None


def test_a_fingerprint_never_raises() -> None:
    class Odd:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

    assert fingerprint({"odd": Odd(), "list": [Odd]})


simple = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)


@given(
    st.lists(simple | st.binary(max_size=5), max_size=4).map(tuple),
    st.dictionaries(st.text(max_size=5), simple, max_size=3),
)
def test_arguments_that_are_atoms_count_as_in_any_other_value(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    try:
        walked = _pack(_Canon(ATOMS, []).form((args, kwargs), 0))
    except (OverflowError, UnicodeEncodeError):
        assume(False)

    made = fingerprint((args, kwargs))

    assert made == blake2b(walked, digest_size=16).hexdigest()
