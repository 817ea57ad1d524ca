"""Any bytes give a value or one of two errors: bounded, and nothing is run."""

from __future__ import annotations

import random
import struct
import sys
import time
import tracemalloc
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass
from functools import partial
from itertools import count
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.msgpack import Ext

from nbflow.errors import (
    UnreadableValueError,
    UnregisteredTypeError,
    UnstorableValueError,
)
from nbflow.serde import Opaque, decode, encode, fingerprint, preview
from nbflow.serde.codecs import BY_CODE, CODECS
from nbflow.serde.families import FAMILIES
from nbflow.serde.foreign import from_stranger
from nbflow.serde.standard import SAME_HASH

if TYPE_CHECKING:
    from collections.abc import Callable

pack = msgspec.msgpack.encode


def read(data: bytes, *, opaque: bool = False, trusted: bool = True) -> str:
    """Return what became of some bytes; anything but the two errors gets out."""
    try:
        value = decode(data, opaque=opaque, trusted=trusted)
    except UnreadableValueError:
        return "unreadable"
    except UnregisteredTypeError:
        return "unregistered"
    # What was read can be looked at, too.
    assert len(preview(value)) <= 200
    assert len(fingerprint(value)) == 32
    return "value"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64), st.booleans(), st.booleans())
def test_random_bytes_give_a_value_or_an_error(
    data: bytes, opaque: bool, trusted: bool
) -> None:
    read(data, opaque=opaque, trusted=trusted)


JSON_LIKE = st.recursive(
    st.none() | st.integers(-9, 9) | st.text(max_size=3) | st.binary(max_size=9),
    lambda parts: (
        st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=3), parts)
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(BY_CODE)), JSON_LIKE, st.booleans(), st.booleans())
def test_any_parts_of_any_codec_give_a_value_or_an_error(
    code: int, parts: Any, opaque: bool, trusted: bool
) -> None:
    for body in (parts, ["builtins:ValueError", parts], [f"{__name__}:Held", parts]):
        read(pack([Ext(code, pack(body))]), opaque=opaque, trusted=trusted)


def _samples() -> list[Any]:
    frame = pd.DataFrame(
        {
            "n": [1.5, None],
            "s": ["x", None],
            "o": [(1,), "x"],
            "c": pd.Categorical(["u", "v"]),
            "z": pd.to_datetime(["2020", "NaT"]).tz_localize("UTC"),
            "i": pd.array([1, None], dtype="Int8"),
        },
        index=pd.date_range("2020", periods=2, freq="D"),
    )
    table = pa.table(
        {
            "l": [[1], None],
            "d": pa.array(["a", "b"]).dictionary_encode(),
            "v": pa.array(["a" * 20, None], pa.string_view()),
        }
    )
    return [
        [1, (2,), {3}, {(4,): 2**90, "k": 1.5}],
        [ValueError("x", 1), slice(1), range(3), 1j, "\ud800"],
        frame,
        frame.set_index(["s", "c"]).index,
        table,
        table.to_batches()[0],
        np.arange(6).reshape(2, 3),
        np.array([1, "a"], dtype=object),
        np.zeros(2, dtype=[("x", "i4")]),
        [np.float64(1), pd.Timestamp("2020", tz="UTC"), pd.NaT, pd.Period("2020", "M")],
    ]


def _mutated(data: bytes, chance: random.Random) -> bytes:
    mutant = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4])):
        place = chance.randrange(len(mutant))
        match chance.randrange(4):
            case 0:
                mutant[place] ^= 1 << chance.randrange(8)
            case 1:
                mutant[place] = chance.choice([0, 1, 127, 128, 255])
            case 2:
                mutant[place : place + 4] = chance.randbytes(4)
            case _:
                del mutant[place : place + chance.randrange(1, 8)]
                mutant += b"\x00"
    return bytes(mutant)


@pytest.mark.filterwarnings("default")  # a mutant may be of a deprecated kind
@pytest.mark.parametrize("sample", _samples(), ids=lambda it: type(it).__name__)
def test_altered_bytes_give_a_value_or_an_error(sample: Any) -> None:
    data = encode(sample)
    chance = random.Random(7)  # noqa: S311 - the same mutants in every run

    outcomes = {
        read(_mutated(data, chance), opaque=bool(n % 2), trusted=bool(n % 3))
        for n in range(400)
    }

    assert "unreadable" in outcomes


@pytest.mark.parametrize("sample", _samples(), ids=lambda it: type(it).__name__)
def test_cut_bytes_are_an_error(sample: Any) -> None:
    data = encode(sample)

    for end in range(0, len(data), max(1, len(data) // 50)):
        with pytest.raises(UnreadableValueError):
            decode(data[:end])


def _nested_lists() -> bytes:
    return b"\x91" * 100_000 + b"\x00"


def _nested_extensions() -> bytes:
    data = pack([])
    for _ in range(5000):
        data = pack(Ext(1, data))
    return data


def _npy(descr: str, shape: str) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


def _compressed_table() -> bytes:
    table = pa.table({"a": pa.array(np.zeros(20_000_000))})
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def _claimed_column() -> bytes:
    """Return a frame whose column of no type claims many rows."""
    table = pa.table({"0": pa.nulls(1_000_000_000)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    index = Ext(73, pack([None, 0, 1_000_000_000, 1]))
    columns = Ext(73, pack([None, 0, 1, 1]))
    held = [{0: ["numpy", "<f8"]}, Ext(85, bytes(sink.getvalue())), {}]
    return pack([columns, index, held, {}])


MANY = 5_000_000
"""Enough to be noticed if something is made of each, and not to fill a computer."""

RANGE = Ext(9, pack([0, MANY, 1]))
LABELS = Ext(73, pack([None, 0, MANY, 1]))
NUMBER = msgspec.msgpack.decode(encode(np.float64(1)))
ROWS = Ext(60, _npy("'<f8'", f"({MANY}, 0)"))


def _nothings() -> Ext:
    table = pa.table({"0": pa.nulls(MANY)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return Ext(85, bytes(sink.getvalue()))


def _repeated_texts() -> Ext:
    column = pa.array(["x" * 1000]).dictionary_encode().take(pa.array([0] * 50_000))
    table = pa.table({"0": column})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return Ext(85, bytes(sink.getvalue()))


def _columns_over_each_other() -> bytes:
    """Return a frame of many columns, all of them in the bytes of the first."""
    count, rows, size = 40, 10_000, 80_000
    numbers = [pa.array(np.arange(rows))] * count
    table = pa.table(numbers, [str(n) for n in range(count)])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    data = bytes(sink.getvalue())
    for n in range(1, count):  # where its validity and its numbers stand
        place = struct.pack("<4q", n * size, 0, n * size, size)
        data = data.replace(place, struct.pack("<4q", 0, 0, 0, size))
    data = data.replace(struct.pack("<q", count * size), struct.pack("<q", size))
    lies = Ext(85, data[: -8 - (count - 1) * size] + data[-8:])
    labels = [Ext(73, pack([None, 0, length, 1])) for length in (count, rows)]
    dtypes = {n: ["numpy", "<i8"] for n in range(count)}
    return pack(Ext(70, pack([*labels, [dtypes, lies, {}], {}])))


def _series(dtype: list[Any], table: Any) -> bytes:
    return pack(Ext(71, pack([None, LABELS, [{0: dtype}, table, {}], {}])))


def _column(held: Any, code: int = 71) -> bytes:
    index = None if code == 72 else LABELS
    return pack(Ext(code, pack([None, index, [{}, None, {0: held}], {}][: 75 - code])))


def _failure(name: str, args: Any) -> bytes:
    kept = {"args": args, "own": {}, "native": {}, "notes": [], "cause": None}
    return pack(Ext(44, pack([name, kept | {"text": "", "traceback": ""}])))


GONE_THROUGH: dict[str, Callable[[], bytes]] = {
    **{
        f"a range as the parts of {code}": partial(pack, Ext(code, pack(RANGE)))
        for code in (1, 2, 3, 7, 8, 9, 10, 15, 16, 30, 31, 33)
    },
    "rows without items as a tuple": lambda: pack(Ext(1, pack(ROWS))),
    "a range as items of an array": lambda: pack(Ext(61, pack([[MANY], RANGE]))),
    "labels as a side of an array": lambda: pack(Ext(61, pack([[LABELS, LABELS], []]))),
    "a range as a text": lambda: pack(Ext(62, pack(["text", RANGE]))),
    "items without bytes": lambda: pack(Ext(60, _npy("'V0'", f"({MANY},)"))),
    "texts without bytes": lambda: pack(Ext(60, _npy("'S0'", f"({MANY},)"))),
    "a number for a whole column": lambda: _column(NUMBER),
    "a point for a whole column": lambda: _column(
        Ext(60, _npy("'<f8'", "()") + bytes(8))
    ),
    "labels as a column": lambda: _column(LABELS),
    "labels as an index": lambda: _column(LABELS, 72),
    "labels as ends of intervals": lambda: _column(["left", LABELS, LABELS], 72),
    "labels as codes": lambda: pack(Ext(75, pack([LABELS, LABELS, False]))),
    "labels that no code needs": lambda: pack(
        Ext(74, pack([[None], [LABELS], [LABELS]]))
    ),
    "nothings as numbers": lambda: _series(["masked", "Int8"], _nothings()),
    "nothings as texts": lambda: _series(["string", "python", False], _nothings()),
    "nothings as times": lambda: _series(
        ["zoned", "ns", Ext(17, pack("UTC"))], _nothings()
    ),
    "nothings as periods": lambda: _series(["period", "M"], _nothings()),
    "texts of a dictionary": lambda: _series(
        ["string", "python", False], _repeated_texts()
    ),
    "columns that lie over each other": _columns_over_each_other,
    "an image without pixels": lambda: pack(
        Ext(95, pack(["F", [0, MANY], b"", None, {}]))
    ),
    "labels as a dtype": lambda: _series([LABELS], _nothings()),
    "a range as pixels": lambda: pack(Ext(95, pack(["F", [MANY, 1], RANGE, None, {}]))),
    "labels as a side": lambda: pack(Ext(95, pack(["L", [LABELS, 1], b"", None, {}]))),
    "a range as arguments": lambda: _failure("builtins:ValueError", RANGE),
    "a range of errors": lambda: _failure("builtins:ExceptionGroup", ["x", RANGE]),
    "a range of places": lambda: _failure("builtins:SyntaxError", ["x", RANGE]),
    "a range of fields": lambda: pack(
        Ext(43, pack(["langchain:HumanMessage", [{}, RANGE, None, None]]))
    ),
    "labels as fields": lambda: pack(
        Ext(43, pack(["langchain:HumanMessage", [LABELS, [], None, None]]))
    ),
}
"""What is short and has a length all the same, where a codec goes through its parts."""

BOMBS: dict[str, Callable[[], bytes]] = {
    **GONE_THROUGH,
    "nested lists": _nested_lists,
    "nested extensions": _nested_extensions,
    "a list that claims to be long": lambda: b"\xdd\xff\xff\xff\xff",
    "an array that claims to be large": lambda: pack(
        Ext(60, _npy("'<f8'", "(1 << 40,)".replace("1 << 40", str(1 << 40))))
    ),
    "an empty array of huge items": lambda: pack(
        Ext(60, _npy("'V9999999999'", "(0,)"))
    ),
    "an array of objects": lambda: pack(Ext(60, _npy("'|O'", "(0,)"))),
    "an array with a negative shape": lambda: pack(Ext(60, _npy("'<f8'", "(-1, 0)"))),
    "a header that nests": lambda: pack(Ext(60, _npy("(" * 5000, "(0,)"))),
    "an array of objects with a wrong shape": lambda: pack(
        Ext(61, pack([[2**40, 0, 1], [1]]))
    ),
    "a compressed table": lambda: pack(Ext(85, _compressed_table())),
    "a column of many nothings": lambda: pack(Ext(70, _claimed_column())),
    "a long fraction": lambda: pack(
        Ext(21, pack([Ext(4, b"\x01" * 100_000), Ext(4, b"\x01" * 100_001)]))
    ),
    "a zone outside its folder": lambda: pack(Ext(17, pack("../../../etc/passwd"))),
    "an unhashable key": lambda: pack(Ext(8, pack([[1], 2]))),
    "pairs without an end": lambda: pack(Ext(8, pack([1, 2, 3]))),
    "an instance without a class": lambda: pack(Ext(41, pack([1, {}]))),
    "an image that claims to be large": lambda: pack(
        Ext(95, pack(["RGB", [40_000, 40_000], b"\x00", None, {}]))
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_little_time_and_memory(name: str) -> None:
    pytest.importorskip("PIL.Image")  # loaded before, so that it is not counted
    data = BOMBS[name]()
    tracemalloc.start()
    begun = time.process_time()

    with pytest.raises(UnreadableValueError):
        decode(data)

    seconds = time.process_time() - begun
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 2
    assert peak_bytes < 32 * len(data) + 20_000_000


_numbers = count(1000)

TINY: dict[str, Callable[[], Any]] = {
    **{kind.__name__: kind for kind in (list, dict, set, frozenset, bytearray)},
    **{kind.__name__: kind for kind in (deque, OrderedDict, Counter, defaultdict)},
    "a tuple of one": lambda: (1,),
    "a list of one": lambda: [None],
    "a text": lambda: chr(next(_numbers) % 50_000),
    "a tuple as a key": lambda: {(): None},
}
"""What takes a few bytes, and as much memory as Python wants for the least of them."""


def _bytes_of(value: Any) -> int:
    """Return what a value takes, and what stands in it."""
    inside = list(value) if isinstance(value, list | tuple | set | dict) else []
    below = sum(_bytes_of(item) for item in inside if isinstance(item, list | tuple))
    return sys.getsizeof(value) + below


def _peak_bytes(read: Callable[[bytes], Any], data: bytes) -> int:
    read(data)
    tracemalloc.start()
    try:
        read(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", TINY)
def test_reading_takes_no_memory_besides_what_is_read(name: str) -> None:
    data = encode([TINY[name]() for _ in range(5_000)])
    value = decode(data)
    taken = sys.getsizeof(value) + sum(map(_bytes_of, value))

    peak_bytes = _peak_bytes(decode, data)

    assert peak_bytes < 1.05 * taken + 10_000


LONG: dict[str, Any] = {
    "tuple": (None,) * 50_000,
    "set": set(range(50_000)),
    "frozenset": frozenset(range(50_000)),
    "deque": deque([None]) * 50_000,
    "OrderedDict": OrderedDict.fromkeys(range(50_000)),
}


@pytest.mark.parametrize("name", LONG)
def test_reading_a_long_container_takes_twice_its_memory_at_most(name: str) -> None:
    data = encode(LONG[name])
    numbers = 0 if None in LONG[name] else 50_000 * sys.getsizeof(1_000)

    peak_bytes = _peak_bytes(decode, data)

    assert peak_bytes < 2.2 * sys.getsizeof(LONG[name]) + numbers


def test_a_strangers_value_is_not_copied_at_every_depth() -> None:
    value: Any = "x" * 1_000_000
    for _ in range(90):
        value = (value,)
    data = encode(value)

    peak_bytes = _peak_bytes(from_stranger, data)

    assert peak_bytes < 5 * len(data)


SAME = 2**61 - 1
"""Whole numbers that differ by it have one hash."""


@dataclass(frozen=True)
class Alike:
    """A key that counts how often it is compared."""

    n: int
    compared: ClassVar[int] = 0

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        Alike.compared += 1
        return isinstance(other, Alike) and other.n == self.n


SETS: dict[str, int] = {"set": 2, "frozenset": 3}
DICTS: dict[str, int] = {"dict": 8, "OrderedDict": 31}


def _alike(code: int, count: int) -> bytes:
    """Return a set, or a dict, of so many members that have one hash."""
    members = [msgspec.msgpack.decode(encode(Alike(n))) for n in range(count)]
    flat = members if code in SETS.values() else [x for it in members for x in (it, 0)]
    return pack(Ext(code, pack(flat)))


@pytest.mark.parametrize("code", (SETS | DICTS).values(), ids=SETS | DICTS)
def test_members_of_one_hash_are_counted_before_they_are_compared(code: int) -> None:
    data = _alike(code, 20_000)
    Alike.compared = 0

    with pytest.raises(UnreadableValueError, match="20,000 of its members have one"):
        decode(data)

    assert Alike.compared == 0


@pytest.mark.parametrize("code", (SETS | DICTS).values(), ids=SETS | DICTS)
def test_each_member_is_compared_with_a_bounded_number_of_others(code: int) -> None:
    data = _alike(code, SAME_HASH)
    Alike.compared = 0

    value = decode(data)

    assert len(value) == SAME_HASH
    assert Alike.compared <= 2 * SAME_HASH**2


@pytest.mark.parametrize("make", [set, frozenset, dict.fromkeys, OrderedDict.fromkeys])
def test_what_could_not_be_read_for_its_hashes_is_not_stored(make: Any) -> None:
    numbers = [n * SAME for n in range(SAME_HASH + 20)]

    with pytest.raises(UnstorableValueError, match=r"value\['a'\] is a .* one hash"):
        encode({"a": make(numbers)})

    assert decode(encode(make(numbers[:SAME_HASH]))) == make(numbers[:SAME_HASH])


def test_powers_of_two_are_no_attack() -> None:
    powers = {2**n for n in range(5_000)}  # of 61 hashes in all

    assert decode(encode(powers)) == powers


def test_what_has_too_many_members_of_one_hash_can_be_looked_at() -> None:
    seen = decode(_alike(2, 2_000), opaque=True)

    assert type(seen) is Opaque
    assert seen.data[:2] == [Alike(0), Alike(1)]


@pytest.mark.parametrize(
    "tag",
    [
        "antigravity:fly",
        "os:system",
        "subprocess:Popen",
        "builtins:eval",
        "builtins:print",
        "collections:OrderedDict",
        "nbflow.serde.codec:Opaque",
        ":",
        "no colon",
        "",
    ],
)
@pytest.mark.parametrize("family", [40, 41, 42, 43, 45])
def test_a_tag_imports_nothing_and_makes_nothing(tag: str, family: int) -> None:
    data = pack(Ext(family, pack([tag, {}])))
    before = set(sys.modules)

    with pytest.raises(UnregisteredTypeError):
        decode(data)
    seen = decode(data, opaque=True)

    assert type(seen) is Opaque
    assert seen.type_name == tag
    assert set(sys.modules) == before


def test_a_modules_own_getattr_is_not_called() -> None:
    class Trap(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(name)

    sys.modules["a_trap"] = Trap("a_trap")
    try:
        with pytest.raises(UnregisteredTypeError):
            decode(pack(Ext(41, pack(["a_trap:Thing", {}]))))
    finally:
        del sys.modules["a_trap"]


def test_an_unknown_extension_is_opaque_or_an_error() -> None:
    data = pack([Ext(126, b"new")])

    assert decode(data, opaque=True) == [Opaque("extension 126", b"new")]
    with pytest.raises(UnregisteredTypeError):
        decode(data)


def test_a_pattern_of_a_stranger_is_not_compiled() -> None:
    import re  # noqa: PLC0415 - only this test

    data = encode(re.compile("a"))

    assert decode(data) == re.compile("a")
    with pytest.raises(UnregisteredTypeError, match="re:Pattern"):
        decode(data, trusted=False)


def test_a_missing_library_is_named(run_script: Callable[..., str]) -> None:
    script = (
        "import sys; sys.modules['numpy'] = None\n"
        "from nbflow.serde import decode\n"
        "from nbflow.errors import UnreadableValueError\n"
        f"data = {encode(np.arange(3))!r}\n"
        "try: decode(data)\n"
        "except UnreadableValueError as error: print(error)\n"
        "print(type(decode(data, opaque=True)).__name__)\n"
    )

    printed = run_script(script)

    assert "needs the package 'numpy'" in printed
    assert printed.splitlines()[-1] == "Opaque"


def test_serde_loads_no_library_until_one_of_its_values_is_met(
    run_script: Callable[..., str],
) -> None:
    script = (
        "import sys, nbflow.serde\n"
        "nbflow.serde.decode(nbflow.serde.encode([(1,), {2}]))\n"
        "nbflow.serde.preview(nbflow.serde.fingerprint)\n"
        "print({m.partition('.')[0] for m in sys.modules} & {'numpy', 'pandas', "
        "'pyarrow', 'polars', 'PIL', 'pydantic', 'langchain_core', 'IPython'})"
    )

    assert run_script(script) == "set()\n"


def test_no_two_codecs_have_one_number() -> None:
    numbers = [codec.code for codec in CODECS]
    numbers += [family.code for family in FAMILIES]

    assert len(set(numbers)) == len(numbers)
    assert all(0 < number < 128 for number in numbers)
