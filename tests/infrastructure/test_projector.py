"""The projector against a real database: batches, faults, and several processes."""

import asyncio
import os
from datetime import date

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.kernel import DomainEvent
from infrastructure.read_models import folding, registry
from infrastructure.read_models.projector import Projector
from projections.kernel import Rows, Table
from tests.infrastructure.read_side import (
    STEPS,
    administering,
    caught_up,
    enrolled,
    everything,
    history,
    opened,
    plainly,
    projecting,
    status,
    until,
    wipe,
    write,
)
from tests.rooms import MODELS, Account, Accounts, Deposits, somebody

PROPERTY = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@PROPERTY
@given(
    steps=STEPS,
    largest=st.integers(1, 20),
    stops=st.lists(st.integers(0, 40), max_size=3).map(sorted),
)
def test_tables_are_the_same_whatever_the_batches_and_restarts(database_url, steps, largest, stops):
    events = list(history(steps))

    async def fold_with_restarts() -> None:
        await enrolled(database_url)
        for start, end in zip([0, *stops], [*stops, len(events)], strict=True):
            if events[start:end]:
                write(database_url, events[start:end])
            async with projecting(database_url, largest=largest):
                await caught_up(database_url)

    with administering(database_url) as admin:
        wipe(admin)
        asyncio.run(fold_with_restarts())
        assert everything(admin) == plainly(database_url, admin)


def test_a_projector_stopped_at_any_moment_has_folded_each_event_once(database_url):
    async def stop_again_and_again() -> None:
        await enrolled(database_url)
        write(database_url, opened(3000))
        for pause in (0.02, 0.05, 0.1, 0.15, 0.2):
            async with projecting(database_url, largest=100):
                await asyncio.sleep(pause)
        async with projecting(database_url):
            await caught_up(database_url)

    with administering(database_url) as admin:
        asyncio.run(stop_again_and_again())
        assert everything(admin) == plainly(database_url, admin)


def test_rows_carry_the_version_of_their_stream_through_events_that_nobody_folds(database_url):
    with somebody():
        account = Account("ann", date(2030, 1, 1))
        account.look()
        account.look()
    write(database_url, account.collect_events())

    async def look() -> int:
        async with projecting(database_url):
            await caught_up(database_url)
        with administering(database_url) as admin:
            return admin.execute("SELECT version FROM read.accounts").fetchone()[0]

    assert asyncio.run(look()) == 3


def test_positions_move_past_events_that_nobody_wants(database_url):
    with somebody():
        account = Account("ann", date(2030, 1, 1))
        account.look()

    async def follow() -> int:
        async with projecting(database_url, [Deposits()]):
            await caught_up(database_url, [Deposits()])
            last = write(database_url, account.collect_events())
            return (await caught_up(database_url, [Deposits()]))["deposits"].position - last

    assert asyncio.run(follow()) == 0


class Delicate(Accounts):
    """Cannot stand one of the names."""

    name = "delicate"
    tables = (Table("delicate", of_stream=Account, columns={"owner": str}),)

    def project(self, event: DomainEvent, rows: Rows) -> None:
        if isinstance(event, Account.Opened):
            if event.owner == "owner 7":
                raise ValueError(f"cannot stand {event.owner}")
            rows(self.tables[0])[event.originator_id].insert(owner=event.owner)


class Mended(Delicate):
    name = "delicate"

    def project(self, event: DomainEvent, rows: Rows) -> None:
        if isinstance(event, Account.Opened):
            rows(self.tables[0])[event.originator_id].insert(owner=event.owner)


class Twice(Deposits):
    """Makes a row twice, which the database finds out."""

    name = "twice"
    tables = (Table("twice", key={"on": date}, columns={"channel": str}),)

    def project(self, event: DomainEvent, rows: Rows) -> None:
        if isinstance(event, Account.Deposited):
            rows(self.tables[0])[event.on].insert(channel=event.channel)


def test_a_poison_event_stops_one_read_model_visibly_and_not_the_others(database_url):
    models = [*MODELS, Delicate(), Twice()]

    async def poison():
        async with projecting(database_url, models):
            await caught_up(database_url, models)
            write(database_url, opened(20))
            await until(
                database_url,
                lambda now: [each.state for each in now.values()].count("failed") == 2,
            )
            write(database_url, opened(20))
            await caught_up(database_url)
            return await status(database_url)

    now = asyncio.run(poison())
    # Seven accounts of two events each come before the one of "owner 7".
    assert now["delicate"].position == 14
    assert now["delicate"].error == {
        "position": 15,
        "topic": "test.account.opened",
        "error": "ValueError",
        "at": now["delicate"].error["at"],
    }
    assert now["delicate"].error["at"].startswith("test_projector.py:")
    # The fourth deposit is the second of its day.
    assert now["twice"].position == 7
    assert now["twice"].error == {
        "position": 8,
        "topic": "test.account.deposited",
        "error": "UniqueViolation",
        "sqlstate": "23505",
        "table_name": "twice",
        "constraint_name": "twice_pkey",
    }
    assert now["twice"].lag == 80 - 7
    assert now["twice"].lag_seconds > 0
    assert (now["accounts"].state, now["accounts"].lag) == ("live", 0)
    with administering(database_url) as admin:
        assert everything(admin) == plainly(database_url, admin)


def test_mended_it_goes_on_where_it_stopped_and_joins_the_others(database_url):
    async def mend():
        async with projecting(database_url, [*MODELS, Delicate()]):
            await caught_up(database_url, [*MODELS, Delicate()])
            write(database_url, opened(20))
            failed = await until(database_url, lambda now: now["delicate"].state == "failed")
            async with await registry.connect(database_url, "resume") as connection:
                assert await registry.resume(connection, ["delicate", "accounts"]) == ["delicate"]
            await until(database_url, lambda now: now["delicate"].state == "failed")
        async with projecting(database_url, [*MODELS, Mended()]):
            now = await caught_up(database_url, [*MODELS, Mended()])
        return failed, now

    failed, now = asyncio.run(mend())
    assert failed["delicate"].position == 14
    assert now["delicate"].position == now["accounts"].position == 40
    with administering(database_url) as admin:
        assert admin.execute("SELECT count(*) FROM read.delicate").fetchone() == (20,)


def test_a_value_too_long_for_an_index_stops_its_read_model_alone(database_url):
    with somebody():
        events = Account(os.urandom(4000).hex(), date(2030, 1, 1)).collect_events()

    async def poison():
        async with projecting(database_url):
            await caught_up(database_url)
            write(database_url, events)
            return await until(database_url, lambda now: now["deposits"].position == 1)

    now = asyncio.run(poison())
    assert now["accounts"].error["error"] == "ProgramLimitExceeded"
    assert now["deposits"].state == "live"


class Unreadable(Account.Renamed):
    """As stored by a release that knew another form of it."""


def test_an_event_that_this_release_cannot_read_stops_those_who_want_it(database_url):
    async def read():
        async with projecting(database_url):
            await caught_up(database_url)
            write(database_url, opened(1))
            with administering(database_url) as admin:
                admin.execute(
                    "INSERT INTO log.events SELECT 3, stream_id, 3, tenant, 'test.account.renamed',"
                    " '{}', now() FROM log.events WHERE position = 1; NOTIFY tidings_log"
                )
            return await until(database_url, lambda now: now["accounts"].state == "failed")

    now = asyncio.run(read())
    assert now["accounts"].error == {
        "position": 3,
        "topic": "test.account.renamed",
        "error": "UnreadableEvent",
    }
    assert now["deposits"].state == "live"


def test_large_events_make_small_batches(database_url, monkeypatch):
    monkeypatch.setattr(folding, "BYTES", 10_000)
    with somebody():
        for name in "abcd":
            write(database_url, Account(name * 6000, date(2030, 1, 1)).collect_events())

    async def read():
        async with await registry.connect(database_url, "read") as connection:
            return [len(await folding.read(connection, since, 2**62, 100)) for since in (0, 2, 3)]

    assert asyncio.run(read()) == [2, 2, 1]


def test_whoever_no_longer_owns_a_read_model_cannot_move_it(database_url):
    (accounts,) = registry.declared([Accounts()]).values()

    async def advance(since: int, version: int = 1, shape: str = accounts.shape) -> None:
        async with await registry.connect(database_url, "old-owner") as connection:
            await registry.enrol(connection, [accounts])
            await connection.execute(
                "SELECT read.advance(%s, %s, %s, %s, %s)",
                [["accounts"], [version], [shape], since, 9],
            )

    asyncio.run(advance(0))
    for stale in ({"since": 0}, {"since": 9, "version": 2}, {"since": 9, "shape": "other"}):
        with pytest.raises(psycopg.Error) as refused:
            asyncio.run(advance(**stale))
        assert refused.value.sqlstate == "TR001"


def test_it_stops_although_its_connection_fails_meanwhile(database_url, monkeypatch):
    async def fails_when_told_to_stop(self, *_):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise psycopg.OperationalError("another command is already in progress") from None

    async def stop() -> None:
        async with asyncio.timeout(10):
            running = asyncio.create_task(Projector(database_url, MODELS).run())
            await asyncio.sleep(0.5)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

    monkeypatch.setattr(Projector, "_work", fails_when_told_to_stop)
    asyncio.run(stop())
