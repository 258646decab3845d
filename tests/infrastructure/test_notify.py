"""Notices of the database, heard once for a whole process."""

import asyncio
import contextlib
import gc
from functools import wraps

import psycopg

from infrastructure import database, notify
from infrastructure.notify import News, heard

LISTENING = (
    "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'tidings-listen'"
)


def asynchronous(test):
    """Run it on an event loop of its own."""

    @wraps(test)
    def run(*args, **kwargs):
        asyncio.run(test(*args, **kwargs))

    return run


class Heard(list):
    """What was said, to be waited for."""

    def __init__(self):
        super().__init__()
        self.more = asyncio.Event()

    def hear(self, payload):
        self.append(payload)
        self.more.set()

    async def until(self, *payloads):
        async with asyncio.timeout(10):
            while not set(payloads) <= set(self):
                self.more.clear()
                await self.more.wait()


def say(url, channel, payload=""):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_notify(%s, %s)", (channel, payload))


def listening(url):
    with psycopg.connect(url) as connection:
        return [pid for (pid,) in connection.execute(LISTENING)]


@asynchronous
async def test_one_connection_listens_for_all_and_tells_each_its_own(database_url):
    first, second, other = Heard(), Heard(), Heard()
    async with (
        heard(database_url, notify.LOG, first.hear),
        heard(database_url, notify.WEBHOOKS, other.hear),
        heard(database_url, notify.LOG, second.hear),
    ):
        await first.until("")
        await other.until("")
        say(database_url, notify.LOG, "news")
        say(database_url, notify.WEBHOOKS, "of an endpoint")
        say(database_url, notify.TIMERS, "nobody's")
        for each, payload in ((first, "news"), (second, "news"), (other, "of an endpoint")):
            await each.until(payload)
        assert len(listening(database_url)) == 1
    assert "of an endpoint" not in first and not {"news", "nobody's"} & {*other}
    assert listening(database_url) == []


@asynchronous
async def test_who_comes_later_hears_too_and_the_others_still_do(database_url):
    first, later = Heard(), Heard()
    async with heard(database_url, notify.LOG, first.hear):
        await first.until("")
        async with heard(database_url, notify.TIMERS, later.hear):
            await later.until("")
            say(database_url, notify.TIMERS, "due")
            await later.until("due")
        say(database_url, notify.LOG, "news")
        await first.until("news")
        assert len(listening(database_url)) == 1


@asynchronous
async def test_after_a_lost_connection_all_are_told_that_something_may_be_missed(database_url):
    first = Heard()
    async with heard(database_url, notify.LOG, first.hear):
        await first.until("")
        first.clear()
        (pid,) = listening(database_url)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        await first.until("")
        say(database_url, notify.LOG, "again")
        await first.until("again")


@asynchronous
async def test_a_dead_connection_that_says_nothing_is_given_up(database_url, monkeypatch):
    """As when the other side vanished without a word: found out by asking."""
    monkeypatch.setattr(notify, "QUIET", 0.05)
    made = []
    connect = database.connect

    async def connecting(url, name):
        connection = await connect(url, name)
        if not made:
            connection.notifies = silence
            execute = connection.execute

            async def asked(query, *values):
                return await (asyncio.sleep(60) if query == "SELECT 1" else execute(query, *values))

            connection.execute = asked
        made.append(connection)
        return connection

    async def silence(timeout):
        await asyncio.sleep(timeout)
        for nothing in ():
            yield nothing

    monkeypatch.setattr(database, "connect", connecting)
    first = Heard()
    async with heard(database_url, notify.LOG, first.hear):
        await first.until("")
        say(database_url, notify.LOG, "heard by nobody")
        first.clear()
        await first.until("")
        say(database_url, notify.LOG, "news")
        await first.until("news")
    assert len(made) == 2


@asynchronous
async def test_who_cannot_bear_what_was_said_does_not_end_it_for_the_others(database_url):
    def unbearable(payload):
        if payload:
            raise ValueError(payload)

    first = Heard()
    async with (
        heard(database_url, notify.WEBHOOKS, unbearable),
        heard(database_url, notify.LOG, first.hear),
    ):
        await first.until("")
        first.clear()
        say(database_url, notify.WEBHOOKS, "no id")
        await first.until("")  # it has begun anew
        say(database_url, notify.LOG, "news")
        await first.until("news")


@asynchronous
async def test_news_that_came_before_one_waits_is_not_waited_for():
    news = News()
    news.hear("")
    async with asyncio.timeout(5):
        await news.within(60)
    begun = asyncio.get_running_loop().time()
    await news.within(0.05)
    assert asyncio.get_running_loop().time() - begun >= 0.04
    waiting = asyncio.create_task(news.within(60))
    await asyncio.sleep(0)
    news.hear("")
    async with asyncio.timeout(5):
        await waiting


@asynchronous
async def test_cancelled_while_it_connects_it_leaves_nothing_behind(database_url):
    for _ in range(20):
        task = asyncio.create_task(_stay(database_url))
        await asyncio.sleep(0.002)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert notify._listeners == {}
    gc.collect()  # psycopg leaves it to the collector to close what was half connected
    async with asyncio.timeout(10):
        while listening(database_url):
            await asyncio.sleep(0.02)


async def _stay(url):
    async with heard(url, notify.LOG, Heard().hear):
        await asyncio.sleep(60)
