"""Instances of users' classes: rebuilt where the class is known, never imported."""

from __future__ import annotations

import enum
import gc
import sys
from dataclasses import InitVar, dataclass, field
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    HttpUrl,
    PrivateAttr,
    RootModel,
    create_model,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass

from nbflow.errors import (
    UnreadableValueError,
    UnregisteredTypeError,
    UnstorableValueError,
)
from nbflow.serde import (
    Opaque,
    decode,
    encode,
    encode_with_report,
    fingerprint,
    fingerprint_exact,
    register,
    registry,
)

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@dataclass
class Order:
    """A dataclass whose initialisation must not run again."""

    item: str
    tags: list[str] = field(default_factory=list)
    number: int = field(init=False, default=0)
    start: InitVar[int] = 0

    def __post_init__(self, start: int) -> None:
        self.number += 1 + start
        self.note = ("set after",)

    @cached_property
    def label(self) -> str:
        """Return a text that is kept once it was asked for."""
        return f"{self.item}!"


@dataclass(frozen=True, slots=True)
class Point:
    """A frozen dataclass with slots."""

    x: int
    y: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Point3(Point):
    """A subclass with a slot of its own."""

    z: int = 0


@dataclass
class Box(Generic[T]):
    """A generic dataclass."""

    held: T


class Pair(NamedTuple):
    """A named tuple."""

    left: int
    right: str = "r"


class Color(enum.Enum):
    """An enumeration with an alias."""

    RED = 1
    GREEN = "g"
    ALSO_RED = RED


class Level(enum.IntEnum):
    """An enumeration of integers."""

    LOW = 1


class Word(enum.StrEnum):
    """An enumeration of texts."""

    YES = "yes"


class Right(enum.Flag):
    """Flags that can be combined."""

    READ = 1
    WRITE = 2


class Node(BaseModel):
    """A model with a private attribute and itself inside."""

    name: str
    child: Node | None = None
    points: dict[str, Point] = {}
    _seen: int = PrivateAttr(default=0)


class Loose(BaseModel):
    """A model that takes any field."""

    model_config = ConfigDict(extra="allow")

    a: int = 1


class Numbers(RootModel[list[int]]):
    """A model of a list."""


class Crate(BaseModel, Generic[T]):
    """A generic model."""

    held: T


class Page(BaseModel):
    """A model with a URL."""

    url: HttpUrl


@pydantic_dataclass
class Checked:
    """A dataclass that pydantic validates."""

    a: int = 1


INSTANCES: list[Any] = [
    Order("x", ["t"], 5),
    Point(1, (2, 3)),
    Point3(1, (2,), 3),
    Box[int](3),
    Pair(1),
    Color.RED,
    Color.GREEN,
    Level.LOW,
    Word.YES,
    Right.READ,
    Right.READ | Right.WRITE,
    Right(0),
    Node(name="a", child=Node(name="b"), points={"p": Point(1)}),
    Loose.model_validate({"b": (1, 2)}),
    Numbers([1, 2]),
    Crate[int](held=1),
    Page(url=HttpUrl("http://localhost/a?b=c")),
    Checked(a=3),
]


@pytest.mark.parametrize("value", INSTANCES, ids=repr)
def test_an_instance_comes_back_equal_and_of_the_same_class(value: Any) -> None:
    back = decode(encode({"in": [value]}))["in"][0]

    assert type(back) is type(value)
    assert back == value
    assert fingerprint_exact(back) == fingerprint_exact(value) is not None


def test_attributes_that_are_no_fields_come_back_and_nothing_is_run_again() -> None:
    order = Order("x", start=5)

    back = decode(encode(order))

    assert vars(back) == {"item": "x", "tags": [], "number": 6, "note": ("set after",)}


def test_a_cached_property_does_not_change_the_fingerprint() -> None:
    order = Order("x")
    before = fingerprint(order)

    assert order.label == "x!"

    assert fingerprint(order) == before


def test_a_model_keeps_which_fields_were_set_and_its_private_attributes() -> None:
    node = Node(name="a")
    node._seen = 7

    back = decode(encode(node))

    assert back.model_fields_set == {"name"}
    assert back._seen == 7


def test_an_enumeration_comes_back_as_the_very_member() -> None:
    assert decode(encode([Color.ALSO_RED, Right.WRITE])) == [Color.RED, Right.WRITE]
    assert decode(encode(Color.RED)) is Color.RED


class Answer(enum.Enum):
    """An enumeration that makes up members."""

    NO = 0

    @classmethod
    def _missing_(cls, value: object) -> Any:
        made_up: Any = object.__new__(cls)
        made_up._name_, made_up._value_ = f"OTHER_{value}", value
        return made_up


def test_a_member_that_its_class_does_not_have_is_refused() -> None:
    with pytest.raises(UnstorableValueError, match="none of the members"):
        encode([Answer(7)])

    assert decode(encode(Answer(0))) is Answer.NO


def _remade(name: str, code: str) -> Any:
    module = sys.modules.setdefault("made_for_a_test", ModuleType("made_for_a_test"))
    exec(code, module.__dict__)  # noqa: S102 - as a cell that is run again
    return module.__dict__[name]


_DATACLASS = "from dataclasses import dataclass, field\n@dataclass\n"


def test_a_class_that_was_defined_anew_gives_instances_of_the_new_class() -> None:
    old = _remade("Thing", f"{_DATACLASS}class Thing:\n  a: int\n  gone: int = 1")
    data = encode(old(5))

    new = _remade(
        "Thing",
        f"{_DATACLASS}class Thing:\n  a: int\n  b: int = 2\n"
        "  c: list = field(default_factory=list)",
    )

    assert decode(data) == new(5, 2, [])


def test_a_field_without_a_default_that_was_added_since_is_named() -> None:
    old = _remade("Item", f"{_DATACLASS}class Item:\n  a: int")
    data = encode(old(5))
    _remade("Item", f"{_DATACLASS}class Item:\n  a: int\n  size: int")

    with pytest.raises(UnreadableValueError, match="has gained the field 'size'"):
        decode(data)

    assert decode(data, opaque=True) == Opaque("made_for_a_test:Item", {"a": 5})


def test_a_member_that_was_removed_since_is_named() -> None:
    old = _remade("Hue", "from enum import Enum\nclass Hue(Enum):\n  A = 1\n  B = 2")
    data = encode(old.B)
    _remade("Hue", "from enum import Enum\nclass Hue(Enum):\n  A = 1")

    with pytest.raises(UnreadableValueError, match=r"made_for_a_test:Hue.*'B'"):
        decode(data)


def _local_class() -> Any:
    @dataclass
    class Local:
        a: int

    return Local


@dataclass
class Opened:
    """A local class after it was moved to the top of its module."""

    a: int


@pytest.fixture(autouse=True)
def _registered_by_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_by_tag", dict(registry._by_tag))


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what forgets the classes that only this process knows."""
    return lambda: monkeypatch.setattr(registry, "_unnamed", {})


def test_a_class_that_is_not_known_is_an_error_that_names_the_line_to_add(
    elsewhere: Callable[[], None],
) -> None:
    module = ModuleType("gone_with_its_class")
    sys.modules[module.__name__] = module
    exec(f"{_DATACLASS}class Gone:\n  a: int", module.__dict__)  # noqa: S102 - a library's
    data = encode([module.__dict__["Gone"](1)])
    del sys.modules[module.__name__]
    elsewhere()

    with pytest.raises(UnregisteredTypeError, match=r"nbflow\.serde\.register\(Gone\)"):
        decode(data)


def test_a_local_class_that_is_not_known_can_be_registered_under_its_name(
    elsewhere: Callable[[], None],
) -> None:
    data = encode([_local_class()(1)])
    tag = f"{__name__}:_local_class.<locals>.Local"
    elsewhere()

    with pytest.raises(UnregisteredTypeError) as caught:
        decode(data)
    register(Opened, tag=tag)
    found = decode(data)

    assert f"nbflow.serde.register(Local, tag={tag!r})" in str(caught.value)
    assert found == [Opened(1)]


def test_a_class_that_is_not_known_can_be_looked_at(
    elsewhere: Callable[[], None],
) -> None:
    data = encode({"job": [_local_class()(1)]})
    elsewhere()

    (seen,) = decode(data, opaque=True)["job"]

    assert seen == Opaque(f"{__name__}:_local_class.<locals>.Local", {"a": 1})


def _local_instances() -> list[Any]:
    class Shade(enum.Enum):
        DARK = 1

    class Twin(NamedTuple):
        one: int

    class Leaf(BaseModel):
        name: str

    class Wrong(Exception):  # noqa: N818
        pass

    @dataclass
    class Outer:
        held: Any

        @dataclass
        class Inner:
            deep: int

    made: Any = create_model("MadeUp", q=(int, ...))
    return [
        Shade.DARK,
        Twin(1),
        Leaf(name="a"),
        Outer(Outer.Inner(2)),
        made(q=1),
        Wrong("x"),
    ]


@pytest.mark.parametrize("at", range(6))
def test_an_instance_of_a_local_class_comes_back_in_the_process_that_wrote_it(
    at: int,
) -> None:
    value = _local_instances()[at]

    back = decode(encode([value]))[0]

    assert type(back) is type(value)
    assert repr(back) == repr(value)


def test_a_local_class_is_known_as_long_as_the_process_lasts() -> None:
    data = encode(_local_class()(1))

    gc.collect()

    assert decode(data).a == 1


def test_the_class_that_a_running_function_has_defined_comes_first() -> None:
    def defined(made: bytes = b"") -> Any:
        @dataclass
        class Here:
            a: int

        return decode(made) == Here(1) if made else encode(Here(1))

    assert defined(defined()) is True


def test_the_report_names_classes_that_only_this_process_can_find() -> None:
    shade, twin, _, _, _, wrong = _local_instances()
    registered = register(_local_class())
    named = [Point(1), Color.RED, Node(name="a"), registered(1)]

    found = encode_with_report({"a": [shade, (twin, shade)], "b": [wrong, *named]})

    place = f"{__name__}:_local_instances.<locals>"
    assert found.unnamed == (f"{place}.Shade", f"{place}.Twin")


def test_a_model_that_is_not_known_shows_its_fields() -> None:
    node = Node(name="a", child=Node(name="b"))
    tag = f"{__name__}:Node"

    seen = decode(encode(node), opaque=True, trusted=False)

    assert seen.type_name == tag
    assert seen.data["child"].data == {"name": "b", "child": None, "points": {}}


def test_a_registered_local_class_comes_back() -> None:
    local = register(_local_class())

    back = decode(encode(local(1)))

    assert back == local(1)


def test_a_stranger_gets_no_instance_of_a_users_class() -> None:
    register(Pair)

    for value in (Point(1), Pair(1), Color.RED, Node(name="a")):
        with pytest.raises(UnregisteredTypeError):
            decode(encode(value), trusted=False)


def test_a_class_moves_with_its_tag() -> None:
    old = _remade("Old", f"{_DATACLASS}class Old:\n  a: int")
    register(old, tag="things/1")
    data = encode(old(1))

    again = _remade("Old", f"{_DATACLASS}class Old:\n  a: int")
    register(again, tag="things/1")

    assert type(decode(data)) is again
    assert b"made_for_a_test" not in data


class Celsius:
    """A class that no family admits."""

    def __init__(self, degrees: float) -> None:
        self.degrees = degrees


def test_a_class_with_a_codec_of_its_authors_comes_back() -> None:
    register(Celsius, encode=lambda it: (it.degrees,), decode=lambda it: Celsius(*it))

    back = decode(encode({"t": Celsius(21.5)}))["t"]

    assert type(back) is Celsius
    assert back.degrees == 21.5
    assert fingerprint_exact(back) == fingerprint_exact(Celsius(21.5)) is not None


def test_a_decoding_codec_may_decode_itself() -> None:
    @register(
        encode=lambda it: encode(it.held), decode=lambda data: Nested(decode(data))
    )
    class Nested:
        def __init__(self, held: Any) -> None:
            self.held = held

    back = decode(encode([Nested((1, Nested(2)))]))[0]

    assert back.held[1].held == 2


def test_register_says_what_is_missing() -> None:
    with pytest.raises(
        TypeError, match=r"register\(object, encode=\.\.\., decode=\.\.\.\)"
    ):
        register(object)
    with pytest.raises(TypeError, match="or neither"):
        register(Celsius, encode=lambda it: it.degrees)
    with pytest.raises(ValueError, match="has a codec"):
        register(dict, encode=list, decode=dict)


def test_a_tag_belongs_to_one_class() -> None:
    register(Point, tag="tests/point")

    with pytest.raises(ValueError, match=r"'tests/point' is .*:Point's"):
        register(Pair, tag="tests/point")
    with pytest.raises(ValueError, match="nbflow's own"):
        register(Pair, tag="langchain:AIMessage")


def test_messages_of_langchain_come_back_from_a_strangers_bytes() -> None:
    messages = pytest.importorskip("langchain_core.messages")
    call = {"name": "add", "args": {"a": (1,)}, "id": "1"}
    conversation = [
        messages.SystemMessage("s"),
        messages.HumanMessage([{"type": "text", "text": "x"}], id="h"),
        messages.AIMessage(
            "a",
            tool_calls=[call],
            usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
            response_metadata={"model": "m"},
            additional_kwargs={"k": 1},
        ),
        messages.ToolMessage("t", tool_call_id="1", artifact={1, 2}),
        messages.AIMessageChunk("c"),
    ]

    back = decode(encode(conversation), trusted=False)

    assert back == conversation
    assert [type(message) for message in back] == [type(m) for m in conversation]
    assert fingerprint_exact(back) == fingerprint_exact(conversation) is not None
    assert b"langchain_core" not in encode(conversation)
