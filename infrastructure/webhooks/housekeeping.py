"""What webhooks leave behind: old deliveries, secrets that nobody needs, senders that died."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from infrastructure import database

log = structlog.get_logger()

KEPT = timedelta(days=30)
"""How long finished deliveries can be looked at; a replay needs none of them."""
UNUSED = timedelta(days=2)
"""After which a secret that no endpoint has is forgotten: a former one, or one whose command was
refused. Longer than any secret signs beside its successor."""
EVERY = 600.0
"""Seconds."""
PIECE = 5000


async def tidy(url: str) -> None:
    """Tidy up every ten minutes until cancelled; any number of processes may."""
    while True:
        try:
            async with await database.connect(url, "webhooks-tidy") as connection:
                while True:
                    await tidy_once(connection)
                    await asyncio.sleep(EVERY)
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
            log.warning("webhooks.tidying_interrupted", error=type(error).__name__)
            await database.rest(5.0)


async def tidy_once(connection: AsyncConnection[Any]) -> None:
    """One round, in pieces that hold nobody up."""
    while await _deliveries(connection) == PIECE:
        pass
    # Not while the fan-out is behind: an event that it has not reached may name the secret.
    await connection.execute(
        "DELETE FROM webhooks.secrets s WHERE s.created_at < clock_timestamp() - %s"
        " AND (SELECT position FROM work.followers WHERE name = 'webhooks')"
        "   = (SELECT max(position) FROM log.events)"
        " AND NOT EXISTS (SELECT FROM webhooks.endpoints e WHERE s.id IN (e.secret, e.headers)"
        "   OR e.former @> jsonb_build_array(jsonb_build_object('secret', s.id)))",
        [UNUSED],
    )
    await connection.execute(
        "UPDATE webhooks.endpoints SET former = (SELECT coalesce(jsonb_agg(f), '[]')"
        "   FROM jsonb_array_elements(former) f"
        "   WHERE (f ->> 'until')::timestamptz > clock_timestamp())"
        " WHERE EXISTS (SELECT FROM jsonb_array_elements(former) f"
        "   WHERE (f ->> 'until')::timestamptz <= clock_timestamp())"
    )
    await connection.execute(
        "DELETE FROM webhooks.senders WHERE alive_until < clock_timestamp() - interval '1 hour'"
    )


async def _deliveries(connection: AsyncConnection[Any]) -> int:
    """Delete a piece of the old ones and say how many they were. Ids begin with the position, so
    the old ones are one stretch of them."""
    cursor = await connection.execute(
        "WITH old AS (SELECT id FROM webhooks.deliveries WHERE status <> 'pending'"
        "   AND id < (rpad(lpad(to_hex(log.position_at(clock_timestamp() - %s)), 16, '0'),"
        "     32, '0'))::uuid"
        "   AND finished_at < clock_timestamp() - %s ORDER BY id LIMIT %s"
        "   FOR UPDATE SKIP LOCKED),"
        " tried AS (DELETE FROM webhooks.attempts USING old WHERE delivery_id = old.id)"
        " DELETE FROM webhooks.deliveries d USING old WHERE d.id = old.id",
        (KEPT, KEPT, PIECE),
    )
    return cursor.rowcount
