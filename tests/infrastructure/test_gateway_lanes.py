"""How much one service is asked at once, and when it is left alone."""

import asyncio
from typing import Any

import pytest

from infrastructure.gateway_outcomes import Cause, GatewayUnreachable
from tests.infrastructure.egress_rooms import running
from tests.infrastructure.gateway_service import (
    OK,
    Service,
    Time,
    failing,
    free_port,
    gateway,
    status,
    url,
)


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
