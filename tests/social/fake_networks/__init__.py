"""Small local servers that answer as the networks' documentation says.

They keep what is published on them, so that a test can ask what really went out, and can be told
to refuse, to fall silent before or after the deed, and to answer twice.
"""

from collections.abc import Mapping

from tests.social.fake_networks.meta import FakeFacebook, FakeInstagram, graph_error
from tests.social.fake_networks.oauth2 import FakeLinkedIn, FakePinterest, FakeTikTok
from tests.social.fake_networks.server import (
    HANGS_AFTER,
    LOST_AFTER,
    LOST_BEFORE,
    MP4,
    PNG,
    TWICE,
    FakeNetwork,
    refuses,
    serving,
    serving_files,
)
from tests.social.fake_networks.twitter import FakeTwitter

__all__ = [
    "APPS",
    "CREDENTIALS",
    "FAKES",
    "HANGS_AFTER",
    "LOST_AFTER",
    "LOST_BEFORE",
    "MP4",
    "PNG",
    "TWICE",
    "FakeFacebook",
    "FakeTwitter",
    "graph_error",
    "refuses",
    "serving",
    "serving_files",
]

FAKES: Mapping[str, type[FakeNetwork]] = {
    "facebook": FakeFacebook,
    "instagram": FakeInstagram,
    "twitter": FakeTwitter,
    "linkedin": FakeLinkedIn,
    "tiktok": FakeTikTok,
    "pinterest": FakePinterest,
}

CREDENTIALS: Mapping[str, Mapping[str, str]] = {
    name: {"access_token": "token-1", "token_secret": "secret-1"}
    if name == "twitter"
    else {"access_token": "token-1", "refresh_token": "refresh-1"}
    for name in FAKES
}

APPS = {
    "FACEBOOK_APP_ID": "app-id",
    "FACEBOOK_APP_SECRET": "app-secret",
    "INSTAGRAM_APP_ID": "app-id",
    "INSTAGRAM_APP_SECRET": "app-secret",
    "TWITTER_API_KEY": "consumer",
    "TWITTER_API_SECRET": "consumer-secret",
    "LINKEDIN_CLIENT_ID": "app-id",
    "LINKEDIN_CLIENT_SECRET": "app-secret",
    "TIKTOK_CLIENT_KEY": "app-id",
    "TIKTOK_CLIENT_SECRET": "app-secret",
    "PINTEREST_APP_ID": "app-id",
    "PINTEREST_APP_SECRET": "app-secret",
}
"""The registration that the fakes know."""
