"""Measure what a store promises to stay within, and print it beside the bound.

``python tests/bench/limits.py [--quick] [--only WORD] [--output FILE]``. What panels
and lines ask of a store with many threads, how a long chat grows, how long a search
by embedding takes, and how much memory one large value. It reports; it judges nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from tests.bench.adapters import langgraph_engines, nbflow_engines
from tests.bench.chats import exported, talk
from tests.bench.memory import peak_in_sizes
from tests.bench.questions import QUESTIONS, Taken, ask
from tests.bench.stores import RUNS, make_store
from tests.bench.vectors import DIMS, search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.bench.adapters import Engine

__all__ = ["main"]

OUTPUT: Final = Path(__file__).parents[2] / "build" / "limits.json"
MODEL_SECONDS: Final = 0.05  # less than any model takes
QUESTION_MILLISECONDS: Final = 50.0
CHAT_MEGABYTES: Final = 10.0
CHAT_GROWTH: Final = 1.3
SEARCH_MILLISECONDS: Final = 100.0
MEMORY_SIZES: Final = 1.5
_PROCESSES: Final = 5


@dataclass(frozen=True, slots=True)
class Measured:
    """One promise and what came of it.

    Attributes
    ----------
    what : str
        What is promised.
    unit : str
        Of both figures.
    figure : float
        What was measured.
    bound : float or None
        What it should not pass; None for what is only to be compared with.
    """

    what: str
    unit: str
    figure: float
    bound: float | None = None


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table and write the file."""
    asked = _arguments(arguments)
    found: list[Measured] = []
    for name, measure in _SECTIONS.items():
        if asked.only in name:
            sys.stderr.write(f"{name} ...\n")
            with tempfile.TemporaryDirectory(prefix="limits-") as folder:
                found += measure(Path(folder), asked.quick)
    load = os.getloadavg()[0]
    sys.stdout.write(f"{_table(found)}\nload {load:.1f}, {os.cpu_count()} cores\n")
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    asked.output.write_text(json.dumps([asdict(row) for row in found], indent=2))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="a little of each")
    names = ", ".join(_SECTIONS)
    parser.add_argument("--only", default="", help=f"only these, of: {names}")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the JSON file")
    return parser.parse_args(arguments)


def _many_threads(folder: Path, quick: bool) -> Iterator[Measured]:
    threads = 200 if quick else 10_000
    path = folder / "many.duckdb"
    make_store(path, threads)
    where = f"{threads:,} threads x {2 * RUNS} checkpoints"
    for question in QUESTIONS:
        taken = [_asked(path, question) for _ in range(1 if quick else _PROCESSES)]
        for when, figures in (
            ("first after opening", [one.first for one in taken]),
            ("from then on", [one.later for one in taken]),
        ):
            yield Measured(
                f"{question}, {when} ({where})",
                "ms",
                median(figures) * 1_000,
                QUESTION_MILLISECONDS,
            )


def _asked(path: Path, question: str) -> Taken:
    command = [sys.executable, "-m", ask.__module__, str(path), question]
    child = subprocess.run(command, check=True, capture_output=True, text=True)
    return Taken(*json.loads(child.stdout))


def _chats(folder: Path, quick: bool) -> Iterator[Measured]:
    turns = 20 if quick else 1_000
    for engine in _engines_with_a_file():
        is_ours = engine.name.startswith("nbflow")
        for repeats_input in (False, True):
            place = folder / f"{engine.name}-{repeats_input}"
            place.mkdir()
            chat = talk(
                engine,
                place,
                turns,
                repeats_input=repeats_input,
                model_seconds=0 if quick else MODEL_SECONDS,
            )
            form = "as input too" if repeats_input else "in `previous`"
            what = f"{engine.name}: chat of {turns:,} turns, history {form}"
            yield Measured(
                f"{what}, size",
                "MB",
                chat.megabytes,
                CHAT_MEGABYTES if is_ours else None,
            )
            yield Measured(
                f"{what}, last turn against first",
                "times",
                chat.last_seconds / chat.first_seconds,
                CHAT_GROWTH if is_ours else None,
            )
            if is_ours:
                size = exported(engine, place)
                yield Measured(f"{what}, exported", "MB", size, CHAT_MEGABYTES)


def _engines_with_a_file() -> Iterator[Engine]:
    engines = nbflow_engines()
    try:
        engines += langgraph_engines()
    except ImportError as error:
        sys.stderr.write(f"LangGraph is not measured: {error}.\n")
    return (engine for engine in engines if engine.store == "file")


def _vectors(folder: Path, quick: bool) -> Iterator[Measured]:
    items = 500 if quick else 50_000
    taken = search(folder / "vectors.duckdb", items)
    what = f"search among {items:,} x {DIMS} numbers"
    yield Measured(f"{what}, first after opening", "ms", taken.first * 1_000)
    yield Measured(
        f"{what}, from then on", "ms", taken.later * 1_000, SEARCH_MILLISECONDS
    )


def _memory(folder: Path, quick: bool) -> Iterator[Measured]:
    megabytes = 16 if quick else 1_024
    for kind in ("array", "frame"):
        sizes = peak_in_sizes(folder / f"{kind}.duckdb", kind, megabytes)
        what = f"peak memory while {megabytes:,} MiB are checkpointed: {kind}"
        yield Measured(what, "sizes", sizes, MEMORY_SIZES)


_SECTIONS: Final[dict[str, Callable[[Path, bool], Iterator[Measured]]]] = {
    "threads": _many_threads,
    "chats": _chats,
    "vectors": _vectors,
    "memory": _memory,
}


def _table(found: Sequence[Measured]) -> str:
    lines = [("", "measured", "bound", "")]
    for row in found:
        bound = "" if row.bound is None else f"{row.bound:g}"
        lines.append((row.what, f"{row.figure:.2f}", bound, row.unit))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        f"{what.ljust(widths[0])}  {figure.rjust(widths[1])}  "
        f"{bound.rjust(widths[2])}  {unit}".rstrip()
        for what, figure, bound, unit in lines
    )


if __name__ == "__main__":
    main()
