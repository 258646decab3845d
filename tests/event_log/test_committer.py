import asyncio
import time

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError

from application.kernel import Decision
from domain.kernel import Invalid, Unavailable
from infrastructure import database
from infrastructure.event_log.committer import Committer
from infrastructure.event_log.log import EventLog
from tests.event_log.house import (
    administering,
    decision,
    event_log,
    positions,
    small_partitions,
)
from tests.event_log.rooms import Counter, counter, somebody
from tests.site import running


def test_what_was_appended_is_loaded(database_url):
    async def scenario():
        async with event_log(database_url) as log:
            it = counter()
            with somebody():
                it.increase(3)
            appended = await log.append(decision(it))
            again = await log.load(Counter, it.id)
            return appended.position, again.count, again.version, again.tenant

    assert asyncio.run(scenario()) == (2, 3, 2, "demo")


def test_concurrent_commands_get_positions_without_holes(database_url):
    async def scenario():
        async with event_log(database_url) as log:
            answers = await asyncio.gather(
                *(log.append(decision(counter(), counter())) for _ in range(300))
            )
            return [answer.position for answer in answers]

    given = asyncio.run(scenario())
    assert sorted(given) == list(range(2, 601, 2))
    assert positions(database_url) == list(range(1, 601))


def test_a_conflict_is_answered_alone_and_leaves_no_hole(database_url):
    async def scenario():
        async with event_log(database_url) as log:
            it = counter()
            await log.append(decision(it))
            rivals = [await log.load(Counter, it.id) for _ in range(5)]
            for n, rival in enumerate(rivals):
                with somebody(request=f"rival-{n}"):
                    rival.increase()
            work = [log.append(decision(rival)) for rival in rivals]
            work += [log.append(decision(counter())) for _ in range(5)]
            outcomes = await asyncio.gather(*work, return_exceptions=True)
            return outcomes, (await log.load(Counter, it.id)).count

    outcomes, count = asyncio.run(scenario())
    lost = [each for each in outcomes if isinstance(each, IntegrityError)]
    assert (len(lost), count) == (4, 1)
    assert positions(database_url) == list(range(1, 8))


def test_what_the_database_cannot_take_harms_nobody_else(database_url):
    async def scenario():
        async with event_log(database_url) as log:
            # A text column takes no NUL: the tenant is where one could come from.
            bad = log.append(decision(counter(tenant="a\0b"), tenant="a\0b"))
            good = [log.append(decision(counter())) for _ in range(20)]
            return await asyncio.gather(bad, *good, return_exceptions=True)

    bad, *good = asyncio.run(scenario())
    assert isinstance(bad, psycopg.DataError)
    assert [each.position for each in good] == list(range(1, 21))


def test_a_full_queue_refuses_with_retry_after(database_url):
    async def scenario():
        async with event_log(database_url, capacity=10) as log:
            work = [log.append(decision(counter())) for _ in range(12)]
            return await asyncio.gather(*work, return_exceptions=True)

    outcomes = asyncio.run(scenario())
    refused = [each for each in outcomes if isinstance(each, Unavailable)]
    assert len(refused) == 2
    assert all(each.retry_after >= 1 and each.reason == "overloaded" for each in refused)
    assert len(positions(database_url)) == 10


def test_one_tenant_in_a_hurry_does_not_keep_the_others_waiting(database_url):
    async def scenario():
        async with event_log(database_url, batch=8) as log:
            order = []

            async def one(tenant):
                await log.append(decision(counter(tenant=tenant), tenant=tenant))
                order.append(tenant)

            await asyncio.gather(*(one("busy") for _ in range(200)), one("calm"))
            return order.index("calm")

    assert asyncio.run(scenario()) < 20


@pytest.mark.parametrize("fault", ["before", "after"])
def test_a_lost_answer_is_resolved_to_the_truth(database_url, fault):
    """The connection dies just before, or just after, the commit; one effect either way."""

    async def scenario():
        async with event_log(database_url) as log:
            committer, append = log.committer, log.committer._append
            faults = iter([fault])

            async def lossy(batch):
                due = next(faults, None)
                result = await append(batch) if due != "before" else None
                if due:
                    await committer.connection.close()
                    raise psycopg.OperationalError("connection lost")
                return result

            committer._append = lossy
            return await log.append(decision(counter()))

    assert asyncio.run(scenario()).position == 1
    assert positions(database_url) == [1]


def test_a_killed_backend_loses_and_doubles_nothing(database_url):
    async def scenario():
        async with event_log(database_url) as log:

            async def kill():
                async with await psycopg.AsyncConnection.connect(
                    database_url, autocommit=True
                ) as connection:
                    for _ in range(5):
                        await asyncio.sleep(0.05)
                        await connection.execute(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                            " WHERE application_name = 'tidings-append'"
                            " AND datname = current_database()"
                        )

            async def caller():
                done = []
                for _ in range(40):
                    it = counter()
                    done.append((it.id, await log.append(decision(it))))
                return done

            *acknowledged, _ = await asyncio.gather(*(caller() for _ in range(20)), kill())
            return [each for some in acknowledged for each in some]

    acknowledged = asyncio.run(scenario())
    assert len({position.position for _, position in acknowledged}) == 800
    with psycopg.connect(database_url) as connection:
        rows = dict(connection.execute("SELECT stream_id, position FROM log.events").fetchall())
    assert rows == {stream: appended.position for stream, appended in acknowledged}


def test_a_server_that_does_not_answer_ends_in_a_refusal(database_url):
    async def scenario():
        async with event_log(database_url, patience=0.5) as log:
            async with await psycopg.AsyncConnection.connect(database_url) as rival:
                await rival.execute("SELECT pg_advisory_xact_lock(7361018431)")
                with pytest.raises(Unavailable) as refusal:
                    await log.append(decision(counter()))
            assert refusal.value.reason == "outcome_unknown"
            await log.append(decision(counter()))

    asyncio.run(scenario())


def test_closing_commits_what_is_queued(database_url):
    async def scenario():
        async with event_log(database_url, batch=4) as log:
            waiting = [asyncio.ensure_future(log.append(decision(counter()))) for _ in range(50)]
            await asyncio.sleep(0)
            await log.committer.close()
            with pytest.raises(Unavailable):
                await log.append(decision(counter()))
            return await asyncio.gather(*waiting)

    assert len(asyncio.run(scenario())) == 50
    assert len(positions(database_url)) == 50


def test_a_key_answers_the_same_again_and_refuses_another_request(database_url):
    async def scenario():
        async with event_log(database_url) as log:
            key = {"key": b"k", "request": b"r", "answer": b"a"}
            first = await log.append(decision(counter(), **key))
            again = await asyncio.gather(
                *(log.append(decision(counter(), **key)) for _ in range(50))
            )
            other = {**key, "request": b"other"}
            with pytest.raises(Invalid):
                await log.append(decision(counter(), **other))
            await log.append(decision(counter(tenant="acme"), tenant="acme", **other))
            return first, again, await log.answered("demo", b"k", b"r")

    first, again, looked_up = asyncio.run(scenario())
    assert first.answer is None
    assert {(each.position, each.answer) for each in [*again, looked_up]} == {(1, b"a")}
    assert positions(database_url) == [1, 2]


def test_the_application_can_only_read_and_append(database_url):
    with database.connect_sync(database_url, "test") as connection:
        for statement in (
            "UPDATE log.events SET topic = ''",
            "DELETE FROM log.events",
            "TRUNCATE log.events",
            "INSERT INTO log.events VALUES (9, gen_random_uuid(), 1, 't', 't', '', now())",
            "DROP TABLE log.events",
            "UPDATE log.answers SET request = ''",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_a_version_is_unique_over_partitions(database_url):
    """The check in log.append looks into every partition."""
    with administering(database_url) as admin:
        small_partitions(admin, 10)

        async def scenario():
            async with event_log(database_url) as log:
                it, twin = counter(), counter()
                await log.append(decision(it))
                for _ in range(3):
                    await asyncio.gather(*(log.append(decision(counter())) for _ in range(10)))
                (stolen,) = twin.collect_events()
                object.__setattr__(stolen, "originator_id", it.id)
                with pytest.raises(IntegrityError):
                    await log.append(Decision("demo", [stolen]))

        asyncio.run(scenario())


def test_what_has_waited_too_long_is_refused_and_was_not_begun(database_url):
    """Behind a server that stands still nobody waits for the batches before them."""

    async def scenario():
        async with (
            event_log(database_url, patience=0.4, batch=2) as log,
            await psycopg.AsyncConnection.connect(database_url) as rival,
        ):
            await rival.execute("SELECT pg_advisory_xact_lock(7361018431)")
            work = [log.append(decision(counter())) for _ in range(20)]
            began = time.monotonic()
            outcomes = await asyncio.gather(*work, return_exceptions=True)
            return outcomes, time.monotonic() - began

    outcomes, took = asyncio.run(scenario())
    assert all(isinstance(each, Unavailable) for each in outcomes)
    assert [each.reason for each in outcomes] == ["outcome_unknown"] * 2 + ["log_unavailable"] * 18
    assert took < 1.5


def test_the_writer_survives_what_nobody_thought_of(database_url):
    async def scenario():
        async with event_log(database_url) as log:
            append, log.committer._append = log.committer._append, None
            with pytest.raises(Unavailable) as refusal:
                await log.append(decision(counter()))
            log.committer._append = append
            await log.append(decision(counter()))
            return refusal.value.reason

    assert asyncio.run(scenario()) == "outcome_unknown"


def test_when_the_event_loop_ends_nobody_is_left_waiting(database_url):
    async def scenario():
        async with database.pool(database_url, "test") as pool:
            committer = Committer(database_url, batch=2)
            await committer.start()
            log = EventLog(pool, committer)
            async with await psycopg.AsyncConnection.connect(database_url) as rival:
                await rival.execute("SELECT pg_advisory_xact_lock(7361018431)")
                work = [asyncio.ensure_future(log.append(decision(counter()))) for _ in range(6)]
                await asyncio.sleep(0.05)
                committer.task.cancel()
                outcomes = await asyncio.wait_for(asyncio.gather(*work, return_exceptions=True), 5)
            with pytest.raises(Unavailable):
                await log.append(decision(counter()))
            return [each.reason for each in outcomes]

    assert asyncio.run(scenario()) == ["outcome_unknown"] * 2 + ["log_unavailable"] * 4


def test_a_server_that_became_read_only_is_left_for_another(database_url):
    """After a failover the old primary may answer, but takes nothing."""

    async def scenario():
        async with event_log(database_url) as log:
            await log.committer.connection.execute("SET default_transaction_read_only = on")
            return await log.append(decision(counter()))

    assert asyncio.run(scenario()).position == 1


def test_closing_waits_no_longer_than_its_patience(database_url):
    async def scenario():
        async with await psycopg.AsyncConnection.connect(database_url) as rival:
            async with event_log(database_url, patience=0.4, batch=2) as log:
                await rival.execute("SELECT pg_advisory_xact_lock(7361018431)")
                work = [asyncio.ensure_future(log.append(decision(counter()))) for _ in range(20)]
                await asyncio.sleep(0)
                began = time.monotonic()
                await log.committer.close()
                took = time.monotonic() - began
            return await asyncio.gather(*work, return_exceptions=True), took

    outcomes, took = asyncio.run(scenario())
    assert all(isinstance(each, Unavailable) for each in outcomes)
    assert took < 1.5


def test_beyond_its_capacity_the_service_says_when_to_try_again(
    database_url, redis_url, tmp_path, monkeypatch
):
    options = {**Committer.__init__.__kwdefaults__, "capacity": 0}
    monkeypatch.setattr(Committer.__init__, "__kwdefaults__", options)
    with (
        running(database_url, redis_url, tmp_path, background=False) as site,
        site.client() as client,
    ):
        body = {"content": "Hello", "platforms": ["twitter"], "scheduled_for": "2040-01-01"}
        answer = client.post("/api/v1/social/posts", json=body)
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1
    assert positions(database_url) == []
