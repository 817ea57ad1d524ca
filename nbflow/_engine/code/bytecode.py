"""What a code object says, for functions whose source can't be had.

The same source compiled by another Python says it otherwise; within one Python
it is stable, however often the code ran and whoever watches it.
"""

from __future__ import annotations

import dis
import sys
from types import CodeType
from typing import TYPE_CHECKING, TypeGuard

from nbflow._engine.code.literals import Json, literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow._engine.code.scopes import Chain

__all__ = ["code_objects", "material", "reads_of", "same_code"]

_NESTED, _NO_FREE, _OPTIMIZED = 0x10, 0x40, 0x1
_STARTS = frozenset(
    {
        "LOAD_CLASSDEREF",
        "LOAD_DEREF",
        "LOAD_FROM_DICT_OR_DEREF",
        "LOAD_FROM_DICT_OR_GLOBALS",
        "LOAD_GLOBAL",
        "LOAD_NAME",
    }
)
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
# These may stand between a name and its attribute; what they do is no read.
_SILENT = frozenset({"CACHE", "EXTENDED_ARG", "NOP", "PUSH_NULL"})


def material(code: CodeType) -> dict[str, Json]:
    """Return what a code object says, without lines, columns and file names.

    Parameters
    ----------
    code : types.CodeType
        Of a function, with those of the functions inside.

    Returns
    -------
    dict
        JSON of its instructions, constants and names, and the Python they are of.
    """
    python = f"{sys.implementation.name}-{sys.version_info[0]}.{sys.version_info[1]}"
    return {"python": python, **_form(code)}


def same_code(one: CodeType, other: CodeType) -> bool:
    """Return whether two code objects do the same, wherever they were defined."""
    return one is other or _form(one, placed=False) == _form(other, placed=False)


def code_objects(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and all those inside of it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from code_objects(constant)


def reads_of(code: CodeType) -> tuple[Chain, ...]:
    """Return the names that code reads from outside, with attributes, in order."""
    found: dict[Chain, None] = {}
    for inner in code_objects(code):
        own = set(inner.co_cellvars)
        if inner is not code:
            own.update(set(inner.co_freevars) - set(code.co_freevars))
        for chain in _chains(inner):
            if chain[0] not in own:
                found[chain] = None
    return tuple(found)


def _chains(code: CodeType) -> Iterator[Chain]:
    chain: Chain = ()
    for instruction in dis.get_instructions(code):
        if instruction.opname in _SILENT:
            continue
        if instruction.opname in _ATTRIBUTES and chain:
            chain = (*chain, str(instruction.argval))
            continue
        if chain:
            yield chain
        starts = instruction.opname in _STARTS
        chain = (str(instruction.argval),) if starts else ()
    if chain:
        yield chain


def _form(code: CodeType, *, placed: bool = True) -> dict[str, Json]:
    return {
        "code": code.co_code.hex(),
        "handlers": code.co_exceptiontable.hex(),
        "consts": [_constant(code, value, placed) for value in code.co_consts],
        "names": list(code.co_names),
        "locals": list(code.co_varnames),
        "cells": [list(code.co_cellvars), list(code.co_freevars)],
        "arguments": [
            code.co_argcount,
            code.co_posonlyargcount,
            code.co_kwonlyargcount,
        ],
        "flags": code.co_flags & ~(_NESTED | _NO_FREE),
        "name": code.co_name,
    }


def _constant(code: CodeType, value: object, placed: bool) -> Json:
    if isinstance(value, CodeType):
        return ["code", _form(value, placed=placed)]
    if isinstance(value, str) and not placed:
        # Qualified names of classes inside tell where the function was defined.
        value = value.rpartition("<locals>.")[2]
    if isinstance(value, tuple) and not code.co_flags & _OPTIMIZED:
        # A class body may hold the names of its attributes, in the order of a set.
        value = tuple(sorted(value)) if _are_names(value) else value
    return literal(value)


def _are_names(values: tuple[object, ...]) -> TypeGuard[tuple[str, ...]]:
    return all(isinstance(value, str) for value in values)
