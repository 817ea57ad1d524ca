"""Adds up the reports that pytest left, and prints them as one line of pytest's.

A test that was skipped is named with its reason, so that none goes unnoticed.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

__all__ = ["main"]

OUTCOMES = ("failed", "error", "passed", "skipped", "xfailed")


def main(folder: Path) -> int:
    """Print the sum of a folder's reports.

    Parameters
    ----------
    folder : Path
        Where the `*.xml` files are.

    Returns
    -------
    int
        0 where tests ran and none failed, else 1; also 1 where a file `failed` says
        that something went wrong that no report tells.
    """
    counts: Counter[str] = Counter()
    seconds = 0.0
    for report in sorted(folder.glob("*.xml")):
        # The report is pytest's own, a moment old.
        suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314
        for suite in suites:
            seconds += float(suite.get("time", "0"))
            for case in suite.iter("testcase"):
                outcome, reason = _outcome(case)
                counts[outcome] += 1
                if outcome != "passed":
                    print(f"{outcome.upper()} {report.stem}: {_name(case)} {reason}")
    shown = [f"{counts[name]} {name}" for name in OUTCOMES if counts[name]]
    print(f"===== {', '.join(shown) or 'no tests ran'} in {seconds:.2f}s =====")
    went_wrong = counts["failed"] + counts["error"] or (folder / "failed").exists()
    return 0 if counts["passed"] and not went_wrong else 1


def _outcome(case: ET.Element) -> tuple[str, str]:
    for child in case:
        first_line = (child.get("message") or "").partition("\n")[0]
        match child.tag:
            case "failure":
                return "failed", first_line
            case "error":
                return "error", first_line
            case "skipped" if child.get("type") == "pytest.xfail":
                return "xfailed", first_line
            case "skipped":
                return "skipped", first_line
            case _:
                continue
    return "passed", ""


def _name(case: ET.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
