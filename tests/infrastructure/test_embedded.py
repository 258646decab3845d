"""Both servers, shared by processes, and the directories they are in."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from infrastructure.embedded import (
    EmbeddedServerError,
    EmbeddedServers,
)
from infrastructure.embedded.directories import locked, socket_directory
from tests.infrastructure.embedded_rooms import (
    HOLD_SERVERS,
    assert_nothing_runs,
    end,
    eventually,
    execute,
    line_of,
    python,
    running,
)


@pytest.mark.slow
def test_eight_processes_share_the_servers_and_the_last_one_out_stops_them(home: Path) -> None:
    users = [python(HOLD_SERVERS, home) for _ in range(8)]
    assert len({line_of(each) for each in users}) == 1
    killed, *others, last = users
    killed.kill()
    killed.communicate()
    for each in others:
        end(each)
    database = EmbeddedServers(home).database_url
    assert execute(database, "SELECT 1") == [(1,)]
    end(last)
    assert_nothing_runs(home)


@pytest.mark.slow
def test_the_servers_outlive_the_process_that_started_them(home: Path) -> None:
    first, second = EmbeddedServers(home), EmbeddedServers(home)
    first.start()
    second.start()
    assert first.process is not None and second.process is None
    first.stop()
    assert second.alive() and not first.alive()
    assert execute(second.database_url, "SELECT 1") == [(1,)]
    with redis.Redis.from_url(second.redis_url) as client:
        assert client.ping()
    second.stop()
    assert_nothing_runs(home)


@pytest.mark.slow
def test_servers_whose_keeper_or_everything_was_killed_start_again(home: Path) -> None:
    with EmbeddedServers(home) as servers:
        execute(servers.database_url, "INSERT INTO kept VALUES (7)")
        assert servers.process is not None
        servers.process.kill()
        servers.process.wait()
        assert not servers.alive()
        servers.start()
        assert execute(servers.database_url, "SELECT n FROM kept") == [(7,)]

        for pid in running(home):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not servers.alive())
        servers.start()
        assert execute(servers.database_url, "SELECT n FROM kept") == [(7,)]
        with redis.Redis.from_url(servers.redis_url) as client:
            assert client.ping()
    assert_nothing_runs(home)


@pytest.mark.slow
def test_only_the_wanted_server_is_started_and_the_other_joins_it(home: Path) -> None:
    with EmbeddedServers(home, postgres=False) as cache_only:
        assert not any("bin/postgres" in each for each in running(home).values())
        with EmbeddedServers(home) as both:
            assert both.process is None and cache_only.process is not None
            assert execute(both.database_url, "SELECT 1") == [(1,)]
    assert_nothing_runs(home)


def test_the_keeper_hands_on_why_a_server_does_not_start(place: Path) -> None:
    (place / "postgres/data").mkdir(parents=True)
    (place / "postgres/data/PG_VERSION").write_text("9.6\n")
    with pytest.raises(EmbeddedServerError, match=r"made by PostgreSQL 9\.6 and cannot"):
        EmbeddedServers(place).start()


def test_a_killed_starter_takes_its_unused_keeper_with_it(home: Path) -> None:
    starter = python(HOLD_SERVERS, home)
    eventually(lambda: any("keeper" in each for each in running(home).values()))
    starter.kill()
    starter.communicate()
    assert_nothing_runs(home)


def test_a_lock_that_stays_taken_is_named(place: Path) -> None:
    with (
        locked(place / "lock", 1),
        pytest.raises(EmbeddedServerError, match=r"/lock has been locked for 0 seconds"),
        locked(place / "lock", 0),
    ):
        pass


def test_sockets_are_inside_unless_the_path_is_too_long() -> None:
    assert socket_directory(Path("/a")) == Path("/a/run")
    assert len(os.fsencode(socket_directory(Path("/" + "ä" * 60)))) < 85


def test_each_test_has_a_database_and_a_cache_of_its_own(
    database_url: str, create_database: Callable[[str | None], str], redis_url: str
) -> None:
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'log'"
    assert execute(database_url, tables) != [(0,)]
    assert execute(create_database(None), tables) == [(0,)]
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
