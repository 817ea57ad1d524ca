"""A finished run tried again from one of its calls on, in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.ui.conftest import NotebookPage

ESSAY = """\
%%workflow essay -i "cats"
from nbflow import entrypoint, task

@task
def draft(topic):
    return f"on {topic}"

@task
def polish(text):
    return text + "!"

@entrypoint()
def essay(topic):
    return polish(polish(draft(topic).result()).result()).result()
"""

FORK = '%workflow fork essay --before draft --set "of my own"'


def test_a_row_offers_its_fork_as_code_and_the_fork_says_what_was_replaced(
    lab: NotebookPage,
) -> None:
    cells = ("%load_ext nbflow", ESSAY, FORK, "%workflow history essay")
    lab.open(new_notebook(cells=[new_code_cell(cell) for cell in cells]))

    lab.run_all()

    rows = lab.output(1).get_by_role("list", name="Tasks").get_by_role("listitem")
    rows.nth(1).get_by_role("button").first.click()
    expect(
        lab.output(1).get_by_role("button", name="again from here on")
    ).to_be_visible()
    fork = lab.output(2).get_by_role("region", name="Workflow run essay")
    expect(fork.get_by_role("status", name="Run status")).to_have_text("Finished")
    expect(fork).to_contain_text("replaced by a fork")
    expect(lab.cell(2)).to_contain_text("of my own!!")
    expect(lab.cell(3)).to_contain_text("fork")
    fork.scroll_into_view_if_needed()
    lab.screenshot("lab-fork")


def test_runs_that_end_while_they_are_drawn_leave_no_error_in_the_page(
    lab: NotebookPage,
) -> None:
    cells = ("%load_ext nbflow", ESSAY, *[FORK] * 10)
    lab.open(new_notebook(cells=[new_code_cell(cell) for cell in cells]))

    lab.run_all()

    for index in range(2, len(cells)):
        status = lab.output(index).get_by_role("status", name="Run status")
        expect(status).to_have_text("Finished")
