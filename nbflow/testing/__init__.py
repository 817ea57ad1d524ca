"""What tests of workflows need: a clock to move, faults to inject, runs to replay.

Each piece is a plain object or function. With pytest, name the fixtures once, in the
topmost ``conftest.py``::

    pytest_plugins = ["nbflow.testing.fixtures"]

Nothing here knows of notebooks; pytest is imported by `nbflow.testing.fixtures` only.
"""

from nbflow.testing.clock import FakeClock
from nbflow.testing.faults import FailingSaver, killed_after
from nbflow.testing.replaying import NotRecordedError, areplay, replay

__all__ = [
    "FailingSaver",
    "FakeClock",
    "NotRecordedError",
    "areplay",
    "killed_after",
    "replay",
]
