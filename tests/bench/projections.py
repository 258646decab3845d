"""Read models: catching up against the library's ProjectionRunner, rebuilding against a plain COPY
with JSON parsing, and how long a caller waits to read what they have just written."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from statistics import median
from typing import Any
from uuid import UUID

import orjson
import psycopg
import uvloop
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner

from application.kernel import Decision
from infrastructure import database
from infrastructure.event_log.committer import Committer
from infrastructure.event_log.log import EventLog
from infrastructure.read_models import registry
from infrastructure.read_models.projector import Projector
from infrastructure.read_models.reading import reading
from infrastructure.read_models.rebuild import rebuild
from tests.bench.peers import settings
from tests.bench.report import Figure
from tests.bench.server import migrated, server
from tests.rooms import NOW, Accounts, account, somebody
from tests.rooms import Account as OurAccount

ROUNDS = 3
OURS, THEIRS = 50_000, 1_500
"""Events to catch up with in a round; at a rate of some hundreds a second theirs are fewer."""
HISTORY = 1_000_000
"""Events of the rebuild."""
EACH = 10
"""Events of a stream: opened once, then deposits."""
WORKERS = 2
WRITES = 200

figures: list[Figure] = []
"""Of the last run, for the report."""

FILL = """
INSERT INTO log.events (position, stream_id, version, tenant, topic, state, recorded_at)
SELECT n, md5((n / {each})::text || '{salt}')::uuid, n % {each} + 1, 'demo',
    CASE n % {each} WHEN 0 THEN 'test.account.opened' ELSE 'test.account.deposited' END,
    convert_to('{{"timestamp":"2030-01-01T12:00:00Z","actor":"ann","correlation_id":"request-1",'
        || '"causation_id":null,' || CASE n % {each}
        WHEN 0 THEN '"owner":"owner ' || n || '","on":"2030-01-01"}}'
        ELSE '"amount":"12.50","on":"2030-01-0' || (1 + n % 9) || '","channel":"web"}}' END,
        'UTF8'),
    now()
FROM generate_series({first}::bigint, {last}::bigint) AS n
"""


def run() -> dict[str, float]:
    """Measure, and return the ratios."""
    figures.clear()
    with server() as (create, _):
        ratios = _catching_up(migrated(create("catching_up")), create("library"))
        ratios |= _rebuilding(migrated(create("rebuilding")))
        ratios |= _run(_read_your_writes(migrated(create("reading"))))
    for each in figures:
        print(f"  {each.group}: {each.what}: {each.value:.2f} {each.unit}")
    return ratios


def _run(work: Any) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _fill(url: str, first: int, last: int) -> None:
    """Accounts whose streams begin at multiples of `EACH` (so `first` is one)."""
    with psycopg.connect(url, autocommit=True) as admin:
        statement = FILL.format(each=EACH, salt=first, first=first, last=last)
        admin.execute(statement.encode())
        admin.execute("ANALYZE log.events")


def _catching_up(ours: str, theirs: str) -> dict[str, float]:
    _run(_enrol(ours))
    rates: dict[str, list[float]] = {"Tidings": [], "eventsourcing, ProjectionRunner": []}
    with _library(theirs) as (app, env):
        for n in range(ROUNDS):
            first, last = n * OURS + EACH, (n + 1) * OURS + EACH - 1
            _fill(ours, first, last)
            rates["Tidings"].append(OURS / _run(_catch_up(ours, last)))
            rates["eventsourcing, ProjectionRunner"].append(_run_theirs(app, env))
    for name, measured in rates.items():
        figures.append(Figure("Catching up", name, median(measured), "events/s"))
    ours_rate, their_rate = (median(measured) for measured in rates.values())
    return {"catching up / the library's ProjectionRunner (wanted 25)": ours_rate / their_rate}


async def _enrol(url: str) -> None:
    async with await registry.connect(url, "bench") as connection:
        await registry.enrol(connection, registry.declared([Accounts()]).values())


async def _catch_up(url: str, upto: int) -> float:
    async with await registry.connect(url, "bench") as connection:
        began = time.perf_counter()
        work = asyncio.create_task(Projector(url, [Accounts()]).run())
        while True:
            cursor = await connection.execute("SELECT position, state, error FROM read.models")
            position, state, error = await cursor.fetchone() or (0, "", None)
            if position >= upto:
                break
            if state == "failed":
                raise RuntimeError(f"the read model has stopped: {error}")
            await asyncio.sleep(0.01)
        took = time.perf_counter() - began
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    return took


class TheirAccount(Aggregate):
    """The same account, as an aggregate of the library."""

    @event("Opened")
    def __init__(self, owner: str) -> None:
        self.balance = Decimal(0)

    @event("Deposited")
    def deposit(self, amount: Decimal, channel: str) -> None:
        self.balance += amount


class Their(Application[UUID]):
    """The application that the library's projection follows."""

    name = "accounts"


class TheirView(PostgresTrackingRecorder):
    """One row an account, changed in the transaction that tracks the position."""

    def __init__(self, datastore: PostgresDatastore, **options: Any) -> None:
        super().__init__(datastore, **options)
        self.sql_create_statements.append(
            psycopg.sql.SQL(
                "CREATE TABLE IF NOT EXISTS their_accounts (id uuid PRIMARY KEY, owner text,"
                " balance numeric, deposits int)"
            ).format()
        )


class TheirProjection(Projection[TheirView]):
    """What a projection of the library does with each event: one transaction."""

    name = "theirs"
    topics = ()

    def process_event(self, domain_event: Any, tracking: Any) -> None:
        with self.view.datastore.transaction(commit=True) as cursor:
            self.view._insert_tracking(cursor, tracking)
            if isinstance(domain_event, TheirAccount.Opened):  # type: ignore[attr-defined]
                cursor.execute(
                    "INSERT INTO their_accounts VALUES (%s, %s, 0, 0)",
                    [domain_event.originator_id, domain_event.owner],
                    prepare=True,
                )
            else:
                cursor.execute(
                    "UPDATE their_accounts SET balance = balance + %s, deposits = deposits + 1"
                    " WHERE id = %s",
                    [domain_event.amount, domain_event.originator_id],
                    prepare=True,
                )


@contextmanager
def _library(url: str) -> Iterator[tuple[Their, dict[str, str]]]:
    env = settings(url, "eventsourcing.postgres")
    app = Their(env=env)
    yield app, env
    app.close()


def _run_theirs(app: Their, env: dict[str, str]) -> float:
    for _ in range(THEIRS // EACH):
        it = TheirAccount("owner")
        for _ in range(EACH - 1):
            it.deposit(Decimal("12.50"), "web")
        last = app.save(it)[-1].notification.id
    began = time.perf_counter()
    with ProjectionRunner(
        application_class=Their, projection_class=TheirProjection, view_class=TheirView, env=env
    ) as runner:
        while (runner.view.max_tracking_id(app.name) or 0) < last:
            time.sleep(0.01)
        took = time.perf_counter() - began
    return THEIRS / took


def _rebuilding(url: str) -> dict[str, float]:
    for first in range(EACH, HISTORY, 100_000):
        _fill(url, first, first + 99_999)
    _run(_enrol(url))
    rounds = [(_copy_and_parse(url), _in_a_process("rebuild", url)) for _ in range(ROUNDS)]
    copied = median(copy for copy, _ in rounds)
    took = median(rebuilt["seconds"] for _, rebuilt in rounds)
    memory = max(rebuilt["memory"] for _, rebuilt in rounds)
    group = f"Rebuilding from {HISTORY:,} events"
    figures.extend(
        [
            Figure(group, "Tidings, two workers", took, "s"),
            Figure(group, "COPY and JSON parsing alone, one process", copied, "s"),
            Figure(group, "Tidings, memory of all its processes at most", memory, "MiB"),
        ]
    )
    return {
        "rebuild / COPY and JSON parsing (wanted 5 at most)": took / copied,
        "memory of a rebuild in MiB (wanted 500 at most)": memory,
    }


def _in_a_process(what: str, url: str) -> dict[str, float]:
    """A part of this module on its own, so that nothing else counts into its memory."""
    command = [sys.executable, "-m", "tests.bench.projections", what, url]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    measured: dict[str, float] = orjson.loads(done.stdout.splitlines()[-1])
    return measured


def _rebuild_alone(url: str) -> None:
    took = _timed(lambda: _run(rebuild(url, Accounts(), processes=WORKERS)))
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    memory = (own + WORKERS * worker) / 1024
    print(orjson.dumps({"seconds": took, "memory": memory}).decode())


def _copy_and_parse(url: str) -> float:
    def work() -> None:
        query = "COPY (SELECT state FROM log.events ORDER BY position) TO STDOUT (FORMAT BINARY)"
        with (
            psycopg.connect(url) as connection,
            connection.cursor() as cursor,
            cursor.copy(query.encode()) as copy,
        ):
            copy.set_types(["bytea"])
            for (state,) in copy.rows():
                orjson.loads(state)

    return _timed(work)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@asynccontextmanager
async def _projecting(url: str) -> AsyncIterator[None]:
    """A projector in a process of its own, as in service."""
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.projections", "project", url])
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def _read_your_writes(url: str) -> dict[str, float]:
    await _enrol(url)
    waited: list[float] = []
    bare: list[float] = []
    async with (
        _projecting(url),
        database.pool(url, "bench") as pool,
        reading(url, pool) as reads,
    ):
        committer = Committer(url)
        await committer.start()
        log = EventLog(pool, committer)
        for n in range(WRITES):
            with somebody():
                it = OurAccount(f"owner {n}", NOW.date())
            await log.append(Decision("demo", it.collect_events(), "ann"))  # type: ignore[arg-type]
            for times in (waited, bare):
                began = time.perf_counter()
                row = await reads.one("demo", "ann", account(it.id))
                times.append(time.perf_counter() - began)
                assert row is not None
        await committer.close()
    over = (median(waited[20:]) - median(bare[20:])) * 1000
    group = "Reading what one has just written, median"
    figures.append(Figure(group, "with the wait for the read model", median(waited) * 1000, "ms"))
    figures.append(Figure(group, "the same query alone", median(bare) * 1000, "ms"))
    return {"read-your-writes over the bare read in ms, median (wanted 5 at most)": over}


if __name__ == "__main__":
    if sys.argv[1] == "project":
        asyncio.run(Projector(sys.argv[2], [Accounts()]).run())
    else:
        _rebuild_alone(sys.argv[2])
