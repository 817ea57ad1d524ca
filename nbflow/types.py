"""The values of the API, at LangGraph's place for them."""

from nbflow._engine.interrupts import interrupt
from nbflow._values import (
    Command,
    Interrupt,
    PregelTask,
    RetryPolicy,
    Send,
    StateSnapshot,
    StreamMode,
    StreamWriter,
)

__all__ = [
    "Command",
    "Interrupt",
    "PregelTask",
    "RetryPolicy",
    "Send",
    "StateSnapshot",
    "StreamMode",
    "StreamWriter",
    "interrupt",
]
