"""The main job in a browser: watch it run, answer its forms, come back later."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Locator, expect

if TYPE_CHECKING:
    import nbformat

    from tests.ui.conftest import NotebookPage

SETUP = """\
%load_ext nbflow
import time
from pathlib import Path
from nbflow import entrypoint, interrupt, task
ran = Path("ran.txt")
"""

REVIEW = """\
%%workflow review -i ["Adelie", "Gentoo", "Chinstrap"]
@task
def inspect(species):
    with ran.open("a") as file:
        file.write(species + "\\n")
    time.sleep(2.5)
    return {"species": species, "row": 3, "mass": 3750.0}

@task
def propose(found):
    return interrupt({
        "question": f"Repair {found['species']}?",
        "tool_call": {"name": "set_value", "id": "1", "args": {
            "row": found["row"], "mass": found["mass"], "note": "from the field book",
        }},
    })

@entrypoint()
def review(species):
    found = [f.result() for f in [inspect(s) for s in species]]
    answer = propose(found[0]).result()
    return {"answer": answer, "inspected": len(found)}
"""

CHECK = "print(review_result['answer'], type(review_result['answer']['data']['row']))"


def guide(*cells: str) -> nbformat.NotebookNode:
    made: nbformat.NotebookNode = new_notebook(
        cells=[new_code_cell(cell) for cell in (SETUP, *cells)]
    )
    return made


def region(page: NotebookPage, index: int) -> Locator:
    return page.cell(index).get_by_role("region", name="Workflow run review")


def run_until_paused(page: NotebookPage, index: int) -> None:
    page.run_cell(index)
    expect(page.cell(index)).to_contain_text("WorkflowPaused")


def lines(page: NotebookPage) -> list[str]:
    return (page.folder / "ran.txt").read_text(encoding="utf-8").split()


def test_a_run_is_seen_live_answered_in_its_form_and_seen_again_after_a_reload(
    jupyter: NotebookPage,
) -> None:
    review = REVIEW.replace(
        "%%workflow review", "%%workflow review --out review_result"
    )
    jupyter.open(guide(review, CHECK))
    jupyter.run_cell(0)

    job = jupyter.start_cell(1)
    panel = region(jupyter, 1)
    tasks = panel.get_by_role("list", name="Tasks").get_by_role("listitem")
    expect(tasks.filter(has_text="inspect")).to_have_count(3)
    expect(panel.get_by_role("status", name="Run status")).to_contain_text("unning")
    jupyter.screenshot(f"{jupyter.server.kind}-running")
    jupyter.wait(job)
    expect(jupyter.cell(1)).to_contain_text("WorkflowPaused")
    form = panel.get_by_role("form", name=re.compile("Question"))
    expect(form).to_contain_text("Repair Adelie?")
    jupyter.screenshot(f"{jupyter.server.kind}-question")

    form.get_by_role("button", name="Edit").click()
    form.get_by_label(re.compile("^row")).fill("4")
    jupyter.screenshot(f"{jupyter.server.kind}-edited")
    form.get_by_role("button", name="Send answer").click()
    expect(panel.get_by_role("status", name="Run status")).to_contain_text("inished")
    jupyter.wait_idle()
    jupyter.run_cell(2)

    expect(jupyter.output(2)).to_contain_text("'row': 4, 'mass': 3750.0")
    expect(jupyter.output(2)).to_contain_text("<class 'int'>")
    assert sorted(lines(jupyter)) == ["Adelie", "Chinstrap", "Gentoo"]
    jupyter.save()
    jupyter.reload()
    expect(region(jupyter, 1)).to_contain_text("inspect")
    expect(region(jupyter, 1)).to_contain_text("inished")
    expect(jupyter.cell(1)).not_to_contain_text("model not found")
    jupyter.screenshot(f"{jupyter.server.kind}-reopened")
    assert jupyter.errors == []


def test_after_a_kernel_restart_the_cell_goes_on_where_the_run_stopped(
    jupyter: NotebookPage,
) -> None:
    jupyter.open(guide(REVIEW))
    jupyter.run_cell(0)
    run_until_paused(jupyter, 1)

    jupyter.restart()
    jupyter.run_cell(0)
    run_until_paused(jupyter, 1)
    form = region(jupyter, 1).get_by_role("form", name=re.compile("Question"))
    form.get_by_role("button", name="Accept").click()

    status = region(jupyter, 1).get_by_role("status", name="Run status")
    expect(status).to_contain_text("inished")
    assert sorted(lines(jupyter)) == ["Adelie", "Chinstrap", "Gentoo"]
    assert jupyter.errors == []


def test_a_form_answered_before_its_cell_was_run_is_used_when_it_is(
    jupyter: NotebookPage,
) -> None:
    jupyter.open(guide(REVIEW, "%workflow show review"))
    jupyter.run_cell(0)
    run_until_paused(jupyter, 1)

    jupyter.restart()
    jupyter.run_cell(0)
    jupyter.run_cell(2)
    shown = region(jupyter, 2)
    form = shown.get_by_role("form", name=re.compile("Question"))
    form.get_by_role("button", name="Accept").click()
    expect(shown).to_contain_text(re.compile(r"[Rr]un the cell that defines"))
    jupyter.screenshot(f"{jupyter.server.kind}-answered-early")
    jupyter.run_cell(1)

    status = region(jupyter, 1).get_by_role("status", name="Run status")
    expect(status).to_contain_text("inished")
    assert sorted(lines(jupyter)) == ["Adelie", "Chinstrap", "Gentoo"]
    assert jupyter.errors == []


def test_an_unsaved_run_is_brought_back_by_show(jupyter: NotebookPage) -> None:
    jupyter.open(guide(REVIEW, "%workflow show review"))
    jupyter.save()
    jupyter.run_cell(0)
    run_until_paused(jupyter, 1)

    jupyter.reload()
    jupyter.run_cell(2)

    panel = region(jupyter, 2)
    expect(panel.get_by_role("list", name="Tasks")).to_contain_text("Gentoo")
    expect(panel.get_by_role("form", name=re.compile("Question"))).to_be_visible()


FLOOD = """\
%%workflow flood
from nbflow import get_stream_writer

@task
def write(count):
    writer = get_stream_writer()
    begin = time.perf_counter()
    for number in range(count):
        writer({"n": number})
        ahead = number / 10_000 - (time.perf_counter() - begin)
        if ahead > 0.01:
            time.sleep(ahead)
    return count

write(50_000).result()
"""


def test_ten_thousand_events_a_second_do_not_freeze_the_page(
    jupyter: NotebookPage,
) -> None:
    jupyter.open(guide(FLOOD, "1 + 1"))
    jupyter.run_cell(0)

    job = jupyter.start_cell(1)
    panel = jupyter.cell(1).get_by_role("region", name="Workflow run flood")
    expect(panel).to_be_visible()
    longest = jupyter.page.evaluate(
        """async () => {
            let longest = 0, last = performance.now();
            while (performance.now() < last + 3000 && longest < 1e9) {
                const before = performance.now();
                await new Promise(resolve => setTimeout(resolve, 10));
                longest = Math.max(longest, performance.now() - before);
                if (performance.now() - last > 2500) break;
            }
            return longest;
        }"""
    )
    jupyter.wait(job)
    jupyter.wait_idle()
    jupyter.run_cell(2)

    expect(panel).to_contain_text(re.compile(r"50.000"))
    expect(jupyter.output(2)).to_have_text("2")
    # A frozen page would not come back for seconds.
    assert longest < 2000
    assert jupyter.errors == []


SLOW = """\
%%workflow slow
@task
def step(number):
    time.sleep(0.25)
    return number

for number in range(24):
    step(number).result()
"done"
"""


def test_the_panels_stop_button_stops_the_run_while_its_cell_is_busy(
    jupyter: NotebookPage,
) -> None:
    jupyter.open(guide(SLOW))
    jupyter.run_cell(0)

    job = jupyter.start_cell(1)
    panel = jupyter.cell(1).get_by_role("region", name="Workflow run slow")
    panel.get_by_role("button", name="Stop").click()
    jupyter.wait(job)
    jupyter.wait_idle()

    expect(jupyter.cell(1)).to_contain_text("WorkflowStopped")
    status = panel.get_by_role("status", name="Run status")
    expect(status).to_contain_text("ancelled")
    assert jupyter.errors == []


def test_interrupting_the_kernel_stops_the_run_and_it_can_be_continued(
    jupyter: NotebookPage,
) -> None:
    jupyter.open(guide(SLOW))
    jupyter.run_cell(0)

    job = jupyter.start_cell(1)
    panel = jupyter.cell(1).get_by_role("region", name="Workflow run slow")
    rows = panel.get_by_role("list", name="Tasks").get_by_role("listitem")
    expect(rows.nth(2)).to_be_visible()
    jupyter.interrupt()
    jupyter.wait(job)
    jupyter.wait_idle()
    expect(jupyter.cell(1)).to_contain_text("WorkflowStopped")
    jupyter.run_cell(1)

    expect(jupyter.cell(1)).to_contain_text("'done'")
    expect(jupyter.cell(1)).to_contain_text("replayed")
    assert jupyter.errors == []
