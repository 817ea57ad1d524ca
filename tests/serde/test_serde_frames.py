"""Arrays, frames, tables and images come back equal, down to their dtypes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import (
    assert_frame_equal,
    assert_index_equal,
    assert_series_equal,
)
from PIL import Image

from nbflow.errors import UnstorableValueError
from nbflow.serde import decode, encode, fingerprint, fingerprint_exact

ARRAYS = {
    "matrix": np.arange(6).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "strided": np.arange(10)[::2],
    "transposed": np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    "no dimension": np.array(5),
    "empty": np.array([]),
    "empty side": np.zeros((2, 0, 3)),
    "texts": np.array(["a", "bc"]),
    "empty texts": np.array([""], dtype="U0"),
    "structured": np.array([(1, "a")], dtype=[("x", "i4"), ("y", "U3")]),
    "other script": np.zeros(2, dtype=[("日", "i4"), ("é", "f8", (2,))]),
    "many fields": np.zeros(1, dtype=[(f"field_{n:05}", "i1") for n in range(2000)]),
    "moments": np.array(["2020", "NaT"], dtype="M8[D]"),
    "big endian": np.arange(4, dtype=">f8"),
    "raw": np.zeros(3, dtype="V4"),
    "half": np.array([1, np.nan], dtype="f2"),
    "nan with a sign": -np.array([np.nan]),
    "objects": np.array([[1, "a"], [None, (1, [2])]], dtype=object),
    "one object": np.array(None),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_comes_back_equal_and_writable(name: str) -> None:
    array = ARRAYS[name]

    back = decode(encode({"a": array}))["a"]

    np.testing.assert_array_equal(back, array)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.flags.writeable
    assert fingerprint_exact(back) == fingerprint_exact(array) is not None


SCALARS = [
    np.float64(1.5),
    np.float16(2),
    np.int8(-3),
    np.longlong(3),
    np.uint64(2**64 - 1),
    np.longdouble("1.1"),
    np.complex64(1j),
    np.bool_(True),
    np.str_("ab\0"),
    np.str_(""),
    np.bytes_(b"a\0"),
    np.datetime64("2020-01-01T00:00", "ns"),
    np.datetime64("2020"),
    np.timedelta64(3, "D"),
    np.array([(1, "a")], dtype=[("x", "i4"), ("y", "U3")])[0],
    pd.Timestamp("2020-01-01"),
    pd.Timestamp("2020-10-25 01:30", tz="UTC").tz_convert("Europe/Berlin"),
    pd.Timestamp("2020-01-01", tz="UTC").as_unit("ns"),
    pd.Timedelta(3, "s"),
    pd.Period("2020-02", "M"),
    pd.Interval(1, 2, closed="both"),
]


@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
def test_a_scalar_comes_back_equal_and_of_the_same_type(scalar: Any) -> None:
    back = decode(encode([scalar]))[0]

    assert type(back) is type(scalar)
    assert back == scalar
    assert str(back) == str(scalar)
    assert getattr(back, "unit", None) == getattr(scalar, "unit", None)
    assert fingerprint_exact(back) == fingerprint_exact(scalar) is not None


def test_missing_values_come_back_as_the_very_ones() -> None:
    nat, na, moment = decode(encode([pd.NaT, pd.NA, np.datetime64("NaT", "ns")]))

    assert nat is pd.NaT
    assert na is pd.NA
    assert np.isnat(moment)


def _columns() -> dict[str, Any]:
    lists: Any = pd.ArrowDtype(pa.list_(pa.int64()))
    return {
        "int": [1, 2],
        "float": [1.5, None],
        "bool": [True, False],
        "text": ["x", None],
        "text in python": pd.array(["a", None], dtype="string[python]"),
        "text in arrow": pd.array(["a", None], dtype="string[pyarrow]"),
        "text as object": pd.Series(["a", "b"], dtype=object),
        "day": pd.to_datetime(["2020-01-01", "NaT"]),
        "seconds": np.array(["2020", "NaT"], dtype="M8[s]"),
        "zone": pd.to_datetime(["2020", "NaT"]).tz_localize("Europe/Berlin"),
        "duration": pd.to_timedelta([1, None], unit="s"),
        "category": pd.Categorical(["u", "v"], ["v", "u", "w"], ordered=True),
        "mixed category": pd.Categorical([1, "a"]),
        "Int8": pd.array([1, None], dtype="Int8"),
        "UInt64": pd.array([2**64 - 1, None], dtype="UInt64"),
        "Float32": pd.array([1, None], dtype="Float32"),
        "boolean": pd.array([True, None], dtype="boolean"),
        "period": pd.period_range("2020", periods=2, freq="Y"),
        "interval": pd.interval_range(0, 2),
        "arrow": pd.array([1, None], dtype="int64[pyarrow]"),
        "arrow lists": pd.array([[1], None], dtype=lists),
        "mixed": ["a", 1],
        "values": [(1,), {"a": {2}}],
        "decimal": [Decimal(1), None],
        "complex": [1j, 2],
        "half": np.array([1, 2], dtype="f2"),
        "big endian": np.array([1, 2], dtype=">i4"),
    }


@pytest.mark.parametrize("name", _columns())
def test_a_column_of_any_dtype_comes_back(name: str) -> None:
    series = pd.Series(_columns()[name], name=name)
    frame = pd.DataFrame({name: _columns()[name]})

    series_back, frame_back = decode(encode([series, frame]))

    assert_series_equal(series_back, series)
    assert_frame_equal(frame_back, frame)
    assert fingerprint_exact(frame_back) == fingerprint_exact(frame) is not None
    assert fingerprint_exact(series_back) == fingerprint_exact(series) is not None


def _frames() -> dict[str, pd.DataFrame]:
    frame = pd.DataFrame(_columns())
    marked = pd.DataFrame({"a": [1]})
    marked.attrs = {"source": ("x", 1)}
    return {
        "all": frame,
        "reversed": frame.iloc[::-1],
        "without rows": frame.iloc[:0],
        "nothing": pd.DataFrame(),
        "index only": pd.DataFrame(index=[1, 2]),
        "columns only": pd.DataFrame(columns=["a"]),
        "indexed by two": frame.set_index(["int", "category"]),
        "indexed by zone": frame.set_index("zone"),
        "indexed by mixed": frame.set_index("mixed"),
        "numbered columns": pd.DataFrame(np.eye(3)),
        "labels of all kinds": pd.DataFrame(
            [[1, 2, 3, 4]], columns=[1, "a", None, date(2020, 1, 1)]
        ),
        "tuples as labels": pd.DataFrame([[1, 2]], columns=[(1, 2), "a"]),
        "levels of columns": pd.DataFrame(
            [[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])
        ),
        "one label twice": pd.DataFrame([[1, "x"]], columns=["a", "a"]),
        "one index twice": pd.DataFrame({"a": [1, 2], "b": [3, 4]}, index=[0, 0]),
        "days": pd.DataFrame(
            {"a": [1, 2]}, index=pd.date_range("2020", periods=2, freq="D")
        ),
        "attributes": marked,
    }


@pytest.mark.parametrize("name", _frames())
def test_a_frame_comes_back_equal_with_labels_and_index(name: str) -> None:
    frame = _frames()[name]

    back = decode(encode(frame))

    assert_frame_equal(back, frame, check_column_type="equiv")
    assert back.columns.equals(frame.columns)
    assert type(back.columns) is type(frame.columns)
    assert back.attrs == frame.attrs
    assert fingerprint_exact(back) == fingerprint_exact(frame) is not None


def test_a_frame_that_came_back_can_be_changed() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [1.5, 2.5], "c": [True, False]})

    back = decode(encode(frame))
    back.iloc[0, 0] = 7
    back.loc[1, "b"] += 1
    back["c"] |= True

    assert back.to_dict("list") == {"a": [7, 2], "b": [1.5, 3.5], "c": [True, True]}


def test_a_frame_whose_labels_must_differ_still_says_so() -> None:
    frame = pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False)

    back = decode(encode([frame, frame["a"], pd.DataFrame({"a": [1]})]))

    assert [held.flags.allows_duplicate_labels for held in back] == [False, False, True]


INDEXES = [
    pd.RangeIndex(1, 9, 2, name="r"),
    pd.Index([1, 2], name=("a", 1)),
    pd.Index(["a"]),
    pd.Index([1, "a"]),
    pd.Index([1, None], dtype="Int64"),
    pd.date_range("2020", periods=3, freq="MS"),
    pd.date_range("2020", periods=3, tz="Europe/Berlin"),
    pd.date_range("2020", periods=3, freq=pd.DateOffset(months=1)),
    pd.date_range("2020", periods=3, freq=2 * pd.DateOffset(days=1, hours=2)),
    pd.date_range("2020", periods=3, freq=pd.offsets.FY5253(weekday=4)),
    pd.timedelta_range("1D", periods=3, freq="D"),
    pd.period_range("2020", periods=2, freq="M"),
    pd.interval_range(0, 3, closed="left"),
    pd.CategoricalIndex(["a", "b"]),
    pd.MultiIndex.from_product([[1, 2], ["a", "b"]], names=["x", None]),
]


@pytest.mark.parametrize("index", INDEXES, ids=lambda it: type(it).__name__)
def test_an_index_comes_back_with_its_frequency(index: Any) -> None:
    back = decode(encode(index))

    assert_index_equal(back, index, exact=True)
    assert getattr(back, "freq", None) == getattr(index, "freq", None)
    assert fingerprint_exact(back) == fingerprint_exact(index) is not None


UNEVEN = pd.DateOffset(months=1, days=2)
HOLIDAY = pd.offsets.CustomBusinessDay(holidays=["2024-01-02"])
ODD_INDEXES = [
    pd.date_range("2024", periods=5, freq=HOLIDAY),
    pd.date_range("2024", periods=5, freq=pd.offsets.BusinessHour(start="10:00")),
    pd.date_range("2024", periods=5, freq=pd.offsets.Easter()),
    pd.date_range("2024-02-29", periods=5, freq=UNEVEN)[::2],
]


@pytest.mark.parametrize("index", ODD_INDEXES, ids=lambda it: type(it.freq).__name__)
def test_an_index_whose_frequency_would_be_lost_is_refused_with_the_way_out(
    index: Any,
) -> None:
    with pytest.raises(UnstorableValueError, match="set its freq to None") as caught:
        encode({"x": pd.Series(1, index)}, root="result")

    index.freq = None
    back = decode(encode(index))
    assert caught.value.path == "result['x'].index"
    assert_index_equal(back, index, exact=True)


def _table() -> pa.Table:
    return pa.table(
        {
            "int": [1, 2, None],
            "text": ["x", "y", None],
            "category": pa.array(["a", "b", "a"]).dictionary_encode(),
            "nothing": pa.nulls(3),
            "list": [[1], [2, 3], None],
            "struct": [{"a": 1}, {"a": None}, None],
        },
        metadata={"source": "here"},
    )


ARROW = {
    "table": _table(),
    "slice": _table().slice(1),
    "chunks": pa.concat_tables([_table(), _table().slice(2)]),
    "no rows": _table().slice(0, 0),
    "no columns": pa.table({}),
    "batch": _table().to_batches()[0],
    "batch without rows": _table().to_batches()[0].slice(0, 0),
    "column": _table()["list"],
    "array": _table()["text"].chunk(0),
    "cut array": pa.array([1, 2, None]).slice(1),
}


@pytest.mark.parametrize("name", ARROW)
def test_arrow_data_comes_back_equal(name: str) -> None:
    value = ARROW[name]

    back = decode(encode((value,)))[0]

    assert type(back) is type(value)
    assert back.equals(value)
    assert fingerprint_exact(back) == fingerprint_exact(value) is not None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 20), max_size=4))
def test_a_table_has_one_fingerprint_however_it_is_cut(cuts: list[int]) -> None:
    table = pa.table({"a": list(range(20)), "b": [str(n) for n in range(20)]})
    edges = [0, *sorted(cuts), 20]

    pieces = [table.slice(start, end - start) for start, end in pairwise(edges)]

    assert fingerprint(pa.concat_tables(pieces)) == fingerprint(table)


def test_arrays_of_equal_elements_have_one_fingerprint_in_any_layout() -> None:
    array = np.arange(600_000.0).reshape(200, 3000)
    layouts = [np.asfortranarray(array), np.repeat(array, 2, 1)[:, ::2], array.copy()]
    wide = array.reshape(2, 300_000)

    assert {fingerprint(layout) for layout in layouts} == {fingerprint(array)}
    assert fingerprint(np.asfortranarray(wide)) == fingerprint(wide)
    assert fingerprint(array.T) != fingerprint(array)
    assert fingerprint(array.astype("f4")) != fingerprint(array)
    assert fingerprint(array.reshape(-1)) != fingerprint(array)


def test_frames_that_differ_in_one_place_have_other_fingerprints() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=[5, 6])
    others = [
        frame.rename(columns={"a": "A"}),
        frame.rename(index={5: 7}),
        frame.astype({"a": "int32"}),
        frame.replace({"b": {"y": "z"}}),
        frame.rename_axis("name"),
        frame[["b", "a"]],
    ]

    prints = {fingerprint(one) for one in (frame, *others)}

    assert len(prints) == 7


def test_a_polars_frame_comes_back_equal() -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(
        {
            "u": pl.Series([1, None], dtype=pl.UInt8),
            "s": ["x", None],
            "t": [time(1), None],
            "d": [timedelta(1), None],
            "z": [datetime(2020, 1, 1, tzinfo=UTC), None],
            "n": [None, None],
            "r": [{"a": 1, "b": [1, 2]}, None],
            "c": pl.Series(["a", None], dtype=pl.Categorical),
            "e": pl.Series(["a", None], dtype=pl.Enum(["a", "b"])),
            "m": [Decimal("1.10"), None],
        }
    )

    for value in (frame, frame["c"], frame["u"], frame.clear(), pl.DataFrame()):
        back = decode(encode(value))
        assert type(back) is type(value)
        assert back.equals(value)
        assert fingerprint_exact(back) == fingerprint_exact(value) is not None
    assert decode(encode(frame)).schema == frame.schema


def test_a_polars_column_without_a_name_keeps_none() -> None:
    pl = pytest.importorskip("polars")
    frame = pl.read_csv(b",x\n0,a\n1,b\n")  # what pandas wrote with its index

    back = decode(encode(frame))

    assert back.columns == ["", "x"]
    assert back.equals(frame)


def test_what_a_polars_frame_can_not_keep_is_refused() -> None:
    pl = pytest.importorskip("polars")
    objects = pl.DataFrame({"x": pl.Series([object()], dtype=pl.Object)})

    with pytest.raises(UnstorableValueError, match="'x'"):
        encode(objects)
    with pytest.raises(UnstorableValueError):
        encode(objects.lazy())
    assert fingerprint_exact(objects) is None


MODES = (
    *("1", "L", "LA", "RGB", "RGBA", "I;16", "P", "PA"),
    *("CMYK", "F", "I", "HSV", "LAB", "YCbCr", "RGBX"),
)


@pytest.mark.parametrize("mode", MODES)
def test_an_image_of_any_mode_comes_back_equal(mode: str) -> None:
    data = np.random.default_rng(7).integers(0, 256, (5, 9 * 4), "u1").tobytes()
    source = Image.frombytes("RGBA", (9, 5), data)
    odd = mode in ("I;16", "PA", "LAB")
    image = Image.new(mode, (9, 5), 3) if odd else source.convert(mode)
    image.info["dpi"] = (72, 72)

    back = decode(encode(image))

    assert back == image
    assert type(back) is Image.Image
    assert fingerprint_exact(back) == fingerprint_exact(image) is not None


def test_an_image_that_is_tied_to_its_file_is_refused_with_the_way_out() -> None:
    import io  # noqa: PLC0415 - only this test

    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "png")
    opened = Image.open(file)

    with pytest.raises(UnstorableValueError, match=r"return its copy\(\)"):
        encode(opened)
    assert decode(encode(opened.copy())) == opened.copy()


REFUSED: list[tuple[Any, str, str]] = [
    (np.ma.array([1]), "result", ""),
    (np.array([1, object()], dtype=object), "result[1]", ""),
    (np.array([[1, iter(())]], dtype=object), "result[0, 1]", ""),
    (np.zeros(1, dtype=[("a", "O")]), "result", "holds objects"),
    (pd.DataFrame({"a b": [1, iter(())]}), "result['a b'].iloc[1]", ""),
    (pd.DataFrame({"x": pd.arrays.SparseArray([1])}), "result", "column 'x'"),
    (pd.Series([iter(())], index=["i"]), "result.iloc[0]", ""),
    ({"d": pd.DataFrame({("a", 1): [len]})}, "result['d'][('a', 1)].iloc[0]", ""),
    (pd.DataFrame([[1]], columns=[iter(())]), "result.columns[0]", ""),
]


@pytest.mark.parametrize(("value", "path", "why"), REFUSED)
def test_what_can_not_be_kept_is_refused_with_its_place(
    value: Any, path: str, why: str
) -> None:
    with pytest.raises(UnstorableValueError) as caught:
        encode(value, root="result")

    assert caught.value.path == path
    assert why in caught.value.why
    assert fingerprint_exact(value) is None


def test_hashing_a_large_array_makes_no_copy_of_it() -> None:
    import tracemalloc  # noqa: PLC0415 - only this test

    array = np.zeros(4_000_000)
    views = [array, array.reshape(2000, 2000).T, pd.DataFrame({"a": array})]
    fingerprint(views)  # what is loaded at first use is not counted

    tracemalloc.start()
    fingerprint(views)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < array.nbytes / 4
