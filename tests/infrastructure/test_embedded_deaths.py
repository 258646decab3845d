"""The embedded PostgreSQL and whatever is killed around it."""

import os
import signal
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from infrastructure.embedded import (
    EmbeddedPostgres,
)
from tests.infrastructure.embedded_rooms import (
    HOLD_POSTGRES,
    IS_ROOT,
    assert_nothing_runs,
    eventually,
    execute,
    line_of,
    python,
    running,
)


def test_committed_rows_survive_the_kill_of_the_server(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    assert postgres.process is not None
    # This backend never looks up to see that its server is gone.
    busy = psycopg.connect(postgres.url(), autocommit=True)
    busy.pgconn.send_query(b"DO $$ BEGIN LOOP END LOOP; END $$")
    execute(postgres.url(), "INSERT INTO kept VALUES (1)")
    before = set(running(postgres.directory))

    postgres.process.kill()
    postgres.process.wait()
    assert not postgres.alive()
    postgres.start()

    assert execute(postgres.url(), "SELECT n FROM kept") == [(1,)]
    assert not before & set(running(postgres.directory))
    busy.close()


def test_the_server_recovers_by_itself_from_the_kill_of_a_backend(
    postgres: EmbeddedPostgres,
) -> None:
    postgres.start()
    execute(postgres.url(), "INSERT INTO kept VALUES (1)")
    with closing(psycopg.connect(postgres.url())) as victim:
        os.kill(victim.info.backend_pid, signal.SIGKILL)

        def recovered() -> bool:
            with suppress(psycopg.OperationalError):
                return execute(postgres.url(), "SELECT n FROM kept") == [(1,)]
            return False

        eventually(recovered)
    assert postgres.alive()


def test_committed_rows_survive_the_kill_of_everything(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    execute(postgres.url(), "INSERT INTO kept VALUES (1)")
    for pid in running(postgres.directory):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert postgres.process is not None
    postgres.process.wait()

    again = EmbeddedPostgres(postgres.directory)
    again.start()
    assert execute(again.url(), "SELECT n FROM kept") == [(1,)]
    again.stop()


def test_the_server_ends_with_the_process_that_started_it(postgres: EmbeddedPostgres) -> None:
    starter = python(HOLD_POSTGRES, postgres.directory)
    assert line_of(starter) == "started"
    starter.kill()
    starter.communicate()
    assert_nothing_runs(postgres.directory)


def test_a_start_waits_for_the_shutdown_of_a_server_whose_starter_was_killed(
    postgres: EmbeddedPostgres,
) -> None:
    starter = python(HOLD_POSTGRES, postgres.directory)
    assert line_of(starter) == "started"
    starter.kill()
    starter.communicate()
    postgres.start()
    assert postgres.process is not None
    assert execute(postgres.url(), "SELECT count(*) FROM kept") == [(0,)]


def test_the_process_id_of_a_dead_server_may_belong_to_a_stranger(
    postgres: EmbeddedPostgres,
) -> None:
    postgres.start()
    assert postgres.process is not None
    postgres.process.kill()
    postgres.process.wait()
    owner = postgres.data.stat().st_uid
    # Of the same user, or PostgreSQL itself would know it for a stranger.
    stranger = subprocess.Popen(["sleep", "60"], user=owner if IS_ROOT else None)
    try:
        lock = postgres.data / "postmaster.pid"
        lines = lock.read_text().split("\n")
        lock.write_text("\n".join([str(stranger.pid), *lines[1:]]))
        postgres.start()
        assert execute(postgres.url(), "SELECT 1") == [(1,)]
        postgres.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_empty_lock_file_of_a_crashed_machine_is_no_obstacle(
    postgres: EmbeddedPostgres,
) -> None:
    (postgres.data / "postmaster.pid").touch()
    postgres.sockets.mkdir(mode=0o700)
    (postgres.sockets / ".s.PGSQL.5432.lock").touch()
    postgres.start()
    assert execute(postgres.url(), "SELECT 1") == [(1,)]


@pytest.mark.slow
def running_below(place: Path) -> list[psutil.Process]:
    """Processes that name the place in their command."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(place) in part for part in process.info["cmdline"] or ())
        and process.pid != os.getpid()
    ]


def test_a_killed_first_start_leaves_no_half_made_data(place: Path) -> None:
    starter = python(HOLD_POSTGRES, place)
    eventually(lambda: list(place.glob("initdb-*/base")))
    starter.kill()
    starter.communicate()
    assert not (place / "data").exists()
    eventually(lambda: not running_below(place))  # what it had started is on its way out

    server = EmbeddedPostgres(place, durable=False)
    server.start()
    assert execute(server.url(), "SELECT 1") == [(1,)]
    server.stop()
    assert not list(place.glob("initdb-*"))
