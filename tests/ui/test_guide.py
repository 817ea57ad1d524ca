"""The guide itself, as a person goes through it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.ui.conftest import NotebookPage

GUIDE = Path(__file__).parents[2] / "notebooks" / "00-start.ipynb"
LONG_SECONDS = 120


def place_of(cell_id: str) -> int:
    notebook = nbformat.read(GUIDE, as_version=4)
    return [cell["id"] for cell in notebook.cells].index(cell_id)


def test_run_all_stops_at_the_forms_and_the_answers_finish_the_review(
    jupyter: NotebookPage,
) -> None:
    # Tall enough for a picture of the whole panel.
    jupyter.page.set_viewport_size({"width": 1280, "height": 1600})
    shutil.copytree(GUIDE.parent / "images", jupyter.folder / "images")
    jupyter.open(GUIDE)
    review, summary = place_of("review"), place_of("summary")

    jupyter.run_all(seconds=LONG_SECONDS)
    panel = jupyter.cell(review).get_by_role("region", name="Workflow run review")
    forms = panel.get_by_role("form", name="Question")
    expect(forms).to_have_count(6)
    expect(jupyter.cell(review)).to_contain_text("WorkflowPaused")
    for left, row in enumerate((3, 271, 185, 178, 218)):
        form = forms.filter(has_text=f"Row {row},")
        form.get_by_role("button", name="Accept").click()
        expect(forms).to_have_count(5 - left)
    jupyter.wait_idle()

    forms.get_by_role("button", name="Edit").click()
    forms.get_by_label(re.compile("^value")).fill("50.8")
    forms.get_by_role("button", name="Send answer").focus()
    panel.scroll_into_view_if_needed()
    panel.screenshot(path=jupyter.picture(f"{jupyter.server.kind}-guide-panel"))
    forms.get_by_role("button", name="Send answer").click()
    status = panel.get_by_role("status", name="Run status")
    expect(status).to_contain_text("Finished")
    jupyter.wait_idle()
    jupyter.run_cell(summary, seconds=LONG_SECONDS)

    expect(jupyter.cell(summary)).not_to_contain_text("Error")
    assert jupyter.errors == []
