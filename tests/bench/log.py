"""The event log: appends by 1, 8 and 100 callers, and loading aggregates of 10 to 1,000 events,
against plain INSERTs, the library's own recorder, and two event stores of the npm registry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any
from uuid import UUID

import uvloop
from eventsourcing.application import Application

from application.kernel import Decision
from infrastructure import database
from infrastructure.event_log.committer import Committer
from infrastructure.event_log.log import LONG, EventLog
from tests.bench import peers
from tests.bench.peers import Append
from tests.bench.report import Figure
from tests.bench.server import migrated, server
from tests.event_log.rooms import Counter, counter, somebody

CALLERS = (1, 8, 100)
ROUNDS, SECONDS = 5, 1.5
LENGTHS = (10, 100, 1000)
LOADS = 40

figures: list[Figure] = []
"""Of the last run, for the report."""


def run() -> dict[str, float]:
    """Measure, and return the ratios."""
    figures.clear()
    with server() as (create, folder):
        ours = migrated(create("tidings_log"))
        library, app = peers.library(create("library"))
        contestants: dict[str, Append | None] = {
            "Tidings": lambda callers, seconds: _run(_append(ours, callers, seconds)),
            "plain INSERT (pgbench)": peers.plain(create("plain"), folder),
            "eventsourcing, save": library,
            "message-db": None,
            "emmett-postgresql": None,
        }
        if peers.install(folder):
            contestants["message-db"] = peers.message_db(create("message_db"), folder)
            contestants["emmett-postgresql"] = peers.emmett(create("emmett"), folder)
        rates = _measure(contestants)
        for (name, callers), rate in rates.items():
            group = f"Append, {callers} caller{'s' if callers > 1 else ''}"
            figures.append(Figure(group, name, rate, "appends/s"))
        ratios = _ratios(rates)
        ratios |= _run(_loads(ours, app))
        app.close()
    for each in figures:
        print(f"  {each.group}: {each.what}: {each.value and round(each.value, 2)} {each.unit}")
    return ratios


def _run(work: Any) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _measure(contestants: dict[str, Append | None]) -> dict[tuple[str, int], float | None]:
    """Medians of rounds in turns; the first round warms up."""
    measured: dict[tuple[str, int], list[float]] = {}
    for _ in range(ROUNDS + 1):
        for callers in CALLERS:
            for name, append in contestants.items():
                rates = measured.setdefault((name, callers), [])
                if append is not None:
                    rates.append(append(callers, SECONDS))
    ordered = sorted(measured.items(), key=lambda item: item[0][1])
    return {key: median(rates[1:]) if rates else None for key, rates in ordered}


def _ratios(rates: dict[tuple[str, int], float | None]) -> dict[str, float]:
    ours = rates["Tidings", 100] or 0
    found = {
        "append at 100 callers / the library's save (wanted 10)": ours
        / (rates["eventsourcing, save", 100] or 1),
        "append at 100 callers / plain INSERT of 8 writers (wanted 0.6)": ours
        / (rates["plain INSERT (pgbench)", 8] or 1),
        "append of one caller / the library's save": (rates["Tidings", 1] or 0)
        / (rates["eventsourcing, save", 1] or 1),
    }
    for name in ("message-db", "emmett-postgresql"):
        if rate := rates[name, 100]:
            found[f"append at 100 callers / {name}"] = ours / rate
    return found


async def _append(url: str, callers: int, seconds: float) -> float:
    committer = Committer(url)
    await committer.start()
    done = 0
    until = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < until:
            events: list[Any] = [*counter("an order of the benchmark").collect_events()]
            await committer.submit(Decision("demo", events, "ann"))
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    took = time.perf_counter() - began
    await committer.close()
    return done / took


async def _loads(url: str, app: Application[UUID]) -> dict[str, float]:
    """Milliseconds to load an aggregate, by the number of its events."""
    ratios = {}
    async with database.pool(url, "bench") as pool:
        committer = Committer(url)
        await committer.start()
        plain = EventLog(pool, committer, long=None)
        snapshots = EventLog(pool, committer)
        cached = EventLog(pool, committer, long=None, cache=100)
        for length in LENGTHS:
            with somebody():
                it = counter("long")
                for _ in range(length - 1):
                    it.increase()
            await plain.append(Decision("demo", it.collect_events()))  # type: ignore[arg-type]
            order = peers.Order("long", "ann", "1")
            for _ in range(length - 1):
                order.trigger_event(peers.Order.Event)
            app.save(order)
            await snapshots.load(Counter, it.id)
            await asyncio.gather(*snapshots.writing)
            times: dict[str, list[float]] = {}
            for _ in range(LOADS):
                for name, log in (("Tidings", plain), ("Tidings, from a snapshot", snapshots),
                                  ("Tidings, from the cache", cached)):  # fmt: skip
                    began = time.perf_counter()
                    await log.load(Counter, it.id)
                    times.setdefault(name, []).append(time.perf_counter() - began)
                took = _timed(partial(app.repository.get, order.id))
                times.setdefault("eventsourcing, repository.get", []).append(took)
            for name, taken in times.items():
                if length >= LONG or name != "Tidings, from a snapshot":
                    group = f"Loading an aggregate of {length:,} events"
                    figures.append(Figure(group, name, median(taken) * 1000, "ms"))
            ours = median(times["Tidings"])
            ratios[f"loading {length:,} events: the library's time / ours"] = (
                median(times["eventsourcing, repository.get"]) / ours
            )
        await committer.close()
    return ratios


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
