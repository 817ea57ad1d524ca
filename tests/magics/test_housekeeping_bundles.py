"""A thread that was given away and read in again goes on; and a look at a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import nbflow
from nbflow.errors import InvalidBundleError, RedactedValueError, WorkflowPaused

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOW = """%%workflow essay -i {"topic": "bees", "api_key": "canary-44"} --no-panel
calls = []

@task
def write(topic):
    calls.append(topic)
    return topic.upper()

@entrypoint()
def essay(given):
    text = write(given["topic"]).result()
    return [text, interrupt("Good?")]
"""


@pytest.fixture
def paused(cells: Any) -> Any:
    with pytest.raises(WorkflowPaused):
        cells.run(WORKFLOW)
    return cells


def test_a_thread_goes_on_where_it_was_imported(paused: Any, tmp_path: Path) -> None:
    before = repr(paused.run("%workflow history essay"))
    paused.run(f"%workflow export essay {tmp_path / 'essay.zip'}")
    paused.run("%workflow delete essay --purge")

    paused.run(f"%workflow import {tmp_path / 'essay.zip'}")

    assert "'essay'" in paused.printed
    assert repr(paused.run("%workflow history essay")) == before
    assert "Good?" in repr(paused.run("%workflow pending"))
    assert paused.run('%workflow resume essay "yes" --no-panel') == ["BEES", "yes"]
    assert paused.names["calls"] == ["bees"]


def test_a_copy_goes_on_beside_the_one_it_was_made_of(
    paused: Any, tmp_path: Path
) -> None:
    paused.run(f"%workflow export essay {tmp_path / 'essay.zip'}")

    paused.run(f"%workflow import {tmp_path / 'essay.zip'} -t copy")

    assert paused.run('%workflow resume copy "no" --no-panel') == ["BEES", "no"]
    assert "essay" in repr(paused.run("%workflow pending"))
    assert paused.run('%workflow resume essay "yes" --no-panel') == ["BEES", "yes"]
    assert paused.names["calls"] == ["bees"]


def test_a_redacted_export_holds_no_secret(paused: Any, tmp_path: Path) -> None:
    paused.run(f"%workflow export essay {tmp_path / 'essay.zip'} --redact")
    paused.run(f"%workflow import {tmp_path / 'essay.zip'} -t copy")

    query = "from events where thread_id = 'copy' and kind = 'RunStarted'"
    found = paused.run(f"%workflow sql select detail {query}")

    assert "canary-44" not in repr(found)
    records = paused.run(
        "from nbflow.session.current import current_session\n"
        "current_session().saver.read('copy', kinds=('RunStarted',))"
    )
    assert b"canary-44" not in records[0].event.input.data
    assert b"bees" in records[0].event.input.data


def test_a_line_that_continues_a_run_without_its_whole_input_says_what_is_missing(
    paused: Any, tmp_path: Path
) -> None:
    paused.run(f"%workflow export essay {tmp_path / 'essay.zip'} --redact")
    paused.run(f"%workflow import {tmp_path / 'essay.zip'} -t copy")

    with pytest.raises(RedactedValueError) as caught:
        paused.run('%workflow resume copy "yes" --no-panel')

    first, second = caught.value._render_traceback_()
    assert "input['api_key'] of 'essay' was left out" in first
    assert second == "Begin a new run of the thread with the whole input."
    assert paused.names["calls"] == ["bees"]
    assert "copy" in repr(paused.run("%workflow pending"))


def test_the_doctor_says_in_words_what_it_found(paused: Any) -> None:
    report = paused.run("%workflow doctor")

    said = {row[1]: row for row in report.rows}
    assert said["rows"][0] == "ok"
    assert said["disk"][2].endswith("bytes are free")
    assert "is interrupted: 'essay'" in said["runs"][2]
    assert said["runs"][3] == "Answer it: %workflow pending."
    assert not any(row[0] == "BAD" for row in report.rows)


def test_the_doctor_names_what_was_deleted_and_what_lies_about(paused: Any) -> None:
    paused.run("%workflow delete essay")
    paused.store.with_name(f"{paused.store.name}.compact").write_bytes(b"half")

    said = {row[1]: row for row in paused.run("%workflow doctor").rows}

    assert "%workflow compact" in said["deleted"][3]
    assert "cells.duckdb.compact" in said["folder"][2]


def test_the_doctor_looks_at_what_is_no_store(cells: Any, tmp_path: Path) -> None:
    no_store = tmp_path / "text.duckdb"
    no_store.write_text("not a database at all")

    nothing = cells.run(f"%workflow doctor {tmp_path / 'none.duckdb'}")
    wrong = cells.run(f"%workflow doctor {no_store}")

    assert "there is no" in repr(nothing)
    assert any(row[0] == "BAD" for row in wrong.rows)
    assert no_store.read_text() == "not a database at all"
    assert not (tmp_path / "none.duckdb").exists()


@pytest.mark.usefixtures("paused")
def test_a_bundle_that_holds_more_than_may_be_read_says_how_more_is_allowed(
    tmp_path: Path,
) -> None:
    path = nbflow.export_thread("essay", tmp_path / "essay.zip")

    with pytest.raises(InvalidBundleError, match=r"is the most[\s\S]*limit_bytes="):
        nbflow.import_thread(path, thread_id="again", limit_bytes=10)

    assert nbflow.import_thread(path, thread_id="again", limit_bytes=1 << 20) == "again"
