"""The benchmark runs: how long things take is printed, and asserted nowhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("run.py")
LIMITS = Path(__file__).with_name("limits.py")


def test_every_case_reports_figures_for_nbflow(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"

    subprocess.run([sys.executable, SCRIPT, "--quick", "--output", output], check=True)

    report = json.loads(output.read_text())
    names = {case["name"] for case in report["cases"]}
    assert {"sequential task", "fan-out task", "replayed task", "import"} <= names
    for case in report["cases"]:
        for engine in ("nbflow memory", "nbflow DuckDB"):
            assert case["median"][engine] > 0, (case["name"], engine)


def test_every_limit_is_measured(tmp_path: Path) -> None:
    output = tmp_path / "limits.json"

    subprocess.run([sys.executable, LIMITS, "--quick", "--output", output], check=True)

    report = json.loads(output.read_text())
    ours = [row for row in report if row["bound"] is not None]
    assert len(ours) == 2 * 4 + 2 * 3 + 1 + 2
    assert all(row["figure"] > 0 for row in report)
