"""What is stored, read again: for a body, or for whoever looks at it.

A body gets a value as it was or an error that says what to do, never a mark in the
place of a secret. Whether a pickle is unpickled is up to whoever opened the saver,
never to what is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from nbflow import serde
from nbflow.errors import PickleNotAllowedError, RedactedValueError

if TYPE_CHECKING:
    from nbflow.checkpoint.base import BaseCheckpointSaver

__all__ = ["hand_over", "read_again"]

What: TypeAlias = Literal["answer", "input", "previous", "result"]
_HINTS: Final[dict[What, str]] = {
    "answer": "Fork the run before that question, with the whole answer as its result.",
    "input": "Begin a new run of the thread with the whole input.",
    "previous": "Give the thread a whole value with update_state, and begin a new run.",
    "result": "Begin a new run of the thread with its input.",
}


def hand_over(
    data: bytes,
    saver: BaseCheckpointSaver | None,
    task: str,
    what: What,
    *,
    own: bool = False,
) -> Any:
    """Return a fresh copy of a stored value that a body is about to get.

    Parameters
    ----------
    saver : BaseCheckpointSaver or None
        Where it was read.
    task : str
        The task or workflow whose value it is.
    what : {"answer", "input", "previous", "result"}
        What the body gets.
    own : bool, default False
        Whether this very stretch encoded it, so that no file had a say in it.

    Raises
    ------
    RedactedValueError
        Something was left out of it.
    PickleNotAllowedError
        It is a pickle, and the saver was not opened for them.
    """
    try:
        return _read(data, saver, task, own=own, whole=True)
    except RedactedValueError:
        looked_at = serde.decode(data, opaque=True)
    paths = serde.redacted_paths(looked_at, what)
    raise RedactedValueError(paths, task=task, hint=_HINTS[what])


def read_again(data: bytes, saver: BaseCheckpointSaver | None, task: str) -> Any:
    """Return a fresh copy of what a task or workflow left, for whoever asks for it.

    Raises
    ------
    PickleNotAllowedError
        It is a pickle, and the saver was not opened for them.
    """
    return _read(data, saver, task)


def _read(
    data: bytes,
    saver: BaseCheckpointSaver | None,
    task: str,
    *,
    own: bool = False,
    whole: bool = False,
) -> Any:
    pickles = own or (saver is not None and saver.allow_pickle)
    try:
        return serde.decode(data, pickles=pickles, whole=whole)
    except PickleNotAllowedError as error:
        location = "" if saver is None else saver.location
        raise PickleNotAllowedError(
            error.type_name, task=task, location=location
        ) from None
