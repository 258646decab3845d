"""Verifying the ledger against a raw COPY of the same rows: what hashing costs beside reading.

Interleaved rounds over one log on a server of its own; the ratio of medians.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import psycopg

from domain.positions import GREATEST
from infrastructure import database
from infrastructure.embedded import EmbeddedPostgres
from infrastructure.ledger import entries
from infrastructure.ledger.checkpoints import Signer
from infrastructure.ledger.sealing import Sealer, seal_now
from infrastructure.ledger.verification import verify

EVENTS = int(os.environ.get("BENCH_EVENTS", 1_000_000))
ROUNDS = 5

FILL = """
INSERT INTO log.events (position, stream_id, version, tenant, topic, state, recorded_at)
SELECT n, ('00000000-0000-7000-8000-' || lpad(to_hex(n / 10), 12, '0'))::uuid, n %% 10 + 1,
       'bench', 'test.account.deposited',
       convert_to('{"timestamp":"2030-01-01T12:00:00Z","actor":"ann","correlation_id":"' || n
           || '","causation_id":null,"amount":"' || n %% 997 || '","on":"2030-01-01",'
           || '"channel":"web","note":"' || md5(n::text) || md5((n + 1)::text) || '"}', 'UTF8'),
       '2030-01-01T12:00:00Z'::timestamptz + n * interval '1 millisecond'
FROM generate_series(1, %s) AS n
"""


def run() -> dict[str, float]:
    """Print the table and return its ratios."""
    with tempfile.TemporaryDirectory(prefix="tidings-bench-") as place:
        Path(place).chmod(0o711)
        server = EmbeddedPostgres(Path(place) / "postgres", durable=False)
        server.start()
        try:
            return _measured(server.url(), Path(place))
        finally:
            server.stop()


def _measured(url: str, place: Path) -> dict[str, float]:
    database.migrate(url)
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(FILL, [EVENTS])
        owner.execute("VACUUM (FREEZE, ANALYZE) log.events")
    signer = Signer("a secret of the benchmark that is long enough")
    began = perf_counter()
    asyncio.run(seal_now(Sealer(url, signer, place / "ledger")))
    print(f"  seal: {EVENTS / (perf_counter() - began):,.0f} events/s")
    copies, verifications = [], []
    for _ in range(ROUNDS):
        copies.append(_copied(url))
        began = perf_counter()
        verdict = verify(url, [signer.public])
        verifications.append(perf_counter() - began)
        assert verdict.valid and verdict.checked == EVENTS, verdict
    copy, verification = median(copies), median(verifications)
    print(f"  copy {copy:.2f} s, verify {verification:.2f} s for {EVENTS:,} events")
    return {"verify / raw COPY (wanted at most 4)": verification / copy}


def _copied(url: str) -> float:
    began = perf_counter()
    with (
        database.connect_sync(url, "bench") as connection,
        connection.cursor() as cursor,
        cursor.copy(entries.COPY.format(-GREATEST, GREATEST).encode()) as copy,
    ):
        for _ in copy:
            pass
    return perf_counter() - began
