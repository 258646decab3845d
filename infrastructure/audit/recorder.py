"""Notes of requests for the audit trail, written beside them: they never wait for it.

A bounded queue takes the notes, one task writes them in batches. What the queue cannot take is
dropped and counted (`tidings_audit_dropped_total`): a flood of refusals costs neither time nor
memory, and at most `PACE` rows a second of the database.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address
from itertools import islice
from typing import Any, NamedTuple

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from infrastructure import database, metrics
from infrastructure.stored_json import stored_json

log = structlog.get_logger()

CAPACITY = 20_000
"""Notes that may wait."""

BATCH, PAUSE = 1000, 0.25
"""Notes in one write, and seconds between writes."""

PACE = BATCH / PAUSE
"""Rows that are written in a second at most."""

LAST_WORDS = 3.0
"""Seconds that a closing process takes for what still waits."""

_REFUSALS = """
INSERT INTO audit.refusals
    (at, tenant, actor, endpoint, method, status, reason, address, request_id)
SELECT * FROM json_to_recordset(%s) AS r (at timestamptz, tenant text, actor text, endpoint text,
    method text, status int, reason text, address inet, request_id text)
"""

_ORIGINS = """
INSERT INTO audit.origins (at, tenant, actor, request_id, address)
SELECT * FROM json_to_recordset(%s)
    AS o (at timestamptz, tenant text, actor text, request_id text, address inet)
ON CONFLICT DO NOTHING
"""


class Refusal(NamedTuple):
    """A request that was refused. `tenant` may be claimed only; `actor` is proven."""

    at: datetime
    tenant: str | None
    actor: str | None
    endpoint: str
    method: str
    status: int
    reason: str
    address: str | None
    request_id: str


Origin = tuple[datetime, str, str, str, str]
"""From where a request came that changed something: instant, tenant, actor, request id, host.

A plain tuple, looked at by the writer alone: one is made for every command that is carried out.
"""


@lru_cache(maxsize=4096)
def address_of(host: str) -> str | None:
    """The address in one form; None for a peer that has none, as on a Unix socket."""
    try:
        return str(ip_address(host.partition("%")[0]))
    except ValueError:
        return None


@dataclass
class Recorder:
    """Takes notes; belongs to one event loop, from `start` to `close`."""

    pool: AsyncConnectionPool[Any]
    capacity: int = CAPACITY

    def __post_init__(self) -> None:
        self._notes: deque[Refusal | Origin] = deque()
        self._wake, self._waiting = asyncio.Event(), False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._write_on(), name="audit")

    def note(self, what: Refusal | Origin) -> None:
        """Take a note, or drop it when too many wait."""
        if len(self._notes) >= self.capacity:
            metrics.audit_dropped.inc()
            return
        self._notes.append(what)
        if not self._waiting:
            self._waiting = True
            self._wake.set()

    async def close(self) -> None:
        """Write what waits, as far as it can be written in a moment."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(LAST_WORDS):
                while self._notes:
                    await self._write()
        except (TimeoutError, psycopg.Error, PoolTimeout, OSError) as error:
            metrics.audit_dropped.inc(len(self._notes))
            log.error("audit.lost", notes=len(self._notes), error=type(error).__name__)

    async def _write_on(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(PAUSE)
            self._wake.clear()
            self._waiting = False
            try:
                await self._write()
            except (psycopg.Error, PoolTimeout, OSError) as error:
                log.warning("audit.interrupted", error=type(error).__name__)
                await database.rest(1.0)
            if self._notes:
                self._wake.set()

    async def _write(self) -> None:
        """The first batch, in one transaction; it stays in the queue until that is committed."""
        batch = list(islice(self._notes, BATCH))
        refusals = [each._asdict() for each in batch if isinstance(each, Refusal)]
        origins = [
            {"at": at, "tenant": tenant, "actor": actor, "request_id": id, "address": address}
            for at, tenant, actor, id, host in (e for e in batch if not isinstance(e, Refusal))
            if (address := address_of(host))
        ]
        try:
            async with self.pool.connection() as connection, connection.transaction():
                if refusals:
                    await connection.execute(_REFUSALS, [stored_json(refusals)])
                if origins:
                    await connection.execute(_ORIGINS, [stored_json(origins)])
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            # Waiting would not help: one of these cannot be written, and would hold up the rest.
            metrics.audit_dropped.inc(len(batch))
            log.error("audit.refused", sqlstate=error.sqlstate)
        for _ in batch:
            self._notes.popleft()
