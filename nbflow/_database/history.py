"""Which earlier value of a thread a new one is stored as the difference to.

The values of one column of a thread are numbered; value `i` builds on value
``i & (i - 1)``, so at most log2(n) of them have to be read for one. A value that is
stored whole begins anew with number 0. What is needed for the next value is kept in
memory, and read from the log where it is not; so is what was read lately, since
neighbours build on the same values.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from nbflow._database.deltas import difference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Delta", "Earlier", "History", "Link", "Series"]

KEPT_BYTES: Final = 64 << 20
"""How much of earlier values is kept in memory for a store."""

READ_BYTES: Final = 32 << 20
"""How much of values that were read is kept in memory for a store."""

LARGEST_DELTA_BYTES: Final = 256 << 10
"""A larger difference is not worth it: the value is stored whole."""


class Series(NamedTuple):
    """Whose values are numbered together."""

    thread_id: str
    kind: str
    column: int


class Link:
    """Where a value came to stand in the log.

    Attributes
    ----------
    seq : int
        Its row; 0 until that is known.
    """

    __slots__ = ("seq",)

    def __init__(self, seq: int = 0) -> None:
        self.seq: int = seq


class Earlier(NamedTuple):
    """A value that later ones may build on."""

    number: int
    link: Link
    data: bytes


class Delta(NamedTuple):
    """A value as its difference to an earlier one.

    Attributes
    ----------
    number : int
        Its number in its series.
    chain : tuple of Link
        What it builds on: the first is whole, each builds on those before it.
    body : bytes
        The difference to the last of them.
    epoch : int
        Which state of the file they stand in.
    """

    number: int
    chain: tuple[Link, ...]
    body: bytes
    epoch: int


@dataclass(slots=True, eq=False)
class _Line:
    """The newest value of a series below those that it builds on."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    values: list[Earlier] | None = None  # None: not read yet
    size_bytes: int = 0


class History:
    """Earlier values of a store's threads; for any number of threads.

    Parameters
    ----------
    load : callable
        Returns what the newest stored value of a series builds on and, last, that
        value; empty where there is none.
    """

    def __init__(self, load: Callable[[Series], Sequence[Earlier]]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._lines: OrderedDict[Series, _Line] = OrderedDict()
        self._size_bytes = 0
        self._read: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._read_bytes = 0
        self._epoch = 0

    @property
    def epoch(self) -> int:
        """Which state of the file values stand in; see `remember`."""
        return self._epoch

    def add(self, series: Series, data: bytes) -> tuple[Link, Delta | None]:
        """Add the next value of a series.

        Returns
        -------
        link : Link
            To be told where the value came to stand.
        delta : Delta or None
            None where it has to be stored whole.
        """
        with self._lock:
            line = self._lines.setdefault(series, _Line())
            self._lines.move_to_end(series)
            epoch = self._epoch
        with line.lock:
            if line.values is None:
                line.values = list(self._load(series))
            link = Link()
            delta = _delta_to(line.values, data, epoch)
            if delta is None:
                line.values.clear()
            line.values.append(Earlier(delta.number if delta else 0, link, data))
            size = sum(len(earlier.data) for earlier in line.values)
        self._account(series, line, size)
        return link, delta

    def _account(self, series: Series, line: _Line, size: int) -> None:
        with self._lock:
            if self._lines.get(series) is not line:
                return  # It was forgotten meanwhile.
            self._size_bytes += size - line.size_bytes
            line.size_bytes = size
            while self._size_bytes > KEPT_BYTES and self._lines:
                _, oldest = self._lines.popitem(last=False)
                self._size_bytes -= oldest.size_bytes

    def is_current(self, delta: Delta) -> bool:
        """Return whether everything that a value builds on stands in the log."""
        return delta.epoch == self._epoch and all(link.seq for link in delta.chain)

    def recall(self, series: Series, seq: int) -> bytes | None:
        """Return a value that is kept in memory, by its row."""
        place = seq, series.column
        with self._lock:
            line = self._lines.get(series)
            found = self._read.get(place)
            if found is not None:
                self._read.move_to_end(place)
                return found
        values = None if line is None else line.values
        for earlier in list(values or ()):
            if earlier.link.seq == seq:
                return earlier.data
        return None

    def remember(self, series: Series, seq: int, data: bytes, epoch: int) -> None:
        """Keep a value that was read, unless the file has become another one since.

        Parameters
        ----------
        series, seq : Series and int
            Where it stands.
        data : bytes
            The value.
        epoch : int
            `epoch` before it was read.
        """
        place = seq, series.column
        with self._lock:
            if epoch != self._epoch or place in self._read:
                return
            self._read[place] = data
            self._read_bytes += len(data)
            while self._read_bytes > READ_BYTES:
                _, oldest = self._read.popitem(last=False)
                self._read_bytes -= len(oldest)

    def forget(self) -> None:
        """Forget everything: the file is another one now, or lacks rows."""
        with self._lock:
            self._epoch += 1
            self._lines.clear()
            self._read.clear()
            self._size_bytes = self._read_bytes = 0


def _delta_to(values: list[Earlier], data: bytes, epoch: int) -> Delta | None:
    """Return the next value as a delta, and drop what no later one builds on."""
    if not values:
        return None
    number = values[-1].number + 1
    base = number & (number - 1)
    while values[-1].number != base:
        values.pop()
    body = difference(data, values[-1].data)
    if len(body) > min(LARGEST_DELTA_BYTES, len(data) // 2):
        return None
    chain = tuple(earlier.link for earlier in values)
    return Delta(number, chain, body, epoch)
