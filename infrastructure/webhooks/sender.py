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
from typing import Any
from uuid import UUID

import httpx
import psycopg
import structlog
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from uuid_utils.compat import uuid4

from application.kernel import Desk, Log
from application.webhooks.endpoints import DisableEndpoint
from domain.kernel import Refusal
from domain.webhooks.endpoints import DisabledBecause, WebhookEndpoint
from infrastructure import database, metrics
from infrastructure.egress import EgressGuard
from infrastructure.event_log import codec
from infrastructure.event_log.codec import StoredEvent
from infrastructure.webhooks.lanes import ROOM, Delivery, Lane, Message, configurations
from infrastructure.webhooks.posting import IDLE_SECONDS, Reply
from infrastructure.webhooks.recording import Outcome, Recorder
from infrastructure.webhooks.signing import Vault
from infrastructure.webhooks.verdicts import GONE, judge, utc_now

log = structlog.get_logger()

ACTOR = "tidings:webhooks"
"""Who disables endpoints that are gone or dead."""

TICK = 0.5
"""Seconds after which a sender looks for work even when nobody woke it."""
BEAT, LEASE = 3.0, 10.0
"""Seconds between signs of life, and after which a sender counts as dead."""
HALTED_SECONDS = 60.0
"""How long an endpoint that was disabled here is kept, should nobody else have heard of it yet."""
GRACE = 5.0
"""Seconds that attempts under way may take to end when the sender stops."""
MOST_LANES = 2000
"""Endpoints that one process has at once."""
SHARED_CLAIM = 8
"""Endpoints taken at once when there are other senders, so that each gets some."""
CROWD = 512
"""Requests at once; beyond, each endpoint may have one under way. The slow ones would else keep
everybody else's places."""

DATABASE_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, OSError)

FEED = """
SELECT d.id, d.endpoint_id, d.position, d.name, d.failures
FROM unnest(%s::uuid[], %s::int[]) AS lane (endpoint_id, room)
JOIN webhooks.queues q ON q.endpoint_id = lane.endpoint_id AND q.owner = %s
CROSS JOIN LATERAL (
    SELECT * FROM webhooks.deliveries d
    WHERE d.endpoint_id = lane.endpoint_id AND d.due <= clock_timestamp()
        AND d.id <> ALL (%s::uuid[])
    ORDER BY d.due LIMIT lane.room
) AS d
"""


async def send(
    url: str,
    log_: Log,
    vault: Vault,
    guard: EgressGuard,
    *,
    context: ssl.SSLContext | None = None,
) -> None:
    """Send until cancelled; then what is under way gets a few seconds to end.

    `log_` takes the event that an endpoint is disabled; `context` replaces the trust store.
    """
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(database.pool(url, "webhooks", size=4))
        await Sender(url, pool, log_, vault, guard, context or httpx.create_ssl_context()).run()


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
    ) -> None:
        self.url, self.pool, self.log = url, pool, log_
        self.vault, self.guard, self.context = vault, guard, context
        self.id: UUID = uuid4()
        self.lanes: dict[UUID, Lane] = {}
        self.in_flight = 0
        self.crowded: dict[Lane, None] = {}
        """Endpoints that wait for the crowd to thin, in the order in which they are served."""
        self.attempts: set[asyncio.Task[None]] = set()
        self.recorder = Recorder(pool, self._recorded)
        self.alone = True
        self.news = True
        self.changed: set[UUID] = set()
        self.wake = asyncio.Event()
        self.clock = asyncio.get_running_loop().time
        self.ticked_at = 0.0

    async def run(self) -> None:
        """Work until cancelled."""
        loops: list[Callable[[], Awaitable[None]]] = [self._listen, self._round]
        try:
            await _until_done(self._beat)
            async with asyncio.TaskGroup() as group:
                group.create_task(self.recorder.run())
                group.create_task(_forever(self._beat_later))
                for step in loops:
                    group.create_task(_forever(step))
        finally:
            await self._stop()

    async def _stop(self) -> None:
        """Let attempts end and record them; then the endpoints are anybody's."""
        for lane in self.lanes.values():
            lane.leaving = True
        with contextlib.suppress(TimeoutError, *DATABASE_ERRORS):
            async with asyncio.timeout(GRACE):
                if self.attempts:
                    await asyncio.wait(self.attempts)
                await self.recorder.flush()
        for task in self.attempts:
            task.cancel()
        for lane in self.lanes.values():
            lane.close()
        with contextlib.suppress(*DATABASE_ERRORS):
            async with self.pool.connection(timeout=1.0) as connection:
                await connection.execute("DELETE FROM webhooks.senders WHERE id = %s", [self.id])

    async def _listen(self) -> None:
        async with await database.connect(self.url, "webhooks-listen") as connection:
            await connection.execute("LISTEN tidings_webhooks")
            self._hear("")
            async for notice in connection.notifies():
                self._hear(notice.payload)

    def _hear(self, payload: str) -> None:
        if payload:
            self.changed.add(UUID(payload))
        self.news = True
        self.wake.set()

    async def _beat_later(self) -> None:
        await asyncio.sleep(BEAT)
        await self._beat()

    async def _beat(self) -> None:
        """Say that this process lives, see what it has lost, and share what it has too much of."""
        async with self.pool.connection() as connection:
            await connection.execute(
                "INSERT INTO webhooks.senders (id, alive_until)"
                " VALUES (%s, clock_timestamp() + make_interval(secs => %s))"
                " ON CONFLICT (id) DO UPDATE SET alive_until = excluded.alive_until",
                (self.id, LEASE),
            )
            cursor = await connection.execute(
                "SELECT (SELECT count(*) FROM webhooks.senders"
                "         WHERE alive_until > clock_timestamp()),"
                " (SELECT count(*) FROM webhooks.queues"
                "   WHERE owner IS NOT NULL OR wake <= clock_timestamp()),"
                " ARRAY(SELECT endpoint_id FROM webhooks.queues WHERE owner = %s)",
                [self.id],
            )
            row = await cursor.fetchone()
        assert row is not None
        senders, active, owned = row
        self.alone = senders <= 1
        for id in self.lanes.keys() - set(owned):
            self._abandon(self.lanes.pop(id))
        share = -(-active // max(senders, 1))
        for lane in list(self.lanes.values())[share + 1 :]:
            lane.leaving = True

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

    async def _refresh(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Take in what has changed at endpoints that this process has."""
        changed = [id for id in self.changed if id in self.lanes]
        rows = await configurations(connection, changed) if changed else {}
        self.changed.difference_update(changed)
        self.changed &= self.lanes.keys()
        for id in changed:
            lane = self.lanes[id]
            lane.paused_until = 0.0
            lane.look = True
            if id not in rows:
                lane.leaving = True
                lane.drop_waiting()
            elif not lane.halted_at:
                lane.configure(rows[id], self.vault, self.guard, self.context)
                self._pump(lane)

    async def _claim(self, connection: psycopg.AsyncConnection[Any]) -> None:
        room = MOST_LANES - len(self.lanes)
        most = room if self.alone else min(room, SHARED_CLAIM)
        cursor = await connection.execute("SELECT webhooks.claim(%s, %s)", (self.id, most))
        claimed = [id for (id,) in await cursor.fetchall()]
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
        if not self.alone:
            self._hear("")

    async def _feed(self, connection: psycopg.AsyncConnection[Any], *, everybody: bool) -> None:
        """Fetch what is due for endpoints that have room for more."""
        hungry = [
            lane
            for lane in self.lanes.values()
            if (everybody or lane.look) and lane.open and len(lane.held) <= ROOM // 2
        ]
        if not hungry:
            return
        for lane in hungry:
            lane.look = False
        held = [id for lane in hungry for id in lane.held]
        rooms = [ROOM - len(lane.held) for lane in hungry]
        cursor = connection.cursor(row_factory=tuple_row, binary=True)
        await cursor.execute(FEED, ([lane.id for lane in hungry], rooms, self.id, held))
        rows = await cursor.fetchall()
        messages = await _messages(connection, {(row[2], row[3]) for row in rows})
        fed: dict[UUID, list[Delivery]] = {lane.id: [] for lane in hungry}
        for id, endpoint_id, position, name, failures in rows:
            fed[endpoint_id].append(Delivery(id, failures, messages[position, name]))
        for lane, room in zip(hungry, rooms, strict=True):
            if lane.open:
                lane.hold(fed[lane.id])
                lane.look |= len(fed[lane.id]) == room
                self._pump(lane)

    async def _release(self, connection: psycopg.AsyncConnection[Any], now: float) -> None:
        """Let go of endpoints that have nothing to do, or that others are to have."""
        idle = []
        for lane in list(self.lanes.values()):
            lane.close_idle(now - IDLE_SECONDS)
            if lane.halted_at and now - lane.halted_at > HALTED_SECONDS:
                lane.leaving = True
            if lane.leaving:
                lane.drop_waiting()
            if lane.halted_at and not lane.leaving:
                continue
            if not lane.held and (lane.leaving or now - lane.busy_at > IDLE_SECONDS):
                idle.append(lane.id)
                self.lanes.pop(lane.id).close()
        if idle:
            await connection.execute("SELECT webhooks.release(%s, %s)", (self.id, idle))

    def _abandon(self, lane: Lane) -> None:
        """Another process has taken the endpoint: begin nothing more."""
        log.warning("webhooks.endpoint_lost", endpoint=lane.id.hex)
        lane.leaving = True
        lane.drop_waiting()
        lane.close()

    def _pump(self, lane: Lane) -> None:
        """Begin as many attempts as the endpoint's pace and the crowd allow."""
        now = self.clock()
        while (ready := lane.ready_at(now)) is not None:
            if ready > now:
                lane.call_at(ready, self._pump)
                return
            if lane.in_flight and self.in_flight >= CROWD:
                self.crowded[lane] = None
                return
            self.in_flight += 1
            task = asyncio.create_task(self._attempt(lane, lane.take(now)))
            self.attempts.add(task)
            task.add_done_callback(self.attempts.discard)

    async def _attempt(self, lane: Lane, delivery: Delivery) -> None:
        at, began = utc_now(), self.clock()
        answer: Reply | str
        try:
            answer = await lane.post(delivery.message, at)
        except Exception as error:
            log.error("webhooks.attempt_broke", endpoint=lane.id.hex, exc_info=error)
            answer = "The service failed to make the attempt."
        finally:
            self.in_flight -= 1
        ended = self.clock()
        verdict = judge(answer, delivery.failures, utc_now())
        lane.note(verdict, ended)
        gone = not isinstance(answer, str) and answer.status == GONE
        if gone and not await self._disable(lane, DisabledBecause.GONE):
            verdict = judge("The receiver answered 410.", delivery.failures, utc_now())
        self.recorder.tell(
            Outcome(lane, delivery, at, round((ended - began) * 1000), answer, verdict)
        )
        if self.crowded:
            first = next(iter(self.crowded))
            del self.crowded[first]
            self._pump(first)
        self._pump(lane)

    def _recorded(self, outcomes: Sequence[Outcome], dead: Sequence[UUID]) -> None:
        """Outcomes are safe: their deliveries are let go of, and there may be others."""
        for outcome in outcomes:
            outcome.lane.held.discard(outcome.delivery.id)
            outcome.lane.look = True
        for id in dead:
            if id in self.lanes:
                task = asyncio.create_task(self._disable_dead(self.lanes[id]))
                self.attempts.add(task)
                task.add_done_callback(self.attempts.discard)
        self.wake.set()

    async def _disable_dead(self, lane: Lane) -> None:
        await self._disable(lane, DisabledBecause.FAILING)

    async def _disable(self, lane: Lane, reason: DisabledBecause) -> bool:
        """Disable an endpoint, in the log; False when the log cannot be reached now."""
        desk = Desk(self.log, lane.tenant, ACTOR, correlation_id=lane.id.hex, follows=False)
        try:
            await desk.carry_out(WebhookEndpoint, lane.id, DisableEndpoint(reason=reason))
        except Refusal as refusal:
            log.warning("webhooks.not_disabled", endpoint=lane.id.hex, code=refusal.reason)
            return refusal.reason == "not_found"
        log.warning("webhooks.endpoint_disabled", endpoint=lane.id.hex, reason=reason)
        metrics.webhook_endpoints_disabled.labels(reason).inc()
        lane.halted_at = self.clock()
        lane.drop_waiting()
        return True


async def _messages(
    connection: psycopg.AsyncConnection[Any], wanted: set[tuple[int, str]]
) -> dict[tuple[int, str], Message]:
    if not wanted:
        return {}
    cursor = connection.cursor(row_factory=tuple_row, binary=True)
    positions = sorted({position for position, _ in wanted})
    await cursor.execute(codec.SELECT + " WHERE position = ANY (%s)", [positions])
    events = {row[0]: StoredEvent(*row) for row in await cursor.fetchall()}
    return {(at, name): Message(events[at], name) for at, name in wanted}


async def _until_done(step: Callable[[], Awaitable[None]]) -> None:
    pause = 0.1
    while True:
        try:
            return await step()
        except DATABASE_ERRORS as error:
            log.warning("webhooks.interrupted", error=type(error).__name__)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 5.0)


async def _forever(step: Callable[[], Awaitable[None]]) -> None:
    while True:
        await _until_done(step)
