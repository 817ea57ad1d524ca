"""What a line of `%%workflow` or `%workflow` asks for, as frozen values.

They hold text as it was written: an expression is still to be evaluated, a thread
still to be found. Nothing here knows how a line is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from nbflow.session.api import CHECKPOINTS_SHOWN, THREADS_SHOWN

if TYPE_CHECKING:
    from nbflow._values import Durability, OnDivergence, Replay, StreamMode

__all__ = [
    "CancelCommand",
    "CellOptions",
    "CompactCommand",
    "DeleteCommand",
    "DoctorCommand",
    "ExportCommand",
    "ForkCommand",
    "HelpCommand",
    "HistoryCommand",
    "HouseCommand",
    "ImportCommand",
    "LineCommand",
    "PendingCommand",
    "PruneCommand",
    "ResumeCommand",
    "RunCommand",
    "RunOptions",
    "ShowCommand",
    "SizeCommand",
    "SnapshotCommand",
    "SqlCommand",
    "StoreCommand",
    "TasksCommand",
    "ThreadsCommand",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a run is run, begun or continued.

    Attributes
    ----------
    wait : bool
        Keep the cell busy until a person has answered.
    background : bool
        Let the cell end at once.
    out : str or None
        Variable that the result is bound to.
    replay : str or None
        What a continued run reuses; None is the workflow's own choice.
    on_divergence : str or None
        What happens where the body asks for other calls than before; None is the
        workflow's own choice.
    stream : tuple of str
        Stream modes whose chunks are printed.
    durability : str or None
        When finished tasks are on disk; None is what `%config NBFlow` says.
    max_concurrency : int or None
        How many tasks run at once; None is the engine's default.
    answers : str or None
        File with answers.
    force : bool
        Go on though a task of a stopped run still holds the thread.
    panel : bool
        Whether the run's panel is shown.
    """

    wait: bool = False
    background: bool = False
    out: str | None = None
    replay: Replay | None = None
    on_divergence: OnDivergence | None = None
    stream: tuple[StreamMode, ...] = ()
    durability: Durability | None = None
    max_concurrency: int | None = None
    answers: str | None = None
    force: bool = False
    panel: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CellOptions(RunOptions):
    """What `%%workflow` was told, and `%workflow run` after its name.

    Attributes
    ----------
    name : str or None
        The workflow.
    input : str or None
        Python expression of the input.
    thread : str or None
        The thread; None is the workflow's name.
    new : bool
        Always begin a new run.
    once : bool
        Take the result of a finished run of the same code and input.
    resume : str or None
        Python expression of the answer to the pending question.
    """

    name: str | None = None
    input: str | None = None
    thread: str | None = None
    new: bool = False
    once: bool = False
    resume: str | None = None


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Run a workflow of the notebook.

    Attributes
    ----------
    name : str
        The workflow's variable, perhaps with dots.
    options : CellOptions
        As in a cell; its `name` is the same.
    """

    name: str
    options: CellOptions


@dataclass(frozen=True, slots=True)
class ResumeCommand:
    """Continue a thread, with an answer or without.

    Attributes
    ----------
    thread : str
        The thread.
    answer : str or None
        Python expression of the answer; None continues without one.
    interrupt_id : str or None
        The question that is answered; None is the only one.
    options : RunOptions
        How it runs on.
    """

    thread: str
    answer: str | None
    interrupt_id: str | None
    options: RunOptions


@dataclass(frozen=True, slots=True)
class ForkCommand:
    """Fork a run before one of its calls, and go on with the fork.

    Attributes
    ----------
    run : str
        The run, or a thread's newest.
    before : str
        The call.
    result : str or None
        Python expression of what takes the place of its result; None replaces nothing.
    options : RunOptions
        How it runs on.
    """

    run: str
    before: str
    result: str | None
    options: RunOptions


@dataclass(frozen=True, slots=True)
class CancelCommand:
    """Stop a thread's run, or with None the only one that is running."""

    thread: str | None


@dataclass(frozen=True, slots=True)
class ThreadsCommand:
    """List the threads of the store, the newest so many."""

    limit: int = THREADS_SHOWN


@dataclass(frozen=True, slots=True)
class HistoryCommand:
    """Show the newest checkpoints of a thread; None is the thread used last."""

    thread: str | None
    limit: int = CHECKPOINTS_SHOWN


@dataclass(frozen=True, slots=True)
class PendingCommand:
    """Show the pending questions of a thread, or with None of all."""

    thread: str | None


@dataclass(frozen=True, slots=True)
class ShowCommand:
    """Show the panel of a run or of a thread's last run; None is the last run."""

    target: str | None


@dataclass(frozen=True, slots=True)
class StoreCommand:
    """Name the store, or with a path use another."""

    path: str | None


@dataclass(frozen=True, slots=True)
class TasksCommand:
    """List the task calls of a run, or a thread's newest; None is the run used last."""

    run: str | None


@dataclass(frozen=True, slots=True)
class SqlCommand:
    """Ask the history in SQL."""

    query: str


@dataclass(frozen=True, slots=True)
class SizeCommand:
    """Say what each thread takes."""


@dataclass(frozen=True, slots=True)
class SnapshotCommand:
    """Copy the store into a new file."""

    path: str


@dataclass(frozen=True, slots=True)
class DeleteCommand:
    """Delete a thread.

    Attributes
    ----------
    thread : str
        The thread.
    purge : bool
        Free its bytes at once.
    """

    thread: str
    purge: bool = False


@dataclass(frozen=True, slots=True)
class PruneCommand:
    """Drop old runs.

    Attributes
    ----------
    keep_last : int or None
        How many runs each thread keeps whatever their age.
    older_than : str or None
        The age from which on runs may go, such as ``30d``.
    """

    keep_last: int | None = None
    older_than: str | None = None


@dataclass(frozen=True, slots=True)
class DoctorCommand:
    """Look at a store's file; None is the session's."""

    path: str | None


@dataclass(frozen=True, slots=True)
class ExportCommand:
    """Write a thread into one file.

    Attributes
    ----------
    thread : str
        The thread.
    path : str
        The file.
    redact : bool
        Leave out what stands under secret names.
    """

    thread: str
    path: str
    redact: bool = False


@dataclass(frozen=True, slots=True)
class ImportCommand:
    """Read a thread from such a file.

    Attributes
    ----------
    path : str
        The file.
    thread : str or None
        Its name here; None is the one it had.
    trusted : bool
        Rebuild its author's classes.
    """

    path: str
    thread: str | None = None
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class CompactCommand:
    """Free the bytes of what was deleted."""


@dataclass(frozen=True, slots=True)
class HelpCommand:
    """Print a text that explains."""

    text: str


HouseCommand: TypeAlias = (
    TasksCommand
    | SqlCommand
    | SizeCommand
    | SnapshotCommand
    | DeleteCommand
    | PruneCommand
    | CompactCommand
    | ExportCommand
    | ImportCommand
    | DoctorCommand
)
"""What is done with the store itself."""

LineCommand: TypeAlias = (
    RunCommand
    | ResumeCommand
    | ForkCommand
    | CancelCommand
    | ThreadsCommand
    | HistoryCommand
    | PendingCommand
    | ShowCommand
    | HouseCommand
    | StoreCommand
    | HelpCommand
)
