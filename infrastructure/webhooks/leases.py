"""Which sender has which endpoint: taken while there is work, kept by signs of life, let go of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from uuid_utils.compat import uuid4

LEASE = 10.0
"""Seconds without a sign of life after which a sender counts as dead."""
BEATS = 3
"""Signs of life within that time."""
MOST = 2000
"""Endpoints that one sender has at once."""
SHARED_CLAIM = 8
"""Endpoints taken at once when there are other senders, so that each gets some."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a sender stands among the others: what it still has, and what its share would be."""

    owned: frozenset[UUID]
    share: int


class Leases:
    """One sender's. A sender that was paused for too long finds out at its next sign of life."""

    def __init__(self, seconds: float = LEASE) -> None:
        self.id: UUID = uuid4()
        self.seconds = seconds
        self.alone = True

    @property
    def beat_every(self) -> float:
        """Seconds between signs of life."""
        return self.seconds / BEATS

    async def beat(self, connection: AsyncConnection[Any]) -> Standing:
        """Say that this sender lives."""
        await connection.execute(
            "INSERT INTO webhooks.senders (id, alive_until)"
            " VALUES (%s, clock_timestamp() + make_interval(secs => %s))"
            " ON CONFLICT (id) DO UPDATE SET alive_until = excluded.alive_until",
            (self.id, self.seconds),
        )
        cursor = await connection.execute(
            "SELECT (SELECT count(*) FROM webhooks.senders"
            "         WHERE alive_until > clock_timestamp()),"
            " (SELECT count(*) FROM webhooks.queues"
            "   WHERE owner IS NOT NULL OR wake <= clock_timestamp()),"
            " ARRAY(SELECT endpoint_id FROM webhooks.queues WHERE owner = %s)",
            [self.id],
        )
        row = await cursor.fetchone()
        assert row is not None
        senders, active, owned = row
        self.alone = senders <= 1
        return Standing(frozenset(owned), -(-active // max(senders, 1)))

    async def claim(self, connection: AsyncConnection[Any], held: int) -> list[UUID]:
        """Take endpoints that have work and that nobody alive has; this sender has `held`."""
        room = MOST - held
        most = room if self.alone else min(room, SHARED_CLAIM)
        cursor = await connection.execute("SELECT webhooks.claim(%s, %s)", (self.id, most))
        return [id for (id,) in await cursor.fetchall()]

    async def release(self, connection: AsyncConnection[Any], endpoints: Sequence[UUID]) -> None:
        """Let go of endpoints; whoever is free takes them when there is work."""
        await connection.execute("SELECT webhooks.release(%s, %s)", (self.id, list(endpoints)))

    async def resign(self, connection: AsyncConnection[Any]) -> None:
        """Live no longer: everything that this sender has is free."""
        await connection.execute("DELETE FROM webhooks.senders WHERE id = %s", [self.id])
        await connection.execute("SELECT pg_notify('tidings_webhooks', '')")
