"""How a magic's line is read: words, options, and Python expressions.

A command is a row that says which words and options it takes; what these mean is
not known here, and no expression is evaluated.
"""

from __future__ import annotations

import difflib
import io
import keyword
import re
import shlex
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "HELP",
    "Grammar",
    "Option",
    "Values",
    "Words",
    "checked_name",
    "nearest",
    "read",
    "refusal",
]

EXPRESSION: Final = "EXPR"
NAME: Final = "NAME"
REST: Final = "QUERY"

Words: TypeAlias = list[str]
Values: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a command.

    Attributes
    ----------
    flags : tuple of str
        How it is written, the shortest first.
    field : str
        The value that it sets.
    help : str
        What it does, for people.
    placeholder : str
        What stands after it: ``EXPR`` is read as Python, ``NAME`` is a Python
        name, others are words; empty for a switch.
    choices : tuple of str
        The only words it takes, where not empty.
    excludes : tuple of str
        Fields that it can't be given beside.
    switched_to : bool
        What a switch sets.
    several : bool
        Whether it takes some of its choices, with commas between them.
    at_least : int or None
        Where given, the word is a whole number and not smaller.
    """

    flags: tuple[str, ...]
    field: str
    help: str
    placeholder: str = ""
    choices: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    switched_to: bool = True
    several: bool = False
    at_least: int | None = None

    @property
    def usage(self) -> str:
        """How it is written in a usage line."""
        return f"{self.flags[0]} {self.placeholder}".rstrip()


HELP: Final = Option(("-h", "--help"), "help", "show this text")
"""Every command's option that asks for its explanation."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """What the line of one command may hold.

    Attributes
    ----------
    call : str
        How the command begins.
    words : tuple of str
        Its words in order; those in brackets may be left out. ``EXPR`` can only
        be the last, as ``QUERY``, which is all that is left of the line.
    does : str
        What it does, for people.
    examples : tuple of str
        Whole lines.
    options : tuple of Option
        Its options, `HELP` left out.
    """

    call: str
    words: tuple[str, ...]
    does: str
    examples: tuple[str, ...]
    options: tuple[Option, ...] = ()

    @property
    def usage(self) -> str:
        """Its usage in one line."""
        parts = [self.call, *self.words]
        before: Option | None = None
        for option in self.options:
            if before is not None and option.excludes == (before.field,):
                parts[-1] = f"{parts[-1][:-1]} | {option.usage}]"
            else:
                parts.append(f"[{option.usage}]")
            before = option
        return " ".join(parts)


def read(grammar: Grammar, line: str) -> tuple[Words, Values] | None:
    """Return a line's words and options.

    Options may stand before, between and after the words.

    Parameters
    ----------
    grammar : Grammar
        What the line may hold.
    line : str
        The text after the command.

    Returns
    -------
    tuple of list and dict, or None
        The words in order, and the values of the given options by field. None
        where the line asks for help.

    Raises
    ------
    UsageError
        The line holds something else.
    """
    known = {flag: row for row in (*grammar.options, HELP) for flag in row.flags}
    words: Words = []
    values: Values = {}
    rest = line.strip()
    while rest:
        found = _OPTION.match(rest)
        if found is None:
            word, rest = _positional(grammar, len(words), rest, known)
            words.append(word)
            continue
        option = _known(grammar, found, known)
        if option is HELP:
            return None
        if option.field in values:
            raise refusal(grammar, f"{option.flags[0]} stands twice.")
        values[option.field], rest = _value(grammar, option, rest[found.end() :], known)
    _check_whole(grammar, words, values)
    return words, values


def checked_name(grammar: Grammar, what: str, name: str, *, dots: bool = False) -> str:
    """Return a name that Python can bind, or with `dots` look up.

    Raises
    ------
    UsageError
        It is none.
    """
    parts = name.split(".") if dots else [name]
    if all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        return name
    near = re.sub(r"\W+", "_", name).strip("_")
    is_better = near.isidentifier() and not keyword.iskeyword(near)
    hint = f" Did you mean {near}?" if is_better else ""
    raise refusal(grammar, f"{what} has to be a Python name, not {name!r}.{hint}")


def nearest(given: str, known: Iterable[str]) -> str:
    """Return a question that names the known word that looks most like another."""
    near = difflib.get_close_matches(given, list(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""


def refusal(grammar: Grammar, what: str) -> UsageError:
    """Return an error of three lines: what is wrong, the usage, where help is."""
    return UsageError(f"{what}\nUsage: {grammar.usage}\nHelp: {grammar.call} --help")


_OPTION: Final = re.compile(r"(--?[A-Za-z][\w-]*)(=|\s+|$)")
_NEXT_OPTION: Final = re.compile(r"(?:^|\s+)(--?[A-Za-z][\w-]*)(?=[\s=]|$)")

_Known: TypeAlias = "Mapping[str, Option]"


def _known(grammar: Grammar, found: re.Match[str], known: _Known) -> Option:
    flag = found[1]
    option = known.get(flag)
    if option is None:
        raise refusal(grammar, f"Unknown option {flag}.{nearest(flag, known)}")
    if found[2] == "=" and not option.placeholder:
        raise refusal(grammar, f"{flag} takes no value.")
    return option


def _positional(
    grammar: Grammar, count: int, rest: str, known: _Known
) -> tuple[str, str]:
    if count == len(grammar.words):
        raise refusal(
            grammar, f"Unexpected {rest!r}. Text with spaces needs quotes around it."
        )
    what = grammar.words[count].strip("[]")
    if what == EXPRESSION:
        return _expression(grammar, what, rest, known)
    if what == REST:
        return rest, ""
    return _word(grammar, what, rest)


def _value(
    grammar: Grammar, option: Option, rest: str, known: _Known
) -> tuple[object, str]:
    flag = option.flags[0]
    if not option.placeholder:
        return option.switched_to, rest
    after = _OPTION.match(rest)
    is_expression = option.placeholder == EXPRESSION
    if not rest or (after and (after[1] in known or not is_expression)):
        raise refusal(grammar, f"{flag} needs a value: {option.usage}")
    if is_expression:
        return _expression(grammar, flag, rest, known)
    word, rest = _word(grammar, flag, rest)
    parts = tuple(word.split(",")) if option.several else (word,)
    for part in parts if option.choices else ():
        if part not in option.choices:
            choices = f"{', '.join(option.choices[:-1])} or {option.choices[-1]}"
            near = nearest(part, option.choices)
            raise refusal(grammar, f"{flag} takes {choices}, not {part!r}.{near}")
    if option.several:
        return parts, rest
    if option.placeholder == NAME:
        checked_name(grammar, flag, word)
    if option.at_least is not None:
        return _number(grammar, flag, word, option.at_least), rest
    return word, rest


def _number(grammar: Grammar, flag: str, word: str, least: int) -> int:
    if not word.isdecimal() or int(word) < least:
        what = f"{flag} takes a whole number of at least {least}, not {word!r}."
        raise refusal(grammar, what)
    return int(word)


def _word(grammar: Grammar, what: str, text: str) -> tuple[str, str]:
    stream = io.StringIO(text)
    lexer = shlex.shlex(stream, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.escape = ""  # a path may hold backslashes
    try:
        word = lexer.get_token()
    except ValueError as error:
        raise refusal(grammar, f"{what}: a quote in {text!r} is not closed.") from error
    if not word:
        raise refusal(grammar, f"{what} is empty.")
    return word, text[stream.tell() :].strip()


def _expression(
    grammar: Grammar, what: str, text: str, known: _Known
) -> tuple[str, str]:
    ends = [end.start() for end in _NEXT_OPTION.finditer(text) if end[1] in known]
    for end in (*ends, len(text)):
        if _trouble(text[:end]) is None:
            return text[:end].strip(), text[end:].strip()
    shortest = text[: ends[0]] if ends else text
    raise refusal(
        grammar,
        f"{what}: {shortest!r} is not a Python expression ({_trouble(shortest)}). "
        'Text needs quotes: "some text".',
    )


def _trouble(text: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they come when it is evaluated
            compile(text.strip(), "<expression>", "eval", dont_inherit=True)
    except SyntaxError as error:
        return error.msg
    except (ValueError, MemoryError, RecursionError) as error:
        return str(error) or "nested too deeply"
    return None


def _check_whole(grammar: Grammar, words: Words, values: Values) -> None:
    needed = [word for word in grammar.words if not word.startswith("[")]
    if len(words) < len(needed):
        raise refusal(grammar, f"{grammar.call} needs {needed[len(words)]}.")
    given = {row.field: row for row in grammar.options if row.field in values}
    for option in given.values():
        for other in option.excludes:
            if other in given:
                raise refusal(
                    grammar,
                    f"{given[other].flags[0]} and {option.flags[0]} exclude "
                    "each other.",
                )
