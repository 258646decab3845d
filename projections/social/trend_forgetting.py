"""SQL by which trends forget: a network, and what a person said.

What somebody said is known by their texts, as long as their words are not blanked: it is taken out
of the sums, and rows in which nothing is left are removed.
"""

FORGET = "DELETE FROM {} WHERE tenant = %(tenant)s AND network = %(network)s"

_SAID = """
SELECT CASE WHEN left(w.word, 1) = '#' THEN 'hashtag' ELSE 'topic' END AS kind,
  ltrim(w.word, '#') AS name, g.grain, t.network, g.start, count(*) AS uses,
  sum(t.tone) AS tone, sum(t.engagement) AS engagement
FROM social_trend_texts t, unnest(t.words) AS w (word), LATERAL (VALUES
  ('day', date_trunc('day', t.at, 'UTC')), ('hour', date_trunc('hour', t.at, 'UTC')),
  ('slice', date_bin('10 minutes', t.at, '2000-01-01T00:00:00Z'))) AS g (grain, start)
WHERE t.tenant = %(tenant)s AND t.person = %(person)s GROUP BY 1, 2, 3, 4, 5
"""
_SAME = """
t.tenant = %(tenant)s AND t.kind = s.kind AND t.name = s.name AND t.grain = s.grain
  AND t.start = s.start AND t.network = s.network
"""
_MARK = "(('x' || right(%(person)s::text, 4))::bit(16)::int & 32767)"
SUBTRACT = (
    "UPDATE social_trend_terms t SET uses = t.uses - s.uses, tone = t.tone - s.tone,"  # noqa: S608
    f" engagement = t.engagement - s.engagement, marks = t.marks - s.uses * {_MARK},"
    f" squares = t.squares - s.uses * {_MARK} * {_MARK} FROM ({_SAID}) AS s WHERE {_SAME}"
)
REMOVE = (
    f"DELETE FROM social_trend_terms t USING ({_SAID}) AS s WHERE {_SAME}"  # noqa: S608
    " AND t.uses = 0 AND t.own = 0 AND t.engagement = 0"
)
