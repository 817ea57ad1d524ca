"""The README's code runs, and what it lists is what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbflow.magics.arguments import parse_cell_line, parse_line
from nbflow.magics.commands import HelpCommand

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.notebooks.conftest import GuideKernel

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
MOST_LINES = 20


@pytest.mark.timeout(120)
def test_the_first_code_asks_and_its_last_line_brings_the_result(
    kernels: Callable[..., GuideKernel],
) -> None:
    load, workflow, answer, _ = BLOCKS
    kernel = kernels()

    kernel.do(load)
    asked = kernel.do(workflow, raises="WorkflowPaused")
    shown = kernel.do(answer)

    assert "2400 penguins. Publish?" in asked
    assert shown.count("[replayed]") == 3
    assert kernel.do("total") == "2400"


def test_the_first_code_is_twenty_lines_at_most() -> None:
    lines = [line for block in BLOCKS[:3] for line in block.splitlines()]

    assert len([line for line in lines if line.strip()]) <= MOST_LINES


def test_the_program_runs_and_says_nothing_else(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(BLOCKS[3], encoding="utf-8")

    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, check=False
    )

    assert done.stderr == ""
    first, question, last = done.stdout.splitlines()
    assert first == "{'draft': 'All about penguins'}"
    assert "Better than 'All about penguins'?" in question
    assert last == "Mostly about penguins"


def test_the_table_of_options_is_that_of_the_magic() -> None:
    help_text = parse_cell_line("--help")
    assert isinstance(help_text, HelpCommand)
    options = help_text.text.partition("Options:\n")[2].partition("\n\n")[0]
    rows = section("Options of `%%workflow`").splitlines()

    listed = {flag for row in rows if row[:3] == "| `" for flag in flags(row)}

    starts = [line for line in options.splitlines() if line[:3] == "  -"]
    assert listed == {flag for line in starts for flag in flags(line)}


def test_every_command_of_the_line_magic_is_listed() -> None:
    help_text = parse_line("help")
    assert isinstance(help_text, HelpCommand)

    commands = set(re.findall(r"^  %workflow (\w+)", help_text.text, re.MULTILINE))

    listed = re.findall(r"`(\w+)[^`]*`", section("Options of `%%workflow`"))
    assert commands - set(listed) == set()


def test_its_links_and_targets_exist() -> None:
    links = re.findall(r"(?<!!)\[[^]]*\]\(([^)#:]+)\)", README)
    makefile = (ROOT / "Makefile").read_text("utf-8")

    missing = [link for link in links if not (ROOT / link).exists()]
    targets = set(re.findall(r"\bmake ([a-z][a-z-]*)\b", README))
    unknown = [name for name in targets if f"\n{name}:" not in makefile]

    assert missing == []
    assert unknown == []


def section(title: str) -> str:
    """Return the text below a heading, up to the next one."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def flags(row: str) -> list[str]:
    """Return the options that a line names before it explains them."""
    head = row.split("|")[1] if row.startswith("|") else re.split(r"\s{2,}", row)[1]
    return FLAG.findall(head)
