"""The kernel's Stop, a KeyboardInterrupt, at any moment: the store goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    RunChild = Callable[..., subprocess.CompletedProcess[str]]

# Python looks for signals where a function begins and where one of C has returned.
AT_EVERY_MOMENT = """
    import faulthandler

    HOOKED = ("/nbflow/", "threading.py", "contextlib.py", "weakref.py")
    saver = DuckDBSaver(sys.argv[1])
    saver.commit([written("t", "first")])
    use = {
        "append": lambda: saver.append([written("t", "more")]),
        "commit": lambda: saver.commit([written("t", "more")]),
        "read": lambda: saver.read("t", limit=1),
        "heads": lambda: (saver.heads(), saver.head("t")),
    }[sys.argv[2]]

    def interrupted(at):
        left = at

        def step(frame, event, argument):
            nonlocal left
            name = frame.f_code.co_filename
            if event in ("call", "c_return") and any(part in name for part in HOOKED):
                left -= 1
                if not left:
                    sys.setprofile(None)
                    raise KeyboardInterrupt

        sys.setprofile(step)
        try:
            use()
        except KeyboardInterrupt:
            pass
        sys.setprofile(None)
        return left <= 0

    moment = 1
    while interrupted(moment):
        faulthandler.dump_traceback_later(10, exit=True)
        saver.commit([written("t", "after")])
        assert saver.read("t")[-1].event.data.data == b"after"
        if moment % 10 == 0:
            saver.compact()
        faulthandler.cancel_dump_traceback_later()
        moment += 1
    saver.close()
    print(moment > 20)
"""


@pytest.mark.parametrize("use", ["append", "commit", "read", "heads"])
def test_a_stop_at_any_moment_leaves_a_store_that_goes_on(
    path: Path, run_child: RunChild, use: str
) -> None:
    child = run_child(AT_EVERY_MOMENT, path, use)

    assert (child.stdout, child.stderr) == ("True\n", "")


WHILE_DUCKDB_WORKS = """
    import signal, time
    saver = DuckDBSaver(sys.argv[1])
    # With more, this thread may wait for another one, and look for signals only then.
    saver._database._connection._root.execute("SET threads = 1")

    def stop():
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop).start()
    try:
        saver.ask("SELECT count(*) FROM range(1000000) a, range(1000000) b")
    except KeyboardInterrupt:
        print("stopped", len(saver.read("t")))
"""


def test_a_stop_while_duckdb_works_is_a_stop(path: Path, run_child: RunChild) -> None:
    child = run_child(WHILE_DUCKDB_WORKS, path)

    assert (child.stdout, child.stderr) == ("stopped 0\n", "")
