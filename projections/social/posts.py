"""Posts as people look at them: the post, its figures on each network, its comments."""

from datetime import datetime
from typing import Any
from uuid import UUID

from domain.social.connections import Connection
from domain.social.engagement import Engagement
from domain.social.posts import OutcomeStatus, Post, PostStatus
from projections.kernel import DomainEvent, Query, ReadModel, Rows, Table

POSTS = Table(
    "posts",
    {
        "author": str,
        "content": str,
        "networks": list[str],
        "texts": dict,
        "media_urls": list[str],
        "hashtags": list[str],
        "mentions": list[str],
        "location": str | None,
        "status": str,
        "outcomes": dict,
        "scheduled_for": datetime | None,
        "published_at": datetime | None,
        "error": str | None,
        "created_at": datetime,
        "updated_at": datetime,
    },
    of_stream=Post,
    indexes=[("status", "scheduled_for"), ("created_at", "id")],
)

ENGAGEMENT = Table(
    "post_engagement",
    {
        "impressions": int,
        "reach": int,
        "views": int,
        "likes": int,
        "shares": int,
        "comments": int,
    },
    key={"post_id": UUID, "network": str},
)

COMMENTS = Table(
    "post_comments",
    {"author": str, "text": str, "at": datetime, "sentiment": float, "person": UUID | None},
    key={"post_id": UUID, "network": str, "comment_id": str},
    personal={"author": "person", "text": "person"},
)


ERASE = "DELETE FROM {} WHERE tenant = %(tenant)s AND network = %(network)s"


class Posts(ReadModel):
    name = "posts"
    version = 2
    tables = (POSTS, ENGAGEMENT, COMMENTS)
    events = (
        Post.Drafted,
        Post.Scheduled,
        Post.Rescheduled,
        Post.Withdrawn,
        Post.PublicationStarted,
        Post.PublishedOn,
        Post.RefusedBy,
        Post.LeftUnconfirmed,
        Post.Published,
        Post.Failed,
        Engagement.Grew,
        Engagement.CommentReceived,
        Connection.DataErased,
    )

    def project(self, event: DomainEvent, rows: Rows) -> None:
        match event:
            case Post.Drafted():
                rows(POSTS)[event.originator_id].insert(
                    author=event.actor,
                    content=event.content,
                    networks=list(event.networks),
                    texts=dict(event.texts),
                    media_urls=list(event.media_urls),
                    hashtags=list(event.hashtags),
                    mentions=list(event.mentions),
                    location=event.location,
                    status=PostStatus.DRAFT,
                    created_at=event.timestamp,
                    updated_at=event.timestamp,
                )
            case Engagement.Grew(post_id=post_id, network=network, added=added):
                rows(ENGAGEMENT)[post_id, network].add(**vars(added))
            case Engagement.CommentReceived(post_id=post_id, network=network, comment=comment):
                rows(COMMENTS)[post_id, network, comment.id].put(
                    author=comment.author,
                    text=comment.text,
                    at=comment.at,
                    sentiment=comment.sentiment,
                    person=event.persons.get("comment.author"),
                )
            case Connection.DataErased(network=network):
                for table in ("post_engagement", "post_comments"):
                    rows.execute(ERASE.format(table), {"network": network.value})
            case _:
                self._changed(event, rows)

    def _changed(self, event: DomainEvent, rows: Rows) -> None:
        row = rows(POSTS)[event.originator_id]
        row.update(updated_at=event.timestamp)
        match event:
            case Post.Scheduled(at=at) | Post.Rescheduled(at=at):
                row.update(status=PostStatus.SCHEDULED, scheduled_for=at)
            case Post.Withdrawn():
                row.update(status=PostStatus.WITHDRAWN)
            case Post.PublicationStarted(networks=networks, status=status):
                row.update(status=status, error=None)
                row.merge(outcomes={n: {"status": OutcomeStatus.PUBLISHING} for n in networks})
            case Post.PublishedOn(network=network):
                outcome = {
                    "status": OutcomeStatus.PUBLISHED,
                    "provider": event.provider,
                    "post_id": event.network_post_id,
                    "url": event.url,
                    "published_at": event.at.isoformat(),
                }
                row.merge(outcomes={network: outcome})
            case Post.RefusedBy(network=network):
                refusal = {"code": event.code, "message": event.message}
                outcome = {"status": OutcomeStatus.FAILED, "provider": event.provider}
                row.merge(outcomes={network: {**outcome, "error": refusal}})
            case Post.LeftUnconfirmed(network=network, provider=provider, status=status):
                row.update(status=status)
                outcome = {"status": OutcomeStatus.UNCONFIRMED, "provider": provider}
                row.merge(outcomes={network: outcome})
            case Post.Published(at=at):
                row.update(status=PostStatus.PUBLISHED, published_at=at)
            case Post.Failed(message=message):
                row.update(status=PostStatus.FAILED, error=message)


def post_detail(id: UUID, with_comments: bool) -> Query[dict[str, Any]]:
    """One post with its figures per network, its mean tone, and the ten latest comments."""
    return Query(
        Posts,
        """
        SELECT p.*,
          (SELECT jsonb_object_agg(e.network, jsonb_build_object('impressions', e.impressions,
             'reach', e.reach, 'views', e.views, 'likes', e.likes, 'shares', e.shares,
             'comments', e.comments) ORDER BY e.network)
           FROM read.post_engagement e WHERE e.tenant = %(tenant)s AND e.post_id = p.id
          ) AS engagement,
          (SELECT round(avg(c.sentiment)::numeric, 4)::float8 FROM read.post_comments c
           WHERE c.tenant = %(tenant)s AND c.post_id = p.id) AS sentiment,
          CASE WHEN %(with_comments)s THEN coalesce((
             SELECT jsonb_agg(to_jsonb(latest)) FROM (
               SELECT c.comment_id AS id, c.network AS platform, c.author, c.text,
                 c.at AS created_at, c.sentiment AS sentiment_score
               FROM read.post_comments c WHERE c.tenant = %(tenant)s AND c.post_id = p.id
               ORDER BY c.at DESC, c.comment_id LIMIT 10) latest), '[]') END AS comments_preview
        FROM read.posts p WHERE p.tenant = %(tenant)s AND p.id = %(id)s
        """,
        {"id": id, "with_comments": with_comments},
    )
