"""Which values are secret, and what stands in their place.

A secret *type* is never written. A secret *name* hides a value in what people
look at; it never changes what is stored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "MASK",
    "SECRET_NAMES",
    "SECRET_TYPES",
    "Redacted",
    "is_secret_name",
    "plain_names",
]

MASK = "**********"
"""What is shown of a secret."""

SECRET_TYPES = frozenset(
    {"pydantic:Secret", "pydantic:SecretBytes", "pydantic:SecretStr"}
)
"""Types whose instances, and whose subclasses' instances, are never written."""

SECRET_NAMES = frozenset(
    {
        "api_key",
        "apikey",
        "authorization",
        "credential",
        "credentials",
        "passwd",
        "password",
        "private_key",
        "secret",
        "token",
    }
)
"""Names whose values are hidden where people look."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """Stands where a secret was, which was not stored.

    Attributes
    ----------
    type_name : str
        The secret's type.
    """

    type_name: str = ""

    def __repr__(self) -> str:
        return MASK


def is_secret_name(name: object, names: frozenset[str] = SECRET_NAMES) -> bool:
    """Return whether values of this name are hidden where people look.

    Parameters
    ----------
    name : object
        A key or a field's name; only text can be a secret's name.
    names : frozenset of str, default SECRET_NAMES
        Names in lower case with underscores. A longer name counts if one of them is
        its last words.

    Examples
    --------
    >>> is_secret_name("OPENAI_API_KEY"), is_secret_name("max_tokens")
    (True, False)
    >>> is_secret_name("accessToken"), is_secret_name("X-Api-Key")
    (True, True)
    """
    if type(name) is not str or len(name) > 100:  # noqa: PLR2004 - a name, not a text
        return False
    return _ends_in_one(name, names)


@lru_cache(maxsize=1_024)  # The names of parameters are asked for at each call.
def _ends_in_one(name: str, names: frozenset[str]) -> bool:
    plain = _plain(name)
    return plain in names or any(plain.endswith(f"_{secret}") for secret in names)


def plain_names(names: str | Collection[str]) -> frozenset[str]:
    """Return names, or a single one, as `is_secret_name` wants them.

    Examples
    --------
    >>> plain_names("SSN"), sorted(plain_names(["Tax-Id", "birthDay"]))
    (frozenset({'ssn'}), ['birth_day', 'tax_id'])
    """
    return frozenset(map(_plain, [names] if isinstance(names, str) else names))


def _plain(name: str) -> str:
    if not name.islower():
        name = _HUMP.sub("_", name).lower()
    return name.replace("-", "_")


_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
