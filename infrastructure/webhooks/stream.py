"""The same messages as a stream that can be read from any position of the log.

One reader per process follows the head of the log for all of its streams; a stream that is
behind reads the log itself until it has caught up. Who reads too slowly is cut off, and resumes
where they were.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from application.webhooks.catalogue import BY_TOPIC
from domain.kernel import stored_topics
from infrastructure import database, notify
from infrastructure.event_log import codec
from infrastructure.event_log.codec import StoredEvent, UnreadableEvent, decoded
from infrastructure.notify import News, heard
from infrastructure.personal_data.opening import opened
from infrastructure.webhooks.messages import emissions, render

log = structlog.get_logger()

PIECE = 500
"""Events that are read at once."""
STRETCH = 20_000
"""Positions that a stream which is behind looks through at once: most may be other tenants'."""
ROOM = 2000
"""Messages that may wait for a slow reader before it is cut off."""
QUIET = 15.0
"""Seconds without a message after which a sign of life is given."""
POLL = 1.0


class TooSlow(Exception):
    """The reader has not kept up; everything up to `position` was handed over."""

    def __init__(self, position: int) -> None:
        super().__init__(f"resume behind position {position}")
        self.position = position


@dataclass(frozen=True, slots=True)
class Said:
    """What was said at a position, as names and JSON; nothing, when one only moves on."""

    position: int
    messages: tuple[tuple[str, bytes], ...] = ()


@dataclass(eq=False, slots=True)
class _Reader:
    tenant: str
    waiting: deque[Said] = field(default_factory=deque)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    overrun: bool = False
    missed: bool = False
    """Something was said while it was joining: it has to look into the log again."""


class Stream:
    """What all streams of a process share. It follows the log while somebody reads."""

    def __init__(self, url: str, pool: AsyncConnectionPool[Any]) -> None:
        self.url, self.pool = url, pool
        self.position = 0
        self._readers: set[_Reader] = set()
        self._users = 0
        self._task: asyncio.Task[None] | None = None
        self._following = asyncio.Event()

    async def read(
        self, tenant: str, names: Collection[str], after: int | None
    ) -> AsyncIterator[Said]:
        """Everything said to `tenant` behind position `after` (None: from now on), for ever.

        Only messages of `names` are in it. Positions without messages come now and then, so that
        a reader can resume without looking through the same stretch again. Raises `TooSlow`.
        """
        async with self._in_use():
            position = self.position if after is None else after
            while True:
                while position < self.position:
                    async with self.pool.connection() as connection:
                        said = await _stretch(connection, tenant, position, self.position)
                    for each in said:
                        position = each.position
                        yield _only(each, names)
                # No await since the comparison: nothing can have been said in between.
                async for each in self._live(tenant, position):
                    position = each.position
                    yield _only(each, names)

    async def _live(self, tenant: str, position: int) -> AsyncIterator[Said]:
        """What is said from now on; ends when reading must go on from the log."""
        reader = _Reader(tenant)
        self._readers.add(reader)
        try:
            while True:
                while reader.waiting:
                    said = reader.waiting.popleft()
                    if said.position > position:
                        position = said.position
                        yield said
                if reader.overrun:
                    raise TooSlow(position)
                if reader.missed:
                    return
                reader.woken.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(QUIET):
                        await reader.woken.wait()
                if not (reader.waiting or reader.overrun or reader.missed):
                    # Everything up to here has been looked at, and it was nobody's or another's.
                    position = max(position, self.position)
                    yield Said(position)
        finally:
            self._readers.discard(reader)

    @contextlib.asynccontextmanager
    async def _in_use(self) -> AsyncIterator[None]:
        """Follow the log while there is a reader."""
        self._users += 1
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name="webhooks-stream")
        try:
            await self._following.wait()
            yield
        finally:
            self._users -= 1
            if not self._users and self._task is not None:
                self._task.cancel()
                self._task = None
                self._following.clear()

    async def _follow(self) -> None:
        news = News()
        async with heard(self.url, notify.LOG, news.hear):
            await self._stay(news)

    async def _stay(self, news: News) -> None:
        while True:
            try:
                async with await database.connect(self.url, "webhooks-stream") as connection:
                    # "From now on" is fixed once: after a lost connection one goes on where one
                    # was, be it before the first event of the log.
                    if not self._following.is_set():
                        self.position = await head(connection)
                        self._following.set()
                    while True:
                        if not await self._step(connection):
                            await news.within(POLL)
            except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                log.warning("stream.interrupted", error=type(error).__name__)
                await database.rest(POLL)

    async def _step(self, connection: AsyncConnection[Any]) -> bool:
        """Hand what is new to its readers; True when there may be more at once."""
        last = await head(connection)
        if last <= self.position:
            return False
        upto = min(last, self.position + PIECE)
        tenants = {reader.tenant for reader in self._readers}
        events = await _events(connection, self.position, upto, list(tenants)) if tenants else []
        by_tenant: dict[str, list[Said]] = {tenant: [] for tenant in tenants}
        for stored in events:
            by_tenant[stored.tenant].append(_said(stored))
        self.position = upto
        for reader in self._readers:
            if reader.tenant in tenants:
                self._give(reader, by_tenant[reader.tenant])
            else:
                reader.missed = True
                reader.woken.set()
        return upto < last

    def _give(self, reader: _Reader, said: list[Said]) -> None:
        if len(reader.waiting) + len(said) > ROOM:
            reader.overrun = True
        elif not (reader.overrun or reader.missed):
            reader.waiting.extend(said)
        if said:
            reader.woken.set()


def _only(said: Said, names: Collection[str]) -> Said:
    return Said(said.position, tuple(each for each in said.messages if each[0] in names))


def _said(stored: StoredEvent) -> Said:
    try:
        event = decoded(stored)
        messages = tuple(
            (emission.webhook.name, render(event, emission))
            for emission in emissions(stored)
            if not emission.webhook.only_subject
        )
    except UnreadableEvent:
        log.error("stream.unreadable", position=stored.position, topic=stored.topic)
        messages = ()
    return Said(stored.position, messages)


async def _stretch(
    connection: AsyncConnection[Any], tenant: str, position: int, last: int
) -> list[Said]:
    """What was said in the next stretch of the log, ending with how far it was looked through."""
    upto = min(last, position + STRETCH)
    events = await _events(connection, position, upto, [tenant])
    said = [_said(stored) for stored in events]
    if len(events) < PIECE and (not said or said[-1].position < upto):
        said.append(Said(upto))
    return said


async def _events(
    connection: AsyncConnection[Any], position: int, upto: int, tenants: list[str]
) -> Sequence[StoredEvent]:
    cursor = connection.cursor(row_factory=tuple_row, binary=True)
    await cursor.execute(
        codec.SELECT + " WHERE position > %s AND position <= %s AND tenant = ANY (%s)"
        " AND topic = ANY (%s) ORDER BY position LIMIT %s",
        (position, upto, tenants, stored_topics(BY_TOPIC), PIECE),
    )
    return await opened(connection, [StoredEvent(*row) for row in await cursor.fetchall()])


async def head(connection: AsyncConnection[Any]) -> int:
    """The position of the last event in the log."""
    cursor = await connection.execute("SELECT coalesce(max(position), 0) FROM log.events")
    row = await cursor.fetchone()
    return int(row[0]) if row else 0
