"""A run's place in the output of a cell, while it runs and after."""

# ruff: noqa: D102
from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from nbflow.session.following import Following
from nbflow.session.wire import RUN_MIME, Setting
from nbflow.widgets import Commands, PanelDisplay
from nbflow.widgets.frontend import NOT_BUILT, FrontEnd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.widgets.conftest import Page, RunLog

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
SOON_SECONDS = 5


class Output:
    """The output of a cell: every bundle that was shown in its place."""

    def __init__(self) -> None:
        self.bundles: list[dict[str, Any]] = []
        self.changed = threading.Event()

    def __call__(self, data: Any, /, *, raw: bool, display_id: bool) -> Output:
        assert raw
        assert display_id
        self.bundles.append(data)
        return self

    def update(self, data: Any, /, *, raw: bool) -> None:
        assert raw
        self.bundles.append(data)
        self.changed.set()

    @property
    def statuses(self) -> list[tuple[str, bool]]:
        return [(b[RUN_MIME]["status"], WIDGET_MIME in b) for b in self.bundles]


@pytest.fixture
def output() -> Output:
    return Output()


@pytest.fixture
def shown(output: Output, log: RunLog, frontend: FrontEnd) -> Iterator[PanelDisplay]:
    log.start().call("b")
    view = log.view
    log.new.clear()
    made = PanelDisplay(output, view, setting=Setting(live=True), frontend=frontend)
    yield made
    made.close()


def test_twin_and_widget_stand_together_while_the_run_goes_on(
    shown: PanelDisplay, output: Output
) -> None:
    (bundle,) = output.bundles

    assert shown.panel is not None
    assert bundle[WIDGET_MIME]["model_id"] == shown.panel.model_id
    assert set(bundle) == {"text/plain", "text/html", RUN_MIME, WIDGET_MIME}


def test_the_twin_is_renewed_when_the_status_changes_and_only_then(
    shown: PanelDisplay, output: Output, log: RunLog
) -> None:
    shown.show(log.call("c").write("x").new)
    shown.flush()
    shown.show(log.ask("q1", parent_id="b").new)
    shown.show(log.answer("q1").resume().new)
    shown.flush()
    shown.show(log.end(5).new)

    assert output.statuses == [
        ("running", True),
        ("interrupted", True),
        ("running", True),
        ("finished", False),
    ]
    assert "Is this correct?" in output.bundles[1]["text/html"]
    assert "\u2192 5" in output.bundles[3]["text/plain"]


def test_a_question_that_follows_an_answer_at_once_renews_the_twin(
    shown: PanelDisplay, output: Output, log: RunLog
) -> None:
    shown.show(log.ask("q1").new)
    shown.show(log.answer("q1").resume().ask("q2", "And now?").new)

    assert "And now?" in output.bundles[-1]["text/plain"]


def test_the_panel_is_closed_after_its_view_has_left_the_output(
    shown: PanelDisplay, output: Output, log: RunLog, page_of: type[Page]
) -> None:
    panel = shown.panel
    assert panel is not None
    page = page_of(panel)
    page.say({"type": "open"})

    shown.show(log.fail_run("ValueError('bad')", "line 3").new)

    assert shown.panel is None
    assert page.heard[-1]["header"]["status"] == "failed"
    assert page.kinds[-1] == "comm_close"
    assert output.statuses[-1] == ("failed", False)


def test_what_was_still_under_way_at_the_end_comes_into_the_twin(
    shown: PanelDisplay, output: Output, log: RunLog
) -> None:
    shown.show(log.fail_run("ValueError('bad')").new)

    shown.show(log.finish("b", "late").new)
    shown.flush()

    assert "late" in output.bundles[-1]["text/plain"]
    assert output.statuses[-1] == ("failed", False)


def test_a_run_that_goes_on_after_its_end_gets_a_panel_again(
    shown: PanelDisplay, output: Output, log: RunLog
) -> None:
    shown.show(log.fail_run("ValueError('bad')").new)

    shown.show(log.resume().new)
    shown.flush()

    assert shown.panel is not None
    assert output.statuses[-1] == ("running", True)


def test_an_ended_run_is_shown_as_its_twin(
    output: Output, log: RunLog, frontend: FrontEnd
) -> None:
    shown = PanelDisplay(output, log.start().end().view, frontend=frontend)

    assert shown.panel is None
    assert output.statuses == [("finished", False)]
    shown.close()


def test_closed_it_leaves_the_twin(
    shown: PanelDisplay, output: Output, log: RunLog
) -> None:
    shown.show(log.call("c").new)

    shown.close()
    shown.close()

    assert output.statuses == [("running", True), ("running", False)]
    assert output.bundles[-1][RUN_MIME]["counts"]["calls"] == 2


def test_a_followed_run_goes_on_for_others(
    output: Output, log: RunLog, frontend: FrontEnd
) -> None:
    following = Following(log.start().view)
    shown = PanelDisplay(output, following, frontend=frontend)

    shown.close()
    following.show(log.end().new)

    assert following.view.status == "finished"
    assert output.statuses[-1] == ("running", False)


def test_another_setting_reaches_panel_and_twin(
    shown: PanelDisplay, output: Output, page_of: type[Page]
) -> None:
    assert shown.panel is not None
    page = page_of(shown.panel)
    page.say({"type": "open"})

    shown.describe(Setting(live=True, notes=("Run cell 3 to go on.",)))

    assert page.heard[-1]["view"]["notes"] == ["Run cell 3 to go on."]
    assert "Run cell 3 to go on." in output.bundles[-1]["text/plain"]


def test_presses_reach_the_commands(
    output: Output, log: RunLog, frontend: FrontEnd, page_of: type[Page]
) -> None:
    stopped = threading.Event()
    commands = Commands(stop=stopped.set)
    shown = PanelDisplay(output, log.start().view, commands=commands, frontend=frontend)
    assert shown.panel is not None

    page_of(shown.panel).say({"type": "stop"})

    assert stopped.wait(SOON_SECONDS)
    shown.close()


def test_without_a_panel_there_is_a_text_that_keeps_up_by_itself(
    output: Output, log: RunLog, frontend: FrontEnd
) -> None:
    shown = PanelDisplay(output, log.start().view, panel=False, frontend=frontend)

    shown.show(log.call("a").new)

    assert output.changed.wait(SOON_SECONDS)
    assert [set(bundle) for bundle in output.bundles] == [{"text/plain"}] * 2
    assert "1 call" in output.bundles[-1]["text/plain"]
    assert NOT_BUILT not in output.bundles[0]["text/plain"]
    shown.close()


@pytest.mark.parametrize("panel", [True, False])
def test_a_run_that_ends_while_it_is_first_shown_is_shown_as_ended(
    output: Output, log: RunLog, frontend: FrontEnd, *, panel: bool
) -> None:
    following = Following(log.start().view)
    log.new.clear()
    log.end(5)

    def display(data: Any, /, *, raw: bool, display_id: bool) -> Output:
        following.show(log.new[-1:])
        return output(data, raw=raw, display_id=display_id)

    shown = PanelDisplay(display, following, panel=panel, frontend=frontend)

    assert "\u2192 5" in output.bundles[-1]["text/plain"]
    assert shown.panel is None
    shown.close()


def test_without_a_built_front_end_the_twin_says_how_to_build_it(
    output: Output, log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbflow.widgets.display.front_end", lambda: None)

    shown = PanelDisplay(output, log.start().view)
    shown.show(log.end().new)

    assert shown.panel is None
    assert all(NOT_BUILT in bundle["text/plain"] for bundle in output.bundles)
    assert output.statuses[-1] == ("finished", False)
    shown.close()
