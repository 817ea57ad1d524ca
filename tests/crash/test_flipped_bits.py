"""Flip a bit anywhere in the files of a store: nothing is ever lost in silence.

The damaged files are opened in another process, since what DuckDB does with them
is its own business.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    RunChild = Callable[..., subprocess.CompletedProcess[str]]

# Some rows are in the file, some in the log beside it; values of every size.
MADE = """
import random, signal
path, chance = sys.argv[1], random.Random(1)
saver = DuckDBSaver(path)
for number in range(80):
    size = chance.choice([5, 50, 500, 5_000, 50_000]) if number % 20 else 300_000
    saver.commit([written(f"t{n}", chance.randbytes(size)) for n in range(3)])
    if number == 50:
        saver._database._connection.checkpoint()
os.kill(os.getpid(), signal.SIGKILL)
"""

# For each line of the plan: damage a copy, and say what became of it.
LOOKED_AT = """
import json, shutil, warnings
from nbflow.errors import MendedStoreWarning, StoreDamagedError, StoreError

made, folder = Path(sys.argv[1]), Path(sys.argv[2])

def rows(path):
    with DuckDBSaver(path) as saver:
        return [[r.seq, r.thread_id, r.event.data.data]
                for n in range(3) for r in saver.read(f"t{n}")]

def copied():
    shutil.rmtree(folder, ignore_errors=True)
    return shutil.copytree(made, folder) / "threads.duckdb"

def damage(file, kind, place, amount):
    content = bytearray(file.read_bytes())
    if kind == "flip":
        content[place] ^= amount
    elif kind == "tear":
        del content[place:]
    else:
        content[place : place + amount] = bytes(len(content[place : place + amount]))
    file.write_bytes(content)

def outcome(path):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            found = rows(path)
        except StoreDamagedError:
            return "refused"
        except StoreError as error:
            return f"refused as {type(error).__name__}: {error}"
    if found != whole:
        return "SILENT"
    return "mended" if said else "harmless"

def salvaged(path):
    done = salvage(path)
    found, unreadable = 0, 0
    with DuckDBSaver(path) as saver:
        for record in (r for n in range(3) for r in saver.read(f"t{n}")):
            found += 1
            try:
                row = [record.seq, record.thread_id, record.event.data.data]
            except StoreDamagedError:
                unreadable += 1
            else:
                if row not in whole:
                    return "ALTERED"
    if (found, unreadable) != (done.rows, done.unreadable):
        return f"MISCOUNTED {done} {found} {unreadable}"
    if done.rows + done.lost < len(whole):
        return f"FORGOTTEN {done}"
    return done.rows

whole = rows(copied())
for line in sys.stdin:
    name, kind, place, amount, deep = json.loads(line)
    path = copied()
    damage(path.parent / name, kind, place, amount)
    found = outcome(path)
    kept = salvaged(path) if deep and found == "refused" else None
    print(json.dumps([found, kept]), flush=True)
"""


FINE = {"harmless", "mended", "refused"}
Fault = tuple[str, str, int, int, bool]
Outcome = tuple[str, int | None]


def planned(
    made: Path, files: list[Path], count: int, chance: random.Random
) -> list[Fault]:
    plan: list[Fault] = []
    for number in range(count):
        file = chance.choice(files)
        size = file.stat().st_size
        # The heads of files and of frames are where the harm is.
        place = chance.randrange(min(size, 12_288) if number % 4 == 0 else size)
        match number % 20:
            case 18:
                kind, amount = "tear", 0
            case 19:
                kind, amount = "zero", chance.choice([16, 512, 4_096])
            case _:
                kind, amount = "flip", 1 << chance.randrange(8)
        plan.append(
            (str(file.relative_to(made)), kind, place, amount, number % 10 == 0)
        )
    return plan


def looked_at(run_child: RunChild, made: Path, plan: list[Fault]) -> list[Outcome]:
    """Return the outcome of each fault."""
    outcomes: list[Outcome] = []
    while len(outcomes) < len(plan):
        rest = "\n".join(map(json.dumps, plan[len(outcomes) :]))
        child = run_child(
            LOOKED_AT, made, made.with_name("work"), told=rest, timeout=3600
        )
        outcomes += [tuple(json.loads(line)) for line in child.stdout.splitlines()]
        if len(outcomes) < len(plan):
            assert child.returncode < 0, child.stderr
            outcomes.append(("died", None))
    return outcomes


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("suffix", [".wal", "", ".mark", ".blobs"])
def test_no_fault_in_a_file_loses_a_row_in_silence(
    *,
    tmp_path: Path,
    run_child: RunChild,
    factor: int,
    seed: int,
    note: Callable[..., None],
    suffix: str,
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    run_child(MADE, made / "threads.duckdb")
    place = made / f"threads.duckdb{suffix}"
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    chance = random.Random(f"{seed} {suffix}")  # noqa: S311 - places, no secrets
    count = (40 if suffix in {"", ".wal"} else 10) * factor
    plan = planned(made, files, count, chance)

    outcomes = looked_at(run_child, made, plan)

    counted = Counter(found for found, _ in outcomes)
    said = ", ".join(f"{count} {found}" for found, count in counted.most_common())
    note(f"bits flipped, ends torn, zeros in {place.name}", len(plan), None, said)
    bad = [both for both in zip(plan, outcomes, strict=True) if both[1][0] not in FINE]
    assert not bad
    assert all(isinstance(kept, int | None) for _, kept in outcomes), outcomes
