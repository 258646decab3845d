"""A closed-loop load: so many connections, each sending its next request when answered.

Plain asyncio protocols, so that the load takes little of the processors it measures.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import uvloop


@dataclass
class Load:
    """What a round came to: answers, seconds, statuses other than 200, latencies in seconds."""

    answers: int
    seconds: float
    failures: dict[int, int]
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Answers a second, without those that were refused or failed."""
        return (self.answers - sum(self.failures.values())) / self.seconds

    def quantile(self, q: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(int(q * len(ordered)), len(ordered) - 1)] if ordered else float("nan")


class _Caller(asyncio.Protocol):
    def __init__(self, request: Callable[[], bytes | None], load: Load) -> None:
        self.request, self.load, self.buffer = request, load, b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._next()

    def _next(self) -> None:
        request = self.request()
        if request is None:
            self.transport.close()
            return
        self.sent = perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lower = head.lower()
        start = lower.index(b"content-length:") + 15
        end = lower.find(b"\r\n", start)
        length = int(lower[start : end if end > 0 else None])
        if len(body) < length:
            return
        self.buffer = body[length:]
        self.load.latencies.append(perf_counter() - self.sent)
        self.load.answers += 1
        status = int(head[9:12])
        if status != 200:
            self.load.failures[status] = self.load.failures.get(status, 0) + 1
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(error)


def post(path: str, body: object, headers: dict[str, str] | None = None) -> bytes:
    """One HTTP/1.1 request, ready to be written."""
    payload = json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(payload)}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload


async def _drive(port: int, requests: Sequence[bytes], seconds: float) -> Load:
    load = Load(0, 0.0, {}, [])
    loop = asyncio.get_running_loop()
    began = perf_counter()
    until = began + seconds
    callers = []
    for request in requests:

        def next_request(request: bytes = request) -> bytes | None:
            return request if perf_counter() < until else None

        _, caller = await loop.create_connection(
            partial(_Caller, next_request, load), "127.0.0.1", port
        )
        callers.append(caller)
    await asyncio.wait_for(asyncio.gather(*(caller.done for caller in callers)), seconds + 30)
    load.seconds = perf_counter() - began
    return load


def drive(port: int, requests: Sequence[bytes], seconds: float) -> Load:
    """One connection for each request, which it sends again and again for `seconds`."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_drive(port, requests, seconds))


def main() -> None:
    """Run in a process of its own: parameters as JSON on standard input, figures on output."""
    given = json.load(sys.stdin)
    requests = [post(given["path"], given["body"], headers) for headers in given["headers"]]
    load = drive(given["port"], requests, given["seconds"])
    json.dump(vars(load) | {"failures": {str(k): v for k, v in load.failures.items()}}, sys.stdout)


if __name__ == "__main__":
    main()
