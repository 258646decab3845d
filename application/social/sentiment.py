"""The tone of a text, computed here: VADER (Hutto & Gilbert, ICWSM 2014)."""

from functools import cache

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer


@cache
def _analyser() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()


def sentiment(text: str) -> float:
    """From -1 (hostile) to 1 (delighted); 0 is neutral. VADER's compound score, for English."""
    return float(_analyser().polarity_scores(text)["compound"])
