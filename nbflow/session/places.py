"""Where a kernel keeps its history: which file, and why that one.

Only paths are decided here, from what is handed in. Nothing here opens a store
or knows what one is made of.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any, Final

from nbflow.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FoundStore",
    "StorePlace",
    "default_store",
    "make_folder",
    "orphans",
    "store_name",
]

VARIABLE: Final = "NBFLOW_STORE"
_LINE: Final = "%workflow store"
FOLDER: Final = ".nbflow"
_SUFFIX: Final = ".duckdb"
_PROCESS: Final = "process-"
_PROCESS_FILE: Final = re.compile(r"process-\d{8}T\d{6}Z-\d+\.duckdb")
# What Jupyter opens as a notebook, some of it through jupytext.
_NOTEBOOKS: Final = frozenset({".ipynb", ".md", ".py", ".qmd", ".rmd"})
# What no file system, or not each of them, takes in a name.
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]|^[ .]|[ .]$')
_LONGEST: Final = 180
"""Bytes of a name, so that the database's own endings still fit into 255."""


@dataclass(frozen=True, slots=True)
class StorePlace:
    """The file that holds a kernel's history.

    Attributes
    ----------
    path : Path
        The database file, absolute.
    notebook : Path or None
        The kernel's notebook, where one is known.
    reason : str
        Why it is this file, for people.
    is_own_file : bool
        Whether it belongs to this process alone: nobody will look for it, so its
        path is printed when a run pauses or fails.
    """

    path: Path
    notebook: Path | None
    reason: str
    is_own_file: bool = False


@dataclass(frozen=True, slots=True)
class FoundStore:
    """A store that no notebook beside it claims.

    Attributes
    ----------
    path : Path
        The database file.
    size : int
        Its bytes.
    modified : datetime
        When it was last written to, in UTC.
    is_process_file : bool
        Whether a process without a notebook made it.
    """

    path: Path
    size: int
    modified: datetime
    is_process_file: bool = False

    @property
    def adopt(self) -> str:
        """The line that makes it the store of a notebook."""
        return f"%workflow store {shlex.quote(str(self.path))}"


def default_store(
    environ: Mapping[str, str],
    namespace: Mapping[str, Any],
    cwd: Path,
    pid: int,
    *,
    asked: str | None = None,
    now: datetime | None = None,
) -> StorePlace:
    """Return where a kernel keeps its history.

    The first of these that is known: the file that was asked for; the one that
    ``NBFLOW_STORE`` names; ``.nbflow/<notebook>.duckdb`` beside the notebook that
    VS Code or Jupyter names; a new file of this process in ``.nbflow`` in the
    working folder.

    Parameters
    ----------
    environ : mapping
        The environment's variables.
    namespace : mapping
        The notebook's variables.
    cwd : Path
        The working folder, absolute.
    pid : int
        The process.
    asked : str, optional
        The file that ``%workflow store`` names.
    now : datetime, optional
        Aware; it makes the name of a process's own file unlike that of another
        process that had the same id. By default the clock's time.

    Returns
    -------
    StorePlace
        The place; nothing is created. Called again it may name another file of
        its own: the caller keeps the first.

    Raises
    ------
    StoreUnavailableError
        What is asked for, or named by ``NBFLOW_STORE``, is a folder, or lies below
        an unknown home.
    """
    notebook = _notebook(environ, namespace, cwd)
    for named, by in ((asked, _LINE), (environ.get(VARIABLE, "").strip(), VARIABLE)):
        if named:
            return StorePlace(_named(named, by, cwd), notebook, f"{by} names it")
    if notebook is not None:
        path = notebook.parent / FOLDER / store_name(notebook)
        return StorePlace(path, notebook, f"beside the notebook {notebook.name}")
    stamp = (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    return StorePlace(
        cwd / FOLDER / f"{_PROCESS}{stamp}-{pid}{_SUFFIX}",
        None,
        f"no notebook is known here, so it is this process's own; set {VARIABLE} to "
        "keep one file",
        is_own_file=True,
    )


def store_name(notebook: Path) -> str:
    """Return the file name of a notebook's store.

    Parameters
    ----------
    notebook : Path
        The notebook; only its name counts.

    Returns
    -------
    str
        The notebook's name with another ending. Where that could not be a file's
        name everywhere, what could not is replaced, and a few digits keep it
        unlike others.

    Examples
    --------
    >>> store_name(Path("reports/My penguins.ipynb"))
    'My penguins.duckdb'
    """
    name = notebook.stem
    kept = os.fsencode(_UNSAFE.sub("_", name))[:_LONGEST].decode(errors="ignore")
    if kept != name or _PROCESS_FILE.fullmatch(f"{name}{_SUFFIX}"):
        digits = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
        kept = f"{kept}-{digits}"
    return f"{kept}{_SUFFIX}"


def orphans(folder: Path) -> list[FoundStore]:
    """Return the stores of a folder whose notebook is gone, as after a renaming.

    Parameters
    ----------
    folder : Path
        A ``.nbflow`` folder; its notebooks lie beside it.

    Returns
    -------
    list of FoundStore
        The last written first; files of processes without a notebook included.
        Empty where there is no such folder, or where it can't be read.
    """
    try:
        claimed = {
            store_name(file)
            for file in folder.parent.iterdir()
            if file.suffix.lower() in _NOTEBOOKS
        }
        found = [
            _found(file)
            for file in folder.glob(f"*{_SUFFIX}")
            if file.name not in claimed and file.is_file()
        ]
    except OSError:
        return []
    return sorted(found, key=lambda store: (store.modified, store.path), reverse=True)


def make_folder(path: Path) -> None:
    """Make the folder that a store's file will lie in.

    A ``.nbflow`` folder gets a ``.gitignore`` of ``*``: what is kept there may be
    private, and is no source.

    Parameters
    ----------
    path : Path
        The store's file.

    Raises
    ------
    StoreUnavailableError
        The folder can't be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        ignore = path.parent / ".gitignore"
        if path.parent.name == FOLDER and not ignore.exists():
            ignore.write_text("*\n", encoding="ascii")
    except OSError as error:
        raise StoreUnavailableError(
            f"The folder {str(path.parent)!r} can't be used for the store: "
            f"{error.strerror or error}.\nMake it writable, or use another file: "
            f"%workflow store PATH, or the environment variable {VARIABLE}."
        ) from error


def _named(text: str, by: str, cwd: Path) -> Path:
    try:
        path = cwd / Path(text).expanduser()
    except RuntimeError as error:  # a home folder that this machine does not know
        raise StoreUnavailableError(
            f"{by} names {text!r}: {error}.\nName a file by its whole path."
        ) from error
    if path.is_dir():
        raise StoreUnavailableError(
            f"{by} names {text!r}, which is a folder.\n"
            f"Name a file in it, as {str(path / 'history.duckdb')!r}."
        )
    return path


def _notebook(
    environ: Mapping[str, str], namespace: Mapping[str, Any], cwd: Path
) -> Path | None:
    # VS Code names the notebook that is open. What it tells a server as the
    # session's name, and so Jupyter's variable, is a name of its own making; but
    # where that server is on another machine, VS Code's path means nothing here.
    vscode = namespace.get("__vsc_ipynb_file__")
    if isinstance(vscode, str) and (found := _located(vscode, cwd)) is not None:
        return found
    return _located(environ.get("JPY_SESSION_NAME", ""), cwd)


def _located(name: str, cwd: Path) -> Path | None:
    """Return the notebook that a name stands for, where its folder exists here."""
    path = cwd / name
    if path.suffix.lower() != ".ipynb" and not path.is_file():
        return None  # a console, or a session that was given no file's name
    if path.is_file() or (path.parent.is_dir() and Path(name).is_absolute()):
        return path
    if Path(name).is_absolute() or PureWindowsPath(name).is_absolute():
        return None
    # Relative to the server's folder, which a kernel does not know; a kernel is
    # started in its notebook's.
    return cwd / path.name


def _found(file: Path) -> FoundStore:
    status = file.stat()
    return FoundStore(
        path=file,
        size=status.st_size,
        modified=datetime.fromtimestamp(status.st_mtime, UTC),
        is_process_file=_PROCESS_FILE.fullmatch(file.name) is not None,
    )
