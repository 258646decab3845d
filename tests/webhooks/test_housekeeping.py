"""What webhooks leave behind is removed in time, and not before."""

import asyncio
from typing import Any

from infrastructure.webhooks.housekeeping import tidy_once
from tests.webhooks.house import House, until
from tests.webhooks.test_fanout import caught_up, on_its_own
from tests.webhooks.test_sending import done, run

URL = "https://example.com/hook"


async def tidy(at: House) -> None:
    async with at.pool.connection() as connection:
        await tidy_once(connection)


async def age(at: House, what: str, by: str) -> None:
    """Make time go by for a column."""
    table, column = what.rsplit(".", 1)
    async with at.pool.connection() as connection:
        await connection.execute("RESET ROLE")
        await connection.execute(f"UPDATE {table} SET {column} = {column} - interval '{by}'")
        await connection.execute("SET ROLE tidings_app")


def test_finished_deliveries_can_be_looked_at_for_a_month(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        id, _ = await at.register(hook.url)
        for _ in range(5):
            await at.post()
        await until_done(at, id, 5)
        await tidy(at)
        assert len(await at.deliveries(id)) == 5
        await age(at, "log.events.recorded_at", "31 days")
        await tidy(at)
        assert len(await at.deliveries(id)) == 5, "they have only just been sent again"
        await age(at, "webhooks.deliveries.finished_at", "31 days")
        hook.answer = lambda _: 500
        await at.post()
        await until_tried(at, id)
        await tidy(at)
        assert [each[1] for each in await at.deliveries(id)] == ["pending"]
        assert await at.rows("SELECT count(*) FROM webhooks.attempts") == [(1,)]
        assert await at.rows("SELECT delivered FROM webhooks.queues") == [(5,)]

    run(database_url, go)


async def until_done(at: House, id: Any, n: int) -> None:
    await until(done(at, id, n))


async def until_tried(at: House, id: Any) -> None:
    async def tried() -> bool:
        return any(each[1:] == ("pending", 1) for each in await at.deliveries(id))

    await until(tried)


def test_secrets_that_nobody_needs_are_forgotten(database_url: str) -> None:
    async def go() -> None:
        async with on_its_own(database_url) as at:
            id, _ = await at.register(URL, headers={"x-a": "1"})
            await at.rotate(id)
            async with at.pool.connection() as connection:
                await at.vault.keep_secret(connection, "demo")  # its command was refused
            await age(at, "webhooks.secrets.created_at", "3 days")
            late, _ = await at.register(URL)
            await age(at, "webhooks.secrets.created_at", "3 days")
            await tidy(at)
            assert await kept(at) == 5, "an event that nobody has reached yet may name it"
            await caught_up(at)
            await tidy(at)
            assert await kept(at) == 4, "the former one still signs"
            async with at.pool.connection() as connection:
                await connection.execute(
                    "UPDATE webhooks.endpoints SET former = jsonb_set(former, '{0,until}',"
                    " to_jsonb(clock_timestamp() - interval '1 second')) WHERE id = %s",
                    [id],
                )
            await tidy(at)  # forgets that it signed
            await tidy(at)  # and then what it was
            assert await kept(at) == 3
            assert await at.rows("SELECT count(*) FROM webhooks.endpoints WHERE id = %s", late) == [
                (1,)
            ]

    asyncio.run(go())


async def kept(at: House) -> int:
    ((n,),) = await at.rows("SELECT count(*)::int FROM webhooks.secrets")
    return int(n)


def test_senders_that_died_are_forgotten(database_url: str) -> None:
    async def go() -> None:
        async with on_its_own(database_url) as at:
            async with at.pool.connection() as connection:
                await connection.execute(
                    "INSERT INTO webhooks.senders VALUES (gen_random_uuid(), now()),"
                    " (gen_random_uuid(), now() - interval '2 hours')"
                )
            await tidy(at)
            assert await at.rows("SELECT count(*) FROM webhooks.senders") == [(1,)]

    asyncio.run(go())
