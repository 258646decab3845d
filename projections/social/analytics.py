"""Social figures, summed as they arrive, so that a dashboard reads sums and never events.

Every figure is kept by day, hour, minute and instant (UTC). A period is covered by whole days as
far as they go, its edges by hours, theirs by minutes, and the rest by instants: a few hundred
rows for any period, and exactly what the events add up to.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from application.social.best_times import cell_of, weight
from domain.kernel import utc
from domain.social.connections import Connection
from domain.social.engagement import Engagement, Figures
from domain.social.networks import Network
from domain.social.posts import Post
from projections.kernel import DomainEvent, Query, ReadModel, Rows, Table
from projections.social.posts import Posts

GRAINS = {"day": timedelta(days=1), "hour": timedelta(hours=1), "minute": timedelta(minutes=1)}
"""From the longest to the shortest; `instant` comes after them."""

TONE = 10_000
"""Sentiment is summed in whole ten-thousandths, which is as exact as it comes."""

FIGURES = Table(
    "social_figures",
    {
        "posts": int,
        "impressions": int,
        "reach": int,
        "views": int,
        "likes": int,
        "shares": int,
        "comments": int,
        "rated": int,
        "tone": int,
    },
    key={"grain": str, "start": datetime, "networks": str},
)
"""`networks` is one network for its figures, and `facebook+twitter` for posts that are out on
both: so that posts can be counted once however many networks are asked for. `rated` comments have
a sentiment; `tone` is its sum."""

GAINS = ("posts", "impressions", "engagement")

HASHTAGS = Table(
    "social_hashtags",
    {f"{network}_{gain}": int for network in Network for gain in GAINS},
    key={"day": date, "hashtag": str},
)
"""A column for each network, since a row for each would be six times as many to read."""

CONTENT = Table(
    "social_content",
    {
        "post_id": UUID,
        "week": date,
        "published_at": datetime,
        "impressions": int,
        "likes": int,
        "shares": int,
        "comments": int,
        "engagement": int,
    },
    key={"id": UUID, "network": str},
    indexes=[("network", "week", "engagement DESC", "published_at", "id")],
)
"""What each post has gained on each network; `id` is the stream of its engagement, `week` the
Monday before its publication."""

TIMES = Table(
    "social_times",
    {"posts": int, "weight": Decimal, "engagement": Decimal},
    key={"network": str, "cell": int},
)
"""By hour of the week of publication (UTC), weighted as `best_times` says."""

CHANGES = Table("social_changes", {"events": int}, key={"about": str})
"""How many events have changed anything here: what is cached for another number is stale."""


class Analytics(ReadModel):
    name = "social_analytics"
    version = 1
    tables = (FIGURES, HASHTAGS, CONTENT, TIMES, CHANGES)
    events = (
        Post.PublishedOn,
        Engagement.Grew,
        Engagement.CommentReceived,
        Connection.DataErased,
    )

    def project(self, event: DomainEvent, rows: Rows) -> None:
        rows(CHANGES)["analytics"].add(events=1)
        match event:
            case Post.PublishedOn(network=network, beside=beside, since=since):
                if beside:
                    _add(rows, since, _together(beside), posts=-1)
                _add(rows, since, _together([*beside, network]), posts=1)
            case Engagement.Grew(at=at, network=network, added=added):
                _add(rows, at, network, **vars(added))
                self._by_publication(event, added, rows)
            case Engagement.CommentReceived(network=network, comment=comment):
                tone = round(comment.sentiment * TONE)
                _add(rows, comment.at, network, rated=1, tone=tone)
            case Connection.DataErased(network=network):
                for statement in (*_FORGET, _forget_hashtags(network)):
                    rows.execute(statement, {"network": network.value})

    @staticmethod
    def _by_publication(event: Engagement.Grew, added: Figures, rows: Rows) -> None:
        network, posted, posts = event.network, event.posted, int(event.first)
        gained = {
            "impressions": added.impressions,
            "engagement": added.likes + added.shares + added.comments,
        }
        day = utc(event.at).date()
        on = {f"{network}_{gain}": much for gain, much in {**gained, "posts": posts}.items()}
        for hashtag in posted.hashtags:
            rows(HASHTAGS)[day, hashtag].add(**on)
        content = rows(CONTENT)[event.originator_id, network]
        published = utc(posted.at)
        week = first_of("week", published).date()
        content.put(post_id=event.post_id, week=week, published_at=published)
        content.add(likes=added.likes, shares=added.shares, comments=added.comments, **gained)
        counts_for = weight(posted.at)
        rows(TIMES)[network, cell_of(posted.at)].add(
            posts=posts,
            weight=counts_for * posts,
            engagement=counts_for * gained["engagement"],
        )


def _together(networks: Sequence[str]) -> str:
    return "+".join(sorted(networks))


def _add(rows: Rows, at: datetime, networks: str, **figures: int) -> None:
    for grain in (*GRAINS, "instant"):
        rows(FIGURES)[grain, _start(grain, at), networks].add(**figures)


def _start(grain: str, at: datetime) -> datetime:
    at = utc(at)
    match grain:
        case "day":
            return at.replace(hour=0, minute=0, second=0, microsecond=0)
        case "hour":
            return at.replace(minute=0, second=0, microsecond=0)
        case "minute":
            return at.replace(second=0, microsecond=0)
        case _:
            return at


# Posts that are out on other networks too stay posts of those.
_FORGET = (
    """
    WITH gone AS (
      DELETE FROM social_figures
      WHERE tenant = %(tenant)s AND %(network)s = ANY (string_to_array(networks, '+'))
      RETURNING *)
    INSERT INTO social_figures AS f (tenant, grain, start, networks, posts, impressions, reach,
      views, likes, shares, comments, rated, tone)
    SELECT tenant, grain, start, others, sum(posts), 0, 0, 0, 0, 0, 0, 0, 0
    FROM gone, LATERAL (SELECT array_to_string(
      array_remove(string_to_array(networks, '+'), %(network)s), '+') AS others) o
    WHERE others <> '' GROUP BY tenant, grain, start, others
    ON CONFLICT (tenant, grain, start, networks) DO UPDATE SET posts = f.posts + excluded.posts
    """,
    "DELETE FROM social_content WHERE tenant = %(tenant)s AND network = %(network)s",
    "DELETE FROM social_times WHERE tenant = %(tenant)s AND network = %(network)s",
)


def _forget_hashtags(network: Network) -> str:
    zeros = ", ".join(f"{network}_{gain} = 0" for gain in GAINS)
    return f"UPDATE social_hashtags SET {zeros} WHERE tenant = %(tenant)s"  # noqa: S608 - an enum


def cover(since: datetime, until: datetime) -> list[tuple[str, datetime, datetime]]:
    """The period from `since` to before `until` in whole grains: (grain, from, to before), each
    part of the period once. Seven parts at most."""
    parts: list[tuple[str, datetime, datetime]] = []
    edges = [(since, until)]
    for grain, length in GRAINS.items():
        edges = [rest for edge in edges for rest in _take(grain, length, *edge, parts)]
    return parts + [("instant", *edge) for edge in edges]


def _take(
    grain: str,
    length: timedelta,
    since: datetime,
    until: datetime,
    parts: list[tuple[str, datetime, datetime]],
) -> Iterator[tuple[datetime, datetime]]:
    """Put what whole grains cover into `parts`; yields what they leave over."""
    first = _start(grain, since)
    if first < since:
        first += length
    last = _start(grain, until)
    if first >= last:
        if since < until:
            yield since, until
        return
    parts.append((grain, first, last))
    if since < first:
        yield since, first
    if last < until:
        yield last, until


def dashboard(
    since: datetime, until: datetime, before: datetime, networks: Sequence[Network], unit: str
) -> Query[dict[str, Any]]:
    """Everything about the period from `since` to before `until`, as of one instant.

    `figures`: sums by bucket (`unit` is day, week or month) and networks; those of the period
    from `before` to `since` have no bucket. `hashtags`: the ten that gained most on the days that
    the period touches. `content`: the ten posts of the period that have gained most.
    """
    parts = [(*part, True) for part in cover(since, until)]
    parts += [(*part, False) for part in cover(before, since)]
    return Query(
        (Analytics, Posts),
        _DASHBOARD.format(**_on_all(networks)),
        {
            "grains": [part[0] for part in parts],
            "froms": [part[1] for part in parts],
            "tos": [part[2] for part in parts],
            "current": [part[3] for part in parts],
            "networks": list(networks),
            "unit": unit,
            "since": since,
            "until": until,
        },
    )


_DASHBOARD = """
WITH parts AS (
  SELECT * FROM unnest(%(grains)s::text[], %(froms)s::timestamptz[], %(tos)s::timestamptz[],
    %(current)s::boolean[]) AS p (grain, since, until, current)
), figures AS (
  SELECT CASE WHEN p.current THEN date_trunc(%(unit)s, f.start, 'UTC') END AS bucket, f.networks,
    sum(f.posts) AS posts, sum(f.impressions) AS impressions, sum(f.reach) AS reach,
    sum(f.views) AS views, sum(f.likes) AS likes, sum(f.shares) AS shares,
    sum(f.comments) AS comments, sum(f.rated) AS rated, sum(f.tone) AS tone
  FROM parts p JOIN read.social_figures f ON f.tenant = %(tenant)s AND f.grain = p.grain
    AND f.start >= p.since AND f.start < p.until
  WHERE string_to_array(f.networks, '+') && %(networks)s::text[]
  GROUP BY 1, 2
), hashtags AS (
  SELECT hashtag, {posts} AS posts, {impressions} AS impressions, {engagement} AS engagement
  FROM read.social_hashtags
  WHERE tenant = %(tenant)s AND %(since)s < %(until)s
    AND day BETWEEN (%(since)s::timestamptz AT TIME ZONE 'UTC')::date
                AND ((%(until)s::timestamptz - interval '1 microsecond') AT TIME ZONE 'UTC')::date
  GROUP BY hashtag HAVING {engagement} > 0
  ORDER BY 4 DESC, hashtag LIMIT 10
), best AS (
  SELECT n.network, c.id FROM unnest(%(networks)s::text[]) AS n (network),
    LATERAL (SELECT min(week) AS first, max(week) AS last
      FROM read.social_content WHERE tenant = %(tenant)s AND network = n.network) AS known,
    LATERAL generate_series(
      greatest(known.first, date_trunc('week', %(since)s::timestamptz AT TIME ZONE 'UTC')),
      least(known.last, %(until)s::timestamptz AT TIME ZONE 'UTC'),
      interval '7 days') AS w (week),
    LATERAL (SELECT id, engagement FROM read.social_content
      WHERE tenant = %(tenant)s AND network = n.network AND week = w.week::date
        AND published_at >= %(since)s AND published_at < %(until)s AND engagement > 0
      ORDER BY engagement DESC LIMIT 10) AS c
  ORDER BY c.engagement DESC, c.id, n.network LIMIT 10
), content AS (
  SELECT c.*, left(p.content, 140) AS content
  FROM best JOIN read.social_content c
    ON c.tenant = %(tenant)s AND c.id = best.id AND c.network = best.network
  LEFT JOIN read.posts p ON p.tenant = %(tenant)s AND p.id = c.post_id
)
SELECT (SELECT jsonb_agg(to_jsonb(f)) FROM figures f) AS figures,
  (SELECT jsonb_agg(to_jsonb(h) ORDER BY h.engagement DESC, h.hashtag) FROM hashtags h)
    AS hashtags,
  (SELECT jsonb_agg(to_jsonb(c) ORDER BY c.engagement DESC, c.id, c.network) FROM content c)
    AS content
"""


def _on_all(networks: Sequence[Network]) -> dict[str, str]:
    """For each gain its sum over the columns of these networks."""
    return {
        gain: " + ".join(f"sum({Network(network)}_{gain})" for network in networks)
        for gain in GAINS
    }


def learned() -> Query[dict[str, Any]]:
    """What every cell of every account has gathered."""
    return Query(
        Analytics,
        "SELECT network, cell, posts::int, weight::float8, engagement::float8"
        " FROM read.social_times WHERE tenant = %(tenant)s",
    )


def changes() -> Query[tuple[int]]:
    """A number that is another one after each event that changes any of these answers."""
    return Query(
        (Analytics, Posts),
        "SELECT coalesce(sum(events), 0)::bigint FROM read.social_changes"
        " WHERE tenant = %(tenant)s",
        into=tuple,
    )


def first_of(unit: str, at: datetime) -> datetime:
    """The beginning of the day, the week (Monday, ISO 8601) or the month of `at`, in UTC."""
    day = _start("day", at)
    match unit:
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case _:
            return day


def buckets(unit: str, since: datetime, until: datetime) -> Iterator[datetime]:
    """The beginnings of the days, weeks or months that the period touches, in order."""
    at = first_of(unit, since)
    while at < until and since < until:
        yield at
        match unit:
            case "day":
                at += timedelta(days=1)
            case "week":
                at += timedelta(days=7)
            case _:
                at = first_of("month", at + timedelta(days=31))
