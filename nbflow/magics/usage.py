"""What `--help` and `%workflow help` print, made from the commands' own rows."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from nbflow.magics.grammar import HELP

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow.magics.grammar import Grammar, Option

__all__ = ["EXPRESSIONS", "explain", "overview"]

EXPRESSIONS: Final = """\
EXPR is a Python expression over the notebook's variables. It needs no quotes
around it, may hold spaces, and ends at the next option or at the line's end:

  -i {"n": 3, "tags": ["a", "b"]} -t nightly
  -i df.head(20) --new
  -i "some text"               text needs its quotes, as in a cell

More exactly: it is the shortest text before an option that Python can read, so an
option inside of brackets or quotes is part of it. To subtract a name that is an
option too, use brackets: (a -t).

Other values are words: quotes keep spaces together, a backslash is a backslash,
and {x} or $x is not replaced."""
"""How values are written, for people."""

_WIDTH: Final = 84
_COLUMN: Final = 24


def explain(grammar: Grammar) -> str:
    """Return the help of one command.

    Parameters
    ----------
    grammar : Grammar
        The command.
    """
    rows = [_row(_flags(option), option.help) for option in (*grammar.options, HELP)]
    parts = [
        textwrap.fill(
            f"Usage: {grammar.usage}",
            _WIDTH,
            subsequent_indent=" " * 9,
            break_on_hyphens=False,
        ),
        textwrap.fill(grammar.does, _WIDTH),
        "Options:\n" + "\n".join(rows),
        "Examples:\n" + "\n".join(f"  {example}" for example in grammar.examples),
    ]
    if "EXPR" in grammar.usage:
        parts.append(EXPRESSIONS)
    return "\n\n".join(parts)


def overview(grammars: Iterable[Grammar]) -> str:
    """Return one line for each command.

    Parameters
    ----------
    grammars : iterable of Grammar
        The commands.
    """
    lines = [
        (" ".join((grammar.call, *grammar.words)), grammar.does.partition(".")[0])
        for grammar in grammars
    ]
    column = max(len(head) for head, _ in lines)
    rows = [_row(head, does, column) for head, does in lines]
    return "\n".join(
        [
            "Workflows in this notebook, and what is kept of them.",
            "",
            *rows,
            "",
            "Each has --help. See also: %workflow help expressions, ... help answers",
        ]
    )


def _flags(option: Option) -> str:
    return f"{', '.join(option.flags)} {option.placeholder}".rstrip()


def _row(head: str, text: str, column: int = _COLUMN) -> str:
    indent = " " * (column + 4)
    filled = textwrap.fill(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent
    )
    if len(head) > column:
        return f"  {head}\n{filled}"
    return f"  {head:<{column}}  {filled.lstrip()}"
