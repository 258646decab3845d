"""What networks list as rising, looked at hour by hour, and the trends that matter to the brand."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

from domain.kernel import Aggregate, acting, event, now
from domain.social.networks import Network

WORLD = "world"
"""The place that has no borders; others are ISO 3166 codes of two letters."""

MOST_PLACES = 8
"""Places beside the world that are looked at for one tenant."""

WANTED_AGAIN = timedelta(days=7)
"""How often it is noted that a tenant still wants to know; and"""
WANTED_FOR = timedelta(days=30)
"""how long networks are looked at without anybody wanting to know."""


class TrendKind(StrEnum):
    """What is rising: a hashtag, or words."""

    HASHTAG = "hashtag"
    TOPIC = "topic"


@dataclass(frozen=True)
class Rising:
    """One entry of a network's list: "#tag" or words, and how often it was used in the 24 hours
    before; None where the network does not say."""

    name: str
    volume: int | None = None


class TrendWatch(Aggregate, topic="social.trend_watch"):
    """That a tenant wants to know what rises, and in which places."""

    class Began(Aggregate.Created):
        TOPIC = "social.trend_watch.began"

    class Wanted(Aggregate.Event):
        TOPIC = "social.trend_watch.wanted"

    class PlaceAdded(Aggregate.Event):
        """`instead_of` is the place that had to make room."""

        TOPIC = "social.trend_watch.place_added"
        place: str
        instead_of: str | None

    @staticmethod
    def create_id(tenant: str | None = None) -> UUID:
        """One stream per tenant, by default the one that is acting."""
        return uuid5(NAMESPACE_URL, f"tidings:trend_watch:{tenant or acting.get().tenant}")

    @event(Began)
    def __init__(self) -> None:
        self.places: list[str] = []

    def want(self, place: str = WORLD) -> None:
        """Somebody wants to know what rises in `place`. The oldest place makes room for one too
        many."""
        if place != WORLD and place not in self.places:
            full = len(self.places) >= MOST_PLACES
            self._place_added(place, self.places[0] if full else None)
        elif now() - self.modified_on >= WANTED_AGAIN:
            self._wanted()

    def wanted(self, at: datetime) -> bool:
        """Whether anybody has wanted to know lately."""
        return at - self.modified_on < WANTED_FOR

    @event(Wanted)
    def _wanted(self) -> None:
        """It is kept when: `modified_on`."""

    @event(PlaceAdded)
    def _place_added(self, place: str, instead_of: str | None) -> None:
        if instead_of is not None:
            self.places.remove(instead_of)
        self.places.append(place)


class TrendDay(Aggregate, topic="social.trend_day"):
    """What one network listed as rising on one day (UTC), as a tenant was shown it: each place at
    most once an hour, so that a stream stays short."""

    class Opened(Aggregate.Created):
        TOPIC = "social.trend_day.opened"
        network: Network
        day: date

    class Observed(Aggregate.Event):
        """`rising` is empty when the network did not answer, or offers no such list."""

        TOPIC = "social.trend_day.observed"
        network: Network
        place: str
        at: datetime
        provider: str
        offered: bool
        answered: bool
        rising: tuple[Rising, ...]

    @staticmethod
    def create_id(network: Network, day: date, tenant: str | None = None) -> UUID:
        """One stream per tenant, network and day."""
        whose = tenant or acting.get().tenant
        return uuid5(NAMESPACE_URL, f"tidings:trend_day:{whose}:{network}:{day}")

    @event(Opened)
    def __init__(self, network: Network, day: date) -> None:
        self.network, self.day = network, day
        self.seen: set[tuple[str, int]] = set()

    def is_open(self, place: str, at: datetime) -> bool:
        """Whether nobody has looked at `place` in the hour of `at`."""
        return (place, at.hour) not in self.seen

    def observe(
        self,
        place: str,
        at: datetime,
        provider: str,
        rising: Sequence[Rising] | None,
        *,
        answered: bool = True,
    ) -> None:
        """Note a list; None when the network offers none. The first of an hour counts."""
        if self.is_open(place, at):
            offered = rising is not None or not answered
            listed = tuple(rising or ())
            self._observed(self.network, place, at, provider, offered, answered, listed)

    @event(Observed)
    def _observed(
        self,
        network: Network,
        place: str,
        at: datetime,
        provider: str,
        offered: bool,
        answered: bool,
        rising: tuple[Rising, ...],
    ) -> None:
        self.seen.add((place, at.hour))


class Trend(Aggregate, topic="social.trend"):
    """A trend that matters to the brand, found once in a week (from Monday, UTC)."""

    class Detected(Aggregate.Created):
        """`growth` is against the preceding period, as a fraction; `relevance` and `score` run
        from 0 to 1."""

        TOPIC = "social.trend.detected"
        kind: TrendKind
        name: str
        week: date
        networks: tuple[Network, ...]
        volume: int
        growth: float
        relevance: float
        score: float
        at: datetime

    @staticmethod
    def create_id(
        kind: TrendKind, name: str, week: date, tenant: str | None = None, **_: object
    ) -> UUID:
        """One stream per tenant, trend and week: finding it again is a conflict."""
        whose = tenant or acting.get().tenant
        return uuid5(NAMESPACE_URL, f"tidings:trend:{whose}:{kind}:{name}:{week}")

    @event(Detected)
    def __init__(
        self,
        kind: TrendKind,
        name: str,
        week: date,
        networks: tuple[Network, ...],
        volume: int,
        growth: float,
        relevance: float,
        score: float,
        at: datetime,
    ) -> None:
        self.kind, self.name, self.at = kind, name, at


def week_of(at: datetime) -> date:
    """The Monday of the week that `at` lies in."""
    return at.date() - timedelta(days=at.weekday())
