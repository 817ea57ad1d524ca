"""Graphs of nodes over one state, and the reducer of messages."""

from nbflow._values import END, START
from nbflow.graph.message import add_messages
from nbflow.graph.state import MessagesState, StateGraph

__all__ = ["END", "START", "MessagesState", "StateGraph", "add_messages"]
