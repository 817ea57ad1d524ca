"""The two checkpoints of a run as chunks: its input's, and its end's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow import serde
from nbflow._engine.run import as_interrupt
from nbflow._engine.streaming.payloads import asked, checkpoint
from nbflow._events import Interrupted, RunFailed, RunFinished, RunStarted

if TYPE_CHECKING:
    from nbflow._engine.run import Run
    from nbflow._events import Record
    from nbflow._values import Payload

__all__ = ["Checkpoints"]


class Checkpoints:
    """What a stream says of a run's checkpoints.

    Parameters
    ----------
    run : Run
        The run; where it goes on, its begin is read back.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._started: RunStarted | None = None
        self._before: list[Record] | None = None

    def begin(self, record: Record) -> None:
        """Note a run's begin, or that it goes on."""
        if isinstance(record.event, RunStarted):
            self._started = record.event

    def step(self) -> int:
        """Return the step of the input's checkpoint."""
        return self._begun().step

    def given(self) -> Any:
        """Return the input of the run."""
        return _value(self._begun().input)

    def of_input(self, entry_id: str) -> dict[str, Any]:
        """Return the input's checkpoint, with what the run has asked by now."""
        started = self._begun()
        questions, error = self._questions()
        entry: dict[str, Any] = {
            "id": entry_id,
            "name": started.workflow,
            "interrupts": questions,
            "state": None,
        }
        if error is not None:
            entry["error"] = error
        return checkpoint(
            self._config(started.checkpoint_id),
            parent_config=self._parent(started.parent_checkpoint_id),
            values=self._values_before(started),
            metadata=self._metadata(started, "input", started.step),
            tasks=[entry],
        )

    def of_end(self, record: Record) -> dict[str, Any]:
        """Return the checkpoint of a finished run."""
        started, finished = self._begun(), record.event
        if not isinstance(finished, RunFinished):
            raise TypeError(f"{type(finished).__name__} is not the end of a run")
        return checkpoint(
            self._config(finished.checkpoint_id),
            parent_config=self._config(started.checkpoint_id),
            values=finished.value.live,
            metadata=self._metadata(started, "loop", started.step + 1),
        )

    def _begun(self) -> RunStarted:
        if self._started is None:
            kinds = ("RunStarted",)
            self._started = next(
                r.event for r in self._read(kinds) if isinstance(r.event, RunStarted)
            )
        return self._started

    def _read(self, kinds: tuple[str, ...]) -> list[Record]:
        log = self._run.log
        if log.saver is None:
            return []
        return log.saver.read(log.thread_id, run_id=log.run_id, kinds=kinds)

    def _questions(self) -> tuple[tuple[dict[str, Any], ...], str | None]:
        found: dict[str, dict[str, Any]] = {}
        error = None
        if self._run.recorded.resumed:
            for record in self._read(("Interrupted", "RunFailed")):
                if isinstance(record.event, Interrupted):
                    interrupt = as_interrupt(record.event)
                    found[interrupt.id] = asked(interrupt)
                elif isinstance(record.event, RunFailed):
                    error = record.event.text
        return tuple(found.values()), error

    def _values_before(self, started: RunStarted) -> Any:
        log = self._run.log
        if log.saver is None or started.previous_run_id is None:
            return None
        records = log.saver.read(
            log.thread_id, run_id=started.previous_run_id, kinds=("RunFinished",)
        )
        for record in reversed(records):
            if isinstance(record.event, RunFinished):
                return _value(record.event.value)
        return None

    def _config(self, checkpoint_id: str) -> dict[str, Any]:
        place = {"thread_id": self._run.log.thread_id, "checkpoint_ns": ""}
        return {"configurable": {**place, "checkpoint_id": checkpoint_id}}

    def _parent(self, checkpoint_id: str | None) -> dict[str, Any] | None:
        return None if checkpoint_id is None else self._config(checkpoint_id)

    def _metadata(self, started: RunStarted, source: str, step: int) -> dict[str, Any]:
        return {
            **started.metadata,
            "source": source,
            "step": step,
            "parents": {},
            "run_id": self._run.log.run_id,
            "thread_id": self._run.log.thread_id,
        }


def _value(payload: Payload) -> Any:
    data = payload.data
    return payload.live if data is None else serde.decode(data, opaque=True)
