"""Appending events with personal fields beside the same events without: what encryption costs.

A hundred callers, each appending its next event when the last is stored; short rounds of each
kind in turn over one log. A ratio is the median of those of neighbouring rounds, so that whatever
else the machine does falls on both alike. The persons are many and known, as those are who comment
on posts; in a third kind each event is of a person who was never heard of, who gets a key.

The second figure is processor time of this process for each event, without the database's.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Annotated, Any, NamedTuple

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
ROUNDS, WARMING, SECONDS = 40, 8, 0.25
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
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # as in the service
    keyring.use(["a secret of the benchmark that is long enough"])
    known, new = itertools.cycle(range(PERSONS)), itertools.count()
    kinds: dict[str, Callable[[], Aggregate]] = {
        "without": lambda: Note(Noted(f"twitter:person {next(known)}", TEXT)),
        "personal": lambda: Remark(Said(f"twitter:person {next(known)}", TEXT)),
        "new persons": lambda: Remark(Said(f"twitter:stranger {next(new)}", TEXT)),
    }
    rounds: dict[str, list[Round]] = {name: [] for name in kinds}
    async with database.pool(url, "bench") as pool:
        committer = Committer(url)
        await committer.start()
        log = EventLog(pool, committer)
        with somebody():
            for _ in range(WARMING + ROUNDS):
                for name, make in kinds.items():
                    rounds[name].append(await _round(log, make))
        await committer.close()
    rounds = {name: found[WARMING:] for name, found in rounds.items()}
    for name, found in rounds.items():
        rate, busy = median(each.rate for each in found), median(each.busy for each in found)
        print(f"{name:>12}: {rate:7.0f} events/s, {busy:5.1f} us of processor time each")
    return {
        "append personal / without (wanted 0.9)": _ratio(rounds["personal"], rounds["without"]),
        "append of new persons / without": _ratio(rounds["new persons"], rounds["without"]),
    }


def _ratio(ours: list[Round], theirs: list[Round]) -> float:
    return median(one.rate / other.rate for one, other in zip(ours, theirs, strict=True))


class Round(NamedTuple):
    """Events a second, and microseconds of processor time for each."""

    rate: float
    busy: float


async def _round(log: EventLog, make: Callable[[], Aggregate]) -> Round:
    began, busy, done = perf_counter(), process_time(), 0

    async def caller() -> None:
        nonlocal done
        while perf_counter() - began < SECONDS:
            events: list[Any] = [*make().collect_events()]
            await log.append(Decision("demo", events))
            done += 1

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return Round(done / (perf_counter() - began), (process_time() - busy) / done * 1e6)
