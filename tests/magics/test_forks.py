"""`%workflow fork`: an old run tried again from one of its calls on."""

from __future__ import annotations

from typing import Any

import pytest

import nbflow
from nbflow.errors import ThreadNotFoundError, UsageError, WorkflowPaused

ESSAY = """%%workflow essay -i {topic!r} --no-panel
ran = globals().setdefault("ran", [])

@task
def draft(topic):
    ran.append("draft")
    return f"on {{topic}}"

@task
def polish(text):
    ran.append("polish")
    return text + "!"

@entrypoint()
def essay(topic):
    return polish(polish(draft(topic).result()).result()).result()
"""

ASK = """%%workflow ask -i 1 --no-panel
@entrypoint()
def ask(n):
    return [interrupt(f"Sure of {n}?"), interrupt("Really?")]
"""


@pytest.fixture
def ran(cells: Any) -> Any:
    for topic in ("cats", "dogs"):
        cells.run(ESSAY.format(topic=topic))
    cells.names["ran"].clear()
    return cells


def test_the_newest_run_is_tried_again_from_a_call_that_is_named(ran: Any) -> None:
    result = ran.run("%workflow fork essay --before polish#2 --no-panel")

    assert result == "on dogs!!"
    assert ran.names["ran"] == ["polish"]
    assert "[kept by a fork]" in ran.printed


def test_a_result_is_replaced_by_an_expression_of_the_notebook(ran: Any) -> None:
    ran.run("mine = 'of my own'")

    line = "%workflow fork essay --before draft --set mine.title() --out end --no-panel"
    result = ran.run(line)

    assert result == ran.names["end"] == "Of My Own!!"
    assert ran.names["ran"] == ["polish", "polish"]
    assert "replaced by a fork" in ran.printed


def test_an_older_run_is_named_as_the_history_shows_it(ran: Any) -> None:
    history = ran.run("%workflow history essay")
    first = dict(zip(history.columns, history.rows[-1], strict=True))

    tasks = ran.run(f"%workflow tasks {first['run']}")
    result = ran.run(f"%workflow fork {first['run']} --before polish#2 --no-panel")

    assert [row[1] for row in tasks.rows] == ["'cats'", "'on cats'", "'on cats!'"]
    assert result == "on cats!!"
    assert len(nbflow.history("essay").rows) == 6


def test_an_older_run_is_shown_again(ran: Any) -> None:
    history = ran.run("%workflow history essay")
    first = dict(zip(history.columns, history.rows[-1], strict=True))["run"]

    ran.run(f"%workflow show {first}")
    shown = ran.printed
    panel = nbflow.show(first)

    assert "draft('cats')" in shown
    assert "draft('dogs')" not in shown
    assert panel.run_id.startswith(first)
    assert panel.status == "finished"
    assert nbflow.show("essay").run_id != panel.run_id


def test_the_function_does_what_the_line_does(ran: Any) -> None:
    handle = nbflow.fork("essay", before="polish#1", result="short")
    handle.wait()

    assert handle.result() == (True, "short!")
    assert ran.names["ran"] == ["polish"]


def test_a_call_is_named_by_its_id_as_a_panel_does(ran: Any) -> None:
    history = ran.run("%workflow sql select run_id, call_id from tasks order by all")
    for run_id, call_id in list(history)[:2]:
        handle = nbflow.fork(run_id[:8], before=call_id[:12])
        handle.wait()

        assert handle.result()[0]


def test_tasks_shows_calls_as_a_fork_takes_them(ran: Any) -> None:
    names = [row[0] for row in ran.run("%workflow tasks essay").rows]

    assert names == ["draft", "polish#1", "polish#2"]


def test_a_question_is_asked_again_or_answered_otherwise(cells: Any) -> None:
    with pytest.raises(WorkflowPaused):
        cells.run(ASK)
    with pytest.raises(WorkflowPaused):
        cells.run("%workflow resume ask 'yes' --no-panel")
    cells.run("%workflow resume ask 'yes' --no-panel")

    with pytest.raises(WorkflowPaused, match="Really"):
        cells.run("%workflow fork ask --before interrupt#1 --set 'no' --no-panel")
    assert cells.run("%workflow resume ask 'fine' --no-panel") == ["no", "fine"]
    with pytest.raises(WorkflowPaused, match="Sure of 1"):
        cells.run("%workflow fork ask --before interrupt#1 --no-panel")


def test_a_call_that_is_not_there_is_refused_with_the_names_of_those_that_are(
    ran: Any,
) -> None:
    with pytest.raises(UsageError, match=r"no call of that run.*draft, polish#1"):
        ran.run("%workflow fork essay --before print")
    with pytest.raises(UsageError, match="'polish' is several calls"):
        ran.run("%workflow fork essay --before polish")
    with pytest.raises(ThreadNotFoundError):
        ran.run("%workflow fork nobody --before draft")

    assert len(nbflow.history("essay").rows) == 4


def test_a_run_whose_workflow_is_not_defined_here_is_not_forked(ran: Any) -> None:
    ran.restart()

    with pytest.raises(UsageError, match="Run the cell that defines it"):
        ran.run("%workflow fork essay --before draft")

    assert len(nbflow.history("essay").rows) == 4


def test_a_fork_in_another_kernel_knows_what_was_kept(ran: Any) -> None:
    ran.restart()
    ran.run(ESSAY.format(topic="dogs").replace("--no-panel", "--once --no-panel"))
    ran.names["ran"].clear()

    result = ran.run("%workflow fork essay --before polish#2 --no-panel")

    assert result == "on dogs!!"
    assert ran.names["ran"] == ["polish"]
