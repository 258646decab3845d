"""What operators ask of a process: is it alive, is it ready, how is it doing."""

import asyncio
import os
from contextlib import suppress

import psycopg
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Gauge,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from psycopg_pool import PoolTimeout
from redis.exceptions import RedisError

from api.requests import House, house
from infrastructure.read_models.registry import status

router = APIRouter(tags=["Service"])

BOUND = 10_000
"""Events that a read model may be behind before the process counts as not ready."""


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Alive: the process answers."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """Ready: database, Redis and every read model within bounds, each named.

    Without Redis the process stays ready: limits then hold within each process.
    """
    at_home = house(request)
    checks = await _database_and_projections(at_home)
    ready = all(text == "ok" for text in checks.values())
    checks["redis"] = await _redis(at_home)
    return JSONResponse(
        {"status": "ready" if ready else "not ready", "checks": checks}, 200 if ready else 503
    )


async def _redis(at_home: House) -> str:
    try:
        async with asyncio.timeout(1):
            await at_home.redis.ping()
    except (RedisError, OSError) as error:
        return f"unreachable ({type(error).__name__}); limits are local"
    return "ok"


async def _database_and_projections(at_home: House) -> dict[str, str]:
    checks: dict[str, str] = {}
    try:
        async with asyncio.timeout(2), at_home.log.pool.connection() as connection:
            checks = {f"projection {model.name}": "not built yet" for model in at_home.models}
            for model in await status(connection, at_home.models):
                fine = model.state == "live" and model.lag <= BOUND
                checks[f"projection {model.name}"] = (
                    "ok" if fine else f"{model.state}, {model.lag} events behind"
                )
        checks["database"] = "ok"
    except (psycopg.Error, PoolTimeout, OSError) as error:
        checks["database"] = f"unreachable ({type(error).__name__})"
    return checks


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics_(request: Request) -> Response:
    """Everything measured, in the text format of Prometheus, of all processes of this host."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    figures = generate_latest(registry) + generate_latest(await _projections(house(request)))
    return Response(figures, media_type=CONTENT_TYPE_LATEST)


async def _projections(at_home: House) -> CollectorRegistry:
    """Where the read models stand now; nothing while the database is away."""
    registry = CollectorRegistry()
    name = ["projection"]
    position = Gauge("tidings_projection_position", "Last event folded", name, registry=registry)
    lag = Gauge("tidings_projection_lag_events", "Events behind the log", name, registry=registry)
    seconds = Gauge("tidings_projection_lag_seconds", "Age of the oldest", name, registry=registry)
    with suppress(psycopg.Error, PoolTimeout, OSError):
        async with asyncio.timeout(2), at_home.log.pool.connection() as connection:
            for model in await status(connection, at_home.models):
                position.labels(model.name).set(model.position)
                lag.labels(model.name).set(model.lag)
                seconds.labels(model.name).set(model.lag_seconds)
    return registry
