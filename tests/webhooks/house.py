"""A house without HTTP of its own: the log, the fan-out, a sender, and receivers to send to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import httptools
import psycopg
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel
from standardwebhooks import Webhook as Verifier

from application.kernel import Desk
from application.social.posts import CreatePost, WithdrawPost
from application.webhooks.endpoints import (
    ChangeEndpoint,
    EndpointChange,
    EndpointRequest,
    NewSecret,
    RegisterEndpoint,
    RotateSecret,
)
from domain.social.posts import Post
from domain.webhooks.endpoints import WebhookEndpoint
from infrastructure import database
from infrastructure.addresses import parse_networks
from infrastructure.egress import EgressGuard
from infrastructure.event_log.committer import Committer
from infrastructure.event_log.log import EventLog
from infrastructure.follower import follow
from infrastructure.webhooks.fanout import fanout
from infrastructure.webhooks.replay import replay
from infrastructure.webhooks.sender import send
from infrastructure.webhooks.signing import Secret, Vault

KEY = "a key of the tests that seals their secrets"
LATER = datetime(2040, 1, 1, tzinfo=UTC)


class Nothing(BaseModel):
    """Nobody waits for the answer."""


@dataclass
class Received:
    """One request as it came in."""

    at: float
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> dict[str, Any]:
        return json.loads(self.body)  # type: ignore[no-any-return]

    def verify(self, secret: str) -> None:
        """By the independent package; raises when it does not accept the delivery."""
        Verifier(secret).verify(self.body, self.headers)


Answering = Callable[[Received], Any]
"""What a receiver answers: a status, bytes as they are, or an awaitable of either."""


@dataclass
class Receiver:
    """A server on this machine that keeps what it gets. `answer` may be replaced at any time."""

    answer: Answering = lambda received: 200
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    most_at_once: int = 0
    at_work: set[asyncio.Transport] = field(default_factory=set)
    url: str = ""

    def hang_up(self) -> None:
        """Close every connection that is open."""
        for connection in self.at_work:
            connection.abort()

    def ids(self, path: str | None = None) -> list[str]:
        return [each.id for each in self.received if path in (None, each.path)]

    def at(self, path: str) -> list[Received]:
        return [each for each in self.received if each.path == path]


class _Connection(asyncio.Protocol):
    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.receiver.connections += 1
        self.receiver.at_work.add(cast(asyncio.Transport, transport))
        self._begin()

    def connection_lost(self, error: Exception | None) -> None:
        self.receiver.at_work.discard(cast(asyncio.Transport, self.transport))
        for task in self.tasks:
            task.cancel()

    def _begin(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.path, self.body = "", b""
        self.headers: dict[str, str] = {}

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.path = url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        now = asyncio.get_running_loop().time()
        received = Received(now, self.path, self.headers, self.body)
        self._begin()
        receiver = self.receiver
        receiver.received.append(received)
        receiver.open += 1
        receiver.most_at_once = max(receiver.most_at_once, receiver.open)
        answer = receiver.answer(received)
        if not asyncio.iscoroutine(answer):
            self._answer(answer)
            return
        task = asyncio.create_task(self._answer_later(answer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer_later(self, answer: Any) -> None:
        self._answer(await answer)

    def _answer(self, answer: int | bytes) -> None:
        self.receiver.open -= 1
        if isinstance(answer, int):
            answer = b"HTTP/1.1 %d X\r\ncontent-length: 2\r\n\r\nok" % answer
        if self.transport.is_closing():
            return
        self.transport.write(answer)  # type: ignore[attr-defined]


@asynccontextmanager
async def receiver(answer: Answering | None = None) -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    it = Receiver()
    if answer is not None:
        it.answer = answer
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(it), "127.0.0.1", 0, backlog=512
    )
    it.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield it
    finally:
        server.close()
        it.hang_up()


@dataclass
class House:
    """What a test needs to make things happen."""

    url: str
    pool: AsyncConnectionPool[Any]
    log: EventLog
    vault: Vault
    guard: EgressGuard

    def desk(self, tenant: str = "demo", actor: str = "ann") -> Desk:
        return Desk(self.log, tenant, actor, "request-1")

    async def register(
        self, url: str, *, tenant: str = "demo", events: Sequence[str] = ("*",), **more: Any
    ) -> tuple[UUID, Secret]:
        """An endpoint, and what its messages are signed with."""
        headers: Mapping[str, str] | None = more.get("headers")
        async with self.pool.connection() as connection:
            kept, secret = await self.vault.keep_secret(connection, tenant)
            at = headers and await self.vault.keep_headers(connection, tenant, headers)
        request = EndpointRequest(url=url, events=list(events), **more)
        answer = await self.desk(tenant).create(
            RegisterEndpoint(request, NewSecret(kept, secret.public_key), at or None),
            lambda _: Nothing(),
        )
        assert answer.id is not None
        return answer.id, secret

    async def rotate(self, id: UUID, *, tenant: str = "demo") -> Secret:
        async with self.pool.connection() as connection:
            kept, secret = await self.vault.keep_secret(connection, tenant)
        await self.change(id, RotateSecret(NewSecret(kept, secret.public_key)), tenant=tenant)
        return secret

    async def patch(self, id: UUID, *, tenant: str = "demo", **change: Any) -> None:
        await self.change(id, ChangeEndpoint(EndpointChange(**change), None), tenant=tenant)

    async def change(self, id: UUID, command: Any, *, tenant: str = "demo") -> int:
        """Where the log stands afterwards."""
        answer = await self.desk(tenant).change(WebhookEndpoint, id, command, lambda _: Nothing())
        return answer.position or 0

    async def post(
        self,
        *,
        tenant: str = "demo",
        content: str = "Hello",
        platforms: Sequence[str] = ("twitter",),
    ) -> UUID:
        """A scheduled post: one public event."""
        command = CreatePost(content=content, platforms=list(platforms), scheduled_for=LATER)
        answer = await self.desk(tenant).create(command, lambda _: Nothing())
        assert answer.id is not None
        return answer.id

    async def withdraw(self, id: UUID, *, tenant: str = "demo") -> None:
        """A second public event of the same post."""
        await self.desk(tenant).change(Post, id, WithdrawPost(), lambda _: Nothing())

    async def move(self, id: UUID, n: int) -> None:
        """One more public event of the same post."""
        from application.social.posts import SchedulePost

        command = SchedulePost(scheduled_for=LATER + timedelta(minutes=n + 1))
        await self.desk().change(Post, id, command, lambda _: Nothing())

    async def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            return list(await (await connection.execute(query, values)).fetchall())

    async def deliveries(self, endpoint: UUID) -> list[tuple[str, str, int]]:
        """Name, status and attempts of an endpoint's deliveries, in the order of the log."""
        return await self.rows(
            "SELECT name, status, attempts FROM webhooks.deliveries WHERE endpoint_id = %s"
            " ORDER BY id",
            endpoint,
        )

    async def make_due(self) -> None:
        """Let all retries be due now, as if hours had passed."""
        async with self.pool.connection() as connection, connection.transaction():
            for statement in (
                "SELECT FROM webhooks.queues ORDER BY endpoint_id FOR UPDATE",
                "UPDATE webhooks.queues SET wake = clock_timestamp(), not_before = NULL",
                "UPDATE webhooks.deliveries SET due = clock_timestamp() WHERE due IS NOT NULL",
                "SELECT pg_notify('tidings_webhooks', '')",
            ):
                await connection.execute(statement)


async def until(look: Callable[[], Any], within: float = 10.0) -> Any:
    """What `look` gives once it is truthy; it may be a coroutine function."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        found = look()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert loop.time() < deadline, f"still {found!r} after {within} s"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def house(
    url: str,
    *,
    following: bool = True,
    senders: int = 1,
    networks: str = "127.0.0.0/8",
    lease: float = 10.0,
) -> AsyncIterator[House]:
    """A house on an empty database, with its background work under way."""
    committer = Committer(url)
    await committer.start()
    guard = EgressGuard(parse_networks(networks))
    try:
        async with database.pool(url, "test") as pool:
            it = House(url, pool, EventLog(pool, committer), Vault(KEY), guard)
            tasks = [asyncio.create_task(follow(url, fanout()))] if following else []
            if following:
                tasks.append(asyncio.create_task(replay(url)))
            tasks += [
                asyncio.create_task(send(url, it.log, it.vault, guard, lease=lease))
                for _ in range(senders)
            ]
            try:
                yield it
            finally:
                for task in tasks:
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                for result in results:
                    if isinstance(result, Exception):
                        raise result
    finally:
        await committer.close()


def fetch(url: str, query: str) -> list[tuple[Any, ...]]:
    """Rows, without a loop."""
    with contextlib.closing(psycopg.connect(url)) as connection:
        return connection.execute(query).fetchall()
