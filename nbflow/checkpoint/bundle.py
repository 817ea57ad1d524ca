"""A thread as one file that can be given to others, and such a file read in.

A bundle is a zip: `manifest.json`, `rows.parquet` with the events, and `values.zst`
with their values, one after the other; a row says where its own stand. Nothing in one
is run or imported, and all that it holds is counted before it is read.
"""

from __future__ import annotations

import hashlib
import struct
import tempfile
import time
import zipfile
import zlib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Self

import msgspec

from nbflow._database.files import swap_in
from nbflow._database.parquet import BundleRow, read_parquet, write_parquet
from nbflow._database.rows import COLUMNS, pack, unpack
from nbflow._database.spool import Spool
from nbflow._database.value_stream import (
    REPEATED_ABOVE_BYTES,
    Stretch,
    ValueReader,
    ValueWriter,
)
from nbflow._events import (
    KINDS,
    PAYLOADS,
    Record,
    RunStarted,
    StateUpdated,
    TaskCalled,
    TaskFinished,
)
from nbflow._values import Payload
from nbflow.errors import (
    InvalidBundleError,
    StoreError,
    StoreUnavailableError,
    ThreadNotFoundError,
    UnreadableValueError,
    UsageError,
)
from nbflow.serde.foreign import from_stranger, without_pickles, without_secrets
from nbflow.serde.preview import ELLIPSIS
from nbflow.serde.redact import is_secret_name, plain_names

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterator, Sequence

    from nbflow._events import Event
    from nbflow.checkpoint.base import BaseCheckpointSaver

__all__ = ["LARGEST_BYTES", "Manifest", "export_bundle", "import_bundle"]

FORMAT: Final = "nbflow-bundle"
VERSION: Final = 2
LARGEST_BYTES: Final = 4 << 30
"""How much a bundle may hold, uncompressed, unless it is told otherwise."""

_MANIFEST_BYTES: Final = 16 << 20
_PIECE_BYTES: Final = 1 << 20
_MANIFEST: Final = "manifest.json"
_ROWS: Final = "rows.parquet"
_VALUES: Final = "values.zst"
_ENTRIES: Final = frozenset({_MANIFEST, _ROWS, _VALUES})
_PACKED: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
# What comes of reading a zip of anybody's: its flags, sizes and names are bytes too.
_MALFORMED: Final = (
    *(EOFError, OSError, RuntimeError, ValueError, struct.error, zipfile.LargeZipFile),
    *(UnreadableValueError, zlib.error),
)
# What belongs to no thread, or hides one, has no place in a bundle.
_NOT_OF_RUNS: Final = frozenset(
    {
        *("CacheCleared", "CacheSet", "Compacted", "ItemDeleted", "ItemPut"),
        *("ItemTouched", "ThreadDeleted"),
    }
)


# What a user's names stand in, of all that an event says in plain text.
_OF_USERS: Final = ("metadata", "response_schema")


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a bundle says of itself.

    Attributes
    ----------
    format, version
        That it is one, and of which version.
    nbflow : str
        The version of nbflow that made it.
    thread_id, workflow : str
        The thread, and its newest run's entrypoint.
    rows : int
        How many events it holds.
    exported_at : int
        Microseconds since 1970-01-01 UTC.
    redacted : list of str
        Names whose values were taken out.
    files : dict
        For each other file its SHA-256 in hex and its bytes, as it stands in the zip.
    """

    format: str
    version: int
    nbflow: str
    thread_id: str
    workflow: str
    rows: int
    exported_at: int
    redacted: list[str]
    files: dict[str, tuple[str, int]]


# Out.


def export_bundle(
    saver: BaseCheckpointSaver,
    thread_id: str,
    path: str | os.PathLike[str],
    *,
    redacted: str | Collection[str] = (),
) -> Path:
    """Write everything of a thread into one new file.

    Parameters
    ----------
    saver : BaseCheckpointSaver
        Where it is kept.
    thread_id : str
        The thread.
    path : str or path
        The file; ``~`` is the home folder.
    redacted : str or collection of str
        Names whose values are left out, wherever they stand as a key, as the name of
        an attribute or as a label of a frame, which is left out whole. Then the short
        texts of arguments are left out too; other texts are kept as they are: code,
        and what errors say. A call whose result is not whole runs again; a run whose
        input or answer is not can be looked at, and begun anew, but not continued.

    Returns
    -------
    Path
        The file, absolute. It is there whole or not at all.

    Raises
    ------
    ThreadNotFoundError
        Nothing is stored for the thread.
    UsageError
        Something has the file's name.
    StoreError
        The thread can't be read, or the file not be written.
    """
    head = saver.head(thread_id)
    if head is None:
        raise ThreadNotFoundError(thread_id)
    names = plain_names(redacted)
    target = Path(path).expanduser().resolve()
    if target.exists():
        raise UsageError(
            f"There is a {str(target)!r} already.\nDelete it, or name another file."
        )
    part = target.with_name(f"{target.name}.part")
    try:
        with zipfile.ZipFile(part, "w") as out:
            exporting = _Exporting(out, names)
            exporting.write(saver.read(thread_id), thread_id, head.workflow)
        swap_in(str(part), str(target))
    except StoreError:
        raise  # Some of ours are OSErrors too.
    except OSError as error:
        raise StoreUnavailableError(
            f"The bundle {str(target)!r} can't be written: {error.strerror}.\n"
            "Name a file in a folder that is there and has room."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return target


class _Exporting:
    """One bundle on its way out."""

    def __init__(self, out: zipfile.ZipFile, names: frozenset[str]) -> None:
        self.out = out
        self.names = names

    def write(self, records: Sequence[Record], thread_id: str, workflow: str) -> None:
        """Write the values, and while they come up the rows; then the manifest."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / _ROWS
            with _File(self.out, _VALUES) as file:
                values = ValueWriter(file.write)
                rows = (self.row(n, one, values) for n, one in enumerate(records, 1))
                count = write_parquet(path, rows)
                values.close()
            files = {_VALUES: file.said, _ROWS: self.copied(_ROWS, path)}
        manifest = Manifest(
            FORMAT,
            VERSION,
            _own_version(),
            thread_id,
            workflow,
            count,
            time.time_ns() // 1000,
            sorted(self.names),
            files,
        )
        self.out.writestr(_MANIFEST, msgspec.json.encode(manifest))

    def row(self, position: int, record: Record, values: ValueWriter) -> BundleRow:
        """Return the row of a record; its values are written here."""
        if self.names:
            record = _without_secrets(record, self.names)
        event = record.event
        kind = type(event).__name__
        payloads = (getattr(event, name) for name in PAYLOADS[kind])
        held = [_written(payload, values) for payload in payloads]
        held += [(None, None)] * (2 - len(held))
        return BundleRow(
            position,
            record.at,
            record.run_id,
            kind,
            getattr(event, "call_id", None),
            getattr(event, "name", None),
            pack(_changed(record, dict.fromkeys(PAYLOADS[kind]))).detail,
            *held[0],
            *held[1],
        )

    def copied(self, name: str, path: Path) -> tuple[str, int]:
        """Add a file, and return what the manifest says of it."""
        with path.open("rb") as read, _File(self.out, name) as write:
            while piece := read.read(_PIECE_BYTES):
                write.write(piece)
        return write.said


class _File:
    """A file of a bundle while it is written; counted and hashed on its way."""

    def __init__(self, out: zipfile.ZipFile, name: str) -> None:
        self._file = out.open(name, "w", force_zip64=True)
        self._digest = hashlib.sha256()
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def said(self) -> tuple[str, int]:
        """What the manifest says of it."""
        return self._digest.hexdigest(), self._size

    def write(self, piece: bytes) -> None:
        """Add to it."""
        self._file.write(piece)
        self._digest.update(piece)
        self._size += len(piece)


def _written(
    payload: Payload | None, values: ValueWriter
) -> Stretch | tuple[None, None]:
    data = None if payload is None else payload.data
    return (None, None) if data is None else values.add(data)


def _own_version() -> str:
    try:
        return version("nbflow")
    except PackageNotFoundError:
        return ""


def _without_secrets(record: Record, names: frozenset[str]) -> Record:
    event = record.event
    changed: dict[str, Any] = {}
    for name in PAYLOADS[type(event).__name__]:
        payload = getattr(event, name)
        data = None if payload is None else payload.data
        if data is not None:
            shared = without_secrets(data, names)
            changed[name] = Payload(shared)
            if isinstance(event, TaskFinished) and shared is not data:
                changed["redacted"] = True  # So it runs again where it is continued.
    for name in _OF_USERS:
        if held := getattr(event, name, None):
            changed[name] = _hidden(held, names)
    if isinstance(event, TaskCalled) and event.args:
        # A text, in which no name tells where a value ends.
        changed["args"] = ELLIPSIS
    return _changed(record, changed)


def _changed(record: Record, fields: dict[str, Any]) -> Record:
    event = msgspec.structs.replace(record.event, **fields)
    return msgspec.structs.replace(record, event=event)


def _hidden(value: Any, names: frozenset[str]) -> Any:
    match value:
        case dict():
            return {
                key: _hidden_item(item)
                if is_secret_name(key, names)
                else _hidden(item, names)
                for key, item in value.items()
            }
        case list():
            return [_hidden(item, names) for item in value]
        case _:
            return value


def _hidden_item(item: Any) -> Any:
    # Within a schema, nothing is what asks for nothing.
    return {} if isinstance(item, dict) else ""


# In.


def import_bundle(
    saver: BaseCheckpointSaver,
    path: str | os.PathLike[str],
    *,
    thread_id: str | None = None,
    trusted: bool = False,
    limit_bytes: int = LARGEST_BYTES,
) -> str:
    """Read a bundle into a store, all of it or nothing.

    Parameters
    ----------
    saver : BaseCheckpointSaver
        Where it is to be kept.
    path : str or path
        The file.
    thread_id : str, optional
        The thread's name here; by default the one it had.
    trusted : bool, default False
        Whether classes of its author are rebuilt as those of this store are. Else
        only Python's, nbflow's and those of libraries with codecs are: others are
        shown as `Opaque`, and a body that would receive one is told so. Pickles stay
        behind in any case.
    limit_bytes : int, default 4 GiB
        How much it may hold, uncompressed.

    Returns
    -------
    str
        The thread.

    Raises
    ------
    InvalidBundleError
        It is no bundle, one of a newer version, not as it was exported, or larger.
    UsageError
        There is no such file, or there is such a thread already.
    StoreError
        It could not be written.
    """
    source = Path(path).expanduser()
    try:
        opened = source.open("rb")
    except OSError as error:
        raise UsageError(
            f"The bundle {str(source)!r} can't be opened: {error.strerror}.\n"
            "Name a file that nbflow.export_thread made."
        ) from error
    with opened, tempfile.TemporaryDirectory() as folder:
        name, records = _read_bundle(
            saver, opened, Path(folder), thread_id, limit_bytes, trusted=trusted
        )
    saver.commit(records)
    return name


def _read_bundle(
    saver: BaseCheckpointSaver,
    opened: IO[bytes],
    folder: Path,
    thread_id: str | None,
    limit_bytes: int,
    *,
    trusted: bool,
) -> tuple[str, list[Record]]:
    try:
        with zipfile.ZipFile(opened) as archive:
            importing = _Importing(archive, folder, limit_bytes, trusted=trusted)
            name = importing.manifest.thread_id if thread_id is None else thread_id
            _refuse_name(saver, name)
            return name, list(importing.records(name))
    except zipfile.BadZipFile as error:
        raise InvalidBundleError(f"it is no zip file ({error})") from error
    except (InvalidBundleError, StoreError, UsageError):
        raise  # Some of ours are among those below.
    except _MALFORMED as error:
        raise InvalidBundleError(f"it can't be read ({error})") from error


def _refuse_name(saver: BaseCheckpointSaver, name: object) -> None:
    if not isinstance(name, str) or not name:
        raise UsageError(
            f"{name!r} is no thread's name.\nGive it one: "
            "nbflow.import_thread(path, thread_id=...)."
        )
    if saver.head(name) is not None:
        raise UsageError(
            f"There is a thread {name!r} already.\nGive it another name: "
            "nbflow.import_thread(path, thread_id=...)."
        )


class _Importing:
    """One bundle on its way in; everything about it is doubted."""

    def __init__(
        self, archive: zipfile.ZipFile, folder: Path, limit_bytes: int, *, trusted: bool
    ) -> None:
        self.archive = archive
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.trusted = trusted
        self.spool = Spool()
        self.repeated: dict[Stretch, Payload] = {}
        self._refuse_strange_entries()
        self.manifest = self._read_manifest()

    def _refuse_strange_entries(self) -> None:
        entries = self.archive.infolist()
        names = [entry.filename for entry in entries]
        if strange := sorted(set(names) - _ENTRIES):
            shown = ", ".join(map(repr, strange[:5]))
            raise InvalidBundleError(f"it holds files that do not belong: {shown}")
        if len(set(names)) != len(names):
            raise InvalidBundleError("it holds two files of one name")
        # Others unpack as much at a time as their author likes.
        if not _PACKED.issuperset(entry.compress_type for entry in entries):
            raise InvalidBundleError("its files are packed in another way than ours")
        size = sum(entry.file_size for entry in entries)
        if size > self.limit_bytes:
            raise InvalidBundleError.too_large("it holds", size, self.limit_bytes)

    def _read_manifest(self) -> Manifest:
        try:
            entry = self.archive.getinfo(_MANIFEST)
        except KeyError as error:
            raise InvalidBundleError("it has no manifest") from error
        if entry.file_size > _MANIFEST_BYTES:
            raise InvalidBundleError(f"its manifest takes {entry.file_size:,} bytes")
        data = self.archive.read(entry)
        try:
            said = msgspec.json.decode(data, type=dict[str, Any])
            if said.get("format") != FORMAT:
                raise InvalidBundleError("it is a zip file, but no bundle of nbflow")
            if said.get("version") != VERSION:
                raise InvalidBundleError(
                    f"it is of version {said.get('version')}, and this nbflow reads "
                    f"{VERSION}: update nbflow, or have it exported by one like this"
                )
            manifest = msgspec.json.decode(data, type=Manifest)
        except msgspec.MsgspecError as error:
            raise InvalidBundleError(f"its manifest is wrong: {error}") from error
        listed = {*manifest.files, _MANIFEST}
        if listed != _ENTRIES or listed != set(self.archive.namelist()):
            raise InvalidBundleError("its files are not those of its manifest")
        return manifest

    def records(self, thread_id: str) -> Iterator[Record]:
        """Yield its events under a thread's name."""
        rows = self.folder / _ROWS
        with rows.open("wb") as file:
            for piece in self._pieces(_ROWS):
                file.write(piece)
        for _ in self._pieces(_VALUES):
            pass  # Only to know that they are whole.
        begun: set[str] = set()
        limit = self.limit_bytes
        with self.archive.open(_VALUES) as file:
            values = ValueReader(file, limit)
            for row in read_parquet(rows, rows=self.manifest.rows, limit_bytes=limit):
                record = self._record(thread_id, row, values)
                if row.run_id not in begun:
                    _refuse_unless_begin(record.event, row)
                    begun.add(row.run_id)
                yield record
            values.finish()

    def _record(self, thread_id: str, row: BundleRow, values: ValueReader) -> Record:
        if row.kind not in KINDS or row.kind in _NOT_OF_RUNS or not row.run_id:
            raise InvalidBundleError(f"row {row.position} is a {row.kind!r}")
        stretches = _stretch(row, "value"), _stretch(row, "extra")
        filled: dict[str, Any] = {
            "thread_id": thread_id,
            "happened_at": row.happened_at,
            "seq": row.position,
        }
        for name in ("run_id", "kind", "call_id", "name", "detail"):
            filled[name] = getattr(row, name)
        for name, stretch in zip(("value", "extra"), stretches, strict=True):
            filled[f"{name}_codec"] = None if stretch is None else 0
        cells = [filled.get(name) for name in COLUMNS]
        try:
            record = unpack(cells, str(self.archive.filename), with_payloads=False)
            pack(record)
            _refuse_missing_values(record.event)
        except (StoreError, TypeError, ValueError) as error:
            why = str(error).partition("\n")[0]
            raise InvalidBundleError(f"row {row.position} is wrong: {why}") from error
        held = {
            name: self._value(stretch, values)
            for name, stretch in zip(PAYLOADS[row.kind], stretches, strict=False)
            if stretch is not None
        }
        return msgspec.structs.replace(_changed(record, held), seq=0)

    def _value(self, stretch: Stretch, values: ValueReader) -> Payload:
        payload = self.repeated.get(stretch)
        if payload is None:
            payload = self.spool.put(self._harmless(values.read(stretch)))
            if stretch.size_bytes > REPEATED_ABOVE_BYTES:
                self.repeated[stretch] = payload
        return payload

    def _harmless(self, data: bytes) -> bytes:
        # A file is not this process's, however trusted: none of its pickles is read.
        return without_pickles(data) if self.trusted else from_stranger(data)

    def _pieces(self, name: str) -> Iterator[bytes]:
        wanted, size = self.manifest.files[name]
        digest, count = hashlib.sha256(), 0
        with self.archive.open(name) as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
                count += len(piece)
                if count > size:
                    break
                yield piece
        if (digest.hexdigest(), count) != (wanted, size):
            raise InvalidBundleError(f"{name} is not as it was exported")


def _stretch(row: BundleRow, column: str) -> Stretch | None:
    begin, size = getattr(row, f"{column}_begin"), getattr(row, f"{column}_bytes")
    if begin is None and size is None:
        return None
    if begin is None or size is None:
        raise InvalidBundleError(f"row {row.position} says half of where a value is")
    return Stretch(begin, size)


def _refuse_missing_values(event: Event) -> None:
    for name in PAYLOADS[type(event).__name__]:
        is_needed = type(event).__annotations__[name] == "Payload"
        if is_needed and getattr(event, name) is None:
            raise ValueError(f"it lacks its {name}")


def _refuse_unless_begin(event: Event, row: BundleRow) -> None:
    if not isinstance(event, (RunStarted, StateUpdated)):
        raise InvalidBundleError(f"row {row.position} belongs to no run")
