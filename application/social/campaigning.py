"""What campaigns do by themselves: start, end, and hear what has become of their posts.

Each function is a job: it may be carried out more than once, late, and beside others.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.kernel import Desk, Job, Log
from application.social.campaigns import AdvanceCampaign, SettlePost
from domain.social.campaigns import Campaign
from domain.social.posts import Post, PostStatus

ACTOR = "tidings:campaigns"


class CampaignsOfPosts(Protocol):
    """The port to which campaign a post belongs to, as of now: never behind the log."""

    async def campaign_of(self, tenant: str, post_id: UUID) -> UUID | None: ...


@dataclass(frozen=True)
class Campaigning:
    """What these jobs need."""

    log: Log
    campaigns: CampaignsOfPosts

    async def advance(self, tenant: str, campaign_id: str, due: str) -> Iterable[Job]:
        """The instant has come at which a campaign starts or ends."""
        command = AdvanceCampaign(at=datetime.fromisoformat(due))
        await self._desk(tenant, campaign_id).carry_out(Campaign, UUID(campaign_id), command)
        return []

    async def follow(self, tenant: str, post_id: str) -> Iterable[Job]:
        """Something has become of a post: tell its campaign, if it belongs to one."""
        id = await self.campaigns.campaign_of(tenant, UUID(post_id))
        if id is None:
            return []
        desk = self._desk(tenant, id.hex)
        post = await desk.get(Post, UUID(post_id))
        if post.status in (PostStatus.PUBLISHED, PostStatus.WITHDRAWN):
            command = SettlePost(post_id=post.id, status=post.status)
            await desk.carry_out(Campaign, id, command)
        return []

    def _desk(self, tenant: str, campaign_id: str) -> Desk:
        return Desk(self.log, tenant, ACTOR, correlation_id=campaign_id, follows=False)


def keep_to_dates(event: Campaign.SetUp | Campaign.Extended) -> Iterable[Job]:
    """The clock starts and ends what can be published."""
    if any(entry.is_sendable for entry in event.plan):
        for due in (event.starts_at, event.ends_at):
            yield Job(
                "social.advance_campaign",
                {
                    "tenant": event.tenant,
                    "campaign_id": event.originator_id.hex,
                    "due": due.isoformat(),
                },
                at=due,
                lock=f"campaign:{event.originator_id}",
            )


def tell_campaign(event: Post.Published | Post.Withdrawn) -> Iterable[Job]:
    """A campaign is over when none of its posts is left to go out."""
    if event.of_campaign:
        yield Job(
            "social.follow_campaign", {"tenant": event.tenant, "post_id": event.originator_id.hex}
        )
