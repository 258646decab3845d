"""What the database says by NOTIFY, heard once for a whole process.

At each commit that notifies, PostgreSQL wakes every connection to that database that listens,
whatever it listens to. Under a load of commands that is most of what small waiters would do, so
one connection of a process listens for all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextvars import Context

import psycopg
import structlog

from infrastructure import database

log = structlog.get_logger()

LOG = "tidings_log"
"""Channel of every append."""
TIMERS = "tidings_timers"
"""Channel of timers that are due before anybody would look."""
WEBHOOKS = "tidings_webhooks"
"""Channel of webhook endpoints (the payload, if any, is the id of one) and their deliveries."""

QUIET = 10.0
"""Seconds without a notice, after which the connection is asked whether it still lives."""

Hear = Callable[[str], None]
"""Told the payload of each notice, and an empty one whenever some may have been missed."""


@contextlib.asynccontextmanager
async def heard(url: str, channel: str, hear: Hear) -> AsyncIterator[None]:
    """Tell `hear` what is said on `channel`, from some moment in the body on, which begins with
    an empty payload. Whoever looks at the body's start and at each notice misses nothing."""
    key = asyncio.get_running_loop(), url
    listener = _listeners.get(key)
    if listener is None:
        listener = _listeners[key] = _Listener(url)
    listener.join(channel, hear)
    try:
        yield
    finally:
        listener.leave(channel, hear)
        if not listener.waiting and _listeners.get(key) is listener:
            del _listeners[key]
            await listener.stop()


class News:
    """Whether something was said since one looked. Belongs to one waiter."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def hear(self, _payload: str) -> None:
        self._event.set()

    async def within(self, seconds: float) -> None:
        """Return when something was said since the last return, or after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()


class _Listener:
    """The connection, and who waits for what."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.waiting: dict[str, list[Hear]] = {}
        self._task: asyncio.Task[None] | None = None

    def join(self, channel: str, hear: Hear) -> None:
        if channel in self.waiting:
            self.waiting[channel].append(hear)
            hear("")
            return
        self.waiting[channel] = [hear]
        if self._task is not None:
            self._task.cancel()  # it begins anew, and then listens to this one too
        # An empty context: what this task logs belongs to no single waiter.
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name="notify", context=Context()
        )

    def leave(self, channel: str, hear: Hear) -> None:
        self.waiting[channel].remove(hear)
        if not self.waiting[channel]:
            del self.waiting[channel]

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        pause = 0.1
        while True:
            try:
                async with await database.connect(self.url, "listen") as connection:
                    channels = [*self.waiting]
                    for channel in channels:
                        await connection.execute(f"LISTEN {channel}".encode())
                    for channel in channels:
                        self._tell(channel, "")
                    pause = 0.1
                    await self._stay(connection)
            except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                log.warning("notify.interrupted", error=type(error).__name__)
            except Exception as error:
                log.error("notify.failed", exc_info=error)
            await database.rest(pause)
            pause = min(pause * 2, 5.0)

    async def _stay(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        while True:
            async for notice in connection.notifies(timeout=QUIET):
                self._tell(notice.channel, notice.payload)
            async with asyncio.timeout(QUIET):
                await connection.execute("SELECT 1")

    def _tell(self, channel: str, payload: str) -> None:
        for hear in tuple(self.waiting.get(channel, ())):
            hear(payload)


_listeners: dict[tuple[asyncio.AbstractEventLoop, str], _Listener] = {}
"""Those in use, by event loop and URL."""
