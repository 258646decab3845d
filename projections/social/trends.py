"""What the tenant's networks speak of: hashtags, words, what catches on, and what is listed there.

Everything is counted by slice (ten minutes), hour and day (UTC), so that any period that begins
with a slice is a few whole parts. Words of persons are counted for as long as they are not
erased; the figures tell, without naming anybody, whether a word came from more than one person.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

from application.social.figures import TONE
from application.social.topics import hashtags_of, topics_of
from domain.compliance.erasures import Erasure
from domain.kernel import utc
from domain.social.connections import Connection
from domain.social.engagement import Engagement
from domain.social.mentions import Mention
from domain.social.posts import Post
from domain.social.trends import TrendDay, TrendKind
from projections.kernel import DomainEvent, ReadModel, Rows, Table
from projections.social.trend_forgetting import FORGET, REMOVE, SUBTRACT

GRAINS = {
    "day": timedelta(days=1),
    "hour": timedelta(hours=1),
    "slice": timedelta(minutes=10),
}
"""From the longest to the shortest."""

LONGEST = 100
"""Characters of a name; nobody looks for longer ones, and an index could not hold any length."""

TERMS = Table(
    "social_trend_terms",
    {
        "uses": int,
        "own": int,
        "engagement": int,
        "tone": int,
        "marks": int,
        "squares": int,
    },
    key={"kind": str, "name": str, "grain": str, "start": datetime, "network": str},
    indexes=[
        "(tenant, grain, kind, start, network, (uses + own) DESC)",
        "(tenant, kind, name, grain, start, network)"
        " INCLUDE (uses, own, engagement, tone, marks, squares)",
    ],
)
"""The second index holds all columns, so that a name's figures lie side by side.

`uses` are by others and `own` by the tenant's posts. `tone` is the sum of sentiments, in
ten-thousandths. Each use adds its person's mark (0 to 32,767) to `marks`, and its square to
`squares`: all uses were one person's if and only if uses · squares = marks² (the variance is
zero), so sums over rows tell it, and a person can be subtracted."""

TEXTS = Table(
    "social_trend_texts",
    {
        "own": bool,
        "network": str,
        "at": datetime | None,
        "words": list[str],
        "tags": list[str],
        "tone": int,
        "engagement": int,
        "person": UUID | None,
    },
    key={"id": UUID, "part": str},
    personal={"words": "person"},
    indexes=[
        "(tenant, own, at DESC) WHERE at IS NOT NULL",
        "(tenant, person) WHERE person IS NOT NULL",
    ],
)
"""What texts hold beside one another. `words` came from a text that is a person's, its hashtags
with their sign; `tags` are nobody's. A post of the tenant has no `at` until it is out."""

PIECES = Table(
    "social_trend_pieces",
    {"kind": str | None, "at": datetime | None, "engagement": int},
    key={"piece": UUID, "network": str, "grain": str, "start": datetime},
    indexes=[("grain", "start", "network", "engagement DESC")],
)
"""What each post and mention has gained, and when it came out."""

TOTALS = Table(
    "social_trend_totals",
    {"posts": int, "gained": int, "heard": int, "tone": int},
    key={"grain": str, "start": datetime, "network": str},
)
"""`posts` that were measured for the first time, and what all posts gained; what was `heard` of
others (comments and mentions)."""

LISTED = Table(
    "social_trend_listed",
    {"volume": int, "hours": int, "least": int},
    key={
        "place": str,
        "kind": str,
        "name": str,
        "grain": str,
        "start": datetime,
        "network": str,
    },
    indexes=[("place", "grain", "start", "network", "volume DESC")],
)
"""What networks list as rising: the sum of the volumes that they told for the 24 hours before, in
how many hours it was listed, and the sum of the least volume in each of those lists."""

LISTS = Table(
    "social_trend_lists",
    {"provider": str | None, "hours": int, "least": int},
    key={"place": str, "grain": str, "start": datetime, "network": str},
)
"""How many lists there were, and the sum of the least volume in each."""

CHANGES = Table("social_trend_changes", {"events": int}, key={"about": str})
"""How many events have changed anything here: what is cached for another number is stale."""

BY_NETWORK = (TERMS, PIECES, TOTALS, LISTED, LISTS)


class Trends(ReadModel):
    name = "social_trends"
    version = 1
    tables = (TERMS, TEXTS, PIECES, TOTALS, LISTED, LISTS, CHANGES)
    events = (
        Post.Drafted,
        Post.PublishedOn,
        Engagement.Grew,
        Engagement.CommentReceived,
        Mention.Detected,
        TrendDay.Observed,
        Connection.DataErased,
        Erasure.Begun,
    )

    def project(self, event: DomainEvent, rows: Rows) -> None:
        rows(CHANGES)["trends"].add(events=1)
        match event:
            case Post.Drafted(texts=texts):
                for network, text in texts.items():
                    rows(TEXTS)[event.originator_id, network].insert(
                        own=True,
                        network=network,
                        at=None,
                        words=topics_of(text),
                        tags=hashtags_of(text),
                        tone=0,
                        engagement=0,
                        person=None,
                    )
            case Post.PublishedOn(network=network, at=at):
                rows(TEXTS)[event.originator_id, network].update(at=at)
            case Engagement.Grew():
                _grew(event, rows)
            case Engagement.CommentReceived(network=network, comment=comment):
                words = [
                    *(f"#{tag}" for tag in hashtags_of(comment.text)),
                    *topics_of(comment.text),
                ]
                person = event.persons.get("comment.author")
                tone = round(comment.sentiment * TONE)
                row = rows(TEXTS)[event.originator_id, f"{network}:{comment.id}"]
                row.put(network=network, at=comment.at, words=words, tone=tone, person=person)
                _heard(rows, comment.at, network, words, person, tone)
            case Mention.Detected():
                _mentioned(event, rows)
            case TrendDay.Observed():
                _observed(event, rows)
            case Connection.DataErased(network=network):
                for table in BY_NETWORK:
                    rows.execute(FORGET.format(table.name), {"network": network.value})
                rows.execute(
                    FORGET.format(TEXTS.name) + " AND at IS NOT NULL", {"network": network.value}
                )

    def _forget(self, event: DomainEvent, rows: Rows) -> None:
        """Take what a person said out of the sums, before their words are blanked."""
        for statement in (SUBTRACT, REMOVE):
            rows.execute(statement, {"person": event.person})  # type: ignore[attr-defined]
        super()._forget(event, rows)


def start_of(grain: str, at: datetime) -> datetime:
    """The beginning of the grain that `at` lies in."""
    at = utc(at).replace(second=0, microsecond=0)
    match grain:
        case "day":
            return at.replace(hour=0, minute=0)
        case "hour":
            return at.replace(minute=0)
        case _:
            return at.replace(minute=at.minute // 10 * 10)


@lru_cache(maxsize=64)
def starts_of(at: datetime) -> tuple[tuple[str, datetime], ...]:
    """Each grain, with the beginning of the one that `at` lies in; events ask for it name by
    name."""
    return tuple((grain, start_of(grain, at)) for grain in GRAINS)


def kind_and_name(name: str) -> tuple[TrendKind, str]:
    """What a name with or without the sign of a hashtag is."""
    bare = " ".join(name.split()).lower()
    if bare.startswith(("#", "＃")):
        return TrendKind.HASHTAG, bare[1:]
    return TrendKind.TOPIC, bare


def mark_of(person: UUID | None) -> int:
    """A number that is drawn for a person once, and says nothing about them."""
    return person.int & 0x7FFF if person else 0


def _add(rows: Rows, at: datetime, network: str, name: str, **amounts: int) -> None:
    kind, bare = kind_and_name(name)
    if len(bare) > LONGEST:
        return
    for grain, start in starts_of(at):
        rows(TERMS)[kind, bare, grain, start, network].add(**amounts)


def _total(rows: Rows, at: datetime, network: str, **amounts: int) -> None:
    for grain, start in starts_of(at):
        rows(TOTALS)[grain, start, network].add(**amounts)


def _gained(
    rows: Rows, piece: UUID, kind: str, out: datetime, at: datetime, network: str, much: int
) -> None:
    for grain, start in starts_of(at):
        row = rows(PIECES)[piece, network, grain, start]
        row.put(kind=kind, at=out)
        row.add(engagement=much)


def _heard(
    rows: Rows,
    at: datetime,
    network: str,
    names: Iterable[str],
    person: UUID | None,
    tone: int,
    engagement: int = 0,
) -> None:
    mark = mark_of(person)
    _total(rows, at, network, heard=1, tone=tone)
    for name in names:
        _add(
            rows,
            at,
            network,
            name,
            uses=1,
            tone=tone,
            engagement=engagement,
            marks=mark,
            squares=mark * mark,
        )


def _grew(event: Engagement.Grew, rows: Rows) -> None:
    added, posted, network = event.added, event.posted, event.network
    gained = added.likes + added.shares + added.comments
    for tag in posted.hashtags:
        if event.first:
            _add(rows, posted.at, network, f"#{tag}", own=1)
        if gained:
            _add(rows, event.at, network, f"#{tag}", engagement=gained)
    if event.first:
        _total(rows, posted.at, network, posts=1)
    if gained:
        _total(rows, event.at, network, gained=gained)
        _gained(rows, event.post_id, "post", posted.at, event.at, network, gained)


def _mentioned(event: Mention.Detected, rows: Rows) -> None:
    words, tags = topics_of(event.text), list(dict.fromkeys(t.lower() for t in event.hashtags))
    person, at, network = event.persons.get("text"), event.written_at, event.network
    tone = round(event.sentiment * TONE)
    gained = event.likes + event.shares + event.comments
    rows(TEXTS)[event.originator_id, ""].put(
        network=network,
        at=at,
        words=words,
        tags=tags,
        tone=tone,
        engagement=gained,
        person=person,
    )
    _heard(rows, at, network, [*(f"#{tag}" for tag in tags), *words], person, tone, gained)
    if gained:
        _gained(rows, event.originator_id, "mention", at, at, network, gained)


def _observed(event: TrendDay.Observed, rows: Rows) -> None:
    if not event.rising:
        return
    known = [each.volume for each in event.rising if each.volume is not None]
    least = min(known, default=0)
    for grain, start in starts_of(event.at):
        lists = rows(LISTS)[event.place, grain, start, event.network]
        lists.put(provider=event.provider)
        lists.add(hours=1, least=least)
        for each in event.rising:
            kind, name = kind_and_name(each.name)
            if len(name) > LONGEST:
                continue
            rows(LISTED)[event.place, kind, name, grain, start, event.network].add(
                volume=each.volume or 0, hours=1, least=least
            )
