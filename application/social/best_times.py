"""When posts do best: learned from an account's own engagement, shrunk to what is known of its
network.

Each account (a tenant on a network) has 168 cells, one for each hour of the week in UTC. A post
counts in the cell of its publication, with a weight that halves every 60 days. A moment's score is

    (1 - c) · prior + c · mean of the cell / mean of the account,    c = w / (w + SHRINKAGE)

with w the weight of the cell's posts: the empirical Bayes estimate (Efron & Morris, 1977) of how
much more engagement than usual a post gets there. c is the confidence that is answered.

Weights are kept growing from a landmark instead of decaying from now (forward decay: Cormode et
al., ICDE 2009), so that a cell is a sum that is only ever added to.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from statistics import fmean

from domain.social.networks import Network

HALF_LIFE = timedelta(days=60)
SHRINKAGE = 5.0
"""Posts that weigh as much as the prior."""

MOST_HALVINGS = 900
"""148 years; a float ends at 1024."""

LANDMARK = datetime(2020, 1, 1, tzinfo=UTC)
CELLS = 168
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_PEAKS: Mapping[Network, Mapping[int, range]] = {
    Network.FACEBOOK: {0: range(8, 13), 1: range(8, 14), 2: range(8, 13), 3: range(8, 12)},
    Network.INSTAGRAM: {0: range(10, 12), 1: range(9, 13), 2: range(10, 13), 4: range(9, 11)},
    Network.TWITTER: {day: range(9, 12) for day in (1, 2, 3, 4)},
    Network.LINKEDIN: {day: range(10, 12) for day in (1, 2)},
    Network.TIKTOK: {1: range(14, 18), 2: range(14, 17), 3: range(15, 17)},
    Network.PINTEREST: {day: range(13, 15) for day in (1, 2, 3, 4)},
}
"""By weekday (Monday is 0), the hours of most engagement in the readers' own time. Sprout Social,
"Best times to post on social media", 2023, over 34,000 accounts; afternoons in the middle of the
week for the last two."""

_USUAL = {
    network: frozenset(hour for hours in days.values() for hour in hours)
    for network, days in _PEAKS.items()
}
PEAK, USUAL, AWAKE, ASLEEP = 1.25, 1.1, 1.0, 0.6
"""The prior's levels: a peak hour, one that is a peak on other days, any from 7 to 22, the rest.
The survey gives the order; the distances are ours, and small enough for a few posts to outweigh."""


def prior(network: Network, weekday: int, hour: int) -> float:
    """What to expect of a local hour of the week before anything is learned; 1 is the average."""
    if hour in _PEAKS[network].get(weekday, ()):
        return PEAK
    if hour in _USUAL[network]:
        return USUAL
    return AWAKE if 7 <= hour < 22 else ASLEEP


def cell_of(instant: datetime) -> int:
    """The hour of the week in UTC, 0 to 167; Monday's first is 0."""
    at = instant.astimezone(UTC)
    return at.weekday() * 24 + at.hour


def weight(published_at: datetime) -> Decimal:
    """What a post of that instant weighs, relative to one at the landmark."""
    return Decimal(f"{_growth(published_at):.12e}")


def _growth(instant: datetime) -> float:
    """By how much more a post of that instant weighs than one at the landmark. Whatever century
    somebody asks about, it stays a number to divide by."""
    halvings = (instant - LANDMARK) / HALF_LIFE
    return float(2.0 ** max(-MOST_HALVINGS, min(halvings, MOST_HALVINGS)))


@dataclass(frozen=True, slots=True)
class Cell:
    """The posts of one hour of the week: how many, their weight, and their weighted engagement."""

    posts: int
    weight: float
    engagement: float


@dataclass(frozen=True, slots=True)
class Score:
    """How a post does at a moment: `value` 1 is the account's average; `n` posts were seen."""

    value: float
    n: int
    confidence: float


@dataclass(frozen=True, slots=True)
class BestTime:
    """An hour of the week in local time."""

    weekday: int
    hour: int
    score: Score


class BestTimes:
    """What has been learned of a tenant's accounts, as of `now`."""

    def __init__(self, cells: Mapping[Network, Mapping[int, Cell]], now: datetime) -> None:
        self.cells = cells
        self._now = _growth(now)
        self._means = {network: _mean(of.values()) for network, of in cells.items()}

    def score(self, network: Network, at: datetime, zone: tzinfo) -> Score:
        """What a post on `network` can expect at `at`, whose readers live in `zone`."""
        local = at.astimezone(zone)
        return self._score(network, cell_of(at), local.weekday(), local.hour)

    def joint(self, networks: Sequence[Network], at: datetime, zone: tzinfo) -> Score:
        """The same for a post on several networks: their mean, from the posts of all of them."""
        scores = [self.score(network, at, zone) for network in networks]
        return Score(
            fmean(each.value for each in scores),
            sum(each.n for each in scores),
            fmean(each.confidence for each in scores),
        )

    def best(self, network: Network, week: datetime, zone: tzinfo, most: int) -> list[BestTime]:
        """The best hours of the local week from `week` on, best first.

        A week is asked for because local hours meet other cells in summer than in winter.
        """
        start = week.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        found = []
        for hours in range(CELLS):
            at = start + timedelta(hours=hours)
            local = at.astimezone(zone)
            found.append(BestTime(local.weekday(), local.hour, self.score(network, at, zone)))
        found.sort(key=lambda each: (-each.score.value, each.weekday, each.hour))
        return found[:most]

    def learned(self, network: Network) -> int:
        """How many posts of the account have been learned from."""
        return sum(cell.posts for cell in self.cells.get(network, {}).values())

    def _score(self, network: Network, cell: int, weekday: int, hour: int) -> Score:
        expected = prior(network, weekday, hour)
        seen = self.cells.get(network, {}).get(cell)
        mean = self._means.get(network, 0.0)
        if seen is None or seen.weight <= 0 or mean <= 0:
            return Score(expected, seen.posts if seen else 0, 0.0)
        present = seen.weight / self._now
        confidence = present / (present + SHRINKAGE)
        observed = max(seen.engagement / seen.weight / mean, 0.0)
        return Score(
            (1 - confidence) * expected + confidence * observed, seen.posts, round(confidence, 4)
        )


def _mean(cells: Iterable[Cell]) -> float:
    """Weighted engagement per post over all cells."""
    known = list(cells)
    total = sum(cell.weight for cell in known)
    return sum(cell.engagement for cell in known) / total if total > 0 else 0.0


def named(best: BestTime, zone: str) -> str:
    """As a person reads it: `Tuesday 18:00 UTC (12 posts, confidence 0.71)`."""
    posts = "1 post" if best.score.n == 1 else f"{best.score.n} posts"
    moment = f"{WEEKDAYS[best.weekday]} {best.hour:02}:00 {zone}"
    return f"{moment} ({posts}, confidence {best.score.confidence:.2f})"
