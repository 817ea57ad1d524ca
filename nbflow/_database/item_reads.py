"""One column of many rows: values to filter by, or vectors to compare.

A tenth of the work of reading whole records. The checksum of a row covers all its
columns, so it is looked at only where whole records are read; what is shown to
somebody comes from these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from nbflow._database.payloads import RAW, ZSTD, decompressed
from nbflow._database.reads import read_rows
from nbflow._events import PAYLOADS

if TYPE_CHECKING:
    from collections.abc import Collection

    from nbflow._database.database import Database

__all__ = ["Column", "read_column"]

Column: TypeAlias = Literal["value", "extra"]

_COLUMNS: Final[tuple[Column, Column]] = ("value", "extra")


def read_column(
    database: Database, column: Column, seqs: Collection[int]
) -> dict[int, bytes]:
    """Return the bytes of a column by `seq`; a row that is not there is left out.

    Raises
    ------
    StoreDamagedError
        A row is not what was written.
    """
    sql = f"""
        SELECT seq, {column}_codec, {column} FROM log
        WHERE seq IN (SELECT unnest(?::BIGINT[]))
    """  # noqa: S608 - one of two names
    rows = database.fetch(sql, [list(seqs)])
    found: dict[int, bytes] = {seq: data for seq, codec, data in rows if codec == RAW}
    elsewhere: list[int] = []
    for seq, codec, data in rows:
        if codec == ZSTD:
            # What is damaged is said by who reads the whole row.
            try:
                found[seq] = decompressed(data)
            except ValueError:
                elsewhere.append(seq)
        elif codec:
            elsewhere.append(seq)
    at = _COLUMNS.index(column)
    for seq, record in read_rows(database, elsewhere).items():
        event = record.event
        payload = getattr(event, PAYLOADS[type(event).__name__][at])
        found[seq] = payload.data or b""
    return found
