"""What a `Command` asks of a workflow, read before anything is done.

A functional workflow is one node, so a command can answer its questions, or call it
with an input, after an update if need be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from nbflow._values import UNSET, Command, Send
from nbflow.errors import EmptyInputError, InvalidUpdateError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NewInput", "read_command"]


class NewInput(Struct, frozen=True):
    """An input that begins a new run, whatever it is: even None, or a command.

    Attributes
    ----------
    value : Any
        The input.
    update : Any
        What the thread is set to before, as by `update_state`; `UNSET` is nothing.
    """

    value: Any
    update: Any = UNSET


def read_command(name: str, command: Command[Any]) -> Command[Any] | NewInput:
    """Return an answering command as it is, and any other as an input.

    Parameters
    ----------
    name : str
        Name of the workflow.
    command : Command
        What its caller gave.

    Raises
    ------
    EmptyInputError
        It asks for nothing.
    InvalidUpdateError
        It asks for what a functional workflow can't do.
    """
    goto = _listed(command.goto)
    if command.graph is not None:
        raise InvalidUpdateError(
            f"Command(graph={command.graph!r}) is for a node of a graph: {name!r} is "
            "the workflow itself. Leave graph out."
        )
    if command.resume is not UNSET:
        if goto or command.update is not None:
            raise InvalidUpdateError(
                "Command(resume=...) continues a run, while goto and update begin "
                "another. Send two commands."
            )
        return command
    if not goto and command.update is None:
        raise EmptyInputError(
            "Command() holds no answer, update or goto, so there is nothing to do. "
            "Answer with Command(resume=...), or continue with None."
        )
    if not goto:
        raise InvalidUpdateError(
            "Command(update=...) alone runs nothing. Use update_state(config, values), "
            f"or add goto=Send({name!r}, input)."
        )
    update = UNSET if command.update is None else command.update
    return NewInput(_input(name, goto), update)


def _listed(goto: Any) -> Sequence[Any]:
    if isinstance(goto, list | tuple):
        return goto
    if not isinstance(goto, str | Send):
        raise InvalidUpdateError(
            f"goto must be a Send, a name or a list of these, not {goto!r}."
        )
    return (goto,)


def _input(name: str, goto: Sequence[Any]) -> Any:
    for place in goto:
        node = place.node if isinstance(place, Send) else place
        if node != name:
            raise InvalidUpdateError(
                f"Node {node} does not exist. This workflow has one: {name!r}."
            )
    first, *others = goto
    if others:
        raise InvalidUpdateError(
            f"goto names {name!r} {len(goto)} times, and a run has one input. Use "
            "batch() for several."
        )
    if not isinstance(first, Send):
        raise InvalidUpdateError(
            f"goto={name!r} holds no input. Use goto=Send({name!r}, input), or None "
            "as input to continue the thread's run."
        )
    return first.arg
