"""What is said in public of campaigns."""

from typing import Annotated

from application.kernel import public_id
from application.social.webhooks.networks import Platforms, networks_of
from application.webhooks.public import (
    AS_BEGUN,
    INTERNAL,
    SOME_ID,
    Emission,
    Emissions,
    Instant,
    Payload,
    Webhook,
    like,
)
from domain.social.campaigns import Campaign, CampaignStatus, first_status

CampaignId = Annotated[str, like(f"camp_{SOME_ID}")]

CampaignName = Annotated[str, like("Spring collection")]


class CampaignCreated(Payload):
    """A social campaign has been set up."""

    campaign_id: CampaignId
    name: CampaignName
    objective: Annotated[str, like("awareness")]
    platforms: Platforms
    status: Annotated[str, like("scheduled")]
    start_date: Instant
    end_date: Annotated[Instant | None, like(None)]
    created_at: Instant


class CampaignStarted(Payload):
    """A social campaign has reached its start."""

    campaign_id: CampaignId
    name: CampaignName
    status: Annotated[str, like("active")]
    started_at: Instant


class CampaignCompleted(Payload):
    """A social campaign has reached its end, or all of its posts are out."""

    campaign_id: CampaignId
    name: CampaignName
    status: Annotated[str, like("completed")]
    total_posts: Annotated[int, like(12)]
    completed_at: Instant


CAMPAIGN_CREATED = Webhook("social.campaign.created", CampaignCreated)

CAMPAIGN_STARTED = Webhook("social.campaign.started", CampaignStarted)

CAMPAIGN_COMPLETED = Webhook("social.campaign.completed", CampaignCompleted)


def _set_up(event: Campaign.SetUp) -> CampaignCreated:
    return CampaignCreated(
        campaign_id=public_id("camp", event.originator_id),
        name=event.name,
        objective=event.objective,
        platforms=list(event.networks),
        status=first_status(event.plan, event.starts_at, event.timestamp),
        start_date=event.starts_at,
        end_date=event.ends_at,
        created_at=event.timestamp,
    )


def _started(event: Campaign.Started) -> CampaignStarted:
    return CampaignStarted(
        campaign_id=public_id("camp", event.originator_id),
        name=event.name,
        status=CampaignStatus.ACTIVE,
        started_at=event.timestamp,
    )


def _completed(event: Campaign.Completed) -> CampaignCompleted:
    return CampaignCompleted(
        campaign_id=public_id("camp", event.originator_id),
        name=event.name,
        status=CampaignStatus.COMPLETED,
        total_posts=event.total_posts,
        completed_at=event.timestamp,
    )


WEBHOOKS = (
    CAMPAIGN_CREATED,
    CAMPAIGN_STARTED,
    CAMPAIGN_COMPLETED,
)

EMISSIONS: Emissions = {
    Campaign.SetUp: [Emission(CAMPAIGN_CREATED, _set_up, about=networks_of)],
    Campaign.Extended: INTERNAL,
    Campaign.Started: [Emission(CAMPAIGN_STARTED, _started, about=AS_BEGUN)],
    Campaign.PostSettled: INTERNAL,
    Campaign.Spent: INTERNAL,
    Campaign.Completed: [Emission(CAMPAIGN_COMPLETED, _completed, about=AS_BEGUN)],
    Campaign.Cancelled: INTERNAL,
}
