"""Exceptions as values."""

from __future__ import annotations

import sys
import threading
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError, field_validator

from nbflow.errors import ReplayedTaskError, ThreadNotFoundError
from nbflow.serde import (
    decode,
    encode,
    encode_with_report,
    fingerprint,
    fingerprint_exact,
)


class RemoteError(Exception):
    """An exception whose __init__ takes other arguments than args."""

    def __init__(self, host: str, *, code: int) -> None:
        super().__init__(f"{host}: {code}")
        self.host = host
        self.code = code


class DiskError(OSError):
    """A user's exception over one with fields in C."""


class SlottedError(DiskError):
    """An exception that keeps an attribute outside of its dictionary."""

    __slots__ = ("retry_after", "unset")

    def __init__(self, seconds: float) -> None:
        super().__init__(11, "busy")
        self.retry_after = seconds


def raised(error: BaseException, cause: BaseException | None = None) -> Any:
    with pytest.raises(type(error)) as caught:
        raise error from cause
    return caught.value


FAILURES = [
    ValueError("bad", 1),
    KeyError("k"),
    FileNotFoundError(2, "no such file", "a.txt"),
    OSError(18, "cross-device", "a", None, "b"),
    DiskError(28, "full", "c"),
    ModuleNotFoundError("no x", name="x", path="p"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad start"),
    StopIteration(3),
    SystemExit(2),
    SyntaxError("bad", ("f.py", 1, 2, "x y", 1, 3)),
    RemoteError("h", code=500),
    ThreadNotFoundError("t", known=("a",)),
]


@pytest.mark.parametrize("error", FAILURES, ids=repr)
def test_an_exception_comes_back_with_type_message_and_attributes(
    error: BaseException,
) -> None:
    back = decode(encode(raised(error)))

    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.args == error.args
    assert fingerprint_exact(back) == fingerprint_exact(error) is not None
    for name in ("host", "code", "filename", "filename2", "name", "path", "value"):
        assert getattr(back, name, None) == getattr(error, name, None)


class Person(BaseModel):
    """A model whose errors are caught and replayed."""

    name: str
    age: int

    @field_validator("name")
    @classmethod
    def _is_short(cls, name: str) -> str:
        if len(name) > 5:
            raise ValueError("long")
        return name


@pytest.mark.parametrize(
    "data", ['{"name": "Penelope", "age": "old"}', '{"name": 1}', "{"]
)
def test_an_error_of_validation_comes_back_as_one(data: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Person.model_validate_json(data)

    back = decode(encode(caught.value))

    assert type(back) is ValidationError
    assert str(back) == str(caught.value)
    assert back.args == caught.value.args == ()
    assert str(back.errors()) == str(caught.value.errors())
    assert fingerprint(back) == fingerprint(caught.value)


def test_an_input_that_can_not_be_stored_is_a_text_in_an_error_of_validation() -> None:
    with pytest.raises(ValidationError) as caught:
        Person.model_validate({"name": threading.Lock(), "age": 1})

    back = decode(encode(caught.value))

    assert type(back) is ValidationError
    assert back.errors()[0]["input"] == "<_thread.lock>"


def test_a_secret_in_an_error_of_validation_is_not_written() -> None:
    secret = SecretStr("canary")
    with pytest.raises(ValidationError) as caught:
        Person.model_validate({"name": secret, "age": 1})

    encoded = encode_with_report(caught.value, root="result")

    assert b"canary" not in encoded.data
    assert encoded.secrets == ("result",)


def test_an_error_of_validation_that_says_nonsense_is_a_replayed_error() -> None:
    with pytest.raises(ValidationError) as caught:
        Person.model_validate({"name": "a", "age": "b"})
    data = encode(caught.value)

    back = decode(data.replace(b"\xa6Person\x91", b"\xc5\x00\x04none\x91"))

    assert type(back) is ReplayedTaskError


def test_an_attribute_in_a_slot_comes_back() -> None:
    back = decode(encode(raised(SlottedError(2.5))))

    assert type(back) is SlottedError
    assert back.retry_after == 2.5
    assert not hasattr(back, "unset")
    assert (
        fingerprint(back)
        == fingerprint(SlottedError(2.5))
        != fingerprint(SlottedError(3))
    )


def test_traceback_notes_and_cause_are_kept_as_texts() -> None:
    error = raised(ValueError("bad"), KeyError("why"))
    error.add_note("look here")

    back = decode(encode(error))

    assert back.__notes__ == ["look here"]
    assert "raise error from cause" in back.__nbflow_traceback__
    assert repr(back.__cause__) == """ReplayedTaskError('KeyError: "\\'why\\'"')""" or (
        str(back.__cause__) == "KeyError: 'why'"
    )


def test_the_first_traceback_survives_a_second_storing() -> None:
    once = decode(encode(raised(ValueError("bad"))))

    twice = decode(encode(raised(once)))

    assert twice.__nbflow_traceback__ == once.__nbflow_traceback__


def test_a_group_comes_back_with_its_members() -> None:
    group = ExceptionGroup("both", [ValueError(1), ExceptionGroup("in", [KeyError(2)])])

    back = decode(encode(group))

    assert type(back) is ExceptionGroup
    assert repr(back) == repr(group)


def test_arguments_that_can_not_be_stored_become_texts() -> None:
    error = ValueError("bad", threading.Lock(), (1,))
    error.client = threading.Lock()  # type: ignore[attr-defined]

    back = decode(encode(error))

    assert back.args == ("bad", "<_thread.lock>", (1,))
    assert back.client == "<_thread.lock>"
    assert fingerprint(back) == fingerprint(error)


def test_a_type_that_is_not_known_comes_back_as_a_replayed_error() -> None:
    module = ModuleType("gone_soon")
    sys.modules["gone_soon"] = module
    exec("class Lost(Exception): pass", module.__dict__)  # noqa: S102 - a library's class
    data = encode(raised(module.__dict__["Lost"]("why")))
    del sys.modules["gone_soon"]

    back = decode(data)

    assert type(back) is ReplayedTaskError
    assert (back.type_name, back.text) == ("gone_soon.Lost", "why")
    assert "Lost: why" in vars(back)["__nbflow_traceback__"]


def test_a_stranger_gets_built_in_exceptions_only() -> None:
    back = decode(encode([KeyError("k"), RemoteError("h", code=1)]), trusted=False)

    assert [type(error) for error in back] == [KeyError, ReplayedTaskError]


class Mute(Exception):  # noqa: N818
    """An exception that has no text."""

    def __str__(self) -> str:
        raise RuntimeError


def test_an_exception_whose_text_raises_is_stored_all_the_same() -> None:
    back = decode(encode(Mute("x")), trusted=False)

    assert type(back) is ReplayedTaskError
    assert back.text.endswith("Mute('x')")
