"""Everything that an answer about mentions is made of, as of one instant, in one statement."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from domain.social.mentions import Tone
from domain.social.networks import Network
from projections.kernel import Query
from projections.social.dashboard import cover
from projections.social.mentions import SHORT, Mentions

SHOWN = 200
"""The newest mentions that an answer is made of; of these, as many are shown as was asked for."""
SAMPLE = 1000
"""The newest mentions of a word in either period, of which the hashtags are compared."""
INFLUENCERS = 20
TRENDING = 10


def heard(
    since: datetime,
    until: datetime,
    before: datetime,
    networks: Sequence[Network],
    tones: Sequence[Tone],
    keywords: Sequence[str],
) -> Query[dict[str, Any]]:
    """Everything about the mentions written from `since` to before `until`, as of one instant.

    `figures`: numbers by tone; those of the period from `before` to `since` are not `current`.
    `newest`: the latest mentions with their texts. `influencers`: those by influential authors,
    the largest audience first. `hashtags`: those that have gained most over the period before.
    With `keywords`, only mentions that say one of them; their `hashtags` are those of the newest
    thousand in either period.
    """
    parts = [(*part, True) for part in cover(since, until)]
    parts += [(*part, False) for part in cover(before, since)]
    return Query(
        Mentions,
        _said(len(keywords)) if keywords else _ALL.format(answer=_ANSWER),
        {
            "grains": [part[0] for part in parts],
            "froms": [part[1] for part in parts],
            "tos": [part[2] for part in parts],
            "current": [part[3] for part in parts],
            "networks": list(networks),
            "tones": list(tones),
            "since": since,
            "until": until,
            "before": before,
            **{f"keyword_{n}": keyword for n, keyword in enumerate(keywords)},
            "shown": SHOWN,
            "sample": SAMPLE,
            "influencers": INFLUENCERS,
            "trending": TRENDING,
        },
        by_values=bool(keywords),
    )


def _said(keywords: int) -> str:
    """Each keyword as a parameter of its own, so that the planner knows how rare it is."""
    words = (f"phraseto_tsquery('simple', %(keyword_{n})s)" for n in range(keywords))
    said = (
        f"tenant = %(tenant)s AND search @@ ({' || '.join(words)})"
        " AND network = ANY (%(networks)s::text[]) AND tone = ANY (%(tones)s::text[])"
    )
    return _SAID.format(said=said, answer=_ANSWER)


_ANSWER = """
SELECT (SELECT jsonb_agg(to_jsonb(f)) FROM figures f) AS figures,
  (SELECT jsonb_agg(to_jsonb(n) || jsonb_build_object('text', t.text)
     ORDER BY n.written_at DESC, n.id)
   FROM newest n JOIN read.mention_texts t ON t.tenant = %(tenant)s AND t.id = n.id)
    AS newest,
  (SELECT jsonb_agg(to_jsonb(i) || jsonb_build_object('text', t.text)
     ORDER BY i.followers DESC, i.written_at DESC, i.id)
   FROM influencers i JOIN read.mention_texts t ON t.tenant = %(tenant)s AND t.id = i.id)
    AS influencers,
  (SELECT jsonb_agg(h.hashtag ORDER BY h.now - h.before DESC, h.now DESC, h.hashtag)
   FROM hashtags h) AS hashtags
"""

# Each part, and each pair of network and tone, by its index: left to itself the planner, which
# cannot know how few rows these have, would read whole tables.
_ALL = """
WITH parts AS (
  SELECT * FROM unnest(%(grains)s::text[], %(froms)s::timestamptz[], %(tos)s::timestamptz[],
    %(current)s::boolean[]) AS p (grain, since, until, current)
), figures AS (
  SELECT p.current, f.tone, sum(f.mentions)::bigint AS mentions
  FROM parts p, LATERAL (
    SELECT * FROM read.mention_figures
    WHERE tenant = %(tenant)s AND grain = p.grain AND start >= p.since AND start < p.until
    OFFSET 0) AS f
  WHERE f.network = ANY (%(networks)s::text[]) AND f.tone = ANY (%(tones)s::text[])
  GROUP BY 1, 2
), pairs AS (
  SELECT * FROM unnest(%(networks)s::text[]) AS n (network), unnest(%(tones)s::text[]) AS t (tone)
), newest AS (
  SELECT m.* FROM pairs p, LATERAL (
    SELECT * FROM read.mentions
    WHERE tenant = %(tenant)s AND network = p.network AND tone = p.tone
      AND written_at >= %(since)s AND written_at < %(until)s
    ORDER BY written_at DESC, id LIMIT %(shown)s) AS m
  ORDER BY m.written_at DESC, m.id LIMIT %(shown)s
), largest AS (
  SELECT m.* FROM pairs p, LATERAL (
    SELECT followers, written_at, id FROM read.mentions
    WHERE tenant = %(tenant)s AND network = p.network AND tone = p.tone AND influential
      AND written_at >= %(since)s AND written_at < %(until)s
    ORDER BY followers DESC, written_at DESC, id LIMIT %(influencers)s) AS m
  ORDER BY m.followers DESC, m.written_at DESC, m.id LIMIT %(influencers)s
), influencers AS (
  SELECT m.* FROM largest l JOIN read.mentions m ON m.tenant = %(tenant)s AND m.id = l.id
), counted AS (
  SELECT hashtag, coalesce(sum(mentions) FILTER (WHERE day >= first), 0) AS now,
    coalesce(sum(mentions) FILTER (WHERE day < first), 0) AS before
  FROM read.mention_hashtags,
    (SELECT (%(since)s::timestamptz AT TIME ZONE 'UTC')::date AS first) AS f
  WHERE tenant = %(tenant)s AND %(since)s < %(until)s
    AND day BETWEEN (%(before)s::timestamptz AT TIME ZONE 'UTC')::date
                AND ((%(until)s::timestamptz - interval '1 microsecond') AT TIME ZONE 'UTC')::date
    AND network = ANY (%(networks)s::text[]) AND tone = ANY (%(tones)s::text[])
  GROUP BY hashtag
), hashtags AS (
  SELECT * FROM counted WHERE now > 0
  ORDER BY now - before DESC, now DESC, hashtag LIMIT %(trending)s
)
{answer}
"""

# Totals are counted in one pass: of short texts, from the index that holds their words. What shows
# single mentions takes the newest, which an index finds at once where a word is common.
_SAID = f"""
WITH figures AS (
  SELECT current, tone, sum(mentions)::bigint AS mentions FROM (
    SELECT written_at >= %(since)s AS current, tone, count(*) AS mentions
    FROM read.mention_texts
    WHERE {{said}} AND written_at >= %(before)s AND written_at < %(until)s AND {SHORT}
    GROUP BY 1, 2
    UNION ALL
    SELECT written_at >= %(since)s AS current, tone, count(*) AS mentions
    FROM read.mention_texts
    WHERE {{said}} AND written_at >= %(before)s AND written_at < %(until)s AND NOT {SHORT}
    GROUP BY 1, 2) AS c
  GROUP BY 1, 2
), latest AS (
  SELECT id, written_at, hashtags FROM read.mention_texts
  WHERE {{said}} AND written_at >= %(since)s AND written_at < %(until)s
  ORDER BY written_at DESC, id LIMIT %(sample)s
), earlier AS (
  SELECT hashtags FROM read.mention_texts
  WHERE {{said}} AND written_at >= %(before)s AND written_at < %(since)s
  ORDER BY written_at DESC, id LIMIT %(sample)s
), counted AS (
  SELECT hashtag, count(*) FILTER (WHERE current) AS now,
    count(*) FILTER (WHERE NOT current) AS before
  FROM (SELECT true AS current, hashtags FROM latest
        UNION ALL SELECT false, hashtags FROM earlier) AS l, unnest(hashtags) AS h (hashtag)
  GROUP BY hashtag
), hashtags AS (
  SELECT * FROM counted WHERE now > 0
  ORDER BY now - before DESC, now DESC, hashtag LIMIT %(trending)s
), largest AS (
  SELECT id FROM read.mention_texts
  WHERE {{said}} AND influential AND written_at >= %(since)s AND written_at < %(until)s
  ORDER BY followers DESC, written_at DESC, id LIMIT %(influencers)s
), newest AS (
  SELECT m.* FROM (SELECT id FROM latest ORDER BY written_at DESC, id LIMIT %(shown)s) AS l
  JOIN read.mentions m ON m.tenant = %(tenant)s AND m.id = l.id
), influencers AS (
  SELECT m.* FROM largest l JOIN read.mentions m ON m.tenant = %(tenant)s AND m.id = l.id
)
{{answer}}
"""  # noqa: S608 - nothing of a caller's
