"""What rises, how much, and how much of it is the brand's business: figures in, ranking out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt

from application.social.figures import TONE
from application.social.industries import INDUSTRIES
from application.social.trend_figures import Amounts, Figures, Lists, Side
from application.social.trend_relevance import belongs, relevance
from domain.social.mentions import Reading
from domain.social.networks import Network
from domain.social.trends import WORLD, TrendKind

SHOWN = 15
"""Hashtags, and topics, in a report."""

MATTERS = 0.3
"""Relevance, and"""
RISES = 0.5
"""momentum, from which on a trend is told."""
GROWS = 0.2
"""What large numbers have to grow by at the least: their smallest changes are no accident."""

FALLS = -0.1
"""Growth from which on down something is falling, and left out."""

LISTED_HOURS = 24
"""Networks tell volumes of the 24 hours before (X, Trends by WOEID)."""


@dataclass(frozen=True)
class Measured:
    """One name with its figures. `growth` is a fraction; `relevance`, `momentum` and `score` run
    from 0 to 1."""

    kind: TrendKind
    name: str
    networks: list[Network]
    volume: int
    growth: float
    momentum: float
    relevance: float
    amounts: Amounts
    listed_on: list[Network] = field(default_factory=list)

    @property
    def score(self) -> float:
        """How much it is worth to act: the geometric mean of momentum and relevance."""
        return sqrt(self.momentum * self.relevance)

    @property
    def label(self) -> str:
        """As people write it."""
        return f"#{self.name}" if self.kind is TrendKind.HASHTAG else self.name

    @property
    def average_engagement(self) -> float:
        """Likes, shares and comments for each use that was seen here."""
        uses = self.amounts.uses + self.amounts.own
        return round(max(self.amounts.engagement, 0) / uses, 4) if uses else 0.0

    @property
    def sentiment(self) -> float:
        """The mean of what others said, -1 to 1; 0 where nobody did."""
        return self.amounts.tone / TONE / self.amounts.uses if self.amounts.uses else 0.0

    @property
    def tone(self) -> str:
        """positive, neutral or negative."""
        return Reading(self.sentiment).tone.value

    @property
    def opportunity(self) -> float:
        """What joining in may bring, 0 to 1: the score, less what the tenant has said of it
        already, and less where people are cross."""
        said = self.amounts.own / (self.amounts.own + self.volume) if self.volume else 0.0
        return round(self.score * (1 - said) * (1 + min(self.sentiment, 0.0)), 4)

    @property
    def matters(self) -> bool:
        """Whether the brand should be told."""
        others = self.amounts.uses > 0 or bool(self.listed_on)
        rises = self.momentum >= RISES and self.growth >= GROWS
        return others and rises and self.relevance >= MATTERS


def significance(now: float, before: float, ratio: float) -> float:
    """How many standard deviations a count is from what the one before it lets expect.

    `ratio` is the length of the present period as a share of the earlier one's. Both counts are
    taken as Poisson; the difference of their square roots, which have about the same variance
    whatever the rate, is normal: Huffman, "An improved approximate two-sample Poisson test",
    Applied Statistics 33 (1984), 224-226.
    """
    return 2 * (sqrt(now + 0.375) - sqrt(ratio * (before + 0.375))) / sqrt(1 + ratio)


def momentum(z: float) -> float:
    """A significance as a number from 0 (none) to 1; half of it at two standard deviations."""
    return 1 - 2 ** (-z / 2) if z > 0 else 0.0


def measured(
    figures: Figures, kind: TrendKind, name: str, industry: str | None = None
) -> Measured | None:
    """The figures of one name; None for what may not be shown or was not asked for.

    Words that all came from one person are not shown, except where a network lists them or the
    tenant's own posts have them too. In a place, only what is listed for it is shown.
    """
    of, lists = figures.terms.get((kind, name), {}), figures.listed.get((kind, name), {})
    label = f"#{name}" if kind is TrendKind.HASHTAG else name
    both = sum(of.values(), Amounts())
    present = sum((each for (_, now), each in of.items() if now), Amounts())
    listed_on = sorted(network for network, now in lists if now)
    public = both.several_people or both.own > 0 or lists or figures.own_counts[label] > 0
    if not public or (figures.place != WORLD and not listed_on):
        return None
    if industry is not None and not belongs(figures, label, INDUSTRIES[industry]):
        return None
    growth, z = _growth(figures, of, lists)
    seen_on = {network for (network, now), each in of.items() if now and each.uses + each.own}
    networks = [network for network in Network if network in seen_on or network in listed_on]
    volume = sum(_volume(figures, of, lists, network) for network in networks)
    return Measured(
        kind,
        name,
        networks,
        volume,
        growth,
        momentum(z),
        relevance(figures, label, both),
        present,
        listed_on,
    )


def ranked(figures: Figures, kind: TrendKind, industry: str | None = None) -> list[Measured]:
    """What rises, most worth acting on first; what falls is left out."""
    names = {name for each, name in (*figures.terms, *figures.listed) if each is kind}
    found = (measured(figures, kind, name, industry) for name in names)
    rising = [
        each for each in found if each and each.growth > FALLS and (each.volume or each.listed_on)
    ]
    rising.sort(key=lambda t: (-t.score, -t.relevance, -t.momentum, -t.volume, t.name))
    return _distinct(rising)[:SHOWN]


def _distinct(rising: Sequence[Measured]) -> list[Measured]:
    """A word that is only ever said within a pair that ranks as high adds nothing."""
    pairs = {word: each for each in rising if " " in each.name for word in each.name.split()}
    return [
        each
        for each in rising
        if each.name not in pairs or pairs[each.name].amounts.uses < each.amounts.uses
    ]


def _growth(
    figures: Figures, of: Mapping[Side, Amounts], lists: Mapping[Side, Lists]
) -> tuple[float, float]:
    """Growth against the period before, as a fraction, and its significance.

    growth = (uses / hours + a) ÷ (uses before / hours before + a) - 1, where a is one use in the
    period before: added to both rates (Laplace), it gives what comes from nothing a finite
    growth. To the uses that were seen come those that networks told, where they can be compared:
    a network without a list of the earlier period is left out. What a list does not hold was used
    as often as its last entry at the most, and is taken as just that, so growth is never
    overstated. Growth is 0 when there is nothing to compare.
    """
    hours, before = figures.hours
    counts = [
        float(sum(each.uses + each.own for (_, now), each in of.items() if now is side))
        for side in (True, False)
    ]
    comparable = any(counts)
    for network in {network for network, _ in lists}:
        sides = [_level(figures, lists, network, side) for side in (True, False)]
        if sides[0] is not None and sides[1] is not None:
            comparable = True
            counts[0] += sides[0] / LISTED_HOURS * hours
            counts[1] += sides[1] / LISTED_HOURS * before
    if not comparable:
        return 0.0, 0.0
    growth = (counts[0] / hours + 1 / before) / ((counts[1] + 1) / before) - 1
    return round(growth, 4), significance(counts[0], counts[1], hours / before)


def _level(
    figures: Figures, lists: Mapping[Side, Lists], network: Network, now: bool
) -> float | None:
    """The mean volume in the lists of a period; None when there were no lists."""
    there, all_of_them = lists.get((network, now), Lists()), figures.lists.get((network, now))
    if all_of_them is None or not all_of_them.hours:
        return None
    return (there.volume + all_of_them.least - there.least) / all_of_them.hours


def _volume(
    figures: Figures, of: Mapping[Side, Amounts], lists: Mapping[Side, Lists], network: Network
) -> int:
    """Uses on a network in the period: what it told itself or what was seen, whichever is more.

    A volume is of 24 hours, and lists come by the hour: a 24th of each adds up to a period. What
    is listed at all has been used that often in the day before; of that, a shorter period has its
    share.
    """
    seen, listed = of.get((network, True), Amounts()), lists.get((network, True), Lists())
    mean = listed.volume / listed.hours if listed.hours else 0.0
    days = figures.hours[0] / LISTED_HOURS
    told = mean * days if days < 1 else max(mean, listed.volume / LISTED_HOURS)
    return max(seen.uses + seen.own, round(told))
