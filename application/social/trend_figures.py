"""What the read side knows of a period and the one before it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from domain.social.networks import Network
from domain.social.trends import TrendKind


class Timeframe(StrEnum):
    """How far back to look."""

    NOW = "now"
    TODAY = "today"
    WEEK = "week"
    MONTH = "month"


LENGTHS: Mapping[Timeframe, timedelta] = {
    Timeframe.NOW: timedelta(hours=1),
    Timeframe.TODAY: timedelta(hours=24),
    Timeframe.WEEK: timedelta(days=7),
    Timeframe.MONTH: timedelta(days=30),
}

VOCABULARY = 100
"""Names that count as the brand's own."""


@dataclass(frozen=True)
class Amounts:
    """What was counted of one name on one network in one period."""

    uses: int = 0
    own: int = 0
    engagement: int = 0
    tone: int = 0
    marks: int = 0
    squares: int = 0

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(
            *(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True))
        )

    @property
    def several_people(self) -> bool:
        """Whether the uses were not all one person's: marks that are all alike have no variance."""
        return self.uses * self.squares > self.marks**2


@dataclass(frozen=True)
class Lists:
    """What a network's lists of a period held, of one name or in all: the sum of the volumes, the
    number of lists, and the sum of the least volumes in those."""

    volume: int = 0
    hours: int = 0
    least: int = 0
    provider: str | None = None


Side = tuple[Network, bool]
"""A network, and whether it is about the period itself or about the one before."""


@dataclass(frozen=True)
class Text:
    """A text as its words, hashtags with their sign; `person` is anybody's number, None for the
    tenant's own posts."""

    names: frozenset[str]
    person: str | None
    tone: int


@dataclass(frozen=True)
class Figures:
    """What the read side knows of a period and the one before it (`hours` are their lengths)."""

    hours: tuple[float, float]
    place: str
    terms: Mapping[tuple[TrendKind, str], Mapping[Side, Amounts]]
    listed: Mapping[tuple[TrendKind, str], Mapping[Side, Lists]]
    lists: Mapping[Side, Lists]
    totals: Sequence[Mapping[str, Any]]
    heard: Sequence[Text]
    own: Sequence[Text]
    viral: Sequence[Mapping[str, Any]]

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """The names that the tenant's own posts use most."""
        counted = Counter(name for text in self.own for name in text.names)
        return frozenset(name for name, _ in counted.most_common(VOCABULARY))

    @cached_property
    def texts_with(self) -> Mapping[str, Sequence[Text]]:
        """The texts that hold a name, by the name."""
        found: dict[str, list[Text]] = {}
        for text in (*self.heard, *self.own):
            for name in text.names:
                found.setdefault(name, []).append(text)
        return found

    @cached_property
    def own_counts(self) -> Counter[str]:
        return Counter(name for text in self.own for name in text.names)
