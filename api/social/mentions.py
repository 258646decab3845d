"""Endpoint 7 of the engagement contract: what is said about the brand; and the words to listen
for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import BaseModel, BeforeValidator, Field, PrivateAttr

from api.kernel import EVERYONE, WRITERS, AtDesk, AtReads, Router
from api.paths import path_id
from api.requests import house
from application.instants import Instant, preceding
from application.kernel import Answer, public_id
from application.social.keywords import (
    MOST_KEYWORDS,
    Keyword,
    SetBrandKeywords,
    set_keywords,
)
from application.social.mentions import DismissMention
from application.social.topics import topics_of
from domain.kernel import Invalid
from domain.social.keywords import BrandKeywords
from domain.social.mentions import Mention, Priority, Tone
from domain.social.networks import Network
from projections.social.mention_report import TRENDING, heard
from projections.social.mentions import brand_keywords

router = Router(prefix="/api/v1/social/mentions", tags=["Social mentions"])

DEFAULT_PERIOD = timedelta(days=30)
MOST_SHOWN = 100

COMMON_ENOUGH = 3
"""Mentions from which on a word is a topic of theirs."""


def _folded(name: Any) -> Any:
    return name.lower() if isinstance(name, str) else name


MentionId = Annotated[UUID, path_id("men", "mention")]
Platforms = Annotated[
    list[Annotated[Network, BeforeValidator(_folded)]] | None, Query(description="All by default")
]
Said = Annotated[
    list[Keyword] | None,
    Field(max_length=MOST_KEYWORDS),
    Query(description="Only mentions that say one of these words or phrases"),
]
ToneFilter = Annotated[Tone | None, BeforeValidator(_folded)]
Shown = Annotated[int, Field(ge=1, le=MOST_SHOWN)]


class SocialMention(BaseModel):
    """One mention. `author` and `author_handle` are empty where the network keeps them to itself,
    and `url` where there is none. `requires_response` ends with an answer, or when the mention
    is dismissed."""

    mention_id: str
    platform: Network
    author: str
    author_handle: str
    content: str
    url: str
    created_at: datetime
    engagement: dict[str, int]
    sentiment: Tone
    sentiment_score: float
    requires_response: bool
    priority: Priority

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            mention_id=public_id("men", UUID(row["id"])),
            platform=row["network"],
            author=row["author"],
            author_handle=row["author_handle"],
            content=row["text"],
            url=row["url"] or "",
            created_at=datetime.fromisoformat(row["written_at"]).astimezone(UTC),
            engagement={name: row[name] for name in ("likes", "shares", "comments")},
            sentiment=row["tone"],
            sentiment_score=row["sentiment"],
            requires_response=row["requires_response"] and row["response_id"] is None,
            priority=row["priority"],
        )


class SocialMentionsResponse(BaseModel):
    """Mentions written from `date_from` to before `date_to`.

    `total_mentions`, `sentiment_breakdown` and `alert_threshold_exceeded` are of all that the
    filters let through; `mentions` are the newest of these. `trending_topics` begins with the
    hashtags (with their sign) that have gained most over the period of the same length before
    (with keywords: among the newest thousand mentions of either), and goes on with what the newest
    mentions speak of. `influencer_mentions` are those by the largest audiences. The alert: more
    mentions than the threshold, or several times as many as in the period before.
    """

    success: bool = True
    total_mentions: int
    mentions: list[SocialMention]
    sentiment_breakdown: dict[str, int]
    trending_topics: list[str]
    influencer_mentions: list[dict[str, Any]]
    alert_threshold_exceeded: bool


class MentionDismissed(BaseModel):
    """A mention that wants no answer any more."""

    success: bool = True
    mention_id: str
    requires_response: bool = False

    @classmethod
    def of(cls, mention: Mention) -> Self:
        return cls(mention_id=public_id("men", mention.id))


class BrandKeywordsResponse(BaseModel):
    """The words that networks are searched for; none leaves it to the names of the accounts."""

    success: bool = True
    keywords: list[str]
    _version: int | None = PrivateAttr(default=None)

    @classmethod
    def of(cls, chosen: BrandKeywords) -> Self:
        return cls(keywords=list(chosen.keywords))


@dataclass(frozen=True)
class Alert:
    """When there are so many mentions that somebody should look: more than `volume`, or more than
    `growth` times as many as in the period before, if there were any."""

    volume: int
    growth: float

    def exceeded(self, now: int, before: int) -> bool:
        return now > self.volume or (before > 0 and now > self.growth * before)


async def _alert(request: Request) -> Alert:
    settings = house(request).settings
    return Alert(settings.mention_alert_volume, settings.mention_alert_growth)


AtAlert = Annotated[Alert, Depends(_alert)]


@router.get("", id="social.mentions", roles=EVERYONE, limit="100/hour")
async def read_mentions(
    reads: AtReads,
    alert: AtAlert,
    platforms: Platforms = None,
    keywords: Said = None,
    date_from: Instant | None = None,
    date_to: Instant | None = None,
    sentiment_filter: ToneFilter = None,
    limit: Shown = 50,
) -> SocialMentionsResponse:
    """What is said about the brand on the networks: by default in the 30 days up to now.

    Networks are listened to all the time; this looks at what has been heard.
    """
    since, until = _period(date_from, date_to)
    query = heard(
        since,
        until,
        preceding(since, until),
        list(dict.fromkeys(platforms or Network)),
        [sentiment_filter] if sentiment_filter else list(Tone),
        keywords or (),
    )
    row = await reads.one(query, "mentions")
    counted = dict.fromkeys(Tone, 0)
    before = 0
    for each in row["figures"] or ():
        if each["current"]:
            counted[Tone(each["tone"])] += each["mentions"]
        else:
            before += each["mentions"]
    total, newest = sum(counted.values()), row["newest"] or []
    return SocialMentionsResponse(
        total_mentions=total,
        mentions=[SocialMention.of(each) for each in newest[:limit]],
        sentiment_breakdown={tone.value: n for tone, n in counted.items()},
        trending_topics=_topics(row["hashtags"] or (), [each["text"] for each in newest]),
        influencer_mentions=[_by_influencer(each) for each in row["influencers"] or ()],
        alert_threshold_exceeded=alert.exceeded(total, before),
    )


@router.post("/{men_id}/dismiss", id="social.mentions.dismiss", roles=WRITERS, limit="200/hour")
async def dismiss_mention(
    id: MentionId, command: DismissMention, desk: AtDesk
) -> Answer[MentionDismissed]:
    """Leave a mention without an answer, so that it is nobody's task any more."""
    return await desk.change(Mention, id, command, MentionDismissed.of)


@router.get("/keywords", id="social.mentions.keywords.read", roles=EVERYONE, limit="300/hour")
async def read_keywords(reads: AtReads) -> BrandKeywordsResponse:
    """The words that networks are searched for."""
    rows = await reads.all(brand_keywords())
    answer = BrandKeywordsResponse(keywords=rows[0]["keywords"] if rows else [])
    answer._version = rows[0]["version"] if rows else None
    return answer


@router.put("/keywords", id="social.mentions.keywords.set", roles=WRITERS, limit="30/hour")
async def put_keywords(command: SetBrandKeywords, desk: AtDesk) -> Answer[BrandKeywordsResponse]:
    """Search for these words from now on, in place of those before."""
    return await set_keywords(desk, command, BrandKeywordsResponse.of)


def _period(date_from: datetime | None, date_to: datetime | None) -> tuple[datetime, datetime]:
    """From and to. Raises `Invalid` for an end before the start."""
    until = date_to or datetime.now(UTC)
    since = date_from or until - DEFAULT_PERIOD
    if until < since:
        raise Invalid("The end lies before the start.", field="date_to")
    return since, until


def _topics(hashtags: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Half of them hashtags if there are so many, the rest words that several texts share."""
    found = Counter(topic for text in texts for topic in topics_of(text))
    common = [topic for topic, n in found.most_common() if n >= COMMON_ENOUGH]
    rest = [topic for topic in common if topic.replace(" ", "") not in hashtags]
    tags = max(TRENDING // 2, TRENDING - len(rest))
    return [*(f"#{tag}" for tag in hashtags[:tags]), *rest][:TRENDING]


def _by_influencer(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**SocialMention.of(row).model_dump(mode="json"), "followers": row["followers"]}
