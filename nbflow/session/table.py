"""What a line of SQL shows: the first rows, as a plain text and an inert table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbflow.session.reports import Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

__all__ = ["Table"]

_NUMBER = re.compile(
    r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$|FLOAT$|DOUBLE$|DECIMAL\([\d,]+\)$"
)
_SHOWN_ROWS = 50
_SHOWN_TEXT = 200


@dataclass(frozen=True, slots=True, repr=False)
class Table:
    """Rows with named columns; a loop over it gives all of them, each a tuple.

    Attributes
    ----------
    relation : duckdb.DuckDBPyRelation
        What holds them; see `nbflow.sql`.
    """

    relation: duckdb.DuckDBPyRelation

    def __len__(self) -> int:
        return len(self.relation)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.relation.fetchall())

    def __repr__(self) -> str:
        return repr(self._report())

    def _repr_html_(self) -> str:
        return self._report()._repr_html_()

    def _report(self) -> Report:
        count = len(self)
        title = "1 row" if count == 1 else f"{count:,} rows"
        if count > _SHOWN_ROWS:
            title += f", the first {_SHOWN_ROWS} of them"
        shown = self.relation.limit(_SHOWN_ROWS).fetchall()
        rows = tuple(tuple(map(_text, row)) for row in shown)
        columns = tuple(self.relation.columns)
        numbers = [
            name
            for name, kind in zip(columns, self.relation.types, strict=True)
            if _NUMBER.match(str(kind))
        ]
        return Report(title, columns, rows, "nothing found.", numbers)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    text = "" if value is None else str(value)
    line = " ".join(text[: 2 * _SHOWN_TEXT].split())
    return line if len(line) <= _SHOWN_TEXT else f"{line[: _SHOWN_TEXT - 1]}…"
