"""What graphs and workflows share: the reducer of messages."""

from nbflow.graph.message import add_messages

__all__ = ["add_messages"]
