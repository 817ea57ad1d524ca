"""Both applications start, run a cell and show what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.ui.conftest import NotebookPage


def test_a_cell_runs_and_its_output_is_there_after_a_reload(
    jupyter: NotebookPage,
) -> None:
    jupyter.open(new_notebook(cells=[new_code_cell("1 + 1")]))

    jupyter.run_all()
    jupyter.save()
    jupyter.reload()

    expect(jupyter.output(0)).to_have_text("2")


def test_a_restarted_kernel_has_forgotten(jupyter: NotebookPage) -> None:
    cells = [new_code_cell("x = 1"), new_code_cell("print('x' in globals())")]
    jupyter.open(new_notebook(cells=cells))

    jupyter.run_all()
    before = jupyter.output(1).inner_text()
    jupyter.restart()
    jupyter.run_cell(1)

    assert before.strip() == "True"
    expect(jupyter.output(1)).to_have_text("False")
