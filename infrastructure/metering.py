"""The source documents' business metrics, counted from the log: each event once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from domain.social.engagement import Engagement
from domain.social.posts import Post
from infrastructure import metrics
from infrastructure.event_log.codec import StoredEvent, decoded
from infrastructure.follower import Follower

COUNTED = (Post.Drafted, Post.PublishedOn, Post.RefusedBy, Engagement.Grew)


def metering() -> Follower:
    """The follower that counts."""
    return Follower("metrics", tuple(kind.TOPIC for kind in COUNTED), _count, pace=0.5)


async def _count(connection: AsyncConnection[Any], events: Sequence[StoredEvent]) -> None:
    posts = Counter[tuple[str, str]]()
    for event in map(decoded, events):
        match event:
            case Post.Drafted(networks=networks):
                for network in networks:
                    posts[network, "created"] += 1
            case Post.PublishedOn(network=network):
                posts[network, "published"] += 1
            case Post.RefusedBy(network=network):
                posts[network, "failed"] += 1
            case Engagement.Grew(network=network, added=added) if added.views > 0:
                reactions = added.likes + added.shares + added.comments
                rate = max(0.0, min(reactions / added.views, 1.0))
                metrics.social_engagement_rate.labels(network).observe(rate)
            case _:
                pass
    for labels, number in posts.items():
        metrics.social_posts_created.labels(*labels).inc(number)
