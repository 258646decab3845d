"""What is said about the brand: each mention, their numbers by period, and the words to find them.

Numbers and hashtags are folded as mentions come in, so that totals of any period are sums of a few
hundred rows, however many mentions there are. They hold nothing of persons.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from domain.kernel import utc
from domain.social.connections import Connection
from domain.social.keywords import BrandKeywords
from domain.social.mentions import Mention, Tone, is_influential
from domain.social.networks import Network
from domain.social.text import LONGEST_HASHTAG
from projections.kernel import DomainEvent, Query, ReadModel, Rows, Table
from projections.social.analytics import GRAINS, start_of
from projections.social.dashboard import cover

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


def brand_keywords() -> Query[dict[str, Any]]:
    """The words that the tenant has chosen."""
    return Query(
        Mentions,
        "SELECT keywords, version FROM read.brand_keywords WHERE tenant = %(tenant)s",
    )


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
