"""What the tests of the read side share: a projector beside, a look at its tables, histories.

Run as a program it is a projector, or a rebuild, in a process of its own that can be killed.
"""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import psycopg
from hypothesis import strategies as st
from psycopg import Connection

from domain.kernel import DomainEvent
from infrastructure.read_models import folding, registry, tables, workers
from infrastructure.read_models.projector import Projector
from infrastructure.read_models.rebuild import rebuild
from projections.kernel import ReadModel, Table
from tests.rooms import ACCOUNTS, DAYS, MODELS, Account, SlowAccounts, append, somebody

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "deposit", "deposit", "rename", "tag", "look", "close"]),
        st.integers(0, 5),
        st.integers(1, 9999),
    ),
    max_size=40,
)
"""What hypothesis may think up: what happens, to which account, and how much of it."""


def history(steps: Iterable[tuple[str, int, int]]) -> Iterator[DomainEvent]:
    """The events of `steps`, over a few accounts of two tenants."""
    accounts: dict[int, Account] = {}
    for verb, which, much in steps:
        day = date(2030, 1, 1 + much % 3)
        with somebody(tenant=("acme", "demo")[which % 2]):
            if which not in accounts:
                accounts[which] = Account(f"owner {much} \\ \t\0 \"'\u2028", day)
            account = accounts[which]
            match verb:
                case "deposit":
                    account.deposit(Decimal(much).scaleb(-(much % 4)), day, f"channel {much % 2}")
                case "rename":
                    account.rename(f"owner\n{much}")
                case "tag":
                    account.tag([f"tag, {{{much}}}", "\\ NULL"], {f"fact {much % 3}": [much, "\0"]})
                case "look":
                    account.look()
                case "close":
                    account.close()
                    del accounts[which]
            yield from account.collect_events()


def opened(number: int, tenant: str = "demo") -> list[DomainEvent]:
    """As many accounts, just opened, each with a deposit."""
    events: list[DomainEvent] = []
    with somebody(tenant=tenant):
        for n in range(number):
            account = Account(f"owner {n}", date(2030, 1, 1))
            account.deposit(Decimal(1), date(2030, 1, 1 + n % 3), "web")
            events += account.collect_events()
    return events


def contents(admin: Connection[Any], table: Table, schema: str = "read") -> bytes:
    """Every byte of a table, in the order of its key."""
    keys = tables.columns(table.keys)
    with (
        admin.cursor() as cursor,
        cursor.copy(
            f"COPY (SELECT * FROM {schema}.{table.name} ORDER BY {keys}) TO STDOUT".encode()
        ) as copy,
    ):
        return b"".join(copy)


def everything(admin: Connection[Any], schema: str = "read") -> tuple[bytes, bytes]:
    """The tables of the tests' read models."""
    return contents(admin, ACCOUNTS, schema), contents(admin, DAYS, schema)


async def one_by_one(url: str, models: Sequence[ReadModel] = MODELS) -> None:
    """Fold the log into tables of the schema `plain`, an event at a time: what must come out."""
    async with await registry.connect(url, "plain", "plain") as connection:
        await connection.execute("RESET ROLE; DROP SCHEMA IF EXISTS plain CASCADE")
        await connection.execute("CREATE SCHEMA plain AUTHORIZATION tidings_projector")
        for model in models:
            for statement in tables.statements(model, "plain"):
                await connection.execute(statement.encode())
        for event in await folding.read(connection, 0, 2**62, 100_000):
            await folding.carry_out(connection, folding.fold(models, [event]))


def plainly(url: str, admin: Connection[Any]) -> tuple[bytes, bytes]:
    """The tables as they come out when each event is folded on its own."""
    asyncio.run(one_by_one(url))
    return everything(admin, "plain")


def wipe(admin: Connection[Any]) -> None:
    """Back to a database in which nothing has happened."""
    admin.execute(
        "TRUNCATE log.events, log.callers, read.models, read.builds;"
        "DROP TABLE IF EXISTS read.accounts, read.deposits_by_day"
    )


@contextmanager
def administering(url: str) -> Iterator[Connection[Any]]:
    """A connection that may do anything."""
    with psycopg.connect(url, autocommit=True) as admin:
        yield admin


async def enrolled(url: str, models: Sequence[ReadModel] = MODELS) -> None:
    """Make read models known to a database in which nothing has happened: they are live."""
    async with await registry.connect(url, "enrol") as connection:
        await registry.enrol(connection, registry.declared(models).values())


@asynccontextmanager
async def projecting(
    url: str, models: Sequence[ReadModel] = MODELS, **options: Any
) -> AsyncIterator[Projector]:
    """A projector at work."""
    projector = Projector(url, models, **options)
    work = asyncio.create_task(projector.run())
    try:
        yield projector
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


async def status(url: str) -> dict[str, registry.ModelStatus]:
    async with await registry.connect(url, "status") as connection:
        return {each.name: each for each in await registry.status(connection)}


async def until(url: str, wanted: Any, seconds: float = 20) -> dict[str, registry.ModelStatus]:
    """The first status that is as `wanted`; fails after `seconds`."""
    end = time.monotonic() + seconds
    async with await registry.connect(url, "status") as connection:
        while True:
            now = {each.name: each for each in await registry.status(connection)}
            if now and wanted(now):
                return now
            assert time.monotonic() < end, now
            await asyncio.sleep(0.02)


async def caught_up(
    url: str, models: Sequence[ReadModel] = MODELS, seconds: float = 20
) -> dict[str, registry.ModelStatus]:
    """Wait until every read model is live and at the head of the log."""
    versions = {model.name: model.version for model in models}
    return await until(
        url,
        lambda now: (
            versions.keys() <= now.keys()
            and all(
                (now[name].state, now[name].lag, now[name].version) == ("live", 0, version)
                for name, version in versions.items()
            )
        ),
        seconds,
    )


def write(url: str, events: Iterable[DomainEvent], caller: str | None = None) -> int:
    """Append `events` to the log, five hundred at a time."""
    batch = list(events)
    with administering(url) as admin:
        return max(
            append(admin, batch[start : start + 500], caller) for start in range(0, len(batch), 500)
        )


def builds(admin: Connection[Any]) -> list[str]:
    """Schemas of rebuilds that are there."""
    return [
        name
        for (name,) in admin.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'read_build_%'"
        )
    ]


async def rebuilt(url: str, models: Sequence[ReadModel] = MODELS, **options: Any) -> None:
    """Build read models anew, one after the other."""
    for model in models:
        await rebuild(url, model, **options)


@contextmanager
def program(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """This module in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _main(what: str, url: str) -> None:
    if what == "project":
        asyncio.run(Projector(url, MODELS).run())
    else:
        workers.WORTH_A_PROCESS = 0
        asyncio.run(rebuild(url, SlowAccounts(), on_progress=lambda p: print(p.done, flush=True)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
