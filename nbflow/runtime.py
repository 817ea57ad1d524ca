"""The runtime of a body, at LangGraph's place for it."""

from nbflow._engine.control import RunControl
from nbflow._engine.door import get_runtime
from nbflow._engine.inject import ExecutionInfo, Runtime

__all__ = ["ExecutionInfo", "RunControl", "Runtime", "get_runtime"]
