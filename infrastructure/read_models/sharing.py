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

BEAT = 0.5
"""Seconds between signs of life, looks at the shares, and looks at the log unasked."""
SILENCE = 2.5
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
SELECT count(*) AS projectors FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = %s
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


async def beat(connection: AsyncConnection[Any], pid: int) -> None:
    """A sign of life of the projector whose locks are held by the backend `pid`."""
    await connection.execute(
        "INSERT INTO read.projectors (pid, beat) VALUES (%s, clock_timestamp())"
        " ON CONFLICT (pid) DO UPDATE SET beat = excluded.beat",
        [pid],
    )


class Releases:
    """What tells this process's release from others that share the database."""

    def __init__(self, declared: Mapping[str, Declared]) -> None:
        self.declared = declared
        self._seen: set[str] = set()
        self._free_since: dict[str, float] = {}

    def known(self, lock: Any) -> bool:
        """Whether the tables are those of this release."""
        declared = self.declared[lock.name]
        same = (lock.version, lock.shape) == (declared.model.version, declared.shape)
        if same:
            self._seen.add(lock.name)
        return same

    def outdated(self, lock: Any) -> bool:
        """Whether to build anew. What a newer release has built is left to those who know it,
        until there is nobody left."""
        if self.known(lock) or lock.state == "building":
            return bool(lock.state == "building")
        version = self.declared[lock.name].model.version
        # Tables that differ under one version: whoever came last counts as the newer release.
        if lock.version < version or (lock.version == version and lock.name not in self._seen):
            return True
        if lock.taken:
            self._free_since.pop(lock.name, None)
            return False
        return monotonic() - self._free_since.setdefault(lock.name, monotonic()) > ABANDONED


class Shares:
    """The read models of one session: `carried`, by name. All locks are held by `connection`."""

    def __init__(self, connection: AsyncConnection[Any], releases: Releases) -> None:
        self.connection, self.releases = connection, releases
        self.declared = releases.declared
        self.carried: dict[str, Carried] = {}
        self._projectors = 0
        self._free: set[str] = set()
        self._left_to_us: set[str] = set()

    async def arrive(self, *, retry_failed: bool) -> None:
        """Be counted among the projectors for as long as the connection lasts.

        A new process gives failed read models another chance: its code may be mended. It takes
        their locks first, lest an older process tries instead.
        """
        await beat(self.connection, self.connection.info.backend_pid)
        await self.connection.execute("SELECT pg_advisory_lock_shared(%s, 0)", [PRESENT])
        for each in await self._locks() if retry_failed else ():
            if each.state == "failed" and self.releases.known(each) and await self._lock(each.id):
                await registry.resume(self.connection, [each.name])
                log.info("projector.trying_again", model=each.name)

    async def divide(self) -> list[str]:
        """Take what is free and let go of what is too much, and look up the positions.

        Returns the read models that have to be built before this release can fold them.
        """
        await self.connection.execute(
            "SELECT read.dismiss_silent(make_interval(secs => %s))", [SILENCE]
        )
        (present,) = await self._rows(_PROJECTORS, [PRESENT])
        if present.projectors != self._projectors:
            self._projectors = present.projectors
            self._left_to_us.clear()
        locks = await self._locks()
        ready = [each for each in locks if each.state == "live" and self.releases.known(each)]
        fair = math.ceil(len(ready) / max(self._projectors, 1))
        kept = await self._keep([each for each in locks if each.mine], ready, fair)
        kept += await self._take([each for each in ready if not each.taken], fair - len(kept))
        await self._look_up(kept)
        return [each.name for each in locks if self.releases.outdated(each)]

    async def _keep(self, mine: list[Any], ready: list[Any], fair: int) -> list[str]:
        """Let go of what is not ours to fold, and of what exceeds the share."""
        spare = len([each for each in mine if each in ready]) - fair
        kept = []
        for each in mine:
            surplus = spare > 0 and each.name not in self._left_to_us
            if each not in ready or surplus:
                spare -= each in ready
                await self._release(each.id)
            else:
                kept.append(each.name)
        return kept

    async def _take(self, free: list[Any], room: int) -> list[str]:
        """Take what there is room for; and what was free at the last look already, as nobody
        else seems to want it (or to know it: there may be several releases about)."""
        taken: list[str] = []
        for each in free:
            if (room > len(taken) or each.name in self._free) and await self._lock(each.id):
                if room <= len(taken):
                    self._left_to_us.add(each.name)
                taken.append(each.name)
        self._free = {each.name for each in free}.difference(taken)
        return taken

    async def give_up(self, carried: Carried, event: StoredEvent, error: BaseException) -> None:
        """Stop a read model at the event that it cannot fold; visibly."""
        told = {"position": event.position, "topic": event.topic, **registry.account(error)}
        if await registry.mark_failed(self.connection, carried.name, carried.position, told):
            log.error("projector.model_failed", model=carried.name, **told)
        del self.carried[carried.name]
        await self._release(carried.id)

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
