"""Background work in a process of its own, so that a test can kill it."""

import asyncio
import signal

from infrastructure import database
from infrastructure.addresses import parse_networks
from infrastructure.egress import EgressGuard
from infrastructure.event_log.committer import Committer
from infrastructure.event_log.log import EventLog
from infrastructure.follower import follow
from infrastructure.webhooks.fanout import fanout
from infrastructure.webhooks.replay import replay
from infrastructure.webhooks.sender import send
from infrastructure.webhooks.signing import Vault
from tests.webhooks.house import KEY


async def work(url: str, lease: float) -> None:
    committer = Committer(url)
    await committer.start()
    guard = EgressGuard(parse_networks("127.0.0.0/8"))
    async with database.pool(url, "worker") as pool:
        log = EventLog(pool, committer)
        group = asyncio.gather(
            follow(url, fanout()), replay(url), send(url, log, Vault(KEY), guard, lease=lease)
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, group.cancel)
        await asyncio.gather(group, return_exceptions=True)


def run_worker(url: str, lease: float) -> None:
    """Work until SIGTERM, or worse."""
    asyncio.run(work(url, lease))
