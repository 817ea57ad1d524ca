"""The lines about the store itself: what is in it, and how it is kept small.

As in `arguments`, a command is a row; what it asks for is the session's to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, assert_never

from nbflow.magics.commands import (
    CompactCommand,
    DeleteCommand,
    DoctorCommand,
    ExportCommand,
    HouseCommand,
    ImportCommand,
    PruneCommand,
    SizeCommand,
    SnapshotCommand,
    SqlCommand,
    TasksCommand,
)
from nbflow.magics.grammar import Grammar, Option, Values, Words, refusal
from nbflow.session import housekeeping
from nbflow.session.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HOUSEKEEPING", "keep_house"]

_Build: TypeAlias = "Callable[[Words, Values], HouseCommand]"

_TASKS: Final = Grammar(
    "%workflow tasks",
    ("[RUN_OR_THREAD]",),
    "List the task calls of a run, or of a thread's newest: how each went, how long it "
    "took, and where its result is from.",
    ("%workflow tasks", "%workflow tasks review", "%workflow tasks 1f0e2d3c"),
)

_SQL: Final = Grammar(
    "%workflow sql",
    ("QUERY",),
    "Ask the history in SQL. The views are threads, runs, tasks, checkpoints, "
    "interrupts, failures, events and more; what they and their columns hold, in which "
    "unit, is a comment on each. A cell that begins with %%workflow sql holds a longer "
    "query. Nothing can be changed.",
    (
        "%workflow sql from threads",
        "%workflow sql select name, avg(run_seconds) from tasks group by name",
        "%workflow sql select view_name, comment from duckdb_views",
        (
            "%workflow sql select column_name, comment from duckdb_columns "
            "where table_name='tasks'"
        ),
    ),
)

_SIZE: Final = Grammar(
    "%workflow size",
    (),
    "Say what each thread takes. Its rows count as they are stored, and a file of a "
    "large value for each thread that shares it.",
    ("%workflow size",),
)

_SNAPSHOT: Final = Grammar(
    "%workflow snapshot",
    ("PATH",),
    "Copy the store as it is now into a new file; runs go on meanwhile.",
    ("%workflow snapshot monday.duckdb",),
)

_DELETE: Final = Grammar(
    "%workflow delete",
    ("THREAD",),
    "Delete a thread.",
    ("%workflow delete review", "%workflow delete review --purge"),
    (Option(("--purge",), "purge", "free its bytes at once, not at a later compact"),),
)

_PRUNE: Final = Grammar(
    "%workflow prune",
    (),
    "Drop old runs and free their bytes. A run that can be continued is kept, and "
    "what the next run of a kept thread needs. A thread whose every run may go, goes "
    "as a whole.",
    ("%workflow prune --keep-last 10", "%workflow prune --older-than 30d"),
    (
        Option(
            ("--keep-last",),
            "keep_last",
            "how many runs each thread keeps whatever their age",
            placeholder="COUNT",
        ),
        Option(
            ("--older-than",),
            "older_than",
            "the age from which on runs may go, like 90m, 12h, 30d or 8w",
            placeholder="AGE",
        ),
    ),
)

_COMPACT: Final = Grammar(
    "%workflow compact",
    (),
    "Free the bytes of what was deleted.",
    ("%workflow compact",),
)


_EXPORT: Final = Grammar(
    "%workflow export",
    ("THREAD", "PATH"),
    "Write everything of a thread into one new file, to be given to others.",
    ("%workflow export review review.zip", "%workflow export review r.zip --redact"),
    (
        Option(
            ("--redact",),
            "redact",
            "leave out what stands under secret names such as api_key and token, and "
            "the texts of arguments; code and errors are kept as they are",
        ),
    ),
)

_IMPORT: Final = Grammar(
    "%workflow import",
    ("PATH",),
    "Read a thread from such a file into the store. Nothing in it is run.",
    ("%workflow import review.zip", "%workflow import review.zip -t theirs"),
    (
        Option(
            ("-t", "--thread"),
            "thread",
            "the thread's name here; by default the one it had",
            placeholder="THREAD",
        ),
        Option(
            ("--trusted",),
            "trusted",
            "it is your own: rebuild your classes, not only built-in ones",
        ),
    ),
)

_DOCTOR: Final = Grammar(
    "%workflow doctor",
    ("[PATH]",),
    "Look at a store's file, its rows, its large values, its runs and its disk, and "
    "say what to do.",
    ("%workflow doctor", "%workflow doctor .nbflow/yesterday.duckdb"),
)


def keep_house(command: HouseCommand) -> Any:  # noqa: C901 - a case each
    """Do what such a line says, and return what the cell shows."""
    match command:
        case TasksCommand(run=run):
            return housekeeping.tasks(run)
        case SqlCommand(query=query):
            return Table(housekeeping.sql(query))
        case SizeCommand():
            return housekeeping.sizes()
        case SnapshotCommand(path=path):
            print(housekeeping.snapshot(path))  # noqa: T201 - what it did
        case DeleteCommand(thread=thread, purge=purge):
            housekeeping.delete_thread(thread, purge=purge)
            freed = ", and its bytes are freed" if purge else ""
            print(f"Thread {thread!r} is deleted{freed}.")  # noqa: T201 - what it did
        case PruneCommand(keep_last=keep_last, older_than=older_than):
            done = housekeeping.prune(keep_last=keep_last, older_than=older_than)
            print(done)  # noqa: T201 - what it did
        case CompactCommand():
            print(housekeeping.compact())  # noqa: T201 - what it did
        case ExportCommand(thread=thread, path=path, redact=redact):
            print(housekeeping.export_thread(thread, path, redact=redact))  # noqa: T201 - what it did
        case ImportCommand(path=path, thread=name, trusted=trusted):
            thread = housekeeping.import_thread(path, thread_id=name, trusted=trusted)
            print(f"Thread {thread!r} is in the store.")  # noqa: T201 - what it did
        case DoctorCommand(path=path):
            return housekeeping.doctor(path)
        case _:
            assert_never(command)
    return None


def _prune(_: Words, values: Values) -> PruneCommand:
    count = values.get("keep_last")
    if count is not None and not count.isdecimal():
        raise refusal(_PRUNE, f"--keep-last takes a count, not {count!r}.")
    keep_last = None if count is None else int(count)
    return PruneCommand(keep_last, values.get("older_than"))


HOUSEKEEPING: Final[dict[str, tuple[Grammar, _Build]]] = {
    "tasks": (_TASKS, lambda words, _: TasksCommand(words[0] if words else None)),
    "sql": (_SQL, lambda words, _: SqlCommand(words[0])),
    "size": (_SIZE, lambda _words, _values: SizeCommand()),
    "snapshot": (_SNAPSHOT, lambda words, _: SnapshotCommand(words[0])),
    "delete": (_DELETE, lambda words, values: DeleteCommand(words[0], **values)),
    "prune": (_PRUNE, _prune),
    "export": (
        _EXPORT,
        lambda words, values: ExportCommand(words[0], words[1], **values),
    ),
    "import": (_IMPORT, lambda words, values: ImportCommand(words[0], **values)),
    "doctor": (_DOCTOR, lambda words, _: DoctorCommand(words[0] if words else None)),
    "compact": (_COMPACT, lambda _words, _values: CompactCommand()),
}
"""Each of these commands by its word."""
