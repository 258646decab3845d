"""What is planned, from the read side: implements `application.social.lateness.Plans`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from application.social.best_times import BestTimes, Cell
from application.social.lateness import LatePost
from application.social.schedules import Surroundings
from domain.social.networks import Network
from domain.social.schedules import DISTANCE, Calendar, Taken
from infrastructure.read_models.reading import ReadSide
from projections.social import schedules
from projections.social.dashboard import learned

FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Plans:
    """Never behind the log: each question waits for the read models to reach its head."""

    reads: ReadSide
    log: AsyncConnectionPool[Any]

    async def late(self, tenant: str, before: datetime, most: int) -> Sequence[LatePost]:
        query = schedules.late(before, most)
        return await self.reads.all(tenant, None, query, await self._head())

    async def taken(self, tenant: str, since: datetime, but: Sequence[UUID]) -> Sequence[Taken]:
        query = schedules.taken(since, FOR_EVER, but)
        return await self.reads.all(tenant, None, query, await self._head())

    async def _head(self) -> int:
        async with self.log.connection() as connection:
            cursor = await connection.execute("SELECT max(position) FROM log.events")
            row = await cursor.fetchone()
        return int(row[0] or 0) if row else 0


async def best_times(reads: ReadSide, tenant: str, actor: str, now: datetime) -> BestTimes:
    """What has been learned of the tenant's accounts."""
    cells: dict[Network, dict[int, Cell]] = {}
    for row in await reads.all(tenant, actor, learned()):
        cell = Cell(row["posts"], row["weight"], row["engagement"])
        cells.setdefault(Network(row["network"]), {})[row["cell"]] = cell
    return BestTimes(cells, now)


async def surroundings(
    reads: ReadSide,
    tenant: str,
    actor: str,
    calendar: Calendar | None,
    since: datetime,
    until: datetime,
    but: Sequence[UUID] = (),
) -> Surroundings:
    """What a plan for `since` to `until` has to know; what the read side has not seen yet of the
    tenant's plans comes from the calendar itself."""
    seen = await reads.one(tenant, actor, schedules.calendar_seen())
    assert seen is not None
    query = schedules.taken(since - DISTANCE, until + DISTANCE, but)
    taken = await reads.all(tenant, actor, query, seen["position"])
    if calendar is not None:
        taken = [*taken, *calendar.since(seen["version"])]
    times = await best_times(reads, tenant, actor, datetime.now(UTC))
    return Surroundings(taken, times, calendar)
