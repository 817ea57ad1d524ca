"""Codecs of the standard library's own types.

Modules that a plain script may never need are loaded when the first of their
values is met.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import date, datetime, time, timedelta, timezone
from functools import cache, partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from nbflow.serde.codec import Codec, Refusal, fixed, given, library, name_of
from nbflow.serde.preview import preview
from nbflow.serde.redact import Redacted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from nbflow.serde.codec import Children

__all__ = [
    "FROZENSET",
    "INT",
    "ORDERED",
    "PAIRS",
    "REDACTED",
    "SET",
    "STANDARD",
    "STR",
    "TUPLE",
    "spread",
]

M = TypeVar("M", bound="Collection[Any]")

TUPLE, SET, FROZENSET, INT, STR, PAIRS, ORDERED, REDACTED = 1, 2, 3, 4, 5, 8, 31, 50
"""Numbers that are treated apart elsewhere."""

FRACTION_BITS = 1 << 16
"""Largest numerator or denominator: reading one takes its square in time."""

SAME_HASH: Final = 1_000
"""Most members that may have one hash: each of them is compared with all the others."""

_FACTORIES = {
    kind.__name__: kind
    for kind in (bool, bytes, dict, float, frozenset, int, list, set, str, tuple)
}
_ADDRESSES = frozenset(
    f"IPv{version}{kind}"
    for version in "46"
    for kind in ("Address", "Interface", "Network")
)
_PATHS = ("PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath")


# Sequences and mappings


def _items(value: Any) -> Children:
    return ((f"{{}}[{index}]", item) for index, item in enumerate(value))


def _members(value: Any) -> Children:
    return ((f"list({{}})[{index}]", item) for index, item in enumerate(value))


def entries(value: dict[Any, Any]) -> Children:
    """Yield the steps to a mapping's values, and to its keys."""
    for index, (key, item) in enumerate(value.items()):
        yield partial(_key_step, key), item
        yield f"list({{}})[{index}]", key


def _key_step(key: Any) -> str:
    return f"{{}}[{preview(key, 80, secret_names=frozenset())}]"


def _flat(value: dict[Any, Any]) -> list[Any]:
    return list(chain.from_iterable(spread(value).items()))


def spread(members: M) -> M:
    """Return the members of a set or keys of a dict that can be made of them in time.

    Asked where they are written, too: what is stored can be read.

    Raises
    ------
    ValueError
        Too many of them have one hash.
    """
    count = len(members)
    if count > SAME_HASH and count - len(set(map(hash, members))) >= SAME_HASH:
        ((_, times),) = Counter(map(hash, members)).most_common(1)
        if times > SAME_HASH:
            raise ValueError(
                f"{times:,} of its members have one hash, and {SAME_HASH:,} is the most"
            )
    return members


def _members_of(value: Collection[Any]) -> list[Any]:
    return list(spread(value))


def _pairs(parts: list[Any]) -> Iterator[tuple[Any, Any]]:
    spread(parts[::2])
    each = iter(parts)
    return zip(each, each, strict=True)


def _defaultdict_parts(value: defaultdict[Any, Any]) -> list[Any]:
    factory = value.default_factory
    if factory is None:
        return [None, dict(value)]
    name = getattr(factory, "__name__", "")
    if _FACTORIES.get(name) is not factory:
        raise Refusal(value, "only a built-in type can be its default_factory")
    return [name, dict(value)]


def _defaultdict(parts: list[Any]) -> defaultdict[Any, Any]:
    name, items = parts
    return defaultdict(None if name is None else _FACTORIES[name], given(items, dict))


# Numbers and texts


def _int_bytes(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)


def _range_parts(value: range | slice) -> list[Any]:
    return [value.start, value.stop, value.step]


def _fraction_parts(value: Any) -> list[int]:
    if (
        max(value.numerator.bit_length(), value.denominator.bit_length())
        > FRACTION_BITS
    ):
        raise Refusal(value, f"it has more than {FRACTION_BITS} bits")
    return [value.numerator, value.denominator]


def _fraction(parts: list[int]) -> Any:
    numerator, denominator = parts
    if max(numerator.bit_length(), denominator.bit_length()) > FRACTION_BITS:
        raise ValueError("the fraction is too long")
    return library("fractions").Fraction(numerator, denominator)


def _pattern(parts: list[Any]) -> Any:
    pattern, flags = parts
    return re.compile(pattern, given(flags, int) & ~re.DEBUG)


# Days and times


def _datetime_parts(value: datetime) -> Any:
    if value.tzinfo is None and not value.fold:
        return value.isoformat()
    plain = value.replace(tzinfo=None, fold=0)
    return [plain.isoformat(), value.fold, value.tzinfo]


def _datetime(parts: Any) -> datetime:
    if isinstance(parts, str):
        return datetime.fromisoformat(parts)
    text, fold, zone = parts
    return datetime.fromisoformat(text).replace(fold=fold, tzinfo=zone)


def _time_parts(value: time) -> Any:
    return [value.replace(tzinfo=None, fold=0).isoformat(), value.fold, value.tzinfo]


def _time(parts: list[Any]) -> time:
    text, fold, zone = parts
    return time.fromisoformat(text).replace(fold=fold, tzinfo=zone)


def _zoned(value: Any) -> Children:
    return (("{}.tzinfo", value.tzinfo),)


def _offset_parts(value: timezone) -> list[Any]:
    # What `datetime` itself pickles: the offset and, where one was given, a name.
    return list(value.__getinitargs__())  # type: ignore[attr-defined]


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(library("zoneinfo").available_timezones())


def _is_zone(key: Any) -> bool:
    if not isinstance(key, str):
        return False
    return key.removeprefix("posix/").removeprefix("right/") in _zone_names()


def _zone_parts(value: Any) -> str:
    if not _is_zone(value.key):
        raise Refusal(value, "its zone is not one of the system's by name")
    return str(value.key)


def _zone(key: str) -> Any:
    # A zone's data is found by its name in folders and packages: only known names.
    if not _is_zone(key):
        raise ValueError(f"no time zone is called {key!r} here")
    return library("zoneinfo").ZoneInfo(key)


# Names of things


def _uuid(parts: Any) -> Any:
    return library("uuid").UUID(bytes=bytes(parts))


def _path_parts(value: Any) -> list[str]:
    return [type(value).__name__, str(value)]


def _path(parts: list[str]) -> Any:
    name, text = parts
    if given(name, str) not in _PATHS or not isinstance(text, str):
        raise ValueError(f"there is no path of the kind {name!r}")
    pathlib = library("pathlib")
    if name == type(pathlib.Path()).__name__:
        return pathlib.Path(text)
    pure = name if name.startswith("Pure") else f"Pure{name}"
    return getattr(pathlib, pure)(text)


def _address_parts(value: Any) -> list[str]:
    return [type(value).__name__, str(value)]


def _address(parts: list[str]) -> Any:
    name, text = parts
    if name not in _ADDRESSES or not isinstance(text, str):
        raise ValueError(f"there is no address of the kind {name!r}")
    return getattr(library("ipaddress"), name)(text)


def _redacted_parts(value: Any) -> str:
    """Return the name of a secret's type, never anything of the secret."""
    kind = type(value)
    return value.type_name if isinstance(value, Redacted) else name_of(kind)


def _unset(_parts: Any) -> Any:
    return library("nbflow._values").UNSET


STANDARD: tuple[Codec, ...] = (
    Codec(TUPLE, ("builtins:tuple",), list, tuple, children=_items),
    Codec(
        SET,
        ("builtins:set",),
        _members_of,
        lambda parts: set(spread(parts)),
        children=_members,
    ),
    Codec(
        FROZENSET,
        ("builtins:frozenset",),
        _members_of,
        lambda parts: frozenset(spread(parts)),
        children=_members,
    ),
    Codec(
        INT,
        ("builtins:int",),
        _int_bytes,
        lambda parts: int.from_bytes(parts, "little", signed=True),
        raw=True,
    ),
    Codec(
        STR,
        ("builtins:str",),
        lambda value: value.encode("utf-8", "surrogatepass"),
        lambda parts: str(parts, "utf-8", "surrogatepass"),
        raw=True,
    ),
    Codec(6, ("builtins:bytearray",), bytes, bytearray, raw=True),
    Codec(
        7,
        ("builtins:complex",),
        lambda value: [value.real, value.imag],
        lambda parts: complex(*parts),
    ),
    Codec(
        PAIRS,
        ("builtins:dict",),
        _flat,
        lambda parts: dict(_pairs(parts)),
        children=entries,
    ),
    Codec(9, ("builtins:range",), _range_parts, lambda parts: range(*parts)),
    Codec(
        10,
        ("builtins:slice",),
        _range_parts,
        lambda parts: slice(*parts),
        children=lambda value: (
            (f"{{}}.{name}", getattr(value, name)) for name in ("start", "stop", "step")
        ),
    ),
    Codec(
        12,
        ("datetime:datetime",),
        _datetime_parts,
        _datetime,
        (list, str),
        children=_zoned,
    ),
    Codec(13, ("datetime:date",), date.isoformat, date.fromisoformat, (str,)),
    Codec(14, ("datetime:time",), _time_parts, _time, children=_zoned),
    Codec(
        15,
        ("datetime:timedelta",),
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda parts: timedelta(*parts),
    ),
    Codec(16, ("datetime:timezone",), _offset_parts, lambda parts: timezone(*parts)),
    Codec(17, ("zoneinfo:ZoneInfo",), _zone_parts, _zone, (str,)),
    Codec(
        20,
        ("decimal:Decimal",),
        str,
        lambda text: library("decimal").Decimal(text),
        (str,),
    ),
    Codec(21, ("fractions:Fraction",), _fraction_parts, _fraction),
    Codec(22, ("uuid:UUID",), lambda value: value.bytes, _uuid, raw=True),
    Codec(23, tuple(f"pathlib:{name}" for name in _PATHS), _path_parts, _path),
    Codec(
        24,
        ("re:Pattern",),
        lambda value: [value.pattern, value.flags],
        _pattern,
        own_store_only=True,  # some patterns take minutes to compile
    ),
    Codec(
        25,
        tuple(f"ipaddress:{name}" for name in sorted(_ADDRESSES)),
        _address_parts,
        _address,
    ),
    Codec(
        30,
        ("collections:deque",),
        lambda value: [value.maxlen, *value],
        lambda parts: deque(islice(parts, 1, None), parts[0]),
        children=_items,
    ),
    Codec(
        ORDERED,
        ("collections:OrderedDict",),
        _flat,
        lambda parts: OrderedDict(_pairs(parts)),
        children=entries,
    ),
    Codec(
        32,
        ("collections:defaultdict",),
        _defaultdict_parts,
        _defaultdict,
        children=entries,
    ),
    Codec(33, ("collections:Counter",), dict, Counter, (dict,), children=entries),
    Codec(REDACTED, ("nbflow:Redacted",), _redacted_parts, Redacted, (str,)),
    Codec(51, ("nbflow:Unset",), fixed(None), _unset, (type(None),)),
)
"""One line for each type; see `nbflow.serde.codec.Codec`."""
