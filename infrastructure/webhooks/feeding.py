"""Reading what a sender is to do: how its endpoints are configured, and what is due for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row, tuple_row

from infrastructure.event_log import codec
from infrastructure.event_log.codec import StoredEvent
from infrastructure.personal_data.opening import opened
from infrastructure.webhooks.lanes import Delivery, Lane, Message

CONFIGURATIONS = """
SELECT e.*, (SELECT jsonb_object_agg(s.id, encode(s.sealed, 'base64')) FROM webhooks.secrets s
    WHERE s.id IN (e.secret, e.headers)
    OR s.id IN (SELECT (f ->> 'secret')::uuid FROM jsonb_array_elements(e.former) f)) AS sealed
FROM webhooks.endpoints e WHERE e.id = ANY (%s) AND e.enabled
"""

DUE = """
SELECT d.id, d.endpoint_id, d.position, d.name, d.failures
FROM unnest(%s::uuid[], %s::int[]) AS lane (endpoint_id, room)
JOIN webhooks.queues q ON q.endpoint_id = lane.endpoint_id AND q.owner = %s
CROSS JOIN LATERAL (
    SELECT * FROM webhooks.deliveries d
    WHERE d.endpoint_id = lane.endpoint_id AND d.due <= clock_timestamp()
        AND d.id NOT IN (SELECT unnest(%s::uuid[]))
    ORDER BY d.due LIMIT lane.room
) AS d
"""


async def configurations(
    connection: AsyncConnection[Any], ids: Sequence[UUID]
) -> dict[UUID, dict[str, Any]]:
    """The configuration of enabled endpoints, by id; the others are missing."""
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(CONFIGURATIONS, [list(ids)])
    return {row["id"]: row for row in await cursor.fetchall()}


async def due(
    connection: AsyncConnection[Any], sender: UUID, lanes: Sequence[Lane]
) -> dict[UUID, list[Delivery]]:
    """What is due and not held yet, by endpoint, as far as each has room; the oldest first."""
    rooms = [lane.room - len(lane.held) for lane in lanes]
    held = [id for lane in lanes for id in lane.held]
    cursor = connection.cursor(row_factory=tuple_row, binary=True)
    await cursor.execute(DUE, ([lane.id for lane in lanes], rooms, sender, held))
    rows = await cursor.fetchall()
    messages = await _messages(connection, {(position, name) for _, _, position, name, _ in rows})
    found: dict[UUID, list[Delivery]] = {lane.id: [] for lane in lanes}
    for id, endpoint_id, position, name, failures in rows:
        found[endpoint_id].append(Delivery(id, failures, messages[position, name]))
    return found


async def _messages(
    connection: AsyncConnection[Any], wanted: set[tuple[int, str]]
) -> dict[tuple[int, str], Message]:
    """Each message once, for all the endpoints that are to get it."""
    if not wanted:
        return {}
    positions = sorted({position for position, _ in wanted})
    cursor = connection.cursor(row_factory=tuple_row, binary=True)
    await cursor.execute(codec.SELECT + " WHERE position = ANY (%s)", [positions])
    found = await opened(connection, [StoredEvent(*row) for row in await cursor.fetchall()])
    events = {event.position: event for event in found}
    return {(at, name): Message(events[at], name) for at, name in wanted}
