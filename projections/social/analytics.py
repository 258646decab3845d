"""Social figures, summed as they arrive, so that a dashboard reads sums and never events.

Every figure is kept by day, hour, minute and instant (UTC). A period is covered by whole days as
far as they go, its edges by hours, theirs by minutes, and the rest by instants: a few hundred
rows for any period, and exactly what the events add up to.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from application.social.best_times import cell_of, weight
from application.social.figures import TONE
from domain.kernel import utc
from domain.social.connections import Connection
from domain.social.engagement import Engagement, Figures
from domain.social.networks import Network
from domain.social.posts import Post
from domain.social.text import LONGEST_HASHTAG
from projections.kernel import DomainEvent, ReadModel, Rows, Table

GRAINS = {"day": timedelta(days=1), "hour": timedelta(hours=1), "minute": timedelta(minutes=1)}
"""From the longest to the shortest; `instant` comes after them."""

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
    version = 2
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
            if len(hashtag) <= LONGEST_HASHTAG:  # an index cannot hold any length
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
        rows(FIGURES)[grain, start_of(grain, at), networks].add(**figures)


def start_of(grain: str, at: datetime) -> datetime:
    """The beginning of the grain that `at` lies in; an instant begins with itself."""
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


def first_of(unit: str, at: datetime) -> datetime:
    """The beginning of the day, the week (Monday, ISO 8601) or the month of `at`, in UTC."""
    day = start_of("day", at)
    match unit:
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case _:
            return day
