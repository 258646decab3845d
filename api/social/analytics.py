"""Endpoint 4 of the engagement contract: figures over all networks for a period."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain, islice
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import BaseModel, BeforeValidator

from api.kernel import EVERYONE, AtReads, Reader, Router
from api.requests import house
from application.instants import Instant, preceding
from application.kernel import public_id
from application.social.best_times import CELLS, BestTime, BestTimes, named
from application.social.figures import Sums, growth, rate
from domain.kernel import Invalid
from domain.social.networks import Network
from infrastructure.caching import Cache
from infrastructure.calendar import best_times
from projections.social.analytics import Analytics, first_of
from projections.social.dashboard import buckets, changes, dashboard

router = Router(prefix="/api/v1/social/analytics", tags=["Social analytics"])

KEPT = 1800
"""Seconds that an answer is kept, if no event changes it before."""

MOST_POINTS = 1100
"""Points of a trend: three years by day, twenty by week, ninety by month."""

DEFAULT_PERIOD = timedelta(days=30)
BEST_TIMES = 3


class GroupBy(StrEnum):
    """The length of a point in `engagement_trends`; weeks begin on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Metric(StrEnum):
    """A figure of a point; names of the summary (`total_reach`) are understood too."""

    POSTS = "posts"
    IMPRESSIONS = "impressions"
    REACH = "reach"
    VIEWS = "views"
    LIKES = "likes"
    SHARES = "shares"
    COMMENTS = "comments"
    ENGAGEMENT = "engagement"
    ENGAGEMENT_RATE = "engagement_rate"
    SENTIMENT = "sentiment"
    GROWTH = "growth"


def _folded(name: Any) -> Any:
    return name.lower() if isinstance(name, str) else name


def _short(name: Any) -> Any:
    return name.removeprefix("total_").removeprefix("average_") if isinstance(name, str) else name


Platforms = Annotated[
    list[Annotated[Network, BeforeValidator(_folded)]] | None, Query(description="All by default")
]
Metrics = Annotated[
    list[Annotated[Metric, BeforeValidator(_short)]] | None,
    Query(description="The figures of each point in engagement_trends; all by default"),
]


class SocialAnalyticsSummary(BaseModel):
    """Figures of a period. Posts are those that went out in it; all others are what came in."""

    total_posts: int
    total_reach: int
    total_impressions: int
    total_engagement: int
    engagement_rate: float
    follower_growth: int
    average_sentiment: float
    best_posting_times: list[str]

    @classmethod
    def of(cls, sums: Sums, best: list[str]) -> Self:
        return cls(
            total_posts=sums.posts,
            total_reach=sums.reach,
            total_impressions=sums.impressions,
            total_engagement=sums.engagement,
            engagement_rate=sums.rate,
            follower_growth=0,  # no adapter reports followers
            average_sentiment=sums.sentiment or 0.0,
            best_posting_times=best,
        )


class SocialAnalyticsResponse(BaseModel):
    """Figures from `date_from` to before `date_to`.

    `engagement_rate` is engagement (likes, shares, comments) per impression. `growth_rate`
    compares engagement with the period of the same length before; 0 when that had none.
    `best_posting_times` are learned from all posts so far. `follower_growth` is 0 and
    `audience_demographics` null as long as no network reports them.
    """

    success: bool = True
    date_from: datetime
    date_to: datetime
    platforms: list[Network]
    summary: SocialAnalyticsSummary
    platform_breakdown: dict[str, SocialAnalyticsSummary]
    trending_content: list[dict[str, Any]]
    top_hashtags: list[dict[str, Any]]
    audience_demographics: dict[str, Any] | None = None
    growth_rate: float
    engagement_trends: list[dict[str, Any]]


@dataclass(frozen=True)
class Asked:
    """A question as it was put: what was left out stays open, so that its answer can be kept."""

    date_from: datetime | None
    date_to: datetime | None
    platforms: list[Network]
    metrics: list[Metric]
    group_by: GroupBy

    def period(self, now: datetime) -> tuple[datetime, datetime]:
        """From and to. Raises `Invalid` for an end before the start, and for too many points."""
        until = self.date_to or now
        since = self.date_from or until - DEFAULT_PERIOD
        if until < since:
            raise Invalid("The end lies before the start.", field="date_to")
        days = {GroupBy.DAY: 1, GroupBy.WEEK: 7, GroupBy.MONTH: 30}[self.group_by]
        if (until - since) / timedelta(days=days) > MOST_POINTS:
            message = f"By {self.group_by}, the period has more than {MOST_POINTS} points."
            raise Invalid(message, field="group_by", code="too_many_points")
        return since, until


async def _kept(request: Request) -> Cache:
    return Cache(house(request).redis, "social_analytics", KEPT)


AtCache = Annotated[Cache, Depends(_kept)]


@router.get("", id="social.analytics", roles=EVERYONE, limit="200/hour")
async def read_analytics(
    reads: AtReads,
    cache: AtCache,
    date_from: Instant | None = None,
    date_to: Instant | None = None,
    platforms: Platforms = None,
    metrics: Metrics = None,
    group_by: GroupBy = GroupBy.DAY,
) -> SocialAnalyticsResponse:
    """Figures over all networks for a period: by default the 30 days up to now.

    Answers are kept for 30 minutes, and dropped by the first event that changes them.
    """
    asked = Asked(
        date_from,
        date_to,
        list(dict.fromkeys(platforms or Network)),
        list(dict.fromkeys(metrics or Metric)),
        group_by,
    )
    since, until = asked.period(datetime.now(UTC))
    # Waits for the caller's own writes, so that no kept answer is older than those.
    (changed,) = await reads.one(changes(), "number of changes")
    key = {
        **asdict(asked),
        "changes": changed,
        "version": Analytics.version,
        "role": reads.caller.role,
    }
    return await cache.get(
        reads.caller.tenant,
        key,
        SocialAnalyticsResponse,
        lambda: _answer(reads, asked, since, until),
    )


async def _answer(
    reads: Reader, asked: Asked, since: datetime, until: datetime
) -> SocialAnalyticsResponse:
    query = dashboard(since, until, preceding(since, until), asked.platforms, asked.group_by)
    row = await reads.one(query, "dashboard")
    caller = reads.caller
    times = await best_times(reads.reads, caller.tenant, caller.user, until)
    figures = row["figures"] or []
    current = [each for each in figures if each["bucket"] is not None]
    total, earlier = _sum(current), _sum(e for e in figures if e["bucket"] is None)
    best = {network: _best(times, network, until) for network in asked.platforms}
    return SocialAnalyticsResponse(
        date_from=since,
        date_to=until,
        platforms=asked.platforms,
        summary=SocialAnalyticsSummary.of(total, _named(chain(*best.values()))),
        platform_breakdown={
            network: SocialAnalyticsSummary.of(_sum(_on(network, current)), _named(best[network]))
            for network in asked.platforms
        },
        trending_content=[_content(each) for each in row["content"] or ()],
        top_hashtags=[_hashtag(each) for each in row["hashtags"] or ()],
        growth_rate=growth(total.engagement, earlier.engagement) or 0.0,
        engagement_trends=list(_trends(asked, current, since, until)),
    )


def _sum(rows: Iterable[Mapping[str, Any]]) -> Sums:
    sums = Sums()
    for row in rows:
        sums.add(row)
    return sums


def _on(network: Network, rows: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    return (row for row in rows if network in row["networks"].split("+"))


def _best(times: BestTimes, network: Network, week: datetime) -> list[BestTime]:
    """Only what has been learned: a survey's hours are no figures of this account."""
    if not times.learned(network):
        return []
    known = (each for each in times.best(network, week, UTC, CELLS) if each.score.n)
    return list(islice(known, BEST_TIMES))


def _named(best: Iterable[BestTime]) -> list[str]:
    order = sorted(best, key=lambda each: -each.score.value)
    return [named(each, "UTC") for each in order[:BEST_TIMES]]


def _trends(
    asked: Asked, rows: Sequence[Mapping[str, Any]], since: datetime, until: datetime
) -> Iterable[dict[str, Any]]:
    by_bucket: dict[datetime, Sums] = {}
    for row in rows:
        at = first_of(asked.group_by, datetime.fromisoformat(row["bucket"]))
        by_bucket.setdefault(at, Sums()).add(row)
    previous = None
    for start in buckets(asked.group_by, since, until):
        sums = by_bucket.get(start, Sums())
        change = None if previous is None else growth(sums.engagement, previous)
        figures = asdict(sums) | {
            "engagement": sums.engagement,
            "engagement_rate": sums.rate,
            "sentiment": sums.sentiment,
            "growth": change,
        }
        yield {"date": start.date().isoformat()} | {m.value: figures[m] for m in asked.metrics}
        previous = sums.engagement


def _content(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("impressions", "likes", "shares", "comments", "engagement")
    return {
        "post_id": public_id("post", UUID(row["post_id"])),
        "platform": row["network"],
        "content": row["content"],
        "published_at": datetime.fromisoformat(row["published_at"]),
        **{name: row[name] for name in names},
        "engagement_rate": rate(row["engagement"], row["impressions"]),
    }


def _hashtag(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("posts", "impressions", "engagement")
    return {
        "hashtag": row["hashtag"],
        **{name: row[name] for name in names},
        "engagement_rate": rate(row["engagement"], row["impressions"]),
    }
