"""What there is to say about a store's file and folder, and what to do about it.

A store that nobody has open is opened for it, as a workflow would: a file that a kill
left half written is mended then, if that costs nothing. One of an older schema, which
opening would change, is only told.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from nbflow._database.blobs import blob_folder
from nbflow._database.checking import check
from nbflow._database.connection import Connection
from nbflow._database.database import open_database
from nbflow._database.files import (
    is_open_here,
    logs_beside,
    refuse_other_formats,
    set_aside,
)
from nbflow._database.integrity import mark_path, read_mark
from nbflow._database.pruning import thread_sizes
from nbflow._database.reads import read_blobs
from nbflow._database.schema import MIGRATIONS, version_of
from nbflow.errors import StoreDamagedError, StoreError, StoreHeldError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow._database.database import Database

__all__ = ["Level", "Remark", "diagnose"]

Level: TypeAlias = Literal["good", "note", "bad"]


class Remark(NamedTuple):
    """One thing that was looked at.

    Attributes
    ----------
    level : str
        ``"good"``, ``"note"`` for what is worth knowing, ``"bad"`` for what needs
        something done.
    about : str
        What was looked at.
    says : str
        What was found.
    advice : str
        What to do; empty where nothing is to be done.
    """

    level: Level
    about: str
    says: str
    advice: str = ""


_SHOWN: Final = 5
_ROOM_BYTES: Final = 256 << 20
# Where a lock of one machine may mean nothing on another, and a sync little.
_NETWORKS: Final = frozenset(
    {
        *("9p", "afs", "ceph", "cifs", "davfs", "fuse.gcsfuse", "fuse.rclone"),
        *("fuse.s3fs", "fuse.sshfs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4"),
        *("smb3", "smbfs", "vboxsf", "virtiofs"),
    }
)
_OPEN_RUNS: Final = """
SELECT status, count(*), list(thread_id ORDER BY updated_at DESC)[1:5]
FROM newest_runs WHERE status NOT IN ('finished', 'superseded')
GROUP BY status ORDER BY status
"""
_VERSION: Final = "SELECT max(version) FROM schema_versions"


def diagnose(path: str) -> list[Remark]:
    """Look at a store, and return what there is to say, in the order of looking.

    Parameters
    ----------
    path : str
        The database file, absolute. It is not made where there is none.
    """
    file = Path(path)
    if not file.exists():
        return [_absent(file)]
    remarks = [_size(file), *_room(file), *_network(file), *_leftovers(file)]
    try:
        for remark in _inside(path):
            remarks.append(remark)  # noqa: PERF402 - what follows may raise
    except StoreHeldError as error:
        advice = "Look there, or take a snapshot there and open it here."
        remarks.append(Remark("note", "lock", _first_line(error), advice))
    except StoreDamagedError as error:
        advice = (
            "Set it aside and go on with what can be read: "
            f"nbflow.checkpoint.duckdb.salvage({path!r})."
        )
        remarks.append(Remark("bad", "rows", _first_line(error), advice))
    except StoreError as error:
        first, _, advice = str(error).partition("\n")
        remarks.append(Remark("bad", "file", first, advice))
    return remarks


def _absent(file: Path) -> Remark:
    path = str(file)
    of_it = (mark_path(path), str(blob_folder(path)), *logs_beside(path))
    beside = [Path(place).name for place in of_it if Path(place).exists()]
    if not beside:
        advice = "It is made when a workflow first runs."
        return Remark("note", "file", f"there is no {path!r} yet", advice)
    says = f"{path!r} is gone, and {', '.join(map(repr, beside))} of it are here"
    return Remark("bad", "file", says, "Put it back before a workflow begins anew.")


def _inside(path: str) -> Iterator[Remark]:
    if older := _older(path):
        yield older
        return
    has_mark = is_open_here(path) or read_mark(path) is not None
    database = open_database(path, "a diagnosis")
    try:
        if not has_mark:
            says = "what says how far the log had come was missing, or not readable"
            advice = "It is made anew. Rows that are gone from the end went unnoticed."
            yield Remark("note", "mark", says, advice)
        yield from _rows(path)
        yield from _contents(database)
    finally:
        database.writer.release()


def _older(path: str) -> Remark | None:
    """Return what to say of a file that opening would change; None of any other."""
    if not refuse_other_formats(path) or is_open_here(path):
        return None
    try:
        connection = Connection(path, is_looking=True)
    except StoreError:
        return None  # It is met again, and told, when it is opened.
    try:
        version = version_of(connection, path)
    finally:
        connection.close(untouched=True)
    newest = MIGRATIONS[-1].version
    if version == newest:
        return None
    if version == 0:
        says = "it is an empty DuckDB database, and no store yet"
        return Remark("note", "schema", says, "A workflow that uses it makes it one.")
    says = f"version {version}, and the newest known is {newest}: it was not opened"
    advice = "A workflow that uses it brings it there, on a copy. Then look again."
    return Remark("note", "schema", says, advice)


def _rows(path: str) -> Iterator[Remark]:
    found = check(path)
    if found.is_whole:
        says = f"all {found.rows:,} rows are as they were written"
        yield Remark("good", "rows", says)
    for finding in found.findings[:_SHOWN]:
        says = _first_line(finding.says)
        where = f" (thread {finding.thread_id!r})" if finding.thread_id else ""
        yield Remark(
            "bad",
            "rows",
            f"{says}{where}",
            "Keep a copy of the folder. What can be read can be exported: "
            "nbflow.export_thread.",
        )
    if len(found.findings) > _SHOWN:
        yield Remark("bad", "rows", f"and {len(found.findings) - _SHOWN:,} more")


def _contents(database: Database) -> Iterator[Remark]:
    ((version,),) = database.fetch(_VERSION)
    yield Remark("good", "schema", f"version {version}, the newest known")
    deleted = sum(size.deleted_bytes for size in thread_sizes(database))
    if deleted:
        says = f"{deleted:,} bytes in rows are of what was deleted"
        yield Remark("note", "deleted", says, "Free them: %workflow compact.")
    yield from _blobs(database)
    for status, count, threads in database.fetch(_OPEN_RUNS):
        shown = ", ".join(map(repr, threads))
        says = f"the newest run of {_count(count, 'thread')} is {status}: {shown}"
        yield Remark("note", "runs", says, _ADVICE[status])


_ADVICE: Final = {
    "cancelled": "Go on with it: %workflow resume THREAD.",
    "failed": "Correct its cell and go on: %workflow resume THREAD.",
    "interrupted": "Answer it: %workflow pending.",
    "running": "Where no kernel is at work on it, go on: %workflow resume THREAD.",
}


def _blobs(database: Database) -> Iterator[Remark]:
    blobs = database.payloads.blobs
    held, live = blobs.sizes(), read_blobs(database)
    orphans = [size for digest, size in held.items() if digest not in live]
    orphans += blobs.unfinished().values()
    if orphans:
        says = f"no row refers to {_count(len(orphans), 'file')} of large values"
        advice = "Free them: %workflow compact."
        yield Remark("note", "files", f"{says}, {sum(orphans):,} bytes", advice)
    missing = [digest for digest in live if digest not in held]
    if missing:
        says = f"{_count(len(missing), 'file')} of large values can't be found"
        advice = f"Put back what is missing into {str(blobs.folder)!r}."
        yield Remark("bad", "files", says, advice)
    elif live:
        size = sum(held[digest] for digest in live)
        says = f"{_count(len(live), 'large value')}, {size:,} bytes"
        yield Remark("good", "files", says)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _size(file: Path) -> Remark:
    beside = sum(Path(log).stat().st_size for log in logs_beside(str(file)))
    log = f", and {beside:,} in its log" if beside else ""
    return Remark("good", "file", f"{str(file)!r}, {file.stat().st_size:,} bytes{log}")


def _room(file: Path) -> Iterator[Remark]:
    free = shutil.disk_usage(file.parent).free
    if free < max(file.stat().st_size, _ROOM_BYTES):
        advice = "Make room: runs wait for the disk, and compacting needs the same."
        yield Remark("bad", "disk", f"only {free:,} bytes are free", advice)
    else:
        yield Remark("good", "disk", f"{free:,} bytes are free")


def _network(file: Path) -> Iterator[Remark]:
    kind = _file_system(file)
    if kind in _NETWORKS:
        advice = (
            "Locks and syncs there may not hold: keep the store on a disk of this "
            "machine, %workflow store PATH."
        )
        yield Remark("bad", "disk", f"its folder is on a network ({kind})", advice)


def _file_system(file: Path) -> str:
    with suppress(OSError):  # Only Linux tells.
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
        best = ("", "")
        for mount in mounts:
            _, place, kind, *_ = mount.split(" ")
            folder = place.replace("\\040", " ")
            if file.is_relative_to(folder) and len(folder) >= len(best[0]):
                best = folder, kind
        return best[1]
    return ""


def _leftovers(file: Path) -> Iterator[Remark]:
    known = {f"{file.name}{end}" for end in (".lock", ".mark", ".wal", ".blobs")}
    beside = sorted(
        entry.name
        for entry in file.parent.iterdir()
        if entry.name.startswith(f"{file.name}.") and entry.name not in known
    )
    if beside:
        shown = ", ".join(map(repr, beside[:_SHOWN]))
        advice = "They are no part of the store: look at them, and delete them."
        yield Remark("note", "folder", f"beside it stand {shown}", advice)
    if damaged := set_aside(str(file)):
        shown = ", ".join(repr(entry.name) for entry in damaged[:_SHOWN])
        advice = (
            "They hold what was in it then, also what was deleted since. Delete them "
            "when nothing more is wanted of them."
        )
        says = f"damaged files were set aside: {shown}"
        yield Remark("note", "folder", says, advice)


def _first_line(text: object) -> str:
    return str(text).partition("\n")[0]
