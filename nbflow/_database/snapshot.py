"""A copy of a store as it is at one moment, and a store opened only to look at it.

A copy is made while the store is written to. What the rows mean is not known here.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow._database.connection import Connection
from nbflow._database.files import (
    new_file,
    prepare_folder,
    refuse_other_formats,
    remove_database,
    swap_in,
    unusable,
)
from nbflow._database.payloads import Payloads
from nbflow._database.reads import LogPast, read_blobs
from nbflow._database.schema import MIGRATIONS, version_of
from nbflow.errors import StoreError, StoreUnavailableError, UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import duckdb

    from nbflow._database.database import Database

__all__ = ["Looking", "take_snapshot"]


def take_snapshot(database: Database, path: str | os.PathLike[str]) -> Path:
    """Copy everything that was appended so far into a file of its own.

    Parameters
    ----------
    database : Database
        The open store; it is written to meanwhile.
    path : str or path
        The new file; ``~`` is the home folder.

    Returns
    -------
    Path
        The new file, absolute. It is there whole or not at all.

    Raises
    ------
    UsageError
        Something has that name.
    StoreUnavailableError
        It can't be written there.
    """
    target = Path(path).expanduser().resolve()
    if target.exists():
        raise UsageError(
            f"There is a {str(target)!r} already.\nDelete it, or name another file."
        )
    prepare_folder(str(target))
    database.writer.flush()
    new = new_file(str(target))
    try:
        remove_database(new)
        # A sweep may come after the first, a run's value after the second.
        database.payloads.blobs.copy(str(target), read_blobs(database))
        copy = ("COPY FROM DATABASE {own} TO {new}", ())
        database.connection.copy_into(new, (copy,))
        database.payloads.blobs.copy(str(target), read_blobs(database))
        swap_in(new, str(target))
    except StoreError:
        raise  # Some of ours are OSErrors too.
    except OSError as error:
        raise unusable(str(target), error) from error
    finally:
        with suppress(OSError):
            remove_database(new)
    return target


class Looking:
    """A store that is opened to look at it: nothing in its folder changes.

    Parameters
    ----------
    path : str or path
        The file. Any number of processes may look at it at once, while none has it
        open as its store.

    Raises
    ------
    StoreUnavailableError
        There is no such store, or one of another version.
    StoreHeldError
        A process has it open as its store.
    StoreDamagedError
        The file is not what was written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = str(Path(path).expanduser().resolve())
        if not refuse_other_formats(self.path):
            raise StoreUnavailableError(
                f"There is no store {self.path!r}.\nMake one: nbflow.snapshot(PATH)."
            )
        self.payloads = Payloads(self.path, LogPast(self))
        self._connection = Connection(self.path, is_looking=True)
        try:
            self._refuse_older()
        except BaseException:
            self.close()
            raise

    def _refuse_older(self) -> None:
        version = version_of(self._connection, self.path)
        if version != MIGRATIONS[-1].version:
            raise StoreUnavailableError(
                f"An older nbflow wrote the store {self.path!r} (its schema is "
                f"{version}, this version reads {MIGRATIONS[-1].version}).\n"
                "Open a copy of it as a store once: %workflow store PATH."
            )

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        """Run one statement and return its rows."""
        return self._connection.fetch(sql, parameters)

    def ask(self, sql: str) -> duckdb.DuckDBPyRelation:
        """Run a user's statement, which may look at everything and change nothing."""
        return self._connection.ask(sql)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close(untouched=True)
