"""The views of the store and of the cache that stand in the same file as the log.

What holds for all views stands in `nbflow._database.views`.
"""

from __future__ import annotations

from typing import Final

from nbflow._database.run_views import View

__all__ = [
    "CACHE",
    "KEPT_ENTRIES",
    "KEPT_ITEMS",
    "KEPT_ROWS",
    "STORE_ITEMS",
]

KEPT_ITEMS: Final = """
SELECT seq, put, newest_seq, newest, updated_at, value_bytes
FROM (
    SELECT max(seq) FILTER (kind = 'ItemPut') AS seq,
        arg_max(detail, seq) FILTER (kind = 'ItemPut') AS put,
        arg_max(happened_at, seq) FILTER (kind = 'ItemPut') AS updated_at,
        arg_max(octet_length(value), seq) FILTER (kind = 'ItemPut') AS value_bytes,
        max(seq) AS newest_seq, arg_max(kind, seq) AS newest_kind,
        arg_max(detail, seq) AS newest
    FROM log WHERE kind IN ('ItemPut', 'ItemTouched', 'ItemDeleted')
    GROUP BY detail ->> 'namespace', detail ->> 'key'
)
WHERE newest_kind <> 'ItemDeleted' AND seq IS NOT NULL
"""
"""The items that were not deleted: `newest` says until when they are kept."""

_OF_CACHE: Final = """
SELECT *, detail ->> 'namespace' AS space, detail ->> 'key' AS name_in_space
FROM log WHERE kind IN ('CacheSet', 'CacheCleared')
"""
KEPT_ENTRIES: Final = f"""
SELECT seq, detail, set_at, value_bytes
FROM (
    SELECT space, max(seq) AS seq, arg_max(kind, seq) AS newest_kind,
        arg_max(detail, seq) AS detail, arg_max(happened_at, seq) AS set_at,
        arg_max(octet_length(value), seq) AS value_bytes
    FROM ({_OF_CACHE}) WHERE name_in_space IS NOT NULL
    GROUP BY space, name_in_space
) LEFT JOIN (
    SELECT space, max(seq) AS space_seq
    FROM ({_OF_CACHE}) WHERE name_in_space IS NULL AND space IS NOT NULL
    GROUP BY space
) USING (space)
CROSS JOIN (
    SELECT coalesce(max(seq), 0) AS all_seq
    FROM ({_OF_CACHE}) WHERE space IS NULL
)
WHERE newest_kind = 'CacheSet' AND seq > coalesce(space_seq, 0) AND seq > all_seq
"""  # noqa: S608 - our own constants
"""The entries of the cache that were not cleared."""

KEPT_ROWS: Final = f"""
SELECT unnest([seq, newest_seq]) FROM ({KEPT_ITEMS})
WHERE coalesce((newest ->> 'expires_at')::BIGINT > epoch_us(now()), true)
UNION ALL
SELECT seq FROM ({KEPT_ENTRIES})
WHERE coalesce((detail ->> 'expires_at')::BIGINT > epoch_us(now()), true)
"""  # noqa: S608 - our own constants
"""The `seq` of each row of the store and of the cache that is still needed."""

# One reading of an object for all of its fields; `now()` has a zone, the log has none.
_LIVE: Final = "(expires_us IS NULL OR expires_us > epoch_us(now()))"

STORE_ITEMS: Final = View(
    "store_items",
    "one row for each item of the store that was not deleted and is not over",
    {
        "namespace": "its namespace, a list of labels",
        "key": "its key",
        "created_at": "when it was first put, UTC",
        "updated_at": "when it was last put, UTC",
        "expires_at": "when it will be gone, UTC; NULL where it is kept",
        "ttl_seconds": "how long it is kept after it was put or read",
        "dims": "length of its vectors; 0 where it has none",
        "value_bytes": "size of its value as stored",
        "seq": "position in the log",
    },
    f"""
    SELECT p.namespace AS namespace, p.key AS key,
        make_timestamp(p.created_at) AS created_at, updated_at,
        make_timestamp(expires_us) AS expires_at, p.ttl_seconds AS ttl_seconds,
        p.dims AS dims, value_bytes, seq
    FROM (
        SELECT *, from_json(put, '{{
            "namespace": ["VARCHAR"], "key": "VARCHAR", "created_at": "BIGINT",
            "ttl_seconds": "DOUBLE", "dims": "INTEGER"
        }}') AS p, (newest ->> 'expires_at')::BIGINT AS expires_us
        FROM ({KEPT_ITEMS})
    )
    WHERE {_LIVE}
    """,  # noqa: S608 - our own constants
)

CACHE: Final = View(
    "cache",
    "one row for each value of the cache that was not cleared and is not over",
    {
        "namespace": "its namespace, a list of labels",
        "key": "its key",
        "set_at": "when it was set, UTC",
        "expires_at": "when it will be gone, UTC; NULL where it is kept",
        "value_bytes": "size of its value as stored",
        "seq": "position in the log",
    },
    f"""
    SELECT c.namespace AS namespace, c.key AS key, set_at,
        make_timestamp(expires_us) AS expires_at, value_bytes, seq
    FROM (
        SELECT *, c.expires_at AS expires_us
        FROM (
            SELECT *, from_json(detail, '{{
                "namespace": ["VARCHAR"], "key": "VARCHAR", "expires_at": "BIGINT"
            }}') AS c
            FROM ({KEPT_ENTRIES})
        )
    )
    WHERE {_LIVE}
    """,  # noqa: S608 - our own constants
)
