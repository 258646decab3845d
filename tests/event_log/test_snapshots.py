"""Snapshots and the cache: the same state, only sooner."""

import asyncio
import os
import pickle
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from eventsourcing.domain import BaseAggregate, OriginatorVersionError
from eventsourcing.persistence import IntegrityError
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from domain.folding import fold
from domain.kernel import Aggregate
from domain.social.networks import Network
from domain.social.posts import Outcome, OutcomeStatus, Post, PostStatus
from infrastructure.event_log import snapshots
from infrastructure.event_log.codec import decode, encode
from infrastructure.event_log.log import EventLog
from infrastructure.event_log.snapshots import UnusableSnapshot
from tests.event_log.house import administering, decision, event_log, processes
from tests.event_log.rooms import Colour, Counter, counter, somebody


def state(aggregate):
    return type(aggregate), {k: v for k, v in vars(aggregate).items() if k != "_pending_events"}


def read_back(events) -> Iterator:
    for each in events:
        yield decode(each.TOPIC, each.originator_id, each.originator_version, each.tenant,
                     encode(each))  # fmt: skip


@given(
    steps=st.lists(
        st.integers(-(2**70), 2**70)
        | st.tuples(st.decimals(allow_nan=False), st.text(st.characters(codec="utf-8")))
    ),
    cut=st.integers(0, 30),
)
def test_a_state_that_was_frozen_is_the_one_that_the_events_add_up_to(steps, cut):
    with somebody():
        it = Counter("x")
        for each in steps:
            if isinstance(each, int):
                it.increase(each)
            else:
                it._noted(each[0] if each[0].is_finite() else Decimal(1), datetime.now(UTC),
                          date(2030, 1, 1), uuid4(), Colour.RED, {}, {}, each[1])  # fmt: skip
    events = list(read_back(it.collect_events()))
    early = fold(Counter, events[: cut + 1])
    thawed = snapshots.thaw(Counter, it.id, early.version, snapshots.freeze(early))
    assert state(thawed) == state(early)
    assert thawed is not early
    late = fold(Counter, events[cut + 1 :], thawed)
    assert state(late) == state(fold(Counter, events)) == state(it)


def test_own_folding_does_what_the_librarys_does():
    with somebody():
        it = counter()
        for n in range(5):
            it.increase(n)
    events = list(read_back(it.collect_events()))
    plain = None
    for each in events:
        plain = each.mutate(plain)
    assert state(plain) == state(fold(Counter, events))
    with pytest.raises(OriginatorVersionError):
        fold(Counter, [events[0], events[2]])


def test_deciding_does_what_the_librarys_does(monkeypatch):
    def decided():
        it = Counter("visits")
        it.increase(3)
        return it, [(type(each), vars(each)) for each in it.collect_events()]

    it = counter()
    monkeypatch.setattr(Counter, "create_id", staticmethod(lambda: it.id))
    with somebody():
        ours, events = decided()
        for name in ("_create", "trigger_event"):
            monkeypatch.setattr(Aggregate, name, vars(BaseAggregate)[name])
        theirs, expected = decided()
    assert (state(ours), events) == (state(theirs), expected)


def test_a_room_of_the_product_can_be_frozen():
    post = Post.__new__(Post)
    post.__dict__.update(
        _id=uuid4(), _version=7, _pending_events=[], status=PostStatus.DRAFT,
        outcomes={Network.TWITTER: Outcome(OutcomeStatus.PENDING, at=datetime.now(UTC))},
        networks=(Network.TWITTER,), amount=Decimal("1.50"), seen={1, 2},
    )  # fmt: skip
    assert state(snapshots.thaw(Post, post.id, 7, snapshots.freeze(post))) == state(post)


class Weapon:
    def __reduce__(self):
        return os.system, ("touch /tmp/should-not-be-there",)


@pytest.mark.parametrize("what", [Weapon(), os.system, Counter, EventLog, eval])
def test_nothing_but_values_comes_to_life(what):
    it = counter()
    frozen = pickle.dumps({"_id": it.id, "_version": 1, "name": what})
    with pytest.raises(UnusableSnapshot):
        snapshots.thaw(Counter, it.id, 1, frozen)
    assert not os.path.exists("/tmp/should-not-be-there")


def test_undecided_events_are_no_part_of_a_state():
    with pytest.raises(UnusableSnapshot):
        snapshots.freeze(counter())


async def grown(log, events=60):
    """The id of a counter with so many events."""
    it = counter()
    with somebody():
        for _ in range(events - 1):
            it.increase()
    await log.append(decision(it))
    return it.id


async def settled(log):
    await asyncio.gather(*log.writing)


def kept(url):
    with administering(url) as admin:
        return admin.execute("SELECT stream_id, version FROM log.snapshots").fetchall()


def test_long_streams_are_loaded_from_a_snapshot(database_url):
    async def scenario():
        async with event_log(database_url, log={"long": 50}) as log:
            short, long = await grown(log, 49), await grown(log, 60)
            for stream in (short, long):
                await log.load(Counter, stream)
            await settled(log)
            assert kept(database_url) == [(long, 60)]
            with administering(database_url) as admin:  # what a snapshot covers is not read
                admin.execute(
                    "UPDATE log.events SET state = 'x' WHERE stream_id = %s AND version < 60",
                    [long],
                )
            it = await log.load(Counter, long)
            with somebody():
                it.increase(5)
            await log.append(decision(it))
            return state(await log.load(Counter, long)), state(it)

    loaded, decided = asyncio.run(scenario())
    assert loaded == decided
    assert loaded[1]["count"] == 64


@pytest.mark.parametrize(
    "damage",
    [
        "SET state = 'rubbish'",
        "SET state = substr(state, 1, length(state) / 2)",
        "SET shape = 'an older release'",
        "SET version = 12",
        "SET stream_id = gen_random_uuid()",
    ],
)
def test_a_wrong_snapshot_costs_time_and_nothing_else(database_url, damage):
    async def scenario():
        async with event_log(database_url, log={"long": 50}) as log:
            stream = await grown(log)
            await log.load(Counter, stream)
            await settled(log)
            with administering(database_url) as admin:
                admin.execute(f"UPDATE log.snapshots {damage}".encode())
            again = await log.load(Counter, stream)
            return again.count, again.version

    assert asyncio.run(scenario()) == (59, 60)


def test_a_state_of_another_release_is_never_used(database_url):
    """It may be whole, and still be what other code made of the same events."""

    async def scenario():
        async with event_log(database_url, log={"long": 50}) as log:
            stream = await grown(log)
            otherwise = await log.load(Counter, stream)
            await settled(log)
            otherwise.count = 1_000_000
            with administering(database_url) as admin:
                admin.execute(
                    "UPDATE log.snapshots SET state = %s, shape = 'an older release'",
                    [snapshots.freeze(otherwise)],
                )
            first = (await log.load(Counter, stream)).count
            await settled(log)
            return first, (await log.load(Counter, stream)).count

    assert asyncio.run(scenario()) == (59, 59)


def test_a_snapshot_that_cannot_be_kept_harms_no_command(database_url):
    async def scenario():
        async with event_log(database_url, log={"long": 50}) as log:
            stream = await grown(log)
            with administering(database_url) as admin:
                admin.execute("REVOKE INSERT ON log.snapshots FROM tidings_app")
            with capture_logs() as lines:
                it = await log.load(Counter, stream)
                await settled(log)
            with somebody():
                it.increase()
            await log.append(decision(it))
            return [line["event"] for line in lines]

    assert asyncio.run(scenario()) == ["snapshot.not_kept"]


def test_snapshots_are_taken_again_as_the_stream_grows(database_url):
    async def scenario():
        async with event_log(database_url, log={"long": 50}) as log:
            stream = await grown(log)
            for _ in range(3):
                it = await log.load(Counter, stream)
                await settled(log)
                with somebody():
                    for _ in range(30):
                        it.increase()
                await log.append(decision(it))
            return stream

    stream = asyncio.run(scenario())
    assert kept(database_url) == [(stream, 120)]


def test_a_cached_aggregate_is_never_behind_another_process(database_url):
    async def scenario():
        async with processes(database_url, 2, log={"cache": 10, "long": None}) as (one, two):
            stream = await grown(one, 3)
            for turn in range(6):
                log = (one, two)[turn % 2]
                it = await log.load(Counter, stream)
                assert it.version == 3 + turn
                with somebody():
                    it.increase()
                await log.append(decision(it))
            return (await one.load(Counter, stream)).count

    assert asyncio.run(scenario()) == 8


def test_what_a_decision_did_to_an_aggregate_never_shows_in_the_cache(database_url):
    async def scenario():
        async with event_log(database_url, log={"cache": 10}) as log:
            stream = await grown(log, 3)
            spoiled = await log.load(Counter, stream)
            with somebody():
                spoiled.increase(1000)
            return (await log.load(Counter, stream)).count

    assert asyncio.run(scenario()) == 2


def test_a_conflict_evicts_and_the_cache_is_bounded(database_url):
    async def scenario():
        async with event_log(database_url, log={"cache": 3}) as log:
            streams = [await grown(log, 2) for _ in range(5)]
            for stream in streams:
                await log.load(Counter, stream)
            assert list(log.cached) == streams[2:]
            rivals = [await log.load(Counter, streams[4]) for _ in range(2)]
            for each in rivals:
                with somebody(request=str(id(each))):
                    each.increase()
            await log.append(decision(rivals[0]))
            with pytest.raises(IntegrityError):
                await log.append(decision(rivals[1]))
            return streams[4] in log.cached

    assert asyncio.run(scenario()) is False


def test_the_application_may_empty_the_table_and_nothing_is_missed(database_url):
    async def scenario():
        async with event_log(database_url, log={"long": 50}) as log:
            stream = await grown(log)
            await log.load(Counter, stream)
            await settled(log)
            async with log.pool.connection() as connection:
                await connection.execute("DELETE FROM log.snapshots WHERE tenant = 'demo'")
            return (await log.load(Counter, stream)).count

    assert asyncio.run(scenario()) == 59
