"""Social figures added up, and the rates that are made of them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

TONE = 10_000
"""Sentiment is summed in whole ten-thousandths, which is as exact as it comes."""


@dataclass
class Sums:
    """Figures of some events, added up. `tone` is in ten-thousandths, over `rated` comments."""

    posts: int = 0
    impressions: int = 0
    reach: int = 0
    views: int = 0
    likes: int = 0
    shares: int = 0
    comments: int = 0
    rated: int = 0
    tone: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + int(row[each.name]))

    @property
    def engagement(self) -> int:
        return self.likes + self.shares + self.comments

    @property
    def rate(self) -> float:
        """Engagement per impression, 0 to 1."""
        return rate(self.engagement, self.impressions)

    @property
    def sentiment(self) -> float | None:
        """The mean of the comments that have come in, -1 to 1; None without any."""
        return round(self.tone / TONE / self.rated, 4) if self.rated else None


def rate(engagement: int, impressions: int) -> float:
    """Networks correct their counts, also downwards: a rate stays one all the same."""
    return round(min(max(engagement / impressions, 0.0), 1.0), 4) if impressions > 0 else 0.0


def growth(now: int, before: int) -> float | None:
    """The change as a fraction of what was before; None when there was nothing to compare with."""
    return round((now - before) / before, 4) if before > 0 else None
