"""One process that starts all others, starts them again when they end, and ends them.

Plain synchronous code in a single thread, so that children can be forked: what the supervisor has
imported they share, and they start at once.
"""

import logging
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

from infrastructure.embedded.directories import EmbeddedServerError, naming, try_lock
from infrastructure.forking import (
    REFUSED,
    STOP_SIGNALS,
    Child,
    ChildRefused,
    Forked,
    Watch,
)

__all__ = ["AlreadyServing", "Child", "ChildRefused", "Server", "Supervisor", "sole_server"]

GRACE = 15.0
"""Seconds that children have between SIGTERM and SIGKILL."""

ROUND = 1.0
"""Seconds after which everything is looked at even when no signal came."""

log = logging.getLogger(__name__)


class AlreadyServing(Exception):
    """One line that names the data directory that another process serves."""


class Server(Protocol):
    """A server that runs beside us, such as `EmbeddedServers`."""

    process: "subprocess.Popen[bytes] | None"

    def start(self) -> None:
        """Return when it answers; nothing to do when it does already."""

    def stop(self) -> None:
        """Return when it has ended, if it is ours."""

    def alive(self) -> bool:
        """Whether it still runs."""


@contextmanager
def sole_server(data_dir: Path) -> Iterator[None]:
    """Hold the right to serve a data directory.

    Raises `AlreadyServing`, or `EmbeddedServerError` for a directory that cannot be used.
    """
    with naming(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data_dir / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not try_lock(descriptor):
            holder = os.pread(descriptor, 20, 0).decode().strip()
            raise AlreadyServing(f"{data_dir} is already served by process {holder}")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


class _Stopped(BaseException):
    """A signal said to stop while a server was being started."""


class Supervisor:
    """Runs servers and children until SIGTERM, SIGINT or SIGHUP.

    What ends is started again, at first after `FIRST_DELAY`. At the end the children are stopped
    first, then the servers. Killed, the supervisor takes its children with it at once, and what it
    started of the servers gets its parent-death signal. `refusals` are exceptions whose text is
    one line for the operator.
    """

    def __init__(
        self,
        children: Sequence[Child] = (),
        servers: Sequence[Server] = (),
        *,
        refusals: tuple[type[Exception], ...] = (),
    ) -> None:
        self.stopping = False
        self._children = [Forked(child) for child in children]
        self._servers = {server: Watch() for server in servers}
        self._refusals = refusals
        self._interruptible = False

    def run(self) -> int:
        """Start everything and keep it running; the exit status, 0 after a signal to stop.

        Raises what a server raises that cannot be started at first, and `ChildRefused` for a
        child that refused `REFUSALS` times running; everything is stopped then, too.
        """
        with self:
            for server in self._servers:
                self.start(server)
            while not self.stopping:
                self.check()
                self.wait()
        return 0

    def start(self, server: Server) -> None:
        """Start a server and keep it running from now on."""
        self._interruptible = True
        try:
            server.start()
        finally:
            self._interruptible = False
        self._servers.setdefault(server, Watch()).begun(time.monotonic())

    def check(self) -> None:
        """Start again what has ended and has waited long enough."""
        self._reap()
        for server, watch in self._servers.items():
            if not server.alive() and watch.due(time.monotonic()):
                try:
                    self.start(server)
                except EmbeddedServerError as error:
                    log.error("%s", error)
                    watch.failed(time.monotonic())
        for forked in self._children:
            if forked.pid is None and forked.watch.due(time.monotonic()):
                forked.start(self._refusals, self._release_signals)
                forked.watch.begun(time.monotonic())

    def wait(self, sockets: Sequence[socket.socket] = ()) -> list[socket.socket]:
        """Sleep until there is something to do; the sockets that can be read."""
        waiting = [forked.watch for forked in self._children if forked.pid is None]
        waiting += [watch for server, watch in self._servers.items() if not server.alive()]
        now = time.monotonic()
        due = [max(watch.not_before - now, 0.0) for watch in waiting if not self.stopping]
        timeout = min([ROUND, *due])
        with selectors.DefaultSelector() as selector:
            for each in (self._bell, *sockets):
                selector.register(each, selectors.EVENT_READ)
            ready = [key.fileobj for key, _ in selector.select(timeout)]
        with suppress(BlockingIOError):
            self._bell.recv(4096)
        return [each for each in sockets if each in ready]

    def __enter__(self) -> Self:
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        signal.set_wakeup_fd(self._rope.fileno(), warn_on_full_buffer=False)
        self._handlers: dict[signal.Signals, Any] = {
            each: signal.signal(each, self._on_stop) for each in STOP_SIGNALS if not _nohup(each)
        }
        # A handler of ours, though an empty one, is what rings the bell.
        self._handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.stopping = True
        self._stop_children()
        for server in reversed(self._servers):
            server.stop()
        self._release_signals()
        return kind is _Stopped

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True
        if self._interruptible:
            self._interruptible = False
            raise _Stopped

    def _release_signals(self) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._bell.close()
        self._rope.close()

    def _reap(self) -> None:
        """Take note of ended processes; of orphans too, that come to the first in a container."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for forked in self._children:
                if forked.pid == pid:
                    self._ended(forked, os.waitstatus_to_exitcode(status))

    def _ended(self, forked: Forked, status: int) -> None:
        reason = forked.ended()
        if self.stopping:
            return
        log.warning("%s ended with status %d", forked.child.name, status)
        if status == REFUSED and forked.refuses_again(time.monotonic()):
            raise ChildRefused(f"{forked.child.name}: {reason or 'it refuses to start'}")

    def _stop_children(self) -> None:
        for forked in self._children:
            if forked.pid is not None:
                os.kill(forked.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while any(forked.pid for forked in self._children) and time.monotonic() < deadline:
            self.wait()
            self._reap()
        for forked in self._children:
            if forked.pid is not None:
                log.warning("%s does not stop and is killed", forked.child.name)
                os.kill(forked.pid, signal.SIGKILL)
                os.waitpid(forked.pid, 0)


def _nohup(number: signal.Signals) -> bool:
    return number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN
