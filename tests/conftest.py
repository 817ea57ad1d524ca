"""What a folder of tests says of every test in it: a marker and more time.

So does a test of Hypothesis: it is many tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import is_hypothesis_test

if TYPE_CHECKING:
    from collections.abc import Iterable

TESTS = Path(__file__).parent
TIMEOUT_SECONDS = {"bench": 900, "crash": 300, "ui": 180, "wheel": 900}
GENERATED_TIMEOUT_SECONDS = 120


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    for item in items:
        if not item.path.is_relative_to(TESTS):
            continue
        folder = item.path.relative_to(TESTS).parts[0]
        seconds = TIMEOUT_SECONDS.get(folder)
        if seconds is not None:
            item.add_marker(folder)
        elif is_hypothesis_test(getattr(item, "function", None)):
            seconds = GENERATED_TIMEOUT_SECONDS
        if seconds is not None and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(seconds))
