"""A chat of many turns: how large its file becomes, and how slow its turns.

The same code on every engine that has a file, but for what only nbflow has; who is
compared is not known here.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from nbflow.checkpoint.bundle import export_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.bench.adapters import Engine

__all__ = ["MESSAGE_LETTERS", "Chat", "exported", "size_of", "talk"]

MESSAGE_LETTERS = 500
"""Of each of a turn's two messages."""

_WORDS_KNOWN = 5_000
_WORDS_SAID = 100
_COMPARED_TURNS = 30


@dataclass(frozen=True, slots=True)
class Chat:
    """What a long chat took.

    Attributes
    ----------
    megabytes : float
        All files below the store's folder, after the long chat.
    first_seconds, last_seconds : float
        A new chat's first turn and the long chat's last ones: medians.
    """

    megabytes: float
    first_seconds: float
    last_seconds: float


def talk(
    engine: Engine,
    folder: Path,
    turns: int,
    *,
    repeats_input: bool,
    model_seconds: float,
) -> Chat:
    """Talk for many turns; then compare the last ones with first turns of others.

    Parameters
    ----------
    engine : Engine
        With a saver that writes to a file.
    folder : Path
        An empty folder.
    turns : int
        How many turns the long chat has before it is timed.
    repeats_input : bool
        Whether each turn is given the whole conversation; else it is in `previous`.
    model_seconds : float
        How long the model takes to answer in the turns that are timed.
    """
    with engine.saver(folder) as saver:
        turn = _chat(engine, saver, repeats_input=repeats_input)
        for _ in range(turns):
            turn("long", 0)
        size = size_of(folder)
        # In turn, so that both meet the same company on the machine.
        pairs = [
            (turn(f"first {number}", model_seconds), turn("long", model_seconds))
            for number in range(_COMPARED_TURNS)
        ]
    first, last = map(median, zip(*pairs, strict=True))
    return Chat(size / 1e6, first, last)


def exported(engine: Engine, folder: Path) -> float:
    """Return how many megabytes the long chat takes as one file for others."""
    with engine.saver(folder) as saver:
        bundle = export_bundle(saver, "long", folder / "long.zip")
    return bundle.stat().st_size / 1e6


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _chat(
    engine: Engine, saver: Any, *, repeats_input: bool
) -> Callable[[str, float], float]:
    """Return what takes one turn of a thread, with a model, and says how long."""
    chance = random.Random(1)  # noqa: S311 - text
    words = [chance.randbytes(4).hex()[: 2 + n % 7] for n in range(_WORDS_KNOWN)]
    threads: dict[str, list[dict[str, str]]] = {}
    delay = 0.0

    def said(role: str) -> dict[str, str]:
        text = " ".join(chance.choices(words, k=_WORDS_SAID))
        return {"role": role, "content": text[:MESSAGE_LETTERS]}

    @engine.func.task  # type: ignore[untyped-decorator]
    def answer(_messages: list[dict[str, str]]) -> dict[str, str]:
        time.sleep(delay)
        return said("assistant")

    @engine.func.entrypoint(checkpointer=saver)  # type: ignore[untyped-decorator]
    def chat(
        given: list[dict[str, str]], *, previous: list[dict[str, str]] | None = None
    ) -> list[dict[str, str]]:
        messages = given if repeats_input else [*(previous or []), *given]
        return [*messages, answer(messages).result()]

    def turn(thread_id: str, model_seconds: float) -> float:
        nonlocal delay
        delay = model_seconds
        before = threads.get(thread_id, []) if repeats_input else []
        given = [*before, said("user")]
        began = time.perf_counter()
        threads[thread_id] = chat.invoke(
            given, {"configurable": {"thread_id": thread_id}}
        )
        return time.perf_counter() - began

    return turn
