"""A short text of any value, bounded in time, without running a user's code.

It is what leaves the kernel for a panel or a log: no ``__repr__`` of a class
that nbflow does not know is called, no iterator is advanced, no address shown.
"""

from __future__ import annotations

from enum import Enum, Flag
from itertools import islice
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, MethodType
from typing import TYPE_CHECKING, Any

from nbflow.serde.codec import Opaque, name_of
from nbflow.serde.kinds import key_of
from nbflow.serde.redact import (
    MASK,
    SECRET_NAMES,
    SECRET_TYPES,
    Redacted,
    is_secret_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["ELLIPSIS", "preview"]

MAX_ITEMS = 10
MAX_NESTING = 6
MAX_SORTED = 1000
MAX_INT_BITS = 1000
ELLIPSIS = "…"


def preview(
    value: Any, limit: int = 200, *, secret_names: frozenset[str] = SECRET_NAMES
) -> str:
    """Return a short text of a value, on one line.

    Parameters
    ----------
    value : Any
        Anything at all.
    limit : int, default 200
        Most characters returned.
    secret_names : frozenset of str, default SECRET_NAMES
        Keys and fields whose values are hidden; secret types always are.

    Examples
    --------
    >>> preview({"city": "Oslo", "api_key": "sk-123"})
    "{'city': 'Oslo', 'api_key': **********}"
    """
    plain = _SHORT.get(type(value))
    if plain is not None and (type(value) is not str or len(value) < limit):
        text = plain(value)
        if len(text) <= limit:
            return text
    sketch = _Sketch(limit, secret_names)
    try:
        sketch.draw(value, 0)
    except Exception:  # noqa: BLE001 - the user's metaclass or property may raise anything
        return f"<{type(value).__name__}>"[:limit]
    text = "".join(sketch.pieces)
    # Line breaks that no repr has escaped: names of classes are the user's.
    text = " ".join(text.splitlines()) if not text.isprintable() else text
    return text if len(text) <= limit else f"{text[: limit - 1]}{ELLIPSIS}"


class _Sketch:
    """A text that stops growing once it is long enough."""

    __slots__ = ("left", "pieces", "secret_names")

    def __init__(self, left: int, secret_names: frozenset[str]) -> None:
        self.left = left
        self.secret_names = secret_names
        self.pieces: list[str] = []

    def write(self, text: str) -> None:
        self.pieces.append(text)
        self.left -= len(text)

    def draw(self, value: Any, depth: int) -> None:
        """Write one value; nothing more once the text is long enough."""
        if self.left < 0:
            return
        kind = type(value)
        text = _PLAIN.get(kind)
        if text is not None:
            self.write(text(value, self.left))
        elif depth >= MAX_NESTING:
            self.write(ELLIPSIS)
        elif kind in _BRACKETS:
            self.items(value, depth, *_BRACKETS[kind])
        elif kind is dict:
            self.entries(value.items(), depth)
        else:
            self.rare(value, kind, depth)

    def items(self, value: Any, depth: int, opening: str, closing: str) -> None:
        """Write the first items of a sequence or a set."""
        shown = value
        if type(value) in (set, frozenset):
            if not value:
                self.write(f"{type(value).__name__}()")
                return
            shown = _ordered(value)
        self.write(opening)
        for index, item in enumerate(islice(shown, MAX_ITEMS)):
            if index:
                self.write(", ")
            self.draw(item, depth + 1)
        if len(value) > MAX_ITEMS:
            self.write(f", {ELLIPSIS} {len(value)} in all")
        elif type(value) is tuple and len(value) == 1:
            self.write(",")
        self.write(closing)

    def entries(self, pairs: Iterable[tuple[Any, Any]], depth: int) -> None:
        """Write the first entries of a mapping."""
        count = len(pairs)  # type: ignore[arg-type]
        self.write("{")
        for index, (key, item) in enumerate(islice(pairs, MAX_ITEMS)):
            if index:
                self.write(", ")
            self.draw(key, depth + 1)
            self.write(": ")
            self.guarded(key, item, depth)
        self.write(f", {ELLIPSIS} {count} in all}}" if count > MAX_ITEMS else "}")

    def fields(self, name: str, held: dict[str, Any], depth: int) -> None:
        """Write a call-like text of named values."""
        self.write(f"{name}(")
        for index, (key, item) in enumerate(islice(held.items(), MAX_ITEMS)):
            if index:
                self.write(", ")
            self.write(f"{key}=")
            self.guarded(key, item, depth)
        self.write(f", {ELLIPSIS})" if len(held) > MAX_ITEMS else ")")

    def guarded(self, key: Any, item: Any, depth: int) -> None:
        """Write a value unless its name says that it is secret."""
        if item is not None and is_secret_name(key, self.secret_names):
            self.write(MASK)
        else:
            self.draw(item, depth + 1)

    def rare(self, value: Any, kind: type, depth: int) -> None:
        """Write a value of any type that isn't plain Python."""
        key = key_of(kind)
        if any(key_of(base) in SECRET_TYPES for base in kind.__mro__):
            self.write(MASK)
        elif key in _KNOWN:
            self.write(_KNOWN[key](value))
        elif key in _MAPPINGS:
            self.write(f"{kind.__name__}(")
            self.entries(dict.items(value), depth)
            self.write(")")
        elif key == "collections:deque":
            self.items(value, depth, "deque([", "])")
        elif issubclass(kind, Enum):
            self.write(_enum_text(value))
        elif issubclass(kind, BaseException):
            self.items(list(value.args), depth, f"{kind.__qualname__}(", "")
            self.write(")")
        elif issubclass(kind, tuple) and hasattr(kind, "_fields"):
            held = dict(zip(kind._fields, tuple.__iter__(value), strict=False))
            self.fields(kind.__qualname__, held, depth)
        elif kind is Opaque:
            self.opaque(value, depth)
        elif _has_fields(kind):
            self.fields(kind.__qualname__, _fields_of(value), depth)
        else:
            self.write(_other_text(value, kind))

    def opaque(self, value: Opaque, depth: int) -> None:
        """Write a value of an unknown class as what was stored of it."""
        name = value.type_name.rpartition(":")[2]
        if isinstance(value.data, dict) and all(type(k) is str for k in value.data):
            self.fields(name, value.data, depth)
        else:
            self.write(f"{name}(")
            self.draw(value.data, depth)
            self.write(")")


def _ordered(value: set[Any] | frozenset[Any]) -> Iterable[Any]:
    # A set's own order changes with the hash seed.
    kinds = set(map(type, islice(value, MAX_SORTED + 1)))
    simple = kinds in ({str}, {int}, {float}, {bytes})
    return sorted(value) if simple and len(value) <= MAX_SORTED else value


def _int_text(value: int, _left: int) -> str:
    bits = value.bit_length()
    # Long integers take the square of their length to write out.
    return str(value) if bits <= MAX_INT_BITS else f"<int of {bits} bits>"


def _cut_text(value: Any, left: int) -> str:
    if len(value) <= left:
        return repr(value)
    return f"{value[: left + 1]!r}{ELLIPSIS}"


_PLAIN: dict[type, Callable[[Any, int], str]] = {
    bool: lambda value, _: repr(value),
    bytearray: _cut_text,
    bytes: _cut_text,
    complex: lambda value, _: repr(value),
    float: lambda value, _: repr(value),
    int: _int_text,
    range: lambda value, _: repr(value) if _is_short(value) else "range(…)",
    str: _cut_text,
    Redacted: lambda _value, _left: MASK,
    type(None): lambda _value, _left: "None",
    type(Ellipsis): lambda _value, _left: "...",
}
_SHORT: dict[type, Callable[[Any], str]] = {
    bool: repr,
    float: repr,
    int: lambda value: _int_text(value, 0),
    str: repr,
    type(None): repr,
}
"""Types whose whole text is made at once, without a sketch."""
_BRACKETS: dict[type, tuple[str, str]] = {
    frozenset: ("frozenset({", "})"),
    list: ("[", "]"),
    set: ("{", "}"),
    tuple: ("(", ")"),
}
_MAPPINGS = frozenset(
    {"collections:Counter", "collections:OrderedDict", "collections:defaultdict"}
)


def _is_short(value: range) -> bool:
    ends = (value.start, value.stop, value.step)
    return all(end.bit_length() <= MAX_INT_BITS for end in ends)


def _moment_text(value: Any) -> str:
    zone = value.tzinfo
    if zone is None or key_of(type(zone)) in ("datetime:timezone", "zoneinfo:ZoneInfo"):
        return str(value.isoformat())
    return f"{value.replace(tzinfo=None).isoformat()} <{name_of(type(zone))}>"


def _number_text(value: Any) -> str:
    return str(value) if _digits(value) <= MAX_INT_BITS else f"<{type(value).__name__}>"


def _digits(value: Any) -> int:
    if hasattr(value, "numerator"):
        return int(value.numerator.bit_length() + value.denominator.bit_length())
    return len(value.as_tuple().digits)


def _pattern_text(value: Any) -> str:
    return f"re.compile({_cut_text(value.pattern, 200)})"


def _shape_text(value: Any) -> str:
    rows, columns = value.shape
    return f"{type(value).__name__} {rows} x {columns}"


def _column_text(value: Any) -> str:
    return f"{type(value).__name__} {len(value)} {value.dtype}"


def _array_text(value: Any) -> str:
    shape = ", ".join(map(str, value.shape))
    return f"{type(value).__name__}({shape}) {value.dtype}"


def _arrow_text(value: Any) -> str:
    return f"{type(value).__name__} {len(value)} {value.type}"


def _image_text(value: Any) -> str:
    return f"{type(value).__name__} {value.width} x {value.height} {value.mode}"


_INDEXES = (
    "Categorical",
    "Datetime",
    "Interval",
    "Multi",
    "Period",
    "Range",
    "Timedelta",
)
_KNOWN: dict[str, Callable[[Any], str]] = {
    **dict.fromkeys(("datetime:datetime", "datetime:time"), _moment_text),
    "datetime:date": str,
    "datetime:timedelta": str,
    "datetime:timezone": str,
    "zoneinfo:ZoneInfo": repr,
    **dict.fromkeys(("decimal:Decimal", "fractions:Fraction"), _number_text),
    "uuid:UUID": repr,
    **dict.fromkeys(
        (
            f"pathlib:{n}"
            for n in ("PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath")
        ),
        repr,
    ),
    "re:Pattern": _pattern_text,
    **dict.fromkeys(
        (
            f"ipaddress:IPv{v}{n}"
            for v in "46"
            for n in ("Address", "Interface", "Network")
        ),
        repr,
    ),
    "nbflow:Unset": repr,
    "numpy:ndarray": _array_text,
    "pandas:DataFrame": _shape_text,
    "pandas:Series": _column_text,
    "pandas:Index": _column_text,
    **{f"pandas:{name}Index": _column_text for name in _INDEXES},
    "pandas:Categorical": _column_text,
    **dict.fromkeys(("pandas:Timestamp", "pandas:Timedelta"), str),
    **dict.fromkeys(("pandas:NaTType", "pandas:NAType"), repr),
    "pyarrow:Table": _shape_text,
    "pyarrow:RecordBatch": _shape_text,
    "pyarrow:ChunkedArray": _arrow_text,
    "polars:DataFrame": _shape_text,
    "polars:Series": _column_text,
    "PIL:Image": _image_text,
}
"""Types whose own texts are short and safe, or are made here from their shape."""


_KNOWN_BASES: dict[str, Callable[[Any], str]] = {
    "numpy:generic": lambda it: f"{type(it).__name__}({it!s})"[:MAX_INT_BITS],
    "pyarrow:Array": _arrow_text,
}
"""Types of whose package every subclass has such a text."""


def _enum_text(value: Enum) -> str:
    kind = type(value)
    if isinstance(value, Flag):
        return f"{kind.__qualname__}.{value._name_ or value._value_}"
    return f"{kind.__qualname__}.{value._name_}"


def _has_fields(kind: type) -> bool:
    return _marked(kind, "__dataclass_fields__", "__pydantic_private__")


def _marked(kind: type, *marks: str) -> bool:
    return any(mark in vars(base) for base in kind.__mro__ for mark in marks)


def _fields_of(value: Any) -> dict[str, Any]:
    """Return a dataclass's or a model's fields, without those that hold nothing."""
    kind = type(value)
    held = getattr(value, "__dict__", {})
    if _marked(kind, "__dataclass_fields__"):
        slots = {
            name: member
            for base in reversed(kind.__mro__)
            for name, member in vars(base).items()
            if type(member) is MemberDescriptorType
        }
        held = held | {n: slots[n].__get__(value) for n in slots if hasattr(value, n)}
        held = {n: held[n] for n in kind.__dataclass_fields__ if n in held}
    return {name: item for name, item in held.items() if not _is_nothing(item)}


def _is_nothing(item: Any) -> bool:
    return item is None or (type(item) in (list, dict) and not item)


def _other_text(value: Any, kind: type) -> str:
    if issubclass(kind, type):
        return f"<class {name_of(value)}>"
    if kind in (FunctionType, BuiltinFunctionType, MethodType):
        return f"<function {value.__qualname__}>"
    for base in kind.__mro__[1:]:
        text = _KNOWN_BASES.get(key_of(base))
        if text is not None and key_of(kind).startswith(key_of(base).partition(":")[0]):
            return text(value)
    return f"<{name_of(kind)}>"
