"""Codecs of Arrow tables and of polars frames, by way of Arrow's stream format.

The reader trusts nothing: compressed bodies are refused before they are opened,
and everything read is validated in full before anyone looks at it.
"""

from __future__ import annotations

from contextlib import contextmanager
from hashlib import blake2b
from struct import unpack_from
from typing import TYPE_CHECKING, Any

from nbflow.serde.codec import Codec, Refusal, given, library
from nbflow.serde.streams import STREAM_FROM_BYTES, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.serde.streams import Sink

__all__ = [
    "ARROW",
    "column_names",
    "digest_table",
    "read_table",
    "texts_in",
    "write_table",
]

WINDOW_ROWS = 1 << 16
"""Rows that are hashed at a time: equal tables hash alike however they are chunked."""

WRITTEN_BYTES = 8 << 20
"""About how much of a table is written at a time."""

_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_ROOT_FIELDS = {"kind": 1, "header": 2}
_COMPRESSION = 3
_DICTIONARY_DATA = 1


def write_table(table: Any) -> memoryview | Stream:
    """Return a table or a record batch in Arrow's stream format, uncompressed."""
    pyarrow = _pyarrow(table)
    # Written twice, first to count: a buffer that grows is copied over and over.
    count = pyarrow.MockOutputStream()
    _write(table, count)
    size = count.size()
    if size >= STREAM_FROM_BYTES:
        return Stream(size, lambda sink: _write(table, _file_over(sink)))
    buffer = pyarrow.allocate_buffer(size)
    _write(table, pyarrow.FixedSizeBufferWriter(buffer))
    return memoryview(buffer)


def _write(table: Any, sink: Any) -> None:
    pyarrow = library("pyarrow")
    with pyarrow.ipc.new_stream(sink, table.schema) as stream:
        if isinstance(table, pyarrow.Table):
            # A window at a time: Arrow copies texts and bits to where they begin.
            rows = WRITTEN_BYTES * table.num_rows // max(1, table.nbytes)
            stream.write_table(table, max_chunksize=max(1, rows))
        else:
            stream.write_batch(table)


def _file_over(sink: Sink) -> Any:
    return library("pyarrow").PythonFile(_SinkFile(sink), "w")


def read_table(data: memoryview) -> Any:
    """Return the table that stands in Arrow's stream format.

    Raises
    ------
    Exception
        Whatever Arrow raises for bytes that are no such table.
    """
    schema, batches = _read(data)
    return library("pyarrow").Table.from_batches(batches, schema)


def column_names(data: memoryview) -> Iterator[str]:
    """Yield the names of a table's columns, and of the fields of structs in them."""
    pyarrow = library("pyarrow")
    fields = list(pyarrow.ipc.open_stream(pyarrow.py_buffer(data)).schema)
    while fields:
        field = fields.pop()
        yield field.name
        fields += [field.type.field(place) for place in range(field.type.num_fields)]


def texts_in(data: memoryview) -> Iterator[str]:
    """Yield every text in a table's columns, once where a dictionary holds it."""
    types = library("pyarrow").types
    for column in read_table(data).columns:
        for chunk in column.chunks:
            held = chunk.dictionary if types.is_dictionary(chunk.type) else chunk
            kinds = (types.is_string, types.is_large_string, types.is_string_view)
            if any(is_of(held.type) for is_of in kinds):
                yield from (text for text in held.to_pylist() if text is not None)


def digest_table(table: Any) -> bytes:
    """Return a hash of a table's schema and rows, a window of rows at a time."""
    state = blake2b(digest_size=16)
    file = _file_over(state.update)
    with library("pyarrow").ipc.new_stream(file, table.schema) as stream:
        for start in range(0, table.num_rows, WINDOW_ROWS):
            stream.write(table.slice(start, WINDOW_ROWS).combine_chunks())
    return state.digest()


def _read(data: memoryview) -> tuple[Any, list[Any]]:
    pyarrow = library("pyarrow")
    # The caller's bytes may go away, and are not aligned as Arrow wants them.
    buffer = pyarrow.py_buffer(bytes(data))
    for message in pyarrow.ipc.MessageReader.open_stream(buffer):
        if _is_compressed(memoryview(message.metadata)):
            raise ValueError("a compressed table is not one of nbflow's")
    stream = pyarrow.ipc.open_stream(buffer)
    batches = list(stream)
    if sum(map(_claimed_bytes, batches)) > len(data):
        raise ValueError("columns of the table lie over each other")
    for batch in batches:
        batch.validate(full=True)
    return stream.schema, batches


def _claimed_bytes(batch: Any) -> int:
    """Return what the columns take if each has bytes of its own, as written."""
    buffers = (buffer for column in batch.columns for buffer in column.buffers())
    return sum(buffer.size for buffer in buffers if buffer is not None)


class _SinkFile:
    """A file that hands on what is written to it."""

    closed = False

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, data: Any) -> int:
        self._sink(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: nothing is held back."""


def _pyarrow(value: Any) -> Any:
    try:
        return library("pyarrow")
    except ImportError as error:
        raise Refusal(value, str(error)) from error


# Flatbuffers, as far as finding one field of a message takes


def _is_compressed(message: memoryview) -> bool:
    """Return whether the body of an Arrow message is compressed."""
    root = unpack_from("<I", message, 0)[0]
    kind = _field(message, root, _ROOT_FIELDS["kind"])
    if kind is None or message[kind] not in (_DICTIONARY_BATCH, _RECORD_BATCH):
        return False
    batch = _child(message, root, _ROOT_FIELDS["header"])
    if message[kind] == _DICTIONARY_BATCH:
        batch = _child(message, batch, _DICTIONARY_DATA)
    return _field(message, batch, _COMPRESSION) is not None


def _field(message: memoryview, table: int, number: int) -> int | None:
    """Return where a table's field stands, or None if it isn't there."""
    vtable = table - unpack_from("<i", message, table)[0]
    place = 4 + 2 * number
    if vtable < 0 or place >= unpack_from("<H", message, vtable)[0]:
        return None
    offset = unpack_from("<H", message, vtable + place)[0]
    return table + offset if offset else None


def _child(message: memoryview, table: int, number: int) -> int:
    place = _field(message, table, number)
    if place is None:
        raise ValueError("a message of the table is malformed")
    return int(place + unpack_from("<I", message, place)[0])


# Codecs


def _batch(data: memoryview) -> Any:
    _, (batch,) = _read(data)
    return batch


def _array_parts(value: Any) -> memoryview | Stream:
    pyarrow = _pyarrow(value)
    return write_table(pyarrow.record_batch([value], names=["0"]))


def _chunked_parts(value: Any) -> memoryview | Stream:
    return write_table(_pyarrow(value).table([value], names=["0"]))


def _table_canon(value: Any) -> bytes:
    pyarrow = library("pyarrow")
    if isinstance(value, pyarrow.RecordBatch):
        value = pyarrow.Table.from_batches([value])
    return digest_table(value)


def _column_canon(value: Any) -> bytes:
    return digest_table(library("pyarrow").table([value], names=["0"]))


@contextmanager
def _no_panic() -> Iterator[None]:
    """Make an error of what polars calls a panic, which is no Exception."""
    try:
        yield
    except library("polars").exceptions.PanicException as panic:
        raise ValueError(f"polars: {panic}") from panic


def _frame_parts(value: Any) -> memoryview | Stream:
    return write_table(_to_arrow(value, value))


def _to_arrow(value: Any, plain: Any) -> Any:
    """Return a polars frame as a table, if all its types survive the way."""
    _pyarrow(value)
    with _no_panic():
        back = _from_arrow(value.clear().to_arrow())
    if back.schema != value.schema:
        lost = next(n for n, kind in value.schema.items() if back.schema.get(n) != kind)
        raise Refusal(value, f"its column {lost!r} has a type that Arrow lacks")
    return plain.to_arrow()


def _frame(data: memoryview) -> Any:
    table = read_table(data)
    with _no_panic():
        return _from_arrow(table)


def _from_arrow(table: Any) -> Any:
    frame = library("polars").from_arrow(table)
    if frame.columns != table.column_names:  # polars gives another name to ""
        frame.columns = table.column_names
    return frame


def _frame_canon(value: Any) -> list[Any]:
    polars = library("polars")
    # Numbers of categories depend on what else the process has seen.
    plain = value.with_columns(polars.col(polars.Categorical).cast(polars.String))
    return [str(value.schema), digest_table(_to_arrow(value, plain))]


def _series_parts(value: Any) -> list[Any]:
    return [value.name, value.to_frame("0")]


def _series(parts: list[Any]) -> Any:
    name, frame = parts
    polars = library("polars")
    return given(frame, polars.DataFrame).to_series(0).alias(given(name, str))


ARROW: tuple[Codec, ...] = (
    Codec(
        85,
        ("pyarrow:Table",),
        write_table,
        read_table,
        raw=True,
        to_canon=_table_canon,
    ),
    Codec(
        86,
        ("pyarrow:RecordBatch",),
        write_table,
        _batch,
        raw=True,
        to_canon=_table_canon,
    ),
    Codec(
        87,
        (),
        _array_parts,
        lambda data: _batch(data).column(0),
        raw=True,
        base="pyarrow:Array",
        to_canon=_column_canon,
    ),
    Codec(
        88,
        ("pyarrow:ChunkedArray",),
        _chunked_parts,
        lambda data: read_table(data).column(0),
        raw=True,
        to_canon=_column_canon,
    ),
    Codec(
        90, ("polars:DataFrame",), _frame_parts, _frame, raw=True, to_canon=_frame_canon
    ),
    Codec(91, ("polars:Series",), _series_parts, _series),
)
"""One line for each type; see `nbflow.serde.codec.Codec`."""
