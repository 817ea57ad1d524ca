"""What kernel and panel say to each other, as JSON values.

`labextension/src/protocol.ts` is the other half and says what each field
means: change both together. Every text is cut to size and harmless before it is
put here. Nothing here knows how a message travels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypedDict

from nbflow.session.folding import settled
from nbflow.session.questions import Question, question_of
from nbflow.session.texts import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nbflow.checkpoint.base import RunStatus
    from nbflow.session.views import CallStatus, CallView, QuestionView, RunView
    from nbflow.session.views import StreamItem as StreamItemView

__all__ = [
    "RUN_MIME",
    "VERSION",
    "Call",
    "Counts",
    "Down",
    "Error",
    "Forms",
    "Header",
    "PatchMessage",
    "Refusal",
    "RefusedMessage",
    "RunJSON",
    "Setting",
    "StreamItem",
    "ViewMessage",
    "patch_messages",
    "refused",
    "run_json",
    "view_messages",
]

VERSION: Final = 1
RUN_MIME: Final = "application/vnd.nbflow.run.v1+json"

_NAME_LIMIT: Final = 200
_NOTE_LIMIT: Final = 1_000
_MOST_QUESTIONS: Final = 200
_ROWS_PER_MESSAGE: Final = 2_000
_KEPT_CALLS: Final = 500
_KEPT_STREAM: Final = 200
_LOUD: Final = frozenset({"failed", "interrupted", "running", "cancelled"})


class Call(TypedDict):
    """One task call: a row of the timeline."""

    id: str
    parent: str
    name: str
    args: str
    status: CallStatus
    called_at: float
    started_at: float | None
    ended_at: float | None
    attempts: int
    cached: bool
    replayed: bool
    why: str
    result: str
    error: str


class StreamItem(TypedDict):
    """One item of the live stream."""

    n: int
    at: float
    source: str
    text: str


class Counts(TypedDict):
    """How many calls there are, by status and by where the outcome is from."""

    calls: int
    waiting: int
    running: int
    finished: int
    failed: int
    interrupted: int
    dropped: int
    replayed: int
    cached: int


class Error(TypedDict):
    """A failure: its text and the user's lines of the traceback."""

    text: str
    trace: str


class Header(TypedDict):
    """Everything but the calls and the stream."""

    workflow: str
    thread_id: str
    run_id: str
    status: RunStatus
    started_at: float
    resumed_at: float
    ended_at: float | None
    now: float
    live: bool
    counts: Counts
    stream_total: int
    stream_cut: int
    questions: list[Question]
    result: str | None
    error: Error | None
    store: str
    notes: list[str]
    code: dict[str, str]


class RunJSON(Header):
    """The whole picture; `RunView` in the protocol."""

    v: int
    calls: list[Call]
    stream: list[StreamItem]


class ViewMessage(TypedDict):
    """The whole picture, or its begin if patches follow."""

    type: Literal["view"]
    view: RunJSON


class PatchMessage(TypedDict):
    """Changed or new rows, whole, new ones at the end; and new stream items."""

    type: Literal["patch"]
    header: Header
    calls: list[Call]
    stream: list[StreamItem]


class Refusal(TypedDict):
    """What is wrong with one field of an answer; an empty path is all of it."""

    field: str
    text: str


class RefusedMessage(TypedDict):
    """An answer or a command was refused."""

    type: Literal["refused"]
    id: str
    problems: list[Refusal]


Down: TypeAlias = ViewMessage | PatchMessage | RefusedMessage


@dataclass(frozen=True, slots=True)
class Setting:
    """What a picture says besides what the log holds.

    Attributes
    ----------
    live : bool
        This kernel is at work on the run, or can go on with it; otherwise it is
        a picture from the store, and what seems to run was lost.
    store : str
        Where the history is, for a person to read.
    notes : tuple of str
        Anything else that a person should know.
    needs : str
        What has to be done before the run can go on with an answer, such as
        running a cell; empty if nothing.
    code : mapping of str to str
        Python that does what a button does, by the button's name; added to
        those that every picture has.
    """

    live: bool = False
    store: str = ""
    notes: tuple[str, ...] = ()
    needs: str = ""
    code: Mapping[str, str] = field(default_factory=dict)


class Forms:
    """The forms of pending questions, each made once while it stays the same."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[QuestionView, str, Question]] = {}

    def of(self, view: RunView, needs: str = "") -> list[Question]:
        """Return the forms of a view's questions, 200 at most."""
        asked = view.questions[:_MOST_QUESTIONS]
        self._made = {q.interrupt_id: self._form(q, view, needs) for q in asked}
        return [question for _, _, question in self._made.values()]

    def _form(
        self, asked: QuestionView, view: RunView, needs: str
    ) -> tuple[QuestionView, str, Question]:
        known = self._made.get(asked.interrupt_id)
        if known is not None and known[0] is asked and known[1] == needs:
            return known
        return asked, needs, question_of(asked, view.thread_id, note=needs)


def run_json(
    view: RunView, setting: Setting | None = None, *, now: int | None = None
) -> RunJSON:
    """Return a run as `RUN_MIME` holds it: small enough to be saved in a notebook.

    At most 500 calls (those that failed or are not over come first) and 200
    stream items; a note says what is left out.

    Parameters
    ----------
    view : RunView
        The run.
    setting : Setting, optional
        What else to say; by default that of a stored run.
    now : int, optional
        The clock in microseconds since 1970-01-01 UTC; by default the time of
        the newest record.
    """
    setting = setting or Setting()
    shown = view if setting.live else settled(view)
    calls = _most_telling(shown)
    stream = shown.stream[-_KEPT_STREAM:]
    left_out = len(shown.calls) - len(calls)
    header = _header(shown, setting, now, Forms())
    if left_out:
        header["notes"].append(
            f"{left_out:,} of {len(shown.calls):,} calls are left out."
        )
    header["stream_cut"] = shown.stream_total - len(stream)
    return _picture(header, calls, stream)


def view_messages(
    view: RunView, setting: Setting, *, now: int, forms: Forms | None = None
) -> list[Down]:
    """Return what a panel gets when it opens: the picture, in pieces if it is long.

    Parameters
    ----------
    view : RunView
        The run.
    setting : Setting
        What else to say.
    now : int
        The clock in microseconds since 1970-01-01 UTC.
    forms : Forms, optional
        The forms that were made for this run before.
    """
    shown = view if setting.live else settled(view)
    header = _header(shown, setting, now, forms or Forms())
    first, *more = _pieces(tuple(shown.calls.values())) or [()]
    picture: ViewMessage = {
        "type": "view",
        "view": _picture(header, first, shown.stream),
    }
    return [picture, *(_patch(header, piece, ()) for piece in more)]


def patch_messages(
    before: RunView,
    after: RunView,
    setting: Setting,
    *,
    now: int,
    forms: Forms | None = None,
) -> list[Down]:
    """Return what changed between two views of a run, at the cost of what changed.

    Parameters
    ----------
    before : RunView
        What the panel has; any earlier view of the same run.
    after : RunView
        What it should have. The same view gives one message with its header, as
        after a change of the setting.
    setting : Setting
        What else to say.
    now : int
        The clock in microseconds since 1970-01-01 UTC.
    forms : Forms, optional
        The forms that were made for this run before.
    """
    header = _header(after, setting, now, forms or Forms())
    new = after.stream_total - before.stream_total
    stream = after.stream[-new:] if new > 0 else ()
    first, *more = _pieces(_changed(before, after)) or [()]
    return [_patch(header, first, stream), *(_patch(header, p, ()) for p in more)]


def refused(interrupt_id: str, problems: Iterable[tuple[str, str]]) -> RefusedMessage:
    """Return the message that an answer or a command was refused."""
    return {
        "type": "refused",
        "id": interrupt_id,
        "problems": [
            {
                "field": plain(path, _NAME_LIMIT),
                "text": plain(text, _NOTE_LIMIT, lines=True),
            }
            for path, text in problems
        ],
    }


def _changed(before: RunView, after: RunView) -> list[CallView]:
    changed = []
    for call_id in reversed(after.touched):
        if after.touched[call_id] <= before.seen:
            break
        changed.append(after.calls[call_id])
    changed.sort(key=lambda call: call.position)
    return changed


def _most_telling(view: RunView) -> list[CallView]:
    calls = view.calls.values()
    if len(calls) <= _KEPT_CALLS:
        return list(calls)
    loud = list(islice((c for c in calls if c.status in _LOUD), _KEPT_CALLS))
    quiet = (call for call in calls if call.status not in _LOUD)
    kept = [*loud, *islice(quiet, _KEPT_CALLS - len(loud))]
    return sorted(kept, key=lambda call: call.position)


def _pieces(calls: Sequence[CallView]) -> list[Sequence[CallView]]:
    return [
        calls[start : start + _ROWS_PER_MESSAGE]
        for start in range(0, len(calls), _ROWS_PER_MESSAGE)
    ]


def _picture(
    header: Header, calls: Iterable[CallView], stream: Iterable[StreamItemView]
) -> RunJSON:
    return {
        **header,
        "v": VERSION,
        "calls": [_call(call) for call in calls],
        "stream": [_item(item) for item in stream],
    }


def _patch(
    header: Header, calls: Iterable[CallView], stream: Iterable[StreamItemView]
) -> PatchMessage:
    return {
        "type": "patch",
        "header": header,
        "calls": [_call(call) for call in calls],
        "stream": [_item(item) for item in stream],
    }


def _header(view: RunView, setting: Setting, now: int | None, forms: Forms) -> Header:
    counts = view.counts
    return {
        "workflow": view.workflow,
        "thread_id": plain(view.thread_id, _NAME_LIMIT),
        "run_id": plain(view.run_id, _NAME_LIMIT),
        "status": view.status,
        "started_at": view.started_at / 1000,
        "resumed_at": view.resumed_at / 1000,
        "ended_at": _ms(view.ended_at),
        "now": (view.updated_at if now is None else now) / 1000,
        "live": setting.live,
        "counts": {
            "calls": counts.calls,
            "waiting": counts.waiting,
            "running": counts.running,
            "finished": counts.finished,
            "failed": counts.failed,
            "interrupted": counts.interrupted,
            "dropped": counts.dropped,
            "replayed": counts.replayed,
            "cached": counts.cached,
        },
        "stream_total": view.stream_total,
        "stream_cut": view.stream_total - len(view.stream),
        "questions": forms.of(view, setting.needs),
        "result": view.result,
        "error": (
            {"text": view.error.text, "trace": view.error.trace} if view.error else None
        ),
        "store": plain(setting.store, _NOTE_LIMIT),
        "notes": [plain(note, _NOTE_LIMIT) for note in _notes(view, setting)],
        "code": _code(view) | dict(setting.code),
    }


def _notes(view: RunView, setting: Setting) -> list[str]:
    notes = list(setting.notes)
    if view.is_deleted:
        notes.append("The thread was deleted from the store.")
    if view.stopped:
        notes.append(f"Stopped: {view.stopped}")
    if view.superseded_by:
        notes.append("A new input arrived on the thread; this run won't go on.")
    if view.counts.diverged:
        notes.append(
            f"{view.counts.diverged} recorded results were used for other calls than "
            "those that made them: the body is not deterministic."
        )
    if view.stream_limit is not None:
        notes.append(
            f"The log holds the first {view.stream_limit:,} bytes of the stream."
        )
    left_out = len(view.questions) - _MOST_QUESTIONS
    if left_out > 0:
        notes.append(f"{left_out:,} more questions wait behind those shown.")
    return notes


def _code(view: RunView) -> dict[str, str]:
    thread_id = view.thread_id
    return {
        "stop": f"nbflow.cancel({thread_id!r})",
        "continue": f"nbflow.resume({thread_id!r})",
        "show": f"nbflow.show({thread_id!r})",
    }


def _call(call: CallView) -> Call:
    return {
        "id": call.call_id,
        "parent": call.parent_id,
        "name": call.name,
        "args": call.args,
        "status": call.status,
        "called_at": call.called_at / 1000,
        "started_at": _ms(call.started_at),
        "ended_at": _ms(call.ended_at),
        "attempts": call.attempts,
        "cached": call.cached,
        "replayed": call.replayed,
        "why": call.why,
        "result": call.result,
        "error": call.error,
    }


def _item(item: StreamItemView) -> StreamItem:
    return {
        "n": item.n,
        "at": item.at / 1000,
        "source": item.source,
        "text": item.text,
    }


def _ms(at: int | None) -> float | None:
    return None if at is None else at / 1000
