"""What can't be stored is refused at once, with the path to it."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import TZPATH, ZoneInfo

import pytest
from pydantic import BaseModel, ConfigDict

from nbflow.errors import UnstorableValueError
from nbflow.serde import Opaque, encode, register

LOCK = threading.Lock()


@dataclass
class Job:
    """A dataclass that may hold anything."""

    name: str
    client: Any


class Settings(BaseModel):
    """A model that may hold anything."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    lock: Any


class Boxed:
    """A class with a codec that stores what it holds."""

    def __init__(self, held: Any) -> None:
        self.held = held


class Angry:
    """A class with a codec that raises."""


class MyList(list[int]):
    """A subclass that would come back as a list."""


Zone: Any = type("Zone", (tzinfo,), {})  # a time zone of the user's own


def _zone_without_a_name() -> ZoneInfo:
    for folder in TZPATH:
        with suppress(OSError), (Path(folder) / "UTC").open("rb") as file:
            return ZoneInfo.from_file(file)
    with resources.files("tzdata.zoneinfo").joinpath("UTC").open("rb") as packaged:
        return ZoneInfo.from_file(packaged)


register(Boxed, encode=lambda boxed: boxed.held, decode=Boxed)
register(Angry, encode=lambda angry: vars(angry)["missing"], decode=lambda _: Angry())

PATHS: list[tuple[Any, str, str]] = [
    (LOCK, "result", "_thread.lock"),
    ({"a": [0, 1, 2, LOCK]}, "result['a'][3]", "_thread.lock"),
    ([(1, {"x": lambda: 1})], "result[0][1]['x']", "function"),
    ({(1, "k"): LOCK}, "result[(1, 'k')]", "_thread.lock"),
    ({LOCK: 1}, "list(result)[0]", "_thread.lock"),
    ([{LOCK}], "list(result[0])[0]", "_thread.lock"),
    (deque([1, LOCK]), "result[1]", "_thread.lock"),
    (Job("n", LOCK), "result.client", "_thread.lock"),
    ({"job": [Job("n", {"c": LOCK})]}, "result['job'][0].client['c']", "_thread.lock"),
    (Settings(lock=LOCK), "result.lock", "_thread.lock"),
    (slice(1, LOCK), "result.stop", "_thread.lock"),
    (MyList([1]), "result", f"{__name__}.MyList"),
    ([iter(())], "result[0]", "tuple_iterator"),
    ([int], "result[0]", "type"),
    ({"a": Opaque("m:C", {})}, "result['a']", "nbflow.serde.codec.Opaque"),
]


@pytest.mark.parametrize(("value", "path", "type_name"), PATHS)
def test_an_error_names_the_path_and_the_type(
    value: Any, path: str, type_name: str
) -> None:
    with pytest.raises(UnstorableValueError) as caught:
        encode(value, root="result")

    assert (caught.value.path, caught.value.type_name) == (path, type_name)


def test_an_error_says_why_where_the_type_alone_does_not_tell() -> None:
    cases = {
        "only a built-in type": defaultdict(lambda: 1),
        "more than 65536 bits": Fraction(1, 2**70000),
        "not one of the system's": _zone_without_a_name(),
    }

    for why, value in cases.items():
        with pytest.raises(UnstorableValueError, match=why):
            encode(value)


def test_a_zone_of_the_users_own_is_named() -> None:
    with pytest.raises(UnstorableValueError) as caught:
        encode([datetime(2024, 1, 1, tzinfo=Zone())])

    assert caught.value.path == "value[0].tzinfo"
    assert encode(datetime(2024, 1, 1, tzinfo=UTC))


def test_a_value_inside_a_registered_class_is_named() -> None:
    with pytest.raises(UnstorableValueError) as caught:
        encode([Boxed({"a": LOCK})], root="result")

    assert caught.value.path == "(the encoded form of result[0])['a']"


def test_an_error_of_a_users_codec_is_the_cause() -> None:
    with pytest.raises(UnstorableValueError, match="KeyError: 'missing'") as caught:
        encode({"a": Angry()})

    assert caught.value.path == "value['a']"
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_value_that_changes_while_it_is_written_is_refused() -> None:
    value: dict[str, Any] = {}

    class Growing:
        pass

    def grow(_: Growing) -> int:
        value[str(len(value))] = 1
        return 1

    register(Growing, encode=grow, decode=lambda _: Growing())
    value["a"] = Growing()

    with pytest.raises(UnstorableValueError, match="changed size"):
        encode(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = [1]
    value.append({"again": value})

    with pytest.raises(UnstorableValueError, match="nested more than 100 deep"):
        encode(value)


def test_a_value_that_is_nested_too_deeply_is_refused_with_a_short_path() -> None:
    value: Any = 0
    for _ in range(5000):
        value = (value,)

    with pytest.raises(UnstorableValueError, match="nested") as caught:
        encode(value)

    assert len(caught.value.path) < 100


def test_the_path_to_an_odd_number_or_text_is_found_too() -> None:
    value = {"big": 2**100, "text": "\ud800", "job": Job("n", LOCK)}

    with pytest.raises(UnstorableValueError) as caught:
        encode(value, root="result")

    assert caught.value.path == "result['job'].client"
