"""What lines about the store do, in a shell."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from nbflow.errors import ThreadNotFoundError, UsageError
from nbflow.session import housekeeping

if TYPE_CHECKING:
    from pathlib import Path


WORKFLOW = """%%workflow essay -i "canary-19" --no-panel
@task
def write(topic):
    return topic.upper()

@entrypoint()
def essay(topic):
    return write(topic).result()
"""


@pytest.fixture
def ran(cells: Any) -> Any:
    cells.run(WORKFLOW)
    return cells


def test_tasks_lists_what_the_newest_run_called(ran: Any) -> None:
    report = ran.run("%workflow tasks essay")

    assert len(report.rows) == 1
    assert "write" in repr(report)
    assert "finished" in repr(report)
    assert ">write</td>" in report._repr_html_()


def test_tasks_of_an_unknown_thread_names_the_known_ones(ran: Any) -> None:
    with pytest.raises(ThreadNotFoundError, match="'essay'"):
        ran.run("%workflow tasks nobody")


def test_sql_shows_a_table_of_the_history(ran: Any) -> None:
    table = ran.run("%workflow sql select thread_id, status, runs from threads")

    assert list(table) == [("essay", "finished", 1)]
    assert repr(table).splitlines() == [
        "1 row",
        "thread_id  status    runs",
        "essay      finished  1",
    ]
    assert ">status</th>" in table._repr_html_()


def test_columns_of_sql_stand_as_their_types_say(ran: Any) -> None:
    table = ran.run(
        "%workflow sql select '12' as id, 1.5 as share, runs, [1] as many from threads"
    )

    heads = table._repr_html_().partition("</thead>")[0]
    assert '<th style="text-align:left">id</th>' in heads
    assert "<th>share</th><th>runs</th>" in heads
    assert '<th style="text-align:left">many</th>' in heads


def test_a_cell_of_sql_may_have_several_lines(ran: Any) -> None:
    table = ran.run(
        "%%workflow sql\nselect name,\n  attempts -- how often\nfrom tasks\n"
    )

    assert list(table) == [("write", 1)]


@pytest.mark.parametrize(
    "cell",
    [
        "%workflow sql select name from tasks;",
        "%workflow sql select name from tasks where '''' <> name",
        "%%workflow sql\n    select name\n  from tasks;\n",
        "%%workflow sql\n-- it's\nselect name from tasks where name <> '\n';\n",
        "%%workflow sql\nselect {'a': name}['a'] from tasks /* {nobody} */\n",
    ],
)
def test_sql_is_never_read_as_python(ran: Any, cell: str) -> None:
    assert list(ran.run(cell)) == [("write",)]


def test_a_semicolon_hides_the_result_of_a_cell(ran: Any) -> None:
    hidden = ran.run(f"{WORKFLOW};\n")
    shown = ran.run(WORKFLOW)

    assert (hidden, shown) == (None, "CANARY-19")


def test_a_long_answer_of_sql_is_whole_and_shown_in_part(ran: Any) -> None:
    table = ran.run("%workflow sql select range, repeat('x', 999) from range(70)")

    lines = repr(table).splitlines()
    assert (lines[0], len(lines)) == ("70 rows, the first 50 of them", 52)
    assert max(map(len, lines)) < 250
    assert len(table) == len(list(table)) == len(table.relation.df()) == 70


@pytest.mark.parametrize(
    "query",
    [
        "insert into log (seq) values (7)",
        "drop table log",
        "create table mine as from threads",
        "with gone as (delete from log returning *) from gone",
        "copy log from 'x.parquet'",
        "attach 'other.duckdb'",
        "set threads = 1",
        "from threads; drop table log",
        "selec 1",
        "from nothing",
        "",
    ],
)
def test_sql_that_changes_or_makes_no_sense_is_refused(ran: Any, query: str) -> None:
    with pytest.raises(UsageError):
        ran.run(f"%workflow sql {query}")

    assert list(ran.run("%workflow sql select count(*) from threads")) == [(1,)]


def test_a_snapshot_can_be_asked_beside_the_store(ran: Any, tmp_path: Path) -> None:
    ran.run(f"%workflow snapshot {tmp_path / 'monday.duckdb'}")
    ran.run('%workflow run essay -i "more" --no-panel')

    ran.names["monday"] = tmp_path / "monday.duckdb"
    then = ran.run(
        "import nbflow\nnbflow.sql('select runs from threads', store=monday)"
    )

    assert then.fetchall() == [(1,)]
    now = ran.run("nbflow.sql('select runs from threads')")
    assert now.fetchall() == [(2,)]


def test_a_purged_thread_leaves_nothing_behind(ran: Any) -> None:
    ran.run("%workflow delete essay --purge")

    below = [file for file in ran.store.parent.rglob("*.duckdb*") if file.is_file()]
    assert below
    assert not any(b"canary-19" in file.read_bytes() for file in below)
    assert "none yet" in repr(ran.run("%workflow threads"))


def test_prune_and_compact_say_what_they_did(ran: Any) -> None:
    ran.run('%workflow run essay -i "more" --no-panel')

    ran.run("%workflow prune --keep-last 1")

    assert "rows dropped" in ran.printed
    assert list(ran.run("%workflow sql select count(*) from runs")) == [(1,)]
    ran.run("%workflow compact")
    assert "kept" in ran.printed


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("prune", "keep_last"),
        ("prune --keep-last few", "count"),
        ("prune --older-than yesterday", "no age"),
        ("delete", "THREAD"),
        ("snapshot", "PATH"),
        ("sql", "QUERY"),
    ],
)
def test_what_is_missing_or_wrong_is_named(cells: Any, line: str, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        cells.run(f"%workflow {line}")


@pytest.mark.parametrize(
    "given",
    [
        {"keep_last": -1},
        {"keep_last": 2.5},
        {"keep_last": "3"},
        {"older_than": 30},
        {"older_than": "-5d"},
        {"older_than": "99999999999w"},
        {"older_than": timedelta(days=-30)},
        {"older_than": timedelta.max},
        {"older_than": date(2020, 1, 1)},
        {"older_than": datetime(2020, 1, 1)},  # noqa: DTZ001 - a mistake
        {"older_than": datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))},
    ],
    ids=str,
)
def test_what_makes_no_sense_for_prune_drops_nothing(
    ran: Any, given: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match=next(iter(given))):
        housekeeping.prune(**given)

    assert list(ran.run("%workflow sql select count(*) from runs")) == [(1,)]


def test_prune_drops_by_age_and_counts_what_it_dropped(ran: Any) -> None:
    later = datetime.now(timezone(timedelta(hours=9))) + timedelta(minutes=1)

    spared = housekeeping.prune(older_than=timedelta(days=1))
    again = housekeeping.prune(older_than="1.5h")
    dropped = housekeeping.prune(older_than=later)

    assert spared.startswith("0 rows dropped")
    assert again.startswith("0 rows dropped")
    assert dropped.partition(";")[0].endswith("0 kept")
    assert "none yet" in repr(ran.run("%workflow threads"))


def test_size_names_each_thread(ran: Any) -> None:
    assert "essay" in repr(ran.run("%workflow size"))


def test_the_help_of_sql_leads_to_what_views_and_columns_hold(ran: Any) -> None:
    asked = "select column_name, comment from duckdb_columns where table_name='tasks'"
    ran.run("%workflow sql --help")
    helped = ran.printed

    views = dict(ran.run("%workflow sql select view_name, comment from duckdb_views"))
    columns = dict(ran.run(f"%workflow sql {asked}"))

    assert "comment from duckdb_views\n" in helped
    assert asked in helped
    assert views["tasks"] == "one row for each task call of a run"
    assert columns["run_seconds"].endswith("in seconds")
