"""The event log as the application sees it: load an aggregate, append a decision, read on."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

import psycopg
import structlog
from eventsourcing.domain import OriginatorIDError, OriginatorVersionError
from eventsourcing.persistence import IntegrityError
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.kernel import Appended, Decision
from domain.folding import fold
from domain.kernel import Aggregate
from domain.personal import remembers_persons
from infrastructure import database
from infrastructure.event_log import codec, snapshots
from infrastructure.event_log.codec import StoredEvent
from infrastructure.event_log.committer import Committer, key_mismatch
from infrastructure.event_log.snapshots import UnusableSnapshot
from infrastructure.event_log.turns import Turns
from infrastructure.personal_data import keyring
from infrastructure.personal_data.opening import opened, opened_states
from infrastructure.personal_data.persons import Persons
from infrastructure.personal_data.rotation import secrets_of
from infrastructure.settings import Settings

log = structlog.get_logger()

A = TypeVar("A", bound=Aggregate)

LONG = 200
"""Events folded since the last snapshot that make the next one worth taking."""

WRITING = 4
"""Snapshots that a process writes at once; more are left for the next load."""

_EVENTS = (
    "SELECT topic, stream_id, version, tenant, state FROM log.events"
    " WHERE stream_id = %(id)s AND version > %(since)s ORDER BY version"
)

_SNAPSHOT_AND_EVENTS = """
WITH snapshot AS MATERIALIZED (
    SELECT version, tenant, state FROM log.snapshots WHERE stream_id = %(id)s AND shape = %(shape)s)
SELECT NULL AS topic, %(id)s::uuid AS stream_id, version, tenant, state FROM snapshot
UNION ALL
SELECT topic, stream_id, version, tenant, state FROM log.events
WHERE stream_id = %(id)s AND version > coalesce((SELECT version FROM snapshot), 0)
ORDER BY version
"""

_KEEP = """
INSERT INTO log.snapshots AS kept (stream_id, version, tenant, shape, state)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (stream_id) DO UPDATE SET version = excluded.version, tenant = excluded.tenant,
    shape = excluded.shape, state = excluded.state, taken_at = excluded.taken_at
WHERE kept.shape <> excluded.shape OR kept.version < excluded.version
"""


class _Frozen(NamedTuple):
    version: int
    state: bytes


class EventLog:
    """One process's way in and out of the log; implements `application.kernel.Log`.

    `long` is how many events a stream grows by from one snapshot to the next; None takes none.
    `cache` is how many aggregates are kept in memory (as bytes, so that no decision ever works on
    another's object); each load still asks for what has happened since, in any process.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool[Any],
        committer: Committer,
        *,
        long: int | None = LONG,
        cache: int = 0,
    ) -> None:
        self.pool, self.committer = pool, committer
        self.persons = Persons(pool)
        self.long, self.cache = long, cache
        self.locks: WeakValueDictionary[object, asyncio.Lock] = WeakValueDictionary()
        self.cached: OrderedDict[UUID, _Frozen] = OrderedDict()
        self.writing: set[asyncio.Task[None]] = set()
        self.turns = Turns(pool)

    @asynccontextmanager
    async def alone(self, what: object) -> AsyncIterator[None]:
        """One at a time within this process, so that its commands do not race each other; and
        in turns with the other processes when there was a race lately."""
        lock = self.locks.get(what)
        if lock is None:
            lock = self.locks[what] = asyncio.Lock()
        async with lock, self.turns.taken(what):
            yield

    async def load(self, kind: type[A], stream_id: UUID) -> A | None:
        """The aggregate as it is now; None when there is no such stream or it is another kind.

        Raises `UnreadableEvent`.
        """
        known = self.cached.get(stream_id)
        try:
            if known is not None:
                base = snapshots.thaw(kind, stream_id, *known)
                rows = await self._rows(_EVENTS, id=stream_id, since=known.version)
                return self._folded(kind, base, rows)
            if self.long is not None:
                shape = snapshots.shape(kind)
                rows = await self._rows(_SNAPSHOT_AND_EVENTS, id=stream_id, shape=shape)
                if rows and rows[0][0] is None:
                    _, _, version, _, state = rows[0]
                    base = snapshots.thaw(kind, stream_id, version, state)
                    return self._folded(kind, base, rows[1:])
                return self._folded(kind, None, rows)
        except (UnusableSnapshot, OriginatorIDError, OriginatorVersionError) as error:
            log.warning("snapshot.ignored", stream=str(stream_id), reason=str(error))
            self.cached.pop(stream_id, None)
        return self._folded(kind, None, await self._rows(_EVENTS, id=stream_id, since=0))

    async def _rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row, binary=True)
            await cursor.execute(query.encode(), values)
            rows: list[tuple[Any, ...]] = await cursor.fetchall()
            return await opened_states(connection, rows)

    def _folded(self, kind: type[A], base: A | None, rows: list[tuple[Any, ...]]) -> A | None:
        aggregate = fold(kind, (codec.decode(*row) for row in rows), base)
        if aggregate is not None and (self.cache or self.long is not None):
            self._remember(aggregate, len(rows))
        return aggregate

    def _remember(self, aggregate: Aggregate, folded: int) -> None:
        """Keep what was folded for the next load, before anybody decides on it."""
        long = self.long is not None and folded >= self.long
        long = long and len(self.writing) < WRITING
        if not long and not (self.cache and folded):
            return
        if remembers_persons(type(aggregate)):
            return  # an erasure could not reach the copy
        try:
            frozen = _Frozen(aggregate.version, snapshots.freeze(aggregate))
        except UnusableSnapshot as error:
            log.warning("snapshot.not_taken", topic=aggregate.TOPIC, reason=str(error))
            return
        if self.cache:
            self.cached[aggregate.id] = frozen
            self.cached.move_to_end(aggregate.id)
            while len(self.cached) > self.cache:
                self.cached.popitem(last=False)
        if long:
            task = asyncio.create_task(self._keep(aggregate, frozen), name="snapshot")
            self.writing.add(task)
            task.add_done_callback(self.writing.discard)

    async def _keep(self, aggregate: Aggregate, frozen: _Frozen) -> None:
        kind = type(aggregate)
        row = (aggregate.id, frozen.version, aggregate.tenant, snapshots.shape(kind), frozen.state)
        try:
            async with self.pool.connection(timeout=1) as connection:
                await connection.execute(_KEEP, row)
        except (psycopg.Error, PoolTimeout, OSError) as error:
            log.warning("snapshot.not_kept", topic=kind.TOPIC, error=type(error).__name__)

    async def append(self, decision: Decision) -> Appended:
        """Commit a decision together with whatever others are being committed now."""
        try:
            keys = self.persons.at_hand(decision.events)
            if keys is None:
                keys = await self.persons.keys_of(decision.events)
            return await self.committer.submit(decision, keys)
        except IntegrityError:
            streams = {event.originator_id for event in decision.events}
            self.turns.clashed(streams)
            for stream in streams:
                self.cached.pop(stream, None)
            raise

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
            events = [StoredEvent(*row) for row in await cursor.fetchall()]
            return list(await opened(connection, events))


@asynccontextmanager
async def open_log(settings: Settings, name: str) -> AsyncIterator[EventLog]:
    """The event log, for as long as the process needs it."""
    async with AsyncExitStack() as stack:
        keyring.use(secrets_of(settings))
        pool = await stack.enter_async_context(database.pool(settings.database_url, name))
        committer = Committer(settings.database_url)
        await committer.start()
        stack.push_async_callback(committer.close)
        yield EventLog(pool, committer)
