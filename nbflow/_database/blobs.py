"""Large values as files beside the database, each named by its content.

A file has its name only when it is whole and on the disk, so a row that refers to it
can be committed next. Equal content is one file. A file without a row does no harm:
it stays until a sweep. Neither rows nor the database file are known here.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import shutil
import threading
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakValueDictionary

import zstandard

from nbflow._database.files import sync_folder, unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from nbflow.serde import Content

__all__ = ["Blob", "BlobLostError", "Blobs", "blob_folder"]

_Key = TypeVar("_Key")

_REFERENCE: Final = Struct(">32sQ")
_SUFFIX: Final = ".zst"
_WRITING: Final = ".part"
# Measured with 112 MB: level 1 takes 90 to 290 ms and is within 4 % of level 3, which
# takes up to twice as long. What can't be compressed is stored as it is by zstd itself.
_LEVEL: Final = 1
_PIECE_BYTES: Final = 4 << 20
# One sync of a gigabyte stalls the commits of others for seconds.
_SYNC_EVERY_BYTES: Final = 16 << 20


class BlobLostError(Exception):
    """A file is not there, or not what was written; never seen outside of the store."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Blob:
    """What refers to a large value.

    Attributes
    ----------
    digest : bytes
        SHA-256 of the value.
    size_bytes : int
        Its size, uncompressed.
    """

    digest: bytes
    size_bytes: int

    @property
    def reference(self) -> bytes:
        """What a row holds of it, 40 bytes."""
        return _REFERENCE.pack(self.digest, self.size_bytes)

    @classmethod
    def of(cls, reference: bytes) -> Blob:
        """Return what a row refers to.

        Raises
        ------
        ValueError
            It is no reference.
        """
        if len(reference) != _REFERENCE.size:
            raise ValueError("it does not name a file")
        return cls(*_REFERENCE.unpack(reference))

    @property
    def name(self) -> str:
        """Name of its file."""
        return self.digest.hex() + _SUFFIX


def blob_folder(path: str) -> Path:
    """Return the folder of a database file's large values."""
    return Path(f"{path}.blobs")


class Blobs:
    """The folder of a store's large values; for any number of threads.

    Parameters
    ----------
    path : str
        The database file; the folder's name is this and ``.blobs``. It is made
        when it is first needed.
    """

    def __init__(self, path: str) -> None:
        self.folder: Path = blob_folder(path)
        self._path = path
        self._lock = threading.Lock()
        self._numbers = count()
        self._writing: set[str] = set()
        # What is held here is referred to by a row that may not be written yet.
        self._held: WeakValueDictionary[bytes, Blob] = WeakValueDictionary()

    def write(self, content: Content) -> Blob:
        """Store a value, and return when it would survive a power cut.

        Nothing is swept while the returned object lives: keep it until its row is
        written.

        Parameters
        ----------
        content : callable
            Hands the value to a sink, piece by piece.

        Raises
        ------
        StoreUnavailableError
            There is no room, or the folder can't be written.
        """
        name = f"{os.getpid()}-{next(self._numbers)}{_WRITING}"
        part = self.folder / name
        self._writing.add(name)
        try:
            self._prepare()
            digest, size = _write_part(part, content)
            with self._lock:
                blob = self._held.setdefault(digest, Blob(digest, size))
            self._name(part, blob)
        except OSError as error:
            raise unusable(str(self.folder), error) from error
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            self._writing.discard(name)
        return blob

    def hold(self, blob: Blob) -> Blob:
        """Keep a stored value from being swept while the returned object lives.

        Raises
        ------
        BlobLostError
            It is not there any more.
        """
        with self._lock:
            held = self._held.setdefault(blob.digest, blob)
            if not (self.folder / blob.name).exists():
                raise BlobLostError(self._lost(blob, "is missing"))
        return held

    def read(self, blob: Blob) -> bytes:
        """Return a value.

        Raises
        ------
        BlobLostError
            Its file is missing, can't be read or is not what was written.
        """
        # A held file of bytes gives away its bytes without a copy.
        held, digest = BytesIO(), hashlib.sha256()
        try:
            with (
                (self.folder / blob.name).open("rb") as file,
                zstandard.ZstdDecompressor().stream_reader(file) as pieces,
            ):
                while piece := pieces.read(_PIECE_BYTES):
                    digest.update(piece)
                    if held.tell() + len(piece) > blob.size_bytes:
                        break
                    held.write(piece)
        except FileNotFoundError as error:
            raise BlobLostError(self._lost(blob, "is missing")) from error
        except (OSError, zstandard.ZstdError) as error:
            raise BlobLostError(self._lost(blob, f"can't be read ({error})")) from error
        if held.tell() != blob.size_bytes or digest.digest() != blob.digest:
            raise BlobLostError(self._lost(blob, "is not what was written"))
        return held.getvalue()

    def sizes(self) -> dict[bytes, int]:
        """Return how many bytes each stored value takes on the disk, by digest."""
        return _sizes(self._files())

    def unfinished(self) -> dict[Path, int]:
        """Return the bytes of files that a process left which was killed meanwhile."""
        parts = ((part, part) for part in self._parts())
        return _sizes(found for found in parts if found[0].name not in self._writing)

    def sweep(self, live: Callable[[], Collection[bytes]]) -> int:
        """Delete every value that nothing refers to, and return the bytes freed.

        Parameters
        ----------
        live : callable
            Returns the digests that rows refer to; it must read what is committed
            when it is called.
        """
        # In this order: what is committed meanwhile was held, or is read as live.
        found = dict(self._files())
        parts = self.unfinished()
        with self._lock:
            held = set(self._held)
        kept = held.union(live())
        freed = 0
        for digest, file in found.items():
            with self._lock:
                if digest not in kept and digest not in self._held:
                    freed += _unlink(file)
        return freed + sum(map(_unlink, parts))

    def copy(self, path: str, digests: Collection[bytes]) -> None:
        """Give another database file the stored values that its rows refer to.

        Parameters
        ----------
        path : str
            The other database file.
        digests : collection of bytes
            Which values; those that are lost here are left out.
        """
        other = Blobs(path)
        for digest in digests:
            name = Blob(digest, 0).name
            target = other.folder / name
            other._prepare()
            if not target.exists():
                with suppress(FileNotFoundError):
                    part = other.folder / f"{name}{_WRITING}"
                    shutil.copyfile(self.folder / name, part)
                    _sync(part)
                    part.replace(target)
        if digests:
            sync_folder(str(other.folder / "*"))

    def _prepare(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(exist_ok=True)
            sync_folder(self._path)

    def _name(self, part: Path, blob: Blob) -> None:
        file = self.folder / blob.name
        # One that is there may be damaged: then this is how it becomes whole again.
        with suppress(OSError):
            if filecmp.cmp(file, part, shallow=False):
                sync_folder(str(file))  # Another thread may have named it just now.
                return
        _sync(part)
        part.replace(file)
        sync_folder(str(file))

    def _files(self) -> Iterator[tuple[bytes, Path]]:
        for file in self.folder.glob(f"*{_SUFFIX}"):
            with suppress(ValueError):
                yield bytes.fromhex(file.name.removesuffix(_SUFFIX)), file

    def _parts(self) -> Iterator[Path]:
        return self.folder.glob(f"*{_WRITING}")

    def _lost(self, blob: Blob, how: str) -> str:
        return f"its file {str(self.folder / blob.name)!r} {how}"


def _write_part(part: Path, content: Content) -> tuple[bytes, int]:
    digest, size, unsynced = hashlib.sha256(), 0, 0
    with part.open("wb") as file:
        compressed = zstandard.ZstdCompressor(level=_LEVEL).stream_writer(
            file, closefd=False
        )

        def take(data: bytes | memoryview) -> None:
            nonlocal size, unsynced
            view = memoryview(data)
            for start in range(0, len(view), _PIECE_BYTES):
                piece = view[start : start + _PIECE_BYTES]
                digest.update(piece)
                unsynced += compressed.write(piece)
                if unsynced >= _SYNC_EVERY_BYTES:
                    file.flush()
                    os.fsync(file.fileno())
                    unsynced = 0
            size += len(view)

        with compressed:
            content(take)
    return digest.digest(), size


def _sizes(files: Iterable[tuple[_Key, Path]]) -> dict[_Key, int]:
    found: dict[_Key, int] = {}
    for key, file in files:
        with suppress(FileNotFoundError):  # It was named or swept meanwhile.
            found[key] = file.stat().st_size
    return found


def _sync(part: Path) -> None:
    with part.open("rb+") as file:
        os.fsync(file.fileno())


def _unlink(file: Path) -> int:
    with suppress(OSError):  # What can't be deleted is left for the next sweep.
        size = file.stat().st_size
        file.unlink()
        return size
    return 0
