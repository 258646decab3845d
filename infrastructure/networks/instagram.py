"""Instagram professional accounts, over the Instagram API with Instagram Login.

https://developers.facebook.com/docs/instagram-platform/content-publishing
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/mentions
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/mentioned_media
A post is made in two steps: a container, which Instagram fills by itself from the addresses of
the media, and its publication once it is finished.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

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
from infrastructure.gateway_outcomes import GatewayError
from infrastructure.networks.api import (
    Notes,
    Sending,
    earliest,
    instant,
    instant_or_now,
    is_video,
    same_text,
)
from infrastructure.networks.graph import GraphApi
from infrastructure.networks.line import (
    Fault,
    NetworkSaysNo,
    NetworkUnclear,
    dig,
    entries,
    number,
)
from infrastructure.networks.mentions import on_instagram
from infrastructure.networks.notices import one_on_instagram

QUOTA_WAIT = 3600.0
"""Seconds after which an account that has used up its posts of 24 hours may have one again."""

COMMENTS = 50
"""Comments on a media that are looked through for a reply."""

METRICS = ("views", "reach", "likes", "comments", "shares")


class Instagram(GraphApi):
    """A professional account."""

    network = Network.INSTAGRAM
    waits: Sequence[float] = (1, 2, 4, 8, 15, 30, 60, 60, 60, 60)
    """Seconds between looks at a container: Instagram asks for one a minute, five minutes long."""

    async def identify(self) -> Identity:
        me = await self.get("/me", fields="user_id,username,account_type")
        id, name = me.text("user_id"), me.text("username")
        kind = str(dig(me.data, "account_type") or "")
        return Identity(id, name, dict(self.credentials), facts={"account_type": kind})

    async def publish(self, publication: Publication, notes: Notes) -> Receipt:
        await self._check_quota()
        container = await self._container(publication)
        await self._finished(container)
        await notes.about_to_send(container)
        made = await self.post(f"/{self.account}/media_publish", creation_id=container)
        return await self._shown(made.text("id"))

    async def _check_quota(self) -> None:
        told = await self.get(
            f"/{self.account}/content_publishing_limit", fields="quota_usage,config"
        )
        used = number(told.data, "data", 0, "quota_usage")
        total = number(told.data, "data", 0, "config", "quota_total")
        if total and used >= total:
            raise NetworkSaysNo(
                Fault.LATER,
                f"The account has published its {total} posts of 24 hours.",
                code="quota_used_up",
                retry_after=QUOTA_WAIT,
            )

    async def _container(self, publication: Publication) -> str:
        urls, caption = publication.media_urls, publication.text
        if len(urls) == 1:
            video = {"media_type": "REELS"} if is_video(urls[0]) else {}
            return await self._made(**_source(urls[0]), **video, caption=caption)
        children = await asyncio.gather(
            *(
                self._made(
                    **_source(url),
                    **({"media_type": "VIDEO"} if is_video(url) else {}),
                    is_carousel_item="true",
                )
                for url in urls
            )
        )
        await asyncio.gather(*(self._finished(child) for child in children))
        return await self._made(media_type="CAROUSEL", children=",".join(children), caption=caption)

    async def _made(self, **fields: str) -> str:
        return (await self.post(f"/{self.account}/media", **fields)).text("id")

    async def _finished(self, container: str) -> None:
        """Wait until Instagram has fetched and understood the media."""
        for wait in (*self.waits, None):
            seen = await self.get(f"/{container}", fields="status_code,status")
            match dig(seen.data, "status_code"):
                case "FINISHED":
                    return
                case "ERROR" | "EXPIRED":
                    why = str(dig(seen.data, "status") or "Instagram cannot use the media.")
                    raise NetworkSaysNo(Fault.POST, why, code="media")
            if wait is not None:
                await asyncio.sleep(wait)
        raise NetworkSaysNo(
            Fault.LATER,
            "Instagram is still working on the media.",
            code="still_processing",
            retry_after=60.0,
        )

    async def _shown(self, id: str) -> Receipt:
        """The link of a post that is out; it is out even when this cannot be asked."""
        try:
            seen = (await self.get(f"/{id}", fields="permalink,timestamp")).data
        except (NetworkSaysNo, NetworkUnclear, GatewayError):
            seen = None
        at = instant_or_now(dig(seen, "timestamp"))
        return _receipt(id, dig(seen, "permalink"), at)

    async def find(
        self, publication: Publication, sending: Sending, notes: Notes
    ) -> Receipt | None:
        """The container tells whether it was published; which post it became, the list tells."""
        assert sending.reference is not None
        seen = await self.get(f"/{sending.reference}", fields="status_code")
        status = dig(seen.data, "status_code")
        if status in ("FINISHED", "ERROR", "EXPIRED", "IN_PROGRESS"):
            return None
        recent = await self.get(
            f"/{self.account}/media", fields="id,caption,permalink,timestamp", limit=50
        )
        found = [
            _receipt(str(each["id"]), each.get("permalink"), instant(each.get("timestamp")))
            for each in entries(recent.data, "data")
            if same_text(publication.text, str(each.get("caption") or ""))
        ]
        receipt = await earliest(found, sending, notes)
        if receipt is None:
            raise NetworkUnclear("Instagram has published it and does not show it yet.")
        return receipt

    async def reply(self, reply: MentionReply, notes: Notes) -> Receipt:
        """A comment on the media, or below the comment. Instagram takes it where a caption or a
        comment mentions the account, not where the account is only tagged in the picture."""
        media, _, comment = reply.network_mention_id.partition("_")
        await notes.about_to_send()
        made = await self.post(
            f"/{self.account}/mentions",
            media_id=media,
            comment_id=comment or None,
            message=reply.text,
        )
        return _receipt(made.text("id"), None, datetime.now(UTC))

    async def find_reply(
        self, reply: MentionReply, sending: Sending, notes: Notes
    ) -> Receipt | None:
        """Among the comments on the media. Whose they are Instagram does not always tell; one
        with our words from then on is taken for ours. What stands below a comment of somebody
        else it does not show."""
        if "_" in reply.network_mention_id:
            raise NetworkUnclear("Instagram does not show answers to a comment.")
        media = f"mentioned_media.media_id({reply.network_mention_id})"
        comments = f"comments.limit({COMMENTS}){{id,text,timestamp}}"
        seen = await self.get(f"/{self.account}", fields=f"{media}{{{comments}}}")
        if not isinstance(dig(seen.data, "mentioned_media"), dict):
            raise NetworkUnclear("Instagram does not show the media.")
        listed = entries(seen.data, "mentioned_media", "comments", "data")
        found = [
            _receipt(str(each["id"]), None, instant(each.get("timestamp")))
            for each in listed
            if same_text(reply.text, str(each.get("text") or ""))
        ]
        if not found and len(listed) >= COMMENTS:
            raise NetworkUnclear("The media has more comments than are looked through.")
        return await earliest(found, sending, notes)

    async def engagement(self, post_id: str) -> tuple[Figures, Sequence[Comment]]:
        insights = await self.get(f"/{post_id}/insights", metric=",".join(METRICS))
        told = {
            each.get("name"): number(each, "values", 0, "value")
            for each in entries(insights.data, "data")
        }
        views, reach, likes, comments, shares = (told.get(name, 0) for name in METRICS)
        listed = await self.get(
            f"/{post_id}/comments", fields="id,text,timestamp,username", limit=50
        )
        said = [
            Comment(
                str(each["id"]),
                str(each.get("username") or ""),
                str(each.get("text") or ""),
                instant_or_now(each.get("timestamp")),
                sentiment(str(each.get("text") or "")),
            )
            for each in entries(listed.data, "data")
        ]
        return Figures(views, reach, views, likes, shares, comments), said

    async def mentions(self, watch: Watch) -> Heard:
        return await on_instagram(self, watch)

    async def mention(self, mention_id: str) -> Overheard | None:
        return await one_on_instagram(self, mention_id)

    async def renew(self) -> Mapping[str, str]:
        """Long-lived tokens are renewed while they last, from a day after they were given.

        https://developers.facebook.com/docs/instagram-platform/reference/refresh_access_token
        """
        fresh = await self.ask(
            "GET",
            "/refresh_access_token",
            query={
                "grant_type": "ig_refresh_token",
                "access_token": self.credentials["access_token"],
            },
        )
        return {
            **self.credentials,
            "access_token": fresh.text("access_token"),
            "expires_in": str(number(fresh.data, "expires_in") or ""),
        }


def _source(url: str) -> dict[str, str]:
    return {"video_url": url} if is_video(url) else {"image_url": url}


def _receipt(id: str, url: object, at: datetime) -> Receipt:
    return Receipt(id, str(url or "https://www.instagram.com/"), at)
