"""From the log to deliveries: which endpoint is to be told of which event.

One follower does both: it keeps the endpoints' configuration and matches events against it, so
that an event always meets the configuration of its own position in the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from application.webhooks.catalogue import BY_TOPIC, wanted
from domain.kernel import events_of, stored_topics
from domain.webhooks.endpoints import WebhookEndpoint
from infrastructure.event_log.codec import StoredEvent, decoded
from infrastructure.follower import Follower
from infrastructure.webhooks.messages import (
    beginnings,
    delivery_id,
    emissions,
    names_no_networks,
    networks_of,
)

NAME = "webhooks"
"""The follower's, under which its position is kept."""

BATCH = 1000
"""Events that are read at once."""

MOST_DELIVERIES = 10_000
"""After so many deliveries a batch ends: what follows comes in a transaction of its own."""

MOST_TENANTS = 10_000
"""Tenants whose endpoints are kept in memory."""

CONFIGURATION = frozenset(kind.TOPIC for kind in events_of(WebhookEndpoint))

PUT = "SELECT webhooks.put(%b::uuid[], %b::uuid[], %b::uuid[], %b::bigint[], %b::text[])"


@dataclass(slots=True)
class Batch:
    """Deliveries to be put in, as columns."""

    ids: list[UUID] = field(default_factory=list)
    endpoints: list[UUID] = field(default_factory=list)
    streams: list[UUID] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def add(self, stored: StoredEvent, name: str, endpoint_id: UUID) -> None:
        self.ids.append(delivery_id(stored.position, endpoint_id, name))
        self.endpoints.append(endpoint_id)
        self.streams.append(stored.stream_id)
        self.positions.append(stored.position)
        self.names.append(name)

    async def put(self, connection: AsyncConnection[Any]) -> None:
        """Put them in and begin anew."""
        if self.ids:
            await connection.execute(
                PUT, (self.ids, self.endpoints, self.streams, self.positions, self.names)
            )
            self.__init__()  # type: ignore[misc]


@dataclass(slots=True)
class Listeners:
    """The enabled endpoints of one tenant, by the public names that they get; apart from the
    others those that get only what is about some networks."""

    anything: dict[str, list[UUID]] = field(default_factory=dict)
    of_networks: dict[str, dict[UUID, frozenset[str]]] = field(default_factory=dict)

    def add(self, id: UUID, patterns: Sequence[str]) -> None:
        for name, networks in wanted(patterns).items():
            if networks is None:
                self.anything.setdefault(name, []).append(id)
            else:
                self.of_networks.setdefault(name, {})[id] = networks


class FanOut:
    """What the follower remembers between batches."""

    def __init__(self) -> None:
        self._connection: AsyncConnection[Any] | None = None
        self._tenants: dict[str, Listeners] = {}
        self._configuration = frozenset(stored_topics(CONFIGURATION))

    async def handle(
        self, connection: AsyncConnection[Any], events: Sequence[StoredEvent]
    ) -> int | None:
        """Put in what the events say, and follow the endpoints' own. What it returns is what a
        follower's `handle` does."""
        if connection is not self._connection or len(self._tenants) > MOST_TENANTS:
            # Another connection means that something went wrong, or that another process did
            # the work meanwhile: what was remembered may never have been committed.
            self._connection, self._tenants = connection, {}
        await self._remember(connection, {event.tenant for event in events})
        batch, begun = Batch(), await self._beginnings(connection, events)
        for stored in events:
            if stored.topic in self._configuration:
                await batch.put(connection)
                await configure(connection, stored)
                del self._tenants[stored.tenant]
                await self._remember(connection, {stored.tenant})
                begun = await self._beginnings(connection, events)
            self._match(stored, batch, begun)
            if len(batch.ids) >= MOST_DELIVERIES:
                await batch.put(connection)
                return stored.position
        await batch.put(connection)
        return None

    def _match(self, stored: StoredEvent, batch: Batch, begun: Mapping[UUID, StoredEvent]) -> None:
        listeners = self._tenants[stored.tenant]
        if not (listeners.anything or listeners.of_networks):
            return
        for emission in emissions(stored):
            webhook = emission.webhook
            if webhook.only_subject:
                batch.add(stored, webhook.name, stored.stream_id)
                continue
            for endpoint_id in listeners.anything.get(webhook.name, ()):
                batch.add(stored, webhook.name, endpoint_id)
            if choosy := listeners.of_networks.get(webhook.name):
                about = networks_of(stored, emission, begun)
                for endpoint_id, networks in choosy.items():
                    if about & networks:
                        batch.add(stored, webhook.name, endpoint_id)

    async def _beginnings(
        self, connection: AsyncConnection[Any], events: Sequence[StoredEvent]
    ) -> Mapping[UUID, StoredEvent]:
        """Of the streams whose networks somebody wants to know; a query only if there are any."""
        return await beginnings(
            connection,
            (
                stored
                for stored in events
                if self._tenants[stored.tenant].of_networks and names_no_networks(stored)
            ),
        )

    async def _remember(self, connection: AsyncConnection[Any], tenants: set[str]) -> None:
        unknown = tenants - self._tenants.keys()
        if not unknown:
            return
        cursor = await connection.execute(
            "SELECT tenant, id, events FROM webhooks.endpoints"
            " WHERE tenant = ANY (%s) AND enabled ORDER BY id",
            [list(unknown)],
        )
        found = {tenant: Listeners() for tenant in unknown}
        for tenant, id, patterns in await cursor.fetchall():
            found[tenant].add(id, patterns)
        self._tenants |= found


async def configure(connection: AsyncConnection[Any], stored: StoredEvent) -> None:
    """Take one event of an endpoint into its configuration, and tell who sends to it."""
    event, id = decoded(stored), stored.stream_id
    match event:
        case WebhookEndpoint.Registered():
            await _register(connection, event, stored.position)
        case WebhookEndpoint.UrlChanged(url=url):
            await _set(connection, stored, url=url)
        case WebhookEndpoint.EventsChanged(events=patterns):
            await _set(connection, stored, events=list(patterns))
        case WebhookEndpoint.HeadersChanged(headers=headers):
            await _set(connection, stored, headers=headers)
        case WebhookEndpoint.RateLimitChanged(rate_limit=rate_limit):
            await _set(connection, stored, rate_limit=rate_limit)
        case WebhookEndpoint.SigningChanged(asymmetric=asymmetric):
            await _set(connection, stored, v1a=asymmetric)
        case WebhookEndpoint.SecretRotated(secret=secret, former_until=until):
            await _rotate(connection, stored, secret, until.isoformat())
        case WebhookEndpoint.ReplayRequested():
            # What comes after the request is put in as it happens.
            last = min(event.last, stored.position)
            await connection.execute(
                "INSERT INTO webhooks.replays (endpoint_id, tenant, names, next, last, only_failed)"
                " SELECT id, tenant, %s, %s, %s, %s FROM webhooks.endpoints WHERE id = %s",
                (list(event.events), event.first, last, event.only_failed, id),
            )
        case WebhookEndpoint.RetryRequested(delivery=delivery):
            await _retry(connection, id, delivery)
        case WebhookEndpoint.Disabled(reason=reason):
            await _set(connection, stored, enabled=False)
            why = f"The endpoint was disabled ({reason})."
            await connection.execute("SELECT webhooks.give_up(%s, %s)", (id, why))
        case WebhookEndpoint.Enabled():
            await _set(connection, stored, enabled=True)
        case WebhookEndpoint.Removed():
            await _remove(connection, id)
        case _:  # a description, or a ping: neither changes what is sent where
            return
    await connection.execute("SELECT pg_notify('tidings_webhooks', %s)", [id.hex])


async def _register(
    connection: AsyncConnection[Any], event: WebhookEndpoint.Registered, position: int
) -> None:
    await connection.execute(
        "INSERT INTO webhooks.endpoints (id, tenant, url, events, headers, rate_limit, v1a,"
        " secret, revision) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            event.originator_id,
            event.tenant,
            event.url,
            list(event.events),
            event.headers,
            event.rate_limit,
            event.asymmetric,
            event.secret,
            position,
        ),
    )
    await connection.execute(
        "INSERT INTO webhooks.queues (endpoint_id, tenant) VALUES (%s, %s)",
        (event.originator_id, event.tenant),
    )


async def _set(connection: AsyncConnection[Any], stored: StoredEvent, **columns: Any) -> None:
    ((column, value),) = columns.items()
    await connection.execute(
        f"UPDATE webhooks.endpoints SET {column} = %s, revision = %s WHERE id = %s",  # noqa: S608
        (value, stored.position, stored.stream_id),
    )


async def _rotate(
    connection: AsyncConnection[Any], stored: StoredEvent, secret: UUID, until: str
) -> None:
    """The secret of now joins the former ones, of which the lapsed ones go."""
    await connection.execute(
        "UPDATE webhooks.endpoints SET secret = %s, revision = %s, former ="
        " jsonb_build_array(jsonb_build_object('secret', secret, 'until', %s::text)) || ("
        "  SELECT coalesce(jsonb_agg(f), '[]') FROM jsonb_array_elements(former) f"
        "  WHERE (f ->> 'until')::timestamptz > %s)"
        " WHERE id = %s",
        (secret, stored.position, until, stored.recorded_at, stored.stream_id),
    )


async def _retry(connection: AsyncConnection[Any], endpoint_id: UUID, delivery: UUID) -> None:
    """A finished delivery is put in again; the next attempt at a waiting one is made now."""
    cursor = await connection.execute(
        "SELECT stream_id, position, name, status FROM webhooks.deliveries"
        " WHERE id = %s AND endpoint_id = %s",
        (delivery, endpoint_id),
    )
    row = await cursor.fetchone()
    if row is None:
        return
    stream_id, position, name, status = row
    if status != "pending":
        await connection.execute(PUT, ([delivery], [endpoint_id], [stream_id], [position], [name]))
        return
    await connection.execute(
        "UPDATE webhooks.queues SET wake = least(wake, clock_timestamp()), not_before = NULL"
        " WHERE endpoint_id = %s",
        [endpoint_id],
    )
    await connection.execute(
        "UPDATE webhooks.deliveries SET due = clock_timestamp() WHERE id = %s AND due IS NOT NULL",
        [delivery],
    )


async def _remove(connection: AsyncConnection[Any], endpoint_id: UUID) -> None:
    await connection.execute(
        "SELECT webhooks.give_up(%s, 'The endpoint was removed.')", [endpoint_id]
    )
    await connection.execute(
        "WITH gone AS (DELETE FROM webhooks.endpoints WHERE id = %s RETURNING *)"
        " DELETE FROM webhooks.secrets s USING gone WHERE s.id IN (gone.secret, gone.headers)"
        " OR s.id IN (SELECT (f ->> 'secret')::uuid FROM jsonb_array_elements(gone.former) f)",
        [endpoint_id],
    )
    await connection.execute("DELETE FROM webhooks.queues WHERE endpoint_id = %s", [endpoint_id])


def fanout() -> Follower:
    """The follower that turns events into deliveries."""
    topics = tuple(CONFIGURATION | BY_TOPIC.keys())
    return Follower(NAME, topics, FanOut().handle, batch=BATCH)
