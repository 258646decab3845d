"""The composition root of a process that answers requests."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from api.errors import add_handlers
from api.kernel import Router
from api.middleware import Envelope
from api.requests import House
from api.routes import ROUTERS
from api.specifications import describe
from api.wiring import READ_MODELS
from application.social.connecting import Connecting
from infrastructure import database, rate_limits
from infrastructure.audit.recorder import Recorder
from infrastructure.event_log.log import open_log
from infrastructure.ledger.office import Office
from infrastructure.networks.registry import networks
from infrastructure.rate_limits import RateLimiter
from infrastructure.read_models.reading import reading
from infrastructure.settings import Settings
from infrastructure.tokens import Tokens

DESCRIPTION = (
    "What a company says to its customers and hears from them. Commands answer from the"
    " aggregate, queries from read models; a caller always reads their own writes."
)


OBSERVED = any(name.startswith("OTEL_") for name in os.environ)
"""OpenTelemetry is on when it is configured, and costs nothing otherwise."""
UNOBSERVED: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}


def build(settings: Settings | None) -> FastAPI:
    """The application; without settings it can be described but not served."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[Mapping[str, House]]:
        assert settings is not None
        async with open_house(settings) as house:
            yield {"house": house}  # in the state of every request

    app = FastAPI(
        title="Tidings",
        version="1.0.0",
        description=DESCRIPTION,
        lifespan=lifespan,
        telemetry=None if OBSERVED else UNOBSERVED,
        separate_input_output_schemas=False,
    )
    add_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    describe(app)
    return app


def serve(settings: Settings) -> Envelope:
    """The application as it is served."""
    fixed = [each for router in ROUTERS if isinstance(router, Router) for each in router.fixed()]
    return Envelope(build(settings), fixed)


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """All that a worker process holds open, closed again in the opposite order."""
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(open_log(settings, "commands"))
        pool = await stack.enter_async_context(database.pool(settings.read_url, "queries"))
        reads = await stack.enter_async_context(reading(settings.read_url, pool))
        redis = rate_limits.connect(settings.redis_url)
        stack.push_async_callback(redis.aclose)
        audit = Recorder(log.pool)
        audit.start()
        stack.push_async_callback(audit.close)
        accounts = await stack.enter_async_context(networks(settings, log))
        yield House(
            settings=settings,
            log=log,
            reads=reads,
            redis=redis,
            limiter=RateLimiter(redis, settings.rate_limit_profile),
            tokens=Tokens(settings.jwt_secret, leeway=0),  # expired means expired
            models=READ_MODELS,
            audit=audit,
            ledger=Office(settings, log.pool),
            connecting=Connecting(log, accounts),
        )
