"""How long the loops are, with which seed, and the record they leave.

`make test` runs each in its short form. `make crash` sets `NBFLOW_CRASH=long`;
`NBFLOW_CRASH_FACTOR` and `NBFLOW_CRASH_SEED` choose otherwise.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LONG = 10
RECORD = "record"
PREAMBLE = """
import os, sys, threading
from pathlib import Path
from nbflow._events import Custom, Record
from nbflow._values import Payload
from nbflow.checkpoint.duckdb import DuckDBSaver, salvage

def written(thread_id, data, at=1):
    return Record(thread_id, "r", at, Custom("", Payload(data)))
"""
# Ends the process, as kill -9 does, at the n-th call of or from our own modules.
DEATH = """
import signal
left = [int(sys.argv[1])]

def step(frame, event, argument):
    if event in ("call", "c_call") and "/_database/" in frame.f_code.co_filename:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

threading.setprofile(step)
sys.setprofile(step)
"""


@pytest.fixture(scope="session")
def factor() -> int:
    """Return how many times longer than in the suite a loop is."""
    is_long = os.environ.get("NBFLOW_CRASH") == "long"
    return int(os.environ.get("NBFLOW_CRASH_FACTOR", LONG if is_long else 1))


@pytest.fixture
def kills(factor: int) -> int:
    return 20 * factor


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("NBFLOW_CRASH_SEED", "1"))


@pytest.fixture
def note(
    record_property: Callable[[str, object], None],
) -> Callable[..., None]:
    """Put a line into the record: what was done how often, and what it cost."""

    def line(faults: str, count: int, acknowledged: int | None, outcome: str) -> None:
        record_property(RECORD, [faults, count, acknowledged, outcome])

    return line


@pytest.fixture
def run_child() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program in another process, to its end."""

    def run(
        code: str,
        *arguments: object,
        before: tuple[str, ...] = (),
        told: str = "",
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", PREAMBLE + code, *map(str, arguments)]
        return subprocess.run(
            [*before, *command],
            input=told,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def deaths(
    run_child: Callable[..., subprocess.CompletedProcess[str]], factor: int
) -> Callable[[str, Callable[[], Path]], Iterator[Path]]:
    """Let a program die at one step after the other, each time on files of its own.

    Yields what each death left; ends once the program came to its end.
    """
    stride = max(1, 120 // factor)

    def die(code: str, prepare: Callable[[], Path]) -> Iterator[Path]:
        step = 1
        while True:
            path = prepare()
            child = run_child(DEATH + code, step, path)
            if child.returncode >= 0:
                assert child.stderr == ""
                return
            yield path
            step += stride

    return die


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the record."""
    lines = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == RECORD
    ]
    if not lines:
        return
    terminalreporter.section("record")
    terminalreporter.line(versions())
    terminalreporter.line("")
    terminalreporter.line("| faults | times | acknowledged | outcome |")
    terminalreporter.line("|---|---|---|---|")
    for faults, count, acknowledged, outcome in lines:
        told = "" if acknowledged is None else f"{acknowledged:,}"
        terminalreporter.line(f"| {faults} | {count:,} | {told} | {outcome} |")


def versions() -> str:
    return (
        f"duckdb {duckdb.__version__}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.release()} {platform.machine()}, "
        f"{os.cpu_count()} processors"
    )
