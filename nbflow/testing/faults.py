"""Faults that a saver can have, at the very write a test names."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal

from nbflow.checkpoint.base import BaseCheckpointSaver, Head
from nbflow.checkpoint.memory import InMemorySaver
from nbflow.errors import StoreClosedError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Sequence

    from nbflow._events import Record

__all__ = ["FailingSaver", "killed_after"]


class FailingSaver(BaseCheckpointSaver):
    """A saver that fails when its n-th record is written, and else is another one.

    Nothing of the failed write is kept, as in any saver.

    Parameters
    ----------
    saver : BaseCheckpointSaver, optional
        The saver that it stands before; by default a new `InMemorySaver`.
    fails_at : int or collection of int
        Which records fail, counted from 1 over all that are written. A write of
        several records fails if one of them is meant.
    kinds : collection of str, optional
        Count only records of these events, such as ``{"TaskFinished"}``; see
        `nbflow._events.KINDS`.
    how : {"refuse", "disk"}, default "refuse"
        ``"refuse"`` raises where the record is written. ``"disk"`` takes the record
        and reports that it could not be stored, as a full disk does: a run that
        waits for the disk raises then, any other goes on.
    for_good : bool, default False
        Whether every later write fails too, with `StoreClosedError`.

    Attributes
    ----------
    written : int
        How many records were counted, those that failed included.
    failed : list of Record
        Those that were lost.

    Examples
    --------
    >>> from nbflow import entrypoint
    >>> saver = FailingSaver(fails_at=1, kinds={"RunFinished"})
    >>> @entrypoint(checkpointer=saver)
    ... def workflow(number: int) -> int:
    ...     return number + 1
    >>> config = {"configurable": {"thread_id": "1"}}
    >>> workflow.invoke(1, config)
    Traceback (most recent call last):
    nbflow.errors.StoreUnavailableError: ...
    >>> workflow.invoke(None, config)
    2
    """

    def __init__(
        self,
        saver: BaseCheckpointSaver | None = None,
        *,
        fails_at: int | Collection[int],
        kinds: Collection[str] | None = None,
        how: Literal["refuse", "disk"] = "refuse",
        for_good: bool = False,
    ) -> None:
        self.saver: BaseCheckpointSaver = InMemorySaver() if saver is None else saver
        self.allow_pickle: bool = self.saver.allow_pickle
        self.written: int = 0
        self.failed: list[Record] = []
        self._fails_at = {fails_at} if isinstance(fails_at, int) else set(fails_at)
        if min(self._fails_at, default=1) < 1:
            raise ValueError(f"fails_at counts from 1, so {fails_at!r} never comes")
        self._kinds = None if kinds is None else frozenset(kinds)
        self._how = how
        self._for_good = for_good
        self._counting = threading.Lock()

    @property
    def scope(self) -> Hashable:
        """That of the saver behind it."""
        return self.saver.scope

    @property
    def location(self) -> str:
        """That of the saver behind it."""
        return self.saver.location

    @property
    def is_closed(self) -> bool:
        """Whether it can't be written any more."""
        return self.saver.is_closed or bool(self._for_good and self.failed)

    def append(
        self,
        records: Sequence[Record],
        on_durable: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        """Write records, unless they are the ones that fail.

        Raises
        ------
        StoreUnavailableError
            They are, and the saver refuses them.
        StoreClosedError
            Some before them were, for good.
        """
        with self._counting:
            if self._for_good and self.failed:
                raise StoreClosedError("This saver has failed before, as it was told.")
            fails = self._count(records)
            if not fails:
                self.saver.append(records, on_durable)
                return
            self.failed.extend(records)
        error = StoreUnavailableError(
            f"Record {self.written} was not written, as this saver was told."
        )
        if self._how == "refuse":
            raise error
        if on_durable is not None:
            on_durable(error)

    def _count(self, records: Sequence[Record]) -> bool:
        fails = False
        for record in records:
            kind = type(record.event).__name__
            if self._kinds is None or kind in self._kinds:
                self.written += 1
                fails = fails or self.written in self._fails_at
        return fails

    def read(self, thread_id: str, **which: Any) -> list[Record]:
        """Return records of a thread from the saver behind it; see the contract."""
        return self.saver.read(thread_id, **which)

    def heads(self, thread_id: str | None = None) -> list[Head]:
        """Return where threads stand in the saver behind it."""
        return self.saver.heads(thread_id)

    def close(self) -> None:
        """Close the saver behind it."""
        self.saver.close()


def killed_after(
    saver: BaseCheckpointSaver, thread_id: str, records: int
) -> InMemorySaver:
    """Return what a process leaves that is killed after so many records of a thread.

    Parameters
    ----------
    saver : BaseCheckpointSaver
        Where the thread was recorded; it is left as it is.
    thread_id : str
        The thread.
    records : int
        How many of its records were written, at least 0.

    Returns
    -------
    InMemorySaver
        Continue the workflow on it: ``workflow.with_saver(...)``.

    Examples
    --------
    Whenever it is killed, the workflow comes to the same end:

    >>> from nbflow import entrypoint, task
    >>> @task
    ... def double(number: int) -> int:
    ...     return number * 2
    >>> saver = InMemorySaver()
    >>> @entrypoint(checkpointer=saver)
    ... def workflow(number: int) -> int:
    ...     return double(double(number).result()).result()
    >>> config = {"configurable": {"thread_id": "1"}}
    >>> workflow.invoke(1, config)
    4
    >>> lengths = range(1, len(saver.read("1")) + 1)
    >>> {
    ...     workflow.with_saver(killed_after(saver, "1", n)).invoke(None, config)
    ...     for n in lengths
    ... }
    {4}
    """
    if records < 0:
        raise ValueError(f"records must be at least 0, not {records!r}")
    left = InMemorySaver()
    left.allow_pickle = saver.allow_pickle
    left.append(saver.read(thread_id)[:records])
    return left
