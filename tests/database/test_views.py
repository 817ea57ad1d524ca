"""The views say in SQL what the records say, in documented columns and units."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nbflow._events import (
    Answered,
    CodeSeen,
    Event,
    Interrupted,
    Record,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunResumed,
    RunStarted,
    RunSuperseded,
    StateUpdated,
    TaskAttempted,
    TaskCalled,
    TaskDropped,
    TaskFailed,
    TaskFinished,
    TaskReplayed,
    TaskRetried,
    ThreadDeleted,
    UsageNoted,
)
from nbflow._values import Payload
from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.session.folding import fold, settled
from nbflow.session.views import RunView

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ERROR = Payload(b"error")
SECOND = 1_000_000


def started(run_id: str, step: int = -1, previous: str | None = None) -> RunStarted:
    return RunStarted(
        "essay",
        Payload(b"topic"),
        "body-1",
        f"{run_id}-in",
        parent_checkpoint_id=previous and f"{previous}-out",
        previous_run_id=previous,
        step=step,
        cell="In [3]",
    )


def called(call_id: str, **given: Any) -> TaskCalled:
    return TaskCalled(call_id, "", "place", "fetch", "code-1", "key", "(1)", **given)


def asked(interrupt_id: str) -> Interrupted:
    return Interrupted(interrupt_id, "call", "place", Payload(b"sure?"), "key")


@dataclass
class Log:
    """A store, one second between its events, and SQL over it."""

    saver: DuckDBSaver
    connection: duckdb.DuckDBPyConnection
    seconds: int = field(default=0)

    def add(self, thread_id: str, run_id: str, *events: Event) -> None:
        """Append events, each a second after the one before."""
        for event in events:
            at, self.seconds = self.seconds * SECOND, self.seconds + 1
            self.saver.append([Record(thread_id, run_id, at, event)])

    def ask(self, sql: str, *parameters: object) -> list[Any]:
        """Return rows, each a tuple."""
        self.saver.commit([])
        return self.connection.execute(sql, parameters).fetchall()


@pytest.fixture
def log(path: Path) -> Iterator[Log]:
    with DuckDBSaver(path) as saver, duckdb.connect(str(path)) as connection:
        yield Log(saver, connection)


def used(given: int, taken: int) -> dict[str, int]:
    return {
        "input_tokens": given,
        "output_tokens": taken,
        "total_tokens": given + taken,
    }


def test_runs_tell_their_status_and_time(log: Log) -> None:
    log.add("t", "a", started("a"), RunFinished(Payload(b"x"), None, "a-out"))
    log.add("t", "b", started("b", 1, "a"), RunFailed(ERROR, "ValueError()"))
    log.add("t", "b", RunResumed("essay", "body-2"), RunCancelled("stopped"))

    found = log.ask(
        "SELECT run_id, status, wall_seconds, resumes, step, checkpoint_id, "
        "parent_checkpoint_id, previous_run_id, code, cell FROM runs ORDER BY run_id"
    )

    assert found == [
        ("a", "finished", 1.0, 0, 0, "a-out", None, None, "body-1", "In [3]"),
        ("b", "cancelled", 3.0, 1, 1, "b-in", "a-out", "a", "body-2", "In [3]"),
    ]


def test_tasks_tell_how_each_call_went(log: Log) -> None:
    log.add("t", "r", started("r"))
    log.add("t", "r", called("ok"), TaskFinished("ok", Payload(b"12345")))
    log.add("t", "r", called("waits", waiting=True), TaskAttempted("waits"))
    log.add("t", "r", TaskFinished("waits", Payload(b"1"), cached=True))
    log.add("t", "r", called("bad"), TaskRetried("bad", 1, "x", 0.5))
    log.add("t", "r", TaskAttempted("bad", 2), TaskFailed("bad", ERROR, "KeyError()"))
    log.add("t", "r", called("runs"), called("queued", waiting=True))
    log.add("t", "r", called("dropped", waiting=True), TaskDropped("dropped"))
    log.add("t", "r", TaskReplayed("ok"))

    found = log.ask(
        "SELECT call_id, status, attempts, replays, cached, run_seconds, wait_seconds, "
        "error, result_bytes FROM tasks ORDER BY called_seq"
    )

    assert found == [
        ("ok", "finished", 1, 1, False, 1.0, 0.0, None, 5),
        ("waits", "finished", 1, 0, True, 1.0, 1.0, None, 1),
        ("bad", "failed", 2, 0, False, 1.0, 2.0, "KeyError()", None),
        ("runs", "running", 1, 0, False, None, 0.0, None, None),
        ("queued", "waiting", 0, 0, False, None, None, None, None),
        ("dropped", "dropped", 0, 0, False, None, None, None, None),
    ]


def test_a_failed_call_that_is_run_again_shows_no_old_error(log: Log) -> None:
    log.add("t", "r", started("r"), called("c"), TaskFailed("c", ERROR, "KeyError()"))
    log.add("t", "r", RunFailed(ERROR, "KeyError()"), RunResumed("essay", "body-1"))
    log.add("t", "r", called("c", why="failed"))

    found = log.ask("SELECT status, error, ended_at, attempts, why FROM tasks")

    assert found == [("running", None, None, 2, "failed")]


def test_checkpoints_are_the_input_and_the_end_of_each_run(log: Log) -> None:
    log.add("t", "a", started("a"), RunFinished(Payload(b"value"), None, "a-out"))
    log.add("t", "b", started("b", 1, "a"))

    found = log.ask(
        "SELECT checkpoint_id, parent_checkpoint_id, source, step, value_bytes "
        "FROM checkpoints ORDER BY seq"
    )

    assert found == [
        ("a-in", None, "input", -1, 5),
        ("a-out", "a-in", "loop", 0, 5),
        ("b-in", "a-out", "input", 1, 5),
    ]


def test_a_change_by_hand_is_a_checkpoint_and_no_run(log: Log) -> None:
    log.add("t", "a", started("a"), RunFinished(Payload(b"value"), None, "a-out"))
    log.add("t", "h", StateUpdated("essay", Payload(b"x"), None, "h-out", "a-out", 1))

    checkpoints = log.ask(
        "SELECT checkpoint_id, parent_checkpoint_id, source, step "
        "FROM checkpoints ORDER BY seq"
    )
    threads = log.ask("SELECT run_id, status, runs, step, checkpoint_id FROM threads")

    assert checkpoints[-1] == ("h-out", "a-out", "update", 1)
    assert threads == [("h", "finished", 1, 1, "h-out")]
    assert log.ask("SELECT run_id FROM runs") == [("a",)]


def test_interrupts_wait_are_answered_or_closed(log: Log) -> None:
    log.add("t", "a", started("a"), asked("i"), asked("j"), RunInterrupted(("i", "j")))
    log.add("t", "a", Answered("i", Payload(b"yes"), "key", by="ann"))
    pending_then = log.ask("SELECT interrupt_id, workflow FROM pending_interrupts")

    log.add("t", "a", RunSuperseded("b"))
    log.add("t", "b", started("b"))

    assert pending_then == [("j", "essay")]
    assert log.ask("SELECT * FROM pending_interrupts") == []
    assert log.ask(
        "SELECT interrupt_id, status, answered_by, wait_seconds FROM interrupts "
        "ORDER BY interrupt_id"
    ) == [("i", "answered", "ann", 3.0), ("j", "closed", None, None)]
    assert log.ask("SELECT interrupt_id, answered_by, answer_bytes FROM answers") == [
        ("i", "ann", 3)
    ]


def test_failures_name_what_failed(log: Log) -> None:
    log.add("t", "r", started("r"), called("c"))
    log.add("t", "r", TaskFailed("c", ERROR, "KeyError()", "line 3"))
    log.add("t", "r", RunFailed(ERROR, "KeyError()", "line 9", ("c",)))

    found = log.ask("SELECT call_id, name, error, trace FROM failures ORDER BY seq")

    assert found == [
        ("c", "fetch", "KeyError()", "line 3"),
        (None, "essay", "KeyError()", "line 9"),
    ]


def test_code_versions_count_the_runs_that_met_them(log: Log) -> None:
    for run_id in ("a", "b"):
        log.add(
            "t", run_id, started(run_id), CodeSeen("c1", "fetch", "def fetch(): ...")
        )
    log.add("t", "b", CodeSeen("c2", "fetch", "def fetch(): pass"))

    found = log.ask("SELECT code, name, source, runs FROM code_versions ORDER BY code")

    assert found == [
        ("c1", "fetch", "def fetch(): ...", 2),
        ("c2", "fetch", "def fetch(): pass", 1),
    ]


def test_every_view_hides_a_deleted_thread(log: Log) -> None:
    events = (started("a"), called("c"), TaskFailed("c", ERROR, "x"), asked("i"))
    code = CodeSeen("c", "fetch", "source")
    for thread_id in ("gone", "kept"):
        log.add(thread_id, "a", *events, code, Answered("i", ERROR, "k"))
    log.add("gone", "", ThreadDeleted())

    views = log.ask("SELECT view_name FROM duckdb_views() WHERE NOT internal")
    of_no_thread = {"cache", "code_versions", "store_items"}
    with_threads = [name for (name,) in views if name not in of_no_thread]
    found = {
        name: log.ask(f"SELECT DISTINCT thread_id FROM {name}")  # noqa: S608 - names of views
        for name in with_threads
    }

    assert found == {
        name: [("kept",)] for name in with_threads if name != "pending_interrupts"
    } | {"pending_interrupts": []}
    assert log.ask("SELECT runs FROM code_versions") == [(1,)]


@pytest.mark.timeout(120)
def test_threads_tell_what_the_heads_tell(log: Log) -> None:
    names = itertools.count()
    answers = [Answered("i", ERROR, "key"), Answered("j", ERROR, "key")]
    ends = st.sampled_from(
        [
            [*answers, RunFinished(ERROR, None, "out")],
            [*answers, RunFailed(ERROR, "x")],
            [answers[0], RunFailed(ERROR, "x")],
            [answers[0], RunInterrupted(("j",))],
            [RunInterrupted(("i", "j"))],
            [RunInterrupted(("i", "j")), RunSuperseded("next")],
            [RunCancelled("x")],
            [RunCancelled("x"), RunResumed("essay", "code")],
            [],
        ]
    )

    @settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.lists(ends, max_size=5))
    def agree(runs: list[list[Event]]) -> None:
        thread_id = f"t{next(names)}"
        for number, end in enumerate(runs):
            begin = (started(f"r{number}", number), asked("i"), asked("j"))
            log.add(thread_id, f"r{number}", *begin, *end)

        head = log.saver.head(thread_id)
        found = log.ask(
            "SELECT run_id, workflow, status, runs, step, checkpoint_id, "
            "epoch_us(started_at), pending FROM threads WHERE thread_id = ?",
            thread_id,
        )

        if head is None:
            assert found == []
        else:
            assert found == [
                (
                    head.run_id,
                    head.workflow,
                    head.status,
                    head.runs,
                    head.step,
                    head.checkpoint_id,
                    head.started_at,
                    len(head.pending),
                )
            ]

    agree()


def test_tasks_sum_the_tokens_of_every_outcome_and_tell_none_from_zero(
    log: Log,
) -> None:
    log.add("t", "r", started("r"), called("a"))
    log.add("t", "r", TaskFailed("a", ERROR, "KeyError()", usage=used(5, 2)))
    log.add("t", "r", RunFailed(ERROR, "KeyError()"), RunResumed("essay", "body-1"))
    log.add("t", "r", called("a", why="failed"))
    log.add("t", "r", TaskFinished("a", Payload(b"1"), usage=used(100, 0)))
    log.add("t", "r", called("b"), TaskFinished("b", Payload(b"1")))

    found = log.ask(
        "SELECT call_id, input_tokens, output_tokens FROM tasks ORDER BY called_seq"
    )

    assert found == [("a", 105, 2), ("b", None, None)]


@pytest.mark.parametrize("tokens", [2**63, -(2**70), 2**62])
def test_tokens_that_no_model_can_have_used_leave_the_view_usable(
    log: Log, tokens: int
) -> None:
    log.add("t", "r", started("r"), called("a"), called("b"))
    for call_id in ("a", "a", "a", "b"):
        usage = used(tokens if call_id == "a" else 7, 1)
        log.add("t", "r", TaskFinished(call_id, Payload(b"1"), usage=usage))

    found = log.ask("SELECT call_id, input_tokens FROM tasks ORDER BY called_seq")

    assert found == [("a", None), ("b", 7)]


@pytest.mark.timeout(120)
def test_tasks_tell_what_the_panel_tells(log: Log) -> None:
    names = itertools.count()
    over = [
        [called("{}"), TaskFinished("{}", Payload(b"1"), usage=used(3, 1))],
        [called("{}"), TaskFailed("{}", ERROR, "x", usage=used(2, 0))],
        [called("{}", waiting=True), TaskDropped("{}")],
        [called("{}", waiting=True), TaskFinished("{}", Payload(b"1"), cached=True)],
        [called("{}"), called("{}-in"), asked("{}-ask")],
        [called("{}"), UsageNoted("{}", used(4, 2)), TaskDropped("{}")],
        [TaskReplayed("{}")],
    ]
    open_ = [
        [called("{}")],
        [called("{}", waiting=True), TaskAttempted("{}")],
        [called("{}"), TaskRetried("{}", 1, "x", 0.1)],
        [called("{}"), TaskRetried("{}", 1, "x", 0.1), TaskAttempted("{}", 2)],
    ]
    paused = RunInterrupted(("0-ask", "1-ask", "2-ask"))  # waits for those at work
    ends = [[RunFailed(ERROR, "x")], [RunCancelled("x")], []]
    stretches = st.lists(
        st.tuples(st.lists(st.sampled_from(over), max_size=3), st.just([paused]))
        | st.tuples(
            st.lists(st.sampled_from(over + open_), max_size=3), st.sampled_from(ends)
        ),
        max_size=4,
    )

    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(stretches)
    def agree(told: list[tuple[list[list[Event]], list[Event]]]) -> None:
        thread_id = f"t{next(names)}"
        for number, (calls, end) in enumerate(told):
            log.add(
                thread_id, "r", RunResumed("essay", "b") if number else started("r")
            )
            for call_id, story in enumerate(calls):
                log.add(thread_id, "r", *(told_of(event, call_id) for event in story))
            log.add(thread_id, "r", *end)

        view = fold(RunView(), log.saver.read(thread_id))
        shown = view if view.status == "running" else settled(view)
        found = log.ask(
            "SELECT call_id, status, attempts, cached, epoch_us(called_at), why, "
            "coalesce(input_tokens, 0), coalesce(output_tokens, 0), "
            "result_bytes IS NOT NULL, error IS NOT NULL "
            "FROM tasks WHERE thread_id = ? ORDER BY call_id",
            thread_id,
        )

        assert found == [
            (
                call.call_id,
                call.status,
                call.attempts,
                call.cached,
                call.called_at,
                call.why,
                call.input_tokens,
                call.output_tokens,
                call.status == "finished",
                call.status == "failed",
            )
            for _, call in sorted(shown.calls.items())
        ]

    agree()


def told_of(event: Event, number: int) -> Event:
    """Return the event as one of a certain call."""
    match event:
        case Interrupted():
            return replace(
                event, interrupt_id=f"{number}-ask", parent_id=f"{number}-in"
            )
        case TaskCalled(call_id="{}-in"):
            return replace(event, call_id=f"{number}-in", parent_id=str(number))
        case _:
            return replace(event, call_id=str(number))
