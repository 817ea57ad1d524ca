"""Where something stands inside a value, in Python's syntax.

Walked only when there is something to report, so the encoder keeps no path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow.serde.codec import ATOMS, MAX_DEPTH, Codec
from nbflow.serde.codecs import known
from nbflow.serde.redact import Redacted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbflow.serde.codec import Children, Step

__all__ = ["innermost", "path_of", "redacted_paths", "secret_paths"]

MAX_STEPS = 20
"""More steps than this are cut: nobody reads them."""


def path_of(value: Any, culprit: Any, root: str) -> str:
    """Return the path to an object inside a value.

    Parameters
    ----------
    value : Any
        What is searched.
    culprit : Any
        The object, found by identity.
    root : str
        How the value is called.

    Returns
    -------
    str
        `root` alone where the object is not found.

    Examples
    --------
    >>> culprit = object()
    >>> path_of({"a": [1, culprit]}, culprit, "result")
    "result['a'][1]"
    """
    steps = next(_search(value, lambda item: item is culprit, ()), ())
    return _spelled(steps, root)


def innermost(value: Any, wanted: Callable[[Any], bool]) -> Any:
    """Return the innermost wanted object on the way into one; `value` is wanted."""
    for _ in range(MAX_DEPTH):
        inside = (child for _, child in _children(value) if type(child) not in ATOMS)
        found = next(filter(wanted, inside), None)
        if found is None:
            break
        value = found
    return value


def secret_paths(value: Any, secrets: list[Any], root: str) -> tuple[str, ...]:
    """Return the paths of the objects that were redacted, in order.

    Returns
    -------
    tuple of str
        `root` alone stands for secrets that can't be reached by a path.
    """
    if not secrets:
        return ()
    marks = set(map(id, secrets))
    found = _search(value, lambda item: id(item) in marks, ())
    return tuple(dict.fromkeys(_spelled(steps, root) for steps in found)) or (root,)


def redacted_paths(value: Any, root: str) -> tuple[str, ...]:
    """Return the paths of the marks that stand in the place of secrets, in order.

    Examples
    --------
    >>> redacted_paths({"user": "ann", "token": Redacted()}, "input")
    ("input['token']",)
    """
    found = _search(value, lambda item: type(item) is Redacted, ())
    return tuple(dict.fromkeys(_spelled(steps, root) for steps in found)) or (root,)


def _spelled(steps: tuple[Step, ...], root: str) -> str:
    path = root
    for step in steps[:MAX_STEPS]:
        spelled = step if isinstance(step, str) else step()
        path = spelled.replace("{}", path, 1)
    return path if len(steps) <= MAX_STEPS else f"{path}…"


def _search(
    value: Any, wanted: Callable[[Any], bool], above: tuple[Any, ...]
) -> Iterator[tuple[Step, ...]]:
    """Yield the steps to each wanted object."""
    if wanted(value):
        yield ()
        return
    if len(above) > MAX_DEPTH or any(value is container for container in above):
        return
    for step, child in _children(value):
        if type(child) not in ATOMS:
            for steps in _search(child, wanted, (*above, value)):
                yield (step, *steps)


def _children(value: Any) -> Children:
    kind = type(value)
    if kind is list:
        return ((f"{{}}[{index}]", item) for index, item in enumerate(value))
    codec, _ = known(kind)
    if isinstance(codec, Codec) and codec.pick is not None:
        codec = codec.pick(value)
    return () if codec is None else codec.children(value)
