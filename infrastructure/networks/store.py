"""What is kept of connected accounts beside the log: their secrets, what is being sent, and whom
networks have asked to wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import structlog
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from application.social.networks import Outgoing, Receipt
from domain.social.networks import Network
from infrastructure.networks.api import Sending
from infrastructure.secrets import CannotOpen, Sealed, SecretVault

log = structlog.get_logger()

LONGEST_PAUSE = timedelta(days=1)

ORPHAN = timedelta(hours=1)
"""No request is under way for so long."""


@dataclass(frozen=True)
class Sent:
    """A sending as it was noted."""

    connection_id: UUID
    sending: Sending
    receipt: Receipt | None


@dataclass(frozen=True)
class Store:
    """The tables of schema step 031."""

    pool: AsyncConnectionPool[Any]
    vault: SecretVault
    renewals: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """Each holds a connection of the pool while it waits, and needs others."""

    async def keep(
        self, tenant: str, network: Network, connection_id: UUID, credentials: Mapping[str, str]
    ) -> None:
        """Encrypt credentials under their connection, in place of older ones."""
        context = _context(tenant, network, connection_id)
        sealed = self.vault.seal(orjson.dumps(dict(credentials)), *context)
        await self._execute(
            "INSERT INTO work.credentials (connection_id, tenant, network, key_id, sealed)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (connection_id) DO UPDATE SET"
            " key_id = excluded.key_id, sealed = excluded.sealed, kept_at = clock_timestamp()",
            (connection_id, tenant, network, sealed.key_id, sealed.data),
        )

    async def kept(
        self, tenant: str, network: Network, connection_id: UUID
    ) -> dict[str, str] | None:
        """The credentials; None without, or when no key opens them (which is logged).

        Those that an older key has sealed are sealed anew.
        """
        row = await self._execute(
            "SELECT key_id, sealed FROM work.credentials WHERE tenant = %s AND connection_id = %s",
            (tenant, connection_id),
        )
        if row is None:
            return None
        try:
            opened = self.vault.open(Sealed(*row), *_context(tenant, network, connection_id))
        except CannotOpen as error:
            log.error("credentials.sealed", connection=str(connection_id), reason=str(error))
            return None
        credentials: dict[str, str] = orjson.loads(opened)
        if row[0] != self.vault.key_id:
            await self._reseal(tenant, network, connection_id, row[1], opened)
        return credentials

    async def _reseal(
        self, tenant: str, network: Network, connection_id: UUID, before: bytes, opened: bytes
    ) -> None:
        sealed = self.vault.seal(opened, *_context(tenant, network, connection_id))
        await self._execute(
            "UPDATE work.credentials SET key_id = %s, sealed = %s"
            " WHERE connection_id = %s AND sealed = %s",
            (sealed.key_id, sealed.data, connection_id, before),
        )

    async def forget(self, tenant: str, connection_id: UUID) -> None:
        """Delete credentials."""
        await self._execute(
            "DELETE FROM work.credentials WHERE tenant = %s AND connection_id = %s",
            (tenant, connection_id),
        )

    async def sweep(self, tenant: str, network: Network, but: Collection[UUID]) -> None:
        """Delete credentials of requests that died before they were decided on."""
        await self._execute(
            "DELETE FROM work.credentials WHERE tenant = %s AND network = %s"
            " AND connection_id <> ALL(%s) AND kept_at < clock_timestamp() - %s::interval",
            (tenant, network, list(but), ORPHAN),
        )

    @asynccontextmanager
    async def alone(self, connection_id: UUID) -> AsyncIterator[None]:
        """One at a time over all processes; the lock goes with its holder's connection."""
        async with (
            self.renewals,
            self.pool.connection() as connection,
            connection.transaction(),
        ):
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('renew:' || %s, 0))",
                [str(connection_id)],
            )
            yield

    async def begin(self, outgoing: Outgoing, connection_id: UUID, reference: str | None) -> None:
        """Note that something is about to be sent, replacing an earlier attempt's note."""
        await self._execute(
            "INSERT INTO work.sendings (tenant, key, network, connection_id, reference)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (tenant, key) DO UPDATE SET"
            " connection_id = excluded.connection_id, reference = excluded.reference,"
            " sent_at = clock_timestamp()",
            (outgoing.tenant, outgoing.key, outgoing.network, connection_id, reference),
        )

    async def undo(self, outgoing: Outgoing) -> None:
        """It has certainly not been sent."""
        await self._execute(
            "DELETE FROM work.sendings WHERE tenant = %s AND key = %s AND network_post_id IS NULL",
            (outgoing.tenant, outgoing.key),
        )

    async def found(self, outgoing: Outgoing, receipt: Receipt) -> None:
        """It is out."""
        await self._execute(
            "UPDATE work.sendings SET network_post_id = %s, url = %s, published_at = %s"
            " WHERE tenant = %s AND key = %s",
            (
                receipt.network_post_id,
                receipt.url,
                receipt.at,
                outgoing.tenant,
                outgoing.key,
            ),
        )

    async def sent(self, outgoing: Outgoing) -> Sent | None:
        """What is known of it; None when it has certainly not been sent."""
        row = await self._execute(
            "SELECT connection_id, sent_at, reference, network_post_id, url, published_at"
            " FROM work.sendings WHERE tenant = %s AND key = %s",
            (outgoing.tenant, outgoing.key),
        )
        if row is None:
            return None
        connection_id, sent_at, reference, post_id, url, at = row
        receipt = Receipt(post_id, url, at) if post_id else None
        return Sent(connection_id, Sending(sent_at, reference), receipt)

    async def others(self, outgoing: Outgoing, found: Sequence[str]) -> frozenset[str]:
        """Those of `found` that other sendings of the tenant are known to be."""
        row = await self._execute(
            "SELECT coalesce(array_agg(network_post_id), '{}') FROM work.sendings"
            " WHERE tenant = %s AND network = %s AND network_post_id = ANY(%s) AND key <> %s",
            (outgoing.tenant, outgoing.network, list(found), outgoing.key),
        )
        return frozenset(row[0])

    async def pause(self, scope: str, seconds: float) -> None:
        """Leave a network alone for a while."""
        until = datetime.now(UTC) + min(timedelta(seconds=seconds), LONGEST_PAUSE)
        await self._execute(
            "INSERT INTO work.network_pauses AS p (scope, until) VALUES (%s, %s)"
            " ON CONFLICT (scope) DO UPDATE SET until = greatest(p.until, excluded.until)",
            (scope, until),
        )

    async def paused(self, scopes: Iterable[str]) -> float:
        """Seconds for which any of `scopes` is to be left alone; 0 when none is."""
        row = await self._execute(
            "SELECT coalesce(extract(epoch FROM max(until) - clock_timestamp()), 0)::float8"
            " FROM work.network_pauses WHERE scope = ANY(%s)",
            (list(scopes),),
        )
        return max(float(row[0]), 0.0)

    async def erase(self, tenant: str, network: Network) -> None:
        """Delete what is kept of the tenant's posts on a network, but not what is still open."""
        await self._execute(
            "DELETE FROM work.sendings WHERE tenant = %s AND network = %s"
            " AND network_post_id IS NOT NULL",
            (tenant, network),
        )
        await self._execute(
            "DELETE FROM sandbox.posts WHERE tenant = %s AND network = %s", (tenant, network)
        )
        await self._execute(
            "DELETE FROM sandbox.replies WHERE tenant = %s AND network = %s", (tenant, network)
        )

    async def _execute(self, query: str, values: Sequence[Any]) -> Any:
        async with self.pool.connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            await cursor.execute(query.encode(), values)
            return await cursor.fetchone() if cursor.description else None


def _context(tenant: str, network: Network, connection_id: UUID) -> tuple[str, ...]:
    return ("credentials", tenant, network.value, str(connection_id))
