"""Endpoint 10 of the engagement contract, and what one can do with a campaign afterwards."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, cast
from uuid import UUID

from fastapi import Depends, Request
from pydantic import BaseModel

from api.kernel import ADMINS, EVERYONE, AtDesk, AtReads, Reader, Router
from api.paths import path_id
from api.requests import house
from api.social.campaign_models import CampaignDetail
from application.kernel import Answer, public_id
from application.social.campaigns import (
    CampaignRequest,
    CancelCampaign,
    CancelCampaignRequest,
    CreateCampaign,
    ExtendCampaign,
    ExtendRequest,
    Reaches,
    RecordSpending,
    waiting_posts,
)
from application.social.schedules import Surroundings, in_turn
from application.webhooks.public import Number
from domain.kernel import Aggregate
from domain.money import amount_of
from domain.social.campaigns import Campaign, CampaignStatus
from domain.social.networks import Network
from domain.social.posts import Post
from domain.social.schedules import Calendar
from infrastructure.calendar import surroundings
from projections.social.campaigns import campaign_detail, typical_reach

router = Router(prefix="/api/v1/social/campaigns", tags=["Social campaigns"])

HISTORY = timedelta(days=90)
"""The past that reach is estimated from."""

CampaignId = Annotated[UUID, path_id("camp", "campaign")]


async def _currency(request: Request) -> str:
    return house(request).settings.currency


Currency = Annotated[str, Depends(_currency)]
Status = Literal["draft", "scheduled", "active", "completed"]


class SocialCampaignResponse(BaseModel):
    """A campaign as it was stored. `total_posts` counts the posts that came of its plan,
    `scheduled_posts` those of them that will go out; the others no network's rules allow.

    `estimated_reach` adds up, for each post that will go out and each of its networks, what a
    post has reached there on the average of the last 90 days (reach that came in, by posts that
    went out); people who see several posts count several times. It is null without such a
    history.
    """

    success: bool
    campaign_id: str
    name: str
    status: Status
    total_posts: int
    scheduled_posts: int
    estimated_reach: int | None
    tracking_dashboard_url: str
    created_at: datetime

    @classmethod
    def of(cls, made: Sequence[Aggregate]) -> "SocialCampaignResponse":
        campaign = made[0]
        assert isinstance(campaign, Campaign)
        outside = public_id("camp", campaign.id)
        return cls(
            success=bool(campaign.posts) or not campaign.total_posts,
            campaign_id=outside,
            name=campaign.name,
            status=cast(Status, campaign.status.value),
            total_posts=campaign.total_posts,
            scheduled_posts=len(campaign.posts),
            estimated_reach=campaign.estimated_reach,
            tracking_dashboard_url=f"/api/v1/social/campaigns/{outside}",
            created_at=campaign.created_on,
        )


class CampaignChanged(BaseModel):
    """Where a campaign stands after a change; `posts_changed` were made or taken back by it."""

    success: bool = True
    campaign_id: str
    status: CampaignStatus
    total_posts: int
    posts_changed: int
    estimated_reach: int | None

    @classmethod
    def of(cls, changed: Sequence[Aggregate]) -> "CampaignChanged":
        campaign = changed[0]
        assert isinstance(campaign, Campaign)
        return cls(
            campaign_id=public_id("camp", campaign.id),
            status=campaign.status,
            total_posts=campaign.total_posts,
            posts_changed=sum(isinstance(each, Post) for each in changed),
            estimated_reach=campaign.estimated_reach,
        )


class SpendingRecorded(BaseModel):
    """What has been spent altogether."""

    success: bool = True
    campaign_id: str
    spent: Number
    spent_minor: int
    currency: str

    @classmethod
    def of(cls, campaign: Campaign) -> "SpendingRecorded":
        return cls(
            campaign_id=public_id("camp", campaign.id),
            spent=amount_of(campaign.spent, campaign.currency),
            spent_minor=int(campaign.spent),
            currency=campaign.currency,
        )


@router.post("", id="social.campaigns.create", roles=ADMINS, limit="30/hour")
async def create_campaign(
    command: CampaignRequest, desk: AtDesk, reads: AtReads, currency: Currency
) -> Answer[SocialCampaignResponse]:
    """Set up a campaign over several networks, with all of its posts or not at all.

    Each entry of `content_plan` with `content` becomes a post, at its `scheduled_for` or at the
    best free moment of its share of the campaign, with the campaign's hashtags and the link that
    it names, tracked for each network. A campaign without such an entry is a draft. The clock
    starts it at `start_date`; it is completed at `end_date`, or as soon as every post is out.
    """
    typical = await _typical(reads, command.platforms)

    async def decide(calendar: Calendar | None) -> Answer[SocialCampaignResponse]:
        around = await _around(reads, calendar, command.start_date, command.end_date)
        create = CreateCampaign(command, around, currency, typical)
        return await desk.create_all(create, SocialCampaignResponse.of)

    return await in_turn(desk, decide)


@router.get("/{camp_id}", id="social.campaigns.read", roles=EVERYONE, limit="300/hour")
async def read_campaign(id: CampaignId, reads: AtReads) -> CampaignDetail:
    """The dashboard of one campaign: its progress, its figures on each network, what it costs,
    its tracked links and its content plan with the posts that came of it."""
    return CampaignDetail.of(await reads.one(campaign_detail(id), "campaign"))


@router.post("/{camp_id}/content", id="social.campaigns.extend", roles=ADMINS, limit="30/hour")
async def extend_campaign(
    id: CampaignId, command: ExtendRequest, desk: AtDesk, reads: AtReads
) -> Answer[CampaignChanged]:
    """Put more entries into the content plan. The first one that can go out makes a draft a
    campaign that the clock starts."""

    async def decide(calendar: Calendar | None) -> Answer[CampaignChanged]:
        campaign = await desk.get(Campaign, id)
        around = await _around(reads, calendar, campaign.starts_at, campaign.ends_at)
        typical = await _typical(reads, campaign.networks)
        extend = ExtendCampaign(command, campaign, around, typical)
        return await desk.create_all(extend, CampaignChanged.of, changing=campaign)

    return await in_turn(desk, decide)


@router.post("/{camp_id}/spending", id="social.campaigns.spend", roles=ADMINS, limit="100/hour")
async def record_spending(
    id: CampaignId, command: RecordSpending, desk: AtDesk
) -> Answer[SpendingRecorded]:
    """Note what was paid for promotion, to be seen beside the budget."""
    return await desk.change(Campaign, id, command, SpendingRecorded.of)


@router.post("/{camp_id}/cancel", id="social.campaigns.cancel", roles=ADMINS, limit="30/hour")
async def cancel_campaign(
    id: CampaignId, command: CancelCampaignRequest, desk: AtDesk
) -> Answer[CampaignChanged]:
    """Give a campaign up; those of its posts that have not gone out are taken back."""

    async def decide(_: Calendar | None) -> Answer[CampaignChanged]:
        campaign = await desk.get(Campaign, id)
        posts = await waiting_posts(desk, campaign)
        cancel = CancelCampaign(command, campaign, posts)
        return await desk.create_all(cancel, CampaignChanged.of, changing=campaign)

    return await in_turn(desk, decide)


async def _around(
    reads: Reader, calendar: Calendar | None, since: datetime, until: datetime
) -> Surroundings:
    caller = reads.caller
    return await surroundings(reads.reads, caller.tenant, caller.user, calendar, since, until)


async def _typical(reads: Reader, networks: Sequence[Network]) -> Reaches:
    query = typical_reach(networks, datetime.now(UTC) - HISTORY)
    return {Network(name): reach for name, reach in await reads.all(query)}
