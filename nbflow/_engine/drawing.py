"""A drawing of what a run did, as mermaid and as text: a function of its records.

Calls stand in the order in which they were made; those that were at work at once
stand side by side, in lanes. Every label is data and is escaped. Nothing here reads
or decodes.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import Struct

from nbflow._engine.pictures import RunPicture, picture_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nbflow._engine.pictures import CallPicture
    from nbflow._events import Interrupted, Record

__all__ = ["Box", "Drawing", "Lanes", "drawing_of"]

_ALIKE: Final = 8
"""More calls than this that went alike are drawn as one."""

_LABEL_LIMIT: Final = 60


class Box(Struct, frozen=True):
    """One call or question, or several that went alike.

    Attributes
    ----------
    kind : str
        ``"task"``, ``"workflow"`` or ``"question"``.
    name : str
        Name of the task or workflow, or what asks.
    detail : str
        A short text of the arguments; empty where it stands for several.
    status : str
        As in a state; ``"asked"`` or ``"answered"`` for a question.
    marks : tuple of str
        ``"cached"``, ``"replayed"``, ``"2 attempts"``, or the error's text.
    inside : tuple of Box and Lanes
        What its own body did.
    count : int
        How many it stands for.
    """

    kind: str
    name: str
    detail: str
    status: str
    marks: tuple[str, ...] = ()
    inside: tuple[Any, ...] = ()
    count: int = 1

    @property
    def alike(self) -> tuple[Any, ...]:
        """What it has in common with those that it may be drawn with."""
        inside = tuple(step.alike for step in self.inside)
        return (self.kind, self.name, self.status, self.marks, inside)


class Lanes(Struct, frozen=True):
    """What was at work at once.

    Attributes
    ----------
    lanes : tuple of tuple of Box
        One after the other within a lane; the lanes side by side.
    """

    lanes: tuple[tuple[Box, ...], ...]

    @property
    def alike(self) -> tuple[Any, ...]:
        """As for a box."""
        return tuple(tuple(box.alike for box in lane) for lane in self.lanes)


_Step: TypeAlias = Box | Lanes


class Drawing(Struct, frozen=True):
    """A run as a picture.

    Attributes
    ----------
    workflow : str
        Name of the entrypoint.
    status : str
        How the run ended; empty for a workflow without a run.
    steps : tuple of Box and Lanes
        What its body did, in order.
    """

    workflow: str
    status: str = ""
    steps: tuple[_Step, ...] = ()

    def __str__(self) -> str:
        return self.draw_ascii()

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> dict[str, str]:
        """Return what a notebook shows: a picture where it draws mermaid, else text."""
        del include, exclude  # IPython takes what it wants
        return {
            "text/plain": self.draw_ascii(),
            "text/vnd.mermaid": self.draw_mermaid(),
        }

    def draw_mermaid(self) -> str:
        """Return it as a mermaid flowchart."""
        return _Mermaid().text(self)

    def draw_ascii(self) -> str:
        """Return it as lines of text."""
        head = self.workflow if not self.status else f"{self.workflow}  {self.status}"
        lines = ["__start__", _plain(head), *_lines(self.steps, ""), "__end__"]
        return "\n".join(lines)


def drawing_of(
    workflow: str, records: Iterable[Record] = (), *, xray: int | bool = True
) -> Drawing:
    """Return the drawing of a run.

    Parameters
    ----------
    workflow : str
        Name of the entrypoint, for where there is no run.
    records : iterable of Record
        The run's, in stored order; none draws the workflow as one box.
    xray : int or bool, default True
        How many levels of nested runs are drawn in full; True is all.
    """
    picture = picture_of(records)
    if picture is None:
        return Drawing(workflow)
    name = picture.started.workflow if picture.started is not None else workflow
    depth = _EVERY if xray is True else int(xray)
    return Drawing(name, picture.status, _Layout(picture).steps("", depth))


_EVERY: Final = 1 << 30


class _Span(Struct, frozen=True):
    """Something that a body did, and when."""

    begin: int
    end: int
    box: Box


class _Layout:
    """Boxes in the order of what was observed."""

    def __init__(self, picture: RunPicture) -> None:
        self._picture = picture
        self._calls: dict[str, list[CallPicture]] = {}
        for call in picture.calls.values():
            self._calls.setdefault(call.called.parent_id, []).append(call)
        self._questions: dict[str, list[Interrupted]] = {}
        for question in picture.asked.values():
            self._questions.setdefault(question.parent_id, []).append(question)

    def steps(self, parent_id: str, depth: int) -> tuple[_Step, ...]:
        """Return what a body did."""
        spans = sorted(self._spans(parent_id, depth), key=lambda span: span.begin)
        return _folded([_step(stage) for stage in _stages(spans)])

    def _spans(self, parent_id: str, depth: int) -> Iterator[_Span]:
        for call in self._calls.get(parent_id, ()):
            end = _NEVER if call.ended_at is None else call.ended_at
            yield _Span(call.called_at, end, self._box(call, depth))
        for question in self._questions.get(parent_id, ()):
            at = self._picture.asked_at[question.interrupt_id]
            is_answered = question.interrupt_id in self._picture.answered
            status = "answered" if is_answered else "asked"
            yield _Span(at, at, Box("question", "interrupt", "", status))

    def _box(self, call: CallPicture, depth: int) -> Box:
        called = call.called
        left = depth - (called.kind == "workflow")
        return Box(
            kind=called.kind,
            name=called.name,
            detail=called.args,
            status=call.status,
            marks=_marks(call),
            inside=self.steps(called.call_id, left) if left >= 0 else (),
        )


_NEVER: Final = 1 << 62


def _marks(call: CallPicture) -> tuple[str, ...]:
    found = []
    if call.cached:
        found.append("cached")
    if call.replays:
        found.append("replayed")
    if call.attempts > 1:
        found.append(f"{call.attempts} attempts")
    if call.status == "failed" and call.error:
        found.append(call.error)
    return tuple(found)


def _stages(spans: Sequence[_Span]) -> Iterator[list[_Span]]:
    """Yield groups that overlap in time, one after the other."""
    stage: list[_Span] = []
    end = 0
    for span in spans:
        if stage and span.begin >= end:
            yield stage
            stage = []
        end = max(end, span.end) if stage else span.end
        stage.append(span)
    if stage:
        yield stage


def _step(stage: Sequence[_Span]) -> _Step:
    if len(stage) == 1:
        return stage[0].box
    lanes: list[list[_Span]] = []
    for span in stage:
        free = [lane for lane in lanes if lane[-1].end <= span.begin]
        if free:
            # What goes on in a lane follows closely on what ended there.
            max(free, key=lambda lane: lane[-1].end).append(span)
        else:
            lanes.append([span])
    return _gathered(tuple(tuple(span.box for span in lane) for lane in lanes))


def _gathered(lanes: tuple[tuple[Box, ...], ...]) -> _Step:
    groups: dict[Any, list[tuple[Box, ...]]] = {}
    for lane in lanes:
        groups.setdefault(tuple(box.alike for box in lane), []).append(lane)
    kept: list[tuple[Box, ...]] = []
    for group in groups.values():
        if len(group) > _ALIKE:
            kept.append(tuple(_several(box, len(group)) for box in group[0]))
        else:
            kept.extend(group)
    if len(kept) == 1 and len(kept[0]) == 1:
        return kept[0][0]
    return Lanes(tuple(kept))


def _folded(steps: Sequence[_Step]) -> tuple[_Step, ...]:
    kept: list[_Step] = []
    for _, group in groupby(steps, key=lambda step: step.alike):
        same = list(group)
        first = same[0]
        if len(same) > _ALIKE and isinstance(first, Box):
            kept.append(_several(first, sum(getattr(s, "count", 1) for s in same)))
        else:
            kept.extend(same)
    return tuple(kept)


def _several(box: Box, count: int) -> Box:
    return Box(box.kind, box.name, "", box.status, box.marks, box.inside, count)


def _label(box: Box) -> str:
    name = f"{box.name}({_cut(box.detail)})" if box.kind != "question" else box.name
    if box.count > 1:
        name = f"{box.name} x{box.count}"
    return name


def _cut(text: str) -> str:
    if len(text) <= _LABEL_LIMIT:
        return text
    return f"{text[: _LABEL_LIMIT - 3]}..."


def _said(box: Box) -> str:
    return ", ".join((box.status, *map(_cut, box.marks)))


# As text.


def _lines(steps: Sequence[_Step], indent: str) -> Iterator[str]:
    for number, step in enumerate(steps):
        is_last = number == len(steps) - 1
        branch, below = ("`- ", "   ") if is_last else ("|- ", "|  ")
        if isinstance(step, Box):
            yield f"{indent}{branch}{_plain(_label(step))}  {_plain(_said(step))}"
            yield from _lines(step.inside, indent + below)
        else:
            yield f"{indent}{branch}at once:"
            yield from _lane_lines(step, indent + below)


def _lane_lines(step: Lanes, indent: str) -> Iterator[str]:
    for number, lane in enumerate(step.lanes):
        if len(lane) == 1:
            is_last = number == len(step.lanes) - 1
            first, *rest = _lines(lane, "")
            yield indent + ("`- " if is_last else "|- ") + first[3:]
            yield from (indent + ("   " if is_last else "|  ") + r[3:] for r in rest)
        else:
            is_last = number == len(step.lanes) - 1
            yield f"{indent}{'`- ' if is_last else '|- '}in turn:"
            yield from _lines(lane, indent + ("   " if is_last else "|  "))


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


# As mermaid.

_HEAD: Final = "---\nconfig:\n  flowchart:\n    curve: linear\n---\ngraph TD;"
_CLASSES: Final = (
    "classDef default fill:#f2f0ff,line-height:1.2",
    "classDef first fill-opacity:0",
    "classDef last fill:#bfb6fc",
)
_RUN_CLASSES: Final = (
    "classDef failed stroke:#c62828,stroke-width:2px",
    "classDef asked stroke:#ef6c00,stroke-width:2px,stroke-dasharray:4",
    "classDef reused stroke-dasharray:2",
    "classDef join fill:#888,stroke-width:0",
)
_HARMLESS: Final = frozenset(" _-.,=+*/")


class _Mermaid:
    """The lines of one flowchart."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._edges: list[str] = []
        self._count = 0
        self._depth = 1

    def text(self, drawing: Drawing) -> str:
        """Return the whole of it."""
        is_run = bool(drawing.status)
        name = _safe_id(drawing.workflow)
        if not is_run or not drawing.steps:
            self._line(f"{name}({_escaped(drawing.workflow)})")
        else:
            title = _escaped(f"{drawing.workflow}: {drawing.status}")
            self._subgraph(name, title, drawing.steps)
        self._line("__start__([<p>__start__</p>]):::first")
        self._line("__end__([<p>__end__</p>]):::last")
        last = "-->" if drawing.status == "finished" else "-.->"
        edges = (f"__start__ --> {name};", *self._edges, f"{name} {last} __end__;")
        classes = (*_CLASSES, *(_RUN_CLASSES if is_run else ()))
        below = (f"\t{line}" for line in (*edges, *classes))
        return "\n".join([_HEAD, *self._lines, *below, ""])

    def _line(self, line: str) -> None:
        self._lines.append("\t" * self._depth + line)

    def _new_id(self) -> str:
        self._count += 1
        return f"n{self._count}"

    def _subgraph(self, name: str, title: str, steps: Sequence[_Step]) -> None:
        self._line(f'subgraph {name}["{title}"]')
        self._depth += 1
        self._chain(steps)
        self._depth -= 1
        self._line("end")

    def _chain(self, steps: Sequence[_Step]) -> tuple[list[str], list[str]]:
        """Draw steps one after the other; return where they begin and end."""
        first: list[str] = []
        last: list[str] = []
        for step in steps:
            begins, ends = self._step(step)
            self._connect(last, begins)
            first = first or begins
            last = ends
        return first, last

    def _step(self, step: _Step) -> tuple[list[str], list[str]]:
        if isinstance(step, Box):
            node = self._box(step)
            return [node], [node]
        found = [self._chain(lane) for lane in step.lanes]
        return [b for begins, _ in found for b in begins], [
            e for _, ends in found for e in ends
        ]

    def _connect(self, before: Sequence[str], after: Sequence[str]) -> None:
        if len(before) > 1 and len(after) > 1:
            join = self._new_id()
            self._line(f"{join}(( )):::join")
            self._connect(before, [join])
            self._connect([join], after)
            return
        self._edges.extend(f"{a} --> {b};" for a in before for b in after)

    def _box(self, box: Box) -> str:
        node = self._new_id()
        title = f"{_escaped(_label(box))}<br/>{_escaped(_said(box))}"
        if box.inside:
            self._subgraph(node, title, box.inside)
            return node
        ends = ('{{"', '"}}') if box.kind == "question" else ('("', '")')
        self._line(f"{node}{ends[0]}{title}{ends[1]}{_class(box)}")
        return node


def _class(box: Box) -> str:
    if box.status in ("failed", "dropped", "cancelled"):
        return ":::failed"
    if box.status in ("asked", "interrupted"):
        return ":::asked"
    if box.marks and box.marks[0] in ("cached", "replayed"):
        return ":::reused"
    return ""


def _escaped(text: str) -> str:
    """Return a text as a label, which can end no label and begin no directive."""
    return "".join(
        c if c.isalnum() or c in _HARMLESS else f"#{ord(c)};" for c in _plain(text)
    )


def _safe_id(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]", lambda found: f"\\{ord(found[0]):x}", name)
