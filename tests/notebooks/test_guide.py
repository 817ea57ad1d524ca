"""What the guide tells its readers, beyond the outputs that nbval compares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.notebooks.conftest import GuideKernel

    Start = Callable[..., GuideKernel]

ANSWERS = Path(__file__).parents[2] / "notebooks" / "00-start.answers.json"

pytestmark = pytest.mark.timeout(180)

ASKED = 6
FINISHED = 8
ANSWER = """
import nbflow

def answer(row, sent):
    [(thread, _, _, question_id, _)] = [
        asked for asked in nbflow.pending().rows if f"Row {row}," in asked[2]
    ]
    run = nbflow.resume(thread, sent, interrupt_id=question_id)
    return run is not None and run.wait(30)
"""
EDITED = {"row": 293, "column": "bill_length_mm", "value": 47.25, "reason": "read anew"}


def test_run_all_stops_at_the_form_and_names_what_to_do(kernels: Start) -> None:
    kernel = kernels()

    shown = kernel.run_until_paused()

    assert shown.count("? ask asks: Row ") == ASKED
    assert "thread 'review' waits for an answer (6 questions)" in shown
    assert str(kernel.store) in shown
    assert "%workflow resume review" in shown


def test_questions_are_answered_one_by_one_and_each_answer_counts(
    kernels: Start,
) -> None:
    kernel = kernels()
    kernel.run_until_paused()

    kernel.do(ANSWER)
    kernel.do('answer(3, {"action": "continue"})')
    pending = kernel.do("len(nbflow.pending())")
    kernel.do(f'answer(293, {{"action": "update", "data": {EDITED}}})')
    refused = '{"action": "feedback", "data": "It was seen."}'
    kernel.do(f"for row in (185, 178, 218, 271): answer(row, {refused})")

    assert int(pending) == ASKED - 1
    assert kernel.do("3 in repaired.index, 271 in repaired.index") == "(False, True)"
    assert kernel.do('float(repaired.loc[293, "bill_length_mm"])') == "47.25"
    same = "penguins.drop([3, 293]).equals(repaired.drop(293))"
    assert kernel.do(same) == "True"


def test_a_killed_kernel_costs_nothing_that_was_finished(kernels: Start) -> None:
    first = kernels()
    first.run_until_paused()

    first.kill()
    second = kernels()
    second.run("load")
    second.do(ANSWER)
    went_on = second.do('answer(3, {"action": "continue"})')
    shown = second.run_until_paused()

    assert went_on == "False"
    assert shown.count("[replayed]") == FINISHED
    assert shown.count("? ask asks: Row ") == ASKED - 1


def test_a_file_of_answers_runs_the_review_to_its_end(
    kernels: Start, tmp_path: Path
) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"ask": {"action": "continue"}}), encoding="utf-8")
    kernel = kernels(answers)

    shown = kernel.run("load", "data", "tasks", "review")
    changed = kernel.run("changes")

    assert "finished" in shown
    assert "dropped: 3 271" in changed
    rows = [line.split()[0] for line in changed.splitlines() if line[:1].isdigit()]
    assert rows == ["178", "185", "218", "293"]


def test_the_guides_answers_are_to_the_questions_that_its_outputs_show(
    guide: Any,
) -> None:
    [cell] = [cell for cell in guide.cells if cell.id == "review"]
    shown = cell.outputs[0].data["text/plain"]

    answers = json.loads(ANSWERS.read_text("utf-8"))

    assert len(answers) == ASKED
    assert [text for text in answers if f"ask({text!r}" not in shown] == []
    actions = {answer["action"] for answer in answers.values()}
    assert actions == {"continue", "update", "feedback"}


def test_the_kept_outputs_are_those_of_a_whole_run(guide: Any) -> None:
    cells = [cell for cell in guide.cells if cell.cell_type == "code"]

    counts = [cell.execution_count for cell in cells]
    errors = {
        cell.id: output.ename
        for cell in cells
        for output in cell.outputs
        if output.output_type == "error"
    }
    noise = [
        cell.id
        for cell in cells
        for output in cell.outputs
        if output.get("name") == "stderr" or "is not built" in json.dumps(output)
    ]

    assert counts == list(range(1, len(cells) + 1))
    assert errors == {"failure": "KeyError"}
    assert noise == []
