"""A record of the log as a row of the table, and back.

Which columns a kind of event fills follows from its fields: payloads go to the
two blob columns, `call_id` and `name` to columns of their own, and the rest into
one JSON object. No SQL here, and no file.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec
import zstandard

from nbflow._events import KINDS, PAYLOADS, Event, Record
from nbflow._values import Payload
from nbflow.errors import (
    StoreDamagedError,
    StoreUnavailableError,
    UnstorableValueError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["COLUMNS", "Packed", "Row", "Sealer", "pack", "unpack"]

COLUMNS: Final = (
    "seq",
    "generation",
    "happened_at",
    "thread_id",
    "run_id",
    "kind",
    "call_id",
    "name",
    "detail",
    "value_codec",
    "value",
    "extra_codec",
    "extra",
    "checksum",
)
"""The columns of the log, in the order of the table."""

Row: TypeAlias = tuple[Any, ...]
"""One value for each of `COLUMNS`."""

RAW: Final = 0
ZSTD: Final = 1
COMPRESSED_FROM_BYTES: Final = 4096
LARGEST_PAYLOAD_BYTES: Final = 2**31 - 1

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - the column is UTC without a zone
_FIRST_AT: Final = -62_135_596_800_000_000  # the year 1
_LAST_AT: Final = 253_402_300_799_999_999  # the end of the year 9999
_OWN_COLUMNS: Final = ("call_id", "name")


class Packed(NamedTuple):
    """A record that can be stored, before it has its place in the log."""

    record: Record
    detail: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Shape:
    """How one kind of event is laid out in a row."""

    kind: type[Event]
    own: tuple[str, ...]
    detail: tuple[str, ...]
    payloads: tuple[str, ...]
    own_of: Callable[[Event], str]
    detail_of: Callable[[Event], msgspec.Struct]
    decoder: msgspec.json.Decoder[Any]


def pack(record: Record) -> Packed:
    """Check that a record can be stored, and encode the small part of it.

    Raises
    ------
    UnstorableValueError
        Something in it would not come back equal.
    """
    event = record.event
    shape = _SHAPES[type(event)]
    try:
        held = shape.detail_of(event)
        detail = _encode(held)
        back = shape.decoder.decode(detail)
        texts = record.thread_id + record.run_id + shape.own_of(event)
        if not texts.isascii():
            texts.encode()
        if not _FIRST_AT <= record.at <= _LAST_AT:
            _moment(record.at)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UnstorableValueError(
            type(event).__name__, "record", why=str(error)
        ) from error
    if back != held:
        raise _changed(event, shape, back)
    size = len(detail)
    for name in shape.payloads:
        payload = getattr(event, name)
        if payload is not None and payload.data is not None:
            size += _size_of(name, payload.data)
    return Packed(record, detail.decode(), size)


def _changed(event: Event, shape: _Shape, back: object) -> UnstorableValueError:
    values = ((name, getattr(event, name)) for name in shape.detail)
    name, value = next((n, v) for n, v in values if getattr(back, n) != v)
    return UnstorableValueError(
        f"{type(event).__name__}.{name}",
        type(value).__name__,
        why="it holds something that is not JSON: a tuple, a date, a number that is "
        "not finite, a key that is not text, or the like",
    )


def _size_of(name: str, data: bytes) -> int:
    size = len(data)
    if size > LARGEST_PAYLOAD_BYTES:
        why = f"it takes {size:,} bytes, and 2 GiB is the most"
        raise UnstorableValueError(name, "value", why=why)
    return size


class Sealer:
    """Makes rows of packed records; for one thread.

    Parameters
    ----------
    generation : int
        The generation of the log that the rows belong to, from 1.
    """

    def __init__(self, generation: int) -> None:
        self._generation = generation
        self._compressor = zstandard.ZstdCompressor(level=3)

    def seal(self, packed: Packed, seq: int) -> Row:
        """Return the row of a record at its place in the log."""
        record, detail, _ = packed
        event = record.event
        shape = _SHAPES[type(event)]
        call_id = event.call_id if "call_id" in shape.own else None  # type: ignore[union-attr]
        name = event.name if "name" in shape.own else None  # type: ignore[union-attr]
        payloads = [self._pressed(getattr(event, name)) for name in shape.payloads]
        payloads += [_NO_PAYLOAD] * (2 - len(payloads))
        (value_codec, value), (extra_codec, extra) = payloads
        head = (
            seq,
            self._generation,
            record.at,
            record.thread_id,
            record.run_id,
            type(event).__name__,
            call_id,
            name,
            detail,
        )
        tail = (value_codec, value, extra_codec, extra)
        checksum = _checksum(head, tail)
        return (*head[:2], _moment(record.at), *head[3:], *tail, checksum)

    def _pressed(self, payload: Payload | None) -> tuple[int | None, bytes | None]:
        if payload is None:
            return _NO_PAYLOAD
        data = payload.data
        if data is not None and len(data) >= COMPRESSED_FROM_BYTES:
            smaller = self._compressor.compress(data)
            if len(smaller) < len(data):
                return ZSTD, smaller
        return RAW, data


def unpack(row: Sequence[Any], path: str, *, with_payloads: bool = True) -> Record:
    """Return the record of a row that was read from the log.

    Parameters
    ----------
    row : sequence
        One value for each of `COLUMNS`, `happened_at` in microseconds since
        1970-01-01 UTC.
    path : str
        The database file, for errors.
    with_payloads : bool, default True
        Where False, the blobs were not read: the payloads hold nothing, and the
        checksum is not looked at.

    Raises
    ------
    StoreDamagedError
        The row is not what was written.
    StoreUnavailableError
        A newer version wrote it.
    """
    head, tail, checksum = tuple(row[:9]), tuple(row[9:13]), row[13]
    seq, _, at, thread_id, run_id, kind, call_id, name, detail = head
    if with_payloads and _checksum(head, tail) != checksum:
        raise _damaged(path, seq)
    shape = _SHAPES_BY_NAME.get(kind)
    if shape is None:
        raise _newer(path, seq, f"a {kind!r}")
    try:
        held = shape.decoder.decode(detail)
    except msgspec.DecodeError as error:
        raise _newer(path, seq, f"another {kind}") from error
    own = {"call_id": call_id, "name": name}
    values = {field: getattr(held, field) for field in shape.detail}
    values.update((field, own[field]) for field in shape.own)
    for index, field in enumerate(shape.payloads):
        codec, data = tail[2 * index : 2 * index + 2]
        values[field] = _payload(codec, data, path, seq)
    return Record(thread_id, run_id, at, shape.kind(**values), seq)


def _payload(codec: int | None, data: bytes | None, path: str, seq: int) -> Any:
    if codec is None:
        return None
    if codec == RAW or data is None:
        return Payload(data)
    if codec == ZSTD:
        try:
            return Payload(zstandard.decompress(data))
        except zstandard.ZstdError as error:
            raise _damaged(path, seq) from error
    raise _newer(path, seq, f"a value in the form {codec}")


def _checksum(head: tuple[Any, ...], tail: tuple[Any, ...]) -> int:
    value_codec, value, extra_codec, extra = tail
    sizes = (
        value_codec,
        None if value is None else len(value),
        extra_codec,
        None if extra is None else len(extra),
    )
    checksum = zlib.crc32(_fingerprinted((*head, *sizes)))
    for blob in (value, extra):
        if blob:
            checksum = zlib.crc32(blob, checksum)
    return checksum


def _moment(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


def _damaged(path: str, seq: int) -> StoreDamagedError:
    return StoreDamagedError(
        f"Row {seq} of the store {path!r} is not what was written.\n"
        "The file was left as it is: keep a copy of it. Other runs can still be read."
    )


def _newer(path: str, seq: int, what: str) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"Row {seq} of the store {path!r} is {what}, which this version of nbflow "
        "does not know: a newer one wrote it.\nUpdate nbflow to read it."
    )


def _shape_of(kind: type[Event]) -> _Shape:
    payloads = PAYLOADS[kind.__name__]
    found = {field.name: field for field in msgspec.structs.fields(kind)}
    own = tuple(name for name in found if name in _OWN_COLUMNS)
    names = tuple(name for name in found if name not in (*payloads, *own))
    struct = msgspec.defstruct(
        f"{kind.__name__}Detail",
        [(name, found[name].type, _default(found[name])) for name in names],
    )
    return _Shape(
        kind,
        own,
        names,
        payloads,
        _text_reader(own),
        _reader(struct, names),
        msgspec.json.Decoder(struct),
    )


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is msgspec.NODEFAULT:
        return field.default
    return msgspec.field(default_factory=field.default_factory)


def _text_reader(names: tuple[str, ...]) -> Callable[[Event], str]:
    match names:
        case ():
            return lambda _: ""
        case (name,):
            return attrgetter(name)
        case _:
            take = attrgetter(*names)
            return lambda event: "".join(take(event))


def _reader(
    struct: type[msgspec.Struct], names: tuple[str, ...]
) -> Callable[[Event], msgspec.Struct]:
    match names:
        case ():
            return lambda _: struct()
        case (name,):
            return lambda event: struct(getattr(event, name))
        case _:
            take = attrgetter(*names)
            return lambda event: struct(*take(event))


_NO_PAYLOAD: Final = (None, None)
_encode: Final = msgspec.json.Encoder().encode
_fingerprinted: Final = msgspec.msgpack.Encoder().encode
_SHAPES: Final = {kind: _shape_of(kind) for kind in KINDS.values()}
_SHAPES_BY_NAME: Final = {kind.__name__: shape for kind, shape in _SHAPES.items()}
