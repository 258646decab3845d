"""Questions about social figures: a period for a dashboard, what was learned, what has changed."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from domain.social.networks import Network
from projections.kernel import Query
from projections.social.analytics import GAINS, GRAINS, Analytics, first_of, start_of
from projections.social.posts import Posts


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
    first = start_of(grain, since)
    if first < since:
        first += length
    last = start_of(grain, until)
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
  FROM parts p, LATERAL (
    -- Each part by the key. Left to itself the planner, which cannot know how few rows a part
    -- has, would join by reading the whole table.
    SELECT * FROM read.social_figures
    WHERE tenant = %(tenant)s AND grain = p.grain AND start >= p.since AND start < p.until
    OFFSET 0) AS f
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
