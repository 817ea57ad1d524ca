"""Panels in a real kernel: floods, and clicks while a cell runs."""

# ruff: noqa: D102
from __future__ import annotations

import os
import queue
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_client.blocking.client import BlockingKernelClient

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[2]
SETUP = """
import threading, time
from IPython.display import display
from nbflow._events import Custom, Record, RunFinished, RunStarted
from nbflow._values import Payload
from nbflow.session.folding import fold
from nbflow.session.views import RunView
from nbflow.session.wire import Setting
from nbflow.widgets import Commands, PanelDisplay
from nbflow.widgets.frontend import FrontEnd

def record(event):
    return Record("t", "r", time.time_ns() // 1000, event)

pressed = threading.Event()
view = fold(RunView(), [record(RunStarted("flood", Payload(), "", ""))])
shown = PanelDisplay(
    display, view, setting=Setting(live=True), commands=Commands(stop=pressed.set),
    frontend=FrontEnd("export default {}", "", "", "0"),
)
shown.panel.model_id
"""
FLOOD = """
def flood():
    began = time.monotonic()
    for n in range(20_000):
        shown.show([record(Custom("", Payload(live=f"item {n}")))])
        ahead = n / 10_000 - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)
    shown.show([record(RunFinished(Payload(live="done"), None, ""))])

thread = threading.Thread(target=flood)
thread.start()
while thread.is_alive():
    thread.join(0.05)
"""
WAIT_FOR_PRESS = """
print("pressed" if pressed.wait(10) else "not pressed")
"""


class Kernel:
    """A kernel, and a page that talks to it as JupyterLab does."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client
        self.subshell_id: str | None = None

    def run(self, code: str) -> list[dict[str, Any]]:
        """Run a cell, and return all it published until the kernel was idle."""
        return self.until_idle(self.client.execute(code))

    def until_idle(self, request_id: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        while not is_idle(messages, request_id):
            messages.append(self.client.get_iopub_msg(timeout=30))
        errors = [m["content"] for m in messages if m["msg_type"] == "error"]
        assert errors == []
        return messages

    def say(self, comm_id: str, content: dict[str, Any]) -> None:
        data = {"method": "custom", "content": content}
        message = self.client.session.msg(
            "comm_msg", {"comm_id": comm_id, "data": data}
        )
        if self.subshell_id is not None:
            message["header"]["subshell_id"] = self.subshell_id
        self.client.shell_channel.send(message)

    def open_subshell(self) -> None:
        request = self.client.session.msg("create_subshell_request", {})
        self.client.control_channel.send(request)
        reply = self.client.get_control_msg(timeout=30)
        self.subshell_id = reply["content"].get("subshell_id")


def is_idle(messages: list[dict[str, Any]], request_id: str) -> bool:
    if not messages:
        return False
    last = messages[-1]
    return bool(
        last["msg_type"] == "status"
        and last["content"]["execution_state"] == "idle"
        and last["parent_header"].get("msg_id") == request_id
    )


def custom(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    data = [m["content"]["data"] for m in messages if m["msg_type"] == "comm_msg"]
    return [d["content"] for d in data if d.get("method") == "custom"]


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=str(tmp_path))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield Kernel(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def opened_panel(kernel: Kernel) -> str:
    """Show a panel, open it as a page does, and return its comm's id."""
    messages = kernel.run(SETUP)
    opens = [m["content"] for m in messages if m["msg_type"] == "comm_open"]
    (comm_id,) = (c["comm_id"] for c in opens if "_esm" in c["data"]["state"])
    kernel.say(comm_id, {"type": "open"})
    while not custom([kernel.client.get_iopub_msg(timeout=30)]):
        pass
    return str(comm_id)


def test_ten_thousand_events_a_second_reach_the_page_and_the_kernel_comes_to_rest(
    kernel: Kernel,
) -> None:
    opened_panel(kernel)

    began = time.monotonic()
    messages = kernel.run(FLOOD)
    seconds = time.monotonic() - began

    last = custom(messages)[-1]["header"]
    shown = [m for m in messages if m["msg_type"] == "update_display_data"]
    assert (last["status"], last["stream_total"]) == ("finished", 20_000)
    assert len(messages) < 20 + 12 * seconds
    assert "widget-view" not in str(shown[-1]["content"]["data"].keys())
    assert kernel.run("thread.is_alive()")[-1]["content"]["execution_state"] == "idle"


def test_a_click_arrives_while_a_cell_runs_where_the_kernel_has_subshells(
    kernel: Kernel,
) -> None:
    comm_id = opened_panel(kernel)
    kernel.open_subshell()
    if kernel.subshell_id is None:
        pytest.skip("this ipykernel has no subshells")

    request_id = kernel.client.execute(WAIT_FOR_PRESS)
    try:
        while kernel.client.get_iopub_msg(timeout=30)["msg_type"] != "execute_input":
            pass
    except queue.Empty:
        pytest.fail("the cell never began")
    kernel.say(comm_id, {"type": "stop"})
    messages = kernel.until_idle(request_id)

    printed = [m["content"]["text"] for m in messages if m["msg_type"] == "stream"]
    assert "".join(printed) == "pressed\n"
