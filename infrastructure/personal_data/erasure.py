"""Erasing a person: their key is destroyed, then every copy is purged, then a receipt is written.

1. In one transaction: the key goes, copies that are known by their text go, the erasure is noted,
   and a job is put by that takes it up should this process die.
2. `LEASE` seconds later nobody anywhere can use the key any more. Only then the event comes into
   the log. Whatever read models folded before it, they blank when they fold it; whatever is read
   behind it reads as erased. So rebuilt tables are those in use, byte for byte.
3. When the read models have passed the event, and no half-built one is left, the copies are purged
   again: what was under way at first has ended by now.
4. The receipt is signed and kept, and the erasure is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import namedtuple_row, tuple_row
from psycopg.types.json import Jsonb
from redis.asyncio import Redis

from application.compliance.erasures import BeginErasure, CompleteErasure
from application.kernel import NO_ANSWER, Desk, Job
from domain.compliance.erasures import Erasure, erasure_id
from domain.kernel import NotFound, Unavailable
from infrastructure.event_log.log import EventLog
from infrastructure.jobs import defer
from infrastructure.personal_data import keyring
from infrastructure.personal_data.keyring import LEASE
from infrastructure.personal_data.purging import PURGERS, Places, Purger, Traces, noted
from infrastructure.personal_data.receipts import Receipt, ReceiptSigner
from infrastructure.personal_data.tracing import trace
from infrastructure.read_models import registry
from infrastructure.settings import Settings
from projections.kernel import ReadModel

FINISH = "compliance.finish_erasure"
"""The job that takes up an erasure whose process has died."""

TAKE_UP = timedelta(seconds=60)
PATIENCE = 30.0
"""Seconds that read models have to come up."""
LOOK = 0.05

_KEY = "SELECT id, tenant, wrapping, wrapped FROM vault.keys WHERE tenant = %s AND subject = %s"

_BEHIND = """
SELECT m.name, m.id, m.state, m.position < %(position)s AS behind, b.schema AS build
FROM read.models m LEFT JOIN read.builds b ON b.model = m.name AND b.error IS NULL
WHERE m.name = ANY (%(models)s)
  AND ((m.position < %(position)s AND m.state <> 'building') OR b.schema IS NOT NULL)
ORDER BY m.name
"""


@dataclass(frozen=True)
class Eraser:
    """Carries out erasures. `models` are the read models of this release."""

    url: str
    log: EventLog
    redis: Redis
    data_dir: Path
    signer: ReceiptSigner
    models: Sequence[ReadModel]
    purgers: Mapping[str, Purger] = field(default_factory=lambda: PURGERS)

    async def erase(self, tenant: str, subject: str, actor: str) -> Receipt:
        """Erase a person; the receipt of last time when nothing has come since.

        Raises `NotFound` when nothing is kept of them, and `Unavailable` when it cannot be
        completed now: it is begun then, and taken up again every minute.
        """
        traces = await self._begin(tenant, subject, actor)
        if traces is None:
            return await self._earlier(tenant, subject)
        return await self._finish(traces)

    async def finish(self, tenant: str, person: str) -> Iterable[Job]:
        """Take up an erasure that was begun; the job `FINISH`."""
        again = Job(FINISH, {"tenant": tenant, "person": person}, at=datetime.now(UTC) + TAKE_UP)
        row = await self._erasure(UUID(person))
        if row is None or row.receipt is not None:
            return []
        try:
            async with self._connection() as connection:
                traces, _ = await trace(connection, tenant, UUID(person))
            await self._finish(traces)
        except Unavailable:
            return [again]
        return []

    async def receipt(self, tenant: str, id: UUID) -> Receipt | None:
        """The receipt of an erasure, None while it is under way. Raises `NotFound`."""
        row = await self._erasure(id)
        if row is None or row.tenant != tenant:
            raise NotFound("There is no such erasure.")
        return row.receipt  # type: ignore[no-any-return]

    async def _begin(self, tenant: str, subject: str, actor: str) -> Traces | None:
        """Destroy the key; None when there is none. Who is known by notes of the audit alone gets
        one first, so that their erasure has a name."""
        ring = keyring.current()
        async with self._connection() as connection, connection.transaction():
            known_by_notes = await noted(connection, tenant, subject)
        if known_by_notes:
            await self.log.persons.meet({(tenant, subject)})
        hash = await self.log.persons.hash_of(tenant, "subject", subject)
        async with self._connection() as connection, connection.transaction():
            cursor = connection.cursor(row_factory=tuple_row, binary=True)
            await cursor.execute(_KEY + " FOR UPDATE", (tenant, hash))
            row = await cursor.fetchone()
            if row is None:
                return None
            key = ring.unwrap(row)
            await connection.execute("DELETE FROM vault.keys WHERE id = %s", [key.id])
            traces, values = await trace(connection, tenant, key.id, key)
            traces = replace(traces, values=values, subject=subject)
            purged = await self._purge(connection, traces)
            await connection.execute(
                "INSERT INTO vault.erasures (id, tenant, subject, actor, purged)"
                " VALUES (%s, %s, %s, %s, %s)",
                (key.id, tenant, hash, actor, Jsonb(purged)),
            )
            late = datetime.now(UTC) + TAKE_UP
            await defer(connection, [_job(traces, late)])
        return traces

    async def _finish(self, traces: Traces) -> Receipt:
        await asyncio.sleep(LEASE + 0.05)
        row = await self._erasure(traces.person)
        desk = Desk(self.log, traces.tenant, row.actor, f"erasure-{traces.person}", follows=False)
        position = await self._announce(desk, traces.person, row.subject.hex())
        await self._passed(position)
        async with self._connection() as connection, connection.transaction():
            found, _ = await trace(connection, traces.tenant, traces.person)
            again = await self._purge(
                connection, replace(found, values=traces.values, subject=traces.subject)
            )
            purged = {name: n + again.get(name, 0) for name, n in row.purged.items()}
            receipt = self.signer.sign(_facts(row, found, purged, position))
            await connection.execute(
                "UPDATE vault.erasures SET completed_at = clock_timestamp(), purged = %s,"
                " receipt = coalesce(receipt, %s) WHERE id = %s",
                (Jsonb(purged), Jsonb(receipt), traces.person),
            )
        await desk.carry_out(Erasure, erasure_id(traces.person), CompleteErasure())
        return (await self._erasure(traces.person)).receipt  # type: ignore[no-any-return]

    async def _announce(self, desk: Desk, person: UUID, subject: str) -> int:
        """The position of the event that says that the key is no more, once in the log."""
        stream = erasure_id(person)
        async with self.log.alone(stream):
            if await self.log.load(Erasure, stream) is None:
                command = BeginErasure(person=person, subject=subject)
                await desk.create(command, lambda _: NO_ANSWER)
        async with self._connection() as connection:
            cursor = await connection.execute(
                "SELECT position FROM log.events WHERE stream_id = %s AND version = 1", [stream]
            )
            row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    async def _passed(self, position: int) -> None:
        """Wait until the read models with personal data have passed `position`, and none is being
        built from what was before it."""
        models = [m.name for m in self.models if any(table.personal for table in m.tables)]
        try:
            async with (
                asyncio.timeout(PATIENCE),
                await registry.connect(self.url, "erase") as connection,
            ):
                while behind := await _behind(connection, models, position):
                    for model in behind:
                        if model.build:
                            await _drop_abandoned(connection, model)
                        elif model.state == "failed":
                            raise Unavailable(
                                f"The read model {model.name} has stopped; the erasure goes on when"
                                " it is mended.",
                                code="erasure_unfinished",
                                retry_after=60,
                            )
                    await asyncio.sleep(LOOK)
        except TimeoutError:
            raise Unavailable(
                f"The read model {behind[0].name} has not come up; the erasure goes on.",
                code="erasure_unfinished",
                retry_after=60,
            ) from None

    async def _purge(self, connection: AsyncConnection[Any], traces: Traces) -> dict[str, int]:
        places = Places(connection, self.data_dir, self.redis)
        return {name: await purge(places, traces) for name, purge in self.purgers.items()}

    async def _earlier(self, tenant: str, subject: str) -> Receipt:
        hash = await self.log.persons.hash_of(tenant, "subject", subject)
        async with self._connection() as connection:
            cursor = await connection.execute(
                "SELECT id, receipt FROM vault.erasures WHERE tenant = %s AND subject = %s"
                " ORDER BY erased_at DESC LIMIT 1",
                (tenant, hash),
            )
            row = await cursor.fetchone()
            if row is None:
                raise NotFound("No personal data is kept of this subject.")
            id, receipt = row
            if receipt is not None:
                return receipt  # type: ignore[no-any-return]
            traces, _ = await trace(connection, tenant, id)
        return await self._finish(replace(traces, subject=subject))

    async def _erasure(self, id: UUID) -> Any:
        async with self._connection() as connection:
            cursor = connection.cursor(row_factory=namedtuple_row)
            await cursor.execute("SELECT * FROM vault.erasures WHERE id = %s", [id])
            return await cursor.fetchone()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        async with self.log.pool.connection() as connection:
            yield connection


def eraser_of(
    settings: Settings, log: EventLog, redis: Redis, models: Sequence[ReadModel]
) -> Eraser:
    """The eraser of this installation; `models` are the read models of this release."""
    signer = ReceiptSigner(settings.encryption_key)
    return Eraser(settings.database_url, log, redis, settings.data_dir, signer, models)


def _job(traces: Traces, at: datetime) -> Job:
    arguments = {"tenant": traces.tenant, "person": str(traces.person)}
    return Job(FINISH, arguments, at=at, lock=f"erasure:{traces.person}")


def _facts(row: Any, traces: Traces, purged: Mapping[str, int], position: int) -> dict[str, Any]:
    return {
        "erasure_id": str(row.id),
        "tenant": row.tenant,
        "subject_hash": row.subject.hex(),
        "erased_at": _instant(row.erased_at),
        "completed_at": _instant(datetime.now(UTC)),
        "position": position,
        "events": len(traces.positions),
        "purged": dict(purged),
    }


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


async def _behind(
    connection: AsyncConnection[Any], models: Sequence[str], position: int
) -> list[Any]:
    cursor = connection.cursor(row_factory=namedtuple_row)
    await cursor.execute(_BEHIND, {"models": list(models), "position": position})
    return await cursor.fetchall()


async def _drop_abandoned(connection: AsyncConnection[Any], model: Any) -> None:
    """Remove the tables of a rebuild whose process has died; one that lives folds the erasure
    before its tables are used, and is waited for."""
    cursor = await connection.execute(
        "SELECT pg_try_advisory_lock(%s, %s)", (registry.REBUILDING, model.id)
    )
    if not ((await cursor.fetchone()) or (False,))[0]:
        return
    try:
        async with connection.transaction():
            await connection.execute(f'DROP SCHEMA IF EXISTS "{model.build}" CASCADE'.encode())
            await connection.execute("DELETE FROM read.builds WHERE model = %s", [model.name])
    finally:
        await connection.execute(
            "SELECT pg_advisory_unlock(%s, %s)", (registry.REBUILDING, model.id)
        )
