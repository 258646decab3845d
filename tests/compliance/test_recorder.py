"""Notes for the audit trail: beside the requests, in a bounded queue, and never in the way."""

import asyncio
from datetime import UTC, datetime
from time import perf_counter

import psycopg

from api.noting import note_origin
from domain.identity import Caller, Role
from infrastructure import database, metrics
from infrastructure.audit import recorder as notes
from infrastructure.audit.recorder import Recorder, Refusal


def refusal(n=0, **changes):
    made = Refusal(
        at=datetime.now(UTC),
        tenant="demo",
        actor="eve",
        endpoint="social.posts.create",
        method="POST",
        status=403,
        reason="forbidden",
        address="192.0.2.1",
        request_id=f"r-{n}",
    )
    return made._replace(**changes)


def dropped():
    return metrics.audit_dropped._value.get()


def kept(url):
    with psycopg.connect(url) as connection:
        return [
            id for (id,) in connection.execute("SELECT request_id FROM audit.refusals ORDER BY id")
        ]


def test_what_waits_is_written_when_the_process_closes(database_url):
    async def scene():
        async with database.pool(database_url, "test") as pool:
            recorder = Recorder(pool)
            recorder.start()
            for n in range(2500):
                recorder.note(refusal(n))
            for _ in range(3):
                recorder.note((datetime.now(UTC), "demo", "ann", "r-1", "192.0.2.1"))
            await recorder.close()

    asyncio.run(scene())
    assert kept(database_url) == [f"r-{n}" for n in range(2500)]
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM audit.origins").fetchone() == (1,)


def test_a_full_queue_drops_and_counts(database_url):
    async def scene():
        async with database.pool(database_url, "test") as pool:
            recorder = Recorder(pool, capacity=5)
            for n in range(8):
                recorder.note(refusal(n))
            await recorder.close()

    before = dropped()
    asyncio.run(scene())
    assert dropped() - before == 3
    assert kept(database_url) == [f"r-{n}" for n in range(5)]


def test_a_peer_without_an_address_is_left_out(database_url):
    async def scene():
        async with database.pool(database_url, "test") as pool:
            recorder = Recorder(pool)
            for host in ("", "unix", "fe80::1%eth0", "::ffff:192.0.2.1"):
                recorder.note((datetime.now(UTC), "demo", "ann", f"r-{host}", host))
            await recorder.close()

    asyncio.run(scene())
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT host(address) FROM audit.origins ORDER BY 1").fetchall()
    assert [host for (host,) in rows] == ["::ffff:192.0.2.1", "fe80::1"]


def test_a_lost_database_is_waited_for_and_loses_nothing(database_url):
    async def scene():
        async with database.pool(database_url, "notes", size=1) as pool:
            recorder = Recorder(pool)
            recorder.start()
            recorder.note(refusal(1))
            with psycopg.connect(database_url, autocommit=True) as owner:
                owner.execute("ALTER TABLE audit.refusals RENAME TO away")
                await asyncio.sleep(notes.PAUSE * 2)
                recorder.note(refusal(2))
                owner.execute("ALTER TABLE audit.away RENAME TO refusals")
            async with asyncio.timeout(5):
                while len(await asyncio.to_thread(kept, database_url)) < 2:
                    await asyncio.sleep(0.05)
            await recorder.close()

    asyncio.run(scene())
    assert kept(database_url) == ["r-1", "r-2"]


def test_a_note_that_cannot_be_written_does_not_hold_up_the_next(database_url):
    async def scene():
        async with database.pool(database_url, "test") as pool:
            recorder = Recorder(pool)
            recorder.start()
            recorder.note(refusal(1, address="no address"))
            await asyncio.sleep(notes.PAUSE * 2)
            recorder.note(refusal(2))
            await recorder.close()

    before = dropped()
    asyncio.run(scene())
    assert dropped() - before == 1
    assert kept(database_url) == ["r-2"]


def test_a_note_takes_microseconds():
    at_once = 1000

    async def scene():
        recorder = Recorder(None)
        caller = Caller("demo", "ann", Role.ADMIN)
        scope = {"client": ("192.0.2.1", 1), "state": {"request_id": "r"}}
        best = 1.0
        for _ in range(10):
            began = perf_counter()
            for _ in range(at_once):
                note_origin(recorder, scope, caller)
            best = min(best, (perf_counter() - began) / at_once)
        return best

    assert asyncio.run(scene()) < 5e-6
