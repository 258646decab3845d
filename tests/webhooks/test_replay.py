"""Past events sent again, straight from the log, under the ids they always had."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from application.webhooks.endpoints import ReplayEvents, ReplayRequest, RetryDelivery
from domain.kernel import Invalid
from infrastructure.webhooks import replay as replaying
from infrastructure.webhooks.management import Webhooks
from tests.webhooks.house import House, receiver, until
from tests.webhooks.test_sending import attempts, done, run

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


async def replay(at: House, id: UUID, **asked: Any) -> None:
    request = ReplayRequest(**{"since": LONG_AGO, **asked})
    webhooks = Webhooks(at.url, at.pool, at.vault, at.guard)
    positions = await webhooks.positions(request.since, request.until)
    await at.change(id, ReplayEvents(request, *positions))


async def replayed(at: House) -> bool:
    return await at.rows("SELECT count(*) FROM webhooks.replays") == [(0,)]


def test_everything_again_with_the_same_ids_and_texts(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        id, secret = await at.register(hook.url)
        posts = [await at.post() for _ in range(5)]
        await at.withdraw(posts[0])
        await until(done(at, id, 6))
        first = {each.id: each.body for each in hook.received}
        hook.received.clear()
        await replay(at, id)
        await until(lambda: len(hook.received) == 6)
        assert {each.id: each.body for each in hook.received} == first
        for each in hook.received:
            each.verify(secret.text)
        await until(lambda: attempts_are(at, [2] * 6))

    run(database_url, go)


async def attempts_are(at: House, n: list[int]) -> bool:
    rows = await at.rows("SELECT attempts FROM webhooks.deliveries ORDER BY id")
    return [attempts for (attempts,) in rows] == n


def test_only_some_events_and_only_a_stretch_of_time(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        id, _ = await at.register(hook.url)
        early = await at.post()
        await at.withdraw(early)
        await asyncio.sleep(0.01)
        since = datetime.now(UTC)
        late = await at.post()
        await at.withdraw(late)
        await asyncio.sleep(0.01)
        end = datetime.now(UTC)
        await at.withdraw(await at.post())
        await until(done(at, id, 6))
        hook.received.clear()
        await replay(at, id, since=since, until=end, events=["social.post.created"])
        await until(lambda: hook.received)
        await until(lambda: replayed(at))
        await asyncio.sleep(0.1)
        assert [each.message["data"]["post_id"] for each in hook.received] == [f"post_{late.hex}"]

    run(database_url, go)


def test_only_what_has_failed(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        hook.answer = lambda received: 500 if "twice" in received.path else 200
        id, _ = await at.register(f"{hook.url}/twice")
        for _ in range(3):
            await at.post()
        await until(lambda: attempts_are(at, [1, 1, 1]))
        await at.rows(
            "UPDATE webhooks.deliveries SET status = 'failed', due = NULL, finished_at = now()"
            " WHERE id IN (SELECT id FROM webhooks.deliveries ORDER BY id LIMIT 2) RETURNING 1"
        )
        await at.rows("UPDATE webhooks.queues SET pending = 1 RETURNING 1")
        hook.received.clear()
        hook.answer = lambda _: 200
        await replay(at, id, only_failed=True)
        await until(lambda: attempts_are(at, [2, 2, 1]))
        await until(lambda: replayed(at))
        assert len(hook.received) == 2

    run(database_url, go)


def test_what_happened_before_an_endpoint_was_there_can_be_had_too(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        posts = [await at.post() for _ in range(3)]
        await at.post(tenant="other")
        id, _ = await at.register(hook.url)
        await replay(at, id)
        await until(done(at, id, 3))
        told = {each.message["data"]["post_id"] for each in hook.received}
        assert told == {f"post_{post.hex}" for post in posts}
        await replay(at, id)
        await until(lambda: replayed(at))

    run(database_url, go)


def test_a_long_replay_goes_in_piece_by_piece_and_waits_for_its_receiver(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "PIECE", 7)
    monkeypatch.setattr(replaying, "STRETCH", 20)
    monkeypatch.setattr(replaying, "BACKLOG", 10)
    monkeypatch.setattr(replaying, "POLL", 0.02)

    async def go(at: House, hook: Any) -> None:
        for _ in range(30):
            await at.withdraw(await at.post())
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                ((pending,),) = await at.rows("SELECT max(pending)::int FROM webhooks.queues")
                most = max(most, pending or 0)

        watching = asyncio.create_task(watch())
        id, _ = await at.register(hook.url, rate_limit=100)
        await replay(at, id)
        await until(done(at, id, 60))
        watching.cancel()
        assert 1 < most < 10 + 2 * 7
        assert len(hook.received) == 60

    run(database_url, go)


def test_two_replays_at_once_double_nothing_that_waits(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        async with receiver() as slow:
            id, _ = await at.register(slow.url, rate_limit=50)

            async def nothing_waits() -> bool:
                return await at.rows("SELECT pending FROM webhooks.queues") == [(0,)]

            for _ in range(20):
                await at.post()
            await asyncio.gather(*(replay(at, id) for _ in range(3)))
            await until(lambda: replayed(at))
            await until(nothing_waits)
            await until(done(at, id, 20))
            ((ended,),) = await at.rows("SELECT delivered FROM webhooks.queues")
            assert ended == len(slow.received) <= 60

    run(database_url, go)


def test_a_time_in_which_nothing_was_recorded_is_refused(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        id, _ = await at.register(hook.url)
        await at.post()
        with pytest.raises(Invalid, match="Nothing was recorded in that time"):
            await replay(at, id, until=LONG_AGO + timedelta(days=1))
        with pytest.raises(Invalid, match="since lies in the future"):
            await replay(at, id, since=datetime.max.replace(tzinfo=UTC))

    run(database_url, go)


def test_positions_of_times(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        webhooks = Webhooks(at.url, at.pool, at.vault, at.guard)
        assert await webhooks.positions(LONG_AGO, None) == (1, 0)
        for _ in range(10):
            await at.post()
        rows = await at.rows("SELECT position, recorded_at FROM log.events ORDER BY position")
        head = rows[-1][0]
        assert await webhooks.positions(LONG_AGO, None) == (1, head)
        for position, when in rows:
            first, last = await webhooks.positions(when, when + timedelta(microseconds=1))
            assert first <= position <= last
            assert all(at == when for p, at in rows if first <= p <= last)
        assert await webhooks.positions(datetime.now(UTC), None) == (head + 1, head)

    run(database_url, go)


def test_one_delivery_again_now(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        answers = iter([500])
        hook.answer = lambda _: next(answers, 200)
        id, _ = await at.register(hook.url)
        await at.post()
        await until(lambda: attempts(at, id, 1))
        ((delivery,),) = await at.rows("SELECT id FROM webhooks.deliveries")
        await at.change(id, RetryDelivery(delivery))
        await until(done(at, id, 1))
        await at.change(id, RetryDelivery(delivery))
        await until(lambda: attempts(at, id, 3))
        assert len(set(hook.ids())) == 1
        await at.change(id, RetryDelivery(UUID(int=1)))  # another's, or none: nothing happens

    run(database_url, go)


def test_now_means_now_even_while_the_receiver_rests(database_url: str) -> None:
    async def go(at: House, hook: Any) -> None:
        busy = b"HTTP/1.1 503 No\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n"
        answers = iter([busy])
        hook.answer = lambda _: next(answers, 200)
        id, _ = await at.register(hook.url)
        await at.post()
        await until(lambda: attempts(at, id, 1))
        ((delivery,),) = await at.rows("SELECT id FROM webhooks.deliveries")
        await at.change(id, RetryDelivery(delivery))
        await until(done(at, id, 1), within=3)

    run(database_url, go)
