"""What a clone may not carry: one machine's paths, one registry's addresses."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:work|root|tmp|home)/\w")
REGISTRY = re.compile(
    r"registry[.](?:npmjs|yarnpkg)[.]|pypi[.]org/simple|files[.]pythonhosted"
    r"|\"resolved\": \"http"
)


@pytest.mark.parametrize(
    "pattern", [MACHINE_PATH, REGISTRY], ids=["machine path", "registry"]
)
def test_no_tracked_file_names(pattern: re.Pattern[str]) -> None:
    found = [
        f"{path}:{number}: {line.strip()[:120]}"
        for path in _tracked_files()
        for number, line in enumerate(_lines(path), start=1)
        if pattern.search(line)
    ]

    assert not found


def _tracked_files() -> list[str]:
    # In a container the clone often belongs to another user than root.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    return [name for name in done.stdout.split("\0") if (ROOT / name).is_file()]


def _lines(name: str) -> list[str]:
    try:
        return (ROOT / name).read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        return []  # a picture, say
