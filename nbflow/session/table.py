"""What SQL returned, as a value with a plain text and an inert table.

Nothing here knows where the rows came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbflow.session.reports import Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

__all__ = ["Table"]

_SHOWN_ROWS = 50
_SHOWN_TEXT = 200


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with named columns; a loop over it gives the rows.

    Attributes
    ----------
    columns : tuple of str
        Their names.
    types : tuple of str
        Their types in DuckDB's words; times are UTC and have no zone.
    rows : tuple of tuple
        A value for each column: numbers, texts, `datetime`, bytes, None, ...
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.rows)

    def df(self) -> pd.DataFrame:
        """Return a pandas frame; pandas has to be installed.

        Raises
        ------
        ImportError
            It is not.
        """
        import pandas  # noqa: ICN001, PLC0415 - optional

        return pandas.DataFrame.from_records(list(self.rows), columns=self.columns)

    def __repr__(self) -> str:
        return repr(self._report())

    def _repr_html_(self) -> str:
        return self._report()._repr_html_()

    def _report(self) -> Report:
        count = len(self.rows)
        title = "1 row" if count == 1 else f"{count:,} rows"
        if count > _SHOWN_ROWS:
            title += f", the first {_SHOWN_ROWS} of them"
        rows = tuple(tuple(map(_text, row)) for row in self.rows[:_SHOWN_ROWS])
        return Report(title, self.columns, rows, "nothing found.")


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    text = "" if value is None else str(value)
    line = " ".join(text[: 2 * _SHOWN_TEXT].split())
    return line if len(line) <= _SHOWN_TEXT else f"{line[: _SHOWN_TEXT - 1]}…"
