"""Social analytics over one million engagement events, against ten thousand: the time of the
database for one dashboard, whatever the period.

Two tenants share one database. Each has a month of posts on three networks, with three hashtags
of forty, and 54 engagement events a post, which is what the look-ups of a month bring: so the
larger tenant has a hundred times as many posts too. Periods of 30 days end at any instant.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import psycopg
from psycopg import Connection

from domain.social.networks import Network
from infrastructure import database
from infrastructure.embedded import EmbeddedPostgres
from infrastructure.read_models import registry
from infrastructure.read_models.rebuild import rebuild
from projections.kernel import Query
from projections.social.analytics import Analytics
from projections.social.dashboard import changes, dashboard, learned
from projections.social.posts import Posts

LARGE = int(os.environ.get("BENCH_EVENTS", 1_000_000))
SMALL = LARGE // 100
PER_POST = int(os.environ.get("BENCH_EVENTS_PER_POST", 54))
ROUNDS = 200
BATCH = 20_000
FIRST = datetime(2030, 1, 1, tzinfo=UTC)
DAYS = 31

# Event n of a tenant is the (n / posts)-th of post n % posts; version 1 would be its beginning.
FILL = """
SELECT count(*) FROM log.append(
  ARRAY(SELECT stream FROM {events}), ARRAY(SELECT version FROM {events}),
  array_fill('social.engagement.grew'::text, ARRAY[%(many)s::int]),
  ARRAY(SELECT state FROM {events}), array_fill(0, ARRAY[%(many)s::int]), ARRAY[%(tenant)s],
  ARRAY[NULL::text], ARRAY[NULL::bytea], ARRAY[NULL::bytea], ARRAY[NULL::bytea])
"""
EVENTS = """
CREATE TEMP TABLE generated ON COMMIT DROP AS
SELECT n, md5(%(tenant)s || post)::uuid AS stream, round + 2 AS version,
  convert_to(json_build_object(
    'timestamp', at, 'actor', 'bench', 'correlation_id', 'bench', 'causation_id', NULL,
    'post_id', md5('post' || %(tenant)s || post)::uuid, 'network', network, 'at', at,
    'added', json_build_object('impressions', n %% 900, 'reach', n %% 700, 'views', n %% 500,
      'likes', n %% 40, 'shares', n %% 7, 'comments', n %% 3),
    'posted', json_build_object('at', published, 'hashtags', json_build_array(
      'tag' || post %% 40, 'tag' || (post + 13) %% 40, 'tag' || (post + 27) %% 40)),
    'first', round < 3)::text, 'UTF8') AS state
FROM generate_series(%(since)s::bigint, %(since)s::bigint + %(many)s - 1) AS n,
  LATERAL (SELECT n %% %(posts)s AS post, n / %(posts)s AS round) AS a,
  LATERAL (SELECT %(first)s::timestamptz + %(span)s * (post + 0.37) / %(posts)s AS published) AS b,
  LATERAL (SELECT published + interval '1 second'
    + (%(first)s + %(span)s - published) * round / (%(per_post)s + 1.0) AS at,
    (ARRAY['twitter', 'facebook', 'linkedin', 'instagram', 'tiktok', 'pinterest'])[
      (post + round %% 3) %% 6 + 1] AS network) AS c
"""


def run() -> dict[str, float]:
    """Print the table and return its ratios."""
    with tempfile.TemporaryDirectory(prefix="tidings-bench-") as place:
        Path(place).chmod(0o711)
        server = EmbeddedPostgres(Path(place) / "postgres", durable=False)
        server.start()
        try:
            return _measured(server.url())
        finally:
            server.stop()


def _measured(url: str) -> dict[str, float]:
    database.migrate(url)
    with psycopg.connect(url) as owner:
        for tenant, events in (("small", SMALL), ("large", LARGE)):
            _fill(owner, tenant, events)
    began = perf_counter()
    asyncio.run(_folded(url))
    print(f"  fold: {(SMALL + LARGE) / (perf_counter() - began):,.0f} events/s")
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("VACUUM (ANALYZE)")
    taken: dict[str, list[float]] = {"small": [], "large": []}
    with database.connect_sync(url, "bench") as connection:
        for _ in range(ROUNDS):
            ago = timedelta(seconds=random.uniform(0, 2 * 86400))
            for tenant, times in taken.items():
                times.append(_asked(connection, tenant, FIRST + timedelta(days=DAYS) - ago))
    for tenant, times in taken.items():
        p95 = quantiles(times[20:], n=20)[-1]
        print(f"  {tenant}: median {median(times[20:]):.2f} ms, p95 {p95:.2f} ms")
    return {
        f"dashboard over {LARGE:,} events / over {SMALL:,} (wanted at most 1.2)": median(
            taken["large"][20:]
        )
        / median(taken["small"][20:]),
        "p95 over the larger in ms (wanted below 50)": quantiles(taken["large"][20:], n=20)[-1],
    }


def _fill(owner: Connection[Any], tenant: str, events: int) -> None:
    for since in range(0, events, BATCH):
        many = min(BATCH, events - since)
        given = {
            "tenant": tenant,
            "since": since,
            "many": many,
            "posts": max(events // PER_POST, 1),
            "per_post": PER_POST,
            "first": FIRST,
            "span": timedelta(days=DAYS),
        }
        with owner.transaction():
            owner.execute(EVENTS, given)
            owner.execute(FILL.format(events="generated ORDER BY n").encode(), given)


async def _folded(url: str) -> None:
    models = (Posts(), Analytics())
    async with await registry.connect(url, "bench") as connection:
        await registry.enrol(connection, registry.declared(models).values())
    for model in models:
        await rebuild(url, model, processes=2)


def _asked(connection: Connection[Any], tenant: str, until: datetime) -> float:
    """Milliseconds that all queries of one dashboard take."""
    since = until - timedelta(days=30)
    queries: list[Query[Any]] = [
        changes(),
        dashboard(since, until, since - timedelta(days=30), list(Network), "day"),
        learned(),
    ]
    connection.execute("SELECT set_config('tidings.tenant', %s, false)", [tenant])
    began = perf_counter()
    for query in queries:
        given = {**query.params, "tenant": tenant}
        connection.execute(query.sql.encode(), given, prepare=True).fetchall()
    return (perf_counter() - began) * 1000
