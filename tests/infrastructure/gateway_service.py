"""A service outside, and a gateway to it, for the tests of gateways."""

import asyncio
import random
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from infrastructure.addresses import parse_networks
from infrastructure.egress import EgressGuard
from infrastructure.gateway_lanes import GatewayLimits
from infrastructure.gateway_outcomes import GatewayOutcomeUnknown, GatewayUnreachable
from infrastructure.gateways import GatewayClient

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


async def failing(client: GatewayClient, method: str, target: str, **more: Any) -> Any:
    with pytest.raises((GatewayUnreachable, GatewayOutcomeUnknown)) as failure:
        await client.request(method, target, **more)
    return failure.value
