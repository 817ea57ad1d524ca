"""The kernel's Stop, a KeyboardInterrupt, at any moment: the store goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    RunChild = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.timeout(120)

# Python looks for signals where a function begins and where one of C has returned.
INTERRUPTED = """
    import faulthandler

    HOOKED = ("/nbflow/", "threading.py", "contextlib.py", "weakref.py")

    def interrupted(at, use):
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
"""
AT_EVERY_MOMENT = """
    saver = DuckDBSaver(sys.argv[1])
    saver.commit([written("t", "first")])
    use = {
        "append": lambda: saver.append([written("t", "more")]),
        "commit": lambda: saver.commit([written("t", "more")]),
        "read": lambda: saver.read("t", limit=1),
        "heads": lambda: (saver.heads(), saver.head("t")),
    }[sys.argv[2]]

    moment = 1
    while interrupted(moment, use):
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
    child = run_child(INTERRUPTED + AT_EVERY_MOMENT, path, use)

    assert (child.stdout, child.stderr) == ("True\n", "")


WHILE_IT_ENDS = """
    from nbflow._database.database import Database

    end = Database.end
    has_begun, may_end = threading.Event(), threading.Event()

    def end_later(database, cause):
        has_begun.set()
        may_end.wait()
        end(database, cause)

    Database.end = end_later
    moment = 0
    is_stopped = True
    while is_stopped:
        saver = DuckDBSaver(sys.argv[1])
        has_begun.clear()
        may_end.clear()
        closing = threading.Thread(target=saver.close)
        closing.start()
        has_begun.wait()
        threading.Timer(0.05, may_end.set).start()
        moment += 1
        is_stopped = interrupted(moment, saver._database.wait_until_ended)
        faulthandler.dump_traceback_later(10, exit=True)
        closing.join()
        faulthandler.cancel_dump_traceback_later()
    print(moment > 1)
"""


def test_a_stop_while_the_end_of_a_store_is_waited_for_keeps_nobody_waiting(
    path: Path, run_child: RunChild
) -> None:
    child = run_child(INTERRUPTED + WHILE_IT_ENDS, path)

    assert (child.stdout, child.stderr) == ("True\n", "")


WHILE_DUCKDB_WORKS = """
    import signal, time
    # A shell may have begun the tests in its background, deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
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
