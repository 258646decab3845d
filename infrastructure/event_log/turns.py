"""Turns at hot aggregates: processes that clash over a stream go on one after the other.

Versions keep the log right whatever happens here. Without turns a command that several processes
race for is decided again and again, and may lose each time; with them the loser of a race waits,
in the order of arrival, while the others decide.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any
from uuid import UUID

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

log = structlog.get_logger()

TURNS = 73610184
"""Class of the advisory locks, by a hash of the stream."""
HOT = 5.0
"""Seconds after a clash during which turns are taken."""
PATIENCE = 3.0
"""Seconds to wait for one's turn; whoever stands still longer in theirs is passed."""
KNOWN = 1000
"""Hot streams that are remembered."""

_TAKE = f"SELECT pg_advisory_xact_lock({TURNS}, hashtext(%s))"


class Turns:
    """Uses no more than a quarter of the connections of `pool`: the others are for deciding."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self.pool = pool
        self.room = asyncio.Semaphore(pool.max_size // 4)
        self.hot: OrderedDict[UUID, float] = OrderedDict()

    def clashed(self, streams: Iterable[UUID]) -> None:
        """From now on, and for a while, turns are taken at these."""
        for stream in streams:
            self.hot[stream] = monotonic() + HOT
            self.hot.move_to_end(stream)
        while len(self.hot) > KNOWN:
            self.hot.popitem(last=False)

    @asynccontextmanager
    async def taken(self, what: object) -> AsyncIterator[None]:
        """One's turn at a stream, if it is a hot one and there is room; else nothing at all."""
        if (
            not isinstance(what, UUID)
            or self.hot.get(what, 0.0) < monotonic()
            or self.room.locked()
        ):
            yield
            return
        async with self.room, self._connection() as connection:
            if connection is not None and await self._lock(connection, what):
                self.clashed([what])
            yield

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any] | None]:
        """One in a transaction that is rolled back, which ends the turn."""
        try:
            connection = await self.pool.getconn(timeout=1)
        except (PoolTimeout, psycopg.OperationalError):
            yield None
            return
        try:
            yield connection
        finally:
            try:
                await connection.execute("ROLLBACK")
            except (psycopg.Error, OSError):
                await connection.close()
            await self.pool.putconn(connection)

    async def _lock(self, connection: psycopg.AsyncConnection[Any], stream: UUID) -> bool:
        """Wait for the turn; True when somebody else had it."""
        try:
            async with connection.pipeline():
                await connection.execute("BEGIN")
                await connection.execute(
                    f"SET LOCAL lock_timeout = {int(PATIENCE * 1000)}".encode()
                )
                began = monotonic()
                await connection.execute(_TAKE.encode(), [str(stream)])
            return monotonic() - began > 0.001
        except psycopg.Error as error:
            log.info("turns.not_taken", error=type(error).__name__)
            return False
