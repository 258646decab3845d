"""The embedded PostgreSQL: how it starts, and what keeps it from starting."""

import os
import resource
import shutil
import signal
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from infrastructure.embedded import (
    EmbeddedPostgres,
    EmbeddedServerError,
    EmbeddedValkey,
)
from tests.infrastructure.embedded_rooms import (
    CAPABILITY_DAC_OVERRIDE,
    HOLD_POSTGRES,
    IS_ROOT,
    NOBODY,
    assert_nothing_runs,
    end,
    execute,
    line_of,
    python,
)


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
