"""Jobs from events: which of them are worth one."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from application.kernel import Job
from infrastructure import database, jobs
from infrastructure.jobs import Reminders, defer

LISTEN = Job("social.listen", {"tenant": "demo"}, reminder="listen:demo")
OTHER = Job("social.listen", {"tenant": "acme"}, reminder="listen:acme")
PUBLISH = Job("social.publish_post", {"tenant": "demo"})


def test_one_reminder_of_the_same_is_enough_for_a_while(monkeypatch):
    now = 100.0
    monkeypatch.setattr(jobs, "monotonic", lambda: now)
    reminders = Reminders()
    assert reminders.wanted(LISTEN, 1)
    assert not reminders.wanted(LISTEN, 2)
    assert reminders.wanted(OTHER, 3)
    now += jobs.REMIND
    assert reminders.wanted(LISTEN, 4)


def test_what_is_no_reminder_is_always_wanted():
    reminders = Reminders()
    assert all(reminders.wanted(PUBLISH, position) for position in (1, 2, 3))


def test_a_batch_that_was_not_committed_gets_the_same_jobs_again():
    reminders = Reminders()
    first = [reminders.wanted(LISTEN, position) for position in (5, 6, 7)]
    assert [reminders.wanted(LISTEN, position) for position in (5, 6, 7)] == first
    assert first == [True, False, False]


def test_what_is_kept_in_mind_is_bounded(monkeypatch):
    monkeypatch.setattr(jobs, "MOST_REMINDERS", 2)
    reminders = Reminders()
    for n in range(5):
        assert reminders.wanted(Job("x", {}, reminder=str(n)), n)
    assert len(reminders._given) <= 2


@pytest.mark.parametrize(("seconds", "notices"), [(0.5, 1), (3600, 0)])
def test_notice_is_given_of_timers_that_come_before_the_next_look(database_url, seconds, notices):
    async def heard() -> int:
        async with await database.connect(database_url, "test") as connection:
            await connection.execute("LISTEN tidings_timers")
            at = datetime.now(UTC) + timedelta(seconds=seconds)
            await defer(connection, [Job("social.publish_post", {}, at=at)])
            return len([each async for each in connection.notifies(timeout=0.1)])

    assert asyncio.run(heard()) == notices


def test_a_job_may_hold_what_the_database_has_no_place_for(database_url):
    async def kept() -> object:
        async with await database.connect(database_url, "test") as connection:
            at = datetime.now(UTC) + timedelta(hours=1)
            job = Job("social.fetch_mention", {"id": "a\0b", "path": "\\u0000"}, at=at)
            await defer(connection, [job])
            cursor = await connection.execute("SELECT arguments FROM work.timers")
            return (await cursor.fetchone() or (None,))[0]

    assert asyncio.run(kept()) == {"id": "a\ufffdb", "path": "\\u0000"}
