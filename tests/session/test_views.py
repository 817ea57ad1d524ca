"""The fold: what a run's records look like, however and whenever they come."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow._events import (
    KINDS,
    Answered,
    CodeSeen,
    Custom,
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
    StreamCut,
    TaskAttempted,
    TaskCalled,
    TaskDropped,
    TaskFailed,
    TaskFinished,
    TaskReplayed,
    TaskRetried,
    ThreadDeleted,
    ValueNoted,
)
from nbflow._values import Payload
from nbflow.serde import encode
from nbflow.session.folding import fold, settled
from nbflow.session.reports import tasks_report
from nbflow.session.texts import plain, text_of
from nbflow.session.views import STREAM_KEPT, Counts, RunView

if TYPE_CHECKING:
    from tests.session.conftest import RunLog


def recount(view: RunView) -> Counts:
    calls = view.calls.values()
    statuses = [call.status for call in calls]
    return Counts(
        calls=len(statuses),
        waiting=statuses.count("waiting"),
        running=statuses.count("running"),
        finished=statuses.count("finished"),
        failed=statuses.count("failed"),
        interrupted=statuses.count("interrupted"),
        dropped=statuses.count("dropped"),
        cancelled=statuses.count("cancelled"),
        cached=sum(call.cached for call in calls),
        replayed=sum(call.replayed for call in calls),
        diverged=sum(call.diverged for call in calls),
    )


# Any records at all: the fold must not depend on a well-behaved log.

ids = st.sampled_from(["a", "b", "c", "d"])
questions = st.sampled_from(["q1", "q2", "q3"])
texts = st.text(max_size=8)
payloads = st.one_of(st.none(), st.integers(), texts).map(
    lambda value: Payload(encode(value))
)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(RunStarted, texts, payloads, texts, texts, texts),
    st.builds(RunResumed, texts, texts, st.sampled_from(["continue", "answer"])),
    st.builds(CodeSeen, texts, texts, texts),
    st.builds(
        TaskCalled,
        ids,
        st.one_of(ids, st.just("")),
        texts,
        texts,
        texts,
        texts,
        texts,
        waiting=st.booleans(),
    ),
    st.builds(TaskAttempted, ids),
    st.builds(TaskRetried, ids, st.just(1), texts, st.just(0.5)),
    st.builds(TaskFinished, ids, payloads, st.booleans()),
    st.builds(TaskFailed, ids, payloads, texts),
    st.builds(TaskReplayed, ids, st.booleans()),
    st.builds(TaskDropped, ids),
    st.builds(
        Interrupted, questions, st.one_of(ids, st.just("")), texts, payloads, texts
    ),
    st.builds(Answered, questions, payloads, texts, texts),
    st.builds(ValueNoted, texts, ids, texts, texts, texts, st.just(0), payloads),
    st.builds(Custom, st.one_of(ids, st.just("")), payloads),
    st.builds(StreamCut, st.integers(0, 9)),
    st.builds(RunFinished, payloads, st.none(), texts),
    st.builds(RunFailed, payloads, texts, texts),
    st.builds(RunInterrupted, st.lists(questions, unique=True).map(tuple)),
    st.builds(RunCancelled, texts),
    st.builds(RunSuperseded, texts),
    st.builds(ThreadDeleted),
)
logs = st.lists(events, max_size=60).map(
    lambda found: [Record("t", "r", at, event) for at, event in enumerate(found)]
)


def test_the_generated_logs_hold_every_kind_of_event() -> None:
    assert {kind.__name__ for kind in get_args(Event)} == set(KINDS)


@given(log=logs, cuts=st.lists(st.integers(0, 60), max_size=8))
def test_any_batching_folds_into_the_same_view(
    log: list[Record], cuts: list[int]
) -> None:
    bounds = [0, *sorted(cuts), len(log)]
    whole = fold(RunView(), log)

    view = RunView()
    for start, end in pairwise(bounds):
        view = fold(view, log[start:end])

    assert view == whole
    assert list(view.calls) == list(whole.calls)
    assert list(view.touched) == list(whole.touched)


@given(log=logs)
def test_the_counts_are_those_of_the_calls(log: list[Record]) -> None:
    view = fold(RunView(), log)

    assert view.counts == recount(view)
    assert settled(view).counts == recount(settled(view))


@given(log=logs, cut=st.integers(0, 60))
def test_a_fold_leaves_the_view_it_was_given_as_it_was(
    log: list[Record], cut: int
) -> None:
    before = fold(RunView(), log[:cut])
    kept = replace(before, calls=dict(before.calls), touched=dict(before.touched))

    fold(before, log[cut:])

    assert before == kept


@given(log=logs, cut=st.integers(0, 60))
def test_what_changed_stands_at_the_end_of_touched(log: list[Record], cut: int) -> None:
    before = fold(RunView(), log[:cut])
    after = fold(before, log[cut:])

    touched = {i for i, seen in after.touched.items() if seen > before.seen}
    changed = {i for i, c in after.calls.items() if before.calls.get(i) != c}

    assert changed <= touched
    assert list(after.touched.values()) == sorted(after.touched.values())
    assert set(after.touched) == set(after.calls)


@given(log=logs)
def test_a_call_keeps_its_position(log: list[Record]) -> None:
    view = fold(RunView(), log)

    assert [call.position for call in view.calls.values()] == list(
        range(len(view.calls))
    )


@given(log=logs)
def test_a_settled_view_has_nothing_under_way(log: list[Record]) -> None:
    view = settled(fold(RunView(), log))

    assert view.counts.running == view.counts.waiting == 0


# Single promises.


def test_a_view_without_records_is_the_empty_one() -> None:
    view = RunView()

    assert fold(view, []) is view


def test_records_of_other_runs_and_threads_are_passed_over(log: RunLog) -> None:
    log.start().call("a")
    others = [
        Record("penguins", "r2", 5, TaskFailed("a", Payload(), "no")),
        Record("seals", "r1", 5, TaskFailed("a", Payload(), "no")),
        Record("seals", "", 5, ThreadDeleted()),
    ]

    view = fold(log.view, others)

    assert view == log.view


def test_a_finished_run_shows_its_calls_in_order_with_times_and_texts(
    log: RunLog,
) -> None:
    log.start().call("a").call("b", name="repair").finish("b", {"mass": 1}).finish("a")
    log.end([1, 2])

    view = log.view

    a, b = view.calls.values()
    assert (view.status, view.workflow, view.result) == ("finished", "review", "[1, 2]")
    assert (a.name, a.args, a.result) == ("inspect", "'a'", "None")
    assert (b.name, b.result, b.ended_at) == (
        "repair",
        "{'mass': 1}",
        log.records[3].at,
    )
    assert view.ended_at == log.records[-1].at


@pytest.mark.parametrize("end", ["fail_run", "cancel"])
def test_a_task_that_finishes_after_the_end_is_finished_and_the_run_stays_ended(
    log: RunLog, end: str
) -> None:
    log.start().call("a").call("b").fail("a")
    if end == "cancel":
        log.add(RunCancelled("stop was pressed"))
    else:
        log.fail_run()
    status, ended_at = log.view.status, log.view.ended_at

    log.finish("b", 7)

    assert log.view.calls["b"].status == "finished"
    assert log.view.calls["b"].result == "7"
    assert (log.view.status, log.view.ended_at) == (status, ended_at)


def test_a_failure_is_final_until_the_run_goes_on(log: RunLog) -> None:
    log.start().fail_run("KeyError('mass')", "cell, line 3")

    log.add(RunFinished(Payload(encode(1)), None, "cp"), RunCancelled("late"))
    failed = log.view
    log.resume()

    assert failed.status == "failed"
    assert failed.result is None
    assert failed.error is not None
    assert failed.error.trace == "cell, line 3"
    assert (log.view.status, log.view.error, log.view.ended_at) == (
        "running",
        None,
        None,
    )


def test_a_new_input_closes_an_unfinished_run_but_not_a_finished_one(
    log: RunLog,
) -> None:
    superseded = RunSuperseded("r2")

    open_run = log.start().ask("q1").pause("q1").add(superseded).view
    finished = fold(RunView(), [*log.records[:1]])
    finished = fold(
        finished,
        [
            Record("penguins", "r1", 1, RunFinished(Payload(encode(1)), None, "c")),
            Record("penguins", "r1", 2, superseded),
        ],
    )

    assert (open_run.status, open_run.questions) == ("superseded", ())
    assert open_run.superseded_by == "r2"
    assert finished.status == "finished"


def test_a_continued_run_cancels_what_its_lost_process_left_until_it_is_called_again(
    log: RunLog,
) -> None:
    log.start().call("a").call("b", waiting=True).call("c").finish("c")
    last_sign = log.records[-1].at

    resumed = log.resume().view
    log.call("a", why="unfinished")

    assert [call.status for call in resumed.calls.values()] == [
        "cancelled",
        "cancelled",
        "finished",
    ]
    assert resumed.calls["a"].ended_at == last_sign
    again = log.view.calls["a"]
    assert (again.status, again.attempts, again.why) == ("running", 2, "unfinished")
    assert (again.position, again.ended_at) == (0, None)
    assert list(log.view.calls) == ["a", "b", "c"]


def test_replayed_says_where_an_outcome_is_from_in_the_present_stretch(
    log: RunLog,
) -> None:
    log.start().call("a").finish("a").call("b").fail_run()

    first = log.resume().add(TaskReplayed("a", diverged=True)).view
    second = log.resume().view

    assert first.calls["a"].replayed
    assert (first.counts.replayed, first.counts.diverged) == (1, 1)
    assert (second.counts.replayed, second.counts.diverged) == (0, 0)


def test_waiting_attempts_and_retries_are_told_apart(log: RunLog) -> None:
    waiting = log.start().call("a", waiting=True).view.calls["a"]
    began = log.add(TaskAttempted("a")).view.calls["a"]
    failed = log.add(TaskRetried("a", 1, "OSError('net')", 0.5)).view.calls["a"]
    again = log.add(TaskAttempted("a", 2)).finish("a", cached=False).view.calls["a"]

    assert (waiting.status, waiting.started_at, waiting.attempts) == (
        "waiting",
        None,
        0,
    )
    assert (began.status, began.started_at) == ("running", log.records[2].at)
    assert (failed.status, failed.error) == ("waiting", "OSError('net')")
    assert (again.status, again.attempts, again.error) == ("finished", 2, "")
    assert again.started_at == began.started_at


def test_tokens_of_a_call_are_summed_over_the_stretches_of_a_run(log: RunLog) -> None:
    used = {"input_tokens": 1_000, "output_tokens": 2, "total_tokens": 1_002}
    log.start().call("a").add(TaskFailed("a", Payload(None), "OSError()", usage=used))
    log.fail_run().resume().call("a", why="failed")

    view = log.add(TaskFinished("a", Payload(None), usage=used)).view

    assert (view.calls["a"].input_tokens, view.calls["a"].output_tokens) == (2_000, 4)
    assert "2,000" in tasks_report(view).rows[0]
    assert "output tokens" in tasks_report(view).columns


def test_tasks_that_report_no_tokens_are_listed_without_them(log: RunLog) -> None:
    view = log.start().call("a").finish("a").view

    assert "input tokens" not in tasks_report(view).columns


def test_a_question_interrupts_its_call_and_the_calls_above_it(log: RunLog) -> None:
    log.start().call("a").call("b", parent_id="a", name="ask_human").call("c")

    asked = log.ask("q1", parent_id="b").view
    paused = log.finish("c").pause("q1").view

    assert asked.calls["b"].status == "interrupted"
    assert asked.calls["a"].status == "running"
    assert paused.status == "interrupted"
    assert [c.status for c in paused.calls.values()] == [
        "interrupted",
        "interrupted",
        "finished",
    ]
    assert [q.source for q in paused.questions] == ["ask_human"]


def test_an_answered_question_waits_to_be_used_and_is_gone_when_the_run_goes_on(
    log: RunLog,
) -> None:
    log.start().ask("q1").ask("q2").pause("q1", "q2")

    answered = log.answer("q1").view
    going_on = log.resume("answer").view

    assert [(q.interrupt_id, q.answered) for q in answered.questions] == [
        ("q1", True),
        ("q2", False),
    ]
    assert answered.questions[0].by == "ann"
    assert [q.interrupt_id for q in going_on.questions] == ["q2"]


def test_an_answer_written_after_the_run_went_on_is_in_use_at_once(
    log: RunLog,
) -> None:
    log.start().ask("q1").pause("q1")

    view = log.resume("answer").answer("q1").view

    assert view.questions == ()


def test_an_answer_that_comes_while_other_tasks_still_run_is_marked(
    log: RunLog,
) -> None:
    log.start().call("a").call("b").ask("q1", parent_id="a")

    view = log.answer("q1").view

    assert [q.answered for q in view.questions] == [True]


def test_a_finished_run_asks_nothing(log: RunLog) -> None:
    view = log.start().ask("q1").end().view

    assert view.questions == ()


def test_the_stream_keeps_its_newest_items_and_counts_all(log: RunLog) -> None:
    log.start().call("a")
    for n in range(STREAM_KEPT + 5):
        log.write(f"item {n}", "a")

    view = log.view

    assert (len(view.stream), view.stream_total) == (STREAM_KEPT, STREAM_KEPT + 5)
    assert [(i.n, i.source, i.text) for i in view.stream[:1]] == [
        (5, "inspect", "item 5")
    ]


def test_a_deleted_thread_and_a_cut_stream_are_said(log: RunLog) -> None:
    log.start().add(StreamCut(4_096))
    deleted = Record("penguins", "", 9, ThreadDeleted())

    view = fold(log.view, [deleted])

    assert view.stream_limit == 4_096
    assert view.is_deleted


def test_a_live_value_is_shown_before_its_bytes() -> None:
    payload = Payload(encode("stored"), live="live")

    assert text_of(payload, 50) == "'live'"


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (Payload(), ""),
        (Payload(encode("a\nb")), r"'a\nb'"),
        (Payload(live=float("nan")), "nan"),
    ],
)
def test_a_value_becomes_a_short_text(payload: Payload, text: str) -> None:
    assert text_of(payload, 50) == text


def test_bytes_that_are_no_value_show_as_unreadable_and_break_nothing(
    log: RunLog,
) -> None:
    log.start().call("a")
    damaged = Payload(b"\xc1 not a value")

    view = log.add(TaskFinished("a", damaged), Custom("", damaged)).view

    assert view.calls["a"].result.startswith("<unreadable: ")
    assert view.stream[0].text.startswith("<unreadable: ")


class Rude:
    """Refuses to be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_a_value_whose_repr_raises_is_shown_all_the_same() -> None:
    assert "Rude" in text_of(Payload(live=Rude()), 100)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07rest", "rest"),
        ("a\nb", "a\u21b5b"),
        ("bell\x07", "bell\u2407"),
        ("\ud800 half", "\ufffd half"),
        ("abc\u202edef", "abc<U+202E>def"),
        ("x" * 30, "x" * 19 + "\u2026"),
    ],
)
def test_plain_text_has_no_control_characters_and_an_end(text: str, shown: str) -> None:
    assert plain(text, 20) == shown


@given(text=st.text(st.characters(codec=None), max_size=300), limit=st.integers(1, 60))
def test_any_text_becomes_harmless(text: str, limit: int) -> None:
    shown = plain(text, limit)

    assert len(shown) <= limit
    assert not any(ord(c) < 32 and c != "\t" for c in shown)
    assert shown.encode().decode() == shown


def test_lines_are_kept_where_they_are_wanted() -> None:
    assert plain("a\r\nb\u2028c", 20, lines=True) == "a\nb\nc"


def test_many_calls_fold_in_small_batches() -> None:
    value = Payload(encode({"species": "Adelie", "mass": 3750.0}))
    log = [Record("t", "r", 0, RunStarted("w", Payload(), "", ""))]
    for n in range(10_000):
        called = TaskCalled(f"{n:032x}", "", "", "inspect", "k", "k", repr(n))
        finished = TaskFinished(called.call_id, value)
        log += [Record("t", "r", n, called), Record("t", "r", n, finished)]

    view = RunView()
    for start in range(0, len(log), 1_000):
        view = fold(view, log[start : start + 1_000])

    assert view.counts == Counts(calls=10_000, finished=10_000)
