"""A record of the log as a row of the table, and back.

Which columns a kind of event fills follows from its fields: payloads go to the
two blob columns, `call_id` and `name` to columns of their own, and the rest into
one JSON object. How a value stands there is `payloads`'. No SQL here, and no file.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec

from nbflow._database.history import Series
from nbflow._database.payloads import (
    BLOB,
    COMPRESSED_FROM_BYTES,
    DELTA,
    RAW,
    ZSTD,
    Place,
    Stored,
    decompressed,
    in_row,
    refuse_too_large,
)
from nbflow._events import KINDS, PAYLOADS, Event, Record
from nbflow._values import Payload, StoredPayload
from nbflow.errors import (
    StoreDamagedError,
    StoreUnavailableError,
    UnstorableValueError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow._database.payloads import Payloads

__all__ = [
    "COLUMNS",
    "Packed",
    "Row",
    "Sealer",
    "checked",
    "pack",
    "read_values",
    "unpack",
]

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

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - the column is UTC without a zone
_FIRST_AT: Final = -62_135_596_800_000_000  # the year 1
_LAST_AT: Final = 253_402_300_799_999_999  # the end of the year 9999
_OWN_COLUMNS: Final = ("call_id", "name")


class Packed(NamedTuple):
    """A record that can be stored, before it has its place in the log."""

    record: Record
    detail: str
    values: tuple[Stored, Stored]
    payloads: Payloads | None
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
    ordered: Callable[[tuple[Any, ...]], tuple[Any, ...]]


def pack(record: Record, payloads: Payloads | None = None) -> Packed:
    """Check that a record can be stored, and encode all that has no place in it.

    Parameters
    ----------
    record : Record
        What is to be stored.
    payloads : Payloads, optional
        The values of the store; without it every value is held whole by the row.

    Raises
    ------
    UnstorableValueError
        Something in it would not come back equal.
    StoreUnavailableError
        There is no room for the file of a large value.
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
    if not shape.payloads:
        return Packed(record, detail.decode(), _NO_VALUES, None, len(detail))
    values = tuple(
        _NO_VALUE if payload is None else _stored(record, payload, column, payloads)
        for column, payload in enumerate(map(event.__getattribute__, shape.payloads))
    )
    first, second = values if len(values) > 1 else (values[0], _NO_VALUE)
    size = len(detail) + first.size_bytes + second.size_bytes
    return Packed(record, detail.decode(), (first, second), payloads, size)


def _stored(
    record: Record, payload: Payload, column: int, payloads: Payloads | None
) -> Stored:
    if type(payload) is Payload:
        data = payload.data
        if data is None or len(data) < COMPRESSED_FROM_BYTES:
            return Stored(RAW, data)
    kind = type(record.event).__name__
    name = PAYLOADS[kind][column]
    if payloads is None:
        data = payload.data or b""
        refuse_too_large(data, name)
        return in_row(data)
    return payloads.stored(payload, name, Series(record.thread_id, kind, column))


def _changed(event: Event, shape: _Shape, back: object) -> UnstorableValueError:
    values = ((name, getattr(event, name)) for name in shape.detail)
    name, value = next((n, v) for n, v in values if getattr(back, n) != v)
    return UnstorableValueError(
        f"{type(event).__name__}.{name}",
        type(value).__name__,
        why="it holds something that is not JSON: a tuple, a date, a number that is "
        "not finite, a key that is not text, or the like",
    )


class Sealer:
    """Makes rows of packed records; for one thread.

    Parameters
    ----------
    generation : int
        The generation of the log that the rows belong to, from 1.
    """

    def __init__(self, generation: int) -> None:
        self._generation = generation

    def seal(self, packed: Packed, seq: int) -> Row:
        """Return the row of a record at its place in the log."""
        record, detail, (value, extra), payloads, _ = packed
        event = record.event
        shape = _SHAPES[type(event)]
        call_id = event.call_id if "call_id" in shape.own else None  # type: ignore[union-attr]
        name = event.name if "name" in shape.own else None  # type: ignore[union-attr]
        tail = value.codec, value.data, extra.codec, extra.data
        if payloads is not None:
            tail = (*payloads.sealed(value, seq), *payloads.sealed(extra, seq))
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
        checksum = _checksum(head, tail)
        return (*head[:2], _moment(record.at), *head[3:], *tail, checksum)


def unpack(
    row: Sequence[Any],
    path: str,
    payloads: Payloads | None = None,
    *,
    with_payloads: bool = True,
) -> Record:
    """Return the record of a row that was read from the log.

    Parameters
    ----------
    row : sequence
        One value for each of `COLUMNS`, `happened_at` in microseconds since
        1970-01-01 UTC.
    path : str
        The database file, for errors.
    payloads : Payloads, optional
        The values of the store; without it those that the row does not hold whole
        can't be read.
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
    head, tail, checksum = row[:9], row[9:13], row[13]
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
    value = extra = None
    if shape.payloads:
        codec, data, extra_codec, extra_data = tail
        if codec == RAW or (data is None and codec is not None):
            value = Payload(data)
        elif codec is not None:
            place = Place(seq, thread_id, kind, call_id, 0)
            value = _payload(place, codec, data, path, payloads)
        if extra_codec is not None:
            place = Place(seq, thread_id, kind, call_id, 1)
            extra = _payload(place, extra_codec, extra_data, path, payloads)
    found = (*msgspec.structs.astuple(held), call_id, name, value, extra)
    return Record(thread_id, run_id, at, shape.kind(*shape.ordered(found)), seq)


def read_values(record: Record) -> None:
    """Read every value of a record, also those that its row does not hold.

    Raises
    ------
    StoreDamagedError
        One of them is missing, or not what was written.
    """
    for name in PAYLOADS[type(record.event).__name__]:
        payload = getattr(record.event, name)
        if isinstance(payload, StoredPayload):
            payload.load()


def checked(
    row: Sequence[Any], path: str
) -> tuple[tuple[int | None, bytes | None], tuple[int | None, bytes | None]]:
    """Return what the two blob columns of a row that was read hold, and how.

    Raises
    ------
    StoreDamagedError
        The row is not what was written.
    """
    value_codec, value, extra_codec, extra = row[9:13]
    if _checksum(row[:9], row[9:13]) != row[13]:
        raise _damaged(path, row[0])
    return (value_codec, value), (extra_codec, extra)


def _payload(
    place: Place,
    codec: int,
    data: bytes | None,
    path: str,
    payloads: Payloads | None,
) -> Payload:
    if codec == RAW or data is None:
        return Payload(data)
    try:
        if codec == ZSTD:
            return Payload(decompressed(data))
        if codec in (BLOB, DELTA) and payloads is not None:
            return payloads.payload(place, codec, data)
    except ValueError as error:
        raise _damaged(path, place.seq) from error
    if codec in (BLOB, DELTA):
        return StoredPayload(load=partial(_refuse, path, place.seq))
    raise _newer(path, place.seq, f"a value in the form {codec}")


def _refuse(path: str, seq: int) -> bytes:
    raise StoreDamagedError(
        f"Row {seq} of the store {path!r} does not hold its value itself.\n"
        "Open the store with its files, then read the value."
    )


def _checksum(head: Sequence[Any], tail: Sequence[Any]) -> int:
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
        _ordering((*names, *_OWN_COLUMNS, *payloads), tuple(found)),
    )


def _ordering(
    given: tuple[str, ...], wanted: tuple[str, ...]
) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Return what puts what a row holds into the order of an event's fields."""
    places = [given.index(name) for name in wanted]
    if len(places) > 1:
        return itemgetter(*places)
    return lambda found: tuple(found[place] for place in places)


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


_NO_VALUE: Final = Stored(None, None)
_NO_VALUES: Final = (_NO_VALUE, _NO_VALUE)
_encode: Final = msgspec.json.Encoder().encode
_fingerprinted: Final = msgspec.msgpack.Encoder().encode
_SHAPES: Final = {kind: _shape_of(kind) for kind in KINDS.values()}
_SHAPES_BY_NAME: Final = {kind.__name__: shape for kind, shape in _SHAPES.items()}
