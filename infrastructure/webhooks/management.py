"""What a process that answers requests needs of webhooks: may an address be used, where are
secrets kept, what became of deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from application.webhooks.endpoints import NewSecret
from domain.identity import Caller
from domain.kernel import Invalid, NotFound, Unavailable
from infrastructure.admission import admit
from infrastructure.egress import EgressGuard
from infrastructure.http_fields import check_headers
from infrastructure.settings import Settings
from infrastructure.webhooks import fanout
from infrastructure.webhooks.signing import Vault
from infrastructure.webhooks.stream import Stream, head

RESERVED = frozenset({"user-agent", "accept", "accept-encoding", "content-type"})
RESERVED_PREFIXES = ("webhook-", "content-")

PATIENCE, LOOK = 2.0, 0.02
"""Seconds that a caller waits for their own writes to have become deliveries; between looks."""

_BEHIND = """
SELECT greatest(coalesce((SELECT position FROM log.callers
                          WHERE tenant = %(tenant)s AND actor = %(user)s), 0), %(at_least)s)
     > coalesce((SELECT position FROM work.followers WHERE name = %(follower)s), 0)
"""

_AT_REST = """
SELECT (SELECT position FROM work.followers WHERE name = %(name)s)
        >= (SELECT max(position) FROM log.events WHERE stream_id = %(id)s)
    AND NOT EXISTS (SELECT FROM webhooks.queues WHERE endpoint_id = %(id)s AND pending > 0)
    AND NOT EXISTS (SELECT FROM webhooks.replays WHERE endpoint_id = %(id)s)
"""

_DELIVERIES = """
SELECT d.* FROM webhooks.deliveries d
WHERE d.tenant = %(tenant)s
    AND (%(endpoint_id)s::uuid IS NULL OR d.endpoint_id = %(endpoint_id)s)
    AND (%(status)s::text IS NULL OR d.status = %(status)s)
    AND (%(name)s::text IS NULL OR d.name = %(name)s)
    AND (%(before)s::uuid IS NULL OR d.id < %(before)s)
ORDER BY d.id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which deliveries; `before` is the last one of the page before."""

    endpoint_id: UUID | None = None
    status: str | None = None
    name: str | None = None
    before: UUID | None = None
    limit: int = 50


class Webhooks:
    """One process's way to the tables of webhooks; what it answers is the caller's tenant's."""

    def __init__(
        self, url: str, pool: AsyncConnectionPool[Any], vault: Vault, guard: EgressGuard
    ) -> None:
        self.pool, self.vault, self.guard = pool, vault, guard
        self.stream = Stream(url, pool)

    @classmethod
    def of(cls, settings: Settings, pool: AsyncConnectionPool[Any]) -> Self:
        """With the keys and the addresses that an installation is set up with."""
        vault, guard = Vault(*settings.webhook_secret_keys), EgressGuard(settings.private_networks)
        return cls(settings.database_url, pool, vault, guard)

    async def head(self) -> int:
        """The position of the last event in the log."""
        async with self.pool.connection() as connection:
            return await head(connection)

    async def admit(self, url: str) -> None:
        """Raises `Invalid` for an address that nothing may be sent to."""
        await admit(self.guard, url, "url")

    async def keep_secret(self, tenant: str) -> NewSecret:
        """A new signing secret, put away."""
        async with self.pool.connection() as connection:
            id, secret = await self.vault.keep_secret(connection, tenant)
        return NewSecret(id, secret.public_key)

    async def keep_headers(self, tenant: str, headers: Mapping[str, str] | None) -> UUID | None:
        """Where a receiver's own headers are put away. Raises `Invalid` naming a bad one."""
        if not headers:
            return None
        try:
            check_headers(headers)
        except ValueError as error:
            raise Invalid(f"{error}.", field="headers") from None
        for name in headers:
            if name.lower() in RESERVED or name.lower().startswith(RESERVED_PREFIXES):
                raise Invalid(f"header {name!r}: is set by Tidings itself.", field="headers")
        async with self.pool.connection() as connection:
            return await self.vault.keep_headers(connection, tenant, headers)

    async def reveal(self, tenant: str, id: UUID) -> str | None:
        """A signing secret as its receiver needs it; None when it has been forgotten."""
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT sealed FROM webhooks.secrets WHERE id = %s AND tenant = %s", (id, tenant)
            )
            row = await cursor.fetchone()
        return None if row is None else self.vault.secret(tenant, id, row[0]).text

    async def position_of(self, stream_id: UUID, version: int) -> int:
        """Where an event stands in the log."""
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT position FROM log.events WHERE stream_id = %s AND version = %s",
                (stream_id, version),
            )
            row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    async def at_rest(self, endpoint_id: UUID) -> bool:
        """Whether all that was put in for an endpoint, up to its own last event, is over."""
        async with self.pool.connection() as connection:
            cursor = await connection.execute(_AT_REST, {"id": endpoint_id, "name": fanout.NAME})
            row = await cursor.fetchone()
        return row is not None and bool(row[0])

    async def positions(self, since: datetime, until: datetime | None) -> tuple[int, int]:
        """The first position recorded from `since` on, and the last one before `until`; the
        first is behind the last when nothing was."""
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT log.position_at(%s),"
                " log.position_at(coalesce(%s::timestamptz, 'infinity'))",
                (since, until),
            )
            row = await cursor.fetchone()
        assert row is not None
        return row[0], row[1] - 1

    async def deliveries(
        self, caller: Caller, wanted: Wanted, at_least: int | None
    ) -> list[dict[str, Any]]:
        """Deliveries, the latest event first. Raises `NotFound` for an endpoint that is not
        there, `Unavailable` when the fan-out has not reached the caller's last write."""
        await self._caught_up(caller, at_least)
        asked = {
            "tenant": caller.tenant,
            "endpoint_id": wanted.endpoint_id,
            "status": wanted.status,
            "name": wanted.name,
            "before": wanted.before,
            "limit": wanted.limit,
        }
        async with self.pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(_DELIVERIES, asked)
            rows: list[dict[str, Any]] = await cursor.fetchall()
            if not rows and wanted.endpoint_id is not None:
                known = await connection.execute(
                    "SELECT FROM webhooks.endpoints WHERE id = %(endpoint_id)s"
                    " AND tenant = %(tenant)s UNION ALL (SELECT FROM webhooks.deliveries"
                    " WHERE endpoint_id = %(endpoint_id)s AND tenant = %(tenant)s LIMIT 1)",
                    asked,
                )
                if not known.rowcount:
                    raise NotFound("There is no such endpoint.")
        return rows

    async def delivery(
        self, caller: Caller, id: UUID, at_least: int | None = None
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """One delivery and its attempts, the earliest first. Raises `NotFound`, `Unavailable`."""
        await self._caught_up(caller, at_least)
        async with self.pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(
                "SELECT * FROM webhooks.deliveries WHERE id = %s AND tenant = %s",
                (id, caller.tenant),
            )
            row = await cursor.fetchone()
            if row is None:
                raise NotFound("There is no such delivery.")
            await cursor.execute(
                "SELECT at, status, milliseconds, error, answer FROM webhooks.attempts"
                " WHERE delivery_id = %s ORDER BY at",
                [id],
            )
            return row, await cursor.fetchall()

    async def _caught_up(self, caller: Caller, at_least: int | None) -> None:
        """Wait until what the caller wrote has become deliveries."""
        asked = {
            "tenant": caller.tenant,
            "user": caller.user,
            "at_least": at_least or 0,
            "follower": fanout.NAME,
        }
        clock = asyncio.get_running_loop().time
        deadline = clock() + PATIENCE
        while True:
            async with self.pool.connection() as connection:
                cursor = await connection.execute(_BEHIND, asked)
                row = await cursor.fetchone()
            if row == (False,):
                return
            if clock() > deadline:
                raise Unavailable("The deliveries have not caught up yet.", code="behind")
            await asyncio.sleep(LOOK)
