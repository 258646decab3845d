"""LinkedIn over its Posts API.

https://learn.microsoft.com/linkedin/marketing/community-management/shares/posts-api
https://learn.microsoft.com/linkedin/marketing/community-management/shares/images-api
https://learn.microsoft.com/linkedin/marketing/community-management/shares/videos-api
https://learn.microsoft.com/linkedin/marketing/community-management/shares/comments-api
https://learn.microsoft.com/linkedin/shared/authentication/programmatic-refresh-tokens
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from application.social.accounts import Identity
from application.social.networks import Heard, MentionReply, Publication, Receipt, Watch
from application.social.sentiment import sentiment
from domain.social.engagement import Comment, Figures
from domain.social.networks import Network
from infrastructure.gateways import GatewayResponse
from infrastructure.networks.api import (
    SKEW,
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
    parsed,
    plain_refusal,
    settled,
)
from infrastructure.networks.mentions import on_linkedin

VERSION = "202506"
"""Versions are months, and each is served for a year."""

PAGES, PAGE = 5, 100
_COMMENT = re.compile(r"urn:li:comment:\((urn:li:[^,]+),[^)]+\)")
_RESERVED = re.compile(r"([\\|{}@\[\]()<>#*_~])")
_ESCAPED = re.compile(r"\\([\\|{}@\[\]()<>#*_~])")
_HASHTAG_ELEMENT = re.compile(r"\{hashtag\|\\?#\|(\w+)\}")
_HASHTAG = re.compile(r"\\#(\w+)")


class LinkedIn(Api):
    """A member, or an organisation that the member may post for."""

    network = Network.LINKEDIN
    waits: Sequence[float] = (1, 2, 4, 8, 15, 30, 60)
    """Seconds between looks at an image or video that LinkedIn works on."""

    @property
    def author(self) -> str:
        """Who posts, as LinkedIn names it; numbers alone are organisations."""
        if self.account.startswith("urn:"):
            return self.account
        kind = "organization" if self.account.isdigit() else "person"
        return f"urn:li:{kind}:{self.account}"

    async def call(self, method: str, path: str, **request: Any) -> Reply:
        """One request with the headers that all of them need."""
        headers = {
            "authorization": f"Bearer {self.credentials['access_token']}",
            "linkedin-version": VERSION,
            "x-restli-protocol-version": "2.0.0",
            **request.pop("headers", {}),
        }
        return await self.ask(method, path, headers=headers, **request)

    def refusal(self, response: GatewayResponse, data: Any) -> NetworkSaysNo | None:
        """By the status; the service codes of 65,6xx are tokens that are no more."""
        message = str(dig(data, "message") or dig(data, "error_description") or "")
        if response.status == 401 and dig(data, "code") == "REVOKED_ACCESS_TOKEN":
            return NetworkSaysNo(Fault.ACCOUNT, message)
        if response.status == 403:
            return NetworkSaysNo(Fault.POST, message, code="not_permitted")
        if response.status == 422 and "duplicate" in message.lower():
            return NetworkSaysNo(Fault.POST, message, code="duplicate")
        return plain_refusal(response, message)

    async def identify(self) -> Identity:
        me = await self.call("GET", "/v2/userinfo")
        member, name = me.text("sub"), str(dig(me.data, "name") or me.text("sub"))
        wanted = (self.account_id or "").removeprefix("urn:li:organization:")
        if not wanted.isdigit():
            return Identity(
                member, name, dict(self.credentials), facts={"urn": f"urn:li:person:{member}"}
            )
        page = await self.call("GET", f"/rest/organizations/{wanted}")
        title = str(dig(page.data, "localizedName") or wanted)
        return Identity(
            wanted, title, dict(self.credentials), facts={"urn": f"urn:li:organization:{wanted}"}
        )

    async def publish(self, publication: Publication, notes: Notes) -> Receipt:
        post: dict[str, Any] = {
            "author": self.author,
            "commentary": little_text(publication.text),
            "visibility": "PUBLIC",
            "distribution": {
                "feedDistribution": "MAIN_FEED",
                "targetEntities": [],
                "thirdPartyDistributionChannels": [],
            },
            "lifecycleState": "PUBLISHED",
            "isReshareDisabledByAuthor": False,
        }
        media = [await self._upload(url) for url in publication.media_urls]
        if len(media) == 1:
            post["content"] = {"media": {"id": media[0]}}
        elif media:
            post["content"] = {"multiImage": {"images": [{"id": id} for id in media]}}
        await notes.about_to_send()
        made = await self.call("POST", "/rest/posts", json=post)
        id = made.headers.get("x-restli-id")
        if not id:
            raise NetworkUnclear("LinkedIn has not said what it calls the post.")
        return _receipt(id, datetime.now(UTC))

    async def _upload(self, url: str) -> str:
        content, kind = await self.media(url)
        if is_video(url) or kind.startswith("video/"):
            return await self._upload_video(content)
        asked = {"initializeUploadRequest": {"owner": self.author}}
        begun = await self.call("POST", "/rest/images?action=initializeUpload", json=asked)
        image = begun.text("value", "image")
        await self._put(begun.text("value", "uploadUrl"), content)
        await self._available(f"/rest/images/{quote(image, safe='')}")
        return image

    async def _upload_video(self, content: bytes) -> str:
        asked = {"owner": self.author, "fileSizeBytes": len(content), "uploadCaptions": False,
                 "uploadThumbnail": False}  # fmt: skip
        begun = await self.call(
            "POST", "/rest/videos?action=initializeUpload", json={"initializeUploadRequest": asked}
        )
        video = begun.text("value", "video")
        parts = []
        for part in entries(begun.data, "value", "uploadInstructions"):
            first, last = number(part, "firstByte"), number(part, "lastByte")
            done = await self._put(str(part.get("uploadUrl")), content[first : last + 1])
            parts.append(done.headers.get("etag", ""))
        finish = {
            "video": video,
            "uploadToken": str(dig(begun.data, "value", "uploadToken") or ""),
            "uploadedPartIds": parts,
        }
        await self.call(
            "POST", "/rest/videos?action=finalizeUpload", json={"finalizeUploadRequest": finish}
        )
        await self._available(f"/rest/videos/{quote(video, safe='')}")
        return video

    async def _put(self, url: str, content: bytes) -> Reply:
        """The address is secret in itself, and of another host: the token stays away from it."""
        response = await self.line.send(
            "PUT",
            url,
            content=content,
            headers={"content-type": "application/octet-stream"},
            timeout=120,
        )
        no = plain_refusal(response, "LinkedIn does not take a file of the post.", code="media")
        if no is not None:
            raise no
        return settled(response, parsed(response))

    async def _available(self, path: str) -> None:
        for wait in (*self.waits, None):
            match dig((await self.call("GET", path)).data, "status"):
                case "AVAILABLE":
                    return
                case "PROCESSING_FAILED":
                    message = "LinkedIn cannot use a file of the post."
                    raise NetworkSaysNo(Fault.POST, message, code="media")
            if wait is not None:
                await asyncio.sleep(wait)
        raise NetworkSaysNo(
            Fault.LATER,
            "LinkedIn is still working on the media.",
            code="still_processing",
            retry_after=60.0,
        )

    async def find(
        self, publication: Publication, sending: Sending, notes: Notes
    ) -> Receipt | None:
        """Newest first, so the look ends at the first post older than the sending."""
        found: list[Receipt] = []
        for page in range(PAGES):
            query = {"q": "author", "author": self.author, "count": PAGE, "start": page * PAGE,
                     "sortBy": "CREATED"}  # fmt: skip
            seen = await self.call("GET", "/rest/posts", query=query)
            if not isinstance(dig(seen.data, "elements"), list):
                raise NetworkUnclear("The network's answer is no list of posts.")
            posts = entries(seen.data, "elements")
            found += [
                _receipt(str(each["id"]), instant(each.get("createdAt")))
                for each in posts
                if same_text(publication.text, plain_text(str(each.get("commentary") or "")))
            ]
            old = [
                each for each in posts if instant(each.get("createdAt")) < sending.sent_at - SKEW
            ]
            if old or len(posts) < PAGE:
                return await earliest(found, sending, notes)
        raise NetworkUnclear("The account shows more posts than are looked through.")

    async def reply(self, reply: MentionReply, notes: Notes) -> Receipt:
        """A comment on the mention; one on a comment belongs to the same post as that."""
        target = reply.network_mention_id
        comment = _COMMENT.fullmatch(target)
        body: dict[str, Any] = {
            "actor": self.author,
            "object": comment[1] if comment else target,
            "message": {"text": reply.text},
            **({"parentComment": target} if comment else {}),
        }
        await notes.about_to_send()
        path = f"/rest/socialActions/{quote(target, safe='')}/comments"
        made = await self.call("POST", path, json=body)
        id = str(dig(made.data, "commentUrn") or made.headers.get("x-restli-id") or "")
        if not id:
            raise NetworkUnclear("LinkedIn has not said what it calls the comment.")
        return _receipt(id, datetime.now(UTC))

    async def find_reply(
        self, reply: MentionReply, sending: Sending, notes: Notes
    ) -> Receipt | None:
        path = f"/rest/socialActions/{quote(reply.network_mention_id, safe='')}/comments"
        found: list[Receipt] = []
        for page in range(PAGES):
            seen = await self.call("GET", path, query={"count": PAGE, "start": page * PAGE})
            if not isinstance(dig(seen.data, "elements"), list):
                raise NetworkUnclear("The network's answer is no list of comments.")
            listed = entries(seen.data, "elements")
            found += [
                _receipt(
                    str(each.get("commentUrn") or each["id"]), instant(dig(each, "created", "time"))
                )
                for each in listed
                if each.get("actor") == self.author
                and same_text(reply.text, str(dig(each, "message", "text") or ""))
            ]
            if len(listed) < PAGE:
                return await earliest(found, sending, notes)
        raise NetworkUnclear("The mention has more comments than are looked through.")

    async def engagement(self, post_id: str) -> tuple[Figures, Sequence[Comment]]:
        urn = quote(post_id, safe="")
        seen = await self.call("GET", f"/rest/socialActions/{urn}")
        likes = number(seen.data, "likesSummary", "totalLikes")
        replies = number(seen.data, "commentsSummary", "aggregatedTotalComments")
        impressions, reach, shares = await self._statistics(urn)
        listed = await self.call("GET", f"/rest/socialActions/{urn}/comments", query={"count": 50})
        comments = [
            Comment(
                str(each.get("id")),
                str(each.get("actor") or ""),
                str(dig(each, "message", "text") or ""),
                instant_or_now(dig(each, "created", "time")),
                sentiment(str(dig(each, "message", "text") or "")),
            )
            for each in entries(listed.data, "elements")
        ]
        return Figures(impressions, reach, impressions, likes, shares, replies), comments

    async def _statistics(self, urn: str) -> tuple[int, int, int]:
        """Impressions, reach and shares, which only organisations are told."""
        if not self.author.startswith("urn:li:organization:"):
            return 0, 0, 0
        kind = "ugcPosts" if "ugcPost" in urn else "shares"
        seen = await self.call(
            "GET",
            "/rest/organizationalEntityShareStatistics?q=organizationalEntity"
            f"&organizationalEntity={quote(self.author, safe='')}&{kind}=List({urn})",
        )
        told = dig(seen.data, "elements", 0, "totalShareStatistics")
        names = ("impressionCount", "uniqueImpressionsCount", "shareCount")
        impressions, reach, shares = (number(told, name) for name in names)
        return impressions, reach, shares

    async def mentions(self, watch: Watch) -> Heard:
        return await on_linkedin(self, watch)

    async def renew(self) -> Mapping[str, str] | None:
        token = self.credentials.get("refresh_token")
        if not token or not self.line.app.id:
            return None
        form = {"grant_type": "refresh_token", "refresh_token": token, **self._client()}
        fresh = await self.ask("POST", "/oauth/v2/accessToken", form=form, login=True)
        return renewed(self.credentials, fresh)

    async def revoke(self) -> bool:
        if not self.line.app.id:
            return False
        form = {"token": self.credentials["access_token"], **self._client()}
        await self.ask("POST", "/oauth/v2/revoke", form=form, login=True)
        return True

    def _client(self) -> dict[str, str]:
        return {"client_id": self.line.app.id, "client_secret": self.line.app.secret}


def renewed(credentials: Mapping[str, str], fresh: Reply) -> dict[str, str]:
    """Credentials after a refresh (RFC 6749, section 6): a new refresh token replaces the old."""
    return {
        **credentials,
        "access_token": fresh.text("access_token"),
        "refresh_token": str(dig(fresh.data, "refresh_token") or credentials["refresh_token"]),
        "expires_in": str(number(fresh.data, "expires_in") or ""),
    }


def little_text(text: str) -> str:
    """Plain text in LinkedIn's "little" format: reserved characters escaped, hashtags as such.

    https://learn.microsoft.com/linkedin/marketing/community-management/shares/little-text-format
    """
    return _HASHTAG.sub(r"{hashtag|\\#|\1}", _RESERVED.sub(r"\\\1", text))


def plain_text(little: str) -> str:
    """What "little" text shows."""
    return _ESCAPED.sub(r"\1", _HASHTAG_ELEMENT.sub(r"#\1", little))


def _receipt(id: str, at: datetime) -> Receipt:
    return Receipt(id, f"https://www.linkedin.com/feed/update/{id}/", at)
