"""Followers: what reads the log behind its writers and keeps its own position.

A follower's effects and its position commit together, so each event takes effect once. One
process at a time does the work of a follower; when it dies another takes over within a second
or two. Rebuilding read models never moves a follower.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import monotonic
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from domain.kernel import stored_topics
from infrastructure import database, metrics, notify
from infrastructure.event_log import codec
from infrastructure.event_log.codec import StoredEvent
from infrastructure.event_log.recent import Recent
from infrastructure.notify import News, heard
from infrastructure.personal_data.opening import opened

log = structlog.get_logger()

POLL = 1.0
"""Seconds after which a follower looks at the log even when nobody woke it."""

PACE, SLOW_PACE = 0.05, 0.1
MANY = 100
"""Seconds at least between two batches when news comes in a stream, the second where the last one
passed more than so many events: under load one transaction then serves many commits, and after a
quiet moment nobody waits."""

Handle = Callable[[AsyncConnection[Any], Sequence[StoredEvent]], Awaitable[int | None]]
"""It may stop early, and returns the position of the last event that it has handled, or None for
all of them. It runs in a pipeline, so it can use everything but COPY."""

_TAKE = (
    "SELECT f.position, h.head, e.* FROM work.followers f"  # noqa: S608 - constants alone
    " CROSS JOIN (SELECT max(position) AS head FROM log.events) h LEFT JOIN LATERAL ("
    + codec.SELECT
    + " WHERE position > f.position AND position <= least(h.head, f.position + %(batch)s)"
    " AND topic = ANY (%(topics)s)) e ON true"
    " WHERE f.name = %(name)s ORDER BY e.position FOR UPDATE OF f"
)


_MOVE = (
    "UPDATE work.followers SET position = %s, updated_at = now()"
    " WHERE name = %s AND position = %s RETURNING true"
)
"""From where it stands to where it shall stand: what follows in the transaction is done once. It
also fences off a former owner who was paused and does not know it yet."""


@dataclass(frozen=True)
class Follower:
    """`handle` gets events in order, on a connection whose transaction also moves the position.

    Only events of `topics` are handed over, and those of old that are read as one of them; the
    position moves past the others all the same. `batch` bounds the events that it moves past at
    once. `pace` is explained at its default.
    """

    name: str
    topics: Sequence[str]
    handle: Handle
    batch: int = 500
    pace: float = PACE

    @cached_property
    def stored(self) -> list[str]:
        """The names under which the log holds what this follower wants."""
        return stored_topics(self.topics)

    @cached_property
    def wanted(self) -> frozenset[str]:
        return frozenset(self.stored)


async def follow(url: str, follower: Follower, recent: Recent | None = None) -> None:
    """Work until cancelled; survives lost connections, and waits while another process works.
    What is in `recent` is not asked of the database again."""
    news = News()
    async with heard(url, notify.LOG, news.hear):
        await _stay(url, follower, news, recent or Recent())


async def _stay(url: str, follower: Follower, news: News, recent: Recent) -> None:
    pause = 0.1
    while True:
        try:
            async with await database.connect(url, f"follow-{follower.name}") as connection:
                # Effects and position are lost together, if at all, and are brought about again.
                await connection.execute("SET synchronous_commit = off")
                await _own(connection, follower)
                walk = Walk(connection, follower, recent)
                while True:
                    began, pace = monotonic(), follower.pace
                    if passed := await walk.step():
                        pace = max(pace, SLOW_PACE) if passed > MANY else pace
                    elif await walk.read():
                        continue
                    else:
                        pause = 0.1
                        await news.within(POLL)
                    await asyncio.sleep(max(0.0, began + pace - monotonic()))
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
            recent.forget()
            log.warning("follower.interrupted", follower=follower.name, error=type(error).__name__)
        except Exception as error:
            metrics.follower_failures.labels(follower.name).inc()
            log.error("follower.failed", follower=follower.name, exc_info=error)
        await database.rest(pause)
        pause = min(pause * 2, 5.0)


async def _own(connection: AsyncConnection[Any], follower: Follower) -> None:
    await connection.execute(
        "INSERT INTO work.followers (name) VALUES (%s) ON CONFLICT DO NOTHING", [follower.name]
    )
    while True:
        cursor = await connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended('follower:' || %s, 0))", [follower.name]
        )
        row = await cursor.fetchone()
        if row and row[0]:
            return
        await asyncio.sleep(POLL)


class Walk:
    """A follower's way along the log, on one connection. `recent` are rows that others have read
    in this process."""

    def __init__(
        self, connection: AsyncConnection[Any], follower: Follower, recent: Recent | None = None
    ) -> None:
        self.connection, self.follower = connection, follower
        self.recent = recent or Recent()
        self.position: int | None = None
        """Where it stands, as far as it knows."""

    async def step(self) -> int:
        """A batch of what was read already: how many events it passed, 0 when none comes next."""
        if self.position is None:
            return 0
        rows = self.recent.after(self.position, self.follower.batch)
        if not rows:
            return 0
        begin, upto = self.position, rows[-1].position
        wanted = self.follower.wanted
        if events := [row for row in rows if row.topic in wanted]:
            async with self.connection.pipeline(), self.connection.transaction():
                if there := await self._move(begin, upto):
                    stopped = await self._handle(events) or upto
                    if stopped != upto:
                        there, upto = await self._move(upto, stopped), stopped
        else:
            there = await self._move(begin, upto)
        self.position = upto if there else None
        return upto - begin if there else 0

    async def read(self) -> bool:
        """A batch that the database is asked for; True when there may be more at once."""
        async with self.connection.pipeline(), self.connection.transaction():
            cursor = self.connection.cursor(row_factory=tuple_row, binary=True)
            await cursor.execute(
                _TAKE,
                {
                    "name": self.follower.name,
                    "batch": self.follower.batch,
                    "topics": self.follower.stored,
                },
            )
            (begin, head, *first), *others = await cursor.fetchall()
            upto = begin
            if head is not None and head > begin:
                upto = min(head, begin + self.follower.batch)
                if first[0] is not None:
                    events = [StoredEvent(*first), *(StoredEvent(*each[2:]) for each in others)]
                    upto = await self._handle(events) or upto
                await self._move(begin, upto)
        self.position = upto
        return head is not None and upto < head

    async def _handle(self, events: Sequence[StoredEvent]) -> int | None:
        return await self.follower.handle(self.connection, await opened(self.connection, events))

    async def _move(self, begin: int, upto: int) -> bool:
        """Stand at another position; False when it did not stand where it was thought to."""
        values = [upto, self.follower.name, begin]
        cursor = await self.connection.execute(_MOVE, values, prepare=True)
        return await cursor.fetchone() is not None
