"""How much memory a large value takes, and how large a long chat becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.adapters import nbflow_engines
from tests.bench.chats import talk
from tests.bench.limits import CHAT_MEGABYTES, MEMORY_SIZES
from tests.bench.memory import Kind, peak_in_sizes


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells")
@pytest.mark.parametrize("kind", ["array", "frame"])
def test_a_large_value_is_checkpointed_without_a_copy_of_it(
    path: Path, kind: Kind
) -> None:
    assert 1 <= peak_in_sizes(path, kind, 64) < MEMORY_SIZES


@pytest.mark.timeout(120)
@pytest.mark.parametrize("repeats_input", [False, True])
def test_a_chat_of_a_thousand_turns_stays_small(
    tmp_path: Path, *, repeats_input: bool
) -> None:
    (engine,) = (engine for engine in nbflow_engines() if engine.store == "file")

    chat = talk(engine, tmp_path, 1_000, repeats_input=repeats_input, model_seconds=0)

    assert chat.megabytes < CHAT_MEGABYTES
