"""Texts to vectors by the user's own function, and how near two of them are.

NumPy does the arithmetic where it is installed; it is loaded at the first search
with a query. Items and namespaces are not known here.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import sys
import threading
from array import array
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict, runtime_checkable

from nbflow.serde.codec import library
from nbflow.store.texts import WHOLE, FieldPath, field_path

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "AEmbeddingsFunc",
    "Embeddings",
    "EmbeddingsFunc",
    "Index",
    "IndexConfig",
    "Vector",
    "cosines",
    "cosines_of_packed",
    "cosines_of_rows",
    "index_of",
    "packed",
]

EmbeddingsFunc: TypeAlias = Callable[[list[str]], Sequence[Sequence[float]]]
"""Returns a vector for each text, in order."""

AEmbeddingsFunc: TypeAlias = Callable[[list[str]], Awaitable[Sequence[Sequence[float]]]]
"""The same, awaited."""

Vector: TypeAlias = "array[float]"
"""Eight-byte floats, of length one unless all are zero."""


@runtime_checkable
class Embeddings(Protocol):
    """What LangChain's embeddings can do, as far as a store asks for it."""

    def embed_documents(self, texts: list[str], /) -> list[list[float]]:
        """Return a vector for each text that is stored."""

    def embed_query(self, text: str, /) -> list[float]:
        """Return the vector of a text that is searched for."""


class IndexConfig(TypedDict, total=False):
    """How a store makes vectors of what is put.

    Attributes
    ----------
    dims : int
        Length of a vector, > 0. Required.
    embed : Embeddings or callable
        A function from texts to vectors, an ``async`` one, or LangChain
        embeddings. Required. An async function runs on an event loop of its own
        that ends with the call, so it must not keep connections between calls.
    fields : list of str, default ["$"]
        Paths to the texts of a value, such as ``"title"``, ``"at.city"`` or
        ``"items[*].text"``; ``"$"`` is the whole value as JSON. Each text gets a
        vector; an item is as near as its nearest.
    """

    dims: int
    embed: Embeddings | EmbeddingsFunc | AEmbeddingsFunc
    fields: list[str] | None


@dataclass(frozen=True, slots=True)
class Index:
    """An `IndexConfig` that was checked.

    Attributes
    ----------
    dims : int
        Length of a vector.
    embed : Embeddings or callable
        What makes vectors.
    paths : tuple of FieldPath
        Where the texts of a value stand, unless a put says otherwise.
    """

    dims: int
    embed: Any
    paths: tuple[FieldPath, ...]

    def of_texts(self, texts: Iterable[str]) -> dict[str, Vector]:
        """Return the vectors of texts to store; each text is embedded once.

        Raises
        ------
        ValueError
            The function returned too few or too many vectors, or one that has
            another length or a number that is not finite.
        """
        asked = list(dict.fromkeys(texts))
        if not asked:
            return {}
        given = (
            self.embed.embed_documents(asked)
            if isinstance(self.embed, Embeddings)
            else _call(self.embed, asked)
        )
        return self._vectors(asked, given)

    def of_queries(self, queries: Iterable[str]) -> dict[str, Vector]:
        """Return the vectors of texts to search for; errors as `of_texts`."""
        if not isinstance(self.embed, Embeddings):
            return self.of_texts(queries)
        asked = list(dict.fromkeys(queries))
        return self._vectors(asked, [self.embed.embed_query(query) for query in asked])

    def _vectors(self, texts: list[str], given: Any) -> dict[str, Vector]:
        vectors = list(given)
        if len(vectors) != len(texts):
            raise ValueError(
                f"The index's embed returned {len(vectors)} vectors for {len(texts)} "
                "texts. It has to return one for each, in order."
            )
        made = map(self._vector, vectors)
        return dict(zip(texts, made, strict=True))

    def _vector(self, given: Iterable[float]) -> Vector:
        numbers = array("d", (float(number) for number in given))
        if len(numbers) != self.dims:
            raise ValueError(
                f"The index's embed returned a vector of {len(numbers)} numbers, but "
                f'its "dims" are {self.dims}. Make them the same.'
            )
        length = math.hypot(*numbers)
        if not math.isfinite(length):
            raise ValueError(
                "The index's embed returned a vector with a number that is not "
                "finite. Leave such texts out with index=False."
            )
        return array("d", (x / length for x in numbers)) if length else numbers


def index_of(config: IndexConfig) -> Index:
    """Return a configuration that was checked.

    Raises
    ------
    TypeError
        ``embed`` can't be called, or is no sort of embeddings.
    ValueError
        ``dims`` or ``embed`` is missing, ``dims`` is not a whole number > 0, a
        field is not a path, or a name is not known.
    """
    unknown = sorted(set(config) - IndexConfig.__annotations__.keys())
    if unknown:
        raise ValueError(
            f'An index has "dims", "embed" and "fields", but no {unknown[0]!r}.'
        )
    dims, embed = config.get("dims"), config.get("embed")
    if not isinstance(dims, int) or isinstance(dims, bool) or dims < 1:
        raise ValueError(
            f'The index\'s "dims" are {dims!r}. Give the length of a vector, > 0.'
        )
    if not (callable(embed) or isinstance(embed, Embeddings)):
        raise TypeError(
            f'The index\'s "embed" is {embed!r}. Give a function from a list of texts '
            "to a list of vectors, or LangChain embeddings."
        )
    fields = config.get("fields") or [WHOLE]
    return Index(dims, embed, tuple(map(field_path, fields)))


def _call(embed: Any, texts: list[str]) -> Any:
    given = embed(texts)
    return _wait_for(given) if inspect.isawaitable(given) else given


def _wait_for(given: Awaitable[Any]) -> Any:
    # A loop may be running in this thread already, as in every notebook.
    done: Future[Any] = Future()

    async def wait() -> Any:
        return await given

    def run() -> None:
        try:
            done.set_result(asyncio.run(wait()))
        except BaseException as error:  # noqa: BLE001 - the function's own, raised below
            done.set_exception(error)

    threading.Thread(target=copy_context().run, args=(run,), daemon=True).start()
    return done.result()


def cosines(query: Vector, vectors: Sequence[Vector]) -> list[float]:
    """Return how near vectors are to a query: 1 the same way, -1 the other way.

    Parameters
    ----------
    query : array of float
        From an `Index`.
    vectors : sequence of array of float
        From the same `Index`.

    Returns
    -------
    list of float
        The cosine for each vector; 0 where one of the two is all zeros.
    """
    if not vectors:
        return []
    try:
        numpy = library("numpy")
    except ImportError:
        found = [sum(map(mul, query, vector)) for vector in vectors]
    else:
        rows = numpy.frombuffer(b"".join(vectors)).reshape(len(vectors), len(query))
        return list(cosines_of_rows(numpy, query, rows).tolist())
    return [min(1.0, max(-1.0, cosine)) for cosine in found]


def packed(vectors: Iterable[Vector]) -> bytes:
    """Return vectors as four-byte floats, little endian, one after the other."""
    return b"".join(_little(array("f", vector)).tobytes() for vector in vectors)


def cosines_of_packed(query: Vector, data: bytes) -> list[float]:
    """Return how near the vectors in what `packed` returned are to a query.

    As `cosines`, but to about seven digits.
    """
    if not data:
        return []
    try:
        numpy = library("numpy")
    except ImportError:
        size = 4 * len(query)
        found = [
            sum(map(mul, query, _little(array("f", data[at : at + size]))))
            for at in range(0, len(data), size)
        ]
    else:
        rows = numpy.frombuffer(data, "<f4").reshape(-1, len(query))
        return list(cosines_of_rows(numpy, query, rows).tolist())
    return [min(1.0, max(-1.0, cosine)) for cosine in found]


def cosines_of_rows(numpy: Any, query: Vector, rows: Any) -> Any:
    """Return how near rows of a matrix are to a query, as an array.

    Equal rows are equally near, wherever they stand: a product of matrices adds up
    the last ones in another order. It would also make eight-byte numbers of all of
    them first, which takes ten times as long as this.
    """
    return numpy.einsum("ij,j->i", rows, numpy.frombuffer(query)).clip(-1.0, 1.0)


def _little(floats: array[float]) -> array[float]:
    if sys.byteorder == "big":
        floats.byteswap()
    return floats
