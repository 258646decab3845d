"""The read side beside what it is measured against.

- catching up: our projector against the library's `ProjectionRunner`, each over its own log of the
  same kind of events, folded into a table of the same kind; and over a history of changes, folded
  into two read models;
- a rebuild of `BENCH_EVENTS` events against raw COPY plus JSON parse in one process;
- a query right after the caller's own write against the same query without a write.

Interleaved rounds on a server of its own; ratios of medians.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

import eventsourcing.domain as es
import psycopg
from eventsourcing.application import Application
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner

from domain.kernel import DomainEvent
from infrastructure import database
from infrastructure.embedded import EmbeddedPostgres
from infrastructure.event_log.codec import encode
from infrastructure.read_models.reading import ReadSide, reading
from infrastructure.read_models.rebuild import rebuild
from projections.kernel import ReadModel, Rows, Table
from tests.infrastructure.read_side import administering, caught_up, enrolled, projecting
from tests.rooms import MODELS, NOW, Account, account, append, somebody

EVENTS = int(os.environ.get("BENCH_EVENTS", 1_000_000))
CATCH_UP, LIBRARY = 50_000, 1_500
WRITES = 200
ROUNDS = 3
TYPES = ["int8", "uuid", "int8", "text", "text", "bytea", "timestamptz"]
COPY = (
    "COPY (SELECT position, stream_id, version, tenant, topic, state, recorded_at"
    " FROM log.events ORDER BY position) TO STDOUT (FORMAT BINARY)"
)


def run() -> dict[str, float]:
    """Print the figures and return their ratios."""
    with tempfile.TemporaryDirectory(prefix="tidings-bench-") as place:
        Path(place).chmod(0o711)
        server = EmbeddedPostgres(Path(place) / "postgres", durable=False)
        server.start()
        try:
            url = server.url()
            database.migrate(url)
            return {**_caught_up(url), **_read_own_writes(url), **_rebuilt(url)}
        finally:
            server.stop()


def happenings(number: int) -> Iterator[DomainEvent]:
    """A history of accounts, a seventh of it their openings, the rest spread over all of them."""
    chance = random.Random(1)
    accounts: list[Account] = []
    for n in range(number):
        day = date.fromordinal(date(2030, 1, 1).toordinal() + n * 90 // number)
        with somebody(tenant=f"tenant {n % 5}"):
            if n < 100 or chance.random() < 0.15:
                accounts.append(Account(f"owner {n}", day))
                yield from accounts[-1].collect_events()
                continue
        one = chance.choice(accounts)
        with somebody(tenant=one.tenant):
            match chance.randrange(8):
                case 0:
                    one.rename(f"another owner {n}")
                case 1:
                    one.look()
                case _:
                    one.deposit(Decimal(chance.randrange(9999)) / 100, day, f"channel {n % 3}")
        yield from one.collect_events()


def fill(url: str, events: Iterable[DomainEvent], models: Sequence[ReadModel]) -> None:
    """A log of `events`, and nothing folded."""
    with administering(url) as admin:
        admin.execute("TRUNCATE log.events, log.callers, read.models, read.builds")
        for table in ("accounts", "deposits_by_day", "notes"):
            admin.execute(f"DROP TABLE IF EXISTS read.{table}".encode())
        asyncio.run(enrolled(url, models))
        with (
            admin.cursor() as cursor,
            cursor.copy("COPY log.events FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.set_types(TYPES)
            for position, event in enumerate(events, 1):
                identity = (event.originator_id, event.originator_version, event.tenant)
                copy.write_row((position, *identity, event.TOPIC, encode(event), NOW))
        admin.execute("VACUUM ANALYZE log.events")


NOTES = Table(
    "notes", of_stream=Account, columns={"owner": str, "on": date, "actor": str, "at": datetime}
)


class Noted(ReadModel):
    """A row for each event, as the library's projection makes them."""

    name = "notes"
    version = 1
    tables = (NOTES,)
    events = (Account.Opened,)

    def project(self, event: DomainEvent, rows: Rows) -> None:
        match event:
            case Account.Opened(owner=owner, on=on, actor=actor, timestamp=at):
                rows(NOTES)[event.originator_id].insert(owner=owner, on=on, actor=actor, at=at)


def openings(number: int) -> Iterator[DomainEvent]:
    """As many accounts, opened."""
    with somebody():
        for n in range(number):
            yield from Account(f"owner {n}", date(2030, 1, 1)).collect_events()


def _caught_up(url: str) -> dict[str, float]:
    rates: dict[str, list[float]] = {"rows": [], "changes": [], "library": []}
    for _ in range(ROUNDS):
        fill(url, openings(CATCH_UP), [Noted()])
        rates["rows"].append(CATCH_UP / asyncio.run(_projected(url, [Noted()])))
        fill(url, happenings(CATCH_UP), MODELS)
        rates["changes"].append(CATCH_UP / asyncio.run(_projected(url, MODELS)))
        rates["library"].append(LIBRARY / _projected_by_the_library(url))
    rate = {name: median(of_name) for name, of_name in rates.items()}
    print(*(f"  catching up, {name}: {of_name:,.0f} events/s" for name, of_name in rate.items()))
    return {
        "catching up / ProjectionRunner (wanted at least 25)": rate["rows"] / rate["library"],
        "catching up on changes / ProjectionRunner": rate["changes"] / rate["library"],
    }


async def _projected(url: str, models: Sequence[ReadModel]) -> float:
    began = perf_counter()
    async with projecting(url, models):
        await caught_up(url, models, seconds=600)
        return perf_counter() - began


class Note(es.Aggregate):
    """What the library folds: an event of about the same size."""

    @es.event("Written")
    def __init__(self, owner: str, channel: str, amount: Decimal) -> None:
        self.owner, self.channel, self.amount = owner, channel, amount


class Notes(Application):
    pass


class NotesView(PostgresTrackingRecorder):
    def note(self, event: Any, tracking: Any) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "INSERT INTO notes VALUES (%s, %s, %s, %s)",
                [event.originator_id, event.owner, event.channel, event.amount],
            )


class NotesProjection(Projection[NotesView]):
    name = "notes"

    def process_event(self, domain_event: Any, tracking: Any) -> None:
        self.view.note(domain_event, tracking)


def _projected_by_the_library(url: str) -> float:
    at = urlsplit(url)
    env = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": at.path[1:],
        "POSTGRES_HOST": parse_qs(at.query)["host"][0],
        "POSTGRES_PORT": "5432",
        "POSTGRES_USER": at.username or "",
        "POSTGRES_PASSWORD": "none",
        "POSTGRES_SCHEMA": "bench",
    }
    with administering(url) as admin:
        admin.execute("DROP SCHEMA IF EXISTS bench CASCADE; CREATE SCHEMA bench")
        admin.execute("DROP TABLE IF EXISTS notes")
        admin.execute(
            "CREATE TABLE notes (id uuid PRIMARY KEY, owner text, channel text, amount numeric)"
        )
    app = Notes(env=env)
    last = 0
    for _ in range(LIBRARY // 100):
        notes = [Note(f"owner {n}", "web", Decimal(n) / 100) for n in range(100)]
        last = app.save(*notes)[-1].notification.id
    began = perf_counter()
    with ProjectionRunner(
        application_class=Notes, projection_class=NotesProjection, view_class=NotesView, env=env
    ) as runner:
        runner.wait(last, timeout=120)
        seconds = perf_counter() - began
    app.close()
    return seconds


def _read_own_writes(url: str) -> dict[str, float]:
    fill(url, openings(1), MODELS)
    after, bare = asyncio.run(_written_and_read(url))
    added = (after - bare) * 1000
    print(f"  a read of one's own write {after * 1000:.1f} ms, a bare read {bare * 1000:.1f} ms")
    return {"reading one's own write: ms added to the bare read (wanted at most 5)": added}


async def _written_and_read(url: str) -> tuple[float, float]:
    after, bare = [], []
    async with (
        projecting(url),
        database.pool(url, "bench") as pool,
        reading(url, pool) as reads,
    ):
        await caught_up(url)
        with administering(url) as log, somebody():
            mine = Account("ann", date(2030, 1, 1))
            for _ in range(WRITES):
                mine.deposit(Decimal(1), date(2030, 1, 1), "web")
                append(log, mine.collect_events(), caller="ann")
                after.append(await _read(reads, mine))
                bare.append(await _read(reads, mine))
    return median(after), median(bare)


async def _read(reads: ReadSide, mine: Account) -> float:
    began = perf_counter()
    assert await reads.one("demo", "ann", account(mine.id))
    return perf_counter() - began


def _rebuilt(url: str) -> dict[str, float]:
    fill(url, happenings(EVENTS), MODELS)
    ratios = {}
    bare, ours = [], {model.name: [] for model in MODELS}
    for _ in range(ROUNDS):
        bare.append(_copied_and_parsed(url))
        for model in MODELS:
            began = perf_counter()
            asyncio.run(rebuild(url, model))
            ours[model.name].append(perf_counter() - began)
    for name, seconds in ours.items():
        print(f"  {name}: {EVENTS / median(seconds):,.0f} events/s")
        ratios[f"rebuild of {name} / COPY and JSON parse (wanted at most 5)"] = median(
            seconds
        ) / median(bare)
    # Of the largest worker (two of them work at a time), and of this process.
    largest = [resource.getrusage(of).ru_maxrss for of in (resource.RUSAGE_CHILDREN, 0)]
    ratios["memory of a rebuild at most, MiB (wanted below 500)"] = (
        2 * largest[0] + largest[1]
    ) / 1024
    return ratios


def _copied_and_parsed(url: str) -> float:
    began = perf_counter()
    with (
        psycopg.connect(url) as connection,
        connection.cursor() as cursor,
        cursor.copy(COPY) as copy,
    ):
        copy.set_types(TYPES)
        for row in copy.rows():
            json.loads(row[5])
    return perf_counter() - began
