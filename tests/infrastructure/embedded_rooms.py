"""Embedded servers for tests: what runs, and programs that hold them."""

import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import psycopg

from infrastructure.embedded.directories import fingerprint, socket_directory

ROOT = Path(__file__).parents[2]


IS_ROOT = os.geteuid() == 0


NOBODY = pwd.getpwnam("nobody")


CAPABILITY_DAC_OVERRIDE = 1 << 1


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
