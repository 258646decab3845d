"""Replays: past events put in again, straight from the log, under the ids they always had.

A replay of millions is put in piece by piece, as fast as the receiver takes it. Any number of
processes may do this work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from application.webhooks.catalogue import BY_TOPIC, matching, wanted
from application.webhooks.public import Emission
from domain.kernel import stored_topics
from infrastructure import database, notify
from infrastructure.event_log import codec
from infrastructure.event_log.codec import StoredEvent, UnreadableEvent
from infrastructure.notify import News, heard
from infrastructure.personal_data.opening import opened
from infrastructure.webhooks.fanout import PUT, Batch
from infrastructure.webhooks.messages import (
    beginnings,
    emissions,
    names_no_networks,
    networks_of,
    position_of,
)

log = structlog.get_logger()

PIECE = 1000
"""Deliveries that are put in at once."""
STRETCH = 50_000
"""Positions of the log that are looked through at once."""
BACKLOG = 5000
"""Deliveries that may wait for an endpoint before its replay pauses."""
POLL = 1.0


@dataclass(frozen=True, slots=True)
class Replay:
    """What is left of a replay."""

    id: int
    endpoint_id: UUID
    tenant: str
    names: Sequence[str]
    next: int
    last: int
    only_failed: bool


async def replay(url: str) -> None:
    """Work on replays until cancelled."""
    news = News()
    async with heard(url, notify.WEBHOOKS, news.hear):
        while True:
            try:
                async with await database.connect(url, "webhooks-replay") as connection:
                    while True:
                        if not await step(connection):
                            await news.within(POLL)
            except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                log.warning("replay.interrupted", error=type(error).__name__)
                await database.rest(POLL)


async def step(connection: AsyncConnection[Any]) -> bool:
    """One piece of one replay; False when there is none that can go on now."""
    async with connection.transaction():
        cursor = await connection.execute(
            "SELECT r.id, r.endpoint_id, r.tenant, r.names, r.next, r.last, r.only_failed"
            " FROM webhooks.replays r JOIN webhooks.queues q USING (endpoint_id)"
            " WHERE q.pending < %s ORDER BY r.id LIMIT 1 FOR UPDATE OF r SKIP LOCKED",
            [BACKLOG],
        )
        row = await cursor.fetchone()
        if row is None:
            return False
        work = Replay(*row)
        upto = await (_failed(connection, work) if work.only_failed else _past(connection, work))
        if upto >= work.last:
            await connection.execute("DELETE FROM webhooks.replays WHERE id = %s", [work.id])
        else:
            await connection.execute(
                "UPDATE webhooks.replays SET next = %s WHERE id = %s", (upto + 1, work.id)
            )
        return True


async def _past(connection: AsyncConnection[Any], work: Replay) -> int:
    """Put in what the log says in the next stretch; the position that this came to."""
    stretch = min(work.last, work.next + STRETCH - 1)
    names = matching(work.names)
    topics = [
        topic
        for topic, said in BY_TOPIC.items()
        if any(emission.webhook.name in names for emission in said)
    ]
    topics = stored_topics(topics)
    cursor = connection.cursor(row_factory=tuple_row, binary=True)
    await cursor.execute(
        codec.SELECT + " WHERE position BETWEEN %s AND %s AND tenant = %s AND topic = ANY (%s)"
        " ORDER BY position LIMIT %s",
        (work.next, stretch, work.tenant, topics, PIECE),
    )
    events = await opened(connection, [StoredEvent(*row) for row in await cursor.fetchall()])
    batch = Batch()
    for stored, name in await _said(connection, events, work):
        batch.add(stored, name, work.endpoint_id)
    await batch.put(connection)
    return stretch if len(events) < PIECE else events[-1].position


async def _said(
    connection: AsyncConnection[Any], events: Sequence[StoredEvent], work: Replay
) -> list[tuple[StoredEvent, str]]:
    """What events say that is to be sent again."""
    wants = wanted(work.names)
    limited = any(networks is not None for networks in wants.values())
    begun = await beginnings(connection, filter(names_no_networks, events if limited else ()))

    def is_wanted(stored: StoredEvent, emission: Emission) -> bool:
        webhook = emission.webhook
        if webhook.name not in wants:
            return False
        if webhook.only_subject and stored.stream_id != work.endpoint_id:
            return False
        networks = wants[webhook.name]
        return networks is None or bool(networks & networks_of(stored, emission, begun))

    said: list[tuple[StoredEvent, str]] = []
    for stored in events:
        try:
            said += [
                (stored, each.webhook.name) for each in emissions(stored) if is_wanted(stored, each)
            ]
        except UnreadableEvent:
            log.error("replay.unreadable", position=stored.position, topic=stored.topic)
    return said


async def _failed(connection: AsyncConnection[Any], work: Replay) -> int:
    """Put in the next of those that have failed, whatever networks they are about: they were
    wanted once. The position that this came to."""
    cursor = await connection.execute(
        "SELECT id, endpoint_id, stream_id, position, name FROM webhooks.deliveries"
        " WHERE endpoint_id = %s AND status = 'failed' AND position BETWEEN %s AND %s"
        " AND name = ANY (%s) ORDER BY id LIMIT %s",
        (work.endpoint_id, work.next, work.last, list(matching(work.names)), PIECE),
    )
    rows = await cursor.fetchall()
    if rows:
        await connection.execute(PUT, tuple(map(list, zip(*rows, strict=True))))
    # Several deliveries can share a position: the last one of a full piece is looked at again.
    return work.last if len(rows) < PIECE else position_of(rows[-1][0]) - 1
