"""Runs the drill and prints what it found; exit status 1 when that is anything."""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from infrastructure.database import migrate
from infrastructure.embedded import EmbeddedPostgres
from tests.drill.chaos import Chaos, Workers, prepare
from tests.drill.verdict import caught_up, faults_found
from tests.drill.workers import HOT
from tests.event_log.rooms import Counter, somebody
from tests.rooms import append

SETTLING = 1.0
"""Seconds for the readers after the last event."""


def drill(
    url: str, folder: Path, seconds: float, server: EmbeddedPostgres | None = None, nice: int = 10
) -> dict[str, object]:
    """Run on a migrated database with nothing in it; `found` is empty when all is well."""
    prepare(url)
    _open_hot_counters(url)
    workers = Workers(url, folder, nice)
    chaos = Chaos(url, workers, server)
    try:
        for kind in ("write", "tail", "follow"):
            for number in (1, 2):
                workers.start(kind, number)
        time.sleep(1)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            chaos.once()
            time.sleep(random.uniform(0, 0.6))
        workers.stop("write")
        chaos.rest()
        found = caught_up(url)
        time.sleep(SETTLING)
        workers.stop("tail")
        workers.stop("follow")
    finally:
        workers.kill_all()
    found += faults_found(url, folder)
    acknowledged = sum(f.read_text().count('"token"') for f in folder.glob("write-*.jsonl"))
    with psycopg.connect(url) as admin:
        events = admin.execute("SELECT count(*) FROM log.events").fetchone()
    return {
        "events": events and events[0],
        "acknowledged": acknowledged,
        "faults": dict(chaos.done),
        "found": found,
    }


def _open_hot_counters(url: str) -> None:
    with psycopg.connect(url) as admin:
        for n, stream in enumerate(HOT):
            with somebody(request=f"hot {n}"):
                it = Counter("hot")
            event: Any
            (event,) = it.collect_events()
            object.__setattr__(event, "originator_id", stream)
            append(admin, [event])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drill", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    random.seed(given.seed)
    with tempfile.TemporaryDirectory(prefix="tidings-drill-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        server = EmbeddedPostgres(folder / "postgres")
        server.start()
        try:
            migrate(server.url())
            report = drill(server.url(), folder, given.minutes * 60, server)
        finally:
            server.stop()
    report["found"] = list(report["found"])[:20]  # type: ignore[call-overload]
    print(json.dumps({"minutes": given.minutes, "seed": given.seed, **report}, indent=2))
    return 1 if report["found"] else 0


if __name__ == "__main__":
    sys.exit(main())
