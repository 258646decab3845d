"""The composition root of background work: what follows the log."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Literal

from api.wiring import POLICIES, READ_MODELS, jobs
from application.social.callbacks import CallingBack
from application.social.campaigning import Campaigning
from application.social.connecting import Connecting
from application.social.mentions import Listener
from application.social.notices import Noticing
from application.social.publishing import Publishing
from application.social.responding import Responding
from application.social.trend_watching import TrendWatching
from infrastructure import rate_limits
from infrastructure.campaigns import Campaigns
from infrastructure.egress import EgressGuard
from infrastructure.event_log.log import open_log
from infrastructure.event_log.recent import Recent
from infrastructure.follower import follow
from infrastructure.jobs import policies, queue, ring, work_off
from infrastructure.ledger.sealing import sealer
from infrastructure.listening import Ears, listen
from infrastructure.metering import metering
from infrastructure.networks.holders import AccountHolders
from infrastructure.networks.registry import networks
from infrastructure.personal_data import keyring
from infrastructure.personal_data.erasure import FINISH, eraser_of
from infrastructure.personal_data.rotation import secrets_of
from infrastructure.read_models.projector import Projector
from infrastructure.read_models.reading import reading
from infrastructure.read_models.requested import REBUILD, rebuilding
from infrastructure.settings import Settings
from infrastructure.trends import Trends
from infrastructure.webhooks.background import deliver
from infrastructure.webhooks.management import Webhooks
from infrastructure.webhooks.signing import Vault

Kind = Literal["projections", "webhooks", "jobs"]
KINDS: tuple[Kind, ...] = ("projections", "webhooks", "jobs")


async def work(settings: Settings, only: Kind | None = None) -> None:
    """Do background work until cancelled; any number of processes share it."""
    kinds: dict[Kind, Callable[[Settings, Recent], Coroutine[None, None, None]]] = {
        "projections": _projections,
        "webhooks": _webhooks,
        "jobs": _jobs,
    }
    keyring.use(secrets_of(settings))
    recent = Recent()
    async with asyncio.TaskGroup() as group:
        for kind, run in kinds.items():
            if only in (None, kind):
                group.create_task(run(settings, recent), name=kind)


async def work_until_signalled(settings: Settings, only: Kind | None = None) -> None:
    """The same, until SIGINT or SIGTERM."""
    working = asyncio.current_task()
    assert working is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, working.cancel)
    with suppress(asyncio.CancelledError):
        await work(settings, only)


async def _projections(settings: Settings, recent: Recent) -> None:
    projector = Projector(settings.database_url, READ_MODELS, recent=recent)
    async with asyncio.TaskGroup() as group:
        group.create_task(projector.run(), name="projector")
        group.create_task(sealer(settings).run(), name="ledger")


async def _webhooks(settings: Settings, recent: Recent) -> None:
    async with open_log(settings, "webhooks") as log:
        vault, guard = Vault(*settings.webhook_secret_keys), EgressGuard(settings.private_networks)
        await deliver(settings.database_url, log, vault, guard, recent)


async def _jobs(settings: Settings, recent: Recent) -> None:
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(open_log(settings, "jobs"))
        accounts = await stack.enter_async_context(networks(settings, log))
        reads = await stack.enter_async_context(reading(settings.database_url, log.pool))
        redis = await stack.enter_async_context(rate_limits.connect(settings.redis_url))
        ears = Ears(log.pool)
        listener = Listener(log, accounts, ears)
        plans = Campaigns(reads, log.pool)
        publishing = Publishing(log, accounts, plans)
        work = {
            **jobs(
                publishing,
                Connecting(log, accounts),
                listener,
                Noticing(listener, AccountHolders(log.pool)),
                Campaigning(log, plans),
                Responding(log, accounts),
                TrendWatching(log, accounts, Trends(reads, log.pool)),
                CallingBack(log, Webhooks.of(settings, log.pool)),
            ),
            REBUILD: rebuilding(settings.database_url, READ_MODELS),
            FINISH: eraser_of(settings, log, redis, READ_MODELS).finish,
        }
        app = queue(settings.database_url, work)
        async with asyncio.TaskGroup() as group:  # what is above ends when all of them have
            group.create_task(work_off(app), name="jobs")
            group.create_task(ring(settings.database_url), name="timers")
            group.create_task(listen(ears, listener), name="mentions")
            for follower in (policies(POLICIES), metering()):
                walk = follow(settings.database_url, follower, recent)
                group.create_task(walk, name=follower.name)
