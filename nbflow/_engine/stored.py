"""What a task or a workflow left, read again for a body.

Whether a pickle is unpickled is up to whoever opened the saver, never to what is
stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow import serde
from nbflow.errors import PickleNotAllowedError

if TYPE_CHECKING:
    from nbflow.checkpoint.base import BaseCheckpointSaver

__all__ = ["read_again"]


def read_again(
    data: bytes, saver: BaseCheckpointSaver | None, task: str, *, own: bool = False
) -> Any:
    """Return a fresh copy of a stored result.

    Parameters
    ----------
    saver : BaseCheckpointSaver or None
        Where it was read.
    task : str
        The task or workflow whose result it is.
    own : bool, default False
        Whether this very stretch encoded it, so that no file had a say in it.

    Raises
    ------
    PickleNotAllowedError
        It is a pickle, and the saver was not opened for them.
    """
    pickles = own or (saver is not None and saver.allow_pickle)
    try:
        return serde.decode(data, pickles=pickles)
    except PickleNotAllowedError as error:
        location = "" if saver is None else saver.location
        raise PickleNotAllowedError(
            error.type_name, task=task, location=location
        ) from None
