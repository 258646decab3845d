"""The supervisor, as a process of its own that is killed, signalled and refused."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
import redis

from infrastructure.embedded import EmbeddedServers
from infrastructure.embedded.directories import socket_directory
from infrastructure.forking import FIRST_DELAY, LONGEST_DELAY, Watch
from infrastructure.supervisor import (
    AlreadyServing,
    sole_server,
)

ROOT = Path(__file__).parents[2]

PRELUDE = """
import logging, os, signal, sys, time
from pathlib import Path
from infrastructure import supervisor
from infrastructure.embedded import EmbeddedServerError, EmbeddedServers
from infrastructure.embedded.directories import socket_directory
from infrastructure.forking import FIRST_DELAY, LONGEST_DELAY, Watch
from infrastructure.supervisor import AlreadyServing, Child, ChildRefused, Supervisor, sole_server

place = Path(sys.argv[1])
logging.basicConfig(level=logging.INFO)

def note(name, text):
    with (place / name).open("a") as file:
        file.write(f"{text}\\n")

def sleeper(name):
    def run():
        note(name, os.getpid())
        while True:
            time.sleep(60)
    return run
"""

SERVE = """
servers = EmbeddedServers(place / "data")
children = [Child("web", sleeper("web")), Child("work", sleeper("work"), nice=5)]
try:
    with sole_server(place / "data"):
        sys.exit(Supervisor(children, [servers]).run())
except AlreadyServing as error:
    sys.exit(str(error))
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory for a program, of which no process may be left at the end."""
    yield tmp_path
    eventually(lambda: not processes(tmp_path))
    data = tmp_path / "data"
    for directory in (data, data / "postgres", data / "valkey"):
        # Killed servers leave it in /tmp when the path is long, as under pytest-xdist.
        shutil.rmtree(socket_directory(directory), ignore_errors=True)


@pytest.fixture
def home(place: Path, copy_cluster: Callable[[Path], None]) -> Path:
    """The same with a database, so that a first start is a quick one."""
    copy_cluster(place / "data/postgres")
    return place


@pytest.fixture
def start(place: Path) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """Runs a program in a session of its own, and ends it with the test."""
    started: list[subprocess.Popen[str]] = []

    def run(program: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + program, place],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def eventually(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def processes(place: Path) -> dict[int, str]:
    """Processes whose command line speaks of `place`: supervisors, children, keeper, servers."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                line = (entry / "cmdline").read_bytes()
                if os.fsencode(place) in line:
                    found[int(entry.name)] = line.replace(b"\0", b" ").decode()
    return found


def notes(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def server_ids(place: Path) -> dict[str, int]:
    """The servers' process ids by the name of their program."""
    names = ("bin/postgres ", "valkey-server ", "embedded.keeper ")
    return {
        name.strip(): pid
        for pid, line in processes(place).items()
        for name in names
        if name in line
    }


def answers(servers: EmbeddedServers) -> bool:
    with suppress(psycopg.Error, redis.RedisError):
        with psycopg.connect(servers.database_url, connect_timeout=2) as connection:
            connection.execute("SELECT 1")
        with redis.Redis.from_url(servers.redis_url) as client:
            return bool(client.ping())
    return False


def serving(place: Path) -> bool:
    return bool(notes(place / "web") and notes(place / "work"))


# With servers


@pytest.mark.slow
def test_whatever_is_killed_comes_back_and_sigterm_ends_all(
    home: Path, start: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    process = start(SERVE)
    eventually(lambda: serving(home))
    servers = EmbeddedServers(home / "data")
    assert answers(servers)

    os.kill(int(notes(home / "web")[0]), signal.SIGKILL)
    eventually(lambda: len(notes(home / "web")) == 2)

    for name in ("bin/postgres", "valkey-server", "embedded.keeper"):
        victim = server_ids(home)[name]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: server_ids(home).get(name, victim) != victim)  # noqa: B023
        eventually(lambda: answers(servers))

    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert len(notes(home / "work")) == 1


@pytest.mark.slow
def test_the_kill_of_the_supervisor_ends_all(
    home: Path, start: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    process = start(SERVE)
    eventually(lambda: serving(home))
    process.kill()
    eventually(lambda: not processes(home))


@pytest.mark.slow
def test_the_kill_of_everything_is_survived(
    home: Path, start: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    start(SERVE)
    eventually(lambda: serving(home))
    for pid in processes(home):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not processes(home))
    again = start(SERVE)
    eventually(lambda: len(notes(home / "web")) == 2)
    assert answers(EmbeddedServers(home / "data"))
    again.terminate()
    again.communicate(timeout=30)
    assert again.returncode == 0


@pytest.mark.slow
def test_a_second_one_on_the_same_directory_is_refused(
    home: Path, start: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    first = start(SERVE)
    eventually(lambda: serving(home))
    second = start(SERVE)
    _, told = second.communicate(timeout=20)
    assert told == f"{home}/data is already served by process {first.pid}\n"
    assert second.returncode == 1
    assert answers(EmbeddedServers(home / "data"))


@pytest.mark.slow
def test_a_signal_during_the_first_start_is_obeyed(
    place: Path, start: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    process = start(SERVE)
    eventually(lambda: server_ids(place))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert not serving(place)


@pytest.mark.slow
def test_children_stop_while_the_servers_still_answer(
    home: Path, start: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    program = """
import psycopg
servers = EmbeddedServers(place / "data")

def run():
    def stop(*_):
        with psycopg.connect(servers.database_url) as connection:
            note("last", connection.execute("SELECT 1").fetchone()[0])
        sys.exit(0)
    signal.signal(signal.SIGTERM, stop)
    note("web", os.getpid())
    while True:
        time.sleep(60)

sys.exit(Supervisor([Child("web", run)], [servers]).run())
"""
    process = start(program)
    eventually(lambda: notes(home / "web"))
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert notes(home / "last") == ["1"]


def test_a_server_that_cannot_be_started_stops_all(
    place: Path, start: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    (place / "data").write_text("not a directory")
    program = """
try:
    Supervisor([Child("web", sleeper("web"))], [EmbeddedServers(place / "data")]).run()
except EmbeddedServerError as error:
    sys.exit(str(error))
"""
    process = start(program)
    _, told = process.communicate(timeout=20)
    assert told == f"{place}/data cannot be used: File exists\n"
    assert not notes(place / "web")


# Without servers


def test_a_child_that_refuses_again_and_again_stops_all_with_its_reason(
    place: Path, start: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    program = """
def refuse():
    note("refused", os.getpid())
    raise ValueError("JWT_SECRET_KEY must be longer.")

children = [Child("web", refuse), Child("work", sleeper("work"))]
try:
    Supervisor(children, refusals=(ValueError,)).run()
except ChildRefused as error:
    sys.exit(f"told: {error}")
"""
    process = start(program)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 1
    assert told.splitlines()[-1] == "told: web: JWT_SECRET_KEY must be longer."
    assert len(set(notes(place / "refused"))) == 5
    assert "Traceback" not in told


def test_a_child_that_only_fails_is_tried_for_ever_and_never_in_a_hurry(
    place: Path, start: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    program = """
def fail():
    note("tried", time.monotonic())
    raise RuntimeError("the reason")

sys.exit(Supervisor([Child("web", fail)]).run())
"""
    process = start(program)
    eventually(lambda: len(notes(place / "tried")) == 4)
    process.terminate()
    _, told = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "web failed" in told and "RuntimeError: the reason" in told
    times = [float(each) for each in notes(place / "tried")]
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert all(wait >= 0.1 * 2**n for n, wait in enumerate(waits))


def test_a_child_that_does_not_stop_is_killed(
    place: Path, start: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    program = """
supervisor.GRACE = 1.0

def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleeper("web")()

def remain():
    if not os.fork():
        sleeper("grandchild")()
    sleeper("work")()

status = Supervisor([Child("web", deaf), Child("work", remain)]).run()
os.kill(int((place / "grandchild").read_text()), signal.SIGKILL)
note("used", time.process_time())
sys.exit(status)
"""
    process = start(program)
    eventually(lambda: serving(place) and notes(place / "grandchild"))
    process.terminate()
    _, told = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "web does not stop and is killed" in told
    assert not {"work does not stop and is killed", "Traceback"} & set(told.splitlines())
    assert float(notes(place / "used")[0]) < 0.9  # it waited, not span


def test_a_child_has_its_priority_and_shares_group_and_modules(
    place: Path, start: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    program = """
here = object()
print("said once", end="")

def run():
    note("web", f"{os.nice(0)} {os.getpgid(0)} {id(here)}")
    sleeper("pid")()

note("web", f"5 {os.getpgid(0)} {id(here)}")
sys.exit(Supervisor([Child("web", run, nice=5)]).run())
"""
    process = start(program)
    eventually(lambda: notes(place / "pid"))
    process.terminate()
    said, _ = process.communicate(timeout=10)
    told = notes(place / "web")
    assert told[:3] == told[3:]
    assert said == "said once"


def test_orphans_that_fall_to_the_supervisor_are_reaped(
    place: Path, start: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    program = """
import ctypes
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER, as the first of a container

def run():
    if not os.fork():
        if not os.fork():
            note("orphan", os.getpid())
            time.sleep(0.2)
        os._exit(0)
    sleeper("web")()

sys.exit(Supervisor([Child("web", run)]).run())
"""
    start(program)
    eventually(lambda: notes(place / "orphan"))
    eventually(lambda: not Path(f"/proc/{notes(place / 'orphan')[0]}").exists())


def test_the_delay_doubles_and_is_forgotten_after_a_long_life() -> None:
    watch, now = Watch(), 100.0
    assert watch.due(now)
    waited = []
    for life in (1.0,) * 8 + (11.0,):
        watch.begun(now)
        now += life
        assert not watch.due(now)
        waited.append(round(watch.not_before - now, 3))
        now = watch.not_before
        assert watch.due(now)
    assert waited == [FIRST_DELAY, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_DELAY, LONGEST_DELAY, 0.1]


def test_only_one_holds_the_right_to_serve_a_directory(tmp_path: Path) -> None:
    with (
        sole_server(tmp_path / "new"),
        pytest.raises(AlreadyServing, match=f"/new is already served by process {os.getpid()}$"),
        sole_server(tmp_path / "new"),
    ):
        pass
    with sole_server(tmp_path / "new"):
        pass
