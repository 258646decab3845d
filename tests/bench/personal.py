"""Appending events with personal fields beside the same events without: what encryption costs.

A hundred callers, each appending its next event when the last is stored; rounds of both kinds in
turn over one log, and the ratio of medians. The persons are many and known; in a third kind each
event is of a person who was never heard of, who gets a key.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any

import uvloop

from application.kernel import Decision
from domain.kernel import Aggregate, event
from domain.personal import Personal
from infrastructure import database
from infrastructure.embedded import EmbeddedPostgres
from infrastructure.event_log.committer import Committer
from infrastructure.event_log.log import EventLog
from infrastructure.personal_data import keyring
from tests.rooms import somebody

CALLERS, PERSONS = 100, 2000
ROUNDS, SECONDS = 9, 1.0
TEXT = "Where can I get one of these? I have looked everywhere, and nobody here knows about it."


@dataclass(frozen=True)
class Said:
    by: Annotated[str, Personal(of="said.by")]
    text: Annotated[str, Personal(of="said.by")]


@dataclass(frozen=True)
class Noted:
    by: str
    text: str


class Remark(Aggregate, topic="bench.remark"):
    """What somebody said."""

    class Made(Aggregate.Created):
        TOPIC = "bench.remark.made"
        said: Said

    @event(Made)
    def __init__(self, said: Said) -> None:
        self.said = said


class Note(Aggregate, topic="bench.note"):
    """The same, of nobody."""

    class Made(Aggregate.Created):
        TOPIC = "bench.note.made"
        said: Noted

    @event(Made)
    def __init__(self, said: Noted) -> None:
        self.said = said


def run() -> dict[str, float]:
    """Print the table and return its ratios."""
    with tempfile.TemporaryDirectory(prefix="tidings-bench-") as place:
        Path(place).chmod(0o711)
        server = EmbeddedPostgres(Path(place) / "postgres", durable=True)
        server.start()
        try:
            database.migrate(server.url())
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_measured(server.url()))
        finally:
            server.stop()


async def _measured(url: str) -> dict[str, float]:
    keyring.use(["a secret of the benchmark that is long enough"])
    known, new = itertools.cycle(range(PERSONS)), itertools.count()
    kinds: dict[str, Callable[[], Aggregate]] = {
        "without": lambda: Note(Noted(f"twitter:person {next(known)}", TEXT)),
        "personal": lambda: Remark(Said(f"twitter:person {next(known)}", TEXT)),
        "new persons": lambda: Remark(Said(f"twitter:stranger {next(new)}", TEXT)),
    }
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    async with database.pool(url, "bench") as pool:
        committer = Committer(url)
        await committer.start()
        log = EventLog(pool, committer)
        with somebody():
            for _ in range(ROUNDS + 1):
                for name, make in kinds.items():
                    rates[name].append(await _rate(log, make))
        await committer.close()
    medians = {name: median(found[1:]) for name, found in rates.items()}  # the first warms up
    for name, rate in medians.items():
        print(f"{name:>12}: {rate:7.0f} events/s")
    return {
        "append personal / without (wanted 0.9)": medians["personal"] / medians["without"],
        "append of new persons / without": medians["new persons"] / medians["without"],
    }


async def _rate(log: EventLog, make: Callable[[], Aggregate]) -> float:
    began, done = perf_counter(), 0

    async def caller() -> None:
        nonlocal done
        while perf_counter() - began < SECONDS:
            events: list[Any] = [*make().collect_events()]
            await log.append(Decision("demo", events))
            done += 1

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return done / (perf_counter() - began)
