"""One user's share of an open file: taken at once, let go of at the latest as garbage.

Who the user is, and what is done with the file, is not known here.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from nbflow._database.database import open_database
from nbflow.errors import StoreClosedError

if TYPE_CHECKING:
    import os

__all__ = ["Share"]


class Share:
    """A share of an open file.

    Parameters
    ----------
    user : object
        Whose share it is: when it is garbage, the share is let go of.
    path : str or path
        The file; see `open_database`, and its errors.
    holder : str
        Who opens it, told to another process that wants the file.

    Attributes
    ----------
    database : Database
        The open file.
    """

    def __init__(
        self, user: object, path: str | os.PathLike[str], holder: str = ""
    ) -> None:
        self.database = open_database(path, holder)
        self._user = type(user).__name__
        # A finalizer may run anywhere, so it waits for nothing.
        self._let_go = weakref.finalize(user, self.database.writer.release_later)
        self._let_go.atexit = False

    @property
    def is_closed(self) -> bool:
        """Whether it was let go of, or the file could not be written any more."""
        return not self._let_go.alive or self.database.writer.is_closed

    def check(self) -> None:
        """Raise StoreClosedError if nothing can be read or written by it any more."""
        if not self._let_go.alive:
            raise StoreClosedError(
                f"This {self._user} of {self.database.path!r} is closed.\n"
                f"Make a new {self._user} with that path."
            )
        self.database.writer.check()  # In a forked child no lock may be waited for.

    def close(self) -> None:
        """Write what is queued and let go; a second call does nothing."""
        if self._let_go.detach() is not None:
            self.database.writer.release()
