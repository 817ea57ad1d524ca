"""Lists for people: threads, a thread's history, what waits for an answer.

Each is a value with a plain text and an inert table; nothing in them is markup of
the user's.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from nbflow import serde
from nbflow._events import Interrupted
from nbflow.session.calls import numbered
from nbflow.session.questions import question_of
from nbflow.session.texts import plain
from nbflow.session.views import QuestionView

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from nbflow._values import StateSnapshot
    from nbflow.checkpoint.base import Head, Question
    from nbflow.checkpoint.housekeeping import Remark, ThreadSize
    from nbflow.session.views import CallView, RunView

__all__ = [
    "Report",
    "doctor_report",
    "history_report",
    "pending_report",
    "sizes_report",
    "tasks_report",
    "threads_report",
]

_CELL_LIMIT = 120
_NUMBERS = frozenset(
    {
        *("attempts", "deleted bytes", "file bytes", "input tokens", "output tokens"),
        *("questions", "row bytes", "rows", "runs", "seconds", "step", "waited"),
    }
)
_Row: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A small table.

    Attributes
    ----------
    title : str
        What it lists.
    columns : tuple of str
        Their names.
    rows : tuple of tuple of str
        Their texts.
    empty : str
        What is said in place of no rows.
    numbers : collection of str
        The columns that hold numbers: these stand at the right.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str
    numbers: Collection[str] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        if not self.rows:
            return f"{self.title}: {self.empty}"
        table = (self.columns, *self.rows)
        widths = [max(len(row[i]) for row in table) for i in range(len(self.columns))]
        lines = [_line(row, widths) for row in table]
        return "\n".join([self.title, *lines])

    def _repr_html_(self) -> str:
        title = html.escape(self.title)
        if not self.rows:
            return f"<p>{title}: {html.escape(self.empty)}</p>"
        # JupyterLab puts every cell to the right, where only numbers belong.
        styles = [
            "" if column in self.numbers else ' style="text-align:left"'
            for column in self.columns
        ]
        head = _html_row("th", self.columns, styles)
        body = "".join(_html_row("td", row, styles) for row in self.rows)
        return (
            f"<table><caption>{title}</caption>"
            f"<thead>{head}</thead><tbody>{body}</tbody></table>"
        )


def _html_row(tag: str, cells: Iterable[str], styles: Iterable[str]) -> str:
    shown = (
        f"<{tag}{style}>{html.escape(cell)}</{tag}>"
        for cell, style in zip(cells, styles, strict=True)
    )
    return f"<tr>{''.join(shown)}</tr>"


def threads_report(heads: Iterable[Head], limit: int | None = None) -> Report:
    """List threads, the most recently updated first; of more, so many."""
    rows = [
        (
            head.thread_id,
            head.workflow,
            head.status,
            str(head.runs),
            str(len(head.pending)),
            _time(head.updated_at),
        )
        for head in heads
    ]
    columns = ("thread", "workflow", "status", "runs", "questions", "updated (UTC)")
    title, shown = _newest("Threads", rows, limit)
    return _report(title, columns, shown, "none yet. Run a workflow.")


def history_report(
    thread_id: str, snapshots: Iterable[StateSnapshot], limit: int | None = None
) -> Report:
    """List the checkpoints of a thread, the newest first; of more, so many."""
    columns = ("step", "source", "next", "values", "tasks", "run", "created (UTC)")
    rows = [_checkpoint(snapshot) for snapshot in snapshots]
    title, shown = _newest(f"History of thread {thread_id!r}", rows, limit)
    return _report(title, columns, shown, "no checkpoint.")


def _newest(
    title: str, rows: Sequence[_Row], limit: int | None
) -> tuple[str, Sequence[_Row]]:
    """Return a title that says so where there are more rows than are shown."""
    if limit is None or len(rows) <= limit:
        return title, rows
    return f"{title}, the newest {limit:,} (limit shows more)", rows[:limit]


def _checkpoint(snapshot: StateSnapshot) -> tuple[str, ...]:
    metadata: dict[str, Any] = snapshot.metadata or {}
    # The workflow itself is the first of its tasks, and no call of it.
    calls = [task for task in snapshot.tasks if task.path[0] == "__pregel_push"]
    done = sum(task.status == "finished" for task in calls)
    return (
        str(metadata.get("step", "")),
        str(metadata.get("source", "")),
        ", ".join(snapshot.next),
        serde.preview(snapshot.values, _CELL_LIMIT),
        f"{done} of {len(calls)}" if calls else "",
        str(metadata.get("run_id", ""))[:8],
        (snapshot.created_at or "")[:19].replace("T", " "),
    )


def pending_report(questions: Iterable[Question]) -> Report:
    """List every question that waits for a person."""
    columns = ("thread", "asked by", "question", "id", "asked (UTC)")
    return _report("Pending questions", columns, map(_asked, questions), "none.")


def _asked(question: Question) -> tuple[str, ...]:
    head, (record, source) = question.head, question[1:]
    asked = record.event
    assert isinstance(asked, Interrupted)  # noqa: S101 - what a question holds
    view = QuestionView(
        asked.interrupt_id,
        asked.parent_id,
        source,
        record.at,
        asked.value,
        asked.response_schema,
    )
    text = question_of(view, head.thread_id)["text"]
    asker = plain(source or head.workflow, _CELL_LIMIT)
    return head.thread_id, asker, text, asked.interrupt_id, _time(record.at)


def tasks_report(view: RunView) -> Report:
    """List the task calls of a run, in the order of first calls.

    Several of one name are numbered, as `find_call` takes them. What models used has
    columns where one of them reported it.
    """
    calls = tuple(view.calls.values())
    has_tokens = any(call.input_tokens or call.output_tokens for call in calls)
    columns = (
        *("task", "arguments", "status", "seconds", "waited", "attempts", "from"),
        *(("input tokens", "output tokens") if has_tokens else ()),
        "error",
    )
    title = f"Tasks of run {view.run_id[:8]} on thread {view.thread_id!r}"
    names = numbered({call.call_id: call.name for call in calls})
    rows = (_task(c, names[c.call_id], has_tokens=has_tokens) for c in calls)
    return _report(f"{title}, {view.status}", columns, rows, "none.")


def _task(call: CallView, name: str, *, has_tokens: bool) -> tuple[str, ...]:
    began, ended = call.started_at, call.ended_at
    origin = "cache" if call.cached else "log" if call.replayed else ""
    return (
        name,
        call.args,
        call.status,
        "" if began is None or ended is None else _seconds(ended - began),
        "" if began is None else _seconds(began - call.called_at),
        str(call.attempts),
        origin,
        *(
            (_count(call.input_tokens), _count(call.output_tokens))
            if has_tokens
            else ()
        ),
        call.error,
    )


def _count(tokens: int) -> str:
    return f"{tokens:,}" if tokens else ""


def sizes_report(sizes: Iterable[ThreadSize]) -> Report:
    """List what threads take, the largest first."""
    rows = [
        (
            size.thread_id or "(items and cache)",
            str(size.runs),
            f"{size.rows:,}",
            f"{size.row_bytes:,}",
            f"{size.blob_bytes:,}",
            f"{size.deleted_bytes:,}",
        )
        for size in sizes
    ]
    columns = ("thread", "runs", "rows", "row bytes", "file bytes", "deleted bytes")
    return _report("Sizes", columns, rows, "nothing is stored.")


def doctor_report(path: str, remarks: Iterable[Remark]) -> Report:
    """List what a look at a store found, and what to do about it."""
    marks = {"good": "ok", "note": "note", "bad": "BAD"}
    rows = [(marks[r.level], r.about, r.says, r.advice) for r in remarks]
    cut = tuple(tuple(" ".join(cell.split()) for cell in row) for row in rows)
    columns = ("", "about", "found", "what to do")
    return Report(f"A look at {path}", columns, cut, "nothing was looked at.")


def _seconds(microseconds: int) -> str:
    return f"{microseconds / 1e6:.3f}"


def _report(
    title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]], empty: str
) -> Report:
    cut = (tuple(_one_line(cell) for cell in row) for row in rows)
    return Report(title, columns, tuple(cut), empty, _NUMBERS)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _CELL_LIMIT else f"{line[: _CELL_LIMIT - 1]}…"


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
