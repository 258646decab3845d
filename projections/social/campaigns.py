"""Campaigns as people look at them: the plan, where its posts stand, what they have brought."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from domain.social.campaigns import Campaign, CampaignStatus, Entry, first_status
from domain.social.networks import Network
from projections.kernel import DomainEvent, Query, ReadModel, Rows, Table
from projections.social.analytics import Analytics
from projections.social.posts import Posts

CAMPAIGNS = Table(
    "social_campaigns",
    {
        "author": str,
        "name": str,
        "objective": str,
        "networks": list[str],
        "content_plan": list,
        "target_audience": dict,
        "budget": Decimal | None,
        "spent": Decimal,
        "currency": str,
        "hashtags": list[str],
        "tracking_urls": dict,
        "optimised": bool,
        "status": str,
        "starts_at": datetime,
        "ends_at": datetime,
        "estimated_reach": int | None,
        "started_at": datetime | None,
        "completed_at": datetime | None,
        "ended_because": str | None,
        "created_at": datetime,
        "updated_at": datetime,
    },
    of_stream=Campaign,
    indexes=[("status", "ends_at"), ("created_at DESC", "id DESC")],
)
"""`budget` and `spent` are in minor units of `currency`."""

CAMPAIGN_POSTS = Table(
    "social_campaign_posts",
    {"campaign_id": UUID, "entry": int},
    key={"post_id": UUID},
    indexes=[("campaign_id", "entry")],
)
"""`entry` is the place in the content plan that a post came of, from 0."""


class Campaigns(ReadModel):
    name = "social_campaigns"
    version = 1
    tables = (CAMPAIGNS, CAMPAIGN_POSTS)
    events = (
        Campaign.SetUp,
        Campaign.Extended,
        Campaign.Started,
        Campaign.Spent,
        Campaign.Completed,
        Campaign.Cancelled,
    )

    def project(self, event: DomainEvent, rows: Rows) -> None:
        match event:
            case Campaign.SetUp():
                rows(CAMPAIGNS)[event.originator_id].insert(
                    author=event.actor,
                    name=event.name,
                    objective=event.objective,
                    networks=list(event.networks),
                    content_plan=[entry.given for entry in event.plan],
                    target_audience=event.target_audience,
                    budget=event.budget,
                    currency=event.currency,
                    hashtags=list(event.hashtags),
                    tracking_urls=event.links,
                    optimised=event.optimised,
                    status=first_status(event.plan, event.starts_at, event.timestamp),
                    starts_at=event.starts_at,
                    ends_at=event.ends_at,
                    estimated_reach=event.estimated_reach,
                    created_at=event.timestamp,
                    updated_at=event.timestamp,
                )
                _add_posts(rows, event.originator_id, event.plan, 0)
            case _:
                self._changed(event, rows)

    def _changed(self, event: DomainEvent, rows: Rows) -> None:
        row = rows(CAMPAIGNS)[event.originator_id]
        row.update(updated_at=event.timestamp)
        match event:
            case Campaign.Extended(plan=plan, first=first, estimated_reach=reach, status=status):
                row.append(content_plan=[entry.given for entry in plan])
                row.update(estimated_reach=reach, status=status)
                _add_posts(rows, event.originator_id, plan, first)
            case Campaign.Started():
                row.update(status=CampaignStatus.ACTIVE, started_at=event.timestamp)
            case Campaign.Spent(amount=amount):
                row.add(spent=amount)
            case Campaign.Completed(because=because):
                row.update(
                    status=CampaignStatus.COMPLETED,
                    completed_at=event.timestamp,
                    ended_because=because,
                )
            case Campaign.Cancelled():
                row.update(status=CampaignStatus.CANCELLED)


def _add_posts(rows: Rows, campaign_id: UUID, plan: Sequence[Entry], first: int) -> None:
    for n, entry in enumerate(plan, first):
        if entry.post_id is not None:
            rows(CAMPAIGN_POSTS)[entry.post_id].put(campaign_id=campaign_id, entry=n)


def campaign_detail(id: UUID) -> Query[dict[str, Any]]:
    """One campaign with its posts, in the order of the plan, and their figures by network."""
    return Query(
        (Campaigns, Posts),
        """
        SELECT c.*, (
            SELECT coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'entry', o.entry,
              'platforms', p.networks, 'texts', p.texts, 'status', p.status,
              'scheduled_for', p.scheduled_for, 'published_at', p.published_at,
              'outcomes', p.outcomes, 'error', p.error, 'media_urls', p.media_urls,
              'hashtags', p.hashtags, 'mentions', p.mentions) ORDER BY o.entry), '[]')
            FROM read.social_campaign_posts o
            JOIN read.posts p ON p.tenant = %(tenant)s AND p.id = o.post_id
            WHERE o.tenant = %(tenant)s AND o.campaign_id = c.id) AS posts, (
            SELECT coalesce(jsonb_object_agg(f.network, to_jsonb(f) - 'network'), '{}') FROM (
              SELECT e.network, sum(e.impressions) AS impressions, sum(e.reach) AS reach,
                sum(e.views) AS views, sum(e.likes) AS likes, sum(e.shares) AS shares,
                sum(e.comments) AS comments
              FROM read.social_campaign_posts o
              JOIN read.post_engagement e ON e.tenant = %(tenant)s AND e.post_id = o.post_id
              WHERE o.tenant = %(tenant)s AND o.campaign_id = c.id
              GROUP BY e.network) f) AS engagement
        FROM read.social_campaigns c WHERE c.tenant = %(tenant)s AND c.id = %(id)s
        """,
        {"id": id},
    )


def campaign_of(post_id: UUID) -> Query[tuple[UUID]]:
    """The campaign that a post belongs to; no row for one that belongs to none."""
    return Query(
        Campaigns,
        "SELECT campaign_id FROM read.social_campaign_posts"
        " WHERE tenant = %(tenant)s AND post_id = %(post_id)s",
        {"post_id": post_id},
        into=tuple,
    )


def typical_reach(networks: Sequence[Network], since: datetime) -> Query[tuple[str, float]]:
    """What a post has reached on each of `networks` since the day of an instant: the reach that
    came in by the posts that went out. Networks without posts since then are missing."""
    return Query(
        Analytics,
        """
        SELECT n.network, sum(f.reach) FILTER (WHERE f.networks = n.network)::float8
          / sum(f.posts)::float8
        FROM unnest(%(networks)s::text[]) AS n (network)
        JOIN read.social_figures f ON f.tenant = %(tenant)s AND f.grain = 'day'
          AND f.start >= %(since)s AND n.network = ANY (string_to_array(f.networks, '+'))
        GROUP BY n.network
        HAVING sum(f.posts) > 0 AND sum(f.reach) FILTER (WHERE f.networks = n.network) > 0
        """,
        {"networks": list(networks), "since": since},
        into=tuple,
    )
