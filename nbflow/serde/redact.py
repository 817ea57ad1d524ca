"""Which values are secret, and what stands in their place.

A secret *type* is never written. A secret *name* hides a value in what people
look at; it never changes what is stored.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "MASK",
    "SECRET_NAMES",
    "SECRET_TYPES",
    "Redacted",
    "is_secret_name",
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
        Names in lower case with underscores. A longer name counts if it ends
        with an underscore and one of them.

    Examples
    --------
    >>> is_secret_name("OPENAI_API_KEY"), is_secret_name("max_tokens")
    (True, False)
    """
    if type(name) is not str or len(name) > 100:  # noqa: PLR2004 - a name, not a text
        return False
    plain = name.lower().replace("-", "_")
    return plain in names or any(plain.endswith(f"_{secret}") for secret in names)
