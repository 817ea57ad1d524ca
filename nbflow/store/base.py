"""The contract of a store: dicts kept across threads, by namespace and key.

A store does one thing, a `batch` of operations; all else is said in terms of it,
once, here. Where items are kept, and what a run is, is not known here.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    NamedTuple,
    TypeAlias,
    TypedDict,
    assert_never,
    cast,
)

from nbflow.errors import NbflowError
from nbflow.store.matching import check_filter
from nbflow.store.texts import field_path
from nbflow.store.vectors import (
    AEmbeddingsFunc,
    Embeddings,
    EmbeddingsFunc,
    IndexConfig,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "NOT_PROVIDED",
    "AEmbeddingsFunc",
    "BaseStore",
    "Embeddings",
    "EmbeddingsFunc",
    "GetOp",
    "IndexConfig",
    "InvalidNamespaceError",
    "Item",
    "ListNamespacesOp",
    "MatchCondition",
    "NamespaceMatchType",
    "NamespacePath",
    "NotProvided",
    "Op",
    "PutOp",
    "Result",
    "SearchItem",
    "SearchOp",
    "TTLConfig",
    "checked",
    "checked_ttl_config",
]

Value: TypeAlias = dict[str, Any]
NamespacePath: TypeAlias = tuple[str, ...]
"""Labels of a namespace, or ``"*"`` for any one label."""
NamespaceMatchType: TypeAlias = Literal["prefix", "suffix"]

_RESERVED = frozenset({"langgraph", "nbflow"})


class NotProvided:
    """The type of `NOT_PROVIDED`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NOT_PROVIDED"

    def __bool__(self) -> Literal[False]:
        return False


NOT_PROVIDED: Final = NotProvided()
"""Stands where None would mean that an item is kept for ever."""


class InvalidNamespaceError(NbflowError, ValueError):
    """A namespace can't be used; nothing was read or stored."""


@dataclass(frozen=True, slots=True)
class Item:
    """A stored value and where it stands; a copy that no one else holds.

    Attributes
    ----------
    namespace : tuple of str
        Its labels, from the root.
    key : str
        Its name in the namespace.
    value : dict
        What was put.
    created_at, updated_at : datetime
        When it was first and last put; aware, UTC. Texts in ISO 8601 are taken
        too, so that ``Item(**item.dict())`` is the item again.
    """

    namespace: tuple[str, ...]
    key: str
    value: Value = field(hash=False)
    created_at: datetime
    updated_at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "namespace", tuple(self.namespace))
        for name in ("created_at", "updated_at"):
            if isinstance(given := getattr(self, name), str):
                object.__setattr__(self, name, datetime.fromisoformat(given))

    def dict(self) -> Value:
        """Return it as what JSON can say: a list for the namespace, ISO times."""
        return {
            "namespace": list(self.namespace),
            "key": self.key,
            "value": self.value,
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class SearchItem(Item):
    """An item that was found, and how near it is to the query.

    Attributes
    ----------
    score : float or None
        Cosine of its nearest vector, -1 to 1; None without a query, without an
        index, or where the item has no vectors.
    """

    score: float | None = None

    def dict(self) -> Value:
        """Return it as what JSON can say, with its score."""
        return {**Item.dict(self), "score": self.score}


class GetOp(NamedTuple):
    """Read one item; the result is an `Item` or None.

    Attributes
    ----------
    namespace : tuple of str
        Where it stands.
    key : str
        Its name there.
    refresh_ttl : bool, default True
        Let its time run from the start again.
    """

    namespace: tuple[str, ...]
    key: str
    refresh_ttl: bool = True


class SearchOp(NamedTuple):
    """Find items; the result is a list of `SearchItem`.

    Attributes
    ----------
    namespace_prefix : tuple of str
        Items of this namespace and all below; empty for all.
    filter : dict, optional
        What their values have to satisfy; see `BaseStore.search`.
    limit : int, default 10
        At most so many, >= 0.
    offset : int, default 0
        Leave out so many first, >= 0.
    query : str, optional
        Put the nearest first.
    refresh_ttl : bool, default True
        Let the time of what is returned run from the start again.
    """

    namespace_prefix: tuple[str, ...]
    filter: dict[str, Any] | None = None
    limit: int = 10
    offset: int = 0
    query: str | None = None
    refresh_ttl: bool = True


class MatchCondition(NamedTuple):
    """A pattern that namespaces have to fit.

    Attributes
    ----------
    match_type : str
        ``"prefix"`` or ``"suffix"``.
    path : tuple of str
        Labels, or ``"*"`` for any one label.
    """

    match_type: NamespaceMatchType
    path: NamespacePath


class ListNamespacesOp(NamedTuple):
    """Name the namespaces that hold items; the result is a list of tuples.

    Attributes
    ----------
    match_conditions : tuple of MatchCondition, optional
        A namespace has to fit them all.
    max_depth : int, optional
        Cut longer ones to so many labels, > 0, and name each once.
    limit : int, default 100
        At most so many, >= 0.
    offset : int, default 0
        Leave out so many first, >= 0.
    """

    match_conditions: tuple[MatchCondition, ...] | None = None
    max_depth: int | None = None
    limit: int = 100
    offset: int = 0


class PutOp(NamedTuple):
    """Store, replace or delete one item; the result is None.

    Attributes
    ----------
    namespace : tuple of str
        Where it is to stand.
    key : str
        Its name there.
    value : Mapping or None
        What is stored; None deletes.
    index : False or list of str, optional
        False makes no vectors; a list names fields in place of the store's own.
    ttl : float, optional
        Minutes until it is gone, > 0; None keeps it.
    """

    namespace: tuple[str, ...]
    key: str
    value: Mapping[str, Any] | None
    index: Literal[False] | list[str] | None = None  # type: ignore[assignment] # LangGraph's name hides a tuple's method
    ttl: float | None = None


Op: TypeAlias = GetOp | SearchOp | PutOp | ListNamespacesOp
Result: TypeAlias = Item | list[SearchItem] | list[tuple[str, ...]] | None


class TTLConfig(TypedDict, total=False):
    """How long items are kept unless a put says otherwise.

    Attributes
    ----------
    default_ttl : float or None, default None
        Minutes, > 0; None keeps them.
    refresh_on_read : bool, default True
        Whether a read lets an item's time run from the start again.
    sweep_interval_minutes : float or None, default 5
        How long what is gone may still take up room, > 0.
    omit_expired : bool
        Taken for programs that say it: what is gone is never returned.
    """

    default_ttl: float | None
    refresh_on_read: bool
    sweep_interval_minutes: float | None
    omit_expired: bool


class BaseStore(ABC):
    """What every store does; a subclass writes `batch`, and nothing more.

    All methods may be called from any thread at any time. The names that begin
    with an a do the same off the event loop.

    Attributes
    ----------
    supports_ttl : bool
        Whether ``ttl`` can be given to `put`.
    ttl_config : TTLConfig or None
        How long items are kept unless a put says otherwise.
    """

    supports_ttl: bool = False
    ttl_config: TTLConfig | None = None

    @abstractmethod
    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations together.

        All reads see the store as it was before the batch; then all puts are
        made, and of several to one key the last counts. Nothing is put unless
        everything is. What is returned is a fresh copy: it may be changed, and
        changing a value after it was put changes nothing.

        Parameters
        ----------
        ops : iterable of GetOp, SearchOp, PutOp or ListNamespacesOp
            What to do; a subclass begins with `checked`.

        Returns
        -------
        list
            A result for each operation, in their order.

        Raises
        ------
        InvalidNamespaceError
            A namespace can't be used.
        UnstorableValueError
            A value holds something that can't be stored; it names the path.
        TypeError, ValueError
            An operation that has no meaning.
        """

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry out operations together, in another thread; see `batch`."""
        return await asyncio.to_thread(self.batch, ops)

    def get(
        self,
        namespace: tuple[str, ...],
        key: str,
        *,
        refresh_ttl: bool | None = None,
    ) -> Item | None:
        """Return an item, or None if there is none or its time is over.

        Parameters
        ----------
        namespace : tuple of str
            Where it stands.
        key : str
            Its name there.
        refresh_ttl : bool, optional
            Let its time run from the start again; by default as the store's
            ``refresh_on_read`` says, else yes.
        """
        return cast(
            "Item | None", self.batch([self._get(namespace, key, refresh_ttl)])[0]
        )

    async def aget(
        self,
        namespace: tuple[str, ...],
        key: str,
        *,
        refresh_ttl: bool | None = None,
    ) -> Item | None:
        """Return an item; see `get`."""
        op = self._get(namespace, key, refresh_ttl)
        return cast("Item | None", (await self.abatch([op]))[0])

    def search(
        self,
        namespace_prefix: tuple[str, ...],
        /,
        *,
        query: str | None = None,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        limit: int = 10,
        offset: int = 0,
        refresh_ttl: bool | None = None,
    ) -> list[SearchItem]:
        """Return items of a namespace and all below it.

        Parameters
        ----------
        namespace_prefix : tuple of str
            The namespace; empty for all.
        query : str, optional
            Put the nearest first and those without vectors last. Without an
            index it says nothing.
        filter : dict, optional
            Fields of the value and what they equal, ``{"kind": "note"}``, or a
            dict of ``$eq $ne $gt $gte $lt $lte``, ``{"age": {"$gte": 18}}``. All
            have to hold. A dict asks of the fields inside. A missing field is
            None; what has no order is neither more nor less.
        limit : int, default 10
            At most so many, >= 0.
        offset : int, default 0
            Leave out so many first, >= 0.
        refresh_ttl : bool, optional
            Let the time of what is returned run from the start again; by
            default as the store's ``refresh_on_read`` says, else yes.

        Returns
        -------
        list of SearchItem
            Without a query, and where scores are the same, in the order in which
            they were first put.
        """
        paging = (limit, offset)
        op = self._search(namespace_prefix, query, filter, paging, refresh_ttl)
        return cast("list[SearchItem]", self.batch([op])[0])

    async def asearch(
        self,
        namespace_prefix: tuple[str, ...],
        /,
        *,
        query: str | None = None,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        limit: int = 10,
        offset: int = 0,
        refresh_ttl: bool | None = None,
    ) -> list[SearchItem]:
        """Return items of a namespace and all below it; see `search`."""
        paging = (limit, offset)
        op = self._search(namespace_prefix, query, filter, paging, refresh_ttl)
        return cast("list[SearchItem]", (await self.abatch([op]))[0])

    def put(
        self,
        namespace: tuple[str, ...],
        key: str,
        value: Mapping[str, Any] | None,
        index: Literal[False] | list[str] | None = None,
        *,
        ttl: float | NotProvided | None = NOT_PROVIDED,
    ) -> None:
        """Store an item, in place of the one that is there.

        Afterwards `get` returns it with the time of its first put and of this
        one. A second identical call changes that time only, and its ttl begins
        again.

        Parameters
        ----------
        namespace : tuple of str
            Labels from the root: at least one, none of them empty or with a
            ``.`` in it, and the first neither ``"langgraph"`` nor ``"nbflow"``.
        key : str
            Its name there.
        value : Mapping or None
            What is stored, as a dict; None deletes.
        index : False or list of str, optional
            False makes no vectors of it; a list names fields in place of the
            store's own. Without an index it says nothing.
        ttl : float, optional
            Minutes until it is gone, > 0; None keeps it. By default the store's
            ``default_ttl``.

        Raises
        ------
        InvalidNamespaceError
            The namespace can't be used.
        UnstorableValueError
            The value holds something that can't be stored; it names the path.
        NotImplementedError
            ``ttl`` was given to a store that does not support it.
        """
        self.batch([self._put(namespace, key, value, index, ttl)])

    async def aput(
        self,
        namespace: tuple[str, ...],
        key: str,
        value: Mapping[str, Any] | None,
        index: Literal[False] | list[str] | None = None,
        *,
        ttl: float | NotProvided | None = NOT_PROVIDED,
    ) -> None:
        """Store an item; see `put`."""
        await self.abatch([self._put(namespace, key, value, index, ttl)])

    def delete(self, namespace: tuple[str, ...], key: str) -> None:
        """Delete an item; where there is none, nothing happens."""
        self.batch([PutOp(namespace, str(key), None)])

    async def adelete(self, namespace: tuple[str, ...], key: str) -> None:
        """Delete an item; see `delete`."""
        await self.abatch([PutOp(namespace, str(key), None)])

    def list_namespaces(
        self,
        *,
        prefix: NamespacePath | None = None,
        suffix: NamespacePath | None = None,
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[tuple[str, ...]]:
        """Return the namespaces that hold items.

        Parameters
        ----------
        prefix, suffix : tuple of str, optional
            How they begin and end; ``"*"`` stands for any one label.
        max_depth : int, optional
            Cut longer ones to so many labels, > 0, and name each once.
        limit : int, default 100
            At most so many, >= 0.
        offset : int, default 0
            Leave out so many first, >= 0.

        Returns
        -------
        list of tuple of str
            Sorted.
        """
        conditions = _conditions(prefix, suffix)
        op = ListNamespacesOp(conditions, max_depth, limit, offset)
        return cast("list[tuple[str, ...]]", self.batch([op])[0])

    async def alist_namespaces(
        self,
        *,
        prefix: NamespacePath | None = None,
        suffix: NamespacePath | None = None,
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[tuple[str, ...]]:
        """Return the namespaces that hold items; see `list_namespaces`."""
        conditions = _conditions(prefix, suffix)
        op = ListNamespacesOp(conditions, max_depth, limit, offset)
        return cast("list[tuple[str, ...]]", (await self.abatch([op]))[0])

    def _get(
        self, namespace: tuple[str, ...], key: str, refresh_ttl: bool | None
    ) -> GetOp:
        return GetOp(namespace, str(key), self._refresh(refresh_ttl))

    def _search(
        self,
        namespace_prefix: tuple[str, ...],
        query: str | None,
        wanted: dict[str, Any] | None,
        paging: tuple[int, int],
        refresh_ttl: bool | None,
    ) -> SearchOp:
        refresh = self._refresh(refresh_ttl)
        return SearchOp(namespace_prefix, wanted, *paging, query, refresh)

    def _put(
        self,
        namespace: tuple[str, ...],
        key: str,
        value: Mapping[str, Any] | None,
        index: Literal[False] | list[str] | None,
        ttl: float | NotProvided | None,
    ) -> PutOp:
        if isinstance(ttl, NotProvided):
            ttl = (self.ttl_config or {}).get("default_ttl")
        elif ttl is not None and not self.supports_ttl:
            raise NotImplementedError(
                f"TTL is not supported by {type(self).__name__}. "
                "Use a store implementation that supports TTL or set ttl=None."
            )
        return PutOp(namespace, str(key), value, index, ttl)

    def _refresh(self, asked: bool | None) -> bool:
        if asked is not None:
            return asked
        return (self.ttl_config or {}).get("refresh_on_read", True)


def _conditions(
    prefix: NamespacePath | None, suffix: NamespacePath | None
) -> tuple[MatchCondition, ...]:
    conditions: list[MatchCondition] = []
    if prefix:
        conditions.append(MatchCondition("prefix", prefix))
    if suffix:
        conditions.append(MatchCondition("suffix", suffix))
    return tuple(conditions)


def checked(ops: Iterable[object]) -> list[Op]:
    """Return operations, all of which have a meaning.

    Parameters
    ----------
    ops : iterable
        What a batch was given.

    Returns
    -------
    list of GetOp, SearchOp, PutOp or ListNamespacesOp
        The same.

    Raises
    ------
    InvalidNamespaceError
        A namespace can't be used.
    TypeError
        Something is no operation, a key no text, or a value no mapping.
    ValueError
        A filter, field path, number or pattern has no meaning.
    """
    found: list[Op] = []
    for op in ops:
        if not isinstance(op, Op):
            raise TypeError(
                f"{op!r} is not an operation of a store. "
                "Use GetOp, SearchOp, PutOp or ListNamespacesOp."
            )
        _check(op)
        found.append(op)
    return found


def _check(op: Op) -> None:
    match op:
        case GetOp():
            _check_labels(op.namespace)
            _check_key(op.key)
        case PutOp():
            _check_put(op)
        case SearchOp():
            _check_labels(op.namespace_prefix)
            _check_page(op.limit, op.offset)
            check_filter(op.filter or {})
        case ListNamespacesOp():
            _check_page(op.limit, op.offset)
            _check_patterns(op)
        case _:
            assert_never(op)


def _check_put(op: PutOp) -> None:
    _check_labels(op.namespace)
    _check_key(op.key)
    _check_minutes("ttl", op.ttl)
    for path in op.index or ():
        field_path(path)
    if op.value is None:
        return
    if not isinstance(op.value, Mapping):
        raise TypeError(
            f"The value of {op.key!r} is a {type(op.value).__name__}, but a store "
            'keeps dicts. Put {"value": ...} instead.'
        )
    if not op.namespace:
        raise InvalidNamespaceError(
            "Namespace cannot be empty. Give at least one label, such as ('notes',)."
        )
    if op.namespace[0] in _RESERVED:
        raise InvalidNamespaceError(
            f'Root label for namespace cannot be "{op.namespace[0]}". '
            f"Got: {op.namespace}. Begin it with a label of your own."
        )


def _check_labels(namespace: Sequence[str]) -> None:
    if not isinstance(namespace, tuple):
        raise InvalidNamespaceError(
            f"A namespace is a tuple of labels, but {namespace!r} is a "
            f"{type(namespace).__name__}. Write it like ('users', 'ann')."
        )
    for label in namespace:
        wrong = _wrong_with(label)
        if wrong:
            raise InvalidNamespaceError(
                f"Invalid namespace label {label!r} found in {namespace}. "
                f"Namespace labels {wrong}."
            )


def _wrong_with(label: object) -> str:
    if not isinstance(label, str):
        return f"must be strings, but got {type(label).__name__}"
    if not label:
        return "cannot be empty strings"
    if "." in label:
        return "cannot contain periods ('.')"
    return "cannot contain NUL bytes ('\\x00')" if "\x00" in label else ""


def _check_key(key: object) -> None:
    if not isinstance(key, str):
        raise TypeError(
            f"The key {key!r} is a {type(key).__name__}, but a key is a text. "
            f"Use {str(key)!r}."
        )


def _check_page(limit: object, offset: object) -> None:
    for name, number in (("limit", limit), ("offset", offset)):
        if not isinstance(number, int) or number < 0:
            raise ValueError(f"{name} is {number!r}. Give a whole number, >= 0.")


def _check_patterns(op: ListNamespacesOp) -> None:
    for condition in op.match_conditions or ():
        _check_labels(condition.path)
        if condition.match_type not in {"prefix", "suffix"}:
            raise ValueError(
                f"Unsupported match type: {condition.match_type!r}. "
                'Use "prefix" or "suffix".'
            )
    if op.max_depth is not None and op.max_depth < 1:
        raise ValueError(
            f"max_depth is {op.max_depth!r}. Give a whole number > 0, or leave it out."
        )


def _check_minutes(name: str, minutes: object) -> None:
    if minutes is None:
        return
    if isinstance(minutes, int | float) and not isinstance(minutes, bool):
        in_range = 0 < minutes < math.inf
    else:
        in_range = False
    if not in_range:
        raise ValueError(
            f"{name} is {minutes!r}. Give minutes, > 0, or None to keep items."
        )


def checked_ttl_config(config: TTLConfig | None) -> TTLConfig | None:
    """Return a copy of a configuration of which all has a meaning.

    Raises
    ------
    ValueError
        A name is not known, or minutes are not > 0.
    """
    if config is None:
        return None
    unknown = sorted(set(config) - TTLConfig.__annotations__.keys())
    if unknown:
        known = ", ".join(sorted(TTLConfig.__annotations__))
        raise ValueError(f"A ttl config has no {unknown[0]!r}. It may have: {known}.")
    _check_minutes("default_ttl", config.get("default_ttl"))
    _check_minutes("sweep_interval_minutes", config.get("sweep_interval_minutes"))
    return config.copy()
