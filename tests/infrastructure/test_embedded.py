"""The embedded servers, with everything killed that can be killed."""

import os
import pwd
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from infrastructure.embedded import (
    EmbeddedPostgres,
    EmbeddedServerError,
    EmbeddedServers,
    EmbeddedValkey,
)
from infrastructure.embedded.directories import fingerprint, locked, socket_directory

ROOT = Path(__file__).parents[2]
IS_ROOT = os.geteuid() == 0
NOBODY = pwd.getpwnam("nobody")

CAPABILITY_DAC_OVERRIDE = 1 << 1


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory with a space in its name, below which no server may be left running."""
    directory = tmp_path / "a place"
    directory.mkdir()
    yield directory
    assert_nothing_runs(directory)
    remove_sockets(directory)


@pytest.fixture
def postgres(place: Path, copy_cluster: Callable[[Path], None]) -> Iterator[EmbeddedPostgres]:
    """A durable server that is not yet started."""
    copy_cluster(place / "postgres")
    server = EmbeddedPostgres(place / "postgres")
    yield server
    server.stop()


@pytest.fixture
def home(place: Path, copy_cluster: Callable[[Path], None]) -> Path:
    """A data directory of which no server is running."""
    copy_cluster(place / "postgres")
    return place


def remove_sockets(place: Path) -> None:
    """What killed servers leave in /tmp when the path of `place` is long, as under pytest-xdist."""
    for directory in (place, *place.iterdir()):
        if not socket_directory(directory).is_relative_to(directory):
            shutil.rmtree(socket_directory(directory), ignore_errors=True)


def execute(url: str, query: str) -> list[tuple[object, ...]]:
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


def running(directory: Path) -> dict[int, str]:
    """Processes of servers below `directory`, by what their command line or title says."""
    marks = [os.fsencode(directory), f"tidings-{fingerprint(directory / 'data')}".encode()]
    marks.append(f"tidings-{fingerprint(directory / 'postgres/data')}".encode())
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with suppress(OSError):
                line = (entry / "cmdline").read_bytes()
                if any(mark in line for mark in marks):
                    found[int(entry.name)] = line.replace(b"\0", b" ").decode().strip()
    return found


def assert_nothing_runs(directory: Path) -> None:
    deadline = time.monotonic() + 15
    while left := running(directory):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def eventually(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def python(program: str, *arguments: object) -> "subprocess.Popen[str]":
    """Run a program that talks by lines: it may import all of Tidings, and `Path` is there."""
    return subprocess.Popen(
        [sys.executable, "-c", "import sys\nfrom pathlib import Path\n" + program]
        + [str(each) for each in arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: "subprocess.Popen[str]") -> None:
    """Close the program's input, upon which it leaves."""
    process.communicate(timeout=30)
    assert process.returncode == 0


HOLD_SERVERS = """
import psycopg
from infrastructure.embedded import EmbeddedServers
with EmbeddedServers(Path(sys.argv[1])) as servers:
    with psycopg.connect(servers.database_url) as connection:
        print(connection.execute("SELECT pg_postmaster_start_time()").fetchone()[0], flush=True)
    sys.stdin.read()
"""

HOLD_POSTGRES = """
from infrastructure.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print("started" if server.process else "found", flush=True)
sys.stdin.read()
server.stop()
"""


# PostgreSQL


def test_a_cold_and_a_warm_start(place: Path) -> None:
    server = EmbeddedPostgres(place / "not/yet", durable=False)
    server.start()
    execute(server.url(), "CREATE TABLE kept AS SELECT 7 AS n")
    assert execute(server.url(), "SHOW listen_addresses") == [("",)]
    assert execute(server.url(), "SELECT datcollate, datlocale FROM pg_database LIMIT 1") == [
        ("C.UTF-8", "C.UTF-8")
    ]
    server.stop()
    assert_nothing_runs(place)

    server.start()
    assert execute(server.url(), "SELECT n FROM kept") == [(7,)]
    server.stop()


def test_commits_are_flushed_unless_the_data_is_for_tests(place: Path) -> None:
    durable = EmbeddedPostgres(place)
    assert not {"fsync", "full_page_writes", "synchronous_commit"} & durable.settings.keys()
    assert EmbeddedPostgres(place, durable=False).settings["fsync"] == "off"


def test_settings_of_the_caller_win(place: Path, postgres: EmbeddedPostgres) -> None:
    server = EmbeddedPostgres(postgres.directory, settings={"max_connections": "20"})
    server.start()
    assert execute(server.url(), "SHOW max_connections") == [("20",)]
    server.stop()


def test_the_application_is_no_superuser(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    assert execute(
        postgres.url(), "SELECT current_user, usesuper FROM pg_user WHERE usename = current_user"
    ) == [("tidings", False)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(postgres.url(), "COPY (SELECT 1) TO PROGRAM 'true'")


def test_a_path_too_long_for_a_socket(place: Path) -> None:
    server = EmbeddedPostgres(place / ("long " * 22), durable=False)
    server.start()
    assert execute(server.url(), "SELECT 1") == [(1,)]
    sockets = server.sockets
    assert sockets.parent == Path("/tmp") and stat.S_IMODE(sockets.stat().st_mode) == 0o700
    server.stop()
    assert not sockets.exists()


def test_quotes_and_commas_in_the_path(place: Path, postgres: EmbeddedPostgres) -> None:
    odd = postgres.directory.rename(place / """it's, "odd" %20?&=""")
    server = EmbeddedPostgres(odd)
    server.start()
    assert execute(server.url(), "SELECT 1") == [(1,)]
    server.stop()


@pytest.mark.slow
def test_eight_simultaneous_starts_make_one_server(place: Path) -> None:
    starters = [python(HOLD_POSTGRES, place) for _ in range(8)]
    said = sorted(line_of(each) for each in starters)
    assert said == ["found"] * 7 + ["started"]
    for each in starters:
        end(each)


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


def test_data_of_another_major_version_is_refused(postgres: EmbeddedPostgres) -> None:
    (postgres.data / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedServerError) as refusal:
        postgres.start()
    assert str(refusal.value).startswith(
        f"{postgres.data} was made by PostgreSQL 16 and cannot be used by PostgreSQL 18: "
    )


def test_an_unusable_directory_is_named(place: Path) -> None:
    (place / "file").write_text("")
    for server in (EmbeddedPostgres(place / "file/x"), EmbeddedValkey(place / "file/x")):
        with pytest.raises(EmbeddedServerError, match=r"^/.*/file/x cannot be used: Not a direc"):
            server.start()


def test_what_keeps_the_server_from_starting_is_told_in_one_line(
    postgres: EmbeddedPostgres,
) -> None:
    server = EmbeddedPostgres(postgres.directory, settings={"max_connections": "many"})
    with pytest.raises(EmbeddedServerError) as refusal:
        server.start()
    assert str(refusal.value) == (
        f"PostgreSQL in {server.data} did not start:"
        ' invalid value for parameter "max_connections": "many"'
    )
    assert server.process is None


def test_a_full_disk_at_the_first_start_is_told_in_one_line(place: Path) -> None:
    size = resource.getrlimit(resource.RLIMIT_FSIZE)
    server = EmbeddedPostgres(place / "full", durable=False)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, size[1]))
    try:
        with pytest.raises(EmbeddedServerError) as refusal:
            server.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, size)
    assert str(refusal.value).startswith(f"{server.data} cannot be made: ")
    assert "File too large" in str(refusal.value) and "\n" not in str(refusal.value)
    assert not list(server.directory.glob("initdb-*"))


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.embedded.postgres.STOP_SECONDS", 0.5)
    postgres.start()
    assert postgres.process is not None
    os.kill(postgres.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(EmbeddedServerError, match=rf"held by process {postgres.process.pid},"):
            EmbeddedPostgres(postgres.directory).start()
    finally:
        os.kill(postgres.process.pid, signal.SIGCONT)


def test_the_log_repeats_no_personal_data(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    execute(postgres.url(), "CREATE TABLE people (address text UNIQUE)")
    insert = "INSERT INTO people VALUES ('ada@example.org')"
    execute(postgres.url(), insert)
    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(postgres.url(), insert)
    assert "ada@" not in postgres.log.read_text()


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user has one way only")
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_root_runs_it_as_another_user_and_leaves_the_parents_alone(
    copy_cluster: Callable[[Path], None], mode: int
) -> None:
    parent = Path(tempfile.mkdtemp(prefix="tidings-test-", dir="/tmp"))
    parent.chmod(mode)
    copy_cluster(parent / "postgres")
    server = EmbeddedPostgres(parent / "postgres")
    server.start()
    try:
        assert server.process is not None
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        rights = CAPABILITY_DAC_OVERRIDE if mode == 0o700 else 0
        assert "0" not in status["Uid"].split()
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == rights
        assert stat.S_IMODE(parent.stat().st_mode) == mode
        assert stat.S_IMODE(server.sockets.stat().st_mode) == 0o700
        # With rights to pass where its like may not, the server must be out of their reach.
        assert (server.sockets.stat().st_uid == 0) == (mode == 0o700)
    finally:
        server.stop()
        shutil.rmtree(parent)


def as_nobody(work: Callable[[], str]) -> str:
    """What `work` returns or raises in a process of the user `nobody`."""
    reader, writer = os.pipe()
    if not (pid := os.fork()):
        try:
            os.setgroups([])
            os.setresgid(NOBODY.pw_gid, NOBODY.pw_gid, NOBODY.pw_gid)
            os.setresuid(NOBODY.pw_uid, NOBODY.pw_uid, NOBODY.pw_uid)
            try:
                answer = work()
            except Exception as error:  # noqa: BLE001 -- told to the parent, which asserts on it
                answer = repr(error)
            os.write(writer, answer.encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as answer_pipe:
        answer = answer_pipe.read()
    os.waitpid(pid, 0)
    return answer


@pytest.mark.skipif(not IS_ROOT, reason="only root can become an ordinary user")
@pytest.mark.slow
def test_an_ordinary_user_runs_it_as_itself() -> None:
    home = Path(tempfile.mkdtemp(prefix="tidings-test-", dir="/tmp"))
    os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)

    def work() -> str:
        postgres, valkey = EmbeddedPostgres(home / "p", durable=False), EmbeddedValkey(home / "v")
        postgres.start()
        valkey.start()
        owner = postgres.data.stat().st_uid
        answer = f"{execute(postgres.url(), 'SELECT 1')} {valkey.alive()} {owner}"
        postgres.stop()
        valkey.stop()
        return answer

    try:
        assert as_nobody(work) == f"[(1,)] True {NOBODY.pw_uid}"
        home.chmod(0o555)
        refused = as_nobody(lambda: str(EmbeddedPostgres(home / "q").start()))
        assert refused == f"EmbeddedServerError('{home}/q cannot be used: Permission denied')"
        # Root takes care of a cluster of somebody else without making it its own.
        server = EmbeddedPostgres(home / "p", durable=False)
        server.start()
        server.stop()
        assert {each.stat().st_uid for each in (home / "p/data").iterdir()} == {NOBODY.pw_uid}
    finally:
        shutil.rmtree(home)
    assert_nothing_runs(home)


@pytest.mark.skipif(not IS_ROOT, reason="only root can own a directory and look like another user")
def test_a_socket_directory_of_another_user_is_refused(place: Path) -> None:
    valkey = EmbeddedValkey(place / ("x" * 100))
    assert valkey.sockets.parent == Path("/tmp")
    valkey.sockets.mkdir()
    try:
        os.chown(valkey.sockets, NOBODY.pw_uid, NOBODY.pw_gid)
        with pytest.raises(EmbeddedServerError, match="belongs to another user"):
            valkey.start()
    finally:
        valkey.sockets.rmdir()


# Valkey


@pytest.fixture
def valkey(place: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(place / "valkey")
    server.start()
    yield server
    server.stop()


def test_valkey_listens_on_its_socket_alone_and_is_bounded(valkey: EmbeddedValkey) -> None:
    with redis.Redis.from_url(valkey.url(), decode_responses=True) as client:
        assert client.set("a", "b") and client.get("a") == "b"
        settings = client.config_get("*")
    assert settings["port"] == "0" and settings["save"] == "" and settings["appendonly"] == "no"
    assert int(settings["maxmemory"]) == 128 * 1024**2
    assert settings["maxmemory-policy"] == "allkeys-lru"


def test_valkey_starts_again_after_a_kill_and_is_found_by_others(valkey: EmbeddedValkey) -> None:
    assert valkey.process is not None
    valkey.process.kill()
    valkey.process.wait()
    assert not valkey.alive()
    valkey.start()
    other = EmbeddedValkey(valkey.directory)
    other.start()
    assert other.process is None and other.alive()
    other.stop()
    assert valkey.alive()


def test_valkey_ends_at_once_with_its_starter(place: Path) -> None:
    program = """
from infrastructure.embedded import EmbeddedValkey
EmbeddedValkey(Path(sys.argv[1])).start()
print("started", flush=True)
sys.stdin.read()
"""
    starter = python(program, place / "valkey")
    assert line_of(starter) == "started"
    starter.kill()
    starter.communicate()
    assert_nothing_runs(place)


def test_what_keeps_valkey_from_starting_is_told_in_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.embedded.valkey.MEMORY", "much")
    server = EmbeddedValkey(place)
    with pytest.raises(EmbeddedServerError) as refusal:
        server.start()
    assert str(refusal.value).startswith(f"Valkey in {place} did not start: ")
    assert "memory" in str(refusal.value) and "\n" not in str(refusal.value)
    assert server.process is None


def test_valkey_of_another_directory_is_not_taken_for_ours(valkey: EmbeddedValkey) -> None:
    other = EmbeddedValkey(valkey.directory.parent / "other")
    other.sockets.mkdir(parents=True)
    other.socket.symlink_to(valkey.socket)
    with pytest.raises(EmbeddedServerError, match=r"valkey\.sock is taken by another server"):
        other.start()


# Both, shared by processes


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


# Directories


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


# The fixtures of all tests


def test_each_test_has_a_database_and_a_cache_of_its_own(
    database_url: str, create_database: Callable[[str | None], str], redis_url: str
) -> None:
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'log'"
    assert execute(database_url, tables) != [(0,)]
    assert execute(create_database(None), tables) == [(0,)]
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
