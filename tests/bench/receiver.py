"""A receiver of webhooks that costs little: `/good…` is answered at once, `/slow` after a second,
`/dead` never. `GET /report` tells what has come since the last one."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import datetime
from typing import Any

import httptools
import uvloop

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
SLOW = 1.0

came: list[tuple[float, bytes]] = []
"""When each request to `/good…` came (seconds since 1970), and its body."""


class Receiving(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.begin()

    def begin(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.path, self.body = b"", b""

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.path = url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        path, body = self.path, self.body
        self.begin()
        if path == b"/report":
            report = json.dumps(_report()).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(report))
            self.transport.write(report)
        elif path == b"/slow":
            asyncio.get_running_loop().call_later(SLOW, self.transport.write, OK)
        elif path != b"/dead":
            came.append((time.time(), body))
            self.transport.write(OK)


def _report() -> dict[str, Any]:
    """How many came, within which time, and how old they were in seconds: median and 99 %."""
    taken, came[:] = came[:], []
    if not taken:
        return {"n": 0}
    ages = sorted(at - _happened(body) for at, body in taken)
    times = [at for at, _ in taken]
    return {
        "n": len(taken),
        "seconds": max(times) - min(times),
        "p50": ages[len(ages) // 2],
        "p99": ages[int(len(ages) * 0.99)],
    }


def _happened(body: bytes) -> float:
    return datetime.fromisoformat(json.loads(body)["timestamp"]).timestamp()


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(
        Receiving, "127.0.0.1", port, backlog=2048
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
