"""What is asked again, and where a redirect leads."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.gateway_outcomes import Cause, GatewayOutcomeUnknown, GatewayUnreachable
from infrastructure.http_fields import parse_retry_after
from tests.infrastructure.egress_rooms import certificate, running
from tests.infrastructure.gateway_service import (
    NOW,
    OK,
    Service,
    Time,
    failing,
    gateway,
    status,
    url,
)


@pytest.mark.parametrize(
    "failure", [Service.DROP, OK[:-1], *(status(code) for code in (429, 502, 503, 504))]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reads_are_repeated(method: str, failure: Any) -> None:
    async def scenario() -> None:
        entry = (failure, Service.DROP) if failure == OK[:-1] else failure
        answer = OK if method == "GET" else status(200)
        # An answer to HEAD has no body, so there is none that could break off.
        service = Service(entry, answer)
        time = Time()
        async with running(service) as port, gateway(time) as client:
            assert (await client.request(method, url(port))).status == 200
        expected = 1 if method == "HEAD" and failure == OK[:-1] else 2
        assert len(service.requests) == expected
        assert len(time.slept) == expected - 1

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("failure", [Service.DROP, status(503), status(429, "Retry-After: 1")])
def test_anything_else_is_sent_once(method: str, failure: Any) -> None:
    async def scenario() -> None:
        service, time = Service(failure, OK), Time()
        async with running(service) as port, gateway(time) as client:
            if failure == Service.DROP:
                await failing(client, method, url(port), idempotency_key="k")
            else:
                answer = await client.request(method, url(port), idempotency_key="k")
                assert answer.status in (429, 503)
        assert len(service.requests) == 1
        assert time.slept == []

    asyncio.run(scenario())


def test_attempts_end_and_pauses_grow_and_differ() -> None:
    async def scenario() -> None:
        service, time = Service(status(503)), Time()
        async with running(service) as port:
            pauses: dict[str, Any] = {"first_wait": 1.0, "longest_wait": 4.0}
            async with gateway(time, attempts=6, failures_to_open=99, **pauses) as client:
                assert (await client.request("GET", url(port))).status == 503
        assert len(service.requests) == 6
        bounds = (1, 2, 4, 4, 4)
        assert all(0 <= slept <= most for slept, most in zip(time.slept, bounds, strict=True))
        assert len(set(time.slept)) == 5
        assert max(time.slept) > 2

    asyncio.run(scenario())


def test_a_hanging_read_is_repeated_and_the_last_failure_is_told() -> None:
    async def scenario() -> None:
        service = Service(Service.HANG)
        async with running(service) as port, gateway(attempts=2) as client:
            error = await failing(client, "GET", url(port), timeout=0.5)
            assert isinstance(error, GatewayOutcomeUnknown)
        assert len(service.requests) == 2

    asyncio.run(scenario())


def test_refusals_of_the_guard_are_not_repeated() -> None:
    async def scenario() -> None:
        time = Time()
        async with gateway(time) as client:
            await failing(client, "GET", "http://10.0.0.1/")
        assert time.slept == []

    asyncio.run(scenario())


def test_retry_after_is_honoured_up_to_a_bound() -> None:
    async def scenario() -> None:
        time = Time()
        service = Service(
            status(429, "Retry-After: 3"),
            status(503, "Retry-After: Sat, 01 Mar 2025 12:00:07 GMT"),
            status(429, "Retry-After: 60"),
            OK,
        )
        async with running(service) as port, gateway(time, attempts=9) as client:
            answer = await client.request("GET", url(port))
            assert (answer.status, answer.retry_after) == (429, 60.0)
        assert time.slept == [3.0, 7.0]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("9" * 400, 9999999999.0),
        ("１２", None),
        ("Sat, 01 Mar 2025 12:02:00 GMT", 120.0),
        ("Sat, 01 Mar 2025 13:02:00 +0100", 120.0),
        ("Sat, 01 Mar 2025 11:00:00 GMT", 0.0),
        ("Sat, 01 Mar 2025 12:02:00 -0000", 120.0),
        ("Sat, 99 Mar 2025 12:02:00 GMT", None),
    ],
)
def test_both_forms_of_retry_after_are_read(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_is_a_crash(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or seconds >= 0


def test_redirects_are_answers_unless_asked_to_follow() -> None:
    async def scenario() -> None:
        service = Service(status(302, "Location: /elsewhere"))
        async with running(service) as port, gateway() as client:
            answer = await client.request("GET", url(port))
            assert (answer.status, answer.headers["location"]) == (302, "/elsewhere")
        assert len(service.requests) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("location", "because"),
    [
        ("http://127.0.0.2/", "loopback"),
        ("http://169.254.169.254/latest/meta-data/", "metadata"),
        ("http://[::ffff:127.0.0.1]/", "carries an IPv4 address"),
        ("http://2130706433/", "four decimal numbers"),
        ("//user:secret@api.example.com/", "credentials"),
        ("file:///etc/passwd", "http:// or https://"),
        ("http://[unusable", "malformed"),
        ("\\\\127.0.0.1\\", "backslash"),
    ],
)
def test_every_hop_passes_the_guard(location: str, because: str) -> None:
    async def scenario() -> None:
        service = Service(status(302, f"Location: {location}"))
        async with running(service) as port, gateway() as client:
            error = await failing(client, "GET", url(port), follow_redirects=True)
            assert isinstance(error, GatewayUnreachable)
            assert error.cause is Cause.EGRESS_REFUSED
            assert because in error.reason
        assert len(service.requests) == 1

    asyncio.run(scenario())


def test_secrets_stay_with_their_origin() -> None:
    async def scenario() -> None:
        other = Service(OK)
        async with running(other) as other_port:
            first = Service(
                status(307, "Location: /second#part"),
                status(302, f"Location: http://cdn.example.com:{other_port}/file"),
            )
            async with running(first) as port, gateway() as client:
                answer = await client.request(
                    "GET",
                    url(port, "/first"),
                    headers={"X-Api-Key": "s3cret", "Accept": "image/png"},
                    content=b"s3cret",
                    follow_redirects=True,
                )
                assert answer.body == b"ok"
        assert [request.split()[1] for request in first.requests] == [b"/first", b"/second"]
        assert all(b"s3cret" in request for request in first.requests)
        assert b"s3cret" not in other.requests[0]
        assert b"accept: image/png" in other.requests[0].lower()

    asyncio.run(scenario())


def test_redirects_do_not_leave_https(tmp_path: Path) -> None:
    server_side, client_side = certificate("api.example.com", tmp_path)

    async def scenario() -> None:
        service = Service(status(302, "Location: http://api.example.com/"))
        async with running(service, server_side) as port, gateway(context=client_side) as client:
            target = f"https://api.example.com:{port}/"
            error = await failing(client, "GET", target, follow_redirects=True)
            assert "plain HTTP" in error.reason

    asyncio.run(scenario())


def test_a_ring_of_redirects_ends() -> None:
    async def scenario() -> None:
        service = Service(status(302, "Location: /again"))
        async with running(service) as port, gateway(redirects=4) as client:
            answer = await client.request("GET", url(port), follow_redirects=True)
            assert answer.status == 302
        assert len(service.requests) == 5

    asyncio.run(scenario())
