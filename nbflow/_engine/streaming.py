"""Stream modes: a projection of a run's records into chunks, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from nbflow._events import (
    Custom,
    RunFinished,
    RunInterrupted,
    TaskCalled,
    TaskFinished,
)
from nbflow._values import Interrupt, StreamMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nbflow._events import Record

__all__ = ["Projection", "stream_modes"]


def stream_modes(
    given: str | Sequence[str] | None, default: StreamMode
) -> tuple[tuple[StreamMode, ...], bool]:
    """Return the modes asked for, and whether chunks are named by their mode.

    Raises
    ------
    ValueError
        A mode is unknown.
    """
    known = get_args(StreamMode)
    modes = (
        (default,) if given is None else (given,) if isinstance(given, str) else given
    )
    for mode in modes:
        if mode not in known:
            raise ValueError(
                f"Unknown stream_mode {mode!r}. Known modes: {', '.join(known)}."
            )
    named = given is not None and not isinstance(given, str)
    return tuple(modes), named  # type: ignore[arg-type]


class Projection:
    """Make the chunks of some stream modes from records as they come.

    Parameters
    ----------
    workflow : str
        Name of the entrypoint.
    modes : sequence of str
        What to make.
    questions : callable
        Returns the run's pending questions.
    """

    def __init__(
        self,
        workflow: str,
        modes: Sequence[StreamMode],
        questions: Callable[[], tuple[Interrupt, ...]],
    ) -> None:
        self._workflow = workflow
        self._modes = frozenset(modes)
        self._questions = questions
        self._names: dict[str, str] = {}
        self._nested: set[str] = set()

    def chunks(self, record: Record) -> Iterator[tuple[StreamMode, Any]]:
        """Yield what one more record adds, each chunk with its mode."""
        return (
            (mode, chunk)
            for mode, chunk in self._all_chunks(record)
            if mode in self._modes
        )

    def _all_chunks(self, record: Record) -> Iterator[tuple[StreamMode, Any]]:
        match record.event:
            case TaskCalled() as call:
                self._note(call)
            case TaskFinished(call_id=call_id, result=result, cached=cached):
                if call_id in self._names:
                    chunk = {self._names[call_id]: result.live}
                    yield "updates", chunk | _metadata(cached=cached)
            case Custom(call_id=call_id, data=data):
                if call_id not in self._nested:
                    yield "custom", data.live
            case RunInterrupted():
                asked = {"__interrupt__": self._questions()}
                yield "updates", asked
                yield "values", asked
            case RunFinished(value=value):
                yield "updates", {self._workflow: value.live}
                yield "values", value.live
            case _:
                return

    def _note(self, call: TaskCalled) -> None:
        # What a nested run does is its own stream's.
        if call.kind == "workflow" or call.parent_id in self._nested:
            self._nested.add(call.call_id)
        else:
            self._names[call.call_id] = call.name


def _metadata(*, cached: bool) -> dict[str, Any]:
    return {"__metadata__": {"cached": True}} if cached else {}
