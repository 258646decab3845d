"""Projectors that die, are paused, or lose their connection or their server."""

import asyncio
import signal
import time
from uuid import uuid4

import psycopg
import pytest

from infrastructure import database
from infrastructure.embedded import EmbeddedPostgres
from tests.infrastructure.read_side import (
    administering,
    caught_up,
    enrolled,
    everything,
    opened,
    plainly,
    program,
    projecting,
    until,
    write,
)
from tests.rooms import MODELS


def test_a_lost_connection_is_made_again(database_url):
    async def lose():
        async with projecting(database_url):
            await caught_up(database_url)
            for name in ("tidings-project-control", "tidings-project"):
                write(database_url, opened(3))
                with administering(database_url) as admin:
                    killed = admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND application_name = %s",
                        [name],
                    ).fetchall()
                assert killed == [(True,)]
                write(database_url, opened(3))
                await caught_up(database_url, seconds=5)

    asyncio.run(lose())
    with administering(database_url) as admin:
        assert everything(admin) == plainly(database_url, admin)


def owners(admin: psycopg.Connection) -> dict[str, int]:
    """Which backend folds what."""
    return dict(
        admin.execute(
            "SELECT m.name, l.pid FROM read.models m JOIN pg_locks l"
            " ON l.locktype = 'advisory' AND l.classid = 73610181 AND l.objid = m.id::oid"
            " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchall()
    )


def shared(admin: psycopg.Connection, number: int) -> dict[str, int]:
    """Wait until as many sessions share the read models."""
    end = time.monotonic() + 15
    while len(set((found := owners(admin)).values())) < number or len(found) < len(MODELS):
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def folded_everything(url: str, seconds: float) -> float:
    """Seconds until all is folded."""
    began = time.monotonic()
    asyncio.run(caught_up(url, seconds=seconds))
    return time.monotonic() - began


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_the_share_of_a_dead_or_paused_process_is_taken_over_within_five_seconds(
    database_url, sign
):
    with (
        administering(database_url) as admin,
        program("project", database_url) as one,
        program("project", database_url),
    ):
        shared(admin, 2)
        write(database_url, opened(50))
        folded_everything(database_url, 5)
        write(database_url, opened(2000))
        one.send_signal(sign)  # in the midst of it
        write(database_url, opened(50))
        assert folded_everything(database_url, 5) < 5
        assert len(set(owners(admin).values())) == 1
        one.send_signal(signal.SIGCONT)
        if sign == signal.SIGSTOP:  # it finds out, comes back, and gets its share again
            shared(admin, 2)
        write(database_url, opened(50))
        folded_everything(database_url, 5)
        assert everything(admin) == plainly(database_url, admin)


def test_what_a_projector_held_is_free_when_it_ends(database_url):
    with administering(database_url) as admin:
        for _ in range(2):
            with program("project", database_url) as process:
                shared(admin, 1)
                process.send_signal(signal.SIGINT)
                process.wait(5)
            assert owners(admin) == {}


def test_what_a_crash_of_the_server_loses_is_folded_again(server_directory):
    server = EmbeddedPostgres(server_directory / uuid4().hex)
    server.start()
    url = server.url()

    async def crash() -> None:
        await enrolled(url)
        async with projecting(url):
            for _ in range(2):
                # Folded rows are committed without waiting for the disk: some get lost.
                write(url, opened(300))
                await until(url, lambda now: now["accounts"].position > 0)
                server.process.kill()
                server.start()
            write(url, opened(10))
            await caught_up(url)

    try:
        database.migrate(url)
        asyncio.run(crash())
        with administering(url) as admin:
            assert everything(admin) == plainly(url, admin)
    finally:
        server.stop()
