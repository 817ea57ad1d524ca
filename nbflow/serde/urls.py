"""Codec of pydantic's URLs, which its models often hold."""

from __future__ import annotations

from typing import Any

from nbflow.serde.codec import Codec, given, library

__all__ = ["URLS"]

_NAMES = (
    *("AnyHttpUrl", "AnyUrl", "AnyWebsocketUrl", "FileUrl", "FtpUrl"),
    *("HttpUrl", "WebsocketUrl"),
)


def _url_parts(value: Any) -> list[str]:
    return [type(value).__name__, str(value)]


def _url(parts: list[str]) -> Any:
    name, text = parts
    if given(name, str) == "Url":
        return library("pydantic_core").Url(text)
    if name not in _NAMES:
        raise ValueError(f"there is no URL of the kind {name!r}")
    return getattr(library("pydantic"), name)(text)


URLS: tuple[Codec, ...] = (
    Codec(
        97,
        ("pydantic_core:Url", *(f"pydantic:{name}" for name in _NAMES)),
        _url_parts,
        _url,
    ),
)
"""One line for each type; see `nbflow.serde.codec.Codec`."""
