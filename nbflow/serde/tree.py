"""Values to tagged bytes and back.

Plain data is MessagePack as it is. Everything else is an extension: the number
of a codec and its parts, which are values again. Reading dispatches on these
numbers only; what the bytes name is looked up, never imported or called.
"""

from __future__ import annotations

import threading
from functools import cached_property
from gc import get_referents
from io import BytesIO
from itertools import chain, product
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.msgpack import Decoder, Encoder, Ext

from nbflow.errors import (
    PickleNotAllowedError,
    RedactedValueError,
    StoredValueError,
    UnreadableValueError,
    UnregisteredTypeError,
    UnstorableValueError,
)
from nbflow.serde.codec import (
    ATOMS,
    MAX_DEPTH,
    Attempt,
    Codec,
    Family,
    Opaque,
    Refusal,
    given,
    name_of,
)
from nbflow.serde.codecs import BY_CODE, known
from nbflow.serde.paths import innermost, path_of, secret_paths
from nbflow.serde.pickles import PICKLED, describe, dump, load
from nbflow.serde.registry import is_unnamed, resolve
from nbflow.serde.standard import PAIRS, REDACTED, TUPLE, spread
from nbflow.serde.streams import (
    MARK,
    STREAM_FROM_BYTES,
    Stream,
    split,
    write_streams,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.serde.streams import Sink

__all__ = ["MANY", "Encoded", "decode", "encode", "encode_with_report", "is_plain"]

MANY = 16
"""From here on it pays to look whether a container is plain."""

_CAREFUL = ATOMS - {int, str}
_CONTAINERS = frozenset({dict, list})
_PLAIN = ATOMS | _CONTAINERS
STREAMED = 120
_pack = Encoder().encode


class Encoded(msgspec.Struct, frozen=True, dict=True):
    """Stored bytes, and what was left out of them.

    Attributes
    ----------
    tree : bytes
        All of the bytes, unless there are streams.
    secrets : tuple of str
        Paths of the secrets that were redacted, in Python's syntax.
    streams : tuple of Stream
        Large parts of the value, which are not copied before they are asked for.
    unnamed : tuple of str
        Classes in it that only this process can find, as ``module:qualname``.
    """

    tree: bytes
    secrets: tuple[str, ...] = ()
    streams: tuple[Stream, ...] = ()
    unnamed: tuple[str, ...] = ()

    @cached_property
    def data(self) -> bytes:
        """What `decode` reads, in one piece."""
        if not self.streams:
            return self.tree
        held = BytesIO()
        self.write(held.write)
        return held.getvalue()

    def write(self, sink: Sink) -> None:
        """Write what `decode` reads, piece by piece.

        Until then the value must not change.
        """
        if self.streams:
            write_streams(self.tree, self.streams, sink)
        else:
            sink(self.tree)

    @property
    def redacted(self) -> bool:
        """Whether a secret was left out."""
        return bool(self.secrets)


def encode(value: Any, *, root: str = "value") -> bytes:
    """Return a value as bytes, as it is now.

    Parameters
    ----------
    value : Any
        Plain data, or any type that a codec is for; see the guide's list.
        Instances of secret types are written as a mark, never their content.
    root : str, default "value"
        How the value is called in an error.

    Returns
    -------
    bytes
        What `decode` makes an equal value of the same type from.

    Raises
    ------
    UnstorableValueError
        If something in it can't be stored; it names the path to it.

    Examples
    --------
    >>> decode(encode({"point": (1, 2.5)}))
    {'point': (1, 2.5)}
    """
    return _encode(value, root).data


def encode_with_report(
    value: Any, *, root: str = "value", pickles: bool = False
) -> Encoded:
    """Return a value as bytes, and say which secrets were left out, and more.

    Other parameters and the errors are those of `encode`.

    Parameters
    ----------
    pickles : bool, default False
        Pickle the value, as a whole, where part of it can't be stored otherwise.
    """
    try:
        return _encode(value, root)
    except UnstorableValueError:
        if not pickles:
            raise
    return _pickled(value, root)


def _pickled(value: Any, root: str) -> Encoded:
    # As a whole: two objects that share a third one still do when they come back.
    try:
        data, redacted = dump(value)
    except Exception as error:  # pickling runs the methods of users' classes
        culprit = innermost(value, _can_not_be_pickled)
        path = path_of(value, culprit, root)
        why = f"{type(error).__name__}: {error}"
        raise UnstorableValueError(path, name_of(type(culprit)), why=why) from error
    secrets = (root,) if redacted else ()
    if len(data) < STREAM_FROM_BYTES:
        return Encoded(_pack(Ext(PICKLED, data)), secrets)
    stream = Stream(len(data), lambda sink: sink(data))
    return Encoded(_pack(Ext(STREAMED, _pack([PICKLED, 0]))), secrets, (stream,))


def _can_not_be_pickled(value: Any) -> bool:
    try:
        dump(value)
    except Exception:  # noqa: BLE001 - pickling runs the methods of users' classes
        return True
    return False


def _encode(value: Any, root: str) -> Encoded:
    culprit = value
    try:
        writing = _Writing(ATOMS)
        try:
            if type(value) in ATOMS:
                return Encoded(_pack(value))
            tree = _pack(writing.lower(value, 0))
        except (OverflowError, UnicodeEncodeError):
            # A long integer or half of a surrogate pair: look at each of them.
            writing = _Writing(_CAREFUL)
            tree = _pack(writing.lower(value, 0))
    except Refusal as refusal:
        culprit, why, cause = refusal.value, refusal.why, refusal.__cause__
    except RecursionError as error:
        why, cause = "it is nested too deeply", error
    except (RuntimeError, ValueError) as error:
        # It changed size meanwhile, or is longer than MessagePack can say.
        why, cause = str(error), error
    else:
        if not (writing.secrets or writing.streams or writing.unnamed):
            return Encoded(tree)
        secrets = secret_paths(value, writing.secrets, root)
        unnamed = tuple(dict.fromkeys(writing.unnamed))
        return Encoded(tree, secrets, tuple(writing.streams), unnamed)
    path = path_of(value, culprit, root)
    raise UnstorableValueError(path, name_of(type(culprit)), why=why) from cause


def is_plain(value: Any, keys: frozenset[type] = ATOMS) -> bool:
    """Return whether a value is made of nothing but lists, dicts and atoms.

    A level is looked at as a whole, which is several times faster than value
    by value for the many rows that a task may return.

    Parameters
    ----------
    value : Any
        A list or a dict.
    keys : frozenset of type, default ATOMS
        The types that keys may have.
    """
    level = [value]
    for _ in range(MAX_DEPTH):
        kinds = set(map(type, level))
        if kinds <= ATOMS:
            return True
        if not kinds <= _PLAIN:
            return False
        if not kinds.isdisjoint(ATOMS):
            level = [item for item in level if type(item) in _CONTAINERS]
        if keys is not ATOMS and dict in kinds:
            dicts = (item for item in level if type(item) is dict)
            if not keys.issuperset(map(type, chain.from_iterable(dicts))):
                return False
        level = get_referents(*level)  # items, values, and keys that are no texts
    return False


class _Writing:
    """One value on its way to what MessagePack holds.

    A value's parts stand as deep as the value itself.
    """

    __slots__ = ("atoms", "secrets", "streams", "unnamed")

    def __init__(self, atoms: frozenset[type]) -> None:
        self.atoms = atoms
        self.secrets: list[Any] = []
        self.streams: list[Stream] = []
        self.unnamed: list[str] = []

    def lower(self, value: Any, depth: int) -> Any:
        """Return what MessagePack holds in a value's place."""
        kind, atoms = type(value), self.atoms
        if kind in atoms:
            return value
        if depth > MAX_DEPTH:
            raise Refusal(value, f"it is nested more than {MAX_DEPTH} deep")
        if kind is tuple:
            return Ext(TUPLE, _pack(self.lower_items(value, depth + 1)))
        if kind is not dict and kind is not list:
            return self.lower_rare(value, kind, depth)
        if len(value) > MANY and atoms is ATOMS and is_plain(value):
            return value
        lower = self.lower_dict if kind is dict else self.lower_items
        return lower(value, depth + 1)

    def lower_items(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        """Return a list of what MessagePack holds in place of items."""
        atoms, lower = self.atoms, self.lower
        return [item if type(item) in atoms else lower(item, depth) for item in value]

    def lower_dict(self, value: dict[Any, Any], depth: int) -> Any:
        """Return a dict whose keys MessagePack can hold, or pairs."""
        atoms, lower = self.atoms, self.lower
        if atoms.issuperset(map(type, value)):
            return {
                key: item if type(item) in atoms else lower(item, depth)
                for key, item in value.items()
            }
        pairs = [(lower(k, depth), lower(v, depth)) for k, v in value.items()]
        if any(type(key) is Ext for key, _ in pairs):
            _made(spread, value)
            return Ext(PAIRS, _pack(list(chain.from_iterable(pairs))))
        return dict(pairs)

    def lower_rare(self, value: Any, kind: type, depth: int) -> Any:
        """Return the extension that holds a value with a codec."""
        if kind is Attempt:
            return self.lower_attempt(value, depth)
        if kind in ATOMS and _fits(value):
            return value
        codec, tag = known(kind)
        if codec is None:
            raise Refusal(value)
        if isinstance(codec, Family):
            if codec.without_class is None and is_unnamed(tag):
                self.unnamed.append(tag)
            state = self.lower(_made(codec.to_state, value), depth)
            return Ext(codec.code, _pack([tag, state]))
        if codec.pick is not None:
            codec = codec.pick(value)
        if codec.code == REDACTED:
            self.secrets.append(value)
        parts = _made(codec.to_parts, value)
        if type(parts) is Stream:
            self.streams.append(parts)
            return Ext(STREAMED, _pack([codec.code, len(self.streams) - 1]))
        return Ext(codec.code, parts if codec.raw else _pack(self.lower(parts, depth)))

    def lower_attempt(self, attempt: Attempt, depth: int) -> Any:
        """Return a part if it can be stored, else the text in its place."""
        noted: tuple[list[Any], ...] = (self.secrets, self.streams, self.unnamed)
        before = [len(each) for each in noted]
        try:
            return self.lower(attempt.value, depth + 1)
        except Refusal:
            for each, length in zip(noted, before, strict=True):
                del each[length:]
            return self.lower(attempt.otherwise, depth)


def _fits(value: Any) -> bool:
    """Return whether MessagePack can hold an integer or a text as it is."""
    try:
        _pack(value)
    except (OverflowError, UnicodeEncodeError):
        return False
    return True


def _made(make: Callable[[Any], Any], value: Any) -> Any:
    try:
        return make(value)
    except Refusal:
        raise
    except Exception as error:  # a library's or an author's codec may raise anything
        raise Refusal(value, f"{type(error).__name__}: {error}") from error


def decode(
    data: bytes,
    *,
    opaque: bool = False,
    trusted: bool = True,
    pickles: bool = False,
    whole: bool = False,
) -> Any:
    """Return a fresh copy of the value that was stored.

    Parameters
    ----------
    data : bytes
        What `encode` returned. Any other bytes raise, or happen to be a value;
        nothing that they name is imported or called.
    opaque : bool, default False
        Put an `Opaque` where a value's class is not known, instead of raising.
        For looking at only: such a value can't be stored again.
    trusted : bool, default True
        Rebuild users' classes: those that are registered, or stand in a module
        that is imported already. False rebuilds only types that Python, nbflow
        and the libraries with codecs define.
    pickles : bool, default False
        Unpickle what was pickled, which runs whatever the bytes say. Only for bytes
        that this process made, or of a store that the reader trusts; never without
        `trusted`.
    whole : bool, default False
        Refuse a value of which something was left out, instead of putting `Redacted`
        in its place.

    Returns
    -------
    Any
        A value equal to the stored one, and of the same type.

    Raises
    ------
    UnregisteredTypeError
        If a value's class is not known; it names the line to add.
    PickleNotAllowedError
        If it is a pickle, and `pickles` is False.
    RedactedValueError
        If it is not whole, and has to be.
    UnreadableValueError
        If the bytes are not a stored value. All of these are a `StoredValueError`,
        and no bytes give another error.

    Examples
    --------
    >>> decode(encode({1, 2}))
    {1, 2}
    """
    return _READINGS[opaque, trusted, pickles, whole].read(data)


class _Depth(threading.local):
    """How many extensions are being read inside each other in this thread.

    And the parts that stand behind the tree that is being read.
    """

    now = 0
    parts: list[memoryview | None] = []  # noqa: RUF012 - replaced, never changed


_depth = _Depth()


class _Reading:
    """One way to read stored bytes: what to do about classes."""

    def __init__(
        self, *, opaque: bool, trusted: bool, pickles: bool, whole: bool
    ) -> None:
        self.opaque = opaque
        self.trusted = trusted
        self.pickles = pickles and trusted
        self.whole = whole
        self.unpack = Decoder(ext_hook=self.extension).decode

    def read(self, data: bytes) -> Any:
        """Return the value that stands in some bytes."""
        try:
            return self.unpack(data) if data[:1] != MARK else self.read_split(data)
        except StoredValueError:
            raise
        except RecursionError as error:
            raise UnreadableValueError("they are nested too deeply") from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UnreadableValueError(str(error)) from error

    def read_split(self, data: bytes) -> Any:
        """Return the value of a tree and the parts behind it."""
        before = _depth.parts
        try:
            found = split(data)
            _depth.parts = [*found[1:]]
            return self.unpack(found[0])
        finally:
            _depth.parts = before

    def extension(self, code: int, data: memoryview) -> Any:
        """Return the value of one extension."""
        if _depth.now >= 2 * MAX_DEPTH:
            raise UnreadableValueError("they are nested too deeply")
        _depth.now += 1
        try:
            if code == STREAMED:
                return self.streamed(self.unpack(data))
            codec = BY_CODE.get(code)
            if codec is None:
                return self.unknown(f"extension {code}", bytes(data))
            if isinstance(codec, Family):
                return self.instance(codec, self.unpack(data))
            parts = data if codec.raw else self.unpack(data)
            return self.rebuilt(codec, parts)
        finally:
            _depth.now -= 1

    def streamed(self, reference: Any) -> Any:
        """Return the value of a codec whose bytes stand behind the tree."""
        parts = _depth.parts
        match reference:
            case [int(code), int(place)] if 0 <= place < len(parts):
                codec, part = BY_CODE.get(code), parts[place]
            case _:
                codec = part = None
        if not isinstance(codec, Codec) or not codec.raw or part is None:
            raise UnreadableValueError("a part behind them is not what they say")
        parts[place] = None  # Each is read once: a few bytes can't ask for many.
        return self.rebuilt(codec, part)

    def rebuilt(self, codec: Codec, parts: Any) -> Any:
        """Return the value of a codec's parts."""
        if codec.code == PICKLED:
            return self.unpickled(parts)
        if codec.code == REDACTED and self.whole:
            raise RedactedValueError(("part of it",))
        if codec.own_store_only and not self.trusted:
            return self.unknown(codec.types[0], parts)
        try:
            if type(parts) not in codec.parts and not codec.raw:
                given(parts, *codec.parts)
            return codec.from_parts(parts)
        except Exception as error:  # noqa: BLE001 - constructors given what was read
            name = (codec.types or (codec.base or "array of objects",))[0]
            return self.failed(name, parts, error)

    def unpickled(self, data: memoryview) -> Any:
        """Return what was pickled if the reader asked for it, else a stand-in."""
        name, shown = describe(data)
        if self.pickles:
            try:
                return load(data)
            except Exception as error:  # noqa: BLE001 - it runs whatever it says
                return self.failed(name, shown, error)
        if self.opaque:
            return Opaque(name, shown)
        raise PickleNotAllowedError(name)

    def instance(self, family: Family, parts: Any) -> Any:
        """Return an instance of a user's class."""
        if type(parts) is not list or len(parts) != 2 or type(parts[0]) is not str:  # noqa: PLR2004 - tag and state
            raise UnreadableValueError("an instance in them has no class")
        tag, state = parts
        try:
            cls = resolve(tag, trusted=self.trusted)
            if cls is not None and family.admits(cls):
                return family.from_state(cls, given(state, *family.state))
            if family.without_class is not None:
                return family.without_class(tag, given(state, *family.state))
            if self.opaque:
                return Opaque(tag, family.shown(state))
        except Exception as error:  # noqa: BLE001 - the class may have changed
            return self.failed(tag, state, error)
        raise UnregisteredTypeError(tag)

    def unknown(self, name: str, held: Any) -> Any:
        """Return what stands for a value whose class is not known, or raise."""
        if self.opaque:
            return Opaque(name, held)
        raise UnregisteredTypeError(name)

    def failed(self, name: str, held: Any, error: Exception) -> Any:
        """Return what stands for a value that can't be rebuilt, or raise."""
        if self.opaque:
            return Opaque(name, bytes(held) if type(held) is memoryview else held)
        reason = f"{type(error).__name__}: {error}"
        raise UnreadableValueError(
            f"a {name} in them can't be rebuilt: {reason}"
        ) from error


_READINGS = {
    ways: _Reading(opaque=ways[0], trusted=ways[1], pickles=ways[2], whole=ways[3])
    for ways in product((False, True), repeat=4)
}
