"""The whole service in the test's own process: real HTTP, real servers, background work and all."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import uvicorn

from api.app import serve
from api.protocol import Protocol
from api.work import Kind, work
from domain.identity import Role
from infrastructure.settings import Settings, load
from infrastructure.tokens import Tokens

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients, none of whom speaks TLS: to read in whom to trust takes 20 ms each time."""

PATIENT = {"Prefer": "wait=10"}
"""For a post whose outcome is to be in the answer, also where everything takes its time."""


class Rows:
    """One connection to the database for all that a test looks at: each costs 5 ms."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: psycopg.Connection | None = None

    def query(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self.url, autocommit=True, prepare_threshold=None)
        cursor = self._connection.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        if self._connection:
            self._connection.close()


class Site:
    """Where the service answers, and ways to call it as somebody."""

    def __init__(
        self, settings: Settings, url: str, rows: Rows | None = None, tenant: str = "demo"
    ) -> None:
        self.settings, self.url, self.tenant = settings, url, tenant
        self.tokens = Tokens(settings.jwt_secret)
        self.rows = rows or Rows(settings.database_url)

    def of(self, tenant: str) -> Site:
        """The same service, for a test that has a tenant of its own."""
        return Site(self.settings, self.url, self.rows, tenant)

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the owner of the database is answered; each statement is a transaction."""
        return self.rows.query(sql, values)

    def token(
        self, role: str = "admin", tenant: str | None = None, user: str = "ann", **options: Any
    ) -> str:
        return self.tokens.issue(
            user=user, role=Role(role), tenant=tenant or self.tenant, **options
        )

    @contextmanager
    def client(
        self, role: str = "admin", tenant: str | None = None, user: str = "ann"
    ) -> Iterator[httpx.Client]:
        headers = {"Authorization": f"Bearer {self.token(role, tenant, user)}"}
        with httpx.Client(base_url=self.url, headers=headers, timeout=15, verify=PLAIN) as client:
            yield client


def eventually(look: Callable[[], Any], within: float = 10.0) -> Any:
    """What `look` returns once it is truthy. Raises `AssertionError` when time is up."""
    until = time.monotonic() + within
    pause = 0.01
    while True:
        if found := look():
            return found
        if time.monotonic() > until:
            raise AssertionError(f"still {found!r} after {within} s")
        time.sleep(pause)  # a look is often a request, which takes the time of what it waits for
        pause = min(pause * 1.5, 0.15)


@contextmanager
def running(
    database_url: str,
    redis_url: str,
    data_dir: Path,
    *,
    background: bool | Kind = True,
    **environment: str,
) -> Iterator[Site]:
    """Serve on a free port until the block is left; `background` may be one kind of work."""
    environment = {
        "JWT_SECRET_KEY": "a secret of the tests that is long enough",
        "ENCRYPTION_KEY": "another secret of the tests, also long",
        **environment,
    }
    settings = load(environment, data_dir, database_url, redis_url)
    config = uvicorn.Config(
        serve(settings), port=0, http=Protocol, log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    failures: list[BaseException] = []

    async def serve_and_work() -> None:
        only = None if isinstance(background, bool) else background
        working = asyncio.create_task(work(settings, only)) if background else None
        await server.serve()
        if working:
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await working

    def run() -> None:
        try:
            asyncio.run(serve_and_work())
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            failures.append(error)

    thread = threading.Thread(target=run, name="site")
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        if failures:
            raise failures[0]
        port = server.servers[0].sockets[0].getsockname()[1]
        site = Site(settings, f"http://127.0.0.1:{port}")
        yield site
        site.rows.close()
    finally:
        server.should_exit = True
        thread.join(20)
    if failures:
        raise failures[0]
