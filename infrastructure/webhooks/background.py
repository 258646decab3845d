"""Everything that webhooks need done in the background."""

from __future__ import annotations

import asyncio

from application.kernel import Log
from infrastructure.egress import EgressGuard
from infrastructure.event_log.recent import Recent
from infrastructure.follower import follow
from infrastructure.webhooks.fanout import fanout
from infrastructure.webhooks.housekeeping import tidy
from infrastructure.webhooks.replay import replay
from infrastructure.webhooks.sender import send
from infrastructure.webhooks.signing import Vault


async def deliver(
    url: str, log: Log, vault: Vault, guard: EgressGuard, recent: Recent | None = None
) -> None:
    """Turn events into deliveries and send them until cancelled; any number of processes may.
    `recent` is what was read of the log in this process."""
    async with asyncio.TaskGroup() as group:
        group.create_task(follow(url, fanout(), recent))
        group.create_task(replay(url))
        group.create_task(tidy(url))
        group.create_task(send(url, log, vault, guard))
