"""The sender: takes endpoints that have something to do, and sends what is due.

Any number of processes run one. An endpoint belongs to one of them at a time, as long as that one
says every few seconds that it lives; so its rate, its concurrency and the order within each
aggregate hold over all processes, without a word between them. What a killed process had begun is
sent again, with the same id. PostgreSQL holds all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from math import inf
from typing import Any
from uuid import UUID

import httpx
import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from application.kernel import Log
from domain.webhooks.endpoints import DisabledBecause
from infrastructure import database, notify
from infrastructure.egress import EgressGuard
from infrastructure.notify import heard
from infrastructure.webhooks.attempts import Attempts
from infrastructure.webhooks.feeding import configurations, due
from infrastructure.webhooks.lanes import Lane
from infrastructure.webhooks.leases import LEASE, Leases
from infrastructure.webhooks.posting import IDLE_SECONDS
from infrastructure.webhooks.recording import Outcome, Recorder
from infrastructure.webhooks.signing import Vault

log = structlog.get_logger()

TICK = 0.5
"""Seconds after which a sender looks for work even when nobody woke it."""
LONG_PAUSE = 3.0
"""Seconds beyond which nothing is held for an endpoint that is left alone."""
HALTED_SECONDS = 60.0
"""How long an endpoint that was disabled here is kept, should nobody else have heard of it yet."""
GRACE = 5.0
"""Seconds that attempts under way may take to end when the sender stops."""
DATABASE_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, OSError)


async def send(
    url: str,
    log_: Log,
    vault: Vault,
    guard: EgressGuard,
    *,
    context: ssl.SSLContext | None = None,
    lease: float = LEASE,
) -> None:
    """Send until cancelled; then what is under way gets a few seconds to end.

    `log_` takes the event that an endpoint is disabled; `context` replaces the trust store;
    `lease` is after how many seconds of silence other processes take this one for dead.
    """
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(database.pool(url, "webhooks", size=4))
        context = context or httpx.create_ssl_context()
        await Sender(url, pool, log_, vault, guard, context, lease).run()


class Sender:
    """One process's sending."""

    def __init__(
        self,
        url: str,
        pool: AsyncConnectionPool[Any],
        log_: Log,
        vault: Vault,
        guard: EgressGuard,
        context: ssl.SSLContext,
        lease: float = LEASE,
    ) -> None:
        self.url, self.pool = url, pool
        self.vault, self.guard, self.context = vault, guard, context
        self.leases = Leases(lease)
        self.lanes: dict[UUID, Lane] = {}
        self.recorder = Recorder(pool, self._recorded)
        self.attempts = Attempts(log_, self.recorder.tell)
        self.news = True
        self.changed: set[UUID] = set()
        self.wake = asyncio.Event()
        self.clock = asyncio.get_running_loop().time
        self.ticked_at = self.beaten_at = -inf

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with (
                heard(self.url, notify.WEBHOOKS, self._hear),
                asyncio.TaskGroup() as group,
            ):
                group.create_task(self.recorder.run())
                group.create_task(_again_and_again(self._round))
        finally:
            await self._stop()

    async def _stop(self) -> None:
        """Let attempts end and record them; then the endpoints are anybody's."""
        for lane in self.lanes.values():
            lane.leaving = True
        await self.attempts.finish(GRACE)
        with contextlib.suppress(TimeoutError, *DATABASE_ERRORS):
            async with asyncio.timeout(GRACE):
                await self.recorder.flush()
        for lane in self.lanes.values():
            lane.close()
        with contextlib.suppress(*DATABASE_ERRORS):
            async with self.pool.connection(timeout=1.0) as connection:
                await self.leases.resign(connection)

    def _hear(self, payload: str) -> None:
        if payload:
            self.changed.add(UUID(payload))
        self.news = True
        self.wake.set()

    async def _round(self) -> None:
        """Wait until there may be something to do, and do it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TICK):
                await self.wake.wait()
        self.wake.clear()
        news, self.news = self.news, False
        now = self.clock()
        ticked = now - self.ticked_at >= TICK
        try:
            async with self.pool.connection() as connection:
                if now - self.beaten_at >= self.leases.beat_every:
                    await self._beat(connection)
                    self.beaten_at = now
                if self.changed:
                    await self._refresh(connection)
                if news or ticked:
                    await self._claim(connection)
                await self._feed(connection, everybody=news or ticked)
                if ticked:
                    self.ticked_at = now
                    await self._release(connection, now)
        except DATABASE_ERRORS:
            self.news = True
            raise

    async def _beat(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Say that this process lives, see what it has lost, and share what it has too much of."""
        standing = await self.leases.beat(connection)
        for id in self.lanes.keys() - standing.owned:
            self._abandon(self.lanes.pop(id))
        # Taken by a claim whose answer got lost.
        if strays := standing.owned - self.lanes.keys():
            await self.leases.release(connection, list(strays))
        for lane in list(self.lanes.values())[standing.share + 1 :]:
            lane.leaving = True

    async def _refresh(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Take in what has changed at endpoints that this process has."""
        changed = self.lanes.keys() & self.changed
        self.changed.clear()
        try:
            rows = await configurations(connection, list(changed)) if changed else {}
        except DATABASE_ERRORS:
            self.changed |= changed
            raise
        for id in changed:
            lane = self.lanes[id]
            lane.paused_until = 0.0
            lane.look = True
            if id not in rows:
                lane.leaving = True
                lane.drop_waiting()
            elif not lane.halted_at:
                lane.configure(rows[id], self.vault, self.guard, self.context)
                self.attempts.pump(lane)

    async def _claim(self, connection: psycopg.AsyncConnection[Any]) -> None:
        claimed = await self.leases.claim(connection, len(self.lanes))
        new = [id for id in claimed if id not in self.lanes]
        if not new:
            return
        rows = await configurations(connection, new)
        for id in new:
            lane = self.lanes[id] = Lane(id)
            lane.busy_at = self.clock()
            if id in rows:
                lane.configure(rows[id], self.vault, self.guard, self.context)
            else:
                lane.leaving = True
        if not self.leases.alone:
            self._hear("")

    async def _feed(self, connection: psycopg.AsyncConnection[Any], *, everybody: bool) -> None:
        """Fetch what is due for endpoints that have room for more."""
        now = self.clock()
        hungry = [
            lane
            for lane in self.lanes.values()
            if (everybody or lane.look)
            and lane.open
            and len(lane.held) <= lane.room // 2
            and lane.paused_until - now < LONG_PAUSE
        ]
        if not hungry:
            return
        for lane in hungry:
            lane.look = False
        rooms = [lane.room - len(lane.held) for lane in hungry]
        found = await due(connection, self.leases.id, hungry)
        for lane, room in zip(hungry, rooms, strict=True):
            if lane.open:
                lane.hold(found[lane.id])
                lane.look |= len(found[lane.id]) == room
                self.attempts.pump(lane)

    async def _release(self, connection: psycopg.AsyncConnection[Any], now: float) -> None:
        """Let go of endpoints that have nothing to do, or that others are to have."""
        idle = []
        for lane in list(self.lanes.values()):
            lane.close_idle(now - IDLE_SECONDS)
            if lane.halted_at and now - lane.halted_at > HALTED_SECONDS:
                lane.leaving = True
            if lane.leaving or lane.paused_until - now > LONG_PAUSE:
                lane.drop_waiting()
            if lane.halted_at and not lane.leaving:
                continue
            idle_since = max(lane.busy_at, lane.paused_until)
            if not lane.held and (lane.leaving or now - idle_since > IDLE_SECONDS):
                idle.append(lane.id)
                self.lanes.pop(lane.id).close()
        if idle:
            await self.leases.release(connection, idle)

    def _abandon(self, lane: Lane) -> None:
        """Another process has taken the endpoint: begin nothing more."""
        log.warning("webhooks.endpoint_lost", endpoint=lane.id.hex)
        lane.leaving = True
        lane.drop_waiting()
        lane.close()

    def _recorded(self, outcomes: Sequence[Outcome], dead: Sequence[UUID]) -> None:
        """Outcomes are safe: their deliveries are let go of, and there may be others."""
        for outcome in outcomes:
            outcome.lane.held.discard(outcome.delivery.id)
            outcome.lane.look = True
        for id in dead:
            if id in self.lanes and self.lanes[id].open:
                dead_lane = self.lanes[id]
                self.attempts.begin(self.attempts.disable(dead_lane, DisabledBecause.FAILING))
        self.wake.set()


async def _again_and_again(step: Callable[[], Awaitable[None]]) -> None:
    pause = 0.1
    while True:
        try:
            await step()
            pause = 0.1
        except DATABASE_ERRORS as error:
            log.warning("webhooks.interrupted", error=type(error).__name__)
            await database.rest(pause)
            pause = min(pause * 2, 5.0)
