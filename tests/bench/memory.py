"""How much memory it takes to checkpoint one large value, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Kind", "peak_in_sizes"]

Kind: TypeAlias = Literal["array", "frame"]

# The highest that the resident size ever was, against what it was before the value.
_PROGRAM = """
import sys
import numpy, pandas, pyarrow
from nbflow import serde
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.func import entrypoint, task

kind, megabytes = sys.argv[2], int(sys.argv[3])
count = megabytes * 2**20 // 8

def resident(name):
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith(name))
    return int(line.split()[1]) * 1024

def made():
    numbers = numpy.random.default_rng(1).random(count)
    if kind == "array":
        return numbers
    return pandas.DataFrame(numbers.reshape(16, -1).T, copy=False)

saver = DuckDBSaver(sys.argv[1])
config = {"configurable": {"thread_id": "t"}}

@task
def load():
    return made()

@entrypoint(checkpointer=saver)
def work(wanted):
    return len(load().result()) if wanted else 0

work.invoke(0, config)
serde.decode(serde.encode(pandas.DataFrame({"a": [1.0]})))
before = resident("VmRSS")
work.invoke(1, config, durability="sync")
print((resident("VmHWM") - before) / (megabytes * 2**20))
saver.close()
"""


def peak_in_sizes(path: Path, kind: Kind, megabytes: int) -> float:
    """Return the peak of the resident size above an interpreter without the value.

    Parameters
    ----------
    path : Path
        A new database file.
    kind : {"array", "frame"}
        What is checkpointed: one-dimensional NumPy array, or pandas frame.
    megabytes : int
        Its size, in MiB.

    Returns
    -------
    float
        In sizes of the value, which it holds itself: 1 is the least.
    """
    command = [sys.executable, "-c", _PROGRAM, str(path), kind, str(megabytes)]
    child = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(child.stdout)
