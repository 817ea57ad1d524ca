"""The rule by which code is fingerprinted, and the bundle that it is kept in.

A bundle holds what was written, not what the rule makes of it, so that a later
rule, or this one on another Python, can fingerprint it anew.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from msgspec import Struct, field

from nbflow._engine.code.syntax import Kind, canonical, parsed_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow._engine.code.literals import Json

__all__ = ["Part", "PartKind", "bundle", "fingerprint", "refingerprint"]

_RULE = "1"
_FORMAT = 1

PartKind: TypeAlias = Kind | Literal["bytecode", "shape", "object", "name"]
_WRITTEN: frozenset[Any] = frozenset({"function", "lambda", "class", "cell"})


class Part(Struct, frozen=True):
    """One function or class that belongs to the code.

    Attributes
    ----------
    name : str
        What it is called, for a reader.
    kind : str
        What `text` or `code` is; "object" stands for a partial or a bound method,
        "name" for what counts by its name alone.
    text : str
        Its source as written, where that can be had.
    code : JSON value
        What stands for it otherwise: bytecode, or the shape of a class.
    defaults : dict
        Values of its defaults by parameter.
    constants : dict
        Values of the constants it reads, by dotted name.
    uses : dict
        Index of the part behind each dotted name it reads, and behind what it
        wraps, derives from or holds.
    """

    name: str
    kind: PartKind
    text: str = ""
    code: Json = None
    defaults: dict[str, Json] = field(default_factory=dict)
    constants: dict[str, Json] = field(default_factory=dict)
    uses: dict[str, int] = field(default_factory=dict)


def bundle(parts: Sequence[Part]) -> str:
    """Return the text that the log keeps.

    Parameters
    ----------
    parts : sequence of Part
        The first is the function itself, the rest in order of first use.

    Returns
    -------
    str
        JSON.
    """
    kept = [
        {
            name: value
            for name in part.__struct_fields__
            if (value := getattr(part, name)) not in ("", None, {})
        }
        for part in parts
    ]
    return json.dumps({"format": _FORMAT, "parts": kept}, separators=(",", ":"))


def fingerprint(parts: Sequence[Part]) -> str:
    """Return the fingerprint of code by the current rule.

    Parameters
    ----------
    parts : sequence of Part
        In the order in which `bundle` takes them.

    Returns
    -------
    str
        The rule's version, a hyphen and 32 hex digits.
    """
    forms = [
        [part.kind, _meaning(part), part.defaults, part.constants, part.uses]
        for part in parts
    ]
    text = json.dumps(forms, sort_keys=True, separators=(",", ":"))
    return f"{_RULE}-{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"


def refingerprint(source: str) -> str:
    """Return the fingerprint that stored code has by the current rule.

    Parameters
    ----------
    source : str
        `Code.source`, as it was kept in the log.

    Returns
    -------
    str
        Equal to `Code.fingerprint` of the same code taken now.

    Raises
    ------
    ValueError
        If the text is no such bundle.
    """
    try:
        kept = json.loads(source)
        parts = [Part(**part) for part in kept["parts"]]
        return fingerprint(parts)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{source[:60]!r} is not the source of a function as nbflow keeps it: "
            f"{error}. Pass the `source` of a recorded code unchanged."
        ) from error


def _meaning(part: Part) -> Json:
    if part.kind in _WRITTEN:
        return _canonical(part.text, part.kind)
    return part.name if part.kind == "name" else part.code


@lru_cache(maxsize=1024)
def _canonical(text: str, kind: Any) -> Json:
    tree = parsed_part(text, kind)
    # Written for a newer Python: it still differs from what is written otherwise.
    return ["text", text] if tree is None else canonical(tree)
