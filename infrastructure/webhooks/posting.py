"""Posting to one address over connections that are kept: HTTP/1.1, and no more of it than that.

A general client spends most of a delivery on what a webhook does not need: with 32 requests at
once httpx came to 250 a second on the machine where this comes to thousands. Parsing is left to
httptools (llhttp), as in the server. Each connection is opened to an address that the egress
guard has just checked; redirects are answers like any other.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

import httptools
import httpx

from infrastructure.egress import EgressGuard, EgressRefused, NameNotResolved

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 20.0
"""Standard Webhooks recommends 15 to 30 seconds for an attempt."""

IDLE_SECONDS = 15.0
KEPT_ANSWER = 1024
"""Bytes of an answer's body that are kept."""
LONGEST_HEAD = 32 * 1024
LONGEST_BODY = 64 * 1024
"""Bytes of an answer that are read before the connection is closed on it."""


class Unanswered(Exception):
    """No answer came. `reason` is one sentence without address or secrets."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Stale(Exception):
    """A kept connection had been closed by the other side before this request reached it."""


@dataclass(slots=True)
class Reply:
    """An answer: its status decides; `body` is its beginning."""

    status: int
    retry_after: str | None = None
    body: bytes = field(default=b"", repr=False)


class _Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.reusable = True
        self.idle_since = 0.0
        self.answered: asyncio.Future[Reply] | None = None
        self._reset()

    def _reset(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.reply: Reply | None = None
        self.retry_after: str | None = None
        self.received = 0
        self.kept = bytearray()

    def send(self, request: bytes) -> asyncio.Future[Reply]:
        """Write a request; the future is its answer, or `_Stale` or `Unanswered`."""
        self.answered = asyncio.get_running_loop().create_future()
        if self.transport.is_closing():
            self.answered.set_exception(_Stale())
        else:
            self.transport.write(request)
        return self.answered

    def settle(self) -> Reply | None:
        """End the exchange with what has come: an answer as soon as there is a status."""
        self.close()
        reply = self.reply
        if reply is not None:
            reply.body = bytes(self.kept)
        return reply

    def close(self) -> None:
        self.reusable = False
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.answered is None or self.answered.done():
            self.close()  # an answer that nobody asked for would be taken for the next one's
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._give_up("The answer was not HTTP.")
            return
        if self.reply is None and self.received > LONGEST_HEAD:
            self._give_up("The head of the answer was too long.")
        elif self.received > LONGEST_HEAD + LONGEST_BODY:
            self._finish(reusable=False)

    def connection_lost(self, error: Exception | None) -> None:
        self.reusable = False
        if self.answered is None or self.answered.done():
            return
        if self.reply is not None:
            self._finish(reusable=False)
        elif self.received == 0:
            self.answered.set_exception(_Stale())
        else:
            self._give_up("The connection was closed in the middle of the answer.")

    def on_message_begin(self) -> None:
        if self.answered is None or self.answered.done():
            self.close()  # more than one answer came at once

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            self.retry_after = value.decode("ascii", "replace")

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if status >= 200:
            self.reply = Reply(status, self.retry_after)

    def on_body(self, body: bytes) -> None:
        if len(self.kept) < KEPT_ANSWER:
            self.kept += body[: KEPT_ANSWER - len(self.kept)]

    def on_message_complete(self) -> None:
        if self.reply is not None:  # else it was an interim answer (1xx), and the real one follows
            self._finish(reusable=self.parser.should_keep_alive())

    def _finish(self, *, reusable: bool) -> None:
        if self.answered is None or self.answered.done():
            self.close()
            return
        assert self.reply is not None
        self.reply.body = bytes(self.kept)
        reply = self.reply
        if reusable and self.reusable:
            self._reset()
        else:
            self.close()
        self.answered.set_result(reply)

    def _give_up(self, reason: str) -> None:
        self.close()
        if self.answered is not None and not self.answered.done():
            self.answered.set_exception(Unanswered(reason))


class Poster:
    """Posts to one URL. `headers` go with every request; `context` verifies the other side.

    Raises `EgressRefused` when the URL's text breaks a rule.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        guard: EgressGuard,
        context: ssl.SSLContext,
        *,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._url: httpx.URL = guard.check_url(url)
        self._guard, self._context, self._seconds = guard, context, seconds
        self._port = self._url.port or (443 if self._url.scheme == "https" else 80)
        self._idle: list[_Connection] = []
        self._closed = False
        lines = [
            b"POST %b HTTP/1.1" % self._url.raw_path,
            b"host: %b" % self._url.netloc,
            b"user-agent: Tidings-Webhooks/1.0",
            b"accept: */*",
            b"accept-encoding: identity",
            b"content-type: application/json",
            *(f"{name}: {value}".encode("ascii") for name, value in headers.items()),
        ]
        self._head = b"\r\n".join(lines)

    async def post(self, headers: bytes, body: bytes) -> Reply:
        """The answer. `headers` are whole lines without the last line end. Raises `Unanswered`."""
        request = b"%b\r\n%b\r\ncontent-length: %d\r\n\r\n%b" % (
            self._head,
            headers,
            len(body),
            body,
        )
        deadline = asyncio.get_running_loop().time() + self._seconds
        while self._idle:
            try:
                return await self._exchange(self._idle.pop(), request, deadline)
            except _Stale:
                continue
        connection = await self._connect()
        try:
            return await self._exchange(connection, request, deadline)
        except _Stale:
            raise Unanswered("The connection was closed before an answer came.") from None

    def close_idle(self, older_than: float) -> None:
        """Close connections that have not been used since that time of the event loop's clock."""
        while self._idle and self._idle[0].idle_since < older_than:
            self._idle.pop(0).close()

    def close(self) -> None:
        """Close every connection; those in use when their answer has come."""
        self._closed = True
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _exchange(self, connection: _Connection, request: bytes, deadline: float) -> Reply:
        try:
            async with asyncio.timeout_at(deadline):
                reply = await connection.send(request)
        except TimeoutError:
            late = connection.settle()
            if late is None:
                raise Unanswered(f"No answer came within {self._seconds:g} seconds.") from None
            return late
        except asyncio.CancelledError:
            connection.close()
            raise
        if self._closed:
            connection.close()
        elif connection.reusable:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        return reply

    async def _connect(self) -> _Connection:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                addresses = await self._guard.resolve(self._url.host, self._port)
                for address in addresses[:-1]:
                    try:
                        # An address that never answers must leave time for the ones behind it.
                        async with asyncio.timeout(CONNECT_SECONDS / len(addresses)):
                            return await self._open(str(address))
                    except (OSError, TimeoutError):
                        continue
                return await self._open(str(addresses[-1]))
        except (EgressRefused, NameNotResolved) as error:
            raise Unanswered(str(error)) from None
        except ssl.SSLCertVerificationError as error:
            raise Unanswered(f"The certificate is not valid: {error.verify_message}.") from None
        except ssl.SSLError:
            raise Unanswered("No secure connection could be made.") from None
        except TimeoutError:
            raise Unanswered("The connection was not made in time.") from None
        except OSError:
            raise Unanswered("The connection failed.") from None

    async def _open(self, address: str) -> _Connection:
        factory: Callable[[], _Connection] = _Connection
        secure = self._url.scheme == "https"
        _, connection = await asyncio.get_running_loop().create_connection(
            factory,
            address,
            self._port,
            ssl=self._context if secure else None,
            server_hostname=self._url.host if secure else None,
        )
        return connection
