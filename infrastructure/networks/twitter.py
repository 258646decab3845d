"""X over its API v2, as a user with OAuth 1.0a.

https://docs.x.com/x-api/posts/create-post
https://docs.x.com/x-api/media/quickstart/media-upload-chunked
https://docs.x.com/x-api/fundamentals/rate-limits
"""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from application.social.accounts import Identity
from application.social.networks import Heard, MentionReply, Publication, Receipt, Watch
from application.social.sentiment import sentiment
from domain.social.engagement import Comment, Figures
from domain.social.networks import Network
from domain.social.trends import Rising
from infrastructure.gateways import GatewayResponse
from infrastructure.networks import twitter_trends
from infrastructure.networks.api import (
    SKEW,
    Api,
    Notes,
    Sending,
    earliest,
    instant,
    instant_or_now,
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
from infrastructure.networks.mentions import on_twitter
from infrastructure.networks.oauth1 import Signer

CHUNK = 4 * 1024 * 1024
"""Bytes of a part of an upload; X takes up to five megabytes."""

PAGES = 5
"""Pages of an account's posts that are looked through."""

_ADDRESSED = re.compile(r"\A(?:@\w+\s+)+")
_SHORT_LINK = re.compile(r"\s*https://t\.co/\w+")


class Twitter(Api):
    """An account on X."""

    network = Network.TWITTER
    longest_processing = 300.0

    async def signed(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
        **request: Any,
    ) -> Reply:
        """One request with its signature."""
        app = self.line.app
        signer = Signer(
            app.id, app.secret, self.credentials["access_token"], self.credentials["token_secret"]
        )
        if query:
            path += "?" + urlencode(query, quote_via=quote)
        files = request.get("files")
        header = signer.header(method, app.base_url + path, None if files else form)
        return await self.ask(method, path, form=form, headers={"authorization": header}, **request)

    def refusal(self, response: GatewayResponse, data: Any) -> NetworkSaysNo | None:
        """Problems as RFC 9457 has them (v2), or a list of codes (v1.1)."""
        said = dig(data, "detail") or dig(data, "errors", 0, "message") or dig(data, "title")
        message = str(said or "")
        if response.status == 429:
            wait = pause_of(response, "x-user-limit-24hour-reset", "x-rate-limit-reset")
            return NetworkSaysNo(Fault.LATER, message, retry_after=wait)
        if response.status == 403 and re.search(r"suspended|locked", message, re.IGNORECASE):
            return NetworkSaysNo(Fault.ACCOUNT, message)
        if response.status == 403 and "duplicate" in message.lower():
            return NetworkSaysNo(Fault.POST, message, code="duplicate")
        return plain_refusal(response, message)

    async def identify(self) -> Identity:
        me = await self.signed("GET", "/2/users/me", query={"user.fields": "username,name"})
        id, handle = me.text("data", "id"), me.text("data", "username")
        name = str(dig(me.data, "data", "name") or handle)
        return Identity(id, name, dict(self.credentials), facts={"username": handle})

    async def publish(self, publication: Publication, notes: Notes) -> Receipt:
        media = [await self._upload(url) for url in publication.media_urls]
        post: dict[str, Any] = {"text": publication.text}
        if media:
            post["media"] = {"media_ids": media}
        await notes.about_to_send()
        made = await self.signed("POST", "/2/tweets", json=post)
        return _receipt(made.text("data", "id"), datetime.now(UTC))

    async def _upload(self, url: str) -> str:
        content, kind = await self.media(url)
        category = {"image/gif": "tweet_gif"}.get(
            kind, "tweet_video" if kind.startswith("video/") else "tweet_image"
        )
        begun = await self.signed(
            "POST",
            "/2/media/upload/initialize",
            json={"media_type": kind, "total_bytes": len(content), "media_category": category},
        )
        id = begun.text("data", "id")
        for n, start in enumerate(range(0, len(content), CHUNK)):
            await self.signed(
                "POST",
                f"/2/media/upload/{id}/append",
                form={"segment_index": str(n)},
                files={"media": ("media", content[start : start + CHUNK], kind)},
            )
        done = await self.signed("POST", f"/2/media/upload/{id}/finalize")
        await self._processed(id, done)
        return id

    async def _processed(self, id: str, seen: Reply) -> None:
        """Wait until X can show the media; images are ready at once."""
        waited = 0.0
        while True:
            state = dig(seen.data, "data", "processing_info", "state")
            if state == "failed":
                raise NetworkSaysNo(Fault.POST, "X cannot use a file of the post.", code="media")
            if state not in ("pending", "in_progress"):
                return
            wait = max(number(seen.data, "data", "processing_info", "check_after_secs"), 0.1)
            if waited + wait > self.longest_processing:
                raise NetworkSaysNo(
                    Fault.LATER,
                    "X is still working on the media.",
                    code="still_processing",
                    retry_after=60.0,
                )
            await asyncio.sleep(wait)
            waited += wait
            query = {"command": "STATUS", "media_id": id}
            seen = await self.signed("GET", "/2/media/upload", query=query)

    async def find(
        self, publication: Publication, sending: Sending, notes: Notes
    ) -> Receipt | None:
        return await self._listed(
            sending,
            notes,
            lambda post: same_text(publication.text, _as_written(post, publication.text)),
        )

    async def reply(self, reply: MentionReply, notes: Notes) -> Receipt:
        target = {"in_reply_to_tweet_id": reply.network_mention_id}
        await notes.about_to_send()
        made = await self.signed("POST", "/2/tweets", json={"text": reply.text, "reply": target})
        return _receipt(made.text("data", "id"), datetime.now(UTC))

    async def find_reply(
        self, reply: MentionReply, sending: Sending, notes: Notes
    ) -> Receipt | None:
        """X puts the names of those addressed before the text by itself."""
        target, ours = reply.network_mention_id, _ADDRESSED.sub("", reply.text)

        def is_it(post: Mapping[str, Any]) -> bool:
            replied = [
                str(each.get("id"))
                for each in entries(post, "referenced_tweets")
                if each.get("type") == "replied_to"
            ]
            return target in replied and same_text(
                ours, _ADDRESSED.sub("", _as_written(post, reply.text))
            )

        return await self._listed(sending, notes, is_it)

    async def _listed(
        self, sending: Sending, notes: Notes, is_it: Callable[[Mapping[str, Any]], bool]
    ) -> Receipt | None:
        """The account's first post since the sending that `is_it`."""
        found: list[Receipt] = []
        page: str | None = None
        for _ in range(PAGES):
            query = {
                "start_time": (sending.sent_at - SKEW).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "max_results": "100",
                "tweet.fields": "created_at,entities,referenced_tweets",
                **({"pagination_token": page} if page else {}),
            }
            seen = await self.signed("GET", f"/2/users/{self.account}/tweets", query=query)
            if dig(seen.data, "meta", "result_count") is None:
                raise NetworkUnclear("The network's answer is no list of posts.")
            found += [
                _receipt(str(each["id"]), instant(each.get("created_at")))
                for each in entries(seen.data, "data")
                if is_it(each)
            ]
            page = dig(seen.data, "meta", "next_token")
            if not page:
                return await earliest(found, sending, notes)
        if found:
            return await earliest(found, sending, notes)
        raise NetworkUnclear("The account shows more posts than are looked through.")

    async def engagement(self, post_id: str) -> tuple[Figures, Sequence[Comment]]:
        seen = await self.signed(
            "GET", f"/2/tweets/{post_id}", query={"tweet.fields": "public_metrics"}
        )
        told = dig(seen.data, "data", "public_metrics")
        if not isinstance(told, dict):
            raise NetworkUnclear("X tells no figures of the post.")
        replies = await self.signed(
            "GET",
            "/2/tweets/search/recent",
            query={
                "query": f"conversation_id:{post_id} is:reply",
                "max_results": "50",
                "tweet.fields": "created_at",
                "expansions": "author_id",
            },
        )
        names = {
            each.get("id"): str(each.get("username") or "")
            for each in entries(replies.data, "includes", "users")
        }
        comments = [
            Comment(
                str(each["id"]),
                names.get(each.get("author_id"), ""),
                html.unescape(str(each.get("text") or "")),
                instant_or_now(each.get("created_at")),
                sentiment(str(each.get("text") or "")),
            )
            for each in entries(replies.data, "data")
        ]
        seen_by = number(told, "impression_count")
        figures = Figures(
            impressions=seen_by,
            reach=seen_by,
            views=seen_by,
            likes=number(told, "like_count"),
            shares=number(told, "retweet_count") + number(told, "quote_count"),
            comments=number(told, "reply_count"),
        )
        return figures, comments

    async def mentions(self, watch: Watch) -> Heard:
        return await on_twitter(self, watch)

    async def rising(self, place: str) -> Sequence[Rising] | None:
        return await twitter_trends.listed(self, place)

    async def revoke(self) -> bool:
        """https://docs.x.com/resources/fundamentals/authentication (invalidating tokens)"""
        gone = await self.signed("POST", "/1.1/oauth/invalidate_token", form={})
        return dig(gone.data, "access_token") is not None


def _as_written(post: Mapping[str, Any], ours: str) -> str:
    """The text as it was sent: X shortens links, escapes three characters, and puts links to
    media behind the text."""
    text = str(post.get("text") or "")
    for link in entries(post, "entities", "urls"):
        short, long = link.get("url"), link.get("expanded_url")
        if isinstance(short, str) and isinstance(long, str):
            kept = next((form for form in (long, long.rstrip("/")) if form in ours), "")
            text = text.replace(short, kept)
    return html.unescape(_SHORT_LINK.sub("", text))


def _receipt(id: str, at: datetime) -> Receipt:
    return Receipt(id, f"https://x.com/i/web/status/{id}", at)
