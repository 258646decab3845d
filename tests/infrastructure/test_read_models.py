"""From folded rows to statements and tables, and what can be asked about them."""

import asyncio
import json
from datetime import date
from decimal import Decimal

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.kernel import DomainEvent
from infrastructure.event_log.codec import StoredEvent, encode
from infrastructure.read_models import flush, folding, registry, tables
from infrastructure.stored_json import stored_json
from projections.kernel import ReadModel, Rows, Table
from tests.infrastructure.read_side import (
    administering,
    caught_up,
    contents,
    enrolled,
    opened,
    projecting,
    status,
    write,
)
from tests.projections.test_rows import LOOSE, OPERATIONS, one_by_one
from tests.rooms import MODELS, NOW, Account, Accounts, append, somebody


class Scripted(ReadModel):
    """Does what its events say."""

    name = "scripted"
    version = 1
    tables = (LOOSE,)
    events = (Account.Tagged,)

    def project(self, event: DomainEvent, rows: Rows) -> None:
        match event:
            case Account.Tagged(tags=[key, verb], facts=facts):
                if facts.get("last"):
                    facts = {**facts, "last": date.fromisoformat(facts["last"])}
                getattr(rows(LOOSE)[key], verb)(**facts)


def script(steps) -> list[StoredEvent]:
    """Events of `steps`, without those that would make a row twice."""
    events, done = [], {"a": [], "b": []}
    with somebody():
        account = Account("ann", date(2030, 1, 1))
        for key, (verb, values) in steps:
            if one_by_one(None, [*done[key], (verb, values)]) == "clash":
                continue
            done[key].append((verb, values))
            account.tag([key, verb], values)
    for position, event in enumerate(account.collect_events(), 1):
        events.append(
            StoredEvent(
                position,
                event.originator_id,
                event.originator_version,
                event.tenant,
                event.TOPIC,
                encode(event),
                NOW,
            )
        )
    return events


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), OPERATIONS), max_size=12),
    st.lists(st.integers(1, 12), min_size=12, max_size=12),
)
def test_any_batches_of_any_changes_leave_the_same_rows(database_url, steps, sizes):
    events = script(steps)

    async def fold(connection, batches) -> None:
        await connection.execute("TRUNCATE read.loose")
        for batch in batches:
            await folding.carry_out(connection, folding.fold([Scripted()], batch))

    async def both(admin) -> tuple[bytes, bytes]:
        await enrolled(database_url, [Scripted()])
        async with await registry.connect(database_url, "test") as connection:
            await fold(connection, [[event] for event in events])
            alone = contents(admin, LOOSE)
            rest, batches = events, []
            for size in sizes:
                batches.append(rest[:size])
                rest = rest[size:]
            await fold(connection, batches)
            return alone, contents(admin, LOOSE)

    with administering(database_url) as admin:
        alone, together = asyncio.run(both(admin))
    assert together == alone


def test_a_batch_is_a_handful_of_statements():
    with somebody():
        account = Account("ann", date(2030, 1, 1))
        for _ in range(100):
            account.deposit(1, date(2030, 1, 1), "web")
            account.rename("bob")
    rows = Rows(Accounts.tables)
    for position, event in enumerate(account.collect_events(), 1):
        Accounts().fold(event, rows, position)
    assert len(list(flush.prepared(rows))) == 1


@pytest.mark.parametrize(
    ("text", "kept"),
    [("a\0b", "a\ufffdb"), ("\\u0000", "\\u0000"), ("\\\0", "\\\ufffd"), ("\\\\\0", "\\\\\ufffd")],
)
def test_what_no_text_of_the_database_can_hold_is_replaced(text, kept):
    assert json.loads(stored_json(text)) == kept


def test_the_shape_follows_the_tables_and_nothing_else():
    class Renumbered(Accounts):
        version = 7

    class Indexed(Accounts):
        tables = (Table("accounts", of_stream=Account, columns={"owner": str}),)

    assert tables.shape(Accounts()) == tables.shape(Renumbered())
    assert tables.shape(Accounts()) != tables.shape(Indexed())


def test_words_of_sql_make_good_names():
    table = Table(
        "order", key={"user": str}, columns={"from": str, "select": int}, indexes=[("from DESC",)]
    )
    (index,) = tables.indexes(table, "read")
    assert index == 'CREATE INDEX ON "read"."order" (tenant, "from" DESC)'
    rows = Rows((table,))
    rows(table)["ann"].put(**{"from": "x"})
    ((insert, _),) = [(sql, params) for sql, params in flush.prepared(rows) if "INSERT" in sql]
    assert insert.startswith('INSERT INTO "order" ("tenant", "user", "from", "select")')


class AlsoAccounts(Accounts):
    name = "also_accounts"


@pytest.mark.parametrize(
    ("models", "complaint"),
    [
        ([Accounts(), Accounts()], "two read models are called accounts"),
        ([Accounts(), AlsoAccounts()], "also_accounts and accounts both have accounts"),
    ],
)
def test_read_models_that_get_in_each_others_way_are_refused(models, complaint):
    with pytest.raises(TypeError, match=complaint):
        registry.declared(models)


def test_many_may_make_read_models_known_at_once(database_url):
    async def start() -> None:
        await asyncio.gather(*(enrolled(database_url) for _ in range(8)))

    asyncio.run(start())
    now = asyncio.run(status(database_url))
    assert {(each.state, each.position) for each in now.values()} == {("live", 0)}
    assert len(now) == len(MODELS)


def test_the_status_tells_how_far_behind_in_events_and_seconds(database_url):
    async def lag():
        await enrolled(database_url)
        write(database_url, opened(5))
        await asyncio.sleep(0.3)
        behind = (await status(database_url))["deposits"]
        async with projecting(database_url):
            await caught_up(database_url)
        return behind, (await status(database_url))["deposits"]

    behind, after = asyncio.run(lag())
    assert (behind.lag, behind.position) == (10, 0)
    assert 0.3 <= behind.lag_seconds < 10
    assert (after.lag, after.lag_seconds, after.position) == (0, 0.0, 10)


def test_the_runtime_role_of_the_projector_can_do_nothing_to_the_log(database_url):
    async def attempt(statement: str) -> None:
        async with await registry.connect(database_url, "test") as connection:
            await connection.execute(statement.encode())

    for statement in (
        "DELETE FROM log.events",
        "INSERT INTO log.events SELECT * FROM log.events",
        "SELECT read.open_build('read; DROP SCHEMA log')",
        "DELETE FROM log.callers",
    ):
        with pytest.raises(psycopg.Error):
            asyncio.run(attempt(statement))


def test_money_is_summed_exactly_across_batches(database_url):
    async def fold():
        async with projecting(database_url, largest=1):
            await caught_up(database_url)
            with somebody(), administering(database_url) as log:
                account = Account("ann", date(2030, 1, 1))
                for amount in ("0.1", "0.20", "1000000000000000000000000000"):
                    account.deposit(Decimal(amount), date(2030, 1, 1), "web")
                append(log, account.collect_events())
            await caught_up(database_url)

    asyncio.run(fold())
    with administering(database_url) as admin:
        (total,) = admin.execute("SELECT amount::text FROM read.deposits_by_day").fetchone()
    assert total == "1000000000000000000000000000.30"
