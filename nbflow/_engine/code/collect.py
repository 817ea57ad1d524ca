"""From a function to all that counts as its code.

The walk follows the names that the user's own code reads, through helpers,
classes, modules and closures, and notes what it met: the parts, the names whose
values don't count, and how each name was found.
"""

from __future__ import annotations

import builtins
import dataclasses
import functools
import inspect
import sys
from collections import deque
from types import (
    BuiltinFunctionType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from nbflow._engine.code.bytecode import material, reads_of
from nbflow._engine.code.literals import Json, digested, is_constant
from nbflow._engine.code.names import Found, Names, Space
from nbflow._engine.code.origins import Origins
from nbflow._engine.code.rule import Part
from nbflow._engine.code.standing import MISSING, Standing
from nbflow._engine.code.written import functions_of, written_class, written_function

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow._engine.code.scopes import Chain

__all__ = ["Collected", "collect"]

# Values of these modules' types say by their name what they are.
_NAMED_TYPES = frozenset({"functools", "logging", "types", "typing"})
_NAMED = (
    ModuleType,
    type,
    FunctionType,
    BuiltinFunctionType,
    MethodType,
    MethodDescriptorType,
    MethodWrapperType,
    WrapperDescriptorType,
)
_DEEPEST = 64  # wrappers around one function, lest they turn in a circle


class Collected(Struct, frozen=True):
    """What counts as the code of a function, and how it was found.

    Attributes
    ----------
    parts : tuple of Part
        The function first.
    watched : tuple of str
        Names that it reads and whose values don't count.
    standing : Standing
        What must stay so for this to be current.
    reads_sources : bool
        Whether a new cell may change it.
    """

    parts: tuple[Part, ...]
    watched: tuple[str, ...]
    standing: Standing
    reads_sources: bool


class _Read(Struct, frozen=True):
    """What the names that one part reads came to."""

    uses: dict[str, int]
    constants: dict[str, Json]


def collect(root: object) -> Collected:
    """Return what counts as the code of a function.

    Parameters
    ----------
    root : object
        A function, or anything else that can be called.

    Returns
    -------
    Collected
        The function, its helpers and theirs, in order of first use.
    """
    walk = _Walk(root)
    parts = walk.parts()
    return Collected(
        parts=parts,
        watched=tuple(walk.watched),
        standing=walk.names.watch.finished(),
        reads_sources=walk.names.asked,
    )


class _Walk:
    """One walk; what it has met stays alive as long, so that ids stay unique."""

    def __init__(self, root: object) -> None:
        self._home = _namespace(root)
        self._origins = Origins(self._home)
        self.names = Names(self._origins)
        self.watched: dict[str, None] = {}
        self._places: dict[int, int] = {}
        self._waiting: deque[tuple[Any, Space]] = deque()
        self._met: list[object] = []
        nowhere = Space(builtins, vars(builtins))
        is_partial = issubclass(type(root), functools.partial)
        target = root if is_partial else self._target(root) or _innermost(root)
        self._place(target, nowhere)

    def parts(self) -> tuple[Part, ...]:
        """Return the parts in order of first use."""
        found: list[Part] = []
        while self._waiting:
            target, space = self._waiting.popleft()
            found.append(self._part(target, space, is_root=not found))
        return tuple(found)

    def _place(self, target: object, space: Space) -> int:
        index = self._places.get(id(target))
        if index is None:
            index = self._places[id(target)] = len(self._places)
            self._met.append(target)
            self._waiting.append((target, space))
        return index

    def _target(self, value: Any) -> Any:
        """Return the object that holds a value's code, or None if not the user's."""
        for _ in range(_DEEPEST):
            if value is None or self._is_target(value):
                return value
            value = _wrapped(value)
        return None

    def _is_target(self, value: Any) -> bool:
        kind = type(value)
        if hasattr(kind, "__nbflow_code__"):
            found = False
        elif issubclass(kind, FunctionType):
            found = self._origins.owns_function(value) or (
                _wrapped(value) is None and bool(self._held(value))
            )
        elif issubclass(kind, type):
            found = self._origins.owns_class(value)
        elif issubclass(kind, functools.partial):
            parts = (value.func, *value.args, *value.keywords.values())
            found = any(self._target(part) is not None for part in parts)
        elif issubclass(kind, MethodType):
            parts = (_class_of(value.__self__), value.__func__)
            found = any(self._target(part) is not None for part in parts)
        else:
            found = _wrapped(value) is not None and self._origins.owns_class(kind)
        return found

    def _held(self, function: FunctionType) -> dict[str, Any]:
        """Return the user's functions that one of a package holds in its closure."""
        found: dict[str, Any] = {}
        names = function.__code__.co_freevars
        for name, cell in zip(names, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not bound yet
                continue
            if type(value) is FunctionType and self._origins.owns_function(value):
                found[name] = value
        return found

    def _part(self, target: Any, space: Space, *, is_root: bool) -> Part:
        kind = type(target)
        if issubclass(kind, FunctionType):
            held = self._held(target)
            if self._origins.owns_function(target) or (is_root and not held):
                part = self._function(target)
            else:
                part = replace(_named(target), uses=self._uses(held, space))
        elif issubclass(kind, type):
            is_own = self._origins.owns_class(target)
            part = self._class(target, space) if is_own else _named(target)
        elif issubclass(kind, functools.partial):
            part = self._partial(target, space)
        elif issubclass(kind, MethodType):
            part = self._method(target, space)
        elif self._origins.owns_class(kind):
            parts = {"class": kind, "wrapped": _wrapped(target)}
            uses = self._uses(parts, space)
            part = Part(_name(target), "object", code=["instance"], uses=uses)
        else:
            part = _named(target)
        return part

    def _function(self, function: FunctionType) -> Part:
        code = function.__code__
        written = written_function(function)
        cells = {name: (function, i) for i, name in enumerate(code.co_freevars)}
        settled = frozenset() if written is None else written.settled
        space = Space(function, function.__globals__, cells, settled)
        self.names.watch.function(function)
        reads = reads_of(code) if written is None else written.reads
        if not self._origins.owns_function(function):
            reads = ()
        read = self._read(reads, space)
        defaults = self._values(_defaults(function), space, read.uses)
        wrapped = function.__dict__.get("__wrapped__")
        read.uses.update(self._uses({"wrapped": wrapped}, space))
        part = Part(
            code.co_qualname,
            "bytecode",
            defaults=defaults,
            constants=read.constants,
            uses=read.uses,
        )
        if written is None:
            return replace(part, code=material(code))
        return replace(part, kind=written.kind, text=written.text)

    def _class(self, cls: type, referrer: Space) -> Part:
        functions = functions_of(cls)
        space = _space_of(cls, functions.values(), referrer)
        written = written_class(cls, space.names)
        if written is not None:
            space = dataclasses.replace(space, settled=written.settled)
        for function in functions.values():
            self.names.watch.function(function)
        read = self._read(() if written is None else written.reads, space)
        bases = {f"base {i}": base for i, base in enumerate(cls.__bases__)}
        read.uses.update(self._uses(bases, space))
        part = Part(cls.__qualname__, "shape", constants=read.constants, uses=read.uses)
        if written is not None:
            return replace(part, kind=written.kind, text=written.text)
        methods = {f"def {name}": method for name, method in functions.items()}
        part.uses.update(self._uses(methods, space))
        return replace(part, code=_shape(cls))

    def _partial(self, target: functools.partial[Any], space: Space) -> Part:
        given = {str(i): value for i, value in enumerate(target.args)}
        given.update((name, value) for name, value in target.keywords.items())
        function = self._target(target.func) or target.func
        uses = {"function": self._place(function, space)}
        values = self._values(given, space, uses)
        name = _name(target.func)
        return Part(name, "object", code=["partial"], defaults=values, uses=uses)

    def _method(self, target: MethodType, space: Space) -> Part:
        uses = self._uses({"class": _class_of(target.__self__)}, space)
        if not uses:
            uses = self._uses({"function": target.__func__}, space)
        if not uses:
            return _named(target)
        code: Json = ["method", target.__func__.__name__]
        return Part(_name(target), "object", code=code, uses=uses)

    def _uses(self, values: dict[str, Any], space: Space) -> dict[str, int]:
        targets = {label: self._target(value) for label, value in values.items()}
        return {
            label: self._place(target, space)
            for label, target in targets.items()
            if target is not None
        }

    def _values(
        self, values: dict[str, Any], space: Space, uses: dict[str, int]
    ) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for name, value in values.items():
            used = self._uses({f"default {name}": value}, space)
            uses.update(used)
            if not used:
                constant = is_constant(value)
                found[name] = digested(value) if constant else [type(value).__name__]
        return found

    def _read(self, reads: Iterable[Chain], space: Space) -> _Read:
        read = _Read({}, {})
        for chain in reads:
            if not (chain[0].startswith("__") and chain[0].endswith("__")):
                self._follow(self.names.look_up(chain, space), space, read)
        return read

    def _follow(self, found: Found, space: Space, read: _Read) -> None:
        value = found.value
        target = None if value is MISSING else self._target(value)
        if target is not None:
            read.uses[found.name] = self._place(target, space)
        if target is not None or value is MISSING or _is_named(value):
            found.expect()
            return
        fate = found.fate()
        if fate == "once" and is_constant(value):
            read.constants[found.name] = digested(value)
            found.expect()
            return
        found.expect(by_type=True)
        if fate == "once":
            read.uses.update(self._uses({found.name: type(value)}, space))
        if fate != "foreign":
            self.watched[self._label(found.name, space)] = None

    def _label(self, name: str, space: Space) -> str:
        if space.names is self._home:
            return name
        return f"{space.names.get('__name__', '')}.{name}"


def _namespace(value: Any) -> dict[str, Any]:
    """Return the namespace that a function was defined in."""
    value = _innermost(value)
    if isinstance(value, FunctionType):
        return value.__globals__
    return vars(sys.modules.get(_class_of(value).__module__, builtins))


def _innermost(value: Any) -> Any:
    for _ in range(_DEEPEST):
        inner: Any
        if issubclass(type(value), MethodType):
            inner = value.__func__
        elif issubclass(type(value), functools.partial):
            inner = value.func
        else:
            inner = _wrapped(value)
        if inner is None:
            break
        value = inner
    return value


def _wrapped(value: Any) -> Any:
    """Return what an object says that it wraps, or None."""
    if hasattr(type(value), "__nbflow_code__"):
        return value.__nbflow_code__()
    if issubclass(type(value), type | ModuleType) or is_constant(value):
        return None
    return inspect.getattr_static(value, "__wrapped__", None)


def _class_of(value: Any) -> type:
    # Here and elsewhere: a proxy may fail when it is asked what it is an instance of.
    return value if issubclass(type(value), type) else type(value)


def _space_of(cls: type, functions: Iterable[FunctionType], referrer: Space) -> Space:
    """Return where the names that a class reads are looked up."""
    owner: FunctionType | None = None
    cells: dict[str, tuple[FunctionType, int]] = {}
    for function in functions:
        owner = owner or function
        for index, name in enumerate(function.__code__.co_freevars):
            cells.setdefault(name, (function, index))
    if owner is not None:
        return Space(owner, owner.__globals__, cells)
    module = sys.modules.get(cls.__module__)
    if referrer.names.get("__name__") == cls.__module__ or module is None:
        return Space(referrer.owner, referrer.names)
    return Space(module, vars(module))


def _defaults(function: FunctionType) -> dict[str, Any]:
    code, given = function.__code__, function.__defaults__ or ()
    positional = code.co_varnames[: code.co_argcount]
    named = positional[len(positional) - len(given) :]
    return {
        **dict(zip(named, given, strict=True)),
        **(function.__kwdefaults__ or {}),
    }


def _shape(cls: type) -> Json:
    """Return what a class is, where its source can't be had."""
    annotations = vars(cls).get("__annotations__") or {}
    types: dict[str, Json] = {
        name: value if isinstance(value, str) else _name(value)
        for name, value in annotations.items()
    }
    values: dict[str, Json] = {
        name: digested(value) if is_constant(value) else [type(value).__name__]
        for name, value in sorted(vars(cls).items())
        if not (name.startswith("__") and name.endswith("__"))
    }
    return {"annotations": types, "values": values}


def _is_named(value: object) -> bool:
    kind = type(value)
    is_named = issubclass(kind, _NAMED)
    return is_named or kind.__module__.partition(".")[0] in _NAMED_TYPES


def _named(value: object) -> Part:
    module = getattr(value, "__module__", None) or type(value).__module__
    return Part(f"{module}.{_name(value)}", "name")


def _name(value: object) -> str:
    name = getattr(value, "__qualname__", None)
    return name if isinstance(name, str) else type(value).__qualname__
