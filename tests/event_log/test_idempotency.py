"""Idempotency-Key and If-Match, when the same request arrives fifty times at once."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError

from domain.kernel import Invalid, PreconditionFailed
from infrastructure.event_log import turns
from tests.event_log.house import (
    Increase,
    Open,
    Start,
    desk,
    event_log,
    opened,
    positions,
    processes,
    told,
)
from tests.event_log.rooms import Counter
from tests.site import running

POSTS = "/api/v1/social/posts"
LATER = {"content": "Hello", "platforms": ["twitter"], "scheduled_for": "2040-01-01T00:00:00Z"}


def fifty(url, ask):
    """What `ask(log, counter)` answers, asked fifty times over two processes."""

    async def scenario():
        async with processes(url) as logs:
            stream = await opened(logs[0])
            work = [ask(logs[n % 2], stream) for n in range(50)]
            answers = await asyncio.gather(*work, return_exceptions=True)
            return answers, await logs[0].load(Counter, stream)

    return asyncio.run(scenario())


def same(answers):
    assert len({(each.body, each.version, each.position) for each in answers}) == 1
    return sum(not each.replayed for each in answers)


def test_something_is_begun_once(database_url):
    answers, _ = fifty(database_url, lambda log, _: desk(log, "k").create(Open(), told))
    assert same(answers) == 1
    assert positions(database_url) == [1, 2]


def test_something_is_changed_once(database_url):
    answers, counter = fifty(
        database_url, lambda log, id: desk(log, "k").change(Counter, id, Increase(), told)
    )
    assert same(answers) == 1
    assert counter.count == 1


@pytest.mark.parametrize("how", [{"command": Start()}, {"command": Increase(), "if_match": 1}])
def test_a_repeat_is_answered_also_where_the_first_made_it_impossible(database_url, how):
    """The other process has looked for the key in vain, and decides when the first is done."""
    command, options = how["command"], {k: v for k, v in how.items() if k != "command"}

    async def scenario():
        async with processes(database_url) as (one, two):
            stream = await opened(one)
            looked, done = asyncio.Event(), asyncio.Event()
            look = two.answered

            async def slowly(*key):
                found = await look(*key)
                looked.set()
                await done.wait()
                return found

            two.answered = slowly
            late = asyncio.create_task(desk(two, "k", **options).change(
                Counter, stream, command, told))  # fmt: skip
            await looked.wait()
            first = await desk(one, "k", **options).change(Counter, stream, command, told)
            done.set()
            return first, await late, await one.load(Counter, stream)

    first, late, counter = asyncio.run(scenario())
    assert same([first, late]) == 1
    assert counter.count == 1


def test_fifty_repeats_of_what_can_be_done_once(database_url):
    answers, counter = fifty(
        database_url, lambda log, id: desk(log, "k").change(Counter, id, Start(), told)
    )
    assert same(answers) == 1
    assert counter.count == 1


def test_if_match_lets_one_through(database_url):
    answers, counter = fifty(
        database_url, lambda log, id: desk(log, if_match=1).change(Counter, id, Increase(), told)
    )
    refused = [each for each in answers if isinstance(each, PreconditionFailed)]
    assert (len(refused), counter.count) == (49, 1)
    assert {each.facts["version"] for each in refused} == {2}


def test_if_match_with_a_key_answers_all_repeats_alike(database_url):
    answers, counter = fifty(
        database_url,
        lambda log, id: desk(log, "k", if_match=1).change(Counter, id, Increase(), told),
    )
    assert same(answers) == 1
    assert counter.count == 1


def test_a_hot_aggregate_takes_everything_in_turn(database_url):
    """No conflict reaches a caller, and none is decided again and again for long."""
    answers, counter = fifty(
        database_url, lambda log, id: desk(log).change(Counter, id, Increase(), told)
    )
    assert not [each for each in answers if isinstance(each, Exception)]
    assert (counter.count, counter.version) == (50, 51)


def test_processes_that_clashed_take_turns(database_url):
    """After a race every process decides once, whoever else is deciding."""

    async def scenario():
        async with processes(database_url, 4) as logs:
            stream = await opened(logs[0])
            clashes = []
            for log in logs:
                log.turns.clashed([stream])
                log.append = counting(log.append, clashes)
            work = [desk(logs[n % 4]).change(Counter, stream, Increase(), told) for n in range(80)]
            await asyncio.gather(*work)
            return clashes, (await logs[0].load(Counter, stream)).count

    clashes, count = asyncio.run(scenario())
    assert (clashes, count) == ([], 80)


def counting(append, clashes):
    async def counted(decision):
        try:
            return await append(decision)
        except IntegrityError:
            clashes.append(decision)
            raise

    return counted


def test_who_stands_still_in_their_turn_is_passed(database_url, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 0.2)

    async def scenario():
        async with processes(database_url) as (one, two):
            stream = await opened(one)
            for log in (one, two):
                log.turns.clashed([stream])
            async with one.alone(stream):
                await desk(two).change(Counter, stream, Increase(), told)
            async with asyncio.timeout(1):
                await desk(one).change(Counter, stream, Increase(), told)
            return (await one.load(Counter, stream)).count

    assert asyncio.run(scenario()) == 2


def test_many_hot_streams_leave_connections_to_decide_with(database_url):
    async def scenario():
        async with event_log(database_url) as log:
            streams = [await opened(log) for _ in range(30)]
            log.turns.clashed(streams)
            work = [desk(log).change(Counter, id, Increase(), told) for id in streams * 3]
            async with asyncio.timeout(10):
                await asyncio.gather(*work)
            return {(await log.load(Counter, id)).count for id in streams}

    assert asyncio.run(scenario()) == {3}


def test_a_key_stands_for_one_request(database_url):
    answers, counter = fifty(
        database_url, lambda log, id: desk(log, "k", b"one").change(Counter, id, Increase(), told)
    )
    same(answers)

    async def other():
        async with processes(database_url, 1) as (log,):
            with pytest.raises(Invalid) as refusal:
                await desk(log, "k", b"another").change(Counter, counter.id, Increase(), told)
            return refusal.value.reason

    assert asyncio.run(other()) == "idempotency_key_reused"


@pytest.mark.slow
def test_fifty_requests_to_two_servers_make_one_post(database_url, redis_url, tmp_path):
    with (
        running(database_url, redis_url, tmp_path, background=False) as one,
        running(database_url, redis_url, tmp_path, background=False) as two,
        one.client() as first,
        two.client() as second,
        ThreadPoolExecutor(16) as callers,
    ):

        def post(n):
            client = (first, second)[n % 2]
            return client.post(POSTS, json=LATER, headers={"Idempotency-Key": "the same"})

        answers = list(callers.map(post, range(50)))
        other = first.post(
            POSTS, json={**LATER, "content": "Other"}, headers={"Idempotency-Key": "the same"}
        )
    assert {each.status_code for each in answers} == {200}
    told_in = ("etag", "event-position")
    assert len({(a.content, *(a.headers[name] for name in told_in)) for a in answers}) == 1
    assert [each.headers.get("idempotency-replayed") for each in answers].count(None) == 1
    assert other.status_code == 422
    with psycopg.connect(database_url) as connection:
        count = connection.execute(
            "SELECT count(*) FROM log.events WHERE topic = 'social.post.drafted'"
        ).fetchone()
    assert count == (1,)
