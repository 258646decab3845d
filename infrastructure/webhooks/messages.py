"""What is sent: the message that a stored event and a public name come to.

Made from the log each time, never kept: a message of an erased person says no more than the log
does, and a replay needs nothing but the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any
from uuid import UUID

import orjson
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from application.webhooks.catalogue import said_by
from application.webhooks.public import AS_BEGUN, AsBegun, Emission
from domain.kernel import DomainEvent
from infrastructure.event_log import codec
from infrastructure.event_log.codec import StoredEvent, decoded
from infrastructure.personal_data.opening import opened

HOUSE = "tidings:"
"""How the actors of the house itself begin; no user is meant by them."""


class Unspeakable(Exception):
    """This release has no such public event for that domain event."""


def message_id(position: int, name: str) -> str:
    """The `webhook-id`: the same for every endpoint, attempt and replay.

    One event can say several things, so the position alone would not do.
    """
    return f"msg_{position:x}_{blake2b(name.encode(), digest_size=4).hexdigest()}"


def delivery_id(position: int, endpoint_id: UUID, name: str) -> UUID:
    """One delivery per endpoint and message; in the order of the log."""
    digest = blake2b(endpoint_id.bytes + name.encode(), digest_size=8).digest()
    return UUID(bytes=position.to_bytes(8, "big") + digest)


def position_of(delivery_id: UUID) -> int:
    """The position of the event that a delivery is about."""
    return int.from_bytes(delivery_id.bytes[:8], "big")


def emissions(stored: StoredEvent) -> Sequence[Emission]:
    """What a stored event says in public. Raises `UnreadableEvent`."""
    said = said_by(stored.topic)
    if all(emission.is_unconditional for emission in said):
        return said
    event = decoded(stored)
    return [emission for emission in said if emission.when(event)]


async def beginnings(
    connection: AsyncConnection[Any], events: Iterable[StoredEvent]
) -> Mapping[UUID, StoredEvent]:
    """The first event of each stream of `events`, for `networks_of`."""
    streams = list({stored.stream_id for stored in events})
    if not streams:
        return {}
    cursor = connection.cursor(row_factory=tuple_row, binary=True)
    await cursor.execute(codec.SELECT + " WHERE stream_id = ANY (%s) AND version = 1", [streams])
    first = await opened(connection, [StoredEvent(*row) for row in await cursor.fetchall()])
    return {stored.stream_id: stored for stored in first}


def names_no_networks(stored: StoredEvent) -> bool:
    """Whether only the first event of its stream tells the networks that an event is about."""
    return any(emission.about is AS_BEGUN for emission in said_by(stored.topic))


def networks_of(
    stored: StoredEvent, emission: Emission, begun: Mapping[UUID, StoredEvent]
) -> frozenset[str]:
    """The networks that a public event is about. Raises `UnreadableEvent`."""
    match emission.about:
        case None:
            return frozenset()
        case AsBegun.AS_BEGUN:
            first = begun[stored.stream_id]
            return frozenset().union(
                *(networks_of(first, each, {}) for each in said_by(first.topic))
            )
        case about:
            return frozenset(about(decoded(stored)))


def body(stored: StoredEvent, name: str) -> bytes:
    """The JSON of a message. Raises `UnreadableEvent`, `Unspeakable`."""
    for emission in said_by(stored.topic):
        if emission.webhook.name == name:
            return render(decoded(stored), emission)
    raise Unspeakable(f"{stored.topic} does not say {name}.")


def render(event: DomainEvent, emission: Emission) -> bytes:
    """The envelope around the payload; `timestamp` is when it happened."""
    payload = emission.payload(event)
    return orjson.dumps(
        {
            "type": emission.webhook.name,
            "timestamp": event.timestamp,
            "data": orjson.Fragment(payload.__pydantic_serializer__.to_json(payload)),
            "event": emission.webhook.name,
            "tenant": event.tenant,
            "user_id": None if event.actor.startswith(HOUSE) else event.actor,
        },
        option=orjson.OPT_UTC_Z,
    )
