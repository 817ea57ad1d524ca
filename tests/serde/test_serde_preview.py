"""A preview is short, quick, safe and the same every time."""

from __future__ import annotations

import enum
import re
import time
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import BaseModel

from nbflow._values import UNSET, Interrupt
from nbflow.serde import Opaque, preview


@dataclass
class Job:
    """A dataclass."""

    name: str
    tags: list[str] = field(default_factory=list)
    token: str = ""


class Pair(NamedTuple):
    """A named tuple."""

    left: int
    right: str


class Model(BaseModel):
    """A model."""

    name: str
    note: str | None = None


class Color(enum.Enum):
    """An enumeration."""

    RED = 1


class Right(enum.Flag):
    """Flags."""

    READ = 1
    WRITE = 2


Zone: Any = type(
    "Zone", (tzinfo,), {"__repr__": lambda _: 1 / 0}
)  # a time zone of the user's own


class Slow:
    """A class whose every method raises."""

    def __repr__(self) -> str:
        raise RuntimeError

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


TEXTS: list[tuple[Any, str]] = [
    (None, "None"),
    ("it's", '"it\'s"'),
    ("a\nb", r"'a\nb'"),
    (b"\x00", r"b'\x00'"),
    ([1, (2,), {3}, {"a": 1.5}], "[1, (2,), {3}, {'a': 1.5}]"),
    (list(range(20)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … 20 in all]"),
    ({"b", "a"}, "{'a', 'b'}"),
    (set(), "set()"),
    (frozenset(), "frozenset()"),
    (deque([1]), "deque([1])"),
    (OrderedDict(a=1), "OrderedDict({'a': 1})"),
    (defaultdict(list, a=[1]), "defaultdict({'a': [1]})"),
    (Counter("aa"), "Counter({'a': 2})"),
    ([[[[[[[1]]]]]]], "[[[[[[…]]]]]]"),
    (10**400, "<int of 1329 bits>"),
    (range(3), "range(0, 3)"),
    (Job("n", token="x"), "Job(name='n', token=**********)"),  # noqa: S106 - a test's
    (Pair(1, "r"), "Pair(left=1, right='r')"),
    (Model(name="n"), "Model(name='n')"),
    (Interrupt("sure?", "0"), "Interrupt(value='sure?', id='0')"),
    (UNSET, "UNSET"),
    (Color.RED, "Color.RED"),
    (Right.READ | Right.WRITE, "Right.READ|WRITE"),
    (ValueError("x", 1), "ValueError('x', 1)"),
    (KeyError("k"), "KeyError('k')"),
    (Opaque("m:Lost", {"a": 1}), "Lost(a=1)"),
    (Opaque("m:Lost", [1]), "Lost([1])"),
    (datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01T00:00:00+00:00"),
    (
        datetime(2024, 1, 1, tzinfo=Zone()),
        f"2024-01-01T00:00:00 <{__name__}.Zone>",
    ),
    (date(2024, 1, 1), "2024-01-01"),
    (timedelta(1), "1 day, 0:00:00"),
    (timezone.utc, "UTC"),  # noqa: UP017 - the type is what counts
    (Decimal("1.10"), "1.10"),
    (UUID(int=1), "UUID('00000000-0000-0000-0000-000000000001')"),
    (PurePosixPath("a/b"), "PurePosixPath('a/b')"),
    (re.compile("a"), "re.compile('a')"),
    (np.zeros((1000, 3)), "ndarray(1000, 3) float64"),
    (np.float64(1.5), "float64(1.5)"),
    (pd.DataFrame(np.zeros((344, 8))), "DataFrame 344 x 8"),
    (pd.Series([1.0] * 9), "Series 9 float64"),
    (pd.RangeIndex(3), "RangeIndex 3 int64"),
    (pd.Timestamp("2024"), "2024-01-01 00:00:00"),
    (pa.table({"a": [1, 2]}), "Table 2 x 1"),
    (pa.array(["a"]), "StringArray 1 string"),
    (Image.new("RGB", (4, 3)), "Image 4 x 3 RGB"),
    (len, "<function len>"),
    (Job, f"<class {__name__}.Job>"),
    (iter([1]), "<list_iterator>"),
    (object(), "<object>"),
]


@pytest.mark.parametrize(("value", "text"), TEXTS)
def test_a_preview_reads_like_this(value: Any, text: str) -> None:
    assert preview(value) == text


def test_a_class_whose_methods_raise_is_shown_by_its_name() -> None:
    assert preview([Slow(), 1]) == f"[<{__name__}.Slow>, 1]"


def test_a_cut_preview_ends_with_an_ellipsis() -> None:
    assert preview("a" * 1000, 10) == "'aaaaaaaa…"
    assert preview(list(range(10**6)), 10) == "[0, 1, 2,…"


ANYTHING = st.recursive(
    st.none() | st.integers() | st.text() | st.binary() | st.floats(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.builds(Interrupt, inner, st.text())
        | st.builds(ValueError, inner)
    ),
)


@settings(max_examples=150, deadline=None)
@given(ANYTHING, st.integers(1, 300))
def test_a_preview_is_one_line_of_at_most_the_limit(value: Any, limit: int) -> None:
    text = preview(value, limit)

    assert len(text) <= limit
    assert len(text.splitlines()) <= 1
    assert " at 0x" not in text


def test_a_preview_of_a_huge_value_takes_no_time() -> None:
    wide: Any = ["x" * 10**6] * 10**5
    for _ in range(30):
        wide = [wide] * 1000
    huge = [
        wide,
        dict.fromkeys(range(10**5), wide),
        deque(range(10**6)),
        Counter(range(10**6)),
        set(range(10**6)),
        10**100_000,
        np.zeros((2000, 2000)),
    ]
    begun = time.process_time()

    for value in huge:
        preview(value)

    assert time.process_time() - begun < 0.5


def test_a_preview_advances_no_iterator() -> None:
    numbers = iter([1, 2])

    preview({"n": numbers, "m": map(str, numbers)})

    assert list(numbers) == [1, 2]


@given(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    st.integers(1, 60),
)
def test_a_short_text_is_the_same_alone_and_inside(value: Any, limit: int) -> None:
    alone, inside = preview(value, limit), preview([value], 1000)

    assert len(alone) <= limit
    if len(inside) - 2 <= limit:
        assert inside == f"[{alone}]"
