"""The same messages as a stream, from any position, for any reader."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import psycopg
import pytest

from api.webhooks.stream import written
from application.webhooks.catalogue import WEBHOOKS
from infrastructure.webhooks import stream as streaming
from infrastructure.webhooks.stream import Said, Stream, TooSlow
from tests.webhooks.house import House, house, until

ALL = frozenset(WEBHOOKS)


def run(database_url: str, test: Any) -> None:
    """The test with a house that sends nothing, and a stream."""

    async def go() -> None:
        async with house(database_url, following=False, senders=0) as at:
            await test(at, Stream(database_url, at.pool))

    asyncio.run(go())


async def take(reader: AsyncIterator[Said], n: int) -> list[tuple[int, str]]:
    """The next `n` messages, by position and name."""
    found: list[tuple[int, str]] = []
    async with asyncio.timeout(10):
        while len(found) < n:
            said = await anext(reader)
            found += [(said.position, name) for name, _ in said.messages]
    return found


def test_a_reader_resumes_from_any_position(database_url: str) -> None:
    async def go(at: House, stream: Stream) -> None:
        for _ in range(6):
            await at.withdraw(await at.post())
        async with aclosing(stream.read("demo", ALL, 0)) as reader:
            everything = await take(reader, 12)
        assert [name for _, name in everything[:2]] == [
            "social.post.created",
            "social.post.withdrawn",
        ]
        for n, (position, _) in enumerate(everything[:-1]):
            async with aclosing(stream.read("demo", ALL, position)) as reader:
                assert await take(reader, 11 - n) == everything[n + 1 :]

    run(database_url, go)


def test_without_a_position_it_begins_now_and_goes_on(database_url: str) -> None:
    async def go(at: House, stream: Stream) -> None:
        await at.post()
        async with aclosing(stream.read("demo", ALL, None)) as reader:
            following = asyncio.create_task(take(reader, 3))
            await until(lambda: stream._readers)
            for _ in range(3):
                await at.post()
            found = await following
        assert [name for _, name in found] == ["social.post.created"] * 3
        assert found == sorted(found)

    run(database_url, go)


def test_nobody_reads_what_another_tenant_is_told(database_url: str) -> None:
    async def go(at: House, stream: Stream) -> None:
        await at.post(tenant="other")
        ours = stream.read("demo", ALL, 0)
        theirs = stream.read("other", ALL, 0)
        async with aclosing(ours), aclosing(theirs):
            assert await take(theirs, 1) == [(1, "social.post.created")]
            await at.post()
            await at.post(tenant="other")
            assert [p for p, _ in await take(ours, 1)] == [3]
            assert [p for p, _ in await take(theirs, 1)] == [5]

    run(database_url, go)


def test_a_reader_may_ask_for_some_events_only(database_url: str) -> None:
    async def go(at: House, stream: Stream) -> None:
        await at.withdraw(await at.post())
        async with aclosing(stream.read("demo", {"social.post.withdrawn"}, 0)) as reader:
            assert [name for _, name in await take(reader, 1)] == ["social.post.withdrawn"]

    run(database_url, go)


def test_readers_who_join_while_it_is_busy_miss_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "PIECE", 3)
    monkeypatch.setattr(streaming, "STRETCH", 5)

    async def go(at: House, stream: Stream) -> None:
        posts = 60

        async def write(tenant: str) -> None:
            for _ in range(posts):
                await at.post(tenant=tenant)

        async def read(tenant: str, wait: float) -> list[int]:
            await asyncio.sleep(wait)
            async with aclosing(stream.read(tenant, ALL, 0)) as reader:
                return [position for position, _ in await take(reader, posts)]

        writing = [asyncio.create_task(write(tenant)) for tenant in ("demo", "other")]
        reading = [read(t, n / 50) for n in range(10) for t in ("demo", "other")]
        found = await asyncio.gather(*reading)
        await asyncio.gather(*writing)
        for tenant, positions in zip(("demo", "other") * 10, found, strict=True):
            wanted = await at.rows(
                "SELECT position FROM log.events WHERE tenant = %s"
                " AND topic = 'social.post.drafted' ORDER BY position",
                tenant,
            )
            assert [(position,) for position in positions] == wanted

    run(database_url, go)


def test_who_reads_too_slowly_is_told_where_to_resume(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "ROOM", 5)

    async def go(at: House, stream: Stream) -> None:
        async with aclosing(stream.read("demo", ALL, 0)) as reader:
            await at.post()
            ((position, _),) = await take(reader, 1)
            waiting = asyncio.create_task(take(reader, 1))
            await until(lambda: stream._readers)
            await at.post()
            ((position, _),) = await waiting
            for _ in range(20):
                await at.post()
            await until(lambda: any(each.overrun for each in stream._readers))
            with pytest.raises(TooSlow) as slow:
                await take(reader, 20)
        async with aclosing(stream.read("demo", ALL, slow.value.position)) as again:
            rest = await take(again, 1)
        assert rest[0][0] > slow.value.position >= position

    run(database_url, go)


def test_a_stretch_with_nothing_in_it_moves_a_reader_on(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "STRETCH", 2)
    monkeypatch.setattr(streaming, "QUIET", 0.05)

    async def go(at: House, stream: Stream) -> None:
        for _ in range(5):
            await at.post(tenant="other")
        async with aclosing(stream.read("demo", ALL, 0)) as reader:
            seen = [await anext(reader) for _ in range(5)]
            assert [(each.position, each.messages) for each in seen] == [
                (2, ()),
                (4, ()),
                (6, ()),
                (8, ()),
                (10, ()),
            ]
            assert (await anext(reader)).position == 10, "a sign of life"

    run(database_url, go)


def test_a_connection_lost_before_the_first_event_of_the_log_hides_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Stream._step
    lost: list[bool] = []

    async def loses_its_connection(self: Stream, connection: Any) -> bool:
        if await streaming.head(connection) > 0 and not lost:
            lost.append(True)
            raise psycopg.OperationalError("cut")
        return await step(self, connection)

    monkeypatch.setattr(Stream, "_step", loses_its_connection)

    async def go(at: House, stream: Stream) -> None:
        async with aclosing(stream.read("demo", ALL, None)) as reader:
            following = asyncio.create_task(take(reader, 1))
            await until(lambda: stream._readers)
            await at.post()
            assert await following == [(1, "social.post.created")]
        assert lost

    run(database_url, go)


def test_it_goes_on_when_its_connections_are_cut(database_url: str) -> None:
    async def go(at: House, stream: Stream) -> None:
        async with aclosing(stream.read("demo", ALL, None)) as reader:
            following = asyncio.create_task(take(reader, 2))
            await until(lambda: stream._readers)
            await asyncio.sleep(0.3)  # "from now on" begins a moment after it is registered
            await at.post()
            cut = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'tidings-webhooks-stream'"
            )
            async with at.pool.connection() as connection:
                await connection.execute("RESET ROLE")
                await connection.execute(cut)
                await connection.execute("SET ROLE tidings_app")
            await at.post()
            assert len(await following) == 2

    run(database_url, go)


def test_nobody_listens_when_nobody_reads(database_url: str) -> None:
    async def go(at: House, stream: Stream) -> None:
        async with aclosing(stream.read("demo", ALL, 0)) as reader:
            await at.post()
            await take(reader, 1)
            assert stream._task is not None
        assert stream._task is None

    run(database_url, go)


def test_several_messages_of_one_position_carry_one_id() -> None:
    assert written(Said(7)) == b"id: 7\n\n"
    assert written(Said(7, (("a.b", b"{}"),))) == b"id: 7\nevent: a.b\ndata: {}\n\n"
    assert written(Said(7, (("a.b", b"{}"), ("a.c", b"[]")))) == (
        b"event: a.b\ndata: {}\n\nid: 7\nevent: a.c\ndata: []\n\n"
    )
