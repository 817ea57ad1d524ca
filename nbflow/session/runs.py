"""A run that this kernel works on: begun, answered, stopped and continued.

Its picture is a fold of its records; its stretches run in threads of their own.
Nothing of a notebook is known here.
"""

from __future__ import annotations

import asyncio
import threading
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from nbflow._engine.options import Watch, options_from
from nbflow._engine.streaming.feed import Feed
from nbflow._engine.streaming.shape import shape_of
from nbflow.session.folding import fold
from nbflow.session.views import RunView

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from nbflow._engine.begin import Settled
    from nbflow._engine.drive import End
    from nbflow._engine.run import Run
    from nbflow._engine.workflow import Workflow
    from nbflow._values import Durability, OnDivergence, Replay, StreamMode
    from nbflow.checkpoint.base import BaseCheckpointSaver
    from nbflow.session.bus import Bus
    from nbflow.session.following import Following

__all__ = ["Reader", "RunHandle", "Stretch"]


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads the stream of a run.

    Attributes
    ----------
    modes : tuple of str
        The stream modes.
    show : callable
        Gets each chunk with its mode, from whichever thread makes it.
    """

    modes: tuple[StreamMode, ...]
    show: Callable[[StreamMode, Any], None]


@dataclass(frozen=True, slots=True)
class Stretch:
    """How a stretch of work is to be done.

    Attributes
    ----------
    given : Any
        An input, a command, or None to go on.
    durability : str
        As in `invoke`.
    replay, on_divergence : str
        As in the cell magic's options.
    max_concurrency : int or None
        How many tasks run at once; None takes the engine's default.
    reader : Reader or None
        Who gets the stretch's chunks.
    cell : str
        Where it was started, for a person to read.
    by : str
        Who answers, for the log.
    force : bool
        Go on even where a stopped task still holds the thread.
    """

    given: Any = None
    durability: Durability = "sync"
    replay: Replay = "changed"
    on_divergence: OnDivergence | None = None
    max_concurrency: int | None = None
    reader: Reader | None = None
    cell: str = ""
    by: str = ""
    force: bool = False


class RunHandle:
    """A thread's newest run in this kernel, and the work on it.

    Parameters
    ----------
    workflow : Workflow
        What is run; it has a saver.
    thread_id : str
        The thread.
    bus : Bus
        Where its records go.
    picture : Following
        The run so far: an empty one, or that of the run which is taken up.

    Attributes
    ----------
    following : Following
        The run's picture.
    end : End, Settled or None
        How the newest stretch ended; None before, and where it could not begin.
    error : BaseException or None
        Why the newest stretch could not begin.
    """

    def __init__(
        self,
        workflow: Workflow[Any, Any],
        thread_id: str,
        bus: Bus,
        picture: Following,
    ) -> None:
        self.workflow = workflow
        self.thread_id = thread_id
        self.following = picture
        self._bus = bus
        self.end: End | Settled | None = None
        self.error: BaseException | None = None
        self._at_end: list[Callable[[RunHandle], None]] = []
        self._after_end: list[Callable[[RunHandle], None]] = []
        self._context: Context = copy_context()
        self._lock = threading.Lock()
        self._working = False
        self._done = threading.Event()
        self._done.set()
        self._run: Run | None = None
        self._stop_reason: str | None = None
        self._last = Stretch()

    @property
    def saver(self) -> BaseCheckpointSaver:
        """Where the run is kept."""
        saver = self.workflow.checkpointer
        if saver is None:
            raise ValueError(f"The workflow {self.workflow.name!r} has no saver.")
        return saver

    @property
    def view(self) -> RunView:
        """The run as it stands."""
        return self.following.view

    @property
    def is_working(self) -> bool:
        """Whether a stretch is being worked on."""
        with self._lock:
            return self._working

    def begin(self, stretch: Stretch) -> bool:
        """Begin a stretch in a thread of its own, unless one is under way.

        Returns
        -------
        bool
            False if one is under way; nothing was begun then.
        """
        with self._lock:
            if self._working:
                return False
            self._working = True
            self._stop_reason = None
            self._last = stretch
            self._done.clear()
        self.end = self.error = None
        # Prints of the run belong to the cell that began it, whoever continues it.
        context = self._context.copy()
        threading.Thread(
            target=context.run,
            args=(self._work, stretch),
            name="nbflow-run",
            daemon=True,
        ).start()
        return True

    def go_on(self, given: Any, *, by: str = "") -> bool:
        """Begin a stretch like the one before, with an answer or None."""
        return self.begin(replace(self._last, given=given, by=by, force=False))

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until no stretch is under way; return whether that is so.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most.
        """
        return self._done.wait(timeout)

    def stop(self, reason: str = "stopped") -> None:
        """Ask the stretch to stop; nothing happens where none is under way."""
        with self._lock:
            self._stop_reason = reason
            run = self._run if self._working else None
        if run is not None:
            run.stop(reason)

    def when_ended(self, notify: Callable[[RunHandle], None]) -> None:
        """Have `notify` called at the end of each stretch, before `wait` returns.

        At once, where the newest has ended already.
        """
        with self._lock:
            self._at_end.append(notify)
            ended = not self._working and self.end is not None
        if ended:
            notify(self)

    def after_end(self, notify: Callable[[RunHandle], None]) -> None:
        """Have `notify` called after each stretch, when another may begin."""
        with self._lock:
            self._after_end.append(notify)

    def result(self) -> tuple[bool, Any]:
        """Return whether the newest stretch finished the run, and its result."""
        end = self.end
        if end is None or end.interrupts or getattr(end, "error", None) is not None:
            return False, None
        return getattr(end, "status", "finished") == "finished", end.value

    @property
    def running_tasks(self) -> tuple[str, ...]:
        """Names of the tasks whose bodies are at work, of a stopped run too."""
        run = self._run
        return () if run is None else run.running

    def _work(self, stretch: Stretch) -> None:
        try:
            self.end = self._execute(stretch)
        except BaseException as error:  # noqa: BLE001 - told to whoever waits
            self.error = error
        try:
            self.following.flush()
            told = 0
            while untold := self._untold(told):
                for notify in untold:
                    notify(self)
                told += len(untold)
        except BaseException:
            with self._lock:
                self._rest()
            raise
        for notify in tuple(self._after_end):
            notify(self)

    def _untold(self, told: int) -> list[Callable[[RunHandle], None]]:
        """Return who is yet to be told of the end; if nobody is, that is the end."""
        with self._lock:
            untold = self._at_end[told:]
            if not untold:
                self._rest()
            return untold

    def _rest(self) -> None:
        # With the lock: the next stretch begins after this, or not at all.
        self._working = False
        self._done.set()

    def _execute(self, stretch: Stretch) -> End | Settled:
        config: dict[str, Any] = {
            "configurable": {
                "thread_id": self.thread_id,
                "replay": stretch.replay,
                "on_divergence": stretch.on_divergence,
            }
        }
        if stretch.max_concurrency is not None:
            config["max_concurrency"] = stretch.max_concurrency
        reader = stretch.reader
        feed = None if reader is None else Feed(shape_of(reader.modes), reader.show)
        watch = Watch(
            observers=(self._bus.show,),
            on_run=partial(self._on_run, feed),
            tokens=reader is not None and "messages" in reader.modes,
            cell=stretch.cell,
            by=stretch.by,
            force=stretch.force,
        )
        options = options_from(config, durability=stretch.durability, watch=watch)
        if self.workflow.definition.spec.is_async:
            return asyncio.run(self.workflow.aexecute(stretch.given, options))
        return self.workflow.execute(stretch.given, options)

    def _on_run(self, feed: Feed | None, run: Run) -> None:
        if feed is not None:
            feed.join(run)
        if run.recorded.resumed:
            # What was written since the picture was last looked at.
            records = self.saver.read(self.thread_id, run_id=run.settings.run_id)
            self.following.update(fold(RunView(), records))
        self._bus.draw(self.thread_id, run.settings.run_id, self.following)
        with self._lock:
            self._run = run
            reason = self._stop_reason
        if reason is not None:
            run.stop(reason)
