"""A value comes back equal and of the same type, however it is nested."""

from __future__ import annotations

import enum
import ipaddress
import math
import re
import struct
from collections import Counter, OrderedDict, defaultdict, deque
from copy import copy
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbflow._values import UNSET, Command, Interrupt, Send
from nbflow.serde import decode, encode, fingerprint_exact

BERLIN = ZoneInfo("Europe/Berlin")

EXAMPLES: list[Any] = [
    None,
    True,
    0,
    -(2**63),
    2**64 - 1,
    2**64,
    -(2**63) - 1,
    10**5000,
    1.5,
    -0.0,
    math.inf,
    math.nan,
    "",
    "å日🙂",
    "half a pair: \ud800",
    b"\x00\xff",
    bytearray(b"abc"),
    [],
    (),
    {},
    set(),
    [1, (2, [3, (4,)])],
    {"a": (1,), "b": {"c": {1, 2}}},
    {1: "int", (1, 2): "tuple", b"b": "bytes", None: "none", 2.5: "float"},
    {2**70: 1},
    {"\ud800": 1},
    {frozenset({1}): [2]},
    {1, "a", (2, 3), frozenset({4})},
    frozenset({1.5}),
    1 - 2j,
    range(1, 10, 3),
    range(2**80),
    slice(1, None, (2,)),
    datetime(2024, 2, 29, 23, 59, 59, 999999),  # noqa: DTZ001 - a naive one too
    datetime(2024, 2, 29, tzinfo=UTC),
    datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
    datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=0),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30), "NT")),
    date(1, 1, 1),
    time(1, 2, 3, 4, tzinfo=UTC, fold=1),
    timedelta(days=-1, microseconds=1),
    UTC,
    BERLIN,
    Decimal("1.10"),
    Decimal("NaN"),
    Decimal("sNaN123"),
    Decimal("-Infinity"),
    Decimal("1e999999"),
    Fraction(-1, 3),
    UUID(int=7),
    Path("a/b"),
    PurePosixPath("/x"),
    PureWindowsPath("c:\\x"),
    re.compile("a+", re.IGNORECASE),
    re.compile(rb"\d"),
    ipaddress.ip_address("::1"),
    ipaddress.ip_network("10.0.0.0/8"),
    ipaddress.ip_interface("10.0.0.1/8"),
    deque([1, (2,)], maxlen=3),
    OrderedDict([("b", 1), ("a", 2)]),
    defaultdict(list, {"a": [1]}),
    defaultdict(None, {(1,): 2}),
    Counter("aab"),
    Command(resume={"id": (1,)}),
    Command(goto=[Send("node", {"a": 1})]),
    Interrupt("sure?", "0" * 32, {"type": "string"}),
    UNSET,
]


def vars_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, as they are."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def same(one: Any, other: Any) -> bool:
    """Say whether two values are equal and of the same types all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return bool(struct.pack("d", one) == struct.pack("d", other) or one != one)  # noqa: PLR0124
    if isinstance(one, Decimal):
        return bool(one.as_tuple() == other.as_tuple())
    if isinstance(one, datetime | time):
        zones: bool = repr(one.tzinfo) == repr(other.tzinfo) and one.fold == other.fold
        naive: bool = one.replace(tzinfo=None) == other.replace(tzinfo=None)
        return zones and naive
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple | deque):
        return len(one) == len(other) and all(map(same, one, other))
    if is_dataclass(one):
        return same(vars_of(one), vars_of(other))
    if isinstance(one, complex):
        return same((one.real, one.imag), (other.real, other.imag))
    return bool(one == other)


@pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_equal_and_of_the_same_type(value: Any) -> None:
    data = encode([value, {"in": (value,)}])

    back = decode(data)

    assert same(back, [value, {"in": (value,)}])


@pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: type(value).__name__)
def test_a_value_and_its_copy_have_one_fingerprint(value: Any) -> None:
    copy = decode(encode(value))

    assert fingerprint_exact(copy) == fingerprint_exact(value)
    assert fingerprint_exact(value) is not None


SAME_HASH = 2**61 - 1
"""Whole numbers that differ by it have one hash."""


def _local() -> tuple[Any, Any, Any]:
    @dataclass(frozen=True)
    class Held:
        value: Any

    class Shade(enum.Enum):
        DARK = "d"
        LIGHT = (1, 2)

    class Pair(NamedTuple):
        left: Any
        right: Any = ()

    return Held, Shade, Pair


HELD, SHADE, PAIR = _local()
TEXTS = st.text(st.characters(exclude_categories=()), max_size=8)
KEYS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | TEXTS
    | st.binary(max_size=8)
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.dates()
    | st.integers(-4, 4).map(lambda n: n * SAME_HASH)
    | st.sampled_from(SHADE),
    lambda keys: (
        st.tuples(keys, keys)
        | st.frozensets(keys, max_size=3)
        | st.builds(HELD, keys)
        | st.builds(PAIR, keys, keys)
    ),
    max_leaves=4,
)
LEAVES = (
    KEYS
    | st.floats()
    | st.complex_numbers()
    | st.fractions()
    | st.decimals()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.times(timezones=st.none() | st.just(UTC))
    | st.timedeltas()
    | st.binary(max_size=8).map(bytearray)
    | st.builds(range, st.integers(-9, 9), st.integers(-9, 9))
    | st.builds(slice, st.integers(-9, 9))
    | st.builds(PurePosixPath, st.text("ab/.", max_size=4))
    | st.dictionaries(KEYS, st.integers(), max_size=3).map(Counter)
    | st.sampled_from([[], (), {}, set(), frozenset(), deque(), bytearray()]).map(copy)
)
VALUES = st.recursive(
    LEAVES,
    lambda values: (
        st.lists(values, max_size=4)
        | st.lists(values, max_size=4).map(tuple)
        | st.dictionaries(KEYS, values, max_size=4)
        | st.dictionaries(TEXTS, values, max_size=4)
        | st.sets(KEYS, max_size=4)
        | st.lists(values, max_size=4).map(deque)
        | st.dictionaries(KEYS, values, max_size=4).map(OrderedDict)
        | st.dictionaries(KEYS, values, max_size=4).map(partial(defaultdict, list))
        | st.builds(Interrupt, values, TEXTS)
        | st.builds(HELD, values)
        | st.builds(PAIR, values, values)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_any_nesting_of_values_comes_back_equal(value: Any) -> None:
    back = decode(encode(value))

    assert same(back, value)
    assert fingerprint_exact(back) == fingerprint_exact(value)


def test_many_plain_rows_are_stored_as_they_are() -> None:
    rows = [{"id": n, "tags": ["a", "b"], 3: None} for n in range(100)]

    back = decode(encode(rows))

    assert back == rows


def test_one_tuple_among_many_plain_rows_stays_a_tuple() -> None:
    rows: list[Any] = [{"id": n} for n in range(100)]
    rows[50]["id"] = (1, [2])

    back = decode(encode(rows))

    assert back[50] == {"id": (1, [2])}


def test_every_decoding_is_a_fresh_copy() -> None:
    data = encode({"a": [1]})

    decode(data)["a"].append(2)

    assert decode(data) == {"a": [1]}


def test_a_value_is_stored_as_it_is_when_encoded() -> None:
    value = {"a": [1]}
    data = encode(value)

    value["a"].append(2)

    assert decode(data) == {"a": [1]}


def test_the_order_of_a_dict_is_kept() -> None:
    value = {"b": 1, "a": 2, (0,): 3}

    back = decode(encode(value))

    assert list(back) == ["b", "a", (0,)]


@pytest.mark.parametrize(
    "wrap", [lambda it: (it,), lambda it: [it], lambda it: Send("n", it)]
)
def test_what_was_stored_is_read_from_a_deeper_stack_too(wrap: Any) -> None:
    value: Any = 1
    for _ in range(100):
        value = wrap(value)
    data = encode(value)

    def read(frames: int) -> Any:
        return decode(data) if frames == 0 else read(frames - 1)

    assert read(400) == value


def test_what_was_stored_once_can_be_read_for_ever() -> None:
    # The numbers and parts of codecs: files that people have hold these bytes.
    known: list[tuple[str, Any]] = [
        (
            "97c0c301cb3ff8000000000000a161c4016281a16bc70301920102",
            [None, True, 1, 1.5, "a", b"b", {"k": (1, 2)}],
        ),
        (
            "c70d0291c70904000000000000000040",
            {2**70},
        ),
        (
            "c7070391c70305eda080",
            frozenset({"\ud800"}),
        ),
        (
            "d70892d5019101d40678",
            {(1,): bytearray(b"x")},
        ),
        (
            "93c7130792cb0000000000000000cb3ff0000000000000d60993000301d60a93c001c0",
            [1j, range(3), slice(1)],
        ),
        (
            "c7200c93b3323032342d30312d30325430303a30303a303000c7071091d60f93000000",
            datetime(2024, 1, 2, tzinfo=UTC),
        ),
        (
            "93c70b0daa323032342d30312d3032c70c0e93a830333a30303a303000c0d60f93040000",
            [date(2024, 1, 2), time(3), timedelta(4)],
        ),
        (
            "92d614a3312e30d81600000000000000000000000000000001",
            [Decimal("1.0"), UUID(int=1)],
        ),
        (
            "c7031e920201",
            deque([1], 2),
        ),
        (
            "d62181a16101",
            Counter("a"),
        ),
        (
            "c7202992b16e62666c6f772e74797065733a53656e6482a46e6f6465a16ea361726701",
            Send("n", 1),
        ),
    ]

    for data, value in known:
        assert same(decode(bytes.fromhex(data)), value)
        assert encode(value).hex() == data
