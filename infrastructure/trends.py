"""What rises, from the read side: implements `application.social.trend_watching.Measures`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from application.social.trend_figures import Timeframe
from application.social.trends import Measured, ranked
from domain.social.networks import Network
from domain.social.trends import WORLD, TrendKind
from infrastructure.calendar import Plans
from projections.social.trend_report import Window, figures, figures_of


@dataclass(frozen=True)
class Trends(Plans):
    """Never behind the log: each question waits for the read models to reach its head."""

    async def rising(self, tenant: str) -> Sequence[Measured]:
        """What rises today, anywhere and in any industry."""
        window = Window.of(Timeframe.TODAY, datetime.now(UTC))
        query = figures(window, list(Network), WORLD)
        row = await self.reads.one(tenant, None, query, await self._head())
        assert row is not None
        found = figures_of(row, window, WORLD)
        return [trend for kind in TrendKind for trend in ranked(found, kind)]
