"""Finding where the log holds data of a person, when they are to be erased.

The rows themselves tell: each sealed state names the keys it needs. An index of them would cost
every append something for the sake of a rare search, which reads half a million in a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from psycopg import AsyncConnection

from infrastructure.event_log import codec
from infrastructure.event_log.codec import StoredEvent
from infrastructure.personal_data.opening import place_of
from infrastructure.personal_data.purging import Traces, texts
from infrastructure.personal_data.sealing import SEALED, Altered, PersonKey, SealedState

CHUNK = 500
"""Rows of the log that are looked at together."""

_ABOUT = (
    f"{codec.SELECT} WHERE tenant = %s AND recorded_at > %s AND substring(state FROM 1 FOR 11) = %s"
    " AND position(%s IN state) > 0 ORDER BY position"
)


async def trace(
    connection: AsyncConnection[Any], tenant: str, person: UUID, key: PersonKey | None = None
) -> tuple[Traces, Sequence[str]]:
    """Where the log holds data of a person, and with their key the texts themselves. Reads all of
    the log since they were first heard of: whose data is where is not noted anywhere else."""
    streams: dict[UUID, None] = {}
    requests: dict[str, None] = {}
    positions: list[int] = []
    values: dict[str, None] = {}
    async with connection.transaction(), connection.cursor(name="traces") as cursor:
        cursor.itersize = CHUNK
        await cursor.execute(_ABOUT, (tenant, _since(person), SEALED, f'["{person}",'.encode()))
        async for row in cursor:
            stored = StoredEvent(*row)
            positions.append(stored.position)
            streams[stored.stream_id] = None
            requests[orjson.loads(stored.state)["correlation_id"]] = None
            if key is not None:
                values |= dict.fromkeys(_texts_in(stored, key))
    return Traces(tenant, person, list(streams), positions, list(requests)), list(values)


def _since(person: UUID) -> datetime:
    """Before it there is no data of theirs: the id of a key tells when it was made (UUIDv7, RFC
    9562), by a clock that may differ from that of the log."""
    return datetime.fromtimestamp((person.int >> 80) / 1000, UTC) - timedelta(days=1)


def _texts_in(stored: StoredEvent, key: PersonKey) -> list[str]:
    try:
        return list(texts(SealedState(place_of(stored), stored.state).values_of(key)))
    except Altered:
        return []  # nobody can read it any more
