"""Addresses to be called: the jobs that die at every line, and what they make all the same."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import pytest

from application.kernel import Desk
from application.social.callbacks import CallingBack, endpoint_id
from application.social.connections import DisconnectPlatform, NoteConnected, Opening
from domain.social.connections import Connection, Link
from domain.social.networks import Network
from domain.webhooks.endpoints import WebhookEndpoint
from infrastructure.webhooks.management import Webhooks
from tests.webhooks.house import Nothing, house

URL = "https://example.com/hook"
FIRST, SECOND = UUID(int=1), UUID(int=2)


class Killed(Exception):
    """The process is no more."""


class Mortal:
    """Dies at the n-th call of what it stands for, before it is carried out."""

    def __init__(self, *whole, lives):
        self.whole, self.lives = whole, lives

    def __getattr__(self, name):
        call = next(getattr(each, name) for each in self.whole if hasattr(each, name))
        if name == "alone":
            return call

        async def mortal(*arguments):
            self.lives -= 1
            if self.lives < 0:
                raise Killed
            return await call(*arguments)

        return mortal


def link(id, url):
    return Link(id, "sandbox", ("read",), url, datetime(2026, 1, id.int, tzinfo=UTC), None)


async def note(at, note):
    """Have something noted about Twitter."""
    desk = Desk(at.log, "demo", "ann", "request-1")
    stream = Connection.create_id(Network.TWITTER, "demo")
    if await at.log.load(Connection, stream) is None:
        await desk.create(Opening(Network.TWITTER, note), lambda _: Nothing())
    else:
        await desk.change(Connection, stream, note, lambda _: Nothing())


async def follow(at, id, version):
    """The job, killed at one call after the other until it comes to its end; what follows."""
    jobs, lives = None, 0
    while jobs is None:
        mortal = Mortal(at.log, Webhooks(at.url, at.pool, at.vault, at.guard), lives=lives)
        with suppress(Killed):
            jobs = await CallingBack(mortal, mortal).follow("demo", "twitter", id.hex, version)
        lives += 1
    assert lives > 2
    return list(jobs)


async def said(at):
    """What was said of endpoints, in order."""
    rows = await at.rows(
        "SELECT topic FROM log.events WHERE topic LIKE 'webhooks.%%' ORDER BY position"
    )
    return [topic.removeprefix("webhooks.endpoint.") for (topic,) in rows]


def test_killed_at_any_call_the_job_makes_moves_and_ends_one_endpoint(database_url):
    async def go():
        async with house(database_url, following=False, senders=0) as at:
            await note(at, NoteConnected(link(FIRST, URL), "@shop", "Shop"))
            assert await follow(at, FIRST, 2) == []
            assert await said(at) == ["registered", "replay_requested"]
            await note(at, NoteConnected(link(SECOND, f"{URL}/new"), "@shop", "Shop"))
            assert await follow(at, SECOND, 4) == []
            assert await follow(at, FIRST, 2) == []  # it comes again, late
            assert (await said(at))[2:] == ["url_changed"]
            endpoint = await at.log.load(WebhookEndpoint, endpoint_id(FIRST))
            assert endpoint.url == f"{URL}/new"
            await note(at, DisconnectPlatform({}, delete_data=True))
            for _ in range(2):
                (job,) = await follow(at, SECOND, 5)
                assert job.arguments["endpoint_id"] == endpoint.id.hex
            assert (await said(at))[3:] == ["events_changed"]
            removing = CallingBack(at.log, Webhooks(at.url, at.pool, at.vault, at.guard))
            for looked in range(7):
                (job,) = await removing.remove("demo", endpoint.id.hex, looked)
                assert job.arguments["looked"] == looked + 1
            for _ in range(2):
                assert list(await removing.remove("demo", endpoint.id.hex, 7)) == []
            assert (await said(at))[4:] == ["removed"]

    asyncio.run(go())


def test_a_late_job_leaves_to_the_others_what_is_theirs(database_url):
    async def go():
        async with house(database_url, following=False, senders=0) as at:
            other, third = UUID(int=3), UUID(int=4)
            jobs = CallingBack(at.log, Webhooks(at.url, at.pool, at.vault, at.guard))
            await note(at, NoteConnected(link(FIRST, URL), "@shop", "Shop"))
            await jobs.follow("demo", "twitter", FIRST.hex, 2)
            await note(at, NoteConnected(link(SECOND, URL), "@shop", "Shop"))
            await note(at, NoteConnected(link(other, None), "@other", "Other"))
            await note(at, NoteConnected(link(third, f"{URL}/new"), "@shop", "Shop"))
            for late in (other, SECOND):
                assert await jobs.follow("demo", "twitter", late.hex, 4) == []
            assert await said(at) == ["registered", "replay_requested"]
            assert await jobs.follow("demo", "twitter", third.hex, 7) == []
            assert await jobs.follow("demo", "twitter", other.hex, 5) == []
            assert (await said(at))[2:] == ["url_changed"]

    asyncio.run(go())


@pytest.mark.parametrize("url", [None, URL])
def test_an_account_that_is_no_more_brings_nothing(database_url, url):
    async def go():
        async with house(database_url, following=False, senders=0) as at:
            await note(at, NoteConnected(link(FIRST, url), "@shop", "Shop"))
            await note(at, DisconnectPlatform({}, delete_data=False))
            jobs = CallingBack(at.log, Webhooks(at.url, at.pool, at.vault, at.guard))
            assert await jobs.follow("demo", "twitter", FIRST.hex, 2) == []
            assert await jobs.follow("demo", "facebook", FIRST.hex, 2) == []
            assert await said(at) == []

    asyncio.run(go())
