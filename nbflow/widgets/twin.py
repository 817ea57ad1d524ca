"""A run as inert text and HTML: what remains where no panel can be drawn.

The text is the same each time the same run is made: it has no times, ids or
addresses, and calls stand in the order of the code. The HTML is made of plain
elements without style or script, so that every viewer of notebooks keeps it;
all that comes from a run is escaped. Nothing here knows of widgets or comms.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any, Final

from nbflow.session.wire import RUN_MIME, Call, Header, RunJSON, Setting, run_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from nbflow.session.questions import Question
    from nbflow.session.views import RunView

__all__ = ["html_of", "mime_bundle", "text_of_run"]

_AGAIN: Final = {
    "code": "ran again: code changed",
    "arguments": "ran again: other arguments",
    "failed": "ran again: it had failed",
    "unfinished": "ran again: it was unfinished",
    "answered": "answered",
    "replay": "ran again: as asked",
    "kept": "kept by a fork",
    "replaced": "replaced by a fork",
}
_SIGNS: Final = {
    "waiting": "\u00b7",
    "running": "\u2026",
    "finished": "\u2713",
    "failed": "\u2717",
    "interrupted": "?",
    "dropped": "\u2013",
    "cancelled": "\u25a0",
}
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")
_MOST_LINES: Final = 60


def mime_bundle(
    view: RunView, setting: Setting | None = None, *, now: int | None = None
) -> dict[str, Any]:
    """Return a run as Jupyter shows it without a kernel.

    Parameters
    ----------
    view : RunView
        The run.
    setting : Setting, optional
        What else to say; by default that of a stored run.
    now : int, optional
        The clock in microseconds since 1970-01-01 UTC.

    Returns
    -------
    dict
        ``text/plain``, ``text/html`` and ``application/vnd.nbflow.run.v1+json``.
    """
    picture = run_json(view, setting, now=now)
    aside = {call.call_id for call in view.calls.values() if call.aside}
    return {
        "text/plain": text_of_run(picture, aside),
        "text/html": html_of(picture, aside),
        RUN_MIME: picture,
    }


def text_of_run(picture: RunJSON, aside: AbstractSet[str] = frozenset()) -> str:
    """Return the run as text, at most 60 calls of it.

    Parameters
    ----------
    picture : RunJSON
        The run. Its calls are shown in the order of the code, each below the one
        that called it.
    aside : set of str, optional
        Ids of calls whose order is not the code's: they are sorted by name.
    """
    lines = [_headline(picture)]
    rows = [f"{'  ' * depth}  {_row(call)}" for call, depth in _tree(picture, aside)]
    lines += rows[:_MOST_LINES]
    if len(rows) > _MOST_LINES:
        lines.append(f"  \u2026 {len(rows) - _MOST_LINES:,} more calls")
    for question in picture["questions"]:
        lines += [f"  {line}" for line in _question_lines(question)]
    if picture["result"] is not None:
        lines.append(f"  \u2192 {picture['result']}")
    if picture["error"] is not None:
        lines.append(f"  \u2717 {picture['error']['text']}")
    lines += [f"  {note}" for note in picture["notes"]]
    return _without_addresses("\n".join(lines))


def html_of(picture: RunJSON, aside: AbstractSet[str] = frozenset()) -> str:
    """Return the run as inert HTML: escaped, without style, script or link.

    All that depends on the clock stands in ``<time>`` elements.

    Parameters
    ----------
    picture : RunJSON
        The run.
    aside : set of str, optional
        As for `text_of_run`.
    """
    parts = [
        (
            f"<p><strong>{escape(_title(picture))}</strong> {escape(_state(picture))}"
            f"{_elapsed(picture)}</p>"
        ),
        *_html_questions(picture["questions"]),
        _html_error(picture),
        _html_result(picture),
        _html_calls(picture, aside),
        _html_stream(picture),
        "".join(f"<p><em>{escape(note)}</em></p>" for note in picture["notes"]),
    ]
    return _without_addresses(f"<div>{''.join(parts)}</div>")


# Words that both have.


def _title(header: Header) -> str:
    return f"Workflow {header['workflow']} \u00b7 thread {header['thread_id']!r}"


def _state(header: Header) -> str:
    status: str = header["status"]
    if status == "running" and not header["live"]:
        status = "not finished"
    elif status == "interrupted":
        status = "waits for a person"
    count = header["counts"]["calls"]
    marks = [
        f"{header['counts'][name]:,} {name}"
        for name in ("failed", "replayed", "cached")
        if header["counts"][name]
    ]
    calls = f"{count:,} call" if count == 1 else f"{count:,} calls"
    inner = f" ({', '.join(marks)})" if marks else ""
    return f"\u00b7 {status} \u00b7 {calls}{inner}"


def _headline(header: Header) -> str:
    return f"{_title(header)} {_state(header)}"


def _row(call: Call) -> str:
    line = f"{_SIGNS[call['status']]} {call['name']}({call['args']})"
    if call["error"]:
        line += f" \u2717 {call['error']}"
    elif call["result"]:
        line += f" \u2192 {call['result']}"
    marks = _marks(call)
    return f"{line} [{marks}]" if marks else line


def _marks(call: Call) -> str:
    marks = [name for name in ("cached", "replayed") if call[name]]
    if call["why"] in _AGAIN:
        marks.append(_AGAIN[call["why"]])
    elif call["attempts"] > 1:
        marks.append(f"{call['attempts']} attempts")
    if call["status"] in {"dropped", "cancelled", "waiting"}:
        marks.append(call["status"])
    return ", ".join(marks)


def _tree(picture: RunJSON, aside: AbstractSet[str]) -> Iterator[tuple[Call, int]]:
    # Calls of one parent stand in the order in which its code made them; how
    # parents that ran side by side took turns is not the code's doing.
    known = {call["id"] for call in picture["calls"]}
    children: dict[str, list[Call]] = {}
    for call in picture["calls"]:
        parent = call["parent"] if call["parent"] in known else ""
        children.setdefault(parent, []).append(call)
    for siblings in children.values():
        in_order = [call for call in siblings if call["id"] not in aside]
        others = [call for call in siblings if call["id"] in aside]
        siblings[:] = [*in_order, *sorted(others, key=_by_name)]
    stack = [(call, 0) for call in reversed(children.get("", ()))]
    while stack:
        call, depth = stack.pop()
        yield call, depth
        inner = children.get(call["id"], ())
        stack += [(child, depth + 1) for child in reversed(inner)]


def _by_name(call: Call) -> tuple[str, str]:
    return call["name"], call["args"]


def _question_lines(question: Question) -> list[str]:
    asks = f"{question['source']} asks" if question["source"] else "asks"
    lines = [f"? {asks}: {question['text']}"]
    if question["kind"] == "tool_call":
        args = ", ".join(f"{k}={v!r}" for k, v in question["args"].items())
        lines.append(f"    {question['tool']}({question['malformed'] or args})")
    elif question["kind"] == "choice":
        labels = " | ".join(choice["label"] for choice in question["choices"])
        lines.append(f"    {labels}")
    lines += [f"    {line}" for line in question["description"].splitlines()]
    if question["answered"]:
        lines.append("    answered")
    return lines


def _without_addresses(text: str) -> str:
    return _ADDRESS.sub("", text)


# HTML.


def _html_questions(questions: list[Question]) -> Iterator[str]:
    for question in questions:
        first, *others = _question_lines(question)
        body = "\n".join(line.removeprefix("    ") for line in others)
        inner = f"<pre>{escape(body)}</pre>" if body else ""
        yield f"<blockquote><p>{escape(first)}</p>{inner}</blockquote>"


def _html_error(picture: RunJSON) -> str:
    error = picture["error"]
    if error is None:
        return ""
    return (
        f"<details open><summary>\u2717 {escape(error['text'])}</summary>"
        f"<pre>{escape(error['trace'])}</pre></details>"
    )


def _html_result(picture: RunJSON) -> str:
    if picture["result"] is None:
        return ""
    return f"<p>\u2192 <code>{escape(picture['result'])}</code></p>"


def _html_calls(picture: RunJSON, aside: AbstractSet[str]) -> str:
    if not picture["calls"]:
        return ""
    rows = "".join(_html_row(call, depth) for call, depth in _tree(picture, aside))
    shown = len(picture["calls"])
    return (
        f"<details><summary>Tasks ({shown:,})</summary>"
        "<table><thead><tr><th>Status</th><th>Task</th><th>Outcome</th>"
        f"<th>Took</th></tr></thead><tbody>{rows}</tbody></table></details>"
    )


def _html_row(call: Call, depth: int) -> str:
    nested = "\u00a0\u00a0" * depth
    marks = _marks(call)
    name = f"{nested}{escape(call['name'])}(<code>{escape(call['args'])}</code>)"
    outcome = escape(call["error"] or call["result"])
    return (
        f"<tr><td>{_SIGNS[call['status']]} {call['status']}</td><td>{name}</td>"
        f"<td><code>{outcome}</code>{f' <em>{escape(marks)}</em>' if marks else ''}"
        f"</td><td>{_took(call['started_at'], call['ended_at'])}</td></tr>"
    )


def _html_stream(picture: RunJSON) -> str:
    if not picture["stream"]:
        return ""
    total, shown = picture["stream_total"], len(picture["stream"])
    said = f"{total:,}" if total == shown else f"last {shown:,} of {total:,}"
    text = "\n".join(
        f"{item['source']}: {item['text']}" if item["source"] else item["text"]
        for item in picture["stream"]
    )
    inner = f"<pre>{escape(text)}</pre>"
    return f"<details><summary>Stream ({said})</summary>{inner}</details>"


def _elapsed(header: Header) -> str:
    took = _took(header["resumed_at"], header["ended_at"])
    return f" \u00b7 {took}" if took else ""


def _took(started_at: float | None, ended_at: float | None) -> str:
    if started_at is None or ended_at is None:
        return ""
    return f"<time>{_duration((ended_at - started_at) / 1000)}</time>"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
