"""Everything that a report of trends is made of, as of one instant, in one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from application.social.trend_figures import LENGTHS, Amounts, Figures, Lists, Text, Timeframe
from domain.social.networks import Network
from domain.social.trends import TrendKind
from projections.kernel import Query
from projections.social.posts import Posts
from projections.social.trends import GRAINS, TERMS, Trends, start_of

CANDIDATES = 12
"""Names of each kind that were used most in each hour (day, slice) of the period on each network,
and as many of those listed; and"""
EXAMINED = 40
"""how many of either, of each kind, are summed exactly."""

SAMPLE = 500
"""Texts of others, the latest ones, from which is learned what stands beside what; and"""
OWN_SAMPLE = 200
"""posts of the tenant's own that tell what the brand speaks of."""

TYPICAL = timedelta(days=30)
"""What posts usually gain is learned from as many days."""


@dataclass(frozen=True, slots=True)
class Window:
    """A period, and the one of the same length before it. It ends now, and begins with a slice:
    so it is up to ten minutes longer than its name says."""

    before: datetime
    since: datetime
    until: datetime

    @classmethod
    def of(cls, timeframe: Timeframe, now: datetime) -> Self:
        """The window that `timeframe` means at `now`."""
        length = LENGTHS[timeframe]
        since = start_of("slice", now) - length
        return cls(since - length, since, now)

    @property
    def end(self) -> datetime:
        """The end of the slice that is under way."""
        return start_of("slice", self.until) + GRAINS["slice"]


Part = tuple[str, datetime, datetime]


def cover(since: datetime, until: datetime, grains: Sequence[str] = tuple(GRAINS)) -> list[Part]:
    """The period in as few whole grains as can be: (grain, from, to before). Both ends have to be
    beginnings of slices. Five parts at most."""
    if since >= until or not grains:
        return []
    grain, *finer = grains
    first = start_of(grain, since)
    first += GRAINS[grain] if first < since else timedelta(0)
    last = start_of(grain, until)
    if first >= last:
        return cover(since, until, finer)
    return [*cover(since, first, finer), (grain, first, last), *cover(last, until, finer)]


def figures(window: Window, networks: Sequence[Network], place: str) -> Query[dict[str, Any]]:
    """What `application.social.trends.Figures` holds, as JSON."""
    parts = [(*part, True) for part in cover(window.since, window.end)]
    parts += [(*part, False) for part in cover(window.before, window.since)]
    return Query(
        (Trends, Posts),
        _FIGURES,
        {
            "grains": [part[0] for part in parts],
            "froms": [part[1] for part in parts],
            "tos": [part[2] for part in parts],
            "current": [part[3] for part in parts],
            "networks": list(networks),
            "place": place,
            "before": window.before,
            "since": window.since,
            "until": window.end,
            "typical": window.until - TYPICAL,
            "candidates": CANDIDATES,
            "examined": EXAMINED,
            "sample": SAMPLE,
            "own_sample": OWN_SAMPLE,
        },
    )


# Each part is looked up by the key. Left to itself the planner, which cannot know how few rows a
# part has, would join by reading whole tables.
_FIGURES = """
WITH parts AS (
  SELECT * FROM unnest(%(grains)s::text[], %(froms)s::timestamptz[], %(tos)s::timestamptz[],
    %(current)s::boolean[]) AS p (grain, since, until, current)
), buckets AS (
  SELECT p.grain, b.start FROM parts p, LATERAL generate_series(p.since,
    p.until - interval '1 microsecond', CASE p.grain WHEN 'day' THEN interval '1 day'
      WHEN 'hour' THEN interval '1 hour' ELSE interval '10 minutes' END) AS b (start)
  WHERE p.current
), lists AS (
  SELECT l.network, p.current, max(l.provider) AS provider, sum(l.hours) AS hours,
    sum(l.least) AS least
  FROM parts p, LATERAL (SELECT * FROM read.social_trend_lists
    WHERE tenant = %(tenant)s AND place = %(place)s AND grain = p.grain
      AND start >= p.since AND start < p.until OFFSET 0) AS l
  WHERE l.network = ANY (%(networks)s) GROUP BY 1, 2
), candidates AS (
  SELECT kind, name FROM (
    SELECT c.kind, c.name, row_number() OVER (
      PARTITION BY c.source, c.kind ORDER BY sum(c.weight) DESC, c.name) AS n
    FROM buckets b, unnest(%(networks)s::text[]) AS w (network), LATERAL (
      (SELECT 'listed' AS source, kind, name, volume AS weight FROM read.social_trend_listed
        WHERE tenant = %(tenant)s AND place = %(place)s AND grain = b.grain AND start = b.start
          AND network = w.network
        ORDER BY volume DESC LIMIT %(candidates)s)
      UNION ALL
      (SELECT 'seen', 'hashtag', name, uses + own FROM read.social_trend_terms
        WHERE tenant = %(tenant)s AND grain = b.grain AND kind = 'hashtag' AND start = b.start
          AND network = w.network
        ORDER BY uses + own DESC LIMIT %(candidates)s)
      UNION ALL
      (SELECT 'seen', 'topic', name, uses + own FROM read.social_trend_terms
        WHERE tenant = %(tenant)s AND grain = b.grain AND kind = 'topic' AND start = b.start
          AND network = w.network
        ORDER BY uses + own DESC LIMIT %(candidates)s)) AS c
    GROUP BY c.source, c.kind, c.name) AS ranked
  WHERE n <= %(examined)s GROUP BY 1, 2
), listed AS (
  SELECT c.kind, c.name, l.network, p.current, sum(l.volume) AS volume, sum(l.hours) AS hours,
    sum(l.least) AS least
  FROM candidates c, parts p, LATERAL (SELECT * FROM read.social_trend_listed
    WHERE tenant = %(tenant)s AND place = %(place)s AND kind = c.kind AND name = c.name
      AND grain = p.grain AND start >= p.since AND start < p.until OFFSET 0) AS l
  WHERE l.network = ANY (%(networks)s) GROUP BY 1, 2, 3, 4
), terms AS (
  SELECT c.kind, c.name, t.network, p.current, sum(t.uses) AS uses, sum(t.own) AS own,
    sum(t.engagement) AS engagement, sum(t.tone) AS tone, sum(t.marks) AS marks,
    sum(t.squares) AS squares
  FROM candidates c, parts p, LATERAL (SELECT * FROM read.social_trend_terms
    WHERE tenant = %(tenant)s AND kind = c.kind AND name = c.name AND grain = p.grain
      AND start >= p.since AND start < p.until OFFSET 0) AS t
  WHERE t.network = ANY (%(networks)s) GROUP BY 1, 2, 3, 4
), totals AS (
  SELECT t.network, p.current, sum(t.heard) AS heard, sum(t.tone) AS tone,
    sum(t.gained) AS gained, sum(t.posts) AS posts
  FROM parts p, LATERAL (SELECT * FROM read.social_trend_totals
    WHERE tenant = %(tenant)s AND grain = p.grain AND start >= p.since AND start < p.until
    OFFSET 0) AS t
  WHERE t.network = ANY (%(networks)s) GROUP BY 1, 2
), heard AS (
  SELECT words || CASE WHEN tags = '{}' THEN '{}'
      ELSE (SELECT array_agg('#' || tag) FROM unnest(tags) AS t (tag)) END AS words,
    person, tone
  FROM read.social_trend_texts
  WHERE tenant = %(tenant)s AND NOT own AND at >= %(since)s AND at < %(until)s
    AND network = ANY (%(networks)s)
  ORDER BY at DESC, id, part LIMIT %(sample)s
), own AS (
  SELECT words, tags FROM read.social_trend_texts
  WHERE tenant = %(tenant)s AND own AND at < %(until)s ORDER BY at DESC, id, part
  LIMIT %(own_sample)s
), best AS (
  SELECT DISTINCT c.piece, w.network
  FROM buckets b, unnest(%(networks)s::text[]) AS w (network),
    LATERAL (SELECT piece FROM read.social_trend_pieces
      WHERE tenant = %(tenant)s AND grain = b.grain AND start = b.start AND network = w.network
      ORDER BY engagement DESC LIMIT 5) AS c
), gains AS (
  SELECT b.piece, b.network, max(g.kind) AS kind, max(g.at) AS at, sum(g.engagement) AS gained
  FROM best b, parts p, LATERAL (SELECT * FROM read.social_trend_pieces
    WHERE tenant = %(tenant)s AND piece = b.piece AND network = b.network AND grain = p.grain
      AND start >= p.since AND start < p.until OFFSET 0) AS g
  WHERE p.current GROUP BY 1, 2
), typical AS (
  SELECT network, sum(gained) / nullif(sum(posts), 0) AS gained
  FROM read.social_trend_totals
  WHERE tenant = %(tenant)s AND grain = 'day' AND start >= %(typical)s AND start < %(until)s
  GROUP BY 1
), viral AS (
  SELECT g.*, t.gained::float8 AS typical, left(p.content, 140) AS content
  FROM gains g JOIN typical t ON t.network = g.network
  LEFT JOIN read.posts p ON p.tenant = %(tenant)s AND p.id = g.piece
  WHERE t.gained > 0 AND g.gained > 0
  ORDER BY g.gained / t.gained DESC, g.piece, g.network LIMIT 30
)
SELECT (SELECT jsonb_agg(to_jsonb(x)) FROM lists x) AS lists,
  (SELECT jsonb_agg(to_jsonb(x)) FROM listed x) AS listed,
  (SELECT jsonb_agg(to_jsonb(x)) FROM terms x) AS terms,
  (SELECT jsonb_agg(to_jsonb(x)) FROM totals x) AS totals,
  (SELECT jsonb_agg(to_jsonb(x)) FROM heard x) AS heard,
  (SELECT jsonb_agg(to_jsonb(x)) FROM own x) AS own,
  (SELECT jsonb_agg(to_jsonb(x)) FROM viral x) AS viral
"""


def figures_of(row: Mapping[str, Any], window: Window, place: str) -> Figures:
    """The row of `figures` as the application has it."""
    terms: dict[tuple[TrendKind, str], dict[tuple[Network, bool], Amounts]] = {}
    listed: dict[tuple[TrendKind, str], dict[tuple[Network, bool], Lists]] = {}
    for each in row["terms"] or ():
        amounts = Amounts(*(each[name] for name in TERMS.columns))
        terms.setdefault(_name(each), {})[_side(each)] = amounts
    for each in row["listed"] or ():
        lists = Lists(each["volume"], each["hours"], each["least"])
        listed.setdefault(_name(each), {})[_side(each)] = lists
    hour = timedelta(hours=1)
    return Figures(
        hours=((window.until - window.since) / hour, (window.since - window.before) / hour),
        place=place,
        terms=terms,
        listed=listed,
        lists={
            _side(each): Lists(0, each["hours"], each["least"], each["provider"])
            for each in row["lists"] or ()
        },
        totals=row["totals"] or (),
        heard=[
            Text(frozenset(each["words"] or ()), str(each["person"]), each["tone"])
            for each in row["heard"] or ()
        ],
        own=[
            Text(frozenset([*each["words"], *(f"#{tag}" for tag in each["tags"])]), None, 0)
            for each in row["own"] or ()
        ],
        viral=row["viral"] or (),
    )


def _name(each: Mapping[str, Any]) -> tuple[TrendKind, str]:
    return TrendKind(each["kind"]), each["name"]


def _side(each: Mapping[str, Any]) -> tuple[Network, bool]:
    return Network(each["network"]), each["current"]


def changes(place: str) -> Query[dict[str, Any]]:
    """A number that is another one after each event that changes any of these answers, and the
    last day on which `place` was looked at (None: never)."""
    return Query(
        (Trends, Posts),
        "SELECT (SELECT coalesce(sum(events), 0)::bigint FROM read.social_trend_changes"
        "  WHERE tenant = %(tenant)s) AS events,"
        " (SELECT max(start) FROM read.social_trend_lists WHERE tenant = %(tenant)s"
        "  AND place = %(place)s AND grain = 'day') AS looked_at",
        {"place": place},
    )
