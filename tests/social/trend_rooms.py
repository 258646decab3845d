"""What the tests of trends are about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from application.social.trend_figures import Figures
from domain.social.networks import Network
from domain.social.trends import WORLD, TrendKind

NOW = datetime(2030, 3, 5, 14, 37, 12, tzinfo=UTC)
START = NOW - timedelta(days=3)
X, FACEBOOK = Network.TWITTER, Network.FACEBOOK
HASHTAG, TOPIC = TrendKind.HASHTAG, TrendKind.TOPIC
NETWORKS = [X, FACEBOOK]
HOUR = timedelta(hours=1)


def shown(**changes):
    nothing = Figures((24.0, 24.0), WORLD, {}, {}, {}, (), [], [], ())
    return replace(nothing, **changes)
