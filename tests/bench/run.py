"""Measure nbflow beside its peers, and print and keep medians and ratios.

``python tests/bench/run.py [--rounds N] [--quick] [--case WORD] [--output FILE]``.
Every round does each case once on every engine, so that what else the machine does
falls on all of them. It reports; it judges nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, TextIO

from tests.bench.adapters import langgraph_engines, nbflow_engines
from tests.bench.cases import CASES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.adapters import Engine, Store
    from tests.bench.cases import Case

__all__ = ["main"]

OUTPUT = Path(__file__).parents[2] / "build" / "bench.json"
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """What one case took on every engine.

    Attributes
    ----------
    case : Case
        What was done.
    count : int
        How many of it in one measurement.
    seconds : dict of str to list of float
        For each engine by name: for each unit of work, one figure a round.
    """

    case: Case
    count: int
    seconds: dict[str, list[float]]

    @property
    def title(self) -> str:
        """The case and its count."""
        return f"{self.case.name} ({self.count:,})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table and write the file."""
    asked = _arguments(arguments)
    engines = list(_engines(sys.stderr))
    cases = [case for case in CASES if asked.case in case.name]
    if not cases:
        names = ", ".join(sorted({case.name for case in CASES}))
        raise SystemExit(f"No case has {asked.case!r} in its name. There are: {names}.")
    before = _load()
    rounds = asked.rounds or (1 if asked.quick else _ROUNDS)
    rows = _measured(cases, engines, rounds, quick=asked.quick)
    about = {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": before,
        "load_after": _load(),
        "rounds": rounds,
        "quick": asked.quick,
        "engines": {engine.name: engine.version for engine in engines},
    }
    sys.stdout.write(_table(rows, engines, about))
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    asked.output.write_text(json.dumps(_as_json(rows, engines, about), indent=2))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, help=f"default {_ROUNDS}; quick: 1")
    parser.add_argument("--quick", action="store_true", help="a little of each case")
    parser.add_argument("--case", default="", help="only cases with this in the name")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the JSON file")
    asked = parser.parse_args(arguments)
    if asked.rounds is not None and asked.rounds < 1:
        parser.error(f"--rounds must be at least 1, not {asked.rounds}")
    return asked


def _engines(told: TextIO) -> Iterator[Engine]:
    yield from nbflow_engines()
    try:
        yield from langgraph_engines()
    except ImportError as error:
        told.write(
            f"LangGraph is not measured: {error}. Install langgraph and "
            "langgraph-checkpoint-sqlite to compare.\n"
        )


def _load() -> float:
    return round(os.getloadavg()[0], 2)


def _measured(
    cases: Sequence[Case], engines: Sequence[Engine], rounds: int, *, quick: bool
) -> list[Row]:
    names = [engine.name for engine in engines]
    rows = [
        Row(case, case.quick_count if quick else case.count, {n: [] for n in names})
        for case in cases
    ]
    # Round 0 warms up: what is loaded or compiled once is no case's own.
    for number in range(rounds + 1):
        for row in rows:
            sys.stderr.write(f"round {number} of {rounds}: {row.title}\n")
            for engine in engines:
                count = row.count if number else row.case.quick_count
                with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                    seconds = row.case.measure(engine, Path(folder), count)
                if number:
                    row.seconds[engine.name].append(seconds)
    return rows


def _pairs(engines: Sequence[Engine]) -> list[tuple[Store, Engine, Engine | None]]:
    ours = engines[:2]
    peers = {engine.store: engine for engine in engines[2:]}
    return [(engine.store, engine, peers.get(engine.store)) for engine in ours]


def _ratio(row: Row, ours: Engine, peer: Engine) -> float:
    return median(row.seconds[peer.name]) / median(row.seconds[ours.name])


def _growth(rows: Sequence[Row], engine: Engine) -> float | None:
    """Return how much longer a replayed task takes among many than among few."""
    found = [row for row in rows if row.case.name == "replayed task"]
    if len(found) < 2:
        return None
    few, *_, many = [median(row.seconds[engine.name]) for row in found]
    return many / few


def _table(
    rows: Sequence[Row], engines: Sequence[Engine], about: dict[str, Any]
) -> str:
    pairs = _pairs(engines)
    head = ["ms, median"]
    for _, ours, peer in pairs:
        head += [ours.name, *([peer.name, "ratio", "aim"] if peer else [])]
    lines = [head]
    for row in rows:
        cells = [row.title]
        for store, ours, peer in pairs:
            cells.append(_milliseconds(row, ours))
            if peer is not None:
                aim = row.case.aims.get(store)
                cells += [_milliseconds(row, peer), f"{_ratio(row, ours, peer):.1f}"]
                cells.append(f"{aim:g}" if aim else "")
        lines.append(cells)
    if _growth(rows, engines[0]) is not None:
        lines.append(["replay, growth", *_growth_cells(rows, pairs)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = "\n".join(
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
    measured = dict.fromkeys(f"{e.name.split()[0]} {e.version}" for e in engines)
    return (
        f"{text}\n{about['rounds']} rounds, Python {about['python']}, "
        f"{about['machine']}, load {about['load_before']} to {about['load_after']}; "
        f"{', '.join(measured)}\n"
    )


def _growth_cells(
    rows: Sequence[Row], pairs: Sequence[tuple[Store, Engine, Engine | None]]
) -> Iterator[str]:
    for _, ours, peer in pairs:
        for engine in (ours, peer):
            if engine is not None:
                growth = _growth(rows, engine)
                yield "" if growth is None else f"x {growth:.2f}"
        if peer is not None:
            yield from ("", "")


def _milliseconds(row: Row, engine: Engine) -> str:
    return f"{median(row.seconds[engine.name]) * 1000:.3f}"


def _as_json(
    rows: Sequence[Row], engines: Sequence[Engine], about: dict[str, Any]
) -> dict[str, Any]:
    pairs = _pairs(engines)
    return {
        **about,
        "unit": "seconds for each",
        "replay_growth": {engine.name: _growth(rows, engine) for engine in engines},
        "cases": [
            {
                "name": row.case.name,
                "count": row.count,
                "median": {name: median(row.seconds[name]) for name in row.seconds},
                "rounds": row.seconds,
                "ratio": {
                    store: _ratio(row, ours, peer)
                    for store, ours, peer in pairs
                    if peer
                },
                "aim": row.case.aims,
            }
            for row in rows
        ],
    }


if __name__ == "__main__":
    main()
