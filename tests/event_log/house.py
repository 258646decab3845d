"""What the tests of the log share: logs on a database, decisions, and a look at the table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from pydantic import BaseModel

from application.kernel import Answer, Decision, Desk, Idempotency
from domain.kernel import Aggregate, Conflict
from infrastructure import database
from infrastructure.event_log.committer import Committer
from infrastructure.event_log.log import EventLog
from tests.event_log.rooms import Counter


@asynccontextmanager
async def event_log(url: str, *, log: dict[str, Any] | None = None, **options: Any) -> Any:
    """One process's way into the log; `options` are the committer's."""
    async with database.pool(url, "test") as pool:
        committer = Committer(url, **options)
        await committer.start()
        try:
            yield EventLog(pool, committer, **(log or {}))
        finally:
            await committer.close()


@asynccontextmanager
async def processes(url: str, number: int = 2, **options: Any) -> AsyncIterator[list[EventLog]]:
    """As many logs that know nothing of each other, as in processes of their own."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(event_log(url, **options)) for _ in range(number)]


def decision(*aggregates: Aggregate, tenant: str = "demo", **options: Any) -> Decision:
    events: list[Any] = [e for a in aggregates for e in a.collect_events()]
    return Decision(tenant, events, **options)


@contextmanager
def administering(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that may do anything."""
    with psycopg.connect(url, autocommit=True) as admin:
        yield admin


def positions(url: str) -> list[int]:
    with administering(url) as admin:
        return [n for (n,) in admin.execute("SELECT position FROM log.events ORDER BY 1")]


def small_partitions(admin: psycopg.Connection[Any], size: int) -> None:
    """Let an empty log have partitions of `size` positions."""
    parts = admin.execute("SELECT inhrelid::regclass::text FROM pg_inherits i WHERE"
                          " inhparent = 'log.events'::regclass").fetchall()  # fmt: skip
    for (part,) in parts:
        admin.execute(f"DROP TABLE {part}".encode())
    admin.execute(
        "CREATE OR REPLACE FUNCTION log.partition_size() RETURNS bigint IMMUTABLE"
        f" LANGUAGE sql AS 'SELECT {size}::bigint'".encode()
    )
    admin.execute("SELECT log.add_partition(0)")


class Count(BaseModel):
    """What a caller is told."""

    id: str
    count: int


def told(counter: Counter) -> Count:
    return Count(id=str(counter.id), count=counter.count)


@dataclass
class Open:
    name: str = "visits"

    def handle(self) -> Counter:
        return Counter(self.name)


@dataclass
class Increase:
    by: int = 1

    def handle(self, counter: Counter) -> None:
        counter.increase(self.by)


@dataclass
class Start:
    """Refused the second time."""

    def handle(self, counter: Counter) -> None:
        if counter.count:
            raise Conflict("It has begun.")
        counter.increase()


def desk(log: EventLog, key: str | None = None, body: bytes = b"", **options: Any) -> Desk:
    """Somebody's desk; with `key` as if they had sent an Idempotency-Key."""
    idempotency = Idempotency.of("ann", "POST /counters", key, body) if key else None
    return Desk(log, "demo", "ann", "request-1", idempotency=idempotency, **options)


async def opened(log: EventLog) -> Any:
    """The id of a new counter."""
    answer: Answer[Any] = await desk(log).create(Open(), told)
    return answer.id
