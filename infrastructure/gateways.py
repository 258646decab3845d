"""The shared HTTP client for outside services: networks, mail and payment providers, webhooks.

Each call has one of three ends, and the caller's next step depends on which: an answer (whatever
its status), `GatewayUnreachable` (the service cannot have received the request: it may be sent
again), or `GatewayOutcomeUnknown` (it may have: ask what became of it, never repeat blindly).
Only reads are retried here.

Requests go straight to the guarded transport, without `httpx.AsyncClient`: that one keeps a cookie
jar, which tenants would share, writes whole URLs into its log, and turns an answer with an unusable
`Location` into an error, although the service did answer.
"""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self, cast
from urllib.parse import urldefrag, urljoin

import httpx
import orjson
import structlog

from infrastructure.egress import EgressGuard, EgressRefused
from infrastructure.gateway_lanes import GatewayLimits, Lane
from infrastructure.gateway_outcomes import (
    Cause,
    GatewayError,
    GatewayUnreachable,
    Progress,
    failure,
)
from infrastructure.guarded_http import GuardedTransport
from infrastructure.http_fields import check_headers, parse_retry_after, redacted

_log = structlog.get_logger("tidings.gateways")

_READS = frozenset({"GET", "HEAD"})
_RETRIED_STATUSES = frozenset({429, 502, 503, 504})
_FAILING_STATUSES = frozenset({502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_LANES = 10_000

# What may follow a redirect to another origin; everything else might be a secret.
_PLAIN_HEADERS = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})
_RETRIED_CAUSES = frozenset(
    {Cause.NAME_NOT_RESOLVED, Cause.CONNECT_FAILED, Cause.TIMED_OUT, Cause.ANSWER_BROKEN}
)
# What the service is to blame for; the rest was decided on this side.
_FAILING_CAUSES = _RETRIED_CAUSES | {Cause.TLS_FAILED}


@dataclass(frozen=True, slots=True)
class GatewayResponse:
    """A service's answer. `truncated`: the body went on beyond the limit, and `body` is what came
    up to it. `retry_after`: seconds from now, from the header of that name (RFC 9110, 10.2.3)."""

    status: int
    headers: httpx.Headers
    body: bytes = field(repr=False)
    truncated: bool = False
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    """What is sent, and how long one attempt at it may take."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)
    timeout: float
    max_bytes: int
    lane: str | None

    def __str__(self) -> str:
        return f"{self.method} {redacted(self.url)}"


class GatewayClient:
    """Sends requests to outside services. One per process and event loop; close it in the end.

    `context` replaces the default trust store. `clock` (seconds, monotonic), `sleep`, `now` and
    `chance` stand for time and chance in tests.
    """

    def __init__(
        self,
        guard: EgressGuard,
        limits: GatewayLimits = GatewayLimits(),
        *,
        context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: random.Random = random.SystemRandom(),
    ) -> None:
        self._guard, self._limits = guard, limits
        self._clock, self._sleep, self._now, self._chance = clock, sleep, now, chance
        self._lanes: dict[str, Lane] = {}
        self._transport = GuardedTransport(
            guard,
            limits=httpx.Limits(
                max_connections=limits.connections,
                max_keepalive_connections=limits.idle_connections,
                keepalive_expiry=limits.idle_seconds,
            ),
            context=context,
        )
        # At DEBUG it writes the headers of answers, cookies and tokens among them.
        logging.getLogger("httpcore").setLevel(logging.INFO)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._transport.aclose()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        json: Any = None,
        timeout: float | None = None,  # noqa: ASYNC109 (per attempt, which a caller cannot set)
        idempotency_key: str | None = None,
        max_response_bytes: int = 1 << 20,
        follow_redirects: bool = False,
        lane: str | None = None,
    ) -> GatewayResponse:
        """The service's answer, whatever its status.

        `timeout`: seconds for one attempt, from the connection to the last byte; waiting for a free
        place takes at most as long again. `json` is encoded as the body. `idempotency_key` is sent
        as `Idempotency-Key`. `follow_redirects` is for GET and HEAD: each hop passes the guard,
        headers that might be secret stay with their origin, HTTPS is never left for HTTP, and after
        too many hops the last redirect is the answer. `lane` names what shares concurrency and
        circuit, by default the origin; unrelated targets on one host are kept apart by it.

        Raises `GatewayUnreachable`, `GatewayOutcomeUnknown`; `ValueError` for a wrong argument.
        """
        method = method.upper()
        if content is not None and json is not None:
            raise ValueError("give content or json, not both")
        if follow_redirects and method not in _READS:
            raise ValueError(f"redirects of {method} are never followed")
        sent = {"user-agent": "Tidings", "accept": "*/*", "accept-encoding": "identity"}
        if json is not None:
            content, sent["content-type"] = orjson.dumps(json), "application/json"
        if idempotency_key is not None:
            sent["idempotency-key"] = idempotency_key
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        check_headers(sent)
        call = _Call(
            method=method,
            url=url,
            headers=sent,
            content=content,
            timeout=timeout or self._limits.timeout,
            max_bytes=max_response_bytes,
            lane=lane,
        )
        hops = self._limits.redirects if follow_redirects else 0
        return await self._retrying(call, hops)

    async def _retrying(self, call: _Call, hops: int) -> GatewayResponse:
        left = self._limits.attempts if call.method in _READS else 1
        longest, ceiling = self._limits.longest_wait, self._limits.first_wait
        while True:
            left -= 1
            wait = self._chance.uniform(0, min(longest, ceiling))
            try:
                response = await self._following(call, hops)
            except GatewayError as error:
                if not left or error.cause not in _RETRIED_CAUSES:
                    raise
            else:
                asked = response.retry_after or 0.0
                if not left or asked > longest or response.status not in _RETRIED_STATUSES:
                    return response
                wait = max(wait, asked)
            await self._sleep(wait)
            ceiling *= 2

    async def _following(self, call: _Call, hops: int) -> GatewayResponse:
        response = await self._through_lane(call)
        for _ in range(hops):
            if response.status not in _REDIRECTS or "location" not in response.headers:
                return response
            call = self._redirected(call, response.headers["location"])
            response = await self._through_lane(call)
        return response

    def _redirected(self, call: _Call, location: str) -> _Call:
        before = self._check(call, call.url)
        try:
            target = urldefrag(urljoin(str(before), location)).url
        except ValueError:
            target = location
        after = self._check(call, target)
        if before.scheme == "https" and after.scheme == "http":
            reason = "The redirect leads from HTTPS to plain HTTP."
            raise GatewayUnreachable(Cause.EGRESS_REFUSED, reason, str(call))
        if redacted(before) == redacted(after):
            return replace(call, url=str(after))
        plain = {name: value for name, value in call.headers.items() if name in _PLAIN_HEADERS}
        return replace(call, url=str(after), headers=plain, content=None, lane=None)

    def _check(self, call: _Call, url: str) -> httpx.URL:
        try:
            return self._guard.check_url(url)
        except EgressRefused as refusal:
            raise GatewayUnreachable(Cause.EGRESS_REFUSED, refusal.reason, str(call)) from None

    async def _through_lane(self, call: _Call) -> GatewayResponse:
        url = self._check(call, call.url)
        key = call.lane or redacted(url)
        lane = self._lane(key)
        lane.users += 1
        try:
            try:
                async with asyncio.timeout(call.timeout):
                    await lane.slots.acquire()
            except TimeoutError:
                reason = "Too many requests to this service are under way."
                raise GatewayUnreachable(Cause.BUSY, reason, str(call)) from None
            try:
                return await self._admitted(call, url, lane)
            finally:
                lane.slots.release()
        finally:
            lane.users -= 1
            if lane.users == lane.failures == 0:
                self._lanes.pop(key, None)

    def _lane(self, key: str) -> Lane:
        if key not in self._lanes:
            if len(self._lanes) >= _MAX_LANES:
                self._lanes = {k: lane for k, lane in self._lanes.items() if lane.users}
            self._lanes[key] = Lane(self._limits)
        return self._lanes[key]

    async def _admitted(self, call: _Call, url: httpx.URL, lane: Lane) -> GatewayResponse:
        began = self._clock()
        if not lane.admits(began):
            reason = "The service failed repeatedly and is left alone for a while."
            raise GatewayUnreachable(Cause.CIRCUIT_OPEN, reason, str(call))
        log = _log.bind(method=call.method, origin=redacted(url))
        try:
            response = await self._exchange(call, url)
        except GatewayError as error:
            log.warning("gateway gave no answer", cause=str(error.cause), reason=error.reason)
            if error.cause in _FAILING_CAUSES:
                lane.failed(self._clock())
            raise
        log.debug("gateway answered", status=response.status, seconds=self._clock() - began)
        if response.status in _FAILING_STATUSES:
            lane.failed(self._clock())
        else:
            lane.succeeded()
        return response

    async def _exchange(self, call: _Call, url: httpx.URL) -> GatewayResponse:
        progress, seconds = Progress(), call.timeout
        request = httpx.Request(
            call.method,
            url,
            headers=call.headers,
            content=call.content,
            extensions={
                "timeout": {"connect": min(self._limits.connect_timeout, seconds)},
                "trace": progress.note,
            },
        )
        try:
            async with asyncio.timeout(seconds):  # bounds all that "connect" does not
                response = await self._transport.handle_async_request(request)
                progress.status = response.status_code
                try:
                    body, truncated = await _read(response, call.max_bytes)
                finally:
                    await response.aclose()
        except EgressRefused as refusal:
            raise GatewayUnreachable(Cause.EGRESS_REFUSED, refusal.reason, str(call)) from None
        except (httpx.TransportError, OSError) as error:
            # Without the chain: it can quote what was sent or received.
            raise failure(str(call), progress, error) from None
        asked = parse_retry_after(response.headers.get("retry-after"), self._now())
        return GatewayResponse(response.status_code, response.headers, body, truncated, asked)


async def _read(response: httpx.Response, max_bytes: int) -> tuple[bytes, bool]:
    body = bytearray()
    async with aclosing(cast(AsyncGenerator[bytes, None], response.aiter_raw())) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > max_bytes:
                return bytes(body[:max_bytes]), True
    return bytes(body), False
