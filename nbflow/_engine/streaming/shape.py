"""What a caller asked to see, and the form in which chunks are handed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from msgspec import Struct, field

from nbflow._values import StreamMode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["END_KEY", "PREVIOUS_KEY", "Chunk", "Shape", "keyed", "shape_of"]

END_KEY = "__end__"
PREVIOUS_KEY = "__previous__"
Chunk: TypeAlias = tuple[tuple[str, ...], StreamMode, Any]
"""A namespace, a mode, and what there is to say."""


class Shape(Struct, frozen=True, kw_only=True):
    """What a stream gives its reader.

    Attributes
    ----------
    modes : frozenset of str
        What the reader gets.
    printed : frozenset of str
        What is printed, whoever reads.
    named : bool
        Whether chunks come with their mode.
    subgraphs : bool
        Whether nested runs are shown too.
    version : {"v1", "v2"}
        Tuples, or dictionaries that say what they are.
    output_keys : str, sequence of str or None
        What stands for the result.
    stops_after : bool
        Whether the run ends with a static interrupt.
    """

    modes: frozenset[StreamMode]
    printed: frozenset[StreamMode] = field(default_factory=frozenset)
    named: bool = False
    subgraphs: bool = False
    version: Literal["v1", "v2"] = "v1"
    output_keys: str | Sequence[str] | None = None
    stops_after: bool = False

    @property
    def shown(self) -> frozenset[StreamMode]:
        """All modes that have to be made."""
        return self.modes | self.printed

    def handed(self, chunk: Chunk) -> Any:
        """Return a chunk in the form that the reader asked for."""
        namespace, mode, data = chunk
        if self.version == "v2":
            return _typed(namespace, mode, data)
        if self.subgraphs:
            return (namespace, mode, data) if self.named else (namespace, data)
        return (mode, data) if self.named else data

    def line(self, chunk: Chunk) -> str:
        """Return what is printed of a chunk."""
        namespace, mode, data = chunk
        graph = f"\033[33;1m[graph={namespace}]\033[0m " if namespace else ""
        return f"\033[1m[{mode}]\033[0m {graph}{data!r}"


def shape_of(
    stream_mode: str | Sequence[str] | None,
    *,
    default: StreamMode = "updates",
    print_mode: str | Sequence[str] = (),
    output_keys: str | Sequence[str] | None = None,
    version: str = "v1",
    subgraphs: bool = False,
    stops_after: bool = False,
) -> Shape:
    """Read what a caller asked to see.

    Raises
    ------
    ValueError
        A mode, a key or the version is unknown.
    """
    if version not in ("v1", "v2"):
        raise ValueError(f"version must be 'v1' or 'v2', not {version!r}")
    for key in _listed(output_keys):
        if key not in (END_KEY, PREVIOUS_KEY):
            raise ValueError(f"Key {key} not in channels")
    return Shape(
        modes=_modes("stream_mode", default if stream_mode is None else stream_mode),
        printed=_modes("print_mode", print_mode),
        named=stream_mode is not None and not isinstance(stream_mode, str),
        subgraphs=subgraphs,
        version=version,  # type: ignore[arg-type] # checked above
        output_keys=output_keys,
        stops_after=stops_after,
    )


def keyed(keys: str | Sequence[str] | None, value: Any, save: Any) -> Any:
    """Return the part of a result that `output_keys` names."""
    held = {END_KEY: value, PREVIOUS_KEY: save}
    if keys is None:
        return value
    return held[keys] if isinstance(keys, str) else {key: held[key] for key in keys}


def _listed(given: str | Sequence[str] | None) -> Sequence[str]:
    return () if given is None else (given,) if isinstance(given, str) else given


def _modes(name: str, given: str | Sequence[str]) -> frozenset[StreamMode]:
    known = get_args(StreamMode)
    if not isinstance(given, str | list | tuple | set | frozenset):
        raise TypeError(f"{name} must be a mode or a list of modes, not {given!r}")
    for mode in _listed(given):
        if mode not in known:
            raise ValueError(
                f"Unknown {name} {mode!r}. Known modes: {', '.join(known)}."
            )
    return frozenset(_listed(given))  # type: ignore[arg-type] # checked above


def _typed(namespace: tuple[str, ...], mode: StreamMode, data: Any) -> dict[str, Any]:
    part = {"type": mode, "ns": namespace, "data": data}
    if mode != "values":
        return part
    asked: Any = ()
    if isinstance(data, dict) and "__interrupt__" in data:
        asked = data["__interrupt__"]
        part["data"] = {k: v for k, v in data.items() if k != "__interrupt__"}
    return {**part, "interrupts": asked}
