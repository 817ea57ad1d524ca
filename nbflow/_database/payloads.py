"""How values stand in rows: as they are, compressed, as a file, or as a difference.

A row holds for each value a number, which says how, and bytes. What is large is read
when somebody asks for it, so that one value that is lost takes no other with it.
No SQL here.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec
import zstandard

from nbflow._database.blobs import Blob, BlobLostError, Blobs
from nbflow._database.deltas import LARGEST_BYTES, apply, unpacked
from nbflow._database.history import Earlier, History, Link, Series
from nbflow._values import Payload, SpooledPayload, StoredPayload
from nbflow.errors import StoreDamagedError, UnstorableValueError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from nbflow._database.history import Delta
    from nbflow.serde import Content

__all__ = [
    "BLOB",
    "DELTA",
    "RAW",
    "ZSTD",
    "Held",
    "Past",
    "Payloads",
    "Place",
    "Stored",
    "decompressed",
    "in_row",
    "refuse_too_large",
]

RAW: Final = 0
ZSTD: Final = 1
BLOB: Final = 2
DELTA: Final = 3

COMPRESSED_FROM_BYTES: Final = 4096
BLOB_ABOVE_BYTES: Final = 256 << 10
LARGEST_PAYLOAD_BYTES: Final = 2**31 - 1

# Values that a thread repeats from run to run: a chat's whole history, say.
_REPEATED: Final = frozenset(
    {"RunStarted", "RunFinished", "StateUpdated", "StepReached", "NestedSaved"}
)

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_delta: Final = msgspec.msgpack.Decoder(tuple[int, list[int], bytes]).decode


class Stored(NamedTuple):
    """A value on its way into a row.

    Attributes
    ----------
    codec : int or None
        How it stands there; None where there is no value.
    data : bytes or None
        What stands there; of a delta, only once its place is known.
    link : Link or None
        To be told its place.
    delta : Delta or None
        What it is stored as.
    whole : Payload or None
        The value itself, if the delta turns out to build on what is not there.
    blob : Blob or None
        Keeps its file from being swept.
    """

    codec: int | None
    data: bytes | None
    link: Link | None = None
    delta: Delta | None = None
    whole: Payload | None = None
    blob: Blob | None = None

    @property
    def size_bytes(self) -> int:
        """About how many bytes it adds to a row."""
        data = self.data if self.delta is None else self.delta.body
        return 0 if data is None else len(data)


class Place(NamedTuple):
    """Which value of which row."""

    seq: int
    thread_id: str
    kind: str
    call_id: str | None
    column: int

    @property
    def series(self) -> Series:
        """The values that it is numbered with."""
        return Series(self.thread_id, self.kind, self.column)


class Held(NamedTuple):
    """What a row that was read holds of one value."""

    seq: int
    codec: int | None
    data: bytes | None


class Past(Protocol):
    """What is asked of the log about values written before."""

    @property
    def path(self) -> str:
        """The database file, for errors."""

    def values(self, seqs: Collection[int], column: int) -> dict[int, Held]:
        """Return what rows hold in a column, by `seq`; those not there are left out.

        Raises
        ------
        StoreDamagedError
            A row is not what was written.
        """

    def newest(self, series: Series) -> Held | None:
        """Return the newest value of a series; as `values`."""

    def task_of(self, place: Place) -> str:
        """Return the name of the task or workflow whose value it is, or ``""``."""


class BlobPayload(StoredPayload, frozen=True, eq=False, kw_only=True):
    """A value in a file of its own."""

    blobs: Blobs
    blob: Blob


class Payloads:
    """The values of a store; for any number of threads.

    Parameters
    ----------
    path : str
        The database file.
    past : Past
        What was written before.

    Attributes
    ----------
    blobs : Blobs
        The files of large values.
    """

    def __init__(self, path: str, past: Past, *, blobs: Blobs | None = None) -> None:
        self.blobs: Blobs = Blobs(path) if blobs is None else blobs
        self._past = past
        self._history = History(self._newest)

    def anew(self) -> Payloads:
        """Return the same for rows that are written into a new file.

        Values there build on nothing that stands in the old one.
        """
        fresh = Payloads(self._past.path, self._past, blobs=self.blobs)
        fresh._history = History(lambda _: ())
        return fresh

    def forget(self) -> None:
        """Build on nothing that was written before: the file may lack rows now."""
        self._history.forget()

    # Writing.

    def keep(self, content: Content, live: Any) -> Payload:
        """Store a large value before the row that holds it."""
        blob = self.blobs.write(content)
        load = partial(self._read_blob, None, blob)
        return BlobPayload(live=live, load=load, blobs=self.blobs, blob=blob)

    def stored(self, payload: Payload, name: str, series: Series) -> Stored:
        """Return a value as its row holds it.

        Parameters
        ----------
        payload : Payload
            The value.
        name : str
            What it is called in an error.
        series : Series
            Whose values it is numbered with.

        Raises
        ------
        UnstorableValueError
            It is too large.
        StoreUnavailableError
            There is no room for its file.
        StoreDamagedError
            It stands in this store already, and its file is lost.
        """
        if type(payload) is BlobPayload and payload.blobs is self.blobs:
            try:
                blob = self.blobs.hold(payload.blob)
            except BlobLostError as error:
                raise self._lost(None, str(error)) from error
            return Stored(BLOB, blob.reference, blob=blob)
        data = payload.data
        if data is None or len(data) < COMPRESSED_FROM_BYTES:
            return Stored(RAW, data)
        refuse_too_large(data, name)
        if series.kind in _REPEATED and len(data) <= LARGEST_BYTES:
            link, delta = self._history.add(series, data)
            if delta is not None:
                return Stored(DELTA, None, link, delta, _at_hand(payload, data))
            return self._whole(data)._replace(link=link)
        return self._whole(data)

    def _whole(self, data: bytes) -> Stored:
        if len(data) <= BLOB_ABOVE_BYTES:
            return in_row(data)
        blob = self.blobs.write(lambda sink: sink(data))
        return Stored(BLOB, blob.reference, blob=blob)

    def sealed(self, stored: Stored, seq: int) -> tuple[int | None, bytes | None]:
        """Return what a row holds of a value, once its place is known."""
        delta, whole = stored.delta, stored.whole
        if stored.link is not None:
            stored.link.seq = seq
        if delta is None or whole is None:
            return stored.codec, stored.data
        if not self._history.is_current(delta):
            return in_row(whole.data or b"")[:2]
        chain = [link.seq for link in delta.chain]
        return DELTA, _encode((delta.number, chain, delta.body))

    # Reading.

    def payload(self, place: Place, codec: int, data: bytes) -> StoredPayload:
        """Return a value that is read when it is asked for.

        Raises
        ------
        ValueError
            The bytes are not what `codec` says.
        """
        if codec == BLOB:
            blob = Blob.of(data)
            load = partial(self._read_blob, place, blob)
            return BlobPayload(load=load, blobs=self.blobs, blob=blob)
        _, chain, body = _opened(data)
        return StoredPayload(load=partial(self._read_delta, place, chain, body))

    def _read_blob(self, place: Place | None, blob: Blob) -> bytes:
        try:
            return self.blobs.read(blob)
        except BlobLostError as error:
            raise self._lost(place, str(error)) from error

    def _read_delta(self, place: Place, chain: Sequence[int], body: bytes) -> bytes:
        series, history = place.series, self._history
        epoch = history.epoch
        known = history.recall(series, place.seq)
        if known is not None:
            return known
        base, wanted = b"", list[int]()
        for seq in reversed(chain):
            known = history.recall(series, seq)
            if known is not None:
                base = known
                break
            wanted.insert(0, seq)
        try:
            for held in self._held(wanted, place.column):
                base = self._value(held, base)
                history.remember(series, held.seq, base, epoch)
            data = apply(base, body)
        except (StoreDamagedError, BlobLostError, ValueError) as error:
            why = f"it builds on an earlier value ({str(error).partition(chr(10))[0]})"
            raise self._lost(place, why) from error
        history.remember(series, place.seq, data, epoch)
        return data

    def _held(self, seqs: Collection[int], column: int) -> list[Held]:
        rows = self._past.values(seqs, column) if seqs else {}
        missing = [seq for seq in seqs if seq not in rows]
        if missing:
            raise ValueError(f"row {missing[0]} is not there")
        return [rows[seq] for seq in seqs]

    def _value(self, held: Held, base: bytes) -> bytes:
        """Return the value of a row that was read; `base` is what it builds on."""
        data = held.data or b""
        if held.codec == RAW:
            return data
        if held.codec == ZSTD:
            return decompressed(data)
        if held.codec == BLOB:
            return self.blobs.read(Blob.of(data))
        if held.codec == DELTA:
            return apply(base, _opened(data)[2])
        raise ValueError(f"row {held.seq} has the form {held.codec}")

    def _newest(self, series: Series) -> list[Earlier]:
        """Return what the next value of a series may build on."""
        values: list[Earlier] = []
        base = b""
        # What can't be read is no reason not to write: the next value is whole then.
        with suppress(StoreDamagedError, BlobLostError, ValueError):
            newest = self._past.newest(series)
            if newest is None or newest.codec == RAW:
                return []
            _, chain, _ = _delta_of(newest)
            for held in (*self._held(chain, series.column), newest):
                base = self._value(held, base)
                number, _, _ = _delta_of(held)
                values.append(Earlier(number, Link(held.seq), base))
            return values
        return []

    def _lost(self, place: Place | None, why: str) -> StoreDamagedError:
        whose = row = ""
        if place is not None:
            task = self._past.task_of(place)
            whose = f" of {task!r}" if task else ""
            row = f" (row {place.seq}, {place.kind})"
        return StoreDamagedError(
            f"A value{whose} in the store {self._past.path!r}{row} can't be read: {why}"
            ".\nPut back what is missing, or run it again; every other value can still "
            "be read."
        )


def _at_hand(payload: Payload, data: bytes) -> Payload:
    """Return a value that can be had again without asking a store."""
    return payload if isinstance(payload, SpooledPayload) else Payload(data)


def in_row(data: bytes) -> Stored:
    """Return a value as a row holds it that holds all of it."""
    if len(data) >= COMPRESSED_FROM_BYTES:
        smaller = zstandard.compress(data, 3)
        if len(smaller) < len(data):
            return Stored(ZSTD, smaller)
    return Stored(RAW, data)


def decompressed(data: bytes) -> bytes:
    """Return what was compressed.

    Raises
    ------
    ValueError
        It was not.
    """
    return unpacked(data, LARGEST_PAYLOAD_BYTES)


def refuse_too_large(data: bytes, name: str) -> None:
    """Raise UnstorableValueError if a value is larger than a row or file may be."""
    if len(data) > LARGEST_PAYLOAD_BYTES:
        why = f"it takes {len(data):,} bytes, and 2 GiB is the most"
        raise UnstorableValueError(name, "value", why=why)


def _delta_of(held: Held) -> tuple[int, list[int], bytes]:
    """Return number, chain and difference of a row; a whole value begins a chain."""
    return _opened(held.data or b"") if held.codec == DELTA else (0, [], b"")


def _opened(data: bytes) -> tuple[int, list[int], bytes]:
    try:
        return _decode_delta(data)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
