"""One stream of the log, read for people: its events, and what it added up to at some time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from domain.folding import fold
from domain.kernel import Aggregate, NotFound
from infrastructure.event_log.codec import SELECT, StoredEvent, decoded
from infrastructure.personal_data.opening import opened

_EVENTS = (
    SELECT + " WHERE stream_id = %(stream)s AND (%(tenant)s::text IS NULL OR tenant = %(tenant)s)"
    " AND version > %(after)s AND (%(version)s::bigint IS NULL OR version <= %(version)s)"
    " AND (%(at)s::timestamptz IS NULL OR recorded_at <= %(at)s)"
    " ORDER BY version LIMIT %(limit)s"
)


async def events(
    connection: AsyncConnection[Any],
    stream: UUID,
    tenant: str | None,
    *,
    after: int = 0,
    version: int | None = None,
    at: datetime | None = None,
    limit: int | None = None,
) -> Sequence[StoredEvent]:
    """Events of a stream in order; of any tenant's with None, which is for operators only."""
    async with connection.cursor(row_factory=tuple_row, binary=True) as cursor:
        await cursor.execute(
            _EVENTS,
            {
                "stream": stream,
                "tenant": tenant,
                "after": after,
                "version": version,
                "at": at,
                "limit": limit,
            },
        )
        found = [StoredEvent(*row) for row in await cursor.fetchall()]
    return await opened(connection, found)


async def as_it_was(
    connection: AsyncConnection[Any],
    stream: UUID,
    tenant: str | None,
    *,
    version: int | None = None,
    at: datetime | None = None,
) -> Aggregate:
    """The aggregate at a version, at an instant, or now.

    Raises `NotFound`: there is no such stream, it was not there yet, or has no such version.
    """
    stored = await events(connection, stream, tenant, version=version, at=at)
    if not stored:
        then = " at that time" if at else ""
        raise NotFound(f"There is no such aggregate{then}.")
    if version is not None and stored[-1].version < version:
        raise NotFound(f"The aggregate has {stored[-1].version} versions.")
    aggregate = fold(Aggregate, map(decoded, stored))
    assert aggregate is not None
    return aggregate
