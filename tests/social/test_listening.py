"""Listening in the background: once each, from where it was, whatever dies or lies."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from application.kernel import NO_ANSWER, Desk
from application.social.connections import NoteConnected, Opening
from application.social.keywords import SetBrandKeywords, set_keywords
from application.social.mentions import (
    LATEST,
    LOOK_BACK,
    NOT_OFFERED,
    SANDBOX_LOOK_BACK,
    SOONEST,
    Listener,
)
from application.social.networks import Heard, OutcomeUnknown, Overheard
from domain.social.connections import Connection, Link
from domain.social.mentions import Mention, Priority
from domain.social.networks import Network
from infrastructure import listening
from infrastructure.event_log.log import open_log
from infrastructure.listening import Ears, listen
from infrastructure.settings import load

X = Network.TWITTER
NOW = datetime.now(UTC)


def said(n, **more):
    return Overheard(
        **{"id": f"m{n}", "text": f"Number {n}", "at": NOW - timedelta(hours=n), **more}
    )


class Gateway:
    """A network that tells what it is given, with its number as the cursor."""

    def __init__(self, *told, provider="twitter"):
        self.provider, self.told, self.asked = provider, list(told), []

    async def of(self, tenant, network):
        return self

    async def mentions(self, watch):
        self.asked.append(watch)
        answer = self.told.pop(0) if self.told else []
        if isinstance(answer, Heard):
            return answer
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return await answer()
        return Heard(answer, f"c{len(self.asked)}")


@asynccontextmanager
async def house(database_url, gateway):
    environment = {
        "JWT_SECRET_KEY": "a secret of the tests that is long enough",
        "ENCRYPTION_KEY": "another secret of the tests, also long",
    }
    settings = load(environment, Path("/nowhere"), database_url, "redis://nowhere")
    async with open_log(settings, "test") as log:
        ears = Ears(log.pool)
        yield Listener(log, gateway, ears), ears


def query(url, sql, *values):
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql, values)
        return cursor.fetchall() if cursor.description else []


def mentions_in_log(url):
    return query(url, "SELECT count(*) FROM log.events WHERE topic = %s", Mention.Detected.TOPIC)


async def turn(listener, ears):
    """One look at the only thing that is due, kept; when the next one comes, from now."""
    (mine,) = await ears.take(5)
    known, due = await listener.look(mine.known)
    await ears.done(mine, known, due)
    query_due = due - datetime.now(UTC)
    return known, query_due


async def due_now(ears):
    await ears._execute("UPDATE work.listening SET due = clock_timestamp()", ())


async def load_mention(listener, id):
    return await listener.log.load(Mention, Mention.create_id(X, id, "demo"))


def test_what_is_told_twice_is_one_mention(database_url):
    async def run():
        gateway = Gateway([said(1), said(2)], [said(2), said(1), said(0)], [])
        async with house(database_url, gateway) as (listener, ears):
            await listener.begin("demo", "twitter", NOW.isoformat(), 0)
            await turn(listener, ears)
            assert mentions_in_log(database_url) == [(2,)]
            await due_now(ears)
            await turn(listener, ears)
            assert mentions_in_log(database_url) == [(3,)]
            await due_now(ears)
            known, _ = await turn(listener, ears)
            assert [watch.cursor for watch in gateway.asked] == [None, "c1", "c2"]
            assert known.cursor == "c3"
            order = "SELECT stream_id FROM log.events WHERE topic = %s ORDER BY position"
            first = query(database_url, order, Mention.Detected.TOPIC)[0][0]
            assert first in {Mention.create_id(X, f"m{n}", "demo") for n in (1, 2)}

    asyncio.run(run())


def test_two_processes_that_hear_the_same_write_it_once(database_url):
    async def run():
        told = [said(n) for n in range(30)]
        async with (
            house(database_url, Gateway(told)) as (one, ears),
            house(database_url, Gateway(told)) as (other, _),
        ):
            await one.begin("demo", "twitter", NOW.isoformat(), 0)
            (mine,) = await ears.take(5)
            await asyncio.gather(one.look(mine.known), other.look(mine.known))
            assert mentions_in_log(database_url) == [(30,)]

    asyncio.run(run())


def test_a_look_that_dies_is_taken_again_and_an_old_one_keeps_nothing(database_url):
    async def run():
        gateway = Gateway([said(1)], [said(1)], [])
        async with house(database_url, gateway) as (listener, ears):
            await listener.begin("demo", "twitter", NOW.isoformat(), 0)
            (dying,) = await ears.take(5)
            known, due = await listener.look(dying.known)  # written down, and here it dies
            assert await ears.take(5) == []
            await due_now(ears)  # when the lease is over
            (again,) = await ears.take(5)
            assert again.known == dying.known
            later, due = await listener.look(again.known)
            await ears.done(again, later, due)
            await ears.done(dying, replace(known, cursor="stale"), due)  # it was only slow
            ((cursor,),) = query(database_url, "SELECT cursor FROM work.listening")
            assert (cursor, mentions_in_log(database_url)) == ("c2", [(1,)])

    asyncio.run(run())


def test_a_network_that_does_not_answer_is_asked_more_and_more_rarely(database_url):
    async def run():
        gateway = Gateway(*[OutcomeUnknown("away")] * 8, [])
        async with house(database_url, gateway) as (listener, ears):
            await listener.begin("demo", "twitter", NOW.isoformat(), 0)
            pauses = []
            for _ in range(8):
                known, pause = await turn(listener, ears)
                pauses.append(round(pause.total_seconds()))
                await due_now(ears)
            assert pauses == sorted(pauses)
            assert pauses[:4] == [600, 1200, 2400, 3600]
            assert pauses[-1] == LATEST.total_seconds()
            assert (known.failures, known.cursor) == (8, None)
            known, pause = await turn(listener, ears)
            assert (known.failures, known.cursor) == (0, "c9")
            assert pause <= SOONEST[X] + timedelta(minutes=1)

    asyncio.run(run())


def test_a_quiet_network_is_asked_more_rarely_and_one_without_an_answer_once_a_day(database_url):
    async def run():
        gateway = Gateway([], [], [said(1)], Heard((), None, offered=False))
        async with house(database_url, gateway) as (listener, ears):
            await listener.begin("demo", "twitter", NOW.isoformat(), 0)
            _, pause = await turn(listener, ears)
            assert pause <= SOONEST[X]
            query(database_url, "UPDATE work.listening SET due = now(),"
                                " heard_at = now() - interval '4 hours'")  # fmt: skip
            _, pause = await turn(listener, ears)
            assert timedelta(minutes=29) < pause < timedelta(minutes=31)
            await due_now(ears)
            _, pause = await turn(listener, ears)  # something new: soon again
            assert pause <= SOONEST[X]
            await due_now(ears)
            _, pause = await turn(listener, ears)
            assert pause > NOT_OFFERED - timedelta(minutes=1)

    asyncio.run(run())


def test_another_provider_begins_anew_and_the_sandbox_invents_no_past(database_url):
    async def run():
        gateway = Gateway([], [], [], [])
        async with house(database_url, gateway) as (listener, ears):
            long_ago = NOW - timedelta(days=400)
            await listener.begin("demo", "twitter", long_ago.isoformat(), 0)
            await listener.begin("demo", "twitter", NOW.isoformat(), 0)  # the earlier one counts
            for provider, back in (
                ("twitter", LOOK_BACK),
                ("sandbox", timedelta()),
                ("twitter", LOOK_BACK),
            ):
                gateway.provider = provider
                known, _ = await turn(listener, ears)
                assert gateway.asked[-1].cursor is None
                assert abs(datetime.now(UTC) - back - known.since) < timedelta(seconds=20)
                await due_now(ears)
            await listener.begin("demo", "twitter", long_ago.isoformat(), 0)
            known, _ = await turn(listener, ears)
            assert known.since > long_ago + timedelta(days=300)
            assert gateway.asked[-1].cursor == "c3"
        gateway = Gateway([], provider="sandbox")
        async with house(database_url, gateway) as (listener, ears):
            await listener.begin("acme", "twitter", long_ago.isoformat(), 0)
            known, _ = await turn(listener, ears)
            assert abs(datetime.now(UTC) - SANDBOX_LOOK_BACK - known.since) < timedelta(seconds=20)

    asyncio.run(run())


def test_what_networks_send_is_made_to_fit(database_url):
    async def run():
        wild = said(
            1,
            text="a\0b" + "x" * 20_000,
            at=datetime.now(UTC) + timedelta(days=3),
            author="n" * 300,
            handle="@" + "h" * 300,
            url="https://example.com/" + "u" * 600,
            language="qme",
            followers=-5,
            likes=-1,
        )
        async with house(database_url, Gateway([wild])) as (listener, ears):
            await listener.begin("demo", "twitter", NOW.isoformat(), 0)
            await turn(listener, ears)
            mention = await load_mention(listener, "m1")
            assert mention.text.startswith("abxx") and len(mention.text) == 10_000
            assert (len(mention.author), len(mention.author_handle), mention.url) == (
                200,
                200,
                None,
            )
            assert mention.written_at <= datetime.now(UTC)
            assert (mention.followers, mention.likes, mention.language) == (0, 0, "und")

    asyncio.run(run())


def test_words_are_the_chosen_ones_else_the_accounts_name(database_url):
    async def run():
        gateway = Gateway(
            [said(1, text="Acme Shop is great")], [said(2, text="acme shop, Nordlicht")]
        )
        async with house(database_url, gateway) as (listener, ears):
            desk = Desk(listener.log, "demo", "ann", "request-1")
            link = Link(Mention.create_id(X, "0", "demo"), "twitter", (), None, NOW, None)
            note = NoteConnected(link, "42", "Acme Shop", False)
            await desk.create(Opening(X, note), lambda _: NO_ANSWER)
            await listener.begin("demo", "twitter", NOW.isoformat(), 0)
            await turn(listener, ears)
            assert gateway.asked[-1].words == ()
            assert (await load_mention(listener, "m1")).keywords == ("Acme Shop",)
            request = SetBrandKeywords(keywords=["Nordlicht"])
            await set_keywords(desk, request, lambda _: NO_ANSWER)
            await due_now(ears)
            await turn(listener, ears)
            assert gateway.asked[-1].words == ("Nordlicht",)
            assert (await load_mention(listener, "m2")).keywords == ("Nordlicht",)
            await listener.end("demo", "twitter")  # an account is left
            assert query(database_url, "SELECT count(*) FROM work.listening") == [(1,)]
            await listener.end("demo", "facebook")
            await listener.end("acme", "twitter")
            assert await listener.log.load(Connection, Connection.create_id(X, "demo"))

    asyncio.run(run())


def test_a_look_that_hangs_or_breaks_holds_nobody_up(database_url, monkeypatch):
    monkeypatch.setattr(listening, "LONGEST_LOOK", 0.2)
    monkeypatch.setattr(listening, "TICK", 0.02)
    monkeypatch.setattr(listening, "LEASE", timedelta(seconds=0.5))
    urgent = said(1, text="This is a scam, I am calling my lawyer")

    async def hang():
        await asyncio.sleep(60)

    async def run():
        broken, fine = Gateway(hang, RuntimeError("a bug"), [said(7)]), Gateway([urgent])

        class Both:
            async def of(self, tenant, network):
                return broken if tenant == "acme" else fine

        async with house(database_url, Both()) as (listener, ears):
            await listener.begin("acme", "twitter", NOW.isoformat(), 0)
            await listener.begin("demo", "twitter", NOW.isoformat(), 0)
            working = asyncio.create_task(listen(ears, listener))
            for _ in range(200):
                await asyncio.sleep(0.05)
                if mentions_in_log(database_url) == [(2,)]:
                    break
            assert not working.done()
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
            assert mentions_in_log(database_url) == [(2,)]
            assert (await load_mention(listener, "m1")).priority is Priority.HIGH
            assert len(broken.asked) == 3

    asyncio.run(run())


@pytest.mark.parametrize("many", [20])
def test_one_process_takes_only_so_much_at_once(database_url, monkeypatch, many):
    monkeypatch.setattr(listening, "TICK", 0.02)
    at_once, most = 0, 0

    async def run():
        async def slow():
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.02)
            at_once -= 1
            return Heard((), "c")

        gateway = Gateway(*[slow] * many)
        async with house(database_url, gateway) as (listener, ears):
            for n in range(many):
                await listener.begin(f"t{n}", "twitter", NOW.isoformat(), 0)
            working = asyncio.create_task(listen(ears, listener))
            for _ in range(200):
                await asyncio.sleep(0.05)
                done = query(database_url, "SELECT count(*) FROM work.listening WHERE cursor = 'c'")
                if done == [(many,)]:
                    break
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
            assert (done, len(gateway.asked)) == ([(many,)], many)
            assert 1 < most <= listening.AT_ONCE

    asyncio.run(run())
