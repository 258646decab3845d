"""What is said in public of trends."""

from typing import Annotated

from application.social.webhooks.networks import Platforms, networks_of
from application.webhooks.public import (
    INTERNAL,
    Emission,
    Emissions,
    Instant,
    Payload,
    Webhook,
    like,
)
from domain.social.trends import Trend, TrendDay, TrendWatch


class TrendDetected(Payload):
    """A trend that matters to the brand has been found; told once for each trend."""

    trend_type: Annotated[str, like("hashtag")]
    name: Annotated[str, like("slowfashion")]
    platforms: Platforms
    volume: Annotated[int, like(18400)]
    score: Annotated[float, like(0.82)]
    detected_at: Instant


TREND_DETECTED = Webhook("social.trend.detected", TrendDetected)


def _trend(event: Trend.Detected) -> TrendDetected:
    return TrendDetected(
        trend_type=event.kind,
        name=event.name,
        platforms=list(event.networks),
        volume=event.volume,
        score=event.score,
        detected_at=event.at,
    )


WEBHOOKS = (TREND_DETECTED,)

EMISSIONS: Emissions = {
    TrendWatch.Began: INTERNAL,
    TrendWatch.Wanted: INTERNAL,
    TrendWatch.PlaceAdded: INTERNAL,
    TrendDay.Opened: INTERNAL,
    TrendDay.Observed: INTERNAL,
    Trend.Detected: [Emission(TREND_DETECTED, _trend, about=networks_of)],
}
