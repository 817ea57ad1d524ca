"""What running a cell does: new runs, continued ones, forms, names, errors."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import duckdb
import pytest

from nbflow.errors import (
    InvalidAnswerError,
    StoreHeldError,
    StoreUnavailableError,
    ThreadNotFoundError,
    UnknownInterruptError,
    UnstorableValueError,
    UsageError,
    WorkflowPaused,
)
from nbflow.serde import Opaque
from nbflow.session import current
from nbflow.widgets.shown import commands_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.magics.conftest import Cells

COUNTED = """\
%%workflow count {options}
@task
def step(number):
    ran.append(number)
    {step}

@entrypoint()
def count(number):
    total = step(number).result() + step(number + 1).result()
    {end}
"""


def counted(
    options: str = "-i 1", *, step: str = "return number", end: str = "return total"
) -> str:
    return COUNTED.format(options=options, step=step, end=end)


def test_a_cell_that_defines_a_workflow_runs_it_and_its_value_is_the_result(
    cells: Cells,
) -> None:
    cells.run("ran = []")

    result = cells.run(counted())

    assert result == 3
    assert cells.names["count"].invoke(1, {"configurable": {"thread_id": "x"}}) == 3
    assert "step" in cells.names


def test_a_cell_prints_the_chunks_that_it_asks_for(cells: Cells) -> None:
    cells.run("@task\ndef double(n): return 2 * n")
    body = "from nbflow import get_stream_writer\nget_stream_writer()('hi')\n"

    cells.run(f"%%workflow told --stream custom,updates\n{body}double(2).result()")

    lines = cells.printed.splitlines()
    chunks = [line for line in lines if line.startswith(("custom:", "updates:"))]
    assert chunks == ["custom: hi", "updates: {'double': 4}", "updates: {'told': 4}"]


def test_a_cell_prints_tokens_as_one_text(cells: Cells) -> None:
    cells.run(
        "from langchain_core.language_models.fake_chat_models import "
        "GenericFakeChatModel\n"
        "from langchain_core.messages import AIMessage\n"
        "@task\ndef say(line):\n"
        "    model = GenericFakeChatModel(messages=iter([AIMessage(line)]))\n"
        "    return model.invoke('go on').content"
    )

    cells.run("%%workflow poem --stream messages\nsay('so much depends').result()")

    assert "so much depends" in cells.printed


def test_a_cell_may_bound_how_many_tasks_run_at_once(cells: Cells) -> None:
    cells.run(
        "import threading\n"
        "at_work, most = 0, 0\n"
        "lock, both = threading.Lock(), threading.Event()\n"
        "@task\ndef work(n):\n"
        "    global at_work, most\n"
        "    with lock: at_work += 1; most = max(most, at_work)\n"
        "    if at_work == 2: both.set()\n"
        "    both.wait(0.05)\n"
        "    with lock: at_work -= 1"
    )

    cells.run(
        "%%workflow bounded --max-concurrency 2 --durability async\n"
        "[f.result() for f in [work(n) for n in range(6)]]"
    )

    assert cells.names["most"] == 2


def test_a_workflow_that_needs_an_input_is_only_defined(cells: Cells) -> None:
    cells.run("ran = []")

    result = cells.run(counted(""))
    by_line = cells.run("%workflow run count -i 5")

    assert result is None
    assert by_line == 11


def test_a_cell_that_is_the_workflow_leaves_its_names_when_it_is_finished(
    cells: Cells,
) -> None:
    cells.run("n = 1\n@task\ndef double(x): return 2 * x")

    result = cells.run(
        "%%workflow sums -i 10\n"
        "n = n + 1\ntotal = double(inputs + n).result()\ntotal + 1"
    )

    assert result == 25
    assert cells.names["n"] == 2
    assert cells.names["total"] == 24


def test_a_cell_that_is_the_workflow_may_await(cells: Cells) -> None:
    cells.run("@task\nasync def double(x): return 2 * x")

    result = cells.run(
        "%%workflow sums\nimport asyncio\n"
        "sum(await asyncio.gather(*(double(i) for i in range(4))))"
    )

    assert result == 12


def test_a_cell_that_is_the_workflow_remembers_the_run_before(cells: Cells) -> None:
    cell = "%%workflow tally\n(previous or 0) + 1"

    results = [cells.run(cell) for _ in range(3)]

    assert results == [1, 2, 3]


def test_running_an_unfinished_cell_again_continues_it(cells: Cells) -> None:
    cells.run("ran = []")
    with pytest.raises(ZeroDivisionError):
        cells.run(counted(end="return total / 0"))

    result = cells.run(counted(end="return total / 1"))

    assert result == 3.0
    assert cells.names["ran"] == [1, 2]


def test_an_edited_task_runs_again_when_its_cell_is_continued(cells: Cells) -> None:
    cells.run("ran = []")
    with pytest.raises(ZeroDivisionError):
        cells.run(counted(end="return total / 0"))

    result = cells.run(counted(step="return 10 * number"))

    assert result == 30
    assert cells.names["ran"] == [1, 2, 1, 2]


def test_another_input_begins_a_new_run(cells: Cells) -> None:
    cells.run("ran = []")
    with pytest.raises(ZeroDivisionError):
        cells.run(counted(end="return total / 0"))

    result = cells.run(counted("-i 5"))

    assert result == 11
    assert cells.names["ran"] == [1, 2, 5, 6]


def test_new_always_begins_a_new_run(cells: Cells) -> None:
    cells.run("ran = []")
    with pytest.raises(ZeroDivisionError):
        cells.run(counted(end="return total / 0"))

    cells.run(counted("-i 1 --new"))

    assert cells.names["ran"] == [1, 2, 1, 2]


def test_once_returns_a_finished_result_until_code_or_input_change(
    cells: Cells,
) -> None:
    cells.run("ran = []")
    cells.run(counted("-i 1 --once"))

    again = cells.run(counted("-i 1 --once"))
    after_restart = _after_restart(cells, counted("-i 1 --once"))
    edited = cells.run(counted("-i 1 --once", step="return 10 * number"))

    assert (again, after_restart, edited) == (3, 3, 30)
    assert cells.names["ran"] == [1, 2]


def _after_restart(cells: Cells, cell: str) -> object:
    cells.restart()
    cells.run("ran = []")
    result = cells.run(cell)
    assert cells.names["ran"] == []
    return result


def test_a_restarted_kernel_continues_once_the_cell_was_run(cells: Cells) -> None:
    cells.run("ran = []")
    with pytest.raises(ZeroDivisionError):
        cells.run(counted(end="return total / 0"))

    cells.restart()
    cells.run("ran = []")
    result = cells.run(counted())

    assert result == 3
    assert cells.names["ran"] == []


OF_A_CLASS = """\
%%workflow --thread points
from dataclasses import dataclass

@dataclass
class Found:
    n: int

@task
def look(n):
    ran.append(n)
    return Found(n)

found = look(1).result()
isinstance(found, Found) and found == Found(1) and 1 / {divisor} and found
"""


@pytest.mark.parametrize("restarts", [False, True])
def test_a_cell_that_defines_a_class_is_continued_with_its_own_class(
    cells: Cells, restarts: bool
) -> None:
    cells.run("ran = []")
    with pytest.raises(ZeroDivisionError):
        cells.run(OF_A_CLASS.format(divisor=0))

    if restarts:
        cells.restart()
        cells.run("ran = [1]")
    result = cells.run(OF_A_CLASS.format(divisor=1))

    assert result.n == 1
    assert type(result) is cells.names["Found"]
    assert cells.names["ran"] == [1]


def test_a_finished_run_whose_class_is_not_known_is_shown_wherever_one_looks(
    cells: Cells,
) -> None:
    cell = OF_A_CLASS.format(divisor=1).replace("points", "points --once")
    cells.run("ran = []")
    cells.run(cell)

    cells.restart()
    cells.run("ran = []")
    result = cells.run(cell)

    assert result == Opaque("__main__:Found", {"n": 1})
    assert cells.names["ran"] == []
    cells.run("%workflow show points")
    assert "✓ look(1) → Found(n=1)" in cells.printed
    cells.run("%workflow history points")
    assert "Found(n=1)" in cells.printed
    rows = cells.run("import nbflow; nbflow.sql('select name, status from tasks')")
    assert rows.fetchall() == [("look", "finished")]


ASKING = """\
%%workflow asking -i "x" {options}
@task
def ask(text):
    return interrupt({{"question": "Sure?", "tool_call": {{"name": "delete",
        "args": {{"path": text, "times": 2}}, "id": "1"}}}})

@entrypoint()
def asking(text):
    return ask(text).result()
"""


def test_a_question_ends_the_cell_with_three_lines_that_say_what_to_do(
    cells: Cells,
) -> None:
    with pytest.raises(WorkflowPaused) as caught:
        cells.run(ASKING.format(options=""))

    shown = caught.value._render_traceback_()
    assert len(shown) == 3
    text = "\n".join(shown)
    assert "thread 'asking'" in text
    assert "Sure?" in text
    assert str(cells.store) in text
    assert "%workflow resume asking" in text


def test_an_answer_in_a_line_finishes_the_run(cells: Cells) -> None:
    with pytest.raises(WorkflowPaused):
        cells.run(ASKING.format(options=""))

    result = cells.run(
        "%workflow resume asking "
        '{"action": "update", "data": {"path": "y", "times": 3}}'
    )

    assert result == {"action": "update", "data": {"path": "y", "times": 3}}


def test_the_result_of_a_paused_cell_is_bound_when_it_arrives(cells: Cells) -> None:
    with pytest.raises(WorkflowPaused):
        cells.run(ASKING.format(options="--out answer"))

    with pytest.raises(UsageError, match="thread 'asking' waits"):
        cells.run("answer['action']")
    cells.run('%workflow resume asking {"action": "continue"}')

    assert cells.names["answer"] == {"action": "continue"}


def test_an_answer_given_before_the_cell_was_run_is_kept(cells: Cells) -> None:
    with pytest.raises(WorkflowPaused):
        cells.run(ASKING.format(options=""))
    cells.restart()

    early = cells.run('%workflow resume asking {"action": "continue"}')
    said = cells.printed
    result = cells.run(ASKING.format(options=""))

    assert early is None
    assert "Run the cell that defines 'asking'" in said
    assert result == {"action": "continue"}


def test_answers_from_a_file_let_the_cell_run_through(
    cells: Cells, tmp_path: Path
) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps([{"action": "feedback", "data": "no"}]), "utf-8")

    result = cells.run(ASKING.format(options=f"--answers {answers}"))

    assert result == {"action": "feedback", "data": "no"}


def test_answers_from_the_environment_serve_all_cells(
    cells: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"Sure?": {"action": "continue"}}), "utf-8")
    monkeypatch.setenv("NBFLOW_ANSWERS", str(answers))

    result = cells.run(ASKING.format(options=""))

    assert result == {"action": "continue"}


def test_a_cell_can_end_quietly_at_a_question(cells: Cells) -> None:
    cells.run("%config NBFlow.on_interrupt = 'continue'")

    result = cells.run(ASKING.format(options=""))

    assert result is None


def test_resume_in_the_cell_answers_with_the_cells_own_code(cells: Cells) -> None:
    with pytest.raises(WorkflowPaused):
        cells.run(ASKING.format(options=""))

    cell = ASKING.format(options="").replace(
        '-i "x"', '--resume {"action": "continue"}'
    )
    result = cells.run(cell)

    assert result == {"action": "continue"}


def test_an_answer_of_the_wrong_type_is_refused_and_can_be_corrected(
    cells: Cells,
) -> None:
    with pytest.raises(WorkflowPaused):
        cells.run(ASKING.format(options=""))

    with pytest.raises(InvalidAnswerError, match="times"):
        cells.run(
            "%workflow resume asking "
            '{"action": "update", "data": {"path": "y", "times": "many"}}'
        )
    result = cells.run('%workflow resume asking {"action": "continue"}')

    assert result == {"action": "continue"}


def test_a_run_in_the_background_lets_the_cell_end(cells: Cells) -> None:
    cells.run("import time")
    cell = "%%workflow slow --background --out late\ntime.sleep(0.2)\n'done'"

    result = cells.run(cell)
    deadline = time.monotonic() + 10
    while "late" not in cells.names and time.monotonic() < deadline:
        time.sleep(0.01)

    assert result is None
    assert cells.names["late"] == "done"


def test_the_users_traceback_shows_the_lines_of_the_cell_only(cells: Cells) -> None:
    cells.run("ran = []")
    with pytest.raises(ZeroDivisionError) as caught:
        cells.run(counted(end="return total / 0"))

    shown = "\n".join(caught.value._render_traceback_())  # type: ignore[attr-defined]
    assert "return total / 0" in shown or "total" in shown
    assert "_engine" not in shown
    assert "magics" not in shown


@pytest.mark.parametrize(
    ("cell", "error", "text"),
    [
        ("%%workflow --nope\n1", UsageError, "--nope"),
        ("%workflow nope", UsageError, "nope"),
        ("%workflow run nope", UsageError, "Defined here"),
        ("%workflow history nope", ThreadNotFoundError, "nope"),
        ("%workflow resume nope 1", ThreadNotFoundError, "nope"),
        ("%workflow show nope", ThreadNotFoundError, "nope"),
        ("%workflow cancel", UsageError, "No run"),
        ("%%workflow\nx = (1", UsageError, r"line 2"),
        ("%%workflow\nfrom os import *", UsageError, "import"),
        ("%%workflow -i (1\n1", UsageError, "expression"),
        (
            "%%workflow\nimport threading\nthreading.Lock()",
            UnstorableValueError,
            "lock",
        ),
        ("%workflow store /proc/nope/store.duckdb", StoreUnavailableError, "proc"),
    ],
)
def test_bad_input_is_said_in_three_lines_and_the_store_stays_usable(
    cells: Cells, cell: str, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=f"(?s){text}") as caught:
        cells.run(cell)

    assert len(caught.value._render_traceback_()) <= 3  # type: ignore[attr-defined]
    assert cells.run("%%workflow fine\n6 * 7") == 42


def test_an_unknown_question_is_refused(cells: Cells) -> None:
    with pytest.raises(WorkflowPaused):
        cells.run(ASKING.format(options=""))

    with pytest.raises(UnknownInterruptError):
        cells.run(f"%workflow resume asking 1 --id {'0' * 32}")

    assert len(cells.run("%workflow pending")) == 1


def test_reports_list_threads_history_and_what_is_pending(cells: Cells) -> None:
    cells.run("%%workflow fine\n@task\ndef f(n):\n    return n\n\nf(42).result()")
    with pytest.raises(WorkflowPaused):
        cells.run(ASKING.format(options=""))

    threads = repr(cells.run("%workflow threads"))
    history = repr(cells.run("%workflow history fine"))
    pending = repr(cells.run("%workflow pending"))

    assert "1 of 1" in history
    assert "asking" in threads
    assert "interrupted" in threads
    assert "42" in history
    assert "Sure?" in pending


def test_a_long_list_shows_its_newest_part_and_says_so(cells: Cells) -> None:
    for number in range(3):
        cells.run(f"%%workflow fine --new -t thread-{number}\n{number} * 7")

    threads = cells.run("%workflow threads --limit 2")
    history = cells.run("%workflow history thread-1 --limit 1")

    assert [row[0] for row in threads.rows] == ["thread-2", "thread-1"]
    assert "the newest 2 (limit shows more)" in repr(threads)
    assert [row[3] for row in history.rows] == ["7"]
    assert "the newest 1 (limit shows more)" in repr(history)


def test_a_list_that_is_whole_does_not_say_that_there_is_more(cells: Cells) -> None:
    cells.run("%%workflow fine\n6 * 7")

    for line in (
        "%workflow threads --limit 1",
        "%workflow history fine --limit 2",
        "import nbflow; nbflow.history('fine', limit=None)",
    ):
        assert "more" not in repr(cells.run(line))


@pytest.mark.parametrize(
    "line",
    [
        "%workflow threads --limit 0",
        "%workflow history fine --limit many",
        "import nbflow; nbflow.threads(0)",
        "import nbflow; nbflow.history('fine', limit=-1)",
    ],
)
def test_a_limit_that_is_no_count_is_refused(cells: Cells, line: str) -> None:
    cells.run("%%workflow fine\n6 * 7")

    with pytest.raises(UsageError, match="limit"):
        cells.run(line)


def test_a_history_is_found_by_the_beginning_of_a_runs_id(cells: Cells) -> None:
    cells.run("%%workflow fine\n6 * 7")
    ((run_id,),) = cells.run("%workflow sql select run_id from runs")

    history = repr(cells.run(f"%workflow history {run_id[:8]}"))

    assert "'fine'" in history


def test_the_users_own_duckdb_connection_reads_the_store(cells: Cells) -> None:
    cells.run("%%workflow fine\n6 * 7")

    with duckdb.connect(str(cells.store)) as connection:
        found = connection.sql("select thread_id, status from threads").fetchall()

    assert found == [("fine", "finished")]


def test_a_workflow_that_names_its_saver_keeps_it(cells: Cells) -> None:
    cells.run(
        "from nbflow.checkpoint.memory import InMemorySaver\nown = InMemorySaver()"
    )

    cells.run(
        "%%workflow mine -i 1\n@entrypoint(checkpointer=own)\ndef mine(x): return x"
    )

    assert [head.thread_id for head in cells.names["own"].heads()] == ["mine"]
    assert "mine" in repr(cells.run("%workflow threads"))


def test_a_store_that_could_not_be_written_is_opened_again(cells: Cells) -> None:
    cells.run("%%workflow fine\n6 * 7")

    current.current_session().saver.close()
    result = cells.run("%%workflow fine\n6 * 8")

    assert result == 48


def test_a_cell_can_wait_for_an_answer_in_text(
    cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return '{"action": "feedback", "data": "no"}'

    monkeypatch.setattr("builtins.input", answer)

    result = cells.run(ASKING.format(options="--wait"))

    assert result == {"action": "feedback", "data": "no"}
    assert "Sure?" in asked[0]


def test_replay_none_runs_everything_again(cells: Cells) -> None:
    cells.run("ran = []")
    with pytest.raises(ZeroDivisionError):
        cells.run(counted(end="return total / 0"))

    cells.run(counted("-i 1 --replay none"))

    assert cells.names["ran"] == [1, 2, 1, 2]


def test_another_store_is_used_from_then_on_and_the_first_one_keeps_its_threads(
    cells: Cells, tmp_path: Path
) -> None:
    cells.run("%%workflow first\n1")

    cells.run(f"%workflow store {tmp_path / 'other.duckdb'}")
    cells.run("%%workflow second\n2")
    there = repr(cells.run("%workflow threads"))
    cells.run(f"%workflow store {cells.store}")
    here = repr(cells.run("%workflow threads"))

    assert "second" in there
    assert "first" not in there
    assert "first" in here


def test_a_store_that_another_process_holds_is_named_with_its_holder(
    cells: Cells, tmp_path: Path
) -> None:
    path = tmp_path / "held.duckdb"
    script = (
        "from nbflow.checkpoint.duckdb import DuckDBSaver\n"
        f"saver = DuckDBSaver({str(path)!r}, holder='other.ipynb')\n"
        "print('held', flush=True)\ninput()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        with pytest.raises(StoreHeldError, match=r"other\.ipynb") as caught:
            cells.run(f"%workflow store {path}")
        result = cells.run("%%workflow fine\n6 * 7")
        holder.kill()

    assert caught.value.pid == holder.pid
    assert result == 42


def test_show_returns_a_panel_whose_answer_finishes_the_run(cells: Cells) -> None:
    with pytest.raises(WorkflowPaused):
        cells.run(ASKING.format(options="--out answer"))

    panel = cells.run("import nbflow\nnbflow.show('asking')")
    (question,) = panel.view.questions
    commands_of(current.current_session(), "asking", by="test").answer(  # type: ignore[misc]
        question.interrupt_id, {"action": "continue"}
    )
    while cells.names["answer"] != {"action": "continue"}:
        time.sleep(0.01)

    assert panel.view.status == "finished"
    panel.close()
