"""One rebuild under way: its tables in a schema of their own, and the exchange at the end."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from uuid import uuid4

import psycopg
import structlog
from psycopg import AsyncConnection, errors
from psycopg.types.json import Jsonb

from domain.kernel import EVENTS
from domain.positions import GREATEST
from infrastructure.personal_data import keyring
from infrastructure.read_models import folding, tables, workers
from infrastructure.read_models.progress import Reporter
from infrastructure.read_models.registry import REBUILDING, Declared
from infrastructure.read_models.shard import Task
from infrastructure.read_models.tables import quoted
from infrastructure.read_models.watch import NotShareable
from projections.kernel import ReadModel

log = structlog.get_logger()

BATCH = 2000
"""Events folded at once while catching up."""
LAST = 5000
"""Events that may be left for the exchange, during which the live tables stand still."""


async def drop(connection: AsyncConnection[Any], model: str) -> None:
    """Remove what a rebuild of `model` has left; its lock must be held."""
    cursor = await connection.execute("SELECT schema FROM read.builds WHERE model = %s", [model])
    for (schema,) in await cursor.fetchall():
        async with connection.transaction():
            await connection.execute(f"DROP SCHEMA IF EXISTS {quoted(schema)} CASCADE".encode())
            await connection.execute("DELETE FROM read.builds WHERE model = %s", [model])


async def sweep(connection: AsyncConnection[Any]) -> None:
    """Remove what killed rebuilds have left, of whatever read model."""
    cursor = await connection.execute(
        "SELECT m.name, m.id FROM read.builds b JOIN read.models m ON m.name = b.model"
        " WHERE b.error IS NULL"
    )
    for model, id in await cursor.fetchall():
        cursor = await connection.execute("SELECT pg_try_advisory_lock(%s, %s)", [REBUILDING, id])
        if await cursor.fetchone() == (True,):
            await drop(connection, model)
            await connection.execute("SELECT pg_advisory_unlock(%s, %s)", [REBUILDING, id])


class Build:
    """One rebuild: a schema, and the position up to which its tables are complete."""

    def __init__(
        self,
        url: str,
        declared: Declared,
        connection: AsyncConnection[Any],
        processes: int,
        reporter: Reporter,
    ) -> None:
        self.url, self.declared, self.connection = url, declared, connection
        self.shards = max(1, processes) if declared.model.parallel else 1
        self.reporter = reporter
        self.schema = ""
        self.position = 0

    @property
    def model(self) -> ReadModel:
        return self.declared.model

    async def run(self) -> None:
        upto = await self._value("SELECT coalesce(max(position), 0) FROM log.events")
        log.info("rebuild.begins", model=self.declared.name, upto=upto)
        try:
            await self._load(upto)
        except NotShareable as reason:
            if self.shards == 1:
                raise
            log.info("rebuild.not_shareable", model=self.declared.name, because=str(reason))
            self.shards = 1
            await self._load(upto)
        await self._note("indexing")
        for table in self.model.tables:
            for statement in (*tables.indexes(table, self.schema), f"ANALYZE {quoted(table.name)}"):
                await self.connection.execute(statement.encode())
        await self._note("catching up")
        while await self._catch_up(GREATEST, BATCH) == BATCH:
            self.reporter.reached(self.position, max(upto, self.position))
        await self._note("switching")
        await self._switch()
        self.reporter.done(self.position)

    async def _load(self, upto: int) -> None:
        await self._open(upto)
        kind = type(self.model)
        imports = sorted({event.__module__ for event in EVENTS.values()})
        tasks = [
            Task(
                self.url,
                self.schema,
                f"{kind.__module__}:{kind.__qualname__}",
                imports,
                shard,
                self.shards,
                upto,
                keyring.secrets(),
            )
            for shard in range(self.shards)
        ]
        self.reporter.begin(self.shards, upto)
        noting = asyncio.create_task(self._note_regularly())
        try:
            await workers.load(tasks, self.reporter.shard)
        finally:
            noting.cancel()
            await asyncio.gather(noting, return_exceptions=True)
        self.position = upto

    async def _open(self, upto: int) -> None:
        """A new schema each time: whatever an abandoned worker may still write goes nowhere."""
        await drop(self.connection, self.declared.name)
        self.schema = f"read_build_{uuid4().hex}"
        async with self.connection.transaction():
            await self.connection.execute("SELECT read.open_build(%s)", [self.schema])
            await self.connection.execute(
                "INSERT INTO read.builds (model, schema, version, phase, total)"
                " VALUES (%s, %s, %s, 'folding', %s)",
                [self.declared.name, self.schema, self.model.version, upto],
            )
            for table in self.model.tables:
                for statement in tables.definition(table, self.schema):
                    await self.connection.execute(statement.encode())
        await self.connection.execute(f"SET search_path = {quoted(self.schema)}, public".encode())

    async def discard(self, account: dict[str, Any] | None) -> None:
        """Leave nothing but, of a failure, the account of it. What cannot be removed now (the
        connection may be lost) is removed when the next rebuild begins."""
        with contextlib.suppress(psycopg.OperationalError, psycopg.InterfaceError):
            await drop(self.connection, self.declared.name)
            if account is not None:
                await self.connection.execute(
                    "INSERT INTO read.builds (model, schema, version, phase, error)"
                    " VALUES (%s, %s, %s, 'failed', %s)",
                    [self.declared.name, self.schema, self.model.version, Jsonb(account)],
                )

    async def _catch_up(self, upto: int, limit: int) -> int:
        """Fold one batch into the new tables; returns how many events there were."""
        events = await folding.read(self.connection, self.position, upto, limit)
        if events:
            statements = folding.fold([self.model], events)
            async with self.connection.pipeline(), self.connection.transaction():
                await folding.carry_out(self.connection, statements)
            self.position = events[-1].position
        return len(events)

    async def _switch(self) -> None:
        """Try again and again to get hold of the tables: queries come first, and never wait
        longer for the switch than `patience` seconds."""
        patience = 0.1
        while True:
            try:
                if await self._switched(patience):
                    return
            except (errors.LockNotAvailable, errors.DeadlockDetected):
                log.info("rebuild.switch_waits", model=self.declared.name)
            await asyncio.sleep(patience)
            # From a second on, PostgreSQL sends away a vacuum that is in the way.
            patience = min(patience * 1.5, 1.5)
            while await self._catch_up(GREATEST, BATCH) == BATCH:
                pass

    async def _switched(self, patience: float) -> bool:
        reached = self.position
        try:
            async with self.connection.transaction():
                await self._execute(f"SET LOCAL lock_timeout = {int(patience * 1000)}")
                live = await self._value(
                    "SELECT position FROM read.models WHERE name = %s FOR UPDATE",
                    self.declared.name,
                )
                if live > self.position + LAST:
                    return False
                while await self._catch_up(live, BATCH):
                    pass
                await self._exchange()
                return True
        except BaseException:
            self.position = reached
            raise

    async def _exchange(self) -> None:
        old = await self._value(
            "SELECT tables FROM read.models WHERE name = %s", self.declared.name
        )
        for name in old:
            await self._execute(f"DROP TABLE IF EXISTS read.{quoted(name)}")
        for name in self.declared.tables:
            await self._execute(f"ALTER TABLE {quoted(self.schema)}.{quoted(name)} SET SCHEMA read")
        await self._execute(f"DROP SCHEMA {quoted(self.schema)}")
        await self.connection.execute(
            "UPDATE read.models SET version = %s, shape = %s, tables = %s, position = %s,"
            " state = 'live', error = NULL, updated_at = clock_timestamp() WHERE name = %s",
            [
                self.model.version,
                self.declared.shape,
                self.declared.tables,
                self.position,
                self.declared.name,
            ],
        )
        await self.connection.execute(
            "DELETE FROM read.builds WHERE model = %s", [self.declared.name]
        )
        await self.connection.execute(
            "SELECT read.announce(%s, %s)", [[self.declared.name], self.position]
        )

    async def _note_regularly(self) -> None:
        while True:
            await asyncio.sleep(1)
            await self._note("folding")

    async def _note(self, phase: str) -> None:
        """Let other processes see how far it is."""
        self.reporter.phase(phase)
        await self.connection.execute(
            "UPDATE read.builds SET phase = %s, done = %s, updated_at = clock_timestamp()"
            " WHERE model = %s",
            [phase, self.reporter.reached_so_far, self.declared.name],
        )

    async def _value(self, query: str, *params: Any) -> Any:
        row = await (await self.connection.execute(query.encode(), params)).fetchone()
        return row[0] if row else None

    async def _execute(self, statement: str) -> None:
        await self.connection.execute(statement.encode())
