"""What the social context says in public."""

from collections.abc import Collection
from typing import Annotated

from application.kernel import public_id
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
from domain.social.brand_voice import BrandVoice
from domain.social.campaigns import Campaign, CampaignStatus, first_status
from domain.social.connections import Connection
from domain.social.engagement import Engagement
from domain.social.keywords import BrandKeywords
from domain.social.mentions import Mention, Priority
from domain.social.posts import Post, PostStatus
from domain.social.response_templates import ResponseTemplate
from domain.social.responses import Response
from domain.social.schedules import Calendar, Schedule
from domain.social.trends import Trend, TrendDay, TrendWatch

PostId = Annotated[str, like(f"post_{SOME_ID}")]
ConnectionId = Annotated[str, like(f"conn_{SOME_ID}")]
MentionId = Annotated[str, like(f"men_{SOME_ID}")]
CampaignId = Annotated[str, like(f"camp_{SOME_ID}")]
Platform = Annotated[str, like("linkedin")]
Platforms = Annotated[list[str], like(["twitter", "linkedin"])]
CampaignName = Annotated[str, like("Spring collection")]


class PostCreated(Payload):
    """A post has been accepted. `status` is `scheduled`, or `failed` when no network allows it."""

    post_id: PostId
    platforms: Platforms
    status: Annotated[str, like("scheduled")]
    created_at: Instant


class PostRescheduled(Payload):
    """A post has been moved to another instant."""

    post_id: PostId
    scheduled_for: Instant


class AnalyticsLink(Payload):
    """Where the post's figures are found; they grow from its publication on."""

    url: Annotated[str, like(f"/api/v1/social/posts/post_{SOME_ID}?include_analytics=true")]


class PostPublished(Payload):
    """A post is out on at least one of its networks."""

    post_id: PostId
    platforms: Platforms
    analytics: Annotated[AnalyticsLink, like(AnalyticsLink.example())]
    published_at: Instant


class PostFailed(Payload):
    """A post that had been scheduled is out on no network."""

    post_id: PostId
    error_message: Annotated[str, like("twitter: The account is suspended.")]
    failed_at: Instant


class PostWithdrawn(Payload):
    """A post has been taken back before it went out."""

    post_id: PostId
    reason: Annotated[str, like("The offer has ended.")]
    withdrawn_at: Instant


class ScheduleCreated(Payload):
    """A calendar of posts has been stored."""

    schedule_id: Annotated[str, like(f"schedule_{SOME_ID}")]
    total_posts_scheduled: Annotated[int, like(12)]
    date_range_start: Instant
    date_range_end: Instant
    created_at: Instant


class PlatformConnected(Payload):
    """A network account has been linked."""

    platform: Platform
    connection_id: ConnectionId


class PlatformDisconnected(Payload):
    """A network account has been unlinked."""

    platform: Platform
    connection_id: ConnectionId
    data_deleted: Annotated[bool, like(False)]
    tokens_revoked: Annotated[bool, like(True)]
    disconnected_at: Instant


class MentionDetected(Payload):
    """Somebody has mentioned the brand, and it matters: only high priority is told."""

    mention_id: MentionId
    platform: Platform
    sentiment: Annotated[str, like("negative")]
    priority: Annotated[str, like("high")]


class ResponsePosted(Payload):
    """An answer to a mention has been posted."""

    response_id: Annotated[str, like(f"resp_{SOME_ID}")]
    mention_id: MentionId
    platform: Platform
    response_mode: Annotated[str, like("manual")]
    posted_to_platform: Annotated[bool, like(True)]
    posted_at: Instant


class TrendDetected(Payload):
    """A trend that matters to the brand has been found; told once for each trend."""

    trend_type: Annotated[str, like("hashtag")]
    name: Annotated[str, like("slowfashion")]
    platforms: Platforms
    volume: Annotated[int, like(18400)]
    score: Annotated[float, like(0.82)]
    detected_at: Instant


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


POST_CREATED = Webhook("social.post.created", PostCreated)
POST_RESCHEDULED = Webhook("social.post.rescheduled", PostRescheduled)
POST_PUBLISHED = Webhook("social.post.published", PostPublished)
POST_FAILED = Webhook("social.post.failed", PostFailed)
POST_WITHDRAWN = Webhook("social.post.withdrawn", PostWithdrawn)
MENTION_DETECTED = Webhook("social.mention.detected", MentionDetected)
PLATFORM_CONNECTED = Webhook("social.platform.connected", PlatformConnected)
PLATFORM_DISCONNECTED = Webhook("social.platform.disconnected", PlatformDisconnected)
SCHEDULE_CREATED = Webhook("social.schedule.created", ScheduleCreated)
CAMPAIGN_CREATED = Webhook("social.campaign.created", CampaignCreated)
CAMPAIGN_STARTED = Webhook("social.campaign.started", CampaignStarted)
CAMPAIGN_COMPLETED = Webhook("social.campaign.completed", CampaignCompleted)
RESPONSE_POSTED = Webhook("social.response.posted", ResponsePosted)
TREND_DETECTED = Webhook("social.trend.detected", TrendDetected)

WEBHOOKS = (
    POST_CREATED,
    POST_RESCHEDULED,
    POST_PUBLISHED,
    POST_FAILED,
    POST_WITHDRAWN,
    SCHEDULE_CREATED,
    PLATFORM_CONNECTED,
    PLATFORM_DISCONNECTED,
    MENTION_DETECTED,
    RESPONSE_POSTED,
    TREND_DETECTED,
    CAMPAIGN_CREATED,
    CAMPAIGN_STARTED,
    CAMPAIGN_COMPLETED,
)


def _id(event: Post.Event) -> str:
    return public_id("post", event.originator_id)


def _created(event: Post.Drafted) -> PostCreated:
    """Making a post schedules it in the same commit, or fails it when every network's rules
    refuse it: which of the two, the draft knows already."""
    sendable = any(not event.problems.get(network) for network in event.networks)
    return PostCreated(
        post_id=_id(event),
        platforms=list(event.networks),
        status=PostStatus.SCHEDULED if sendable else PostStatus.FAILED,
        created_at=event.timestamp,
    )


def _rescheduled(event: Post.Rescheduled | Post.Scheduled) -> PostRescheduled:
    return PostRescheduled(post_id=_id(event), scheduled_for=event.at)


def _published(event: Post.Published) -> PostPublished:
    link = AnalyticsLink(url=f"/api/v1/social/posts/{_id(event)}?include_analytics=true")
    return PostPublished(
        post_id=_id(event),
        platforms=list(event.networks),
        analytics=link,
        published_at=event.at,
    )


def _failed(event: Post.Failed) -> PostFailed:
    return PostFailed(post_id=_id(event), error_message=event.message, failed_at=event.timestamp)


def _not_on_creation(event: Post.Event) -> bool:
    """What becomes of a post on its creation has been said by its status there."""
    return event.originator_version > 2


def _planned(event: Schedule.Planned) -> ScheduleCreated:
    return ScheduleCreated(
        schedule_id=public_id("schedule", event.originator_id),
        total_posts_scheduled=len(event.slots),
        date_range_start=event.starts_at,
        date_range_end=event.ends_at,
        created_at=event.timestamp,
    )


def _withdrawn(event: Post.Withdrawn) -> PostWithdrawn:
    return PostWithdrawn(post_id=_id(event), reason=event.reason, withdrawn_at=event.timestamp)


def _connected(event: Connection.Connected) -> PlatformConnected:
    return PlatformConnected(
        platform=event.network, connection_id=public_id("conn", event.link.connection_id)
    )


def _disconnected(event: Connection.Disconnected) -> PlatformDisconnected:
    return PlatformDisconnected(
        platform=event.network,
        connection_id=public_id("conn", event.connection_id),
        data_deleted=event.data_deleted,
        tokens_revoked=event.tokens_revoked,
        disconnected_at=event.timestamp,
    )


def _mentioned(event: Mention.Detected) -> MentionDetected:
    return MentionDetected(
        mention_id=public_id("men", event.originator_id),
        platform=event.network,
        sentiment=event.tone,
        priority=event.priority,
    )


def _urgent(event: Mention.Detected) -> bool:
    return event.priority is Priority.HIGH


def _responded(event: Response.Posted) -> ResponsePosted:
    return ResponsePosted(
        response_id=public_id("resp", event.originator_id),
        mention_id=public_id("men", event.mention_id),
        platform=event.network,
        response_mode=event.mode,
        posted_to_platform=True,
        posted_at=event.at,
    )


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


def _trend(event: Trend.Detected) -> TrendDetected:
    return TrendDetected(
        trend_type=event.kind,
        name=event.name,
        platforms=list(event.networks),
        volume=event.volume,
        score=event.score,
        detected_at=event.at,
    )


def _network(
    event: Connection.Connected | Connection.Disconnected | Mention.Detected | Response.Posted,
) -> Collection[str]:
    return (event.network,)


def _networks(
    event: Post.Drafted | Post.Published | Campaign.SetUp | Trend.Detected,
) -> Collection[str]:
    return event.networks


def _of_slots(event: Schedule.Planned) -> Collection[str]:
    return {network for slot in event.slots for network in slot.networks}


EMISSIONS: Emissions = {
    Connection.Opened: INTERNAL,
    Connection.Requested: INTERNAL,
    Connection.Connected: [Emission(PLATFORM_CONNECTED, _connected, about=_network)],
    Connection.Refused: INTERNAL,
    Connection.Refreshed: INTERNAL,
    Connection.Expired: INTERNAL,
    Connection.Disconnected: [Emission(PLATFORM_DISCONNECTED, _disconnected, about=_network)],
    Connection.DataErased: INTERNAL,
    BrandKeywords.Chosen: INTERNAL,
    BrandKeywords.Changed: INTERNAL,
    Mention.Detected: [Emission(MENTION_DETECTED, _mentioned, when=_urgent, about=_network)],
    Mention.Answered: INTERNAL,
    Mention.Dismissed: INTERNAL,
    Post.Drafted: [Emission(POST_CREATED, _created, about=_networks)],
    Post.Scheduled: [
        Emission(POST_RESCHEDULED, _rescheduled, when=_not_on_creation, about=AS_BEGUN)
    ],
    Post.Rescheduled: [Emission(POST_RESCHEDULED, _rescheduled, about=AS_BEGUN)],
    Post.Withdrawn: [Emission(POST_WITHDRAWN, _withdrawn, about=AS_BEGUN)],
    Post.PublicationStarted: INTERNAL,
    Post.PublishedOn: INTERNAL,
    Post.RefusedBy: INTERNAL,
    Post.LeftUnconfirmed: INTERNAL,
    Post.Published: [Emission(POST_PUBLISHED, _published, about=_networks)],
    Post.Failed: [Emission(POST_FAILED, _failed, when=_not_on_creation, about=AS_BEGUN)],
    Engagement.Began: INTERNAL,
    Engagement.Grew: INTERNAL,
    Engagement.CommentReceived: INTERNAL,
    Response.Drafted: INTERNAL,
    Response.Redrafted: INTERNAL,
    Response.PostingStarted: INTERNAL,
    Response.Posted: [Emission(RESPONSE_POSTED, _responded, about=_network)],
    Response.RefusedBy: INTERNAL,
    Response.LeftUnconfirmed: INTERNAL,
    ResponseTemplate.Written: INTERNAL,
    ResponseTemplate.Rewritten: INTERNAL,
    ResponseTemplate.Discarded: INTERNAL,
    BrandVoice.Adopted: INTERNAL,
    BrandVoice.Changed: INTERNAL,
    Campaign.SetUp: [Emission(CAMPAIGN_CREATED, _set_up, about=_networks)],
    Campaign.Extended: INTERNAL,
    Campaign.Started: [Emission(CAMPAIGN_STARTED, _started, about=AS_BEGUN)],
    Campaign.PostSettled: INTERNAL,
    Campaign.Spent: INTERNAL,
    Campaign.Completed: [Emission(CAMPAIGN_COMPLETED, _completed, about=AS_BEGUN)],
    Campaign.Cancelled: INTERNAL,
    TrendWatch.Began: INTERNAL,
    TrendWatch.Wanted: INTERNAL,
    TrendWatch.PlaceAdded: INTERNAL,
    TrendDay.Opened: INTERNAL,
    TrendDay.Observed: INTERNAL,
    Trend.Detected: [Emission(TREND_DETECTED, _trend, about=_networks)],
    Schedule.Planned: [Emission(SCHEDULE_CREATED, _planned, about=_of_slots)],
    Schedule.Moved: INTERNAL,
    Schedule.Cancelled: INTERNAL,
    Calendar.Opened: INTERNAL,
    Calendar.Filled: INTERNAL,
}
