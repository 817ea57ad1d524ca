"""The words of `%%workflow` and `%workflow`: a line of text to a frozen value.

One table holds the options, another the commands: a new one is a row here and a
field or a value in `commands`. Nothing here knows of IPython.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, get_args

from nbflow._values import Durability, OnDivergence, Replay, StreamMode
from nbflow.errors import UsageError
from nbflow.magics.commands import (
    CancelCommand,
    CellOptions,
    ForkCommand,
    HelpCommand,
    HistoryCommand,
    LineCommand,
    PendingCommand,
    ResumeCommand,
    RunCommand,
    RunOptions,
    ShowCommand,
    StoreCommand,
    ThreadsCommand,
)
from nbflow.magics.grammar import (
    HELP,
    Grammar,
    Option,
    Values,
    Words,
    checked_name,
    nearest,
    read,
    refusal,
)
from nbflow.magics.upkeep import HOUSEKEEPING
from nbflow.magics.usage import EXPRESSIONS, explain, overview
from nbflow.session.answers import FORMAT
from nbflow.session.api import CHECKPOINTS_SHOWN, THREADS_SHOWN

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["parse_cell_line", "parse_line"]

_Build: TypeAlias = "Callable[[Words, Values], LineCommand]"

_HOW: Final = (
    Option(
        ("--wait",),
        "wait",
        "keep the cell busy until the questions are answered",
    ),
    Option(
        ("--background",),
        "background",
        "let the cell end at once; the run and its panel go on",
        excludes=("wait",),
    ),
    Option(
        ("--out",),
        "out",
        "bind the result to a variable, also when it arrives later",
        placeholder="NAME",
    ),
    Option(
        ("--replay",),
        "replay",
        "what a continued run reuses: finished calls whose code and arguments are "
        "unchanged (changed), those before the first change (prefix), all or none",
        placeholder="|".join(get_args(Replay)),
        choices=get_args(Replay),
    ),
    Option(
        ("--on-divergence",),
        "on_divergence",
        "what happens where unchanged code asks for another call than before: go on "
        "with the recorded result and warn, stop, or run the call",
        placeholder="|".join(get_args(OnDivergence)),
        choices=get_args(OnDivergence),
    ),
    Option(
        ("--stream",),
        "stream",
        "print what happens as it happens: one mode, or several with commas "
        "(updates,custom); messages prints the tokens of chat models",
        placeholder="MODES",
        choices=get_args(StreamMode),
        several=True,
    ),
    Option(
        ("--durability",),
        "durability",
        "when a finished task is on disk: before its result is used (sync), soon "
        "after (async), or when the run ends (exit)",
        placeholder="|".join(get_args(Durability)),
        choices=get_args(Durability),
    ),
    Option(
        ("--max-concurrency",),
        "max_concurrency",
        "how many tasks run at once",
        placeholder="N",
        at_least=1,
    ),
    Option(
        ("--answers",),
        "answers",
        "take answers from a JSON file (%workflow help answers)",
        placeholder="FILE",
    ),
    Option(("--force",), "force", "go on though a stopped run's task holds the thread"),
    Option(
        ("--no-panel",),
        "panel",
        "show the run as text, without a panel",
        switched_to=False,
    ),
)
"""How a run is run, whether it begins or goes on: the fields of `RunOptions`."""

_WHAT: Final = (
    Option(("-i", "--input"), "input", "the input of a new run", placeholder="EXPR"),
    Option(
        ("-t", "--thread"),
        "thread",
        "the thread; by default the workflow's name",
        placeholder="THREAD",
    ),
    Option(
        ("--new",),
        "new",
        "begin a new run, also where one could be continued",
    ),
    Option(
        ("--once",),
        "once",
        "take the result of a finished run where code and input are the same",
        excludes=("new",),
    ),
    Option(
        ("--resume",),
        "resume",
        "answer the pending question and go on",
        placeholder="EXPR",
        excludes=("input", "new", "once"),
    ),
)
"""What is run: the other fields of `CellOptions`."""

_WHICH: Final = (
    Option(
        ("--id",),
        "interrupt_id",
        "the question that is answered, where several are pending",
        placeholder="ID",
    ),
)

_CELL: Final = Grammar(
    "%%workflow",
    ("[NAME]",),
    "Run the cell as a workflow whose finished steps are kept. It defines functions "
    "with @entrypoint, of which NAME or the last is run; or it is the workflow itself, "
    "with inputs and previous at hand and its return or last expression as the "
    "result. Run again, it continues an unfinished run of the same input, else it "
    "begins a new one.",
    (
        '%%workflow review -i {"n": 3}',
        "%%workflow -i df.head(20) -t nightly --new",
        '%%workflow review --resume {"action": "continue"}',
        "%%workflow review --once --out summary",
    ),
    (*_WHAT, *_HOW),
)

_RUN: Final = Grammar(
    "%workflow run",
    ("NAME",),
    "Run a workflow of this notebook, as its cell would.",
    ('%workflow run review -i {"n": 3}', "%workflow run flows.review --once"),
    (*_WHAT, *_HOW),
)

_RESUME: Final = Grammar(
    "%workflow resume",
    ("THREAD", "[EXPR]"),
    "Answer what a thread asks, or continue it after an error, a stop or a lost "
    "kernel.",
    (
        '%workflow resume review "yes"',
        '%workflow resume review {"action": "continue"} --id 3f2a...',
        "%workflow resume review",
    ),
    (*_WHICH, *_HOW),
)

_AT: Final = (
    Option(
        ("--before",),
        "before",
        "the call to fork before: a task's name, or interrupt; name#2 is the second of "
        "several, as %workflow tasks shows them; or an id",
        placeholder="CALL",
    ),
    Option(
        ("--set",),
        "set",
        "what takes the place of that call's result, or of the answer to that question",
        placeholder="EXPR",
    ),
)

_FORK_FIELDS: Final = frozenset(option.field for option in _AT)

_FORK: Final = Grammar(
    "%workflow fork",
    ("RUN_OR_THREAD",),
    "Try a run again from one of its calls on: what stands before the call is kept, "
    "and the run stays as it is. A thread means its newest run; %workflow history "
    "shows the ids of others.",
    (
        "%workflow fork review --before draft",
        '%workflow fork review --before draft --set "a text of my own"',
        "%workflow fork 1f0e2d3c --before interrupt#2",
    ),
    (*_AT, *_HOW),
)

_CANCEL: Final = Grammar(
    "%workflow cancel",
    ("[THREAD]",),
    "Stop a run; it can be continued.",
    ("%workflow cancel", "%workflow cancel review"),
)


def _limit(things: str, usually: int) -> Option:
    text = f"how many {things} at most, the newest first; {usually:,} by default"
    return Option(("--limit",), "limit", text, placeholder="COUNT", at_least=1)


_THREADS: Final = Grammar(
    "%workflow threads",
    (),
    "List the threads of the store.",
    ("%workflow threads", "%workflow threads --limit 20"),
    (_limit("threads", THREADS_SHOWN),),
)

_HISTORY: Final = Grammar(
    "%workflow history",
    ("[THREAD]",),
    "Show a thread's runs and what each of them did.",
    ("%workflow history", "%workflow history review --limit 20"),
    (_limit("checkpoints", CHECKPOINTS_SHOWN),),
)

_PENDING: Final = Grammar(
    "%workflow pending",
    ("[THREAD]",),
    "Show the questions that wait for an answer.",
    ("%workflow pending", "%workflow pending review"),
)

_SHOW: Final = Grammar(
    "%workflow show",
    ("[RUN_OR_THREAD]",),
    "Show a run's panel again, from what is stored.",
    ("%workflow show", "%workflow show review"),
)

_STORE: Final = Grammar(
    "%workflow store",
    ("[PATH]",),
    "Say where the history is kept, or keep it in another file from now on.",
    ("%workflow store", "%workflow store .nbflow/yesterday.duckdb"),
)

_HELP: Final = Grammar(
    "%workflow help",
    ("[TOPIC]",),
    "Explain a command, or one of: cell, expressions, answers.",
    ("%workflow help", "%workflow help run", "%workflow help answers"),
)


def parse_cell_line(line: str) -> CellOptions | HelpCommand:
    """Return what the line of a `%%workflow` cell says.

    Parameters
    ----------
    line : str
        The text after ``%%workflow``.

    Returns
    -------
    CellOptions or HelpCommand
        The second for ``-h`` and ``--help``.

    Raises
    ------
    UsageError
        An option is unknown, lacks its value, stands twice or beside one that
        excludes it; an expression is no Python; a name is no Python name.

    Examples
    --------
    >>> parse_cell_line('review -i {"n": 3} --once').input
    '{"n": 3}'
    """
    found = read(_CELL, line)
    if found is None:
        return HelpCommand(explain(_CELL))
    words, values = found
    name = checked_name(_CELL, "NAME", words[0]) if words else None
    return CellOptions(name=name, **values)


def parse_line(line: str) -> LineCommand:
    """Return what the line after `%workflow` says.

    Parameters
    ----------
    line : str
        The text after ``%workflow``; where it is empty, help is asked for.

    Returns
    -------
    LineCommand
        One of the closed union of commands.

    Raises
    ------
    UsageError
        The command is unknown or misses a word; else as `parse_cell_line`.

    Examples
    --------
    >>> parse_line("history 'my thread'")
    HistoryCommand(thread='my thread', limit=100)
    """
    name, *rest = line.split(maxsplit=1) or ["help"]
    if name in HELP.flags:
        return HelpCommand(_overview())
    if name not in _COMMANDS:
        raise UsageError(
            f"There is no command {name!r}.{nearest(name, _COMMANDS)}\n"
            f"Usage: %workflow {' | '.join(_COMMANDS)}\n"
            "Help: %workflow help"
        )
    grammar, build = _COMMANDS[name]
    found = read(grammar, "".join(rest))
    return HelpCommand(explain(grammar)) if found is None else build(*found)


def _run(words: Words, values: Values) -> RunCommand:
    name = checked_name(_RUN, "NAME", words[0], dots=True)
    return RunCommand(name, CellOptions(name=name, **values))


def _resume(words: Words, values: Values) -> ResumeCommand:
    how = {name: value for name, value in values.items() if name != "interrupt_id"}
    interrupt_id = values.get("interrupt_id")
    answer = words[1] if len(words) > 1 else None
    if interrupt_id is not None and answer is None:
        raise refusal(_RESUME, "--id says which question, but there is no answer EXPR.")
    return ResumeCommand(words[0], answer, interrupt_id, RunOptions(**how))


def _fork(words: Words, values: Values) -> ForkCommand:
    how = {name: value for name, value in values.items() if name not in _FORK_FIELDS}
    before = values.get("before")
    if before is None:
        raise refusal(_FORK, "%workflow fork needs --before CALL.")
    return ForkCommand(words[0], before, values.get("set"), RunOptions(**how))


def _help(words: Words, _: Values) -> HelpCommand:
    topic = (_first(words) or "help").lstrip("%").lower()
    if topic == "help":
        return HelpCommand(_overview())
    texts = {
        **{name: explain(grammar) for name, (grammar, _) in _COMMANDS.items()},
        "cell": explain(_CELL),
        "expressions": EXPRESSIONS,
        "answers": FORMAT,
    }
    text = texts.get({"workflow": "cell", "expr": "expressions"}.get(topic, topic))
    if text is None:
        raise UsageError(
            f"There is no help on {topic!r}.{nearest(topic, texts)}\n"
            f"Topics: {', '.join(texts)}"
        )
    return HelpCommand(text)


def _overview() -> str:
    return overview([_CELL, *(grammar for grammar, _ in _COMMANDS.values())])


def _first(words: Words) -> str | None:
    return words[0] if words else None


_COMMANDS: Final[dict[str, tuple[Grammar, _Build]]] = {
    "run": (_RUN, _run),
    "resume": (_RESUME, _resume),
    "fork": (_FORK, _fork),
    "cancel": (_CANCEL, lambda words, _: CancelCommand(_first(words))),
    "threads": (_THREADS, lambda _, values: ThreadsCommand(**values)),
    "history": (
        _HISTORY,
        lambda words, values: HistoryCommand(_first(words), **values),
    ),
    "pending": (_PENDING, lambda words, _: PendingCommand(_first(words))),
    "show": (_SHOW, lambda words, _: ShowCommand(_first(words))),
    **HOUSEKEEPING,
    "store": (_STORE, lambda words, _: StoreCommand(_first(words))),
    "help": (_HELP, _help),
}
