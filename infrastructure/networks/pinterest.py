"""Pinterest over its API v5.

https://developers.pinterest.com/docs/api/v5/pins-create
https://developers.pinterest.com/docs/getting-started/set-up-authentication-and-authorization/
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from application.social.accounts import Identity
from application.social.networks import Publication, Receipt
from domain.social.engagement import Comment, Figures
from domain.social.networks import Network
from domain.social.trends import Rising
from infrastructure.gateways import GatewayResponse
from infrastructure.networks.api import (
    Api,
    Notes,
    Sending,
    earliest,
    instant,
    instant_or_now,
    is_video,
    same_text,
)
from infrastructure.networks.line import (
    Fault,
    NetworkSaysNo,
    NetworkUnclear,
    Reply,
    dig,
    entries,
    number,
    pause_of,
    plain_refusal,
)
from infrastructure.networks.linkedin import renewed

PAGES = 20
"""Pages of pins that are looked through; in which order they come is nowhere said."""

REGIONS = (
    *("US", "CA", "DE", "FR", "ES", "IT", "AR", "BR", "CO", "MX", "GB+IE", "DE+AT+CH", "AU+NZ"),
    *("NL+BE+LU", "SE+DK+FI+NO", "IT+ES+PT+GR+MT", "PL+RO+HU+SK+CZ", "MX+AR+CO+CL"),
)
"""Countries, alone or together, for which trends are listed; the smallest with a country counts."""

TITLE = 100
"""Characters of a title."""


class Pinterest(Api):
    """A business account. Pins go on the board of the credentials (`board_id`), else the first."""

    network = Network.PINTEREST

    async def call(self, method: str, path: str, **request: Any) -> Reply:
        """One request as the account."""
        headers = {"authorization": f"Bearer {self.credentials['access_token']}"}
        return await self.ask(method, f"/v5{path}", headers=headers, **request)

    def refusal(self, response: GatewayResponse, data: Any) -> NetworkSaysNo | None:
        """By the status, with the words of `message`."""
        message = str(dig(data, "message") or "")
        if response.status == 429:
            wait = pause_of(response, "x-ratelimit-reset")
            return NetworkSaysNo(Fault.LATER, message, retry_after=wait)
        if response.status == 403:
            return NetworkSaysNo(Fault.POST, message, code="not_permitted")
        return plain_refusal(response, message)

    async def identify(self) -> Identity:
        me = await self.call("GET", "/user_account")
        name = me.text("username")
        kind = str(dig(me.data, "account_type") or "")
        id = str(dig(me.data, "id") or name)
        return Identity(id, name, dict(self.credentials), facts={"account_type": kind})

    async def publish(self, publication: Publication, notes: Notes) -> Receipt:
        urls = publication.media_urls
        if any(is_video(url) for url in urls):
            message = "Pins of videos cannot be made from an address."
            raise NetworkSaysNo(Fault.POST, message, code="unsupported_media")
        source: dict[str, Any] = {"source_type": "image_url", "url": urls[0]}
        if len(urls) > 1:
            items = [{"url": url} for url in urls]
            source = {"source_type": "multiple_image_urls", "items": items}
        pin = {
            "board_id": await self._board(),
            "title": publication.text.splitlines()[0][:TITLE] if publication.text else "",
            "description": publication.text,
            "media_source": source,
        }
        await notes.about_to_send()
        made = await self.call("POST", "/pins", json=pin)
        return _receipt(made.text("id"), instant_or_now(dig(made.data, "created_at")))

    async def _board(self) -> str:
        if board := self.credentials.get("board_id"):
            return board
        boards = entries((await self.call("GET", "/boards", query={"page_size": 25})).data, "items")
        if not boards:
            message = "The account has no board to pin to."
            raise NetworkSaysNo(Fault.POST, message, code="no_board")
        return str(boards[0]["id"])

    async def find(
        self, publication: Publication, sending: Sending, notes: Notes
    ) -> Receipt | None:
        found: list[Receipt] = []
        bookmark: str | None = None
        for _ in range(PAGES):
            query = {"page_size": 250, **({"bookmark": bookmark} if bookmark else {})}
            seen = await self.call("GET", "/pins", query=query)
            if not isinstance(dig(seen.data, "items"), list):
                raise NetworkUnclear("The network's answer is no list of pins.")
            found += [
                _receipt(str(each["id"]), instant(each.get("created_at")))
                for each in entries(seen.data, "items")
                if same_text(publication.text, str(each.get("description") or ""))
            ]
            bookmark = dig(seen.data, "bookmark")
            if not bookmark:
                return await earliest(found, sending, notes)
        receipt = await earliest(found, sending, notes)
        if receipt is None:
            raise NetworkUnclear("The account shows more pins than are looked through.")
        return receipt

    async def engagement(self, post_id: str) -> tuple[Figures, Sequence[Comment]]:
        """Lifetime figures are not told; the last 90 days are. Comments are not open."""
        today = datetime.now(UTC).date()
        seen = await self.call(
            "GET",
            f"/pins/{post_id}/analytics",
            query={
                "start_date": (today - timedelta(days=89)).isoformat(),
                "end_date": today.isoformat(),
                "metric_types": "IMPRESSION,SAVE,PIN_CLICK,TOTAL_COMMENTS,TOTAL_REACTIONS",
            },
        )
        told = dig(seen.data, "all", "summary_metrics")
        if not isinstance(told, dict):
            raise NetworkUnclear("Pinterest tells no figures of the pin.")
        impressions = number(told, "IMPRESSION")
        figures = Figures(
            impressions=impressions,
            reach=impressions,
            views=impressions,
            likes=number(told, "TOTAL_REACTIONS"),
            shares=number(told, "SAVE"),
            comments=number(told, "TOTAL_COMMENTS"),
        )
        return figures, ()

    async def rising(self, place: str) -> Sequence[Rising] | None:
        """Words that are searched for ever more often; Pinterest tells shares, not volumes.

        https://developers.pinterest.com/docs/analytics-and-reports/trends/
        """
        region = next((each for each in REGIONS if place in each.split("+")), None)
        if region is None:
            return None
        path = f"/trends/keywords/{quote(region)}/top/growing"
        try:
            seen = await self.call("GET", path, query={"limit": "50"})
        except NetworkSaysNo as no:
            if no.fault is Fault.TOKEN:
                raise
            # The account may publish all the same.
            raise NetworkUnclear(f"Pinterest does not list trends: {no.message}") from None
        words = (each.get("keyword") for each in entries(seen.data, "trends"))
        return [Rising(str(word)) for word in words if word]

    async def renew(self) -> Mapping[str, str] | None:
        token = self.credentials.get("refresh_token")
        if not token or not self.line.app.id:
            return None
        app = self.line.app
        basic = b64encode(f"{app.id}:{app.secret}".encode()).decode()
        fresh = await self.ask(
            "POST",
            "/v5/oauth/token",
            form={"grant_type": "refresh_token", "refresh_token": token},
            headers={"authorization": f"Basic {basic}"},
        )
        return renewed(self.credentials, fresh)


def _receipt(id: str, at: datetime) -> Receipt:
    return Receipt(id, f"https://www.pinterest.com/pin/{id}/", at)
