"""Nothing that waits with a limit forgets that it was told to stop."""

import asyncio

import pytest
from psycopg_pool import AsyncConnectionPool

from infrastructure import database


def test_a_stop_in_the_moment_of_the_result_is_obeyed():
    async def run():
        result = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(asyncio.wait_for(result, 10))
        await asyncio.sleep(0)
        result.set_result("there")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(run())


def test_a_stop_in_the_moment_of_a_connection_is_obeyed(database_url):
    """Whoever waits for a place in a pool is cancelled when it comes, and the place is free."""

    async def take(pool: AsyncConnectionPool) -> None:
        async with pool.connection():
            await asyncio.sleep(10)

    async def run():
        async with database.pool(database_url, "test", size=1) as pool:
            async with pool.connection():
                waiting = asyncio.create_task(take(pool))
                await asyncio.sleep(0.05)
            await asyncio.sleep(0)  # it has been handed on, and nobody has looked yet
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(asyncio.shield(waiting), 2)
            async with pool.connection(timeout=2) as connection:
                await connection.execute("SELECT 1")

    asyncio.run(run())


def test_limits_hold():
    async def run():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(10), 0.01)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(10), 0)
        assert await asyncio.wait_for(asyncio.sleep(0, "there"), 1) == "there"
        assert await asyncio.wait_for(asyncio.sleep(0, "there"), None) == "there"

    asyncio.run(run())
