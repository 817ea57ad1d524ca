"""Stored bytes on their way into another's hands, or from another's into ours.

Secrets are taken out by the names they stand under, classes of a stranger are marked
as a stranger's, and pickles stay behind. Only the tags are read: no value is built, so
nothing that the bytes name is looked up, and no class has to be known.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec.msgpack import Decoder, Encoder, Ext

from nbflow.errors import UnreadableValueError
from nbflow.serde.codec import MAX_DEPTH, Codec, Family
from nbflow.serde.codecs import BY_CODE
from nbflow.serde.labels import labels_in
from nbflow.serde.pickles import PICKLED, describe
from nbflow.serde.redact import is_secret_name
from nbflow.serde.registry import is_built_in
from nbflow.serde.standard import ORDERED, PAIRS, REDACTED
from nbflow.serde.streams import MARK, Stream, split, write_streams
from nbflow.serde.tree import STREAMED

__all__ = ["FOREIGN", "from_stranger", "without_pickles", "without_secrets"]

FOREIGN: Final = "bundle:"
"""What the tag of a stranger's class begins with: no class here has such a tag,
unless somebody registers one with it."""

_DATACLASS: Final = 41
_IN_PAIRS: Final = frozenset({PAIRS, ORDERED})
_pack: Final = Encoder().encode
_COPIED_BYTES: Final = 1 << 10
_HIDDEN: Final = Ext(REDACTED, _pack(""))


def _extension(code: int, data: memoryview) -> Ext:
    # A copy of each would be held at every depth; a view takes more than a few bytes.
    return Ext(code, bytes(data) if len(data) <= _COPIED_BYTES else data)


_unpack: Final = Decoder(ext_hook=_extension).decode


def without_secrets(data: bytes, names: frozenset[str]) -> bytes:
    """Return a stored value without what stands under secret names.

    Parameters
    ----------
    data : bytes
        What `encode` returned.
    names : frozenset of str
        As in `is_secret_name`: keys of dicts, names of attributes, and labels of
        frames, tables and records. A frame is left out whole that has such a label,
        or that can't be looked into here.

    Returns
    -------
    bytes
        The value with `Redacted` in their places, and without pickles; the very same
        bytes where nothing was to be left out.

    Raises
    ------
    UnreadableValueError
        The bytes are not a stored value.
    """
    rewriting = _Rewriting(names, is_foreign=False)
    rewritten = rewriting.rewritten(data)
    return rewritten if rewriting.has_left_out else data


def from_stranger(data: bytes) -> bytes:
    """Return a stored value of which only built-in types are ever rebuilt.

    Pickles are taken out. Classes that are neither Python's, nbflow's nor of a library
    with codecs get another tag: they are read as `Opaque`, and a body that would
    receive one is told which tag to register.

    Raises
    ------
    UnreadableValueError
        The bytes are not a stored value, or hold what only its own store may read.
    """
    return _Rewriting(frozenset(), is_foreign=True).rewritten(data)


def without_pickles(data: bytes) -> bytes:
    """Return a stored value in which the place of pickles is taken by their types.

    Raises
    ------
    UnreadableValueError
        The bytes are not a stored value.
    """
    rewriting = _Rewriting(frozenset(), is_foreign=False)
    rewritten = rewriting.rewritten(data)
    return rewritten if rewriting.has_left_out else data


class _Rewriting:
    """One value on its way from bytes to bytes."""

    def __init__(self, names: frozenset[str], *, is_foreign: bool) -> None:
        self.names = names
        self.is_foreign = is_foreign
        self.places: set[int] = set()
        self.behind: list[memoryview] = []
        self.has_left_out = False

    def rewritten(self, data: bytes) -> bytes:
        """Return other bytes in the place of some."""
        try:
            if data[:1] != MARK:
                value, is_tagged = _unpacked(data)
                if not is_tagged and not self.names:
                    return data  # As what JSON has, it is nobody's.
                return _pack(self.walk(value, 0))
            tree, *self.behind = split(data)
            return self.joined(_pack(self.walk(_unpack(tree), 0)))
        except RecursionError as error:
            raise UnreadableValueError("they are nested too deeply") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError) as error:
            raise UnreadableValueError(str(error)) from error

    def joined(self, tree: bytes) -> bytes:
        """Return a tree with the parts it still refers to; the others are emptied."""
        held = bytearray()
        streams = [
            _stream(part if place in self.places else memoryview(b""))
            for place, part in enumerate(self.behind)
        ]
        write_streams(tree, streams, held.extend)
        return bytes(held)

    def walk(self, value: Any, depth: int) -> Any:
        """Return what stands in the place of a part of the tree."""
        if depth > 2 * MAX_DEPTH:
            raise UnreadableValueError("they are nested too deeply")
        match value:
            case dict():
                return {
                    key: self.under(key, item, depth) for key, item in value.items()
                }
            case list():
                return [self.walk(item, depth + 1) for item in value]
            case Ext():
                return self.extension(value, depth + 1)
            case _:
                return value

    def under(self, key: Any, item: Any, depth: int) -> Any:
        """Return what stands in the place of a value under a key."""
        if self.names and is_secret_name(_text_of(key), self.names):
            self.has_left_out = True
            return _HIDDEN
        return self.walk(item, depth + 1)

    def has_secret_label(self, ext: Ext) -> bool:
        """Return whether a frame holds something under a secret name."""
        try:
            found = labels_in(ext, self.behind)
            return any(is_secret_name(label, self.names) for label in found)
        except Exception:  # noqa: BLE001 - a library's, of what can't be looked into
            return True

    def extension(self, ext: Ext, depth: int) -> Ext:
        """Return what stands in the place of an extension."""
        if self.names and self.has_secret_label(ext):
            self.has_left_out = True
            return _HIDDEN
        if ext.code == STREAMED:
            return self.streamed(ext)
        codec = BY_CODE.get(ext.code)
        if codec is None:
            return ext
        if ext.code == PICKLED:
            return self.unpicklable(*describe(bytes(ext.data)))
        if isinstance(codec, Family):
            return self.instance(ext, depth)
        if codec.own_store_only and self.is_foreign:
            return self.marked(codec, ext)
        if codec.raw:
            return ext
        parts = _unpack(ext.data)
        if codec.code in _IN_PAIRS and type(parts) is list:
            keys, items = parts[::2], parts[1::2]
            flat: list[Any] = []
            for key, item in zip(keys, items, strict=False):
                flat += (self.walk(key, depth), self.under(key, item, depth))
            return Ext(ext.code, _pack(flat))
        return Ext(ext.code, _pack(self.walk(parts, depth)))

    def instance(self, ext: Ext, depth: int) -> Ext:
        """Return an instance of a class; a stranger's gets a tag that says so."""
        match _unpack(ext.data):
            case [str(tag), state]:
                if self.is_foreign and not is_built_in(tag):
                    tag = FOREIGN + tag.removeprefix(FOREIGN)
                return Ext(ext.code, _pack([tag, self.walk(state, depth)]))
            case _:
                raise UnreadableValueError("an instance in them has no class")

    def marked(self, codec: Codec, ext: Ext) -> Ext:
        """Return a stranger's class in place of what only its own store may read."""
        tag = f"{FOREIGN}{codec.types[0] if codec.types else codec.code}"
        return Ext(_DATACLASS, _pack([tag, {"data": bytes(ext.data)}]))

    def unpicklable(self, name: str, shown: dict[str, int]) -> Ext:
        """Return what is shown of a pickle, as an instance of a stranger's class."""
        self.has_left_out = True
        return Ext(_DATACLASS, _pack([f"{FOREIGN}{name}", shown]))

    def streamed(self, ext: Ext) -> Ext:
        """Take note of a part behind the tree, which stays as it is."""
        match _unpack(ext.data):
            case [int(code), int(place)]:
                codec = BY_CODE.get(code)
            case _:
                raise UnreadableValueError("a part behind them is not what they say")
        if code == PICKLED:
            return self.unpicklable("pickle", {})
        if isinstance(codec, Codec) and codec.own_store_only and self.is_foreign:
            return self.marked(codec, Ext(code, b""))
        self.places.add(place)
        return ext


def _unpacked(data: bytes) -> tuple[Any, bool]:
    """Return a tree, and whether anything in it is tagged."""
    tagged: list[Ext] = []

    def tag(code: int, part: memoryview) -> Ext:
        tagged.append(Ext(code, bytes(part)))
        return tagged[-1]

    value = Decoder(ext_hook=tag).decode(data)
    return value, bool(tagged)


def _text_of(key: Any) -> Any:
    return str(key, "utf-8", "replace") if isinstance(key, bytes) else key


def _stream(part: memoryview) -> Stream:
    return Stream(len(part), lambda sink: sink(part))
