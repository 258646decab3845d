"""No reader ever passes an event, whatever happens to those who write."""

import asyncio
import threading
import time

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError

from application.kernel import Decision
from tests.drill.__main__ import drill
from tests.drill.chaos import append_by_hand, hold_back_slow_commits
from tests.event_log.house import (
    administering,
    decision,
    event_log,
    positions,
    processes,
    small_partitions,
)
from tests.event_log.rooms import Counter, counter, somebody


async def tail(log, until, seen):
    """Read behind the writers, as every follower does, until the log has come to `until`."""
    while not seen or seen[-1] < until:
        seen += [event.position for event in await log.after(seen[-1] if seen else 0, 5)]
        await asyncio.sleep(0)


def in_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_commit_that_is_held_back_is_waited_for(database_url):
    """One row is given its position, and its commit takes its time: others come after it."""
    with administering(database_url) as admin:
        hold_back_slow_commits(admin)

    def slowly():
        with psycopg.connect(database_url) as connection:
            append_by_hand(connection, "slow")

    async def scenario():
        async with processes(database_url, 3) as (one, two, reader):
            seen = []
            reading = asyncio.create_task(tail(reader, 41, seen))
            slow = in_thread(slowly)
            await asyncio.sleep(0.1)
            work = [log.append(decision(counter())) for log in (one, two) for _ in range(20)]
            await asyncio.gather(*work)
            slow.join()
            await reading
            return seen

    assert asyncio.run(scenario()) == list(range(1, 42))
    with administering(database_url) as admin:
        row = admin.execute("SELECT position FROM log.events WHERE tenant = 'slow'").fetchone()
    assert row == (1,)


def test_times_rise_with_positions_when_the_clock_is_set_back(database_url):
    """What was recorded from an instant on is found by halving, so times must never fall."""
    with administering(database_url) as admin, psycopg.connect(database_url) as connection:
        append_by_hand(connection, "before")
        connection.commit()
        change = "UPDATE log.events SET recorded_at = recorded_at + interval '1 hour'"
        admin.execute(change)
        append_by_hand(connection, "after")
        connection.commit()
        append_by_hand(connection, "after")
        connection.commit()
        rows = admin.execute("SELECT recorded_at FROM log.events ORDER BY position").fetchall()
        (first,), (second,), (third,) = rows
        assert first == second == third
        assert admin.execute("SELECT log.position_at(%s)", [first]).fetchone() == (1,)


def test_this_way_of_looking_finds_what_a_sequence_does(database_url):
    """The control: with numbers from a sequence the same delay makes a reader miss an event."""
    with administering(database_url) as admin:
        admin.execute("CREATE TABLE numbered (position bigserial PRIMARY KEY)")
        seen = []
        with psycopg.connect(database_url) as slow:
            slow.execute("INSERT INTO numbered DEFAULT VALUES")
            admin.execute("INSERT INTO numbered DEFAULT VALUES")
            for _ in range(2):
                last = seen[-1] if seen else 0
                rows = admin.execute("SELECT position FROM numbered WHERE position > %s", [last])
                seen += [n for (n,) in rows]
                slow.commit()
    assert seen == [2]


def test_a_transaction_that_is_rolled_back_leaves_no_trace(database_url):
    async def scenario():
        async with event_log(database_url) as log:
            for n in range(5):
                with psycopg.connect(database_url) as connection:
                    append_by_hand(connection, "gone")
                    waiting = asyncio.ensure_future(log.append(decision(counter())))
                    await asyncio.sleep(0.02)
                    assert not waiting.done()
                    connection.rollback()
                assert (await waiting).position == n + 1

    asyncio.run(scenario())
    assert positions(database_url) == [1, 2, 3, 4, 5]


def test_new_partitions_wait_for_nobody_who_reads(database_url):
    """A transaction that somebody forgot, an export under way, and the log grows all the same."""
    with administering(database_url) as admin, psycopg.connect(database_url) as idle:
        small_partitions(admin, 50)
        idle.execute("SELECT count(*) FROM log.events")

        async def scenario():
            async with event_log(database_url, patience=3.0) as log:
                seen = []
                reading = asyncio.create_task(tail(log, 400, seen))
                for _ in range(10):
                    await asyncio.gather(*(log.append(decision(counter())) for _ in range(40)))
                await reading
                return seen

        assert asyncio.run(scenario()) == list(range(1, 401))
        parts = admin.execute("SELECT count(*) FROM pg_inherits WHERE inhparent ="
                              " 'log.events'::regclass AND inhrelid::regclass::text"
                              " LIKE 'log.events_%'").fetchone()  # fmt: skip
    assert parts == (9,)


def test_the_next_partition_is_made_in_good_time_and_waits_for_maintenance(database_url):
    """ANALYZE of the whole table keeps partitions from being attached, but not the log waiting."""
    with administering(database_url) as admin, psycopg.connect(database_url) as maintenance:
        small_partitions(admin, 100)
        maintenance.execute("LOCK TABLE log.events IN SHARE UPDATE EXCLUSIVE MODE")  # as ANALYZE

        async def fill(number):
            async with event_log(database_url, patience=3.0) as log:
                await asyncio.gather(*(log.append(decision(counter())) for _ in range(number)))

        began = time.monotonic()
        asyncio.run(fill(60))
        assert time.monotonic() - began < 2
        following = "SELECT to_regclass('log.events_000001') IS NOT NULL"
        assert admin.execute(following).fetchone() == (False,)
        maintenance.commit()
        asyncio.run(fill(1))
        assert admin.execute(following).fetchone() == (True,)


def test_old_parts_can_be_moved_while_the_log_is_used(database_url):
    """A part may live elsewhere (another schema, another disk): it is still read, and protected."""
    move = (
        "BEGIN; ALTER TABLE log.events DETACH PARTITION log.events_000000;"
        " ALTER TABLE log.events_000000 SET SCHEMA archive;"
        " ALTER TABLE log.events ATTACH PARTITION archive.events_000000"
        " FOR VALUES FROM (1) TO (21); COMMIT"
    )
    with administering(database_url) as admin:
        small_partitions(admin, 20)
        admin.execute("CREATE SCHEMA archive")

        async def scenario():
            async with event_log(database_url) as log:
                old, rival = [counter() for _ in range(30)], counter()
                again = decision(old[0])
                await log.append(again)
                await asyncio.gather(*(log.append(decision(each)) for each in old[1:]))
                await asyncio.to_thread(admin.execute, move)
                with somebody(request="rival"):
                    rival.increase()
                (stolen, _) = rival.collect_events()
                object.__setattr__(stolen, "originator_id", old[0].id)
                with pytest.raises(IntegrityError):
                    await log.append(Decision("demo", [stolen]))
                loaded = [await log.load(Counter, each.id) for each in old]
                seen = [event.position for event in await log.after(0, 100)]
                return [each.name for each in loaded], await log.append(again), seen

        names, repeated, seen = asyncio.run(scenario())
    assert (len(names), repeated.position, seen) == (30, 1, list(range(1, 31)))


@pytest.mark.slow
def test_the_drill(database_url, tmp_path):
    """A few seconds of it; `python -m tests.drill` crashes the server too, for as long as asked."""
    report = drill(database_url, tmp_path, seconds=6, nice=0)
    assert report["found"] == []
    assert report["acknowledged"] > 10
