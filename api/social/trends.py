"""Endpoint 9 of the engagement contract: what rises, and what the brand may make of it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import BaseModel, BeforeValidator

from api.kernel import EVERYONE, AtDesk, AtReads, Reader, Router
from api.requests import house
from application.kernel import public_id
from application.social.industries import industry_of
from application.social.places import place_of
from application.social.trend_advice import Findings, advice, described, insights
from application.social.trend_figures import LENGTHS, Figures, Timeframe
from application.social.trend_relevance import related
from application.social.trend_watching import want
from application.social.trends import Measured, ranked
from domain.kernel import Unavailable
from domain.social.networks import Network
from domain.social.trends import WORLD, TrendKind
from infrastructure.caching import Cache
from projections.social.trend_report import Window, changes, figures, figures_of
from projections.social.trends import Trends

router = Router(prefix="/api/v1/social/trends", tags=["Social trends"])

KEPT = 1800
"""Seconds that an answer is kept, if no event changes it before; one about now, or today, moves
on with every slice of ten minutes."""

VIRAL = 2.0
"""Times of what a post of that network usually gains, from which on something is viral;"""
VIRAL_AT_ONCE = 1.0
"""within the hour, as much as that is outstanding."""

FEW = 10
"""Likes, shares and comments below which nothing is."""

MOST_VIRAL = 10

LOOKED_AT = timedelta(hours=26)
"""Age of the last look at a place, from which on it has to be looked at again."""


def _folded(name: Any) -> Any:
    return name.strip().lower() if isinstance(name, str) else name


Platforms = Annotated[
    list[Annotated[Network, BeforeValidator(_folded)]] | None, Query(description="All by default")
]
Industry = Annotated[
    str | None, Query(max_length=100, description="Only what is of this industry, such as fashion")
]
Location = Annotated[
    str | None,
    Query(
        max_length=100,
        description="Only what networks list there: a country by its ISO 3166 code or name,"
        " such as DE or Germany",
    ),
]
When = Annotated[Timeframe, BeforeValidator(_folded)]


class TrendingHashtag(BaseModel):
    """One rising tag. `volume` are uses in the period; `growth_rate` compares with the period of
    the same length before, as a fraction (0.5: half as much again; 0 too when nothing can be
    compared); `relevance_score` is the brand's share in it, 0 to 1."""

    hashtag: str
    volume: int
    growth_rate: float
    platforms: list[Network]
    average_engagement: float
    relevance_score: float

    @classmethod
    def of(cls, trend: Measured) -> Self:
        return cls(
            hashtag=trend.label,
            volume=trend.volume,
            growth_rate=trend.growth,
            platforms=trend.networks,
            average_engagement=trend.average_engagement,
            relevance_score=trend.relevance,
        )


class TrendingTopic(BaseModel):
    """One rising topic: a word, or two side by side. `opportunity_score` runs from 0 to 1."""

    topic: str
    description: str
    volume: int
    sentiment: str
    related_keywords: list[str]
    opportunity_score: float

    @classmethod
    def of(cls, trend: Measured, figures: Figures, timeframe: Timeframe) -> Self:
        return cls(
            topic=trend.name,
            description=described(trend, timeframe),
            volume=trend.volume,
            sentiment=trend.tone,
            related_keywords=related(figures, trend.label),
            opportunity_score=trend.opportunity,
        )


class SocialTrendsResponse(BaseModel):
    """What rises on the tenant's networks, most worth acting on first.

    It is seen in the tenant's posts and their engagement, in comments and mentions, and in what
    the networks list themselves. Words that came from one person alone are not shown.
    """

    success: bool = True
    timeframe: Timeframe
    platforms: list[Network]
    trending_hashtags: list[TrendingHashtag]
    trending_topics: list[TrendingTopic]
    viral_content: list[dict[str, Any]]
    industry_insights: dict[str, Any] | None = None
    recommendations: list[str]


async def _kept(request: Request) -> Cache:
    return Cache(house(request).redis, "social_trends", KEPT)


AtCache = Annotated[Cache, Depends(_kept)]


@router.get("", id="social.trends", roles=EVERYONE, limit="100/hour")
async def read_trends(
    reads: AtReads,
    desk: AtDesk,
    cache: AtCache,
    platforms: Platforms = None,
    industry: Industry = None,
    location: Location = None,
    timeframe: When = Timeframe.TODAY,
) -> SocialTrendsResponse:
    """What rises, with growth and relevance computed.

    A place that nobody asked for before is looked at from now on. Answers are kept for 30 minutes,
    and dropped by the first event that changes them.
    """
    networks = list(dict.fromkeys(platforms or Network))
    trade = None if industry is None else industry_of(industry)
    place = WORLD if location is None else place_of(location).code
    now = datetime.now(UTC)
    window = Window.of(timeframe, now)
    # Waits for the caller's own writes, so that no kept answer is older than those.
    seen = await reads.one(changes(place), "number of changes")
    if seen["looked_at"] is None or now - seen["looked_at"] > LOOKED_AT:
        with suppress(Unavailable):  # what is known can be told all the same; the next one asks
            await want(replace(desk, idempotency=None, if_match=None, follows=False), place)
    key = {
        "timeframe": timeframe,
        "networks": networks,
        "industry": trade,
        "place": place,
        "since": window.since,
        "changes": seen["events"],
        "version": Trends.version,
        "role": reads.caller.role,
    }
    return await cache.get(
        reads.caller.tenant,
        key,
        SocialTrendsResponse,
        lambda: _answer(reads, window, timeframe, networks, trade, place),
    )


async def _answer(
    reads: Reader,
    window: Window,
    timeframe: Timeframe,
    networks: list[Network],
    industry: str | None,
    place: str,
) -> SocialTrendsResponse:
    row = await reads.one(figures(window, networks, place), "report")
    known = figures_of(row, window, place)
    hashtags = ranked(known, TrendKind.HASHTAG, industry)
    topics = ranked(known, TrendKind.TOPIC, industry)
    viral = _viral(known.viral, timeframe, window.until)
    found = Findings(known, timeframe, networks, hashtags, topics, viral)
    return SocialTrendsResponse(
        timeframe=timeframe,
        platforms=networks,
        trending_hashtags=[TrendingHashtag.of(each) for each in hashtags],
        trending_topics=[TrendingTopic.of(each, known, timeframe) for each in topics],
        viral_content=viral,
        industry_insights=insights(known, industry, hashtags, topics) if industry else None,
        recommendations=advice(found),
    )


def _viral(
    pieces: Sequence[Mapping[str, Any]], timeframe: Timeframe, now: datetime
) -> list[dict[str, Any]]:
    """Posts and mentions that gained far more in the period than posts there usually do in all
    their time, most outstanding first. `velocity` is engagement by the hour since they are out, at
    most over the period."""
    least = VIRAL_AT_ONCE if timeframe is Timeframe.NOW else VIRAL
    found = [
        _piece(each, timeframe, now)
        for each in pieces
        if each["gained"] >= max(FEW, least * each["typical"])
    ]
    return found[:MOST_VIRAL]


def _piece(piece: Mapping[str, Any], timeframe: Timeframe, now: datetime) -> dict[str, Any]:
    out = datetime.fromisoformat(piece["at"])
    hours = min((now - out) / timedelta(hours=1), LENGTHS[timeframe] / timedelta(hours=1))
    prefix = {"post": "post", "mention": "men"}[piece["kind"]]
    return {
        "type": piece["kind"],
        "id": public_id(prefix, UUID(piece["piece"])),
        "platform": piece["network"],
        "content": piece["content"],
        "published_at": out,
        "engagement": piece["gained"],
        "velocity": round(piece["gained"] / max(hours, 1.0), 4),
        "times_typical": round(piece["gained"] / piece["typical"], 4),
    }
