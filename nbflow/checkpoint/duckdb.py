"""A saver that keeps its log in a DuckDB file.

It knows the contract of a saver and how a head is folded; the file, the rows and
the writing are `nbflow._database`'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from nbflow._database.checking import Check, Finding, check
from nbflow._database.reads import (
    read_asking_threads,
    read_deleted,
    read_end,
    read_ends,
    read_newest_threads,
    read_questions,
    read_records,
    read_task_names,
)
from nbflow._database.rows import pack
from nbflow._database.salvage import Salvage, salvage
from nbflow._database.share import FileUser
from nbflow._events import KINDS, LIFECYCLE, RunStarted, StateUpdated, ThreadDeleted
from nbflow.checkpoint.base import BaseCheckpointSaver, Head, Question, fold_head
from nbflow.checkpoint.endings import Endings
from nbflow.checkpoint.housekeeping import Housekeeping

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Sequence

    from nbflow._database.database import Database
    from nbflow._events import Record
    from nbflow._values import Payload
    from nbflow.serde import Content

__all__ = ["Check", "DuckDBSaver", "Finding", "Salvage", "check", "salvage"]

_LIFECYCLE: Final = frozenset(KINDS[name] for name in LIFECYCLE)
_BEGINS: Final = (RunStarted, StateUpdated)
_RUNS_REMEMBERED: Final = 10_000


class DuckDBSaver(FileUser, Housekeeping, BaseCheckpointSaver):
    """Keep the log of every thread in one DuckDB file.

    One process holds the file at a time; in it, any number of savers on the same
    path, in any threads, share it. The file is closed when the last saver is closed
    or garbage, and at the end of the process. What was acknowledged survives a kill
    at any moment.

    Parameters
    ----------
    path : str or path
        The file. It and its folder are made if need be; ``~`` is the home folder.
    holder : str, default ""
        Who opens it, such as a notebook's name: told to another process that wants
        the file.
    allow_pickle : bool, default False
        Hand results of tasks with ``codec="pickle"`` to bodies. Unpickling runs
        whatever the file says: only for a file that nobody else could write. Each
        saver decides for itself, also on the same file.

    Raises
    ------
    UsageError
        `path` is no file's, such as ``":memory:"``.
    StoreHeldError
        Another process holds the file.
    StoreUnavailableError
        The folder or file can't be used, is no store, or a newer nbflow wrote it.
    StoreDamagedError
        The file is not what was written.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with DuckDBSaver(f"{folder.name}/threads.duckdb") as saver:
    ...     saver.list_threads()
    []
    >>> folder.cleanup()
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        holder: str = "",
        allow_pickle: bool = False,
    ) -> None:
        self.allow_pickle = allow_pickle
        super().__init__(path, holder)
        writer = self._database.writer
        self._heads = cast("_Heads", writer.followed(_Heads))
        self._endings = cast("Endings", writer.followed(Endings))

    @property
    def scope(self) -> str:
        """The file's path, without symbolic links."""
        return self._database.path

    def append(
        self,
        records: Sequence[Record],
        on_durable: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        """Queue records at the end of the log.

        As in the base; also:

        Raises
        ------
        UnstorableValueError
            A record would not come back equal; none of `records` is written.
        """
        self._share.check()
        payloads = self._database.payloads
        try:
            rows = [pack(record, payloads) for record in records]
            self._database.writer.append(rows, on_durable)
        except BaseException:
            payloads.forget()  # What comes must not build on what was not written.
            raise

    def keep(
        self,
        content: Content,
        live: Any,
    ) -> Payload:
        """Write a large value into a file of its own; see the base.

        Raises
        ------
        StoreUnavailableError
            There is no room for it.
        """
        self._share.check()
        return self._database.payloads.keep(content, live)

    def read(
        self,
        thread_id: str,
        *,
        run_id: str | None = None,
        kinds: Collection[str] | None = None,
        after: int = 0,
        before: int | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> list[Record]:
        """Return records of a thread, in stored order.

        As in the base; also:

        Raises
        ------
        StoreDamagedError
            A row is not what was written.
        StoreUnavailableError
            A newer nbflow wrote a row.
        """
        self._share.check()
        if newest_first and limit == 1 and before is None:
            ending = self._ending(thread_id, run_id, kinds)
            if ending is not None and ending.seq > after:
                return [ending]
        self._database.writer.flush()
        begin = self._heads.begin(self._database, thread_id, run_id)
        return read_records(
            self._database,
            thread_id,
            after=max(after, begin),
            before=before,
            run_id=run_id,
            kinds=kinds,
            newest_first=newest_first,
            limit=limit,
        )

    def _ending(
        self, thread_id: str, run_id: str | None, kinds: Collection[str] | None
    ) -> Record | None:
        """Return how a run ended, where that is at hand: it ends once.

        What is queued is not waited for, unless it may be that very end.
        """
        writer = self._database.writer
        with writer.still:
            queued = [r for r in writer.unfollowed() if r.thread_id == thread_id]
            found = self._endings.find(thread_id, run_id, kinds)
            if not any(r.run_id == run_id or not r.run_id for r in queued):
                return found
        writer.flush()
        with writer.still:
            return self._endings.find(thread_id, run_id, kinds)

    def heads(self, thread_id: str | None = None) -> list[Head]:
        """Return where threads stand, the most recently updated first."""
        self._share.check()
        if thread_id is not None:
            head = self._heads.one(self._database, thread_id)
            return [] if head is None else [head]
        heads = self._heads.all(self._database)
        return sorted(heads, key=lambda head: head.updated_at, reverse=True)

    def newest(self, limit: int) -> list[Head]:
        """Return the threads that were updated last; as in the base."""
        self._share.check()
        asked = limit
        while not self._heads.has_all:
            self._database.writer.flush()
            names = read_newest_threads(self._database, asked)
            found = self._heads.some(self._database, names)
            if len(found) >= limit or len(names) < asked:
                found.sort(key=lambda head: head.updated_at, reverse=True)
                return found[:limit]
            asked *= 4  # Some of them were deleted.
        return super().newest(limit)

    def questions(self) -> list[Question]:
        """Return every question that waits for an answer; as in the base."""
        self._share.check()
        database, heads = self._database, self._heads
        database.writer.flush()
        if heads.has_all:
            found = self.heads()
        else:
            found = heads.some(database, read_asking_threads(database))
        asking = [head for head in found if head.pending]
        since = heads.oldest([(head.thread_id, head.run_id) for head in asking])
        runs = [head.run_id for head in asking]
        records = read_questions(database, runs, since=since) if asking else []
        asked = {(r.thread_id, r.event.interrupt_id): r for r in records}  # type: ignore[union-attr]
        parents = {r.event.parent_id for r in records} - {""}  # type: ignore[union-attr]
        names: dict[str, str] = {}
        if parents:
            names = read_task_names(database, parents, since, records[-1].seq)
        return [
            Question(head, record, names.get(record.event.parent_id, ""))  # type: ignore[union-attr]
            for head in sorted(asking, key=lambda h: h.updated_at, reverse=True)
            for interrupt_id in head.pending
            if (record := asked.get((head.thread_id, interrupt_id))) is not None
        ]


class _Heads:
    """The heads of a store's threads, as far as somebody asked for them.

    What was in the file when it was opened is read once, on demand; what is written
    since is folded as it goes. One object serves all savers of the store.

    Parameters
    ----------
    opened_at : int
        The newest `seq` that is not followed.
    """

    def __init__(self, opened_at: int) -> None:
        self._opened_at = opened_at
        self._has_all = self._has_deleted = opened_at == 0
        self._heads: dict[str, Head | None] = {}
        self._deleted: dict[str, int] = {}
        self._waiting: dict[str, list[Record]] = {}
        self._begun: dict[tuple[str, str], int] = {}
        self._restarts = 0

    def follow(self, seq: int, record: Record) -> None:
        """Fold a record in; under the writer's lock."""
        thread_id, event = record.thread_id, record.event
        run = (thread_id, record.run_id)
        if run not in self._begun:
            # A run is begun once, by its first record. The begin of one that was begun
            # before the file was opened may have to be read.
            self._note_begin(run, seq if isinstance(event, _BEGINS) else 0)
        if type(event) not in _LIFECYCLE:
            return
        if isinstance(event, ThreadDeleted):
            self._deleted[thread_id] = seq
        if self._has_all or thread_id in self._heads:
            self._heads[thread_id] = fold_head(self._heads.get(thread_id), record)
        else:
            self._waiting.setdefault(thread_id, []).append(record)

    def restart(self, seq: int) -> None:
        """Forget everything: what is in the file up to `seq` has changed."""
        self._opened_at, self._has_all, self._has_deleted = seq, False, False
        self._restarts += 1
        for known in (self._heads, self._deleted, self._waiting, self._begun):
            known.clear()

    def one(self, database: Database, thread_id: str) -> Head | None:
        """Return the head of a thread, with everything that was appended."""
        while True:
            self._load(database, thread_id)
            with database.writer.still:
                if not self._knows(thread_id):
                    continue  # The file was exchanged meanwhile.
                head = self._heads.get(thread_id)
                for record in database.writer.unfollowed():
                    if record.thread_id == thread_id:
                        head = _folded(head, record)
                return head

    def all(self, database: Database) -> list[Head]:
        """Return the heads of all threads, with everything that was appended."""
        while True:
            self._load(database, None)
            with database.writer.still:
                if not self._knows(None):
                    continue  # As above.
                heads = dict(self._heads)
                for record in database.writer.unfollowed():
                    thread_id = record.thread_id
                    heads[thread_id] = _folded(heads.get(thread_id), record)
                return [head for head in heads.values() if head is not None]

    def some(self, database: Database, names: Sequence[str]) -> list[Head]:
        """Return the heads of some threads, with everything that was appended."""
        while True:
            if unknown := [name for name in names if not self._knows(name)]:
                self._load_from(database, unknown)
            with database.writer.still:
                if not all(map(self._knows, names)):
                    continue  # As above.
                heads = {name: self._heads.get(name) for name in names}
                for record in database.writer.unfollowed():
                    if record.thread_id in heads:
                        thread_id = record.thread_id
                        heads[thread_id] = _folded(heads[thread_id], record)
                return [head for head in heads.values() if head is not None]

    @property
    def has_all(self) -> bool:
        """Whether every thread's head is known without a look at the file."""
        return self._has_all

    def begin(self, database: Database, thread_id: str, run_id: str | None) -> int:
        """Return a `seq` up to which nothing visible of a thread or run stands."""
        while not self._has_deleted:
            self._load_deleted(database)
        deleted = self._deleted.get(thread_id, 0)
        begun = 0 if run_id is None else self._begun.get((thread_id, run_id), 0)
        return max(deleted, begun - 1)

    def oldest(self, runs: Sequence[tuple[str, str]]) -> int:
        """Return a `seq` before which nothing of these runs stands."""
        return min((self._begun.get(run, 0) for run in runs), default=0)

    def _knows(self, thread_id: str | None) -> bool:
        return self._has_all or (thread_id is not None and thread_id in self._heads)

    def _load(self, database: Database, thread_id: str | None) -> None:
        if not self._knows(thread_id):
            self._load_from(database, None if thread_id is None else [thread_id])

    def _load_from(self, database: Database, names: list[str] | None) -> None:
        database.writer.flush()
        upto, restarts = self._opened_at, self._restarts
        loaded: dict[str, Head | None] = dict.fromkeys(names or ())
        if names is None or len(names) > 1:
            ends = read_ends(database, upto, names)
        else:
            ends = read_end(database, upto, names[0])
        for record in ends.records:
            loaded[record.thread_id] = fold_head(loaded.get(record.thread_id), record)
        with database.writer.still:
            if restarts != self._restarts:
                return
            for name, head in loaded.items():
                self._take(name, head and replace(head, runs=ends.runs[name]))
            for name, seq in ends.deleted.items():
                self._deleted.setdefault(name, seq)
            for run, seq in list(ends.begun.items())[-_RUNS_REMEMBERED:]:
                self._note_begin(run, seq)
            if names is None:
                for name in list(self._waiting):
                    self._take(name, None)
                self._has_all = True

    def _load_deleted(self, database: Database) -> None:
        upto, restarts = self._opened_at, self._restarts
        deleted = read_deleted(database, upto)
        with database.writer.still:
            if restarts == self._restarts:
                self._deleted = deleted | self._deleted
                self._has_deleted = True

    def _note_begin(self, run: tuple[str, str], seq: int) -> None:
        self._begun[run] = self._begun.get(run) or seq
        if len(self._begun) > _RUNS_REMEMBERED:
            del self._begun[next(iter(self._begun))]

    def _take(self, thread_id: str, head: Head | None) -> None:
        # Another thread may have been first.
        if not self._has_all and thread_id not in self._heads:
            for record in self._waiting.pop(thread_id, ()):
                head = fold_head(head, record)
            self._heads[thread_id] = head


def _folded(head: Head | None, record: Record) -> Head | None:
    return fold_head(head, record) if type(record.event) in _LIFECYCLE else head
