"""What a batch will put, made before a store is touched.

Encoding a value and the user's own embed may take long, may fail and may use the
store themselves, so that no lock is held here, and nothing is known of any store.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from nbflow.serde import encode
from nbflow.store.base import PutOp, SearchOp
from nbflow.store.texts import field_path, texts_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbflow.store.base import Op
    from nbflow.store.vectors import Index, Vector

__all__ = ["Draft", "drafts_of", "query_vectors"]


@dataclass(frozen=True, slots=True)
class Draft:
    """What one put will keep.

    Attributes
    ----------
    namespace : tuple of str
        Where it is to stand.
    key : str
        Its name there.
    data : bytes or None
        Its value, encoded; None deletes.
    vectors : tuple of array of float
        Its vectors.
    ttl_seconds : float or None
        How long it is kept.
    """

    namespace: tuple[str, ...]
    key: str
    data: bytes | None
    vectors: tuple[Vector, ...]
    ttl_seconds: float | None


def drafts_of(index: Index | None, ops: Iterable[Op]) -> list[Draft]:
    """Return what the puts of a batch will keep; of several to one key the last.

    Raises
    ------
    UnstorableValueError
        A value holds something that can't be stored.
    ValueError
        The index's embed returned no vectors of its length.
    """
    puts = {(op.namespace, op.key): op for op in ops if isinstance(op, PutOp)}.values()
    stored = [None if op.value is None else encode(dict(op.value)) for op in puts]
    texts = [_texts(index, op) for op in puts]
    vectors = index.of_texts(chain(*texts)) if index else {}
    return [
        Draft(
            op.namespace,
            op.key,
            data,
            tuple(vectors[text] for text in found),
            None if op.ttl is None else op.ttl * 60,
        )
        for op, data, found in zip(puts, stored, texts, strict=True)
    ]


def _texts(index: Index | None, op: PutOp) -> list[str]:
    if index is None or op.value is None or op.index is False:
        return []
    paths = index.paths if op.index is None else map(field_path, op.index)
    return [text for path in paths for text in texts_at(op.value, path)]


def query_vectors(index: Index | None, ops: Iterable[Op]) -> Mapping[str, Vector]:
    """Return the vectors of what a batch searches for; none without an index."""
    if index is None:
        return {}
    return index.of_queries(
        [op.query for op in ops if isinstance(op, SearchOp) and op.query]
    )
