"""Calls that were sent and not answered whole; and what is told of them."""

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from infrastructure.gateway_outcomes import Cause, GatewayOutcomeUnknown
from infrastructure.http_fields import check_headers, redacted
from tests.infrastructure.egress_rooms import running
from tests.infrastructure.gateway_service import (
    OK,
    Service,
    failing,
    free_port,
    gateway,
    status,
    url,
)


@pytest.mark.parametrize(
    ("entry", "cause", "seen"),
    [
        (Service.HANG, Cause.TIMED_OUT, None),
        (Service.DROP, Cause.ANSWER_BROKEN, None),
        ((b"HTTP/1.1 200 OK\r\nContent-Le", Service.DROP), Cause.ANSWER_BROKEN, None),
        ((b"HTTP/1.1 200 OK\r\nContent-Le", Service.HANG), Cause.TIMED_OUT, None),
        ((OK[:-1], Service.DROP), Cause.ANSWER_BROKEN, 200),
        ((OK[:-1], Service.HANG), Cause.TIMED_OUT, 200),
        (b"220 mail.example.com ESMTP\r\n\r\n", Cause.ANSWER_BROKEN, None),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, Cause.ANSWER_BROKEN, None),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot-a-size\r\n",
            Cause.ANSWER_BROKEN,
            200,
        ),
    ],
    ids=[
        "hangs",
        "drops",
        "drops in the head",
        "hangs in the head",
        "drops in the body",
        "hangs in the body",
        "speaks another protocol",
        "endless head",
        "broken chunks",
    ],
)
def test_sent_without_a_complete_answer_is_unknown_and_never_repeated(
    entry: Any, cause: Cause, seen: int | None
) -> None:
    async def scenario() -> None:
        service = Service(entry)
        async with running(service) as port, gateway() as client:
            patience = 0.5 if cause is Cause.TIMED_OUT else 5
            error = await failing(client, "POST", url(port), json={"amount": 5}, timeout=patience)
            assert isinstance(error, GatewayOutcomeUnknown)
            assert (error.cause, error.status) == (cause, seen)
            await asyncio.sleep(0.05)
        assert len(service.requests) == 1

    asyncio.run(scenario())


def test_a_body_that_drips_for_ever_meets_the_deadline() -> None:
    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.02)

    async def scenario() -> None:
        async with running(dripping) as port, gateway() as client:
            error = await failing(client, "POST", url(port), timeout=0.5)
            assert isinstance(error, GatewayOutcomeUnknown)
            assert (error.cause, error.status) == (Cause.TIMED_OUT, 200)

    asyncio.run(scenario())


def test_a_second_answer_is_never_taken_for_the_answer_to_the_next_request() -> None:
    first = OK[:-2] + b"#1"
    stale = OK[:-2] + b"!!"

    async def scenario() -> None:
        service = Service(first + stale, OK)
        async with running(service) as port, gateway() as client:
            assert (await client.request("POST", url(port))).body == b"#1"
            assert (await client.request("POST", url(port))).body == b"ok"
        assert service.connections == 2

    asyncio.run(scenario())


def test_a_second_answer_in_a_packet_of_its_own_is_not_taken_either() -> None:
    """It may lie in the transport's queue, neither read by HTTP nor waiting in the socket."""

    async def scenario() -> None:
        for _ in range(20):
            service = Service((status(201, "Content-Length: 0"), OK[:-2] + b"!!"), OK)
            async with running(service) as port, gateway() as client:
                assert (await client.request("POST", url(port))).status == 201
                assert (await client.request("POST", url(port))).body == b"ok"

    asyncio.run(scenario())


def test_a_second_answer_that_comes_later_is_not_taken_either() -> None:
    async def scenario() -> None:
        service = Service((OK, Service.HANG, OK[:-2] + b"!!"), OK)
        async with running(service) as port, gateway() as client:
            assert (await client.request("POST", url(port))).body == b"ok"
            service.released.set()
            await asyncio.sleep(0.05)
            assert (await client.request("POST", url(port))).body == b"ok"
        assert service.connections == 2

    asyncio.run(scenario())


def test_a_cancelled_call_frees_its_place() -> None:
    async def scenario() -> None:
        service = Service(Service.HANG, OK)
        async with running(service) as port, gateway(per_lane=1) as client:
            call = asyncio.create_task(client.request("POST", url(port)))
            while not service.requests:
                await asyncio.sleep(0.01)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert (await client.request("POST", url(port))).status == 200

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"content": b"x", "json": {}}, "not both"),
        ({"follow_redirects": True}, "redirects of POST"),
        ({"headers": {"Host": "internal"}}, "'host': is set by Tidings"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "'transfer-encoding': is set by Tidings"),
        ({"headers": {"X-Evil": "a\r\nX-Other: b"}}, "'x-evil': the value"),
        ({"headers": {"X Evil": "a"}}, "'x evil': the name"),
        ({"headers": {"X-Name": "grün"}}, "'x-name': the value"),
        ({"idempotency_key": "a\nb"}, "'idempotency-key': the value"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    async def scenario() -> None:
        async with gateway() as client:
            with pytest.raises(ValueError) as error:
                await client.request("POST", url(free_port()), **arguments)
            assert message in str(error.value)

    asyncio.run(scenario())


def test_headers_of_webhooks_can_be_checked_beforehand() -> None:
    check_headers({"Authorization": "Bearer x", "X-Tenant": "7"})
    with pytest.raises(ValueError, match="'Connection': is set by Tidings"):
        check_headers({"Connection": "close"})


@pytest.mark.parametrize(
    ("full", "shown"),
    [
        (
            "https://user:pw@Hooks.example.com:8443/T0/B0?token=1#x",
            "https://hooks.example.com:8443",
        ),
        ("https://[2606:2800::1]/secret", "https://[2606:2800::1]"),
        ("https://example.com:443/secret", "https://example.com"),
        ("secret", "an unusable URL"),
        ("//secret.example/", "an unusable URL"),
        ("http://[secret", "an unusable URL"),
        ("mailto:secret@example.com", "an unusable URL"),
    ],
)
def test_only_the_origin_of_a_url_is_shown(full: str, shown: str) -> None:
    assert redacted(full) == shown


@given(st.text(max_size=60))
def test_redaction_takes_any_text(text: str) -> None:
    assert isinstance(redacted(text), str)


def test_secrets_reach_neither_logs_nor_errors(caplog: pytest.LogCaptureFixture) -> None:
    """Every end of a call, with everything logged that the libraries can be told to log."""
    secret = "s3cr3t"
    caplog.set_level(logging.DEBUG)
    told: list[str] = []

    async def scenario() -> None:
        broken = b"HTTP/1.1 200 OK\r\nX-Token s3cr3t\r\n\r\n"
        service = Service(
            status(200, f"Set-Cookie: session={secret}", f"X-Token: {secret}"),
            Service.DROP,
            broken,
            Service.HANG,
        )
        async with running(service) as port, gateway() as client:
            sent: dict[str, Any] = {
                "headers": {"Authorization": f"Bearer {secret}"},
                "json": {"card": secret},
                "idempotency_key": secret,
                "timeout": 0.5,
            }
            path = f"/{secret}?key={secret}"
            answer = await client.request("POST", url(port, path), **sent)
            told.append(repr(answer.body))
            for target in (
                *[url(port, path)] * 3,
                f"https://api.example.com:{port}{path}",
                f"http://user:{secret}@api.example.com/",
                f"http://10.0.0.1{path}",
                f"http://api.example.com:{free_port()}{path}",
                f"http://nowhere.example.com{path}",
            ):
                error = await failing(client, "POST", target, **sent)
                chain = [error, error.__cause__]
                told.extend(f"{part!s} {part!r} {getattr(part, 'args', '')}" for part in chain)

    with capture_logs() as entries:
        asyncio.run(scenario())
    assert len(entries) == 7  # the two refused by their text never came to be sent
    told.extend(map(str, entries))
    told.append(caplog.text)
    assert secret not in "\n".join(told)
