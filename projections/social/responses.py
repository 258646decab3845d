"""Responses to mentions as people look at them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from domain.social.responses import Draft, Response, ResponseStatus
from projections.kernel import DomainEvent, Query, ReadModel, Rows, Table
from projections.social.mentions import Mentions
from projections.social.posts import Posts

RESPONSES = Table(
    "responses",
    {
        "author": str,
        "mention_id": UUID,
        "network": str,
        "mode": str,
        "tone": str,
        "branded": bool,
        "template_id": str | None,
        "writer": str | None,
        "confidence": float | None,
        "text": str,
        "person": UUID | None,
        "sentiment": float,
        "status": str,
        "provider": str | None,
        "network_reply_id": str | None,
        "url": str | None,
        "code": str | None,
        "message": str | None,
        "posted_at": datetime | None,
        "created_at": datetime,
        "updated_at": datetime,
    },
    of_stream=Response,
    personal={"text": "person"},
    indexes=[("status", "created_at")],
)


class Responses(ReadModel):
    """One row for each answer; a second draft takes the place of the first."""

    name = "responses"
    version = 1
    tables = (RESPONSES,)
    events = (
        Response.Drafted,
        Response.Redrafted,
        Response.PostingStarted,
        Response.Posted,
        Response.RefusedBy,
        Response.LeftUnconfirmed,
    )

    def project(self, event: DomainEvent, rows: Rows) -> None:
        row, at = rows(RESPONSES)[event.originator_id], event.timestamp
        match event:
            case Response.Drafted(draft=draft):
                row.insert(
                    author=event.actor,
                    mention_id=event.mention_id,
                    network=event.network,
                    sentiment=event.sentiment,
                    person=event.persons.get("draft.text"),
                    status=ResponseStatus.DRAFTED,
                    created_at=at,
                    updated_at=at,
                    **_drafted(draft),
                )
            case Response.Redrafted(draft=draft):
                row.update(
                    author=event.actor,
                    status=ResponseStatus.DRAFTED,
                    provider=None,
                    code=None,
                    message=None,
                    updated_at=at,
                    **_drafted(draft),
                )
            case Response.PostingStarted():
                row.update(status=ResponseStatus.POSTING, updated_at=at)
            case Response.Posted():
                row.update(
                    status=ResponseStatus.POSTED,
                    provider=event.provider,
                    network_reply_id=event.network_reply_id,
                    url=event.url,
                    posted_at=event.at,
                    message=None,
                    updated_at=at,
                )
            case Response.RefusedBy(provider=provider, code=code, message=message):
                row.update(
                    status=ResponseStatus.REFUSED,
                    provider=provider,
                    code=code,
                    message=message,
                    updated_at=at,
                )
            case Response.LeftUnconfirmed(provider=provider, message=message):
                row.update(
                    status=ResponseStatus.UNCONFIRMED,
                    provider=provider,
                    message=message,
                    updated_at=at,
                )


def _drafted(draft: Draft) -> dict[str, Any]:
    return {
        "mode": draft.mode,
        "tone": draft.tone,
        "branded": draft.branded,
        "template_id": draft.template_id,
        "writer": draft.writer,
        "confidence": draft.confidence,
        "text": draft.text,
    }


FOLLOW_UP_DAYS = 30
"""So long after an answer, what its addressee says may still have to do with it."""


def response_detail(id: UUID) -> Query[dict[str, Any]]:
    """One response, and how much kinder (-2 to 2) its addressee has spoken of the brand since: the
    mean sentiment of their mentions and comments of the 30 days after it, less that of the mention
    that was answered."""
    return Query(
        (Responses, Mentions, Posts),
        """
        SELECT r.*, (
          SELECT round((avg(said.sentiment) - r.sentiment)::numeric, 4)::float8
          FROM (
            SELECT m.sentiment, m.written_at AS at FROM read.mentions m
            WHERE m.tenant = %(tenant)s AND m.network = r.network AND m.person = r.person
            UNION ALL
            SELECT c.sentiment, c.at FROM read.post_comments c
            WHERE c.tenant = %(tenant)s AND c.network = r.network AND c.person = r.person
          ) AS said
          WHERE said.at > r.posted_at
            AND said.at <= r.posted_at + make_interval(days => %(days)s)
        ) AS sentiment_improvement
        FROM read.responses r WHERE r.tenant = %(tenant)s AND r.id = %(id)s
        """,
        {"id": id, "days": FOLLOW_UP_DAYS},
    )
