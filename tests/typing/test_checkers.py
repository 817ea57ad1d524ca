"""What pyright, as in an editor, says of the package and of a program that uses it.

mypy reads the same program when it reads everything else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from shutil import which
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("api.py")


def pyright(*arguments: str) -> dict[str, Any]:
    """Return pyright's report."""
    here = str(Path(sys.executable).parent)
    path = os.pathsep.join((here, os.environ.get("PATH", "")))
    command = which("pyright", path=path)
    if command is None:
        pytest.skip("pyright is not installed")
    done = subprocess.run(
        [command, "--pythonpath", sys.executable, "--outputjson", *arguments],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        # It fetches itself when it is first used.
        pytest.skip(f"pyright does not run here: {done.stderr[-300:]}")
    return report


@pytest.mark.timeout(180)
def test_pyright_knows_the_type_of_every_public_name() -> None:
    report = pyright("--verifytypes", "nbflow", "--ignoreexternal")

    unknown = [
        symbol["name"]
        for symbol in report["typeCompleteness"]["symbols"]
        if not symbol["isTypeKnown"] or symbol["isTypeAmbiguous"]
    ]

    assert unknown == []
    assert report["typeCompleteness"]["completenessScore"] == 1


@pytest.mark.timeout(180)
def test_pyright_reads_a_program_as_it_is_meant() -> None:
    report = pyright(str(PROGRAM))

    said = [
        f"{found['range']['start']['line'] + 1}: {found['message']}"
        for found in report["generalDiagnostics"]
    ]

    assert said == []


def test_the_program_does_what_its_types_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = spec_from_file_location("program_of_public_names", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    program = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, program)

    spec.loader.exec_module(program)

    program.main()
