"""Facebook Pages over the Graph API.

https://developers.facebook.com/docs/pages-api/posts
https://developers.facebook.com/docs/graph-api/reference/page/feed
https://developers.facebook.com/docs/graph-api/reference/page/photos
https://developers.facebook.com/docs/graph-api/reference/object/comments
https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import orjson

from application.social.accounts import Identity
from application.social.networks import (
    Heard,
    MentionReply,
    Overheard,
    Publication,
    Receipt,
    Watch,
)
from application.social.sentiment import sentiment
from domain.social.engagement import Comment, Figures
from domain.social.networks import Network
from infrastructure.networks.api import (
    SKEW,
    Notes,
    Sending,
    earliest,
    instant,
    instant_or_now,
    is_video,
    same_text,
)
from infrastructure.networks.graph import VERSION, GraphApi
from infrastructure.networks.line import (
    Fault,
    NetworkSaysNo,
    NetworkUnclear,
    dig,
    entries,
    number,
    required,
)
from infrastructure.networks.mentions import on_facebook
from infrastructure.networks.notices import one_on_facebook

PAGES = 5
"""Pages of a feed that are looked through."""


class Facebook(GraphApi):
    """A Page. A person's token is exchanged for that of the Page when it is connected."""

    network = Network.FACEBOOK

    @property
    def token(self) -> str:
        return self.credentials.get("page_token") or self.credentials["access_token"]

    async def identify(self) -> Identity:
        person = self.credentials["access_token"]
        if self.account_id is not None:
            page = (
                await self.get(f"/{self.account_id}", person, fields="id,name,access_token")
            ).data
        else:
            page = await self._only_page(person)
        credentials = dict(self.credentials)
        if token := dig(page, "access_token"):
            credentials["page_token"] = str(token)
        id = required(page, "id")
        return Identity(id, str(dig(page, "name") or id), credentials)

    async def _only_page(self, person: str) -> object:
        """The first Page of the person, or the Page itself when it is the Page's own token."""
        try:
            pages = entries(
                (await self.get("/me/accounts", person, fields="id,name,access_token")).data, "data"
            )
        except NetworkSaysNo as no:
            if no.fault is not Fault.POST:
                raise
            pages = []
        return pages[0] if pages else (await self.get("/me", person, fields="id,name")).data

    async def publish(self, publication: Publication, notes: Notes) -> Receipt:
        page, urls = self.account, publication.media_urls
        if len(urls) == 1 and is_video(urls[0]):
            await notes.about_to_send()
            made = await self.post(
                f"/{page}/videos", file_url=urls[0], description=publication.text
            )
            return _receipt(made.text("id"))
        if len(urls) == 1:
            await notes.about_to_send()
            made = await self.post(f"/{page}/photos", url=urls[0], message=publication.text)
            return _receipt(str(dig(made.data, "post_id") or made.text("id")))
        photos = await asyncio.gather(
            *(self.post(f"/{page}/photos", url=url, published="false") for url in urls)
        )
        attached = {
            f"attached_media[{n}]": orjson.dumps({"media_fbid": photo.text("id")}).decode()
            for n, photo in enumerate(photos)
        }
        await notes.about_to_send()
        made = await self.post(f"/{page}/feed", message=publication.text, **attached)
        return _receipt(made.text("id"))

    async def find(
        self, publication: Publication, sending: Sending, notes: Notes
    ) -> Receipt | None:
        if len(publication.media_urls) == 1 and is_video(publication.media_urls[0]):
            edge, fields, text = "videos", "id,description,created_time", "description"
        else:
            edge, fields, text = "feed", "id,message,created_time,permalink_url", "message"
        since = int((sending.sent_at - SKEW).timestamp())
        found: list[Receipt] = []
        after: str | None = None
        for _ in range(PAGES):
            feed = await self.get(
                f"/{self.account}/{edge}", fields=fields, since=since, limit=100, after=after
            )
            if not isinstance(dig(feed.data, "data"), list):
                raise NetworkUnclear("The network's answer is no list of posts.")
            found += [
                _receipt(
                    str(each["id"]), each.get("permalink_url"), instant(each.get("created_time"))
                )
                for each in entries(feed.data, "data")
                if same_text(publication.text, str(each.get(text) or ""))
            ]
            after = dig(feed.data, "paging", "cursors", "after")
            if not after or not dig(feed.data, "paging", "next"):
                return await earliest(found, sending, notes)
        if found:
            return await earliest(found, sending, notes)
        raise NetworkUnclear("The account shows more posts than are looked through.")

    async def reply(self, reply: MentionReply, notes: Notes) -> Receipt:
        await notes.about_to_send()
        made = await self.post(f"/{reply.network_mention_id}/comments", message=reply.text)
        return _receipt(made.text("id"))

    async def find_reply(
        self, reply: MentionReply, sending: Sending, notes: Notes
    ) -> Receipt | None:
        """Among the newest comments on the mention, the Page's own."""
        found: list[Receipt] = []
        after: str | None = None
        for _ in range(PAGES):
            listed = await self.get(
                f"/{reply.network_mention_id}/comments",
                fields="id,message,created_time,permalink_url,from{id}",
                order="reverse_chronological",
                limit=100,
                after=after,
            )
            if not isinstance(dig(listed.data, "data"), list):
                raise NetworkUnclear("The network's answer is no list of comments.")
            found += [
                _receipt(
                    str(each["id"]), each.get("permalink_url"), instant(each.get("created_time"))
                )
                for each in entries(listed.data, "data")
                if dig(each, "from", "id") == self.account
                and same_text(reply.text, str(each.get("message") or ""))
            ]
            after = dig(listed.data, "paging", "cursors", "after")
            if found or not after or not dig(listed.data, "paging", "next"):
                return await earliest(found, sending, notes)
        raise NetworkUnclear("The mention has more comments than are looked through.")

    async def engagement(self, post_id: str) -> tuple[Figures, Sequence[Comment]]:
        seen = await self.get(
            f"/{post_id}",
            fields="shares,reactions.limit(0).summary(total_count),"
            "comments.limit(50).order(reverse_chronological).summary(total_count)"
            "{id,message,created_time,from{name}}",
        )
        impressions, reach, views = await self._insights(post_id)
        comments = [
            Comment(
                str(each["id"]),
                str(dig(each, "from", "name") or ""),
                str(each.get("message") or ""),
                instant_or_now(each.get("created_time")),
                sentiment(str(each.get("message") or "")),
            )
            for each in entries(seen.data, "comments", "data")
        ]
        figures = Figures(
            impressions=impressions,
            reach=reach,
            views=views,
            likes=number(seen.data, "reactions", "summary", "total_count"),
            shares=number(seen.data, "shares", "count"),
            comments=number(seen.data, "comments", "summary", "total_count"),
        )
        return figures, comments

    async def _insights(self, post_id: str) -> tuple[int, int, int]:
        """Impressions, reach, views; a Page may keep them to itself."""
        names = ("post_impressions", "post_impressions_unique", "post_media_view")
        try:
            insights = await self.get(f"/{post_id}/insights", metric=",".join(names))
        except NetworkSaysNo as no:
            if no.fault is not Fault.POST:
                raise
            return 0, 0, 0
        told = {
            each.get("name"): number(each, "values", 0, "value")
            for each in entries(insights.data, "data")
        }
        impressions, reach, views = (told.get(name, 0) for name in names)
        return impressions, reach, views or impressions

    async def mentions(self, watch: Watch) -> Heard:
        return await on_facebook(self, watch)

    async def mention(self, mention_id: str) -> Overheard | None:
        return await one_on_facebook(self, mention_id)

    async def renew(self) -> Mapping[str, str] | None:
        """A person's token is exchanged for one of 60 days; a Page's own has no end."""
        if not self.line.app.id:
            return None
        fresh = await self.ask(
            "GET",
            f"/{VERSION}/oauth/access_token",
            query={
                "grant_type": "fb_exchange_token",
                "client_id": self.line.app.id,
                "client_secret": self.line.app.secret,
                "fb_exchange_token": self.credentials["access_token"],
            },
        )
        renewed = {**self.credentials, "access_token": fresh.text("access_token")}
        if self.account and "page_token" in renewed:
            page = await self.get(
                f"/{self.account}", renewed["access_token"], fields="access_token"
            )
            renewed["page_token"] = page.text("access_token")
        return {**renewed, "expires_in": str(number(fresh.data, "expires_in") or "")}

    async def revoke(self) -> bool:
        """https://developers.facebook.com/docs/facebook-login/guides/permissions/request-revoke"""
        fields = self._signed(self.credentials["access_token"], {})
        gone = await self.ask("DELETE", f"/{VERSION}/me/permissions", query=fields)
        return dig(gone.data, "success") is True


def _receipt(id: str, url: object = None, at: datetime | None = None) -> Receipt:
    return Receipt(id, str(url or f"https://www.facebook.com/{id}"), at or datetime.now(UTC))
