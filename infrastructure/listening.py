"""Listening to networks in the background: what is due is looked at, by any number of processes.

Where each network stands is a row, so that nothing is forgotten when a process dies: its looks
come due again after their lease. Two looks at the same time would do no harm, only work.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
import structlog
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.social.mentions import Listener, Listening
from domain.social.networks import Network

log = structlog.get_logger()

LEASE = timedelta(minutes=2)
"""For so long a look belongs to the process that took it."""
LONGEST_LOOK = 100.0
"""Seconds after which a look is given up, within its lease."""

AT_ONCE = 8
"""Looks that one process takes at the same time."""
TICK = 1.0
"""Seconds between questions what is due."""


@dataclass(frozen=True)
class Turn:
    """One look that is ours to take."""

    known: Listening
    number: int


@dataclass(frozen=True)
class Ears:
    """The table of schema step 032; implements `application.social.mentions.Ear`."""

    pool: AsyncConnectionPool[Any]

    async def begin(self, tenant: str, network: Network, since: datetime, *, anew: bool) -> None:
        """As the port says. An earlier beginning counts as long as nobody has been asked."""
        await self._execute(
            "INSERT INTO work.listening AS l (tenant, network, since) VALUES (%s, %s, %s)"
            " ON CONFLICT (tenant, network) DO UPDATE SET"
            " since = CASE WHEN l.provider IS NULL THEN least(l.since, excluded.since)"
            "         ELSE l.since END,"
            " due = CASE WHEN %s THEN clock_timestamp() ELSE l.due END",
            (tenant, network, since, anew),
        )

    async def end(self, tenant: str, network: Network) -> None:
        """As the port says."""
        await self._execute(
            "DELETE FROM work.listening WHERE tenant = %s AND network = %s", (tenant, network)
        )

    async def take(self, most: int) -> list[Turn]:
        """What is due, the longest first, at most so much."""
        rows = await self._execute(
            "UPDATE work.listening l SET due = clock_timestamp() + %s, turn = turn + 1"
            " FROM (SELECT tenant, network FROM work.listening WHERE due <= clock_timestamp()"
            "       ORDER BY due LIMIT %s FOR UPDATE SKIP LOCKED) d"
            " WHERE l.tenant = d.tenant AND l.network = d.network"
            " RETURNING l.tenant, l.network, since, provider, cursor, heard_at, failures, turn",
            (LEASE, most),
        )
        return [
            Turn(Listening(tenant, Network(network), *rest), number)
            for tenant, network, *rest, number in rows
        ]

    async def done(self, turn: Turn, now: Listening, due: datetime) -> None:
        """How it stands after a look; nothing when another one has come after it, or it ended."""
        await self._execute(
            "UPDATE work.listening SET since = %s, provider = %s, cursor = %s, heard_at = %s,"
            " failures = %s, due = %s WHERE tenant = %s AND network = %s AND turn = %s",
            (
                now.since,
                now.provider,
                now.cursor,
                now.heard_at,
                now.failures,
                due,
                now.tenant,
                now.network,
                turn.number,
            ),
        )

    async def _execute(self, query: str, values: tuple[Any, ...]) -> list[Any]:
        async with self.pool.connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            await cursor.execute(query.encode(), values)
            return await cursor.fetchall() if cursor.description else []


async def listen(ears: Ears, listener: Listener) -> None:
    """Look at what is due until cancelled."""
    looking: set[asyncio.Task[None]] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            for turn in await _due(ears, AT_ONCE - len(looking)):
                task = group.create_task(_look(ears, listener, turn), name="listening")
                looking.add(task)
                task.add_done_callback(looking.discard)
            # A place that becomes free is taken at once; it is not when nothing was due.
            full = len(looking) == AT_ONCE
            await (
                asyncio.wait(looking, timeout=TICK, return_when=asyncio.FIRST_COMPLETED)
                if full
                else asyncio.sleep(TICK)
            )


async def _due(ears: Ears, most: int) -> list[Turn]:
    if most <= 0:
        return []
    try:
        return await ears.take(most)
    except (psycopg.Error, PoolTimeout, OSError) as error:
        log.warning("listening.interrupted", error=type(error).__name__)
        return []


async def _look(ears: Ears, listener: Listener, turn: Turn) -> None:
    """One look. Whatever goes wrong, the others go on, and this one comes again after its lease."""
    known = turn.known
    try:
        async with asyncio.timeout(LONGEST_LOOK):
            now, due = await listener.look(known)
            await ears.done(turn, now, due)
    except Exception as error:  # noqa: BLE001 - logged, and tried again
        # Not the error's own words: they may be those of a person.
        log.error(
            "listening.failed",
            tenant=known.tenant,
            network=known.network.value,
            error=type(error).__name__,
        )
