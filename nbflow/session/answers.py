"""Answers that were written down before they are asked for: batch runs, demos, CI.

Which answer belongs to a question is decided from the file, the question and
what was asked before it, so a run that is continued gets the same answers.
Nothing here knows of the engine, or of how a question is shown.
"""

from __future__ import annotations

import copy
import json
import shlex
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "FORMAT",
    "Answers",
    "Asked",
    "find_answers",
    "load_answers",
    "paused_hint",
]

VARIABLE: Final = "NBFLOW_ANSWERS"
_IN_ORDER: Final = "$in_order"
_ANY: Final = "*"
_TEXT_LIMIT: Final = 120
_KEYS_SHOWN: Final = 6

FORMAT: Final = """\
Answers for runs that nobody watches are a JSON file, named by --answers FILE or,
for all cells, by the environment variable NBFLOW_ANSWERS. It is one of:

  a list      the answers in the order in which the questions are asked:
                ["yes", {"action": "continue"}]
  an object   the answer to each question by, in this order, the question's id,
              its text, the task that asks, its thread, or "*" for all others:
                {"Is this correct?": "yes", "*": {"action": "continue"}}
              One key's questions get different answers in their order with
                {"Is this correct?": {"$in_order": ["yes", "no"]}}

An answer is what the form would send; null is an answer too. Tasks that run side
by side ask in no fixed order: answer them by id, text or task."""
"""What a file of answers holds, for people."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What decides which answer belongs to a question.

    Attributes
    ----------
    interrupt_id : str
        The question's id.
    text : str
        Its text, as a form shows it.
    thread_id : str
        The thread that asks.
    source : str
        The task that asks; empty for the workflow's own body.
    """

    interrupt_id: str
    text: str
    thread_id: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class _InOrder:
    answers: tuple[Any, ...]


class Answers:
    """Answers read from a file, and which questions they were already used for.

    One object serves one cell (``--answers``) or a whole process
    (``NBFLOW_ANSWERS``), so that a list goes on from cell to cell. It may be used
    from several threads.

    Parameters
    ----------
    content : list or dict
        What the file holds; see `FORMAT`.
    origin : str
        Where it comes from, for messages.

    Raises
    ------
    UsageError
        The content is no such list or object.

    Examples
    --------
    >>> answers = Answers({"Sure?": "yes"}, origin="answers.json")
    >>> answers.take(Asked("01", "Sure?", thread_id="review"))
    'yes'
    """

    def __init__(self, content: Any, *, origin: str) -> None:
        self.origin = origin
        self._by_key = _by_key(content, origin)
        self._is_list = isinstance(content, list)
        self._seen: dict[tuple[str, str], Asked] = {}
        self._lock = threading.Lock()

    def take(self, question: Asked, earlier: Iterable[Asked] = ()) -> Any:
        """Return the answer to a question.

        The same question gets the same answer however often it is asked.

        Parameters
        ----------
        question : Asked
            The pending question.
        earlier : iterable of Asked, optional
            The questions that its run asked before it, in order, the answered
            ones included: in a run that another process began they count for the
            place in a list.

        Returns
        -------
        Any
            The answer; None is one too.

        Raises
        ------
        UsageError
            The file has no answer for the question, or no more.
        """
        key = self._key(question)
        if key is None:
            self._refuse_unknown(question)
        value = self._by_key[key]
        if not isinstance(value, _InOrder):
            return copy.deepcopy(value)
        place = self._place(key, question, earlier)
        if place >= len(value.answers):
            self._refuse_exhausted(key, question, place, len(value.answers))
        return copy.deepcopy(value.answers[place])

    def _key(self, question: Asked) -> str | None:
        names = (
            question.interrupt_id,
            _one_line(question.text),
            question.source,
            question.thread_id,
            _ANY,
        )
        return next((name for name in names if name and name in self._by_key), None)

    def _place(self, key: str, question: Asked, earlier: Iterable[Asked]) -> int:
        with self._lock:
            for asked in (*earlier, question):
                self._seen.setdefault((asked.thread_id, asked.interrupt_id), asked)
            same = [
                name for name, asked in self._seen.items() if self._key(asked) == key
            ]
            return same.index((question.thread_id, question.interrupt_id))

    def _refuse_unknown(self, question: Asked) -> NoReturn:
        keys = [repr(key) for key in self._by_key]
        more = ", ..." if len(keys) > _KEYS_SHOWN else ""
        raise UsageError(
            f"{self.origin} has no answer to {_described(question)}.\n"
            f"Add its id {question.interrupt_id!r}, its text, its task or "
            f"{_ANY!r} as a key. Keys now: {', '.join(keys[:_KEYS_SHOWN])}{more}."
        )

    def _refuse_exhausted(
        self, key: str, question: Asked, place: int, count: int
    ) -> NoReturn:
        where = self.origin if self._is_list else f"{self.origin}, under {key!r},"
        raise UsageError(
            f"{where} holds {count} answer{'' if count == 1 else 's'}, and this is "
            f"question {place + 1}: {_described(question)}.\n"
            "Add an answer for it at the end of the list."
        )


def load_answers(path: str | Path) -> Answers:
    """Read answers from a JSON file.

    Parameters
    ----------
    path : str or Path
        The file, in UTF-8; see `FORMAT`. ``~`` is the home folder.

    Returns
    -------
    Answers
        The answers, none of them used.

    Raises
    ------
    UsageError
        There is no such file, it can't be read, or it holds something else.
    """
    file = Path(path).expanduser()
    origin = str(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(
            f"There is no file of answers {origin!r}: looked for "
            f"{Path.cwd() / file}.\nCorrect --answers or {VARIABLE}."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The file of answers {origin!r} can't be read: {error}.\n"
            "Give a JSON file in UTF-8."
        ) from error
    return Answers(_parsed(text, origin), origin=origin)


def find_answers(option: str | None, environ: Mapping[str, str]) -> Answers | None:
    """Return the answers of an option or else of the environment.

    Parameters
    ----------
    option : str or None
        The path after ``--answers``.
    environ : mapping
        The environment's variables. The answers of ``NBFLOW_ANSWERS`` are for the
        whole process: its caller keeps the object.

    Returns
    -------
    Answers or None
        None where neither names a file.

    Raises
    ------
    UsageError
        As `load_answers`.
    """
    path = option or environ.get(VARIABLE)
    return load_answers(path) if path else None


def paused_hint(
    thread_id: str, question_text: str, store: str | Path, workflow: str
) -> str:
    """Return two lines: what is asked and where it waits, and how to answer it.

    Parameters
    ----------
    thread_id : str
        The thread that waits.
    question_text : str
        The question's text, as a form shows it.
    store : str or Path
        The file that holds the thread.
    workflow : str
        Name of the workflow.
    """
    thread = shlex.quote(thread_id)
    return (
        f"{workflow} asks {_shortened(question_text)!r}; kept in {store}\n"
        f"Answer in the form, or: %workflow resume {thread} ANSWER "
        f"(unattended: --answers FILE or {VARIABLE}; "
        f"a later kernel: %workflow store {shlex.quote(str(store))}, run the cell)"
    )


def _by_key(content: Any, origin: str) -> dict[str, Any]:
    match content:
        case list():
            return {_ANY: _InOrder(tuple(content))}
        case dict():
            return {
                _one_line(key): _one_answer(key, value, origin)
                for key, value in content.items()
            }
        case _:
            raise UsageError(
                f"{origin} holds a {type(content).__name__}, not answers.\n"
                "Give a list of answers in order, or an object of answers by question."
            )


def _one_answer(key: str, value: Any, origin: str) -> Any:
    if not (isinstance(value, dict) and _IN_ORDER in value):
        return value
    answers = value[_IN_ORDER]
    if len(value) > 1 or not isinstance(answers, list):
        raise UsageError(
            f"{origin}: the value of {key!r} is not one list under {_IN_ORDER!r}.\n"
            f'Write {{"{_IN_ORDER}": [first, second]}}, or the answer itself.'
        )
    return _InOrder(tuple(answers))


def _parsed(text: str, origin: str) -> Any:
    try:
        return json.loads(
            text, object_pairs_hook=_no_key_twice, parse_constant=_no_constant
        )
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{origin} is not JSON: line {error.lineno}, column {error.colno}: "
            f"{error.msg}.\nTexts and keys stand in double quotes; no comma after "
            "the last."
        ) from error
    except ValueError as error:
        raise UsageError(f"{origin} is ambiguous: {error}.\nCorrect it.") from error
    except RecursionError as error:
        raise UsageError(
            f"{origin} is nested too deeply to be read.\nGive plainer answers."
        ) from error


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # An approval must not go to whichever of two equal keys happens to stand last.
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in one object")
        found[key] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _shortened(text: str) -> str:
    line = _one_line(text)
    return line if len(line) <= _TEXT_LIMIT else f"{line[: _TEXT_LIMIT - 3]}..."


def _described(question: Asked) -> str:
    source = f"task {question.source!r}, " if question.source else ""
    where = f"{source}thread {question.thread_id!r}"
    return f"{_shortened(question.text)!r} ({where})"
