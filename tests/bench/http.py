"""`POST /social/posts` at 100 connections on one worker, against a plain handler with one INSERT
and against the same handler without any database. A ratio is the median of those of rounds that
stand side by side, so that whatever else the machine does falls on both alike.

Everything is on: tokens, roles, rate limits, screens, per-network rules and texts, the event log,
projections, policies, webhooks, jobs. Posts of one run are for next year (accepted and kept), those
of the other for now (published meanwhile by the background work).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

from domain.identity import Role
from infrastructure.embedded import EmbeddedServers
from infrastructure.settings import secret
from infrastructure.tokens import Tokens
from tests.bench.load import Load

CONNECTIONS = 100
ROUNDS, SECONDS = 7, 2.0
LATER = {"content": "Test", "platforms": ["twitter"], "scheduled_for": "2040-01-01T00:00:00Z"}
NOW = {"content": "Test", "platforms": ["twitter"]}
BIN = Path(sys.executable).parent


def run() -> dict[str, float]:
    """Print the table and return its ratios."""
    with ExitStack() as stack:
        data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidings-bench-")))
        data_dir.chmod(0o711)
        ours, plain = _free_port(), _free_port()
        stack.enter_context(_tidings(data_dir, ours))
        database = EmbeddedServers(data_dir).database_url
        stack.enter_context(_plain(database, plain))
        nobody: list[dict[str, str]] = [{}] * CONNECTIONS
        rounds: dict[str, list[Load]] = {"empty": [], "crud": [], "later": [], "now": []}
        for each in range(ROUNDS + 1):
            callers = _callers(data_dir, f"round-{each}")
            rounds["empty"].append(_load(plain, "/empty", LATER, nobody))
            rounds["crud"].append(_load(plain, "/crud", LATER, nobody))
            rounds["later"].append(_load(ours, "/api/v1/social/posts", LATER, callers))
            time.sleep(1)  # let the followers of the log catch up, so that rounds are alike
        others = _callers(data_dir, "other")
        for _ in range(2):  # last, since the networks are called for a while afterwards
            rounds["now"].append(_load(ours, "/api/v1/social/posts", NOW, others))
    for name in rounds:
        del rounds[name][0]  # warming up
    rates = {name: median(load.rate for load in loads) for name, loads in rounds.items()}
    for name, loads in rounds.items():
        failures = sum((Counter(load.failures) for load in loads), Counter[int]())
        p95 = median(load.quantile(0.95) for load in loads)
        print(f"{name:>6}: {rates[name]:7.0f}/s  p95 {p95 * 1000:6.1f} ms  {dict(failures) or ''}")
    return {
        "post for later / plain INSERT (wanted 1.5)": _ratio(rounds["later"], rounds["crud"]),
        "post for later / no database (wanted 0.6)": _ratio(rounds["later"], rounds["empty"]),
        "post for now / plain INSERT": rates["now"] / rates["crud"],
        "post for now / no database": rates["now"] / rates["empty"],
    }


def _ratio(ours: list[Load], theirs: list[Load]) -> float:
    return median(one.rate / other.rate for one, other in zip(ours, theirs, strict=True))


def _load(
    port: int, path: str, body: Any, headers: list[dict[str, str]], seconds: float = SECONDS
) -> Load:
    given = {"port": port, "path": path, "body": body, "headers": headers, "seconds": seconds}
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        input=json.dumps(given).encode(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=seconds + 60,
    )
    return Load(**json.loads(done.stdout))


def _callers(data_dir: Path, name: str) -> list[dict[str, str]]:
    """What to send for one caller at each connection, so that nobody reaches their limit."""
    tokens = Tokens(secret({}, data_dir, "JWT_SECRET_KEY"))
    users = (f"{name}-{n}" for n in range(CONNECTIONS))
    issued = (tokens.issue(user=user, role=Role.SUPER_ADMIN, tenant="bench") for user in users)
    return [{"Authorization": f"Bearer {token}"} for token in issued]


@contextmanager
def _tidings(data_dir: Path, port: int) -> Iterator[None]:
    command = [BIN / "tidings", "--data-dir", data_dir, "serve", "--port", str(port)]
    with _process(command, port, "/healthz", {}):
        yield


@contextmanager
def _plain(database_url: str, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.bench.plain", str(port)]
    with _process(command, port, "/openapi.json", {"BENCH_DATABASE_URL": database_url}):
        yield


@contextmanager
def _process(
    command: list[Any], port: int, path: str, environment: dict[str, str]
) -> Iterator[None]:
    process = subprocess.Popen(command, env=os.environ | environment)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                urlopen(f"http://127.0.0.1:{port}{path}", timeout=1).read()
                break
            except OSError:
                if time.monotonic() > until or process.poll() is not None:
                    raise
                time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
