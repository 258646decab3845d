"""Campaigns and their posts, from the read side: implements `CampaignsOfPosts`."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from infrastructure.calendar import Plans
from projections.social.campaigns import campaign_of


@dataclass(frozen=True)
class Campaigns(Plans):
    """Never behind the log, as all that is planned."""

    async def campaign_of(self, tenant: str, post_id: UUID) -> UUID | None:
        row = await self.reads.one(tenant, None, campaign_of(post_id), await self._head())
        return row[0] if row else None
