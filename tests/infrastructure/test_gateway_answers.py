"""What outside services answer; and calls that certainly nobody received."""

import asyncio
from pathlib import Path

import pytest

from infrastructure.egress import EgressGuard
from infrastructure.gateway_outcomes import Cause, GatewayUnreachable
from infrastructure.gateways import GatewayClient
from tests.infrastructure.egress_rooms import certificate, never_accepting, running
from tests.infrastructure.gateway_service import (
    OK,
    Service,
    at_home,
    failing,
    free_port,
    gateway,
    status,
    url,
)


@pytest.mark.parametrize("code", [200, 204, 302, 400, 404, 409, 410, 429, 500, 502, 503, 504, 599])
def test_whatever_has_a_status_is_an_answer(code: int) -> None:
    async def scenario() -> None:
        service = Service(status(code, "Location: http://[unusable", "X-Id: 7"))
        async with running(service) as port, gateway() as client:
            answer = await client.request("POST", url(port), json={"a": 1})
            assert (answer.status, answer.headers["x-id"], answer.body) == (code, "7", b"")
            assert len(service.requests) == 1

    asyncio.run(scenario())


def test_the_request_arrives_as_given() -> None:
    async def scenario() -> None:
        service = Service(OK)
        async with running(service) as port, gateway() as client:
            answer = await client.request(
                "post",
                url(port, "/v1/charges?expand=all"),
                headers={"Authorization": "Bearer s3cret"},
                json={"amount": 5},
                idempotency_key="pay_1",
            )
            assert (answer.body, answer.truncated) == (b"ok", False)
        head, _, body = service.requests[0].partition(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        assert lines[0] == "post /v1/charges?expand=all http/1.1"
        assert f"host: api.example.com:{port}" in lines
        assert {"authorization: bearer s3cret", "idempotency-key: pay_1"} <= set(lines)
        assert {"content-type: application/json", "accept-encoding: identity"} <= set(lines)
        assert body == b'{"amount":5}'

    asyncio.run(scenario())


def test_connections_are_kept_and_cookies_are_not() -> None:
    async def scenario() -> None:
        service = Service(status(200, "Set-Cookie: session=of-one-tenant"))
        async with running(service) as port, gateway() as client:
            for _ in range(3):
                await client.request("POST", url(port))
        assert service.connections == 1
        assert not any(b"cookie" in request.lower() for request in service.requests)

    asyncio.run(scenario())


def test_an_endless_body_is_cut_off_at_the_limit() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        finally:
            closed.set()

    closed = asyncio.Event()

    async def scenario() -> None:
        async with running(endless) as port, gateway() as client:
            answer = await client.request("POST", url(port), max_response_bytes=1000)
            assert (answer.status, answer.truncated) == (200, True)
            assert answer.body == b"x" * 1000
            await asyncio.wait_for(closed.wait(), 5)

    asyncio.run(scenario())


def test_a_body_of_exactly_the_limit_is_whole() -> None:
    async def scenario() -> None:
        async with running(Service(OK)) as port, gateway() as client:
            answer = await client.request("GET", url(port), max_response_bytes=2)
            assert (answer.body, answer.truncated) == (b"ok", False)

    asyncio.run(scenario())


def test_a_refused_connection_is_unreachable() -> None:
    async def scenario() -> None:
        async with gateway() as client:
            error = await failing(client, "POST", url(free_port()))
            assert isinstance(error, GatewayUnreachable)
            assert error.cause is Cause.CONNECT_FAILED
            assert "refused" in error.reason

    asyncio.run(scenario())


def test_a_connection_that_hangs_is_unreachable_long_before_the_deadline() -> None:
    async def scenario() -> None:
        with never_accepting() as port:
            async with gateway(connect_timeout=0.1) as client, asyncio.timeout(3):
                error = await failing(client, "POST", url(port), timeout=60)
        assert isinstance(error, GatewayUnreachable)
        assert error.cause is Cause.TIMED_OUT

    asyncio.run(scenario())


def test_a_name_without_an_address_is_unreachable() -> None:
    async def scenario() -> None:
        async with gateway() as client:
            error = await failing(client, "POST", "https://nowhere.example.com/")
            assert isinstance(error, GatewayUnreachable)
            assert error.cause is Cause.NAME_NOT_RESOLVED

    asyncio.run(scenario())


@pytest.mark.parametrize("target", ["http://127.0.0.2/", "http://10.0.0.1/", "ftp://x", "", "::"])
def test_what_the_guard_refuses_is_unreachable_with_its_reason(target: str) -> None:
    async def scenario() -> None:
        async with gateway() as client:
            error = await failing(client, "POST", target)
            assert isinstance(error, GatewayUnreachable)
            assert error.cause is Cause.EGRESS_REFUSED
            assert error.reason.endswith(".")
            assert error.reason in str(error)

    asyncio.run(scenario())


def test_a_name_that_leads_home_is_refused_when_it_is_used() -> None:
    async def scenario() -> None:
        service = Service(OK)
        async with running(service) as port:
            guard = EgressGuard(ports=frozenset({port}), resolver=at_home)
            async with GatewayClient(guard) as client:
                error = await failing(client, "GET", url(port))
        assert error.cause is Cause.EGRESS_REFUSED
        assert error.reason == "The host name leads to a loopback address."
        assert service.connections == 0

    asyncio.run(scenario())


def test_a_wrong_certificate_is_unreachable_and_no_request_is_sent(tmp_path: Path) -> None:
    server_side, client_side = certificate("api.example.com", tmp_path)

    async def scenario() -> None:
        service = Service(OK)
        async with running(service, server_side) as port, gateway(context=client_side) as client:
            good = await client.request("POST", f"https://api.example.com:{port}/")
            assert good.body == b"ok"
            error = await failing(client, "POST", f"https://evil.example.com:{port}/")
            assert isinstance(error, GatewayUnreachable)
            assert error.cause is Cause.TLS_FAILED
            assert "certificate is not valid" in error.reason
        assert len(service.requests) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("speaks", [b"", b"SSH-2.0-OpenSSH_9.6\r\n"])
def test_a_handshake_that_hangs_or_is_none_is_unreachable_and_leaves_no_socket(
    speaks: bytes,
) -> None:
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(speaks)
        try:
            while await reader.read(1024):
                pass
        finally:
            left.set()

    async def scenario() -> None:
        async with running(silent) as port, gateway() as client:
            target, patience = f"https://api.example.com:{port}/", 5 if speaks else 0.3
            error = await failing(client, "POST", target, timeout=patience)
            assert isinstance(error, GatewayUnreachable)
            assert error.cause is (Cause.TLS_FAILED if speaks else Cause.TIMED_OUT)
            await asyncio.wait_for(left.wait(), 5)

    asyncio.run(scenario())
