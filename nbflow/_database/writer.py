"""The one thread that writes to a log.

What is appended while a commit is under way goes into the next one. The log is
always a beginning of what was appended: when a commit fails for good, nothing
after it is written, and everybody who waits is told. What the rows mean, who
opened the file and who reads it is not known here.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from contextlib import ExitStack, suppress
from itertools import count
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from nbflow._database.integrity import Mark, audit
from nbflow._database.rows import Sealer
from nbflow.errors import StoreClosedError, StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nbflow._database.connection import Connection
    from nbflow._database.integrity import MarkFile
    from nbflow._database.rows import Packed, Row
    from nbflow._events import Record

__all__ = ["Follower", "OnDurable", "Owner", "Place", "Told", "Writer"]

OnDurable: TypeAlias = "Callable[[BaseException | None], None]"

# Measured: a commit costs about as much for one row as for fifty, so rows that
# nobody waits for are worth five milliseconds of company.
LINGER_SECONDS: Final = 0.005
IDLE_SECONDS: Final = 2.0
MOST_ROWS: Final = 5_000
MOST_BYTES: Final = 32_000_000
# Replaying a commit costs 0.15 ms when a file that was not closed is opened.
CHECKPOINT_WHEN_IDLE_AFTER: Final = 200
CHECKPOINT_AFTER: Final = 20_000

_WORK: Final = 1
_NOW: Final = 2


class Follower(Protocol):
    """Who sees each record with its place in the log, in order."""

    def follow(self, seq: int, record: Record) -> None:
        """Take a record that is about to be written; under the writer's lock."""

    def restart(self, seq: int) -> None:
        """Forget what was followed up to `seq`: the file is another one now."""


class Owner(Protocol):
    """Whose writer it is; called on the writer's thread."""

    def leave(self) -> bool:
        """Count one user less, and return whether it was the last one."""

    def end(self, cause: BaseException | None) -> None:
        """Close the file: the writer has ended, or has failed with `cause`."""


class Place(NamedTuple):
    """Where a log ends.

    Attributes
    ----------
    seq : int
        The newest row's; 0 for an empty log.
    generation : int
        The generation that new rows belong to, from 1.
    """

    seq: int
    generation: int


class Told:
    """That something was done, or why it was not, for the one thread that waits.

    An Event that the kernel's Stop interrupts while it is entered keeps its lock, and
    the writer would wait for that for ever; a queue of C can't be interrupted so.
    """

    __slots__ = ("_queue",)

    def __init__(self) -> None:
        self._queue: SimpleQueue[BaseException | None] = SimpleQueue()

    def tell(self, error: BaseException | None = None) -> None:
        """Let the other one go on, with an error if there was one."""
        self._queue.put(error)

    def wait(self) -> None:
        """Return when it is told; raise what was told."""
        error = self._queue.get()
        if error is not None:
            raise error


class _Errand(NamedTuple):
    """Work for the writer's thread that its caller waits for.

    Attributes
    ----------
    work : callable
        Called with the place of the log.
    done : Told
        Told when it was done, or why it never will be.
    """

    work: Callable[[Place], None]
    done: Told


class _Group(NamedTuple):
    """What one call appended."""

    rows: Sequence[Packed]
    on_durable: OnDurable | None


class Writer:
    """A queue and the thread that empties it into the log.

    Parameters
    ----------
    connection : Connection
        The open file.
    path : str
        The database file, for errors.
    owner : Owner
        Is told when a user leaves and when the thread has ended.
    mark_file : MarkFile
        Is moved after each commit, before anybody is told of it.
    mark : Mark
        How far the log has come; new rows are of its generation.
    """

    def __init__(
        self,
        connection: Connection,
        path: str,
        owner: Owner,
        *,
        mark_file: MarkFile,
        mark: Mark,
    ) -> None:
        self._connection = connection
        self._path = path
        self._owner = owner
        self._mark_file = mark_file
        self._mark = mark
        self._sealer = Sealer(mark.generation)
        self._appender = connection.appender("log")
        self._seq = mark.seq
        self._lock = threading.Lock()
        self._queue: deque[_Group] = deque()
        self._taken: deque[_Group] = deque()
        # A bell, not a condition: a finalizer rings it, and that may run inside of
        # any other method here.
        self._bell: SimpleQueue[int | Told | _Errand | None] = SimpleQueue()
        self._rung = 0
        self._commits = 0
        self._followers: dict[Callable[[int], Follower], Follower] = {}
        self._refusal: str | None = None
        self._cause: BaseException | None = None
        self._thread = threading.Thread(
            target=self._run, name="nbflow-writer", daemon=True
        )

    # Called from any thread.

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def append(self, rows: Sequence[Packed], on_durable: OnDurable | None) -> None:
        """Queue rows that are to be written together.

        Raises
        ------
        StoreClosedError
            Nothing can be written any more.
        """
        level = _WORK if on_durable is None else _NOW
        self.check()  # Without the lock: a fork may have left it held.
        with self._lock:
            self.check()
            self._queue.append(_Group(rows, on_durable))
            if level > self._rung:
                self._bell.put(level)
                self._rung = level

    @property
    def is_closed(self) -> bool:
        """Whether nothing is written any more."""
        return self._refusal is not None

    def check(self) -> None:
        """Raise StoreClosedError if nothing can be written any more."""
        if self._refusal is not None:
            raise self._refused(self._refusal)

    def flush(self) -> None:
        """Return when everything appended so far can be read.

        Raises
        ------
        StoreClosedError
            It could not be written.
        RuntimeError
            Called on the writer's own thread, which would wait for itself.
        """
        if self.is_own_thread():
            raise RuntimeError(
                "An append's callback runs on the thread that writes, and can't wait "
                "for it. Read the store in another thread."
            )
        self.check()  # Without the lock, as in append.
        with self._lock:
            self.check()
            if not self._queue and not self._taken:
                return
        done = Told()
        self.append((), done.tell)
        done.wait()

    def followed(self, make: Callable[[int], Follower]) -> Follower:
        """Return the follower that `make` makes, of the newest taken `seq`; once."""
        self.check()
        with self._lock:
            if make not in self._followers:
                self._followers[make] = make(self._seq)
            return self._followers[make]

    @property
    def still(self) -> threading.Lock:
        """A lock that holds the log still."""
        self.check()  # Without the lock, as in append.
        return self._lock

    def unfollowed(self) -> Iterator[Record]:
        """Return the records not yet followed, in order; while the log is still."""
        return (packed.record for group in self._queue for packed in group.rows)

    def exchange(self, work: Callable[[Place], None]) -> None:
        """Have the file exchanged while nothing is written; return when it is.

        Parameters
        ----------
        work : callable
            Called on the writer's thread with the place of the log, everything
            queued before being written. What it raises is raised here, and the store
            goes on with the file that is there then.

        Raises
        ------
        StoreClosedError
            The store was closed meanwhile.
        RuntimeError
            Called on the writer's own thread, which would wait for itself.
        """
        if self.is_own_thread():
            raise RuntimeError(
                "An append's callback runs on the thread that writes, and can't wait "
                "for it. Exchange the file in another thread."
            )
        errand = _Errand(work, Told())
        self.check()  # Without the lock, as in append.
        with self._lock:
            self.check()
            self._bell.put(errand)
        errand.done.wait()

    def release(self) -> None:
        """Write what is queued, let one user go, and return when that is done.

        Where the file is closed with that, or because it can't be written any more,
        the thread has ended too.
        """
        done = Told()
        try:
            self.check()  # Without the lock, as in append.
            with self._lock:
                self.check()
                self._bell.put(done)
        except StoreClosedError:
            done.tell()
        if self.is_own_thread():
            return
        done.wait()
        if self.is_closed:
            self._thread.join()

    def release_later(self) -> None:
        """Let one user go soon; a finalizer may call this."""
        self._bell.put(Told())

    def stop(self) -> None:
        """Write what is queued, end, and return when the file is closed."""
        self._bell.put(None)
        self._thread.join()

    def is_own_thread(self) -> bool:
        """Return whether the caller runs on the writer's thread."""
        return threading.current_thread() is self._thread

    def disown(self, why: str) -> None:
        """Refuse everything, in a forked child."""
        self._refusal = why

    def _refused(self, why: str) -> StoreClosedError:
        error = StoreClosedError(why)
        error.__cause__ = self._cause
        return error

    # Called on the writer's thread.

    def _run(self) -> None:
        cause: BaseException | None = None
        with ExitStack() as at_last:  # Whatever fails, nobody waits for ever.
            try:
                self._serve(at_last)
                self._refuse(None)
                self._drain()  # What came until then.
            except BaseException as error:  # noqa: BLE001 - whatever it is, those who wait are told
                cause = error
            self._refuse(cause)
            at_last.callback(self._answer_all)
            at_last.callback(self._owner.end, cause)
            at_last.callback(self._appender.close)

    def _serve(self, at_last: ExitStack) -> None:
        while True:
            rung = self._wait()
            try:
                self._drain()
            except BaseException:
                self._bell.put(rung)  # Who waits for it is answered with the others.
                raise
            if rung is None:
                return
            if isinstance(rung, _Errand):
                self._run_errand(rung, at_last)
            if isinstance(rung, Told):
                if self._owner.leave():
                    at_last.callback(rung.tell)
                    return
                rung.tell()

    def _run_errand(self, errand: _Errand, at_last: ExitStack) -> None:
        place = Place(self._seq, self._mark.generation)
        failure: BaseException | None = None
        self._appender.close()
        try:
            errand.work(place)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the asker is told
            failure = error
        try:
            self._appender = self._connection.appender("log")
            self._mark = audit(self._connection, self._path, None)
        except BaseException as error:
            at_last.callback(errand.done.tell, failure or error)
            raise
        # It may have failed when the file had been exchanged already.
        if self._mark.generation != place.generation:
            self._mark_file.move(self._mark)
            with self._lock:
                self._seq = self._mark.seq
                self._sealer = Sealer(self._mark.generation)
                for follower in self._followers.values():
                    follower.restart(self._seq)
        errand.done.tell(failure)

    def _wait(self) -> int | Told | _Errand | None:
        rung: int | Told | _Errand | None = 0
        while rung == 0:
            is_due = self._commits >= CHECKPOINT_WHEN_IDLE_AFTER
            waits = is_due or self._mark_file.is_dirty
            try:
                rung = self._bell.get(timeout=IDLE_SECONDS if waits else None)
            except Empty:
                self._mark_file.sync()
                if is_due:
                    self._checkpoint()
        if rung == _WORK:
            with suppress(Empty):
                return self._bell.get(timeout=LINGER_SECONDS)
        return rung

    def _drain(self) -> None:
        while self._take():
            self._write(list(self._taken))
        if self._commits >= CHECKPOINT_AFTER:
            self._checkpoint()

    def _take(self) -> bool:
        rows = size = 0
        with self._lock:
            while self._queue and rows < MOST_ROWS and size < MOST_BYTES:
                group = self._queue.popleft()
                self._taken.append(group)
                for packed in group.rows:
                    self._seq += 1
                    size += packed.size_bytes
                    for follower in self._followers.values():
                        follower.follow(self._seq, packed.record)
                rows += len(group.rows)
            if not self._queue:
                self._rung = 0
            return bool(self._taken)

    def _write(self, groups: Sequence[_Group]) -> None:
        packed = [packed for group in groups for packed in group.rows]
        # The mark stands at the newest row that is stored: these come right after it.
        rows = list(map(self._sealer.seal, packed, count(self._mark.seq + 1)))
        try:
            if rows:
                self._appender.append(rows)
                self._commits += 1
        except StoreError:
            if not self._is_stored(rows[-1][0]):
                if len(groups) == 1:
                    raise
                # One row may be more than there is room for: its neighbours fit.
                for group in groups:
                    self._write([group])
                return
        if rows:
            self._move_mark(rows)
        for group in groups:
            self._taken.popleft()
            self._tell(group.on_durable, None)

    def _move_mark(self, rows: Sequence[Row]) -> None:
        seq, checksum = rows[-1][0], rows[-1][-1]
        self._mark = Mark(
            self._mark.generation, seq, self._mark.rows + len(rows), checksum
        )
        self._mark_file.move(self._mark)

    def _is_stored(self, seq: int) -> bool:
        # DuckDB may also raise after a commit, while it folds it into the file.
        with suppress(StoreError):
            ((newest,),) = self._connection.fetch("SELECT max(seq) FROM log")
            return newest is not None and newest >= seq
        return False

    def _checkpoint(self) -> None:
        if self._connection.checkpoint():
            self._commits = 0

    def _refuse(self, cause: BaseException | None) -> None:
        with self._lock:
            self._cause = cause
            self._refusal = self._farewell(cause)

    def _answer_all(self) -> None:
        with self._lock:
            refused = [*self._taken, *self._queue]
            self._taken.clear()
            self._queue.clear()
            why = self._refusal or ""
        for group in refused:
            self._tell(group.on_durable, self._refused(why))
        with suppress(Empty):
            while True:
                late = self._bell.get_nowait()
                if isinstance(late, _Errand):
                    late.done.tell(self._refused(why))
                if isinstance(late, Told):
                    late.tell()

    def _farewell(self, cause: BaseException | None) -> str:
        if cause is None:
            return f"The store {self._path!r} is closed.\nOpen it again."
        if isinstance(cause, StoreUnavailableError) and cause.__cause__ is None:
            return str(cause)  # Our own words, not DuckDB's, say what to do.
        reason = str(cause.__cause__ or cause).partition("\n")[0]
        return (
            f"The store {self._path!r} could not be written, and was closed: {reason}\n"
            "What was acknowledged is kept. Remove the cause, then open it again."
        )

    def _tell(self, on_durable: OnDurable | None, error: BaseException | None) -> None:
        if on_durable is None:
            return
        try:
            on_durable(error)
        except Exception:  # noqa: BLE001 - the caller's own, and the rows are written
            seen = (*sys.exc_info(), self._thread)
            threading.excepthook(threading.ExceptHookArgs(seen))
