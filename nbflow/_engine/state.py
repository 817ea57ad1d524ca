"""States and histories: checkpoints of a thread in LangGraph's shape.

Nothing is stored for them. What is read is bounded by what is asked for: a state
costs one run, a page of a history its runs.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from nbflow import serde
from nbflow._engine.ids import digest
from nbflow._engine.pictures import RunPicture, picture_of
from nbflow._engine.run import as_interrupt
from nbflow._events import KINDS, StepReached
from nbflow._values import START, NodeOutput, PregelTask, StateSnapshot
from nbflow.checkpoint.points import Visit, find_point, points, visits, within
from nbflow.errors import TaskNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nbflow._engine.pictures import CallPicture
    from nbflow._events import Interrupted
    from nbflow._values import Interrupt, Payload
    from nbflow.checkpoint.base import BaseCheckpointSaver
    from nbflow.checkpoint.points import Point

__all__ = ["DRAWN_KINDS", "history_of", "state_of", "thread_of"]

DRAWN_KINDS: Final = tuple(
    name
    for name in KINDS
    if name.startswith(("Run", "Task"))
    or name in ("Answered", "Interrupted", "StepReached")
)
"""The kinds that a picture of a run is made of."""


def thread_of(config: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the thread that a config names, and its checkpoint if it names one.

    Raises
    ------
    ValueError
        It names no thread.
    """
    configurable = config.get("configurable") or {}
    if configurable.get("thread_id") is None:
        raise ValueError(
            "Checkpointer requires one or more of the following 'configurable' keys: "
            "thread_id, checkpoint_ns, checkpoint_id"
        )
    return str(configurable["thread_id"]), configurable.get("checkpoint_id") or None


def state_of(
    saver: BaseCheckpointSaver, config: Mapping[str, Any], *, subgraphs: bool = False
) -> StateSnapshot:
    """Return a thread's newest checkpoint, or the one that the config names.

    Parameters
    ----------
    saver : BaseCheckpointSaver
        Whose thread it is.
    config : mapping
        Names the thread; a checkpoint of it, and a nested run (`checkpoint_ns`).
    subgraphs : bool, default False
        Give nested runs' states in full; else what addresses them.

    Raises
    ------
    ValueError
        The config names no thread.
    TaskNotFound
        The checkpoint has no nested run there.
    """
    thread_id, checkpoint_id = thread_of(config)
    point = find_point(saver, thread_id, checkpoint_id)
    if point is None:
        given = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
        unknown = given if checkpoint_id is None else dict(config)
        return StateSnapshot({}, (), unknown, None, None, None, (), ())
    namespace = config["configurable"].get("checkpoint_ns") or ""
    live = checkpoint_id is None
    if namespace:
        records = saver.read(thread_id, run_id=point.run_id, kinds=DRAWN_KINDS)
        visit = Visit(point, records, None)
        view = _RunView(visit, saver, live=live, subgraphs=subgraphs)
        return view.nested(str(namespace))
    visit = next(visits(saver, iter([point]), kinds=DRAWN_KINDS))
    return _snapshot_of(visit, saver, live=live, subgraphs=subgraphs)


def history_of(
    saver: BaseCheckpointSaver,
    config: Mapping[str, Any],
    *,
    metadata: Mapping[str, Any] | None = None,
    before: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> Iterator[StateSnapshot]:
    """Yield a thread's checkpoints, newest first; see `within` for the choice.

    A config that names a checkpoint asks for that one only.
    """
    thread_id, checkpoint_id = thread_of(config)
    chooses = checkpoint_id is not None or bool(metadata) or before is not None
    along = None if chooses else DRAWN_KINDS
    found = points(saver, thread_id, along=along, limit=limit)
    if checkpoint_id is not None:
        found = (p for p in found if p.checkpoint_id == checkpoint_id)
    chosen = within(found, metadata=metadata, before=before, limit=limit)
    for visit in visits(saver, chosen, kinds=DRAWN_KINDS, limit=limit):
        yield _snapshot_of(visit, saver, live=False, subgraphs=False)


def _snapshot_of(
    visit: Visit, saver: BaseCheckpointSaver, *, live: bool, subgraphs: bool
) -> StateSnapshot:
    if visit.point.kind in ("input", "step"):
        return _RunView(visit, saver, live=live, subgraphs=subgraphs).snapshot()
    ending = visit.ending
    value = _value(None if ending is None else ending.value, saver)
    return _snapshot(visit.point, value, (), (), ())


def _snapshot(
    point: Point,
    values: Any,
    upcoming: tuple[str, ...],
    tasks: tuple[PregelTask, ...],
    interrupts: tuple[Interrupt, ...],
) -> StateSnapshot:
    return StateSnapshot(
        values=values,
        next=upcoming,
        config=point.config,
        metadata=point.metadata,
        created_at=_iso(point.at),
        parent_config=point.parent_config,
        tasks=tasks,
        interrupts=interrupts,
    )


class _RunView:
    """A run's first checkpoint: what it was called with, and all it has done since.

    Parameters
    ----------
    saver : BaseCheckpointSaver
        Whose run it is.
    live : bool
        Whether it is where the thread stands: only pending questions are shown then,
        else the newest one that each call asked.
    subgraphs : bool
        Whether nested runs' states are given in full.
    """

    def __init__(
        self, visit: Visit, saver: BaseCheckpointSaver, *, live: bool, subgraphs: bool
    ) -> None:
        self.visit = visit
        self.saver = saver
        self.point = point = visit.point
        self.live = live
        self.subgraphs = subgraphs
        self._paths: dict[str, tuple[str, ...]] = {}
        self._namespaces: dict[str, str] = {}
        self._below: dict[str, list[CallPicture]] = defaultdict(list)
        self.picture = picture_of(visit.records) or RunPicture(point.run_id)
        self.workflow = point.begun.workflow
        self.questions = self._questions()
        self._place_calls()

    def snapshot(self) -> StateSnapshot:
        """Return it in LangGraph's shape."""
        if self.picture.at_step:
            return self._graph_snapshot()
        point, ending = self.point, self.visit.ending
        calls = (self._row(call) for call in self.picture.calls.values())
        return _snapshot(
            point,
            _value(None if ending is None else ending.value, self.saver),
            (self.workflow,),
            (self._entry(), *calls),
            _interrupts(self.questions),
        )

    def _graph_snapshot(self) -> StateSnapshot:
        """Return a graph's checkpoint: before its first step, or of one of them."""
        point, step = self.point, self.point.ending
        at_step = point.checkpoint_id if isinstance(step, StepReached) else ""
        nodes = [
            call
            for call in self.picture.calls.values()
            if call.checkpoint_id == at_step and not call.called.parent_id
        ]
        ids = {call.called.call_id for call in nodes}
        below = [inner for c in nodes for inner in self._calls_below(c.called.call_id)]
        ids |= {call.called.call_id for call in below}
        asked = [q for q in self.questions if q.parent_id in ids]
        held = step if at_step else self.visit.ending
        upcoming = step.next if isinstance(step, StepReached) else (START,)
        return _snapshot(
            point,
            {} if held is None else _value(held.value, self.saver),
            upcoming,
            tuple(self._row(call) for call in (*nodes, *below)),
            _interrupts(asked),
        )

    def _entry(self) -> PregelTask:
        picture = self.picture
        ending = picture.ending
        return PregelTask(
            id=digest(picture.run_id, self.workflow),
            name=self.workflow,
            path=("__pregel_pull", self.workflow),
            error=picture.error,
            interrupts=_interrupts(self.questions),
            result=_value(None if ending is None else ending.value, self.saver),
            status=picture.status,
            attempts=picture.stretches,
            started=_iso(picture.started_at),
            finished=_iso(picture.ended_at),
            code="" if picture.started is None else picture.started.code,
        )

    def _task(self, call: CallPicture) -> PregelTask:
        called = call.called
        own = [q for q in self.questions if q.parent_id == called.call_id]
        return PregelTask(
            id=called.call_id,
            name=called.name,
            path=("__pregel_push", called.parent_id, called.ordinal),
            error=call.error,
            interrupts=_interrupts(own),
            result=_value(call.result, self.saver),
            status=call.status,
            arguments=called.args,
            attempts=call.attempts,
            started=_iso(call.began_at),
            finished=_iso(call.ended_at),
            cached=call.cached,
            replayed=call.replays > 0,
            code=called.code,
        )

    def _row(self, call: CallPicture) -> PregelTask:
        return self._task(call)._replace(state=self._state(call))

    def _questions(self) -> tuple[Interrupted, ...]:
        if not self.live:
            return tuple(self.picture.newest_asked())
        return () if self.picture.is_over else tuple(self.picture.pending())

    # Nested runs.

    def _place_calls(self) -> None:
        """Note where each call stands: the bodies around it, as streams name them."""
        root = digest(self.point.run_id, self.workflow)
        self._paths[""] = (f"{self.workflow}:{root}",)
        nested: dict[str, int] = defaultdict(int)
        for call in self.picture.calls.values():
            called = call.called
            self._below[called.parent_id].append(call)
            around = self._paths.get(called.parent_id, self._paths[""])
            if called.kind == "workflow":
                number = nested[called.parent_id]
                nested[called.parent_id] += 1
                around = (*around, str(number)) if number else around
                self._namespaces["|".join(around)] = called.call_id
            self._paths[called.call_id] = (*around, f"{called.name}:{called.call_id}")

    def nested(self, namespace: str) -> StateSnapshot:
        """Return the state of a nested run.

        Raises
        ------
        TaskNotFound
            No nested run stands there.
        """
        call_id = self._namespaces.get(namespace)
        if call_id is None:
            known = ", ".join(map(repr, self._namespaces)) or "none"
            raise TaskNotFound(
                f"This checkpoint has no nested run at {namespace!r}. Nested runs of "
                f"it: {known}.\nTake checkpoint_ns from the state of a task, or leave "
                "it out."
            )
        return self._nested(self.picture.calls[call_id], namespace)

    def _state(self, call: CallPicture) -> StateSnapshot | dict[str, Any] | None:
        if call.called.kind != "workflow":
            return None
        namespace = "|".join(self._paths[call.called.call_id][:-1])
        if self.subgraphs:
            return self._nested(call, namespace)
        return self._config(namespace)

    def _config(self, namespace: str) -> dict[str, Any]:
        config = self.point.config
        config["configurable"]["checkpoint_ns"] = namespace
        return config

    def _nested(self, call: CallPicture, namespace: str) -> StateSnapshot:
        is_done = call.status == "finished"
        own = call.called.call_id
        below = tuple(self._calls_below(own))
        ids = {own, *(inner.called.call_id for inner in below)}
        asked = [q for q in self.questions if q.parent_id in ids]
        interrupts = _interrupts(asked)
        entry = self._task(call)._replace(interrupts=interrupts)
        tasks = (entry, *(self._row(inner) for inner in below))
        return StateSnapshot(
            values=_value(call.result, self.saver),
            next=() if is_done else (call.called.name,),
            config=self._config(namespace),
            metadata={
                **self.point.metadata,
                "source": "loop" if is_done else "input",
                "parents": {"": self.point.checkpoint_id},
            },
            created_at=_iso(call.ended_at if is_done else call.called_at),
            parent_config=None,
            tasks=tasks,
            interrupts=interrupts,
        )

    def _calls_below(self, call_id: str) -> Iterator[CallPicture]:
        for call in self._below.get(call_id, ()):
            yield call
            yield from self._calls_below(call.called.call_id)


def _interrupts(questions: Iterable[Interrupted]) -> tuple[Interrupt, ...]:
    return tuple(as_interrupt(question) for question in questions)


def _value(payload: Payload | None, saver: BaseCheckpointSaver) -> Any:
    data = None if payload is None else payload.data
    if data is None:
        return None
    value = serde.decode(data, opaque=True, pickles=saver.allow_pickle)
    # Where a node goes on is the graph's business.
    return value.update if isinstance(value, NodeOutput) else value


def _iso(at: int | None) -> str | None:
    if at is None:
        return None
    return datetime.fromtimestamp(at / 1_000_000, UTC).isoformat()
