"""A run's place in the output of a cell: the panel and its twin, kept up to date.

The bundle that is shown always holds the twin; the widget's view is in it only
while the run can go on, since a saved notebook can't draw a widget. How a bundle
gets into the output is the caller's: IPython is not known here.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from nbflow.session.following import Following
from nbflow.session.wire import Setting
from nbflow.widgets.frontend import NOT_BUILT, FrontEnd, front_end
from nbflow.widgets.panel import Commands, RunPanel
from nbflow.widgets.twin import mime_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nbflow._events import Record
    from nbflow.session.views import RunView

__all__ = ["Display", "Handle", "PanelDisplay"]

_ENDED: Final = frozenset({"finished", "failed", "cancelled", "superseded"})


class Handle(Protocol):
    """What IPython's ``display(..., display_id=True)`` returns."""

    def update(self, data: Any, /, *, raw: bool) -> Any:
        """Put another bundle in the place of the one that is shown."""


class Display(Protocol):
    """IPython's ``display``."""

    def __call__(self, data: Any, /, *, raw: bool, display_id: bool) -> Any:
        """Show a bundle and return its handle."""


class PanelDisplay:
    """One run in the output of a cell. Its methods are for any thread.

    Parameters
    ----------
    display : Display
        Shows the bundle: IPython's ``display``.
    source : RunView or Following
        The run: as it stands, or as it is followed by others too.
    commands : Commands, optional
        What the panel's buttons do.
    setting : Setting, optional
        What it says besides the run.
    panel : bool, default True
        Show the panel. Otherwise there is only its text, and where the front end is
        not built only its twin; both are renewed each second.
    frontend : FrontEnd, optional
        What the page is sent; by default this installation's.
    """

    def __init__(
        self,
        display: Display,
        source: RunView | Following,
        *,
        commands: Commands | None = None,
        setting: Setting | None = None,
        panel: bool = True,
        frontend: FrontEnd | None = None,
    ) -> None:
        self._commands = commands
        self._setting = setting or Setting()
        self._frontend = frontend or front_end()
        self._wants_panel = panel
        self._owns_following = not isinstance(source, Following)
        self.following: Following = (
            source if isinstance(source, Following) else Following(source)
        )
        self._panel: RunPanel | None = None
        view = self.following.view
        self._fit_panel(view)
        self._face = _face_of(view)
        self._handle: Handle = display(self._bundle(view), raw=True, display_id=True)
        # Without a panel the twin is all there is, so it has to keep up.
        self._is_twin_only = self._panel is None
        self._stop_listening: Callable[[], None] = self.following.listen(
            self._tell,
            told=view,
            interval_seconds=1.0 if self._is_twin_only else 0.1,
        )

    @property
    def panel(self) -> RunPanel | None:
        """The widget, while the run can go on and the page can draw it."""
        return self._panel

    @property
    def view(self) -> RunView:
        """The run as it stands now."""
        return self.following.view

    def show(self, records: Iterable[Record]) -> None:
        """Show more records of the run; see `Following.show`."""
        self.following.show(records)

    def flush(self) -> None:
        """Bring page and output up to date now."""
        self.following.flush()

    def describe(self, setting: Setting) -> None:
        """Say something else besides the run."""
        with self.following.telling:
            self._setting = setting
            if self._panel is not None:
                self._panel.describe(setting)
            self._refresh(self.following.view)

    def close(self) -> None:
        """Leave the twin in the output and let go of the run."""
        self.following.flush()
        self._stop_listening()
        with self.following.telling:
            panel, self._panel = self._panel, None
            if panel is not None:
                self._handle.update(self._bundle(self.following.view), raw=True)
                panel.close()
        if self._owns_following:
            self.following.close()

    def _tell(self, view: RunView) -> None:
        face = _face_of(view)
        if face != self._face or self._is_twin_only:
            self._face = face
            self._refresh(view)

    def _refresh(self, view: RunView) -> None:
        ended = self._fit_panel(view)
        self._handle.update(self._bundle(view), raw=True)
        if ended is not None:
            # Only after its view has left the output.
            ended.close()

    def _fit_panel(self, view: RunView) -> RunPanel | None:
        # An ended run needs no widget; one that goes on gets one again.
        can_draw = self._wants_panel and self._frontend is not None
        if view.status in _ENDED or not can_draw:
            ended, self._panel = self._panel, None
            return ended
        if self._panel is None:
            self._panel = RunPanel(
                self.following,
                commands=self._commands,
                setting=self._setting,
                frontend=self._frontend,
            )
        return None

    def _bundle(self, view: RunView) -> dict[str, Any]:
        setting = self._setting
        if self._wants_panel and self._frontend is None:
            setting = replace(setting, notes=(*setting.notes, NOT_BUILT))
        bundle = mime_bundle(view, setting, now=time.time_ns() // 1000)
        if not self._wants_panel:
            # JupyterLab would draw the run's own type as a panel.
            return {"text/plain": bundle["text/plain"]}
        return bundle | (self._panel.widget_bundle() if self._panel else {})


def _face_of(view: RunView) -> tuple[Any, ...]:
    # What a twin must not be late with. After the end that is everything: what
    # was still under way comes in.
    questions = tuple((q.interrupt_id, q.answered) for q in view.questions)
    seen = view.seen if view.status in _ENDED else None
    return view.run_id, view.status, view.resumed_at, questions, seen
