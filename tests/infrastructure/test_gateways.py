"""The shared client against services that refuse, hang, answer twice, lie and come back."""

import asyncio
import logging
import random
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from infrastructure.addresses import parse_networks
from infrastructure.egress import EgressGuard
from infrastructure.gateway_lanes import GatewayLimits
from infrastructure.gateway_outcomes import Cause, GatewayOutcomeUnknown, GatewayUnreachable
from infrastructure.gateways import GatewayClient
from infrastructure.http_fields import check_headers, parse_retry_after, redacted
from tests.infrastructure.test_egress import certificate, never_accepting, running

NOW = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EMPTY = b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n%s\r\n"


def status(code: int, *lines: str) -> bytes:
    return EMPTY % (code, "".join(f"{line}\r\n" for line in lines).encode())


class Service:
    """A service on 127.0.0.1 that plays its script, one entry per request, the last one for ever.

    An entry is the bytes of an answer, `HANG` (never answers), or `DROP` (closes instead); a tuple
    is played in order.
    """

    HANG, DROP = "hang", "drop"

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.requests: list[bytes] = []
        self.connections = 0
        self.under_way = 0
        self.most_under_way = 0
        self.released = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            self.requests.append(await self._read(reader))
            entry = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            for part in entry if isinstance(entry, tuple) else (entry,):
                if part == self.DROP:
                    return
                if part == self.HANG:
                    await self.released.wait()
                else:
                    writer.write(part)
                    await writer.drain()
            self.under_way -= 1

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return head + await reader.readexactly(int(line.partition(b":")[2]))
        return head


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


async def at_home(host: str, port: int) -> Sequence[str]:
    if host == "nowhere.example.com":
        raise OSError("no such host")
    return ["127.0.0.1"]


def gateway(
    time: Time | None = None, *, context: ssl.SSLContext | None = None, **limits: Any
) -> GatewayClient:
    time = time or Time()
    return GatewayClient(
        EgressGuard(parse_networks("127.0.0.1"), resolver=at_home),
        GatewayLimits(**{"timeout": 2.0, **limits}),
        context=context or ssl.create_default_context(),
        clock=time.clock,
        sleep=time.sleep,
        now=lambda: NOW,
        chance=random.Random(7),
    )


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def url(port: int, path: str = "/") -> str:
    return f"http://api.example.com:{port}{path}"


# --- Answers ---------------------------------------------------------------------------------


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


# --- Unreachable: certainly nothing was received ---------------------------------------------


async def failing(client: GatewayClient, method: str, target: str, **more: Any) -> Any:
    with pytest.raises((GatewayUnreachable, GatewayOutcomeUnknown)) as failure:
        await client.request(method, target, **more)
    return failure.value


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


# --- Unknown: sent, and no complete answer ---------------------------------------------------


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


# --- Retries ---------------------------------------------------------------------------------


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


# --- Concurrency and circuit -----------------------------------------------------------------


def test_one_service_gets_so_many_requests_at_once_and_another_is_not_delayed() -> None:
    async def scenario() -> None:
        slow, quick = Service((Service.HANG, OK)), Service(OK)
        async with (
            running(slow) as slow_port,
            running(quick) as quick_port,
            gateway(per_lane=3) as client,
        ):
            calls = [
                asyncio.create_task(client.request("POST", url(slow_port), timeout=5))
                for _ in range(8)
            ]
            while slow.under_way < 3:
                await asyncio.sleep(0.01)
            assert (await client.request("POST", url(quick_port))).status == 200
            await asyncio.sleep(0.05)
            assert len(slow.requests) == 3
            slow.released.set()
            assert [answer.status for answer in await asyncio.gather(*calls)] == [200] * 8
        assert slow.most_under_way == 3

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("limits", "host"),
    [({"per_lane": 1}, "api.example.com"), ({"connections": 1}, "other.example.com")],
    ids=["of one service", "of all services"],
)
def test_who_gets_no_place_in_time_has_sent_nothing(limits: dict[str, Any], host: str) -> None:
    async def scenario() -> None:
        service = Service((Service.HANG, OK))
        async with running(service) as port, gateway(failures_to_open=1, **limits) as client:
            first = asyncio.create_task(client.request("POST", url(port), timeout=5))
            while not service.requests:
                await asyncio.sleep(0.01)
            for _ in range(2):
                error = await failing(client, "POST", f"http://{host}:{port}/", timeout=0.1)
                assert isinstance(error, GatewayUnreachable)
                assert error.cause is Cause.BUSY
            assert len(service.requests) == 1
            service.released.set()
            assert (await first).status == 200

    asyncio.run(scenario())


def test_the_circuit_opens_probes_and_closes() -> None:
    async def scenario() -> None:
        time, service = Time(), Service(status(503))
        async with (
            running(service) as port,
            gateway(time, failures_to_open=3, open_seconds=30) as client,
        ):
            for _ in range(3):
                assert (await client.request("POST", url(port))).status == 503
            error = await failing(client, "POST", url(port))
            assert isinstance(error, GatewayUnreachable)
            assert error.cause is Cause.CIRCUIT_OPEN
            assert len(service.requests) == 3

            time.seconds += 31
            assert (await client.request("POST", url(port))).status == 503
            assert (await failing(client, "POST", url(port))).cause is Cause.CIRCUIT_OPEN

            time.seconds += 31
            service.script = [OK]
            assert (await client.request("POST", url(port))).status == 200
            assert (await client.request("POST", url(port))).status == 200
            assert len(service.requests) == 6

    asyncio.run(scenario())


def test_one_probe_goes_at_a_time_even_when_it_hangs() -> None:
    async def scenario() -> None:
        time, service = Time(), Service(status(503), Service.HANG)
        async with running(service) as port, gateway(time, failures_to_open=1) as client:
            await client.request("POST", url(port))
            time.seconds += 31
            probe = asyncio.create_task(client.request("POST", url(port)))
            while len(service.requests) < 2:
                await asyncio.sleep(0.01)
            assert (await failing(client, "POST", url(port))).cause is Cause.CIRCUIT_OPEN
            probe.cancel()
            await asyncio.gather(probe, return_exceptions=True)
            assert (await failing(client, "POST", url(port))).cause is Cause.CIRCUIT_OPEN
            time.seconds += 31
            service.script = [OK]
            assert (await client.request("POST", url(port))).status == 200

    asyncio.run(scenario())


@pytest.mark.parametrize("harmless", [status(400), status(404), status(429), status(500)])
def test_answers_about_one_request_do_not_open_the_circuit(harmless: bytes) -> None:
    async def scenario() -> None:
        service = Service(harmless)
        async with running(service) as port, gateway(failures_to_open=2) as client:
            for _ in range(5):
                await client.request("POST", url(port))
        assert len(service.requests) == 5

    asyncio.run(scenario())


def test_only_failures_in_a_row_open_the_circuit() -> None:
    async def scenario() -> None:
        bad = status(503)
        service = Service(bad, bad, OK, bad, bad, OK)
        async with running(service) as port, gateway(failures_to_open=3) as client:
            for _ in range(6):
                await client.request("POST", url(port))
        assert len(service.requests) == 6

    asyncio.run(scenario())


def test_unreachable_services_open_their_circuit_and_lanes_keep_it_to_themselves() -> None:
    async def scenario() -> None:
        target = url(free_port())
        async with gateway(failures_to_open=2) as client:
            for _ in range(2):
                error = await failing(client, "POST", target, lane="endpoint 1")
                assert error.cause is Cause.CONNECT_FAILED
            error = await failing(client, "POST", target, lane="endpoint 1")
            assert error.cause is Cause.CIRCUIT_OPEN
            error = await failing(client, "POST", target, lane="endpoint 2")
            assert error.cause is Cause.CONNECT_FAILED

    asyncio.run(scenario())


def test_healthy_services_leave_nothing_behind() -> None:
    async def scenario() -> None:
        async with running(Service(OK)) as port, gateway() as client:
            for number in range(5):
                await client.request("POST", url(port), lane=f"endpoint {number}")
            assert client._lanes == {}

    asyncio.run(scenario())


# --- Redirects -------------------------------------------------------------------------------


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


# --- Arguments and secrets -------------------------------------------------------------------


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
