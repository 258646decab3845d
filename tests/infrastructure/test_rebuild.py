"""Building anew: the same bytes as live, under traffic, and through every kind of death."""

import asyncio
from datetime import date
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.kernel import DomainEvent
from infrastructure import database
from infrastructure.read_models import registry, shard, workers
from infrastructure.read_models.progress import Progress
from infrastructure.read_models.reading import reading
from infrastructure.read_models.rebuild import (
    RebuildFailed,
    RebuildRefused,
    rebuild,
)
from projections.kernel import Query, ReadModel, Rows, Table
from tests.infrastructure.read_side import (
    STEPS,
    administering,
    builds,
    caught_up,
    contents,
    enrolled,
    everything,
    history,
    one_by_one,
    opened,
    plainly,
    projecting,
    rebuilt,
    status,
    until,
    wipe,
    write,
)
from tests.rooms import (
    Account,
    Accounts,
    Deposits,
    SlowAccounts,
    account,
    somebody,
)

PROPERTY = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@PROPERTY
@given(before=STEPS, after=STEPS, memory=st.integers(1, 30), shards=st.integers(1, 3))
def test_rebuilt_tables_are_the_live_ones_to_the_byte(
    database_url, monkeypatch, before, after, memory, shards
):
    # However little a worker may keep in memory, and however many there are.
    monkeypatch.setattr(shard, "BYTES", memory * 100)
    monkeypatch.setattr(shard, "STRIDE", memory)
    events = list(history(before + after))
    earlier, later = events[: len(before)], events[len(before) :]

    async def compare(admin) -> None:
        await enrolled(database_url)
        async with projecting(database_url):
            if earlier:
                write(database_url, earlier)
            rebuilding = asyncio.create_task(rebuilt(database_url, processes=shards))
            if later:  # these arrive while it is being built
                await asyncio.to_thread(write, database_url, later)
            await rebuilding
            await caught_up(database_url)
            live = everything(admin)
            await rebuilt(database_url, processes=shards)
            assert everything(admin) == live
        await one_by_one(database_url)
        assert everything(admin, "plain") == live

    with administering(database_url) as admin:
        wipe(admin)
        asyncio.run(compare(admin))


def test_workers_that_are_processes_build_the_same(database_url, monkeypatch):
    monkeypatch.setattr(workers, "WORTH_A_PROCESS", 0)
    write(database_url, opened(500))
    seen: list[Progress] = []
    asyncio.run(rebuilt(database_url, on_progress=seen.append))
    with administering(database_url) as admin:
        assert everything(admin) == plainly(database_url, admin)
    assert [each.phase for each in seen if each.phase == "done"] == ["done"] * 2
    assert (seen[-1].done, seen[-1].total, seen[-1].seconds_left) == (1000, 1000, 0.0)
    of_first = [each.done for each in seen[: [e.phase for e in seen].index("done")]]
    assert of_first == sorted(of_first)


class Latest(ReadModel):
    """Who opened an account last, by day: what one stream writes another overwrites."""

    name = "latest"
    version = 1
    tables = (Table("latest", key={"on": date}, columns={"owner": str}),)
    events = (Account.Opened,)

    def project(self, event: DomainEvent, rows: Rows) -> None:
        match event:
            case Account.Opened(on=on, owner=owner):
                rows(self.tables[0])[on].put(owner=owner)


class Counted(ReadModel):
    """Counts in SQL of its own."""

    name = "counted"
    version = 1
    tables = (Table("counted", key={"on": date}, columns={"accounts": int}),)
    events = (Account.Opened,)

    def project(self, event: DomainEvent, rows: Rows) -> None:
        match event:
            case Account.Opened(on=on):
                rows(self.tables[0])[on].add(accounts=0)
                rows.execute(
                    "UPDATE counted SET accounts = accounts + 1"
                    ' WHERE tenant = %(tenant)s AND "on" = %(on)s',
                    {"on": on},
                )


class Mixed(ReadModel):
    """Rows that their stream sets and others add to."""

    name = "mixed"
    version = 1
    tables = (Table("mixed", columns={"deposits": int}),)
    events = (Account.Opened, Account.Deposited)
    elsewhere = uuid4()

    def project(self, event: DomainEvent, rows: Rows) -> None:
        match event:
            case Account.Opened():
                rows(self.tables[0])[event.originator_id].put(deposits=0)
            case Account.Deposited():
                rows(self.tables[0])[self.elsewhere].add(deposits=1)


class Picky(Deposits):
    """Cannot stand one of the accounts."""

    name = "picky"
    tables = (Table("picky", columns={"owner": str}),)
    events = (Account.Opened,)

    def project(self, event: DomainEvent, rows: Rows) -> None:
        match event:
            case Account.Opened(owner="owner 500"):
                raise LookupError(event.owner)


@pytest.mark.parametrize("model", [Latest(), Counted(), Mixed()])
def test_what_cannot_be_shared_is_built_by_one_worker(database_url, model):
    write(database_url, opened(60))
    asyncio.run(rebuild(database_url, model, processes=3))
    compare_with_one_by_one(database_url, model)


def test_workers_that_are_processes_find_it_out_in_the_midst_of_reading(database_url, monkeypatch):
    monkeypatch.setattr(workers, "WORTH_A_PROCESS", 0)
    write(database_url, opened(2000))

    async def build() -> None:
        async with asyncio.timeout(60):
            await rebuild(database_url, Latest())
            with pytest.raises(RebuildFailed, match=r"position 1001, .*LookupError"):
                await rebuild(database_url, Picky())

    asyncio.run(build())
    compare_with_one_by_one(database_url, Latest())


def compare_with_one_by_one(url: str, model: ReadModel) -> None:
    asyncio.run(one_by_one(url, [model]))
    with administering(url) as admin:
        live, plain = (contents(admin, model.tables[0], of) for of in ("read", "plain"))
        assert live == plain != b""
        assert builds(admin) == []


def test_queries_never_fail_nor_go_back_while_tables_are_exchanged(database_url):
    counting = Query(Accounts, "SELECT count(*) FROM read.accounts WHERE tenant = %(tenant)s")

    async def write_and_read(reads, stop: asyncio.Event) -> int:
        """Ann's own account: what she reads is what she wrote, always."""
        with somebody():
            mine = Account("ann", date(2030, 1, 1))
        n = 0
        while not stop.is_set():
            with somebody():
                mine.deposit(1, date(2030, 1, 1), "web")
            await asyncio.to_thread(write, database_url, mine.collect_events(), "ann")
            n += 1
            seen = await reads.one("demo", "ann", account(mine.id))
            assert (seen["deposits"], seen["version"]) == (n, n + 1)
        return n

    async def count(reads, stop: asyncio.Event) -> int:
        n = 0
        while not stop.is_set():
            assert (await reads.one("demo", "bob", counting))["count"] >= 300
            n += 1
        return n

    async def exchange() -> list[int]:
        await enrolled(database_url)
        write(database_url, opened(300))
        stop = asyncio.Event()
        async with (
            projecting(database_url),
            database.pool(database_url, "api") as pool,
            reading(database_url, pool) as reads,
        ):
            await caught_up(database_url)
            busy = [
                asyncio.create_task(each(reads, stop)) for each in (write_and_read, count, count)
            ]
            for _ in range(4):
                await rebuilt(database_url)
            stop.set()
            return await asyncio.gather(*busy)

    assert min(asyncio.run(exchange())) > 10


def test_a_long_query_holds_the_switch_up_and_nobody_else(database_url):
    async def exchange() -> None:
        await enrolled(database_url)
        async with projecting(database_url), database.pool(database_url, "api") as pool:
            write(database_url, opened(10))
            await caught_up(database_url)
            with administering(database_url) as slow, slow.transaction():
                slow.execute("SELECT count(*) FROM read.accounts")
                building = asyncio.create_task(rebuild(database_url, Accounts()))
                await asyncio.sleep(1)
                assert not building.done()
                write(database_url, opened(10))
                await caught_up(database_url, seconds=5)
                async with pool.connection() as connection, asyncio.timeout(2):
                    await connection.execute("SELECT count(*) FROM read.accounts")
            await building

    asyncio.run(exchange())
    with administering(database_url) as admin:
        assert everything(admin) == plainly(database_url, admin)


def test_a_rebuild_moves_no_other_position_and_writes_no_event(database_url):
    async def build():
        async with projecting(database_url):
            await caught_up(database_url)
            write(database_url, opened(10))
            await caught_up(database_url)
        with administering(database_url) as admin:
            look = (
                "SELECT (SELECT count(*) FROM log.events), (SELECT array_agg(m) FROM read.models m"
                " WHERE name <> 'accounts'), (SELECT array_agg(f) FROM work.followers f)"
            )
            before = admin.execute(look).fetchall()
            await rebuild(database_url, Accounts())
            return before, admin.execute(look).fetchall()

    before, after = asyncio.run(build())
    assert before == after


def test_one_rebuild_may_follow_another_at_once(database_url, monkeypatch):
    """The server may not have noticed yet that the first one's connection is closed."""
    write(database_url, opened(1))
    connect, open_still = registry.connect, []

    async def lasting(*arguments):
        connection = await connect(*arguments)
        open_still.append(connection)
        connection.close = nothing
        return connection

    async def nothing():
        pass

    async def one_after_another():
        monkeypatch.setattr(registry, "connect", lasting)
        for only_if_outdated in (False, True, False):
            await rebuild(database_url, Accounts(), only_if_outdated=only_if_outdated)
        for connection in open_still:
            del connection.close
            await connection.close()

    asyncio.run(one_after_another())
    assert open_still


def test_only_one_builds_a_read_model_at_a_time(database_url):
    write(database_url, opened(300))

    async def twice():
        first = asyncio.create_task(rebuild(database_url, SlowAccounts()))
        await until(database_url, lambda now: now["accounts"].build is not None)
        with pytest.raises(RebuildRefused, match="accounts"):
            await rebuild(database_url, Accounts())
        await rebuild(database_url, Deposits())  # another one is another matter
        await first
        return await rebuild(database_url, Accounts(), only_if_outdated=True)

    assert asyncio.run(twice()) is None


def test_the_first_tables_of_a_log_with_a_history_are_built_before_they_are_shown(database_url):
    write(database_url, opened(100))

    async def first():
        await enrolled(database_url)
        before = (await status(database_url))["accounts"]
        async with projecting(database_url):
            return before, (await caught_up(database_url))["accounts"]

    before, after = asyncio.run(first())
    assert (before.state, before.lag) == ("building", 200)
    assert (after.state, after.lag) == ("live", 0)
    with administering(database_url) as admin:
        assert everything(admin) == plainly(database_url, admin)


def test_a_failed_read_model_is_mended_by_building_it_anew(database_url):
    async def mend():
        await enrolled(database_url)
        write(database_url, opened(5))
        async with await registry.connect(database_url, "fail") as connection:
            assert await registry.mark_failed(connection, "accounts", 0, {"error": "Broken"})
        async with projecting(database_url):
            await caught_up(database_url, [Deposits()])
            await rebuild(database_url, Accounts())
            return (await caught_up(database_url))["accounts"]

    mended = asyncio.run(mend())
    assert (mended.state, mended.error) == ("live", None)
