"""A pickle is written and read only where the caller asks for it."""

from __future__ import annotations

import pickle
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from nbflow.errors import (
    PickleNotAllowedError,
    StoredValueError,
    UnreadableValueError,
    UnstorableValueError,
)
from nbflow.serde import (
    Opaque,
    Redacted,
    decode,
    encode,
    encode_with_report,
    fingerprint,
    fingerprint_exact,
    preview,
)
from nbflow.serde.foreign import from_stranger, without_pickles, without_secrets
from nbflow.serde.pickles import PICKLED

if TYPE_CHECKING:
    from collections.abc import Iterator

HIDDEN: Final = "hunter2"
LARGE_BYTES: Final = 3 << 20

_watched: list[list[str]] = []


class Model:
    """What no codec takes."""

    def __init__(self, held: Any = None) -> None:
        self.held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and other.held == self.held

    __hash__ = None  # type: ignore[assignment]


class Bomb:
    """Does harm when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _explode, ()


@dataclass
class Fit:
    """A plain class with a part that no codec takes."""

    score: float
    model: Model


def _explode() -> None:
    raise AssertionError("it was unpickled")


def _note(event: str, args: tuple[Any, ...]) -> None:
    # A hook stays for good; it listens only while bytes are read.
    if _watched and event.startswith("pickle."):
        _watched[-1].append(f"{event} {args!r}")


sys.addaudithook(_note)


@contextmanager
def watched() -> Iterator[list[str]]:
    """Collect what is unpickled meanwhile."""
    seen: list[str] = []
    _watched.append(seen)
    try:
        yield seen
    finally:
        _watched.pop()


def pickled(value: Any) -> bytes:
    return encode_with_report(value, pickles=True).data


@pytest.mark.parametrize(
    "value",
    [
        Model([1, "two"]),
        {"fits": [Fit(0.5, Model())], "tuple": (Model(1), {2})},
        Model(b"x" * LARGE_BYTES),
    ],
    ids=["alone", "inside", "large"],
)
def test_what_no_codec_takes_comes_back_equal(value: Any) -> None:
    data = pickled(value)

    back = decode(data, pickles=True)

    assert back == value
    assert type(back) is type(value)


def test_what_codecs_take_is_never_pickled() -> None:
    value = {"point": (1, 2.5), "set": {3}, "error": ValueError("no")}

    encoded = encode_with_report(value, pickles=True)

    assert encoded.data == encode(value)


def test_parts_that_share_an_object_still_do() -> None:
    model = Model([0])
    data = pickled((model, Model(model)))

    back, optimizer = decode(data, pickles=True)

    assert optimizer.held is back


def test_without_asking_an_unknown_value_is_refused() -> None:
    with pytest.raises(UnstorableValueError, match=r"value\['a'\]"):
        encode_with_report({"a": Model()})


def test_what_can_not_be_pickled_is_named_with_its_place() -> None:
    value = {"model": Model(), "rest": [1, {"lock": threading.Lock()}]}

    with pytest.raises(UnstorableValueError, match="cannot pickle") as caught:
        encode_with_report(value, root="result", pickles=True)

    assert caught.value.path == "result['rest'][1]['lock']"


@pytest.mark.parametrize("size", [1, LARGE_BYTES])
def test_without_asking_a_pickle_is_an_error(size: int) -> None:
    data = pickled(Model(b"x" * size))

    with pytest.raises(PickleNotAllowedError, match="allow_pickle=True") as caught:
        decode(data)

    assert caught.value.type_name == f"{__name__}:Model"


@pytest.mark.parametrize("size", [1, LARGE_BYTES])
def test_who_only_looks_sees_the_type_and_the_size(size: int) -> None:
    data = pickled(Model(b"x" * size))

    seen = decode(data, opaque=True)

    assert isinstance(seen, Opaque)
    assert seen.type_name == f"{__name__}:Model"
    assert seen.data["pickled_bytes"] > size
    assert preview(seen) == f"Model(pickled_bytes={seen.data['pickled_bytes']})"


def test_who_does_not_trust_the_bytes_can_not_ask_for_it() -> None:
    data = pickled(Bomb())

    with pytest.raises(PickleNotAllowedError):
        decode(data, trusted=False, pickles=True)


def test_a_pickle_whose_class_is_gone_is_an_error() -> None:
    data = pickled(Model()).replace(b"\x8c\x05Model", b"\x8c\x05Modem")

    with pytest.raises(UnreadableValueError, match="Model in them can't be rebuilt"):
        decode(data, pickles=True)


def test_a_secret_is_never_pickled() -> None:
    encoded = encode_with_report(Model([SecretStr(HIDDEN)]), pickles=True)

    back = decode(encoded.data, pickles=True)

    assert HIDDEN.encode() not in encoded.data
    assert encoded.redacted
    assert isinstance(back.held[0], Redacted)


@pytest.mark.parametrize("size", [1, LARGE_BYTES])
@pytest.mark.parametrize(
    "rewrite",
    [
        from_stranger,
        without_pickles,
        lambda data: without_secrets(data, frozenset({"password"})),
    ],
    ids=["stranger", "friend", "export"],
)
def test_a_pickle_does_not_travel(rewrite: Any, size: int) -> None:
    data = rewrite(pickled(Model([Bomb(), "x" * size])))

    seen = decode(data, opaque=True, pickles=True)

    assert isinstance(seen, Opaque)
    assert seen.type_name.startswith("bundle:")
    assert b"_explode" not in data


def test_a_value_without_pickles_travels_as_it_is() -> None:
    data = encode({"a": (1, {2}), 3: [None]})

    assert without_pickles(data) is data


def test_arguments_that_only_a_pickle_holds_count_by_their_type() -> None:
    assert fingerprint(Model(1)) == fingerprint(Model(2))
    assert fingerprint_exact(Model(1)) is None


@settings(deadline=None, max_examples=150, derandomize=True)
@given(
    inner=st.sampled_from(
        [Bomb(), [Bomb(), 1], Model(Bomb()), Model(b"x" * (1 << 20))]
    ),
    place=st.floats(0, 1, exclude_max=True),
    removed=st.integers(0, 4),
    added=st.binary(max_size=6),
    name=st.binary(max_size=8),
    opaque=st.booleans(),
    trusted=st.booleans(),
)
def test_without_asking_no_bytes_are_ever_unpickled(
    inner: Any,
    place: float,
    removed: int,
    added: bytes,
    name: bytes,
    *,
    opaque: bool,
    trusted: bool,
) -> None:
    data = pickled(inner)
    at = int(place * min(len(data), 400))
    altered = data[:at] + added + data[at + removed :]
    bare = encode([1]).replace(b"\x01", _extension(name + pickle.dumps(inner)))

    with watched() as seen:
        for given_bytes in (data, altered, bare):
            with suppress(StoredValueError):
                preview(decode(given_bytes, opaque=opaque, trusted=trusted))

    assert seen == []


def test_what_listens_would_notice_a_pickle() -> None:
    data = pickled(Bomb())

    with watched() as seen, pytest.raises(UnreadableValueError, match="unpickled"):
        decode(data, pickles=True)

    assert seen


def _extension(data: bytes) -> bytes:
    size = len(data).to_bytes(4, "big")
    return b"\xc9" + size + bytes([PICKLED]) + data
