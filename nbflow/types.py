"""The values of the API, at LangGraph's place for them."""

from typing import Literal, TypeAlias

from nbflow._engine.interrupts import interrupt
from nbflow._values import (
    CachePolicy,
    Command,
    Durability,
    GraphOutput,
    Interrupt,
    Overwrite,
    PregelTask,
    RetryPolicy,
    Send,
    StateSnapshot,
    StateUpdate,
    StreamMode,
    StreamWriter,
    TimeoutPolicy,
)
from nbflow.checkpoint.base import BaseCheckpointSaver

__all__ = [
    "All",
    "CachePolicy",
    "Checkpointer",
    "Command",
    "Durability",
    "GraphOutput",
    "Interrupt",
    "Overwrite",
    "PregelTask",
    "RetryPolicy",
    "Send",
    "StateSnapshot",
    "StateUpdate",
    "StreamMode",
    "StreamWriter",
    "TimeoutPolicy",
    "interrupt",
]

All: TypeAlias = Literal["*"]
"""Stands for every node, where names are asked for."""

Checkpointer: TypeAlias = BaseCheckpointSaver | bool | None
"""What an entrypoint takes as its `checkpointer`."""
