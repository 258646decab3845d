"""What X lists as rising in a place, asked in the name of this installation.

https://docs.x.com/x-api/x-api-v2/trends (by where-on-earth id, with the app's own token alone)
https://docs.x.com/resources/fundamentals/authentication (OAuth 2.0 App-Only)
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from application.social.places import PLACES
from domain.social.trends import Rising
from infrastructure.networks.line import NetworkSaysNo, NetworkUnclear, entries, number

if TYPE_CHECKING:
    from infrastructure.networks.api import Api

MOST = 50
"""Entries that X gives at most."""


async def listed(api: Api, place: str) -> Sequence[Rising]:
    """X's list for `place`.

    Raises `NetworkUnclear` when X refuses: it refuses the app, of which the account whose `api`
    this is must not suffer.
    """
    try:
        bearer = await _app_token(api)
        seen = await api.ask(
            "GET",
            f"/2/trends/by/woeid/{PLACES[place].woeid}",
            query={"max_trends": str(MOST), "trend.fields": "trend_name,tweet_count"},
            headers={"authorization": f"Bearer {bearer}"},
        )
    except NetworkSaysNo as no:
        raise NetworkUnclear(f"X does not list trends for this app: {no.message}") from None
    return [
        Rising(str(each["trend_name"]), number(each, "tweet_count") or None)
        for each in entries(seen.data, "data")
        if each.get("trend_name")
    ]


async def _app_token(api: Api) -> str:
    """The app's own token (RFC 6749, section 4.4); X gives the same one until it is revoked."""
    app = api.line.app
    pair = f"{quote(app.id, safe='')}:{quote(app.secret, safe='')}"
    given = await api.ask(
        "POST",
        "/oauth2/token",
        form={"grant_type": "client_credentials"},
        headers={"authorization": f"Basic {b64encode(pair.encode()).decode()}"},
    )
    return given.text("access_token")
