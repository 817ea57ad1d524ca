"""Graphs of nodes over one state, and the reducer of messages."""

from nbflow._values import END, START
from nbflow.graph.message import MessagesState, add_messages
from nbflow.graph.state import StateGraph

__all__ = ["END", "START", "MessagesState", "StateGraph", "add_messages"]
