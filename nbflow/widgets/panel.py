"""The run panel: a widget that shows one run and sends its person's commands.

It holds no truth. What it shows is folded from the run's records, so a panel
that was closed and opened again shows the same; what is pressed in it becomes a
call of a command, and comes back as records. IPython is not known here.
"""

from __future__ import annotations

import contextvars
import json
import logging
import threading
import time
import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import traitlets

from nbflow.errors import InvalidAnswerError, NbflowError
from nbflow.session.following import Following
from nbflow.session.wire import (
    Forms,
    Setting,
    patch_messages,
    refused,
    view_messages,
)
from nbflow.widgets.frontend import NOT_BUILT, FrontEnd, front_end
from nbflow.widgets.twin import mime_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nbflow._events import Record
    from nbflow.session.views import RunView

    _Text: TypeAlias = traitlets.Unicode[str, str | bytes]

    class AnyWidget(traitlets.HasTraits):
        """What of anywidget's class is used; ipywidgets, below it, has no types."""

        comm: Any
        layout: Any
        model_id: str

        def close(self) -> None: ...
        def send(self, content: object, buffers: Any = None) -> None: ...
        def on_msg(self, callback: Callable[[Any, Any, Any], object]) -> None: ...

else:
    from anywidget import AnyWidget

__all__ = ["Commands", "RunPanel"]

UNHEARD_SECONDS: Final = 1.0
"""After so long without a word the page is sent the views it may be asking for."""

WIDGET_MIME: Final = "application/vnd.jupyter.widget-view+json"

_PLACEHOLDER: Final = (
    "export default { render({ el }) { el.textContent = "
    f"{json.dumps(NOT_BUILT)}; }} }};"
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Commands:
    """What a panel's buttons call, each in a thread of its own.

    A command that can't be done raises: the panel shows the error's text, those
    of an `InvalidAnswerError` at its fields.

    Attributes
    ----------
    answer : callable, optional
        Takes the id of a question and the answer, JSON values.
    stop, resume : callable, optional
        Stop the run; go on with it. None offers no such command.
    """

    answer: Callable[[str, Any], object] | None = None
    stop: Callable[[], object] | None = None
    resume: Callable[[], object] | None = None


class RunPanel(AnyWidget):
    """A run, drawn while it happens, with the forms of its questions.

    Use it as any widget: display it, put it in a box, observe its traits. They
    are set from the thread that tells of changes, ten times a second at most,
    and are not sent to the page.

    Parameters
    ----------
    source : RunView or Following, optional
        The run: as it stands, or as it is followed by others too.
    commands : Commands, optional
        What its buttons do; by default nothing can be pressed.
    setting : Setting, optional
        What it says besides the run; by default that of a stored run.
    frontend : FrontEnd, optional
        What the page is sent; by default this installation's.
    """

    run_id: _Text = traitlets.Unicode(help="Id of the run.")
    thread_id: _Text = traitlets.Unicode(help="Thread of the run.")
    workflow: _Text = traitlets.Unicode(help="Name of the run's entrypoint.")
    status: _Text = traitlets.Unicode(
        help="'running', 'interrupted', 'failed', 'cancelled', 'finished' or "
        "'superseded'."
    )
    _esm = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        source: RunView | Following | None = None,
        *,
        commands: Commands | None = None,
        setting: Setting | None = None,
        frontend: FrontEnd | None = None,
        **kwargs: Any,
    ) -> None:
        built = frontend or front_end()
        super().__init__(_esm=built.loader if built else _PLACEHOLDER, **kwargs)
        self._frontend = built
        self._commands = commands or Commands()
        self._setting = setting or Setting()
        self._forms = Forms()
        self._has_heard = False
        self._owns_following = not isinstance(source, Following)
        self._following = source if isinstance(source, Following) else Following(source)
        self._sent = self._following.view
        self._set_traits(self._sent)
        self.on_msg(self._receive)
        _answer_on_any_shell(self)
        # Unasked: a page that asks while a cell runs may not be heard before it ends.
        self._send_whole(self._sent)
        self._stop_listening = self._following.listen(self._tell, told=self._sent)
        speak = weakref.WeakMethod(self._speak_unasked)
        self._unheard = threading.Timer(UNHEARD_SECONDS, _call, (speak,))
        self._unheard.daemon = True
        self._unheard.start()

    @property
    def view(self) -> RunView:
        """The run as it stands now."""
        return self._following.view

    @property
    def is_built(self) -> bool:
        """Whether a browser can draw it; otherwise only the text is shown."""
        return self._frontend is not None

    def show(self, records: Iterable[Record]) -> None:
        """Show more records of the run; see `Following.show`."""
        self._following.show(records)

    def update(self, view: RunView) -> None:
        """Show another view in the place of this one."""
        self._following.update(view)

    def flush(self) -> None:
        """Send now what was shown."""
        self._following.flush()

    def describe(self, setting: Setting) -> None:
        """Say something else besides the run."""
        with self._following.telling:
            self._setting = setting
            self._send_whole(self._following.view)

    def close(self) -> None:
        """Send what is left, and end the connection to the page."""
        # Also called by the garbage collector, on panels that never came to be.
        stop_listening = getattr(self, "_stop_listening", None)
        if stop_listening is not None and self.comm is not None:
            self._unheard.cancel()
            if self._owns_following:
                self._following.close()
            stop_listening()
        super().close()
        # ipywidgets takes it away; the twin of a closed panel can still be shown.
        self.__dict__.pop("_repr_mimebundle_", None)

    def _repr_mimebundle_(
        self, **_kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        setting = self._setting
        if not self.is_built:
            setting = replace(setting, notes=(*setting.notes, NOT_BUILT))
        bundle = mime_bundle(self.view, setting, now=_now())
        return bundle | self.widget_bundle(), {}

    def widget_bundle(self) -> dict[str, Any]:
        """Return what makes a page draw this panel; empty where it can't."""
        if self.comm is None or not self.is_built:
            return {}
        reference = {"version_major": 2, "version_minor": 1, "model_id": self.model_id}
        return {WIDGET_MIME: reference}

    # To the page.

    def _tell(self, view: RunView) -> None:
        if _goes_on(self._sent, view):
            for message in patch_messages(
                self._sent, view, self._setting, now=_now(), forms=self._forms
            ):
                self.send(message)
        else:
            self._send_whole(view)
        self._sent = view
        self._set_traits(view)

    def _send_whole(self, view: RunView) -> None:
        for message in view_messages(
            view, self._setting, now=_now(), forms=self._forms
        ):
            self.send(message)
        self._sent = view

    def _set_traits(self, view: RunView) -> None:
        self.run_id = view.run_id
        self.thread_id = view.thread_id
        self.workflow = view.workflow
        self.status = view.status

    # From the page.

    def _speak_unasked(self) -> None:
        if not self._has_heard and self._frontend is not None:
            self._send_bundle()

    def _receive(self, _widget: Any, content: Any, _buffers: Any) -> None:
        self._has_heard = True
        match content:
            case {"type": "open"}:
                self._open()
            case {"type": "bundle"}:
                self._send_bundle()
            case {"type": "answer", "id": str(interrupt_id)}:
                self._answer(interrupt_id, content)
            case {"type": "stop"}:
                self._begin(self._commands.stop, "stop")
            case {"type": "continue"}:
                self._begin(self._commands.resume, "continue")
            case _:
                kind = content.get("type") if isinstance(content, dict) else content
                self.send(refused("", [("", f"{kind!r} is no message of a panel.")]))

    def _open(self) -> None:
        with self._following.telling:
            self._send_whole(self._following.view)

    def _send_bundle(self) -> None:
        built = self._frontend
        if built is None:
            self.send(refused("bundle", [("", NOT_BUILT)]))
            return
        self.send(
            {"type": "bundle", "hash": built.hash, "code": built.code, "css": built.css}
        )

    def _answer(self, interrupt_id: str, content: dict[str, Any]) -> None:
        try:
            # The text keeps what a page's numbers lose: 3.0, or 2**53 + 1.
            text = content.get("json")
            answer = json.loads(text) if text is not None else content.get("answer")
        except (TypeError, ValueError) as error:
            self.send(refused(interrupt_id, [("", f"is not JSON: {error}")]))
            return
        command = self._commands.answer
        bound = None if command is None else lambda: command(interrupt_id, answer)
        self._begin(bound, interrupt_id)

    def _begin(self, command: Callable[[], object] | None, refusal_id: str) -> None:
        if command is None:
            text = "This panel shows a stored run; nothing can be done with it here."
            self.send(refused(refusal_id, [("", text)]))
            return
        # The message may have come on any thread, even the one that runs cells:
        # what it starts must not hold it.
        threading.Thread(
            target=contextvars.copy_context().run,
            args=(self._do, command, refusal_id),
            name="nbflow-command",
            daemon=True,
        ).start()

    def _do(self, command: Callable[[], object], refusal_id: str) -> None:
        try:
            command()
        except InvalidAnswerError as error:
            self._refuse(refusal_id, error.problems)
        except NbflowError as error:
            self._refuse(refusal_id, [("", str(error))])
        except Exception as error:  # noqa: BLE001 - as said below
            # The command's own fault, or the user's code's: nobody waits for
            # this thread, so the panel has to say it.
            _log.exception("A panel's command failed")
            self._refuse(refusal_id, [("", f"{type(error).__name__}: {error}")])

    def _refuse(self, refusal_id: str, problems: Iterable[tuple[str, str]]) -> None:
        self.send(refused(refusal_id, problems))


def _call(method: weakref.WeakMethod[Callable[[], None]]) -> None:
    bound = method()
    if bound is not None:
        bound()


def _answer_on_any_shell(panel: RunPanel) -> None:
    # ipykernel 7.4 sends what a page says to the shell that last published on
    # the comm, which may be busy with a cell; this lets it come on any.
    if hasattr(panel.comm, "_reply_subshell_for"):
        panel.comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001


def _goes_on(before: RunView, after: RunView) -> bool:
    return before.run_id == after.run_id and before.seen <= after.seen


def _now() -> int:
    return time.time_ns() // 1000
