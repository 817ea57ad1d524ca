"""Which texts of a value a field path names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow.store.texts import field_path, texts_at

VALUE: dict[str, Any] = {
    "title": "Fox",
    "pages": 3,
    "open": False,
    "none": None,
    "at": {"city": "Oslo", "street": {"name": "Main"}},
    "items": [{"text": "a", "n": 1}, {"text": "b"}, "loose"],
    "when": datetime(2026, 1, 2, tzinfo=UTC),
    "grid": [["x", "y"], ["z"]],
}


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("title", ["Fox"]),
        ("pages", ["3"]),
        ("open", ["False"]),
        ("none", []),
        ("missing", []),
        ("title.deeper", []),
        ("at.city", ["Oslo"]),
        ("at.street.name", ["Main"]),
        ("at.street", ['{"name": "Main"}']),
        ("at.*", ["Oslo", '{"name": "Main"}']),
        ("items[*].text", ["a", "b"]),
        ("items[0].text", ["a"]),
        ("items[-1]", ["loose"]),
        ("items[9].text", []),
        ("items[-9].text", []),
        ("items.*.text", ["a", "b"]),
        ("title[0]", []),
        ("grid[*][0]", ["x", "z"]),
        ("grid[1]", ['["z"]']),
        ("{title,at.city}", ["Fox", "Oslo"]),
        ("items[0].{text,n}", ["a", "1"]),
        ("when", ["2026-01-02 00:00:00+00:00"]),
    ],
)
def test_a_path_names_the_texts_that_stand_there(path: str, texts: list[str]) -> None:
    assert texts_at(VALUE, field_path(path)) == texts


@pytest.mark.parametrize("path", ["$", ""])
def test_the_whole_value_is_json_with_sorted_keys(path: str) -> None:
    value = {"b": datetime(2026, 1, 2, tzinfo=UTC), "a": "ø"}

    texts = texts_at(value, field_path(path))

    assert texts == ['{"a": "ø", "b": "2026-01-02 00:00:00+00:00"}']


@pytest.mark.parametrize("path", [".a", "a..b", "a.", "a[", "a[x]", "a[]", "{a", "a}"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not a path to a field"):
        field_path(path)


@given(path=st.text("ab.[]{}*,$-01 ", max_size=8))
def test_any_text_is_a_path_or_refused(path: str) -> None:
    try:
        steps = field_path(path)
    except ValueError:
        return
    assert all(isinstance(text, str) for text in texts_at(VALUE, steps))
