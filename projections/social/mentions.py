"""What is said about the brand: each mention, their numbers by period, and the words to find them.

Numbers and hashtags are folded as mentions come in, so that totals of any period are sums of a few
hundred rows, however many mentions there are. They hold nothing of persons.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from domain.kernel import utc
from domain.social.connections import Connection
from domain.social.keywords import BrandKeywords
from domain.social.mentions import Mention, is_influential
from domain.social.text import LONGEST_HASHTAG
from projections.kernel import DomainEvent, Query, ReadModel, Rows, Table
from projections.social.analytics import GRAINS, start_of

MENTIONS = Table(
    "mentions",
    {
        "network": str,
        "author": str,
        "author_handle": str,
        "url": str | None,
        "person": UUID | None,
        "followers": int,
        "influential": bool,
        "written_at": datetime,
        "language": str,
        "sentiment": float,
        "tone": str,
        "priority": str,
        "likes": int,
        "shares": int,
        "comments": int,
        "requires_response": bool,
        "response_id": str | None,
        "keywords": list[str],
        "hashtags": list[str],
    },
    of_stream=Mention,
    indexes=[
        ("network", "tone", "written_at DESC", "id"),
        "(tenant, network, tone, written_at DESC, followers DESC, id) WHERE influential",
        ("person", "written_at"),
    ],
    personal={"author": "person", "author_handle": "person", "url": "person"},
)

SHORT = "(octet_length(text) <= 400)"
"""Texts whose words an index can hold beside the rest. Of 400 bytes, 133 parts of one word with
hyphens and that word itself, with places and entries, come to some 2,000 bytes; it takes 2,700."""

TEXTS = Table(
    "mention_texts",
    {
        "network": str,
        "tone": str,
        "written_at": datetime,
        "followers": int,
        "influential": bool,
        "hashtags": list[str],
        "text": str,
        "person": UUID | None,
    },
    indexes=[
        "USING gin (search)",
        ("written_at DESC", "id"),
        "(tenant, written_at, followers) WHERE influential",
        f"(tenant, written_at) INCLUDE (tone, network, search) WHERE {SHORT}",
        f"(tenant, written_at) WHERE NOT {SHORT}",
        ("person",),
    ],
    personal={"text": "person"},
    raw={"search": "tsvector GENERATED ALWAYS AS (to_tsvector('simple', text)) STORED"},
    walled=False,
)
"""Apart from the rest, since only what stands outside the wall is found by its words; with all
that is counted of those, so that nothing has to be joined. Who says a word that nearly everybody
says has all of them counted: from an index that holds their words, not from the texts."""

FIGURES = Table(
    "mention_figures",
    {"mentions": int},
    key={"grain": str, "start": datetime, "network": str, "tone": str},
)
"""How many there are, in the grains of `social_figures`."""

HASHTAGS = Table(
    "mention_hashtags",
    {"mentions": int},
    key={"day": date, "network": str, "tone": str, "hashtag": str},
)

KEYWORDS = Table(
    "brand_keywords",
    {"keywords": list[str]},
    of_stream=BrandKeywords,
)

ERASE = "DELETE FROM {} WHERE tenant = %(tenant)s AND network = %(network)s"


class Mentions(ReadModel):
    name = "mentions"
    version = 2
    tables = (MENTIONS, TEXTS, FIGURES, HASHTAGS, KEYWORDS)
    events = (
        Mention.Detected,
        Mention.Answered,
        Mention.Dismissed,
        BrandKeywords.Chosen,
        BrandKeywords.Changed,
        Connection.DataErased,
    )

    def project(self, event: DomainEvent, rows: Rows) -> None:
        match event:
            case Mention.Detected():
                self._detected(event, rows)
            case Mention.Answered(response_id=response_id):
                rows(MENTIONS)[event.originator_id].update(response_id=response_id)
            case Mention.Dismissed():
                rows(MENTIONS)[event.originator_id].update(requires_response=False)
            case BrandKeywords.Chosen(keywords=keywords):
                rows(KEYWORDS)[event.originator_id].insert(keywords=list(keywords))
            case BrandKeywords.Changed(keywords=keywords):
                rows(KEYWORDS)[event.originator_id].update(keywords=list(keywords))
            case Connection.DataErased(network=network):
                for table in (MENTIONS, TEXTS, FIGURES, HASHTAGS):
                    rows.execute(ERASE.format(table.name), {"network": network.value})

    @staticmethod
    def _detected(event: Mention.Detected, rows: Rows) -> None:
        id, network, tone = event.originator_id, event.network, event.tone
        person = event.persons.get("text")
        counted = {
            "network": network,
            "tone": tone,
            "written_at": event.written_at,
            "followers": event.followers,
            "influential": is_influential(network, event.followers),
            "hashtags": list(event.hashtags),
        }
        rows(MENTIONS)[id].insert(
            author=event.author,
            author_handle=event.author_handle,
            url=event.url,
            person=person,
            language=event.language,
            sentiment=event.sentiment,
            priority=event.priority,
            likes=event.likes,
            shares=event.shares,
            comments=event.comments,
            requires_response=event.requires_response,
            keywords=list(event.keywords),
            **counted,
        )
        rows(TEXTS)[id].insert(text=event.text, person=person, **counted)
        for grain in (*GRAINS, "instant"):
            start = start_of(grain, event.written_at)
            rows(FIGURES)[grain, start, network, tone].add(mentions=1)
        day = utc(event.written_at).date()
        for hashtag in event.hashtags:
            if len(hashtag) <= LONGEST_HASHTAG:  # an index cannot hold any length
                rows(HASHTAGS)[day, network, tone, hashtag].add(mentions=1)


def brand_keywords() -> Query[dict[str, Any]]:
    """The words that the tenant has chosen."""
    return Query(
        Mentions,
        "SELECT keywords, version FROM read.brand_keywords WHERE tenant = %(tenant)s",
    )
