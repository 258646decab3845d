"""Webhooks: signed deliveries a second against bare HTTP clients that post the same bodies to the
same receiver, and what one dead and one slow endpoint among a hundred cost the others.

Deliveries go all the way: from the log through fan-out, queue, signature and recording. The bare
clients do nothing but post. Rounds are interleaved, figures are medians.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

import httpx
import uvloop

from infrastructure import database
from infrastructure.addresses import parse_networks
from infrastructure.egress import EgressGuard
from infrastructure.embedded import EmbeddedServers
from infrastructure.event_log.codec import SELECT, StoredEvent
from infrastructure.event_log.committer import Committer
from infrastructure.event_log.log import EventLog
from infrastructure.webhooks.background import deliver
from infrastructure.webhooks.messages import body
from infrastructure.webhooks.posting import Poster
from infrastructure.webhooks.signing import Vault
from tests.webhooks.house import KEY, House, until

ROUNDS = 3
DELIVERIES = 10_000
ENDPOINTS = 10
CONNECTIONS = 16
HEADERS = {
    "webhook-id": "msg_4711_0123abcd",
    "webhook-timestamp": "1772452800",
    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
}
CROWD, EVENTS, EVERY = 100, 30, 0.2
"""Endpoints of the second part; events in a round, and seconds between them."""
ISOLATION_ROUNDS = 9


def run() -> dict[str, float]:
    """Print the figures and return their ratios."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidings-bench-")))
        place.chmod(0o711)
        servers = stack.enter_context(EmbeddedServers(place, valkey=False))
        database.migrate(servers.database_url)
        port = _free_port()
        stack.enter_context(_process("tests.bench.receiver", str(port)))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(servers.database_url, f"http://127.0.0.1:{port}"))


async def _run(url: str, receiver: str) -> dict[str, float]:
    committer = Committer(url)
    await committer.start()
    guard = EgressGuard(parse_networks("127.0.0.0/8"))
    async with database.pool(url, "bench") as pool:
        at = House(url, pool, EventLog(pool, committer), Vault(KEY), guard)
        ratios = await _throughput(at, receiver) | await _isolation(at, receiver)
    await committer.close()
    return ratios


async def _throughput(at: House, receiver: str) -> dict[str, float]:
    rates: dict[str, list[float]] = {"deliveries": [], "httpx": [], "own": []}
    for n in range(ENDPOINTS):
        await at.register(f"{receiver}/good{n}", tenant="many", events=["social.*"])
    events = DELIVERIES // ENDPOINTS
    for _ in range(ROUNDS + 1):
        for _ in range(events // 100):
            await asyncio.gather(*(at.post(tenant="many") for _ in range(100)))
        with _process("tests.bench.webhooks", "work", at.url):
            await until(lambda: _settled(at), within=120)
        report = await _report(receiver)
        assert report["n"] == DELIVERIES
        rates["deliveries"].append(report["n"] / report["seconds"])
        usual = await _usual_body(at)
        rates["httpx"].append(await _bare_httpx(f"{receiver}/good", usual))
        rates["own"].append(await _bare_own(at, f"{receiver}/good", usual))
        await _report(receiver)
    figures = {name: median(each[1:]) for name, each in rates.items()}  # the first one warms up
    for name, rate in figures.items():
        print(f"{name:>12}: {rate:7.0f}/s")
    return {
        "deliveries / httpx that only posts (wanted 0.5)": figures["deliveries"] / figures["httpx"],
        "deliveries / our own client that only posts": figures["deliveries"] / figures["own"],
        "deliveries a second / 1,500 (wanted 1)": figures["deliveries"] / 1500,
    }


async def _settled(at: House) -> bool:
    """Whether all that was said has come to the endpoints that answer at once."""
    ((pending, behind),) = await at.rows(
        "SELECT (SELECT sum(q.pending) FROM webhooks.queues q JOIN webhooks.endpoints e"
        "   ON e.id = q.endpoint_id WHERE e.url LIKE '%%/good%%'),"
        " (SELECT max(position) FROM log.events)"
        " - (SELECT position FROM work.followers WHERE name = 'webhooks')"
    )
    return (pending, behind) == (0, 0)


async def _usual_body(at: House) -> bytes:
    """What a delivery's body looks like, of the usual length."""
    rows = await at.rows(SELECT + " WHERE topic = 'social.post.drafted' LIMIT 1")
    return body(StoredEvent(*rows[0]), "social.post.created")


async def _bare_httpx(url: str, content: bytes) -> float:
    """One client for each connection: sharing one among all costs httpx three quarters."""
    context = httpx.create_ssl_context()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(verify=context))
            for _ in range(CONNECTIONS)
        ]
        turn = cycle(clients)

        async def post() -> int:
            return (await next(turn).post(url, content=content, headers=HEADERS)).status_code

        return await _rate(post, 2000)


async def _bare_own(at: House, url: str, content: bytes) -> float:
    poster = Poster(url, {}, at.guard, httpx.create_ssl_context())
    lines = "\r\n".join(f"{name}: {value}" for name, value in HEADERS.items()).encode()

    async def post() -> int:
        return (await poster.post(lines, content)).status

    rate = await _rate(post, 10_000)
    poster.close()
    return rate


async def _rate(post: Any, n: int) -> float:
    left = iter(range(n))

    async def worker() -> None:
        for _ in left:
            assert await post() == 200

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
    return n / (time.perf_counter() - began)


async def _isolation(at: House, receiver: str) -> dict[str, float]:
    for n in range(CROWD - 2):
        await at.register(f"{receiver}/good{n}", tenant="crowd", events=["social.*"])
    bad = [
        (await at.register(f"{receiver}/{name}", tenant="crowd", events=["social.*"]))[0]
        for name in ("dead", "slow")
    ]
    ages: dict[str, list[dict[str, float]]] = {"enabled": [], "disabled": []}
    with _process("tests.bench.webhooks", "work", at.url):
        await _ages(at, receiver)  # warming up
        for n in range(ISOLATION_ROUNDS):
            for status in sorted(ages, reverse=n % 2 == 0):
                for id in bad:
                    await at.patch(id, tenant="crowd", status=status)
                ages[status].append(await _ages(at, receiver))
    figures = {
        (status, name): median(each[name] for each in rounds)
        for status, rounds in ages.items()
        for name in ("p50", "p99")
    }
    for name in ("p50", "p99"):
        beside, alone = (figures[status, name] * 1000 for status in ages)
        print(f"{name} beside a dead and a slow endpoint {beside:.1f} ms, alone {alone:.1f} ms")
    pairs = list(zip(ages["enabled"], ages["disabled"], strict=True))
    return {
        f"{name} beside dead and slow endpoints / alone{wanted}": median(
            beside[name] / alone[name] for beside, alone in pairs
        )
        for name, wanted in (("p50", ""), ("p99", " (wanted 1.1 at most)"))
    }


async def _ages(at: House, receiver: str) -> dict[str, float]:
    """How old messages are when they arrive, in seconds."""
    await asyncio.sleep(0.5)
    await _report(receiver)
    for _ in range(EVENTS):
        await at.post(tenant="crowd")
        await asyncio.sleep(EVERY)
    await until(lambda: _settled(at), within=60)
    report = await _report(receiver)
    assert report["n"] == EVENTS * (CROWD - 2), report
    return {"p50": report["p50"], "p99": report["p99"]}


async def _report(receiver: str) -> dict[str, Any]:
    def fetch() -> dict[str, Any]:
        with urlopen(f"{receiver}/report", timeout=10) as answer:
            return json.load(answer)  # type: ignore[no-any-return]

    return await asyncio.to_thread(fetch)


@contextmanager
def _process(module: str, *arguments: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", module, *arguments])
    try:
        time.sleep(0.5)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _work(url: str) -> None:
    """Background work as `tidings work --only webhooks` does it."""
    committer = Committer(url)
    await committer.start()
    async with database.pool(url, "bench-work") as pool:
        guard = EgressGuard(parse_networks("127.0.0.0/8"))
        work = asyncio.create_task(deliver(url, EventLog(pool, committer), Vault(KEY), guard))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
        await asyncio.gather(work, return_exceptions=True)
    await committer.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        uvloop.run(_work(sys.argv[2]))
    else:
        print(run())
