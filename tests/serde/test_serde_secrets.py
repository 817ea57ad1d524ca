"""Secret types are never written, wherever they stand."""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.msgpack import Ext
from msgspec.msgpack import encode as pack
from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from nbflow.errors import RedactedValueError
from nbflow.serde import (
    Redacted,
    decode,
    encode,
    encode_with_report,
    fingerprint,
    fingerprint_exact,
    is_secret_name,
    preview,
    redacted_paths,
)
from nbflow.serde.foreign import without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

CANARY = "canary-in-the-mine"


class Login(BaseModel):
    """A model with a secret field."""

    user: str
    password: SecretStr


class MySecret(SecretStr):
    """A user's subclass of a secret type."""


SECRETS: list[Any] = [
    SecretStr(CANARY),
    SecretBytes(CANARY.encode()),
    Secret[str](CANARY),
    MySecret(CANARY),
]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda it: type(it).__name__)
def test_no_byte_of_a_secret_is_written(secret: Any) -> None:
    value = {"in": [(secret,)], "error": ValueError(secret)}

    encoded = encode_with_report(value, root="result")

    assert CANARY.encode() not in encoded.data
    assert encoded.redacted
    assert encoded.secrets == ("result['in'][0][0]", "result['error'].args[0]")


def test_a_redacted_secret_comes_back_as_a_mark() -> None:
    login = Login(user="ann", password=SecretStr(CANARY))

    back = decode(encode(login))

    assert back.user == "ann"
    assert back.password == Redacted("pydantic.types.SecretStr")
    assert encode_with_report(back, root="result").secrets == ("result.password",)


def test_a_value_that_is_not_whole_is_refused_where_it_has_to_be() -> None:
    login = Login(user="ann", password=SecretStr(CANARY))

    with pytest.raises(RedactedValueError):
        decode(encode([{"in": (login,)}]), whole=True)

    assert decode(encode([{"in": ("ann",)}]), whole=True) == [{"in": ("ann",)}]


NAMES = st.sampled_from(["a", "token", "apiToken", "tokens"])
NAMED = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(NAMES, inner, max_size=3),
        st.dictionaries(NAMES, inner, max_size=3).map(OrderedDict),
        st.dictionaries(NAMES | st.tuples(NAMES), inner, max_size=3),
        st.builds(ValueError, inner),
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(NAMED)
def test_a_value_is_whole_just_where_no_secret_name_stands_in_it(value: Any) -> None:
    data = encode(value)

    shared = without_secrets(data, frozenset({"token"}))

    if shared is data:
        assert repr(decode(data, whole=True)) == repr(value)
        return
    with pytest.raises(RedactedValueError):
        decode(shared, whole=True)
    paths = redacted_paths(decode(shared), "value")
    assert all(path.rstrip("']").lower().endswith("token") for path in paths)


def test_a_value_without_secrets_reports_none() -> None:
    encoded = encode_with_report({"password": "plain", "n": 2**70})

    assert encoded.secrets == ()
    assert not encoded.redacted
    assert decode(encoded.data) == {"password": "plain", "n": 2**70}


def test_a_fingerprint_says_nothing_of_a_secret() -> None:
    one, other = SecretStr(CANARY), SecretStr("another")

    assert fingerprint(one) == fingerprint(other) == fingerprint(decode(encode(one)))
    assert fingerprint_exact({"key": one}) is None


def test_a_preview_hides_secret_types_and_secret_names() -> None:
    value = {
        "a": SECRETS[0],
        "login": Login(user="ann", password=SecretStr(CANARY)),
        "OPENAI_API_KEY": CANARY,
        "headers": {"Authorization": CANARY, "x-token": CANARY},
        "max_tokens": 5,
    }

    text = preview(value, 1000)

    assert CANARY not in text
    assert "'max_tokens': 5" in text
    assert "user='ann'" in text


def test_secret_names_can_be_others() -> None:
    names = frozenset({"pin"})

    assert preview({"pin": 1, "token": 2}, secret_names=names) == (
        "{'pin': **********, 'token': 2}"
    )
    assert not is_secret_name(("token",))


def test_names_are_looked_for_in_a_table_only_after_it_was_checked(
    run_script: Callable[..., str],
) -> None:
    labels = pa.table({"0": pa.array(["token", "n"], pa.large_string())})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, labels.schema) as stream:
        stream.write_table(labels)
    # Labels that stand eight gigabytes behind the others.
    far = struct.pack("<3q", 2**33 - 8, 2**33, 2**33 + 8)
    table = bytes(sink.getvalue()).replace(struct.pack("<3q", 0, 5, 6), far)
    column = [{0: ["string", "pyarrow", True]}, Ext(85, table), {}]
    index = Ext(72, pack([None, None, column]))
    data = pack([Ext(71, pack([None, index, [{}, None, {}], {}]))])
    script = (
        "from nbflow.serde.foreign import without_secrets\n"
        "from nbflow.serde import decode\n"
        f"print(decode(without_secrets({data!r}, frozenset({{'token'}}))))\n"
    )

    assert run_script(script) == "[**********]\n"
