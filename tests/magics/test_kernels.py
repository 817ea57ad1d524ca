"""Other users of a store, in real kernels: another notebook, and jupysql."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jupyter_client.blocking.client import BlockingKernelClient

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[2]
SETUP = """
import nbflow
%load_ext nbflow
from nbflow import entrypoint, task
"""
WORKFLOW = """%%workflow essay -i "topic" --no-panel
@task
def write(topic):
    return topic.upper()

@entrypoint()
def essay(topic):
    return write(topic).result()
"""
ASKED = "%sql SELECT thread_id, runs FROM threads"


class Kernel:
    """A kernel with nbflow in it."""

    def __init__(self, client: BlockingKernelClient, pid: int) -> None:
        self.client = client
        self.pid = pid
        self.run(SETUP)

    def run(self, code: str) -> str:
        """Run a cell, and return what it printed, showed and raised."""
        request_id = self.client.execute(code)
        said: list[str] = []
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != request_id:
                continue
            content = message["content"]
            match message["msg_type"]:
                case "stream":
                    said.append(content["text"])
                case "execute_result" | "display_data":
                    said.append(content["data"].get("text/plain", ""))
                case "error":
                    said.append(f"{content['ename']}: {content['evalue']}")
                case "status" if content["execution_state"] == "idle":
                    return "\n".join(said)


@contextmanager
def running(folder: Path, notebook: str) -> Iterator[Kernel]:
    (folder / notebook).touch()
    environ = {
        "IPYTHONDIR": str(folder / "ipython"),
        "JPY_SESSION_NAME": str(folder / notebook),
        "NBFLOW_STORE": str(folder / "shared.duckdb"),
        "PLOOMBER_STATS_ENABLED": "false",  # jupysql would report its use
        "PLOOMBER_VERSION_CHECK_DISABLED": "true",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=os.environ | environ, cwd=str(folder))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        assert manager.provisioner is not None
        yield Kernel(client, int(manager.provisioner.pid))  # type: ignore[attr-defined]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture
def start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Kernel]]:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    with ExitStack() as kernels:
        yield lambda notebook: kernels.enter_context(running(tmp_path, notebook))


def test_a_second_kernel_is_told_which_notebook_has_the_store_and_what_to_do(
    start: Callable[[str], Kernel], tmp_path: Path
) -> None:
    first, second = start("first.ipynb"), start("second.ipynb")
    first.run(WORKFLOW)
    copy = tmp_path / "copy.duckdb"

    refused = [second.run(code) for code in (WORKFLOW, "nbflow.sql('FROM threads')")]

    for said in refused:
        assert f"held by process {first.pid} ({tmp_path / 'first.ipynb'})" in said
        assert "%workflow store PATH" in said
        assert "%workflow snapshot PATH" in said
    first.run(f"%workflow snapshot {copy}")
    looked = second.run(f"nbflow.sql('FROM threads', store='{copy}')")
    assert "finished" in looked
    assert "other.duckdb" in second.run(f"%workflow store {tmp_path / 'other.duckdb'}")
    assert "'TOPIC'" in second.run(WORKFLOW)


def test_jupysql_reads_the_views_while_nbflow_writes(
    start: Callable[[str], Kernel],
) -> None:
    kernel = start("essay.ipynb")
    kernel.run(WORKFLOW)
    kernel.run("import duckdb\n%load_ext sql\n%config SqlMagic.displaycon = False")
    kernel.run("%config SqlMagic.autopandas = True")

    kernel.run("mine = duckdb.connect(nbflow.store_path())\n%sql mine --alias history")
    before = kernel.run(ASKED)
    kernel.run("%workflow run essay -i 'more' --no-panel")
    after = kernel.run(ASKED)
    refused = kernel.run("%workflow compact")
    kernel.run("%sql --close history")
    compacted = kernel.run("%workflow compact")

    assert before.split()[-2:] == ["essay", "1"]
    assert after.split()[-2:] == ["essay", "2"]
    assert "%sql --close ALIAS" in refused
    assert "rows dropped" in compacted
    assert "ok" in kernel.run("%workflow doctor")
