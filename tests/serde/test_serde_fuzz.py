"""Any bytes give a value or one of two errors: nothing is imported, run or opened."""

from __future__ import annotations

import os
import sys
import time
import tracemalloc
from collections import OrderedDict, deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.msgpack import Ext, encode

from nbflow.errors import StoredValueError, UnreadableValueError
from nbflow.serde import Redacted, decode, preview
from nbflow.serde import encode as stored
from nbflow.serde.codecs import BY_CODE
from nbflow.serde.foreign import without_secrets
from nbflow.serde.redact import SECRET_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS: Final = 2.0
HARMFUL: Final = ("exec", "import", "marshal.", "open", "os.", "pickle.", "socket.")
ALSO_HARMFUL: Final = ("code.__new__", "ctypes.", "shutil.", "subprocess.")
ZONES: Final = ("zoneinfo", "tzdata")  # where the files of time zones lie

_seen: list[str] | None = None


def _note(event: str, args: tuple[Any, ...]) -> None:
    # A hook stays for good; it listens only while bytes are read.
    if _seen is None or not event.startswith((*HARMFUL, *ALSO_HARMFUL)):
        return
    if event == "open" and any(zone in str(args[0]) for zone in ZONES):
        return
    _seen.append(f"{event} {args!r}"[:200])


sys.addaudithook(_note)


@contextmanager
def harmless() -> Iterator[None]:
    """Fail if anything is imported, run or opened meanwhile, or it takes long."""
    global _seen
    begun, _seen = time.process_time(), list[str]()
    try:
        yield
    finally:
        seen, _seen = _seen, None
    assert seen == []
    assert time.process_time() - begun < SECONDS


def read(data: bytes, *, opaque: bool, trusted: bool, whole: bool = False) -> None:
    """Read bytes and look for names in them; any other error gets out."""
    with suppress(UnreadableValueError):
        without_secrets(data, SECRET_NAMES)
    try:
        value = decode(data, opaque=opaque, trusted=trusted, whole=whole)
    except StoredValueError:
        return
    preview(value)


@dataclass
class Point:
    """An instance of a user's class."""

    x: Any
    y: int = 0


def _local() -> Any:
    @dataclass
    class Here:
        x: Any

    return Here


HERE: Final = _local()


def _array(items: list[int]) -> np.ndarray[Any, Any]:
    return np.array(items, dtype="int64")


def _frame(items: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"n": items, "s": [str(item) for item in items]})


def _error(text: str) -> ValueError:
    return ValueError(text)


numbers = st.integers() | st.floats(allow_nan=False) | st.complex_numbers()
times = st.sampled_from(
    [datetime(2030, 1, 1, tzinfo=UTC), date(2030, 1, 1), timedelta(1), Decimal("1.5")]
)
small = st.lists(st.integers(-9, 9), max_size=4)
atoms = st.one_of(
    st.none() | st.booleans() | numbers | st.text(max_size=8) | st.binary(max_size=8),
    times,
    st.just(Redacted("a.Secret")),
    st.just(UUID(int=1)),
    st.builds(_error, st.text(max_size=4)),
    small.map(_array),
    small.map(_frame),
    small.map(lambda items: pa.table({"n": items})),
    st.builds(range, st.integers(-9, 9)),
)
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.sets(st.integers() | st.text(max_size=3), max_size=3),
        st.dictionaries(st.text(max_size=3) | st.integers(-3, 3), inner, max_size=3),
        st.builds(Point, inner),
        st.builds(HERE, inner),
        st.lists(inner, max_size=3).map(deque),
        st.dictionaries(st.tuples(st.integers(-3, 3)), inner, max_size=3),
        st.dictionaries(st.text(max_size=3), inner, max_size=3).map(OrderedDict),
    ),
    max_leaves=6,
)
places = st.floats(0, 1, exclude_max=True)
cuts = st.tuples(places, st.integers(0, 4), st.binary(max_size=6))
flags = {name: st.booleans() for name in ("opaque", "trusted", "whole")}
bounded = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@pytest.fixture(scope="module", autouse=True)
def _loaded_libraries() -> None:
    # Codecs load the libraries they are for, once: before anything is watched.
    for sample in (_array([1]), _frame([1]), pa.table({"n": [1]}), Decimal(1)):
        preview(decode(stored(sample)))
    for code in BY_CODE:
        empty: tuple[Any, ...] = (b"", [], {}, "", ["x", []])
        for parts in empty:
            for opaque in (True, False):
                read(encode(Ext(code, encode(parts))), opaque=opaque, trusted=True)


def test_what_is_watched_would_notice() -> None:
    with pytest.raises(AssertionError, match="open"), harmless():
        Path(os.devnull).open("rb").close()


@settings(bounded, max_examples=120)
@given(value=values, changes=st.lists(cuts, min_size=1, max_size=4), **flags)
def test_a_stored_value_that_was_altered_is_harmless(
    value: Any,
    changes: list[tuple[float, int, bytes]],
    *,
    opaque: bool,
    trusted: bool,
    whole: bool,
) -> None:
    data = stored(value)
    for place, removed, added in changes:
        at = int(place * len(data))
        data = data[:at] + added + data[at + removed :]

    with harmless():
        read(data, opaque=opaque, trusted=trusted, whole=whole)


@settings(bounded, max_examples=80)
@given(parts=st.lists(values, min_size=2, max_size=3), order=st.randoms(), **flags)
def test_pieces_of_stored_values_put_together_are_harmless(
    parts: list[Any], order: Any, *, opaque: bool, trusted: bool, whole: bool
) -> None:
    pieces = [stored(part) for part in parts]
    halves = [half for p in pieces for half in (p[: len(p) // 2], p[len(p) // 2 :])]
    order.shuffle(halves)

    with harmless():
        read(b"".join(halves), opaque=opaque, trusted=trusted, whole=whole)


HUGE: Final = b"\xff\xff\xff\xff"
HEADS: Final = [b"\xc6", b"\xc9", b"\xdb", b"\xdd", b"\xdf"]  # bytes ext str list map


@settings(bounded, max_examples=80)
@given(
    code=st.sampled_from(sorted(BY_CODE)),
    head=st.sampled_from(HEADS),
    length=st.sampled_from([HUGE, b"\x7f\xff\xff\xff", b"\x00\xff\xff\xff"]),
    rest=st.binary(max_size=64),
    levels=st.integers(0, 300),
    **flags,
)
@example(
    code=1,
    head=b"\xdd",
    length=HUGE,
    rest=b"",
    levels=300,
    opaque=True,
    trusted=False,
    whole=False,
)
def test_lengths_that_lie_and_deep_nesting_cost_little(
    code: int,
    head: bytes,
    length: bytes,
    rest: bytes,
    levels: int,
    *,
    opaque: bool,
    trusted: bool,
    whole: bool,
) -> None:
    data = head + length + rest
    for level in range(levels):
        data = encode(Ext(code, data)) if level % 2 else b"\x91" + data
    tracemalloc.start()
    try:
        with harmless():
            read(data, opaque=opaque, trusted=trusted, whole=whole)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 64 * len(data) + 4_000_000
