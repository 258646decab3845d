"""Recording what became of attempts: whatever ended while the last commit ran goes in one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from infrastructure import database, metrics
from infrastructure.webhooks.lanes import Delivery, Lane
from infrastructure.webhooks.posting import Reply
from infrastructure.webhooks.verdicts import GIVE_UP_ON_ENDPOINT, State, Verdict, utc_now

log = structlog.get_logger()

BATCH = 500

RECORD = (
    "SELECT endpoint, since FROM webhooks.record(%b::uuid[], %b::uuid[], %b::text[],"
    " %b::timestamptz[], %b::timestamptz[], %b::int[], %b::int[], %b::text[], %b::bytea[],"
    " %b::timestamptz[])"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attempt, begun `at`, and what it means."""

    lane: Lane
    delivery: Delivery
    at: datetime
    milliseconds: int
    answer: Reply | str
    verdict: Verdict

    @property
    def status(self) -> int | None:
        return None if isinstance(self.answer, str) else self.answer.status

    @property
    def body(self) -> bytes | None:
        return None if isinstance(self.answer, str) else self.answer.body

    @property
    def paused_until(self) -> datetime | None:
        pause = self.verdict.pause
        return self.at + timedelta(milliseconds=self.milliseconds, seconds=pause) if pause else None


class Recorder:
    """Takes outcomes and records them in order, however long the database is away.

    `recorded` is called with outcomes that are safe, and with endpoints that have answered
    nothing well for days.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool[Any],
        recorded: Callable[[Sequence[Outcome], Sequence[UUID]], None],
    ) -> None:
        self.pool, self.recorded = pool, recorded
        self.outcomes: list[Outcome] = []
        self.told = asyncio.Event()

    def tell(self, outcome: Outcome) -> None:
        """Have an outcome recorded."""
        self.outcomes.append(outcome)
        self.told.set()
        state = outcome.verdict.state
        label = "retried" if state is State.PENDING else str(state)
        metrics.webhook_attempts.labels(label).inc()
        metrics.webhook_seconds.observe(outcome.milliseconds / 1000)
        if state is not State.DELIVERED:
            log.info(
                "webhook.attempt_failed",
                endpoint=outcome.lane.id.hex,
                event_type=outcome.delivery.message.name,
                delivery_status=str(state),
                retry_count=outcome.delivery.failures,
                status=outcome.status,
            )

    async def run(self) -> None:
        """Record until cancelled."""
        pause = 0.05
        while True:
            await self.told.wait()
            try:
                await self.flush()
                pause = 0.05
            except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, OSError) as e:
                log.warning("webhooks.recording_interrupted", error=type(e).__name__)
                await database.rest(pause)
                pause = min(pause * 2, 2.0)

    async def flush(self) -> None:
        """Record everything that has been told."""
        while self.outcomes:
            batch = self.outcomes[:BATCH]
            dead = await self._record(batch)
            del self.outcomes[: len(batch)]
            self.recorded(batch, dead)
        self.told.clear()

    async def _record(self, batch: Sequence[Outcome]) -> list[UUID]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                RECORD,
                (
                    [o.delivery.id for o in batch],
                    [o.lane.id for o in batch],
                    [o.verdict.state for o in batch],
                    [o.verdict.due for o in batch],
                    [o.at for o in batch],
                    [o.milliseconds for o in batch],
                    [o.status for o in batch],
                    [o.verdict.error for o in batch],
                    [o.body for o in batch],
                    [o.paused_until for o in batch],
                ),
            )
            failing = await cursor.fetchall()
        dead_since = utc_now() - GIVE_UP_ON_ENDPOINT
        return [endpoint for endpoint, since in failing if since <= dead_since]
