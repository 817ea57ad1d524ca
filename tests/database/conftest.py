"""A file for a store, records for it, and other processes that use it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from nbflow._events import Custom, Record, RunStarted
from nbflow._values import Payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

PREAMBLE = """
import os, sys, threading
from nbflow._events import Custom, Record, RunStarted
from nbflow._values import Payload
from nbflow.checkpoint.duckdb import DuckDBSaver

def written(thread_id, text):
    return Record(thread_id, "r", 1, Custom("", Payload(text.encode())))

"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "threads.duckdb"


@pytest.fixture
def written() -> Callable[..., Record]:
    def record(thread_id: str, text: str = "", run_id: str = "r") -> Record:
        return Record(thread_id, run_id, 1, Custom("", Payload(text.encode())))

    return record


@pytest.fixture
def started() -> Callable[..., Record]:
    def record(thread_id: str, run_id: str, **given: Any) -> Record:
        event = RunStarted("essay", Payload(b"topic"), "code", f"{run_id}-in")
        return Record(thread_id, run_id, 1, structs.replace(event, **given))

    return record


def _command(code: str, *arguments: object) -> list[str]:
    program = PREAMBLE + textwrap.dedent(code)
    return [sys.executable, "-c", program, *map(str, arguments)]


@pytest.fixture
def run_child() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program in another process, to its end."""

    def run(
        code: str, *arguments: object, before: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*before, *_command(code, *arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def child_at_work() -> Callable[..., AbstractContextManager[subprocess.Popen[str]]]:
    """Start a program in another process, and go on once it prints a line."""

    @contextmanager
    def start(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
        child = subprocess.Popen(
            _command(code, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with child:
            assert child.stdout is not None
            child.stdout.readline()
            try:
                yield child
            finally:
                child.kill()

    return start
