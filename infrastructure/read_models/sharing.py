"""Who folds which read model: session locks, divided evenly among the projectors there are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import structlog
from psycopg import AsyncConnection
from psycopg.rows import namedtuple_row

from infrastructure.event_log.codec import StoredEvent
from infrastructure.read_models import registry
from infrastructure.read_models.registry import Declared

log = structlog.get_logger()

FOLDING = 73610181
"""Class of the advisory locks (by id of the read model) of those who fold."""
PRESENT = 73610183
"""Class of the lock that every projector shares: its holders are those who are there."""

BEAT = 1.0
"""Seconds between signs of life, looks at the shares, and looks at the log unasked."""
SILENCE = 3.0
"""Seconds without a sign of life after which a projector loses what it holds."""
ABANDONED = 10.0
"""Seconds without anybody folding a newer version, after which an older release takes over."""

_LOCKS = """
SELECT m.name, m.id, m.version, m.shape, m.position, m.state, l.pid IS NOT NULL AS taken,
       coalesce(l.pid = pg_backend_pid(), false) AS mine
FROM read.models m LEFT JOIN pg_locks l
  ON l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objid = m.id::oid
 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
WHERE m.name = ANY (%s) ORDER BY m.name
"""
_PROJECTORS = """
SELECT count(*) AS present FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = %s
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass(slots=True)
class Carried:
    """A read model that this process folds, and how far it has come."""

    declared: Declared
    id: int
    position: int

    @property
    def name(self) -> str:
        return self.declared.name


class Shares:
    """The read models of one session: `carried`, by name. All locks are held by `connection`."""

    def __init__(self, connection: AsyncConnection[Any], declared: Mapping[str, Declared]) -> None:
        self.connection, self.declared = connection, declared
        self.carried: dict[str, Carried] = {}
        self._abandoned_since: dict[str, float] = {}

    async def arrive(self, *, retry_failed: bool) -> None:
        """Be counted among the projectors for as long as the connection lasts.

        A new process gives failed read models another chance: its code may be mended. It takes
        their locks first, lest an older process tries instead.
        """
        await self.connection.execute("SELECT pg_advisory_lock_shared(%s, 0)", [PRESENT])
        for each in await self._locks() if retry_failed else ():
            if each.state == "failed" and self._known(each) and await self._lock(each.id):
                await registry.resume(self.connection, [each.name])
                log.info("projector.trying_again", model=each.name)

    async def divide(self) -> list[str]:
        """Take what is free and let go of what is too much, and look up the positions.

        Returns the read models that have to be built before this release can fold them.
        """
        await self.connection.execute(
            "SELECT read.dismiss_silent(make_interval(secs => %s))", [SILENCE]
        )
        projectors = (await self._rows(_PROJECTORS, [PRESENT]))[0].present
        locks = await self._locks()
        ready = [each for each in locks if each.state == "live" and self._known(each)]
        fair = math.ceil(len(ready) / max(projectors, 1))
        kept = [each for each in ready if each.mine][:fair]
        for each in locks:
            if each.mine and each not in kept:
                await self._release(each.id)
        for each in ready:
            if len(kept) < fair and not each.taken and await self._lock(each.id):
                kept.append(each)
        await self._look_up([each.name for each in kept])
        return [each.name for each in locks if self._outdated(each)]

    async def give_up(self, carried: Carried, event: StoredEvent, error: BaseException) -> None:
        """Stop a read model at the event that it cannot fold; visibly."""
        told = {"position": event.position, "topic": event.topic, **registry.account(error)}
        if await registry.mark_failed(self.connection, carried.name, carried.position, told):
            log.error("projector.model_failed", model=carried.name, **told)
        del self.carried[carried.name]
        await self._release(carried.id)

    def _known(self, lock: Any) -> bool:
        """Whether the tables are those of this release."""
        declared = self.declared[lock.name]
        return (lock.version, lock.shape) == (declared.model.version, declared.shape)

    def _outdated(self, lock: Any) -> bool:
        """Whether to build anew. An older release leaves a newer version to those who know it,
        until there is nobody left."""
        version = self.declared[lock.name].model.version
        if self._known(lock) or lock.version <= version:
            return lock.state == "building" or not self._known(lock)
        if lock.taken:
            self._abandoned_since.pop(lock.name, None)
            return False
        since = self._abandoned_since.setdefault(lock.name, monotonic())
        return monotonic() - since > ABANDONED

    async def _look_up(self, names: list[str]) -> None:
        # Only now: before the locks were ours, their former owners moved the positions.
        rows = await self._rows(
            "SELECT name, id, position FROM read.models WHERE name = ANY (%s)", [names]
        )
        self.carried = {
            row.name: Carried(self.declared[row.name], row.id, row.position) for row in rows
        }

    async def _locks(self) -> list[Any]:
        return await self._rows(_LOCKS, [FOLDING, list(self.declared)])

    async def _lock(self, id: int) -> bool:
        rows = await self._rows("SELECT pg_try_advisory_lock(%s, %s) AS won", [FOLDING, id])
        return bool(rows[0].won)

    async def _release(self, id: int) -> None:
        await self.connection.execute("SELECT pg_advisory_unlock(%s, %s)", [FOLDING, id])

    async def _rows(self, query: str, params: list[Any]) -> list[Any]:
        cursor = self.connection.cursor(row_factory=namedtuple_row)
        await cursor.execute(query.encode(), params)
        return await cursor.fetchall()
