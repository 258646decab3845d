"""TikTok over its Content Posting API.

https://developers.tiktok.com/doc/content-posting-api-reference-direct-post
https://developers.tiktok.com/doc/content-posting-api-reference-photo-post
https://developers.tiktok.com/doc/content-posting-api-reference-get-video-status
TikTok fetches the media itself, from addresses of which this installation has proved ownership.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from application.social.accounts import Identity
from application.social.networks import Publication, Receipt
from domain.social.engagement import Comment, Figures
from domain.social.networks import Network
from infrastructure.gateway_outcomes import GatewayError
from infrastructure.gateways import GatewayResponse
from infrastructure.networks.api import Api, Notes, Sending, earliest, instant, is_video, same_text
from infrastructure.networks.line import (
    Fault,
    NetworkSaysNo,
    NetworkUnclear,
    Reply,
    dig,
    entries,
    number,
    plain_refusal,
)
from infrastructure.networks.linkedin import renewed

MINUTE = 60.0
"""Seconds of TikTok's windows."""

TITLE = 90
"""Characters of a photo post's title."""

_TOKEN = frozenset({"access_token_invalid", "invalid_grant"})
_LATER = frozenset({"rate_limit_exceeded", "spam_risk_too_many_pending_share"})
_DAY = frozenset({"spam_risk_too_many_posts", "reached_active_user_cap"})
_ACCOUNT = frozenset({"spam_risk_user_banned_from_posting"})
_PERMISSION = frozenset({"scope_not_authorized", "scope_permission_missed"})
_FAILING = frozenset({"internal_error"})


class TikTok(Api):
    """A creator's account."""

    network = Network.TIKTOK
    waits: Sequence[float] = (2, 3, 5, 10, 20, 30, 60)
    """Seconds between looks at a post that TikTok works on."""

    async def call(self, method: str, path: str, **request: Any) -> Reply:
        """One request as the account."""
        headers = {"authorization": f"Bearer {self.credentials['access_token']}"}
        return await self.ask(method, path, headers=headers, **request)

    def refusal(self, response: GatewayResponse, data: Any) -> NetworkSaysNo | None:
        """By the code in `error`: success is `ok`; sign-in answers with a bare word instead."""
        error = dig(data, "error")
        code = str(dig(error, "code") or (error if isinstance(error, str) else ""))
        message = str(dig(error, "message") or dig(data, "error_description") or code)
        if code in ("", "ok"):
            return plain_refusal(response, message)
        if code in _FAILING or response.status >= 500:
            return None
        if code in _TOKEN:
            return NetworkSaysNo(Fault.TOKEN, message)
        if code in _LATER or response.status == 429:
            return NetworkSaysNo(Fault.LATER, message, retry_after=response.retry_after or MINUTE)
        if code in _DAY:
            return NetworkSaysNo(Fault.LATER, message, code="quota_used_up", retry_after=3600.0)
        if code in _ACCOUNT:
            return NetworkSaysNo(Fault.ACCOUNT, message)
        return NetworkSaysNo(
            Fault.POST, message, code="not_permitted" if code in _PERMISSION else None
        )

    async def identify(self) -> Identity:
        me = await self.call("GET", "/v2/user/info/", query={"fields": "open_id,display_name"})
        id = me.text("data", "user", "open_id")
        name = str(dig(me.data, "data", "user", "display_name") or id)
        return Identity(id, name, dict(self.credentials))

    async def publish(self, publication: Publication, notes: Notes) -> Receipt:
        privacy = await self._privacy()
        path, body = _request(publication, privacy)
        await notes.about_to_send()
        begun = await self.call("POST", path, json=body)
        id = begun.text("data", "publish_id")
        await notes.about_to_send(id)
        for wait in (*self.waits, None):
            receipt = self._judged(id, await self._status_of_sent(id))
            if receipt is not None:
                return receipt
            if wait is not None:
                await asyncio.sleep(wait)
        raise NetworkUnclear("TikTok is still working on the post.")

    async def _privacy(self) -> str:
        """The widest audience that the creator allows; asking is obligatory before a post."""
        told = await self.call("POST", "/v2/post/publish/creator_info/query/", json={})
        options = dig(told.data, "data", "privacy_level_options") or []
        for wanted in ("PUBLIC_TO_EVERYONE", "FOLLOWER_OF_CREATOR", "MUTUAL_FOLLOW_FRIENDS"):
            if wanted in options:
                return wanted
        return "SELF_ONLY"

    async def _status(self, id: str) -> Reply:
        return await self.call("POST", "/v2/post/publish/status/fetch/", json={"publish_id": id})

    async def _status_of_sent(self, id: str) -> Reply:
        """TikTok has the post by now: that it does not tell is no refusal."""
        try:
            return await self._status(id)
        except (NetworkSaysNo, GatewayError) as error:
            raise NetworkUnclear(f"TikTok has the post and does not tell: {error}") from None

    def _judged(self, id: str, seen: Reply) -> Receipt | None:
        """The post once TikTok is done with it; None while it is not. Raises `NetworkSaysNo` when
        it has failed."""
        match dig(seen.data, "data", "status"):
            case "PUBLISH_COMPLETE":
                public = dig(seen.data, "data", "publicaly_available_post_id", 0)
                return _receipt(str(public or id), datetime.now(UTC), None)
            case "FAILED":
                why = str(dig(seen.data, "data", "fail_reason") or "")
                raise NetworkSaysNo(Fault.POST, f"TikTok could not publish it: {why}.")
        return None

    async def find(
        self, publication: Publication, sending: Sending, notes: Notes
    ) -> Receipt | None:
        if sending.reference is not None:
            seen = await self._status(sending.reference)
            try:
                receipt = self._judged(sending.reference, seen)
            except NetworkSaysNo:
                return None
            if receipt is None:
                raise NetworkUnclear("TikTok is still working on the post.")
            return receipt
        seen = await self.call(
            "POST",
            "/v2/video/list/",
            query={"fields": "id,title,video_description,create_time,share_url"},
            json={"max_count": 20},
        )
        if not isinstance(dig(seen.data, "data", "videos"), list):
            raise NetworkUnclear("The network's answer is no list of posts.")
        found = [
            _receipt(str(each["id"]), instant(each.get("create_time")), each.get("share_url"))
            for each in entries(seen.data, "data", "videos")
            if same_text(publication.text, str(each.get("video_description") or each.get("title")))
        ]
        return await earliest(found, sending, notes)

    async def engagement(self, post_id: str) -> tuple[Figures, Sequence[Comment]]:
        """Figures of a public post; comments are not open to installations like this one."""
        seen = await self.call(
            "POST",
            "/v2/video/query/",
            query={"fields": "id,view_count,like_count,comment_count,share_count"},
            json={"filters": {"video_ids": [post_id]}},
        )
        told = dig(seen.data, "data", "videos", 0)
        if not isinstance(told, dict):
            raise NetworkUnclear("TikTok does not show the post, or not yet.")
        names = ("view_count", "like_count", "share_count", "comment_count")
        views, likes, shares, comments = (number(told, name) for name in names)
        return Figures(views, views, views, likes, shares, comments), ()

    async def renew(self) -> Mapping[str, str] | None:
        """https://developers.tiktok.com/doc/oauth-user-access-token-management"""
        token = self.credentials.get("refresh_token")
        if not token or not self.line.app.id:
            return None
        form = {"grant_type": "refresh_token", "refresh_token": token, **self._client()}
        return renewed(self.credentials, await self.ask("POST", "/v2/oauth/token/", form=form))

    async def revoke(self) -> bool:
        if not self.line.app.id:
            return False
        form = {"token": self.credentials["access_token"], **self._client()}
        await self.ask("POST", "/v2/oauth/revoke/", form=form)
        return True

    def _client(self) -> dict[str, str]:
        return {"client_key": self.line.app.id, "client_secret": self.line.app.secret}


def _request(publication: Publication, privacy: str) -> tuple[str, dict[str, Any]]:
    urls, text = publication.media_urls, publication.text
    if len(urls) == 1 and is_video(urls[0]):
        return "/v2/post/publish/video/init/", {
            "post_info": {"title": text, "privacy_level": privacy},
            "source_info": {"source": "PULL_FROM_URL", "video_url": urls[0]},
        }
    return "/v2/post/publish/content/init/", {
        "media_type": "PHOTO",
        "post_mode": "DIRECT_POST",
        "post_info": {
            "title": text[:TITLE],
            "description": text,
            "privacy_level": privacy,
        },
        "source_info": {
            "source": "PULL_FROM_URL",
            "photo_cover_index": 0,
            "photo_images": list(urls),
        },
    }


def _receipt(id: str, at: datetime, url: object) -> Receipt:
    return Receipt(id, str(url or f"https://www.tiktok.com/video/{id}"), at)
