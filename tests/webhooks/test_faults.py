"""Processes killed at any instruction, databases that hang up, receivers that lie: nothing is lost,
and what comes twice comes with the same id. There is no Redis in any of these tests."""

import asyncio
import os
import random
import signal
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.context import ForkServerProcess
from typing import Any
from uuid import UUID

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from tests.commands import FORKS
from tests.webhooks.house import House, Received, Receiver, house, receiver, until
from tests.webhooks.worker import run_worker

LEASE = 1.5


class Workers:
    """Background processes that are killed and replaced."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.running: list[ForkServerProcess] = []
        self.killed = 0

    def start(self) -> None:
        worker = FORKS.Process(target=run_worker, args=(self.url, LEASE), daemon=True)
        worker.start()
        self.running.append(worker)

    def signal(self, number: signal.Signals) -> None:
        """Send it to the first one."""
        assert self.running[0].pid
        os.kill(self.running[0].pid, number)

    async def kill_one(self, dice: random.Random) -> None:
        victim = self.running.pop(dice.randrange(len(self.running)))
        victim.kill()
        await asyncio.to_thread(victim.join)
        self.killed += 1

    async def end(self) -> None:
        for worker in self.running:
            worker.terminate()
        for worker in self.running:
            await asyncio.to_thread(worker.join, 10)
            worker.kill()


@asynccontextmanager
async def workers(url: str, n: int) -> AsyncIterator[Workers]:
    it = Workers(url)
    try:
        for _ in range(n):
            it.start()
        yield it
    finally:
        await it.end()


def moody(dice: random.Random) -> Any:
    """A receiver that mostly answers well, and else in every other way."""

    async def slowly() -> int:
        await asyncio.sleep(dice.random() / 5)
        return 200

    def answer(received: Received) -> Any:
        match dice.randrange(20):
            case 0:
                return 500
            case 1:
                return b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            case 2:
                return b"HTTP/1.1 429 No\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n"
            case 3:
                return b"nonsense"
            case 4 | 5:
                return slowly()
            case _:
                return 200

    return answer


async def settled(at: House, events: int) -> bool:
    """Whether every endpoint has all of them; lets retries be due at once."""
    await at.make_due()
    (row,) = await at.rows("SELECT count(*), min(delivered), max(pending) FROM webhooks.queues")
    return row[1] is not None and row[1] >= events and row[2] == 0


@pytest.mark.slow
def test_a_mixed_load_with_rotations_failures_and_kills(database_url: str) -> None:
    dice = random.Random(4711)

    async def go() -> None:
        async with (
            house(database_url, following=False, senders=0) as at,
            receiver(moody(dice)) as hook,
            workers(database_url, 2) as background,
        ):
            secrets: dict[str, list[str]] = defaultdict(list)
            ids: dict[str, UUID] = {}
            for n in range(6):
                path = f"/{n}"
                ids[path], secret = await at.register(f"{hook.url}{path}", events=["social.*"])
                secrets[path].append(secret.text)
            posts: list[UUID] = []
            events = 0
            for step in range(6):
                for _ in range(10):
                    posts.append(await at.post())
                    events += 1
                for post in posts[-20:-10]:
                    await at.move(post, step)
                    events += 1
                path = dice.choice(list(ids))
                secrets[path].append((await at.rotate(ids[path])).text)
                await asyncio.sleep(0.3)
                await background.kill_one(dice)
                background.start()
            hook.answer = lambda _: 200
            await until(lambda: settled(at, events), within=60)
            assert background.killed == 6
            await check(at, hook, secrets, events)

    asyncio.run(go())


async def check(at: House, hook: Receiver, secrets: dict[str, list[str]], events: int) -> None:
    """Everything has arrived, verifiably and in order; what came twice is the same thing."""
    texts: dict[tuple[str, str], bytes] = {}
    order: dict[tuple[str, str], list[int]] = defaultdict(list)
    for each in hook.received:
        assert any(verifies(each, secret) for secret in secrets[each.path])
        if (each.path, each.id) in texts:
            assert texts[each.path, each.id] == each.body
            continue
        texts[each.path, each.id] = each.body
        position = int(each.id.split("_")[1], 16)
        order[each.path, each.message["data"]["post_id"]].append(position)
    assert len(texts) == len(secrets) * events
    for positions in order.values():
        assert positions == sorted(positions)
    assert await at.rows(
        "SELECT count(*) FROM webhooks.deliveries WHERE status <> 'delivered'"
    ) == [(0,)]


def verifies(received: Received, secret: str) -> bool:
    try:
        received.verify(secret)
    except WebhookVerificationError:
        return False
    return True


def test_a_sender_that_was_killed_is_replaced_by_another(database_url: str) -> None:
    async def go() -> None:
        async with (
            house(database_url, senders=0) as at,
            receiver() as hook,
            workers(database_url, 1) as background,
        ):

            async def never() -> int:
                await asyncio.sleep(60)
                return 200

            hook.answer = lambda _: never()
            id, _ = await at.register(hook.url)
            await at.post()
            await until(lambda: hook.received, within=20)
            await background.kill_one(random.Random(1))
            hook.answer = lambda _: 200
            async with house(database_url, following=False, lease=LEASE):
                await until(lambda: len(hook.received) == 2)
                assert len(set(hook.ids())) == 1
                await until(lambda: at.deliveries(id))

    asyncio.run(go())


def test_a_sender_that_was_paused_finds_out_that_it_has_been_replaced(database_url: str) -> None:
    async def go() -> None:
        async with (
            house(database_url, senders=0) as at,
            receiver() as hook,
            workers(database_url, 1) as background,
        ):
            id, _ = await at.register(hook.url)
            await at.post()
            await until(lambda: is_delivered(at, id), within=20)
            background.signal(signal.SIGSTOP)
            await asyncio.sleep(LEASE)
            async with house(database_url, following=False, lease=LEASE):
                for _ in range(20):
                    await at.post()
                await until(lambda: len(hook.received) == 21)
                background.signal(signal.SIGCONT)
                for _ in range(20):
                    await at.post()
                await until(lambda: len(set(hook.ids())) == 41)
                await asyncio.sleep(LEASE)
            assert len(hook.received) == 41
            assert [each[1:] for each in await at.deliveries(id)] == [("delivered", 1)] * 41

    asyncio.run(go())


def test_a_sender_that_is_told_to_stop_ends_what_it_has_begun(database_url: str) -> None:
    async def go() -> None:
        async with receiver() as hook:
            answered = asyncio.Event()

            async def later() -> int:
                await answered.wait()
                return 200

            hook.answer = lambda _: later()
            stopping = house(database_url)
            at = await stopping.__aenter__()
            id, _ = await at.register(hook.url)
            for _ in range(3):
                await at.post()
            await until(lambda: len(hook.received) == 3)
            asyncio.get_running_loop().call_later(0.3, answered.set)
            await stopping.__aexit__(None, None, None)
            async with house(database_url, following=False, senders=0) as looking:
                assert await looking.deliveries(id) == [("social.post.created", "delivered", 1)] * 3
                assert await looking.rows("SELECT count(*) FROM webhooks.senders") == [(0,)]

    asyncio.run(go())


def test_connections_to_the_database_are_cut_and_nothing_is_lost(database_url: str) -> None:
    async def go() -> None:
        async with house(database_url, lease=LEASE) as at, receiver() as hook:
            ids = [(await at.register(f"{hook.url}/{n}"))[0] for n in range(5)]
            for _ in range(6):
                for _ in range(20):
                    await at.post()
                async with at.pool.connection() as connection:
                    await connection.execute("RESET ROLE")
                    await connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                        " AND application_name ~ 'tidings-(webhooks|follow)'"
                    )
                    await connection.execute("SET ROLE tidings_app")
            await until(lambda: settled(at, 120), within=30)
            for n in range(len(ids)):
                assert len(set(hook.ids(f"/{n}"))) == 120

    asyncio.run(go())


def test_an_outcome_that_is_told_twice_counts_once(database_url: str) -> None:
    async def go() -> None:
        async with house(database_url) as at, receiver() as hook:
            id, _ = await at.register(hook.url)
            await at.post()
            await until(lambda: is_delivered(at, id))
            record = (
                "SELECT * FROM webhooks.record(ARRAY(SELECT delivery_id FROM webhooks.attempts),"
                " ARRAY[%s::uuid], ARRAY['failed'], ARRAY[NULL::timestamptz],"
                " ARRAY(SELECT at FROM webhooks.attempts), ARRAY[1], ARRAY[500], ARRAY['x'],"
                " ARRAY[NULL::bytea], ARRAY[NULL::timestamptz])"
            )
            assert await at.rows(record, id) == []
            assert await at.deliveries(id) == [("social.post.created", "delivered", 1)]
            assert await at.rows("SELECT pending, delivered, failed FROM webhooks.queues") == [
                (0, 1, 0)
            ]

    asyncio.run(go())


async def is_delivered(at: House, id: UUID) -> bool:
    return [each[1] for each in await at.deliveries(id)] == ["delivered"]


def test_two_processes_that_both_send_cannot_break_the_order(database_url: str) -> None:
    """Even without leases: the database allows one attempt per aggregate and endpoint."""

    async def go() -> None:
        async with house(database_url, following=True, senders=0) as at:
            id, _ = await at.register("https://example.com/hook")
            post = await at.post()
            for n in range(5):
                await at.move(post, n)
            await until(lambda: six(at, id))
            heads = "SELECT count(*) FROM webhooks.deliveries WHERE due IS NOT NULL"
            assert await at.rows(heads) == [(1,)]

    asyncio.run(go())


async def six(at: House, id: UUID) -> bool:
    return len(await at.deliveries(id)) == 6
