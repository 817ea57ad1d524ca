"""A short text that is the same for equal values, whatever the process.

A value is brought into one canonical form of lists, plain dicts and atoms, which
is packed and hashed. In that form a list that begins with a mark (an extension
without bytes, which no value becomes) is something else than a list: a tuple, a
set, an instance. What no codec takes counts by the name of its type.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from msgspec.msgpack import Encoder, Ext

from nbflow.serde.codec import ATOMS, MAX_DEPTH, Attempt, Codec, Family, name_of
from nbflow.serde.codecs import BY_CODE, known
from nbflow.serde.redact import Redacted
from nbflow.serde.standard import FROZENSET, INT, PAIRS, REDACTED, SET, STR, TUPLE
from nbflow.serde.tree import MANY, is_plain

__all__ = ["fingerprint", "fingerprint_exact"]

_pack = Encoder(order="deterministic").encode
_MARKS = {code: Ext(code, b"") for code in (0, *BY_CODE)}
_GAP, _TUPLE = _MARKS[0], _MARKS[TUPLE]
_TEXT = frozenset({str})
_CAREFUL = ATOMS - {int, str}


class _TooDeepError(Exception):
    """Values stand deeper inside each other than is looked at."""


def fingerprint(value: Any) -> str:
    """Return 32 hex digits that are the same for equal values.

    The same in every process, whatever its hash seed. The order of a dict or a
    set does not count; ``1``, ``1.0`` and ``True`` differ, and so do a list and
    a tuple. Arrays and frames are hashed without a copy.

    Parameters
    ----------
    value : Any
        Anything; this never raises. What can't be stored, and secrets, count by
        the name of their type. So does what is stored as a pickle only.

    Examples
    --------
    >>> fingerprint({"a": 1, "b": (2,)}) == fingerprint({"b": (2,), "a": 1})
    True
    """
    return _fingerprint(value, [])


def fingerprint_exact(value: Any) -> str | None:
    """Return `fingerprint`, or None where part of the value counts by type only.

    Two values of the same exact fingerprint are equal.
    """
    gaps: list[str] = []
    text = _fingerprint(value, gaps)
    return None if gaps else text


def _fingerprint(value: Any, gaps: list[str]) -> str:
    try:
        flat = _flat_arguments(value)
        form = _pack(_Canon(ATOMS, gaps).form(value, 0) if flat is None else flat)
    except (OverflowError, UnicodeEncodeError, _TooDeepError, RecursionError):
        gaps.clear()
        form = _careful(value, gaps, 2)
    return blake2b(form, digest_size=16).hexdigest()


def _flat_arguments(value: Any) -> list[Any] | None:
    """Return the form of a call's arguments if they are atoms, as most are.

    It is the very form that `_Canon` makes of them, in a third of the time.
    """
    if type(value) is not tuple or len(value) != 2:  # noqa: PLR2004 - args and kwargs
        return None
    args, kwargs = value
    if type(args) is not tuple or type(kwargs) is not dict:
        return None
    if not ATOMS.issuperset(map(type, args)):
        return None
    if kwargs and not (
        _TEXT.issuperset(map(type, kwargs))
        and ATOMS.issuperset(map(type, kwargs.values()))
    ):
        return None
    return [_TUPLE, [_TUPLE, *args], kwargs]


def _careful(value: Any, gaps: list[str], levels: int) -> bytes:
    """Return the packed form of a value with odd texts and numbers, or too deep.

    Arguments come as a tuple of a tuple and a dict: so two levels down each is
    taken for itself, and only one that is too deep counts by its type.
    """
    kind, before = type(value), len(gaps)
    try:
        return _pack(_Canon(_CAREFUL, gaps).form(value, 0))
    except (_TooDeepError, RecursionError):
        del gaps[before:]
    if levels and kind in (tuple, list):
        return _pack([_GAP, *(_careful(item, gaps, levels - 1) for item in value)])
    if levels and kind is dict:
        items = (
            (_careful(k, gaps, 0), _careful(v, gaps, levels - 1))
            for k, v in value.items()
        )
        return _pack([_GAP, kind.__name__, *sorted(items)])
    return _pack(_Canon(_CAREFUL, gaps).gap(kind))


class _Canon:
    """One value on its way to its canonical form."""

    __slots__ = ("atoms", "gaps")

    def __init__(self, atoms: frozenset[type], gaps: list[str]) -> None:
        self.atoms = atoms
        self.gaps = gaps

    def form(self, value: Any, depth: int) -> Any:
        """Return a value's canonical form."""
        kind, atoms = type(value), self.atoms
        if kind in atoms:
            return value
        if depth > MAX_DEPTH:
            raise _TooDeepError
        if kind is tuple:
            return [_TUPLE, *self.form_items(value, depth + 1)]
        if kind is not dict and kind is not list:
            return self.form_rare(value, kind, depth)
        if not value or (
            len(value) > MANY and atoms is ATOMS and is_plain(value, _TEXT)
        ):
            return value
        form = self.form_dict if kind is dict else self.form_items
        return form(value, depth + 1)

    def form_items(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        """Return the canonical forms of items."""
        atoms, form = self.atoms, self.form
        return [item if type(item) in atoms else form(item, depth) for item in value]

    def form_dict(self, value: dict[Any, Any], depth: int) -> Any:
        """Return a dict with keys of text, which are sorted when packed, or pairs."""
        atoms, form = self.atoms, self.form
        if _TEXT.issuperset(map(type, value)) and (str in atoms or _are_texts(value)):
            return {
                key: item if type(item) in atoms else form(item, depth)
                for key, item in value.items()
            }
        pairs = [_pack([form(k, depth), form(v, depth)]) for k, v in value.items()]
        return [_MARKS[PAIRS], *sorted(pairs)]

    def form_rare(self, value: Any, kind: type, depth: int) -> Any:
        """Return the form of a value with a codec, or without one."""
        if kind is Attempt:
            return self.form_attempt(value, depth)
        if kind in ATOMS:
            return self.form_atom(value, kind)
        if kind in (set, frozenset):
            mark = _MARKS[SET if kind is set else FROZENSET]
            return [mark, *sorted(_pack(self.form(item, depth)) for item in value)]
        codec, tag = known(kind)
        if isinstance(codec, Codec) and codec.pick is not None:
            codec = codec.pick(value)
        if codec is None or codec.code == REDACTED:
            return self.gap(kind, value)
        try:
            parts = _parts(codec, value)
        except Exception:  # noqa: BLE001 - whatever a codec refuses counts by its type
            return self.gap(kind)
        body = bytes(parts) if type(parts) is memoryview else self.form(parts, depth)
        return [_MARKS[codec.code], tag, body]

    def form_atom(self, value: Any, kind: type) -> Any:
        """Return an integer or a text, marked if MessagePack can't hold it."""
        try:
            _pack(value)
        except (OverflowError, UnicodeEncodeError):
            code = INT if kind is int else STR
            return [_MARKS[code], _parts(BY_CODE[code], value)]
        return value

    def form_attempt(self, attempt: Attempt, depth: int) -> Any:
        """Return the form of what would be stored: the part, or a text for it."""
        before = len(self.gaps)
        form = self.form(attempt.value, depth)
        if len(self.gaps) == before:
            return form
        del self.gaps[before:]
        return self.form(attempt.otherwise, depth)

    def gap(self, kind: type, value: Any = None) -> list[Any]:
        """Return the form of a value that counts by the name of its type."""
        name = value.type_name if type(value) is Redacted else name_of(kind)
        self.gaps.append(name)
        return [_GAP, name]


def _parts(codec: Codec | Family, value: Any) -> Any:
    if codec.to_canon is not None:
        return codec.to_canon(value)
    return codec.to_state(value) if isinstance(codec, Family) else codec.to_parts(value)


def _are_texts(keys: Any) -> bool:
    try:
        _pack(list(keys))
    except UnicodeEncodeError:
        return False
    return True
