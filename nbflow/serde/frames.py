"""Codecs of pandas' frames, series, indexes and scalars.

A column is stored by its dtype: in one Arrow table where Arrow keeps dtype and
values as they are, else as an array or a list of values of its own. Labels of
any kind are kept, since the table's columns are named by position.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from nbflow.serde.arrow import digest_table
from nbflow.serde.codec import Codec, Refusal, given, library
from nbflow.serde.preview import preview

__all__ = ["FRAMES"]

_MASKED = frozenset(
    {
        *(f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)),
        *("Float32", "Float64", "boolean"),
    }
)
_ARROW_KINDS = "biufmM"  # NumPy's kinds that Arrow holds bit by bit


# Dtypes, as far as Arrow keeps their values


def _dtype_parts(dtype: Any) -> list[Any] | None:
    """Return what rebuilds a dtype, or None where Arrow can't hold its values."""
    pandas, numpy = library("pandas"), library("numpy")
    match dtype:
        case numpy.dtype():
            fits = dtype.kind in _ARROW_KINDS and dtype.isnative and dtype.itemsize <= 8  # noqa: PLR2004
            return ["numpy", dtype.str] if fits else None
        case pandas.DatetimeTZDtype():
            return ["zoned", dtype.unit, dtype.tz]
        case pandas.StringDtype():
            return ["string", dtype.storage, dtype.na_value is not pandas.NA]
        case pandas.PeriodDtype():
            return ["period", dtype.name.removeprefix("period[").removesuffix("]")]
        case pandas.ArrowDtype():
            return ["arrow"]
        case _:
            return ["masked", dtype.name] if dtype.name in _MASKED else None


def _dtype(parts: list[Any], stored: Any) -> Any:
    """Return a dtype from what was stored and the type of its Arrow column."""
    pandas = library("pandas")
    kind, *details = (given(part, str, bool, tzinfo) for part in given(parts, list))
    dtype: Any
    match kind, details:
        case "numpy", [str(name)]:
            dtype = library("numpy").dtype(name)
        case "zoned", [unit, zone]:
            dtype = pandas.DatetimeTZDtype(unit, zone)
        case "string", [storage, True]:
            dtype = pandas.StringDtype(storage, float("nan"))
        case "string", [storage, False]:
            dtype = pandas.StringDtype(storage)
        case "period", [frequency]:
            dtype = pandas.PeriodDtype(frequency)
        case "arrow", []:
            dtype = pandas.ArrowDtype(stored)
        case "masked", [name] if name in _MASKED:
            dtype = pandas.api.types.pandas_dtype(name)
        case _:
            raise ValueError(f"there is no dtype {kind!r}")
    return dtype


# Columns: what a frame, a series and an index are made of


def _column_parts(arrays: list[Any], owner: Any) -> list[Any]:
    """Return what rebuilds one-dimensional arrays of one length.

    Returns
    -------
    list
        Dtypes by position for those in the table, the table, and all others by
        position.
    """
    dtypes, columns, others = {}, {}, {}
    for place, array in enumerate(arrays):
        described = _dtype_parts(array.dtype)
        if described is None:
            others[place] = _other_column(array, owner, place)
        else:
            dtypes[place] = described
            columns[str(place)] = _to_arrow(array, owner)
    table = None
    if columns:
        pyarrow = library("pyarrow")
        table = pyarrow.table(list(columns.values()), list(columns))
    return [dtypes, table, others]


def _columns(parts: list[Any]) -> list[Any]:
    dtypes, table, held = given(parts, list)
    arrays = {place: _other_array(other) for place, other in given(held, dict).items()}
    if table is not None:
        columns = given(table, library("pyarrow").Table).columns
        for (place, described), column in zip(
            given(dtypes, dict).items(), columns, strict=True
        ):
            arrays[place] = _from_arrow(_dtype(described, column.type), column)
    return [arrays[place] for place in range(len(arrays))]


def _to_arrow(array: Any, owner: Any) -> Any:
    try:
        pyarrow = library("pyarrow")
    except ImportError as error:
        raise Refusal(owner, str(error)) from error
    return pyarrow.array(array)


def _from_arrow(dtype: Any, column: Any) -> Any:
    numpy, pyarrow = library("numpy"), library("pyarrow")
    if isinstance(dtype, numpy.dtype):
        if column.type != pyarrow.from_numpy_dtype(dtype):
            raise ValueError("a column does not fit its dtype")
        return numpy.array(column.to_numpy(), dtype)
    if not isinstance(dtype, library("pandas").ArrowDtype):
        _refuse_unfolding(getattr(column.type, "storage_type", column.type))
    return dtype.__from_arrow__(column)


def _refuse_unfolding(kind: Any) -> None:
    """Raise for a type whose values may take more room than their bytes.

    A type without buffers can claim any number of rows, and texts of a dictionary
    stand there once for many rows.
    """
    types = library("pyarrow").types
    if not (
        types.is_primitive(kind) or types.is_string(kind) or types.is_large_string(kind)
    ):
        raise ValueError(f"a column of the type {kind} does not fit its dtype")


def _other_column(array: Any, owner: Any, place: int) -> Any:
    """Return a column that Arrow can't hold as a value with a codec."""
    pandas = library("pandas")
    if isinstance(array.dtype, pandas.CategoricalDtype):
        return array
    if isinstance(array.dtype, pandas.IntervalDtype):
        return [array.dtype.closed, _plain(array.left), _plain(array.right)]
    if isinstance(array, library("numpy").ndarray):
        return array
    where = f"its column {preview(owner.columns[place])}" if owner.ndim > 1 else "it"
    raise Refusal(owner, f"{where} is of the dtype {array.dtype}")


def _plain(index: Any) -> Any:
    """Return an index that is stored item by item, not by its ends."""
    pandas = library("pandas")
    is_range = isinstance(index, pandas.RangeIndex)
    return pandas.Index(index.to_numpy()) if is_range else index


def _other_array(held: Any) -> Any:
    pandas, numpy = library("pandas"), library("numpy")
    if isinstance(held, list):
        closed, *ends = held
        for end in ends:
            given(end, pandas.Index)
            if isinstance(end, pandas.RangeIndex):
                raise TypeError("the ends of intervals are a range")
        return pandas.arrays.IntervalArray.from_arrays(*ends, closed=given(closed, str))
    if given(held, numpy.ndarray, pandas.Categorical).ndim != 1:
        raise ValueError("a column is no row of values")
    return held


def _column_canon(array: Any, owner: Any, place: int = 0) -> Any:
    """Return what a column is: bit by bit, and the same after a round trip."""
    described = _dtype_parts(array.dtype)
    if described is None:
        return _other_column(array, owner, place)
    if isinstance(array, library("numpy").ndarray):
        return array
    table = library("pyarrow").table([_to_arrow(array, owner)], ["0"])
    return [described, digest_table(table)]


def _array_of(column: Any) -> Any:
    """Return what stands below a series or an index, without a copy."""
    is_numpy = isinstance(column.dtype, library("numpy").dtype)
    return column.to_numpy() if is_numpy else column.array


def _arrays_of(frame: Any) -> list[Any]:
    return [_array_of(frame.iloc[:, place]) for place in range(frame.shape[1])]


# Frames and series


def _frame_parts(value: Any) -> list[Any]:
    return [
        value.columns,
        value.index,
        _column_parts(_arrays_of(value), value),
        value.attrs,
        *_flags(value),
    ]


def _flags(value: Any) -> list[Any]:
    """Return what a frame or series is told not to be, if anything."""
    return [] if value.flags.allows_duplicate_labels else [False]


def _flagged(value: Any, flags: list[Any]) -> Any:
    return value if not flags else value.set_flags(allows_duplicate_labels=False)


def _frame(parts: list[Any]) -> Any:
    columns, index, held, attributes, *flags = parts
    pandas = library("pandas")
    given(index, pandas.Index)
    given(attributes, dict)
    # By dtype, since pandas makes texts of an array of objects that are texts.
    series = {
        place: pandas.Series(array, index, array.dtype, copy=False)
        for place, array in enumerate(_columns(held))
    }
    frame = pandas.DataFrame(series, index=index, copy=False)
    frame.columns = given(columns, pandas.Index)
    frame.attrs = attributes
    return _flagged(frame, flags)


def _frame_canon(value: Any) -> list[Any]:
    held = [
        _column_canon(array, value, place)
        for place, array in enumerate(_arrays_of(value))
    ]
    return [value.columns, value.index, held, value.attrs]


def _frame_steps(value: Any) -> Any:
    yield "{}.columns", value.columns
    yield "{}.index", value.index
    yield from ((f"{{}}.attrs[{key!r}]", item) for key, item in value.attrs.items())
    for place, label in enumerate(value.columns):
        column = value.iloc[:, place]
        if column.dtype == object:
            for row, item in enumerate(column):
                yield f"{{}}[{preview(label)}].iloc[{row}]", item


def _series_parts(value: Any) -> list[Any]:
    return [
        value.name,
        value.index,
        _column_parts([_array_of(value)], value),
        value.attrs,
        *_flags(value),
    ]


def _series(parts: list[Any]) -> Any:
    name, index, held, attributes, *flags = parts
    (array,) = _columns(held)
    pandas = library("pandas")
    given(index, pandas.Index)
    series = pandas.Series(array, index, array.dtype, name, copy=False)
    series.attrs = given(attributes, dict)
    return _flagged(series, flags)


def _series_canon(value: Any) -> list[Any]:
    return [
        value.name,
        value.index,
        _column_canon(_array_of(value), value),
        value.attrs,
    ]


def _series_steps(value: Any) -> Any:
    yield "{}.name", value.name
    yield "{}.index", value.index
    yield from ((f"{{}}.iloc[{row}]", item) for row, item in enumerate(value))


# Indexes


def _index_parts(value: Any) -> list[Any]:
    held = _column_parts([_array_of(value)], value)
    return [value.name, _frequency_parts(value), held]


def _index(parts: list[Any]) -> Any:
    name, frequency, held = parts
    pandas = library("pandas")
    (array,) = _columns(held)
    index = pandas.Index(array, dtype=array.dtype, name=name, copy=False)
    if frequency is not None and not isinstance(index, pandas.PeriodIndex):
        index.freq = _frequency(frequency)
    return index


def _frequency_parts(index: Any) -> Any:
    """Return the name of an index's frequency, or what makes one without a name."""
    frequency = getattr(index, "freq", None)
    if frequency is None:
        return None
    pandas = library("pandas")
    try:
        if type(frequency) is pandas.DateOffset:
            # Slices of such an index have a frequency that pandas itself refuses.
            index.view().freq = frequency
            return [frequency.n, frequency.normalize, frequency.kwds]
        if pandas.tseries.frequencies.to_offset(frequency.freqstr) == frequency:
            return frequency.freqstr
    except ValueError:
        pass
    why = f"its frequency {frequency!r} can't be stored; set its freq to None"
    raise Refusal(index, why)


def _frequency(parts: Any) -> Any:
    if isinstance(parts, str):
        return parts
    count, normalize, steps = given(parts, list)
    sizes = {name: given(size, int) for name, size in given(steps, dict).items()}
    pandas = library("pandas")
    return pandas.DateOffset(given(count, int), given(normalize, bool), **sizes)


def _index_canon(value: Any) -> list[Any]:
    return [value.name, _column_canon(_array_of(value), value)]


def _index_steps(value: Any) -> Any:
    yield "{}.name", value.name
    yield from ((f"{{}}[{place}]", item) for place, item in enumerate(value))


def _range_index_parts(value: Any) -> list[Any]:
    return [value.name, value.start, value.stop, value.step]


def _range_index(parts: list[Any]) -> Any:
    name, *ends = parts
    start, stop, step = (given(end, int) for end in ends)
    return library("pandas").RangeIndex(start, stop, step, name=name)


def _multi_index_parts(value: Any) -> list[Any]:
    codes = [library("numpy").asarray(codes) for codes in value.codes]
    return [list(value.names), list(value.levels), codes]


def _multi_index(parts: list[Any]) -> Any:
    names, levels, codes = (given(part, list) for part in parts)
    for level, places in zip(levels, codes, strict=True):
        _refuse_misplaced(level, places, len(codes[0]))
    pandas = library("pandas")
    return pandas.MultiIndex(levels, codes, names=names, verify_integrity=False)


def _refuse_misplaced(level: Any, places: Any, rows: int) -> None:
    """Raise unless places stand in a level; pandas looks at each label of it."""
    given(level, library("pandas").Index)
    if given(places, library("numpy").ndarray).shape != (rows,):
        raise ValueError("the levels of an index are not of one length")
    if places.dtype.kind != "i" or not level.is_unique:
        raise ValueError("a level of an index is not one")
    if rows and not -1 <= places.min() <= places.max() < len(level):
        raise ValueError("an index has labels that its level lacks")


# Categories and scalars


def _categorical_parts(value: Any) -> list[Any]:
    codes = library("numpy").asarray(value.codes)
    return [codes, value.categories, bool(value.ordered)]


def _categorical(parts: list[Any]) -> Any:
    codes, categories, ordered = parts
    pandas = library("pandas")
    if given(codes, library("numpy").ndarray).ndim != 1:
        raise ValueError("the codes of categories are no row of numbers")
    return pandas.Categorical.from_codes(
        codes, given(categories, pandas.Index), ordered=given(ordered, bool)
    )


def _timestamp_parts(value: Any) -> list[Any]:
    return [value.asm8, value.tzinfo]


def _timestamp(parts: list[Any]) -> Any:
    moment, zone = parts
    stamp = library("pandas").Timestamp(_scalar64(moment, "M"))
    return stamp if zone is None else stamp.tz_localize("UTC").tz_convert(zone)


def _timedelta(part: Any) -> Any:
    return library("pandas").Timedelta(_scalar64(part, "m"))


def _scalar64(value: Any, kind: str) -> Any:
    if given(value, library("numpy").generic).dtype.kind != kind:
        raise ValueError("a time is of another type than it says")
    return value


def _period_parts(value: Any) -> list[Any]:
    return [value.ordinal, value.freqstr]


def _period(parts: list[Any]) -> Any:
    ordinal, frequency = parts
    return library("pandas").Period(
        ordinal=given(ordinal, int), freq=given(frequency, str)
    )


def _interval(parts: list[Any]) -> Any:
    left, right, closed = parts
    return library("pandas").Interval(left, right, closed)


def _missing(name: str) -> Any:
    pandas = library("pandas")
    return {"NaTType": pandas.NaT, "NAType": pandas.NA}[name]


_INDEXES = ("Index", "CategoricalIndex", "DatetimeIndex", "IntervalIndex")
_MORE_INDEXES = ("PeriodIndex", "TimedeltaIndex")

FRAMES: tuple[Codec, ...] = (
    Codec(
        70,
        ("pandas:DataFrame",),
        _frame_parts,
        _frame,
        to_canon=_frame_canon,
        children=_frame_steps,
    ),
    Codec(
        71,
        ("pandas:Series",),
        _series_parts,
        _series,
        to_canon=_series_canon,
        children=_series_steps,
    ),
    Codec(
        72,
        tuple(f"pandas:{name}" for name in (*_INDEXES, *_MORE_INDEXES)),
        _index_parts,
        _index,
        to_canon=_index_canon,
        children=_index_steps,
    ),
    Codec(73, ("pandas:RangeIndex",), _range_index_parts, _range_index),
    Codec(
        74,
        ("pandas:MultiIndex",),
        _multi_index_parts,
        _multi_index,
        children=lambda value: (
            (f"{{}}.levels[{n}]", level) for n, level in enumerate(value.levels)
        ),
    ),
    Codec(
        75,
        ("pandas:Categorical",),
        _categorical_parts,
        _categorical,
        children=lambda value: (("{}.categories", value.categories),),
    ),
    Codec(76, ("pandas:Timestamp",), _timestamp_parts, _timestamp),
    Codec(77, ("pandas:Timedelta",), lambda value: value.asm8, _timedelta, (object,)),
    Codec(
        78,
        ("pandas:NaTType", "pandas:NAType"),
        lambda value: type(value).__name__,
        _missing,
        (str,),
    ),
    Codec(79, ("pandas:Period",), _period_parts, _period),
    Codec(
        80,
        ("pandas:Interval",),
        lambda value: [value.left, value.right, value.closed],
        _interval,
    ),
)
"""One line for each type; see `nbflow.serde.codec.Codec`."""
