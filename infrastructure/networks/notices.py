"""What Facebook and Instagram tell by their webhooks: that an account is mentioned, and where.

https://developers.facebook.com/docs/graph-api/webhooks/getting-started
https://developers.facebook.com/docs/graph-api/webhooks/getting-started/webhooks-for-instagram
https://developers.facebook.com/docs/graph-api/webhooks/reference/page#mention
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/mentioned_media
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/mentioned_comment
Meta tries again for 36 hours until it is answered with 200, puts up to a thousand changes into one
call, and may send the same one twice.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

from application.social.networks import Overheard
from application.social.notices import Notice
from domain.social.networks import Network
from infrastructure.networks.api import instant
from infrastructure.networks.line import (
    Fault,
    NetworkSaysNo,
    NetworkUnclear,
    Reply,
    dig,
    entries,
    number,
)
from infrastructure.networks.mentions import facebook_post, instagram_media

if TYPE_CHECKING:
    from infrastructure.networks.facebook import Facebook
    from infrastructure.networks.instagram import Instagram

TOLD: Mapping[Network, tuple[str, str]] = {
    Network.FACEBOOK: ("page", "mention"),
    Network.INSTAGRAM: ("instagram", "mentions"),
}
"""The object and the field under which each of them tells of mentions."""

_GONE = frozenset({"remove", "hide"})
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


def is_signed(secret: str, body: bytes, signature: bytes | None) -> bool:
    """Whether `X-Hub-Signature-256` shows that the body comes from who knows the app's secret."""
    expected = b"sha256=" + hmac.digest(secret.encode(), body, sha256).hex().encode()
    return hmac.compare_digest(expected, signature or b"")


def notices(network: Network, body: bytes) -> list[Notice]:
    """The mentions that a call tells of, each once; everything else is left out.

    Raises `ValueError` when the body is no JSON.
    """
    told, (kind, field) = orjson.loads(body), TOLD[network]
    if dig(told, "object") != kind:
        return []
    found = [
        Notice(network, _id(entry.get("id")), _mention(network, dig(change, "value")))
        for entry in entries(told, "entry")
        # Instagram's own examples also show a change that is not in a list.
        for change in entries(entry, "changes") or [entry]
        if change.get("field") == field
    ]
    return [each for each in dict.fromkeys(found) if each.account_id and each.mention_id]


def _mention(network: Network, value: Any) -> str:
    """What a change is about; "" for nothing that can be shown. A comment on Instagram is shown
    and answered below its media alone, and so is named after both."""
    if network is Network.FACEBOOK:
        gone = dig(value, "verb") in _GONE
        return "" if gone else _id(dig(value, "comment_id")) or _id(dig(value, "post_id"))
    media, comment = _id(dig(value, "media_id")), dig(value, "comment_id")
    return media if comment is None else _id(f"{media}_{comment}")


def _id(stated: Any) -> str:
    """An id in a form that can stand in a path; else ""."""
    text = str(stated) if isinstance(stated, str | int) else ""
    return text if _ID.fullmatch(text) else ""


async def one_on_facebook(api: Facebook, mention_id: str) -> Overheard | None:
    """A post or a comment that mentions the Page; None when the Page itself has written it."""
    post = await _shown(
        lambda fields: api.get(f"/{mention_id}", fields=fields),
        "id,message,created_time,permalink_url,from{id,name},"
        "reactions.limit(0).summary(total_count),comments.limit(0).summary(total_count)",
        "shares",
    )
    if dig(post, "from", "id") == api.account:
        return None
    return facebook_post({**post, "id": mention_id})


async def one_on_instagram(api: Instagram, mention_id: str) -> Overheard:
    """The media whose caption mentions the account, or the comment."""
    media, _, comment = mention_id.partition("_")
    if comment:
        edge, id, sure, more = "comment", comment, "id,text,timestamp,like_count", "username"
    else:
        sure, more = "id,caption,timestamp,username,like_count,comments_count", "permalink"
        edge, id = "media", media
    which = f"mentioned_{edge}.{edge}_id({id})"
    told = await _shown(
        lambda fields: api.get(f"/{api.account}", fields=f"{which}{{{fields}}}"), sure, more
    )
    found = dig(told, f"mentioned_{edge}")
    if not isinstance(found, dict):
        raise NetworkUnclear("Instagram does not show the mention.")
    if not comment:
        return instagram_media({**found, "id": media})
    name = str(found.get("username") or "")
    return Overheard(
        id=mention_id,
        text=str(found.get("text") or ""),
        at=instant(found.get("timestamp")),
        author=name,
        handle=name,
        likes=number(found, "like_count"),
    )


async def _shown(ask: Callable[[str], Awaitable[Reply]], sure: str, more: str) -> dict[str, Any]:
    """The fields that are sure to be there, and those that some of these things have not, or not
    on this way to them: one that is not there has Meta refuse all of them."""
    try:
        told = (await ask(f"{sure},{more}")).data
    except NetworkSaysNo as no:
        if no.fault is not Fault.POST:
            raise
        told = (await ask(sure)).data
    if not isinstance(told, dict):
        raise NetworkUnclear("The network's answer is no mention.")
    return told
