"""What the figures of trends say in words: the embedded writer, which knows nothing but them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from application.social.accounts import SANDBOX
from application.social.figures import TONE
from application.social.industries import INDUSTRIES
from application.social.places import PLACES
from application.social.trend_figures import Figures, Timeframe
from application.social.trend_relevance import speaks_of
from application.social.trends import Measured
from domain.social.mentions import Reading
from domain.social.networks import Network
from domain.social.trends import WORLD

EMBEDDED = "Written by the embedded writer, from the figures of this answer alone."

PERIODS: Mapping[Timeframe, str] = {
    Timeframe.NOW: "the hour",
    Timeframe.TODAY: "the 24 hours",
    Timeframe.WEEK: "the week",
    Timeframe.MONTH: "the 30 days",
}


def described(trend: Measured, timeframe: Timeframe) -> str:
    """A topic in a sentence or two."""
    said = []
    if trend.listed_on:
        said.append(f"Listed as rising by {_and(trend.listed_on)}.")
    if trend.amounts.uses:
        times = "once" if trend.amounts.uses == 1 else f"{trend.amounts.uses:,} times"
        said.append(f"Used {times} in what people say to and of the brand.")
    if trend.growth >= 0.005:
        said.append(f"{_percent(trend.growth)} more than in {PERIODS[timeframe]} before.")
    return " ".join(said) or "Used in the brand's own posts."


def insights(
    figures: Figures, industry: str, hashtags: Sequence[Measured], topics: Sequence[Measured]
) -> dict[str, Any]:
    """What can be said of an industry: of the latest texts of others, how many are of it and how
    they sound; and the growth of what rises in it."""
    words = INDUSTRIES[industry]
    of_it = [text for text in figures.heard if speaks_of(text, words)]
    mean = sum(text.tone for text in of_it) / TONE / len(of_it) if of_it else 0.0
    trends = [*hashtags, *topics]
    growths = sorted(trend.growth for trend in trends)
    return {
        "industry": industry,
        "texts_examined": len(figures.heard),
        "texts_of_industry": len(of_it),
        "share": round(len(of_it) / len(figures.heard), 4) if figures.heard else 0.0,
        "sentiment": Reading(mean).tone.value,
        "sentiment_score": round(mean, 4),
        "rising_hashtags": len(hashtags),
        "rising_topics": len(topics),
        "median_growth": growths[len(growths) // 2] if growths else 0.0,
        "leading_hashtags": [trend.label for trend in hashtags[:5]],
        "told_by": sorted(words),
    }


@dataclass(frozen=True)
class Findings:
    """What advice is made of."""

    figures: Figures
    timeframe: Timeframe
    networks: Sequence[Network]
    hashtags: Sequence[Measured]
    topics: Sequence[Measured]
    viral: Sequence[Mapping[str, Any]]


def advice(found: Findings) -> list[str]:
    """What to do about it, most urgent first, and what the figures do not tell."""
    said = [*_about_hashtags(found), *_about_topics(found), *_about_viral(found)]
    if not said:
        said.append("Nothing rises that is the brand's business: no need to act.")
    return [*said, *_gaps(found), EMBEDDED]


def _about_hashtags(found: Findings) -> list[str]:
    said = []
    for trend in [each for each in found.hashtags if each.matters][:2]:
        used = "and your posts do not use it yet" if not trend.amounts.own else "keep using it"
        said.append(
            f"Use {trend.label} on {_and(trend.networks)} soon: {_percent(trend.growth)} more"
            f" than in {PERIODS[found.timeframe]} before, relevance {trend.relevance:.2f}; {used}."
        )
    tags = [each for each in found.hashtags if each.amounts.own and each.average_engagement > 0]
    if best := max(tags, key=lambda each: each.average_engagement, default=None):
        said.append(
            f"{best.label} brings {best.average_engagement:,.1f} likes, shares and comments per"
            " use, the most of the hashtags in your posts."
        )
    return said


def _about_topics(found: Findings) -> list[str]:
    said = []
    for trend in found.topics:
        if trend.tone == "negative" and trend.amounts.uses > 1 and trend.momentum > 0:
            said.append(
                f"Look into “{trend.name}”: {trend.amounts.uses:,} remarks, and the tone is"
                f" negative ({trend.sentiment:.2f})."
            )
            break
    best = max(found.topics, key=lambda each: each.opportunity, default=None)
    if best is not None and best.opportunity > 0 and best.tone != "negative":
        said.append(
            f"Speak about “{best.name}”: opportunity {best.opportunity:.2f}, tone {best.tone}."
        )
    return said


def _about_viral(found: Findings) -> list[str]:
    for piece in found.viral:
        if piece["type"] == "post":
            return [
                f"Your post {piece['id']} on {piece['platform']} has gained"
                f" {piece['times_typical']:.1f} times what a post there usually gains:"
                " answer its comments while it lasts."
            ]
    return []


def _gaps(found: Findings) -> list[str]:
    figures = found.figures
    said = []
    where = "" if figures.place == WORLD else f" in {PLACES[figures.place].name}"
    shown = {network for network, now in figures.lists if now}
    if missing := [network for network in found.networks if network not in shown]:
        said.append(f"No list of trends{where} has come from {_and(missing)} in this period.")
    stand_ins = sorted({n for (n, _), each in figures.lists.items() if each.provider == SANDBOX})
    if stand_ins:
        said.append(f"The lists of {_and(stand_ins)} are those of the sandbox network.")
    return said


def _and(names: Sequence[str]) -> str:
    *others, last = map(str, names)
    return f"{', '.join(others)} and {last}" if others else last


def _percent(fraction: float) -> str:
    return f"{fraction * 100:,.0f} %"
