"""What runs of a cell do with IPython: read names, show a panel, wait, raise.

The only things that know IPython are here and beside this module.
"""

from __future__ import annotations

import os
import time
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, cast

from IPython.display import display

from nbflow._engine.begin import Settled
from nbflow._events import Interrupted
from nbflow.errors import NbflowError, UsageError, WorkflowPaused, WorkflowStopped
from nbflow.magics.chunks import chunk_reader
from nbflow.magics.clicks import ask_in_text, is_attended, takes_clicks
from nbflow.magics.tracebacks import with_users_lines
from nbflow.session.answers import (
    Answers,
    Asked,
    find_answers,
    load_answers,
    paused_hint,
)
from nbflow.session.questions import question_of
from nbflow.session.runs import Stretch
from nbflow.session.views import QuestionView
from nbflow.session.wire import Setting

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from IPython.core.display_functions import DisplayHandle
    from IPython.core.interactiveshell import InteractiveShell

    from nbflow._engine.drive import End
    from nbflow._values import Durability
    from nbflow.magics.commands import RunOptions
    from nbflow.magics.settings import NBFlow
    from nbflow.session.runs import RunHandle
    from nbflow.session.session import FoundRun, Session
    from nbflow.session.views import RunView
    from nbflow.widgets.display import PanelDisplay

    _Refusal: TypeAlias = Callable[..., NoReturn]

__all__ = ["Notebook", "PendingResult"]

POLL_SECONDS = 0.1
STOP_SECONDS = 3.0

_ENDED = frozenset({"finished", "failed", "cancelled", "superseded"})


class PendingResult:
    """Stands for a result that is not there yet; using it says what it waits for.

    Parameters
    ----------
    name : str
        The variable.
    thread_id : str
        The thread that waits.
    """

    __slots__ = ("_nbflow_text",)

    def __init__(self, name: str, thread_id: str) -> None:
        self._nbflow_text = (
            f"{name!r} has no value yet: thread {thread_id!r} waits for an answer.\n"
            "Answer in its form, or with %workflow resume."
        )

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise UsageError(self._nbflow_text)

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_repr_", "_ipython_", "__")):
            raise AttributeError(name)
        self._refuse()

    def __repr__(self) -> str:
        return f"<{self._nbflow_text.splitlines()[0]}>"

    __call__: _Refusal = _refuse
    __iter__: _Refusal = _refuse
    __len__: _Refusal = _refuse
    __getitem__: _Refusal = _refuse
    __bool__: _Refusal = _refuse
    __int__: _Refusal = _refuse
    __float__: _Refusal = _refuse
    __add__: _Refusal = _refuse
    __radd__: _Refusal = _refuse
    __mul__: _Refusal = _refuse
    __contains__: _Refusal = _refuse


@dataclass(eq=False)
class Notebook:
    """A kernel's shell with its session and settings.

    Attributes
    ----------
    shell : InteractiveShell
        IPython's.
    session : Session
        The kernel's.
    settings : NBFlow
        What ``%config NBFlow`` shows.
    """

    shell: InteractiveShell
    session: Session
    settings: NBFlow
    _panels: dict[str, PanelDisplay] = field(default_factory=dict)
    _answers: Answers | None = None

    # The user's words.

    def value_of(self, expression: str) -> Any:
        """Return what an expression is in the user's namespace.

        Raises
        ------
        UsageError
            It is no Python expression.
        """
        try:
            code = compile(expression, f"<{expression}>", "eval")
        except SyntaxError as error:
            raise UsageError(
                f"{expression!r} is no Python expression: {error.msg}.\n"
                'Put a text in quotes: -i "some text".'
            ) from error
        try:
            return eval(code, self.shell.user_ns)  # noqa: S307 - the user's own words
        except Exception as error:  # noqa: BLE001 - the user's, told as theirs
            raise with_users_lines(error, self.shell) from None

    def cell_label(self) -> str:
        """Return what a person calls the running cell."""
        return f"cell [{self.shell.execution_count}]"

    def who(self) -> str:
        """Return who answers, for the log."""
        user = os.environ.get("JUPYTERHUB_USER") or os.environ.get("USER") or "someone"
        return f"{user}, process {os.getpid()}"

    def stretch(self, options: RunOptions) -> Stretch:
        """Return how a run is to be run by these options."""
        return Stretch(
            durability=options.durability
            or cast("Durability", self.settings.durability),
            replay=options.replay or "changed",
            on_divergence=options.on_divergence,
            max_concurrency=options.max_concurrency,
            reader=chunk_reader(options.stream),
            cell=self.cell_label(),
            by=self.who(),
            force=options.force,
        )

    def wait_for_stopped(self, thread_id: str, options: RunOptions) -> None:
        """Wait until the tasks of a stopped run have let go of its thread.

        A synchronous task can't be killed. With ``--force`` nothing is waited for.
        """
        still = () if options.force else self.session.lingering(thread_id)
        if still:
            names = ", ".join(map(repr, still))
            print(  # noqa: T201 - why the cell is busy
                f"Waiting for {names} of the stopped run (interrupt to give up, or use "
                "--force)."
            )
        while not options.force and self.session.lingering(thread_id):
            time.sleep(POLL_SECONDS)

    # Showing.

    def show_run(self, found: FoundRun) -> None:
        """Show a run under the running cell."""
        from nbflow.widgets.display import PanelDisplay  # noqa: PLC0415 - as in `show`

        if found.is_newest:
            self.show(found.thread_id)
            return
        setting = Setting(store=_from_here(found.saver.location))
        view, panel = self.session.view(found), self.settings.panel
        PanelDisplay(_display_here, view, setting=setting, panel=panel).close()

    def show(self, handle_or_thread: RunHandle | str, *, panel: bool = True) -> None:
        """Show a thread's newest run under the running cell."""
        # Imported here: a kernel that shows no panel needs no widgets.
        from nbflow.widgets.display import PanelDisplay  # noqa: PLC0415
        from nbflow.widgets.shown import commands_of, setting_of  # noqa: PLC0415

        if isinstance(handle_or_thread, str):
            thread_id = handle_or_thread
            picture = self.session.picture(thread_id)
            setting = setting_of(self.session, thread_id)
        else:
            thread_id, picture = handle_or_thread.thread_id, handle_or_thread.following
            setting = Setting(live=True, store=handle_or_thread.saver.location)
        shown = PanelDisplay(
            _display_here,
            picture,
            commands=commands_of(self.session, thread_id, by=self.who()),
            setting=replace(setting, store=_from_here(setting.store)),
            panel=panel and self.settings.panel,
        )
        self._panels[thread_id] = shown

    def leave(self, thread_id: str) -> None:
        """Let the panel of an ended run keep what it shows, when another cell goes on.

        So the output of a cell that failed still tells of that failure.
        """
        shown = self._panels.get(thread_id)
        if shown is not None and shown.view.status in _ENDED:
            del self._panels[thread_id]
            shown.close()

    # Waiting, and what comes of it.

    def finish(self, handle: RunHandle, options: RunOptions) -> Any:
        """Wait for a run as its cell should, and return its result.

        Raises
        ------
        WorkflowPaused
            A person is asked.
        WorkflowStopped
            It was stopped.
        BaseException
            What the user's code raised.
        """
        if options.background:
            return None
        answers = self._answers_for(options)
        self._wait(handle)
        while self._is_paused(handle) and answers is not None:
            self._take_answers(handle, answers)
            self._wait(handle)
        return self._outcome(handle, options)

    def _wait(self, handle: RunHandle) -> None:
        try:
            while not handle.wait(POLL_SECONDS):
                pass
        except KeyboardInterrupt:
            handle.stop("from the keyboard")
            if handle.wait(STOP_SECONDS):
                return
            tasks = ", ".join(map(repr, handle.running_tasks)) or "its body"
            hint = (
                f"{tasks} can't be interrupted and still runs; its thread stays held "
                "until that ends. What it returns is kept."
            )
            raise WorkflowStopped(
                handle.thread_id, "from the keyboard", hint=hint
            ) from None

    def _is_paused(self, handle: RunHandle) -> bool:
        return bool(handle.end is not None and handle.end.interrupts) and (
            handle.error is None
        )

    def _outcome(self, handle: RunHandle, options: RunOptions) -> Any:
        if self._is_paused(handle):
            return self._paused(handle, options)
        if handle.error is not None:
            raise self.shown(handle.error)
        end = handle.end
        if end is None:
            raise NbflowError(f"The run of {handle.workflow.name!r} left no outcome.")
        if isinstance(end, Settled):
            return end.value
        return self._value(handle, end)

    def _value(self, handle: RunHandle, end: End) -> Any:
        if end.status == "cancelled":
            hint = f"Continue it with: %workflow resume {handle.thread_id}"
            raise WorkflowStopped(handle.thread_id, end.reason, hint=hint)
        if end.error is not None:
            raise self.shown(end.error)
        return end.value

    def shown(self, error: BaseException) -> BaseException:
        """Return an error that prints as the settings say."""
        if self.settings.on_error == "full":
            return error
        return with_users_lines(error, self.shell)

    def _paused(self, handle: RunHandle, options: RunOptions) -> Any:
        how = "wait" if options.wait else self.settings.on_interrupt
        if how == "wait" and is_attended(self.shell):
            self._wait_for_person(handle)
            return self._outcome(handle, options)
        if options.out:
            waiting = PendingResult(options.out, handle.thread_id)
            self.shell.user_ns[options.out] = waiting
        if how == "continue":
            return None
        raise self.paused_error(handle)

    def paused_error(self, handle: RunHandle) -> WorkflowPaused:
        """Return the error that a cell ends with while a person is asked."""
        assert handle.end is not None  # noqa: S101 - it is paused
        view = handle.view
        text = (
            question_of(view.questions[0], view.thread_id)["text"]
            if view.questions
            else ""
        )
        hint = paused_hint(
            handle.thread_id, text, handle.saver.location, handle.workflow.name
        )
        return WorkflowPaused(handle.thread_id, handle.end.interrupts, hint=hint)

    def _wait_for_person(self, handle: RunHandle) -> None:
        while self._is_paused(handle):
            if takes_clicks(self.shell):
                # The form's answer begins the next stretch from its own thread.
                self._wait_for_click(handle)
            else:
                question = handle.view.questions[0]
                form = question_of(question, handle.thread_id)
                answer = ask_in_text(self.shell, form["text"])
                self.session.answer(
                    handle.thread_id, {question.interrupt_id: answer}, by=self.who()
                )
            self._wait(handle)

    def _wait_for_click(self, handle: RunHandle) -> None:
        paused = handle.end
        try:
            while handle.end is paused and not handle.is_working:
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            raise self.paused_error(handle) from None

    # Answers that were written down.

    def _answers_for(self, options: RunOptions) -> Answers | None:
        if options.answers is not None:
            return load_answers(options.answers)
        if self._answers is None:
            self._answers = find_answers(None, os.environ)
        return self._answers

    def _take_answers(self, handle: RunHandle, answers: Answers) -> None:
        view = handle.view
        asked = [_asked(view, question) for question in self._ever_asked(handle)]
        pending = {q.interrupt_id for q in view.questions if not q.answered}
        found: dict[str | None, Any] = {}
        for index, question in enumerate(asked):
            if question.interrupt_id in pending:
                found[question.interrupt_id] = answers.take(question, asked[:index])
        self.session.answer(handle.thread_id, found, by=answers.origin)

    def _ever_asked(self, handle: RunHandle) -> list[QuestionView]:
        records = handle.saver.read(
            handle.thread_id, run_id=handle.view.run_id, kinds=("Interrupted",)
        )
        names = {call.call_id: call.name for call in handle.view.calls.values()}
        found: dict[str, QuestionView] = {}
        for record in records:
            event = record.event
            if isinstance(event, Interrupted):
                found[event.interrupt_id] = QuestionView(
                    interrupt_id=event.interrupt_id,
                    parent_id=event.parent_id,
                    source=names.get(event.parent_id, ""),
                    asked_at=record.at,
                    value=event.value,
                    response_schema=event.response_schema,
                )
        return list(found.values())


@dataclass(frozen=True, slots=True)
class _Output:
    """What is shown in a cell's output; it changes there, whoever changes it."""

    handle: DisplayHandle
    context: Context

    def update(self, data: Any, /, *, raw: bool) -> None:
        """Put another bundle in the place of the one that is shown."""
        self.context.copy().run(self.handle.update, data, raw=raw)


def _display_here(data: Any, /, *, raw: bool, display_id: bool) -> _Output:
    # A run's thread may belong to an earlier cell, and a batch run of a notebook
    # takes a message for the cell in whose name it is sent.
    shown = display(data, raw=raw, display_id=display_id)  # type: ignore[no-untyped-call] # IPython's
    return _Output(shown, copy_context())


def _asked(view: RunView, question: QuestionView) -> Asked:
    form = question_of(question, view.thread_id)
    return Asked(question.interrupt_id, form["text"], view.thread_id, form["source"])


def _from_here(location: str) -> str:
    """Return a path as it is shortest; a saved output should name no machine's."""
    if not Path(location).is_absolute():
        return location
    try:
        near = os.path.relpath(location)
    except (OSError, ValueError):  # another drive, or no working folder any more
        return location
    return min(near, location, key=len)
