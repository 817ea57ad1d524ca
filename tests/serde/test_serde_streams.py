"""Large arrays and frames are written piece by piece, and come back equal."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow.errors import StoredValueError, UnreadableValueError
from nbflow.serde import decode, encode, encode_with_report
from nbflow.serde.streams import MARK, STREAM_FROM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = STREAM_FROM_BYTES // 4
NUMBERS = np.arange(ROWS, dtype="f8")
TEXTS = [f"text {n % 1000}" for n in range(ROWS)]

LARGE: dict[str, Callable[[], Any]] = {
    "array": lambda: NUMBERS,
    "array of two dimensions": lambda: NUMBERS.reshape(-1, 8),
    "array in Fortran's order": lambda: np.asfortranarray(NUMBERS.reshape(-1, 8)),
    "array that is not contiguous": lambda: NUMBERS.reshape(-1, 8)[:, ::2],
    "pandas frame": lambda: pd.DataFrame({"a": NUMBERS, "b": TEXTS}),
    "pandas series": lambda: pd.Series(NUMBERS, name="a"),
    "polars frame": lambda: pl.DataFrame({"a": NUMBERS, "b": TEXTS}),
    "Arrow table": lambda: pa.table({"a": NUMBERS, "b": TEXTS}),
    "Arrow batch": lambda: pa.record_batch({"a": NUMBERS, "b": TEXTS}),
    "Arrow array": lambda: pa.array(TEXTS),
    "two arrays in a dict": lambda: {"a": NUMBERS, "b": [{"c": NUMBERS + 1}], "d": 1},
}


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        pairs = ((one[key], other[key]) for key in one | other)
        return all(alike(a, b) for a, b in pairs)
    if isinstance(one, list):
        return all(alike(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other) and one.flags.fnc == other.flags.fnc)
    return bool(one.equals(other)) if hasattr(one, "equals") else bool(one == other)


@pytest.mark.parametrize("name", LARGE)
def test_a_large_value_comes_back_equal(name: str) -> None:
    value = LARGE[name]()

    data = encode(value)
    back = decode(data)

    assert data[:1] == MARK
    assert type(back) is type(value)
    assert alike(back, value)


@pytest.mark.parametrize("name", LARGE)
def test_the_pieces_of_a_large_value_are_its_bytes(name: str) -> None:
    pieces: list[bytes] = []

    encoded = encode_with_report(LARGE[name]())
    encoded.write(lambda piece: pieces.append(bytes(piece)))

    assert encoded.streams
    assert b"".join(pieces) == encoded.data


def test_an_array_is_handed_on_without_a_copy() -> None:
    pieces: list[Any] = []

    encode_with_report(NUMBERS).write(pieces.append)

    assert any(np.shares_memory(np.asarray(piece), NUMBERS) for piece in pieces[2:])


def test_a_small_array_stands_in_the_tree() -> None:
    encoded = encode_with_report(np.arange(8))

    assert not encoded.streams
    assert encoded.data == encoded.tree


def test_a_large_value_and_a_secret_are_both_told() -> None:
    from pydantic import SecretStr  # noqa: PLC0415 - optional

    encoded = encode_with_report({"a": NUMBERS, "key": SecretStr("hidden")})

    assert encoded.secrets == ("value['key']",)
    assert len(encoded.streams) == 1


@pytest.mark.parametrize(
    "damaged",
    [
        lambda data: data[:-1],
        lambda data: data + b"\x00",
        lambda data: data[:5],
        lambda data: data[:1] + b"\xff" * 8 + data[9:],
        lambda data: data[:9] + b"\xff" * 8 + data[17:],
        lambda data: data.replace(b"\x92\x3c\x00", b"\x92\x3c\x01"),
        lambda data: data.replace(b"\x92\x3c\x00", b"\x92\x7d\x00"),
    ],
)
def test_a_large_value_that_was_altered_is_refused(
    damaged: Callable[[bytes], bytes],
) -> None:
    data = encode(NUMBERS)

    with pytest.raises(StoredValueError):
        decode(damaged(data))


def test_a_part_is_never_read_twice() -> None:
    data = encode([NUMBERS, np.ones(ROWS)])
    twice = data.replace(b"\x92\x3c\x01", b"\x92\x3c\x00")

    with pytest.raises(UnreadableValueError):
        decode(twice)


@given(st.binary(max_size=200))
def test_any_bytes_behind_the_mark_give_a_value_or_an_error(data: bytes) -> None:
    try:
        value = decode(MARK + data)
    except StoredValueError:
        return

    pickle.dumps(value)
