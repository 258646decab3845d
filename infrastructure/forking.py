"""Children of the supervisor: functions that run in forked processes."""

import logging
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from infrastructure.embedded.launch import end_with_parent

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
"""Seconds before something is started again: doubling from the first to the longest."""
SETTLED = 10.0
"""Seconds after which what runs is taken to be well: its next delay is the first again."""
REFUSALS = 5
"""So many refusals (exit status 2) of one child within `SETTLED` seconds stop everything."""
REFUSED = 2
"""The exit status of a child that cannot work with the present configuration."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

log = logging.getLogger(__name__)


class ChildRefused(Exception):
    """One line: why a child cannot work with the present configuration."""


@dataclass(frozen=True)
class Child:
    """A function that runs in a forked process until SIGTERM.

    What it returns is the exit status. `nice` lowers its priority (0 to 19). An exception of a
    type in the supervisor's `refusals` is exit status 2, and its text is kept.
    """

    name: str
    target: Callable[[], int | None]
    nice: int = 0


@dataclass
class Watch:
    """When something that ended may be started again."""

    began: float | None = None
    not_before: float = 0.0
    delay: float = FIRST_DELAY

    def due(self, now: float) -> bool:
        """Whether it may be started, asked while it is down."""
        if self.began is not None:
            if now - self.began > SETTLED:
                self.delay = FIRST_DELAY
            self.began = None
            self.failed(now)
        return now >= self.not_before

    def begun(self, now: float) -> None:
        """It runs."""
        self.began = now

    def failed(self, now: float) -> None:
        """It has to wait, each time longer."""
        self.not_before = now + self.delay
        self.delay = min(self.delay * 2, LONGEST_DELAY)


@dataclass
class Forked:
    """A child and its present process, if it has one."""

    child: Child
    watch: Watch = field(default_factory=Watch)
    pid: int | None = None
    _reasons: int = -1
    """The pipe on which the process says why it refuses."""
    _refused_at: deque[float] = field(default_factory=lambda: deque(maxlen=REFUSALS))

    def start(self, refusals: tuple[type[Exception], ...], release: Callable[[], None]) -> None:
        """Fork. `release` undoes, in the new process, the supervisor's handling of signals."""
        if threading.active_count() > 1:
            raise RuntimeError("a process with threads must not be forked")
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or the child would print the same again
        parent, (self._reasons, writer) = os.getpid(), os.pipe()
        # A grandchild may outlive the child and keep the pipe open: never wait for its end.
        os.set_blocking(self._reasons, False)
        # A signal meant for the child must not be lost on the supervisor's handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            pid = os.fork()
            if not pid:
                self._live(parent, writer, refusals, release)
            self.pid = pid
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        os.close(writer)

    def ended(self) -> str:
        """Take note of the process's end; why it refused, or nothing."""
        self.pid = None
        try:
            return os.read(self._reasons, 65536).decode(errors="replace")
        except BlockingIOError:
            return ""
        finally:
            os.close(self._reasons)

    def refuses_again(self, now: float) -> bool:
        """Count a refusal; whether it was the last one that is tolerated."""
        self._refused_at.append(now)
        return len(self._refused_at) == REFUSALS and now - self._refused_at[0] <= SETTLED

    def _live(
        self,
        parent: int,
        reasons: int,
        refusals: tuple[type[Exception], ...],
        release: Callable[[], None],
    ) -> NoReturn:
        """What the forked process does until its end: nothing of the supervisor may run in it."""
        status = 1
        try:
            end_with_parent(parent, signal.SIGKILL)
            release()
            # Ctrl-C reaches the whole group; it is the supervisor that tells children to stop.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
            os.nice(self.child.nice)
            status = self.child.target() or 0
        except refusals as error:
            os.write(reasons, str(error).encode())
            status = REFUSED
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            log.exception("%s failed", self.child.name)
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError):
                    stream.flush()
            os._exit(status)
