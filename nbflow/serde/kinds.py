"""The name by which a type is known to codecs, found without importing anything.

A type's module and name are only claims of its author, so a name counts only if
the module that it names is loaded and holds this very type under it.
"""

from __future__ import annotations

import sys
from types import FrameType, MemberDescriptorType, ModuleType
from typing import Any, Final

__all__ = ["HEAP_TYPE", "find", "find_local", "key_of", "namespace", "slots_of"]

HEAP_TYPE: Final = 1 << 9
"""Py_TPFLAGS_HEAPTYPE: a class made by a class statement."""

_LOCALS: Final = "<locals>."
"""What stands in the qualified name of a class that a function defines."""


def namespace(module: str) -> dict[str, Any]:
    """Return the names of a loaded module, or none if it is not loaded.

    Neither a module's ``__getattr__`` nor a lazy loader is set off.
    """
    loaded = sys.modules.get(module)
    if not isinstance(loaded, ModuleType):
        return {}
    names: dict[str, Any] = object.__getattribute__(loaded, "__dict__")
    return names


def find(module: str, qualname: str) -> type | None:
    """Return a class by its module and qualified name, if it is loaded already.

    Returns
    -------
    type or None
        None where there is none of these names, or something else stands there.
    """
    return _reach(namespace(module), qualname, module, qualname)


def find_local(module: str, qualname: str) -> type | None:
    """Return a class that a function has defined which runs in this thread.

    So does a workflow cell, whose names are the notebook's once it has finished.
    """
    if module != "__main__" and _LOCALS not in qualname:
        return None
    path = qualname.rpartition(_LOCALS)[2]
    name, found = path.partition(".")[0], None
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the one way to callers
    while frame is not None and found is None:
        code = frame.f_code
        if name in (*code.co_varnames, *code.co_cellvars, *code.co_freevars):
            found = _reach(frame.f_locals, path, module, qualname)
        frame = frame.f_back
    return found


def _reach(names: dict[str, Any], path: str, module: str, qualname: str) -> type | None:
    # A generic model stands in its module as 'Box[int]', dots and all.
    found = names.get(path)
    if found is None:
        for part in path.split("."):
            found = names.get(part)
            if not isinstance(found, type):
                return None
            names = dict(vars(found))
    if not isinstance(found, type):
        return None
    matches = found.__module__ == module and found.__qualname__ == qualname
    return found if matches else None


def key_of(kind: type) -> str:
    """Return ``package:Name`` of a type, or ``""`` if it isn't what it says it is.

    The package is the first part of its module, since libraries move their
    classes between modules.
    """
    module = kind.__module__
    if find(module, kind.__qualname__) is not kind:
        return ""
    return f"{module.partition('.')[0]}:{kind.__qualname__}"


def slots_of(cls: type) -> dict[str, MemberDescriptorType]:
    """Return the slots of a class by name, without those of types made in C."""
    return {
        name: member
        for base in reversed(cls.__mro__)
        if base.__flags__ & HEAP_TYPE
        for name, member in vars(base).items()
        if type(member) is MemberDescriptorType
    }
