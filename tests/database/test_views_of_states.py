"""The view of checkpoints lists what a history lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.func import entrypoint

if TYPE_CHECKING:
    from pathlib import Path

ASKED = (
    "SELECT checkpoint_id, parent_checkpoint_id, source, step FROM checkpoints "
    "ORDER BY created_at DESC, seq DESC"
)


def address(config: dict[str, Any] | None) -> str | None:
    return None if config is None else config["configurable"]["checkpoint_id"]


def test_checkpoints_in_sql_are_those_of_a_history_with_forks_and_changes(
    tmp_path: Path,
) -> None:
    config = {"configurable": {"thread_id": "t"}}
    with DuckDBSaver(tmp_path / "a.duckdb") as saver:

        @entrypoint(checkpointer=saver)
        def same(n: int) -> int:
            return n

        same.invoke(1, config)
        same.invoke(2, config)
        same.invoke(None, list(same.get_state_history(config))[3].config)
        same.update_state(config, 3)
        same.update_state(config, None, as_node="__copy__")
        history = list(same.get_state_history(config))
        rows = saver.ask(ASKED).fetchall()

    assert rows == [
        (
            address(snapshot.config),
            address(snapshot.parent_config),
            snapshot.metadata["source"],
            snapshot.metadata["step"],
        )
        for snapshot in history
        if snapshot.metadata
    ]
