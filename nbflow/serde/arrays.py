"""Codecs of NumPy's arrays and scalars.

An array is stored as an npy file without pickled objects; its header is checked
against the bytes that follow before anything is allocated.
"""

from __future__ import annotations

import re
from ast import literal_eval
from hashlib import blake2b
from io import BytesIO
from math import prod
from operator import index
from typing import TYPE_CHECKING, Any

from nbflow.serde.codec import Codec, Refusal, given, library
from nbflow.serde.streams import STREAM_FROM_BYTES, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.serde.codec import Children
    from nbflow.serde.streams import Sink

__all__ = ["ARRAYS", "digest", "field_names"]

DIGEST_BYTES = 16
WINDOW_BYTES = 1 << 20
"""How much of an array that isn't contiguous is copied at a time to hash it."""

MAX_HEADER_BYTES = 1 << 16
MAX_EMPTY_ITEM_BYTES = 1 << 26
_SCALAR = re.compile(r"[<>|=]?[biufcmMSUV]\d+(\[\d*[a-zA-Z]+\])?|[qQlLgG]")


def digest(array: Any) -> bytes:
    """Return a hash of an array's elements in C order, without copying the array.

    Parameters
    ----------
    array : numpy.ndarray
        Any shape and layout; not of objects. Type and shape are not hashed.
    """
    state = blake2b(digest_size=DIGEST_BYTES)
    if array.size and array.dtype.itemsize:
        _feed(state.update, array)
    return state.digest()


def _feed(sink: Sink, array: Any) -> None:
    """Write an array's elements in C order, copying a window of it at most."""
    numpy = library("numpy")
    if array.flags.c_contiguous:
        sink(memoryview(array.reshape(-1).view(numpy.uint8)))
        return
    row_bytes = array.nbytes // len(array)
    if row_bytes > WINDOW_BYTES and array.ndim > 1:
        for row in array:
            _feed(sink, row)
        return
    step = max(1, WINDOW_BYTES // row_bytes)
    for start in range(0, len(array), step):
        window = numpy.ascontiguousarray(array[start : start + step])
        sink(memoryview(window.reshape(-1).view(numpy.uint8)))


# Arrays


def _pick(value: Any) -> Codec:
    return OBJECTS if value.dtype == object else NPY


def _array_parts(value: Any) -> bytes | Stream:
    if value.dtype.hasobject:
        raise Refusal(value, f"its dtype {value.dtype} holds objects")
    if value.size and not value.dtype.itemsize:
        raise Refusal(value, f"items of its dtype {value.dtype} take no bytes")
    form, file = library("numpy.lib.format"), BytesIO()
    try:
        header = form.header_data_from_array_1_0(value)
        form.write_array_header_1_0(file, header)
    except ValueError:  # a header that is long, or names that aren't Latin
        file = BytesIO()
        form.write_array(file, value, version=(3, 0), allow_pickle=False)
        return file.getvalue()
    elements = value.T if header["fortran_order"] else value
    if value.nbytes >= STREAM_FROM_BYTES:
        head = file.getvalue()

        def write(sink: Sink) -> None:
            sink(head)
            _feed(sink, elements)

        return Stream(len(head) + value.nbytes, write)
    if value.nbytes:
        _feed(file.write, elements)
    return file.getvalue()


def _array(data: memoryview) -> Any:
    numpy = library("numpy")
    dtype, shape, order, start = _header(data)
    body = data[start:]
    if dtype.hasobject or prod(shape) * dtype.itemsize != len(body):
        raise ValueError("the array's header does not fit its bytes")
    if not len(body):
        if prod(shape):
            raise ValueError("the array's items take no bytes")
        if dtype.itemsize > MAX_EMPTY_ITEM_BYTES:
            raise ValueError("the items of an empty array are too large")
        return numpy.empty(shape, dtype, order)
    return numpy.frombuffer(body, dtype).reshape(shape, order=order).copy("K")


def _header(data: memoryview) -> tuple[Any, tuple[int, ...], str, int]:
    """Return dtype, shape, order and where the elements begin in an npy file."""
    form = library("numpy.lib.format")
    major, _ = form.read_magic(BytesIO(data[: form.MAGIC_LEN]))
    start = form.MAGIC_LEN + (2 if major == 1 else 4)
    end = start + int.from_bytes(data[form.MAGIC_LEN : start], "little")
    if end > min(len(data), MAX_HEADER_BYTES):
        raise ValueError("the array's header is too long")
    header = literal_eval(str(data[start:end], "latin1" if major == 1 else "utf-8"))
    shape = tuple(index(size) for size in header["shape"])
    if any(size < 0 for size in shape):
        raise ValueError("the array's shape is negative")
    dtype = form.descr_to_dtype(header["descr"])
    return dtype, shape, "F" if header["fortran_order"] else "C", end


def field_names(data: memoryview) -> Iterator[str]:
    """Yield the names of the fields that an npy file's records have, at any depth."""
    dtypes = [_header(data)[0]]
    while dtypes:
        dtype = dtypes.pop()
        if dtype.subdtype is not None:
            dtypes.append(dtype.subdtype[0])
        for name, (below, *_) in (dtype.fields or {}).items():
            yield name
            dtypes.append(below)


def _dtype_key(dtype: Any) -> Any:
    return library("numpy.lib.format").dtype_to_descr(dtype)


def _array_canon(value: Any) -> list[Any]:
    return [_dtype_key(value.dtype), list(value.shape), digest(value)]


# Arrays of objects, element by element


def _object_parts(value: Any) -> list[Any]:
    if value.dtype != object:
        raise Refusal(value, f"its dtype {value.dtype} holds objects")
    return [list(value.shape), value.reshape(-1).tolist()]


def _object_array(parts: list[Any]) -> Any:
    shape, items = (given(part, list) for part in parts)
    shape = [given(size, int) for size in shape]
    if prod(shape) != len(items) or any(size < 0 for size in shape):
        raise ValueError("the array's shape does not fit its items")
    flat = library("numpy").empty(len(items), object)
    for place, item in enumerate(items):
        flat[place] = item
    return flat.reshape(shape)


def _object_steps(value: Any) -> Children:
    for place in library("numpy").ndindex(value.shape):
        yield f"{{}}[{', '.join(map(str, place)) or '()'}]", value[place]


# Scalars


def _scalar_parts(value: Any) -> list[Any]:
    numpy = library("numpy")
    if isinstance(value, numpy.str_ | numpy.bytes_):
        # An array, and NumPy's own ways to plain Python, lose trailing zeros.
        return ["text", value[:]]
    if value.dtype.names or value.dtype.hasobject:
        return ["record", numpy.array(value)]
    name = value.dtype.str
    if numpy.dtype(name).type is not type(value):
        name = value.dtype.char
    return [name, value.tobytes()]


def _scalar(parts: list[Any]) -> Any:
    numpy = library("numpy")
    name, held = parts
    if given(name, str) == "text":
        kind = numpy.str_ if isinstance(held, str) else numpy.bytes_
        return kind(given(held, str, bytes))
    if name == "record":
        return given(held, numpy.ndarray)[()]
    if not _SCALAR.fullmatch(name):
        raise ValueError(f"there is no scalar of the type {name!r}")
    dtype = numpy.dtype(name)
    if dtype.itemsize != len(held):
        raise ValueError("the scalar's type does not fit its bytes")
    return numpy.frombuffer(held, dtype)[0] if held else numpy.zeros((), dtype)[()]


NPY = Codec(
    60,
    ("numpy:ndarray",),
    _array_parts,
    _array,
    raw=True,
    to_canon=_array_canon,
    pick=_pick,
)
OBJECTS = Codec(61, (), _object_parts, _object_array, children=_object_steps)
ARRAYS: tuple[Codec, ...] = (
    NPY,
    OBJECTS,
    Codec(62, (), _scalar_parts, _scalar, base="numpy:generic"),
)
"""One line for each type; see `nbflow.serde.codec.Codec`."""
