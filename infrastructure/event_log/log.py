"""The event log as the application sees it: load an aggregate, append a decision, read on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from application.kernel import Appended, Decision
from domain.kernel import Aggregate, fold
from infrastructure.event_log import codec
from infrastructure.event_log.codec import StoredEvent
from infrastructure.event_log.committer import Committer, key_mismatch

A = TypeVar("A", bound=Aggregate)


class EventLog:
    """One process's way in and out of the log; implements `application.kernel.Log`."""

    def __init__(self, pool: AsyncConnectionPool[Any], committer: Committer) -> None:
        self.pool, self.committer = pool, committer
        self.locks: WeakValueDictionary[object, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def alone(self, what: object) -> AsyncIterator[None]:
        """One at a time within this process, so that its commands do not race each other."""
        lock = self.locks.get(what)
        if lock is None:
            lock = self.locks[what] = asyncio.Lock()
        async with lock:
            yield

    async def load(self, kind: type[A], stream_id: UUID) -> A | None:
        """The aggregate as it is now; None when there is no such stream or it is another kind."""
        async with self.pool.connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row, binary=True)
            await cursor.execute(
                "SELECT topic, stream_id, version, tenant, state FROM log.events"
                " WHERE stream_id = %s ORDER BY version",
                (stream_id,),
            )
            rows = await cursor.fetchall()
        return fold(kind, (codec.decode(*row) for row in rows))

    async def append(self, decision: Decision) -> Appended:
        """Commit a decision together with whatever others are being committed now."""
        return await self.committer.submit(decision)

    async def answered(self, tenant: str, key: bytes, request: bytes) -> Appended | None:
        """What this key was answered within the last 24 hours.

        Raises `Invalid` when it stood for another request.
        """
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT request, position, answer FROM log.answers WHERE tenant = %s AND key = %s"
                " AND created_at > now() - interval '24 hours'",
                (tenant, key),
            )
            row = await cursor.fetchone()
        if row is None:
            return None
        if row[0] != request:
            raise key_mismatch()
        return Appended(row[1], row[2])

    async def after(self, position: int, limit: int) -> list[StoredEvent]:
        """Up to `limit` events behind `position`, in the order of the log."""
        async with self.pool.connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row, binary=True)
            await cursor.execute(
                codec.SELECT + " WHERE position > %s ORDER BY position LIMIT %s", (position, limit)
            )
            return [StoredEvent(*row) for row in await cursor.fetchall()]
