"""Names that values stand under in frames, tables and arrays, read from their bytes.

Labels of columns and rows, fields of records, names of series: what `redact` asks for
besides keys and attributes. No frame is built, and its values are not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.msgpack import Decoder, Ext

from nbflow.serde.arrays import field_names
from nbflow.serde.arrow import column_names, texts_in
from nbflow.serde.standard import TUPLE
from nbflow.serde.tree import STREAMED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["labels_in"]

_ARRAYS: Final = frozenset({60})
_TABLES: Final = frozenset({85, 86, 87, 88, 90})
# By number of the codec: which of its parts are labels.
_LABELS: Final = {70: (0, 1), 71: (0, 1), 72: (0,), 74: (0,), 91: (0,), 62: (), 75: ()}
_unpack: Final = Decoder().decode


def labels_in(ext: Ext, behind: Sequence[memoryview]) -> Iterator[str]:
    """Yield every label in what an extension holds; nothing for what has none.

    Parameters
    ----------
    ext : Ext
        The extension.
    behind : sequence of memoryview
        The parts behind the tree that it stands in.

    Raises
    ------
    Exception
        Whatever comes of bytes that can't be looked into, or of a library that is
        not installed.
    """
    code, data = _opened(ext, behind)
    if code in _ARRAYS:
        yield from field_names(memoryview(data))
    elif code in _TABLES:
        yield from column_names(memoryview(data))
    elif code in _LABELS:
        parts = _unpack(data)
        for place in _LABELS[code]:
            yield from _texts(parts[place], behind)
        for below in _extensions(parts):
            yield from labels_in(below, behind)


def _opened(ext: Ext, behind: Sequence[memoryview]) -> tuple[int, Any]:
    if ext.code != STREAMED:
        return ext.code, ext.data
    code, place = _unpack(ext.data)
    return code, behind[place]


def _texts(tree: Any, behind: Sequence[memoryview]) -> Iterator[str]:
    """Yield every text below a part of the tree, those of Arrow's columns too."""
    match tree:
        case str():
            yield tree
        case list():
            for item in tree:
                yield from _texts(item, behind)
        case dict():
            yield from _texts([*tree, *tree.values()], behind)
        case Ext():
            code, data = _opened(tree, behind)
            if code in _TABLES:
                yield from texts_in(memoryview(data))
            elif code in _LABELS or code == TUPLE:  # A label of several levels.
                yield from _texts(_unpack(data), behind)
        case _:
            pass


def _extensions(tree: Any) -> Iterator[Ext]:
    match tree:
        case Ext():
            yield tree
        case list():
            for item in tree:
                yield from _extensions(item)
        case dict():
            yield from _extensions(list(tree.values()))
        case _:
            pass
