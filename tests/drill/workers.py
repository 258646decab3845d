"""The processes of the drill: writers, readers that tail the log, followers with their effects.

`python -m tests.drill.workers KIND URL OUT NUMBER` runs one until it is told to stop (SIGTERM), or
is killed. What it has to say it writes to OUT, a line of JSON each: what was acknowledged to a
caller, and `bug` for whatever must not happen.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import PoolTimeout
from pydantic import BaseModel

from application.kernel import Desk, Idempotency
from domain.kernel import DomainEvent, Refusal
from infrastructure import database
from infrastructure.event_log.codec import StoredEvent
from infrastructure.event_log.committer import Committer
from infrastructure.event_log.log import EventLog
from infrastructure.event_log.recent import Recent
from infrastructure.follower import Follower, follow
from infrastructure.read_models.projector import Projector
from projections.kernel import ReadModel, Rows, Table
from tests.event_log.rooms import Counter

CALLERS = 16
HOT = tuple(UUID(int=n + 1, version=4) for n in range(4))
"""Counters that everybody changes at once."""

COUNTS = Table("drill_counts", of_stream=Counter, columns={"total": int})


class Counts(ReadModel):
    """What each counter stands at."""

    name = "drill_counts"
    version = 1
    tables = (COUNTS,)
    events = (Counter.Opened, Counter.Increased)

    def project(self, event: DomainEvent, rows: Rows) -> None:
        match event:
            case Counter.Opened():
                rows(COUNTS)[event.originator_id].insert(total=0)
            case Counter.Increased(by=by):
                rows(COUNTS)[event.originator_id].add(total=by)


class Count(BaseModel):
    """What a caller is told."""

    count: int
    version: int


def told(counter: Counter) -> Count:
    return Count(count=counter.count, version=counter.version)


@dataclass
class Open:
    name: str

    def handle(self) -> Counter:
        return Counter(self.name)


@dataclass
class Increase:
    by: int

    def handle(self, counter: Counter) -> None:
        counter.increase(self.by)


Say = Callable[..., None]


async def write(url: str, say: Say, number: int) -> None:
    """Callers that open counters, change the same few ones, and repeat each other's requests."""
    random.seed(f"{number} {time.time()}")
    async with database.pool(url, "drill") as pool:
        committer = Committer(url)
        await committer.start()
        stop = stopping()
        log = EventLog(pool, committer, long=50)
        try:
            callers = (
                _caller(log, say, f"{number}.{time.time_ns()}.{n}", stop) for n in range(CALLERS)
            )
            await asyncio.gather(*callers)
        finally:
            await committer.close()


async def _caller(log: EventLog, say: Say, name: str, stop: asyncio.Event) -> None:
    turn = 0
    while not stop.is_set():
        turn += 1
        token = f"{name}.{turn}"
        try:
            match random.randrange(4):
                case 0:
                    desk = Desk(log, "demo", name, token)
                    answer = await desk.create(Open("drill"), told)
                case 1:  # the other processes ask the very same in this moment
                    token = f"key {int(time.time() * 10)}"
                    key = Idempotency.of("drill", "increase", token, b"")
                    desk = Desk(log, "demo", name, token, idempotency=key)
                    answer = await desk.change(Counter, HOT[0], Increase(1), told)
                case _:
                    desk = Desk(log, "demo", name, token)
                    answer = await desk.change(Counter, random.choice(HOT), Increase(2), told)
            say(token=token, position=answer.position, body=answer.body.decode())
        except (Refusal, psycopg.OperationalError, PoolTimeout, OSError):
            await asyncio.sleep(0.1)
        except Exception as error:  # noqa: BLE001 - nothing else may reach a caller
            say(bug=f"a caller got {error!r}")
            await asyncio.sleep(0.1)
        await asyncio.sleep(random.random() / 8)


async def tail(url: str, say: Say, number: int) -> None:
    """A reader behind the writers: it must see every position, each after the one before."""
    stop = stopping()
    position = 0
    while not stop.is_set():
        try:
            async with database.pool(url, "drill-tail", size=1) as pool:
                log = EventLog(pool, Committer(url))
                while not stop.is_set():
                    for event in await log.after(position, (7, 500)[number % 2]):
                        if event.position != position + 1:
                            say(bug=f"a reader came from {position} to {event.position}")
                        position = event.position
                    await asyncio.sleep(0.005)
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, OSError):
            await asyncio.sleep(0.1)
    say(seen=position)


async def follow_along(url: str, say: Say, number: int) -> None:
    """A follower whose effect can be counted, and a projector whose rows it takes; both share
    with other processes."""

    async def note(connection: AsyncConnection[Any], events: Sequence[StoredEvent]) -> None:
        await connection.execute(
            "INSERT INTO drill.effects (position, process) SELECT unnest(%s::bigint[]), %s",
            [[each.position for each in events], number],
        )

    follower = Follower("drill", [Counter.Opened.TOPIC, Counter.Increased.TOPIC], note, batch=100)
    recent = Recent()
    tasks = [
        asyncio.create_task(follow(url, follower, recent)),
        asyncio.create_task(Projector(url, [Counts()], recent=recent).run()),
    ]
    await stopping().wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def stopping() -> asyncio.Event:
    """Set by SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return stop


KINDS = {"write": write, "tail": tail, "follow": follow_along}


def main() -> None:
    kind, url, out, number = sys.argv[1:]
    with Path(out).open("a", buffering=1) as lines:
        work = KINDS[kind](url, lambda **what: print(json.dumps(what), file=lines), int(number))
        asyncio.run(work)


if __name__ == "__main__":
    main()
