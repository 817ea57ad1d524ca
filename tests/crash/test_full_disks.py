"""A disk that is full, or can't be written: nothing acknowledged is lost.

The disk is a small file system in memory, mounted in a namespace of its own. Where
that is not allowed, only the limit on the size of files is left, which
`tests/database` meets.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    RunChild = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.timeout(3600)

SMALL: Final = 'mount -t tmpfs -o size=16m tmpfs "$0" && exec "$@"'
READ_ONLY: Final = """
mkdir -p "$0/there" && mount --bind "$0/there" "$0/there" &&
    mount -o remount,bind,ro "$0/there" && exec "$@"
"""


def in_namespace(script: str, folder: Path) -> tuple[str, ...]:
    """Return how a command is run where a script may mount, or skip the test."""
    unshare = shutil.which("unshare")
    if sys.platform != "linux" or unshare is None:
        pytest.skip("needs namespaces of Linux")
    before = (unshare, "--mount", "--map-root-user", "sh", "-c", script, str(folder))
    if subprocess.run((*before, "true"), check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    return before


# Rounds of: leave some room, write until it is used up, make room, look what is kept.
FILLS = """
import json, random, shutil
from nbflow.errors import StoreError

path, chance = Path(sys.argv[1], "there", "threads.duckdb"), random.Random(sys.argv[3])
told = []
ballast = Path(sys.argv[1], "ballast")
ends, everything = {}, []

def acknowledge(number):
    def tell(error):
        if error is None:
            told.append(number)
            everything.append(number)
    return tell

def fill():
    free = os.statvfs(sys.argv[1])
    size = free.f_bavail * free.f_frsize - chance.randrange(20, 2_000) * 1_000
    if size > 0:
        ballast.write_bytes(bytes(size))

number = 0
for round in range(int(sys.argv[2])):
    with DuckDBSaver(path) as saver:
        kept = [int(r.event.data.data.split()[0]) for r in saver.read("t")]
        assert set(told) <= set(kept), "acknowledged, and lost"
        assert kept == sorted(set(kept)), "not in order"
    if len(kept) > 100:
        told.clear()
        shutil.rmtree(path.parent)
    saver = DuckDBSaver(path)
    fill()
    try:
        while True:
            data = chance.randbytes(chance.choice([10, 9_000, 90_000]))
            saver.append([written("t", b"%d " % number + data)], acknowledge(number))
            number += 1
            if chance.random() < 0.3:
                saver.commit([])
            if chance.random() < 0.05:
                saver._database.connection.checkpoint()
    except StoreError as error:
        reason = type(error.__cause__).__name__
        ends[reason] = ends.get(reason, 0) + 1
    ballast.unlink(missing_ok=True)
    try:
        saver.commit([])
    except StoreError as error:
        assert "What was acknowledged is kept" in str(error), error
    saver.close()
print(json.dumps([len(everything), ends]))
"""


def test_a_full_disk_costs_nothing_that_was_acknowledged(
    tmp_path: Path, run_child: RunChild, factor: int, note: Callable[..., None]
) -> None:
    before = in_namespace(SMALL, tmp_path)

    child = run_child(FILLS, tmp_path, 6 * factor, "seed", before=before, timeout=3_600)

    assert child.returncode == 0, child.stderr
    acknowledged, ends = json.loads(child.stdout)
    met = ", ".join(f"{count} {error}" for error, count in ends.items())
    note("a full disk", 6 * factor, acknowledged, f"0 lost; DuckDB raised {met}")
    assert acknowledged


# Rounds of: leave some room, drop a run, make room, look what is kept.
PRUNES = """
import random, shutil
from nbflow._events import RunFinished, RunStarted
from nbflow.errors import StoreError

folder, chance = Path(sys.argv[1]), random.Random(sys.argv[3])
path, ballast = folder / "there" / "threads.duckdb", folder / "ballast"
refused = 0
for round in range(int(sys.argv[2])):
    saver = DuckDBSaver(path)
    for number in range(8):
        value, run_id = Payload(chance.randbytes(120_000)), f"r{number}"
        begun = RunStarted("essay", value, "code", f"{run_id}-in")
        events = (begun, RunFinished(value, None, f"{run_id}-out"))
        saver.commit([Record("t", run_id, 1, event) for event in events])
    saver.close()
    saver = DuckDBSaver(path)
    free = os.statvfs(folder)
    room = chance.randrange(2_000, 5_000) * 1_000
    ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - room))
    wanted = 14
    try:
        saver.drop_runs(keep_last=7, before=None)
    except StoreError:
        refused, wanted = refused + 1, 16
    ballast.unlink()
    saver.close()
    with DuckDBSaver(path) as saver:
        kept = len(saver.read("t"))
        assert kept == wanted, f"{kept} rows with {room:,} bytes of room"
    shutil.rmtree(path.parent)
print(refused)
"""


def test_a_file_that_does_not_fit_the_disk_takes_no_others_place(
    tmp_path: Path, run_child: RunChild, factor: int, note: Callable[..., None]
) -> None:
    before = in_namespace(SMALL, tmp_path)

    rounds = 12 * factor
    child = run_child(PRUNES, tmp_path, rounds, "seed", before=before, timeout=3_600)

    assert child.returncode == 0, child.stderr
    refused = int(child.stdout)
    note("prune on a full disk", rounds, 16 * rounds, f"0 lost; {refused} refused")
    assert refused


# Each time there is a little more room, until it is enough for all but the end.
MENDS = """
import shutil, warnings
from nbflow.errors import StoreError
warnings.simplefilter("ignore")

folder, refused = Path(sys.argv[1]), 0
made, path = folder / "made" / "threads.duckdb", folder / "there" / "threads.duckdb"
with DuckDBSaver(made) as saver:
    saver.commit([written("t", os.urandom(9_000)) for _ in range(20)])
    expected = [record.event for record in saver.read("t")]
half_written = bytearray(made.read_bytes())
half_written[3 * 4_096 + 262_144 - 100] ^= 1  # beside what is valid in the block
made.write_bytes(half_written)

for room in range(840_000, 2_760_000, 120_000):
    shutil.rmtree(path.parent, ignore_errors=True)
    shutil.copytree(made.parent, path.parent)
    free = os.statvfs(folder)
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - room))
    try:
        DuckDBSaver(path).close()
    except StoreError:
        refused += 1
    ballast.unlink()
    with DuckDBSaver(path) as saver:
        assert [record.event for record in saver.read("t")] == expected, room
print(refused)
"""


def test_a_store_that_there_is_no_room_to_mend_loses_nothing(
    tmp_path: Path, run_child: RunChild
) -> None:
    before = in_namespace(SMALL, tmp_path)

    child = run_child(MENDS, tmp_path, before=before)

    assert child.stderr == ""
    assert 0 < int(child.stdout) < 16


LOOKS = """
from nbflow.errors import StoreUnavailableError
path = Path(sys.argv[1], "there", "threads.duckdb")
try:
    DuckDBSaver(path)
except StoreUnavailableError as error:
    print(error)
print(sorted(os.listdir(path.parent)))
"""


@pytest.mark.parametrize("is_made", [True, False])
def test_a_folder_that_is_read_only_is_refused_with_what_to_do(
    tmp_path: Path, run_child: RunChild, is_made: bool
) -> None:
    files: list[str] = []
    if is_made:
        path = tmp_path / "there" / "threads.duckdb"
        run_child("DuckDBSaver(sys.argv[1]).close()", path)
        files = sorted(file.name for file in path.parent.iterdir())

    before = in_namespace(READ_ONLY, tmp_path)
    child = run_child(LOOKS, tmp_path, before=before)

    assert child.stderr == ""
    assert "Make its folder writable" in child.stdout
    assert child.stdout.splitlines()[-1] == repr(files)
