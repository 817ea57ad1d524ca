"""The code of a function, taken when it is called and kept while nothing changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from nbflow._engine.code.collect import collect
from nbflow._engine.code.rule import bundle, fingerprint
from nbflow._engine.code.sources import count_of_sources
from nbflow._engine.code.weak import WeakIdentityMap

if TYPE_CHECKING:
    from nbflow._engine.code.standing import Standing

__all__ = ["Code", "code_of"]


class Code(Struct, frozen=True):
    """What a function does, as far as its source and its constants tell.

    Attributes
    ----------
    fingerprint : str
        The version of the rule, a hyphen and 32 hex digits: part of the identity
        of a call. The same for the same code under any hash seed and Python.
    name : str
        Qualified name of the function.
    source : str
        JSON of the texts and constants that were fingerprinted, for the log.
    watched : tuple of str
        Names that the code reads and whose values don't count (frames, clients,
        counters): those of the function's own module or notebook as they are,
        those of other modules with the module's name before them.
    """

    fingerprint: str
    name: str
    source: str
    watched: tuple[str, ...] = ()


class _Taken(Struct, frozen=True, eq=False):
    code: Code
    standing: Standing
    sources: int | None


_TAKEN: WeakIdentityMap[object, _Taken] = WeakIdentityMap()


def code_of(function: object) -> Code:
    """Return the code of a function as it is now.

    Parameters
    ----------
    function : callable
        A function, method, partial, class or instance with `__call__`. What
        has a method `__nbflow_code__` on its type counts as what that returns.

    Returns
    -------
    Code
        Taken anew only if a name that the code reads stands for something else
        than before. One that can't be read is taken by its bytecode or name; it
        is never an error.
    """
    taken = _TAKEN.get(function)
    if (
        taken is not None
        and (taken.sources is None or taken.sources == count_of_sources())
        and taken.standing.holds()
    ):
        return taken.code
    return _take(function)


def _take(function: object) -> Code:
    sources = count_of_sources()
    found = collect(function)
    name = getattr(function, "__qualname__", None) or found.parts[0].name
    code = Code(fingerprint(found.parts), name, bundle(found.parts), found.watched)
    kept = _Taken(code, found.standing, sources if found.reads_sources else None)
    _TAKEN.put(function, kept)
    return code
