"""The embedded servers as their users see them."""

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from infrastructure.embedded.directories import (
    EmbeddedServerError,
    keeper_socket,
    locked,
    naming,
    open_log,
)
from infrastructure.embedded.postgres import RECOVERY_SECONDS, EmbeddedPostgres
from infrastructure.embedded.valkey import EmbeddedValkey

STOP_SECONDS = 60.0


class EmbeddedServers:
    """PostgreSQL and Valkey of one data directory, shared by all processes that use it.

    They run while at least one process has called `start` and not yet `stop`, or ended: the
    last one out stops them (see `keeper`). `postgres` and `valkey` say which ones are wanted.
    """

    def __init__(self, data_dir: Path, *, postgres: bool = True, valkey: bool = True) -> None:
        self.data_dir = data_dir.resolve()
        wanted = {"postgres": postgres, "valkey": valkey}
        self.wanted = [name for name, is_wanted in wanted.items() if is_wanted]
        self.process: subprocess.Popen[bytes] | None = None
        """The servers' keeper, when this object started it."""
        self._connection: socket.socket | None = None

    @property
    def database_url(self) -> str:
        """The libpq URI of the database `tidings`."""
        return EmbeddedPostgres(self.data_dir / "postgres").url()

    @property
    def redis_url(self) -> str:
        """The URL for `redis.Redis.from_url`."""
        return EmbeddedValkey(self.data_dir / "valkey").url()

    def start(self) -> None:
        """Return once every wanted server answers; does nothing when that is so already.

        Any thread may call it: the servers' parent is their keeper.
        Raises `EmbeddedServerError` with one line.
        """
        if self.alive() or not self.wanted:
            return
        self._close()
        with naming(self.data_dir):
            self.data_dir.mkdir(parents=True, exist_ok=True)
            with locked(self.data_dir / "embedded.lock", RECOVERY_SECONDS):
                self._start()

    def alive(self) -> bool:
        """Whether the keeper still holds the servers for this process."""
        if self._connection is None:
            return not self.wanted
        try:
            self._connection.setblocking(False)
            return self._connection.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def stop(self) -> None:
        """Leave; return at once when others still use the servers, else when they have stopped."""
        if self._connection is None:
            return
        # A keeper that was killed, or does not answer, is nobody to wait for.
        with suppress(OSError, subprocess.TimeoutExpired):
            self._connection.shutdown(socket.SHUT_WR)
            self._connection.settimeout(STOP_SECONDS)
            with self._connection.makefile("rb") as answers:
                said = answers.readlines()  # first perhaps what an interrupted `start` left unread
            if said[-1:] == [b"stopped\n"] and self.process is not None:
                self.process.wait(STOP_SECONDS)
        self._close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self) -> None:
        # A keeper that is just leaving, or is killed, closes without an answer: the next one.
        for _attempt in range(3):
            self._connection = self._connect() or self._start_keeper()
            answer = self._ask(self._connection)
            if answer == "ready":
                return
            self._close()
            if answer.startswith("error "):
                raise EmbeddedServerError(answer.removeprefix("error "))
        raise EmbeddedServerError(f"The servers in {self.data_dir} end as soon as they start")

    def _connect(self) -> socket.socket | None:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(os.fspath(keeper_socket(self.data_dir)))
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        return connection

    def _start_keeper(self) -> socket.socket:
        """Start a keeper whose first user is this object: should we be killed, it leaves too."""
        ours, theirs = socket.socketpair()
        with theirs, open_log(self.data_dir / "embedded.log") as log:
            command: list[str | Path] = [
                *(sys.executable, "-m", "infrastructure.embedded.keeper"),
                *(self.data_dir, str(theirs.fileno())),
            ]
            self.process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                cwd=Path(__file__).parents[2],  # from where `-m` finds it
                start_new_session=True,
            )
        return ours

    def _ask(self, connection: socket.socket) -> str:
        connection.settimeout(RECOVERY_SECONDS)
        try:
            connection.sendall(f"{' '.join(self.wanted)}\n".encode())
            with connection.makefile(encoding="utf-8") as answers:
                return answers.readline().rstrip("\n")
        except TimeoutError:
            self._close()
            raise EmbeddedServerError(f"The keeper of {self.data_dir} does not answer") from None
        except ConnectionError:
            return ""

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self.process is not None and self.process.poll() is not None:
            self.process = None
