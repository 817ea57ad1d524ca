"""Which class a tag stands for, among the classes that are known already.

A tag comes from a user's registration, from the table of classes that nbflow
ships with, or else is the class's ``module:qualname``. Reading looks a tag up;
it never imports what a tag names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from msgspec import Struct

from nbflow.serde.codec import library
from nbflow.serde.kinds import find, find_local, key_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Registration",
    "is_built_in",
    "is_unnamed",
    "lookup",
    "record",
    "registration_of",
    "remember",
    "resolve",
    "tag_of",
]

T = TypeVar("T")

_MESSAGES = (
    *("AIMessage", "AIMessageChunk", "ChatMessage", "ChatMessageChunk"),
    *("FunctionMessage", "FunctionMessageChunk", "HumanMessage", "HumanMessageChunk"),
    *("RemoveMessage", "SystemMessage", "SystemMessageChunk"),
    *("ToolMessage", "ToolMessageChunk"),
)
_SHIPPED = {
    **{
        f"nbflow.types:{n}": ("nbflow._values", n)
        for n in ("Command", "Interrupt", "NodeOutput", "Overwrite", "Send")
    },
    **{f"langchain:{name}": ("langchain_core.messages", name) for name in _MESSAGES},
    "langchain:Document": ("langchain_core.documents", "Document"),
}
"""Tag, then the public place of the class. A tag is never given away again."""

_SHIPPED_TAGS = {
    f"{module.partition('.')[0]}:{name}": tag
    for tag, (module, name) in _SHIPPED.items()
}
_ALWAYS_KNOWN = ("builtins", "nbflow.errors")


class Registration(Struct, frozen=True):
    """How a registered class is written and read.

    Attributes
    ----------
    tag : str
        What stands for the class in stored bytes.
    encode, decode : callable or None
        The author's own way there and back; None for a class of a family.
    """

    tag: str
    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None


_by_tag: dict[str, tuple[type, Registration]] = {}
_by_type: WeakKeyDictionary[type, Registration] = WeakKeyDictionary()
_unnamed: dict[str, type] = {}
"""Classes that no module holds under their names, the newest of each tag.

They stay as long as the process: whether a value can be read again must not depend
on what was collected meanwhile.
"""


def record(cls: type, registration: Registration) -> None:
    """Keep a registration; a cell that runs again replaces its own.

    Raises
    ------
    ValueError
        If the tag belongs to another class.
    """
    tag = registration.tag
    known = _by_tag.get(tag)
    if tag in _SHIPPED or (known is not None and _place(known[0]) != _place(cls)):
        holder = "nbflow's own" if known is None else f"{_place(known[0])}'s"
        raise ValueError(f"The tag {tag!r} is {holder}. Choose another with tag=.")
    _by_tag[tag] = (cls, registration)
    _by_type[cls] = registration
    _unnamed.pop(tag, None)


def remember(cls: type, tag: str) -> None:
    """Keep a class that is found nowhere else, so that this process can read it."""
    _unnamed[tag] = cls


def is_unnamed(tag: str) -> bool:
    """Return whether only this process knows what a tag stands for."""
    return tag in _unnamed


def registration_of(cls: type) -> Registration | None:
    """Return how a class was registered, or None."""
    return _by_type.get(cls)


def lookup(tag: str) -> tuple[type, Registration] | None:
    """Return what was registered under a tag, or None."""
    return _by_tag.get(tag)


def tag_of(cls: type) -> str:
    """Return the tag that stands for a class in stored bytes."""
    registration = _by_type.get(cls)
    if registration is not None:
        return registration.tag
    return _SHIPPED_TAGS.get(key_of(cls)) or _place(cls)


def resolve(tag: str, *, trusted: bool) -> type | None:
    """Return the class that a tag stands for, or None if it is not known.

    Parameters
    ----------
    tag : str
        What was read.
    trusted : bool
        Whether users' classes count: registered, defined by a function that waits
        for the value, found in a module that is imported already, or written by
        this process. Else only what ships with nbflow and Python does.
    """
    if tag in _SHIPPED:
        module, name = _SHIPPED[tag]
        shipped: type = getattr(library(module), name)
        return shipped
    if trusted and tag in _by_tag:
        return _by_tag[tag][0]
    module, _, qualname = tag.partition(":")
    if not trusted:
        return find(module, qualname) if module in _ALWAYS_KNOWN else None
    found = find_local(module, qualname)
    if found is None:
        found = find(module, qualname)
    return _unnamed.get(tag) if found is None else found


def is_built_in(tag: str) -> bool:
    """Return whether a tag stands for a class that also a stranger's bytes may name.

    Nothing is imported to find out.
    """
    return tag in _SHIPPED or resolve(tag, trusted=False) is not None


def _place(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"
