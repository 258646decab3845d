"""Who holds an account of a network: implements `application.social.notices.Holders`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import scalar_row
from psycopg_pool import AsyncConnectionPool

from domain.social.networks import Network


@dataclass(frozen=True)
class AccountHolders:
    """From the read side, over all tenants: the only question that is asked of all of them, and
    it tells nothing but who they are. What follows is done for each of them alone."""

    pool: AsyncConnectionPool[Any]

    async def of(self, network: Network, account_id: str) -> Sequence[str]:
        """As the port says."""
        async with self.pool.connection() as connection:
            cursor = connection.cursor(row_factory=scalar_row)
            await cursor.execute(
                "SELECT DISTINCT tenant FROM read.network_account_holders"
                " WHERE network = %s AND account_id = %s ORDER BY tenant",
                (network, account_id),
            )
            tenants: list[str] = await cursor.fetchall()
            return tenants
