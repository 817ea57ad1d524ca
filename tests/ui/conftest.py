"""Real JupyterLab and Notebook 7 servers, and a real Chromium that drives them.

`jupyter` gives a test the same page in one after the other; `lab` and `notebook7`
give one of them. The notebook is driven through the application that Jupyter
exposes in the page, what a person sees through the page itself.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import nbformat
import pytest
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

Kind: TypeAlias = Literal["lab", "notebook"]

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
FAILED = pytest.StashKey[bool]()

START_SECONDS = 60
RUN_SECONDS = 60
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {
    # Cells that are scrolled away stay in the page, where a test finds them.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false"},
    "docmanager-extension/plugin": {"autosave": False},
}
# A notebook that names no kernel opens with a dialogue that asks for one.
KERNEL = {"display_name": "Python 3 (ipykernel)", "name": "python3"}
# Jupyter's own, seen with nothing but its own extensions.
KNOWN_ERRORS = (
    "Could not restore the debugger state",  # a kernel that restarts
    "Cannot read properties of undefined (reading 'schema')",  # Notebook's shortcuts
)

PROBE = """
window.nbflowProbe = {
  jobs: [],
  start(work) {
    const job = { settled: false, error: null };
    Promise.resolve().then(work).then(
      () => { job.settled = true; },
      (error) => { job.settled = true; job.error = String(error); },
    );
    return this.jobs.push(job) - 1;
  },
  panel() {
    for (const widget of window.jupyterapp?.shell.widgets('main') ?? []) {
      if (widget.sessionContext && widget.content?.widgets) return widget;
    }
    return null;
  },
  isIdle() {
    const panel = this.panel();
    if (!panel?.context.isReady) return false;
    if (panel.sessionContext.session?.kernel?.status !== 'idle') return false;
    const prompts = panel.node.querySelectorAll('.jp-InputArea-prompt');
    return prompts.length > 0
      && [...prompts].every((prompt) => !prompt.textContent.includes('*'));
  },
};
"""


@dataclass(frozen=True, slots=True)
class JupyterServer:
    """A server that runs: which application, where, over which folder."""

    kind: Kind
    url: str
    folder: Path


class NotebookPage:
    """One notebook in a browser.

    Parameters
    ----------
    page : Page
        The browser's page.
    server : JupyterServer
        Where notebooks are opened.
    folder : Path
        A folder below the server's, for this test alone.
    """

    def __init__(self, page: Page, server: JupyterServer, folder: Path) -> None:
        self.page = page
        self.server = server
        self.folder = folder
        self.errors: list[str] = []
        page.add_init_script(PROBE)
        page.on("pageerror", lambda error: self._note(str(error)))
        page.on("console", self._note_message)

    def open(self, notebook: Path | nbformat.NotebookNode) -> Path:
        """Copy a notebook to the server and open it; return the copy."""
        if isinstance(notebook, Path):
            target = self.folder / notebook.name
            shutil.copyfile(notebook, target)
        else:
            notebook.metadata.setdefault("kernelspec", KERNEL)
            target = self.folder / "test.ipynb"
            nbformat.write(notebook, target)
        self.visit(target)
        return target

    def visit(self, notebook: Path) -> None:
        """Open a notebook that the server has."""
        path = quote(notebook.relative_to(self.server.folder).as_posix())
        match self.server.kind:
            case "lab":
                self.page.goto(f"{self.server.url}/lab/tree/{path}?reset")
            case "notebook":
                self.page.goto(f"{self.server.url}/notebooks/{path}")
        self.wait_idle(START_SECONDS)

    def execute(
        self, command: str, *, seconds: float = RUN_SECONDS, **arguments: Any
    ) -> None:
        """Execute a command of the application and wait until it is done."""
        self.wait(self.start(command, **arguments), seconds=seconds)

    def start(self, command: str, **arguments: Any) -> int:
        """Execute a command of the application; the result is for `wait`."""
        return self._start(
            "jupyterapp.commands.execute(given.command, given.arguments)",
            command=command,
            arguments=arguments,
        )

    def wait(self, job: int, *, seconds: float = RUN_SECONDS) -> None:
        """Wait for what `start` began; raise what it was rejected with."""
        self.page.wait_for_function(
            "job => nbflowProbe.jobs[job].settled", arg=job, timeout=seconds * 1000
        )
        error = self.page.evaluate("job => nbflowProbe.jobs[job].error", job)
        assert error is None, error

    def wait_idle(self, seconds: float = RUN_SECONDS) -> None:
        """Wait until the kernel is idle and no cell waits for it."""
        self.page.wait_for_function("nbflowProbe.isIdle()", timeout=seconds * 1000)

    def run_all(self, *, seconds: float = RUN_SECONDS) -> None:
        """Run the cells until the last one ends or one of them fails."""
        self.execute("notebook:run-all-cells", seconds=seconds)
        self.wait_idle(seconds)

    def run_cell(self, index: int, *, seconds: float = RUN_SECONDS) -> None:
        """Run one cell, counted from 0, and wait for its end."""
        self.wait(self.start_cell(index), seconds=seconds)
        self.wait_idle(seconds)

    def start_cell(self, index: int) -> int:
        """Run one cell, counted from 0; the result is for `wait`."""
        self.page.evaluate(
            "index => { nbflowProbe.panel().content.activeCellIndex = index; }", index
        )
        return self.start("notebook:run-cell")

    def interrupt(self) -> None:
        """Press the kernel's stop button, so to speak."""
        self._do("panel.sessionContext.session.kernel.interrupt()")

    def restart(self) -> None:
        """Restart the kernel without the dialogue that asks for it."""
        self._do("panel.sessionContext.restartKernel()")
        self.wait_idle()

    def save(self) -> None:
        """Write the notebook to its file."""
        self._do("panel.context.save()")

    def reload(self) -> None:
        """Load the page again: what was not saved is gone."""
        self.page.reload()
        self.wait_idle(START_SECONDS)

    def cell(self, index: int) -> Locator:
        """Return one cell, counted from 0."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int) -> Locator:
        """Return each output below one cell, counted from 0, without its prompt."""
        return self.cell(index).locator(".jp-OutputArea-output")

    def screenshot(self, name: str) -> Path:
        """Keep a picture of the page in `build/screenshots/`."""
        path = self.picture(name)
        self.page.screenshot(path=path)
        return path

    def picture(self, name: str) -> Path:
        """Return where a picture of that name is kept."""
        return SCREENSHOTS / f"{name}.png"

    def close(self) -> None:
        """Leave no kernel behind."""
        self._do("jupyterapp.serviceManager.sessions.shutdownAll()")

    def _do(self, expression: str) -> None:
        self.wait(self._start(expression))

    def _start(self, expression: str, **given: Any) -> int:
        job = self.page.evaluate(
            "given => nbflowProbe.start(() => {"
            f" const panel = nbflowProbe.panel(); return {expression}; }})",
            given,
        )
        return int(job)

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._note(f"{message.text} ({message.location['url']})")

    def _note(self, error: str) -> None:
        if not any(known in error for known in KNOWN_ERRORS):
            self.errors.append(error)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:  # type: ignore[attr-defined]
        item.stash[FAILED] = True
    return report


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    named = os.environ.get("NBFLOW_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=named, args=CHROMIUM_ARGUMENTS
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    with _serve("lab", tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="session")
def notebook7_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[JupyterServer]:
    with _serve("notebook", tmp_path_factory.mktemp("notebook7")) as server:
        yield server


@pytest.fixture
def lab(
    browser: Browser, lab_server: JupyterServer, request: pytest.FixtureRequest
) -> Iterator[NotebookPage]:
    with _page(browser, lab_server, request.node) as page:
        yield page


@pytest.fixture
def notebook7(
    browser: Browser, notebook7_server: JupyterServer, request: pytest.FixtureRequest
) -> Iterator[NotebookPage]:
    with _page(browser, notebook7_server, request.node) as page:
        yield page


@pytest.fixture(params=["lab", "notebook7"])
def jupyter(request: pytest.FixtureRequest) -> NotebookPage:
    page: NotebookPage = request.getfixturevalue(request.param)
    return page


@contextmanager
def _page(
    browser: Browser, server: JupyterServer, test: pytest.Item
) -> Iterator[NotebookPage]:
    name = "".join(letter if letter.isalnum() else "-" for letter in test.name)
    folder = server.folder / name
    folder.mkdir()
    with browser.new_context(viewport={"width": 1400, "height": 1000}) as context:
        context.set_default_timeout(15_000)
        page = NotebookPage(context.new_page(), server, folder)
        yield page
        if test.stash.get(FAILED, False):
            page.screenshot(f"failed-{name}")
        page.close()
    assert not page.errors


@contextmanager
def _serve(kind: Kind, home: Path) -> Iterator[JupyterServer]:
    folder = home / "notebooks"
    folder.mkdir()
    port = _free_port()
    _write_configuration(home, folder, port)
    log = home / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", _MODULES[kind], "--no-browser", "--allow-root"],
            cwd=folder,
            env=_environment(home),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = JupyterServer(kind, f"http://127.0.0.1:{port}", folder)
    try:
        _wait_until_it_answers(server, process, log)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


_MODULES: dict[Kind, str] = {"lab": "jupyterlab", "notebook": "notebook"}


def _environment(home: Path) -> dict[str, str]:
    """Return an environment in which nothing of this machine's user is found."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUPYTER", "IPYTHON", "NBFLOW", "JPY_"))
    }
    return kept | {
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
    }


def _write_configuration(home: Path, folder: Path, port: int) -> None:
    page = {
        "expose_app_in_browser": True,
        "extra_labextensions_path": [str(_checkout_labextensions(home))],
    }
    # jupysql brings one for its own; what is looked at here is Jupyter and nbflow.
    disabled = {"@jupyterlab/apputils-extension:announcements": True}
    configuration = {
        "IdentityProvider": {"token": ""},
        "JupyterNotebookApp": page,
        "LabApp": page | {"extension_manager": "readonly"},
        "ServerApp": {
            "ip": "127.0.0.1",
            "port": port,
            "port_retries": 0,
            "root_dir": str(folder),
            "jpserver_extensions": {"jupysql_plugin": False},
        },
    }
    _write_json(home / "config" / "jupyter_server_config.json", configuration)
    _write_json(
        home / "config" / "labconfig" / "page_config.json",
        {"disabledExtensions": disabled | {"jupysql-plugin": True}},
    )
    for name, setting in SETTINGS.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        _write_json(path, setting)


def _checkout_labextensions(home: Path) -> Path:
    """Return a folder with the extension as built, before it is installed."""
    folder = home / "labextensions"
    folder.mkdir()
    package = find_spec("nbflow")
    for place in (package and package.submodule_search_locations) or ():
        built = Path(place) / "labextension"
        if built.is_dir():
            (folder / "nbflow").symlink_to(built)
    return folder


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_answers(
    server: JupyterServer, process: subprocess.Popen[bytes], log: Path
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(f"{server.url}/api/status", timeout=5):  # noqa: S310 # loopback
                return
        except (URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)
    pytest.fail(f"{server.kind} does not answer:\n{log.read_text('utf-8')[-4000:]}")
