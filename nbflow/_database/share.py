"""One user's share of an open file: taken at once, let go of at the latest as garbage.

Who the user is, and what is done with the file, is not known here.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Self

from nbflow._database.database import open_database
from nbflow.errors import StoreClosedError

if TYPE_CHECKING:
    import os
    from types import TracebackType

__all__ = ["FileUser", "Share"]


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


class FileUser:
    """What keeps its things in an open file: where that is, and how it is let go of.

    Parameters
    ----------
    path : str or path
        The file; see `open_database`, and its errors.
    holder : str
        Who opens it, told to another process that wants the file.
    """

    def __init__(self, path: str | os.PathLike[str], holder: str) -> None:
        self._share = Share(self, path, holder)
        self._database = self._share.database

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.location!r})"

    @property
    def location(self) -> str:
        """The file's path, without symbolic links."""
        return self._database.path

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, or its file could not be written any more."""
        return self._share.is_closed

    def close(self) -> None:
        """Write what is queued and let go of the file; a second call does nothing."""
        self._share.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
